//! The way of records through a lane: taken from the client, placed in the batch of their partition, or put aside until
//! they can be.
//!
//! Records of one partition are placed in the order of their offsets: while some are put aside, those that come later
//! stand behind them.

use std::sync::Arc;
use std::time::Duration;

use super::longest::LARGE;
use super::run::{PlacedRun, Room, is_large, place_run, run_so_far};
use super::{Answer, Lane, Wait};
use crate::batch::place::Placer;
use crate::core::Event;
use crate::core::batch::{Run, SealReason};
use crate::dead_letter::limit::Allowed;
use crate::fault_point::{self, Point};
use crate::registry::cache::Lookup;
use crate::source::{PartitionError, Record, TopicHandle};
use crate::types::{SchemaId, TopicPartition};

/// The most records of one take: enough to be worth the call, few enough that a turn is short.
const TAKE: usize = 2_000;
/// How long a turn waits for records when there is nothing else to do …
const IDLE_WAIT: Duration = Duration::from_millis(50);
/// … and when there hasn't been for a while.
const CALM_WAIT: Duration = Duration::from_millis(200);
/// How long that while is.
const CALM_AFTER: Duration = Duration::from_secs(1);
/// How long one turn may place records: that can be slow under a codec that is.
const PLACE_SLICE: Duration = Duration::from_millis(250);

/// Where a lane stands with its records.
#[derive(Debug, Default)]
pub(super) struct Intake<'s> {
    /// The records of one take; empty between turns.
    taken: Vec<Record<'s>>,
    /// The partition of the last record, so that its name isn't looked up for each.
    last: Option<(TopicHandle, TopicPartition)>,
    /// Some partition may have records put aside.
    stashed: bool,
    /// The partition whose turn it is among those.
    next_ready: Option<TopicPartition>,
    /// When this turn stops placing records.
    place_until: Duration,
    /// A turn's time was over before all was placed that could have been.
    behind: bool,
    /// When the first topic with too many bad records may be read again.
    limited_until: Option<Duration>,
}

impl<'s> Lane<'s> {
    /// A turn's time for placing records begins.
    pub(super) fn begin_to_place(&mut self) {
        self.intake.place_until = self.shared.clock.monotonic() + PLACE_SLICE;
    }

    /// Takes records and places them, as far as they can be.
    pub(super) fn take(&mut self) {
        if std::mem::take(&mut self.intake.behind) {
            // Compression is slower than the client. What is put aside comes first: it would grow for ever, and those whose turn
            // is last would never be placed. What is fetched meanwhile stays in the client's queue, which has an end.
            return self.status.polled();
        }
        let busy = self.sealing.is_busy() || !self.ready().is_empty();
        let calm = self.shared.clock.monotonic() >= self.stirred_at + CALM_AFTER;
        let wait = if busy {
            Duration::ZERO
        } else if calm {
            CALM_WAIT
        } else {
            IDLE_WAIT
        };
        if self.core.hesitates(self.now()) {
            return self.listen(wait);
        }
        // Between takes the client may forget a topic, and give its handle to another.
        self.intake.last = None;
        let mut taken = std::mem::take(&mut self.intake.taken);
        self.gather(&mut taken, wait);
        self.status.polled();
        let mut records = taken.drain(..);
        while let Some(first) = records.as_slice().first() {
            let partition = self.partition_of(first);
            let of = |record: &Record<'_>| (record.topic_handle(), record.partition());
            let together = records.as_slice().iter().take_while(|next| of(next) == of(first)).count();
            let mut run = records.by_ref().take(together);
            if self.fetching.is_stale(&partition) {
                run.for_each(drop);
                continue;
            }
            let held = self.held.entry(partition.clone()).or_default();
            if held.stash.is_empty() {
                self.place(&partition, &mut run);
            }
            if self.fetching.is_stale(&partition) {
                // Stopped meanwhile: it comes again.
                run.for_each(drop);
                continue;
            }
            match self.held.get_mut(&partition) {
                Some(held) => {
                    held.stash.extend(run);
                    if !held.stash.is_empty() {
                        self.intake.stashed = true;
                        // The core may want to pause what goes on like this.
                        self.stirred = true;
                    }
                }
                None => run.for_each(drop),
            }
        }
        drop(records);
        self.intake.taken = taken;
    }

    /// Takes what is there, and while that is little what comes within `wait`.
    fn gather(&self, taken: &mut Vec<Record<'s>>, wait: Duration) {
        let until = self.shared.clock.monotonic() + wait;
        let (mut known, mut bytes, mut left) = (0, 0, wait);
        loop {
            self.source.take(taken, TAKE - known, left);
            bytes += taken[known..].iter().map(Record::value_len).sum::<usize>();
            left = until.saturating_sub(self.shared.clock.monotonic());
            if taken.len() == known || taken.len() >= TAKE || bytes >= LARGE || left.is_zero() {
                return;
            }
            known = taken.len();
        }
    }

