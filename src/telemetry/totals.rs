//! What the process has done since it started, as numbers that anyone can add up.

use std::collections::BTreeMap;

use super::status::Committed;
use crate::dead_letter::Reason;

/// Sums since the process started, over all lanes and topics. What belongs to batches counts when they are
/// committed: then records consumed = rows + dead letters + skipped (invariant 5).
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

    pub(super) fn add(&mut self, committed: &Committed) {
        self.rows += committed.rows;
        self.files += committed.files;
        self.stored_bytes += committed.bytes;
        self.skipped += committed.skipped;
        for (reason, count) in &committed.dead_letters {
            *self.dead_letters.entry(*reason).or_default() += count;
        }
    }
}
