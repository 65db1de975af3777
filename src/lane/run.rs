//! A run: records of one partition that are placed between two words to the core.

use super::longest::LARGE;
use crate::batch::Batch;
use crate::batch::place::{Placed, Placer};
use crate::core::Filling;
use crate::core::batch::Run;
use crate::source::Record;
use crate::types::{Offset, SchemaId, TopicPartition};

/// The most records between two looks at the clock and two words to the core.
const RUN: u64 = 256;

/// What [`place_run`] may fill.
pub(super) struct Room {
    pub(super) filling: Filling,
    /// So many dead letters.
    pub(super) letters: u64,
}

/// What [`place_run`] did.
pub(super) struct PlacedRun<'s> {
    pub(super) run: Run,
    pub(super) bytes: u64,
    /// Dead letters among the records.
    pub(super) letters: u64,
    /// The record that couldn't be placed.
    pub(super) rest: Option<Record<'s>>,
    /// The schema that it waits for.
    pub(super) wait: Option<SchemaId>,
}

/// Whether one record alone may be all that memory has room for.
pub(super) fn is_large(record: &Record<'_>) -> bool {
    record.value_len() >= LARGE
}

/// Places `first` and what follows in `batch`: as many records as that has room for, and no more than make one run; a large one is
/// a run of its own. What was dealt with before, and was delivered once more, is passed over.
pub(super) fn place_run<'s>(
    placer: &mut Placer<'_>,
    partition: &TopicPartition,
    batch: &mut Batch,
    first: Record<'s>,
    records: &mut dyn Iterator<Item = Record<'s>>,
    Room { filling, letters }: Room,
) -> PlacedRun<'s> {
    let mut done = PlacedRun { run: Run::default(), bytes: 0, letters: 0, rest: None, wait: None };
    done.run.first_timestamp = first.timestamp();
    let letters_before = batch.dead_letter_count();
    let room = if is_large(&first) { 1 } else { filling.room.min(RUN) };
    let (mut next, mut is_first) = (Some(first), true);
    while let Some(record) = next.take() {
        let looked_at = std::mem::take(&mut is_first);
        if record.error().is_some() || is_large(&record) && !looked_at {
            done.rest = Some(record);
            break;
        }
        if record.offset() < filling.next {
            tracing::debug!(%partition, offset = %record.offset(), "delivered once more");
            next = records.next();
            continue;
        }
        match placer.place(&record, partition, batch) {
            Placed::Done => {
                done.run.records += 1;
                done.run.end = record.offset().next();
                done.bytes += record.value_len() as u64;
            }
            Placed::Wait(id) => {
                done.wait = Some(id);
                done.rest = Some(record);
                break;
            }
            Placed::Full(reason) => {
                done.run.full = Some(reason);
                done.rest = Some(record);
                break;
            }
        }
        done.letters = (batch.dead_letter_count() - letters_before) as u64;
        if done.run.records < room && done.letters < letters {
            next = records.next();
        }
    }
    let so_far = run_so_far(batch);
    done.run.files = so_far.files;
    done.run.bytes = so_far.bytes;
    done.run.memory = so_far.memory;
    done
}

pub(super) fn run_so_far(batch: &mut Batch) -> Run {
    Run {
        end: Offset(0),
        records: 0,
        first_timestamp: None,
        files: batch.files.len(),
        bytes: batch.bytes(),
        memory: batch.account(),
        full: None,
    }
}