    /// Takes nothing while a schema, or memory, is expected any moment: what is taken now could only be put aside.
    fn listen(&mut self, wait: Duration) {
        if let Ok(answer) = self.answers.1.recv_timeout(wait) {
            self.answer(answer);
        }
    }

    /// Tells the core where the partition's log ends.
    pub(super) fn tell_log_end(&mut self, partition: &TopicPartition) {
        if let Some(end) = self.source.log_end(partition) {
            self.handle(Event::LogEnd { partition: partition.clone(), end });
        }
    }

    fn partition_of(&mut self, record: &Record<'_>) -> TopicPartition {
        match &self.intake.last {
            Some((topic, partition))
                if *topic == record.topic_handle() && partition.partition == record.partition() =>
            {
                partition.clone()
            }
            _ => {
                let partition = TopicPartition::new(record.topic(), record.partition());
                self.intake.last = Some((record.topic_handle(), partition.clone()));
                partition
            }
        }
    }

    /// An error stands in a record's place: what came before it is placed before it is heard. The client counts it as
    /// delivered and goes on behind it, so the partition is fetched anew, from where it was read to.
    fn partition_error(&mut self, partition: TopicPartition, error: PartitionError) {
        let out_of_range = error.is_out_of_range();
        if out_of_range {
            tracing::warn!(%partition, %error, "there is nothing at its position");
        } else {
            self.shared.status.consume_failed(&partition.topic, 1);
            self.kafka_trouble(format!("{partition}: {error}"));
        }
        self.handle(Event::Astray { partition, out_of_range });
    }

    /// The partitions with records that waited for nothing but a turn.
    fn ready(&mut self) -> Vec<TopicPartition> {
        self.intake.stashed = self.intake.stashed && self.held.values().any(|held| !held.stash.is_empty());
        if !self.intake.stashed {
            return Vec::new();
        }
        let stashed = self.held.iter().filter(|(_, held)| !held.stash.is_empty() && held.waiting.is_none());
        stashed
            .map(|(partition, _)| partition)
            .filter(|partition| self.core.takes(partition))
            .cloned()
            .collect()
    }

    /// Goes on with records that had to wait.
    pub(super) fn place_stashed(&mut self) {
        let mut ready = self.ready();
        // Time may not suffice for all: each turn begins where the last one had to stop.
        let begin = self
            .intake
            .next_ready
            .take()
            .map_or(0, |next| ready.partition_point(|partition| *partition < next));
        ready.rotate_left(begin);
        for partition in ready {
            if self.shared.clock.monotonic() >= self.intake.place_until {
                self.intake.next_ready = Some(partition);
                self.intake.behind = true;
                return;
            }
            let Some(held) = self.held.get_mut(&partition) else { continue };
            let mut stash = std::mem::take(&mut held.stash);
            let mut records = std::iter::from_fn(|| stash.pop_front());
            self.place(&partition, &mut records);
            if self.fetching.is_stale(&partition) {
                // Stopped meanwhile: it comes again.
                stash.clear();
            }
            if let Some(held) = self.held.get_mut(&partition) {
                // What couldn't be placed was put back by now; the rest stands behind it.
                held.stash.append(&mut stash);
                self.intake.stashed |= !held.stash.is_empty();
            }
        }
    }

