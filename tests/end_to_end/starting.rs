//! Where a valve begins when its group's offsets are gone but its files are there, or are another tool's.

use std::time::Duration;

use crate::auditing::audit;
use crate::event::{Event, HOUR, SEVEN, orders};
use crate::patience::stays;
use crate::scene::Scene;
use crate::stack::Stack;
use crate::taking_over::crash;
use crate::valve::{Settings, Valve};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_offsets_that_kafka_forgot_then_it_does_not_start_over_and_with_start_stored_it_goes_on,
    given_a_last_batch_that_lacks_files_and_forgotten_offsets_then_it_is_promised_again_and_completed,
    given_offsets_of_the_tool_that_was_here_before_then_valve_stores_what_is_behind_them_and_the_audit_proves_that,
];

fn settings(scene: &Scene<'_>) -> Settings {
    scene.settings().with("VALVE_BATCH__MAX_RECORDS", "100").with("VALVE_LANES", "1")
}

fn given_offsets_that_kafka_forgot_then_it_does_not_start_over_and_with_start_stored_it_goes_on(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 2);
    let topic = scene.topic.clone();
    let mut produced = scene.produce(&orders(&topic, 0..250, 2));
    let valve = Valve::run(&settings(&scene));
    scene.wait_committed();
    valve.stop();
    scene.kafka.delete_group(&scene.name);
    produced.extend(scene.produce(&orders(&topic, 250..300, 2)));

    let valve = Valve::run(&settings(&scene));
    let reason = valve.wait_unready(&format!("held {topic}["));
    assert!(reason.contains("start = stored"), "{reason}");
    // Longer than a lane's reports are apart.
    stays("held", Duration::from_secs(3), || valve.get("/readyz").1.contains(&format!("held {topic}[")));
    let nothing = || scene.kafka.committed(&scene.name, &topic) == [0, 0];
    assert!(nothing(), "it has committed something");
    valve.stop();

    let valve = Valve::run(&settings(&scene).with("VALVE_START", "stored"));
    scene.wait_committed();
    valve.stop();
    scene.assert_stored(&produced);
}

fn given_a_last_batch_that_lacks_files_and_forgotten_offsets_then_it_is_promised_again_and_completed(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    // An hour apart: far more files than are stored at once.
    let events: Vec<_> = (0..250).map(|id| Event::order(&topic, 1, id, SEVEN + id * HOUR)).collect();
    let produced = scene.produce(&events);
    crash(&settings(&scene), "stored:1");
    scene.kafka.delete_group(&scene.name);
    let valve = Valve::run(&settings(&scene).with("VALVE_START", "stored"));
    scene.wait_committed();
    assert!(valve.output().contains("promised before"), "nothing was made again");
    valve.stop();
    scene.assert_stored(&produced);
}

/// As docs/migration.md has it: two partitions with offsets, and one that the other tool never stored anything of.
fn given_offsets_of_the_tool_that_was_here_before_then_valve_stores_what_is_behind_them_and_the_audit_proves_that(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 3);
    let topic = scene.topic.clone();
    let produced = scene.produce(&orders(&topic, 0..300, 3));
    let offsets = [40, 70, 0];
    scene.kafka.commit(&scene.name, &topic, &offsets[..2]);
    let valve = Valve::run(&settings(&scene));
    scene.wait_committed();
    valve.stop();

    let behind = |index: usize| i64::try_from(index / 3).unwrap() >= offsets[index % 3];
    let stored: Vec<_> = produced
        .into_iter()
        .enumerate()
        .filter(|(index, _)| behind(*index))
        .map(|(_, record)| record)
        .collect();
    assert_eq!(stored.len(), 60 + 30 + 100);
    scene.assert_stored(&stored);
    let audited = audit(&settings(&scene), &[]);
    assert_eq!(audited.code, Some(0), "{}", audited.text);
    for (partition, offset) in (0..).zip(offsets) {
        let begins = audited.text.lines().filter_map(|line| {
            let mut words = line.split_whitespace();
            (words.next()? == format!("{topic}[{partition}]")).then(|| words.next().map(str::to_owned))?
        });
        assert_eq!(begins.collect::<Vec<_>>(), [offset.to_string()], "{}", audited.text);
    }
}
