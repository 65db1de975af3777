//! What must hold: the invariants 1 to 5 of ARCHITECTURE.md, looked at whenever something becomes durable, and what must have come of
//! it all at the end. (Invariants 2 and 3 are checked in the store, where objects become visible; what concerns the lane's
//! manners in `process`, where it says what to do.)

use super::log::{Kind, Log, Record};
use super::offsets::Committed;
use super::world::World;
use crate::config::{OutOfRange, Start};
use crate::core::Commit;
use crate::core::intent::{Coverage, MAX_LOST_RANGES, Metadata};

impl World {
    /// Something is not as it must be.
    pub(super) fn blame(&mut self, what: String) {
        if self.trace.is_some() {
            self.note(format!("VIOLATION: {what}"));
        }
        self.fault.get_or_insert(what);
    }

    /// A commit is about to be applied.
    pub(super) fn check_commit(&mut self, partition: usize, commit: &Commit, own: &Metadata) {
        if let Some(fault) = self.commit_fault(partition, commit, own) {
            self.blame(format!("partition {partition}, commit at {}: {fault}", commit.offset));
        }
        let before = self.offsets[partition].as_ref();
        let known = before.and_then(|before| before.own.as_ref()).map_or(0, |own| own.coverage.lost.len());
        if own.coverage.lost.len() > known {
            self.seen.lost_ranges += 1;
        }
        let before = before.map_or(0, |before| before.offset);
        let shortened = self.log_of(partition, own.topic_id).is_some_and(|log| log.shortened);
        self.went_back[partition] |= shortened && commit.offset.0 < before;
    }

    fn commit_fault(&self, partition: usize, commit: &Commit, own: &Metadata) -> Option<String> {
        let log = self.log_of(partition, own.topic_id)?;
        if let Some(fault) = coverage_fault(own) {
            return Some(fault);
        }
        let before = self.offsets[partition].as_ref()?;
        let continues = match &before.own {
            Some(before) => before.topic_id == own.topic_id,
            // Another tool's offset may be of the topic that had the name before.
            None => self.logs[partition].len() == 1,
        };
        if let Some(fault) = promise_fault(before, commit, own) {
            return Some(fault);
        }
        if !continues {
            return None;
        }
        if commit.offset.0 < before.offset && !log.mutilated {
            return Some(format!("it sets {} back", before.offset));
        }
        // Invariant 1, for what was not committed before.
        let records = (before.offset..commit.offset.0).filter_map(|offset| log.ever_at(offset));
        let mut missing = records.filter(|uid| !self.is_accounted(&self.records[*uid as usize], own));
        missing
            .next()
            .map(|uid| format!("record {uid} is nowhere: {:?} (invariant 1)", self.records[uid as usize]))
    }

    /// Whether it is a row, a dead letter, or what may be skipped; that just those are skipped, the counters tell.
    fn is_durable(record: &Record) -> bool {
        record.stored > 0 || record.letters > 0 || record.kind == Kind::Null
    }

    fn is_accounted(&self, record: &Record, own: &Metadata) -> bool {
        Self::is_durable(record)
            || record.gone
            || record.hidden
            || record.offset < own.origin.0
            || is_lost(record.offset, &own.coverage)
    }

    /// After everything was healed and has run dry: every record is stored once, lag is 0, and nothing is held without
    /// a reason that the world can see.
    pub(super) fn check_end(&mut self, strictly: bool) {
        for partition in 0..self.names.len() {
            let held = self.hold_of(partition);
            if let Some((reason, excused)) = &held
                && !excused
                && (strictly || !self.disturbed[partition])
            {
                self.blame(format!("partition {partition} is held for nothing: {reason}"));
            }
            if let Some(fault) = self.end_fault(partition, held.is_some()) {
                self.blame(format!("at the end, partition {partition}: {fault}"));
            }
        }
    }

    /// Why a partition is held, and whether what is committed excuses that.
    pub(super) fn hold_of(&self, partition: usize) -> Option<(String, bool)> {
        let mut running = self.processes.iter().filter(|process| process.runs());
        let owner = running.find(|process| process.entrusted.contains(&partition))?;
        let waits = owner.remakes.iter().any(|(of, _)| *of == partition);
        let waits = waits.then(|| "it waits for a schema to make a batch again".to_owned());
        let reason = owner.holds.get(&partition).cloned().or(waits)?;
        Some((reason, self.is_excused(partition, owner.policy.start, owner.policy.out_of_range)))
    }

