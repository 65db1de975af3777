//! Random schedules: the core against a tiny model of the group, the broker and the store, checked after every step.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;

const PARTITIONS: i32 = 3;

/// One thing that the world does. What makes no sense at its time is left out.
#[derive(Clone, Debug)]
enum Turn {
    Assign(i32),
    Revoke(Vec<i32>),
    Lose(Vec<i32>),
    /// Answers the ask with this index, which may be an old one.
    Resolve(usize),
    Take(i32, u64),
    Position(i32, i64),
    OutOfRange(i32),
    Waiting(i32, bool),
    /// Closes one of the batches that are being closed, which may be abandoned by now.
    Close(usize, bool),
    /// Likewise for those that are being published.
    Publish(usize),
    Refuse(usize),
    Answer(i32, u8, bool),
    Pass(u64),
    Memory(usize),
    Shutdown,
}

fn turn() -> impl Strategy<Value = Turn> {
    let partition = 0..PARTITIONS;
    let several = vec(0..PARTITIONS, 0..3);
    let which = 0..1_000_usize;
    prop_oneof![
        6 => partition.clone().prop_map(Turn::Assign),
        2 => several.clone().prop_map(Turn::Revoke),
        1 => several.prop_map(Turn::Lose),
        8 => which.clone().prop_map(Turn::Resolve),
        16 => (partition.clone(), 1..=FULL).prop_map(|(index, records)| Turn::Take(index, records)),
        2 => (partition.clone(), 1..5_i64).prop_map(|(index, gap)| Turn::Position(index, gap)),
        1 => partition.clone().prop_map(Turn::OutOfRange),
        2 => (partition.clone(), any::<bool>()).prop_map(|(index, waits)| Turn::Waiting(index, waits)),
        12 => (which.clone(), any::<bool>()).prop_map(|(index, rows)| Turn::Close(index, rows)),
        12 => which.clone().prop_map(Turn::Publish),
        1 => which.prop_map(Turn::Refuse),
        16 => (partition, 0..40_u8, any::<bool>()).prop_map(|(index, how, applied)| Turn::Answer(index, how, applied)),
        4 => (0..150_000_u64).prop_map(Turn::Pass),
        2 => (0..100_usize).prop_map(Turn::Memory),
        1 => Just(Turn::Shutdown),
    ]
}

/// What the broker has of one partition.
#[derive(Debug, Default)]
struct Log {
    committed: Option<(Offset, String)>,
    low: Offset,
    high: Offset,
    /// What left the client and isn't answered.
    outstanding: Option<Commit>,
}

/// What the lane may do with a partition that it owns.
#[derive(Debug, Default)]
struct Owned {
    /// The end of what is consumed and sealed; `None` until the start is committed.
    sealed: Option<Offset>,
    published: Option<Offset>,
    paused: bool,
    /// Held, abandoned or fenced: nothing more of it may become visible.
    stopped: bool,
    parting: bool,
    ranges: BTreeMap<BatchId, Range>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Range {
    first: Offset,
    end: Offset,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Publishing,
    Published,
}

struct World {
    rig: Rig,
    logs: BTreeMap<TopicPartition, Log>,
    owned: BTreeMap<TopicPartition, Owned>,
    /// A rebalance isn't over before its partitions are given up.
    revoked: BTreeSet<TopicPartition>,
    is_revoking: bool,
    shutdown: Option<Duration>,
    left: bool,
    asks: Vec<(TopicPartition, Ticket)>,
    sealed: BTreeSet<BatchId>,
    closing: Vec<(TopicPartition, BatchId)>,
    publishing: Vec<(TopicPartition, BatchId)>,
}

impl World {
    fn new() -> Self {
        let log = || Log { low: Offset(3), high: Offset(3), ..Log::default() };
        Self {
            rig: Rig::new(),
            logs: (0..PARTITIONS).map(|index| (p(index), log())).collect(),
            owned: BTreeMap::new(),
            revoked: BTreeSet::new(),
            is_revoking: false,
            shutdown: None,
            left: false,
            asks: Vec::new(),
            sealed: BTreeSet::new(),
            closing: Vec::new(),
            publishing: Vec::new(),
        }
    }

    fn log(&mut self, partition: &TopicPartition) -> &mut Log {
        self.logs.get_mut(partition).unwrap()
    }

    fn owned(&mut self, partition: &TopicPartition) -> &mut Owned {
        self.owned.get_mut(partition).expect("the lane acts on what it owns only")
    }

