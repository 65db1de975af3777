//! `valve audit` beside the files that a valve stored: clean after a run, and anything that is missing is named.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

use serde_json::Value;

use crate::event::{Event, HOUR, SEVEN, orders};
use crate::patience::wait_until;
use crate::scene::Scene;
use crate::stack::Stack;
use crate::valve::{Settings, Valve};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_a_run_with_everything_in_it_then_the_audit_proves_it_and_its_json_says_the_counts,
    given_an_object_that_was_deleted_then_the_audit_names_it_and_the_code_is_1,
    given_rows_that_were_changed_then_only_the_deep_audit_finds_them,
    given_valves_that_were_killed_at_work_then_what_the_next_ones_made_of_it_is_proven,
    given_some_hours_then_they_are_audited_and_what_was_not_checked_is_said,
    given_days_for_granularity_then_whole_days_are_audited_and_one_without_files_is_told,
    given_a_lost_range_then_it_is_on_record_and_the_code_is_3,
    given_a_wrong_name_or_topic_then_nothing_is_proven,
    given_settings_that_changed_between_two_runs_then_the_audit_tells_both_layouts_and_proves_all_the_same,
    given_a_topic_without_committed_offsets_then_its_files_are_not_proven,
    given_a_partition_that_the_group_has_never_begun_then_it_is_noted_and_the_others_are_proven,
    given_a_topic_that_was_deleted_then_that_is_why_it_is_not_proven_and_the_other_one_is_by_its_name,
    given_an_output_that_takes_nothing_then_the_code_is_1,
    given_a_store_or_kafka_that_cant_be_reached_then_the_audit_ends_and_the_code_is_4,
];

/// What an audit said, and its exit code.
#[derive(Debug)]
pub(crate) struct Audited {
    pub(crate) code: Option<i32>,
    out: String,
    /// On both streams.
    pub(crate) text: String,
}

/// `valve audit` with further arguments.
pub(crate) fn audit(settings: &Settings, arguments: &[&str]) -> Audited {
    let output = settings.command(&[&["audit"], arguments].concat()).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let text = format!("{out}{}", String::from_utf8_lossy(&output.stderr));
    Audited { code: output.status.code(), out, text }
}

