//! `valve audit`: whether every offset is stored exactly once, for people or as JSON.

use std::collections::BTreeSet;
use std::future::Future;
use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde::Serialize;
use tokio::time::MissedTickBehavior;

use super::failure::{Failure, settings, unprinted};
use crate::audit::looking::MAX_HOURS;
use crate::audit::table::Table;
use crate::audit::{self, Progress, Report, Request, Verdict};
use crate::cli::AuditArgs;
use crate::config::{Config, SinkConfig, Topics};
use crate::core::layout::Hour;
use crate::demo::progress::{Grouped, LogLine};
use crate::hours::Rules;
use crate::retry::until_done;
use crate::sink;
use crate::sink::retry::Retrying;
use crate::source::offsets::Offsets;
use crate::source::offsets::group::GroupOffsets;
use crate::stored::Store;
use crate::telemetry::logging::{self, Format};
use crate::telemetry::troubles::{Dependency, Troubles};

/// What is logged: dependencies that are waited for.
const FILTER: &str = "warn";

/// How long one look at the group's offsets may take.
const TIMEOUT: Duration = Duration::from_secs(60);

/// For how long a dependency may be in trouble, without any progress, until the audit ends.
const GIVE_UP: Duration = Duration::from_secs(60);

/// How often the progress line is redrawn.
const REDRAW: Duration = Duration::from_millis(200);

/// Begins a line anew, without what stands in it.
const CLEAR: &str = "\r\x1b[2K";

/// Audits, and says by the exit code what came of it.
pub async fn audit(args: AuditArgs) -> ExitCode {
    let json = args.json;
    let report = match run(args).await {
        Ok(report) => report,
        Err(failure) => return failure.report(),
    };
    let code = exit_code(report.verdict());
    let text = if json { as_json(&report, code) } else { Table(&report).to_string() };
    match io::stdout().lock().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::from(code),
        Err(error) => unprinted(&error).map_or(ExitCode::from(code), Failure::report),
    }
}

fn exit_code(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Clean => 0,
        Verdict::Wrong => 1,
        Verdict::OnRecord => 3,
    }
}

/// The report with what it means.
#[derive(Serialize)]
struct Json<'a> {
    verdict: Verdict,
    exit_code: u8,
    #[serde(flatten)]
    report: &'a Report,
}

fn as_json(report: &Report, exit_code: u8) -> String {
    let json = Json { verdict: report.verdict(), exit_code, report };
    // Plain structs of numbers, strings and lists: there is nothing that could fail to serialise.
    let mut text = serde_json::to_string_pretty(&json).unwrap_or_default();
    text.push('\n');
    text
}

async fn run(args: AuditArgs) -> Result<Report, Failure> {
    let hours = args.from.zip(args.to);
    if let Some((from, to)) = hours.filter(|(from, to)| from >= to) {
        return Err(Failure::Usage(format!("--from {from} isn't before --to {to}")));
    }
    if let Some((from, to)) = hours.filter(|(from, to)| to.0.saturating_sub(from.0) > MAX_HOURS) {
        return Err(Failure::Usage(format!(
            "from {from} to {to} is longer than ten years, and each hour is listed on its own: audit everything, or fewer hours"
        )));
    }
    let config = settings(args.config.as_deref()).await?;
    let terminal = io::stderr().is_terminal();
    let log = move || LogLine::new(io::stderr(), terminal);
    logging::install(FILTER, Format::Human { colours: terminal }, log).map_err(Failure::usage)?;
    let offsets = Offsets::open(&config);
    let offsets = offsets.map_err(|error| Failure::Usage(format!("kafka.properties: {error}")))?;
    let troubles = Troubles::default();
    let sink = sink::open(&config.sink).await.map_err(Failure::usage)?;
    let store = Store::new(Arc::new(Retrying::new(sink, troubles.clone())), &*config.name);
    let watch = Watch::new(troubles, terminal, GIVE_UP);
    let rules = Rules { granularity: config.layout.granularity, lateness: config.hours_lateness };
    let ask = async |topics: BTreeSet<String>| ask_group(&offsets, &watch.troubles, &topics).await;

    // The group first: what is stored later than that is not yet the audit's business.
    let topics: BTreeSet<String> = args.topics.iter().cloned().collect();
    let group = watch.over(ask(topics.clone())).await?;
    watch.group_known.store(true, Ordering::Relaxed);
    let request = Request {
        prefix: prefix(&config).to_owned(),
        template: config.layout.key.clone(),
        known_topics: known_topics(&config, &group),
        topics,
        hours: hours.map(|hours| whole(rules, hours)),
        deep: args.deep,
        dense: args.dense,
    };
    let report = watch.over(audit::audit(&store, &request, &group, ask, &watch.progress)).await?;
    report.map_err(|error| Failure::Unasked(error.to_string()))
}

/// The hours `[from, to)`; under `layout.granularity = "day"` their whole days, whose files all lie in the first hour.
fn whole(rules: Rules, (from, to): (Hour, Hour)) -> (Hour, Hour) {
    let last = Hour(to.0.saturating_sub(1));
    (Hour::of(from.start(), rules.granularity), rules.end_of(last))
}

async fn ask_group(offsets: &Offsets, troubles: &Troubles, topics: &BTreeSet<String>) -> GroupOffsets {
    let ask = || offsets.group(topics.clone());
    until_done(troubles, Dependency::Kafka, "read the group's offsets", TIMEOUT, ask).await
}

