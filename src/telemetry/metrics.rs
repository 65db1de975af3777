//! Every metric that valve publishes: name, unit, labels and meaning in one place.
//!
//! No other module names a metric. All of them carry `CONSUMER_GROUP` and `ENVIRONMENT`, which the exporters add
//! ([`super::exporters`]). Labels of their own are bounded by the number of topics, reasons and dependencies; those of a
//! partition are published only when `metrics.per_partition` asks for them.
//!
//! `docs/metrics.md` is made from this list, and the dashboards in `docker/` are checked against it.

use metrics::{Label, Unit};

/// The labels of one figure: names as the catalogue has them, in its order, with their values.
pub type Labels<'a> = [(&'static str, &'a str)];

/// What one metric is called, what it measures and what it means.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    /// Its name. Exporters spell it as their format wants it.
    pub name: &'static str,
    /// What it counts or measures.
    pub unit: Unit,
    /// The names of the labels that it has of its own.
    pub labels: &'static [&'static str],
    /// What it means.
    pub description: &'static str,
}

/// How a metric behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A [`Counter`].
    Counter,
    /// A [`Gauge`].
    Gauge,
    /// A [`Histogram`].
    Histogram,
}

/// A figure that only grows.
#[derive(Clone, Copy, Debug)]
pub struct Counter(Entry);

impl Counter {
    /// Adds `amount` under `labels`.
    pub fn add(&self, amount: u64, labels: &Labels<'_>) {
        metrics::counter!(self.0.name, self.0.owned(labels)).increment(amount);
    }
}

/// A figure that is right at the time it is set. Agents forget gauges that aren't sent, and an autoscaler needs a
/// value in every period: set them again and again, changed or not.
#[derive(Clone, Copy, Debug)]
pub struct Gauge(Entry);

impl Gauge {
    /// Makes `value` the current one.
    pub fn set(&self, value: f64) {
        self.set_of(&[], value);
    }

    /// Makes a count the current value; counts beyond 2^53 lose their last digits, as any gauge does.
    pub fn set_count(&self, count: u64) {
        self.set_count_of(&[], count);
    }

    /// Makes `value` the current one under `labels`.
    pub fn set_of(&self, labels: &Labels<'_>, value: f64) {
        metrics::gauge!(self.0.name, self.0.owned(labels)).set(value);
    }

    /// As [`Gauge::set_count`], under `labels`.
    pub fn set_count_of(&self, labels: &Labels<'_>, count: u64) {
        #[expect(clippy::cast_precision_loss, reason = "the facade's gauges are f64")]
        self.set_of(labels, count as f64);
    }

    /// There is no such figure any more: exporters forget the series.
    pub fn forget(&self, labels: &Labels<'_>) {
        self.set_of(labels, f64::NAN);
    }
}

/// How single measurements are spread. What is kept of them is bounded, however many there are.
#[derive(Clone, Copy, Debug)]
pub struct Histogram(Entry);

impl Histogram {
    /// Takes one measurement in.
    pub fn record(&self, value: f64) {
        metrics::histogram!(self.0.name).record(value);
    }

    /// The same for a size in bytes.
    pub fn record_bytes(&self, bytes: u64) {
        #[expect(clippy::cast_precision_loss, reason = "the facade's measurements are f64")]
        self.record(bytes as f64);
    }
}

impl Entry {
    fn owned(&self, labels: &Labels<'_>) -> Vec<Label> {
        debug_assert!(labels.iter().map(|(name, _)| name).eq(self.labels), "{}: {labels:?}", self.name);
        labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect()
    }

    /// The upper bounds of the buckets in which measurements in this unit are counted.
    pub(super) fn bounds(&self) -> &'static [f64] {
        match self.unit {
            Unit::Bytes => BYTES,
            _ => SECONDS,
        }
    }
}

/// From what a broker takes for a commit to what a large file takes on a slow line.
const SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// 1 KiB to 1 GiB, each four times the one before.
const BYTES: &[f64] = &[
    1024.0,
    4096.0,
    16_384.0,
    65_536.0,
    262_144.0,
    1_048_576.0,
    4_194_304.0,
    16_777_216.0,
    67_108_864.0,
    268_435_456.0,
    1_073_741_824.0,
];

/// The entry called `name`, if the catalogue has one.
#[must_use]
pub fn find(name: &str) -> Option<&'static Entry> {
    CATALOGUE.iter().map(|(_, entry)| entry).find(|entry| entry.name == name)
}

/// Declares each metric as a constant and lists all of them.
macro_rules! catalogue {
    ($($kind:ident $constant:ident = $name:literal, $unit:ident, [$($label:literal),*], $description:literal;)+) => {
        $(
            #[doc = $description]
            pub const $constant: $kind = $kind(Entry {
                name: $name,
                unit: Unit::$unit,
                labels: &[$($label),*],
                description: $description,
            });
        )+
        /// Every metric that valve publishes, with its kind.
        pub const CATALOGUE: &[(Kind, Entry)] = &[$((Kind::$kind, $constant.0)),+];
    };
}

