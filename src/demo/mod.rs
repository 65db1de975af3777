//! `valve demo`: the real daemon, on surroundings that live in the same process.
//!
//! Nothing here stands in for a part of valve. The broker, the registry and the events are made up; the files are
//! real, and at the end they are read back with another library than the one that wrote them.
//!
//! - [`events`]: what is generated, a function of a number; [`orders`], [`page_views`]: its records.
//! - [`generator`]: produces it, no faster than the broker can keep it; [`positions`]: how far that got.
//! - [`verify`]: is every event exactly one row, or one dead letter? [`letters`]: the dead letters; [`report`]: the answer.
//! - [`progress`] and [`summary`]: what the terminal shows.
//! - [`configuration`]: the daemon's settings in the demo.

mod datum;
mod draws;
mod events;
mod generator;
mod letters;
mod orders;
mod page_views;
mod positions;
pub mod registry_server;
mod report;
mod verify;
