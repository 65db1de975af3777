//! Partitions that go to somebody else, and the end of the process.

use super::*;

fn leaves(actions: &[Action]) -> bool {
    actions.contains(&Action::Leave)
}

#[test]
fn given_a_revocation_then_the_batches_are_committed_and_all_is_given_up_once() {
    let mut rig = Rig::filling(&[p(0), p(1), p(2)]);
    rig.take(&p(0), 3);
    let (batch, reason) = sealed(&rig.revoke(&[p(0), p(1)])).unwrap();
    assert_eq!(reason, SealReason::Revocation);
    assert!(!rig.lane.takes(&p(0)) && !rig.lane.takes(&p(1)) && rig.lane.takes(&p(2)));
    let actions = rig.publish(&p(0), batch, 3);
    assert_eq!((commit(&actions).unwrap().offset, given_up(&actions)), (Offset(3), None));
    let actions = rig.accept(&p(0));
    assert!(matches!(actions[0], Action::Finish { .. }));
    assert_eq!(given_up(&actions), Some(vec![p(0), p(1)]));
    assert_eq!(given_up(&rig.pass(GRACE)), None);
    assert_eq!(rig.lane.partitions().collect::<Vec<_>>(), [&p(2)]);
}

#[test]
fn given_nothing_to_finish_or_nothing_revoked_then_it_is_given_up_at_once() {
    let mut rig = Rig::filling(&[p(0)]);
    assert_eq!(given_up(&rig.revoke(&[])), Some(vec![]));
    assert_eq!(given_up(&rig.revoke(&[p(0)])), Some(vec![p(0)]));
}

#[test]
fn given_the_grace_is_over_then_the_batch_is_abandoned_but_a_commit_under_way_is_awaited() {
    let mut rig = Rig::filling(&[p(0), p(1)]);
    let batch = rig.fill_up(&p(0));
    rig.publish(&p(0), batch, FULL);
    rig.take(&p(1), 2);
    rig.revoke(&[p(0), p(1)]);
    assert_eq!(given_up(&rig.pass(GRACE - Duration::from_millis(1))), None);
    let actions = rig.pass(Duration::from_millis(1));
    assert!(actions.contains(&Action::Abandon(p(0))) && actions.contains(&Action::Abandon(p(1))));
    assert_eq!(given_up(&actions), None);
    assert_eq!(given_up(&rig.accept(&p(0))), Some(vec![p(0), p(1)]));
}

#[test]
fn given_a_lost_partition_then_it_is_abandoned_and_given_up_at_once() {
    let mut rig = Rig::filling(&[p(0)]);
    rig.take(&p(0), 3);
    let actions = rig.event(Event::Lost(vec![p(0)]));
    assert_eq!((&actions[0], sealed(&actions)), (&Action::Abandon(p(0)), None));
    assert_eq!(given_up(&actions), Some(vec![p(0)]));
}

#[test]
fn given_a_revoked_partition_that_is_being_resolved_then_it_does_not_begin_any_more() {
    let mut rig = Rig::filling(&[p(1)]);
    rig.take(&p(1), 1);
    let ticket = rig.assign(&p(0));
    rig.revoke(&[p(0), p(1)]);
    assert_eq!(rig.resolve(&p(0), ticket, log(5, 9)), []);
}

#[test]
fn given_a_revoked_partition_whose_start_is_being_committed_then_the_answer_is_awaited_and_not_acted_upon() {
    for answer in [CommitAnswer::Accepted, CommitAnswer::Rebalancing, CommitAnswer::Fenced("old".into())] {
        let mut rig = Rig::filling(&[p(1)]);
        rig.take(&p(1), 1);
        let ticket = rig.assign(&p(0));
        rig.resolve(&p(0), ticket, log(5, 9));
        assert_eq!(given_up(&rig.revoke(&[p(0)])), None);
        let mut actions = rig.answer(&p(0), answer);
        assert_eq!(given_up(&actions), Some(vec![p(0)]));
        actions.extend(rig.pass(Duration::from_secs(1)));
        assert_eq!(commit(&actions), None);
        assert!(!actions.iter().any(|action| matches!(action, Action::Consume(..))));
    }
}

#[test]
fn given_a_start_commit_to_be_sent_again_when_its_partition_is_revoked_then_it_is_not() {
    let mut rig = Rig::filling(&[p(1)]);
    rig.take(&p(1), 1);
    let ticket = rig.assign(&p(0));
    rig.resolve(&p(0), ticket, log(5, 9));
    rig.answer(&p(0), CommitAnswer::Rebalancing);
    rig.revoke(&[p(0), p(1)]);
    assert_eq!(commit(&rig.pass(Duration::from_secs(1))), None);
}

#[test]
fn given_a_held_partition_then_it_is_dropped_and_when_it_is_revoked_it_is_given_up_at_once() {
    let mut rig = Rig::filling(&[p(0)]);
    let batch = rig.fill_up(&p(0));
    rig.promise(&p(0), batch, outcome(FULL));
    let actions = rig.refused(&p(0), batch);
    assert!(actions.contains(&Action::Abandon(p(0))) && is_held(&actions));
    let actions = rig.revoke(&[p(0)]);
    assert!(actions.contains(&Action::Hold(p(0), None)));
    assert_eq!(given_up(&actions), Some(vec![p(0)]));
}

