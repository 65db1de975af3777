//! What can never be stored, kept so that it can be looked at and replayed.

use bytes::Bytes;

use crate::types::{Offset, SchemaId, TopicPartition, UnixMillis};

/// What a dead-letter topic's name begins with; the valve's name follows.
pub const TOPIC_PREFIX: &str = "_dead_letter_queue_";

/// Why a record can never be stored: one stable code each, the same in metrics, messages and docs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Shorter than five bytes, or its first byte isn't 0.
    WireHeader,
    /// The registry insists that it doesn't know the schema id.
    UnknownSchema,
    /// The registry's schema is none that valve can store records of.
    UnusableSchema,
    /// The datum doesn't match its schema.
    InvalidDatum,
    /// No timestamp of the configured list is usable.
    NoTimestamp,
    /// The value is larger than `batch.max_record_bytes`.
    TooLarge,
    /// The message has no value, and `nulls` is `deadletter`.
    NullValue,
}

impl Reason {
    /// The stable code.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::WireHeader => "wire_header",
            Self::UnknownSchema => "unknown_schema",
            Self::UnusableSchema => "unusable_schema",
            Self::InvalidDatum => "invalid_datum",
            Self::NoTimestamp => "no_timestamp",
            Self::TooLarge => "too_large",
            Self::NullValue => "null_value",
        }
    }
}

/// One record that can never be stored, as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// The partition it came from.
    pub source: TopicPartition,
    /// Its offset there.
    pub offset: Offset,
    /// Its Kafka timestamp, if it has one.
    pub timestamp: Option<UnixMillis>,
    /// Its key.
    pub key: Option<Bytes>,
    /// Its headers, in order.
    pub headers: Vec<(String, Option<Bytes>)>,
    /// Its value; `None` for a message without one.
    pub value: Option<Bytes>,
    /// The schema id of its wire header, if it has one.
    pub schema_id: Option<SchemaId>,
    /// The code of what is wrong.
    pub reason: Reason,
    /// What is wrong, in a sentence with its details.
    pub exception: String,
}

impl DeadLetter {
    /// The memory that it takes, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|(name, value)| name.capacity() + value.as_ref().map_or(0, Bytes::len) + 56).sum();
        size_of::<Self>()
            + self.key.as_ref().map_or(0, Bytes::len)
            + self.value.as_ref().map_or(0, Bytes::len)
            + self.exception.capacity()
            + headers
    }
}
