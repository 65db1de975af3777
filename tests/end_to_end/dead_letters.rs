//! What can never be stored is kept in the dead-letter topic; what is around it is stored all the same.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use chrono::DateTime;
use serde_json::{Value, json};

use crate::event::{Event, SEVEN, incompressible, orders};
use crate::patience::{stays, wait_until};
use crate::scene::Scene;
use crate::stack::Stack;
use crate::valve::{Settings, Valve, run};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_a_wrong_magic_byte_then_it_is_a_dead_letter,
    given_an_empty_value_then_it_is_a_dead_letter,
    given_a_value_too_short_for_a_wire_header_then_it_is_a_dead_letter,
    given_a_first_byte_of_1_and_a_guid_then_it_is_a_dead_letter,
    given_a_schema_guid_in_a_header_then_it_is_a_dead_letter_with_that_header,
    given_a_record_that_was_replayed_for_another_valve_then_it_is_passed_over_and_counted,
    given_a_replayed_record_that_fails_again_then_its_letter_has_its_attempts_and_the_own_headers,
    given_dead_letters_then_they_are_listed_by_reason_and_shown_with_their_bytes,
    given_no_dead_letter_topic_then_list_says_that_there_are_none,
    given_a_truncated_datum_then_it_is_a_dead_letter,
    given_bytes_behind_the_datum_then_it_is_a_dead_letter,
    given_an_id_that_the_registry_doesnt_know_then_it_is_a_dead_letter,
    given_an_event_without_a_timestamp_field_then_it_is_a_dead_letter,
    given_a_timestamp_that_is_null_then_it_is_a_dead_letter,
    given_a_timestamp_out_of_range_then_it_is_a_dead_letter,
    given_a_schema_that_is_no_record_then_it_is_a_dead_letter,
    given_a_record_larger_than_allowed_then_it_is_a_dead_letter,
    given_that_nulls_are_dead_letters_then_a_message_without_a_value_is_one,
    given_many_kinds_of_bad_records_among_good_ones_then_each_goes_where_it_belongs,
    given_a_dead_letter_topic_that_refuses_then_nothing_is_committed_past_the_bad_record,
    given_a_dead_letter_topic_that_isnt_there_then_valve_creates_it,
    given_a_dead_letter_topic_that_is_away_for_a_minute_then_good_and_bad_records_are_where_they_belong,
    given_a_letter_larger_than_the_topic_allows_then_its_original_is_in_the_bucket_and_the_letter_says_where,
    given_more_bad_records_than_allowed_then_the_topic_rests_for_a_minute_and_others_go_on,
];

/// A bad value: as it comes, or none.
type Bad = Option<Vec<u8>>;

