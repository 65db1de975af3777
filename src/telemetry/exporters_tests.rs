//! All exporters are told the same, so they say the same.

use std::collections::BTreeMap;
use std::net::UdpSocket;

use super::*;
use crate::dead_letter::Reason;
use crate::telemetry::metrics::{CATALOGUE, Kind};
use crate::telemetry::status::{Committed, Status};
use crate::telemetry::test_clock::TestClock;
use crate::telemetry::troubles::{Dependency, Troubles};
use crate::telemetry::{metrics as published, prometheus};
use crate::types::UnixMillis;

/// What an exporter said, by name and labels (without the dimensions): a sum for what adds up, the last value of a gauge.
type Figures = BTreeMap<(String, BTreeMap<String, String>), f64>;

/// A process's life, in two parts: what exporters send in between must add up.
fn first_part() {
    let status = Status::new(1, Arc::new(TestClock::new(UnixMillis(0))));
    for (topic, records) in [("orders", 1_000), ("clicks", 20)] {
        status.consumed(topic, records, records * 270);
    }
    status.sealed("age");
    status.rebalanced("assigned");
    let committed = Committed {
        rows: 990,
        files: 3,
        bytes: 70_000,
        dead_letters: BTreeMap::from([(Reason::InvalidDatum, 8), (Reason::NoTimestamp, 1)]),
        skipped: 1,
    };
    status.committed("orders", &committed);
    [20_000, 25_000, 25_000].iter().for_each(|bytes| published::FILE_SIZE.record_bytes(*bytes));
    published::PUBLISH_LATENCY.record(0.75);
    published::COMMIT_LATENCY.record(0.015);
    published::MAX_OFFSET_LAG.set_count(30);
    published::MEMORY_PERCENT.set(41.5);
}

fn second_part() {
    let status = Status::new(1, Arc::new(TestClock::new(UnixMillis(0))));
    status.consumed("orders", 500, 135_000);
    status.consume_failed("orders", 2);
    status.sealed("records");
    status.lost("clicks", 12);
    let trouble = Troubles::default().open(Dependency::Sink);
    ["503", "503"].iter().for_each(|reason| trouble.set((*reason).to_owned()));
    published::COMMIT_LATENCY.record(0.25);
    published::MAX_OFFSET_LAG.set_count(0);
    published::MAX_TIME_LAG.set(0.5);
    published::HOLDS.set_count_of(&[("dependency", "sink")], 1);
    let labels = [("topic", "orders"), ("partition", "3")];
    published::PARTITION_BACKLOG.set_count_of(&labels, 12);
    published::PARTITION_OFFSET_LAG.set_count_of(&labels, 12);
    published::PARTITION_OFFSET_LAG.forget(&labels);
}

fn kind(name: &str) -> Kind {
    CATALOGUE.iter().find(|(_, entry)| entry.name == name).map_or_else(|| panic!("{name}"), |(kind, _)| *kind)
}

/// Takes one figure of one report in.
fn note(figures: &mut Figures, name: &str, mut labels: BTreeMap<String, String>, values: &[f64]) {
    for (dimension, value) in [("CONSUMER_GROUP", "archive"), ("ENVIRONMENT", "test")] {
        assert_eq!(labels.remove(dimension).as_deref(), Some(value), "{name} {labels:?}");
    }
    let mut add = |name: String, value: f64| *figures.entry((name, labels.clone())).or_default() += value;
    match kind(name) {
        Kind::Counter => add(name.to_owned(), values.iter().sum()),
        Kind::Gauge => drop(figures.insert((name.to_owned(), labels), values[0])),
        Kind::Histogram => {
            add(format!("{name} count"), values.len() as f64);
            add(format!("{name} sum"), values.iter().sum());
        }
    }
}

/// What an agent understands of StatsD's lines.
fn statsd_says(agent: &UdpSocket) -> Figures {
    let mut figures = Figures::new();
    let mut packet = [0; 65_536];
    while let Ok(len) = agent.recv(&mut packet) {
        assert!(len <= 1432, "{len} bytes in a packet");
        for line in std::str::from_utf8(&packet[..len]).expect("text").lines() {
            let (name, rest) = line.split_once(':').expect("a name");
            let [value, _kind, tags] = rest.split('|').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let tags = tags.trim_start_matches('#').split(',').filter_map(|tag| tag.split_once(':'));
            let labels = tags.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            note(&mut figures, name, labels, &[value.parse().expect("a number")]);
        }
    }
    figures
}

