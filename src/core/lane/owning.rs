//! What a lane owns: partitions that come, are wanted back, are lost, and the end of the process.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{Lane, Partition};
use crate::core::batch::SealReason;
use crate::core::{Action, Now};
use crate::types::TopicPartition;

#[derive(Debug)]
pub(super) struct Parting {
    partitions: BTreeSet<TopicPartition>,
    deadline: Duration,
}

impl Lane {
    pub(super) fn assigned(&mut self, partitions: Vec<TopicPartition>, now: Now, actions: &mut Vec<Action>) {
        if self.shutdown.is_some() {
            return;
        }
        for name in partitions {
            let (partitions, mut step) = self.stepping(now, actions);
            partitions.insert(name.clone(), Partition::assigned(name, &mut step));
        }
    }

    pub(super) fn revoked(
        &mut self,
        partitions: Vec<TopicPartition>,
        grace: Duration,
        now: Now,
        actions: &mut Vec<Action>,
    ) {
        let (owned, mut step) = self.stepping(now, actions);
        for name in &partitions {
            if let Some(state) = owned.get_mut(name) {
                state.part(SealReason::Revocation, &mut step);
            }
        }
        let deadline = now.monotonic + grace;
        let parting =
            self.revocation.get_or_insert_with(|| Parting { partitions: BTreeSet::new(), deadline });
        parting.deadline = parting.deadline.min(deadline);
        parting.partitions.extend(partitions);
    }

    pub(super) fn lost(&mut self, partitions: Vec<TopicPartition>, now: Now, actions: &mut Vec<Action>) {
        let (owned, mut step) = self.stepping(now, actions);
        for name in &partitions {
            if let Some(state) = owned.get_mut(name) {
                state.abandon(&mut step);
            }
        }
        self.revoked(partitions, Duration::ZERO, now, actions);
    }

    pub(super) fn shut_down(&mut self, now: Now, actions: &mut Vec<Action>) {
        if self.shutdown.is_some() {
            return;
        }
        self.shutdown = Some(now.monotonic + self.settings.shutdown_deadline);
        let (partitions, mut step) = self.stepping(now, actions);
        for state in partitions.values_mut() {
            state.part(SealReason::Shutdown, &mut step);
        }
        self.advance_all(now, actions);
    }

    /// Abandons what didn't finish in time.
    pub(super) fn enforce_deadlines(&mut self, now: Now, actions: &mut Vec<Action>) {
        let over = |deadline: Duration| now.monotonic >= deadline;
        let revoked = self.revocation.as_ref().filter(|parting| over(parting.deadline));
        let revoked = revoked.map(|parting| parting.partitions.clone()).unwrap_or_default();
        let all = self.shutdown.is_some_and(over);
        if !all && revoked.is_empty() {
            return;
        }
        let (partitions, mut step) = self.stepping(now, actions);
        for (name, state) in partitions {
            let late = all || revoked.contains(name);
            if late && state.has_batches() {
                state.abandon(&mut step);
            }
        }
    }

    /// Gives up what is done, and leaves when that was the last.
    pub(super) fn settle(&mut self, actions: &mut Vec<Action>) {
        let done = |name: &TopicPartition| self.partitions.get(name).is_none_or(Partition::is_done);
        if self.revocation.as_ref().is_some_and(|parting| parting.partitions.iter().all(done))
            && let Some(parting) = self.revocation.take()
        {
            for name in &parting.partitions {
                self.partitions.remove(name);
                actions.push(Action::Hold(name.clone(), None));
            }
            actions.push(Action::GiveUp(parting.partitions.into_iter().collect()));
        }
        // An unanswered commit is waited for beyond any deadline: one that the client still holds when it leaves could be
        // sent afterwards, on nobody's behalf. A process that mustn't wait that long ends without leaving.
        if self.shutdown.is_some() && !self.left && self.partitions.values().all(Partition::is_done) {
            self.left = true;
            actions.push(Action::Leave);
        }
    }
}