impl Audited {
    fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

/// The sum of a count over all partitions.
fn sum(report: &Value, count: &str) -> u64 {
    report["records"].as_array().unwrap().iter().map(|record| record[count].as_u64().unwrap()).sum()
}

/// The same settings with the files in a directory.
pub(crate) fn local(mut settings: Settings, directory: &Path) -> Settings {
    for variable in ["BUCKET", "ENDPOINT", "PATH_STYLE", "REGION"] {
        settings = settings.without(&format!("VALVE_SINK__{variable}"));
    }
    settings.with("VALVE_SINK__TYPE", "local").with("VALVE_SINK__PATH", directory.to_str().unwrap())
}

/// The audit says that every offset is stored exactly once.
pub(crate) fn assert_proven(settings: &Settings) {
    let audited = audit(settings, &[]);
    assert_eq!(audited.code, Some(0), "{}", audited.text);
    assert!(audited.text.contains("PROVEN"), "{}", audited.text);
}

/// All files below a directory.
fn files_below(directory: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.flat_map(|path| if path.is_dir() { files_below(&path) } else { vec![path] }).collect();
    files.sort_unstable();
    files
}

fn given_a_run_with_everything_in_it_then_the_audit_proves_it_and_its_json_says_the_counts(stack: &Stack) {
    let mut scene = Scene::new(stack, 3);
    let topic = scene.topic.clone();
    let event = |id: i64| {
        let version = usize::try_from(id % 3).unwrap() + 1;
        Event::order(&topic, version, id, SEVEN + (id % 4) * HOUR).in_partition(id % 3)
    };
    scene.produce(&(0..300).map(event).collect::<Vec<_>>());
    scene.producer.produce_raw(&topic, Some(b"no wire header"));
    scene.producer.produce_raw(&topic, None);
    let settings = scene.settings();
    let valve = Valve::run(&settings);
    scene.wait_committed();
    scene.produce(&(300..600).map(event).collect::<Vec<_>>());
    scene.wait_committed();
    // The audit runs beside a valve that is at work.
    let audited = audit(&settings, &["--deep", "--dense", "--json"]);
    assert_eq!(audited.code, Some(0), "{}", audited.text);
    let report = audited.json();
    assert_eq!(report["verdict"], "clean");
    let counts = ["rows", "dead_letters", "skipped"].map(|count| sum(&report, count));
    assert_eq!(counts, [600, 1, 1], "{report}");
    assert_eq!(report["records"].as_array().unwrap().len(), 3);
    valve.stop();

    assert_proven(&settings);
}

fn given_an_object_that_was_deleted_then_the_audit_names_it_and_the_code_is_1(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    scene.produce(&orders(&scene.topic.clone(), 0..200, 1));
    let late = |id| Event::order(&scene.topic, 1, id, SEVEN + 5 * HOUR);
    let late: Vec<Event> = (200..210).map(late).collect();
    scene.produce(&late);
    let valve = Valve::run(&scene.settings());
    scene.wait_committed();
    valve.stop();
    let gone = scene.files().last().unwrap().key.clone();
    scene.delete(&gone);

    let audited = audit(&scene.settings(), &[]);
    assert_eq!(audited.code, Some(1), "{}", audited.text);
    let named = audited.text.contains(&format!("missing file: {gone}")) || audited.text.contains("gap");
    assert!(named, "{gone}: {}", audited.text);
    let report = audit(&scene.settings(), &["--json"]).json();
    assert_eq!(report["verdict"], "wrong");
    assert_eq!(report["records"][0]["findings"].as_array().unwrap().len(), 1, "{report}");
}

fn given_rows_that_were_changed_then_only_the_deep_audit_finds_them(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    scene.produce(&orders(&scene.topic.clone(), 0..50, 1));
    let directory = tempfile::tempdir().unwrap();
    let settings = local(scene.settings(), directory.path()).with("VALVE_CODEC", "null");
    let valve = Valve::run(&settings);
    scene.wait_committed();
    valve.stop();
    assert_eq!(audit(&settings, &["--deep"]).code, Some(0));

    let file = files_below(directory.path()).remove(0);
    let mut bytes = fs::read(&file).unwrap();
    // The last byte before the last marker is a letter of a customer's name.
    let at = bytes.len() - 17;
    bytes[at] ^= 1;
    fs::write(&file, bytes).unwrap();
    assert_eq!(audit(&settings, &[]).code, Some(0));
    let audited = audit(&settings, &["--deep"]);
    assert_eq!(audited.code, Some(1), "{}", audited.text);
    assert!(audited.text.contains(file.file_name().unwrap().to_str().unwrap()), "{}", audited.text);
}

fn given_valves_that_were_killed_at_work_then_what_the_next_ones_made_of_it_is_proven(stack: &Stack) {
    let mut scene = Scene::new(stack, 2);
    scene.produce(&orders(&scene.topic.clone(), 0..2_000, 2));
    let settings = scene.settings().with("VALVE_BATCH__MAX_RECORDS", "100");
    for files in [1, 10, 20] {
        let valve = Valve::run(&settings);
        wait_until("more files", || scene.files().len() >= files);
        valve.crash();
    }
    let valve = Valve::run(&settings);
    scene.wait_committed();
    valve.stop();

    let audited = audit(&settings, &["--deep", "--json"]);
    assert_eq!(audited.code, Some(0), "{}", audited.text);
    assert_eq!(sum(&audited.json(), "rows"), 2_000);
}

fn given_some_hours_then_they_are_audited_and_what_was_not_checked_is_said(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    let event = |id: i64| Event::order(&topic, 1, id, SEVEN + (id % 4) * HOUR);
    scene.produce(&(0..100).map(event).collect::<Vec<_>>());
    let valve = Valve::run(&scene.settings());
    scene.wait_committed();
    valve.stop();

    let hours = ["--from", "2024-03-10T08", "--to", "2024-03-10T10"];
    let audited = audit(&scene.settings(), &hours);
    assert_eq!(audited.code, Some(0), "{}", audited.text);
    assert!(audited.text.contains("not checked"), "{}", audited.text);
    let gone = scene.files().into_iter().find(|file| file.key.contains("hour=09")).unwrap().key;
    scene.delete(&gone);
    let audited = audit(&scene.settings(), &hours);
    assert_eq!(audited.code, Some(1), "{}", audited.text);
    assert!(audited.text.contains(&format!("missing file: {gone}")), "{}", audited.text);
    let others = ["--from", "2024-03-10T07", "--to", "2024-03-10T08"];
    assert_eq!(audit(&scene.settings(), &others).code, Some(0));
}

fn given_days_for_granularity_then_whole_days_are_audited_and_one_without_files_is_told(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    let event = |id: i64| Event::order(&topic, 1, id, SEVEN + (id % 4) * HOUR);
    scene.produce(&(0..100).map(event).collect::<Vec<_>>());
    let settings = scene.settings().with("VALVE_LAYOUT__GRANULARITY", "day");
    let valve = Valve::run(&settings);
    scene.wait_committed();
    valve.stop();

    let nothing = "no file of this valve lies in these hours";
    let audited = audit(&settings, &["--from", "2024-03-10T08", "--to", "2024-03-10T10"]);
    assert_eq!(audited.code, Some(0), "{}", audited.text);
    assert!(audited.text.contains("from 2024-03-10T00 to 2024-03-11T00"), "{}", audited.text);
    assert!(audited.out.ends_with("CONSISTENT: what was looked at fits together\n"), "{}", audited.text);
    assert!(!audited.text.contains(nothing), "{}", audited.text);
    let audited = audit(&settings, &["--from", "2024-03-11T08", "--to", "2024-03-11T10"]);
    assert_eq!(audited.code, Some(0), "{}", audited.text);
    assert!(audited.out.ends_with(&format!("CONSISTENT, but {nothing}\n")), "{}", audited.text);
}

fn given_a_lost_range_then_it_is_on_record_and_the_code_is_3(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    scene.produce(&orders(&topic, 0..50, 1));
    let settings = scene.settings().with("VALVE_OUT_OF_RANGE", "earliest");
    let valve = Valve::run(&settings);
    scene.wait_committed();
    valve.stop();
    scene.produce(&orders(&topic, 50..100, 1));
    scene.kafka.delete_before(&topic, 0, 70);
    let valve = Valve::run(&settings);
    scene.wait_committed();
    valve.stop();

    let audited = audit(&settings, &[]);
    assert_eq!(audited.code, Some(3), "{}", audited.text);
    assert!(audited.text.contains("lost before it was read: [50, 70), 20 offsets"), "{}", audited.text);
    assert_eq!(sum(&audit(&settings, &["--json"]).json(), "rows"), 80);
}

/// A scene whose events a valve has stored.
fn stored(stack: &Stack) -> Scene<'_> {
    let mut scene = Scene::new(stack, 1);
    scene.produce(&orders(&scene.topic.clone(), 0..20, 1));
    let valve = Valve::run(&scene.settings());
    scene.wait_committed();
    valve.stop();
    scene
}

