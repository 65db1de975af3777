//! A partition that is found with a promise: the batch is made again, compared, published, committed.

use super::*;
use crate::core::Remake;
use crate::core::view::WaitsFor;

/// What the next owner finds when `[10, 20)` with `rows` rows was promised.
fn promised(rows: u64) -> Facts {
    let mut rig = Rig::filling(&[p(0)]);
    let (one, two) = (rig.fill_up(&p(0)), rig.fill_up(&p(0)));
    rig.publish(&p(0), one, FULL);
    rig.accept(&p(0));
    let commit = commit(&rig.answer_nothing_but_close(two, rows)).unwrap();
    Facts { committed: Some((commit.offset, commit.metadata)), ..log(0, 1_000) }
}

impl Rig {
    fn answer_nothing_but_close(&mut self, batch: BatchId, rows: u64) -> Vec<Action> {
        self.close(&p(0), batch, Outcome { skipped: FULL - rows, ..outcome(rows) })
    }

    /// A rig that has been told to make the promised batch of `facts` again.
    fn remaking(facts: Facts) -> (Self, Remake) {
        let mut rig = Self::new();
        let ticket = rig.assign(&p(0));
        let actions = rig.resolve(&p(0), ticket, facts);
        let [Action::Remake(remake)] = actions.as_slice() else { panic!("{actions:?}") };
        (rig, remake.clone())
    }
}

fn outcome_of(rows: u64) -> Outcome {
    Outcome { skipped: FULL - rows, ..outcome(rows) }
}

#[test]
fn given_a_promise_then_the_batch_is_made_again_before_anything_else_is_read() {
    let (mut rig, remake) = Rig::remaking(promised(7));
    let intent = remake.promise.intent.clone().unwrap();
    assert_eq!((remake.promise.first, intent.end), (Offset(10), Offset(20)));
    assert!(!rig.lane.takes(&p(0)));
    assert_eq!(rig.lane.waits().collect::<Vec<_>>(), [(p(0), WaitsFor::Takeover)]);
    assert_eq!(rig.pass(MAX_AGE), []);
    let durable = rig.durable(&p(0));
    assert_eq!((durable.committed, durable.read), (Offset(10), Offset(10)));
}

#[test]
fn given_the_same_outcome_then_it_is_published_under_the_same_identity_and_committed_and_reading_goes_on() {
    let facts = promised(7);
    let text = facts.committed.clone().unwrap().1;
    let (mut rig, remake) = Rig::remaking(facts);
    let actions = rig.close(&p(0), remake.batch, outcome_of(7));
    let publish = publish(&actions).unwrap();
    assert_eq!((commit(&actions), publish.metadata), (None, text));
    let last = commit(&rig.published(&p(0), remake.batch)).unwrap();
    assert_eq!((last.offset, metadata(&last).intent), (Offset(20), None));
    let actions = rig.accept(&p(0));
    assert!(matches!(actions[0], Action::Finish { records: FULL, .. }), "{actions:?}");
    assert_eq!(actions[1..], [Action::Consume(p(0), Offset(20))]);
}

#[test]
fn given_another_outcome_then_nothing_is_published_and_the_partition_is_held_with_what_came_out() {
    let (mut rig, remake) = Rig::remaking(promised(7));
    let actions = rig.close(&p(0), remake.batch, outcome_of(6));
    assert!(is_held(&actions) && publish(&actions).is_none() && commit(&actions).is_none());
    let Some(Action::Hold(_, Some(reason))) = actions.last() else { panic!("{actions:?}") };
    assert!(reason.contains("[10, 20)") && reason.contains("6 rows"), "{reason}");
    assert_eq!(rig.pass(MAX_AGE), []);
}

#[test]
fn given_it_cannot_be_made_again_then_the_partition_is_held() {
    let (mut rig, remake) = Rig::remaking(promised(7));
    assert!(is_held(&rig.refused(&p(0), remake.batch)));
}

#[test]
fn given_records_of_the_range_that_are_gone_or_another_topic_then_it_is_held_at_once() {
    let gone = Facts { low: Offset(11), ..promised(7) };
    let short = Facts { end: Offset(19), ..promised(7) };
    let other = Facts { topic_id: Some(2), ..promised(7) };
    for facts in [gone, short, other] {
        let mut rig = Rig::new();
        let ticket = rig.assign(&p(0));
        let actions = rig.resolve(&p(0), ticket, facts);
        assert!(is_held(&actions) && actions.iter().all(|action| !matches!(action, Action::Remake(_))));
    }
}

