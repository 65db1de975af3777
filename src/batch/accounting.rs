//! The memory of everything in a batch, by capacity: what each list and map has room for, not what is in it. Told in
//! constant time, since it is asked for after every run of records.

use std::collections::{HashMap, HashSet};

use super::{Batch, HourFile, Keep};
use crate::dead_letter::DeadLetter;
use crate::types::SchemaId;

impl Batch {
    /// The memory that it takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        let kept = match &self.keep {
            Keep::Files(files) => of_set(files),
            Keep::All | Keep::Nothing => 0,
        };
        let room_for_letters = self.dead_letters.capacity() - self.dead_letters.len();
        self.file_memory
            + self.files.capacity() * size_of::<HourFile>()
            + of_map(&self.index)
            + self.letter_memory
            + room_for_letters * size_of::<DeadLetter>()
            + self.unknown_ids.capacity() * size_of::<SchemaId>()
            + self.outcome_memory
            + kept
    }
}

/// The memory behind a map, in bytes, whatever is behind its keys and values.
fn of_map<K, V, S>(map: &HashMap<K, V, S>) -> usize {
    table(map.capacity(), size_of::<(K, V)>())
}

/// The memory behind a set, in bytes, whatever is behind its entries.
fn of_set<T, S>(set: &HashSet<T, S>) -> usize {
    table(set.capacity(), size_of::<T>())
}

/// The memory of a hash table with room for `capacity` entries. The standard library's tables have a power of two of
/// places, at least 4, of which at most seven eighths are filled (small ones: all but one), a control byte for each, and
/// one more group of those, at the alignment of a group.
fn table(capacity: usize, entry: usize) -> usize {
    const GROUP: usize = 16;
    if capacity == 0 {
        return 0;
    }
    let places = if capacity < 8 { capacity + 1 } else { capacity / 7 * 8 };
    (places * entry).next_multiple_of(GROUP) + places + GROUP
}

#[cfg(test)]
#[path = "accounting_tests.rs"]
mod tests;
