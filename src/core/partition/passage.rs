//! The passage of a sealed batch: closed, promised, published, committed (docs/protocol.md, "The steps").
//!
//! The oldest sealed batch alone moves; the one behind it is promised with its predecessor's last commit.

use super::{Partition, Step};
use crate::core::batch::{BatchId, Outcome, SealedBatch, Stage};
use crate::core::intent::Metadata;
use crate::core::{Action, Publish};

/// A batch that becomes durable with the commit under way.
#[derive(Debug)]
pub(super) struct Finished {
    batch: BatchId,
    outcome: Outcome,
}

impl Partition {
    /// The sealed batch with this id, unless it was abandoned meanwhile.
    fn sealed_mut(&mut self, id: BatchId) -> Option<&mut SealedBatch> {
        self.sealed.iter_mut().find(|sealed| sealed.batch.id == id)
    }

    pub(in crate::core) fn closed(&mut self, id: BatchId, outcome: Outcome, step: &mut Step<'_>) {
        let Some(sealed) = self.sealed_mut(id) else { return };
        let contradiction = sealed.contradiction(&outcome);
        sealed.stage = Stage::Closed(outcome);
        if let Some(reason) = contradiction {
            self.hold(reason, step);
        }
    }

    pub(in crate::core) fn published(&mut self, id: BatchId) {
        if let Some(sealed) = self.sealed_mut(id)
            && let Stage::Publishing(outcome) = &mut sealed.stage
        {
            sealed.stage = Stage::Published(std::mem::take(outcome));
        }
    }

    pub(in crate::core) fn refused(&mut self, id: BatchId, reason: String, step: &mut Step<'_>) {
        if self.sealed_mut(id).is_some() {
            self.hold(reason, step);
        }
    }

    /// Takes the oldest sealed batch a step further.
    pub(super) fn advance_front(&mut self, step: &mut Step<'_>) {
        let Some(front) = self.sealed.front() else { return };
        match &front.stage {
            Stage::Closing | Stage::Publishing(_) => {}
            // The intent that is committed is always the front's: what was promised before it is finished.
            Stage::Closed(_) if self.committed.intent.is_some() => self.publish(step),
            // What was read may not be in the log any more.
            Stage::Closed(_) if self.is_astray() => {}
            Stage::Closed(outcome) => {
                let intent = Some(front.intent(step.layout, outcome));
                let promise = Metadata { intent, ..self.committed.clone() };
                self.send(promise, None, step);
            }
            Stage::Published(outcome) => {
                let coverage = front.covered(&self.committed.coverage, outcome);
                let finished = Finished { batch: front.batch.id, outcome: outcome.clone() };
                let next = self.sealed.get(1).filter(|_| !self.is_astray());
                let intent = next.and_then(|next| match &next.stage {
                    Stage::Closed(outcome) => Some(next.intent(step.layout, outcome)),
                    _ => None,
                });
                let after = Metadata { first: front.batch.end, coverage, intent, ..self.committed.clone() };
                self.send(after, Some(finished), step);
            }
        }
    }

    fn publish(&mut self, step: &mut Step<'_>) {
        let Some(front) = self.sealed.front_mut() else { return };
        let Stage::Closed(outcome) = &mut front.stage else { return };
        let outcome = std::mem::take(outcome);
        step.actions.push(Action::Publish(Publish {
            partition: self.name.clone(),
            batch: front.batch.id,
            first: front.batch.first,
            end: front.batch.end,
            instant: front.batch.instant,
            metadata: self.committed.encode(),
            cover: front.cover(&self.committed.coverage, &outcome),
            remade: front.promised.is_some(),
        }));
        front.stage = Stage::Publishing(outcome);
    }

    /// The commit of the oldest batch's `end` was accepted. The batch may be gone from memory, by a deadline.
    pub(super) fn finish(&mut self, finished: Finished, step: &mut Step<'_>) {
        if self.sealed.front().is_some_and(|front| front.batch.id == finished.batch) {
            self.sealed.pop_front();
        }
        let Finished { batch, outcome } = finished;
        let (partition, records) = (self.name.clone(), outcome.records());
        step.actions.push(Action::Finish { partition, batch, outcome, records });
    }
}