#[test]
fn given_a_partition_whose_position_is_gone_when_it_is_revoked_then_what_was_read_is_finished_and_it_is_not_resolved_again()
 {
    let mut rig = Rig::filling(&[p(0), p(1)]);
    rig.take(&p(0), 2);
    rig.take(&p(1), 2);
    let ticket = ticket(&rig.event(astray(true)));
    rig.revoke(&[p(0), p(1)]);
    let (batch, _) = sealed(&rig.resolve(&p(0), ticket, log(9, 100))).unwrap();
    rig.publish(&p(0), batch, 2);
    let actions = rig.accept(&p(0));
    assert!(matches!(actions.as_slice(), [Action::Finish { .. }]), "{actions:?}");
}

#[test]
fn given_a_partition_that_comes_back_then_nothing_of_before_is_left() {
    let mut rig = Rig::filling(&[p(0)]);
    let batch = rig.fill_up(&p(0));
    rig.take(&p(0), 3);
    rig.event(Event::Lost(vec![p(0)]));
    rig.begin(&p(0));
    assert_eq!(rig.durable(&p(0)).read, Offset(0));
    let filling = rig.lane.fill(&p(0), rig.now).unwrap();
    assert!(filling.room == FULL && filling.batch > batch);
}

#[test]
fn given_a_shutdown_then_all_is_sealed_published_and_committed_and_the_group_left_once() {
    let mut rig = Rig::filling(&[p(0), p(1)]);
    rig.take(&p(0), 3);
    rig.take(&p(1), 4);
    let actions = rig.event(Event::Shutdown);
    let batches: Vec<_> = actions.iter().filter_map(|action| sealed(std::slice::from_ref(action))).collect();
    assert!(batches.len() == 2 && batches.iter().all(|(_, reason)| *reason == SealReason::Shutdown));
    for (index, (batch, _)) in (0..).zip(batches) {
        let rows = if index == 0 { 3 } else { 4 };
        assert!(commit(&rig.publish(&p(index), batch, rows)).is_some());
        assert_eq!(leaves(&rig.accept(&p(index))), index == 1);
    }
    assert_eq!(rig.event(Event::Shutdown), []);
    assert_eq!(rig.pass(DEADLINE), []);
}

#[test]
fn given_the_shutdowns_deadline_then_what_is_left_is_abandoned_and_the_group_left() {
    let mut rig = Rig::filling(&[p(0)]);
    rig.take(&p(0), 3);
    rig.event(Event::Shutdown);
    assert_eq!(rig.pass(DEADLINE - Duration::from_millis(1)), []);
    assert_eq!(rig.pass(Duration::from_millis(1)), [Action::Abandon(p(0)), Action::Leave]);
}

#[test]
fn given_a_shutdown_while_a_partition_is_resolved_then_it_never_begins() {
    let mut rig = Rig::new();
    let ticket = rig.assign(&p(0));
    assert_eq!(rig.event(Event::Shutdown), [Action::Leave]);
    assert_eq!(rig.resolve(&p(0), ticket, log(5, 9)), []);
}

#[test]
fn given_partitions_assigned_during_a_shutdown_then_they_are_not_resolved() {
    let mut rig = Rig::filling(&[p(0)]);
    rig.take(&p(0), 3);
    rig.event(Event::Shutdown);
    assert_eq!(rig.event(Event::Assigned(vec![p(1)])), []);
    assert_eq!(given_up(&rig.revoke(&[p(1)])), Some(vec![p(1)]));
}

#[test]
fn given_a_shutdown_during_a_revocation_then_it_is_given_up_before_the_group_is_left() {
    let mut rig = Rig::filling(&[p(0)]);
    rig.take(&p(0), 3);
    let (batch, _) = sealed(&rig.revoke(&[p(0)])).unwrap();
    let actions = rig.event(Event::Shutdown);
    assert_eq!((given_up(&actions), leaves(&actions)), (None, false));
    rig.publish(&p(0), batch, 3);
    let actions = rig.accept(&p(0));
    assert_eq!(&actions[actions.len() - 2..], [Action::GiveUp(vec![p(0)]), Action::Leave]);
}

#[test]
fn given_a_revocation_during_a_shutdown_then_the_earlier_of_both_deadlines_counts() {
    let mut rig = Rig::filling(&[p(0), p(1)]);
    rig.take(&p(0), 3);
    rig.take(&p(1), 3);
    rig.event(Event::Shutdown);
    assert_eq!(rig.revoke(&[p(0)]), []);
    let actions = rig.pass(GRACE);
    assert_eq!(given_up(&actions), Some(vec![p(0)]));
    assert!(!leaves(&actions) && !actions.contains(&Action::Abandon(p(1))));
    assert!(leaves(&rig.pass(DEADLINE - GRACE)));
}

#[test]
fn given_a_revocation_then_it_waits_until_all_is_given_up() {
    let mut rig = Rig::filling(&[p(0)]);
    rig.take(&p(0), 3);
    assert!(!rig.lane.is_revoking());
    let (batch, _) = sealed(&rig.revoke(&[p(0)])).unwrap();
    assert!(rig.lane.is_revoking());
    rig.publish(&p(0), batch, 3);
    assert!(rig.lane.is_revoking());
    rig.accept(&p(0));
    assert!(!rig.lane.is_revoking());
}
