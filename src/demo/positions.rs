//! How far each of the demo's partitions has been produced and committed: what holds the generator back, and the lag
//! that the terminal shows.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::events::{TOPICS, Topic};
use crate::core::view::Durable;
use crate::source::embedded::{BrokerError, Offsets};
use crate::types::TopicPartition;

/// How often the committed offsets are asked for.
const INTERVAL: Duration = Duration::from_millis(50);

/// The positions of all partitions.
#[derive(Debug)]
pub(crate) struct Positions {
    partitions: Vec<Position>,
}

#[derive(Debug)]
struct Position {
    partition: TopicPartition,
    produced: AtomicU64,
    committed: AtomicU64,
}

impl Positions {
    /// Nothing produced yet.
    pub(crate) fn new() -> Self {
        let position = |(topic, partition): (Topic, i32)| Position {
            partition: TopicPartition::new(topic.name(), partition),
            produced: AtomicU64::new(0),
            committed: AtomicU64::new(0),
        };
        let all =
            TOPICS.iter().flat_map(|topic| (0..topic.partitions()).map(|partition| (*topic, partition)));
        Self { partitions: all.map(position).collect() }
    }

    /// The partitions, in the order of [`Offsets::committed`].
    pub(crate) fn partitions(&self) -> Vec<TopicPartition> {
        self.partitions.iter().map(|position| position.partition.clone()).collect()
    }

    /// One more event is in `partition` of `topic`.
    pub(crate) fn add(&self, topic: Topic, partition: i32) {
        if let Some(position) = self.get(topic, partition) {
            position.produced.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// How many events in `partition` of `topic` aren't committed.
    pub(crate) fn uncommitted(&self, topic: Topic, partition: i32) -> u64 {
        self.get(topic, partition).map_or(0, Position::uncommitted)
    }

    /// How many events aren't committed.
    pub(crate) fn lag(&self) -> u64 {
        self.partitions.iter().map(Position::uncommitted).sum()
    }

    /// Whether all that was produced has been read, by what the daemon says of its partitions, or committed.
    pub(crate) fn all_read(&self, durables: &[Durable]) -> bool {
        self.partitions.iter().all(|position| {
            let durable = durables.iter().find(|durable| durable.partition == position.partition);
            let read = durable.map_or(0, |durable| u64::try_from(durable.read.0).unwrap_or(0));
            position.uncommitted() == 0 || read >= position.produced.load(Ordering::Relaxed)
        })
    }

    /// Keeps the committed offsets up to date until `stop`. Blocks.
    pub(crate) fn follow(&self, offsets: &Offsets, stop: &CancellationToken) -> Result<(), BrokerError> {
        while !stop.is_cancelled() {
            for (position, offset) in self.partitions.iter().zip(offsets.committed()?) {
                position.committed.store(u64::try_from(offset.0).unwrap_or(0), Ordering::Relaxed);
            }
            std::thread::sleep(INTERVAL);
        }
        Ok(())
    }

    fn get(&self, topic: Topic, partition: i32) -> Option<&Position> {
        let before: i32 =
            TOPICS.iter().take_while(|other| **other != topic).map(|topic| topic.partitions()).sum();
        self.partitions.get(usize::try_from(before + partition).ok()?)
    }
}

impl Position {
    fn uncommitted(&self) -> u64 {
        self.produced.load(Ordering::Relaxed).saturating_sub(self.committed.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Offset;

    fn durable(partition: i32, read: i64) -> Durable {
        let partition = TopicPartition::new("page-views", partition);
        Durable { partition, committed: Offset(0), read: Offset(read), oldest: None }
    }

    #[test]
    fn given_events_then_they_are_lag_of_their_own_partition() {
        let positions = Positions::new();
        positions.add(Topic::Orders, 3);
        positions.add(Topic::PageViews, 0);
        positions.add(Topic::PageViews, 0);
        assert_eq!(positions.lag(), 3);
        assert_eq!(positions.uncommitted(Topic::Orders, 3), 1);
        assert_eq!(positions.uncommitted(Topic::PageViews, 0), 2);
        assert_eq!(positions.uncommitted(Topic::PageViews, 1), 0);
    }

    #[test]
    fn given_a_partition_that_is_not_read_to_its_end_then_not_all_is_read() {
        let positions = Positions::new();
        assert!(positions.all_read(&[]));
        positions.add(Topic::PageViews, 1);
        positions.add(Topic::PageViews, 1);
        assert!(!positions.all_read(&[]));
        assert!(!positions.all_read(&[durable(0, 2), durable(1, 1)]));
        assert!(positions.all_read(&[durable(1, 2)]));
    }
}
