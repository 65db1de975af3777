//! Which partitions topics have, and where the records of a time begin.

use std::collections::{BTreeSet, HashMap};

use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::{Offset as ClientOffset, TopicPartitionList};

use super::{ASK_AT_ONCE, Offsets, TIMEOUT};
use crate::types::{Offset, TopicPartition, UnixMillis};

impl Offsets {
    /// The partitions of those of `topics` that there are. To look creates none.
    ///
    /// # Errors
    /// A sentence, when the brokers can't be asked.
    pub(crate) async fn partitions(&self, topics: BTreeSet<String>) -> Result<Vec<TopicPartition>, String> {
        self.ask(move |this| {
            let metadata = this.client.fetch_metadata(None, TIMEOUT);
            let metadata = metadata.map_err(|error| format!("topics: {error}"))?;
            let wanted = metadata.topics().iter().filter(|topic| topics.contains(topic.name()));
            let partitions = wanted.flat_map(|topic| {
                let indices = topic.partitions().iter().map(rdkafka::metadata::MetadataPartition::id);
                indices.map(|index| TopicPartition::new(topic.name(), index))
            });
            let mut partitions: Vec<_> = partitions.collect();
            partitions.sort_unstable();
            Ok(partitions)
        })
        .await
    }

    /// For each partition, the first offset whose record has a Kafka timestamp at the time or later, whether it may be read
    /// yet or not; `None` when there is none. A partition of which that can't be had is left out.
    ///
    /// # Errors
    /// A sentence, when the brokers can't be asked.
    pub(crate) async fn firsts(
        &self,
        times: Vec<(TopicPartition, UnixMillis)>,
    ) -> Result<HashMap<TopicPartition, Option<Offset>>, String> {
        self.ask(move |this| this.ask_firsts(&times)).await
    }

    fn ask_firsts(
        &self,
        times: &[(TopicPartition, UnixMillis)],
    ) -> Result<HashMap<TopicPartition, Option<Offset>>, String> {
        let failed = |error| format!("offsets of times: {error}");
        let mut firsts = HashMap::new();
        for asked in times.chunks(ASK_AT_ONCE) {
            let mut list = TopicPartitionList::new();
            for (partition, time) in asked {
                let time = ClientOffset::Offset(time.0);
                list.add_partition_offset(&partition.topic, partition.partition, time).map_err(failed)?;
            }
            let answer = self.whole_log.offsets_for_times(list, TIMEOUT).map_err(failed)?;
            for element in answer.elements() {
                let first = match (element.error(), element.offset()) {
                    (Ok(()), ClientOffset::Offset(offset)) => Some(Offset(offset)),
                    // What the client says where there is none.
                    (Ok(()), ClientOffset::End) => None,
                    _ => continue,
                };
                firsts.insert(TopicPartition::new(element.topic(), element.partition()), first);
            }
        }
        Ok(firsts)
    }
}
