//! The last hour in samples, for the status page's charts: a ring of fixed size.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::lag_task::LagReading;
use super::status::Status;
use crate::memory;
use crate::types::UnixMillis;

/// How often a sample is taken.
pub const INTERVAL: Duration = Duration::from_secs(15);

/// How many samples are kept: those of an hour.
pub const SAMPLES: usize = 240;

/// What was the case at one moment. Counts are since the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sample {
    /// When.
    pub at: UnixMillis,
    /// Records received from Kafka.
    pub consumed: u64,
    /// Errors received in a record's place.
    pub consume_failed: u64,
    /// Rows in files of committed batches.
    pub rows: u64,
    /// Dead letters of committed batches.
    pub dead_lettered: u64,
    /// The largest known offset lag, in records; `None` before the first measurement.
    pub offset_lag: Option<u64>,
    /// The largest known time lag, in seconds; `None` before the first measurement.
    pub time_lag: Option<f64>,
    /// Resident memory in bytes, where the system says it.
    pub resident: Option<u64>,
}

impl Sample {
    /// What is the case now.
    #[must_use]
    pub fn take(status: &Status, lag: &LagReading) -> Self {
        let totals = status.totals();
        let lag = lag.latest().map(|reading| reading.lag);
        Self {
            at: status.clock().now(),
            consumed: totals.consumed,
            consume_failed: totals.consume_failed,
            rows: totals.rows,
            dead_lettered: totals.dead_lettered(),
            offset_lag: lag.as_ref().map(|lag| lag.max_offset_lag),
            time_lag: lag.as_ref().map(|lag| lag.max_time_lag),
            resident: memory::resident(),
        }
    }
}

/// The samples of the last hour. Cloning shares them.
#[derive(Clone, Debug)]
pub struct History {
    samples: Arc<Mutex<VecDeque<Sample>>>,
}

impl Default for History {
    fn default() -> Self {
        Self { samples: Arc::new(Mutex::new(VecDeque::with_capacity(SAMPLES))) }
    }
}

impl History {
    /// Adds a sample, in place of the oldest when there are [`SAMPLES`].
    pub fn add(&self, sample: Sample) {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        if samples.len() == SAMPLES {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// All samples, the oldest first.
    #[must_use]
    pub fn samples(&self) -> Vec<Sample> {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// Takes a sample every [`INTERVAL`] until `stop`.
    pub async fn keep(self, status: Status, lag: LagReading, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let sampling = async {
            loop {
                ticks.tick().await;
                self.add(Sample::take(&status, &lag));
            }
        };
        tokio::select! {
            () = sampling => {}
            () = stop.cancelled() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::test_clock::TestClock;

    fn sample(consumed: u64) -> Sample {
        let status = Status::new(0, Arc::new(TestClock::new(UnixMillis(0))));
        Sample { consumed, ..Sample::take(&status, &LagReading::default()) }
    }

    #[test]
    fn given_more_samples_than_an_hour_has_then_the_last_ones_stay_in_the_same_memory() {
        let history = History::default();
        let capacity = || history.samples.lock().unwrap().capacity();
        let before = capacity();
        (0..1_000).for_each(|count| history.add(sample(count)));
        let counts: Vec<_> = history.samples().iter().map(|sample| sample.consumed).collect();
        assert_eq!(counts, (760..1_000).collect::<Vec<_>>());
        assert_eq!(capacity(), before);
    }

    #[test]
    fn given_no_measurement_yet_then_a_sample_knows_no_lag() {
        let sample = sample(0);
        assert_eq!((sample.offset_lag, sample.time_lag), (None, None));
    }
}
