//! From a sealed batch to its commit.

use super::*;

#[test]
fn given_a_closed_batch_then_it_is_promised_before_it_is_published_and_committed_after() {
    let mut rig = Rig::filling(&[p(0)]);
    let batch = rig.fill_up(&p(0));
    let actions = rig.close(&p(0), batch, outcome(FULL));
    let promise = commit(&actions).unwrap();
    assert_eq!((promise.offset, publish(&actions)), (Offset(0), None));
    let intent = metadata(&promise).intent.unwrap();
    assert_eq!(
        (intent.end, intent.outcome, &intent.layout),
        (Offset(10), outcome(FULL).digest(), &settings().layout)
    );
    assert_eq!(rig.pass(MAX_AGE), []);
    let actions = rig.accept(&p(0));
    let publish = publish(&actions).unwrap();
    assert_eq!((publish.first, publish.end, commit(&actions)), (Offset(0), Offset(10), None));
    assert_eq!(publish.metadata, promise.metadata);
    assert_eq!(rig.pass(MAX_AGE), []);
    let actions = rig.published(&p(0), batch);
    assert_eq!(commit(&actions).unwrap().offset, Offset(10));
    let (partition, outcome) = (p(0), outcome(FULL));
    assert_eq!(rig.accept(&p(0)), [Action::Finish { partition, batch, outcome, records: FULL }]);
}

#[test]
fn given_files_then_the_coverage_starts_again_and_without_rows_it_accumulates() {
    let mut rig = Rig::filling(&[p(0)]);
    let mut coverage = |rows, skipped, gap: i64| {
        rig.take(&p(0), FULL - 1);
        let position = Offset(rig.durable(&p(0)).read.0 + gap);
        rig.event(Event::Position { partition: p(0), position });
        let batch = rig.fill_up_rest();
        rig.promise(&p(0), batch, Outcome { skipped, ..outcome(rows) });
        let commit = commit(&rig.published(&p(0), batch)).unwrap();
        rig.accept(&p(0));
        metadata(&commit).coverage
    };
    let without_rows = Coverage { skipped: 10, empty: 2, ..Coverage::default() };
    assert_eq!(coverage(0, 10, 2), without_rows);
    assert_eq!(coverage(0, 10, 1), Coverage { skipped: 20, empty: 3, ..without_rows });
    assert_eq!(coverage(10, 0, 0), Coverage::starting(Offset(33)));
}

impl Rig {
    /// Takes the one record that the open batch of partition 0 still has room for.
    fn fill_up_rest(&mut self) -> BatchId {
        sealed(&self.take(&p(0), 1)).unwrap().0
    }
}

#[test]
fn given_an_outcome_that_leaves_a_record_out_then_the_partition_is_held_and_nothing_published() {
    let mut rig = Rig::filling(&[p(0)]);
    let batch = rig.fill_up(&p(0));
    let actions = rig.close(&p(0), batch, outcome(FULL - 1));
    assert!(actions.iter().any(|action| matches!(action, Action::Hold(_, Some(_)))));
    assert_eq!(publish(&actions), None);
}

#[test]
fn given_a_commit_under_way_then_no_second_one_of_its_partition_is_sent() {
    let mut rig = Rig::filling(&[p(0)]);
    let (one, two) = (rig.fill_up(&p(0)), rig.fill_up(&p(0)));
    assert!(commit(&rig.publish(&p(0), one, FULL)).is_some());
    assert_eq!(rig.close(&p(0), two, outcome(FULL)), []);
    assert_eq!(rig.pass(MAX_AGE), []);
    let promise = commit(&rig.accept(&p(0))).unwrap();
    assert_eq!(promise.offset, Offset(10));
    assert_eq!(publish(&rig.accept(&p(0))).unwrap().batch, two);
}

