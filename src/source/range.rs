//! Reads without being a member of the group: one range of one partition, for a batch that is made again.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset as ClientOffset, TopicPartitionList};

use super::SourceError;
use super::client::sign_in;
use super::offsets::{QuietContext, listen};
use super::properties::{consumer_config, fetch_reserve, isolation};
use super::raw::take::{Record, RecordQueue};
use crate::config::Config;
use crate::types::{Offset, TopicPartition};

/// A consumer, and the queue that its records come to; the queue is to be dropped first.
pub(super) type Reader = (Arc<BaseConsumer<QuietContext>>, RecordQueue<QuietContext>);

/// A consumer of these partitions from these offsets on, which is no member of the group.
///
/// # Errors
/// When the client refuses.
pub(super) fn outside_the_group<'a>(
    config: &Config,
    client_id: &str,
    read_committed: bool,
    from: impl Iterator<Item = (&'a TopicPartition, Offset)>,
) -> Result<Reader, KafkaError> {
    let mut properties = consumer_config(config, client_id);
    properties.set("group.protocol", "classic").set("isolation.level", isolation(read_committed));
    let consumer: BaseConsumer<_> = properties.create_with_context(QuietContext::default())?;
    sign_in(consumer.client(), &config.kafka);
    let consumer = Arc::new(consumer);
    let queue = RecordQueue::new(Arc::clone(&consumer))
        .ok_or_else(|| KafkaError::ClientCreation("no queue for records".to_owned()))?;
    let mut list = TopicPartitionList::new();
    for (partition, first) in from {
        list.add_partition_offset(&partition.topic, partition.partition, ClientOffset::Offset(first.0))?;
        queue.forward(&partition.topic, partition.partition);
    }
    consumer.assign(&list)?;
    Ok((consumer, queue))
}

/// A consumer of one partition.
pub(crate) struct RangeReader {
    /// Before the consumer, so that it is dropped first.
    queue: RecordQueue<QuietContext>,
    consumer: Arc<BaseConsumer<QuietContext>>,
}

impl RangeReader {
    /// Reads `partition` from `first` on; with `read_committed`, records of aborted transactions are left out.
    ///
    /// # Errors
    /// When the client refuses.
    pub(crate) fn open(
        config: &Config,
        read_committed: bool,
        partition: &TopicPartition,
        first: Offset,
    ) -> Result<Self, SourceError> {
        let (consumer, queue) =
            outside_the_group(config, "valve-takeover", read_committed, [(partition, first)].into_iter())?;
        Ok(Self { queue, consumer })
    }

    /// The memory that its fetches may take when values have up to `longest`, and a compressor, in bytes.
    pub(crate) fn memory(config: &Config, longest: usize, compressor: usize) -> usize {
        fetch_reserve(config, longest, compressor)
    }

    /// Appends up to `most` records (or errors) to `records`, waiting up to `wait` for the first.
    pub(crate) fn take<'s>(&'s self, records: &mut Vec<Record<'s>>, most: usize, wait: Duration) {
        listen(&self.consumer);
        self.queue.take(records, most, wait);
    }

    /// Everything before it was delivered, control and aborted records included.
    pub(crate) fn position(&self) -> Option<Offset> {
        let list = self.consumer.position().ok()?;
        list.elements().first().and_then(|element| match element.offset() {
            ClientOffset::Offset(offset) => Some(Offset(offset)),
            _ => None,
        })
    }
}

impl std::fmt::Debug for RangeReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RangeReader").finish_non_exhaustive()
    }
}
