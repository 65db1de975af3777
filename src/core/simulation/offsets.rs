//! The group's committed offsets: how commits reach the coordinator, and what it says of them.
//!
//! The client stamps member and generation when it sends a commit; the coordinator looks at them when it arrives, and at
//! nothing else. A request that wasn't answered in time is still on its way.

use std::rc::Rc;

use super::mutations::Mutation;
use super::process::Ask;
use super::world::World;
use crate::config::Start;
use crate::core::intent::{Found, Metadata};
use crate::core::start::{Facts, Stored};
use crate::core::{Commit, CommitAnswer, Event};
use crate::types::Offset;

/// What is committed of a partition.
#[derive(Clone, Debug)]
pub(super) struct Committed {
    pub(super) offset: i64,
    pub(super) text: String,
    pub(super) own: Option<Box<Metadata>>,
}

/// A commit on its way to the coordinator.
#[derive(Debug)]
pub(super) struct Request {
    partition: usize,
    commit: Commit,
    member: u32,
    generation: u32,
    /// The process whose client waits for the answer.
    reply: Option<u64>,
}

/// The metadata of a commit, if it is valve's.
pub(super) fn own(commit: &Commit) -> Option<Box<Metadata>> {
    match Metadata::find(&commit.metadata, commit.partition.partition, commit.offset) {
        Found::Own(own) => Some(own),
        Found::Foreign | Found::Newer => None,
    }
}

impl World {
    /// The client of `me` sends what it has.
    pub(super) fn send(&mut self, me: usize) -> bool {
        let process = &mut self.processes[me];
        if process.unsent.is_empty() {
            return false;
        }
        let (partition, commit) = process.unsent.remove(0);
        match process.member {
            Some(member) => {
                let (generation, reply) = (process.generation, Some(process.id));
                self.requests.push(Request { partition, commit, member, generation, reply });
            }
            None => process.answers.push_back((partition, CommitAnswer::NotNow("not a member".into()))),
        }
        true
    }

    /// A request arrives.
    pub(super) fn arrive(&mut self, index: usize) {
        let Request { partition, commit, member, generation, reply } = self.requests.remove(index);
        let answer = self.verdict(member, generation);
        if self.trace.is_some() {
            self.note(format!("commit of partition {partition} at {} arrives: {answer:?}", commit.offset));
        }
        if answer == CommitAnswer::Accepted {
            if reply.is_none() {
                self.seen.unanswered_applied += 1;
            }
            self.apply(partition, &commit);
        }
        let Some(me) = self.processes.iter().position(|process| reply == Some(process.id)) else { return };
        let lost = self.draw.one_in(self.mix.loses_answers);
        if lost && answer == CommitAnswer::Accepted {
            self.seen.unanswered_applied += 1;
        }
        if lost && self.mutation == Some(Mutation::UnansweredRepeated) {
            self.processes[me].unsent.push((partition, commit));
            return;
        }
        let answer = if lost { CommitAnswer::Unanswered("timed out".into()) } else { answer };
        self.processes[me].answers.push_back((partition, answer));
    }

    fn verdict(&mut self, member: u32, generation: u32) -> CommitAnswer {
        let fences = self.mutation != Some(Mutation::NoFencing);
        if fences && !self.group.members.contains(&member) {
            self.seen.fenced += 1;
            CommitAnswer::Fenced("unknown member".into())
        } else if fences && generation != self.group.generation {
            CommitAnswer::Rebalancing
        } else if self.draw.one_in(self.mix.refuses) {
            CommitAnswer::NotNow("loading".into())
        } else {
            CommitAnswer::Accepted
        }
    }

    /// The client gives up waiting for an answer; the request may still arrive.
    pub(super) fn time_out(&mut self, index: usize) {
        let request = &mut self.requests[index];
        let (partition, reply) = (request.partition, request.reply);
        if self.mutation == Some(Mutation::UnansweredRepeated) {
            self.repeat(index);
            return;
        }
        request.reply = None;
        if let Some(process) = self.processes.iter_mut().find(|process| Some(process.id) == reply) {
            process.answers.push_back((partition, CommitAnswer::Unanswered("timed out".into())));
        }
    }

    fn repeat(&mut self, index: usize) {
        let request = &mut self.requests[index];
        let (partition, commit, reply) = (request.partition, request.commit.clone(), request.reply.take());
        if let Some(process) = self.processes.iter_mut().find(|process| Some(process.id) == reply) {
            process.unsent.push((partition, commit));
        }
    }

    /// Whether somebody still waits for the answer to this request.
    pub(super) fn request_is_awaited(&self, index: usize) -> bool {
        let reply = self.requests[index].reply;
        self.processes.iter().any(|process| reply == Some(process.id) && !process.ended)
    }

    fn apply(&mut self, partition: usize, commit: &Commit) {
        let own = own(commit);
        if let Some(own) = &own {
            self.check_commit(partition, commit, own);
            if own.intent.is_some() {
                let topic_id = own.topic_id.unwrap_or_default();
                self.promised[partition].insert(Rc::from(&*commit.metadata), topic_id);
                self.seen.promises += 1;
            }
        } else {
            self.blame(format!("a commit of partition {partition} carries no metadata of valve"));
        }
        self.offsets[partition] =
            Some(Committed { offset: commit.offset.0, text: commit.metadata.clone(), own });
    }

    /// The core hears the answer to one commit.
    pub(super) fn hear_answer(&mut self, me: usize) -> bool {
        let process = &mut self.processes[me];
        let Some((partition, answer)) = process.answers.pop_front() else { return false };
        process.outstanding.remove(&partition);
        if matches!(answer, CommitAnswer::Unanswered(_)) {
            process.unanswered.insert(partition);
            self.seen.unanswered += 1;
        }
        self.event(me, Event::Committed { partition: self.names[partition].clone(), answer });
        true
    }

    /// What the broker knows is found out, or what was found out is heard.
    pub(super) fn resolve(&mut self, me: usize) -> bool {
        let process = &self.processes[me];
        if process.asks.is_empty() {
            return false;
        }
        let index = self.draw.below(process.asks.len());
        let Ask { partition, ticket, facts } = &self.processes[me].asks[index];
        let (partition, ticket, known) = (*partition, *ticket, facts.clone());
        let facts = known.clone().unwrap_or_else(|| self.facts(me, partition));
        if known.is_none() && self.draw.one_in(self.mix.dawdles) {
            self.processes[me].asks[index].facts = Some(facts);
            return true;
        }
        self.processes[me].asks.remove(index);
        self.processes[me].topic_ids.insert(partition, facts.topic_id.unwrap_or_default());
        self.event(me, Event::Resolved { partition: self.names[partition].clone(), ticket, facts });
        true
    }

    fn facts(&self, me: usize, partition: usize) -> Facts {
        let log = self.log(partition);
        let committed = self.offsets[partition].as_ref();
        let at_start =
            self.offsets.iter().flatten().filter_map(|of| of.own.as_ref()?.partitions_at_start).min();
        let last = self.processes[me].policy.start == Start::Stored;
        let mut facts = Facts {
            committed: committed.map(|of| (Offset(of.offset), of.text.clone())),
            low: Offset(log.low),
            high: Offset(log.high()),
            end: Offset(log.high()),
            topic_id: Some(log.topic_id),
            partitions: self.names.len() as u32,
            partitions_at_start: at_start,
            stored: Stored::NotAsked,
        };
        // Of each partition by itself: others of the topic may have begun again already.
        if facts.committed.is_none() {
            facts.stored = self.stored_before(partition, last);
        }
        facts
    }
}
