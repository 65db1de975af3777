//! What a lane shows of its partitions to who looks.

use crate::types::{Offset, TopicPartition, UnixMillis};

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

/// Why a partition isn't read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitsFor {
    /// It is being found out, or committed, where it begins.
    Start,
    /// A batch that an earlier owner promised is made first.
    Takeover,
    /// The registry is asked for a schema.
    Schema,
    /// Too many records of its topic are bad.
    DeadLetterLimit,
    /// There is no memory.
    Memory,
    /// Other partitions fill their batches first.
    Turn,
    /// Two sealed batches are being stored.
    Store,
    /// There is nothing at its position: it is being found out why.
    Log,
    /// It goes to another owner, or the process ends.
    Parting,
    /// It is held until a person has looked, or belongs to another owner by now.
    Owner,
}

impl WaitsFor {
    /// Its code, as in `/api/status`.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Start => "starting",
            Self::Takeover => "taking_over",
            Self::Schema => "awaits_schema",
            Self::DeadLetterLimit => "dead_letter_limit",
            Self::Memory => "awaits_memory",
            Self::Turn => "awaits_turn",
            Self::Store => "awaits_store",
            Self::Log => "astray",
            Self::Parting => "leaving",
            Self::Owner => "held",
        }
    }
}
