//! `valve hours`: which hours are complete, asked beside what a valve has committed, and the marks in their folders.

use std::process::Stdio;
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::DateTime;
use serde_json::{Value, json};

use crate::auditing::{audit, local};
use crate::event::{Event, HOUR};
use crate::patience::wait_until;
use crate::producer::Producer;
use crate::scene::Scene;
use crate::stack::Stack;
use crate::taking_over::crash;
use crate::valve::{Settings, Valve, run};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_partitions_of_which_one_is_behind_then_hours_are_complete_up_to_there_and_it_is_named,
    given_records_out_of_order_then_the_lateness_decides_whether_their_hour_waits_for_them,
    given_an_open_transaction_then_its_hours_wait_for_its_end,
    given_a_partition_that_was_added_then_no_hour_is_complete_until_the_group_has_begun_there,
    given_a_promised_batch_then_its_hour_is_complete_when_the_next_owner_has_committed_it,
    given_records_that_retention_took_then_no_hour_is_complete_until_the_valve_has_gone_on,
    given_nothing_committed_or_no_topic_then_no_hour_is_complete,
    given_a_day_for_granularity_then_an_hour_is_asked_about_as_its_day,
    given_finished_hours_when_they_are_marked_then_each_once_and_audit_and_start_stored_do_not_mind,
    given_marks_in_a_directory_from_several_places_then_there_is_one_for_each_hour,
    given_what_is_wrong_or_away_then_the_exit_code_says_so,
];

/// The hour now, so that no retention takes the records of these tests: Kafka goes by their timestamps.
fn this_hour() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_millis()).unwrap() / HOUR * HOUR
}

/// As `--hour` takes it.
fn text(hour: i64) -> String {
    DateTime::from_timestamp_millis(hour).unwrap().format("%Y-%m-%dT%H").to_string()
}

/// An order of this time, by its field and by Kafka.
fn order(topic: &str, id: i64, partition: i64, at: i64) -> Value {
    let mut instruction = Event::order(topic, 1, id, at).in_partition(partition).instruction();
    instruction["timestamp"] = json!(at);
    instruction
}

/// One order in the middle of each of `hours`, in each of `partitions`.
fn produce(producer: &mut Producer, topic: &str, hours: &[i64], partitions: i64) {
    let of_hour = |hour: &i64| {
        let at = hour + HOUR / 2;
        (0..partitions).map(move |partition| order(topic, at + partition, partition, at))
    };
    producer.obey(&hours.iter().flat_map(of_hour).collect::<Vec<_>>());
}

/// A scene whose orders of these hours are stored and committed.
fn stored<'a>(stack: &'a Stack, partitions: i32, hours: &[i64]) -> Scene<'a> {
    let mut scene = Scene::new(stack, partitions);
    let topic = scene.topic.clone();
    produce(&mut scene.producer, &topic, hours, partitions.into());
    let valve = Valve::run(&scene.settings());
    scene.wait_committed();
    valve.stop();
    scene
}

/// Exit code and output (on both streams).
fn hours(settings: &Settings, arguments: &[&str]) -> (i32, String) {
    run(settings, &[&["hours"], arguments].concat())
}

fn is_complete(settings: &Settings, hour: i64) -> bool {
    let (code, said) = hours(settings, &["--hour", &text(hour)]);
    assert!([0, 5].contains(&code), "{code}: {said}");
    code == 0
}

fn json_of(settings: &Settings, arguments: &[&str]) -> Value {
    let (code, said) = hours(settings, &[arguments, &["--json"]].concat());
    let json: Value = serde_json::from_str(&said).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_eq!(json["exit_code"], code);
    json
}

/// The topic's hours before this one are complete.
fn complete_before(settings: &Settings) -> Option<String> {
    json_of(settings, &[])["topics"][0]["complete_before"].as_str().map(str::to_owned)
}

/// `_SUCCESS` in the folder of each of `hours`.
fn marks(scene: &Scene<'_>, hours: &[i64]) -> Vec<String> {
    let (name, topic) = (&scene.name, &scene.topic);
    let folder = |hour: &i64| Event::order(topic, 1, 0, *hour).hour();
    hours.iter().map(|hour| format!("{name}/{topic}/{}/_SUCCESS", folder(hour))).collect()
}

fn stored_marks(scene: &Scene<'_>) -> Vec<String> {
    let prefix = format!("{}/", scene.name);
    let keys: Vec<String> = scene.stack.lines_of("list_keys.py", &[&scene.stack.bucket, &prefix]);
    keys.into_iter().filter(|key| key.ends_with("/_SUCCESS")).collect()
}

