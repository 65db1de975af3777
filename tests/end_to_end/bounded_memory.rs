//! Whatever there is to do, a valve's memory stays within its budget and 64 MiB, by a limit that the kernel enforces.

use std::collections::BTreeSet;
use std::time::Instant;

use serde_json::json;

use crate::auditing::{assert_proven, audit, local};
use crate::event::{Event, HOUR, ORDERS, SEVEN};
use crate::files;
use crate::hard_limit::HardLimit;
use crate::patience::wait_until;
use crate::scene::Scene;
use crate::stack::Stack;
use crate::valve::{Settings, Valve};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_a_backlog_shuffled_over_10_000_hours_then_it_is_drained_through_64_mebibytes,
    given_promises_of_a_larger_process_then_they_are_kept_through_64_mebibytes,
    given_messages_of_10_megabytes_then_they_are_drained_through_96_mebibytes,
    given_a_promised_file_of_such_messages_then_it_is_kept_through_96_mebibytes,
];

/// Those that need nothing but a control group.
pub(crate) const IN_A_GROUP: &[Test<fn()>] =
    tests![given_a_limited_group_then_valve_takes_its_limit_for_the_memory];

const BUDGET: u64 = 64 << 20;
/// Resident memory stays within the budget and this.
const BESIDE: u64 = 64 << 20;
/// What of that are pages of the program as it is shipped. One with its debug information and checks has twice as many.
const PROGRAM: u64 = 18 << 20;

