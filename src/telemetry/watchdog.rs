//! Notices a lane that makes no progress although there is a backlog, says why it thinks so, and in the end asks for a
//! restart by failing `/livez`: but only when one could mend it.
//!
//! Progress is a committed or read offset that moves, of any of the lane's partitions. After `watchdog.stall` without any, the
//! lane is *stalled*: one line in the log and on `/readyz`. After a second such period in which nothing but the lane itself
//! could be to blame, it is *lost*. What waits for a dependency in trouble, or for a person, is never lost: a restart mends
//! neither. Neither is what is being stored or made again, or waits for memory that is on its way to the store: that has
//! limits of its own, behind which it is a trouble.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;

use super::detail::LaneReport;
use super::lag_task::LagReading;
use super::metrics;
use super::status::{Membership, Status};
use super::troubles::Troubles;
use crate::budget::Budget;
use crate::core::view::{Durable, WaitsFor};
use crate::types::{Offset, TopicPartition};

/// How often lanes are looked at, at most: so often is the lag measured.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// How many partitions a line names.
const NAMED: usize = 3;

/// A lane without progress.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stall {
    /// Its number.
    pub lane: usize,
    /// For how long.
    pub silent: Duration,
    /// Records that it hasn't read.
    pub backlog: u64,
    /// What its partitions, or the dependencies, wait for.
    pub reasons: Vec<String>,
    /// A restart may mend it, and nothing else will.
    pub is_lost: bool,
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lane, silent, backlog, reasons, .. } = self;
        let (seconds, reasons) = (silent.as_secs(), reasons.join("; "));
        write!(f, "lane {lane}: no progress for {seconds} s with {backlog} records to read: {reasons}")
    }
}

/// The lanes that are stalled, as they were last seen. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Stalls {
    latest: Arc<Mutex<Vec<Stall>>>,
}

impl Stalls {
    /// Each stalled lane.
    #[must_use]
    pub fn latest(&self) -> Vec<Stall> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn store(&self, stalls: Vec<Stall>) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = stalls;
    }
}

/// Where the watchdog looks, and what it tells.
#[derive(Debug)]
pub struct Watch {
    /// What the lanes report.
    pub status: Status,
    /// The lag as last measured.
    pub lag: LagReading,
    /// What is wrong with the world.
    pub troubles: Troubles,
    /// The memory budget.
    pub budget: Budget,
    /// What it finds.
    pub stalls: Stalls,
}

impl Watch {
    /// Looks again and again, for ever; a lane may make no progress for `period`.
    pub async fn run(self, period: Duration) {
        let mut watchdog = Watchdog::new(period);
        let mut ticks = tokio::time::interval(LOOK_EVERY.min(period / 4));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let (lanes, troubles) = (self.status.lane_reports(), self.troubles.lines());
            let backlogs = self.lag.latest().map(|reading| reading.lag.partitions).unwrap_or_default();
            let backlogs =
                backlogs.into_iter().filter_map(|lag| Some((lag.partition, lag.backlog?))).collect();
            let is_leaving = self.budget.leaving() > 0;
            let seen = Seen { lanes: &lanes, backlogs: &backlogs, troubles: &troubles, is_leaving };
            self.stalls.store(watchdog.look(&seen, self.status.clock().monotonic()));
        }
    }
}

/// What the watchdog sees of the process.
#[derive(Debug)]
struct Seen<'a> {
    lanes: &'a [LaneReport],
    /// The records to read of each partition, where that is known.
    backlogs: &'a BTreeMap<TopicPartition, u64>,
    /// What is wrong with the dependencies.
    troubles: &'a [String],
    /// Memory is on its way out.
    is_leaving: bool,
}

/// Remembers when each lane last made progress.
#[derive(Debug)]
struct Watchdog {
    period: Duration,
    lanes: Vec<Watched>,
}

#[derive(Debug, Default)]
struct Watched {
    /// Committed and read offset of each partition.
    positions: BTreeMap<TopicPartition, (Offset, Offset)>,
    /// When they were last seen to move, or there was nothing to do.
    moved_at: Duration,
    /// When something else could last be to blame.
    excused_at: Duration,
    told: Told,
}

/// What the log has heard of a lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    #[default]
    Nothing,
    Stalled,
    Lost,
}

impl Watchdog {
    fn new(period: Duration) -> Self {
        Self { period, lanes: Vec::new() }
    }

    /// The lanes that are stalled. What is news is logged and counted.
    fn look(&mut self, seen: &Seen<'_>, now: Duration) -> Vec<Stall> {
        self.lanes.resize_with(seen.lanes.len(), || Watched { moved_at: now, ..Watched::default() });
        let lanes = self.lanes.iter_mut().zip(seen.lanes).enumerate();
        lanes
            .filter_map(|(lane, (watched, report))| watched.look(lane, report, seen, self.period, now))
            .collect()
    }
}

