//! What the measurements have in common: the events that are produced, and taking them back from Kafka at the least
//! possible cost.

pub mod drain;
pub mod events;