fn given_a_wrong_name_or_topic_then_nothing_is_proven(stack: &Stack) {
    let scene = stored(stack);
    assert_eq!(audit(&scene.settings(), &["--topic", &scene.topic]).code, Some(0));
    for (settings, arguments) in [
        (scene.settings(), ["--topic", "nothing-of-this-name"]),
        (scene.settings().with("VALVE_NAME", "nobody"), ["--topic", &scene.topic]),
        (scene.settings().with("VALVE_SINK__PREFIX", "nowhere"), ["--topic", &scene.topic]),
    ] {
        let audited = audit(&settings, &arguments);
        assert_eq!(audited.code, Some(1), "{}", audited.text);
    }
}

fn given_a_topic_without_committed_offsets_then_its_files_are_not_proven(stack: &Stack) {
    let scene = stored(stack);
    scene.kafka.delete_group(&scene.name);

    let audited = audit(&scene.settings(), &[]);
    assert_eq!(audited.code, Some(1), "{}", audited.text);
    assert!(audited.text.contains("the group has no committed offset"), "{}", audited.text);
}

fn given_a_partition_that_the_group_has_never_begun_then_it_is_noted_and_the_others_are_proven(
    stack: &Stack,
) {
    let scene = stored(stack);
    assert!(!audit(&scene.settings(), &[]).text.contains("never begun"));
    scene.kafka.add_partitions(&scene.topic, 2);
    let note = format!("the group has never begun {}[1]", scene.topic);
    wait_until("the new partition to be known", || {
        let audited = audit(&scene.settings(), &[]);
        assert_eq!(audited.code, Some(0), "{}", audited.text);
        audited.text.contains(&note)
    });
}