/// Order `id`, with about so many bytes of text that doesn't compress to nothing.
fn order(topic: &str, id: i64, hour: i64, len: usize) -> Event {
    let at = SEVEN + hour * HOUR + id % 3_600 * 1_000;
    let word = |nth: usize| format!("{:016x}", (id as u64 + nth as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let text: String = (0..len / 16).map(word).collect();
    Event::new(topic, ORDERS[0], json!({"id": id, "at": at, "customer": text}), at)
}

/// A budget of 64 MiB, and no other reason to end a batch than that: not before nothing came for seconds.
fn settings(scene: &Scene<'_>) -> Settings {
    scene
        .settings()
        .with("VALVE_MEMORY__BUDGET", "64MiB")
        .with("VALVE_BATCH__MAX_RECORD_BYTES", "1MiB")
        .with("VALVE_BATCH__MAX_RECORDS", "1000000")
        .with("VALVE_BATCH__MAX_BYTES", "10GiB")
        .with("VALVE_BATCH__MAX_FILES", "100000")
        .with("VALVE_BATCH__MAX_AGE", "1h")
        .with("VALVE_BATCH__MAX_IDLE", "4s")
}

/// 96 MiB for messages of 10 MB: less than what counts all of them.
fn for_large_messages(scene: &Scene<'_>, lanes: &str) -> Settings {
    settings(scene)
        .with("VALVE_LANES", lanes)
        .with("VALVE_MEMORY__BUDGET", "96MiB")
        .with("VALVE_BATCH__MAX_RECORD_BYTES", "16MiB")
}

/// Runs a valve of this budget under the hard limit until the group has committed everything; what it said.
fn drain(scene: &Scene<'_>, settings: &Settings, budget: u64) -> String {
    let limit = HardLimit::new(budget + BESIDE);
    let mut valve = Valve::spawn(&mut limit.on(&settings.command(&["run"])));
    let (begun, mut before) = (Instant::now(), Vec::new());
    // As long as it goes on, it may take its time.
    while before != scene.kafka.ends(&scene.topic) {
        wait_until("more to be committed", || {
            assert!(valve.ended().is_none(), "it ended; killed by the kernel: {}", limit.killed());
            let committed = scene.kafka.committed(&scene.name, &scene.topic);
            committed != std::mem::replace(&mut before, committed.clone())
        });
    }
    let (took, peak, output) = (begun.elapsed(), valve.peak_of_its_own(), valve.output());
    valve.stop();
    eprintln!("drained in {took:.0?}; at most {peak} bytes beside its program; the group: {}", limit.says());
    assert!(peak + PROGRAM <= budget + BESIDE, "{peak} bytes were resident beside its program");
    assert_eq!(limit.killed(), 0);
    output
}

fn given_a_backlog_shuffled_over_10_000_hours_then_it_is_drained_through_64_mebibytes(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    let topic = scene.topic.clone();
    // An hour gets some 10 kB, which is less than a block: nothing is compressed before its batch is sealed, and all of it
    // together is half as much again as the budget.
    let events: Vec<_> = (0..12_000).map(|id| order(&topic, id, id * 7_919 % 10_000, 8_500)).collect();
    let produced = scene.produce(&events);
    drop(events);
    // On a disk: what is in a file system of memory, as many a /tmp is, would count as the valve's for ever.
    let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let settings = local(settings(&scene), directory.path());
    drain(&scene, &settings, BUDGET);
    assert_proven(&settings);
    let files = files::in_directory(stack, directory.path());
    files::assert_places(&files, &scene.name);
    files::assert_holds_exactly(&files, &produced, &mut scene.producer);
    scene.assert_no_dead_letters();
    let batches: BTreeSet<_> = files.iter().map(|file| &file.header["valve.first"]).collect();
    assert!(batches.len() > 1, "memory didn't end any batch");
    eprintln!("{} files of {} batches", files.len(), batches.len());
}

fn given_promises_of_a_larger_process_then_they_are_kept_through_64_mebibytes(stack: &Stack) {
    let mut scene = Scene::new(stack, 3);
    let topic = scene.topic.clone();
    // 120 MB in the first partition, in one file that fits in no case, and 60 MB in each of the others, in many.
    let event = |id: i64| {
        let (hour, bytes) = if id % 3 == 0 { (0, 20_000) } else { (id * 7_919 % 1_000, 10_000) };
        order(&topic, id, hour, bytes).in_partition(id % 3)
    };
    let produced = scene.produce(&(0..18_000).map(event).collect::<Vec<_>>());
    let large = settings(&scene)
        .with("VALVE_LANES", "1")
        .with("VALVE_MEMORY__BUDGET", "512MiB")
        .with("VALVE_BATCH__MAX_RECORDS", "6000")
        .with("VALVE_BATCH__MAX_IDLE", "1h")
        .with("FAULT_POINT", "promised:on:hold=/nowhere/go on");
    let promising = Valve::run(&large);
    wait_until("all to be promised", || promising.output().matches("fault point reached").count() == 3);
    promising.crash();

    let output = drain(&scene, &settings(&scene), BUDGET);
    // A batch of many files may fit after all, when nothing else is in memory any more.
    assert!(output.contains("publishing it in passes"), "every batch fitted into memory");
    assert!(output.contains("storing a file of it while it is made"), "the large file fitted into memory");
    scene.assert_stored(&produced);
    scene.assert_no_dead_letters();
    let batches = scene.files().into_iter().map(|file| file.header["valve.intent"].clone());
    assert_eq!(batches.collect::<BTreeSet<_>>().len(), 3, "the promised batches, and no other");
    assert_proven(&settings(&scene));
}

/// Partitions take turns from record to record: they are stopped, begun again and sealed all the time.
fn given_messages_of_10_megabytes_then_they_are_drained_through_96_mebibytes(stack: &Stack) {
    let mut scene = Scene::new(stack, 4);
    scene.kafka.limit_messages(&scene.topic, 12 << 20);
    let topic = scene.topic.clone();
    let len = |id: i64| if id % 5 == 0 { 10_000_000 } else { 1_000 };
    let mut produced = Vec::new();
    for id in 0..120 {
        // Each in a record batch of its own.
        produced.extend(scene.produce(&[order(&topic, id, id % 7, len(id)).in_partition(id % 4)]));
    }
    let settings = for_large_messages(&scene, "2");
    drain(&scene, &settings, 96 << 20);
    scene.assert_stored(&produced);
    scene.assert_no_dead_letters();
    // Records that were passed over would be offsets without any.
    let dense = audit(&settings, &["--dense"]);
    assert_eq!(dense.code, Some(0), "{}", dense.text);
}

/// A file that alone doesn't fit is stored while it is made, in pieces as long as its messages.
fn given_a_promised_file_of_such_messages_then_it_is_kept_through_96_mebibytes(stack: &Stack) {
    let mut scene = Scene::new(stack, 1);
    scene.kafka.limit_messages(&scene.topic, 12 << 20);
    let topic = scene.topic.clone();
    let mut produced = Vec::new();
    for id in 0..12 {
        produced.extend(scene.produce(&[order(&topic, id, 0, 10_000_000)]));
    }
    let settings = for_large_messages(&scene, "1");
    let large = settings
        .clone()
        .with("VALVE_MEMORY__BUDGET", "512MiB")
        .with("VALVE_BATCH__MAX_RECORDS", "12")
        .with("VALVE_BATCH__MAX_IDLE", "1h")
        .with("FAULT_POINT", "promised:on:hold=/nowhere/go on");
    let promising = Valve::run(&large);
    wait_until("it to be promised", || promising.output().contains("fault point reached"));
    promising.crash();

    let output = drain(&scene, &settings, 96 << 20);
    assert!(output.contains("storing a file of it while it is made"), "it fitted into memory");
    scene.assert_stored(&produced);
    scene.assert_no_dead_letters();
    assert_proven(&settings);
}

/// A budget of more than the limit is refused, and the refusal says the limit.
fn given_a_limited_group_then_valve_takes_its_limit_for_the_memory() {
    let limit = HardLimit::new(BUDGET + BESIDE);
    assert!(matches!(limit, HardLimit::Group(_)), "no control group can be made");
    let settings = Settings::none().with("VALVE_MEMORY__BUDGET", "129MiB");
    let refused = limit.on(&settings.command(&["run"])).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("more than the 128 MiB that this process may use"), "{said}");
}
