//! Closing the files of sealed batches, in slices: a batch of many files must not keep the lane from polling.

use std::collections::VecDeque;
use std::time::Duration;

use super::Lane;
use crate::batch::Batch;
use crate::core::Event;
use crate::core::batch::{BatchId, SealReason};
use crate::types::TopicPartition;

/// How long one turn may compress.
const SLICE: Duration = Duration::from_millis(50);

/// The batches whose files are being closed, and those that wait to be published.
#[derive(Debug, Default)]
pub(super) struct Sealing {
    closing: VecDeque<(TopicPartition, Batch)>,
    closed: Vec<(TopicPartition, Batch)>,
}

impl Sealing {
    pub(super) fn is_busy(&self) -> bool {
        !self.closing.is_empty()
    }

    /// Keeps a batch that is closed already.
    pub(super) fn keep(&mut self, partition: TopicPartition, mut batch: Batch) {
        batch.leave();
        self.closed.push((partition, batch));
    }

    /// The closed batch `id`, to be published.
    pub(super) fn take(&mut self, id: BatchId) -> Option<Batch> {
        let index = self.closed.iter().position(|(_, batch)| batch.id == id)?;
        Some(self.closed.swap_remove(index).1)
    }

    /// Whether there is a batch of `partition`.
    pub(super) fn holds(&self, partition: &TopicPartition) -> bool {
        self.closing.iter().chain(&self.closed).any(|(of, _)| of == partition)
    }

    /// Drops everything of `partition`.
    pub(super) fn abandon(&mut self, partition: &TopicPartition) {
        self.closing.retain(|(of, _)| of != partition);
        self.closed.retain(|(of, _)| of != partition);
    }
}

impl Lane<'_> {
    /// Begins to close the partition's batch. One that covers offsets without records has nothing in memory.
    pub(super) fn seal(&mut self, partition: TopicPartition, id: BatchId, reason: SealReason) {
        self.shared.status.sealed(reason.code());
        let held = self.held.get_mut(&partition).and_then(|held| held.batch.take_if(|batch| batch.id == id));
        let mut batch = held.unwrap_or_else(|| self.shared.new_batch(id, self.now().wall));
        tracing::debug!(%partition, reason = reason.code(), "sealed");
        batch.leave();
        self.sealing.closing.push_back((partition, batch));
    }

    /// Closes files for as long as one turn may; tells the core of each batch that is done.
    pub(super) fn seal_a_slice(&mut self) {
        let until = self.shared.clock.monotonic() + SLICE;
        while let Some((partition, mut batch)) = self.sealing.closing.pop_front() {
            let mut more = true;
            while more && self.shared.clock.monotonic() < until {
                more = batch.close_next(&mut self.compressor);
            }
            batch.account();
            if more {
                self.sealing.closing.push_front((partition, batch));
                return;
            }
            let (id, outcome) = (batch.id, batch.outcome());
            self.sealing.closed.push((partition.clone(), batch));
            self.handle(Event::Closed { partition, batch: id, outcome });
        }
    }
}
