//! Batches that an earlier owner promised: handed to the process's queue of takeovers, and taken back made.

use std::collections::BTreeMap;

use tokio_util::sync::CancellationToken;

use super::{Answer, Lane};
use crate::core::batch::{BatchId, Outcome};
use crate::core::{Event, Publish, Remake};
use crate::takeover::{Remade, Reply, Task};
use crate::types::TopicPartition;

/// The lane's batches in the queue.
#[derive(Debug, Default)]
pub(super) struct TakingOver {
    jobs: BTreeMap<TopicPartition, (Remake, CancellationToken)>,
}

impl TakingOver {
    /// Ends what is under way for the partition.
    pub(super) fn forget(&mut self, partition: &TopicPartition) {
        if let Some((_, wanted)) = self.jobs.remove(partition) {
            wanted.cancel();
        }
    }

    fn is_current(&self, partition: &TopicPartition, batch: BatchId) -> bool {
        self.jobs.get(partition).is_some_and(|(remake, _)| remake.batch == batch)
    }
}

impl Lane<'_> {
    pub(super) fn remake(&mut self, remake: Remake) {
        let answers = self.answers.0.clone();
        let (partition, batch) = (remake.partition.clone(), remake.batch);
        self.taking_over.forget(&partition);
        let of = partition.clone();
        // A lane that has ended needs no answer.
        let answer = Reply::new(move |made| drop(answers.send(Answer::Remade(of, batch, made))));
        let wanted = self.shared.takeovers.add(Task::Make { remake: remake.clone(), answer });
        self.taking_over.jobs.insert(partition, (remake, wanted));
    }

    pub(super) fn remade(
        &mut self,
        partition: TopicPartition,
        batch: BatchId,
        made: Result<Box<Remade>, String>,
    ) {
        if !self.taking_over.is_current(&partition, batch) {
            return;
        }
        match made {
            Ok(remade) => {
                let Remade { batch: rows, outcome } = *remade;
                let bytes = rows.files.iter().map(|file| file.file.datum_bytes()).sum();
                self.shared.status.consumed(&partition.topic, outcome.records(), bytes);
                self.sealing.keep(partition.clone(), rows);
                self.handle(Event::Closed { partition, batch, outcome });
            }
            Err(reason) => self.handle(Event::Refused { partition, batch, reason }),
        }
    }

    /// Has a batch published that was only counted, since it doesn't fit into memory.
    pub(super) fn publish_in_passes(&mut self, publish: Publish, outcome: Outcome) {
        let partition = publish.partition.clone();
        let Some((remake, wanted)) = self.taking_over.jobs.get_mut(&partition) else { return };
        let (answers, batch, of) = (self.answers.0.clone(), publish.batch, partition);
        *wanted = self.shared.takeovers.add(Task::Publish {
            remake: remake.clone(),
            publish: Box::new(publish),
            outcome,
            lost: self.lost.subscribe(),
            produced: Vec::new(),
            answer: Reply::new(move |stored| drop(answers.send(Answer::Published(of, batch, stored)))),
        });
    }
}
