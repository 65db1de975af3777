//! One process of the valve: a real [`Lane`], and what `crate::lane` does for it in production, as plainly as it can be
//! said.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use super::mutations::Mutation;
use super::publishing::{Job, Work};
use super::taking::Held;
use super::world::World;
use crate::core::batch::BatchId;
use crate::core::intent::Layout;
use crate::core::start::{Facts, StartPolicy};
use crate::core::{Action, Commit, CommitAnswer, Event, Lane, Now, Remake, Settings, Ticket};
use crate::types::{Offset, SchemaId, TopicPartition, UnixMillis};

/// The wall clock of a process whose clock is right, when a schedule begins.
pub(super) const BEGINNING: i64 = 480_000 * super::log::HOUR;

/// What the client has for the lane.
#[derive(Clone, Debug)]
pub(super) enum Told {
    Assigned(Vec<usize>),
    Revoked(Vec<usize>),
    Lost(Vec<usize>),
    TopicId(u128),
}

/// An ask for facts.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) partition: usize,
    pub(super) ticket: Ticket,
    /// What was found out and not heard yet.
    pub(super) facts: Option<Facts>,
}

#[derive(Debug)]
pub(super) struct Process {
    /// Never given twice.
    pub(super) id: u64,
    pub(super) lane: Lane,
    pub(super) layout: Rc<Layout>,
    pub(super) policy: StartPolicy,
    /// How far its wall clock is off, in milliseconds.
    pub(super) skew: i64,
    pub(super) frozen: bool,
    /// It ended, or was killed.
    pub(super) ended: bool,
    pub(super) shutting_down: bool,
    /// Its name in the group, and the generation that its client stamps on what it sends.
    pub(super) member: Option<u32>,
    pub(super) generation: u32,
    /// What its client was given.
    pub(super) owned: BTreeSet<usize>,
    pub(super) told: VecDeque<Told>,
    /// A revocation was heard and isn't answered.
    pub(super) revoking: bool,
    pub(super) rejoining: bool,
    /// Its client knows that it was expelled.
    pub(super) lost: bool,
    /// Partitions of which a commit wasn't answered since it joined: it may commit none of them as this member.
    pub(super) unanswered: BTreeSet<usize>,
    pub(super) asks: Vec<Ask>,
    pub(super) held: BTreeMap<usize, Held>,
    pub(super) closing: Vec<(usize, Work)>,
    pub(super) closed: Vec<(usize, Work)>,
    pub(super) remakes: Vec<(usize, Remake)>,
    pub(super) jobs: Vec<Job>,
    /// Commits that the client has and hasn't sent.
    pub(super) unsent: Vec<(usize, Commit)>,
    pub(super) outstanding: BTreeSet<usize>,
    pub(super) answers: VecDeque<(usize, CommitAnswer)>,
    pub(super) holds: BTreeMap<usize, String>,
    /// The topics' ids that were found out with where the partitions begin.
    pub(super) topic_ids: BTreeMap<usize, u128>,
    pub(super) knows_late: bool,
    /// The partitions whose assignment the core was told of and that it hasn't given up.
    pub(super) entrusted: BTreeSet<usize>,
    /// Answers about what was abandoned meanwhile.
    pub(super) late: Vec<Event>,
    /// [`Mutation::ShortenedByShutdown`]: where promised batches end now, by their ends.
    pub(super) cut: BTreeMap<(usize, i64), i64>,
}

impl Process {
    pub(super) fn new(id: u64, settings: Settings, skew: i64) -> Self {
        Self {
            id,
            layout: Rc::new(settings.layout.clone()),
            policy: settings.start,
            lane: Lane::new(settings),
            skew,
            frozen: false,
            ended: false,
            shutting_down: false,
            member: None,
            generation: 0,
            owned: BTreeSet::new(),
            told: VecDeque::new(),
            revoking: false,
            rejoining: false,
            lost: false,
            unanswered: BTreeSet::new(),
            asks: Vec::new(),
            held: BTreeMap::new(),
            closing: Vec::new(),
            closed: Vec::new(),
            remakes: Vec::new(),
            jobs: Vec::new(),
            unsent: Vec::new(),
            outstanding: BTreeSet::new(),
            answers: VecDeque::new(),
            holds: BTreeMap::new(),
            topic_ids: BTreeMap::new(),
            knows_late: false,
            entrusted: BTreeSet::new(),
            late: Vec::new(),
            cut: BTreeMap::new(),
        }
    }

    /// Whether its client was told to read the partition.
    fn reads(&self, partition: usize) -> bool {
        self.held.get(&partition).is_some_and(|held| !held.failed)
    }

