//! What `/api/status` says of what was reported, and that docs/status.md describes just that.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::*;
use crate::core::layout::Hour;
use crate::core::view::{Durable, WaitsFor};
use crate::dead_letter::Reason;
use crate::telemetry::detail::OpenHours;
use crate::telemetry::lag::{Lag, PartitionLag};
use crate::telemetry::signs::{Level, State};
use crate::telemetry::status::{Committed, LaneStatus, Membership};
use crate::telemetry::test_clock::TestClock;
use crate::telemetry::troubles::Dependency;
use crate::types::{Offset, TopicPartition};

/// 2026-11-26T12:00:00Z
const START: UnixMillis = UnixMillis(1_795_694_400_000);

/// A valve of two lanes that report what a test says.
pub(in crate::telemetry) struct Fixture {
    pub(in crate::telemetry) clock: Arc<TestClock>,
    pub(in crate::telemetry) observed: Observed,
    pub(in crate::telemetry) lanes: [LaneStatus; 2],
}

impl Fixture {
    pub(in crate::telemetry) fn new() -> Self {
        let clock = Arc::new(TestClock::new(START));
        let (status, troubles) = (Status::new(2, clock.clone()), Troubles::default());
        let lanes = [status.lane(0), status.lane(1)];
        let observed = Observed {
            identity: Identity::named("archive"),
            health: Health::new(status.clone(), troubles.clone()),
            status,
            troubles,
            lag: LagReading::default(),
            history: History::default(),
            budget: Budget::new(1_000),
            stop: CancellationToken::new(),
        };
        Self { clock, observed, lanes }
    }

    /// With something to tell in every field.
    fn full() -> Self {
        let fixture = Self::new();
        let status = &fixture.observed.status;
        status.consumed("orders", 12, 3_000);
        let dead_letters = [(Reason::InvalidDatum, 1), (Reason::NoTimestamp, 2)].into();
        let committed = Committed { rows: 5, files: 2, bytes: 700, dead_letters, skipped: 1 };
        status.committed("orders", &committed);
        status.sealed("age");
        status.stored("orders/a.avro".to_owned(), 5, 700);
        fixture.lanes[0].membership(Membership::Member(2));
        fixture.lanes[0].polled();
        let held = TopicPartition::new("orders", 1);
        let owned = vec![durable("orders", 0, 9), durable("orders", 1, 4)];
        fixture.lanes[0].owns(owned, [(held.clone(), WaitsFor::Owner)].into());
        fixture.lanes[0].hold(&held, Some("other rows are stored".to_owned()));
        let mut open = OpenHours::default();
        open.add(Hour(498_804), &"orders".into(), 3, 1_024);
        fixture.lanes[0].open(open);
        fixture.observed.lag.store(reading(&[("orders", 0, 3), ("orders", 1, 1)]));
        fixture.observed.history.add(Sample::take(status, &fixture.observed.lag));
        fixture.clock.advance(Duration::from_millis(90_250));
        fixture
    }

    fn json(&self) -> Value {
        serde_json::to_value(self.observed.snapshot()).expect("text as keys")
    }
}

fn durable(topic: &str, partition: i32, committed: i64) -> Durable {
    let partition = TopicPartition::new(topic, partition);
    Durable { partition, committed: Offset(committed), read: Offset(committed + 1), oldest: None }
}

fn reading(lags: &[(&str, i32, u64)]) -> Reading {
    let partition = |(topic, partition, lag): &(&str, i32, u64)| PartitionLag {
        partition: TopicPartition::new(*topic, *partition),
        offset_lag: Some(*lag),
        time_lag: Some(1.5),
        backlog: Some(lag - 1),
    };
    let max_offset_lag = lags.iter().map(|lag| lag.2).max().unwrap_or(0);
    let lag = Lag { max_offset_lag, partitions: lags.iter().map(partition).collect(), ..Lag::default() };
    Reading { lag, age: Duration::from_millis(2_500) }
}

/// The paths of all values that are neither lists nor objects; `[]` is any place in a list.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                paths(value, &path, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| paths(value, &format!("{path}[]"), found)),
        _ => {
            found.insert(path.to_owned());
        }
    }
}

