//! Everything that a group has committed, for whoever wants to compare it with what is stored.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rdkafka::consumer::Consumer as _;

use super::{Offsets, TIMEOUT};
use crate::source::raw::describe::topic_ids;
use crate::types::{Offset, TopicPartition};

/// How many partitions are asked for in one request.
const PARTITIONS_AT_ONCE: usize = 5_000;

/// What a group has committed, and where it hasn't, at one time.
#[derive(Clone, Debug, Default)]
pub(crate) struct GroupOffsets {
    /// Each partition's offset and the metadata with it.
    pub(crate) committed: BTreeMap<TopicPartition, (Offset, String)>,
    /// The partitions without an offset, of topics that were asked for by name or have one in another partition.
    pub(crate) never_begun: BTreeSet<TopicPartition>,
    /// The names of all topics that the brokers know and show this client.
    pub(crate) topics: BTreeSet<String>,
    /// The ids of the topics with an offset, where the brokers tell them.
    pub(crate) topic_ids: HashMap<String, u128>,
}

impl Offsets {
    /// What the group has committed for all topics that the brokers know, or those of `topics` if there are any.
    ///
    /// # Errors
    /// A sentence, when one of them can't be had: it must not be taken for one without an offset.
    pub(crate) async fn group(&self, topics: BTreeSet<String>) -> Result<GroupOffsets, String> {
        self.ask(move |this| this.ask_group(&topics)).await
    }

    fn ask_group(&self, topics: &BTreeSet<String>) -> Result<GroupOffsets, String> {
        let metadata = self.client.fetch_metadata(None, TIMEOUT);
        let metadata = metadata.map_err(|error| format!("topics: {error}"))?;
        let wanted = metadata.topics().iter().filter(|topic| {
            topics.contains(topic.name()) || (topics.is_empty() && !topic.name().starts_with("__"))
        });
        let partitions: Vec<TopicPartition> = wanted
            .flat_map(|topic| {
                topic.partitions().iter().map(|partition| TopicPartition::new(topic.name(), partition.id()))
            })
            .collect();
        let known = metadata.topics().iter().map(|topic| topic.name().to_owned());
        let mut group = GroupOffsets { topics: known.collect(), ..GroupOffsets::default() };
        for partitions in partitions.chunks(PARTITIONS_AT_ONCE) {
            let committed =
                self.committed(partitions).map_err(|error| format!("committed offsets: {error}"))?;
            for (partition, committed) in committed {
                let committed =
                    committed.map_err(|error| format!("committed offset of {partition}: {error}"))?;
                if let Some(committed) = committed {
                    group.committed.insert(partition, committed);
                }
            }
        }
        let names: BTreeSet<&str> = group.committed.keys().map(|partition| &*partition.topic).collect();
        let is_missing = |partition: &TopicPartition| {
            let topic = &*partition.topic;
            !group.committed.contains_key(partition) && (topics.contains(topic) || names.contains(topic))
        };
        group.never_begun = partitions.into_iter().filter(is_missing).collect();
        if !names.is_empty() {
            let names: Vec<&str> = names.into_iter().collect();
            group.topic_ids = topic_ids(&self.client, &names, TIMEOUT)?;
        }
        Ok(group)
    }
}
