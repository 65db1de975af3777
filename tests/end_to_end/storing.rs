//! Events become rows in the files of their hours, whatever they look like and in whatever order they come.

use std::collections::BTreeSet;

use serde_json::json;

use crate::event::{Event, HOUR, ORDERS, SEVEN, orders};
use crate::files;
use crate::scene::Scene;
use crate::stack::{JavaMessage, Stack};
use crate::valve::{Settings, Valve};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_interleaved_schemas_and_hours_then_each_file_has_one_of_each_and_every_event_is_stored_once,
    given_a_schema_with_references_then_its_file_says_all_of_it,
    given_several_types_of_event_in_one_topic_then_a_file_holds_them_under_the_union,
    given_bytes_of_a_java_producer_then_fastavro_reads_the_same_records,
    given_late_events_then_they_are_in_the_files_of_their_own_hours,
    given_messages_without_a_value_then_they_are_skipped_and_committed,
    given_every_codec_then_fastavro_reads_the_files,
    given_a_local_sink_then_it_has_the_same_layout,
];

fn given_interleaved_schemas_and_hours_then_each_file_has_one_of_each_and_every_event_is_stored_once(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 3);
    let views = format!("{}.views", scene.name);
    scene.kafka.create_topic(&views, 2);
    let mut events = Vec::new();
    for id in 0..1_500 {
        let at = SEVEN + (id % 5) * HOUR + id * 1_000;
        let version = usize::try_from(id % 3).unwrap() + 1;
        events.push(Event::order(&scene.topic, version, id, at).in_partition(id % 3));
        if id % 3 == 0 {
            events.push(Event::page_view(&views, id, at).in_partition(id % 2));
        }
    }
    let produced = scene.produce(&events);

    let topics = format!("[{},{views}]", scene.topic);
    let valve = Valve::run(&Settings::new(stack, &scene.name, &topics));
    scene.wait_committed();
    scene.kafka.wait_committed(&scene.name, &views);
    valve.stop();

    scene.assert_stored(&produced);
    scene.assert_no_dead_letters();
    let schemas: BTreeSet<String> = scene.files().iter().map(|file| file.schema().to_owned()).collect();
    assert_eq!(schemas.len(), 4);
    let digests = scene.files().iter().filter(|file| file.metadata.contains_key("valve-digest")).count();
    assert_eq!(digests, scene.files().len(), "objects that say their digest");
}

