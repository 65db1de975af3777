//! `valve deadletters replay`

use std::io::{IsTerminal as _, Write as _};
use std::ops::ControlFlow;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::task::spawn_blocking;

use super::list::table;
use super::{Failure, originals};
use crate::cli::DeadlettersReplayArgs;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{self, Config, Isolation};
use crate::dead_letter::list::{Filter, Groups, Seen, count};
use crate::dead_letter::original::Originals;
use crate::dead_letter::producer::resender::Resender;
use crate::dead_letter::replay::{Choice, Survey};
use crate::source::topic::{self, From};

/// Sends what the filter lets through, or says what that would be.
pub(super) async fn replay(args: DeadlettersReplayArgs) -> Result<String, Failure> {
    let config =
        config::load(args.config.as_deref(), config::process_environment()).map_err(Failure::usage)?;
    if config.group.isolation == Isolation::ReadUncommitted && !args.dry_run {
        let why = "group.isolation is read_uncommitted: this valve would also store what an interrupted replay takes back, and \
                   then what is sent in its stead; set it to read_committed, and replay when the valve runs with that";
        return Err(Failure::Usage(why.to_owned()));
    }
    let max_attempts = args.max_attempts;
    let choice = Choice { valve: config.name.clone(), filter: Filter::from(args.filter), max_attempts };
    let originals = originals(&config).await?;
    let done = spawn_blocking(move || {
        if args.dry_run { would_send(&config, &choice) } else { send(&config, &choice, &originals) }
    });
    done.await.unwrap_or_else(|error| Err(Failure::Failed(error.to_string())))
}

/// Reads the topic to its end, to learn which letters there are and which were replayed.
fn survey(config: &Config, choice: &Choice) -> Result<Survey, Failure> {
    let mut survey = Survey::default();
    let read = topic::read(config, &config.dead_letter_topic(), From::Beginning, |message| {
        survey.note(&message, choice);
        ControlFlow::Continue(())
    });
    read.map_err(Failure::Unasked).map(|()| survey)
}

fn would_send(config: &Config, choice: &Choice) -> Result<String, Failure> {
    let survey = survey(config, choice)?;
    let (mut groups, mut seen) = (Groups::new(), Seen::default());
    let read = topic::read(config, &config.dead_letter_topic(), From::Beginning, |message| {
        if let Some(letter) = survey.pick(&message, &mut seen) {
            count(&mut groups, &letter, (message.partition, message.offset));
        }
        ControlFlow::Continue(())
    });
    read.map_err(Failure::Unasked)?;
    Ok(format!("{}Nothing was sent.{}\n", table(&groups, 0), others(&survey, choice)))
}

fn send(config: &Config, choice: &Choice, originals: &Originals) -> Result<String, Failure> {
    // Before the topic is read: another replay ends with this.
    let mut resender = Resender::open(config).map_err(Failure::Unasked)?;
    let survey = survey(config, choice)?;
    let (all, mut sent, mut seen) = (survey.to_send(), 0, Seen::default());
    let (mut failed, mut progress) = (None, Progress::new(all));
    let read = topic::read(config, &config.dead_letter_topic(), From::Beginning, |message| {
        let Some(mut letter) = survey.pick(&message, &mut seen) else { return ControlFlow::Continue(()) };
        let whole = Handle::current().block_on(originals.put_back(&mut letter));
        let whole = whole.map_err(|error| error.to_string());
        if let Err(why) = whole.and_then(|()| resender.send(&letter, message.partition)) {
            failed = Some(why);
            return ControlFlow::Break(());
        }
        sent += 1;
        progress.show(sent);
        if sent < all { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let done = match (read, failed) {
        (Err(why), _) | (Ok(()), Some(why)) => Err(why),
        (Ok(()), None) => resender.commit(),
    };
    progress.end();
    done.map_err(|why| Failure::Failed(format!("{why}\nWhat was sent is marked: run it again to go on.")))?;
    Ok(format!("Sent {sent} {} again.{}\n", records(sent), others(&survey, choice)))
}

fn records(count: usize) -> &'static str {
    if count == 1 { "record" } else { "records" }
}

fn others(survey: &Survey, choice: &Choice) -> String {
    let mut text = String::new();
    if survey.sent_before() > 0 {
        text.push_str(&format!(" {} had been sent before.", survey.sent_before()));
    }
    if survey.left_alone() > 0 {
        let most = choice.max_attempts;
        let alone = survey.left_alone();
        text.push_str(&format!(
            " {alone} were left alone: dead-lettered more than {most} times (--max-attempts)."
        ));
    }
    text
}

/// How far it is, on standard error: a bar on a terminal, a line now and then elsewhere.
struct Progress {
    all: usize,
    terminal: bool,
    clock: SystemClock,
    shown: Option<Duration>,
}

const BAR: usize = 30;

impl Progress {
    fn new(all: usize) -> Self {
        Self { all, terminal: std::io::stderr().is_terminal(), clock: SystemClock::new(), shown: None }
    }

    fn show(&mut self, sent: usize) {
        let interval = if self.terminal { Duration::from_millis(200) } else { Duration::from_secs(5) };
        let now = self.clock.monotonic();
        if now.saturating_sub(*self.shown.get_or_insert(now)) < interval && sent < self.all {
            return;
        }
        self.shown = Some(now);
        let text = format!("{sent} of {} sent", self.all);
        // Where standard error is closed nobody looks.
        drop(if self.terminal {
            let full = BAR * sent / self.all.max(1);
            write!(std::io::stderr(), "\r\x1b[2K[{:<BAR$}] {text}", "=".repeat(full))
        } else {
            writeln!(std::io::stderr(), "{text}")
        });
    }

    /// Leaves the bar's line.
    fn end(&self) {
        if self.terminal && self.shown.is_some() {
            drop(writeln!(std::io::stderr()));
        }
    }
}