/// Settings under which the store can't have files of the topic.
fn too_long() -> Settings {
    let mut settings = settings();
    settings.start.longest_topic = "orders".len() - 1;
    settings
}

#[test]
fn given_a_layout_that_has_no_room_for_the_topic_any_more_then_its_promise_is_kept_and_nothing_is_read_behind_it()
 {
    let mut rig = Rig::with(too_long());
    let ticket = rig.assign(&p(0));
    let actions = rig.resolve(&p(0), ticket, promised(7));
    let [Action::Remake(remake)] = actions.as_slice() else { panic!("{actions:?}") };
    assert!(publish(&rig.close(&p(0), remake.batch, outcome_of(7))).is_some());
    assert_eq!(commit(&rig.published(&p(0), remake.batch)).unwrap().offset, Offset(20));
    let actions = rig.accept(&p(0));
    assert!(matches!(actions[0], Action::Finish { records: FULL, .. }), "{actions:?}");
    let Some(Action::Hold(_, Some(reason))) = actions.last() else { panic!("{actions:?}") };
    assert!(reason.contains("shorten layout.key"), "{reason}");
    assert!(!actions.iter().any(|action| matches!(action, Action::Consume(..))), "{actions:?}");
    assert!(!rig.lane.takes(&p(0)));
    assert_eq!((rig.pass(MAX_AGE), rig.durable(&p(0)).committed), (Vec::new(), Offset(20)));
}

#[test]
fn given_a_layout_that_has_no_room_for_the_topic_then_an_offset_without_a_promise_is_shown_and_held() {
    let mut rig = Rig::with(too_long());
    let ticket = rig.assign(&p(0));
    let actions = rig.resolve(&p(0), ticket, Facts { committed: committed_at(20), ..log(0, 100) });
    assert!(is_held(&actions) && commit(&actions).is_none(), "{actions:?}");
    assert_eq!(rig.durable(&p(0)).committed, Offset(20));
}

#[test]
fn given_a_revocation_or_shutdown_while_it_is_made_again_then_it_is_left_to_the_next_owner() {
    for event in [Event::Revoked(vec![p(0)]), Event::Shutdown] {
        let (mut rig, remake) = Rig::remaking(promised(7));
        let actions = rig.event(event);
        assert_eq!(actions[0], Action::Abandon(p(0)));
        assert!(given_up(&actions).is_some() || actions.contains(&Action::Leave));
        assert_eq!(rig.close(&p(0), remake.batch, outcome_of(7)), []);
    }
}

#[test]
fn given_a_shutdown_while_it_is_published_then_it_is_finished_unchanged() {
    let (mut rig, remake) = Rig::remaking(promised(7));
    rig.close(&p(0), remake.batch, outcome_of(7));
    assert_eq!(rig.event(Event::Shutdown), []);
    let last = commit(&rig.published(&p(0), remake.batch)).unwrap();
    assert_eq!(last.offset, Offset(20));
    let actions = rig.accept(&p(0));
    assert!(
        actions.contains(&Action::Leave)
            && !actions.iter().any(|action| matches!(action, Action::Consume(..)))
    );
}

#[test]
fn given_the_topic_is_created_again_while_a_batch_is_promised_then_it_is_held_and_otherwise_begins_anew() {
    let topic = std::sync::Arc::from("orders");
    let (mut rig, _) = Rig::remaking(promised(7));
    assert!(is_held(&rig.event(Event::TopicId { topic: std::sync::Arc::clone(&topic), id: 2 })));

    let mut rig = Rig::filling(&[p(0)]);
    rig.take(&p(0), 3);
    assert_eq!(rig.event(Event::TopicId { topic: std::sync::Arc::clone(&topic), id: 1 }), []);
    let actions = rig.event(Event::TopicId { topic, id: 2 });
    assert_eq!(actions[..2], [Action::Stop(p(0)), Action::Abandon(p(0))]);
    let ticket = ticket(&actions);
    let anew = Facts { topic_id: Some(2), committed: committed_at(0), ..log(5, 9) };
    let start = commit(&rig.resolve(&p(0), ticket, anew)).unwrap();
    assert_eq!((metadata(&start).origin, metadata(&start).topic_id), (Offset(5), Some(2)));
}

