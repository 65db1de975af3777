//! Kafka: the only place, with the dead-letter producer, that names its client.

pub mod client;