    fn event(&mut self, event: Event) {
        let actions = self.rig.event(event);
        self.perform(actions);
    }

    fn turn(&mut self, turn: Turn) {
        match turn {
            Turn::Assign(index) => self.assign(&p(index)),
            Turn::Revoke(indices) => self.revoke(&indices, false),
            Turn::Lose(indices) => self.revoke(&indices, true),
            Turn::Resolve(index) => self.resolve(index),
            Turn::Take(index, records) => self.take(&p(index), records),
            Turn::Position(index, gap) => self.position(&p(index), gap),
            Turn::OutOfRange(index) => self.out_of_range(&p(index)),
            Turn::Waiting(index, waits) => self.event(Event::Waiting(p(index), waits)),
            Turn::Close(index, rows) => self.close(index, rows),
            Turn::Publish(index) => self.published(index),
            Turn::Refuse(index) => self.refuse(index),
            Turn::Answer(index, how, applied) => self.answer(&p(index), how, applied),
            Turn::Pass(millis) => self.pass(Duration::from_millis(millis)),
            Turn::Memory(used) => self.rig.memory = Memory { used, limit: 100 },
            Turn::Shutdown => self.shut_down(),
        }
        self.pass(Duration::ZERO);
        self.check();
    }

    fn assign(&mut self, partition: &TopicPartition) {
        if !self.is_revoking && !self.owned.contains_key(partition) {
            let parting = self.shutdown.is_some();
            self.owned.insert(partition.clone(), Owned { parting, ..Owned::default() });
            self.event(Event::Assigned(vec![partition.clone()]));
        }
    }

    fn revoke(&mut self, indices: &[i32], lost: bool) {
        let partitions: BTreeSet<_> = indices
            .iter()
            .map(|index| p(*index))
            .filter(|partition| self.owned.contains_key(partition))
            .collect();
        if self.is_revoking && !lost {
            return;
        }
        self.is_revoking = true;
        for partition in &partitions {
            let owned = self.owned(partition);
            owned.parting = true;
            owned.stopped |= lost;
        }
        self.revoked.extend(partitions.iter().cloned());
        let partitions = partitions.into_iter().collect();
        self.event(if lost { Event::Lost(partitions) } else { Event::Revoked(partitions) });
    }

    fn resolve(&mut self, index: usize) {
        let Some((partition, ticket)) = self.asks.get(index % self.asks.len().max(1)).cloned() else {
            return;
        };
        let log = self.log(&partition);
        // The driver asks while no commit is under way.
        if log.outstanding.is_none() {
            let committed = log.committed.clone();
            let facts = Facts { committed, ..super::log(log.low.0, log.high.0) };
            self.event(Event::Resolved { partition, ticket, facts });
        }
    }

    fn take(&mut self, partition: &TopicPartition, records: u64) {
        let Some(filling) = self.rig.lane.fill(partition, self.rig.now) else { return };
        let records = records.min(filling.room);
        let end = Offset(self.rig.durable(partition).read.0 + i64::try_from(records).unwrap());
        let log = self.log(partition);
        log.high = log.high.max(end);
        let run = Run { end, records, memory: 5, ..Run::default() };
        self.event(Event::Took { partition: partition.clone(), run });
    }

    fn position(&mut self, partition: &TopicPartition, gap: i64) {
        if let Some(Owned { sealed: Some(_), .. }) = self.owned.get(partition) {
            let position = Offset(self.rig.durable(partition).read.0 + gap);
            if self.rig.lane.takes(partition) {
                let log = self.log(partition);
                log.high = log.high.max(position);
            }
            self.event(Event::Position { partition: partition.clone(), position });
        }
    }

    fn out_of_range(&mut self, partition: &TopicPartition) {
        if self.rig.lane.takes(partition) {
            let read = self.rig.durable(partition).read;
            let log = self.log(partition);
            log.low = Offset(read.0 + 2);
            log.high = log.high.max(log.low);
            self.event(Event::OutOfRange(partition.clone()));
        }
    }

    fn close(&mut self, index: usize, rows: bool) {
        if let Some((partition, batch)) = pick(&mut self.closing, index) {
            self.event(Event::Closed { partition, batch, outcome: outcome(u64::from(rows)) });
        }
    }

    fn published(&mut self, index: usize) {
        if let Some((partition, batch)) = pick(&mut self.publishing, index) {
            if let Some(owned) = self.owned.get_mut(&partition)
                && let Some(range) = owned.ranges.get_mut(&batch)
            {
                range.stage = Stage::Published;
                owned.published = Some(range.end);
            }
            self.event(Event::Published { partition, batch });
        }
    }