    /// Places `records`, all of `partition`, until they end or one can't be placed; that one goes to the stash.
    fn place(&mut self, partition: &TopicPartition, records: &mut dyn Iterator<Item = Record<'s>>) {
        let mut next = records.next();
        while let Some(record) = next.take() {
            if let Some(error) = record.error() {
                self.partition_error(partition.clone(), error);
                next = records.next();
                continue;
            }
            let now = self.shared.clock.monotonic();
            if now >= self.intake.place_until {
                self.intake.behind = true;
                return self.put_back(partition, record);
            }
            if is_large(&record) {
                self.make_room_for(&record);
                if self.fetching.is_stale(partition) {
                    // Stopped by that: it comes again.
                    return self.goes_on_with(partition, &record);
                }
            }
            let letters = match self.shared.gate.allows(&partition.topic, now) {
                Allowed::Letters(most) => most,
                Allowed::NotBefore(time) => {
                    self.put_back(partition, record);
                    return self.wait(partition, Wait::Until(time));
                }
            };
            if self.held.get(partition).is_none_or(|held| held.batch.is_none()) {
                self.tell_log_end(partition);
            }
            let Some(filling) = self.core.fill(partition, self.now()) else {
                return self.put_back(partition, record);
            };
            let Some(held) = self.held.get_mut(partition) else { return };
            held.next = None;
            held.batch.take_if(|batch| batch.id != filling.batch);
            let batch =
                held.batch.get_or_insert_with(|| self.shared.new_batch(filling.batch, filling.instant));
            if let Some(id) = held.unknown.take() {
                if self.core.declare_unknown(partition, id) {
                    batch.declare_unknown(id);
                } else {
                    held.unknown = Some(id);
                    let run = Run { full: Some(SealReason::UnknownIds), ..run_so_far(batch) };
                    next = Some(record);
                    self.handle(Event::Took { partition: partition.clone(), run });
                    continue;
                }
            }
            let mut placer = Placer {
                max_files: self.shared.config.batch.max_files,
                schemas: &mut self.schemas,
                compressor: &mut self.compressor,
                valve: &self.shared.config.name,
            };
            let room = Room { filling, letters };
            let placed = place_run(&mut placer, partition, batch, record, records, room);
            self.count(&partition.topic, &placed, now);
            fault_point::reach(Point::Filling);
            next = placed.rest;
            self.handle(Event::Took { partition: partition.clone(), run: placed.run });
            if let (Some(id), Some(record)) = (placed.wait, next.take_if(|_| placed.wait.is_some())) {
                self.put_back(partition, record);
                return self.look_up(partition, id);
            }
            next = next.or_else(|| records.next());
        }
    }

    /// A large record may be all that memory has room for, or more: before it is placed the core looks at that.
    fn make_room_for(&mut self, record: &Record<'_>) {
        self.longest.note(record.value_len());
        self.set_aside();
        self.tick_now(self.now());
    }

    fn goes_on_with(&mut self, partition: &TopicPartition, record: &Record<'_>) {
        if let Some(held) = self.held.get_mut(partition) {
            held.next = record.timestamp();
        }
    }

    /// Counts what was placed.
    fn count(&mut self, topic: &Arc<str>, placed: &PlacedRun<'_>, now: Duration) {
        let PlacedRun { run, bytes, letters, .. } = placed;
        if let Some(until) = self.shared.gate.count(topic, run.records, *letters, now) {
            self.lift_limits_at(until);
        }
        self.shared.status.consumed(topic, run.records, *bytes);
    }

    fn put_back(&mut self, partition: &TopicPartition, record: Record<'s>) {
        // A partition that the core doesn't know was given up: what still comes of it is dropped.
        if self.core.partitions().any(|owned| owned == partition) {
            self.held.entry(partition.clone()).or_default().stash.push_front(record);
            self.intake.stashed = true;
        } else {
            self.held.remove(partition);
        }
    }

    /// Leaves the partition alone until what its next record waits for is there.
    fn wait(&mut self, partition: &TopicPartition, wait: Wait) {
        if let Some(held) = self.held.get_mut(partition) {
            held.waiting = Some(wait);
        }
        if let Wait::Until(time) = wait {
            self.lift_limits_at(time);
        }
        self.handle(Event::Waiting(partition.clone(), true));
    }

    fn lift_limits_at(&mut self, time: Duration) {
        self.intake.limited_until = Some(self.intake.limited_until.map_or(time, |first| first.min(time)));
    }

    /// Goes on with topics that had too many bad records, when their time has come.
    pub(super) fn lift_limits(&mut self) {
        let Some(first) = self.intake.limited_until else { return };
        let now = self.shared.clock.monotonic();
        if now < first {
            return;
        }
        self.shared.gate.lift(now);
        let (mut ready, mut next) = (Vec::new(), None);
        for (partition, held) in &mut self.held {
            match held.waiting {
                Some(Wait::Until(time)) if time <= now => {
                    held.waiting = None;
                    ready.push(partition.clone());
                }
                Some(Wait::Until(time)) => next = Some(next.map_or(time, |next: Duration| next.min(time))),
                _ => {}
            }
        }
        self.intake.limited_until = next;
        for partition in ready {
            self.handle(Event::Waiting(partition, false));
        }
    }

    fn look_up(&mut self, partition: &TopicPartition, id: SchemaId) {
        self.wait(partition, Wait::Schema(id));
        if self.lookups.contains(&id) {
            return;
        }
        self.lookups.push(id);
        let (schemas, answers) = (self.shared.schemas.clone(), self.answers.0.clone());
        let asked = self.shared.runtime.spawn(async move { schemas.lookup(id).await });
        self.shared.runtime.spawn(async move {
            let lookup = match asked.await {
                Ok(lookup) => lookup,
                Err(ended) if ended.is_cancelled() => return,
                Err(_) => Lookup::Unusable("valve panicked on its text".into()),
            };
            // A lane that has ended needs no answer.
            drop(answers.send(Answer::Schema(id, lookup)));
        });
    }
}
