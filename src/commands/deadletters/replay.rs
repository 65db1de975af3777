//! `valve deadletters replay`

use std::ops::ControlFlow;
use std::time::Duration;

use tokio::task::spawn_blocking;

use super::list::table;
use super::sending::Sending;
use super::{Failure, originals, plain, settings};
use crate::cli::DeadlettersReplayArgs;
use crate::config::{Config, Isolation};
use crate::dead_letter::list::{Filter, Groups, count};
use crate::dead_letter::original::Originals;
use crate::dead_letter::producer::resender::{Resender, Unsent};
use crate::dead_letter::replay::{Choice, Survey};
use crate::source::topic::{self, From};

/// How long a transaction that ends just now may still seem open.
const ENDING: Duration = Duration::from_secs(5);

/// Sends what the filter lets through, or says what that would be.
pub(super) async fn replay(args: DeadlettersReplayArgs) -> Result<String, Failure> {
    let config = settings(args.config.as_deref()).await?;
    if config.group.isolation == Isolation::ReadUncommitted && !args.dry_run {
        let why = "group.isolation is read_uncommitted: this valve would also store what an interrupted replay takes back, and \
                   then what is sent in its stead; set it to read_committed, and replay when the valve runs with that";
        return Err(Failure::Usage(why.to_owned()));
    }
    let choice = Choice {
        valve: config.name.clone(),
        topics: config.topics.clone(),
        filter: Filter::from(args.filter),
        max_attempts: args.max_attempts,
    };
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
    read.map_err(Failure::Unasked).map(|_| survey)
}

fn would_send(config: &Config, choice: &Choice) -> Result<String, Failure> {
    let mut survey = survey(config, choice)?;
    let mut groups = Groups::new();
    let read = topic::read(config, &config.dead_letter_topic(), From::Beginning, |message| {
        if let Some(letter) = survey.pick(&message) {
            count(&mut groups, &letter, (message.partition, message.offset), true);
        }
        ControlFlow::Continue(())
    });
    read.map_err(Failure::Unasked)?;
    let table = table(&groups, 0);
    Ok(format!("{table}Nothing was sent.{}\n", others(&survey, choice)))
}

fn send(config: &Config, choice: &Choice, originals: &Originals) -> Result<String, Failure> {
    // Before the topic is read: another replay ends with this.
    let resender = Resender::open(config).map_err(|unsent| Failure::Unasked(sentence(unsent)))?;
    wait_for_transactions(config)?;
    let mut survey = survey(config, choice)?;
    let all = survey.to_send();
    let (mut sending, mut stopped, mut left) = (Sending::new(resender, originals, all), Ok(()), all);
    let read = topic::read(config, &config.dead_letter_topic(), From::Beginning, |message| {
        if left == 0 {
            return ControlFlow::Break(());
        }
        let Some(letter) = survey.pick(&message) else { return ControlFlow::Continue(()) };
        left -= 1;
        stopped = sending.take(letter, message.partition);
        if stopped.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    });
    let done = read.map_err(Unsent::Broken).and(stopped).and_then(|()| sending.send_pending());
    let (sent, refused) = (sending.sent(), sending.end());
    let mut text = format!("Sent {sent} {} again.{}", records(sent), others(&survey, choice));
    if !refused.is_empty() {
        text.push_str(&format!("\nNot sent, and marked nowhere:\n  {}", refused.join("\n  ")));
    }
    match done {
        Ok(()) if refused.is_empty() => Ok(text + "\n"),
        Ok(()) => Err(Failure::Failed(text)),
        Err(Unsent::Fenced) => Err(Failure::Failed(format!("{text}\n{}", sentence(Unsent::Fenced)))),
        Err(unsent) => {
            let hint = "What was sent is marked: run it again to go on.";
            Err(Failure::Failed(format!("{text}\n{}\n{hint}", sentence(unsent))))
        }
    }
}

/// Makes sure that all marks can be read.
fn wait_for_transactions(config: &Config) -> Result<(), Failure> {
    let letters = config.dead_letter_topic();
    let mut waited = Duration::ZERO;
    while let Some(partition) = topic::open_transaction(config, &letters).map_err(Failure::Unasked)? {
        if waited >= ENDING {
            return Err(Failure::Failed(format!(
                "a transaction is open in {letters}[{partition}], and what lies behind can't be read yet, perhaps marks of what was \
                 replayed: run it again when whoever writes there has ended it"
            )));
        }
        let step = Duration::from_millis(250);
        std::thread::sleep(step);
        waited += step;
    }
    Ok(())
}

fn sentence(unsent: Unsent) -> String {
    match unsent {
        Unsent::Refused(why) | Unsent::Broken(why) => plain(&why),
        Unsent::Fenced => "Another replay for this valve has begun, or the brokers gave this one up after a minute of silence. If there \
                           is no other, run it again."
            .to_owned(),
    }
}

fn records(count: usize) -> &'static str {
    if count == 1 { "record" } else { "records" }
}

/// What became of those that weren't sent now.
fn others(survey: &Survey, choice: &Choice) -> String {
    let mut text = String::new();
    if survey.sent_before() > 0 {
        text.push_str(&format!(" {} had been sent before.", survey.sent_before()));
    }
    if survey.too_often() > 0 {
        let most = choice.max_attempts;
        let alone = survey.too_often();
        text.push_str(&format!(
            " {alone} were left alone: dead-lettered more than {most} times (--max-attempts)."
        ));
    }
    if survey.unread() > 0 {
        text.push_str(&format!(" {} are of topics that this valve doesn't read.", survey.unread()));
    }
    if survey.unreadable() > 0 {
        text.push_str(&format!(" {} messages are no dead letters of this version.", survey.unreadable()));
    }
    text
}
