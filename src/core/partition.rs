//! One owned partition: where it stands, its open batch, and those on their way to being durable.

mod passage;
mod standing;

use std::time::Duration;

use super::batch::{BatchId, OpenBatch, SealReason, SealedBatch, SealedBatches};
use super::intent::{Coverage, Layout, Metadata};
use super::start::StartPolicy;
use super::turns::Turns;
use super::{Action, Commit, CommitAnswer, Now, Ticket};
use crate::types::{Offset, SchemaId, TopicPartition, UnixMillis};

use self::passage::Finished;
use self::standing::Standing;

/// One batch being published and one waiting behind it: enough to keep the store busy, little to lose.
const MAX_SEALED: usize = 2;

/// How long a commit that the coordinator can't take now waits for its next try, and by how much more the partitions of a topic
/// differ: the client tells of all in one request what the broker refused of one.
const COMMIT_RETRY: Duration = Duration::from_millis(500);
const COMMIT_SPREAD: (i32, Duration) = (8, Duration::from_millis(50));

/// How long a partition whose schema is being looked up isn't paused yet.
const HESITATION: Duration = Duration::from_millis(250);

#[derive(Debug)]
pub(super) struct Partition {
    name: TopicPartition,
    standing: Standing,
    /// What is committed: offset (`first`), coverage, and the intent of the oldest sealed batch once that is promised.
    /// Meaningless unless `known`; of a partition that is held since it was resolved, only the offset is right.
    committed: Metadata,
    known: bool,
    /// Everything before it was delivered.
    read: Offset,
    open: Option<OpenBatch>,
    sealed: SealedBatches,
    commit: Option<PendingCommit>,
    retry_at: Duration,
    /// Since when the lane waits for a schema, or leaves the topic alone.
    waiting: Option<Duration>,
    /// The log's end, as far as it is known.
    log_end: Option<Offset>,
    /// It may be filled: memory suffices, or it is its turn.
    admitted: bool,
    /// When it got its turn, or took something in it.
    active: Duration,
    /// Who has a lower one has its turn before.
    turn: u64,
    /// A record was there for it and couldn't be taken: it is known where and when it goes on.
    turned_away: bool,
    /// It was handed to the client for fetching.
    consuming: bool,
    paused: bool,
    /// The topic's id, as it was told while it wasn't known where to begin.
    heard: Option<u128>,
    /// It is on its way to another owner, or to the end of the process: it takes nothing more.
    parting: bool,
}

/// The commit that awaits its answer.
#[derive(Debug)]
struct PendingCommit {
    after: Metadata,
    /// The batch that is durable with it.
    finishes: Option<Finished>,
}

/// Numbers that a lane gives once each.
#[derive(Debug, Default)]
pub(super) struct Ids {
    batch: u64,
    ticket: u64,
}

impl Ids {
    pub(super) fn batch(&mut self) -> BatchId {
        self.batch += 1;
        BatchId(self.batch)
    }

    pub(super) fn ticket(&mut self) -> Ticket {
        self.ticket += 1;
        Ticket(self.ticket)
    }
}

/// What a partition's owner lends it for one step.
pub(super) struct Step<'a> {
    pub(super) now: Now,
    pub(super) layout: &'a Layout,
    pub(super) policy: StartPolicy,
    pub(super) ids: &'a mut Ids,
    pub(super) turns: &'a mut Turns,
    pub(super) actions: &'a mut Vec<Action>,
}

impl Partition {
    pub(super) fn assigned(name: TopicPartition, step: &mut Step<'_>) -> Self {
        let ticket = step.ids.ticket();
        step.actions.push(Action::Resolve(name.clone(), ticket));
        let nothing = Metadata {
            topic_id: None,
            partition: name.partition,
            first: Offset(0),
            origin: Offset(0),
            partitions_at_start: None,
            coverage: Coverage::default(),
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
            waiting: None,
            log_end: None,
            admitted: true,
            active: step.now.monotonic,
            turn: 0,
            turned_away: false,
            consuming: false,
            paused: false,
            heard: None,
            parting: false,
        }
    }

