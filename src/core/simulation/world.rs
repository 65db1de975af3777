//! The whole model: what is true of the brokers, the group, the store and the registry, and the processes in it.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use super::draw::Draw;
use super::group::Group;
use super::log::{Log, Record, any_kind};
use super::mix::Mix;
use super::mutations::Mutation;
use super::offsets::{Committed, Request};
use super::process::{Process, Told};
use super::seen::Seen;
use super::store::Store;
use crate::core::Memory;
use crate::core::intent::Metadata;
use crate::types::{Offset, TopicPartition};

/// Of 100.
pub(super) const NO_PRESSURE: Memory = Memory { used: 0, leaving: 0, limit: 100 };

pub(super) struct World {
    pub(super) draw: Draw,
    pub(super) mix: Mix,
    pub(super) mutation: Option<Mutation>,
    pub(super) time: Duration,
    pub(super) names: Vec<TopicPartition>,
    /// Those that the topic may come to have, too.
    all_names: Vec<TopicPartition>,
    pub(super) records: Vec<Record>,
    /// By partition; the last one is the one that is there.
    pub(super) logs: Vec<Vec<Log>>,
    pub(super) offsets: Vec<Option<Committed>>,
    /// Every promise that was ever committed of a partition, with its topic's id.
    pub(super) promised: Vec<BTreeMap<Rc<str>, u128>>,
    pub(super) requests: Vec<Request>,
    pub(super) group: Group,
    pub(super) store: Store,
    pub(super) registry_down: bool,
    pub(super) late_is_known: bool,
    pub(super) processes: Vec<Process>,
    /// In per cent.
    pub(super) pressure: Memory,
    /// Partitions to which something happened that nobody can make good.
    pub(super) disturbed: Vec<bool>,
    /// Partitions that were read again from an earlier offset on, since their logs became shorter.
    pub(super) went_back: Vec<bool>,
    /// Partitions one of whose files can't be stored, as something else is there.
    pub(super) spoiled: Vec<bool>,
    pub(super) seen: Seen,
    pub(super) trace: Option<Vec<String>>,
    /// The first thing that went wrong.
    pub(super) fault: Option<String>,
    last_process: u64,
}

