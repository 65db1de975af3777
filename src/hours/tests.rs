//! Whether an hour is complete, tried on logs of which everything is known.

use std::collections::HashMap;

use proptest::prelude::*;

use super::partition::{Held, Partition};
use super::search::{Goal, Search};
use super::*;
use crate::avro::codec::Codec;
use crate::core::intent::{Coverage, Intent, Layout, Metadata, Place};
use crate::core::layout::{DEFAULT_KEY, NullPolicy};
use crate::core::start::{Facts, Stored};
use crate::types::TopicPartition;

const HOUR: i64 = 3_600_000;
const MINUTE: i64 = 60_000;

fn rules(granularity: Granularity, lateness_minutes: u64) -> Rules {
    Rules { granularity, lateness: Duration::from_secs(lateness_minutes * 60) }
}

fn hourly() -> Rules {
    rules(Granularity::Hour, 10)
}

fn metadata(committed: i64) -> Metadata {
    Metadata {
        topic_id: Some(7),
        partition: 0,
        first: Offset(committed),
        origin: Offset(0),
        partitions_at_start: Some(1),
        coverage: Coverage::starting(Offset(committed)),
        intent: None,
    }
}

fn promising(committed: i64, timestamp: &str, instant: i64) -> Metadata {
    let layout = Layout {
        timestamp: vec!["field:at".to_owned(), timestamp.to_owned()],
        years: (1970, 2100),
        key: DEFAULT_KEY.to_owned(),
        granularity: Granularity::Hour,
        prefix: String::new(),
        nulls: NullPolicy::Skip,
        read_committed: true,
        place: Place::Local { path: "/data".to_owned() },
        max_record_bytes: 1 << 20,
        codec: Codec::Null,
    };
    let intent = Intent {
        end: Offset(committed + 5),
        instant: UnixMillis(instant),
        rules: 1,
        layout,
        unknown_ids: Vec::new(),
        outcome: 9,
    };
    Metadata { intent: Some(intent), ..metadata(committed) }
}

/// A partition's log, by the Kafka timestamps of its records from offset 0 on.
#[derive(Clone, Debug)]
struct Log {
    times: Vec<i64>,
    committed: i64,
    low: i64,
}

impl Log {
    fn facts(&self) -> Facts {
        let end = Offset(i64::try_from(self.times.len()).unwrap());
        Facts {
            committed: Some((Offset(self.committed), metadata(self.committed).encode())),
            low: Offset(self.low),
            high: end,
            end,
            topic_id: Some(7),
            partitions: 1,
            partitions_at_start: Some(1),
            stored: Stored::NotAsked,
        }
    }

    /// As the brokers answer.
    fn first(&self, time: UnixMillis) -> Option<Offset> {
        let mut offsets = (0..).zip(&self.times).skip(usize::try_from(self.low).unwrap());
        offsets.find(|(_, at)| **at >= time.0).map(|(offset, _)| Offset(offset))
    }
}

fn partition(index: i32) -> TopicPartition {
    TopicPartition::new("orders", index)
}

fn search(rules: Rules, goal: Goal, last: Hour, logs: &[Log]) -> (Vec<PartitionHours>, usize) {
    let known = (0..).zip(logs).map(|(index, log)| {
        let mut facts = log.facts();
        let own = Metadata { partition: index, ..metadata(log.committed) };
        facts.committed = Some((Offset(log.committed), own.encode()));
        Partition::of(partition(index), &facts)
    });
    let mut search = Search::new(rules, goal, last, known.collect());
    let mut rounds = 0;
    loop {
        let questions = search.questions();
        if questions.is_empty() {
            let found = search.into_found().into_iter().map(|(_, hours)| hours);
            return (found.collect(), rounds);
        }
        let answers = questions.into_iter().map(|(partition, time)| {
            let log = &logs[usize::try_from(partition.partition).unwrap()];
            (partition, log.first(time))
        });
        search.learn(&answers.collect::<HashMap<_, _>>()).unwrap();
        rounds += 1;
    }
}

fn held(facts: &Facts, end: Hour, first: Option<i64>) -> Option<Held> {
    Partition::of(partition(0), facts).held(end.start(), first.map(Offset))
}

