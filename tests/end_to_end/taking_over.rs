//! A valve that dies or falls asleep just where it hurts, and the next owner of its partitions: each line of the takeover
//! table (docs/protocol.md). The valve is made to fail by a fault point (`src/fault_point.rs`).

use std::path::PathBuf;

use crate::event::{Event, orders};
use crate::patience::wait_until;
use crate::registry_proxy::{Mode, RegistryProxy};
use crate::scene::Scene;
use crate::stack::Stack;
use crate::valve::{Settings, Valve};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_a_crash_while_filling_then_every_event_is_stored_once,
    given_a_crash_after_the_promise_and_before_any_file_then_every_event_is_stored_once,
    given_a_crash_after_some_files_then_every_event_is_stored_once,
    given_a_crash_after_all_files_and_before_the_commit_then_every_event_is_stored_once,
    given_a_crash_after_the_commit_then_every_event_is_stored_once,
    given_a_zombie_that_wakes_before_its_first_file_then_every_event_is_stored_once,
    given_a_zombie_that_wakes_between_files_then_every_event_is_stored_once,
    given_a_zombie_that_wakes_before_its_commit_then_every_event_is_stored_once,
    given_another_layout_after_the_crash_then_the_promised_batch_is_made_under_its_own,
    given_a_batch_larger_than_the_memory_of_its_next_owner_then_it_is_made_in_passes,
    given_a_schema_that_the_registry_forgot_since_the_promise_then_it_is_waited_for_and_nothing_dead_lettered,
    given_a_promise_whose_records_are_gone_then_the_partition_is_held_and_the_others_go_on,
];

/// Batches of a few files each, the last records of a topic included.
fn settings(scene: &Scene<'_>) -> Settings {
    scene.settings().with("VALVE_BATCH__MAX_RECORDS", "100").with("VALVE_LANES", "1")
}

/// A valve that ends at the fault point. Its group forgets it when its session is over.
pub(crate) fn crash(settings: &Settings, point: &str) {
    let mut valve = Valve::run(&settings.clone().with("FAULT_POINT", point));
    assert_eq!(valve.exit_code(), None, "killed by a signal at {point}");
    assert!(valve.output().contains("fault point reached"), "it died elsewhere");
}

fn crash_and_take_over(stack: &Stack, point: &str) {
    let mut scene = Scene::new(stack, 2);
    let events = orders(&scene.topic, 0..600, 2);
    let mut produced = scene.produce(&events);
    crash(&settings(&scene), point);
    let next = Valve::run(&settings(&scene));
    let more = orders(&scene.topic, 600..700, 2);
    produced.extend(scene.produce(&more));
    scene.wait_committed();
    next.stop();
    scene.assert_stored(&produced);
}

fn given_a_crash_while_filling_then_every_event_is_stored_once(stack: &Stack) {
    crash_and_take_over(stack, "filling:2");
}

fn given_a_crash_after_the_promise_and_before_any_file_then_every_event_is_stored_once(stack: &Stack) {
    crash_and_take_over(stack, "promised:2");
}

fn given_a_crash_after_some_files_then_every_event_is_stored_once(stack: &Stack) {
    crash_and_take_over(stack, "stored:2");
}

fn given_a_crash_after_all_files_and_before_the_commit_then_every_event_is_stored_once(stack: &Stack) {
    crash_and_take_over(stack, "published:2");
}

fn given_a_crash_after_the_commit_then_every_event_is_stored_once(stack: &Stack) {
    crash_and_take_over(stack, "committed:2");
}

/// The valve stands still at the fault point and sleeps past its session; another one takes its partitions over and
/// finishes them; then it wakes and goes on from the point.
fn sleep_and_wake(stack: &Stack, point: &str) {
    let mut scene = Scene::new(stack, 2);
    let events = orders(&scene.topic, 0..600, 2);
    let mut produced = scene.produce(&events);
    let directory = tempfile::tempdir().unwrap();
    let released: PathBuf = directory.path().join("go on");
    let holding = format!("{point}:hold={}", released.display());
    let zombie = Valve::run(&settings(&scene).with("FAULT_POINT", &holding));
    wait_until("the fault point", || zombie.output().contains("fault point reached"));
    zombie.freeze();
    let owner = Valve::run(&settings(&scene));
    scene.wait_committed();
    std::fs::write(&released, "").unwrap();
    zombie.thaw();
    let more = orders(&scene.topic, 600..800, 2);
    produced.extend(scene.produce(&more));
    scene.wait_committed();
    wait_until("the zombie to notice", || {
        zombie.output().contains("lost: the group expelled") || zombie.output().contains("was refused")
    });
    owner.stop();
    scene.wait_committed();
    zombie.stop();
    scene.assert_stored(&produced);
}

