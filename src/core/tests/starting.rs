//! From an assignment to the first record.

use super::*;

/// What is committed after a batch of `[0, offset)`, as its next owner finds it.
fn committed_at(offset: i64) -> Facts {
    let mut rig = Rig::new();
    let ticket = rig.assign(&p(0));
    let start = commit(&rig.resolve(&p(0), ticket, log(offset, 1_000))).unwrap();
    Facts { committed: Some((start.offset, start.metadata)), ..log(0, 1_000) }
}

#[test]
fn given_a_new_partition_then_its_start_is_committed_before_it_is_consumed() {
    let mut rig = Rig::new();
    let ticket = rig.assign(&p(0));
    let actions = rig.resolve(&p(0), ticket, log(5, 100));
    let start = commit(&actions).unwrap();
    assert_eq!(actions, [Action::Commit(start.clone())]);
    assert_eq!((start.offset, metadata(&start).origin), (Offset(5), Offset(5)));
    assert!(!rig.lane.takes(&p(0)));
    assert_eq!(rig.accept(&p(0)), [Action::Consume(p(0), Offset(5))]);
    assert!(rig.lane.takes(&p(0)));
}

#[test]
fn given_own_metadata_within_range_then_it_is_consumed_without_a_commit() {
    let mut rig = Rig::new();
    let ticket = rig.assign(&p(0));
    assert_eq!(rig.resolve(&p(0), ticket, committed_at(30)), [Action::Consume(p(0), Offset(30))]);
}

#[test]
fn given_a_topic_whose_name_leaves_no_room_for_its_files_then_it_is_held_before_anything_is_promised() {
    let mut rig = Rig::new();
    let long = TopicPartition::new("orders2", 0);
    let ticket = rig.assign(&long);
    let actions = rig.resolve(&long, ticket, log(5, 100));
    assert!(is_held(&actions) && commit(&actions).is_none(), "{actions:?}");
    let Some(Action::Hold(_, Some(reason))) = actions.last() else { panic!("{actions:?}") };
    assert!(reason.contains("7 bytes") && reason.contains("at most 6: shorten layout.key"), "{reason}");
    assert!(!rig.lane.takes(&long));
}

#[test]
fn given_a_partition_that_is_held_from_the_start_then_its_committed_offset_is_shown_and_it_takes_nothing() {
    let mut rig = Rig::new();
    let ticket = rig.assign(&p(0));
    let facts = Facts { committed: Some((Offset(20), "v9:x".into())), ..log(0, 100) };
    assert!(is_held(&rig.resolve(&p(0), ticket, facts)));
    assert!(!rig.lane.takes(&p(0)));
    let durable = rig.durable(&p(0));
    assert_eq!((durable.committed, durable.read), (Offset(20), Offset(20)));
}

#[test]
fn given_a_start_commit_that_never_got_an_answer_then_no_committed_offset_is_made_up() {
    let mut rig = Rig::new();
    let ticket = rig.assign(&p(0));
    rig.resolve(&p(0), ticket, log(5, 100));
    assert_eq!(rig.known(&p(0)), None);
    rig.answer(&p(0), CommitAnswer::Unanswered("timed out".into()));
    assert_eq!(rig.known(&p(0)), None);
}

#[test]
fn given_an_answer_to_an_earlier_ask_then_it_changes_nothing() {
    let mut rig = Rig::new();
    let old = rig.assign(&p(0));
    rig.revoke(&[p(0)]);
    let new = rig.assign(&p(0));
    assert_ne!(old, new);
    assert_eq!(rig.resolve(&p(0), old, log(5, 100)), []);
    assert_eq!(commit(&rig.resolve(&p(0), new, log(7, 100))).unwrap().offset, Offset(7));
}

#[test]
fn given_the_position_is_gone_then_what_was_read_is_finished_and_it_begins_anew_with_the_lost_range() {
    let mut rig = Rig::filling(&[p(0)]);
    rig.take(&p(0), 4);
    let actions = rig.event(astray(true));
    assert_eq!((&actions[0], sealed(&actions)), (&Action::Stop(p(0)), None));
    let (batch, reason) = sealed(&rig.resolve(&p(0), ticket(&actions), log(9, 100))).unwrap();
    assert_eq!(reason, SealReason::Retention);
    assert!(!rig.lane.takes(&p(0)));
    let last = commit(&rig.publish(&p(0), batch, 4)).unwrap();
    assert_eq!(last.offset, Offset(4));
    let ticket = ticket(&rig.accept(&p(0)));
    let facts = Facts { committed: Some((last.offset, last.metadata)), ..log(9, 100) };
    let again = commit(&rig.resolve(&p(0), ticket, facts)).unwrap();
    assert_eq!(again.offset, Offset(9));
    assert_eq!(metadata(&again).coverage.lost, [(Offset(4), Offset(9))]);
    let (first, end) = (Offset(4), Offset(9));
    let lost = Action::ReportLost { partition: p(0), first, end };
    assert_eq!(rig.accept(&p(0)), [lost, Action::Consume(p(0), Offset(9))]);
}

#[test]
fn given_a_lost_range_when_a_later_batch_has_files_then_the_range_stays() {
    let mut rig = Rig::filling(&[p(0)]);
    let asked = ticket(&rig.event(astray(true)));
    let ticket = ticket(&rig.resolve(&p(0), asked, log(9, 100)));
    rig.resolve(&p(0), ticket, Facts { committed: committed_at(0).committed, ..log(9, 100) });
    rig.accept(&p(0));
    let batch = rig.fill_up(&p(0));
    let coverage = metadata(&commit(&rig.publish(&p(0), batch, FULL)).unwrap()).coverage;
    let lost = vec![(Offset(0), Offset(9))];
    assert_eq!(coverage, Coverage { lost, ..Coverage::starting(Offset(19)) });
}