impl World {
    pub(super) fn new(seed: u64, mutation: Option<Mutation>, names: &[TopicPartition]) -> Self {
        let mut draw = Draw::new(seed);
        let mix = Mix::draw(&mut draw);
        let partitions = mix.partitions;
        let low = draw.below(3) as i64;
        let mut world = Self {
            draw,
            mix,
            mutation,
            time: Duration::ZERO,
            names: names[..partitions].to_vec(),
            all_names: names.to_vec(),
            records: Vec::with_capacity(128),
            logs: (0..partitions).map(|_| vec![Log::new(1, low)]).collect(),
            offsets: vec![None; partitions],
            promised: vec![BTreeMap::new(); partitions],
            requests: Vec::new(),
            group: Group { owners: vec![None; partitions], ..Group::default() },
            store: Store::default(),
            registry_down: false,
            late_is_known: false,
            processes: Vec::new(),
            pressure: NO_PRESSURE,
            disturbed: vec![false; partitions],
            went_back: vec![false; partitions],
            spoiled: vec![false; partitions],
            seen: Seen::default(),
            trace: None,
            fault: None,
            last_process: 0,
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        for partition in 0..self.names.len() {
            self.append(partition);
        }
        if self.mix.foreign {
            let log = self.log(0);
            let offset = log.low + (log.high() - log.low) / 2;
            self.offsets[0] = Some(Committed { offset, text: "another tool's".to_owned(), own: None });
        }
        for _ in 0..self.mix.processes {
            self.start_process();
        }
        if !self.draw.one_in(4) {
            (0..self.processes.len()).for_each(|me| {
                self.join(me);
            });
            self.rebalance(false);
        }
    }

    pub(super) fn note(&mut self, what: String) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>9.1?} {what}", self.time));
        }
    }

    pub(super) fn log(&self, partition: usize) -> &Log {
        self.logs[partition].last().unwrap()
    }

    pub(super) fn log_mut(&mut self, partition: usize) -> &mut Log {
        self.logs[partition].last_mut().unwrap()
    }

    /// The log of the topic with this id.
    pub(super) fn log_of(&self, partition: usize, topic_id: Option<u128>) -> Option<&Log> {
        self.logs[partition].iter().find(|log| Some(log.topic_id) == topic_id)
    }

    pub(super) fn start_process(&mut self) {
        self.last_process += 1;
        let (settings, skew) = self.mix.settings(&mut self.draw);
        self.processes.retain(|process| !process.ended || process.member.is_some());
        self.processes.push(Process::new(self.last_process, settings, skew));
    }

    /// Somebody writes to a partition.
    pub(super) fn append(&mut self, partition: usize) {
        for _ in 0..self.draw.between(1, self.mix.burst) {
            let gap = self.draw.one_in(self.mix.gaps);
            let kind = any_kind(&mut self.draw);
            let uid = self.records.len() as u32;
            let log = self.log_mut(partition);
            let (offset, topic_id) = (log.high(), log.topic_id);
            let hidden = offset < log.longest;
            log.entries.push((!gap).then_some(uid));
            log.longest = log.longest.max(log.high());
            if !gap {
                let record = Record { kind, offset, topic_id, stored: 0, letters: 0, gone: false, hidden };
                self.records.push(record);
            }
        }
    }

    /// Retention takes the beginning of a log away.
    pub(super) fn retain(&mut self, partition: usize) {
        let committed = self.offsets[partition].as_ref().map_or(0, |committed| committed.offset);
        let harmless = self.draw.one_in(2);
        let log = self.logs[partition].last_mut().unwrap();
        let most = if harmless { log.high().min(committed) } else { log.high() };
        if most > log.low {
            log.low += 1 + self.draw.below((most - log.low) as usize) as i64;
            self.disturbed[partition] |= log.low > committed;
        }
    }

    /// An unclean election: the end of the log is gone.
    pub(super) fn shorten_log(&mut self, partition: usize) {
        self.disturbed[partition] = true;
        self.seen.shortened += 1;
        let log = self.logs[partition].last_mut().unwrap();
        let keep = log.low + self.draw.below((log.high() - log.low + 1) as usize) as i64;
        for uid in log.entries.drain(keep as usize..).flatten() {
            self.records[uid as usize].gone = true;
        }
        (log.mutilated, log.shortened) = (true, true);
        let high = log.high();
        let held = self.processes.iter_mut().filter_map(|process| process.held.get_mut(&partition));
        held.for_each(|held| held.cut(high));
    }

    pub(super) fn compact(&mut self, partition: usize) {
        let log = self.logs[partition].last_mut().unwrap();
        let index = log.low as usize + self.draw.below((log.high() - log.low + 1) as usize);
        let Some(uid) = log.entries.get_mut(index).and_then(Option::take) else { return };
        log.mutilated = true;
        self.records[uid as usize].gone = true;
        self.disturbed[partition] = true;
        self.seen.compacted += 1;
    }

    /// The topic is deleted and created again.
    pub(super) fn recreate(&mut self) {
        self.seen.recreated += 1;
        let topic_id = self.log(0).topic_id + 1;
        let forgets = self.draw.one_in(2);
        for partition in 0..self.names.len() {
            for uid in self.log(partition).entries.clone().into_iter().flatten() {
                self.records[uid as usize].gone = true;
            }
            self.logs[partition].push(Log::new(topic_id, 0));
            self.disturbed[partition] = true;
            if forgets {
                self.offsets[partition] = None;
            }
        }
    }

    /// The topic gets another partition.
    pub(super) fn grow(&mut self) {
        let Some(name) = self.all_names.get(self.names.len()).cloned() else { return };
        self.seen.grown += 1;
        let topic_id = self.log(0).topic_id;
        self.names.push(name);
        self.logs.push(vec![Log::new(topic_id, 0)]);
        self.offsets.push(None);
        self.promised.push(BTreeMap::new());
        self.group.owners.push(None);
        self.disturbed.push(false);
        self.went_back.push(false);
        self.spoiled.push(false);
        self.group.unsettled = true;
    }

    /// Every process is down for a week, and the brokers forget the group's offsets.
    pub(super) fn expire_offsets(&mut self) {
        if self.spoiled.contains(&true) {
            return;
        }
        self.seen.expired += 1;
        for me in 0..self.processes.len() {
            self.end(me);
        }
        self.processes.clear();
        self.requests.clear();
        self.store.flying.clear();
        self.offsets.iter_mut().for_each(|committed| *committed = None);
        self.disturbed.iter_mut().for_each(|disturbed| *disturbed = true);
        self.time += Duration::from_secs(604_800);
        self.start_process();
    }

    /// Every process hears the topic's id.
    pub(super) fn refresh(&mut self) {
        let id = self.log(0).topic_id;
        for process in &mut self.processes {
            process.told.push_back(Told::TopicId(id));
        }
    }

    /// A process dies where it stands; the group finds out later.
    pub(super) fn crash(&mut self, me: usize) {
        self.seen.crashes += 1;
        if self.trace.is_some() {
            self.note(format!("process {} crashes", self.processes[me].id));
        }
        self.processes[me].ended = true;
    }

    /// What is committed of a partition, as valve wrote it.
    pub(super) fn committed(&self, partition: usize) -> Option<(Offset, &Metadata)> {
        let committed = self.offsets[partition].as_ref()?;
        Some((Offset(committed.offset), committed.own.as_deref()?))
    }
}
