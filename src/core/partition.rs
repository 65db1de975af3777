//! One owned partition: where it stands, its open batch, and those on their way to being durable.

use std::time::Duration;

use super::batch::{BatchId, OpenBatch, SealReason, SealedBatch, SealedBatches, Stage};
use super::intent::{Intent, Layout, Metadata, RULES};
use super::start::{Decision, Facts, StartPolicy, decide};
use super::{Action, Commit, CommitAnswer, Now, Publish, Ticket};
use crate::types::{Offset, TopicPartition, UnixMillis};

/// One batch being published and one waiting behind it: enough to keep the store busy, little to lose.
const MAX_SEALED: usize = 2;

/// How long a commit that the coordinator can't take now waits for its next try.
const COMMIT_RETRY: Duration = Duration::from_millis(500);

#[derive(Debug)]
pub(super) struct Partition {
    name: TopicPartition,
    standing: Standing,
    /// What is committed: offset (`first`) and coverage. Meaningless unless `known`; of a partition that is held
    /// since it was resolved, only the offset is right.
    committed: Metadata,
    known: bool,
    /// Everything before it was delivered.
    read: Offset,
    open: Option<OpenBatch>,
    sealed: SealedBatches,
    commit: Option<PendingCommit>,
    retry_at: Duration,
    /// The lane waits for a schema.
    waiting: bool,
    /// It was handed to the client for fetching.
    consuming: bool,
    paused: bool,
    /// It is on its way to another owner, or to the end of the process: it takes nothing more.
    parting: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Standing {
    Resolving(Ticket),
    /// The start offset is being committed with this; what was lost on the way is reported after that.
    Starting(Box<Metadata>, Option<(Offset, Offset)>),
    Filling,
    /// Retention passed the position: what was read is finished, then it is resolved again.
    Overtaken,
    /// Held, or fenced: it takes nothing and publishes nothing.
    Held,
}

/// The commit that awaits its answer.
#[derive(Debug)]
struct PendingCommit {
    after: Metadata,
}

/// What a partition's owner lends it for one step.
pub(super) struct Step<'a> {
    pub(super) now: Now,
    pub(super) layout: &'a Layout,
    pub(super) actions: &'a mut Vec<Action>,
}

impl Partition {
    pub(super) fn assigned(name: TopicPartition, ticket: Ticket, step: &mut Step<'_>) -> Self {
        step.actions.push(Action::Resolve(name.clone(), ticket));
        let nothing = Metadata {
            topic_id: None,
            partition: name.partition,
            first: Offset(0),
            origin: Offset(0),
            partitions_at_start: None,
            coverage: super::intent::Coverage::default(),
            intent: None,
        };
        Self {
            name,
            standing: Standing::Resolving(ticket),
            committed: nothing,
            known: false,
            read: Offset(0),
            open: None,
            sealed: SealedBatches::new(),
            commit: None,
            retry_at: Duration::ZERO,
            waiting: false,
            consuming: false,
            paused: false,
            parting: false,
        }
    }

    /// Whether it is known where it begins, and committed.
    pub(super) fn is_begun(&self) -> bool {
        !matches!(self.standing, Standing::Resolving(_) | Standing::Starting(..))
    }

    /// Whether its committed offset is known.
    pub(super) fn is_known(&self) -> bool {
        self.known
    }

    /// The committed offset, what was read, and the Kafka timestamp of the oldest record between them.
    pub(super) fn durable(&self) -> (Offset, Offset, Option<UnixMillis>) {
        let sealed = self.sealed.iter().find_map(|batch| batch.oldest);
        let oldest = sealed.or_else(|| self.open.as_ref().and_then(|open| open.oldest));
        (self.committed.first, self.read, oldest)
    }