fn given_a_topic_that_was_deleted_then_that_is_why_it_is_not_proven_and_the_other_one_is_by_its_name(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    let deleted = format!("{topic}.deleted");
    scene.kafka.create_topic(&deleted, 1);
    scene.produce(&orders(&topic, 0..20, 1));
    scene.produce(&orders(&deleted, 0..20, 1));
    let settings = scene.settings().with("VALVE_TOPICS", &format!("{topic},{deleted}"));
    let valve = Valve::run(&settings);
    scene.wait_committed();
    scene.kafka.wait_committed(&scene.name, &deleted);
    valve.stop();
    assert_proven(&settings);
    scene.kafka.delete_topic(&deleted);

    let audited = audit(&settings, &[]);
    assert_eq!(audited.code, Some(1), "{}", audited.text);
    assert!(audited.text.contains(&format!("Kafka has no topic {deleted}, or")), "{}", audited.text);
    let audited = audit(&settings, &["--topic", &topic]);
    assert_eq!(audited.code, Some(0), "{}", audited.text);
}

fn given_an_output_that_takes_nothing_then_the_code_is_1(stack: &Stack) {
    let scene = stored(stack);
    for arguments in [&["audit"][..], &["audit", "--json"]] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let output = scene.settings().command(arguments).stdout(full).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("cannot write to standard output"), "{said}");
    }
}

fn given_a_store_or_kafka_that_cant_be_reached_then_the_audit_ends_and_the_code_is_4(stack: &Stack) {
    let scene = Scene::new(stack, 1);
    let nowhere =
        [("VALVE_SINK__ENDPOINT", "http://127.0.0.1:1"), ("VALVE_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")];
    // Each waits for a minute.
    let audits = nowhere.map(|(variable, address)| {
        let settings = scene.settings().with(variable, address);
        thread::spawn(move || audit(&settings, &[]))
    });
    for audited in audits.map(|audit| audit.join().unwrap()) {
        assert_eq!(audited.code, Some(4), "{}", audited.text);
        assert!(audited.text.contains("given up after"), "{}", audited.text);
    }
}

fn given_settings_that_changed_between_two_runs_then_the_audit_tells_both_layouts_and_proves_all_the_same(
    stack: &Stack,
) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    let mut produced = scene.produce(&orders(&topic, 0..10, 1));
    let valve = Valve::run(&scene.settings());
    scene.wait_committed();
    valve.stop();
    let before = audit(&scene.settings(), &[]);
    assert!(before.code == Some(0) && !before.text.contains("layout changed"), "{}", before.text);

    produced.extend(scene.produce(&orders(&topic, 10..20, 1)));
    let changed = scene.settings().with("VALVE_CODEC", "null").with("VALVE_TIMESTAMP", "field:at,kafka");
    let valve = Valve::run(&changed);
    scene.wait_committed();
    let said = valve.stop_and_listen();
    assert!(said.contains("codec=\\\"null\\\""), "a start says its layout: {said}");
    let after = audit(&changed, &[]);
    assert_eq!(after.code, Some(0), "{}", after.text);
    for part in ["the layout changed with", "codec was \"snappy\", is \"null\"", "is \"field:at,kafka\""] {
        assert!(after.text.contains(part), "{part}: {}", after.text);
    }
    scene.assert_stored(&produced);
}