#[test]
fn given_a_snapshot_with_everything_in_it_then_the_document_describes_just_its_fields() {
    let fixture = Fixture::full();
    let trouble = fixture.observed.troubles.open(Dependency::Sink);
    trouble.set("403".to_owned());
    let mut fields = BTreeSet::new();
    paths(&fixture.json(), "", &mut fields);
    let text = include_str!("../../../docs/status.md");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let described: BTreeSet<_> = rows.map(str::to_owned).collect();
    assert!(fields.len() > 80, "{fields:?}");
    assert_eq!(fields, described);
}

#[test]
fn given_what_was_reported_then_the_snapshot_says_the_same() {
    let json = Fixture::full().json();
    let expected = [
        ("/name", "archive".into()),
        ("/environment", "test".into()),
        ("/started_at", "2026-11-26T12:00:00.000Z".into()),
        ("/now", "2026-11-26T12:01:30.250Z".into()),
        ("/uptime_seconds", 90.into()),
        ("/totals/consumed", 12.into()),
        ("/totals/dead_lettered", 3.into()),
        ("/totals/unsettled", 3.into()),
        ("/lag/max_offset_lag", 3.into()),
        ("/lag/age_seconds", 2.5.into()),
        ("/memory/budget_bytes", 1_000.into()),
        ("/history/age_seconds", vec![90.25, 0.0].into()),
        ("/history/consumed", vec![12, 12].into()),
        ("/lanes/0/membership", "member".into()),
        ("/lanes/0/polled_seconds_ago", 90.25.into()),
        ("/lanes/1/polled_seconds_ago", Value::Null),
        ("/open_hours/shown/0/hour", "2026-11-26T12:00:00.000Z".into()),
        ("/files/0/key", "orders/a.avro".into()),
        ("/files/0/stored_at", "2026-11-26T12:00:00.000Z".into()),
        ("/dead_letters/0/reason", "no_timestamp".into()),
        ("/batches/0/reason", "age".into()),
        ("/topics/shown/0/topic", "orders".into()),
        ("/topics/shown/0/dead_lettered", 3.into()),
        // The one that is held comes first, although the other is farther behind.
        ("/partitions/shown/0/partition", 1.into()),
        ("/partitions/shown/0/state", "held".into()),
        ("/partitions/shown/0/reason", "other rows are stored".into()),
        ("/partitions/shown/1/state", "reading".into()),
        ("/partitions/shown/1/committed", 9.into()),
        ("/partitions/shown/1/time_lag_seconds", 1.5.into()),
    ];
    for (path, value) in expected {
        assert_eq!(json.pointer(path), Some(&value), "{path}");
    }
}

#[test]
fn given_a_held_partition_then_the_verdict_is_trouble_and_says_which_and_why() {
    let verdict = Fixture::full().observed.snapshot().verdict;
    assert_eq!(verdict.state, State::Trouble);
    // The first lane hasn't polled for a minute and a half.
    let expected = [
        "lane 0: hasn't polled Kafka for 90 s",
        "held orders[1]: other rows are stored",
        "lane 1: is joining the consumer group",
    ];
    assert_eq!(verdict.reasons, expected);
}

#[test]
fn given_many_files_that_a_store_doesnt_take_then_it_is_said_once_with_their_number() {
    let fixture = Fixture::new();
    fixture.lanes.iter().for_each(|lane| lane.membership(Membership::Member(1)));
    let waiting: Vec<_> = (0..30).map(|_| fixture.observed.troubles.open(Dependency::Sink)).collect();
    waiting.iter().enumerate().for_each(|(index, trouble)| trouble.set(format!("put {index}.avro: 503")));
    let kafka = fixture.observed.troubles.open(Dependency::Kafka);
    kafka.set("no broker".to_owned());
    let snapshot = fixture.observed.snapshot();
    let expected = ["kafka: no broker", "sink: put 0.avro: 503 (and 29 more like it)"];
    assert_eq!(
        (snapshot.verdict.state, &snapshot.verdict.reasons[..]),
        (State::Trouble, &expected.map(String::from)[..])
    );
    let counts: Vec<_> =
        snapshot.troubles.iter().map(|trouble| (trouble.dependency, trouble.waiting)).collect();
    assert_eq!(counts, [(Dependency::Kafka, 1), (Dependency::Sink, 30)]);
}

#[test]
fn given_lanes_that_join_then_it_is_starting() {
    let verdict = Fixture::new().observed.snapshot().verdict;
    assert_eq!((verdict.state, verdict.reasons.len()), (State::Starting, 2));
}