fn given_partitions_of_which_one_is_behind_then_hours_are_complete_up_to_there_and_it_is_named(
    stack: &Stack,
) {
    let begin = this_hour() - 6 * HOUR;
    let hour = |n: i64| begin + n * HOUR;
    let mut scene = stored(stack, 3, &[hour(0), hour(1)]);
    let settings = scene.settings().with("VALVE_HOURS__LATENESS", "1 min");
    let everything = complete_before(&settings).unwrap();
    assert!(everything >= text(this_hour() - HOUR), "all is committed: {everything}");
    let (code, said) = hours(&settings, &["--hour", &text(this_hour())]);
    assert!(code == 5 && said.contains("it is over at"), "{said}");

    let topic = scene.topic.clone();
    let late: Vec<Value> = (2..5).map(|n| order(&topic, n, 1, hour(n) + HOUR / 2)).collect();
    scene.producer.obey(&late);
    assert_eq!(complete_before(&settings), Some(text(hour(2))));
    assert!(is_complete(&settings, hour(1)) && !is_complete(&settings, hour(2)));
    let (code, table) = hours(&settings, &[]);
    let row = table.lines().find(|line| line.starts_with(&topic)).unwrap();
    let cells: Vec<&str> = row.split_whitespace().collect();
    assert_eq!((code, &cells[1..3]), (0, &[&*text(hour(2)), "1"][..]), "{table}");
    assert!(row.ends_with("[2, 3) isn't committed yet"), "{table}");
    let (code, said) = hours(&settings, &["--topic", &topic, "--hour", &text(hour(3))]);
    assert!(code == 5 && said.contains(&format!("{topic}[1]: [2, 4) isn't committed yet")), "{said}");
    let json = json_of(&settings, &["--hour", &text(hour(3))]);
    let partitions = &json["topics"][0]["partitions"];
    assert_eq!((&json["complete"], &partitions[0]["complete"]), (&json!(false), &json!(true)));
    assert_eq!((&partitions[1]["held"], &partitions[1]["committed"]), (&json!("behind"), &json!(2)));

    let valve = Valve::run(&settings);
    scene.wait_committed();
    assert!(is_complete(&settings, hour(4)));
    valve.stop();
}

fn given_records_out_of_order_then_the_lateness_decides_whether_their_hour_waits_for_them(stack: &Stack) {
    let begin = this_hour() - 5 * HOUR;
    let mut scene = stored(stack, 1, &[begin, begin + HOUR]);
    let topic = scene.topic.clone();
    // It comes after one that is half an hour behind its hour's end.
    scene.producer.obey(&[order(&topic, 9, 0, begin + HOUR / 3)]);
    let settings = scene.settings();
    let ask = |lateness| hours(&settings, &["--hour", &text(begin), "--lateness", lateness]).0;
    assert_eq!((ask("10min"), ask("30min"), ask("31min")), (0, 0, 5));
    let by_setting = settings.clone().with("VALVE_HOURS__LATENESS", "31min");
    assert!(is_complete(&settings, begin) && !is_complete(&by_setting, begin));
}

fn given_an_open_transaction_then_its_hours_wait_for_its_end(stack: &Stack) {
    let begin = this_hour() - 5 * HOUR;
    let mut scene = stored(stack, 1, &[begin]);
    let topic = scene.topic.clone();
    assert!(is_complete(&scene.settings(), begin));
    let mut transaction = Producer::transactional(stack, &scene.name);
    transaction.obey(&[json!({"op": "begin"}), order(&topic, 1, 0, begin + HOUR / 4)]);
    produce(&mut scene.producer, &topic, &[begin + 2 * HOUR], 1);

    let valve = Valve::run(&scene.settings());
    valve.wait_ready();
    let (code, said) = hours(&scene.settings(), &["--hour", &text(begin)]);
    assert!(code == 5 && said.contains("[1, 2) waits for the end of a transaction"), "{said}");
    let json = json_of(&scene.settings(), &["--hour", &text(begin)]);
    assert_eq!(json["topics"][0]["partitions"][0]["held"], "open_transaction");

    transaction.obey(&[json!({"op": "commit"})]);
    wait_until("the hour to be complete", || is_complete(&scene.settings(), begin));
    valve.stop();
}