#[test]
fn given_the_next_batch_is_closed_already_then_it_is_promised_in_its_predecessors_last_commit() {
    let mut rig = Rig::filling(&[p(0)]);
    let (one, two) = (rig.fill_up(&p(0)), rig.fill_up(&p(0)));
    rig.promise(&p(0), one, outcome(FULL));
    assert_eq!(rig.close(&p(0), two, outcome(FULL)), []);
    let both = commit(&rig.published(&p(0), one)).unwrap();
    assert_eq!(both.offset, Offset(10));
    assert_eq!(metadata(&both).intent.unwrap().end, Offset(20));
    let actions = rig.accept(&p(0));
    let published = publish(&actions).unwrap();
    assert_eq!((published.batch, published.metadata), (two, both.metadata));
}

#[test]
fn given_one_batch_being_published_then_the_next_fills_and_with_two_sealed_it_pauses() {
    let mut rig = Rig::filling(&[p(0)]);
    let one = rig.fill_up(&p(0));
    rig.promise(&p(0), one, outcome(FULL));
    assert!(rig.lane.takes(&p(0)));
    let actions = rig.take(&p(0), FULL);
    assert!(sealed(&actions).is_some() && actions.contains(&Action::Pause(p(0))));
    assert!(rig.lane.fill(&p(0), rig.now).is_none());
    rig.published(&p(0), one);
    assert!(rig.accept(&p(0)).contains(&Action::Resume(p(0))));
    assert!(rig.lane.takes(&p(0)));
}

#[test]
fn given_late_answers_about_an_abandoned_batch_then_they_change_nothing() {
    let mut rig = Rig::filling(&[p(0)]);
    let old = rig.fill_up(&p(0));
    rig.event(Event::Lost(vec![p(0)]));
    rig.begin(&p(0));
    let new = rig.fill_up(&p(0));
    rig.promise(&p(0), new, outcome(FULL));
    assert_eq!(rig.close(&p(0), old, outcome(1)), []);
    assert_eq!(rig.published(&p(0), old), []);
    assert_eq!(rig.refused(&p(0), old), []);
    assert_eq!(commit(&rig.published(&p(0), new)).unwrap().offset, Offset(10));
}

#[test]
fn given_a_refused_batch_then_nothing_later_of_its_partition_is_published_or_committed() {
    let mut rig = Rig::filling(&[p(0), p(1)]);
    let (one, two) = (rig.fill_up(&p(0)), rig.fill_up(&p(0)));
    rig.promise(&p(0), one, outcome(FULL));
    assert!(is_held(&rig.refused(&p(0), one)));
    assert_eq!(rig.close(&p(0), two, outcome(FULL)), []);
    assert_eq!(rig.pass(MAX_AGE), []);
    let other = rig.fill_up(&p(1));
    assert!(commit(&rig.publish(&p(1), other, FULL)).is_some());
}

#[test]
fn given_a_commit_that_cannot_be_taken_now_then_it_is_sent_again_half_a_second_later() {
    for answer in [CommitAnswer::NotNow("loading".into()), CommitAnswer::Rebalancing] {
        let mut rig = Rig::filling(&[p(0)]);
        let batch = rig.fill_up(&p(0));
        let first = commit(&rig.publish(&p(0), batch, FULL));
        assert_eq!(rig.answer(&p(0), answer), []);
        assert_eq!(rig.pass(Duration::from_millis(499)), []);
        assert_eq!(commit(&rig.pass(Duration::from_millis(1))), first);
    }
}

#[test]
fn given_two_partitions_commits_that_cannot_be_taken_now_then_they_are_sent_again_one_after_the_other() {
    let mut rig = Rig::filling(&[p(0), p(1)]);
    for index in [0, 1] {
        let batch = rig.fill_up(&p(index));
        rig.publish(&p(index), batch, FULL);
        rig.answer(&p(index), CommitAnswer::NotNow("denied".into()));
    }
    assert_eq!(commit(&rig.pass(Duration::from_millis(500))).unwrap().partition, p(0));
    assert_eq!(commit(&rig.pass(Duration::from_millis(50))).unwrap().partition, p(1));
}

