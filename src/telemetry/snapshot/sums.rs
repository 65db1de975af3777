//! The figures of a [`Snapshot`](super::Snapshot). docs/status.md describes the fields.
#![expect(missing_docs, reason = "docs/status.md describes the fields")]

use std::time::Duration;

use serde::Serialize;

use crate::budget::Budget;
use crate::telemetry::history::{INTERVAL, Sample};
use crate::telemetry::lag_task::Reading;
use crate::telemetry::totals::Totals;

/// The sums since the start.
#[derive(Clone, Debug, Serialize)]
pub struct TotalFigures {
    pub consumed: u64,
    pub consumed_bytes: u64,
    pub consume_failed: u64,
    pub rows: u64,
    pub files: u64,
    pub stored_bytes: u64,
    pub dead_lettered: u64,
    pub skipped: u64,
    pub lost: u64,
    pub unsettled: u64,
}

impl TotalFigures {
    pub(super) fn of(totals: &Totals) -> Self {
        Self {
            consumed: totals.consumed,
            consumed_bytes: totals.consumed_bytes,
            consume_failed: totals.consume_failed,
            rows: totals.rows,
            files: totals.files,
            stored_bytes: totals.stored_bytes,
            dead_lettered: totals.dead_lettered(),
            skipped: totals.skipped,
            lost: totals.lost,
            unsettled: totals.unsettled(),
        }
    }
}

/// The lag of the process.
#[derive(Clone, Debug, Serialize)]
pub struct LagFigures {
    pub max_offset_lag: u64,
    pub max_time_lag_seconds: f64,
    pub offset_lag_unknown: usize,
    pub time_lag_unknown: usize,
    pub backlog: u64,
    pub age_seconds: f64,
}

impl LagFigures {
    pub(super) fn of(reading: &Reading) -> Self {
        let lag = &reading.lag;
        Self {
            max_offset_lag: lag.max_offset_lag,
            max_time_lag_seconds: lag.max_time_lag,
            offset_lag_unknown: lag.offset_lag_unknown,
            time_lag_unknown: lag.time_lag_unknown,
            backlog: lag.backlog,
            age_seconds: seconds(reading.age),
        }
    }
}

/// The memory of the process.
#[derive(Clone, Debug, Serialize)]
pub struct MemoryFigures {
    pub resident_bytes: Option<u64>,
    pub limit_bytes: u64,
    pub percent: Option<f64>,
    pub budget_bytes: usize,
    pub budget_used_bytes: usize,
    pub budget_leaving_bytes: usize,
}

impl MemoryFigures {
    pub(super) fn new(resident: Option<u64>, limit: u64, budget: &Budget) -> Self {
        Self {
            resident_bytes: resident,
            limit_bytes: limit,
            percent: resident.map(|resident| percent(resident, limit)),
            budget_bytes: budget.limit(),
            budget_used_bytes: budget.used(),
            budget_leaving_bytes: budget.leaving(),
        }
    }
}

/// In seconds, to the millisecond.
pub(super) fn seconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000.0).round() / 1_000.0
}

/// With one digit behind the point.
#[expect(clippy::cast_precision_loss, reason = "a percentage of bytes needs no more digits")]
fn percent(part: u64, whole: u64) -> f64 {
    (1_000.0 * part as f64 / whole.max(1) as f64).round() / 10.0
}

/// The last hour, by columns: each has an entry for each sample, the oldest first.
#[derive(Clone, Debug, Serialize)]
pub struct Recent {
    pub interval_seconds: u64,
    pub age_seconds: Vec<f64>,
    pub consumed: Vec<u64>,
    pub rows: Vec<u64>,
    pub dead_lettered: Vec<u64>,
    pub offset_lag: Vec<Option<u64>>,
    pub time_lag_seconds: Vec<Option<f64>>,
    pub resident_bytes: Vec<Option<u64>>,
}

impl Recent {
    /// These samples and the one of now.
    pub(super) fn of(samples: &[Sample], now: &Sample) -> Self {
        let all = || samples.iter().chain([now]);
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of any date are below 2^53")]
        let age = |sample: &Sample| now.at.0.saturating_sub(sample.at.0) as f64 / 1_000.0;
        Self {
            interval_seconds: INTERVAL.as_secs(),
            age_seconds: all().map(age).collect(),
            consumed: all().map(|sample| sample.consumed).collect(),
            rows: all().map(|sample| sample.rows).collect(),
            dead_lettered: all().map(|sample| sample.dead_lettered).collect(),
            offset_lag: all().map(|sample| sample.offset_lag).collect(),
            time_lag_seconds: all().map(|sample| sample.time_lag).collect(),
            resident_bytes: all().map(|sample| sample.resident).collect(),
        }
    }
}

/// How often something happened for a reason.
#[derive(Clone, Debug, Serialize)]
pub struct Count {
    pub reason: &'static str,
    pub count: u64,
}

/// The most frequent first.
pub(super) fn counts(counts: impl Iterator<Item = (&'static str, u64)>) -> Vec<Count> {
    let mut counts: Vec<_> = counts.map(|(reason, count)| Count { reason, count }).collect();
    counts.sort_by_key(|entry| std::cmp::Reverse(entry.count));
    counts
}