fn given_a_schema_with_references_then_its_file_says_all_of_it(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let address = r#"{"type":"record","name":"Address","namespace":"people","fields":[{"name":"street","type":"string"},{"name":"city","type":"string"}]}"#;
    let subject = format!("{}-address", scene.name);
    let (_, version) = scene.producer.register(&subject, address, &json!([]));
    let delivery = r#"{"type":"record","name":"Delivery","namespace":"shop","fields":[{"name":"id","type":"long"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"from","type":"people.Address"},{"name":"to","type":["null","people.Address"]}]}"#;
    let references = json!([{"name": "people.Address", "subject": subject, "version": version}]);
    let event = |id: i64| {
        let to = if id % 2 == 0 { json!(null) } else { json!({"street": "Am Markt 1", "city": "Jena"}) };
        let value = json!({"id": id, "at": SEVEN, "from": {"street": "Ring 2", "city": "Ulm"}, "to": to});
        Event { references: references.clone(), ..Event::new(&scene.topic, delivery, value, SEVEN) }
    };
    let events: Vec<Event> = (0..10).map(event).collect();
    scene.produce(&events);

    let valve = Valve::run(&scene.settings());
    scene.wait_committed();
    valve.stop();

    // Not the registry's text: a reader has nothing but the file, so what is referred to is in it.
    let files = scene.files();
    files::assert_places(&files, &scene.name);
    let records: Vec<_> = files.iter().flat_map(|file| &file.records).collect();
    assert_eq!(records, events.iter().map(|event| &event.value).collect::<Vec<_>>());
    assert!(files.iter().all(|file| file.schema().contains(r#""street""#)));
    scene.assert_no_dead_letters();
}

fn given_several_types_of_event_in_one_topic_then_a_file_holds_them_under_the_union(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let refund = r#"{"type":"record","name":"Refund","namespace":"shop","fields":[{"name":"id","type":"long"},{"name":"at","type":{"type":"long","logicalType":"timestamp-millis"}}]}"#;
    let union = format!("[{},{refund}]", ORDERS[0]);
    let events: Vec<Event> = (0..20)
        .map(|id| {
            let order = Event { schema: union.clone(), ..Event::order(&scene.topic, 1, id, SEVEN) };
            if id % 2 == 0 {
                return Event { branch: Some("shop.Order"), ..order };
            }
            Event { branch: Some("shop.Refund"), value: json!({"id": id, "at": SEVEN}), ..order }
        })
        .collect();
    let produced = scene.produce(&events);

    let valve = Valve::run(&scene.settings());
    scene.wait_committed();
    valve.stop();

    scene.assert_stored(&produced);
    scene.assert_no_dead_letters();
}

/// Arrays and maps in blocks with negative counts and byte sizes, as only Java writes them.
fn given_bytes_of_a_java_producer_then_fastavro_reads_the_same_records(stack: &Stack) {
    let schema = r#"{"type":"record","name":"Basket","namespace":"shop","fields":[{"name":"id","type":"long"},{"name":"items","type":{"type":"array","items":"string"}},{"name":"counts","type":{"type":"map","values":"int"}},{"name":"note","type":["null","string"]}]}"#;
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    let (id, _) = scene.producer.register(&format!("{topic}-value"), schema, &json!([]));
    let messages = stack.encoded_by_java(schema, id, 200);
    let raw = |message: &JavaMessage| json!({"op": "raw", "topic": topic, "partition": 0, "bytes": message.message, "timestamp": SEVEN});
    scene.producer.obey(&messages.iter().map(raw).collect::<Vec<_>>());

    // The records are random, and so are their numbers: the hour comes from Kafka's timestamp.
    let valve = Valve::run(&scene.settings().with("VALVE_TIMESTAMP", "kafka"));
    scene.wait_committed();
    valve.stop();

    let files = scene.files();
    files::assert_places(&files, &scene.name);
    assert!(files.iter().all(|file| file.key.contains("/year=2024/month=03/day=10/hour=07/")));
    let stored: Vec<_> = files.iter().flat_map(|file| &file.records).collect();
    assert_eq!(stored, messages.iter().map(|message| &message.record).collect::<Vec<_>>());
    scene.assert_no_dead_letters();
}

fn given_late_events_then_they_are_in_the_files_of_their_own_hours(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let mut produced = scene.produce(&orders(&scene.topic.clone(), 0..100, 1));
    let valve = Valve::run(&scene.settings());
    scene.wait_committed();

    // Hours later, events of hours that have files already, and of a day long past.
    let on_time = (100..150).map(|id| Event::order(&scene.topic, 1, id, SEVEN + 9 * HOUR));
    let late = (150..200).map(|id| Event::order(&scene.topic, 1, id, SEVEN + (id % 2) * HOUR));
    let very_late = (200..210).map(|id| Event::order(&scene.topic, 1, id, SEVEN - 400 * 24 * HOUR));
    let events: Vec<Event> = on_time.chain(late).chain(very_late).collect();
    produced.extend(scene.produce(&events));
    scene.wait_committed();
    valve.stop();

    scene.assert_stored(&produced);
    scene.assert_no_dead_letters();
}

fn given_messages_without_a_value_then_they_are_skipped_and_committed(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    let mut produced = scene.produce(&orders(&topic, 0..5, 1));
    scene.producer.produce_raw(&topic, None);
    produced.extend(scene.produce(&orders(&topic, 5..10, 1)));
    scene.producer.produce_raw(&topic, None);

    let valve = Valve::run(&scene.settings());
    scene.wait_committed();
    valve.stop();

    scene.assert_stored(&produced);
    scene.assert_no_dead_letters();
}

fn given_every_codec_then_fastavro_reads_the_files(stack: &Stack) {
    let codecs = [("null", "null"), ("snappy", "snappy"), ("deflate-9", "deflate"), ("zstd-3", "zstandard")];
    for (setting, name) in codecs {
        let mut scene = Scene::new(stack, 1);
        let produced = scene.produce(&orders(&scene.topic.clone(), 0..200, 1));
        let valve = Valve::run(&scene.settings().with("VALVE_CODEC", setting));
        scene.wait_committed();
        valve.stop();

        scene.assert_stored(&produced);
        let headers = scene.files().into_iter().map(|file| file.header["avro.codec"].clone());
        assert_eq!(headers.collect::<BTreeSet<_>>(), [name.to_owned()].into());
    }
}

fn given_a_local_sink_then_it_has_the_same_layout(stack: &Stack) {
    let mut scene = Scene::new(stack, 2);
    let produced = scene.produce(&orders(&scene.topic.clone(), 0..200, 2));
    let directory = tempfile::tempdir().unwrap();
    let settings = scene.settings().without("VALVE_SINK__BUCKET").without("VALVE_SINK__ENDPOINT");
    let settings = settings.without("VALVE_SINK__PATH_STYLE").without("VALVE_SINK__REGION");
    let settings = settings.with("VALVE_SINK__TYPE", "local");
    let valve = Valve::run(&settings.with("VALVE_SINK__PATH", directory.path().to_str().unwrap()));
    scene.wait_committed();
    valve.stop();

    let files = files::in_directory(stack, directory.path());
    files::assert_places(&files, &scene.name);
    files::assert_holds_exactly(&files, &produced, &mut scene.producer);
}