fn given_a_zombie_that_wakes_before_its_first_file_then_every_event_is_stored_once(stack: &Stack) {
    sleep_and_wake(stack, "promised");
}

fn given_a_zombie_that_wakes_between_files_then_every_event_is_stored_once(stack: &Stack) {
    sleep_and_wake(stack, "stored:2");
}

fn given_a_zombie_that_wakes_before_its_commit_then_every_event_is_stored_once(stack: &Stack) {
    sleep_and_wake(stack, "published");
}

fn given_another_layout_after_the_crash_then_the_promised_batch_is_made_under_its_own(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let events = orders(&scene.topic, 0..100, 1);
    scene.produce(&events);
    let batch = |settings: Settings| settings.with("VALVE_BATCH__MAX_RECORDS", "60");
    crash(&batch(settings(&scene)), "stored:1");
    let today = batch(settings(&scene))
        .with("VALVE_SINK__PREFIX", &format!("{}/by-day", scene.name))
        .with("VALVE_LAYOUT__GRANULARITY", "day")
        .with("VALVE_LAYOUT__KEY", "{topic}/{year}-{month}-{day}/{uuid}.avro")
        .with("VALVE_CODEC", "null");
    let next = Valve::run(&today);
    scene.wait_committed();
    let said = next.stop_and_listen();
    // As JSON has it.
    for change in [r#"layout.granularity was \"hour\", is \"day\""#, r#"codec was \"snappy\", is \"null\""#] {
        assert!(said.contains(change), "{change}: {said}");
    }
    let files = scene.files();
    let by_day: usize =
        files.iter().filter(|file| file.key.contains("/by-day/")).map(|file| file.records.len()).sum();
    assert_eq!(by_day, 40, "what wasn't promised yet is stored by today's layout");
    let mut ids: Vec<_> = files.iter().flat_map(|file| &file.records).map(|row| row["id"].as_i64()).collect();
    ids.sort_unstable();
    assert_eq!(ids, (0..100).map(Some).collect::<Vec<_>>());
}

fn given_a_batch_larger_than_the_memory_of_its_next_owner_then_it_is_made_in_passes(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let events = orders(&scene.topic, 0..60_000, 1);
    let produced = scene.produce(&events);
    let large = settings(&scene)
        .with("VALVE_BATCH__MAX_RECORDS", "60000")
        .with("VALVE_BATCH__MAX_AGE", "1h")
        .with("VALVE_BATCH__MAX_IDLE", "1h");
    crash(&large, "promised");
    let small =
        settings(&scene).with("VALVE_BATCH__MAX_RECORD_BYTES", "100kB").with("VALVE_MEMORY__BUDGET", "10MiB");
    let next = Valve::run(&small);
    scene.wait_committed();
    assert!(next.output().contains("publishing it in passes"), "it fitted into memory");
    next.stop();
    scene.assert_stored(&produced);
}

fn given_a_schema_that_the_registry_forgot_since_the_promise_then_it_is_waited_for_and_nothing_dead_lettered(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 1);
    let produced = scene.produce(&orders(&scene.topic.clone(), 0..100, 1));
    crash(&settings(&scene), "promised");
    let registry = RegistryProxy::new(&stack.registry, Mode::Unknown);
    let next = Valve::run(&settings(&scene).with("VALVE_REGISTRY__URL", &registry.url()));
    wait_until("the registry to be waited for", || next.get("/readyz").1.contains("of a promised batch"));
    registry.set(Mode::Forward);
    scene.wait_committed();
    next.stop();
    scene.assert_stored(&produced);
    scene.assert_no_dead_letters();
}

fn given_a_promise_whose_records_are_gone_then_the_partition_is_held_and_the_others_go_on(stack: &Stack) {
    let mut scene = Scene::new(stack, 2);
    let topic = scene.topic.clone();
    scene.produce(&orders(&topic, 0..100, 1));
    crash(&settings(&scene), "promised");
    scene.kafka.delete_before(&topic, 0, 50);
    scene.produce(&in_second(&topic, 100));
    let next = Valve::run(&settings(&scene).with("VALVE_OUT_OF_RANGE", "earliest"));
    let reason = next.wait_unready(&format!("held {topic}[0]"));
    assert!(reason.contains("promised") && reason.contains("valve intents"), "{reason}");
    wait_until("the other partition", || scene.kafka.committed(&scene.name, &topic) == [0, 100]);
    next.stop();
    assert_eq!(scene.kafka.committed(&scene.name, &topic), [0, 100]);
}

fn in_second(topic: &str, count: i64) -> Vec<Event> {
    orders(topic, 1_000..1_000 + count, 1).into_iter().map(|event| event.in_partition(1)).collect()
}