    fn refuse(&mut self, index: usize) {
        if let Some((partition, batch)) = pick(&mut self.publishing, index) {
            self.event(Event::Refused { partition, batch, reason: "other rows".into() });
        }
    }

    fn answer(&mut self, partition: &TopicPartition, how: u8, applied: bool) {
        let log = self.log(partition);
        let Some(commit) = log.outstanding.take() else { return };
        let answer = match how {
            0 => CommitAnswer::Unanswered("timed out".into()),
            1 => CommitAnswer::Fenced("generation".into()),
            2..=4 => CommitAnswer::NotNow("loading".into()),
            5..=7 => CommitAnswer::Rebalancing,
            _ => CommitAnswer::Accepted,
        };
        if how >= 8 || how == 0 && applied {
            log.committed = Some((commit.offset, commit.metadata));
        }
        if answer == CommitAnswer::Accepted
            && let Some(owned) = self.owned.get_mut(partition)
        {
            // What is committed is the lane's business no more.
            owned.ranges.retain(|_, range| range.end > commit.offset || range.stage != Stage::Published);
        }
        if matches!(answer, CommitAnswer::Unanswered(_)) {
            self.owned.values_mut().for_each(|owned| owned.stopped = true);
        }
        self.event(Event::Committed { partition: partition.clone(), answer });
    }

    fn pass(&mut self, time: Duration) {
        let actions = self.rig.pass(time);
        self.perform(actions);
    }

    fn shut_down(&mut self) {
        self.shutdown.get_or_insert(self.rig.now.monotonic + DEADLINE);
        self.owned.values_mut().for_each(|owned| owned.parting = true);
        self.event(Event::Shutdown);
    }

    /// Does what the lane says, and checks that it may be said.
    fn perform(&mut self, actions: Vec<Action>) {
        for action in actions {
            // What is held is kept to the deadline, even if nobody waits for that.
            assert!(!self.left || matches!(action, Action::Abandon(_)), "{action:?} after it left");
            match action {
                Action::Resolve(partition, ticket) => {
                    let owned = self.owned(&partition);
                    assert!(!owned.parting && !owned.stopped, "{partition} is resolved for nothing");
                    (owned.sealed, owned.published) = (None, None);
                    self.asks.push((partition, ticket));
                }
                Action::Commit(commit) => self.commit(commit),
                Action::Consume(partition, offset) => self.consume(&partition, offset),
                Action::Stop(partition) => self.owned(&partition).paused = false,
                Action::Pause(partition) => {
                    assert!(!std::mem::replace(&mut self.owned(&partition).paused, true), "paused twice");
                }
                Action::Resume(partition) => {
                    assert!(std::mem::replace(&mut self.owned(&partition).paused, false), "resumed twice");
                }
                Action::Seal { partition, batch, .. } => {
                    assert!(self.sealed.insert(batch), "sealed twice");
                    self.closing.push((partition, batch));
                }
                Action::Publish(publish) => self.publish(publish),
                Action::Abandon(partition) => {
                    let owned = self.owned(&partition);
                    owned.stopped = true;
                    owned.ranges.clear();
                }
                Action::Hold(partition, Some(_)) => self.owned(&partition).stopped = true,
                Action::GiveUp(partitions) => self.give_up(&partitions),
                Action::Leave => self.leave(),
                Action::Finish { .. }
                | Action::ReportLost { .. }
                | Action::Hold(_, None)
                | Action::Rejoin(_) => {}
            }
        }
    }

    fn commit(&mut self, commit: Commit) {
        let partition = commit.partition.clone();
        assert_eq!(metadata(&commit).intent, None);
        let owned = self.owned(&partition);
        assert!(!owned.stopped, "{partition} may not be committed any more");
        match owned.sealed {
            // The start commit: before it, nothing was taken.
            None => assert!(owned.ranges.is_empty() && !owned.parting),
            Some(_) => assert_eq!(Some(commit.offset), owned.published, "committed before it was published"),
        }
        let log = self.log(&partition);
        assert!(log.committed.as_ref().is_none_or(|(before, _)| *before <= commit.offset), "set back");
        assert_eq!(log.outstanding.replace(commit), None, "two commits of {partition} at once");
    }

