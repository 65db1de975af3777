//! What fuzz/ reaches of telemetry: what each way out makes of a topic's name and a reason.

use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tracing::Dispatch;

use super::book::Book;
use super::emf::Emf;
use super::exporters::Dimensions;
use super::logging::{Format, subscriber};
use super::metrics::ROWS;
use super::statsd::{self, Series};
use crate::types::UnixMillis;

fn counted(recorder: &impl metrics::Recorder, topic: &str) {
    metrics::with_local_recorder(recorder, || ROWS.add(7, &[("topic", topic)]));
}

/// The text of `/metrics`, of a valve in this environment.
pub(crate) fn prometheus(topic: &str, environment: &str) -> String {
    let book = Book::default();
    counted(&book, topic);
    super::prometheus::text(&book, &Dimensions::new("archive", environment))
}

/// StatsD's lines.
pub(crate) fn statsd(topic: &str, environment: &str) -> Vec<String> {
    let series = Series::default();
    let dimensions = Dimensions::new("archive", environment);
    counted(&statsd::recorder(series.clone(), &dimensions).expect("a recorder"), topic);
    series.take_lines()
}

/// CloudWatch's documents.
pub(crate) fn emf(topic: &str, environment: &str) -> String {
    let book = Book::default();
    counted(&book, topic);
    let mut out = Vec::new();
    Emf::new(book, Dimensions::new("archive", environment)).print(UnixMillis(0), &mut out);
    String::from_utf8(out).expect("text")
}

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What logs in a format write, and where to.
struct Log {
    lines: Lines,
    dispatch: Dispatch,
}

impl Log {
    fn new(format: Format) -> Self {
        let lines = Lines::default();
        let writer = lines.clone();
        let subscriber = subscriber("info", format, move || writer.clone()).expect("a filter");
        Self { lines, dispatch: Dispatch::new(subscriber) }
    }
}

thread_local! {
    static LOGS: LazyLock<[Log; 2]> =
        LazyLock::new(|| [Log::new(Format::Human { colours: false }), Log::new(Format::Json)]);
}

/// The line of an event, written the ways in which valve writes what comes from outside: as text and by `Debug`; by `Display` only what
/// can be no more than a name, where the format doesn't escape.
pub(crate) fn logged(topic: &str, reason: &str, json: bool) -> String {
    LOGS.with(|logs| {
        let log = &logs[usize::from(json)];
        tracing::dispatcher::with_default(&log.dispatch, || {
            if json || crate::topics::is_name(topic) {
                tracing::warn!(topic, reason, partition = %topic, "holding");
            } else {
                tracing::warn!(topic, why = ?reason, "holding");
            }
        });
        String::from_utf8_lossy(&log.lines.take()).into_owned()
    })
}