    fn is_excused(&self, partition: usize, start: Start, out_of_range: OutOfRange) -> bool {
        let log = self.log(partition);
        let Some(committed) = &self.offsets[partition] else {
            let mut objects = self.store.objects.values();
            let has_files =
                objects.any(|object| object.key.partition == partition && object.topic_id == log.topic_id);
            // From the files' end it goes on as from an offset.
            return has_files && (start != Start::Stored || self.disturbed[partition]);
        };
        let outside = match out_of_range {
            OutOfRange::Fail => committed.offset < log.low || committed.offset > log.high(),
            OutOfRange::Earliest => committed.offset > log.high(),
            OutOfRange::Latest => false,
        };
        let Some(own) = &committed.own else { return outside };
        let recreated = own.topic_id != Some(log.topic_id);
        match &own.intent {
            Some(intent) => {
                let gone = log.low > own.first.0 || log.high() < intent.end.0;
                recreated || gone || log.mutilated || self.spoiled[partition]
            }
            None => !recreated && (outside || own.coverage.lost.len() >= MAX_LOST_RANGES),
        }
    }

    fn end_fault(&self, partition: usize, held: bool) -> Option<String> {
        let log = self.log(partition);
        let committed = match &self.offsets[partition] {
            Some(committed) => committed,
            None if held => return None,
            None => return Some("nothing is committed".to_owned()),
        };
        let own = committed.own.as_ref()?;
        if own.topic_id != Some(log.topic_id) {
            return (!held).then(|| "the offset of a topic is committed that is gone".to_owned());
        }
        if !held && committed.offset != log.high() {
            return Some(format!("committed {} of {}", committed.offset, log.high()));
        }
        if let Some(intent) = &own.intent
            && !held
        {
            return Some(format!("the promise of [{}, {}) was not kept", own.first, intent.end));
        }
        self.record_fault(log, committed, own)
    }

    /// Every record before the committed offset is stored or accounted for, and none of a lost range is stored.
    fn record_fault(&self, log: &Log, committed: &Committed, own: &Metadata) -> Option<String> {
        let ever = log.entries.iter().flatten().map(|uid| &self.records[*uid as usize]);
        for record in ever.filter(|record| record.offset < committed.offset) {
            let lost = is_lost(record.offset, &own.coverage);
            let before = record.offset < own.origin.0 && (self.mix.begins_late || record.offset < log.low);
            if !(Self::is_durable(record) || record.gone || record.hidden || lost || before) {
                return Some(format!("never stored: {record:?}"));
            }
            if lost && record.stored > 0 {
                return Some(format!("reported lost, and stored: {record:?}"));
            }
        }
        None
    }
}

/// Invariant 4: what is promised is finished or promised again, never changed.
fn promise_fault(before: &Committed, commit: &Commit, own: &Metadata) -> Option<String> {
    let promise = before.own.as_ref()?;
    let intent = promise.intent.as_ref()?;
    let finishes = commit.offset == intent.end && own.topic_id == promise.topic_id;
    (!finishes && commit.metadata != before.text)
        .then(|| format!("[{}, {}) is promised (invariant 4)", promise.first, intent.end))
}

/// Invariant 5: the counters explain every offset since the last file.
fn coverage_fault(own: &Metadata) -> Option<String> {
    let Coverage { from, dead_letters, skipped, empty, lost, .. } = &own.coverage;
    let overlap = |(first, end): &(crate::types::Offset, crate::types::Offset)| {
        (*first).max(*from).distance_to((*end).min(own.first))
    };
    let lost: u64 = lost.iter().map(overlap).sum();
    let counted = dead_letters + skipped + empty + lost;
    (*from > own.first || from.distance_to(own.first) != counted || own.origin > *from).then(|| {
        format!("[{from}, {}) has {counted} offsets counted, origin {} (invariant 5)", own.first, own.origin)
    })
}

pub(super) fn is_lost(offset: i64, coverage: &Coverage) -> bool {
    coverage.lost.iter().any(|(first, end)| (first.0..end.0).contains(&offset))
}
