//! Faults between valve and each service, a full disk (tests/torturing/, which `tests/torture` runs all of), and brokers that lose
//! what was read.

use crate::stack::Stack;
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] = tests![
    given_a_fault_before_each_service_then_valve_says_why_and_stores_every_event_once_it_is_over,
    given_a_topic_that_is_deleted_and_created_again_after_its_leader_has_changed_then_the_new_one_is_stored,
    given_an_unclean_election_and_a_log_that_has_grown_again_then_what_stands_in_the_place_of_what_was_read_is_stored,
];

fn given_a_fault_before_each_service_then_valve_says_why_and_stores_every_event_once_it_is_over(
    stack: &Stack,
) {
    succeeds(stack, "torturing/run.py", &["--short", "--at-once", "4"]);
}

fn given_an_unclean_election_and_a_log_that_has_grown_again_then_what_stands_in_the_place_of_what_was_read_is_stored(
    stack: &Stack,
) {
    succeeds(stack, "torturing/unclean.py", &[]);
}

fn given_a_topic_that_is_deleted_and_created_again_after_its_leader_has_changed_then_the_new_one_is_stored(
    stack: &Stack,
) {
    succeeds(stack, "torturing/recreated.py", &[]);
}

fn succeeds(stack: &Stack, script: &str, arguments: &[&str]) {
    let mut command = stack.python(script);
    let done = command.args(["--valve", env!("CARGO_BIN_EXE_valve")]).args(arguments).output().unwrap();
    assert!(
        done.status.success(),
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}
