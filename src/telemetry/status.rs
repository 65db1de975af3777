//! What the process has done and what its lanes are doing: written by the lanes once per take or commit, read by
//! the metrics, the health checks, the demo's progress line and the status page.

use std::collections::BTreeMap;

use crate::dead_letter::Reason;
use crate::types::{Offset, TopicPartition, UnixMillis};

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

/// How far one owned partition is durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Durable {
    /// The partition.
    pub partition: TopicPartition,
    /// The committed offset: everything before it is durable.
    pub committed: Offset,
    /// The offset up to which records have been read.
    pub read: Offset,
    /// The Kafka timestamp of the first record that has been read and isn't durable; `None` when there is none.
    pub oldest: Option<UnixMillis>,
}

/// Where a lane stands in its consumer group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// Not a member yet, or not any more.
    Joining,
    /// A member with this many partitions (none: it waits for some).
    Member(usize),
    /// On its way out.
    Leaving,
}
