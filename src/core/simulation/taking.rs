//! Taking records: in the order of their offsets, each to its batch, until one has to wait.

use std::rc::Rc;

use super::log::{Fate, fate};
use super::mutations::Mutation;
use super::publishing::Work;
use super::world::World;
use crate::core::Event;
use crate::core::batch::{Run, SealReason};
use crate::types::{Offset, SchemaId, UnixMillis};

/// `batch.max_files` of every process.
pub(super) const MAX_FILES: usize = 3;

/// What a lane has of a partition that it reads.
#[derive(Debug)]
pub(super) struct Held {
    /// What is delivered next.
    position: i64,
    /// The topic that the client reads.
    topic_id: u128,
    /// The log became shorter than that: the client will notice, even if the log has grown again by then.
    cut: bool,
    /// The client reads no more: it said that there is nothing at its position, or was stopped.
    pub(super) failed: bool,
    pub(super) paused: bool,
    pub(super) waiting: Option<SchemaId>,
    /// The registry doesn't know this one: to be declared in the next record's batch.
    pub(super) unknown: Option<SchemaId>,
    pub(super) work: Option<Work>,
    /// The position that the core was told last.
    pub(super) reported: Option<Offset>,
}

impl Held {
    pub(super) fn at(position: i64, topic_id: u128) -> Self {
        Self {
            position,
            topic_id,
            cut: false,
            failed: false,
            paused: false,
            waiting: None,
            unknown: None,
            work: None,
            reported: None,
        }
    }
}

impl Held {
    /// The log ends here now.
    pub(super) fn cut(&mut self, high: i64) {
        self.cut |= self.position > high;
    }

    /// The client is to read no more; what is in the open batch stays.
    pub(super) fn stop(&mut self) {
        self.failed = true;
        self.paused = false;
        (self.waiting, self.unknown) = (None, None);
    }
}

/// What stopped a run.
enum Stop {
    End,
    Waits(SchemaId),
    Full(SealReason),
}

impl World {
    /// Takes some records of one partition; `false` if there are none to be had.
    pub(super) fn take(&mut self, me: usize) -> bool {
        let from = self.draw.below(self.names.len());
        let partitions = self.names.len();
        (0..partitions).any(|step| self.take_of(me, (from + step) % partitions))
    }

    fn take_of(&mut self, me: usize, partition: usize) -> bool {
        let log = self.log(partition);
        let (low, high, topic_id) = (log.low, log.high(), log.topic_id);
        let Some(held) = self.processes[me].held.get_mut(&partition) else { return false };
        if held.failed || held.paused || held.waiting.is_some() {
            return false;
        }
        if held.cut || held.position < low || held.position > high {
            held.failed = true;
            self.seen.out_of_range += 1;
            self.event(me, Event::Astray { partition: self.names[partition].clone(), out_of_range: true });
            return true;
        }
        // The client reads by the topic's id: what belongs to another one it doesn't get.
        if held.topic_id != topic_id || held.position == high {
            return false;
        }
        let most = self.draw.between(1, 6);
        self.take_run(me, partition, most)
    }

    /// Takes up to `most` records into the open batch, and tells the core of them.
    fn take_run(&mut self, me: usize, partition: usize, most: u64) -> bool {
        let now = self.now(me);
        if !self.skip_gaps(me, partition) {
            return true;
        }
        let process = &mut self.processes[me];
        let Some(filling) = process.lane.fill(&self.names[partition], now) else { return false };
        let layout = &process.layout;
        let held = process.held.get_mut(&partition).unwrap();
        held.work.take_if(|work| work.batch != filling.batch);
        let work = held
            .work
            .get_or_insert_with(|| Work::new(filling.batch, filling.instant, Rc::clone(layout), Vec::new()));
        let mut full = None;
        if let Some(id) = held.unknown.take() {
            if process.lane.declare_unknown(&self.names[partition], id) {
                work.unknown.push(id);
            } else {
                held.unknown = Some(id);
                full = Some(SealReason::UnknownIds);
            }
        }
        let mut run = Run { full, ..Run::default() };
        let stop = if full.is_some() {
            Stop::End
        } else {
            self.place(me, partition, most.min(filling.room), filling.next.0, &mut run)
        };
        self.tell(me, partition, run, &stop);
        true
    }

