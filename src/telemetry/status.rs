//! What the process has done and what its lanes are doing: written by the lanes once per take or commit, read by
//! the metrics, the health checks, the demo's progress line and the status page.
//!
//! Each lane writes to a place of its own and all of them to one set of totals, under locks that are held for as
//! long as it takes to copy a few numbers, and never while anything waits. Nothing is written per record.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::detail::{LAST_FILES, LaneReport, OpenHours, StoredFile};
use super::metrics;
use super::totals::{Sums, TopicTotals, Totals};
use crate::clock::Clock;
use crate::core::view::{Durable, WaitsFor};
use crate::dead_letter::Reason;
use crate::types::TopicPartition;

/// What one committed batch consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Rows in its files.
    pub rows: u64,
    /// Its files.
    pub files: u64,
    /// The size of all its files together, in bytes.
    pub bytes: u64,
    /// Its dead letters by reason.
    pub dead_letters: BTreeMap<Reason, u64>,
    /// Messages without a value that the policy skipped.
    pub skipped: u64,
}

/// Where a lane stands in its consumer group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Membership {
    /// Not a member yet, or not any more.
    #[default]
    Joining,
    /// A member with this many partitions (none: it waits for some).
    Member(usize),
    /// On its way out.
    Leaving,
}

/// What the lanes report. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Status {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    lanes: Vec<Lane>,
    totals: Mutex<Sums>,
    /// The last files that were stored, the latest first.
    files: Mutex<VecDeque<StoredFile>>,
    clock: Arc<dyn Clock>,
}

/// No time of the monotonic clock: the lane hasn't polled yet.
const NEVER: u64 = u64::MAX;

/// What one lane reports.
#[derive(Debug)]
struct Lane {
    /// Milliseconds of the monotonic clock.
    polled: AtomicU64,
    reported: Mutex<LaneReport>,
}

impl Status {
    /// Nothing done yet, by `lanes` lanes that are all joining.
    #[must_use]
    pub fn new(lanes: usize, clock: Arc<dyn Clock>) -> Self {
        let lane = || Lane { polled: AtomicU64::new(NEVER), reported: Mutex::default() };
        let lanes = std::iter::repeat_with(lane).take(lanes).collect();
        Self { inner: Arc::new(Inner { lanes, totals: Mutex::default(), files: Mutex::default(), clock }) }
    }

    /// The place where the lane `index` reports, for the lane's own thread.
    ///
    /// # Panics
    /// When `index` isn't below the number of lanes.
    #[must_use]
    pub fn lane(&self, index: usize) -> LaneStatus {
        assert!(index < self.inner.lanes.len(), "lane {index} of {}", self.inner.lanes.len());
        LaneStatus { status: self.clone(), index }
    }

    /// Counts records received from Kafka, and the bytes of their values.
    pub fn consumed(&self, topic: &str, records: u64, bytes: u64) {
        self.sums().consumed(topic, records, bytes);
        let labels = [("topic", topic)];
        metrics::CONSUME_ATTEMPTING.add(records, &labels);
        metrics::CONSUME_SUCCEEDED.add(records, &labels);
        metrics::CONSUMED_BYTES.add(bytes, &labels);
        metrics::PROCESS_ATTEMPTING.add(records, &labels);
    }

    /// Counts errors received from Kafka in a record's place.
    pub fn consume_failed(&self, topic: &str, errors: u64) {
        self.sums().all.consume_failed += errors;
        let labels = [("topic", topic)];
        metrics::CONSUME_ATTEMPTING.add(errors, &labels);
        metrics::CONSUME_FAILED.add(errors, &labels);
    }

    /// Counts what a batch of `topic` consists of, after its commit.
    pub fn committed(&self, topic: &str, committed: &Committed) {
        self.sums().committed(topic, committed);
        let labels = [("topic", topic)];
        metrics::PROCESS_SUCCEEDED.add(committed.rows + committed.skipped, &labels);
        metrics::PROCESS_FAILED.add(committed.dead_letters.values().sum(), &labels);
        metrics::ROWS.add(committed.rows, &labels);
        metrics::FILES.add(committed.files, &labels);
        metrics::STORED_BYTES.add(committed.bytes, &labels);
        metrics::SKIPPED.add(committed.skipped, &labels);
        for (reason, count) in &committed.dead_letters {
            metrics::DEAD_LETTERS.add(*count, &[("exception", reason.code())]);
        }
    }

    /// Counts offsets that were gone (retention, truncation) before they could be read.
    pub fn lost(&self, topic: &str, offsets: u64) {
        self.sums().lost(topic, offsets);
        metrics::LOST_OFFSETS.add(offsets, &[("topic", topic)]);
    }

    /// Counts a batch by what sealed it, for example `max_age`.
    pub fn sealed(&self, reason: &'static str) {
        *self.sums().all.batches.entry(reason).or_default() += 1;
        metrics::BATCHES.add(1, &[("reason", reason)]);
    }

    /// Counts a change of a lane's partitions by the group, for example `assigned`.
    pub fn rebalanced(&self, change: &'static str) {
        metrics::REBALANCES.add(1, &[("change", change)]);
    }