fn committed_at(offset: i64) -> Option<(Offset, String)> {
    let mut rig = Rig::new();
    let ticket = rig.assign(&p(0));
    let start = commit(&rig.resolve(&p(0), ticket, log(offset, 1_000))).unwrap();
    Some((start.offset, start.metadata))
}

#[test]
fn given_fetching_fails_without_a_reason_in_the_log_then_the_open_batch_goes_on_where_it_was_after_a_rest() {
    let mut rig = Rig::filling(&[p(0)]);
    rig.take(&p(0), 4);
    let actions = rig.event(astray(false));
    assert_eq!(actions[0], Action::Stop(p(0)));
    assert_eq!(rig.resolve(&p(0), ticket(&actions), Facts { committed: committed_at(0), ..log(0, 100) }), []);
    // What the client says of its position meanwhile counts a record that never came.
    rig.event(Event::Position { partition: p(0), position: Offset(5) });
    assert_eq!(rig.pass(Duration::from_millis(999)), []);
    assert_eq!(rig.pass(Duration::from_millis(1)), [Action::Consume(p(0), Offset(4))]);
    let (batch, _) = sealed(&rig.take(&p(0), FULL - 4)).unwrap();
    assert_eq!(publish(&rig.promise(&p(0), batch, outcome(FULL))).unwrap().end, Offset(10));
}

#[test]
fn given_fetching_fails_and_the_partition_is_revoked_meanwhile_then_the_open_batch_is_finished() {
    let mut rig = Rig::filling(&[p(0)]);
    rig.take(&p(0), 4);
    let asked = ticket(&rig.event(astray(false)));
    rig.revoke(&[p(0)]);
    let actions = rig.resolve(&p(0), asked, Facts { committed: committed_at(0), ..log(0, 100) });
    let (batch, _) = sealed(&actions).unwrap();
    rig.publish(&p(0), batch, 4);
    assert_eq!(given_up(&rig.accept(&p(0))), Some(vec![p(0)]));
}

#[test]
fn given_the_topic_is_created_again_while_the_batchs_end_is_being_committed_then_the_answer_decides() {
    let mut rig = Rig::filling(&[p(0)]);
    let batch = rig.fill_up(&p(0));
    rig.publish(&p(0), batch, FULL);
    let actions = rig.event(Event::TopicId { topic: std::sync::Arc::from("orders"), id: 2 });
    assert!(!is_held(&actions), "{actions:?}");
    let asked = ticket(&rig.accept(&p(0)));
    let anew = Facts { topic_id: Some(2), committed: committed_at(10), ..log(0, 9) };
    assert_eq!(commit(&rig.resolve(&p(0), asked, anew)).unwrap().offset, Offset(0));
}

#[test]
fn given_the_log_became_shorter_than_what_was_read_then_the_open_batch_is_dropped_unpublished() {
    let mut rig = Rig::filling(&[p(0)]);
    rig.take(&p(0), 4);
    let ticket = ticket(&rig.event(astray(true)));
    let actions = rig.resolve(&p(0), ticket, Facts { committed: committed_at(0), ..log(0, 2) });
    assert_eq!((&actions[0], sealed(&actions)), (&Action::Abandon(p(0)), None));
    let ticket = super::ticket(&actions);
    let actions = rig.resolve(&p(0), ticket, Facts { committed: committed_at(0), ..log(0, 2) });
    assert_eq!(actions, [Action::Consume(p(0), Offset(0))]);
}

#[test]
fn given_the_log_became_shorter_and_has_grown_past_what_was_read_then_the_open_batch_is_dropped_and_read_again()
 {
    let mut rig = Rig::filling(&[p(0)]);
    rig.take(&p(0), 4);
    let asked = ticket(&rig.event(astray(true)));
    let facts = || Facts { committed: committed_at(0), ..log(0, 100) };
    let actions = rig.resolve(&p(0), asked, facts());
    assert_eq!(actions, [Action::Abandon(p(0))]);
    // Should it not last, it isn't asked again and again.
    assert_eq!(rig.pass(Duration::from_millis(999)), []);
    let asked = ticket(&rig.pass(Duration::from_millis(1)));
    assert_eq!(rig.resolve(&p(0), asked, facts()), [Action::Consume(p(0), Offset(0))]);
}