#[test]
fn given_what_came_before_the_time_is_committed_then_the_hour_is_complete_otherwise_it_says_what_isnt() {
    let facts = Log { times: vec![0; 10], committed: 6, low: 0 }.facts();
    assert_eq!(held(&facts, Hour(1), Some(6)), None);
    assert_eq!(held(&facts, Hour(1), Some(5)), None);
    let behind = |until| Some(Held::Behind { committed: Offset(6), until: Offset(until) });
    assert_eq!(held(&facts, Hour(1), Some(7)), behind(7));
    assert_eq!(held(&facts, Hour(1), None), behind(10), "the whole log counts when there is no such record");
    let all = Log { times: vec![0; 10], committed: 10, low: 0 }.facts();
    assert_eq!(held(&all, Hour(1), None), None);
    let empty = Log { times: vec![], committed: 0, low: 0 }.facts();
    assert_eq!(held(&empty, Hour(1), None), None);
}

#[test]
fn given_an_open_transaction_before_the_time_then_the_hour_waits_for_its_end() {
    let facts = Facts { high: Offset(6), ..Log { times: vec![0; 10], committed: 6, low: 0 }.facts() };
    let open = |until| Some(Held::OpenTransaction { at: Offset(6), until: Offset(until) });
    assert_eq!(held(&facts, Hour(1), None), open(10));
    assert_eq!(held(&facts, Hour(1), Some(8)), open(8));
    assert_eq!(held(&facts, Hour(1), Some(6)), None, "all of it came after the time");
}

#[test]
fn given_an_offset_that_says_nothing_then_no_hour_is_complete() {
    let facts = Log { times: vec![0; 10], committed: 6, low: 0 }.facts();
    let with = |text: &str| Facts { committed: Some((Offset(6), text.to_owned())), ..facts.clone() };
    let cases = [
        (Facts { committed: None, ..facts.clone() }, Held::NothingCommitted),
        (Facts { topic_id: Some(8), ..facts.clone() }, Held::OtherTopic),
        (with(""), Held::NotOurs),
        (with(&metadata(5).encode()), Held::NotOurs),
        (with("v2:AAAA"), Held::Newer),
        (
            Facts { end: Offset(5), ..facts.clone() },
            Held::LogShorter { committed: Offset(6), end: Offset(5) },
        ),
        (Facts { low: Offset(7), ..facts.clone() }, Held::Gone { committed: Offset(6), low: Offset(7) }),
    ];
    for (facts, why) in cases {
        let known = Partition::of(partition(0), &facts);
        assert_eq!((known.obstacle(), known.held(UnixMillis(HOUR), Some(Offset(0)))), (Some(why), Some(why)));
    }
    let nothing_lost = Facts { low: Offset(6), ..facts };
    assert_eq!(held(&nothing_lost, Hour(1), Some(6)), None);
}

#[test]
fn given_a_promised_batch_by_valves_clock_then_the_hour_of_its_instant_waits_for_it() {
    let facts = |timestamp| {
        let own = promising(6, timestamp, 90 * MINUTE);
        let facts = Log { times: vec![0; 6], committed: 6, low: 0 }.facts();
        Facts { committed: Some((Offset(6), own.encode())), ..facts }
    };
    let promised = Some(Held::Promised { instant: UnixMillis(90 * MINUTE) });
    assert_eq!(held(&facts("processing"), Hour(1), None), None);
    assert_eq!(held(&facts("processing"), Hour(2), None), promised);
    assert_eq!(held(&facts("kafka"), Hour(2), None), None, "its records' hours are not the instant's");
}

#[test]
fn given_hours_or_days_then_they_are_over_when_their_end_and_the_lateness_are() {
    let hourly = hourly();
    assert_eq!(hourly.end_of(Hour(7)), Hour(8));
    assert_eq!(hourly.over_at(Hour(8)), UnixMillis(8 * HOUR + 10 * MINUTE));
    assert_eq!(hourly.last_over(UnixMillis(8 * HOUR + 10 * MINUTE)), Hour(8));
    assert_eq!(hourly.last_over(UnixMillis(8 * HOUR + 10 * MINUTE - 1)), Hour(7));
    assert_eq!(hourly.over_at(Hour(-100)), UnixMillis(0), "Kafka takes negative times for something else");
    let daily = rules(Granularity::Day, 10);
    assert_eq!((daily.end_of(Hour(7)), daily.end_of(Hour(24))), (Hour(24), Hour(48)));
    assert_eq!(daily.last_over(UnixMillis(48 * HOUR + 9 * MINUTE)), Hour(24));
}

