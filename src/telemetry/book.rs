//! The book: what was counted and measured, kept for the exporters that are asked or that look from time to time.
//!
//! Its size is bounded by the number of series. Of a histogram it keeps counts in fixed buckets, a sum, and a few samples
//! since they were last taken. What isn't in the catalogue isn't kept.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::atomics::AtomicU64;
use metrics::{Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString, Unit};

use super::metrics::find;

/// How many samples are kept of a histogram, at most: so many values CloudWatch takes in one line.
pub(super) const MAX_SAMPLES: usize = 100;

/// What was counted and measured. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct Book {
    series: Arc<Mutex<Series>>,
}

#[derive(Debug, Default)]
struct Series {
    counters: BTreeMap<Key, Arc<AtomicU64>>,
    gauges: BTreeMap<Key, Arc<AtomicU64>>,
    histograms: BTreeMap<Key, Arc<Distribution>>,
}

/// Everything in a book at one time, sorted by name and labels.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) counters: Vec<(Key, u64)>,
    pub(super) gauges: Vec<(Key, f64)>,
    pub(super) histograms: Vec<(Key, Spread)>,
}

impl Book {
    /// Reads everything; gauges that are to be forgotten are.
    pub(super) fn read(&self) -> Reading {
        let mut series = self.lock();
        series.gauges.retain(|_, bits| !value(bits).is_nan());
        let counter = |(key, sum): (&Key, &Arc<AtomicU64>)| (key.clone(), sum.load(Ordering::Relaxed));
        let histogram = |(key, spread): (&Key, &Arc<Distribution>)| (key.clone(), spread.lock().clone());
        Reading {
            counters: series.counters.iter().map(counter).collect(),
            gauges: series.gauges.iter().map(|(key, bits)| (key.clone(), value(bits))).collect(),
            histograms: series.histograms.iter().map(histogram).collect(),
        }
    }

    /// The samples of each histogram since they were last taken: all of them, or evenly drawn ones where there were more than
    /// [`MAX_SAMPLES`].
    pub(super) fn take_samples(&self) -> Vec<(Key, Vec<f64>)> {
        let series = self.lock();
        let taken = series.histograms.iter().map(|(key, spread)| {
            let samples = std::mem::take(&mut spread.lock().samples);
            (key.clone(), samples.kept)
        });
        taken.collect()
    }

    fn lock(&self) -> MutexGuard<'_, Series> {
        self.series.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn value(bits: &AtomicU64) -> f64 {
    f64::from_bits(bits.load(Ordering::Relaxed))
}

impl Recorder for Book {
    // The catalogue knows.
    fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
    fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        if find(key.name()).is_none() {
            return Counter::noop();
        }
        Counter::from_arc(found(&mut self.lock().counters, key, Arc::default))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        if find(key.name()).is_none() {
            return Gauge::noop();
        }
        Gauge::from_arc(found(&mut self.lock().gauges, key, Arc::default))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        let Some(entry) = find(key.name()) else { return Histogram::noop() };
        let empty = || Arc::new(Distribution(Mutex::new(Spread::new(entry.bounds()))));
        Histogram::from_arc(found(&mut self.lock().histograms, key, empty))
    }
}

fn found<T>(series: &mut BTreeMap<Key, Arc<T>>, key: &Key, new: impl FnOnce() -> Arc<T>) -> Arc<T> {
    if let Some(one) = series.get(key) {
        return Arc::clone(one);
    }
    Arc::clone(series.entry(key.clone()).or_insert_with(new))
}

/// A histogram's series.
#[derive(Debug)]
struct Distribution(Mutex<Spread>);

impl Distribution {
    fn lock(&self) -> MutexGuard<'_, Spread> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl HistogramFn for Distribution {
    fn record(&self, value: f64) {
        self.lock().record(value);
    }
}

/// How measurements are spread.
#[derive(Clone, Debug)]
pub(super) struct Spread {
    /// Upper bounds, rising.
    pub(super) bounds: &'static [f64],
    /// The measurements up to each bound that are beyond the one before.
    pub(super) counts: Vec<u64>,
    /// All measurements, also those beyond the last bound.
    pub(super) count: u64,
    /// Their sum.
    pub(super) sum: f64,
    samples: Samples,
}

impl Spread {
    fn new(bounds: &'static [f64]) -> Self {
        Self { bounds, counts: vec![0; bounds.len()], count: 0, sum: 0.0, samples: Samples::default() }
    }