    fn consume(&mut self, partition: &TopicPartition, offset: Offset) {
        let log = self.log(partition);
        assert_eq!(log.committed.as_ref().map(|(committed, _)| *committed), Some(offset));
        assert_eq!(log.outstanding, None);
        let owned = self.owned(partition);
        assert!(!owned.stopped && !owned.parting, "{partition} begins although it goes");
        (owned.sealed, owned.published, owned.paused) = (Some(offset), None, false);
    }

    /// Batches follow each other without gap or overlap, each published once the one before is committed.
    fn publish(&mut self, publish: Publish) {
        let (partition, first, end) = (publish.partition.clone(), publish.first, publish.end);
        let found = Metadata::find(&publish.metadata, partition.partition, first);
        assert!(
            matches!(found, Found::Own(own) if own.intent.as_ref().is_some_and(|intent| intent.end == end))
        );
        let committed = self.log(&partition).committed.as_ref().map(|(committed, _)| *committed);
        assert_eq!(committed, Some(first), "the batch doesn't begin where the last one ended");
        assert!(first < end, "an empty batch");
        let owned = self.owned(&partition);
        assert!(!owned.stopped, "{partition} may not be published any more");
        assert_eq!(owned.sealed.replace(end), Some(first), "a gap or an overlap");
        let range = Range { first, end, stage: Stage::Publishing };
        assert_eq!(owned.ranges.insert(publish.batch, range), None, "published twice");
        self.publishing.push((partition, publish.batch));
    }

    fn give_up(&mut self, partitions: &[TopicPartition]) {
        let revoked: Vec<_> = std::mem::take(&mut self.revoked).into_iter().collect();
        assert!(std::mem::take(&mut self.is_revoking), "nothing was revoked");
        assert_eq!(partitions, revoked);
        for partition in partitions {
            assert_eq!(self.log(partition).outstanding, None, "given up before its commit was answered");
            let owned = self.owned.remove(partition).unwrap();
            assert!(owned.stopped || owned.ranges.is_empty(), "given up unfinished");
        }
    }

    fn leave(&mut self) {
        self.left = true;
        assert!(self.shutdown.is_some());
        assert!(self.logs.values().all(|log| log.outstanding.is_none()), "left before a commit was answered");
        let unfinished = |owned: &Owned| !owned.stopped && !owned.ranges.is_empty();
        assert!(!self.owned.values().any(unfinished), "left before the deadline with batches unfinished");
    }

    /// What must hold between any two turns.
    fn check(&self) {
        for durable in self.rig.lane.durables() {
            let log = &self.logs[&durable.partition];
            let applied = log.committed.as_ref().map(|(committed, _)| *committed);
            assert!(Some(durable.committed) <= applied, "{durable:?}, but {applied:?} is committed");
            assert!(durable.read >= durable.committed);
        }
        let owned: Vec<_> = self.rig.lane.partitions().collect();
        assert!(owned.iter().all(|partition| self.owned.contains_key(partition)));
    }

    /// From here on everything works: whatever was asked is answered, until nothing more happens.
    fn calm_down(&mut self) {
        self.rig.memory = NO_PRESSURE;
        for _ in 0..12 {
            for index in 0..PARTITIONS {
                self.event(Event::Waiting(p(index), false));
                self.answer(&p(index), u8::MAX, true);
            }
            (0..self.asks.len()).for_each(|index| self.resolve(index));
            (0..self.closing.len()).for_each(|_| self.close(0, true));
            (0..self.publishing.len()).for_each(|_| self.published(0));
            self.pass(MAX_IDLE);
            self.check();
        }
    }
}

/// Takes one of `pending` out, if there is any.
fn pick<T>(pending: &mut Vec<T>, index: usize) -> Option<T> {
    (!pending.is_empty()).then(|| pending.remove(index % pending.len()))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn given_any_schedule_then_commits_never_pass_what_is_published_and_everything_ends(
        turns in vec(turn(), 1..250),
    ) {
        let mut world = World::new();
        for turn in turns {
            if !world.left {
                world.turn(turn);
            }
        }
        if world.left {
            return Ok(());
        }
        world.calm_down();
        prop_assert!(!world.is_revoking, "a revocation never ended");
        let moving: Vec<_> = world.owned.iter().filter(|(_, owned)| !owned.stopped && !owned.parting).collect();
        for (partition, _) in moving {
            let durable = world.rig.durable(partition);
            prop_assert_eq!(durable.committed, durable.read, "{} is stuck", partition);
            prop_assert!(world.shutdown.is_some() || world.rig.lane.takes(partition));
        }
        if !world.left {
            world.shut_down();
            world.pass(DEADLINE);
        }
        prop_assert!(world.left, "it never left");
    }
}