/// What CloudWatch takes from documents.
fn emf_says(printed: &[u8]) -> Figures {
    let mut figures = Figures::new();
    for line in std::str::from_utf8(printed).expect("text").lines() {
        let document: serde_json::Value = serde_json::from_str(line).expect("JSON");
        let directive = &document["_aws"]["CloudWatchMetrics"][0];
        let text = |value: &serde_json::Value| value.as_str().expect("text").to_owned();
        let dimensions = directive["Dimensions"][0].as_array().expect("dimensions");
        let labels: BTreeMap<_, _> =
            dimensions.iter().map(|name| (text(name), text(&document[text(name)]))).collect();
        for definition in directive["Metrics"].as_array().expect("metrics") {
            let name = text(&definition["Name"]);
            let value = &document[&name];
            let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            let values: Vec<_> = values.iter().map(|value| value.as_f64().expect("a number")).collect();
            note(&mut figures, &name, labels.clone(), &values);
        }
    }
    figures
}

/// What Prometheus reads.
fn prometheus_says(text: &str) -> Figures {
    let mut figures = Figures::new();
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.contains("_bucket{")) {
        let (series, value) = line.rsplit_once(' ').expect("a value");
        let (spelt, labels) = series.trim_end_matches('}').split_once('{').expect("labels");
        let labels = labels.split(',').filter_map(|label| label.split_once('='));
        let mut labels: BTreeMap<_, _> =
            labels.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned())).collect();
        let named = CATALOGUE.iter().find_map(|(kind, entry)| {
            let suffix = spelt.strip_prefix(&prometheus::name(*kind, entry))?;
            let wanted: &[&str] = if *kind == Kind::Histogram { &["_count", "_sum"] } else { &[""] };
            wanted.contains(&suffix).then(|| format!("{} {}", entry.name, suffix.trim_start_matches('_')))
        });
        let name = named.unwrap_or_else(|| panic!("{spelt} is in no catalogue")).trim_end().to_owned();
        assert_eq!(labels.remove("CONSUMER_GROUP").as_deref(), Some("archive"));
        assert_eq!(labels.remove("ENVIRONMENT").as_deref(), Some("test"));
        figures.insert((name, labels), value.parse().expect("a number"));
    }
    figures
}

#[test]
fn given_the_same_life_then_statsd_prometheus_and_cloudwatch_are_told_the_same_figures() {
    let receiver = UdpSocket::bind("127.0.0.1:0").expect("a free port");
    receiver.set_read_timeout(Some(Duration::from_millis(300))).expect("a timeout");
    let mut agent = Agent::new(receiver.local_addr().expect("an address").to_string());
    let dimensions = Dimensions::new("archive", "test");
    let (book, series, mut printed) = (Book::default(), Series::default(), Vec::new());
    let mut emf = Emf::new(book.clone(), dimensions.clone());
    let statsd = statsd::recorder(series.clone(), &dimensions).expect("a recorder");
    let all = FanoutBuilder::default().add_recorder(book.clone()).add_recorder(statsd).build();

    for (minute, part) in [first_part as fn(), second_part].into_iter().enumerate() {
        ::metrics::with_local_recorder(&all, part);
        agent.flush(&series);
        emf.print(UnixMillis(minute as i64 * 60_000), &mut printed);
    }

    let told = prometheus_says(&prometheus::text(&book, &dimensions));
    assert_eq!(statsd_says(&receiver), told);
    assert_eq!(emf_says(&printed), told);
    let of = |name: &str, labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        told.get(&(name.to_owned(), labels)).copied()
    };
    // And they are right.
    assert_eq!(of("consume_succeeded", &[("topic", "orders")]), Some(1_500.0));
    assert_eq!(of("dead_letters", &[("exception", "invalid_datum")]), Some(8.0));
    assert_eq!((of("file_size count", &[]), of("file_size sum", &[])), (Some(3.0), Some(70_000.0)));
    assert_eq!((of("max_offset_lag", &[]), of("max_time_lag", &[])), (Some(0.0), Some(0.5)));
    assert_eq!(
        (of("retries", &[("dependency", "sink")]), of("commit_latency count", &[])),
        (Some(2.0), Some(2.0))
    );
    assert_eq!(of("partition_backlog", &[("topic", "orders"), ("partition", "3")]), Some(12.0));
    assert_eq!(of("partition_offset_lag", &[("topic", "orders"), ("partition", "3")]), None);
}

#[test]
fn given_no_port_then_the_error_names_the_setting() {
    for address in ["agent", "agent:", ":8125", "agent:0", "agent:65536", "agent:x"] {
        let error = checked(address).expect_err(address).to_string();
        assert!(error.contains("metrics.statsd") && error.contains(address), "{error}");
    }
}

#[test]
fn given_an_exporter_that_is_dropped_then_what_is_pending_leaves() {
    let (sent, received) = channel();
    drop(
        Exporter::start("test", Duration::from_secs(3_600), move || sent.send(()).expect("somebody listens"))
            .expect("a thread"),
    );
    assert_eq!(received.iter().count(), 1);
}