#[test]
fn given_partitions_at_different_places_then_the_topic_is_where_the_last_is_and_that_one_is_named() {
    let times: Vec<i64> = (0..100).map(|n| n * 6 * MINUTE).collect();
    let logs = [100, 35, 100].map(|committed| Log { times: times.clone(), committed, low: 0 });
    let (partitions, _) = search(hourly(), Goal::Last, Hour(9), &logs);
    let topic = TopicHours { topic: "orders".to_owned(), partitions };
    let ends: Vec<_> = topic.partitions.iter().map(|partition| partition.complete_before).collect();
    // Record 35 is from 3:30, the first one behind 3:10 is record 32; that behind 4:10 is record 42.
    assert_eq!(ends, [Some(Hour(9)), Some(Hour(3)), Some(Hour(9))]);
    assert_eq!(topic.complete_before(), Some(Hour(3)));
    let behind = Held::Behind { committed: Offset(35), until: Offset(42) };
    assert_eq!(topic.held().collect::<Vec<_>>(), [(1, &behind)]);
    assert_eq!(TopicHours { partitions: vec![], ..topic }.complete_before(), None);
}

#[test]
fn given_a_question_about_one_hour_then_each_partition_is_asked_once() {
    let times: Vec<i64> = (0..100).map(|n| n * 6 * MINUTE).collect();
    let logs = [32, 31].map(|committed| Log { times: times.clone(), committed, low: 0 });
    let (found, rounds) = search(hourly(), Goal::Whether, Hour(3), &logs);
    assert_eq!(rounds, 1);
    let ends: Vec<_> = found.iter().map(|partition| partition.complete_before).collect();
    assert_eq!(ends, [Some(Hour(3)), None]);
    assert_eq!(found[1].held, Some(Held::Behind { committed: Offset(31), until: Offset(32) }));
}

#[test]
fn given_an_answer_without_a_partition_then_nothing_is_concluded() {
    let log = Log { times: vec![0], committed: 0, low: 0 };
    let known = Partition::of(partition(0), &log.facts());
    let mut search = Search::new(hourly(), Goal::Last, Hour(9), vec![known]);
    assert!(search.learn(&HashMap::new()).unwrap_err().contains("orders[0]"));
}

/// A log of some hundred hours with times in any order, a committed offset, and what retention left.
fn any_log() -> impl Strategy<Value = Log> {
    let record = 0..100 * HOUR;
    prop::collection::vec(record, 0..60).prop_flat_map(|times| {
        let len = i64::try_from(times.len()).unwrap();
        (Just(times), 0..=len, 0..=len).prop_map(|(times, committed, low)| Log { times, committed, low })
    })
}

/// Records in the order of a log, as (Kafka timestamp, event time), where none comes later than `lateness` after its hour.
fn obedient(lateness: i64) -> impl Strategy<Value = Vec<(i64, i64)>> {
    let draw = (0..100 * HOUR, 0..30 * HOUR, -40 * MINUTE..40 * MINUTE);
    prop::collection::vec(draw, 0..60).prop_map(move |draws| {
        let mut latest = 0;
        let mut clock = 0;
        let record = |(step, age, skew): (i64, i64, i64)| {
            clock += step / 20;
            let at = (clock + skew).max(0);
            latest = latest.max(at);
            // Its hour ends behind its time, so the lateness isn't over at any Kafka timestamp up to its own.
            let event = (at - age).max(latest - lateness).max(0);
            (at, event)
        };
        draws.into_iter().map(record).collect()
    })
}

/// A batch whose records go into the hour in which it was opened.
#[derive(Clone, Debug)]
struct ByProcessing {
    instant: i64,
    sealed: i64,
    /// When its records came into the log, by the brokers' clock.
    times: Vec<i64>,
}

