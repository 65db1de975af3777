//! The daemon with all that it needs on board: `valve demo`.

use regex::Regex;

use crate::files;
use crate::patience::wait_until;
use crate::stack::Stack;
use crate::valve::{Settings, Valve};
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_a_demo_of_so_many_events_then_it_ends_well_and_fastavro_reads_its_files,
    given_ctrl_c_in_a_demo_then_it_stores_what_it_generated_verifies_it_and_ends_well,
];

fn given_ctrl_c_in_a_demo_then_it_stores_what_it_generated_verifies_it_and_ends_well(_: &Stack) {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let arguments = ["demo", "--rate", "1000", "--out", out.to_str().unwrap()];
    let mut valve = Valve::start(&arguments, &Settings::none());
    wait_until("the first files", || out.join("orders").exists());
    valve.interrupt();
    assert_eq!(valve.exit_code(), Some(0), "{}", valve.output());
    assert!(valve.output().contains("VERIFIED"), "{}", valve.output());
}

fn given_a_demo_of_so_many_events_then_it_ends_well_and_fastavro_reads_its_files(stack: &Stack) {
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().join("out");
    let arguments = ["demo", "--records", "2000", "--rate", "2000", "--out", out.to_str().unwrap()];
    let mut valve = Valve::start(&arguments, &Settings::none());
    assert_eq!(valve.exit_code(), Some(0), "{}", valve.output());

    let files = files::in_directory(stack, &out);
    let layout = Regex::new(
        r"([^/]+)/year=\d{4}/month=\d\d/day=\d\d/hour=\d\d/([^/]+)_(\d+)-messages_[0-9a-f-]{36}\.avro$",
    );
    let layout = layout.unwrap();
    let mut rows = 0;
    for file in &files {
        let place = layout.captures(&file.key).unwrap_or_else(|| panic!("{}", file.key));
        assert_eq!(place[3].parse::<usize>().unwrap(), file.records.len(), "{}", file.key);
        rows += file.records.len();
    }
    // About one event in a thousand is bad.
    assert!((1_900..=2_000).contains(&rows), "{rows} rows in {} files", files.len());
}
