//! How long the store and the broker take for a lane's batches and commits.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::core::batch::BatchId;
use crate::telemetry::metrics::{COMMIT_LATENCY, PUBLISH_LATENCY};
use crate::types::TopicPartition;

/// Since when there is something under way of a partition: one batch and one commit at a time.
#[derive(Debug, Default)]
pub(super) struct Latencies {
    publishing: BTreeMap<TopicPartition, (BatchId, Duration)>,
    committing: BTreeMap<TopicPartition, Duration>,
}

impl Latencies {
    /// A batch begins to be published.
    pub(super) fn publishing(&mut self, partition: &TopicPartition, batch: BatchId, now: Duration) {
        self.publishing.insert(partition.clone(), (batch, now));
    }

    /// All of it is acknowledged; how long that took, if it is the one that was begun last.
    pub(super) fn published(
        &mut self,
        partition: &TopicPartition,
        batch: BatchId,
        now: Duration,
    ) -> Option<Duration> {
        let (_, since) = self.publishing.get(partition).filter(|(of, _)| *of == batch)?;
        let took = now.saturating_sub(*since);
        PUBLISH_LATENCY.record(took.as_secs_f64());
        self.publishing.remove(partition);
        Some(took)
    }

    /// A batch is no longer published.
    pub(super) fn abandoned(&mut self, partition: &TopicPartition) {
        self.publishing.remove(partition);
    }

    /// A commit is handed to the client.
    pub(super) fn committing(&mut self, partition: &TopicPartition, now: Duration) {
        self.committing.insert(partition.clone(), now);
    }

    /// The broker has answered it, well or not.
    pub(super) fn committed(&mut self, partition: &TopicPartition, now: Duration) {
        if let Some(since) = self.committing.remove(partition) {
            COMMIT_LATENCY.record(now.saturating_sub(since).as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::exporters::testing::measured;

    #[test]
    fn given_batches_and_commits_then_each_is_measured_once_from_its_own_beginning() {
        let (one, other) = (TopicPartition::new("orders", 0), TopicPartition::new("orders", 1));
        let at = Duration::from_millis;
        let mut latencies = Latencies::default();
        let seconds = measured(&["publish_latency", "commit_latency"], || {
            latencies.publishing(&one, BatchId(1), at(1_000));
            latencies.publishing(&other, BatchId(2), at(2_000));
            latencies.published(&one, BatchId(1), at(3_500));
            latencies.published(&one, BatchId(1), at(9_000));
            // Its answer comes too late: another one is under way by now.
            latencies.abandoned(&other);
            latencies.publishing(&other, BatchId(3), at(4_000));
            latencies.published(&other, BatchId(2), at(5_000));
            latencies.published(&other, BatchId(3), at(4_250));
            latencies.committing(&one, at(5_000));
            latencies.committed(&one, at(5_125));
            latencies.committed(&other, at(6_000));
        });
        assert_eq!(seconds, [vec![2.5, 0.25], vec![0.125]]);
    }
}