    /// Moves the position over offsets without records; `false` at the log's end.
    fn skip_gaps(&mut self, me: usize, partition: usize) -> bool {
        let log = self.logs[partition].last().unwrap();
        let held = self.processes[me].held.get_mut(&partition).unwrap();
        while held.position < log.high() && log.at(held.position).is_none() {
            // The record that waited for its schema is gone.
            held.unknown = None;
            held.position += 1;
        }
        held.position < log.high()
    }

    fn place(&mut self, me: usize, partition: usize, most: u64, next: i64, run: &mut Run) -> Stop {
        let log = self.logs[partition].last().unwrap();
        let process = &mut self.processes[me];
        let held = process.held.get_mut(&partition).unwrap();
        let work = held.work.as_mut().unwrap();
        let mut position = held.position;
        while position < log.high() && run.records < most {
            let Some(uid) = log.at(position).filter(|_| position >= next) else {
                position += 1;
                continue;
            };
            let kind = self.records[uid as usize].kind;
            match fate(kind, &work.layout, work.instant, &work.unknown, process.knows_late) {
                Fate::Asks(id) => return stopped(held, position, Stop::Waits(id)),
                Fate::Row(hour, schema) if !work.has_room(hour, schema) => {
                    return stopped(held, position, Stop::Full(SealReason::Files));
                }
                fate => work.add(uid, &fate),
            }
            position += 1;
            run.end = Offset(position);
            run.records += 1;
        }
        stopped(held, position, Stop::End)
    }

    fn tell(&mut self, me: usize, partition: usize, mut run: Run, stop: &Stop) {
        let name = self.names[partition].clone();
        let held = self.processes[me].held.get_mut(&partition).unwrap();
        let work = held.work.as_ref().unwrap();
        run.files = work.files.len();
        run.memory = work.records() as usize;
        run.bytes = work.records() * 10;
        run.first_timestamp = Some(UnixMillis(0));
        let mut waiting = None;
        match stop {
            Stop::End => {}
            Stop::Waits(id) => waiting = Some(*id),
            Stop::Full(reason) => run.full = Some(*reason),
        }
        held.waiting = waiting;
        self.event(me, Event::Took { partition: name.clone(), run });
        if waiting.is_some() && self.processes[me].held.contains_key(&partition) {
            self.event(me, Event::Waiting(name, true));
        }
    }

    /// Tells the core how far the client has come, which may be beyond the last record.
    pub(super) fn report_position(&mut self, me: usize) -> bool {
        if self.mutation == Some(Mutation::EndFromLastRecord) {
            return false;
        }
        let from = self.draw.below(self.names.len());
        for step in 0..self.names.len() {
            let partition = (from + step) % self.names.len();
            let log = self.log(partition);
            let (topic_id, low, high) = (log.topic_id, log.low, log.high());
            let process = &self.processes[me];
            let Some(held) = process.held.get(&partition) else { continue };
            if held.failed {
                // What was delivered before it was stopped is dropped, but for the client it was delivered.
                let position = Offset(high);
                self.event(me, Event::Position { partition: self.names[partition].clone(), position });
                continue;
            }
            let reads = !held.cut
                && held.topic_id == topic_id
                && (low..=high).contains(&held.position)
                && !held.paused;
            if !reads
                || held.waiting.is_some()
                || held.unknown.is_some() && log.at(held.position).is_some()
                || !process.lane.takes(&self.names[partition])
            {
                continue;
            }
            self.skip_gaps(me, partition);
            let position = Offset(self.processes[me].held[&partition].position);
            let end = Offset(self.log(partition).high());
            self.event(me, Event::LogEnd { partition: self.names[partition].clone(), end });
            let held = self.processes[me].held.get_mut(&partition).unwrap();
            if held.reported.replace(position) != Some(position) {
                self.event(me, Event::Position { partition: self.names[partition].clone(), position });
                // In reality it is told again and again. It may have to wait for its turn.
                if !self.processes[me].lane.takes(&self.names[partition])
                    && let Some(held) = self.processes[me].held.get_mut(&partition)
                {
                    held.reported = None;
                }
                return true;
            }
        }
        false
    }
}

fn stopped(held: &mut Held, position: i64, stop: Stop) -> Stop {
    held.position = position;
    stop
}