    /// The memory that its open batch holds.
    pub(super) fn open_memory(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.memory)
    }

    /// The memory that will be free once its sealed batches are durable.
    pub(super) fn sealed_memory(&self) -> usize {
        self.sealed.iter().map(|batch| batch.memory).sum()
    }

    /// Everything before it was delivered and dealt with.
    pub(super) fn read(&self) -> Offset {
        self.read
    }

    pub(super) fn open(&self) -> Option<&OpenBatch> {
        self.open.as_ref()
    }

    pub(super) fn open_mut(&mut self) -> Option<&mut OpenBatch> {
        self.open.as_mut()
    }

    /// Whether records may be dealt with, in the open batch or a new one.
    pub(super) fn takes(&self, pressed: bool) -> bool {
        self.standing == Standing::Filling
            && !self.parting
            && !pressed
            && (self.open.is_some() || self.sealed.len() < MAX_SEALED)
    }

    /// The open batch, which is made if there is none. One whose first record still waits is made anew: its instant
    /// is to be that record's.
    pub(super) fn open_or_new(&mut self, id: BatchId, now: Now) -> &mut OpenBatch {
        let first = self.read;
        self.open.take_if(|open| open.is_empty());
        self.open.get_or_insert_with(|| OpenBatch::new(id, first, now))
    }

    pub(super) fn resolved(
        &mut self,
        ticket: Ticket,
        facts: &Facts,
        policy: StartPolicy,
        step: &mut Step<'_>,
    ) {
        if self.standing != Standing::Resolving(ticket) {
            return;
        }
        match decide(self.name.partition, facts, policy) {
            Decision::Hold(reason) => {
                if let Some((offset, _)) = &facts.committed {
                    self.committed.first = *offset;
                    self.read = *offset;
                    self.known = true;
                }
                self.hold(reason, step);
            }
            Decision::Begin { metadata, commit, lost } => {
                self.read = metadata.first;
                if commit {
                    self.standing = Standing::Starting(metadata.clone(), lost);
                    self.send(*metadata, step);
                } else {
                    self.committed = *metadata;
                    self.known = true;
                    self.begin(step);
                }
            }
        }
    }

    fn begin(&mut self, step: &mut Step<'_>) {
        self.standing = Standing::Filling;
        self.consuming = true;
        self.paused = false;
        step.actions.push(Action::Consume(self.name.clone(), self.read));
    }

    pub(super) fn reached(&mut self, position: Offset) {
        self.read = self.read.max(position);
    }

    /// Everything that was read is finished, then the partition is resolved again.
    pub(super) fn overtaken(&mut self, step: &mut Step<'_>) {
        if self.standing == Standing::Filling {
            self.seal(SealReason::Retention, step);
            self.standing = Standing::Overtaken;
            self.consuming = false;
            self.waiting = false;
            step.actions.push(Action::Stop(self.name.clone()));
        }
    }

    pub(super) fn set_waiting(&mut self, waiting: bool) {
        self.waiting = waiting;
    }

    /// Seals the open batch, if there is one that covers anything.
    pub(super) fn seal(&mut self, reason: SealReason, step: &mut Step<'_>) {
        if let Some(open) = self.open.take().filter(|open| !open.is_empty()) {
            let (partition, batch) = (self.name.clone(), open.id);
            self.sealed.push_back(SealedBatch::new(open));
            step.actions.push(Action::Seal { partition, batch, reason });
        }
    }

    /// It takes nothing more; what was taken is finished, and what hasn't begun doesn't begin.
    pub(super) fn part(&mut self, reason: SealReason, step: &mut Step<'_>) {
        self.parting = true;
        self.seal(reason, step);
        self.stay_unbegun();
    }

    /// A partition that goes isn't resolved and started for nothing; a commit under way is still to be answered.
    fn stay_unbegun(&mut self) {
        if !self.is_begun() && self.commit.is_none() {
            self.standing = Standing::Held;
        }
    }

    /// Whether nothing is under way any more, so that it may be given up.
    pub(super) fn is_done(&self) -> bool {
        !self.has_batches() && self.commit.is_none()
    }

    /// Whether anything was taken that isn't durable.
    pub(super) fn has_batches(&self) -> bool {
        self.open.is_some() || !self.sealed.is_empty()
    }

    /// Whether an offset commit is under way.
    pub(super) fn has_commit(&self) -> bool {
        self.commit.is_some()
    }

    /// Drops all that isn't durable. A commit that is under way is still to be answered.
    pub(super) fn abandon(&mut self, step: &mut Step<'_>) {
        self.open = None;
        self.sealed.clear();
        self.read = self.committed.first;
        self.standing = Standing::Held;
        step.actions.push(Action::Abandon(self.name.clone()));
    }

    /// Holds it with everything that was taken: nothing is skipped, nothing overwritten.
    pub(super) fn hold(&mut self, reason: String, step: &mut Step<'_>) {
        self.standing = Standing::Held;
        step.actions.push(Action::Hold(self.name.clone(), Some(reason)));
    }

    pub(super) fn is_held(&self) -> bool {
        self.standing == Standing::Held
    }

    /// The sealed batch with this id, unless it was abandoned meanwhile.
    fn sealed_mut(&mut self, id: BatchId) -> Option<&mut SealedBatch> {
        self.sealed.iter_mut().find(|batch| batch.id == id)
    }

    pub(super) fn closed(&mut self, id: BatchId, outcome: super::batch::Outcome, step: &mut Step<'_>) {
        let Some(batch) = self.sealed_mut(id) else { return };
        let (records, settled) = (batch.records, outcome.records());
        batch.stage = Stage::Closed(outcome);
        if records != settled {
            self.hold(
                format!("{records} records were read and {settled} dealt with: this is a bug in valve"),
                step,
            );
        }
    }

    pub(super) fn published(&mut self, id: BatchId) {
        if let Some(batch) = self.sealed_mut(id)
            && let Stage::Publishing(outcome) = &mut batch.stage
        {
            batch.stage = Stage::Published(std::mem::take(outcome));
        }
    }

    pub(super) fn refused(&mut self, id: BatchId, reason: String, step: &mut Step<'_>) {
        if self.sealed_mut(id).is_some() {
            self.hold(reason, step);
        }
    }

    /// Takes the broker's answer; what it means for the lane as a whole is the caller's.
    pub(super) fn committed(&mut self, answer: &CommitAnswer, step: &mut Step<'_>) {
        let Some(pending) = self.commit.take() else { return };
        match answer {
            CommitAnswer::Accepted => self.accepted(pending, step),
            CommitAnswer::NotNow(_) | CommitAnswer::Rebalancing => {
                self.retry_at = step.now.monotonic + COMMIT_RETRY;
                if self.parting {
                    self.stay_unbegun();
                }
            }
            CommitAnswer::Fenced(reason) => {
                self.abandon(step);
                self.hold(format!("its offset commit was refused: {reason}"), step);
            }
            CommitAnswer::Unanswered(_) => {}
        }
    }

    fn accepted(&mut self, pending: PendingCommit, step: &mut Step<'_>) {
        self.committed = pending.after;
        self.known = true;
        self.read = self.read.max(self.committed.first);
        if let Standing::Starting(_, lost) = self.standing {
            if let Some((first, end)) = lost {
                step.actions.push(Action::ReportLost { partition: self.name.clone(), first, end });
            }
            return if self.parting { self.standing = Standing::Held } else { self.begin(step) };
        }
        if let Some(batch) = self.sealed.pop_front()
            && let Stage::Published(outcome) = batch.stage
        {
            let (partition, records) = (self.name.clone(), batch.records);
            step.actions.push(Action::Finish { partition, batch: batch.id, outcome, records });
        }
    }

    fn send(&mut self, after: Metadata, step: &mut Step<'_>) {
        step.actions.push(Action::Commit(Commit {
            partition: self.name.clone(),
            offset: after.first,
            metadata: after.encode(),
        }));
        self.commit = Some(PendingCommit { after });
    }

    /// Does what can be done next. Called after every event.
    pub(super) fn advance(&mut self, pressed: bool, ticket: impl FnOnce() -> Ticket, step: &mut Step<'_>) {
        if self.standing != Standing::Held && self.commit.is_none() && step.now.monotonic >= self.retry_at {
            if let Standing::Starting(start, _) = &self.standing {
                let start = start.as_ref().clone();
                self.send(start, step);
            } else {
                self.advance_front(step);
            }
        }
        if self.standing == Standing::Overtaken && self.is_done() && !self.parting {
            let ticket = ticket();
            self.standing = Standing::Resolving(ticket);
            step.actions.push(Action::Resolve(self.name.clone(), ticket));
        }
        self.pause_or_resume(pressed, step);
    }

    /// Publishes the oldest sealed batch once it is closed, and commits it once it is published.
    fn advance_front(&mut self, step: &mut Step<'_>) {
        let Some(batch) = self.sealed.front_mut() else { return };
        match &batch.stage {
            Stage::Closing | Stage::Publishing(_) => {}
            Stage::Closed(outcome) => {
                let intent = Intent {
                    end: batch.end,
                    instant: batch.instant,
                    rules: RULES,
                    layout: step.layout.clone(),
                    unknown_ids: batch.unknown_ids.iter().copied().collect(),
                    outcome: outcome.digest(),
                };
                let promise = Metadata { intent: Some(intent), ..self.committed.clone() };
                step.actions.push(Action::Publish(Publish {
                    partition: self.name.clone(),
                    batch: batch.id,
                    first: batch.first,
                    end: batch.end,
                    instant: batch.instant,
                    metadata: promise.encode(),
                    coverage: self.committed.coverage.clone(),
                    skipped: outcome.skipped,
                }));
                batch.stage = Stage::Publishing(outcome.clone());
            }
            Stage::Published(outcome) => {
                let coverage = batch.covered(&self.committed.coverage, outcome);
                let after = Metadata { first: batch.end, coverage, intent: None, ..self.committed.clone() };
                self.send(after, step);
            }
        }
    }

    fn pause_or_resume(&mut self, pressed: bool, step: &mut Step<'_>) {
        if !self.consuming {
            return;
        }
        let pause = self.waiting || !self.takes(pressed);
        if pause != self.paused {
            self.paused = pause;
            let name = self.name.clone();
            step.actions.push(if pause { Action::Pause(name) } else { Action::Resume(name) });
        }
    }
}