    fn record(&mut self, value: f64) {
        if let Some(count) = self.counts.get_mut(self.bounds.partition_point(|bound| *bound < value)) {
            *count += 1;
        }
        self.count += 1;
        self.sum += value;
        self.samples.push(value);
    }
}

/// Measurements, thinned out evenly when there are too many.
#[derive(Clone, Debug)]
struct Samples {
    kept: Vec<f64>,
    /// One in so many is kept.
    every: u64,
    seen: u64,
}

impl Default for Samples {
    fn default() -> Self {
        Self { kept: Vec::new(), every: 1, seen: 0 }
    }
}

impl Samples {
    fn push(&mut self, value: f64) {
        if self.seen.is_multiple_of(self.every) {
            if self.kept.len() == MAX_SAMPLES {
                let mut index = 0;
                self.kept.retain(|_| {
                    index += 1;
                    index % 2 == 1
                });
                self.every *= 2;
            }
            self.kept.push(value);
        }
        self.seen += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::metrics::{COMMIT_LATENCY, FILE_SIZE, PARTITION_BACKLOG, ROWS};
    use super::*;

    #[test]
    fn given_a_gauge_that_is_forgotten_then_its_series_is_gone_and_may_come_back() {
        let book = Book::default();
        let set = |partition: &str, value: Option<u64>| {
            let labels = [("topic", "orders"), ("partition", partition)];
            metrics::with_local_recorder(&book, || match value {
                Some(count) => PARTITION_BACKLOG.set_count_of(&labels, count),
                None => PARTITION_BACKLOG.forget(&labels),
            });
        };
        let shown = || book.read().gauges.iter().map(|(_, value)| *value).collect::<Vec<_>>();
        set("0", Some(7));
        set("1", Some(8));
        set("0", None);
        assert_eq!(shown(), [8.0]);
        assert_eq!(book.lock().gauges.len(), 1);
        set("0", Some(9));
        assert_eq!(shown(), [9.0, 8.0]);
    }

    #[test]
    fn given_a_metric_that_is_not_in_the_catalogue_then_it_is_not_kept() {
        let book = Book::default();
        metrics::with_local_recorder(&book, || {
            metrics::counter!("somebody_elses").increment(1);
            metrics::gauge!("somebody_elses").set(1.0);
            metrics::histogram!("somebody_elses").record(1.0);
            ROWS.add(5, &[("topic", "orders")]);
        });
        let reading = book.read();
        assert_eq!(reading.counters.iter().map(|(_, sum)| *sum).collect::<Vec<_>>(), [5]);
        assert!(reading.gauges.is_empty() && reading.histograms.is_empty());
    }

    #[test]
    fn given_a_value_on_a_bound_then_it_is_counted_below_it() {
        let book = Book::default();
        metrics::with_local_recorder(&book, || {
            [1024.0, 1024.5, 5e9].iter().for_each(|bytes| FILE_SIZE.record(*bytes));
        });
        let (_, spread) = &book.read().histograms[0];
        assert_eq!((&spread.counts[..2], spread.count), (&[1, 1][..], 3));
        assert_eq!(spread.counts.iter().sum::<u64>(), 2, "the largest is beyond the last bound");
    }

    proptest! {
        #[test]
        fn given_any_number_of_samples_then_few_are_kept_evenly_spaced_and_all_are_counted(number in 0_u32..5_000) {
            let book = Book::default();
            metrics::with_local_recorder(&book, || (0..number).for_each(|value| COMMIT_LATENCY.record(f64::from(value))));
            if number == 0 {
                prop_assert!(book.take_samples().is_empty());
                return Ok(());
            }
            let (_, spread) = &book.read().histograms[0];
            prop_assert_eq!(spread.count, u64::from(number));
            let (_, samples) = &book.take_samples()[0];
            prop_assert!(samples.len() <= MAX_SAMPLES && samples.len() >= (number as usize).min(MAX_SAMPLES / 2));
            let step = samples.get(1).copied().unwrap_or(1.0);
            let expected: Vec<_> = (0..samples.len()).map(|index| index as f64 * step).collect();
            prop_assert_eq!(samples, &expected);
            prop_assert!(f64::from(number) <= (samples.len() as f64) * step, "none is missing at the end");
            prop_assert!(book.take_samples()[0].1.is_empty(), "they are taken once");
        }
    }
}
