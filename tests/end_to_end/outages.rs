//! The world is bad: valve waits, says why, and goes on where it was. Nothing is dead-lettered, skipped or lost.

use std::time::Duration;

use crate::event::orders;
use crate::files;
use crate::patience::{stays, wait_until};
use crate::registry_proxy::{Mode, RegistryProxy};
use crate::scene::Scene;
use crate::stack::{Stack, unique};
use crate::valve::{Settings, Valve};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_a_registry_that_answers_500_then_valve_waits_and_says_so,
    given_a_registry_that_answers_nothing_then_valve_waits_and_says_so,
    given_a_bucket_that_doesnt_exist_then_valve_waits_until_it_does,
    given_credentials_that_are_wrong_then_nothing_is_committed_and_readyz_says_why,
    given_a_registry_that_isnt_there_at_the_start_then_valve_waits_and_says_so,
    given_a_kafka_that_isnt_there_at_the_start_then_valve_lives_and_says_so,
    given_a_store_outage_of_many_watchdog_periods_then_readyz_says_why_nothing_moves_and_livez_stays_well,
    given_a_lane_that_waits_for_nothing_that_will_come_then_the_watchdog_says_so_and_livez_fails,
];

fn given_a_kafka_that_isnt_there_at_the_start_then_valve_lives_and_says_so(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let mut valve = Valve::run(&scene.settings().with("VALVE_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1"));
    wait_until("the reason", || valve.get("/readyz").1.contains("127.0.0.1:1 failed: Connection refused"));
    // Longer than a lane may be silent: the lanes haven't begun.
    stays("living", Duration::from_secs(12), || valve.get("/livez").0 == 200);
    valve.terminate();
    assert_eq!(valve.exit_code(), Some(0), "nothing was read");
}

fn given_a_registry_that_answers_500_then_valve_waits_and_says_so(stack: &Stack) {
    recovers_from(stack, Mode::Fail);
}

fn given_a_registry_that_answers_nothing_then_valve_waits_and_says_so(stack: &Stack) {
    recovers_from(stack, Mode::Hang);
}

fn recovers_from(stack: &Stack, mode: Mode) {
    let mut scene = Scene::new(stack, 2);
    let produced = scene.produce(&orders(&scene.topic.clone(), 0..100, 2));
    let proxy = RegistryProxy::new(&stack.registry, mode);
    let valve = Valve::run(&scene.settings().with("VALVE_REGISTRY__URL", &proxy.url()));
    valve.wait_unready("registry");
    assert!(proxy.requests() > 0);
    // Longer than `registry.unknown_after`: an outage never makes an id unknown.
    stays("nothing committed", Duration::from_secs(3), || {
        scene.kafka.committed(&scene.name, &scene.topic) == [0, 0]
    });
    assert_eq!(valve.get("/livez").0, 200, "an outage is nothing that a restart mends");

    proxy.set(Mode::Forward);
    scene.wait_committed();
    valve.wait_ready();
    valve.stop();
    scene.assert_stored(&produced);
    scene.assert_no_dead_letters();
}

fn given_a_registry_that_isnt_there_at_the_start_then_valve_waits_and_says_so(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let produced = scene.produce(&orders(&scene.topic.clone(), 0..10, 1));
    let nobody = "http://127.0.0.1:1";
    let valve = Valve::run(&scene.settings().with("VALVE_REGISTRY__URL", nobody));
    valve.wait_unready("registry");
    assert_eq!(scene.kafka.committed(&scene.name, &scene.topic), [0]);
    valve.crash();

    // Under settings that are right, everything is still there.
    let valve = Valve::run(&scene.settings());
    scene.wait_committed();
    valve.stop();
    scene.assert_stored(&produced);
    scene.assert_no_dead_letters();
}

