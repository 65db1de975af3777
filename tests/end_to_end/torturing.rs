//! Faults between valve and each service, and a full disk (tests/torturing/, which `tests/torture` runs all of).

use crate::stack::Stack;
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] =
    tests![given_a_fault_before_each_service_then_valve_says_why_and_stores_every_event_once_it_is_over,];

fn given_a_fault_before_each_service_then_valve_says_why_and_stores_every_event_once_it_is_over(
    stack: &Stack,
) {
    let mut command = stack.python("torturing/run.py");
    let done = command.args(["--valve", env!("CARGO_BIN_EXE_valve"), "--short", "--at-once", "4"]).output();
    let done = done.unwrap();
    assert!(
        done.status.success(),
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}
