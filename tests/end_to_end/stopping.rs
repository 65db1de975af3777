//! Leaving well, leaving at once, and coming back: what is committed is stored, what is stored is stored once.

use std::time::Duration;

use serde_json::json;

use crate::auditing::audit;
use crate::event::{Event, orders};
use crate::patience::{stays, wait_until};
use crate::producer::Producer;
use crate::scene::Scene;
use crate::stack::Stack;
use crate::valve::{Settings, Valve};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_sigterm_then_what_was_read_is_stored_and_committed_and_the_exit_code_is_0,
    given_a_stop_in_the_middle_and_a_start_then_every_event_is_stored_once,
    given_a_crash_in_the_middle_and_a_start_then_every_event_is_stored_once,
    given_aborted_transactions_then_their_records_are_left_out_and_the_end_of_the_log_is_committed,
    given_a_second_signal_then_it_leaves_at_once,
    given_ctrl_c_then_what_was_read_is_stored_and_committed_and_the_exit_code_is_0,
    given_a_standard_error_that_nobody_reads_then_it_works_and_sigterm_ends_it_well,
];

/// Settings under which nothing but a stop seals a batch.
fn patient(settings: Settings) -> Settings {
    settings.with("VALVE_BATCH__MAX_AGE", "1h").with("VALVE_BATCH__MAX_IDLE", "1h")
}

fn given_sigterm_then_what_was_read_is_stored_and_committed_and_the_exit_code_is_0(stack: &Stack) {
    let mut scene = Scene::new(stack, 2);
    let produced = scene.produce(&orders(&scene.topic.clone(), 0..400, 2));
    // Many small batches get through at once; the last records stay in one that nothing but the signal seals.
    // One lane: a second one that joins would be given a partition, and its batch sealed before it is given up.
    let settings = patient(scene.settings()).with("VALVE_BATCH__MAX_RECORDS", "150").with("VALVE_LANES", "1");
    let valve = Valve::run(&settings);
    wait_until("the full batches", || scene.kafka.committed(&scene.name, &scene.topic) == [150, 150]);
    assert_eq!(scene.files().iter().map(|file| file.records.len()).sum::<usize>(), 300);
    // Fetched together with those before them, so read as soon as there was room for them.
    stays("only full batches", Duration::from_secs(1), || {
        scene.kafka.committed(&scene.name, &scene.topic) == [150, 150]
    });
    valve.stop();

    assert_eq!(scene.kafka.committed(&scene.name, &scene.topic), scene.kafka.ends(&scene.topic));
    scene.assert_stored(&produced);
}

fn given_a_standard_error_that_nobody_reads_then_it_works_and_sigterm_ends_it_well(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let produced = scene.produce(&orders(&scene.topic.clone(), 0..200, 1));
    let settings = patient(scene.settings()).with("VALVE_BATCH__MAX_RECORDS", "150").with("VALVE_LANES", "1");
    let valve = Valve::unheard(&settings);
    wait_until("the full batch", || scene.kafka.committed(&scene.name, &scene.topic) == [150]);
    valve.stop();
    assert_eq!(scene.kafka.committed(&scene.name, &scene.topic), [200]);
    scene.assert_stored(&produced);
}

fn given_ctrl_c_then_what_was_read_is_stored_and_committed_and_the_exit_code_is_0(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let produced = scene.produce(&orders(&scene.topic.clone(), 0..200, 1));
    let settings = patient(scene.settings()).with("VALVE_BATCH__MAX_RECORDS", "150").with("VALVE_LANES", "1");
    let mut valve = Valve::run(&settings);
    wait_until("the full batch", || scene.kafka.committed(&scene.name, &scene.topic) == [150]);
    valve.interrupt();
    assert_eq!(valve.exit_code(), Some(0));
    assert_eq!(scene.kafka.committed(&scene.name, &scene.topic), [200]);
    scene.assert_stored(&produced);
}