/// Produces a bad value among good ones: it must become one dead letter for `reason`, and they rows.
fn becomes_a_dead_letter(stack: &Stack, reason: &str, bad: impl FnOnce(&mut Scene<'_>) -> Bad) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    let bad = bad(&mut scene);
    let mut good = scene.produce(&orders(&topic, 0..7, 1));
    let at = scene.producer.produce_raw(&topic, bad.as_deref());
    good.extend(scene.produce(&orders(&topic, 7..10, 1)));

    let settings =
        scene.settings().with("VALVE_BATCH__MAX_RECORD_BYTES", "4 KiB").with("VALVE_NULLS", "deadletter");
    let valve = Valve::run(&settings);
    scene.wait_committed();
    valve.stop();

    scene.assert_stored(&good);
    let letters = scene.kafka.values(&scene.dead_letter_topic);
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_letter(&letters[0], &scene, at.offset, bad.as_deref());
    assert_eq!(letters[0]["reason"], reason, "{}", letters[0]);
}

/// The fields that those who read the topic rely on.
fn assert_letter(letter: &Value, scene: &Scene<'_>, offset: i64, value: Option<&[u8]>) {
    let names: Vec<&String> = letter.as_object().unwrap().keys().take(8).collect();
    let contract =
        ["processed_at", "processed_by", "exception", "topic", "message", "timestamp", "partition", "offset"];
    assert_eq!(names, contract);
    DateTime::parse_from_rfc3339(letter["processed_at"].as_str().unwrap()).unwrap();
    assert_eq!(letter["processed_by"], scene.name);
    assert!(!letter["exception"].as_str().unwrap().is_empty(), "{letter}");
    assert_eq!(letter["topic"], scene.topic);
    assert_eq!(letter["message"], value.map_or(Value::Null, |value| json!(BASE64.encode(value))));
    assert!(letter["timestamp"].as_i64().unwrap() > SEVEN, "when it was produced: {letter}");
    assert_eq!(letter["partition"], 0);
    assert_eq!(letter["offset"], offset);
}

/// The letters, each once and whole: between two tries at one, its topic may have begun to take it without its original.
fn whole_letters(scene: &Scene<'_>) -> Vec<Value> {
    let mut letters = scene.kafka.values(&scene.dead_letter_topic);
    letters.sort_by_key(|letter| letter["offset"].as_i64());
    letters.dedup_by_key(|letter| letter["id"].clone());
    let originals = scene.originals();
    for letter in &mut letters {
        if let Some(original) = originals.iter().find(|file| letter["original"]["key"] == *file.key) {
            letter["message"] = original.records[0]["value"].clone();
        }
    }
    letters
}

/// A valid value, to be spoilt.
fn order(scene: &mut Scene<'_>) -> Vec<u8> {
    let event = Event::order(&scene.topic, 1, 42, SEVEN);
    scene.producer.serialize(&event)
}

fn with_id(id: u32, datum: &[u8]) -> Vec<u8> {
    [&[0][..], &id.to_be_bytes(), datum].concat()
}

/// The bytes of an event of another schema.
fn other(scene: &mut Scene<'_>, fields: &str, value: Value) -> Bad {
    let schema = format!(r#"{{"type":"record","name":"Other","fields":[{fields}]}}"#);
    let event = Event::new(&scene.topic, &schema, value, SEVEN);
    Some(scene.producer.serialize(&event))
}

fn given_a_wrong_magic_byte_then_it_is_a_dead_letter(stack: &Stack) {
    becomes_a_dead_letter(stack, "wire_header", |scene| {
        let mut value = order(scene);
        value[0] = 2;
        Some(value)
    });
}

fn given_a_first_byte_of_1_and_a_guid_then_it_is_a_dead_letter(stack: &Stack) {
    becomes_a_dead_letter(stack, "schema_guid", |scene| {
        let datum = order(scene).split_off(5);
        Some([&[1][..], &[0xab; 16], &datum].concat())
    });
}

/// What valve makes of one value with headers, behind a good record: its letters.
fn letters_of(
    stack: &Stack,
    headers: impl FnOnce(&Scene<'_>) -> Vec<(&'static str, String)>,
) -> (Vec<Value>, Settings, String) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    let good = scene.produce(&orders(&topic, 0..3, 1));
    let headers = headers(&scene);
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let mut bad = order(&mut scene);
    bad.pop();
    scene.producer.produce_with_headers(&topic, Some(&bad), &headers);
    let valve = Valve::run(&scene.settings());
    scene.wait_committed();
    valve.stop();
    scene.assert_stored(&good);
    (scene.kafka.values(&scene.dead_letter_topic), scene.settings(), topic)
}

fn given_a_schema_guid_in_a_header_then_it_is_a_dead_letter_with_that_header(stack: &Stack) {
    let (letters, ..) =
        letters_of(stack, |_| vec![("__value_schema_id", "\u{1}0123456789abcdef".to_owned())]);
    assert_eq!(letters[0]["reason"], "schema_guid");
    assert_eq!(letters[0]["headers"][0]["name"], "__value_schema_id");
}

fn given_a_record_that_was_replayed_for_another_valve_then_it_is_passed_over_and_counted(stack: &Stack) {
    let (letters, settings, topic) = letters_of(stack, |_| vec![("valve-replay-for", "another".to_owned())]);
    assert_eq!(letters, [] as [Value; 0]);
    let (code, report) = run(&settings, &["audit", "--json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    let record = &report["records"][0];
    assert_eq!((code, &record["rows"], &record["skipped"]), (0, &3.into(), &1.into()), "{topic}: {report}");
}

fn given_a_replayed_record_that_fails_again_then_its_letter_has_its_attempts_and_the_own_headers(
    stack: &Stack,
) {
    let (letters, settings, _) = letters_of(stack, |scene| {
        vec![
            ("trace", "abc".to_owned()),
            ("valve-replay-for", scene.name.clone()),
            ("valve-replay-attempts", "2".to_owned()),
            ("valve-replay-first-failed", "2026-11-23T07:00:00.001Z".to_owned()),
            ("valve-replay-letter", "9b7f".to_owned()),
        ]
    });
    let letter = &letters[0];
    assert_eq!((&letter["attempts"], &letter["reason"]), (&3.into(), &"invalid_datum".into()));
    assert_eq!(letter["first_failed_at"], "2026-11-23T07:00:00.001Z");
    assert_eq!(letter["headers"], json!([{"name": "trace", "value": BASE64.encode("abc")}]));
    let (code, listed) = run(&settings, &["deadletters", "list", "--min-attempts", "3", "--json"]);
    assert!(code == 0 && listed.lines().count() == 1, "{listed}");
    let (_, listed) = run(&settings, &["deadletters", "list", "--min-attempts", "4"]);
    assert_eq!(listed, "There are no such dead letters.\n");
}

fn given_dead_letters_then_they_are_listed_by_reason_and_shown_with_their_bytes(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    for value in [b"short".as_slice(), b"\x1b[31m not Avro"] {
        scene.producer.produce_raw(&topic, Some(value));
    }
    // Well-formed, and out of range: it can be decoded.
    let mut event = Event::order(&topic, 1, 42, SEVEN);
    event.value["at"] = json!(SEVEN * 1_000);
    scene.produce(&[event]);
    let settings = scene.settings();
    let valve = Valve::run(&settings);
    scene.wait_committed();
    valve.stop();

    let (code, listed) = run(&settings, &["deadletters", "list"]);
    assert!(code == 0 && listed.contains("3 dead letters, 3 of them open"), "{listed}");
    let line = listed.lines().find(|line| line.starts_with("wire_header")).unwrap();
    assert!(line.contains(&topic) && line.split_whitespace().any(|cell| cell == "2"), "{listed}");

    let (_, listed) = run(&settings, &["deadletters", "list", "--reason", "no_timestamp", "--json"]);
    let letter: Value = serde_json::from_str(&listed).unwrap();
    assert_eq!((&letter["reason"], &letter["topic"]), (&"no_timestamp".into(), &json!(topic)));
    let (code, shown) = run(&settings, &["deadletters", "show", letter["place"].as_str().unwrap()]);
    assert!(code == 0 && shown.contains("no_timestamp") && shown.contains(r#""id": 42"#), "{shown}");

    let (_, shown) = run(&settings, &["deadletters", "show", "0/1"]);
    assert!(shown.contains("Not decoded: ") && shown.contains("1b 5b 33 31 6d 20 6e 6f"), "{shown}");
    assert!(!shown.contains('\u{1b}'), "{shown:?}");
    let (code, said) = run(&settings, &["deadletters", "show", "0/99"]);
    assert!(code == 1 && said.contains("0/99"), "{said}");
}

fn given_no_dead_letter_topic_then_list_says_that_there_are_none(stack: &Stack) {
    let scene = Scene::without_dead_letter_topic(stack, 1);
    let (code, listed) = run(&scene.settings(), &["deadletters", "list"]);
    assert!(
        code == 0 && listed.contains(&format!("there is no topic {}", scene.dead_letter_topic)),
        "{listed}"
    );
    let (code, said) = run(&scene.settings(), &["deadletters", "list", "--reason", "invalid_datm"]);
    assert!(code == 2 && said.contains("invalid_datum"), "{said}");
}

fn given_an_empty_value_then_it_is_a_dead_letter(stack: &Stack) {
    becomes_a_dead_letter(stack, "wire_header", |_| Some(Vec::new()));
}

fn given_a_value_too_short_for_a_wire_header_then_it_is_a_dead_letter(stack: &Stack) {
    becomes_a_dead_letter(stack, "wire_header", |_| Some(vec![0, 0, 0, 1]));
}

fn given_a_truncated_datum_then_it_is_a_dead_letter(stack: &Stack) {
    becomes_a_dead_letter(stack, "invalid_datum", |scene| {
        let mut value = order(scene);
        value.pop();
        Some(value)
    });
}

fn given_bytes_behind_the_datum_then_it_is_a_dead_letter(stack: &Stack) {
    becomes_a_dead_letter(stack, "invalid_datum", |scene| {
        let mut value = order(scene);
        value.push(0);
        Some(value)
    });
}

fn given_an_id_that_the_registry_doesnt_know_then_it_is_a_dead_letter(stack: &Stack) {
    becomes_a_dead_letter(stack, "unknown_schema", |scene| Some(with_id(2_000_000_000, &order(scene)[5..])));
}

fn given_an_event_without_a_timestamp_field_then_it_is_a_dead_letter(stack: &Stack) {
    becomes_a_dead_letter(stack, "no_timestamp", |scene| {
        other(scene, r#"{"name":"id","type":"long"}"#, json!({"id": 1}))
    });
}

fn given_a_timestamp_that_is_null_then_it_is_a_dead_letter(stack: &Stack) {
    becomes_a_dead_letter(stack, "no_timestamp", |scene| {
        let at = r#"{"name":"at","type":["null",{"type":"long","logicalType":"timestamp-millis"}]}"#;
        other(scene, at, json!({"at": null}))
    });
}

fn given_a_timestamp_out_of_range_then_it_is_a_dead_letter(stack: &Stack) {
    becomes_a_dead_letter(stack, "no_timestamp", |scene| {
        // Microseconds under a schema that says milliseconds: the year 56,157.
        let event = Event::order(&scene.topic, 1, 42, SEVEN);
        let mut event = event;
        event.value["at"] = json!(SEVEN * 1_000);
        Some(scene.producer.serialize(&event))
    });
}

fn given_a_schema_that_is_no_record_then_it_is_a_dead_letter(stack: &Stack) {
    becomes_a_dead_letter(stack, "unusable_schema", |scene| {
        let subject = format!("{}-text-value", scene.name);
        let (id, _) = scene.producer.register(&subject, r#""string""#, &json!([]));
        Some(with_id(id, b"\x0ahello"))
    });
}

fn given_a_record_larger_than_allowed_then_it_is_a_dead_letter(stack: &Stack) {
    becomes_a_dead_letter(stack, "too_large", |scene| {
        let mut event = Event::order(&scene.topic, 1, 42, SEVEN);
        event.value["customer"] = json!("x".repeat(5_000));
        Some(scene.producer.serialize(&event))
    });
}

fn given_that_nulls_are_dead_letters_then_a_message_without_a_value_is_one(stack: &Stack) {
    becomes_a_dead_letter(stack, "null_value", |_| None);
}

fn given_many_kinds_of_bad_records_among_good_ones_then_each_goes_where_it_belongs(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    let valid = order(&mut scene);
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    for round in 0..40 {
        good.extend(scene.produce(&orders(&topic, round * 5..round * 5 + 5, 1)));
        let value = match round % 4 {
            0 => vec![7; 9],
            1 => valid[..valid.len() - 1].to_vec(),
            2 => [&valid[..], &[0]].concat(),
            _ => with_id(2_000_000_001, &valid[5..]),
        };
        let at = scene.producer.produce_raw(&topic, Some(&value));
        bad.push((at.offset, value));
    }
    let valve = Valve::run(&scene.settings());
    scene.wait_committed();
    valve.stop();

    scene.assert_stored(&good);
    let letters = scene.kafka.values(&scene.dead_letter_topic);
    assert_eq!(letters.len(), bad.len());
    for (letter, (offset, value)) in letters.iter().zip(&bad) {
        assert_letter(letter, &scene, *offset, Some(value));
    }
}

fn given_a_dead_letter_topic_that_refuses_then_nothing_is_committed_past_the_bad_record(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    scene.kafka.limit_messages(&scene.dead_letter_topic, 10);
    let mut good = scene.produce(&orders(&topic, 0..3, 1));
    let bad = scene.producer.produce_raw(&topic, Some(b"not Avro"));
    good.extend(scene.produce(&orders(&topic, 3..6, 1)));

    let valve = Valve::run(&scene.settings());
    valve.wait_unready("dead_letter_topic");
    assert!(
        scene.kafka.committed(&scene.name, &topic)[0] <= bad.offset,
        "committed past what is stored nowhere"
    );

    scene.kafka.limit_messages(&scene.dead_letter_topic, 1_000_000);
    scene.wait_committed();
    valve.wait_ready();
    valve.stop();
    scene.assert_stored(&good);
    // At least once, they say; what matters is that it is there.
    assert_letter(&whole_letters(&scene)[0], &scene, bad.offset, Some(b"not Avro"));
}

fn given_a_dead_letter_topic_that_is_away_for_a_minute_then_good_and_bad_records_are_where_they_belong(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    let valve = Valve::run(&scene.settings().with("VALVE_BATCH__MAX_AGE", "2s"));
    let (mut good, mut bad) = (Vec::new(), Vec::new());
    let mut round = |scene: &mut Scene<'_>, index: i64| {
        good.extend(scene.produce(&orders(&topic, index * 5..index * 5 + 5, 1)));
        let value = format!("not Avro, {index}");
        let at = scene.producer.produce_raw(&topic, Some(value.as_bytes()));
        bad.push((at.offset, value));
        at.offset
    };
    round(&mut scene, 0);
    scene.wait_committed();
    scene.kafka.limit_messages(&scene.dead_letter_topic, 10);
    let first_refused = round(&mut scene, 1);
    valve.wait_unready("dead_letter_topic");
    for index in 2..14 {
        round(&mut scene, index);
        let what = "nothing is committed past what is stored nowhere";
        stays(what, Duration::from_secs(5), || {
            scene.kafka.committed(&scene.name, &scene.topic)[0] <= first_refused
        });
    }
    scene.kafka.limit_messages(&scene.dead_letter_topic, 1_000_000);
    valve.wait_ready();
    round(&mut scene, 14);
    scene.wait_committed();
    valve.stop();

    scene.assert_stored(&good);
    let letters = whole_letters(&scene);
    assert_eq!(letters.len(), bad.len());
    for (letter, (offset, value)) in letters.iter().zip(&bad) {
        assert_letter(letter, &scene, *offset, Some(value.as_bytes()));
    }
}

fn given_a_letter_larger_than_the_topic_allows_then_its_original_is_in_the_bucket_and_the_letter_says_where(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    scene.kafka.limit_messages(&scene.dead_letter_topic, 2_000);
    let good = scene.produce(&orders(&topic, 0..3, 1));
    let value = incompressible(5_000);
    let large = scene.producer.produce_with_headers(&topic, Some(&value), &[("trace", "abc")]);
    let small = scene.producer.produce_raw(&topic, Some(b"not Avro"));
    let settings = scene.settings();
    let valve = Valve::run(&settings);
    scene.wait_committed();
    valve.stop();

    let letters = scene.kafka.values(&scene.dead_letter_topic);
    let of = |offset: i64| letters.iter().find(|letter| letter["offset"] == offset).unwrap();
    assert_eq!(letters.len(), 2);
    assert_letter(of(small.offset), &scene, small.offset, Some(b"not Avro"));
    let letter = of(large.offset);
    assert_letter(letter, &scene, large.offset, None);
    assert_eq!(letter["original"]["place"], format!("s3://{}", stack.bucket));

    scene.assert_stored(&good);
    let originals = scene.originals();
    assert_eq!(originals.len(), 1);
    assert_eq!(letter["original"]["key"], originals[0].key);
    let headers = json!([{"name": "trace", "value": BASE64.encode("abc")}]);
    let row = json!({"key": null, "headers": headers, "value": BASE64.encode(&value)});
    assert_eq!(originals[0].records, [row]);

    let (code, report) = run(&settings, &["audit"]);
    assert!(code == 0 && report.contains("PROVEN"), "{report}");
    let (_, listed) = run(&settings, &["deadletters", "list", "--json"]);
    let listed: Vec<Value> = listed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let place = listed.iter().find(|letter| letter["offset"] == large.offset).unwrap()["place"].clone();
    let (code, shown) = run(&settings, &["deadletters", "show", place.as_str().unwrap()]);
    assert!(code == 0 && shown.contains(&originals[0].key) && shown.contains("5000 bytes"), "{shown}");

    // It comes back as it was: with its own bytes it fails once more.
    let (code, said) = run(&settings, &["deadletters", "replay"]);
    assert!(code == 0 && said.contains("Sent 2 records again."), "{said}");
    let valve = Valve::run(&settings);
    scene.wait_committed();
    valve.stop();
    let originals = scene.originals();
    assert_eq!(originals.len(), 2);
    assert_eq!(originals[0].records, originals[1].records);
}

fn given_more_bad_records_than_allowed_then_the_topic_rests_for_a_minute_and_others_go_on(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    let [other, ended] = ["others", "ended"].map(|name| format!("{}.{name}", scene.name));
    scene.kafka.create_topic(&other, 1);
    scene.kafka.create_topic(&ended, 1);
    // Of the second one nothing is left to be read.
    for (topic, count) in [(&topic, 30), (&ended, 21)] {
        for _ in 0..count {
            scene.producer.produce_raw(topic, Some(b"not Avro"));
        }
    }
    let settings = scene
        .settings()
        .with("VALVE_TOPICS", &format!("{topic},{other},{ended}"))
        .with("VALVE_DEADLETTER__MAX_PER_MINUTE", "20");
    let valve = Valve::run(&settings);
    let said = valve.wait_unready("dead_letter_limit");
    assert!(said.contains(&scene.name) && said.contains("deadletter.max_per_minute"), "{said}");
    wait_until("what was taken to be committed", || {
        [&topic, &ended].iter().all(|topic| scene.kafka.committed(&scene.name, topic) == [21])
    });
    let good = scene.produce(&orders(&other, 0..5, 1));
    scene.kafka.wait_committed(&scene.name, &other);
    assert_eq!(scene.kafka.ends(&scene.dead_letter_topic), [42]);

    scene.wait_committed();
    valve.wait_ready();
    valve.stop();
    assert_eq!(scene.kafka.ends(&scene.dead_letter_topic), [51]);
    scene.assert_stored(&good);
}

fn given_a_dead_letter_topic_that_isnt_there_then_valve_creates_it(stack: &Stack) {
    let mut scene = Scene::without_dead_letter_topic(stack, 1);
    let bad = scene.producer.produce_raw(&scene.topic.clone(), Some(b"not Avro"));
    let valve = Valve::run(&scene.settings());
    scene.wait_committed();
    valve.stop();
    assert_letter(&scene.kafka.values(&scene.dead_letter_topic)[0], &scene, bad.offset, Some(b"not Avro"));
}