fn prefix(config: &Config) -> &str {
    match &config.sink {
        SinkConfig::S3(s3) => &s3.prefix,
        SinkConfig::Local { prefix, .. } => prefix,
    }
}

fn known_topics(config: &Config, group: &GroupOffsets) -> BTreeSet<String> {
    let mut known: BTreeSet<String> =
        group.committed.keys().map(|partition| partition.topic.to_string()).collect();
    if let Topics::List(topics) = &config.topics {
        known.extend(topics.iter().cloned());
    }
    known
}

/// Shows how far the audit is, and sees to it that it ends.
struct Watch {
    /// Whether Kafka has answered.
    group_known: AtomicBool,
    progress: Progress,
    troubles: Troubles,
    terminal: bool,
    give_up: Duration,
}

impl Watch {
    fn new(troubles: Troubles, terminal: bool, give_up: Duration) -> Self {
        Self {
            group_known: AtomicBool::new(false),
            progress: Progress::default(),
            troubles,
            terminal,
            give_up,
        }
    }

    /// Waits for `work`, unless a dependency is in trouble for too long.
    async fn over<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let ended = tokio::select! {
            done = work => Ok(done),
            reason = self.until_stuck() => Err(Failure::Unasked(reason)),
        };
        if self.terminal {
            self.draw("");
        }
        ended
    }

    async fn until_stuck(&self) -> String {
        let mut ticks = tokio::time::interval(REDRAW);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut stuck = Stuck::default();
        loop {
            ticks.tick().await;
            let trouble = self.troubles.lines().into_iter().next();
            stuck.tick(self.progress.sum(), trouble.is_some());
            if self.terminal {
                self.draw(&self.line(trouble.as_deref()));
            }
            if let Some(reason) = trouble.filter(|_| stuck.time >= self.give_up) {
                return format!("given up after {:?} without progress: {reason}", self.give_up);
            }
        }
    }

    fn line(&self, trouble: Option<&str>) -> String {
        let waiting = trouble.map(|reason| format!("  waiting for {reason}")).unwrap_or_default();
        if !self.group_known.load(Ordering::Relaxed) {
            return format!("reading the group's offsets{waiting}");
        }
        let [listed, looked_at] = [&self.progress.listed, &self.progress.looked_at]
            .map(|count| Grouped(count.load(Ordering::Relaxed)));
        format!("{looked_at} of {listed} files looked at{waiting}")
    }

    /// Without wrapping: a line that wraps can't be redrawn.
    fn draw(&self, line: &str) {
        let mut out = io::stderr().lock();
        // Where standard error is closed there is nobody to show it to.
        drop(write!(out, "{CLEAR}\x1b[?7l{line}\x1b[?7h").and_then(|()| out.flush()));
    }
}

/// For how long there has been trouble and no progress.
#[derive(Debug, Default)]
struct Stuck {
    /// The progress at the last tick.
    before: u64,
    time: Duration,
}

impl Stuck {
    fn tick(&mut self, progress: u64, troubled: bool) {
        self.time = if troubled && progress == self.before { self.time + REDRAW } else { Duration::ZERO };
        self.before = progress;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::layout::Granularity;

    #[tokio::test]
    async fn given_a_dependency_that_stays_in_trouble_then_the_audit_ends_and_says_why() {
        let troubles = Troubles::default();
        let trouble = troubles.open(Dependency::Sink);
        trouble.set("list orders/: access denied".to_owned());
        let watch = Watch::new(troubles, false, REDRAW);
        let ended = watch.over(std::future::pending::<()>()).await;
        assert!(matches!(ended, Err(Failure::Unasked(reason)) if reason.contains("access denied")));
    }

    #[test]
    fn given_progress_or_no_trouble_then_it_isnt_stuck() {
        let mut stuck = Stuck::default();
        for (progress, troubled, ticks) in
            [(0, true, 1), (0, true, 2), (1, true, 0), (1, true, 1), (1, false, 0)]
        {
            stuck.tick(progress, troubled);
            assert_eq!(stuck.time, REDRAW * ticks);
        }
    }

    #[test]
    fn given_hours_then_of_days_the_whole_ones_are_audited() {
        let of = |granularity, from: &str, to: &str| {
            let rules = Rules { granularity, lateness: Duration::ZERO };
            let (from, to) = whole(rules, (from.parse().unwrap(), to.parse().unwrap()));
            format!("{from} to {to}")
        };
        let hours = ("2024-03-10T07", "2024-03-10T09");
        assert_eq!(of(Granularity::Hour, hours.0, hours.1), "2024-03-10T07 to 2024-03-10T09");
        assert_eq!(of(Granularity::Day, hours.0, hours.1), "2024-03-10T00 to 2024-03-11T00");
        let days = ("2024-03-10T00", "2024-03-12T00");
        assert_eq!(of(Granularity::Day, days.0, days.1), "2024-03-10T00 to 2024-03-12T00");
    }

    #[test]
    fn given_a_report_then_its_json_has_the_verdict_and_the_exit_code() {
        let json: serde_json::Value = serde_json::from_str(&as_json(&Report::default(), 0)).unwrap();
        assert_eq!(json["verdict"], "clean");
        assert_eq!(json["exit_code"], 0);
        assert!(json["records"].is_array());
    }
}