fn given_a_partition_that_was_added_then_no_hour_is_complete_until_the_group_has_begun_there(stack: &Stack) {
    let begin = this_hour() - 5 * HOUR;
    let scene = stored(stack, 1, &[begin]);
    scene.kafka.add_partitions(&scene.topic, 2);
    wait_until("the partition to be known", || scene.kafka.ends(&scene.topic).len() == 2);
    let (code, said) = hours(&scene.settings(), &["--hour", &text(begin)]);
    let why = format!("{}[1]: the group has committed nothing", scene.topic);
    assert!(code == 5 && said.contains(&why), "{said}");
    assert_eq!(complete_before(&scene.settings()), None);

    // It is empty; its beginning is committed nevertheless.
    let valve = Valve::run(&scene.settings());
    wait_until("the hour to be complete", || is_complete(&scene.settings(), begin));
    valve.stop();
}

fn given_a_promised_batch_then_its_hour_is_complete_when_the_next_owner_has_committed_it(stack: &Stack) {
    let begin = this_hour() - 5 * HOUR;
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    produce(&mut scene.producer, &topic, &[begin, begin + 2 * HOUR], 1);
    crash(&scene.settings(), "promised");
    let (code, said) = hours(&scene.settings(), &["--hour", &text(begin)]);
    assert!(code == 5 && said.contains("[0, 1) isn't committed yet"), "{said}");
    let valve = Valve::run(&scene.settings());
    scene.wait_committed();
    valve.stop();
    assert!(is_complete(&scene.settings(), begin));
}

fn given_records_that_retention_took_then_no_hour_is_complete_until_the_valve_has_gone_on(stack: &Stack) {
    let begin = this_hour() - 5 * HOUR;
    let mut scene = stored(stack, 1, &[begin]);
    let topic = scene.topic.clone();
    produce(&mut scene.producer, &topic, &[begin, begin + HOUR, begin + 2 * HOUR], 1);
    scene.kafka.delete_before(&topic, 0, 2);
    let (code, said) = hours(&scene.settings(), &["--hour", &text(begin)]);
    assert!(code == 5 && said.contains("[1, 2) is gone from the log"), "{said}");
    let valve = Valve::run(&scene.settings().with("VALVE_OUT_OF_RANGE", "earliest"));
    scene.wait_committed();
    valve.stop();
    assert!(is_complete(&scene.settings(), begin + HOUR));
}

fn given_nothing_committed_or_no_topic_then_no_hour_is_complete(stack: &Stack) {
    let begin = this_hour() - 5 * HOUR;
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    let (code, said) = hours(&scene.settings(), &["--hour", &text(begin)]);
    assert!(code == 5 && said.contains("the group has committed nothing"), "empty is not complete: {said}");
    let by_pattern = scene.settings().with("VALVE_TOPICS", &format!("^{topic}$"));
    assert_eq!(json_of(&by_pattern, &[])["topics"][0]["topic"], topic);
    produce(&mut scene.producer, &topic, &[begin], 1);
    let (code, said) = hours(&scene.settings(), &["--topic", "nothing-of-this-name", "--hour", &text(begin)]);
    assert!(code == 5 && said.contains("there is no such topic"), "{said}");
    let (code, said) = hours(&scene.settings(), &["--topic", "nothing-of-this-name", "--topic", &topic]);
    assert!(
        code == 1 && said.contains("there is no such topic") && said.contains("committed nothing"),
        "{code}: {said}"
    );
    assert_eq!(stored_marks(&scene), [""; 0]);
}

fn given_a_day_for_granularity_then_an_hour_is_asked_about_as_its_day(stack: &Stack) {
    let day = this_hour() / (24 * HOUR) * 24 * HOUR;
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    let settings = scene
        .settings()
        .with("VALVE_LAYOUT__GRANULARITY", "day")
        .with("VALVE_LAYOUT__KEY", "{topic}/{year}-{month}-{day}/{uuid}.avro");
    let before = day - 20 * HOUR;
    produce(&mut scene.producer, &topic, &[before], 1);
    let valve = Valve::run(&settings);
    scene.wait_committed();
    valve.stop();
    let (code, said) = hours(&settings, &["--hour", &text(day)]);
    assert!(code == 5 && said.contains("it is over at"), "today: {said}");
    // Around midnight, the day before waits for its lateness.
    let settings = settings.with("VALVE_HOURS__LATENESS", "0s");
    let (code, said) = hours(&settings, &["--hour", &text(before), "--mark"]);
    let folder = DateTime::from_timestamp_millis(before).unwrap().format("%Y-%m-%d");
    let mark = format!("{}/{topic}/{folder}/_SUCCESS", scene.name);
    assert!(code == 0 && said.contains(&format!("marked {mark}")), "{said}");
    assert_eq!(stored_marks(&scene), [mark]);
    assert_eq!(complete_before(&settings), Some(text(day)));
}

