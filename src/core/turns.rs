//! Which partitions are filled at the same time: as many as their batches fit into memory together.
//!
//! A batch that memory ends is a batch of small files. If all partitions that lag were filled at once, each batch would be
//! ended by memory: 12 partitions of 200 hours share a budget out over 2,400 files. So those that have more to read than fits
//! take turns: some are filled, as far as their batches go, while the others wait, unfetched. A partition whose log is nearly
//! read to its end never waits. But its batch, if that is large, gives way to one that would otherwise be ended by memory: no
//! record of it is known to be missing.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Now;
use super::batch::Limits;
use super::partition::Partition;
use crate::types::TopicPartition;

/// What a record is thought to take as long as nothing is known, in bytes.
const GUESS: u64 = 128;

/// A partition whose turn it is and that took nothing for so long keeps nobody else waiting.
const STALLED: Duration = Duration::from_secs(1);

/// Who had a turn goes on until it takes so much more than it should: expectations vary.
const TOLERANCE: (usize, usize) = (5, 4);

/// A batch gives way when it takes at least one in so many of the lane's share.
const LARGE: usize = 4;

/// Gives out turns.
#[derive(Debug)]
pub(super) struct Turns {
    /// What the open batches of the lane may take together, in bytes.
    share: usize,
    /// The bytes of one record, as last seen.
    per_record: u64,
    given: u64,
}

/// What a partition would take.
struct Claim<'a> {
    state: &'a mut Partition,
    /// Bytes that its open batch is expected to grow by.
    growth: usize,
}

impl Turns {
    pub(super) fn new(share: usize) -> Self {
        Self { share, per_record: GUESS, given: 0 }
    }

    /// From now on it is this much.
    pub(super) fn set_share(&mut self, share: usize) {
        self.share = share;
    }

    /// A number behind all that were given: who gets it waits for all others.
    pub(super) fn last(&mut self) -> u64 {
        self.given += 1;
        self.given
    }

    /// Decides whose turn it is. Returns whose batch should be sealed to make room.
    pub(super) fn give(
        &mut self,
        partitions: &mut BTreeMap<TopicPartition, Partition>,
        limits: &Limits,
        now: Now,
    ) -> Option<TopicPartition> {
        self.learn(partitions);
        let small = self.share / (2 * partitions.len().max(1));
        let (mut expected, mut waiting) = (0_usize, Vec::new());
        for state in partitions.values_mut() {
            expected = expected.saturating_add(state.open_memory());
            let growth = self.growth(state, limits);
            if growth <= small {
                expected = expected.saturating_add(growth);
                state.admit(true, now);
            } else if state.is_filling() {
                waiting.push(Claim { state, growth });
            }
        }
        waiting.sort_by_key(|claim| claim.state.place_in_turn());
        let (mut somebody_grows, mut crowded) = (false, false);
        for Claim { state, growth } in waiting {
            let bound = if state.is_admitted() { self.share / TOLERANCE.1 * TOLERANCE.0 } else { self.share };
            let has_room = expected.saturating_add(growth) <= bound;
            let fits = has_room || !somebody_grows;
            state.admit(fits, now);
            if fits && !state.is_stalled(STALLED, now) {
                somebody_grows = true;
                crowded |= !has_room;
                expected = expected.saturating_add(growth);
            }
        }
        let complete = partitions.iter().filter(|(_, state)| {
            state.open_memory() >= self.share / LARGE && self.growth(state, limits) == 0
        });
        let largest = complete.max_by_key(|(_, state)| state.open_memory());
        largest.filter(|_| crowded).map(|(name, _)| name.clone())
    }

    /// Remembers what a record takes, all open batches together.
    fn learn(&mut self, partitions: &BTreeMap<TopicPartition, Partition>) {
        let open = partitions.values().filter_map(Partition::open);
        let (bytes, records) =
            open.fold((0, 0), |(bytes, records), open| (bytes + open.bytes(), records + open.batch.records));
        if records > 0 {
            self.per_record = bytes.div_ceil(records).max(1);
        }
    }

    /// By how much the partition's batch, open or not yet, is expected to grow: until its log ends or a limit is reached.
    fn growth(&self, state: &Partition, limits: &Limits) -> usize {
        let open = state.open();
        let per_record = open.and_then(super::batch::OpenBatch::bytes_per_record).unwrap_or(self.per_record);
        let room = open.map_or(limits.batch.max_records, |open| open.room(limits));
        let bytes = state.backlog().min(room).saturating_mul(per_record);
        let most = limits.batch.max_bytes.saturating_sub(open.map_or(0, super::batch::OpenBatch::bytes));
        usize::try_from(bytes.min(most)).unwrap_or(usize::MAX)
    }
}