catalogue! {
    Gauge MAX_OFFSET_LAG = "max_offset_lag", Count, [],
        "Records behind: the largest of (end of the log - committed offset) over the partitions owned";
    Gauge MAX_TIME_LAG = "max_time_lag", Seconds, [],
        "Age of the oldest record that isn't durable, by its Kafka timestamp, over the partitions owned";
    Gauge OFFSET_LAG_UNKNOWN_PARTITIONS = "offset_lag_unknown_partitions", Count, [],
        "Partitions left out of max_offset_lag because the broker hasn't told where their log ends, or it isn't known where \
         they begin";
    Gauge TIME_LAG_UNKNOWN_PARTITIONS = "time_lag_unknown_partitions", Count, [],
        "Partitions left out of max_time_lag because their oldest record that isn't durable hasn't been read yet, or it isn't \
         known where they begin";
    Gauge WATERMARK = "watermark", Seconds, ["topic"],
        "Up to when everything in the partitions owned is durable, by Kafka's timestamps, in seconds since 1970, by topic; \
         of a group, the smallest of all processes counts. Not there while it isn't known";
    Gauge LAG_AGE = "lag_age", Seconds, [],
        "Time since the broker last told the ends of all owned partitions' logs";
    Gauge BACKLOG = "backlog", Count, [],
        "Records in the log that haven't been read yet, over all partitions owned";
    Gauge ASSIGNED_PARTITIONS = "assigned_partitions", Count, [],
        "Partitions that this process owns";
    Gauge HELD_PARTITIONS = "held_partitions", Count, [],
        "Owned partitions that are held until a person has looked";
    Gauge HOLDS = "holds", Count, ["dependency"],
        "What waits for a dependency that fails, now, by dependency; person: partitions that are held until somebody has looked";
    Gauge MEMORY_PERCENT = "memory_percent", Percent, [],
        "Resident memory in per cent of the container's limit";
    Gauge MEMORY_RESIDENT = "memory_resident", Bytes, [],
        "Resident memory of the process";
    Gauge MEMORY_USED = "memory_used", Bytes, [],
        "What is in use of the memory budget";
    Gauge MEMORY_BUDGET = "memory_budget", Bytes, [],
        "The memory budget: what all buffers of the process may take together";
    Gauge OPEN_FILES = "open_files", Count, [],
        "Files of the batches that are being filled";
    Gauge OPEN_HOURS = "open_hours", Count, [],
        "Different hours that those files are of, at most the latest 200 of each lane";
    Gauge PARTITION_OFFSET_LAG = "partition_offset_lag", Count, ["topic", "partition"],
        "End of the log - committed offset of one partition; only with metrics.per_partition";
    Gauge PARTITION_TIME_LAG = "partition_time_lag", Seconds, ["topic", "partition"],
        "Age of the oldest record of one partition that isn't durable; only with metrics.per_partition";
    Gauge PARTITION_BACKLOG = "partition_backlog", Count, ["topic", "partition"],
        "Records of one partition that haven't been read yet; only with metrics.per_partition";
    Counter CONSUME_ATTEMPTING = "consume_attempting", Count, ["topic"],
        "Records asked of Kafka and answered, well or not, by topic";
    Counter CONSUME_SUCCEEDED = "consume_succeeded", Count, ["topic"],
        "Records received from Kafka, by topic";
    Counter CONSUME_FAILED = "consume_failed", Count, ["topic"],
        "Errors received from Kafka in a record's place, by topic";
    Counter CONSUMED_BYTES = "consumed_bytes", Bytes, ["topic"],
        "Bytes of the values received from Kafka, by topic";
    Counter PROCESS_ATTEMPTING = "process_attempting", Count, ["topic"],
        "Records that processing began with, by topic; those of abandoned batches count again when made again";
    Counter PROCESS_SUCCEEDED = "process_succeeded", Count, ["topic"],
        "Records that a committed batch stored as rows or skipped by policy, by topic";
    Counter PROCESS_FAILED = "process_failed", Count, ["topic"],
        "Records that a committed batch sent to the dead-letter topic, by topic";
    Counter DEAD_LETTERS = "dead_letters", Count, ["exception"],
        "Dead letters of committed batches, by the code of the exception";
    Counter ROWS = "rows", Count, ["topic"],
        "Rows in the files of committed batches, by topic";
    Counter FILES = "files", Count, ["topic"],
        "Files of committed batches, by topic";
    Counter STORED_BYTES = "stored_bytes", Bytes, ["topic"],
        "Size of the files of committed batches, by topic";
    Counter SKIPPED = "skipped", Count, ["topic"],
        "Messages without a value that the policy skipped, and records that were replayed for another valve, by topic";
    Counter LOST_OFFSETS = "lost_offsets", Count, ["topic"],
        "Offsets that were gone before valve could read them, by topic";
    Counter BATCHES = "batches", Count, ["reason"],
        "Batches sealed, by what sealed them";
    Counter DEPENDENCY_TROUBLES = "dependency_troubles", Count, ["dependency"],
        "Times that a dependency began to fail, or failed in another way, by dependency";
    Counter RETRIES = "retries", Count, ["dependency"],
        "Failures of a dependency that are tried again, each of them, by dependency";
    Counter REBALANCES = "rebalances", Count, ["change"],
        "Times that the group gave partitions to a lane or took some away, by what it did: assigned, revoked, lost";
    Counter STALLS = "stalls", Count, [],
        "Times that a lane had made no progress for watchdog.stall although there was a backlog";
    Histogram PUBLISH_LATENCY = "publish_latency", Seconds, [],
        "How long it took to store a batch's files and produce its dead letters";
    Histogram COMMIT_LATENCY = "commit_latency", Seconds, [],
        "How long the broker took to answer an offset commit";
    Histogram FILE_SIZE = "file_size", Bytes, [],
        "Size of a stored file";
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn given_the_catalogue_then_every_name_is_unique_and_no_label_is_called_like_a_metric() {
        let names: BTreeSet<_> = CATALOGUE.iter().map(|(_, entry)| entry.name).collect();
        assert_eq!(names.len(), CATALOGUE.len());
        for (_, entry) in CATALOGUE {
            assert!(entry.labels.iter().all(|label| !names.contains(label)), "{entry:?}");
        }
    }

    #[test]
    fn given_the_catalogue_then_bounds_rise() {
        for bounds in [SECONDS, BYTES] {
            assert!(bounds.is_sorted_by(|one, next| one < next));
        }
    }
}
