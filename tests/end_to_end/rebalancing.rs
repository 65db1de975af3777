//! Partitions that go to another member and come back, and logs that change under a running valve.

use std::time::Duration;

use serde_json::Value;

use crate::event::orders;
use crate::files;
use crate::patience::{stays, wait_until};
use crate::scene::Scene;
use crate::stack::Stack;
use crate::valve::{Settings, Valve};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_a_valve_that_joins_and_leaves_while_events_flow_then_the_first_takes_its_partitions_back,
    given_the_eager_protocol_and_a_valve_that_joins_and_leaves_then_every_event_is_stored_once,
    given_the_consumer_protocol_and_a_valve_that_joins_and_leaves_then_every_event_is_stored_once,
    given_a_store_that_stalls_when_another_valve_joins_then_revoked_batches_are_taken_over_and_no_membership_is_lost,
    given_retention_that_passes_a_running_valve_then_it_goes_on_behind_the_gap_and_reports_it,
    given_retention_and_the_default_policy_then_the_partition_is_held_and_the_others_go_on,
    given_a_topic_that_is_deleted_and_created_again_then_the_new_ones_events_are_stored,
    given_a_valve_that_slept_past_its_session_then_its_commits_are_refused_and_it_joins_again,
    given_a_lane_that_polls_too_late_then_another_takes_its_partitions_and_it_joins_again,
];

fn small_batches(scene: &Scene<'_>) -> Settings {
    scene.settings().with("VALVE_BATCH__MAX_RECORDS", "100").with("VALVE_LANES", "1")
}

fn join_and_leave(stack: &Stack, group: impl Fn(Settings) -> Settings) {
    let mut scene = Scene::new(stack, 4);
    let topic = scene.topic.clone();
    let settings = group(small_batches(&scene));
    let mut produced = scene.produce(&orders(&topic, 0..1_000, 4));
    let first = Valve::run(&settings);
    first.wait_ready();
    let mut next = 1_000;
    for _ in 0..2 {
        let second = Valve::run(&settings);
        second.wait_ready();
        produced.extend(scene.produce(&orders(&topic, next..next + 1_000, 4)));
        second.stop();
        produced.extend(scene.produce(&orders(&topic, next + 1_000..next + 2_000, 4)));
        next += 2_000;
        scene.wait_committed();
    }
    first.stop();
    scene.assert_stored(&produced);
}

fn given_a_valve_that_joins_and_leaves_while_events_flow_then_the_first_takes_its_partitions_back(
    stack: &Stack,
) {
    join_and_leave(stack, |settings| settings.with("VALVE_GROUP__ASSIGNMENT", "cooperative-sticky"));
}

fn given_the_eager_protocol_and_a_valve_that_joins_and_leaves_then_every_event_is_stored_once(stack: &Stack) {
    join_and_leave(stack, |settings| settings.with("VALVE_GROUP__ASSIGNMENT", "range"));
}

fn given_the_consumer_protocol_and_a_valve_that_joins_and_leaves_then_every_event_is_stored_once(
    stack: &Stack,
) {
    join_and_leave(stack, |settings| {
        let settings = settings.with("VALVE_GROUP__PROTOCOL", "consumer");
        let settings = settings.without("VALVE_KAFKA__PROPERTIES__SESSION_TIMEOUT_MS");
        settings.without("VALVE_KAFKA__PROPERTIES__HEARTBEAT_INTERVAL_MS")
    });
}

fn given_a_store_that_stalls_when_another_valve_joins_then_revoked_batches_are_taken_over_and_no_membership_is_lost(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 4);
    let topic = scene.topic.clone();
    let settings = small_batches(&scene).with("VALVE_REBALANCE__GRACE", "2s");
    let directory = tempfile::tempdir().unwrap();
    let let_go = directory.path().join("go on");
    // The first batch of each partition is stored; storing the second never ends. Nothing but their size ends them.
    let stalled = format!("promised:5:on:hold={}", let_go.display());
    let by_size = settings.clone().with("VALVE_BATCH__MAX_AGE", "1h").with("VALVE_BATCH__MAX_IDLE", "1h");
    let first = Valve::run(&by_size.with("FAULT_POINT", &stalled));
    let mut produced = scene.produce(&orders(&topic, 0..400, 4));
    scene.wait_committed();
    produced.extend(scene.produce(&orders(&topic, 400..800, 4)));
    wait_until("a promise in each partition", || promises(&settings) == 4);

    let second = Valve::run(&settings);
    let taken_over = || scene.kafka.committed(&scene.name, &topic).iter().filter(|at| **at == 200).count();
    wait_until("the second to finish what it took over", || taken_over() == 2);
    assert_eq!(first.get("/livez").0, 200);
    assert!(!first.output().contains("expelled"), "it lost its membership");
    assert_eq!(taken_over(), 2);

    std::fs::write(&let_go, "").unwrap();
    scene.wait_committed();
    second.stop();
    first.stop();
    scene.assert_stored(&produced);
}

/// How many batches are promised.
fn promises(settings: &Settings) -> usize {
    let shown = settings.command(&["intents", "show", "--json"]).output().unwrap();
    let shown: Value = serde_json::from_slice(&shown.stdout).unwrap();
    shown["intents"].as_array().unwrap().len()
}