impl Watched {
    fn look(
        &mut self,
        lane: usize,
        report: &LaneReport,
        seen: &Seen<'_>,
        period: Duration,
        now: Duration,
    ) -> Option<Stall> {
        let behind: Vec<_> = report
            .partitions
            .iter()
            .filter_map(|durable| Some((&durable.partition, *seen.backlogs.get(&durable.partition)?)))
            .filter(|(_, backlog)| *backlog > 0)
            .collect();
        let is_leaving = report.membership == Membership::Leaving;
        if self.has_moved(report) || behind.is_empty() || is_leaving {
            self.moved_at = now;
            self.tell(Told::Nothing, &format!("lane {lane}: it goes on"));
            return None;
        }
        let excused = behind.iter().all(|(partition, _)| is_excused(report, partition, seen.is_leaving));
        if excused || !seen.troubles.is_empty() {
            self.excused_at = now;
        }
        let silent = now.saturating_sub(self.moved_at);
        if silent < period {
            return None;
        }
        let to_blame = now.saturating_sub(self.moved_at.max(self.excused_at));
        let stall = Stall {
            lane,
            silent,
            backlog: behind.iter().map(|(_, backlog)| backlog).sum(),
            reasons: reasons(report, &behind, seen.troubles),
            is_lost: to_blame >= 2 * period,
        };
        self.tell(if stall.is_lost { Told::Lost } else { Told::Stalled }, &stall.to_string());
        Some(stall)
    }

    /// Whether any offset moved, or partitions came or went, since the last look.
    fn has_moved(&mut self, report: &LaneReport) -> bool {
        let position = |durable: &Durable| (durable.partition.clone(), (durable.committed, durable.read));
        let positions: BTreeMap<_, _> = report.partitions.iter().map(position).collect();
        let moved = positions != self.positions;
        self.positions = positions;
        moved
    }

    /// Logs what is news, and counts a lane that begins to stall.
    fn tell(&mut self, told: Told, what: &str) {
        if self.told == told {
            return;
        }
        match told {
            Told::Nothing => tracing::info!("{what}"),
            Told::Stalled if self.told == Told::Nothing => {
                tracing::warn!("{what}");
                metrics::STALLS.add(1, &[]);
            }
            Told::Stalled => tracing::info!("{what}"),
            Told::Lost => {
                tracing::error!("{what}: /livez fails from now on, so that the process is restarted");
            }
        }
        self.told = told;
    }
}

/// Whether a restart is no cure for what the partition waits for, or comes too early.
fn is_excused(report: &LaneReport, partition: &TopicPartition, memory_is_leaving: bool) -> bool {
    let waits = report.waits.get(partition);
    if waits == Some(&WaitsFor::Memory) && memory_is_leaving {
        return true;
    }
    let has_its_own_limit = matches!(
        waits,
        Some(
            WaitsFor::Store
                | WaitsFor::Takeover
                | WaitsFor::Parting
                | WaitsFor::Owner
                | WaitsFor::DeadLetterLimit
        )
    );
    has_its_own_limit || report.holds.contains_key(partition)
}

/// What the partitions with the largest backlogs wait for, and what is wrong with the dependencies.
fn reasons(report: &LaneReport, behind: &[(&TopicPartition, u64)], troubles: &[String]) -> Vec<String> {
    let mut largest = behind.to_vec();
    largest.sort_by_key(|(partition, backlog)| (std::cmp::Reverse(*backlog), *partition));
    let named = largest.iter().take(NAMED).map(|(partition, backlog)| {
        let why = match (report.holds.get(*partition), report.waits.get(*partition)) {
            (Some(reason), _) => format!("is held: {reason}"),
            (None, Some(waits)) => waiting(*waits).to_owned(),
            (None, None) => "is read, and nothing comes".to_owned(),
        };
        format!("{partition} ({backlog}) {why}")
    });
    let more = (largest.len() > NAMED).then(|| format!("{} more partitions", largest.len() - NAMED));
    named.chain(more).chain(troubles.first().cloned()).collect()
}

fn waiting(waits: WaitsFor) -> &'static str {
    match waits {
        WaitsFor::Start => "waits for where it begins",
        WaitsFor::Takeover => "waits for a promised batch that is made again",
        WaitsFor::Schema => "waits for a schema",
        WaitsFor::DeadLetterLimit => "is paused: too many of its records are bad",
        WaitsFor::Memory => "is paused for memory",
        WaitsFor::Turn => "waits for its turn",
        WaitsFor::Store => "waits for its batches to be stored and committed",
        WaitsFor::Log => "waits for why there is nothing at its position",
        WaitsFor::Parting => "goes to another owner",
        WaitsFor::Owner => "is held, or belongs to another owner",
    }
}

#[cfg(test)]
#[path = "watchdog_tests.rs"]
mod tests;