    pub(super) fn runs(&self) -> bool {
        !self.frozen && !self.ended
    }

    /// Drops everything in memory of `partition`. With `answered`, what it was about to say of it was said already, and is
    /// yet to be heard.
    fn abandon(&mut self, partition: usize, name: &TopicPartition, answered: bool) {
        if answered {
            self.answer_late(partition, name);
        }
        self.forget(partition);
        self.closing.retain(|(of, _)| *of != partition);
        self.closed.retain(|(of, _)| *of != partition);
        self.remakes.retain(|(of, _)| *of != partition);
        self.jobs.retain(|job| job.partition != partition);
    }

    fn answer_late(&mut self, partition: usize, name: &TopicPartition) {
        let asks = self.asks.iter_mut().filter(|ask| ask.partition == partition);
        let resolved = asks.filter_map(|ask| Some((ask.ticket, ask.facts.take()?)));
        let resolved =
            resolved.map(|(ticket, facts)| Event::Resolved { partition: name.clone(), ticket, facts });
        self.late.extend(resolved);
        let closing = self.closing.iter().filter(|(of, _)| *of == partition);
        let closed = closing.map(|(_, work)| Event::Closed {
            partition: name.clone(),
            batch: work.batch,
            outcome: work.outcome(),
        });
        self.late.extend(closed);
        let jobs = self.jobs.iter().filter(|job| job.partition == partition);
        self.late.extend(jobs.map(|job| Event::Published { partition: name.clone(), batch: job.batch }));
    }

    fn forget(&mut self, partition: usize) {
        self.held.remove(&partition);
        self.asks.retain(|ask| ask.partition != partition);
    }
}

impl World {
    pub(super) fn now(&self, me: usize) -> Now {
        let wall = BEGINNING + i64::try_from(self.time.as_millis()).unwrap() + self.processes[me].skew;
        Now { wall: UnixMillis(wall), monotonic: self.time }
    }

    /// Hands the core of `me` an event, and does what it says.
    pub(super) fn event(&mut self, me: usize, event: Event) {
        if self.trace.is_some() {
            self.note(format!("process {} <- {event:?}", self.processes[me].id));
        }
        let now = self.now(me);
        let actions = self.processes[me].lane.handle(now, event);
        self.perform(me, actions);
    }

    pub(super) fn tick(&mut self, me: usize) {
        let now = self.now(me);
        let actions = self.processes[me].lane.tick(now, self.pressure);
        self.perform(me, actions);
    }

    pub(super) fn pass(&mut self, time: Duration) {
        self.time += time;
        for me in 0..self.processes.len() {
            if self.processes[me].runs() {
                self.tick(me);
            }
        }
    }

    pub(super) fn perform(&mut self, me: usize, actions: Vec<Action>) {
        for action in actions {
            if self.trace.is_some() {
                self.note(format!("process {} -> {action:?}", self.processes[me].id));
            }
            self.act(me, action);
        }
    }

    fn act(&mut self, me: usize, action: Action) {
        let process = &mut self.processes[me];
        let of = |name: &TopicPartition| name.partition as usize;
        match action {
            Action::Resolve(name, ticket) => {
                process.asks.push(Ask { partition: of(&name), ticket, facts: None });
            }
            Action::Commit(commit) => self.take_commit(me, commit),
            Action::Consume(name, offset) => self.consume(me, of(&name), offset),
            Action::Stop(name) => {
                if let Some(held) = process.held.get_mut(&of(&name)) {
                    held.stop();
                }
            }
            Action::Pause(name) | Action::Resume(name) if !process.reads(of(&name)) => {}
            Action::Pause(name) => self.set_paused(me, of(&name), true),
            Action::Resume(name) => self.set_paused(me, of(&name), false),
            Action::Seal { partition, batch, .. } => self.seal(me, of(&partition), batch),
            Action::Remake(remake) => {
                self.seen_takeover(of(&remake.partition));
                self.processes[me].remakes.push((of(&remake.partition), remake));
            }
            Action::Publish(publish) => self.publish(me, publish),
            Action::Finish { partition, batch, outcome, records } => {
                self.finished(me, of(&partition), batch, &outcome, records);
            }
            Action::Abandon(name) => {
                let answered = self.draw.one_in(4);
                process.abandon(of(&name), &name, answered);
            }
            Action::ReportLost { .. } => self.seen.lost_reported += 1,
            Action::Fenced(..) => {}
            Action::Hold(name, Some(reason)) => {
                process.holds.insert(of(&name), reason);
            }
            Action::Hold(name, None) => {
                process.holds.remove(&of(&name));
            }
            Action::GiveUp(names) => {
                let partitions: Vec<_> = names.iter().map(of).collect();
                self.give_up(me, &partitions);
            }
            Action::Rejoin(_) => self.rejoin(me),
            Action::Leave => self.leave(me),
        }
    }