fn given_retention_that_passes_a_running_valve_then_it_goes_on_behind_the_gap_and_reports_it(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    let settings = small_batches(&scene).with("VALVE_OUT_OF_RANGE", "earliest");
    let mut kept = scene.produce(&orders(&topic, 0..100, 1));
    let valve = Valve::run(&settings);
    scene.wait_committed();
    // More than one fetch brings: some of it is on its way already, the rest is gone when it is asked for.
    valve.freeze();
    let middle = scene.produce(&orders(&topic, 100..20_000, 1));
    scene.kafka.delete_before(&topic, 0, 19_950);
    kept.extend(middle.into_iter().skip(19_850));
    valve.thaw();
    wait_until("the report", || valve.output().contains("gone before they were read"));
    scene.wait_committed();
    kept.extend(scene.produce(&orders(&topic, 20_000..20_100, 1)));
    scene.wait_committed();
    valve.stop();
    let files = scene.files();
    files::assert_places(&files, &scene.name);
    files::assert_holds_all(&files, &kept, &mut scene.producer);
    let mut ids: Vec<i64> =
        files.iter().flat_map(|file| &file.records).map(|record| record["id"].as_i64().unwrap()).collect();
    let rows = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), rows, "an event is stored twice");
}

fn given_retention_and_the_default_policy_then_the_partition_is_held_and_the_others_go_on(stack: &Stack) {
    let mut scene = Scene::new(stack, 2);
    let topic = scene.topic.clone();
    let produced = scene.produce(&orders(&topic, 0..100, 2));
    let valve = Valve::run(&small_batches(&scene));
    scene.wait_committed();
    valve.stop();
    scene.produce(&orders(&topic, 100..200, 2));
    scene.kafka.delete_before(&topic, 0, 80);

    let valve = Valve::run(&small_batches(&scene));
    let reason = valve.wait_unready(&format!("held {topic}[0]"));
    assert!(reason.contains("out of range"), "{reason}");
    wait_until("the other partition", || scene.kafka.committed(&scene.name, &topic) == [50, 100]);
    stays("held", Duration::from_secs(1), || scene.kafka.committed(&scene.name, &topic) == [50, 100]);
    valve.stop();
    files::assert_holds_all(&scene.files(), &produced, &mut scene.producer);
}

fn given_a_topic_that_is_deleted_and_created_again_then_the_new_ones_events_are_stored(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    let mut produced = scene.produce(&orders(&topic, 0..500, 1));
    let valve = Valve::run(&small_batches(&scene));
    scene.wait_committed();
    valve.freeze();
    scene.kafka.delete_topic(&topic);
    scene.kafka.create_topic(&topic, 1);
    produced.extend(scene.produce(&orders(&topic, 500..600, 1)));
    valve.thaw();
    scene.wait_committed();
    produced.extend(scene.produce(&orders(&topic, 600..700, 1)));
    scene.wait_committed();
    valve.stop();
    scene.assert_stored(&produced);
}

fn given_a_valve_that_slept_past_its_session_then_its_commits_are_refused_and_it_joins_again(stack: &Stack) {
    let mut scene = Scene::new(stack, 2);
    let topic = scene.topic.clone();
    let directory = tempfile::tempdir().unwrap();
    let go_on = directory.path().join("go on");
    // Whatever it has read when it falls asleep is in a batch that only time seals, and its lane stands still until then.
    let sleepy = small_batches(&scene).with("VALVE_BATCH__MAX_RECORDS", "1000000");
    let mut produced = scene.produce(&orders(&topic, 0..400, 2));
    // Each partition may have to wait for the schema first. The third time, some records are in a batch.
    let held = format!("filling:3:hold={}", go_on.display());
    let first = Valve::run(&sleepy.clone().with("FAULT_POINT", &held));
    wait_until("its lane to stand still", || first.output().contains("fault point reached"));
    first.freeze();
    let second = Valve::run(&sleepy);
    scene.wait_committed();
    std::fs::write(&go_on, "").unwrap();
    first.thaw();
    produced.extend(scene.produce(&orders(&topic, 400..800, 2)));
    wait_until("it to learn that", || {
        first.output().contains("lost: the group expelled") || first.output().contains("was refused")
    });
    second.stop();
    produced.extend(scene.produce(&orders(&topic, 800..1_200, 2)));
    scene.wait_committed();
    first.stop();
    scene.assert_stored(&produced);
}

fn given_a_lane_that_polls_too_late_then_another_takes_its_partitions_and_it_joins_again(stack: &Stack) {
    let mut scene = Scene::new(stack, 2);
    let topic = scene.topic.clone();
    let directory = tempfile::tempdir().unwrap();
    let go_on = directory.path().join("go on");
    let settings = small_batches(&scene)
        .with("VALVE_REBALANCE__GRACE", "2s")
        .with("VALVE_KAFKA__PROPERTIES__MAX_POLL_INTERVAL_MS", "7000");
    let mut produced = scene.produce(&orders(&topic, 0..100, 2));
    // Its client goes on sending heartbeats while the lane's thread stands still with what it has just taken.
    let held = format!("filling:hold={}", go_on.display());
    let late = Valve::run(&settings.clone().with("FAULT_POINT", &held));
    wait_until("its lane to stand still", || late.output().contains("fault point reached"));
    let other = Valve::run(&settings);
    scene.wait_committed();
    std::fs::write(&go_on, "").unwrap();
    wait_until("it to learn that", || late.output().contains("maximum poll interval"));
    other.stop();
    late.wait_ready();
    produced.extend(scene.produce(&orders(&topic, 1_000..1_100, 2)));
    scene.wait_committed();
    late.stop();
    scene.assert_stored(&produced);
}