#[test]
fn given_it_is_not_known_yet_what_became_of_the_log_then_nothing_new_is_promised() {
    let mut rig = Rig::filling(&[p(0)]);
    let (first, second) = (rig.fill_up(&p(0)), rig.fill_up(&p(0)));
    rig.promise(&p(0), first, outcome(FULL));
    let asked = ticket(&rig.event(astray(true)));
    // The second is only sealed: what was promised is finished without promising that one.
    let closed = Event::Closed { partition: p(0), batch: second, outcome: outcome(FULL) };
    assert_eq!(rig.event(closed), []);
    let end = commit(&rig.event(Event::Published { partition: p(0), batch: first })).unwrap();
    assert_eq!((end.offset, metadata(&end).intent), (Offset(10), None));
    assert_eq!(commit(&rig.accept(&p(0))), None);
    let facts = Facts { committed: Some((end.offset, end.metadata.clone())), ..log(0, 100) };
    assert_eq!(rig.resolve(&p(0), asked, facts), [Action::Abandon(p(0))]);
}

#[test]
fn given_it_is_not_known_yet_what_became_of_the_log_then_no_limit_seals_the_open_batch() {
    for out_of_range in [true, false] {
        let mut rig = Rig::filling(&[p(0)]);
        rig.take(&p(0), 4);
        let asked = ticket(&rig.event(astray(out_of_range)));
        assert_eq!(rig.pass(MAX_AGE), []);
        let actions = rig.resolve(&p(0), asked, Facts { committed: committed_at(0), ..log(0, 100) });
        assert_eq!(actions.contains(&Action::Abandon(p(0))), out_of_range, "{actions:?}");
    }
}

#[test]
fn given_files_are_stored_and_the_offsets_are_forgotten_then_it_does_not_start_over_silently() {
    let mut rig = Rig::new();
    let ticket = rig.assign(&p(0));
    assert!(is_held(&rig.resolve(&p(0), ticket, Facts { stored: Stored::Files, ..log(0, 100) })));
}

fn stored_start(complete: bool, dead_letters: bool) -> (Rig, Vec<Action>) {
    let mut settings = settings();
    settings.start.start = Start::Stored;
    let mut rig = Rig::with(settings);
    let ticket = rig.assign(&p(0));
    let metadata = promised(7).committed.unwrap().1;
    let facts = Facts { stored: Stored::Last { metadata, complete, dead_letters }, ..log(0, 100) };
    let actions = rig.resolve(&p(0), ticket, facts);
    (rig, actions)
}

#[test]
fn given_start_stored_and_a_last_batch_that_lacks_files_and_records_then_it_is_promised_so_that_it_can_be_released()
 {
    let mut settings = settings();
    settings.start.start = Start::Stored;
    for (low, end) in [(15, 100), (0, 15)] {
        let mut rig = Rig::with(settings.clone());
        let begun = rig.assign(&p(0));
        let metadata = promised(7).committed.unwrap().1;
        let stored = Stored::Last { metadata: metadata.clone(), complete: false, dead_letters: false };
        let promise = commit(&rig.resolve(&p(0), begun, Facts { stored, ..log(low, end) })).unwrap();
        assert_eq!((promise.offset, promise.metadata), (Offset(10), metadata));
        let asked = ticket(&rig.accept(&p(0)));
        let facts = Facts { committed: promised(7).committed, ..log(low, end) };
        assert!(is_held(&rig.resolve(&p(0), asked, facts)));
    }
}

#[test]
fn given_start_stored_and_a_complete_last_batch_then_it_goes_on_where_the_batch_ends() {
    let (_, actions) = stored_start(true, false);
    let start = commit(&actions).unwrap();
    let metadata = metadata(&start);
    assert_eq!((start.offset, metadata.origin, metadata.coverage.from), (Offset(20), Offset(0), Offset(20)));
    assert_eq!(metadata.intent, None);
}

#[test]
fn given_start_stored_and_a_last_batch_that_lacks_files_then_it_is_promised_again_and_made() {
    // That its files are there doesn't say that its dead letters are.
    for (complete, dead_letters) in [(false, false), (true, true)] {
        let (mut rig, actions) = stored_start(complete, dead_letters);
        let promise = commit(&actions).unwrap();
        let text = promised(7).committed.map(|(_, text)| text);
        assert_eq!((promise.offset, Some(promise.metadata)), (Offset(10), text));
        let asked = ticket(&rig.accept(&p(0)));
        let actions = rig.resolve(&p(0), asked, Facts { committed: promised(7).committed, ..log(0, 100) });
        assert!(matches!(actions.as_slice(), [Action::Remake(_)]), "{actions:?}");
    }
}