fn given_finished_hours_when_they_are_marked_then_each_once_and_audit_and_start_stored_do_not_mind(
    stack: &Stack,
) {
    let begin = this_hour() - 6 * HOUR;
    let hour = |n: i64| begin + n * HOUR;
    let mut scene = stored(stack, 2, &[hour(0), hour(2), hour(3)]);
    let topic = scene.topic.clone();
    scene.producer.obey(&[order(&topic, 1, 1, hour(3) + HOUR / 2)]);
    let settings = scene.settings();
    assert_eq!(complete_before(&settings), Some(text(hour(3))));
    assert_eq!(stored_marks(&scene), [""; 0], "asking marks nothing");

    let (code, said) = hours(&settings, &["--hour", &text(hour(3)), "--mark"]);
    assert!(code == 5 && !said.contains("marked"), "{said}");
    let (code, said) = hours(&settings, &["--hour", &text(hour(1)), "--mark"]);
    assert!(code == 0 && !said.contains("marked"), "an hour without files: {said}");
    let (code, said) = hours(&settings, &["--hour", &text(hour(2)), "--mark"]);
    let expected = marks(&scene, &[hour(0), hour(2)]);
    assert!(code == 0 && said.ends_with(&format!("marked {}\n", expected[1])), "{said}");
    assert_eq!(json_of(&settings, &["--mark"])["topics"][0]["marked"], json!([expected[0]]));
    assert_eq!(json_of(&settings, &["--mark"])["topics"][0]["marked"], json!([]));
    assert_eq!(stored_marks(&scene), expected);

    let audited = audit(&settings, &["--deep"]);
    assert_eq!(audited.code, Some(0), "{}", audited.text);
    scene.kafka.delete_group(&scene.name);
    assert_eq!(complete_before(&settings), None);
    let valve = Valve::run(&settings.clone().with("VALVE_START", "stored"));
    scene.wait_committed();
    valve.stop();
    let audited = audit(&settings, &["--deep"]);
    assert_eq!(audited.code, Some(0), "{}", audited.text);
    assert!(is_complete(&settings, hour(3)));
}

fn given_marks_in_a_directory_from_several_places_then_there_is_one_for_each_hour(stack: &Stack) {
    let begin = this_hour() - 8 * HOUR;
    let directory = tempfile::tempdir().unwrap();
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    produce(&mut scene.producer, &topic, &[0, 1, 2, 3, 4].map(|n| begin + n * HOUR), 1);
    let settings = local(scene.settings(), directory.path());
    let valve = Valve::run(&settings);
    scene.wait_committed();
    valve.stop();
    let places = [(); 3].map(|()| {
        let mut command = settings.command(&["hours", "--mark"]);
        command.stdout(Stdio::piped()).spawn().unwrap()
    });
    let outputs = places.map(|place| place.wait_with_output().unwrap());
    assert!(outputs.iter().all(|output| output.status.success()), "{outputs:?}");
    let said: Vec<String> =
        outputs.iter().map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).collect();
    assert_eq!(said.concat().matches("marked ").count(), 5, "{said:?}");
    for mark in marks(&scene, &[0, 1, 2, 3, 4].map(|n| begin + n * HOUR)) {
        assert_eq!(std::fs::metadata(directory.path().join(&mark)).unwrap().len(), 0, "{mark}");
    }
    assert_eq!(audit(&settings, &["--deep"]).code, Some(0));
}

fn given_what_is_wrong_or_away_then_the_exit_code_says_so(stack: &Stack) {
    let scene = stored(stack, 1, &[this_hour() - 5 * HOUR]);
    let settings = scene.settings();
    let flat = settings.clone().with("VALVE_LAYOUT__KEY", "{topic}/{year}{month}{day}/{hour}_{uuid}.avro");
    let (code, said) = hours(&flat, &["--mark"]);
    assert!(code == 2 && said.contains("layout.key"), "{said}");
    assert_eq!(hours(&flat, &[]).0, 0, "only marks need a folder for each hour");
    let (code, said) = hours(&settings.clone().with("VALVE_HOURS__LATENESS", "10"), &[]);
    assert!(code == 2 && said.contains("hours.lateness"), "{said}");
    assert_eq!(hours(&settings, &["--hour", "yesterday"]).0, 2);

    let nowhere = [
        ("VALVE_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1"),
        // It waits for a minute.
        ("VALVE_SINK__ENDPOINT", "http://127.0.0.1:1"),
    ];
    let asked = nowhere.map(|(variable, address)| {
        let settings = settings.clone().with(variable, address);
        thread::spawn(move || hours(&settings, &["--mark"]))
    });
    for (code, said) in asked.map(|asked| asked.join().unwrap()) {
        assert_eq!(code, 4, "{said}");
    }
}
