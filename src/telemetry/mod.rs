//! What valve says about itself: metrics, lag, health, logs.
//!
//! Lanes and dependencies report to [`status`] and [`troubles`]; everything else here only reads those two. Nothing
//! here decides anything about a record, and nothing here can stop a lane.

mod book;
mod connections;
pub mod detail;
pub mod emf;
pub mod exporters;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzed;
pub mod gauges;
pub mod history;
pub mod http;
pub mod lag;
pub mod lag_task;
pub mod logging;
pub mod metrics;
pub mod page;
pub mod prometheus;
#[cfg(test)]
mod published_tests;
pub(crate) mod repeats;
pub mod signs;
pub mod snapshot;
mod statsd;
pub mod status;
#[cfg(test)]
pub(crate) mod test_clock;
pub mod totals;
pub mod troubles;
pub mod watchdog;
