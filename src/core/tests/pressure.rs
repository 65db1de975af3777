//! When nothing more may be taken for now.

use super::*;

fn memory(rig: &mut Rig, used: usize) -> Vec<Action> {
    with_leaving(rig, used, 0)
}

fn with_leaving(rig: &mut Rig, used: usize, leaving: usize) -> Vec<Action> {
    rig.memory = Memory { used, leaving, limit: 100 };
    rig.tick()
}

#[test]
fn given_little_memory_then_the_largest_open_batch_is_sealed() {
    let mut rig = Rig::filling(&[p(0), p(1), p(2)]);
    for (index, memory) in [(0, 20), (1, 35), (2, 16)] {
        rig.take_run(&p(index), Run { records: 1, memory, ..Run::default() });
    }
    assert_eq!(memory(&mut rig, 70), []);
    let actions = memory(&mut rig, 71);
    assert!(matches!(
        actions.as_slice(),
        [Action::Seal { partition, reason: SealReason::Memory, .. }] if *partition == p(1)
    ));
    // What is on its way out, whichever lane it is of, is enough.
    assert_eq!(with_leaving(&mut rig, 80, 10), []);
    assert_eq!(with_leaving(&mut rig, 81, 10).len(), 1);
}

#[test]
fn given_85_per_cent_in_use_then_nothing_is_taken_until_less_than_60_are_and_it_pauses_when_that_takes_long()
{
    let mut rig = Rig::filling(&[p(0), p(1)]);
    let using = |rig: &mut Rig, used| with_leaving(rig, used, 20);
    assert_eq!(using(&mut rig, 85), []);
    assert!(rig.lane.takes(&p(0)) && !rig.lane.hesitates(rig.now));
    assert_eq!(using(&mut rig, 86), []);
    assert!(!rig.lane.takes(&p(0)) && rig.lane.hesitates(rig.now));
    assert_eq!(using(&mut rig, 60), []);
    assert!(rig.lane.hesitates(rig.now));
    assert_eq!(using(&mut rig, 59), []);
    assert!(rig.lane.takes(&p(0)) && !rig.lane.hesitates(rig.now));

    assert_eq!(using(&mut rig, 86), []);
    assert_eq!(rig.pass(Duration::from_millis(999)), []);
    // Until the pause is asked for, nothing is taken off the client.
    rig.now.monotonic += Duration::from_millis(1);
    assert!(rig.lane.hesitates(rig.now));
    assert_eq!(rig.tick(), [Action::Pause(p(0)), Action::Pause(p(1))]);
    // What was fetched before the pause is taken off the client, and put aside.
    assert!(!rig.lane.takes(&p(0)) && !rig.lane.hesitates(rig.now));
    assert_eq!(using(&mut rig, 59), [Action::Resume(p(0)), Action::Resume(p(1))]);
    assert!(rig.lane.takes(&p(0)));
}

#[test]
fn given_little_memory_of_which_nothing_leaves_then_what_is_open_grows_until_it_is_sealed() {
    let mut rig = Rig::filling(&[p(0)]);
    rig.take_run(&p(0), Run { records: 1, memory: 50, ..Run::default() });
    assert_eq!(with_leaving(&mut rig, 86, 16), []);
    assert_eq!(with_leaving(&mut rig, 70, 1), []);
    assert!(!rig.lane.takes(&p(0)));
    assert_eq!(with_leaving(&mut rig, 70, 0), []);
    assert!(rig.lane.takes(&p(0)));
    assert_eq!(with_leaving(&mut rig, 86, 0).len(), 1, "sealed");
    assert!(!rig.lane.takes(&p(0)));
    // All of it is what was fetched and put aside: that goes on too.
    assert_eq!(with_leaving(&mut rig, 86, 0), []);
    assert!(rig.lane.takes(&p(0)));
}

/// As when what other lanes and a takeover set aside is more: before a large record it is looked at twice in a turn.
#[test]
fn given_memory_of_which_nothing_leaves_and_nothing_can_be_sealed_then_records_are_taken_however_often_it_is_looked_at()
 {
    let mut rig = Rig::filling(&[p(0)]);
    for _ in 0..4 {
        assert_eq!(with_leaving(&mut rig, 99, 0), []);
        assert!(rig.lane.takes(&p(0)));
    }
}