    /// The sums since the start.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.sums().all.clone()
    }

    /// The sums of each topic since the start.
    #[must_use]
    pub fn topics(&self) -> BTreeMap<Arc<str>, TopicTotals> {
        self.sums().topics.clone()
    }

    /// Remembers a file that was just stored, in place of the oldest of those that are remembered.
    pub fn stored(&self, key: String, rows: u64, bytes: u64) {
        metrics::FILE_SIZE.record_bytes(bytes);
        let file = StoredFile { key, rows, bytes, at: self.inner.clock.now() };
        let mut files = self.files();
        files.truncate(LAST_FILES - 1);
        files.push_front(file);
    }

    /// The last files that were stored, at most [`LAST_FILES`], the latest first. Their batches may not be committed yet.
    #[must_use]
    pub fn last_files(&self) -> Vec<StoredFile> {
        self.files().iter().cloned().collect()
    }

    /// All that each lane reported last, in the lanes' order.
    #[must_use]
    pub fn lane_reports(&self) -> Vec<LaneReport> {
        self.inner.lanes.iter().map(|lane| lane.reported().clone()).collect()
    }

    /// How far each partition that this process owns is durable, of those whose committed offset is known.
    #[must_use]
    pub fn durables(&self) -> Vec<Durable> {
        self.inner.lanes.iter().flat_map(|lane| lane.reported().partitions.clone()).collect()
    }

    /// The partitions that this process owns and whose committed offset isn't known: where they begin is being found out, or they are
    /// held before that.
    #[must_use]
    pub fn unbegun(&self) -> Vec<TopicPartition> {
        let of_lane = |lane: &Lane| {
            let LaneReport { partitions, waits, .. } = &*lane.reported();
            let known: HashSet<_> = partitions.iter().map(|durable| &durable.partition).collect();
            waits.keys().filter(|partition| !known.contains(partition)).cloned().collect::<Vec<_>>()
        };
        self.inner.lanes.iter().flat_map(of_lane).collect()
    }

    /// Where each lane stands in the consumer group, in the lanes' order.
    #[must_use]
    pub fn memberships(&self) -> Vec<Membership> {
        self.inner.lanes.iter().map(|lane| lane.reported().membership).collect()
    }

    /// The partitions that are held, with the reason.
    #[must_use]
    pub fn holds(&self) -> BTreeMap<TopicPartition, String> {
        self.inner.lanes.iter().flat_map(|lane| lane.reported().holds.clone()).collect()
    }

    /// When each lane last polled its consumer, by [`Clock::monotonic`], in the lanes' order; before the first
    /// poll, when this was made.
    #[must_use]
    pub fn last_polled(&self) -> Vec<Option<Duration>> {
        let polled = self.inner.lanes.iter().map(|lane| lane.polled.load(Ordering::Relaxed));
        polled.map(|polled| (polled != NEVER).then(|| Duration::from_millis(polled))).collect()
    }

    /// The clock that [`Status::last_polled`] is read from.
    #[must_use]
    pub fn clock(&self) -> &dyn Clock {
        &*self.inner.clock
    }

    fn sums(&self) -> MutexGuard<'_, Sums> {
        self.inner.totals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn files(&self) -> MutexGuard<'_, VecDeque<StoredFile>> {
        self.inner.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lane {
    fn reported(&self) -> MutexGuard<'_, LaneReport> {
        self.reported.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// The place where one lane reports.
#[derive(Debug)]
pub struct LaneStatus {
    status: Status,
    index: usize,
}

impl LaneStatus {
    /// The lane has just polled its consumer.
    pub fn polled(&self) {
        let now = millis(self.status.inner.clock.monotonic());
        self.lane().polled.store(now, Ordering::Relaxed);
    }

    /// Where the lane stands in its consumer group.
    pub fn membership(&self, membership: Membership) {
        self.lane().reported().membership = membership;
    }

    /// Replaces what is known of the partitions that the lane owns: how far they are durable, of those whose committed offset is
    /// known, and what those wait for that aren't read from. A hold on a partition that doesn't wait for a person is over.
    pub fn owns(&self, partitions: Vec<Durable>, waits: BTreeMap<TopicPartition, WaitsFor>) {
        let mut reported = self.lane().reported();
        reported.holds.retain(|held, _| waits.get(held) == Some(&WaitsFor::Owner));
        (reported.partitions, reported.waits) = (partitions, waits);
    }

    /// Replaces what is known of what is open.
    pub fn open(&self, open: OpenHours) {
        self.lane().reported().open = open;
    }

    /// Holds `partition` for a reason, or with `None` no longer. Each change is logged once.
    pub fn hold(&self, partition: &TopicPartition, reason: Option<String>) {
        let mut reported = self.lane().reported();
        let before = match &reason {
            Some(reason) => reported.holds.insert(partition.clone(), reason.clone()),
            None => reported.holds.remove(partition),
        };
        drop(reported);
        match reason {
            Some(reason) if before.as_ref() != Some(&reason) => {
                tracing::warn!(%partition, %reason, "holding a partition");
            }
            None if before.is_some() => tracing::info!(%partition, "no longer holding a partition"),
            _ => {}
        }
    }

    fn lane(&self) -> &Lane {
        &self.status.inner.lanes[self.index]
    }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
