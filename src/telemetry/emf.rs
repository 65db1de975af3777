//! CloudWatch's embedded metric format: lines of JSON on standard output, from which CloudWatch Logs takes metrics
//! ("Specification: Embedded metric format" in its user guide). No agent is needed where standard output goes there.
//!
//! The namespace is the valve's name. Each set of dimensions has a line a minute at most, and one more at the end. Counters
//! say what was added since the last line. Logs go to standard error, so that nothing comes between.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use metrics::{Key, Unit};
use serde_json::{Map, Value, json};

use super::book::Book;
use super::exporters::Dimensions;
use super::metrics::{Entry, find};
use crate::types::UnixMillis;

/// How often lines are written.
pub(super) const INTERVAL: Duration = Duration::from_secs(60);

/// How many metrics one document may have.
const MAX_METRICS: usize = 100;

/// A series' own labels.
type Own = Vec<(String, String)>;

/// Writes the book as documents.
#[derive(Debug)]
pub(super) struct Emf {
    book: Book,
    dimensions: Dimensions,
    /// What each counter was when it was last written.
    written: BTreeMap<Key, u64>,
    failing: bool,
}

impl Emf {
    /// An exporter that has written nothing yet.
    pub(super) fn new(book: Book, dimensions: Dimensions) -> Self {
        Self { book, dimensions, written: BTreeMap::new(), failing: false }
    }

    /// Writes one document a line. What can't be written is lost, and the first of several failures is logged.
    pub(super) fn print(&mut self, now: UnixMillis, mut out: impl Write) {
        let text: String = self.documents(now).into_iter().map(|document| format!("{document}\n")).collect();
        let printed = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        match printed {
            Ok(()) => self.failing = false,
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &io::Error) {
        if !self.failing {
            self.failing = true;
            tracing::warn!(%error, "metrics can't be written to standard output");
        }
    }

    /// The figures of now, and what was added since the last time: a document for each set of labels that has any.
    fn documents(&mut self, now: UnixMillis) -> Vec<Value> {
        let mut sets: BTreeMap<Own, Vec<(&'static Entry, Value)>> = BTreeMap::new();
        let mut add = |key: &Key, value: Value| {
            if let Some(entry) = find(key.name()) {
                sets.entry(own(key)).or_default().push((entry, value));
            }
        };
        let reading = self.book.read();
        for (key, sum) in reading.counters {
            let before = self.written.insert(key.clone(), sum).unwrap_or(0);
            if sum > before {
                add(&key, json!(sum - before));
            }
        }
        for (key, value) in reading.gauges.iter().filter(|(_, value)| value.is_finite()) {
            add(key, json!(value));
        }
        for (key, samples) in self.book.take_samples().iter().filter(|(_, samples)| !samples.is_empty()) {
            add(key, json!(samples));
        }
        let documents = sets.iter().flat_map(|(own, figures)| {
            figures.chunks(MAX_METRICS).map(|figures| self.document(own, figures, now))
        });
        documents.collect()
    }

    fn document(&self, own: &Own, figures: &[(&Entry, Value)], now: UnixMillis) -> Value {
        let fixed = self.dimensions.each().map(|(name, value)| (name.to_owned(), value.to_owned()));
        let labels: Vec<_> = fixed.into_iter().chain(own.iter().cloned()).collect();
        let [(_, namespace), _] = self.dimensions.each();
        let definitions =
            figures.iter().map(|(entry, _)| json!({"Name": entry.name, "Unit": unit(entry.unit)}));
        let directive = json!({
            "Namespace": namespace,
            "Dimensions": [labels.iter().map(|(name, _)| name).collect::<Vec<_>>()],
            "Metrics": definitions.collect::<Vec<_>>(),
        });
        let mut root = Map::new();
        root.insert("_aws".to_owned(), json!({"Timestamp": now.0, "CloudWatchMetrics": [directive]}));
        root.extend(labels.into_iter().map(|(name, value)| (name, json!(value))));
        root.extend(figures.iter().map(|(entry, value)| (entry.name.to_owned(), value.clone())));
        Value::Object(root)
    }
}

fn own(key: &Key) -> Own {
    key.labels().map(|label| (label.key().to_owned(), label.value().to_owned())).collect()
}

/// How CloudWatch calls a unit (`MetricDatum` in its API reference).
#[must_use]
pub fn unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Count => "Count",
        Unit::Percent => "Percent",
        Unit::Seconds => "Seconds",
        Unit::Bytes => "Bytes",
        _ => "None",
    }
}

