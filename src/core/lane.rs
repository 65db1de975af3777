//! The partitions of one consumer: what concerns several of them, and the machine's two entrances.

mod owning;

use std::collections::BTreeMap;
use std::time::Duration;

use self::owning::Parting;

use super::batch::{Limits, Run, SealReason};
use super::intent::Layout;
use super::partition::{Ids, Partition, Step};
use super::pressure::Pressure;
use super::start::StartPolicy;
use super::turns::Turns;
use super::view::{Durable, WaitsFor};
use super::{Action, CommitAnswer, Event, Filling, Memory, Now};
use crate::types::{Offset, SchemaId, TopicPartition};

/// How often it is decided anew whose turn it is, beside when somebody wants to begin a batch, and who gives way.
const GIVE_TURNS_EVERY: Duration = Duration::from_millis(50);

/// What the machine is told once.
#[derive(Clone, Debug)]
pub struct Settings {
    /// When a batch is sealed.
    pub limits: Limits,
    /// What goes into every intent.
    pub layout: Layout,
    /// Where partitions begin.
    pub start: StartPolicy,
    /// How long a revoked partition's batch may take to finish.
    pub grace: Duration,
    /// How long all of them may take when the process ends.
    pub shutdown_deadline: Duration,
    /// What the lane's open batches may come to before partitions that lag take turns, in bytes.
    pub share: usize,
}

/// The state machine of one lane.
#[derive(Debug)]
pub struct Lane {
    settings: Settings,
    partitions: Partitions,
    /// Partitions that the group wants back, until all of them are done.
    revocation: Option<Parting>,
    /// The process ends.
    shutdown: Option<Duration>,
    left: bool,
    pressure: Pressure,
    /// Some partition may hesitate.
    looking_up: bool,
    ids: Ids,
    turns: Turns,
    /// When turns were given the last time.
    turns_given: Option<Duration>,
}

type Partitions = BTreeMap<TopicPartition, Partition>;

