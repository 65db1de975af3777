//! Valve: Avro events from Kafka, sorted by a timestamp inside each event into hourly partitions, stored as Avro
//! container files, exactly once and in bounded memory.

#[cfg(test)]
mod architecture;
pub mod audit;
pub mod avro;
pub(crate) mod batch;
pub mod budget;
mod causes;
pub(crate) mod check;
pub mod cli;
pub mod clock;
mod columns;
pub mod commands;
pub mod config;
pub mod core;
pub mod daemon;
pub mod dead_letter;
pub mod demo;
#[cfg(test)]
mod deployment;
pub(crate) mod fault_point;
#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzzing;
pub(crate) mod hours;
mod http_client;
pub(crate) mod lane;
pub mod memory;
pub mod registry;
pub(crate) mod release;
pub mod retry;
pub mod sink;
pub mod source;
pub mod stored;
pub(crate) mod takeover;
pub mod telemetry;
mod topics;
pub mod types;
mod version;