fn given_a_bucket_that_doesnt_exist_then_valve_waits_until_it_does(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let produced = scene.produce(&orders(&scene.topic.clone(), 0..50, 1));
    let bucket = unique("bucket");
    let valve = Valve::run(&scene.settings().with("VALVE_SINK__BUCKET", &bucket));
    let line = valve.wait_unready("sink");
    assert!(line.contains("NoSuchBucket") && line.contains("create the bucket"), "{line}");
    assert_eq!(scene.kafka.committed(&scene.name, &scene.topic), [0]);

    stack.create_bucket(&bucket);
    scene.wait_committed();
    valve.wait_ready();
    valve.stop();
    let files = files::in_bucket(stack, &bucket, &scene.name);
    files::assert_places(&files, &scene.name);
    files::assert_holds_exactly(&files, &produced, &mut scene.producer);
    scene.assert_no_dead_letters();
}

fn given_credentials_that_are_wrong_then_nothing_is_committed_and_readyz_says_why(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let produced = scene.produce(&orders(&scene.topic.clone(), 0..50, 1));
    let wrong: Settings = scene.settings().with("AWS_SECRET_ACCESS_KEY", "wrong");
    let mut valve = Valve::run(&wrong.with("VALVE_SHUTDOWN__DEADLINE", "3s"));
    let line = valve.wait_unready("sink");
    assert!(line.contains("SignatureDoesNotMatch") && line.contains("check them"), "{line}");
    stays("nothing committed", Duration::from_secs(2), || {
        scene.kafka.committed(&scene.name, &scene.topic) == [0]
    });
    valve.terminate();
    wait_until("the deadline of the shutdown", || valve.ended().is_some());
    assert_eq!(valve.exit_code(), Some(0), "nothing was read: what is stored must be known first");
    assert_eq!(scene.kafka.committed(&scene.name, &scene.topic), [0]);

    let valve = Valve::run(&scene.settings());
    scene.wait_committed();
    valve.stop();
    scene.assert_stored(&produced);
    scene.assert_no_dead_letters();
}

fn given_a_store_outage_of_many_watchdog_periods_then_readyz_says_why_nothing_moves_and_livez_stays_well(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 1);
    // Where the partition begins is settled while the store is well.
    scene.produce(&orders(&scene.topic.clone(), 0..10, 1));
    let valve = Valve::run(&scene.settings());
    scene.wait_committed();
    valve.stop();
    let produced = scene.produce(&orders(&scene.topic.clone(), 10..110, 1));
    let bucket = unique("bucket");
    // Two sealed batches, and the rest is a backlog.
    let settings =
        scene.settings().with("VALVE_SINK__BUCKET", &bucket).with("VALVE_BATCH__MAX_RECORDS", "10");
    let valve = Valve::run(&settings.with("VALVE_WATCHDOG__STALL", "1s").with("VALVE_LANES", "1"));
    let line = || valve.wait_unready("lane 0: no progress");
    wait_until("what the lane waits for", || line().contains("waits for its batches to be stored"));
    wait_until("the outage as a reason", || line().contains("sink: "));
    stays("living", Duration::from_secs(8), || valve.get("/livez").0 == 200);

    stack.create_bucket(&bucket);
    scene.wait_committed();
    valve.wait_ready();
    valve.stop();
    let files = files::in_bucket(stack, &bucket, &scene.name);
    files::assert_holds_exactly(&files, &produced, &mut scene.producer);
    scene.assert_no_dead_letters();
}

/// The registry's answer reaches the process, and the lane never hears of it: a bug, as far as anybody can see from outside.
fn given_a_lane_that_waits_for_nothing_that_will_come_then_the_watchdog_says_so_and_livez_fails(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 1);
    let produced = scene.produce(&orders(&scene.topic.clone(), 0..50, 1));
    let watched = scene.settings().with("VALVE_WATCHDOG__STALL", "3s").with("VALVE_LANES", "1");
    let valve = Valve::run(&watched.with("FAULT_POINT", "schema:1:on"));
    let line = valve.wait_unready("lane 0: no progress");
    assert!(line.contains(&format!("{}[0] (50) waits for a schema", scene.topic)), "{line}");
    assert!(valve.get("/metrics").1.contains("valve_stalls_total"), "it is counted");
    wait_until("/livez to fail", || valve.get("/livez").0 == 503);
    assert!(valve.get("/livez").1.contains("lane 0: no progress"));
    valve.crash();

    // A restart mends it.
    let valve = Valve::run(&scene.settings());
    scene.wait_committed();
    valve.stop();
    scene.assert_stored(&produced);
    scene.assert_no_dead_letters();
}
