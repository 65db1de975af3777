//! The state of the process as one JSON value, for `/api/status` and the page that shows it. docs/status.md describes every
//! field. It says nothing of what is in records, and no secret.

use std::collections::HashMap;

use chrono::{DateTime, SecondsFormat};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use super::history::{History, Sample};
use super::http::Health;
use super::lag_task::{LagReading, Reading};
use super::signs::{self, Ailments, Facts, Overview, Verdict};
use super::status::Status;
use super::troubles::Troubles;
use crate::budget::Budget;
use crate::clock::Clock;
use crate::config::Config;
use crate::core::view::WaitsFor;
use crate::memory;
use crate::types::UnixMillis;

mod lists;
mod sums;

pub use lists::{FileEntry, Hold, Lane, Listing, Open, OpenHour, Partition, Topic, Trouble};
pub use sums::{Count, LagFigures, MemoryFigures, Recent, TotalFigures};

/// How many reasons of the verdict are told: one glance has to do.
const REASONS: usize = 8;

/// Which valve this is.
#[derive(Clone, Debug)]
pub struct Identity {
    name: String,
    environment: String,
    batch_records: u64,
    started: UnixMillis,
    /// The container's limit of memory, in bytes.
    memory_limit: u64,
}

impl Identity {
    /// The valve of this configuration, which starts now.
    #[must_use]
    pub fn of(config: &Config, clock: &dyn Clock) -> Self {
        Self {
            name: config.name.clone(),
            environment: config.environment.clone(),
            batch_records: config.batch.max_records,
            started: clock.now(),
            memory_limit: memory::container_limit(),
        }
    }

    /// Some valve of this name.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) fn named(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            environment: "test".to_owned(),
            batch_records: 1_000,
            started: UnixMillis(1_795_694_400_000),
            memory_limit: 1 << 40,
        }
    }
}

/// What a snapshot is made from.
#[derive(Clone, Debug)]
pub struct Observed {
    /// Which valve it is.
    pub identity: Identity,
    /// Whether it lives and works.
    pub health: Health,
    /// What the lanes report.
    pub status: Status,
    /// What its dependencies' troubles are.
    pub troubles: Troubles,
    /// The lag as last measured.
    pub lag: LagReading,
    /// The last hour.
    pub history: History,
    /// The memory of all buffers.
    pub budget: Budget,
    /// Asks the process to end.
    pub stop: CancellationToken,
}

/// The state of the process. The fields are described in docs/status.md.
#[derive(Clone, Debug, Serialize)]
#[expect(missing_docs, reason = "docs/status.md describes the fields")]
pub struct Snapshot {
    pub name: String,
    pub environment: String,
    pub version: &'static str,
    pub started_at: String,
    pub now: String,
    pub uptime_seconds: u64,
    pub verdict: Verdict,
    pub overview: Overview,
    pub totals: TotalFigures,
    pub lag: Option<LagFigures>,
    pub memory: MemoryFigures,
    pub history: Recent,
    pub troubles: Vec<Trouble>,
    pub holds: Listing<Hold>,
    pub lanes: Vec<Lane>,
    pub partitions: Listing<Partition>,
    pub open_hours: Open,
    pub files: Vec<FileEntry>,
    pub dead_letters: Vec<Count>,
    pub batches: Vec<Count>,
    pub topics: Listing<Topic>,
}

impl Observed {
    /// The state of the process now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let Self { identity, status, .. } = self;
        let (now, totals, reports) =
            (Sample::take(status, &self.lag), status.totals(), status.lane_reports());
        let history = self.history.samples();
        let reading = self.lag.latest();
        let memory = MemoryFigures::new(now.resident, identity.memory_limit, &self.budget);
        let troubles = lists::troubles(self.troubles.reasons());
        let facts = Facts {
            now: &now,
            history: &history,
            totals: &totals,
            lag: reading.as_ref(),
            beginning: reports.iter().any(|report| report.waits.values().any(|why| *why == WaitsFor::Start)),
            troubled: &troubles.iter().map(|trouble| trouble.dependency).collect::<Vec<_>>(),
            batch_records: identity.batch_records,
            memory_percent: memory.percent,
        };
        let overview = facts.overview();
        let lags = lags(reading.as_ref());
        Snapshot {
            name: identity.name.clone(),
            environment: identity.environment.clone(),
            version: env!("CARGO_PKG_VERSION"),
            started_at: rfc3339(identity.started),
            now: rfc3339(now.at),
            uptime_seconds: u64::try_from(now.at.0 - identity.started.0).unwrap_or(0) / 1_000,
            verdict: self.verdict(&troubles, &overview),
            overview,
            lag: reading.as_ref().map(LagFigures::of),
            memory,
            history: Recent::of(&history, &now),
            troubles,
            holds: lists::holds(&reports),
            lanes: lists::lanes(&reports, &status.last_polled(), status.clock().monotonic()),
            partitions: lists::partitions(&reports, &lags),
            open_hours: lists::open_hours(&reports),
            files: lists::files(status.last_files()),
            dead_letters: sums::counts(
                totals.dead_letters.iter().map(|(reason, count)| (reason.code(), *count)),
            ),
            batches: sums::counts(totals.batches.iter().map(|(reason, count)| (*reason, *count))),
            topics: lists::topics(status.topics()),
            totals: TotalFigures::of(&totals),
        }
    }

    fn verdict(&self, troubles: &[Trouble], overview: &Overview) -> Verdict {
        let troubles = troubles.iter().map(ToString::to_string).collect();
        let (held, stalled) = (self.health.held_because(), self.health.stalled_because());
        let troubles = [self.health.dead_because(), troubles, held, stalled].concat();
        let ails = Ailments { troubles, others: self.health.outside_because() };
        let mut verdict = signs::judge(self.stop.is_cancelled(), &self.status.memberships(), ails, overview);
        let more = verdict.reasons.len().saturating_sub(REASONS);
        if more > 0 {
            verdict.reasons.truncate(REASONS);
            verdict.reasons.push(format!("and {more} more"));
        }
        verdict
    }
}

/// Each partition's lag, by partition.
type Lags<'a> = HashMap<&'a crate::types::TopicPartition, &'a super::lag::PartitionLag>;

fn lags(reading: Option<&Reading>) -> Lags<'_> {
    let partitions = reading.iter().flat_map(|reading| &reading.lag.partitions);
    partitions.map(|lag| (&lag.partition, lag)).collect()
}

/// In UTC, with milliseconds.
fn rfc3339(time: UnixMillis) -> String {
    DateTime::from_timestamp_millis(time.0).unwrap_or_default().to_rfc3339_opts(SecondsFormat::Millis, true)
}

#[cfg(test)]
pub(super) mod tests;
