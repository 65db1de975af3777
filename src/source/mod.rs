//! Kafka: the only place, with the dead-letter producer, that names its client.
//!
//! - `configs`: what brokers and topics are configured with.
//! - `consumer`: one lane's membership in the group: events, records, commits.
//! - `embedded`: a broker inside this process, for the demo.
//! - `offsets`: what blocks (committed offsets, watermarks, topics), on a thread of its own.
//! - `outsider`: commits of a process that is no member of the group.
//! - `properties`: what consumers are configured with, and the memory that takes.
//! - `range`: one range of one partition, read outside of the group.
//! - `topic`: a whole topic, read once.
//! - `raw`: the only unsafe code of the crate.

pub mod client;
pub(crate) mod configs;
pub(crate) mod consumer;
mod context;
pub(crate) mod embedded;
pub(crate) mod news;
pub(crate) mod offsets;
pub(crate) mod outsider;
pub(crate) mod properties;
pub(crate) mod range;
mod raw;
mod tokens;
pub(crate) mod topic;

use rdkafka::error::{KafkaError, RDKafkaErrorCode};

pub(crate) use self::raw::describe::{DescribedTopic, Operation, Rights};
pub(crate) use self::raw::take::{Record, TopicHandle};

/// What the Kafka client refused or couldn't do, in its own words.
#[derive(Debug, thiserror::Error)]
#[error("{}", client::reason(.0))]
pub(crate) struct SourceError(KafkaError);

impl From<KafkaError> for SourceError {
    fn from(error: KafkaError) -> Self {
        Self(error)
    }
}

/// An error that came in the place of a partition's records.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PartitionError(RDKafkaErrorCode);

impl PartitionError {
    /// Whether the records at the position are gone.
    pub(crate) fn is_out_of_range(self) -> bool {
        matches!(self.0, RDKafkaErrorCode::AutoOffsetReset | RDKafkaErrorCode::OffsetOutOfRange)
    }
}

impl std::fmt::Display for PartitionError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