#[cfg(test)]
mod tests {
    use super::super::metrics::{
        BATCHES, CATALOGUE, COMMIT_LATENCY, MAX_OFFSET_LAG, MAX_TIME_LAG, MEMORY_PERCENT, ROWS,
    };
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_700_000_000_000);

    fn emf() -> (Book, Emf) {
        let book = Book::default();
        (book.clone(), Emf::new(book, Dimensions::new("archive", "test")))
    }

    fn lines(emf: &mut Emf) -> Vec<Value> {
        let mut out = Vec::new();
        emf.print(NOW, &mut out);
        let text = String::from_utf8(out).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[test]
    fn given_figures_then_each_set_of_dimensions_has_a_document_as_cloudwatch_wants_it() {
        let (book, mut emf) = emf();
        metrics::with_local_recorder(&book, || {
            MAX_OFFSET_LAG.set_count(15);
            MAX_TIME_LAG.set(7200.5);
            ROWS.add(7, &[("topic", "orders")]);
        });
        let directive = |dimensions: &[&str], metrics: &[(&str, &str)]| {
            let metrics: Vec<_> =
                metrics.iter().map(|(name, unit)| json!({"Name": name, "Unit": unit})).collect();
            let directive = json!({"Namespace": "archive", "Dimensions": [dimensions], "Metrics": metrics});
            json!({"Timestamp": NOW.0, "CloudWatchMetrics": [directive]})
        };
        let of_process = [("max_offset_lag", "Count"), ("max_time_lag", "Seconds")];
        let expected = [
            json!({
                "_aws": directive(&["CONSUMER_GROUP", "ENVIRONMENT"], &of_process),
                "CONSUMER_GROUP": "archive", "ENVIRONMENT": "test",
                "max_offset_lag": 15.0, "max_time_lag": 7200.5,
            }),
            json!({
                "_aws": directive(&["CONSUMER_GROUP", "ENVIRONMENT", "topic"], &[("rows", "Count")]),
                "CONSUMER_GROUP": "archive", "ENVIRONMENT": "test", "topic": "orders", "rows": 7,
            }),
        ];
        assert_eq!(lines(&mut emf), expected);
    }

    #[test]
    fn given_another_minute_then_counters_say_what_was_added_and_gauges_what_is() {
        let (book, mut emf) = emf();
        metrics::with_local_recorder(&book, || {
            MEMORY_PERCENT.set(40.0);
            BATCHES.add(3, &[("reason", "age")]);
            COMMIT_LATENCY.record(0.5);
        });
        assert_eq!(lines(&mut emf).len(), 2);
        let again = lines(&mut emf);
        assert_eq!(again.len(), 1, "nothing was added: {again:#?}");
        assert_eq!((&again[0]["memory_percent"], &again[0]["commit_latency"]), (&json!(40.0), &Value::Null));
        metrics::with_local_recorder(&book, || BATCHES.add(2, &[("reason", "age")]));
        assert_eq!(lines(&mut emf)[1]["batches"], json!(2));
    }

    #[test]
    fn given_many_measurements_then_a_document_has_a_hundred_values_at_most() {
        let (book, mut emf) = emf();
        metrics::with_local_recorder(&book, || (0..1_000).for_each(|_| COMMIT_LATENCY.record(0.5)));
        let values = lines(&mut emf)[0]["commit_latency"].as_array().unwrap().len();
        assert!((50..=100).contains(&values), "{values}");
    }

    #[test]
    fn given_a_figure_that_json_cannot_say_then_it_is_left_out() {
        let (book, mut emf) = emf();
        metrics::with_local_recorder(&book, || MAX_TIME_LAG.set(f64::INFINITY));
        assert!(lines(&mut emf).is_empty());
    }

    #[test]
    fn given_the_catalogue_then_a_set_of_dimensions_fits_a_document_and_each_unit_has_a_name() {
        assert!(CATALOGUE.len() <= MAX_METRICS, "otherwise there are two lines a minute");
        for (_, entry) in CATALOGUE {
            assert_ne!(unit(entry.unit), "None", "{entry:?}");
        }
    }

    #[test]
    fn given_an_output_that_is_closed_then_the_next_one_is_written_all_the_same() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let (book, mut emf) = emf();
        metrics::with_local_recorder(&book, || MAX_OFFSET_LAG.set_count(1));
        emf.print(NOW, Closed);
        assert!(emf.failing);
        assert_eq!(lines(&mut emf).len(), 1);
        assert!(!emf.failing);
    }
}
