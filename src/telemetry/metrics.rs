//! Every metric that valve publishes: name, unit and description in one place, and the way to the exporter.
//!
//! No other module names a metric. All of them carry `CONSUMER_GROUP` and `ENVIRONMENT`; labels of their own are
//! bounded by the number of topics, reasons and dependencies, never by partitions or offsets.

use metrics::{Label, Unit};
use metrics_exporter_statsd::{StatsdBuilder, StatsdRecorder};

use super::statsd::{Agent, Series};

pub use super::statsd::Exporter;

/// A figure that only grows; exporters send what it grew by.
#[derive(Clone, Copy, Debug)]
pub struct Counter {
    /// Its name, as published.
    pub name: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// What it means.
    pub description: &'static str,
}

impl Counter {
    /// Adds `amount` under `labels`.
    pub fn add(&self, amount: u64, labels: &[(&'static str, &str)]) {
        metrics::counter!(self.name, owned(labels)).increment(amount);
    }
}

/// A figure that is right at the time it is set. Agents forget gauges that aren't sent, and an autoscaler needs a
/// value in every period: set them again and again, changed or not.
#[derive(Clone, Copy, Debug)]
pub struct Gauge {
    /// Its name, as published.
    pub name: &'static str,
    /// What it measures.
    pub unit: Unit,
    /// What it means.
    pub description: &'static str,
}

impl Gauge {
    /// Makes `value` the current one.
    pub fn set(&self, value: f64) {
        self.set_of(&[], value);
    }

    /// Makes `value` the current one under `labels`.
    pub fn set_of(&self, labels: &[(&'static str, &str)], value: f64) {
        metrics::gauge!(self.name, owned(labels)).set(value);
    }

    /// Makes a count the current value; counts beyond 2^53 lose their last digits, as any gauge does.
    pub fn set_count(&self, count: u64) {
        #[expect(clippy::cast_precision_loss, reason = "the facade's gauges are f64")]
        self.set(count as f64);
    }
}

fn owned(labels: &[(&'static str, &str)]) -> Vec<Label> {
    labels.iter().map(|(name, value)| Label::new(*name, (*value).to_owned())).collect()
}

const fn counter(name: &'static str, unit: Unit, description: &'static str) -> Counter {
    Counter { name, unit, description }
}

const fn gauge(name: &'static str, unit: Unit, description: &'static str) -> Gauge {
    Gauge { name, unit, description }
}

/// The catalogue: declares each metric as a constant and lists all of them.
macro_rules! catalogue {
    ($kind:ident $all:ident: $($constant:ident = $make:ident($name:literal, $unit:ident, $description:literal);)+) => {
        $(
            #[doc = $description]
            pub const $constant: $kind = $make($name, Unit::$unit, $description);
        )+
        #[doc = concat!("Every [`", stringify!($kind), "`] that valve publishes.")]
        pub const $all: &[$kind] = &[$($constant),+];
    };
}

catalogue! { Gauge GAUGES:
    MAX_OFFSET_LAG = gauge("max_offset_lag", Count,
        "Records behind: the largest of (end of the log - committed offset) over the partitions owned");
    MAX_TIME_LAG = gauge("max_time_lag", Seconds,
        "Age of the oldest record that isn't durable, by its Kafka timestamp, over the partitions owned");
    MEMORY_PERCENT = gauge("memory_percent", Percent,
        "Resident memory in per cent of the container's limit");
    OFFSET_LAG_UNKNOWN_PARTITIONS = gauge("offset_lag_unknown_partitions", Count,
        "Partitions left out of max_offset_lag because the broker hasn't told where their log ends");
    TIME_LAG_UNKNOWN_PARTITIONS = gauge("time_lag_unknown_partitions", Count,
        "Partitions left out of max_time_lag because their oldest record that isn't durable hasn't been read yet");
    WATERMARK = gauge("watermark", Seconds,
        "Up to when everything in the partitions owned is durable, by Kafka's timestamps, in seconds since 1970, by topic; \
         of a group, the smallest of all processes counts. Not sent while it isn't known");
    LAG_AGE = gauge("lag_age", Seconds,
        "Time since the broker last told the ends of all owned partitions' logs");
    BACKLOG = gauge("backlog", Count,
        "Records in the log that haven't been read yet, over all partitions owned");
    ASSIGNED_PARTITIONS = gauge("assigned_partitions", Count,
        "Partitions that this process owns");
    HELD_PARTITIONS = gauge("held_partitions", Count,
        "Owned partitions that wait for a dependency or a person");
}

catalogue! { Counter COUNTERS:
    CONSUME_ATTEMPTING = counter("consume_attempting", Count,
        "Records asked of Kafka and answered, well or not, by topic");
    CONSUME_SUCCEEDED = counter("consume_succeeded", Count,
        "Records received from Kafka, by topic");
    CONSUME_FAILED = counter("consume_failed", Count,
        "Errors received from Kafka in a record's place, by topic");
    CONSUMED_BYTES = counter("consumed_bytes", Bytes,
        "Bytes of the values received from Kafka, by topic");
    PROCESS_ATTEMPTING = counter("process_attempting", Count,
        "Records that processing began with, by topic; those of abandoned batches count again when made again");
    PROCESS_SUCCEEDED = counter("process_succeeded", Count,
        "Records that a committed batch stored as rows or skipped by policy, by topic");
    PROCESS_FAILED = counter("process_failed", Count,
        "Records that a committed batch sent to the dead-letter topic, by topic");
    DEAD_LETTERS = counter("dead_letters", Count,
        "Dead letters of committed batches, by the code of the exception");
    ROWS = counter("rows", Count, "Rows in the files of committed batches, by topic");
    FILES = counter("files", Count, "Files of committed batches, by topic");
    STORED_BYTES = counter("stored_bytes", Bytes, "Size of the files of committed batches, by topic");
    SKIPPED = counter("skipped", Count, "Messages without a value that the policy skipped, and records that were replayed for another valve, by topic");
    LOST_OFFSETS = counter("lost_offsets", Count, "Offsets that were gone before valve could read them, by topic");
    BATCHES = counter("batches", Count, "Batches sealed, by what sealed them");
    DEPENDENCY_TROUBLES = counter("dependency_troubles", Count,
        "Times that a dependency began to fail, or failed in another way, by dependency");
}

/// Why metrics cannot be published: an error of the configuration, or a second installation.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// `metrics.statsd` isn't `host:port`.
    #[error("metrics.statsd: {0:?} is not host:port with a port from 1 to 65535")]
    Address(String),
    /// The exporter could not be made.
    #[error("metrics.statsd: {0}")]
    Exporter(String),
}

/// Makes the process publish its metrics to the StatsD agent at `statsd` (`host:port`), with the dimensions
/// `CONSUMER_GROUP` and `ENVIRONMENT`; without an address nothing is published and counting costs nothing. The
/// agent need not be there yet, nor its name be known. What is pending is sent when the [`Exporter`] is dropped.
///
/// # Errors
/// When `statsd` isn't an address, or metrics are already installed in this process.
pub fn install(
    statsd: Option<&str>,
    consumer_group: &str,
    environment: &str,
) -> Result<Option<Exporter>, InstallError> {
    let Some(address) = statsd else { return Ok(None) };
    let (recorder, exporter) = export(address, consumer_group, environment)?;
    metrics::set_global_recorder(recorder).map_err(|error| InstallError::Exporter(error.to_string()))?;
    describe();
    Ok(Some(exporter))
}

/// A recorder, and the thread that sends what it is told to the agent at `address`.
fn export(
    address: &str,
    consumer_group: &str,
    environment: &str,
) -> Result<(StatsdRecorder, Exporter), InstallError> {
    let port =
        address.rsplit_once(':').filter(|(host, _)| !host.is_empty()).map(|(_, port)| port.parse::<u16>());
    if !matches!(port, Some(Ok(1..))) {
        return Err(InstallError::Address(address.to_owned()));
    }
    let series = Series::default();
    let recorder = recorder(series.clone(), consumer_group, environment)?;
    let exporter = Agent::new(address.to_owned()).start(series);
    Ok((recorder, exporter.map_err(|error| InstallError::Exporter(format!("no thread for it: {error}")))?))
}

/// A recorder that puts what it is told into `series`.
pub(super) fn recorder(
    series: Series,
    consumer_group: &str,
    environment: &str,
) -> Result<StatsdRecorder, InstallError> {
    StatsdBuilder::from("", 0)
        .with_sink(series)
        .with_default_tag("CONSUMER_GROUP", tag_value(consumer_group))
        .with_default_tag("ENVIRONMENT", tag_value(environment))
        .build(None)
        .map_err(|error| InstallError::Exporter(error.to_string()))
}

/// `text` without the characters that end a tag in StatsD's line format.
fn tag_value(text: &str) -> String {
    text.replace(|c: char| matches!(c, ',' | '|' | '#') || c.is_control(), "_")
}

/// Tells the recorder every metric's unit and description.
fn describe() {
    for gauge in GAUGES {
        metrics::describe_gauge!(gauge.name, gauge.unit, gauge.description);
    }
    for counter in COUNTERS {
        metrics::describe_counter!(counter.name, counter.unit, counter.description);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::UdpSocket;
    use std::time::Duration;

    use super::*;

    #[test]
    fn given_the_catalogue_then_every_name_is_unique() {
        let names: BTreeSet<_> = GAUGES
            .iter()
            .map(|gauge| gauge.name)
            .chain(COUNTERS.iter().map(|counter| counter.name))
            .collect();
        assert_eq!(names.len(), GAUGES.len() + COUNTERS.len());
    }

    #[test]
    fn given_no_port_then_the_error_names_the_setting() {
        for address in ["agent", "agent:", ":8125", "agent:0", "agent:65536", "agent:x"] {
            let error = install(Some(address), "archive", "test").expect_err(address).to_string();
            assert!(error.contains("metrics.statsd") && error.contains(address), "{error}");
        }
    }

    #[test]
    fn given_no_address_then_nothing_is_installed() {
        assert!(install(None, "archive", "test").expect("no address is fine").is_none());
    }

    #[test]
    fn given_a_hostile_environment_then_a_tag_stays_a_tag() {
        let series = Series::default();
        let recorder = recorder(series.clone(), "arch|ive,x", "te\nst#").expect("a recorder");
        metrics::with_local_recorder(&recorder, || LAG_AGE.set(1.0));
        assert_eq!(series.take_lines(), ["lag_age:1|g|#CONSUMER_GROUP:arch_ive_x,ENVIRONMENT:te_st_"]);
    }

    #[test]
    fn given_an_agent_when_metrics_are_published_then_it_receives_them_with_both_dimensions() {
        let agent = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        agent.set_read_timeout(Some(Duration::from_secs(30))).expect("a timeout");
        let address = agent.local_addr().expect("an address").to_string();

        let (recorder, exporter) = export(&address, "archive", "test").expect("a recorder");
        metrics::with_local_recorder(&recorder, || {
            MAX_TIME_LAG.set(7200.5);
            CONSUME_SUCCEEDED.add(40, &[("topic", "orders")]);
            CONSUME_SUCCEEDED.add(2, &[("topic", "orders")]);
        });
        drop(exporter);

        let mut wanted = BTreeSet::from([
            "max_time_lag:7200.5|g|#CONSUMER_GROUP:archive,ENVIRONMENT:test",
            "consume_succeeded:42|c|#CONSUMER_GROUP:archive,ENVIRONMENT:test,topic:orders",
        ]);
        let mut packet = [0; 65_536];
        while !wanted.is_empty() {
            let len = agent.recv(&mut packet).expect("a packet");
            assert!(len <= 1432, "{len} bytes in a packet");
            for line in std::str::from_utf8(&packet[..len]).expect("text").lines() {
                wanted.remove(line);
            }
        }
    }
}
