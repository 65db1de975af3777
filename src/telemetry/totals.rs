//! What the process has done since it started, as numbers that anyone can add up.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::status::Committed;
use crate::dead_letter::Reason;

/// Sums since the process started, over all lanes and topics. What belongs to batches counts when they are
/// committed: then records consumed = rows + dead letters + skipped (ARCHITECTURE.md, invariant 5).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Records received from Kafka, whether their batch is committed or not.
    pub consumed: u64,
    /// Bytes of their values.
    pub consumed_bytes: u64,
    /// Errors received from Kafka in a record's place.
    pub consume_failed: u64,
    /// Rows in files.
    pub rows: u64,
    /// Files.
    pub files: u64,
    /// The size of all files together, in bytes.
    pub stored_bytes: u64,
    /// Dead letters by reason.
    pub dead_letters: BTreeMap<Reason, u64>,
    /// Messages without a value that the policy skipped.
    pub skipped: u64,
    /// Offsets that were gone before they could be read.
    pub lost: u64,
    /// Batches sealed, by what sealed them.
    pub batches: BTreeMap<&'static str, u64>,
}

impl Totals {
    /// Dead letters of all reasons.
    #[must_use]
    pub fn dead_lettered(&self) -> u64 {
        self.dead_letters.values().sum()
    }

    /// Records that are rows, dead letters or skipped, in a committed batch.
    #[must_use]
    pub fn settled(&self) -> u64 {
        self.rows + self.dead_lettered() + self.skipped
    }

    /// Records consumed that aren't settled: in open batches, or in batches abandoned to another owner. 0 after a
    /// run in which every batch was committed.
    #[must_use]
    pub fn unsettled(&self) -> u64 {
        self.consumed.saturating_sub(self.settled())
    }

    fn add(&mut self, committed: &Committed) {
        self.rows += committed.rows;
        self.files += committed.files;
        self.stored_bytes += committed.bytes;
        self.skipped += committed.skipped;
        for (reason, count) in &committed.dead_letters {
            *self.dead_letters.entry(*reason).or_default() += count;
        }
    }
}

/// The part of one topic in [`Totals`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TopicTotals {
    /// Records received from Kafka.
    pub consumed: u64,
    /// Rows in files.
    pub rows: u64,
    /// Files.
    pub files: u64,
    /// The size of its files, in bytes.
    pub stored_bytes: u64,
    /// Dead letters of all reasons.
    pub dead_lettered: u64,
    /// Messages without a value that the policy skipped.
    pub skipped: u64,
    /// Offsets that were gone before they could be read.
    pub lost: u64,
}

impl TopicTotals {
    fn add(&mut self, committed: &Committed) {
        self.rows += committed.rows;
        self.files += committed.files;
        self.stored_bytes += committed.bytes;
        self.dead_lettered += committed.dead_letters.values().sum::<u64>();
        self.skipped += committed.skipped;
    }
}

/// The sums of the process, and how they are made up of topics.
#[derive(Debug, Default)]
pub(super) struct Sums {
    pub(super) all: Totals,
    pub(super) topics: BTreeMap<Arc<str>, TopicTotals>,
}

impl Sums {
    pub(super) fn consumed(&mut self, topic: &str, records: u64, bytes: u64) {
        self.all.consumed += records;
        self.all.consumed_bytes += bytes;
        self.change(topic, |totals| totals.consumed += records);
    }

    pub(super) fn committed(&mut self, topic: &str, committed: &Committed) {
        self.all.add(committed);
        self.change(topic, |totals| totals.add(committed));
    }

    pub(super) fn lost(&mut self, topic: &str, offsets: u64) {
        self.all.lost += offsets;
        self.change(topic, |totals| totals.lost += offsets);
    }

    /// Changes one topic's sums. Only the first time allocates.
    fn change(&mut self, topic: &str, change: impl FnOnce(&mut TopicTotals)) {
        if let Some(totals) = self.topics.get_mut(topic) {
            change(totals);
        } else {
            change(self.topics.entry(topic.into()).or_default());
        }
    }
}