fn given_a_stop_in_the_middle_and_a_start_then_every_event_is_stored_once(stack: &Stack) {
    let mut scene = Scene::new(stack, 3);
    let topic = scene.topic.clone();
    let settings = scene.settings().with("VALVE_BATCH__MAX_RECORDS", "100");
    let mut produced = scene.produce(&orders(&topic, 0..1_000, 3));
    let mut next = 1_000;
    for _ in 0..3 {
        let valve = Valve::run(&settings);
        let before: i64 = scene.kafka.committed(&scene.name, &topic).iter().sum();
        produced.extend(scene.produce(&orders(&topic, next..next + 1_000, 3)));
        next += 1_000;
        wait_until("a commit", || scene.kafka.committed(&scene.name, &topic).iter().sum::<i64>() > before);
        produced.extend(scene.produce(&orders(&topic, next..next + 200, 3)));
        next += 200;
        valve.stop();
    }
    let valve = Valve::run(&settings);
    scene.wait_committed();
    valve.stop();
    scene.assert_stored(&produced);
}

fn given_a_crash_in_the_middle_and_a_start_then_every_event_is_stored_once(stack: &Stack) {
    let mut scene = Scene::new(stack, 3);
    let topic = scene.topic.clone();
    let settings = scene.settings().with("VALVE_BATCH__MAX_RECORDS", "100");
    let mut produced = scene.produce(&orders(&topic, 0..1_000, 3));
    let valve = Valve::run(&settings);
    wait_until("a commit", || scene.kafka.committed(&scene.name, &topic).iter().sum::<i64>() > 0);
    produced.extend(scene.produce(&orders(&topic, 1_000..1_200, 3)));
    valve.crash();

    let valve = Valve::run(&settings);
    scene.wait_committed();
    valve.stop();
    scene.assert_stored(&produced);
}

fn given_aborted_transactions_then_their_records_are_left_out_and_the_end_of_the_log_is_committed(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 1);
    let mut transactions = Producer::transactional(stack, &scene.name);
    let mut transaction = |ids: std::ops::Range<i64>, ends: &str| {
        transactions.obey(&[json!({"op": "begin"})]);
        let events: Vec<Event> = orders(&scene.topic, ids, 1);
        let produced = transactions.produce(&events);
        transactions.obey(&[json!({"op": ends})]);
        produced
    };
    let mut produced = transaction(0..10, "commit");
    transaction(10..15, "abort");
    produced.extend(transaction(15..20, "commit"));
    transaction(20..25, "abort");

    let valve = Valve::run(&scene.settings());
    scene.wait_committed();
    transaction(25..30, "abort");
    wait_until("the end of a log that ends in aborted records", || {
        scene.kafka.committed(&scene.name, &scene.topic) == scene.kafka.ends(&scene.topic)
    });
    valve.stop();
    assert_eq!(scene.kafka.committed(&scene.name, &scene.topic), scene.kafka.ends(&scene.topic));
    scene.assert_stored(&produced);
    // Five markers and fifteen aborted records are no rows, which the audit can't know.
    let [proven, dense] = [&[][..], &["--dense"]].map(|arguments| audit(&scene.settings(), arguments));
    assert_eq!((proven.code, dense.code), (Some(0), Some(1)), "{}{}", proven.text, dense.text);
    assert!(dense.text.contains("without a record"), "{}", dense.text);
}

fn given_a_second_signal_then_it_leaves_at_once(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    scene.produce(&orders(&scene.topic.clone(), 0..10, 1));
    // A batch whose storing never ends.
    let settings = scene
        .settings()
        .with("FAULT_POINT", "promised:hold=/nowhere/at/all")
        .with("VALVE_SHUTDOWN__DEADLINE", "10min");
    let mut valve = Valve::run(&settings);
    wait_until("the batch to be stored", || valve.output().contains("fault point reached"));

    valve.terminate();
    wait_until("the signal to be heard", || valve.output().contains("a second signal leaves at once"));
    stays("waiting for the store", Duration::from_secs(2), || valve.ended().is_none());
    valve.terminate();
    assert_eq!(valve.exit_code(), Some(143));
    assert_eq!(scene.kafka.committed(&scene.name, &scene.topic), [0]);
}
