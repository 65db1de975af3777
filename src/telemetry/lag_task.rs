//! Measures the lag every few seconds and publishes it, whether or not the broker answers.
//!
//! The ends of the logs are asked for off the lanes' threads. While the broker is away the last known ends stand
//! in, and `lag_age` says how old they are: the gauges never fall silent, since an autoscaler without a
//! figure does the wrong thing.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::lag::{Lag, measure};
use super::metrics;
use super::status::Status;
use super::troubles::{Dependency, Trouble, Troubles};
use crate::hours::watermark;
use crate::memory;
use crate::types::{Offset, TopicPartition, UnixMillis};

/// Who knows where logs end.
#[async_trait]
pub trait EndOffsets: fmt::Debug + Send + Sync {
    /// The end of each partition's log: the offset that its next record gets. One try; partitions that the broker
    /// says nothing of may be missing from the answer. Dropping the future abandons the question.
    ///
    /// # Errors
    /// The reason why nothing is known.
    async fn end_offsets(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<HashMap<TopicPartition, Offset>, String>;
}

/// The lag as it was last measured. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub struct LagReading {
    latest: Arc<Mutex<Option<Reading>>>,
}

/// One measurement.
#[derive(Clone, Debug, PartialEq)]
pub struct Reading {
    /// The lag.
    pub lag: Lag,
    /// How old the ends of the logs in it are.
    pub age: Duration,
}

impl LagReading {
    /// The last measurement; `None` before the first.
    #[must_use]
    pub fn latest(&self) -> Option<Reading> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn store(&self, reading: Reading) {
        *self.latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(reading);
    }
}

/// Measures and publishes lag and memory every `interval` until `stop`. A question to the broker may take that long,
/// too; one that isn't answered is a trouble with Kafka.
pub async fn run(
    status: Status,
    end_offsets: Arc<dyn EndOffsets>,
    reading: LagReading,
    interval: Duration,
    troubles: Troubles,
    stop: CancellationToken,
) {
    let limit = memory::container_limit();
    let trouble = troubles.open(Dependency::Kafka);
    let mut ends = KnownEnds { ends: HashMap::new(), complete_at: status.clock().monotonic() };
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut shown = BTreeSet::new();
    let measuring = async {
        loop {
            ticks.tick().await;
            ends.refresh(&status, &*end_offsets, interval, &trouble).await;
            let now = status.clock().now();
            let measured = ends.measure(&status);
            publish(&status, &measured, limit);
            publish_watermarks(&measured, now, &mut shown);
            reading.store(measured);
        }
    };
    tokio::select! {
        () = measuring => {}
        () = stop.cancelled() => {}
    }
}

/// Where the owned partitions' logs ended when the broker last told.
struct KnownEnds {
    ends: HashMap<TopicPartition, Offset>,
    /// When the broker last told all of them, by the monotonic clock.
    complete_at: Duration,
}

impl KnownEnds {
    /// Asks the broker. What it doesn't tell stays as it was.
    async fn refresh(
        &mut self,
        status: &Status,
        source: &dyn EndOffsets,
        timeout: Duration,
        trouble: &Trouble,
    ) {
        let partitions: Vec<_> = status.durables().into_iter().map(|durable| durable.partition).collect();
        let asked_at = status.clock().monotonic();
        let answer = if partitions.is_empty() {
            Ok(HashMap::new())
        } else {
            let answer = tokio::time::timeout(timeout, source.end_offsets(&partitions)).await;
            answer.unwrap_or_else(|_| Err(format!("no answer within {timeout:?}")))
        };
        match answer {
            Ok(told) => {
                if partitions.iter().all(|partition| told.contains_key(partition)) {
                    self.complete_at = asked_at;
                }
                let owned: HashSet<_> = partitions.iter().collect();
                self.ends.retain(|partition, _| owned.contains(partition));
                self.ends.extend(told);
                trouble.clear();
            }
            Err(reason) => trouble.set(format!("end offsets: {reason}")),
        }
    }

    /// The lag as of now, of what is owned by now.
    fn measure(&self, status: &Status) -> Reading {
        let clock = status.clock();
        Reading {
            lag: measure(&status.durables(), &self.ends, clock.now()).with_unknown(status.unbegun()),
            age: clock.monotonic().saturating_sub(self.complete_at),
        }
    }
}

/// Sets every gauge.
fn publish(status: &Status, measured: &Reading, memory_limit: u64) {
    let lag = &measured.lag;
    metrics::MAX_OFFSET_LAG.set_count(lag.max_offset_lag);
    metrics::MAX_TIME_LAG.set(lag.max_time_lag);
    metrics::OFFSET_LAG_UNKNOWN_PARTITIONS.set_count(lag.offset_lag_unknown as u64);
    metrics::TIME_LAG_UNKNOWN_PARTITIONS.set_count(lag.time_lag_unknown as u64);
    metrics::LAG_AGE.set(measured.age.as_secs_f64());
    metrics::BACKLOG.set_count(lag.backlog);
    metrics::ASSIGNED_PARTITIONS.set_count(lag.partitions.len() as u64);
    metrics::HELD_PARTITIONS.set_count(status.holds().len() as u64);
    if let Some(resident) = memory::resident() {
        metrics::MEMORY_PERCENT.set(percent(resident, memory_limit));
    }
}

/// Sets each topic's watermark, as far as it is known, from what was measured at `now` or later. Those that were `shown` and
/// aren't known any more are forgotten.
fn publish_watermarks(measured: &Reading, now: UnixMillis, shown: &mut BTreeSet<Arc<str>>) {
    let known = watermark::by_topic(&measured.lag, measured.age, now);
    for topic in std::mem::replace(shown, known.keys().cloned().collect()) {
        if !known.contains_key(&topic) {
            metrics::WATERMARK.forget(&[("topic", &topic)]);
        }
    }
    for (topic, at) in known {
        #[expect(clippy::cast_precision_loss, reason = "milliseconds of any date are below 2^53")]
        metrics::WATERMARK.set_of(&[("topic", &topic)], at.0 as f64 / 1000.0);
    }
}

#[expect(clippy::cast_precision_loss, reason = "a percentage of bytes needs no more digits")]
fn percent(part: u64, whole: u64) -> f64 {
    100.0 * part as f64 / whole.max(1) as f64
}

#[cfg(test)]
#[path = "lag_task_tests.rs"]
mod tests;
