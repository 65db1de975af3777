//! `valve demo`: the real daemon, on surroundings that live in the same process.
//!
//! Nothing here stands in for a part of valve. The broker, the registry and the events are made up; the files are
//! real, and at the end they are read back with another library than the one that wrote them.
//!
//! - [`registry_server`]: the embedded registry; the broker is in `source`.
//! - `events`: what is generated, a function of a number; `orders` and `page_views`: its records.
//! - `generator`: produces it, no faster than the broker can keep it; `positions`: how far that got.
//! - `settings`: the daemon's settings in the demo; `run`: brings all of it together.
//! - `verify`: is every event exactly one row, or one dead letter? `letters`: the dead letters; `report`: the
//!   answer.
//! - `progress` and `summary`: what the terminal shows.

mod datum;
mod draws;
mod events;
#[cfg(test)]
mod fault_tests;
mod generator;
mod letters;
mod orders;
mod page_views;
mod positions;
pub(crate) mod progress;
pub mod registry_server;
mod report;
pub(crate) mod run;
mod settings;
pub(crate) mod summary;
mod verify;