    pub(super) fn topic(&self) -> &str {
        &self.name.topic
    }

    /// Whether its committed offset is known.
    pub(super) fn is_known(&self) -> bool {
        self.known
    }

    /// The committed offset, what was read, and the Kafka timestamp of the oldest record between them.
    pub(super) fn durable(&self) -> (Offset, Offset, Option<UnixMillis>) {
        let sealed = self.sealed.iter().find_map(|sealed| sealed.batch.oldest);
        let oldest = sealed.or_else(|| self.open.as_ref().and_then(|open| open.batch.oldest));
        (self.committed.first, self.read, oldest)
    }

    /// The memory that its open batch holds.
    pub(super) fn open_memory(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.batch.memory)
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
        self.admitted && !pressed && self.is_filling()
    }

    /// Whether it could be filled, if memory suffices.
    pub(super) fn is_filling(&self) -> bool {
        let has_room = self.open.is_some() || self.sealed.len() < MAX_SEALED;
        self.standing == Standing::Filling && !self.parting && has_room
    }

    /// Whether it was handed to the client for fetching.
    pub(super) fn is_fetched(&self) -> bool {
        self.consuming
    }

    /// Records that are in the log and weren't taken, as far as is known.
    pub(super) fn backlog(&self) -> u64 {
        self.log_end.map_or(0, |end| self.read.distance_to(end))
    }

    pub(super) fn log_ends(&mut self, end: Offset) {
        self.log_end = Some(end);
    }

    pub(super) fn is_admitted(&self) -> bool {
        self.admitted
    }

    /// Whether it may be filled, from now on.
    pub(super) fn admit(&mut self, admitted: bool, now: Now) {
        if admitted && !self.admitted {
            self.active = now.monotonic;
        }
        self.admitted = admitted;
    }

    /// What orders the turns: who has begun a batch ends it, then those that wait the longest.
    pub(super) fn place_in_turn(&self) -> (bool, u64) {
        match &self.open {
            Some(open) if self.admitted => (false, open.batch.id.0),
            _ => (true, self.turn),
        }
    }

    /// Whether it has its turn and takes nothing.
    pub(super) fn is_stalled(&self, limit: Duration, now: Now) -> bool {
        now.monotonic.saturating_sub(self.active) >= limit
    }

    /// A record was there and couldn't be taken.
    pub(super) fn turn_away(&mut self) {
        self.turned_away = true;
    }

    /// The open batch, which is made if there is none. One whose first record still waits is made anew: its instant
    /// is to be that record's.
    pub(super) fn open_or_new(&mut self, ids: &mut Ids, now: Now) -> &mut OpenBatch {
        let first = self.read;
        self.open.take_if(|open| open.is_empty());
        self.open.get_or_insert_with(|| OpenBatch::new(ids.batch(), first, now))
    }

    /// Declares `id` unknown for the rest of the open batch; `false` if an intent couldn't name it.
    pub(super) fn declare_unknown(&mut self, id: SchemaId) -> bool {
        self.open.as_mut().is_some_and(|open| open.declare_unknown(id))
    }

    pub(super) fn reached(&mut self, position: Offset, now: Now) {
        self.read = self.read.max(position);
        self.active = now.monotonic;
        self.turned_away = false;
    }

    pub(super) fn set_waiting(&mut self, waiting: bool, now: Now) {
        self.waiting = waiting.then_some(now.monotonic);
    }

    /// Whether a schema is being looked up that is expected any moment: too soon to pause, which would throw away what was
    /// fetched.
    pub(super) fn hesitates(&self, now: Now) -> bool {
        self.waiting.is_some_and(|since| now.monotonic.saturating_sub(since) < HESITATION)
    }

    /// Seals the open batch, if there is one that covers anything.
    pub(super) fn seal(&mut self, reason: SealReason, step: &mut Step<'_>) {
        if let Some(open) = self.open.take().filter(|open| !open.is_empty()) {
            self.turn = step.turns.last();
            let (partition, batch) = (self.name.clone(), open.batch.id);
            self.sealed.push_back(SealedBatch::new(open));
            step.actions.push(Action::Seal { partition, batch, reason });
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

    /// Drops all that isn't durable. A commit that is under way is still to be answered.
    fn drop_batches(&mut self, step: &mut Step<'_>) {
        self.open = None;
        self.sealed.clear();
        self.waiting = None;
        self.read = self.committed.first;
        step.actions.push(Action::Abandon(self.name.clone()));
    }

    /// Takes the broker's answer; what it means for the lane as a whole is the caller's.
    pub(super) fn committed(&mut self, answer: &CommitAnswer, step: &mut Step<'_>) {
        let Some(pending) = self.commit.take() else { return };
        match answer {
            CommitAnswer::Accepted => self.accepted(pending, step),
            CommitAnswer::NotNow(_) | CommitAnswer::Rebalancing => {
                self.retry_at = step.now.monotonic + self.until_retry();
                if self.parting {
                    self.stay_unbegun();
                }
            }
            CommitAnswer::Fenced(reason) => {
                self.abandon(step);
                step.actions.push(Action::Fenced(self.name.clone(), reason.clone()));
            }
            CommitAnswer::Unanswered(_) => {}
        }
    }

    fn until_retry(&self) -> Duration {
        let (steps, step) = COMMIT_SPREAD;
        COMMIT_RETRY + step * self.name.partition.rem_euclid(steps).unsigned_abs()
    }

    fn accepted(&mut self, pending: PendingCommit, step: &mut Step<'_>) {
        self.committed = pending.after;
        self.known = true;
        self.read = self.read.max(self.committed.first);
        if let Some(finished) = pending.finishes {
            self.finish(finished, step);
        }
        match self.standing {
            Standing::Starting(_, lost) => self.started(lost, step),
            Standing::TakingOver if self.sealed.is_empty() && !self.parting => self.taken_over(step),
            _ => {}
        }
    }

    fn send(&mut self, after: Metadata, finishes: Option<Finished>, step: &mut Step<'_>) {
        step.actions.push(Action::Commit(Commit {
            partition: self.name.clone(),
            offset: after.first,
            metadata: after.encode(),
        }));
        self.commit = Some(PendingCommit { after, finishes });
    }

    /// Does what can be done next; `pause` says that there is no memory. Called after every event.
    pub(super) fn advance(&mut self, pause: bool, step: &mut Step<'_>) {
        if self.standing != Standing::Held && self.commit.is_none() && step.now.monotonic >= self.retry_at {
            if let Standing::Starting(start, _) = &self.standing {
                let start = start.as_ref().clone();
                self.send(start, None, step);
            } else {
                self.advance_front(step);
            }
        }
        self.wake(step);
        if self.standing == Standing::Overtaken && self.is_done() && !self.parting {
            self.standing = Standing::Resolving(self.ask(step));
        }
        self.take_turn(step);
        self.pause_or_resume(pause, step);
    }

    fn ask(&self, step: &mut Step<'_>) -> Ticket {
        let ticket = step.ids.ticket();
        step.actions.push(Action::Resolve(self.name.clone(), ticket));
        ticket
    }

    /// A partition that waits for its turn isn't fetched: paused, it would hold in memory what was delivered of it.
    fn take_turn(&mut self, step: &mut Step<'_>) {
        if self.standing != Standing::Filling || self.parting {
            return;
        }
        if self.admitted && !self.consuming {
            self.begin(step);
        } else if !self.admitted && self.turned_away {
            self.stop(step);
        }
    }

    fn pause_or_resume(&mut self, pause: bool, step: &mut Step<'_>) {
        if !self.consuming {
            return;
        }
        let looking_up = self.waiting.is_some() && !self.hesitates(step.now);
        // One that waits for its turn isn't paused: once a record of it was there, it is stopped.
        let pause = looking_up || pause || !self.is_filling();
        if pause != self.paused {
            self.paused = pause;
            let name = self.name.clone();
            step.actions.push(if pause { Action::Pause(name) } else { Action::Resume(name) });
        }
    }
}