    fn seen_takeover(&mut self, partition: usize) {
        self.seen.takeovers += 1;
        let Some(promise) = self.offsets[partition].as_ref() else { return };
        let mut objects = self.store.objects.values();
        if objects.any(|object| *object.metadata == *promise.text) {
            self.seen.takeovers_half_published += 1;
        }
    }

    /// The core takes back nothing that it hands out: a partition that is given up has nothing under way.
    fn give_up(&mut self, me: usize, partitions: &[usize]) {
        let process = &mut self.processes[me];
        let pending = partitions.iter().find(|partition| process.outstanding.contains(partition)).copied();
        for partition in partitions {
            process.forget(*partition);
            process.entrusted.remove(partition);
        }
        let busy = process.jobs.iter().map(|job| job.partition).find(|of| partitions.contains(of));
        if let Some(partition) = pending {
            self.blame(format!("partition {partition} is given up with a commit under way"));
        }
        if let Some(partition) = busy {
            self.blame(format!("partition {partition} is given up while its batch is being published"));
        }
        self.handed_back(me, partitions);
    }

    /// Takes a commit to the client's queue (invariant: at most one outstanding per partition, none of a partition that
    /// was given up, none after one that wasn't answered).
    fn take_commit(&mut self, me: usize, commit: Commit) {
        let partition = commit.partition.partition as usize;
        let process = &mut self.processes[me];
        let entrusted = process.entrusted.contains(&partition);
        let alone = process.outstanding.insert(partition);
        let answered = !process.unanswered.contains(&partition);
        if !(entrusted && alone && answered) {
            self.blame(format!(
                "commit of partition {partition}: entrusted {entrusted}, alone {alone}, none unanswered before {answered}"
            ));
        }
        let commit = self.mutated_commit(me, commit);
        if self.mutation == Some(Mutation::PublishBeforePromise) {
            self.publish_early(me, &commit);
        }
        self.processes[me].unsent.push((partition, commit));
    }

    fn set_paused(&mut self, me: usize, partition: usize, paused: bool) {
        let held = self.processes[me].held.get_mut(&partition).unwrap();
        if std::mem::replace(&mut held.paused, paused) == paused {
            self.blame(format!("partition {partition} is paused or resumed twice"));
        }
    }

    /// An answer about something that is abandoned is heard.
    pub(super) fn hear_late(&mut self, me: usize) -> bool {
        let Some(event) = self.processes[me].late.pop() else { return false };
        self.seen.late_answers += 1;
        self.event(me, event);
        true
    }

    fn consume(&mut self, me: usize, partition: usize, offset: Offset) {
        // The client reads the topic that was found when it was resolved: by its id.
        let topic_id = self.processes[me].topic_ids.get(&partition).copied().unwrap_or_default();
        let held = &mut self.processes[me].held;
        let work = held.remove(&partition).and_then(|held| held.work);
        let mut begun = Held::at(offset.0, topic_id);
        begun.work = work;
        held.insert(partition, begun);
    }

    fn seal(&mut self, me: usize, partition: usize, batch: BatchId) {
        let now = self.now(me);
        let process = &mut self.processes[me];
        let held = process.held.get_mut(&partition);
        let work = held.and_then(|held| held.work.take_if(|work| work.batch == batch));
        let layout = Rc::clone(&process.layout);
        process
            .closing
            .push((partition, work.unwrap_or_else(|| Work::new(batch, now.wall, layout, Vec::new()))));
    }

    /// The registry answers what `me` waits for, or not.
    pub(super) fn learn(&mut self, me: usize) -> bool {
        if self.registry_down {
            return false;
        }
        let process = &self.processes[me];
        let Some((partition, id)) = process.held.iter().find_map(|(of, held)| Some((*of, held.waiting?)))
        else {
            return false;
        };
        let known = id == super::log::LATE && self.late_is_known;
        let process = &mut self.processes[me];
        process.knows_late |= known;
        let held = process.held.get_mut(&partition).unwrap();
        held.waiting = None;
        held.unknown = (!known).then_some(id);
        self.event(me, Event::Waiting(self.names[partition].clone(), false));
        true
    }

    pub(super) fn knows(&self, me: usize, id: SchemaId) -> bool {
        id != super::log::NEVER && (id != super::log::LATE || self.processes[me].knows_late)
    }
}
