//! The newest record of topics, fetched as a lane would fetch it but by a client that is no member of the group: for
//! `valve check`, which finds out so whether records may be read, and shows what would become of one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::Offset as ClientOffset;

use super::{Offsets, listen, log_offsets};
use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::source::client::reason;
use crate::source::range::{Reader, outside_the_group};
use crate::source::raw::take::Record;
use crate::types::{Offset, TopicPartition, UnixMillis};

/// So far before the log's end reading begins: the last offsets may be none of a record (markers of transactions).
const TAIL: i64 = 5;
/// How long records are looked for, and how long one look takes at most.
const TIME: Duration = Duration::from_secs(10);
const WAIT: Duration = Duration::from_millis(100);
/// How many records are taken at once.
const MOST: usize = 100;

/// What was fetched of a topic.
#[derive(Clone, Debug)]
pub(crate) enum Fetched {
    /// Its newest record, of one of its partitions.
    Record(Newest),
    /// Nothing: there is no record in it.
    Empty,
    /// Nothing, for this reason.
    Failed(String),
}

/// A record.
#[derive(Clone, Debug)]
pub(crate) struct Newest {
    pub(crate) partition: TopicPartition,
    pub(crate) offset: Offset,
    pub(crate) timestamp: Option<UnixMillis>,
    pub(crate) value: Option<Vec<u8>>,
}

/// Where the log of a partition begins and ends.
type Logs = BTreeMap<TopicPartition, (Offset, Offset)>;

impl Offsets {
    /// Fetches the newest record of each of `topics`, from the partition with the longest log; within a quarter of a minute.
    ///
    /// # Errors
    /// A sentence, when the brokers can't be asked for the logs' ends, or the client refuses.
    pub(crate) async fn newest(
        &self,
        config: Arc<Config>,
        topics: Vec<String>,
    ) -> Result<BTreeMap<String, Fetched>, String> {
        let partitions = self.partitions(topics.iter().cloned().collect::<BTreeSet<_>>()).await?;
        self.ask(move |this| {
            let longest = this.longest(&partitions).map_err(|error| reason(&error))?;
            let mut fetched: BTreeMap<_, _> =
                topics.into_iter().map(|topic| (topic, Fetched::Empty)).collect();
            if !longest.is_empty() {
                fetch(&config, &longest, &mut fetched).map_err(|error| reason(&error))?;
            }
            Ok(fetched)
        })
        .await
    }

    /// Of each topic, the partition with the longest log, if there is one with records.
    fn longest(&self, partitions: &[TopicPartition]) -> Result<Logs, KafkaError> {
        let low = log_offsets(&self.client, partitions, ClientOffset::Beginning)?;
        let high = log_offsets(&self.client, partitions, ClientOffset::End)?;
        let mut longest: BTreeMap<&str, (&TopicPartition, (Offset, Offset))> = BTreeMap::new();
        for partition in partitions {
            let (Some(low), Some(high)) = (low.get(partition), high.get(partition)) else { continue };
            let known = longest.get(&*partition.topic).map_or(0, |(_, (low, high))| low.distance_to(*high));
            if low.distance_to(*high) > known {
                longest.insert(&partition.topic, (partition, (*low, *high)));
            }
        }
        Ok(longest.into_values().map(|(partition, log)| (partition.clone(), log)).collect())
    }
}

/// Reads the ends of these logs, until each is reached or time is over.
fn fetch(config: &Config, logs: &Logs, fetched: &mut BTreeMap<String, Fetched>) -> Result<(), KafkaError> {
    let (consumer, queue) = reader(config, logs)?;
    let mut left: BTreeSet<&TopicPartition> = logs.keys().collect();
    for partition in logs.keys() {
        let late = "it has records, but none of them came within 10 s".to_owned();
        fetched.insert(partition.topic.to_string(), Fetched::Failed(late));
    }
    let clock = SystemClock::new();
    while clock.monotonic() < TIME {
        listen(&consumer);
        let mut records = Vec::new();
        queue.take(&mut records, MOST, WAIT);
        for record in &records {
            let partition = TopicPartition::new(record.topic(), record.partition());
            let is_last = logs.get(&partition).is_none_or(|(_, end)| record.offset().next() >= *end);
            if record.error().is_some() || is_last {
                left.remove(&partition);
            }
            fetched.insert(partition.topic.to_string(), taken(record, partition));
        }
        drop(records);
        // Behind the last record there may be offsets without any.
        for at in consumer.position()?.elements() {
            let partition = TopicPartition::new(at.topic(), at.partition());
            let is_reached =
                |(_, end): &(Offset, Offset)| matches!(at.offset(), ClientOffset::Offset(at) if at >= end.0);
            if logs.get(&partition).is_some_and(is_reached) && left.remove(&partition) {
                // The records before the end are delivered, if there were any.
                let topic = fetched.entry(partition.topic.to_string()).or_insert(Fetched::Empty);
                if matches!(topic, Fetched::Failed(_)) {
                    *topic = Fetched::Empty;
                }
            }
        }
        if left.is_empty() {
            break;
        }
    }
    Ok(())
}

fn taken(record: &Record<'_>, partition: TopicPartition) -> Fetched {
    match record.error() {
        Some(error) => Fetched::Failed(error.to_string()),
        None => Fetched::Record(Newest {
            partition,
            offset: record.offset(),
            timestamp: record.timestamp(),
            value: record.value().map(<[u8]>::to_vec),
        }),
    }
}

/// A consumer of these partitions, from a little before their ends on.
fn reader(config: &Config, logs: &Logs) -> Result<Reader, KafkaError> {
    let read_committed = config.group.isolation == crate::config::Isolation::ReadCommitted;
    let from = logs.iter().map(|(partition, (low, end))| (partition, Offset(low.0.max(end.0 - TAIL))));
    outside_the_group(config, "valve-check", read_committed, from)
}
