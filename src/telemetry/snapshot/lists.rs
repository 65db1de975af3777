//! The lists of a [`Snapshot`](super::Snapshot), each of bounded length. docs/status.md describes the fields.
#![expect(missing_docs, reason = "docs/status.md describes the fields")]

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::sums::seconds;
use super::{Lags, rfc3339};
use crate::core::view::Durable;
use crate::telemetry::detail::{LaneReport, OPEN_HOURS, OpenFiles, StoredFile};
use crate::telemetry::status::Membership;
use crate::telemetry::totals::TopicTotals;
use crate::telemetry::troubles::Dependency;
use crate::types::{Offset, TopicPartition};

/// How many entries of a list are shown.
pub(super) const SHOWN: usize = 200;

/// The first entries of a list, and how many there are.
#[derive(Clone, Debug, Serialize)]
pub struct Listing<T> {
    pub total: usize,
    pub shown: Vec<T>,
}

impl<T> Listing<T> {
    fn of(mut all: Vec<T>) -> Self {
        let total = all.len();
        all.truncate(SHOWN);
        Self { total, shown: all }
    }
}

fn text<S: Serializer>(text: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(text)
}

/// A dependency that doesn't do its work.
#[derive(Clone, Debug, Serialize)]
pub struct Trouble {
    #[serde(serialize_with = "name_of")]
    pub dependency: Dependency,
    pub waiting: usize,
    pub reason: String,
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.dependency.name(), self.reason)?;
        match self.waiting - 1 {
            0 => Ok(()),
            others => write!(f, " (and {others} more like it)"),
        }
    }
}

fn name_of<S: Serializer>(dependency: &Dependency, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(dependency.name())
}

/// One for each dependency, with the reason of the first who waits: of a store there may be as many as files.
pub(super) fn troubles(reasons: Vec<(Dependency, String)>) -> Vec<Trouble> {
    let mut troubles: Vec<Trouble> = Vec::new();
    for (dependency, reason) in reasons {
        match troubles.iter_mut().find(|trouble| trouble.dependency == dependency) {
            Some(trouble) => trouble.waiting += 1,
            None => troubles.push(Trouble { dependency, waiting: 1, reason }),
        }
    }
    troubles
}

/// A partition that is held.
#[derive(Clone, Debug, Serialize)]
pub struct Hold {
    #[serde(serialize_with = "text")]
    pub topic: Arc<str>,
    pub partition: i32,
    pub reason: String,
}

pub(super) fn holds(reports: &[LaneReport]) -> Listing<Hold> {
    let holds = reports.iter().flat_map(|report| &report.holds);
    let hold = |(of, reason): (&TopicPartition, &String)| Hold {
        topic: Arc::clone(&of.topic),
        partition: of.partition,
        reason: reason.clone(),
    };
    Listing::of(holds.map(hold).collect())
}

/// One lane.
#[derive(Clone, Debug, Serialize)]
pub struct Lane {
    pub lane: usize,
    pub membership: &'static str,
    pub partitions: usize,
    pub polled_seconds_ago: Option<f64>,
    pub open_files: u64,
    pub open_rows: u64,
    pub open_bytes: u64,
}

pub(super) fn lanes(reports: &[LaneReport], polled: &[Option<Duration>], now: Duration) -> Vec<Lane> {
    let lane = |(lane, (report, polled)): (usize, (&LaneReport, &Option<Duration>))| {
        let (membership, partitions) = match report.membership {
            Membership::Joining => ("joining", 0),
            Membership::Member(partitions) => ("member", partitions),
            Membership::Leaving => ("leaving", 0),
        };
        let OpenFiles { files, rows, bytes } = report.open.all;
        Lane {
            lane,
            membership,
            partitions,
            polled_seconds_ago: polled.map(|polled| seconds(now.saturating_sub(polled))),
            open_files: files,
            open_rows: rows,
            open_bytes: bytes,
        }
    };
    reports.iter().zip(polled).enumerate().map(lane).collect()
}

/// One partition.
#[derive(Clone, Debug, Serialize)]
pub struct Partition {
    #[serde(serialize_with = "text")]
    pub topic: Arc<str>,
    pub partition: i32,
    pub lane: usize,
    pub state: &'static str,
    pub reason: Option<String>,
    pub committed: Option<Offset>,
    pub read: Option<Offset>,
    pub offset_lag: Option<u64>,
    pub time_lag_seconds: Option<f64>,
    pub backlog: Option<u64>,
}

