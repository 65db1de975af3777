//! What kind of schedule one is: how long, how troubled, by what, and under which settings.

use std::time::Duration;

use super::draw::Draw;
use crate::avro::codec::Codec;
use crate::config::{BatchLimits, OutOfRange, Start};
use crate::core::Settings;
use crate::core::batch::Limits;
use crate::core::intent::{Layout, Place};
use crate::core::layout::{Granularity, NullPolicy};
use crate::core::start::StartPolicy;

/// What can go wrong, or otherwise than yesterday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    Freeze,
    Thaw,
    Crash,
    Start,
    Expel,
    TimeOut,
    FailPut,
    Retention,
    Shorten,
    Compact,
    Recreate,
    Expire,
    Registry,
    LateKnown,
    Shutdown,
    Pressure,
    Refresh,
    Rebalance,
    Grow,
    Spoil,
}

pub(super) const TROUBLES: [Trouble; 20] = [
    Trouble::Freeze,
    Trouble::Thaw,
    Trouble::Crash,
    Trouble::Start,
    Trouble::Expel,
    Trouble::TimeOut,
    Trouble::FailPut,
    Trouble::Retention,
    Trouble::Shorten,
    Trouble::Compact,
    Trouble::Recreate,
    Trouble::Expire,
    Trouble::Registry,
    Trouble::LateKnown,
    Trouble::Shutdown,
    Trouble::Pressure,
    Trouble::Refresh,
    Trouble::Rebalance,
    Trouble::Grow,
    Trouble::Spoil,
];

/// Troubles of processes, of the network, of the log, of the rest.
const PROCESSES: [u32; 20] = [4, 4, 6, 6, 4, 1, 1, 0, 0, 0, 0, 0, 1, 1, 2, 1, 0, 4, 0, 0];
const NETWORK: [u32; 20] = [1, 1, 1, 1, 1, 6, 6, 0, 0, 0, 0, 0, 1, 1, 1, 1, 0, 4, 0, 1];
const LOG: [u32; 20] = [1, 1, 2, 2, 1, 1, 1, 5, 2, 2, 2, 3, 0, 1, 1, 0, 3, 3, 3, 1];
const SETTINGS: [u32; 20] = [0, 0, 4, 4, 0, 1, 1, 1, 0, 0, 0, 0, 2, 2, 3, 1, 0, 2, 1, 0];
const CALM: [u32; 20] = [0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 3, 0, 0];

#[derive(Clone, Debug)]
pub(super) struct Mix {
    pub(super) partitions: usize,
    pub(super) processes: usize,
    pub(super) turns: usize,
    /// One turn in so many is trouble.
    pub(super) trouble: u64,
    pub(super) weights: [u32; 20],
    /// The kind of work that is left undone most of the time, if any.
    pub(super) neglected: usize,
    /// How many records are written at once, at most.
    pub(super) burst: u64,
    /// One offset in so many has no record.
    pub(super) gaps: u64,
    /// A rebalance moves one partition in so many.
    pub(super) moves: u64,
    /// One commit in so many is applied, and its answer lost.
    pub(super) loses_answers: u64,
    /// One commit in so many is refused for now.
    pub(super) refuses: u64,
    /// One answer to where a partition begins in so many comes late.
    pub(super) dawdles: u64,
    /// Some record before the beginning is left out on purpose.
    pub(super) begins_late: bool,
    /// Another tool committed an offset before.
    pub(super) foreign: bool,
    changes_layout: bool,
    start: Option<Start>,
    out_of_range: Option<OutOfRange>,
    skewed: bool,
    layout: u64,
}

impl Mix {
    pub(super) fn draw(draw: &mut Draw) -> Self {
        let kind = draw.below(5);
        let weights = [PROCESSES, NETWORK, LOG, SETTINGS, CALM][kind];
        let foreign = draw.one_in(16);
        let latest = draw.one_in(12);
        let start = if latest {
            Some(Start::Latest)
        } else if draw.one_in(3) {
            Some(Start::Stored)
        } else {
            (!draw.one_in(4)).then_some(Start::Earliest)
        };
        let out_of_range =
            [Some(OutOfRange::Earliest), Some(OutOfRange::Latest), Some(OutOfRange::Fail), None];
        Self {
            partitions: 1 + draw.below(2),
            processes: 1 + draw.below(3),
            turns: [25, 45, 45, 90][draw.below(4)],
            trouble: [4, 7, 12, 25][draw.below(4)],
            weights,
            neglected: draw.below(26),
            burst: draw.between(1, 7),
            gaps: [0, 8, 3][draw.below(3)],
            moves: draw.between(1, 4),
            loses_answers: if kind == 1 { 8 } else { [0, 25][draw.below(2)] },
            refuses: [0, 6][draw.below(2)],
            dawdles: [0, 3][draw.below(2)],
            begins_late: foreign || latest,
            foreign,
            changes_layout: kind == 3 || draw.one_in(4),
            start,
            out_of_range: out_of_range[draw.below(4)],
            skewed: draw.one_in(3),
            layout: draw.bits(),
        }
    }

    /// What remains of a mix when the world is healed.
    pub(super) fn heal(&mut self) {
        (self.neglected, self.loses_answers, self.refuses, self.dawdles, self.moves) =
            (usize::MAX, 0, 0, 0, 0);
    }

    /// The settings of a process that starts now, and how wrong its clock is.
    pub(super) fn settings(&self, draw: &mut Draw) -> (Settings, i64) {
        let bits = if self.changes_layout { draw.bits() } else { self.layout };
        let layout = layout(bits);
        let start = self.start.unwrap_or([Start::Earliest, Start::Stored][draw.below(2)]);
        let out_of_range = self
            .out_of_range
            .unwrap_or([OutOfRange::Earliest, OutOfRange::Latest, OutOfRange::Fail][draw.below(3)]);
        let processing = (layout.timestamp[0] == "processing").then_some(layout.granularity);
        let batch = BatchLimits {
            max_records: draw.between(2, 8),
            max_bytes: draw.between(30, 100),
            max_age: Duration::from_secs(40),
            max_idle: Duration::from_secs(6),
            max_files: super::taking::MAX_FILES,
            max_record_bytes: 1 << 20,
        };
        let settings = Settings {
            limits: Limits { batch, processing },
            layout,
            start: StartPolicy { start, out_of_range, longest_topic: usize::MAX },
            grace: Duration::from_secs(10),
            shutdown_deadline: Duration::from_secs(20),
            // What some batches of a few records come to: then partitions take turns.
            share: [usize::MAX, 100, 30][draw.below(3)],
        };
        let skew = if self.skewed { draw.below(7_200_000) as i64 - 3_600_000 } else { 0 };
        (settings, skew)
    }
}

fn layout(bits: u64) -> Layout {
    let bit = |index: u64| bits >> index & 1 == 1;
    Layout {
        timestamp: vec![if bit(0) && bit(1) { "processing" } else { "kafka" }.to_owned()],
        years: (1970, 2100),
        key: String::new(),
        granularity: if bit(2) { Granularity::Day } else { Granularity::Hour },
        prefix: if bit(3) { "a" } else { "b" }.to_owned(),
        nulls: if bit(4) { NullPolicy::DeadLetter } else { NullPolicy::Skip },
        read_committed: true,
        place: Place::Local { path: String::new() },
        max_record_bytes: 1 << 20,
        codec: Codec::Null,
    }
}
