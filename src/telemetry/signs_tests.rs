//! Which figures are shown as which sign, and what the verdict is then.

use super::*;
use crate::telemetry::lag::Lag;
use crate::types::UnixMillis;

fn sample(minute: i64) -> Sample {
    Sample {
        at: UnixMillis(minute * 60_000),
        consumed: 1_000,
        consume_failed: 0,
        rows: 1_000,
        dead_lettered: 0,
        offset_lag: None,
        time_lag: None,
        resident: None,
    }
}

fn reading(offset_lag: u64, time_lag: f64, age: u64) -> Reading {
    let lag = Lag { max_offset_lag: offset_lag, max_time_lag: time_lag, ..Lag::default() };
    Reading { lag, age: Duration::from_secs(age) }
}

/// The signs of a process that was in the state `before` for an hour and is in `now`, all else well, after `change`.
fn signs(before: Sample, now: Sample, change: impl FnOnce(&mut Facts<'_>)) -> Overview {
    let totals = Totals { consumed: now.consumed, rows: now.rows, ..Totals::default() };
    let reading = reading(0, 0.0, 3);
    let history = [before];
    let mut facts = Facts {
        now: &now,
        history: &history,
        totals: &totals,
        lag: Some(&reading),
        beginning: false,
        troubled: &[],
        batch_records: 1_000,
        memory_percent: Some(12.0),
    };
    change(&mut facts);
    facts.overview()
}

fn unchanged(change: impl FnOnce(&mut Facts<'_>)) -> Overview {
    signs(sample(0), sample(60), change)
}

#[test]
fn given_nothing_to_do_then_every_sign_is_well_and_so_is_the_verdict() {
    let overview = unchanged(|_| ());
    let words = overview.all().map(|(_, sign)| sign.word);
    assert_eq!(words, ["nothing new", "nothing to store", "none", "caught up", "within bounds"]);
    let verdict = judge(false, &[Membership::Member(1)], Ailments::default(), &overview);
    assert_eq!(verdict, Verdict { state: State::Well, reasons: Vec::new() });
}

#[test]
fn given_records_that_come_in_and_rows_that_are_stored_then_the_signs_say_so() {
    let now = Sample { consumed: 2_000, rows: 1_500, ..sample(60) };
    let overview = signs(sample(0), now, |_| ());
    assert_eq!((overview.consumed, overview.stored), (well("reading"), well("storing")));
    let now = Sample { consumed: 2_000, ..sample(60) };
    assert_eq!(signs(sample(0), now, |_| ()).stored, well("filling files"));
}

#[test]
fn given_records_of_long_ago_then_nothing_is_new() {
    let now = Sample { consumed: 2_000, ..sample(60) };
    let history = vec![sample(0), Sample { at: UnixMillis(58 * 60_000), ..now }];
    assert_eq!(signs(sample(0), now, |facts| facts.history = history.leak()).consumed, well("nothing new"));
}

#[test]
fn given_a_backlog_of_which_nothing_is_read_for_a_minute_then_that_needs_attention() {
    let backlog = Lag { backlog: 1, ..Lag::default() };
    let reading = leak(&Reading { lag: backlog, age: Duration::ZERO });
    let after = |seconds: i64| {
        let now = Sample { at: UnixMillis(seconds * 1_000), ..sample(0) };
        signs(sample(0), now, |facts| facts.lag = Some(reading)).consumed
    };
    assert_eq!((after(59), after(60)), (well("nothing new"), attention("waiting")));
}

#[test]
fn given_errors_in_records_places_lately_then_that_needs_attention() {
    let now = Sample { consume_failed: 1, ..sample(60) };
    assert_eq!(signs(sample(0), now, |_| ()).consumed, attention("errors"));
}

#[test]
fn given_a_dependency_in_trouble_then_its_figure_says_what_is_waited_for() {
    let troubled = |dependency| unchanged(|facts| facts.troubled = Vec::leak(vec![dependency]));
    assert_eq!(troubled(Dependency::Kafka).consumed, trouble("waiting for Kafka"));
    assert_eq!(troubled(Dependency::Sink).stored, trouble("waiting for the store"));
    assert_eq!(troubled(Dependency::Registry).stored, trouble("waiting for schemas"));
    assert_eq!(troubled(Dependency::DeadLetterTopic).dead_lettered, trouble("refused by their topic"));
    assert_eq!(troubled(Dependency::DeadLetterLimit).dead_lettered, trouble("over the limit"));
}

#[test]
fn given_one_bad_record_in_a_hundred_then_they_are_few_and_beyond_that_many() {
    let letters = |letters, rows| {
        let now = Sample { dead_lettered: letters, rows, ..sample(60) };
        signs(Sample { rows: 0, ..sample(0) }, now, |_| ()).dead_lettered
    };
    assert_eq!(letters(1, 99), well("a few"));
    assert_eq!(letters(1, 98), attention("many"));
    let old = Sample { dead_lettered: 9, ..sample(0) };
    assert_eq!(signs(old, Sample { at: sample(60).at, ..old }, |_| ()).dead_lettered, well("none lately"));
}

#[test]
fn given_lags_then_the_limits_are_those_to_scale_on() {
    let lag = |reading: Option<Reading>| unchanged(|facts| facts.lag = reading.as_ref().map(leak)).lag;
    assert_eq!(lag(None), well("not measured yet"));
    assert_eq!(lag(Some(reading(25_000, 7_200.0, 60))), well("keeping up"));
    assert_eq!(lag(Some(reading(25_001, 0.0, 0))), attention("behind"));
    assert_eq!(lag(Some(reading(1, 7_200.1, 0))), attention("behind"));
    assert_eq!(lag(Some(reading(0, 0.0, 61))), attention("out of date"));
}

fn leak(reading: &Reading) -> &'static Reading {
    Box::leak(Box::new(reading.clone()))
}

#[test]
fn given_memory_then_high_comes_before_nearly_full() {
    let memory = |percent| unchanged(|facts| facts.memory_percent = percent).memory;
    let signs = [None, Some(59.9), Some(60.0), Some(84.9), Some(85.0)].map(memory);
    let expected = [well("unknown"), well("within bounds"), attention("high"), attention("high")];
    assert_eq!(signs[..4], expected);
    assert_eq!(signs[4], trouble("nearly full"));
}

#[test]
fn given_lanes_and_ailments_then_the_worst_decides_and_every_reason_is_given() {
    let well = unchanged(|_| ());
    let high = unchanged(|facts| facts.memory_percent = Some(70.0));
    let (member, joining) = (Membership::Member(2), Membership::Joining);
    let ails = |troubles: &[&str]| Ailments {
        troubles: troubles.iter().map(ToString::to_string).collect(),
        others: Vec::new(),
    };
    let state = |lanes: &[Membership], troubles: &[&str], overview| {
        judge(false, lanes, ails(troubles), overview).state
    };
    assert_eq!(state(&[member, member], &[], &high), State::Attention);
    assert_eq!(state(&[member, joining], &[], &high), State::Starting);
    assert_eq!(state(&[member, joining], &["sink: 403"], &well), State::Trouble);
    assert_eq!(state(&[member, member], &[], &well), State::Well);
    assert_eq!(judge(true, &[member, joining], ails(&["sink: 403"]), &high).state, State::Stopping);

    let mut ails = ails(&["sink: 403"]);
    ails.others.push("lane 1: is joining the consumer group".to_owned());
    let blocked = unchanged(|facts| {
        facts.troubled = &[Dependency::Sink];
        facts.memory_percent = Some(70.0);
    });
    let reasons = judge(false, &[member, joining], ails, &blocked).reasons;
    assert_eq!(reasons, ["sink: 403", "lane 1: is joining the consumer group", "memory: high"]);
}
