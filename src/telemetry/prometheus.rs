//! The book as Prometheus reads it: the text exposition format 0.0.4.
//!
//! Names have the prefix `valve_`, their unit behind them, and `_total` where they count. A renderer of our own, since the
//! book has everything already, in bounded memory.

use metrics::{Key, Unit};

use super::book::{Book, Reading, Spread};
use super::exporters::Dimensions;
use super::metrics::{CATALOGUE, Entry, Kind};

/// What the format is called in HTTP.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// How Prometheus spells a metric.
#[must_use]
pub fn name(kind: Kind, entry: &Entry) -> String {
    let unit = match entry.unit {
        Unit::Seconds => "_seconds",
        Unit::Bytes if !entry.name.ends_with("_bytes") => "_bytes",
        _ => "",
    };
    let total = if kind == Kind::Counter { "_total" } else { "" };
    format!("valve_{}{unit}{total}", entry.name)
}

/// Everything in the book.
pub(super) fn text(book: &Book, dimensions: &Dimensions) -> String {
    let reading = book.read();
    let mut text = String::new();
    for (kind, entry) in CATALOGUE {
        let body = lines(&reading, *kind, entry, dimensions);
        if !body.is_empty() {
            let (name, kind) = (name(*kind, entry), kind_word(*kind));
            let help = escaped(entry.description);
            text += &format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{body}");
        }
    }
    text
}

fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
        Kind::Histogram => "histogram",
    }
}

/// The samples of one metric.
fn lines(reading: &Reading, kind: Kind, entry: &Entry, dimensions: &Dimensions) -> String {
    let name = name(kind, entry);
    let mut text = String::new();
    match kind {
        Kind::Counter => of(&reading.counters, entry, |key, value| {
            line(&mut text, &name, &labels(key, dimensions), value);
        }),
        Kind::Gauge => of(&reading.gauges, entry, |key, value| {
            line(&mut text, &name, &labels(key, dimensions), value);
        }),
        Kind::Histogram => of(&reading.histograms, entry, |key, spread| {
            histogram(&mut text, &name, &labels(key, dimensions), spread);
        }),
    }
    text
}

fn of<T>(series: &[(Key, T)], entry: &Entry, mut each: impl FnMut(&Key, &T)) {
    series.iter().filter(|(key, _)| key.name() == entry.name).for_each(|(key, value)| each(key, value));
}

/// Buckets are cumulative here.
fn histogram(text: &mut String, name: &str, labels: &str, spread: &Spread) {
    let mut below = 0;
    for (bound, count) in spread.bounds.iter().zip(&spread.counts) {
        below += count;
        line(text, &format!("{name}_bucket"), &format!("{labels},le=\"{bound}\""), below);
    }
    line(text, &format!("{name}_bucket"), &format!("{labels},le=\"+Inf\""), spread.count);
    line(text, &format!("{name}_sum"), labels, spread.sum);
    line(text, &format!("{name}_count"), labels, spread.count);
}

fn line(text: &mut String, name: &str, labels: &str, value: impl std::fmt::Display) {
    *text += &format!("{name}{{{labels}}} {value}\n");
}

/// The dimensions and the series' own labels, without braces.
fn labels(key: &Key, dimensions: &Dimensions) -> String {
    let own = key.labels().map(|label| (label.key(), label.value()));
    let all = dimensions.each().into_iter().chain(own);
    all.map(|(name, value)| format!("{name}=\"{}\"", escaped(value).replace('"', "\\\"")))
        .collect::<Vec<_>>()
        .join(",")
}

fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::metrics::{COMMIT_LATENCY, CONSUMED_BYTES, FILE_SIZE, LAG_AGE, MAX_TIME_LAG, ROWS};
    use super::*;

    fn published(publish: impl FnOnce()) -> String {
        let book = Book::default();
        metrics::with_local_recorder(&book, publish);
        text(&book, &Dimensions::new("archive", "test"))
    }

    #[test]
    fn given_figures_then_each_metric_has_its_help_its_type_and_its_series_together() {
        let text = published(|| {
            ROWS.add(7, &[("topic", "orders")]);
            LAG_AGE.set(1.5);
            ROWS.add(3, &[("topic", "a\"b\\c\nd")]);
        });
        let expected = r#"# HELP valve_lag_age_seconds Time since the broker last told the ends of all owned partitions' logs
# TYPE valve_lag_age_seconds gauge
valve_lag_age_seconds{CONSUMER_GROUP="archive",ENVIRONMENT="test"} 1.5
# HELP valve_rows_total Rows in the files of committed batches, by topic
# TYPE valve_rows_total counter
valve_rows_total{CONSUMER_GROUP="archive",ENVIRONMENT="test",topic="a\"b\\c\nd"} 3
valve_rows_total{CONSUMER_GROUP="archive",ENVIRONMENT="test",topic="orders"} 7
"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn given_measurements_then_buckets_are_cumulative_and_end_with_all_of_them() {
        let text =
            published(|| [0.004, 0.02, 0.3, 9999.0].iter().for_each(|value| COMMIT_LATENCY.record(*value)));
        let buckets: Vec<u64> = text
            .lines()
            .filter_map(|line| line.strip_prefix("valve_commit_latency_seconds_bucket")?.rsplit(' ').next())
            .map(|count| count.parse().unwrap())
            .collect();
        assert!(buckets.is_sorted());
        assert_eq!((buckets[0], *buckets.last().unwrap(), buckets.len()), (1, 4, 17));
        let labels = r#"{CONSUMER_GROUP="archive",ENVIRONMENT="test"}"#;
        assert!(text.contains(&format!("valve_commit_latency_seconds_count{labels} 4\n")), "{text}");
        assert!(text.contains(&format!("valve_commit_latency_seconds_sum{labels} 9999.324\n")), "{text}");
    }

    #[test]
    fn given_a_unit_then_the_name_says_it_once() {
        let named = |name: &str| {
            let (kind, entry) = CATALOGUE.iter().find(|(_, entry)| entry.name == name).unwrap();
            super::name(*kind, entry)
        };
        assert_eq!(named("max_time_lag"), "valve_max_time_lag_seconds");
        assert_eq!(named("consumed_bytes"), "valve_consumed_bytes_total");
        assert_eq!(named("file_size"), "valve_file_size_bytes");
        assert_eq!(named("memory_percent"), "valve_memory_percent");
        let names: BTreeSet<_> = CATALOGUE.iter().map(|(kind, entry)| super::name(*kind, entry)).collect();
        assert_eq!(names.len(), CATALOGUE.len());
    }

    #[test]
    fn given_nothing_counted_then_there_is_nothing_to_read() {
        assert_eq!(published(|| ()), "");
        assert!(!published(|| MAX_TIME_LAG.set(0.0)).is_empty(), "a nought is something");
        assert!(!published(|| CONSUMED_BYTES.add(0, &[("topic", "orders")])).is_empty());
        assert!(published(|| FILE_SIZE.record_bytes(1 << 20)).contains("le=\"1048576\"} 1\n"));
    }
}
