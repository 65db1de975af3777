//! What a person who looks closer wants to know of the lanes: why a partition isn't read from, which hours are open,
//! which files were stored last. Everything here is of bounded size, whatever there is of hours and files.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::status::Membership;
use crate::core::layout::Hour;
use crate::core::view::{Durable, WaitsFor};
use crate::types::{TopicPartition, UnixMillis};

/// How many files are remembered.
pub const LAST_FILES: usize = 50;

/// How many hours of topics a lane tells of.
pub const OPEN_HOURS: usize = 200;

/// What one lane reported last.
#[derive(Clone, Debug, Default)]
pub struct LaneReport {
    /// Where it stands in the group.
    pub membership: Membership,
    /// How far each partition is durable, of those whose committed offset is known.
    pub partitions: Vec<Durable>,
    /// The partitions that are held, with the reason.
    pub holds: BTreeMap<TopicPartition, String>,
    /// The partitions that aren't read from. There may be some whose committed offset isn't known.
    pub waits: BTreeMap<TopicPartition, WaitsFor>,
    /// What is being filled.
    pub open: OpenHours,
}

/// Files, their rows and what they hold in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenFiles {
    /// How many files.
    pub files: u64,
    /// Their rows so far.
    pub rows: u64,
    /// What they take in memory, in bytes.
    pub bytes: u64,
}

impl OpenFiles {
    /// Adds these.
    pub fn add(&mut self, other: Self) {
        self.files += other.files;
        self.rows += other.rows;
        self.bytes += other.bytes;
    }
}

/// The files that are being filled: all of them as one sum, and the latest hours by hour and topic.
#[derive(Clone, Debug, Default)]
pub struct OpenHours {
    /// All files.
    pub all: OpenFiles,
    /// The files of the latest hours, the latest first; at most [`OPEN_HOURS`] entries.
    pub latest: BTreeMap<(Reverse<Hour>, Arc<str>), OpenFiles>,
    /// There are earlier hours.
    pub more: bool,
}

impl OpenHours {
    /// Counts a file with so many rows that takes so many bytes.
    pub fn add(&mut self, hour: Hour, topic: &Arc<str>, rows: u64, bytes: u64) {
        let file = OpenFiles { files: 1, rows, bytes };
        self.all.add(file);
        self.latest.entry((Reverse(hour), Arc::clone(topic))).or_default().add(file);
        // What is left out never comes back: there are as many later ones already. So the sums of those that stay are whole.
        if self.latest.len() > OPEN_HOURS {
            self.latest.pop_last();
            self.more = true;
        }
    }
}

/// A file that was stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// Its key.
    pub key: String,
    /// Its rows.
    pub rows: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was acknowledged.
    pub at: UnixMillis,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn given_any_files_then_the_sum_is_of_all_and_each_of_the_latest_hours_is_whole(
            files in prop::collection::vec((0..600_i64, any::<bool>()), 0..1_500),
        ) {
            let topics: [Arc<str>; 2] = ["clicks".into(), "orders".into()];
            let mut open = OpenHours::default();
            let mut expected = BTreeMap::<_, u64>::new();
            for (hour, topic) in &files {
                let topic = &topics[usize::from(*topic)];
                open.add(Hour(*hour), topic, 10, 100);
                *expected.entry((Reverse(Hour(*hour)), Arc::clone(topic))).or_default() += 1;
            }
            let count = files.len() as u64;
            prop_assert_eq!(open.all, OpenFiles { files: count, rows: 10 * count, bytes: 100 * count });
            prop_assert_eq!(open.more, expected.len() > OPEN_HOURS);
            let shown: Vec<_> = open.latest.iter().map(|(of, sum)| (of.clone(), sum.files)).collect();
            prop_assert_eq!(shown, expected.into_iter().take(OPEN_HOURS).collect::<Vec<_>>());
        }
    }
}