#[test]
fn given_a_process_that_was_asked_to_end_then_it_is_stopping_and_still_says_what_is_wrong() {
    let fixture = Fixture::full();
    let before = fixture.observed.snapshot().verdict;
    fixture.observed.stop.cancel();
    let verdict = fixture.observed.snapshot().verdict;
    assert_eq!((verdict.state, verdict.reasons), (State::Stopping, before.reasons));
}

#[test]
fn given_thousands_of_partitions_then_those_farthest_behind_are_shown_and_all_are_counted() {
    let fixture = Fixture::new();
    let names: Vec<_> =
        (0..3_000_i32).map(|index| ("orders", index, u64::from(index.unsigned_abs() % 1_000) + 1)).collect();
    let owned = names.iter().map(|(topic, index, _)| durable(topic, *index, 0)).collect();
    fixture.lanes[0].owns(owned, [].into());
    let held: Vec<_> = (0..300).map(|index| TopicPartition::new("orders", index)).collect();
    held.iter().for_each(|partition| fixture.lanes[0].hold(partition, Some("lost".to_owned())));
    fixture.observed.lag.store(reading(&names));
    let snapshot = fixture.observed.snapshot();
    assert_eq!((snapshot.partitions.total, snapshot.partitions.shown.len()), (3_000, lists::SHOWN));
    assert_eq!((snapshot.holds.total, snapshot.holds.shown.len()), (300, lists::SHOWN));
    assert_eq!(snapshot.partitions.shown[0].partition, 299);
    assert_eq!(snapshot.verdict.reasons.last().map(String::as_str), Some("and 294 more"));

    held.iter().for_each(|partition| fixture.lanes[0].hold(partition, None));
    let lags: Vec<_> =
        fixture.observed.snapshot().partitions.shown.iter().map(|one| one.offset_lag).collect();
    assert_eq!(lags[..4], [Some(1_000), Some(1_000), Some(1_000), Some(999)]);
}

#[test]
fn given_a_partition_that_begins_then_it_is_shown_without_an_offset() {
    let fixture = Fixture::new();
    let waits = [(TopicPartition::new("orders", 7), WaitsFor::Start)].into();
    fixture.lanes[1].owns(Vec::new(), waits);
    let snapshot = fixture.observed.snapshot();
    let [shown] = &snapshot.partitions.shown[..] else { panic!("{snapshot:?}") };
    assert_eq!((shown.partition, shown.lane, shown.state, shown.committed), (7, 1, "starting", None));
}

#[test]
fn given_partitions_that_begin_then_nothing_is_said_of_what_is_new_and_a_store_that_keeps_them_from_it_is_named()
 {
    let fixture = Fixture::new();
    let waits = [(TopicPartition::new("orders", 7), WaitsFor::Start)].into();
    fixture.lanes[1].owns(Vec::new(), waits);
    let consumed = || {
        let sign = fixture.observed.snapshot().overview.consumed;
        (sign.level, sign.word)
    };
    assert_eq!(consumed(), (Level::Well, "starting"));
    let trouble = fixture.observed.troubles.open(Dependency::Sink);
    trouble.set("503".to_owned());
    assert_eq!(consumed(), (Level::Trouble, "waiting for the store"));
    assert_eq!(fixture.observed.snapshot().verdict.reasons[0], "sink: 503");
    fixture.lanes[1].owns(Vec::new(), [].into());
    assert_eq!(consumed(), (Level::Well, "nothing new"));
}

#[test]
fn given_two_lanes_with_an_hour_then_it_is_told_once() {
    let fixture = Fixture::new();
    for lane in &fixture.lanes {
        let mut open = OpenHours::default();
        open.add(Hour(1), &"orders".into(), 5, 100);
        lane.open(open);
    }
    let open = fixture.observed.snapshot().open_hours;
    assert_eq!((open.shown.len(), open.shown[0].rows, open.more), (1, 10, false));
}

#[test]
fn given_more_files_than_are_remembered_then_the_latest_come_first() {
    let fixture = Fixture::new();
    (0..60).for_each(|index| fixture.observed.status.stored(format!("{index}.avro"), 1, 1));
    let files = fixture.observed.snapshot().files;
    assert_eq!((files.len(), &*files[0].key, &*files[49].key), (50, "59.avro", "10.avro"));
}
