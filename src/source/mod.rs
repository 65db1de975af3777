//! Kafka: the only place, with the dead-letter producer, that names its client.
//!
//! - [`consumer`]: one lane's membership in the group: events, records, commits.
//! - [`embedded`]: a broker inside this process, for the demo.
//! - [`offsets`]: what blocks (committed offsets, watermarks, topics), on a thread of its own.
//! - [`raw`]: the only unsafe code of the crate.

pub mod client;
pub(crate) mod consumer;
mod context;
pub(crate) mod embedded;
pub(crate) mod offsets;
mod raw;

pub(crate) use self::raw::take::{Record, TopicHandle};
