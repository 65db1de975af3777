//! `valve intents`: a promise that can't be kept is shown, and let go by a person.

use serde_json::Value;

use crate::event::{Event, HOUR, SEVEN, orders};
use crate::scene::Scene;
use crate::stack::Stack;
use crate::taking_over::crash;
use crate::valve::{Settings, Valve, run};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_a_promise_whose_records_are_gone_then_it_is_shown_and_released_with_what_is_left_and_the_valve_goes_on,
    given_a_running_valve_then_nothing_is_released,
    given_nothing_promised_then_that_is_said_and_nothing_released,
];

fn settings(scene: &Scene<'_>) -> Settings {
    scene.settings().with("VALVE_BATCH__MAX_RECORDS", "100").with("VALVE_LANES", "1")
}

/// Exit code and output (on both streams) of a command on intents.
fn intents(settings: &Settings, arguments: &[&str]) -> (i32, String) {
    run(settings, &[&["intents"], arguments].concat())
}

fn release(scene: &Scene<'_>) -> (i32, String) {
    let arguments = ["release", "--topic", &scene.topic, "--partition", "0", "--yes"];
    intents(&settings(scene), &arguments)
}

fn given_a_promise_whose_records_are_gone_then_it_is_shown_and_released_with_what_is_left_and_the_valve_goes_on(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    let hourly = |id| Event::order(&topic, 1, id, SEVEN + id * HOUR);
    scene.produce(&(0..100).map(hourly).collect::<Vec<_>>());
    // Some of the hundred files are stored; the records of the first half are gone then.
    crash(&settings(&scene), "stored:10");
    scene.kafka.delete_before(&topic, 0, 50);
    scene.produce(&(100..130).map(hourly).collect::<Vec<_>>());
    let before: Vec<_> = scene.files();
    assert!((10..100).contains(&before.len()), "{} files", before.len());

    let (code, shown) = intents(&settings(&scene), &["show"]);
    assert!(code == 0 && shown.contains(&format!("{topic}[0]")) && shown.contains("[0, 100)"), "{shown}");
    let (_, json) = intents(&settings(&scene), &["show", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["intents"][0]["first"], &json["intents"][0]["end"]), (&0.into(), &100.into()));

    // The dead valve is a member until its session is over.
    crate::patience::wait_until("the group to be empty", || release(&scene).0 == 0);
    assert_eq!(scene.kafka.committed(&scene.name, &topic), [100]);
    let next = Valve::run(&settings(&scene));
    scene.wait_committed();
    next.stop();

    let mut ids: Vec<i64> =
        scene.files().iter().flat_map(|file| &file.records).map(|row| row["id"].as_i64().unwrap()).collect();
    ids.sort_unstable();
    let stored_before = before.iter().flat_map(|file| &file.records).map(|row| row["id"].as_i64().unwrap());
    let mut expected: Vec<i64> = stored_before.chain(50..130).collect();
    expected.sort_unstable();
    expected.dedup();
    assert_eq!(ids, expected, "what was stored before, and what could still be read");

    let (code, said) = run(&settings(&scene), &["audit"]);
    assert!(code == 3 && said.contains("released"), "on record as released: {said}");
}

fn given_a_running_valve_then_nothing_is_released(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    scene.produce(&orders(&scene.topic.clone(), 0..100, 1));
    crash(&settings(&scene), "promised");
    scene.kafka.delete_before(&scene.topic, 0, 50);
    let valve = Valve::run(&settings(&scene));
    valve.wait_unready(&format!("held {}[0]", scene.topic));
    let (code, said) = release(&scene);
    assert!(code == 1 && said.contains("has members"), "{said}");
    valve.stop();
    assert_eq!(scene.kafka.committed(&scene.name, &scene.topic), [0]);
}

fn given_nothing_promised_then_that_is_said_and_nothing_released(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    scene.produce(&orders(&scene.topic.clone(), 0..100, 1));
    let valve = Valve::run(&settings(&scene));
    scene.wait_committed();
    valve.stop();
    let (code, said) = release(&scene);
    assert!(code == 1 && said.contains("no batch is promised"), "{said}");
    let (code, said) = intents(&settings(&scene), &["show"]);
    assert!(code == 0 && said.contains("No batch is promised."), "{said}");
}
