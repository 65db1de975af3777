//! Partitions that lag take turns when their batches wouldn't fit into memory together.

use super::*;

/// Ten bytes a record, a full batch of 10 records takes 100.
const PER_RECORD: u64 = 10;

/// A lane whose open batches may come to `share`, with partitions whose logs have 1,000 records more.
fn lagging(share: usize, partitions: &[TopicPartition]) -> Rig {
    let mut rig = Rig::with(Settings { share, ..settings() });
    partitions.iter().for_each(|partition| rig.begin(partition));
    rig
}

fn run(records: u64, so_far: u64) -> Run {
    let bytes = (so_far + records) * PER_RECORD;
    Run { records, bytes, memory: usize::try_from(bytes).unwrap(), ..Run::default() }
}

fn log_ends(rig: &mut Rig, partition: &TopicPartition, end: i64) {
    rig.event(Event::LogEnd { partition: partition.clone(), end: Offset(end) });
}

/// A record of the partition is there; whether it may be taken.
fn may_take(rig: &mut Rig, partition: &TopicPartition) -> bool {
    rig.lane.fill(partition, rig.now).is_some()
}

#[test]
fn given_room_for_all_batches_then_nobody_waits() {
    let mut rig = lagging(300, &[p(0), p(1)]);
    rig.take_run(&p(0), run(2, 0));
    assert!(may_take(&mut rig, &p(1)));
}

#[test]
fn given_room_for_one_batch_then_the_others_are_not_fetched_until_it_is_full() {
    let mut rig = lagging(150, &[p(0), p(1), p(2)]);
    rig.take_run(&p(0), run(2, 0));
    assert!(!may_take(&mut rig, &p(1)));
    // What was delivered of it is dropped, and comes again.
    assert_eq!(rig.tick(), [Action::Stop(p(1))]);
    // Of the third nothing was delivered yet: it goes on being fetched until it is known when its next record was made.
    assert_eq!(rig.pass(Duration::from_millis(100)), []);
    assert!(!may_take(&mut rig, &p(2)));
    assert_eq!(rig.tick(), [Action::Stop(p(2))]);
    let batch = sealed(&rig.take_run(&p(0), run(8, 2))).expect("it is full").0;
    // Who waits the longest is next, from where it was read to.
    assert_eq!(rig.pass(Duration::from_millis(100)), [Action::Consume(p(1), Offset(0))]);
    assert!(may_take(&mut rig, &p(1)));
    assert!(!may_take(&mut rig, &p(0)));
    assert!(
        commit(&rig.close(&p(0), batch, outcome(10))).is_some(),
        "what waits for its turn is published all the same"
    );
}

#[test]
fn given_a_partition_that_is_stopped_when_its_position_is_told_then_what_was_dropped_of_it_is_read_again() {
    let mut rig = lagging(150, &[p(0), p(1)]);
    rig.take_run(&p(0), run(2, 0));
    assert!(!may_take(&mut rig, &p(1)));
    // Four records of it were delivered, and are dropped with this.
    assert_eq!(rig.event(Event::LogEnd { partition: p(1), end: Offset(1_000) }), [Action::Stop(p(1))]);
    // By now it could go on.
    sealed(&rig.take_run(&p(0), run(8, 2))).expect("it is full");
    assert_eq!(rig.event(Event::Position { partition: p(1), position: Offset(4) }), []);
    assert_eq!(rig.pass(Duration::from_millis(100)), [Action::Consume(p(1), Offset(0))]);
}

#[test]
fn given_a_partition_that_is_read_to_its_end_then_it_never_waits() {
    let mut rig = lagging(150, &[p(0), p(1)]);
    log_ends(&mut rig, &p(1), 3);
    rig.take_run(&p(0), run(2, 0));
    assert!(may_take(&mut rig, &p(1)));
    assert_eq!(rig.pass(Duration::from_millis(100)), []);
}

#[test]
fn given_a_large_batch_of_a_partition_that_is_read_to_its_end_then_it_gives_way_to_one_that_needs_the_room() {
    for (records, gives_way) in [(5, true), (2, false)] {
        let mut rig = lagging(90, &[p(0), p(1)]);
        log_ends(&mut rig, &p(0), records);
        log_ends(&mut rig, &p(1), 0);
        rig.take_run(&p(0), run(records.unsigned_abs(), 0));
        assert_eq!(rig.pass(Duration::from_millis(100)), [], "nobody needs the room yet");
        log_ends(&mut rig, &p(1), 1_000);
        rig.take_run(&p(1), run(2, 0));
        let actions = rig.pass(Duration::from_millis(100));
        let seals = |action: &Action| matches!(action, Action::Seal { partition, reason: SealReason::Memory, .. } if *partition == p(0));
        assert_eq!(actions.iter().any(seals), gives_way, "{actions:?}");
        assert!(may_take(&mut rig, &p(1)));
    }
}

#[test]
fn given_a_batch_that_alone_is_too_large_then_it_is_filled_all_the_same() {
    let mut rig = lagging(50, &[p(0), p(1)]);
    rig.take_run(&p(0), run(2, 0));
    assert!(may_take(&mut rig, &p(0)));
    assert!(!may_take(&mut rig, &p(1)));
}

#[test]
fn given_who_has_its_turn_and_takes_nothing_then_another_goes_on() {
    let mut rig = lagging(150, &[p(0), p(1)]);
    rig.take_run(&p(0), run(2, 0));
    assert!(!may_take(&mut rig, &p(1)));
    assert_eq!(rig.tick(), [Action::Stop(p(1))]);
    assert_eq!(rig.pass(Duration::from_millis(900)), []);
    assert_eq!(rig.pass(Duration::from_millis(100)), [Action::Consume(p(1), Offset(0))]);
}

#[test]
fn given_an_open_batch_that_waits_for_its_turn_then_it_is_not_idle_but_grows_old() {
    let mut settings = Settings { share: 15_000, ..settings() };
    settings.limits.batch.max_records = 10_000;
    settings.limits.batch.max_bytes = 1 << 30;
    let mut rig = Rig::with(settings);
    [p(0), p(1)].iter().for_each(|partition| rig.begin(partition));
    rig.take_run(&p(0), run(2, 0));
    log_ends(&mut rig, &p(1), 3);
    rig.take_run(&p(1), run(2, 0));
    // More comes than fits beside the first one's.
    log_ends(&mut rig, &p(1), 1_000);
    assert_eq!(rig.pass(Duration::from_millis(100)), []);
    assert!(!may_take(&mut rig, &p(1)));
    assert_eq!(rig.tick(), [Action::Stop(p(1))]);
    let sealed_at = (0..).find_map(|taken| {
        let actions = rig.pass(Duration::from_millis(900));
        let seals = |action: &Action| match action {
            Action::Seal { partition, reason, .. } if *partition == p(1) => Some(*reason),
            _ => None,
        };
        let found = actions.iter().find_map(seals).map(|reason| (reason, rig.now.monotonic));
        if found.is_none() {
            rig.take_run(&p(0), run(1, 2 + taken));
        }
        found
    });
    let (reason, at) = sealed_at.unwrap();
    assert_eq!(reason, SealReason::Age);
    assert!(at >= MAX_AGE);
}
