//! Valve: Avro events from Kafka, sorted by a timestamp inside each event into hourly partitions, stored as Avro
//! container files, exactly once and in bounded memory.

pub mod avro;
pub mod budget;
pub mod clock;
pub mod config;
pub mod core;
pub mod dead_letter;
pub mod demo;
pub mod memory;
pub mod registry;
pub mod retry;
pub mod sink;
pub mod source;
pub mod telemetry;
pub mod types;
