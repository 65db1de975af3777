//! Logs as brokers may have them: compressed, compacted, with large messages, with a partition more than before.

use std::collections::BTreeSet;

use crate::auditing::assert_proven;
use crate::event::{Event, HOUR, SEVEN, orders};
use crate::patience::wait_until;
use crate::producer::Producer;
use crate::scene::Scene;
use crate::stack::Stack;
use crate::valve::{Settings, Valve};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_batches_of_every_compression_then_every_event_is_stored_once,
    given_a_compacted_topic_then_what_is_left_of_it_is_stored_once_and_the_audit_proves_it,
    given_a_partition_that_is_added_under_a_running_valve_then_it_is_read_from_its_beginning,
];

fn given_batches_of_every_compression_then_every_event_is_stored_once(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let mut produced = Vec::new();
    let mut topics = Vec::new();
    for (codec, first) in
        ["gzip", "snappy", "lz4", "zstd", "uncompressed"].into_iter().zip((0..).step_by(500))
    {
        let topic = format!("{}.{codec}", scene.name);
        scene.kafka.create_topic(&topic, 2);
        // The broker compresses each batch anew that comes otherwise.
        scene.kafka.configure(&topic, &[("compression.type", codec)]);
        produced.extend(scene.produce(&orders(&topic, first..first + 500, 2)));
        topics.push(topic);
    }
    let settings = Settings::new(stack, &scene.name, &format!("^{}\\..*", scene.name));
    let valve = Valve::run(&settings);
    for topic in &topics {
        scene.kafka.wait_committed(&scene.name, topic);
    }
    valve.stop();
    scene.assert_stored(&produced);
    scene.assert_no_dead_letters();
    assert_proven(&settings);
}

fn given_a_compacted_topic_then_what_is_left_of_it_is_stored_once_and_the_audit_proves_it(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    let compacted = [
        ("cleanup.policy", "compact"),
        ("segment.ms", "100"),
        ("min.cleanable.dirty.ratio", "0.001"),
        ("delete.retention.ms", "0"),
    ];
    scene.kafka.configure(&topic, &compacted);
    // Three events of each key, in three hours.
    let event = |id: i64| Event::order(&topic, 1, id % 100, SEVEN + id / 100 * HOUR);
    let mut produced = scene.produce(&(0..300).map(event).collect::<Vec<_>>());
    wait_until("the topic to be compacted", || {
        // The segment that is written to isn't compacted, and only a record begins another one.
        produced.extend(scene.produce(&[event(0)]));
        scene.kafka.offsets(&topic).iter().filter(|offset| **offset < 200).count() == 0
    });
    let left: BTreeSet<i64> = scene.kafka.offsets(&topic).into_iter().collect();
    let left: Vec<_> = (0..)
        .zip(&produced)
        .filter(|(offset, _)| left.contains(offset))
        .map(|(_, event)| event.clone())
        .collect();
    assert!(!left.is_empty());

    let settings = scene.settings().with("VALVE_BATCH__MAX_RECORDS", "30");
    let valve = Valve::run(&settings);
    scene.wait_committed();
    valve.stop();
    scene.assert_stored(&left);
    scene.assert_no_dead_letters();
    assert_proven(&settings);
}

fn given_a_partition_that_is_added_under_a_running_valve_then_it_is_read_from_its_beginning(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    // Those that were there are read from their ends, those that come later all the same from their beginnings.
    let settings = scene.settings().with("VALVE_START", "latest");
    let valve = Valve::run(&settings);
    wait_until("it to consume", || valve.output().contains("consuming"));
    let mut produced = scene.produce(&orders(&topic, 0..100, 1));
    scene.wait_committed();

    scene.kafka.add_partitions(&topic, 3);
    wait_until("the partitions to be known", || scene.kafka.ends(&topic).len() == 3);
    // A client that knows of them.
    let mut producer = Producer::new(stack);
    produced.extend(producer.produce(&orders(&topic, 100..400, 3)));
    scene.wait_committed();
    valve.wait_ready();
    valve.stop();
    scene.assert_stored(&produced);
    assert_proven(&settings);
}
