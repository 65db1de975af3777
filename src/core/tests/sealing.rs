//! When a batch takes no more records.

use super::*;

fn reason(actions: &[Action]) -> Option<SealReason> {
    sealed(actions).map(|(_, reason)| reason)
}

#[test]
fn given_the_last_record_that_fits_then_the_batch_is_sealed_with_exactly_that_many() {
    let mut rig = Rig::filling(&[p(0)]);
    assert_eq!(rig.take(&p(0), FULL - 1), []);
    assert_eq!(rig.lane.fill(&p(0), rig.now).unwrap().room, 1);
    assert_eq!(reason(&rig.take(&p(0), 1)), Some(SealReason::Records));
}

#[test]
fn given_the_bytes_that_it_may_have_then_it_is_sealed() {
    let mut rig = Rig::filling(&[p(0)]);
    assert_eq!(rig.take_run(&p(0), Run { records: 1, bytes: 999, ..Run::default() }), []);
    let run = Run { records: 1, bytes: 1_000, ..Run::default() };
    assert_eq!(reason(&rig.take_run(&p(0), run)), Some(SealReason::Bytes));
}

#[test]
fn given_a_record_that_only_a_new_batch_can_take_then_what_was_taken_is_sealed() {
    for full in [SealReason::Files, SealReason::UnknownIds] {
        let mut rig = Rig::filling(&[p(0)]);
        let run = Run { records: 1, full: Some(full), ..Run::default() };
        assert_eq!(reason(&rig.take_run(&p(0), run)), Some(full));
    }
}

#[test]
fn given_as_many_unknown_ids_as_an_intent_can_name_then_another_is_not_declared() {
    let mut rig = Rig::filling(&[p(0)]);
    rig.take(&p(0), 1);
    assert!((0..64).all(|id| rig.lane.declare_unknown(&p(0), SchemaId(id))));
    assert!(!rig.lane.declare_unknown(&p(0), SchemaId(64)));
    let run = Run { full: Some(SealReason::UnknownIds), ..Run::default() };
    let (batch, _) = sealed(&rig.take_run(&p(0), run)).unwrap();
    let publish = publish(&rig.promise(&p(0), batch, outcome(1))).unwrap();
    let Found::Own(own) = Metadata::find(&publish.metadata, 0, publish.first) else { panic!() };
    assert_eq!(own.intent.unwrap().unknown_ids.len(), 64);
}

#[test]
fn given_its_age_or_idleness_reaches_the_limit_then_it_is_sealed() {
    let moment = Duration::from_millis(1);
    let mut idle = Rig::filling(&[p(0)]);
    idle.take(&p(0), 1);
    assert_eq!(reason(&idle.pass(MAX_IDLE - moment)), None);
    assert_eq!(reason(&idle.pass(moment)), Some(SealReason::Idle));

    let mut old = Rig::filling(&[p(0)]);
    for _ in 0..5 {
        old.take(&p(0), 1);
        assert_eq!(reason(&old.pass(MAX_AGE / 6)), None);
    }
    old.take(&p(0), 1);
    assert_eq!(reason(&old.pass(MAX_AGE / 6)), Some(SealReason::Age));
}

#[test]
fn given_processing_time_when_the_hour_changes_then_it_is_sealed() {
    let hour = i64::from(60 * 60 * 1_000);
    for (processing, expected) in [(Some(Granularity::Hour), Some(SealReason::HourChange)), (None, None)] {
        let mut rig =
            Rig::with(Settings { limits: Limits { processing, ..settings().limits }, ..settings() });
        rig.now.wall = UnixMillis(hour - 1_000);
        rig.begin(&p(0));
        rig.take(&p(0), 1);
        assert_eq!(reason(&rig.pass(Duration::from_millis(999))), None);
        assert_eq!(reason(&rig.pass(Duration::from_millis(1))), expected);
    }
}

#[test]
fn given_an_open_batch_without_records_then_nothing_seals_it() {
    let mut rig = Rig::filling(&[p(0)]);
    assert!(rig.lane.fill(&p(0), rig.now).is_some());
    assert_eq!(rig.pass(MAX_AGE), []);
    rig.memory = Memory { used: 80, leaving: 0, limit: 100 };
    assert_eq!(rig.tick(), []);
    assert_eq!(reason(&rig.take_run(&p(0), Run { full: Some(SealReason::Files), ..Run::default() })), None);
    assert!(rig.lane.fill(&p(0), rig.now).is_some());
    assert_eq!(reason(&rig.event(Event::Shutdown)), None);
}

#[test]
fn given_offsets_without_records_at_the_logs_end_then_they_are_committed_too() {
    let mut rig = Rig::filling(&[p(0)]);
    let position = Offset(3);
    assert_eq!(rig.event(Event::Position { partition: p(0), position }), []);
    let (batch, reason) = sealed(&rig.pass(MAX_IDLE)).unwrap();
    assert_eq!(reason, SealReason::Idle);
    let commit = commit(&rig.publish(&p(0), batch, 0)).unwrap();
    assert_eq!((commit.offset, metadata(&commit).coverage.empty), (Offset(3), 3));
    rig.accept(&p(0));
    let durable = rig.durable(&p(0));
    assert_eq!((durable.committed, durable.read), (Offset(3), Offset(3)));
}

#[test]
fn given_a_position_that_was_read_already_then_it_opens_no_batch() {
    let mut rig = Rig::filling(&[p(0)]);
    let batch = rig.fill_up(&p(0));
    rig.publish(&p(0), batch, FULL);
    rig.accept(&p(0));
    rig.event(Event::Position { partition: p(0), position: Offset(10) });
    assert_eq!(rig.pass(MAX_AGE), []);
}
