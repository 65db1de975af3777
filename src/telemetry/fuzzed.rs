//! What fuzz/ reaches of telemetry: what each way out makes of a topic's name and a reason.

use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use tracing::Dispatch;

use super::book::Book;
use super::emf::Emf;
use super::exporters::Dimensions;
use super::history::{History, Sample};
use super::http::{Health, unready};
use super::lag_task::LagReading;
pub(crate) use super::logging::one_line::is_harmful;
use super::logging::{Format, subscriber};
use super::metrics::ROWS;
use super::page;
use super::snapshot::{Identity, Observed};
use super::statsd::{self, Series};
use super::status::{Membership, Status};
use super::troubles::{Dependency, Troubles};
use crate::budget::Budget;
use crate::clock::SystemClock;
use crate::core::layout::Hour;
use crate::core::view::{Durable, WaitsFor};
use crate::telemetry::detail::OpenHours;
use crate::types::{Offset, TopicPartition, UnixMillis};

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

/// The line of an event, written the ways in which valve writes what comes from outside: as text, by `Debug` and by `Display`, and
/// as part of the message.
pub(crate) fn logged(topic: &str, reason: &str, json: bool) -> String {
    LOGS.with(|logs| {
        let log = &logs[usize::from(json)];
        tracing::dispatcher::with_default(&log.dispatch, || {
            tracing::warn!(topic, reason, partition = %topic, why = ?reason, error = %reason, "holding {topic}: {reason}");
        });
        String::from_utf8_lossy(&log.lines.take()).into_owned()
    })
}

/// `/api/status`, which the page shows, and `/readyz`, of a valve of this name that has trouble with this topic for this reason.
pub(crate) fn shown(name: &str, topic: &str, reason: &str) -> (String, String) {
    let (status, troubles) = (Status::new(1, Arc::new(SystemClock::new())), Troubles::default());
    let partition = TopicPartition::new(topic, 3);
    let (lane, trouble) = (status.lane(0), troubles.open(Dependency::Sink));
    status.consumed(topic, 12, 3_000);
    status.stored(format!("{topic}/a.avro"), 5, 700);
    trouble.set(reason.to_owned());
    lane.membership(Membership::Member(1));
    let place = (partition.clone(), Offset(4), Offset(9));
    let durable = Durable { partition: place.0, committed: place.1, read: place.2, oldest: None };
    lane.owns(vec![durable], [(partition.clone(), WaitsFor::Owner)].into());
    lane.hold(&partition, Some(reason.to_owned()));
    let mut open = OpenHours::default();
    open.add(Hour(498_804), &partition.topic, 3, 1_024);
    lane.open(open);
    let observed = Observed {
        identity: Identity::named(name),
        health: Health::new(status.clone(), troubles.clone()),
        status,
        troubles,
        lag: LagReading::default(),
        history: History::default(),
        budget: Budget::new(1_000),
        stop: CancellationToken::new(),
    };
    observed.history.add(Sample::take(&observed.status, &observed.lag));
    (page::json(&observed.snapshot()), unready(&observed.health).1)
}