/// Batches of one partition, each opened with its first record, when that had come, and sealed when the hour is over at the
/// latest.
fn by_processing() -> impl Strategy<Value = Vec<ByProcessing>> {
    let draw = (0..HOUR, prop_oneof![Just(0), 0..3 * HOUR], prop::bool::weighted(0.2));
    prop::collection::vec(draw, 0..60).prop_map(|draws| {
        let (mut came, mut taken) = (0, 0);
        let mut batches: Vec<ByProcessing> = Vec::new();
        for (gap, delay, seal) in draws {
            came += gap / 4;
            taken = taken.max(came + delay);
            let goes_on = |open: &&mut ByProcessing| !seal && open.instant / HOUR == taken / HOUR;
            match batches.last_mut().filter(goes_on) {
                Some(open) => {
                    open.times.push(came);
                    open.sealed = taken;
                }
                None => batches.push(ByProcessing { instant: taken, sealed: taken, times: vec![came] }),
            }
        }
        batches
    })
}

proptest! {
    #[test]
    fn given_any_logs_then_the_search_finds_what_asking_about_every_hour_would_and_soon(
        logs in prop::collection::vec(any_log(), 1..5),
        day: bool,
        last in 1_i64..130,
    ) {
        let rules = rules(if day { Granularity::Day } else { Granularity::Hour }, 10);
        let last = Hour::of(Hour(last).start(), rules.granularity);
        let (found, rounds) = search(rules, Goal::Last, last, &logs);
        prop_assert!(rounds <= 16, "{} rounds", rounds);
        for (log, found) in logs.iter().zip(found) {
            let known = Partition::of(partition(0), &log.facts());
            let ends = (0..=last.0).filter(|end| end % rules.step() == 0).map(Hour);
            let held = |end: Hour| known.held(end.start(), log.first(rules.over_at(end)));
            let complete: Vec<Hour> = ends.clone().filter(|end| held(*end).is_none()).collect();
            let later = ends.clone().skip(complete.len());
            prop_assert!(later.clone().all(|end| held(end).is_some()), "earlier hours are complete first");
            prop_assert_eq!(found.complete_before, complete.last().copied());
            prop_assert_eq!(found.held, later.clone().next().and_then(held));
        }
    }

    #[test]
    fn given_records_within_the_lateness_then_none_of_a_complete_hour_is_missing_or_still_comes(
        records in obedient(30 * MINUTE),
        committed in any::<prop::sample::Index>(),
        waited in 0..3 * HOUR,
    ) {
        let rules = rules(Granularity::Hour, 30);
        let arrived = committed.index(records.len() + 1);
        // What came so far; the rest comes later, and the clock is no further than that.
        let done = i64::try_from(committed.index(arrived + 1)).unwrap();
        let times: Vec<i64> = records[..arrived].iter().map(|(at, _)| *at).collect();
        let now = records[arrived..].iter().map(|(_, event)| event + 30 * MINUTE).min();
        let now = now.unwrap_or(times.iter().copied().max().unwrap_or_default() + waited);
        let log = Log { times, committed: done, low: 0 };
        let (found, _) = search(rules, Goal::Last, rules.last_over(UnixMillis(now)), &[log]);
        for (_, event) in &records[usize::try_from(done).unwrap()..] {
            let hour = Hour::of(UnixMillis(*event), Granularity::Hour);
            prop_assert!(found[0].complete_before.is_none_or(|end| hour >= end), "{hour} is called complete");
        }
    }

    #[test]
    fn given_hours_by_valves_clock_then_no_batch_of_a_complete_hour_is_uncommitted_or_still_opened(
        batches in by_processing(),
        committed in any::<prop::sample::Index>(),
        since in 0..3 * HOUR,
    ) {
        let rules = rules(Granularity::Hour, 0);
        let committed = committed.index(batches.len() + 1);
        // The committed ones are over by now; of the others, some may have been opened.
        let now = batches[..committed].last().map_or(0, |batch| batch.sealed) + since;
        let came = batches.iter().flat_map(|batch| &batch.times).copied().filter(|at| *at <= now);
        let done: usize = batches[..committed].iter().map(|batch| batch.times.len()).sum();
        let log = Log { times: came.collect(), committed: i64::try_from(done).unwrap(), low: 0 };
        let (found, _) = search(rules, Goal::Last, rules.last_over(UnixMillis(now)), &[log]);
        for batch in &batches[committed..] {
            let hour = Hour::of(UnixMillis(batch.instant), Granularity::Hour);
            prop_assert!(found[0].complete_before.is_none_or(|end| hour >= end), "{hour} is called complete");
        }
    }
}
