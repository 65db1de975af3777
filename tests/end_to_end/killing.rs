//! Valves that die, sleep, come and go while they store events (tests/killing/, which `tests/kill` runs for longer).

use crate::stack::Stack;
use crate::{Test, tests};

pub(crate) const TESTS: &[Test<fn(&Stack)>] =
    tests![given_valves_that_are_killed_and_sleep_and_come_and_go_then_every_event_is_stored_once,];

fn given_valves_that_are_killed_and_sleep_and_come_and_go_then_every_event_is_stored_once(stack: &Stack) {
    let mut command = stack.python("killing/run.py");
    command.args(["--valve", env!("CARGO_BIN_EXE_valve"), "--kills", "10", "--records", "100000"]);
    let done = command.args(["--pause", "2.2"]).output().unwrap();
    assert!(
        done.status.success(),
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
}
