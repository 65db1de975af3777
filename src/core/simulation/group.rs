//! The consumer group: generations, cooperative rebalances, members that are expelled while they are frozen.

use std::collections::BTreeSet;

use super::mutations::Mutation;
use super::process::Told;
use super::world::World;
use crate::core::{CommitAnswer, Event};

/// The coordinator's side.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) generation: u32,
    pub(super) members: BTreeSet<u32>,
    /// Which process each partition was given to, by its id.
    pub(super) owners: Vec<Option<u64>>,
    /// Somebody joined, left, or gave something back.
    pub(super) unsettled: bool,
    pub(super) last_member: u32,
}

impl World {
    /// `me` joins the group.
    pub(super) fn join(&mut self, me: usize) -> bool {
        let process = &mut self.processes[me];
        if process.member.is_some() || process.shutting_down || process.revoking {
            return false;
        }
        self.group.last_member += 1;
        process.member = Some(self.group.last_member);
        process.generation = self.group.generation;
        process.rejoining = false;
        process.unanswered.clear();
        self.group.members.insert(self.group.last_member);
        self.group.unsettled = true;
        true
    }

    /// One rebalance, if all members take part in it; those that can't are expelled.
    pub(super) fn rebalance(&mut self, impatient: bool) -> bool {
        let mut able = Vec::new();
        for me in 0..self.processes.len() {
            let process = &self.processes[me];
            let Some(member) = process.member.filter(|member| self.group.members.contains(member)) else {
                continue;
            };
            let busy = process.revoking || process.told.iter().any(|told| matches!(told, Told::Revoked(_)));
            if !process.runs() || busy && impatient {
                self.expel(member);
            } else if busy {
                return false;
            } else {
                able.push(me);
            }
        }
        self.group.generation += 1;
        self.group.unsettled = false;
        for me in &able {
            self.processes[*me].generation = self.group.generation;
        }
        able.retain(|me| !self.processes[*me].rejoining && !self.processes[*me].shutting_down);
        if !able.is_empty() {
            self.assign(&able);
        }
        true
    }

    /// Gives out what nobody has, and takes back something from time to time.
    fn assign(&mut self, able: &[usize]) {
        let mut given = vec![Vec::new(); able.len()];
        let mut taken = vec![Vec::new(); able.len()];
        for partition in 0..self.names.len() {
            let target = self.draw.below(able.len());
            match self.group.owners[partition] {
                None => {
                    self.group.owners[partition] = Some(self.processes[able[target]].id);
                    given[target].push(partition);
                }
                Some(owner) if self.draw.one_in(self.mix.moves) => {
                    let index = able.iter().position(|me| self.processes[*me].id == owner);
                    if let Some(index) = index.filter(|index| *index != target || self.draw.one_in(4)) {
                        taken[index].push(partition);
                    }
                }
                Some(_) => {}
            }
        }
        for (index, me) in able.iter().enumerate() {
            let process = &mut self.processes[*me];
            if !given[index].is_empty() {
                process.owned.extend(&given[index]);
                process.told.push_back(Told::Assigned(std::mem::take(&mut given[index])));
            }
            if !taken[index].is_empty() {
                self.seen.revocations += 1;
                process.told.push_back(Told::Revoked(std::mem::take(&mut taken[index])));
            }
        }
    }

    /// The coordinator forgets a member: its partitions are anybody's.
    pub(super) fn expel(&mut self, member: u32) {
        if !self.group.members.remove(&member) {
            return;
        }
        self.group.unsettled = true;
        if let Some(process) = self.processes.iter().find(|process| process.member == Some(member)) {
            let id = process.id;
            self.group.owners.iter_mut().filter(|owner| **owner == Some(id)).for_each(|owner| *owner = None);
        }
        if self.trace.is_some() {
            self.note(format!("member {member} is expelled"));
        }
    }

    /// Its client finds out that it was expelled.
    pub(super) fn notice(&mut self, me: usize) -> bool {
        let process = &mut self.processes[me];
        let expelled = process.member.is_some_and(|member| !self.group.members.contains(&member));
        if !expelled || process.told.iter().any(|told| matches!(told, Told::Lost(_))) || process.lost {
            return false;
        }
        process.lost = true;
        self.seen.zombies += 1;
        process.told.retain(|told| matches!(told, Told::Assigned(_)));
        process.told.push_back(Told::Lost(process.owned.iter().copied().collect()));
        true
    }