/// Those that are held, then those that are farthest behind.
pub(super) fn partitions(reports: &[LaneReport], lags: &Lags<'_>) -> Listing<Partition> {
    let mut rows = Vec::new();
    for (lane, report) in reports.iter().enumerate() {
        let durables: BTreeMap<_, _> = report.partitions.iter().map(|one| (&one.partition, one)).collect();
        let names: BTreeSet<_> = durables.keys().copied().chain(report.waits.keys()).collect();
        rows.extend(names.into_iter().map(|name| row(lane, report, name, durables.get(name).copied(), lags)));
    }
    rows.sort_by(|one, other| rank(other).cmp(&rank(one)).then_with(|| name(one).cmp(&name(other))));
    Listing::of(rows)
}

fn name(row: &Partition) -> (&str, i32) {
    (&row.topic, row.partition)
}

fn rank(row: &Partition) -> (bool, Option<u64>) {
    (row.state == "held", row.offset_lag)
}

fn row(
    lane: usize,
    report: &LaneReport,
    name: &TopicPartition,
    durable: Option<&Durable>,
    lags: &Lags<'_>,
) -> Partition {
    let (lag, reason) = (lags.get(name), report.holds.get(name));
    let waits = report.waits.get(name).map_or("reading", |waits| waits.code());
    Partition {
        topic: Arc::clone(&name.topic),
        partition: name.partition,
        lane,
        state: if reason.is_some() { "held" } else { waits },
        reason: reason.cloned(),
        committed: durable.map(|durable| durable.committed),
        read: durable.map(|durable| durable.read),
        offset_lag: lag.and_then(|lag| lag.offset_lag),
        time_lag_seconds: lag.and_then(|lag| lag.time_lag),
        backlog: lag.and_then(|lag| lag.backlog),
    }
}

/// What is being filled.
#[derive(Clone, Debug, Serialize)]
pub struct Open {
    pub shown: Vec<OpenHour>,
    pub more: bool,
}

/// The files that are being filled for one hour of one topic.
#[derive(Clone, Debug, Serialize)]
pub struct OpenHour {
    pub hour: String,
    #[serde(serialize_with = "text")]
    pub topic: Arc<str>,
    pub files: u64,
    pub rows: u64,
    pub bytes: u64,
}

/// The latest hours, all lanes together.
pub(super) fn open_hours(reports: &[LaneReport]) -> Open {
    let mut hours = BTreeMap::<_, OpenFiles>::new();
    for (of, files) in reports.iter().flat_map(|report| &report.open.latest) {
        hours.entry(of).or_default().add(*files);
    }
    let more = hours.len() > OPEN_HOURS || reports.iter().any(|report| report.open.more);
    let shown = hours.into_iter().take(OPEN_HOURS).map(|((hour, topic), files)| OpenHour {
        hour: rfc3339(hour.0.start()),
        topic: Arc::clone(topic),
        files: files.files,
        rows: files.rows,
        bytes: files.bytes,
    });
    Open { shown: shown.collect(), more }
}

/// A file that was stored.
#[derive(Clone, Debug, Serialize)]
pub struct FileEntry {
    pub key: String,
    pub rows: u64,
    pub bytes: u64,
    pub stored_at: String,
}

pub(super) fn files(files: Vec<StoredFile>) -> Vec<FileEntry> {
    let entry = |StoredFile { key, rows, bytes, at }| FileEntry { key, rows, bytes, stored_at: rfc3339(at) };
    files.into_iter().map(entry).collect()
}

/// The sums of one topic.
#[derive(Clone, Debug, Serialize)]
pub struct Topic {
    #[serde(serialize_with = "text")]
    pub topic: Arc<str>,
    pub consumed: u64,
    pub rows: u64,
    pub files: u64,
    pub stored_bytes: u64,
    pub dead_lettered: u64,
    pub skipped: u64,
    pub lost: u64,
}

/// Those with the most records first.
pub(super) fn topics(topics: BTreeMap<Arc<str>, TopicTotals>) -> Listing<Topic> {
    let row = |(topic, totals): (Arc<str>, TopicTotals)| Topic {
        topic,
        consumed: totals.consumed,
        rows: totals.rows,
        files: totals.files,
        stored_bytes: totals.stored_bytes,
        dead_lettered: totals.dead_lettered,
        skipped: totals.skipped,
        lost: totals.lost,
    };
    let mut rows: Vec<_> = topics.into_iter().map(row).collect();
    rows.sort_by_key(|topic| Reverse(topic.consumed));
    Listing::of(rows)
}