impl Lane {
    /// A lane without partitions.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        Self {
            turns: Turns::new(settings.share),
            turns_given: None,
            settings,
            partitions: BTreeMap::new(),
            revocation: None,
            shutdown: None,
            left: false,
            pressure: Pressure::default(),
            looking_up: false,
            ids: Ids::default(),
        }
    }

    /// What the open batches may come to before partitions take turns, in bytes, from now on.
    pub fn set_share(&mut self, share: usize) {
        self.turns.set_share(share);
    }

    /// The open batch of `partition` for records that were delivered, opened if there is none; `None` while the
    /// partition takes nothing.
    pub fn fill(&mut self, partition: &TopicPartition, now: Now) -> Option<Filling> {
        let filling = self.open(partition, now);
        if filling.is_none()
            && let Some(state) = self.partitions.get_mut(partition)
        {
            state.turn_away();
        }
        filling
    }

    fn open(&mut self, partition: &TopicPartition, now: Now) -> Option<Filling> {
        let pressed = self.pressure.stops();
        if self.partitions.get(partition).is_some_and(|state| state.open().is_none()) {
            // Who would have to give way is asked in the next tick.
            let _: Option<TopicPartition> = self.give_turns(now);
        }
        let state = self.partitions.get_mut(partition).filter(|state| state.takes(pressed))?;
        let next = state.read();
        let open = state.open_or_new(&mut self.ids, now);
        let room = open.room(&self.settings.limits);
        (room > 0).then_some(Filling { batch: open.batch.id, instant: open.batch.instant, next, room })
    }

    /// Whether records of `partition` may be dealt with now.
    #[must_use]
    pub fn takes(&self, partition: &TopicPartition) -> bool {
        self.partitions.get(partition).is_some_and(|state| state.takes(self.pressure.stops()))
    }

    /// Whether everything before `position` was read of the partition and nothing of it waits to be sealed: there is no news
    /// in hearing that again.
    #[must_use]
    pub fn is_read_to(&self, partition: &TopicPartition, position: Offset) -> bool {
        self.partitions.get(partition).is_some_and(|state| state.open().is_none() && state.read() == position)
    }

    /// Whether nothing should be taken for the moment: a schema, or memory, is expected any time. What is fetched meanwhile stays
    /// in the client's queue.
    #[must_use]
    pub fn hesitates(&mut self, now: Now) -> bool {
        self.looking_up = self.looking_up && self.partitions.values().any(|state| state.hesitates(now));
        self.looking_up || self.pressure.stops() && !self.pressure.pauses()
    }

    /// Whether anything was read that isn't durable.
    #[must_use]
    pub fn has_batches(&self) -> bool {
        self.partitions.values().any(Partition::has_batches)
    }

    /// Whether it is still to be found out, or committed, where some partition begins.
    #[must_use]
    pub fn has_unbegun(&self) -> bool {
        self.partitions.values().any(|state| !state.is_begun())
    }

    /// Declares `id` unknown for the rest of the partition's open batch; `false` if an intent couldn't name it.
    pub fn declare_unknown(&mut self, partition: &TopicPartition, id: SchemaId) -> bool {
        self.partitions.get_mut(partition).is_some_and(|state| state.declare_unknown(id))
    }

    /// How far each partition is durable, of those whose committed offset is known.
    pub fn durables(&self) -> impl Iterator<Item = Durable> + '_ {
        self.partitions.iter().filter(|(_, state)| state.is_known()).map(|(name, state)| {
            let (committed, read, oldest) = state.durable();
            Durable { partition: name.clone(), committed, read, oldest }
        })
    }

    /// The partitions that aren't read from, and what they wait for.
    pub fn waits(&self) -> impl Iterator<Item = (TopicPartition, WaitsFor)> + '_ {
        let pressed = self.pressure.stops();
        let waits = move |state: &Partition| state.waits_for(pressed);
        self.partitions
            .iter()
            .filter_map(move |(name, state)| waits(state).map(|waits| (name.clone(), waits)))
    }

    /// Whether the group waits for partitions to be given up.
    #[must_use]
    pub fn is_revoking(&self) -> bool {
        self.revocation.is_some()
    }

    /// The partitions that the lane owns.
    pub fn partitions(&self) -> impl Iterator<Item = &TopicPartition> {
        self.partitions.keys()
    }

    /// Takes one event in.
    pub fn handle(&mut self, now: Now, event: Event) -> Vec<Action> {
        let mut actions = Vec::new();
        match event {
            Event::Assigned(partitions) => self.assigned(partitions, now, &mut actions),
            Event::Revoked(partitions) => self.revoked(partitions, self.settings.grace, now, &mut actions),
            Event::Lost(partitions) => self.lost(partitions, now, &mut actions),
            Event::Shutdown => self.shut_down(now, &mut actions),
            Event::Committed { partition, answer } => self.committed(&partition, &answer, now, &mut actions),
            Event::TopicId { topic, id } => self.topic_id(&topic, id, now, &mut actions),
            event => self.of_partition(event, now, &mut actions),
        }
        self.settle(&mut actions);
        actions
    }

    /// Lets time pass: limits, deadlines and the memory budget. To be called after whatever happened, and a few times a second
    /// when nothing does.
    pub fn tick(&mut self, now: Now, memory: Memory) -> Vec<Action> {
        let mut actions = Vec::new();
        self.relieve(memory, now, &mut actions);
        self.make_room(now, &mut actions);
        let (limits, pressed) = (self.settings.limits.clone(), self.pressure.stops());
        let (partitions, mut step) = self.stepping(now, &mut actions);
        for state in partitions.values_mut() {
            if (pressed || !state.is_admitted())
                && let Some(open) = state.open_mut()
            {
                open.keep_waiting(now);
            }
            if let Some(reason) = state.open().and_then(|open| open.due(&limits, now))
                && !state.is_astray()
            {
                state.seal(reason, &mut step);
            }
        }
        self.enforce_deadlines(now, &mut actions);
        self.advance_all(now, &mut actions);
        self.settle(&mut actions);
        actions
    }

    /// The partitions, and what they need for a step.
    fn stepping<'a>(&'a mut self, now: Now, actions: &'a mut Vec<Action>) -> (&'a mut Partitions, Step<'a>) {
        let Settings { layout, start, .. } = &self.settings;
        let (ids, turns) = (&mut self.ids, &mut self.turns);
        (&mut self.partitions, Step { now, layout, policy: *start, ids, turns, actions })
    }

    /// Decides whose turn it is; returns whose batch should be sealed to make room.
    fn give_turns(&mut self, now: Now) -> Option<TopicPartition> {
        self.turns.give(&mut self.partitions, &self.settings.limits, now)
    }

    fn of_partition(&mut self, event: Event, now: Now, actions: &mut Vec<Action>) {
        let Some(name) = event.partition().cloned() else { return };
        if let Event::Position { position, .. } = event {
            self.position(&name, position, now);
        } else if let Event::Took { run, .. } = event {
            self.took(&name, &run, now, actions);
        } else {
            self.looking_up |= matches!(event, Event::Waiting(_, true));
            let (partitions, mut step) = self.stepping(now, actions);
            if let Some(state) = partitions.get_mut(&name) {
                tell(state, event, &mut step);
            }
        }
        self.advance(&name, now, actions);
    }

    fn took(&mut self, name: &TopicPartition, run: &Run, now: Now, actions: &mut Vec<Action>) {
        let limits = self.settings.limits.clone();
        let (partitions, mut step) = self.stepping(now, actions);
        let Some(state) = partitions.get_mut(name) else { return };
        state.reached(run.end, now);
        if let Some(open) = state.open_mut() {
            open.took(run, now);
            if let Some(reason) = open.due(&limits, now) {
                state.seal(reason, &mut step);
            }
        }
    }

    /// A topic's id was looked up again.
    fn topic_id(&mut self, topic: &str, id: u128, now: Now, actions: &mut Vec<Action>) {
        let (partitions, mut step) = self.stepping(now, actions);
        for state in partitions.values_mut().filter(|state| state.topic() == topic) {
            state.topic_id(id, &mut step);
        }
        self.advance_all(now, actions);
    }

    /// The log's end can lie behind the last record: those offsets are covered by a batch too. Where nothing is fetched, what was
    /// delivered before that was stopped is dropped: the position of then is of records that come again.
    fn position(&mut self, partition: &TopicPartition, position: Offset, now: Now) {
        let news = |state: &Partition| state.is_fetched() && state.durable().1 < position;
        if self.partitions.get(partition).is_some_and(news)
            && self.open(partition, now).is_some()
            && let Some(state) = self.partitions.get_mut(partition)
        {
            state.reached(position, now);
            if let Some(open) = state.open_mut() {
                open.reach(position, now);
            }
        }
    }

    fn committed(
        &mut self,
        partition: &TopicPartition,
        answer: &CommitAnswer,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let (partitions, mut step) = self.stepping(now, actions);
        if let Some(state) = partitions.get_mut(partition) {
            state.committed(answer, &mut step);
        }
        // Repeating it could undo, with its late first copy, what a later commit said: start over instead.
        if let CommitAnswer::Unanswered(reason) = answer {
            for state in partitions.values_mut() {
                state.abandon(&mut step);
            }
            let reason = format!("an offset commit of {partition} wasn't answered: {reason}");
            step.actions.push(Action::Rejoin(reason));
        }
        self.advance(partition, now, actions);
    }

    fn advance(&mut self, name: &TopicPartition, now: Now, actions: &mut Vec<Action>) {
        let pause = self.pressure.pauses();
        let (partitions, mut step) = self.stepping(now, actions);
        if let Some(state) = partitions.get_mut(name) {
            state.advance(pause, &mut step);
        }
    }

    fn advance_all(&mut self, now: Now, actions: &mut Vec<Action>) {
        let pause = self.pressure.pauses();
        let (partitions, mut step) = self.stepping(now, actions);
        for state in partitions.values_mut() {
            state.advance(pause, &mut step);
        }
    }

    /// Seals what frees most, and stops or restarts taking.
    fn relieve(&mut self, memory: Memory, now: Now, actions: &mut Vec<Action>) {
        let mut pressure = std::mem::take(&mut self.pressure);
        pressure.look(memory, now, || {
            let (partitions, mut step) = self.stepping(now, actions);
            let largest = partitions.values_mut().max_by_key(|state| state.open_memory());
            let largest = largest.filter(|state| state.open_memory() > 0);
            largest.map(|state| state.seal(SealReason::Memory, &mut step)).is_some()
        });
        self.pressure = pressure;
    }

    /// Gives turns anew, if that is due, and seals the batch that has to give way to others.
    fn make_room(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.turns_given.is_some_and(|given| now.monotonic.saturating_sub(given) < GIVE_TURNS_EVERY) {
            return;
        }
        self.turns_given = Some(now.monotonic);
        if let Some(complete) = self.give_turns(now) {
            let (partitions, mut step) = self.stepping(now, actions);
            if let Some(state) = partitions.get_mut(&complete) {
                state.seal(SealReason::Memory, &mut step);
            }
        }
    }
}

/// Tells a partition of an event that is its own affair.
fn tell(state: &mut Partition, event: Event, step: &mut Step<'_>) {
    match event {
        Event::Resolved { ticket, facts, .. } => state.resolved(ticket, &facts, step),
        Event::Astray { out_of_range, .. } => state.went_astray(out_of_range, step),
        Event::LogEnd { end, .. } => state.log_ends(end),
        Event::Waiting(_, waiting) => state.set_waiting(waiting, step.now),
        Event::Closed { batch, outcome, .. } => state.closed(batch, outcome, step),
        Event::Published { batch, .. } => state.published(batch),
        Event::Refused { batch, reason, .. } => state.refused(batch, reason, step),
        _ => {}
    }
}
