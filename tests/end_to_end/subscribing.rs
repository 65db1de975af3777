//! Which topics are read, and under which group protocol.

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
    given_a_pattern_when_a_topic_appears_that_matches_then_it_is_read_too,
    given_a_topic_that_goes_away_then_it_is_let_go_and_the_others_are_read_on,
    given_topics_that_go_away_while_another_is_committed_then_that_one_is_committed_on,
    given_topics_from_the_registry_then_those_with_a_subject_are_read,
    given_the_consumer_group_protocol_then_events_are_stored_and_committed,
    given_two_valves_of_one_name_then_they_share_the_work_and_store_every_event_once,
];

fn given_a_pattern_when_a_topic_appears_that_matches_then_it_is_read_too(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let mut produced = scene.produce(&orders(&scene.topic.clone(), 0..10, 1));
    let valve = Valve::run(&Settings::new(stack, &scene.name, &format!("^{}\\..*", scene.name)));
    scene.wait_committed();

    let later = format!("{}.later", scene.name);
    scene.kafka.create_topic(&later, 2);
    produced.extend(scene.produce(&orders(&later, 10..30, 2)));
    scene.kafka.wait_committed(&scene.name, &later);
    valve.stop();
    scene.assert_stored(&produced);
}

fn given_a_topic_that_goes_away_then_it_is_let_go_and_the_others_are_read_on(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let mut produced = scene.produce(&orders(&scene.topic.clone(), 0..10, 1));
    let passing = format!("{}.passing", scene.name);
    scene.kafka.create_topic(&passing, 2);
    produced.extend(scene.produce(&orders(&passing, 10..30, 2)));
    let valve = Valve::run(&Settings::new(stack, &scene.name, &format!("^{}\\..*", scene.name)));
    scene.wait_committed();
    scene.kafka.wait_committed(&scene.name, &passing);

    scene.kafka.delete_topic(&passing);
    let partitions = || -> Vec<Value> {
        let status: Value = serde_json::from_str(&valve.get("/api/status").1).unwrap();
        status["partitions"]["shown"].as_array().unwrap().clone()
    };
    wait_until("its partitions to be let go", || {
        let shown = partitions();
        shown.len() == 1 && shown[0]["topic"] == scene.topic.as_str()
    });
    valve.wait_ready();
    produced.extend(scene.produce(&orders(&scene.topic.clone(), 30..40, 1)));
    scene.wait_committed();
    stays("ready, without a word of what is gone", Duration::from_secs(3), || {
        valve.get("/readyz").0 == 200 && partitions().len() == 1
    });
    valve.stop();
    scene.assert_stored(&produced);
}

fn given_topics_that_go_away_while_another_is_committed_then_that_one_is_committed_on(stack: &Stack) {
    let mut scene = Scene::new(stack, 8);
    let topic = scene.topic.clone();
    let passing: Vec<String> = (0..4).map(|index| format!("{}.passing-{index}", scene.name)).collect();
    let mut produced = Vec::new();
    for (passing, id) in passing.iter().zip(0..) {
        scene.kafka.create_topic(passing, 1);
        produced.extend(scene.produce(&orders(passing, id..id + 1, 1)));
    }
    // Batches of few records: there is something to commit nearly always, also when the client says that it has lost something.
    let settings = Settings::new(stack, &scene.name, &format!("^{}\\..*", scene.name));
    let valve = Valve::run(&settings.with("VALVE_LANES", "1").with("VALVE_BATCH__MAX_RECORDS", "5"));
    let mut next = 1_000;
    for passing in &passing {
        scene.kafka.wait_committed(&scene.name, passing);
        scene.kafka.delete_topic(passing);
        wait_until("it to be let go", || {
            produced.extend(scene.produce(&orders(&topic, next..next + 80, 8)));
            next += 80;
            let status: Value = serde_json::from_str(&valve.get("/api/status").1).unwrap();
            let shown = status["partitions"]["shown"].as_array().unwrap().clone();
            shown.iter().all(|partition| partition["topic"] != passing.as_str())
        });
        scene.wait_committed();
    }
    valve.stop();
    scene.assert_stored(&produced);
}

fn given_topics_from_the_registry_then_those_with_a_subject_are_read(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let produced = scene.produce(&orders(&scene.topic.clone(), 0..10, 1));
    let silent = format!("{}.silent", scene.name);
    scene.kafka.create_topic(&silent, 1);
    // Nothing but the subject is missing: whoever reads it can store it.
    let value = scene.producer.serialize(&orders(&scene.topic, 10..11, 1)[0]);
    scene.producer.produce_raw(&silent, Some(&value));
    // All topics of all tests have subjects, so this valve reads those, too: it has a bucket of its own.
    let bucket = crate::stack::unique("bucket");
    stack.create_bucket(&bucket);
    let settings = Settings::new(stack, &scene.name, "registry").with("VALVE_SINK__BUCKET", &bucket);
    let valve = Valve::run(&settings.with("VALVE_NULLS", "skip"));
    scene.wait_committed();
    let status: Value = serde_json::from_str(&valve.get("/api/status").1).unwrap();
    let shown = status["partitions"]["shown"].as_array().unwrap();
    assert!(shown.iter().all(|partition| partition["topic"] != silent.as_str()), "{shown:?}");
    // Not all of the other tests' partitions are shown; the log names each.
    let said = valve.output();
    assert!(said.contains(&scene.topic) && !said.contains(&silent), "{silent} was assigned");
    drop(valve);

    let mut files = files::in_bucket(stack, &bucket, &scene.name);
    assert!(files.iter().all(|file| file.place(&scene.name).0 != silent));
    files.retain(|file| file.place(&scene.name).0 == scene.topic);
    files::assert_holds_exactly(&files, &produced, &mut scene.producer);
}

fn given_the_consumer_group_protocol_then_events_are_stored_and_committed(stack: &Stack) {
    let mut scene = Scene::new(stack, 3);
    let produced = scene.produce(&orders(&scene.topic.clone(), 0..300, 3));
    let settings = scene.settings().with("VALVE_GROUP__PROTOCOL", "consumer");
    let settings = settings.without("VALVE_KAFKA__PROPERTIES__SESSION_TIMEOUT_MS");
    let valve = Valve::run(&settings.without("VALVE_KAFKA__PROPERTIES__HEARTBEAT_INTERVAL_MS"));
    valve.wait_ready();
    scene.wait_committed();
    valve.stop();
    scene.assert_stored(&produced);
    scene.assert_no_dead_letters();
}

fn given_two_valves_of_one_name_then_they_share_the_work_and_store_every_event_once(stack: &Stack) {
    let mut scene = Scene::new(stack, 4);
    let topic = scene.topic.clone();
    let settings = scene.settings().with("VALVE_BATCH__MAX_RECORDS", "100").with("VALVE_LANES", "1");
    let mut produced = scene.produce(&orders(&topic, 0..1_000, 4));
    let first = Valve::run(&settings);
    first.wait_ready();
    produced.extend(scene.produce(&orders(&topic, 1_000..2_000, 4)));
    let second = Valve::run(&settings);
    second.wait_ready();
    produced.extend(scene.produce(&orders(&topic, 2_000..3_000, 4)));
    scene.wait_committed();
    first.stop();
    produced.extend(scene.produce(&orders(&topic, 3_000..3_500, 4)));
    scene.wait_committed();
    second.stop();
    scene.assert_stored(&produced);
}