#[test]
fn given_a_start_commit_that_cannot_be_taken_now_then_it_is_sent_again_before_anything_is_consumed() {
    let mut rig = Rig::new();
    let ticket = rig.assign(&p(0));
    let first = commit(&rig.resolve(&p(0), ticket, log(5, 9)));
    assert_eq!(rig.answer(&p(0), CommitAnswer::Rebalancing), []);
    assert_eq!(commit(&rig.pass(Duration::from_millis(500))), first);
    assert_eq!(rig.accept(&p(0)), [Action::Consume(p(0), Offset(5))]);
}

#[test]
fn given_a_fenced_commit_then_everything_of_its_partition_is_dropped() {
    let mut rig = Rig::filling(&[p(0)]);
    let (one, two) = (rig.fill_up(&p(0)), rig.fill_up(&p(0)));
    rig.publish(&p(0), one, FULL);
    let actions = rig.answer(&p(0), CommitAnswer::Fenced("generation".into()));
    assert_eq!(actions, [Action::Abandon(p(0)), Action::Fenced(p(0), "generation".into())]);
    assert_eq!(rig.close(&p(0), two, outcome(FULL)), []);
    assert_eq!(rig.pass(MAX_AGE), []);
}

#[test]
fn given_a_commit_without_an_answer_then_the_lane_starts_over_and_never_sends_it_again() {
    let mut rig = Rig::filling(&[p(0), p(1)]);
    let batch = rig.fill_up(&p(0));
    rig.publish(&p(0), batch, FULL);
    rig.take(&p(1), 3);
    let actions = rig.answer(&p(0), CommitAnswer::Unanswered("timed out".into()));
    assert!(actions.contains(&Action::Abandon(p(0))) && actions.contains(&Action::Abandon(p(1))));
    assert!(actions.iter().any(|action| matches!(action, Action::Rejoin(_))));
    let later = rig.pass(MAX_AGE);
    assert_eq!((commit(&later), publish(&later), sealed(&later)), (None, None, None));
    assert_eq!(given_up(&rig.revoke(&[p(0), p(1)])), Some(vec![p(0), p(1)]));
}

#[test]
fn given_each_stage_then_the_durable_offset_and_the_oldest_record_are_right() {
    let mut rig = Rig::filling(&[p(0)]);
    let stands = |rig: &Rig| {
        let durable = rig.durable(&p(0));
        (durable.committed.0, durable.read.0, durable.oldest.map(|time| time.0))
    };
    assert_eq!(stands(&rig), (0, 0, None));
    let run = |records, time| Run { records, first_timestamp: Some(UnixMillis(time)), ..Run::default() };
    rig.take_run(&p(0), run(4, 70));
    rig.take_run(&p(0), run(3, 80));
    assert_eq!(stands(&rig), (0, 7, Some(70)));
    let (one, _) = sealed(&rig.take_run(&p(0), run(3, 85))).unwrap();
    rig.take_run(&p(0), run(1, 90));
    assert_eq!(stands(&rig), (0, 11, Some(70)));
    rig.publish(&p(0), one, FULL);
    assert_eq!(stands(&rig), (0, 11, Some(70)));
    rig.accept(&p(0));
    assert_eq!(stands(&rig), (10, 11, Some(90)));
}

#[test]
fn given_what_was_read_is_abandoned_then_it_counts_as_unread() {
    let mut rig = Rig::filling(&[p(0)]);
    let batch = rig.fill_up(&p(0));
    rig.publish(&p(0), batch, FULL);
    rig.answer(&p(0), CommitAnswer::Fenced("generation".into()));
    let durable = rig.durable(&p(0));
    assert_eq!((durable.committed, durable.read, durable.oldest), (Offset(0), Offset(0), None));
}