#[test]
fn given_little_memory_and_what_leaves_is_stuck_then_the_others_go_on_without_it() {
    let mut rig = Rig::filling(&[p(0), p(1)]);
    rig.take_run(&p(0), Run { records: 1, memory: 50, ..Run::default() });
    rig.take_run(&p(1), Run { records: 1, memory: 10, ..Run::default() });
    assert_eq!(with_leaving(&mut rig, 86, 26), []);
    rig.pass(Duration::from_secs(5));
    assert_eq!(with_leaving(&mut rig, 70, 10), [], "it moves");
    assert_eq!(rig.pass(Duration::from_millis(4_999)), []);
    assert!(!rig.lane.takes(&p(0)));
    assert_eq!(rig.pass(Duration::from_millis(1)), [Action::Resume(p(0)), Action::Resume(p(1))]);
    assert!(rig.lane.takes(&p(0)));
}

#[test]
fn given_other_lanes_that_keep_memory_in_use_and_moving_then_it_goes_on_after_10_s_too() {
    let mut rig = Rig::filling(&[p(0)]);
    assert_eq!(with_leaving(&mut rig, 86, 20), []);
    for leaving in 21..30 {
        rig.pass(Duration::from_secs(1));
        with_leaving(&mut rig, 80, leaving);
    }
    assert!(!rig.lane.takes(&p(0)));
    assert_eq!(rig.pass(Duration::from_secs(1)), [Action::Resume(p(0))]);
    assert!(rig.lane.takes(&p(0)));
}

#[test]
fn given_memory_full_of_what_is_stuck_then_one_batch_is_sealed_each_10_s_and_nothing_is_taken() {
    let mut rig = Rig::filling(&[p(0), p(1)]);
    for partition in [p(0), p(1)] {
        rig.take_run(&partition, Run { records: 1, memory: 10, ..Run::default() });
    }
    assert_eq!(with_leaving(&mut rig, 90, 70), []);
    let seals =
        |actions: Vec<Action>| actions.iter().filter(|action| matches!(action, Action::Seal { .. })).count();
    assert_eq!(seals(rig.pass(Duration::from_secs(10))), 1);
    assert_eq!(seals(with_leaving(&mut rig, 90, 80)), 0, "it has just moved");
    assert_eq!(seals(rig.pass(Duration::from_secs(10))), 1);
    assert_eq!(seals(with_leaving(&mut rig, 90, 90)), 0);
    rig.pass(Duration::from_secs(10));
    assert!(!rig.lane.takes(&p(0)) && !rig.lane.takes(&p(1)));
}

#[test]
fn given_an_open_batch_when_there_is_no_memory_then_it_is_not_idle() {
    let mut rig = Rig::filling(&[p(0)]);
    rig.take_run(&p(0), Run { records: 1, memory: 1, ..Run::default() });
    for leaving in 20..40 {
        with_leaving(&mut rig, 86, leaving);
        rig.pass(MAX_IDLE / 20);
    }
    memory(&mut rig, 59);
    assert!(rig.lane.takes(&p(0)));
    assert!(matches!(rig.pass(MAX_IDLE).as_slice(), [Action::Seal { reason: SealReason::Idle, .. }]));
}

#[test]
fn given_a_schema_to_wait_for_then_only_its_partition_pauses_once_that_takes_long_until_it_is_there() {
    let mut rig = Rig::filling(&[p(0), p(1)]);
    assert!(!rig.lane.hesitates(rig.now));
    // A pause throws away what was fetched; most answers are there before that is worth it.
    assert_eq!(rig.event(Event::Waiting(p(0), true)), []);
    assert_eq!(rig.pass(Duration::from_millis(200)), []);
    assert!(rig.lane.hesitates(rig.now));
    assert_eq!(rig.pass(Duration::from_millis(50)), [Action::Pause(p(0))]);
    assert!(!rig.lane.hesitates(rig.now));
    assert_eq!(rig.tick(), []);
    assert_eq!(rig.event(Event::Waiting(p(0), false)), [Action::Resume(p(0))]);
}

#[test]
fn given_pressure_and_a_schema_to_wait_for_then_it_resumes_only_when_both_are_over() {
    let mut rig = Rig::filling(&[p(0)]);
    rig.event(Event::Waiting(p(0), true));
    assert_eq!(rig.pass(Duration::from_millis(250)), [Action::Pause(p(0))]);
    assert_eq!(with_leaving(&mut rig, 91, 30), []);
    assert_eq!(rig.pass(Duration::from_secs(1)), []);
    assert_eq!(rig.event(Event::Waiting(p(0), false)), []);
    assert_eq!(memory(&mut rig, 10), [Action::Resume(p(0))]);
}