    /// The core hears what its client has for it.
    pub(super) fn hear(&mut self, me: usize) -> bool {
        let process = &mut self.processes[me];
        // One rebalance is heard after the one before is answered, but for what is lost.
        let heard = match process.told.front() {
            Some(Told::Assigned(_) | Told::Revoked(_)) if process.revoking => None,
            _ => process.told.pop_front(),
        };
        let Some(mut told) = heard else { return false };
        if let Told::Revoked(partitions) = &mut told {
            partitions.retain(|partition| process.owned.contains(partition));
            if partitions.is_empty() {
                return true;
            }
        }
        let names = |partitions: &[usize]| partitions.iter().map(|of| self.names[*of].clone()).collect();
        let event = match &told {
            Told::Assigned(partitions) => {
                process.entrusted.extend(partitions);
                Event::Assigned(names(partitions))
            }
            Told::Revoked(partitions) => {
                process.revoking = true;
                Event::Revoked(names(partitions))
            }
            Told::Lost(partitions) => {
                process.revoking = true;
                Event::Lost(names(partitions))
            }
            Told::TopicId(id) => Event::TopicId { topic: self.names[0].topic.clone(), id: *id },
        };
        if let Told::Revoked(partitions) = &told {
            match self.mutation {
                Some(Mutation::StateKept) => {
                    self.handed_back(me, partitions);
                    return true;
                }
                Some(Mutation::GivenUpWithCommit) => self.hide_commits(me, partitions),
                _ => {}
            }
        }
        self.event(me, event);
        true
    }

    /// Tells the core that commits weren't applied which the client hasn't even sent.
    fn hide_commits(&mut self, me: usize, partitions: &[usize]) {
        for partition in partitions {
            if self.processes[me].unsent.iter().any(|(of, _)| of == partition) {
                self.processes[me].outstanding.remove(partition);
                let answer = CommitAnswer::Fenced("hidden".into());
                self.event(me, Event::Committed { partition: self.names[*partition].clone(), answer });
            }
        }
    }

    /// The core handed partitions back: the client tells the group.
    pub(super) fn handed_back(&mut self, me: usize, partitions: &[usize]) {
        let process = &mut self.processes[me];
        process.revoking = false;
        let id = process.id;
        for partition in partitions {
            process.owned.remove(partition);
            let owner = &mut self.group.owners[*partition];
            if *owner == Some(id) {
                *owner = None;
            }
        }
        self.group.unsettled = true;
        if process.owned.is_empty() && (process.rejoining || process.lost) {
            self.out_of_group(me);
        }
    }

    /// Leaves the group; what is owned is taken back first.
    pub(super) fn rejoin(&mut self, me: usize) {
        let process = &mut self.processes[me];
        if process.rejoining {
            return;
        }
        self.seen.rejoins += 1;
        process.rejoining = true;
        if process.lost {
            return;
        }
        if process.owned.is_empty() {
            return self.out_of_group(me);
        }
        process.told.retain(|told| matches!(told, Told::Assigned(_)));
        process.told.push_back(Told::Revoked(process.owned.iter().copied().collect()));
    }

    fn out_of_group(&mut self, me: usize) {
        let process = &mut self.processes[me];
        process.lost = false;
        if let Some(member) = process.member.take() {
            self.expel_by_name(member);
        }
    }

    fn expel_by_name(&mut self, member: u32) {
        self.group.unsettled |= self.group.members.remove(&member);
    }

    /// The process ends in order.
    pub(super) fn leave(&mut self, me: usize) {
        let process = &mut self.processes[me];
        if !process.outstanding.is_empty() {
            let outstanding = process.outstanding.clone();
            self.blame(format!("left while commits of {outstanding:?} were under way"));
        }
        self.seen.left += 1;
        self.end(me);
    }

    /// The process is gone, and the group knows.
    pub(super) fn end(&mut self, me: usize) {
        if let Some(member) = self.processes[me].member {
            self.expel(member);
        }
        self.processes[me].ended = true;
    }
}
