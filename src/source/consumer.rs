//! One lane's consumer: its membership in the group, its records, its commits.
//!
//! Everything here is called by the lane's thread alone and returns at once, but for [`Source::take`], which waits no
//! longer than it is told, and [`Source::leave`], which ends it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset as ClientOffset, TopicPartitionList};

use super::SourceError;
use super::client::client_config;
use super::context::GroupContext;
use super::raw;
use super::raw::take::{Record, RecordQueue};
use crate::config::{Assignment, Config, GroupProtocol, Isolation};
use crate::core::Commit;
use crate::types::{Offset, TopicPartition};

pub(crate) use super::context::SourceEvent;

/// The bounds of a lane's fetch queue, in KiB: as fast as a larger one from 8 MiB on.
const QUEUE_KIB: (usize, usize) = (1 << 10, 8 << 10);

/// One member of the consumer group.
pub(crate) struct Source {
    /// Before the consumer, so that it is dropped first.
    queue: RecordQueue<GroupContext>,
    consumer: Arc<BaseConsumer<GroupContext>>,
    /// What was handed to the client, and the offset that it began or will begin at.
    assigned: RefCell<BTreeMap<TopicPartition, Offset>>,
}

impl Source {
    /// A consumer of the group that isn't a member yet. `lane` tells the process's consumers apart.
    ///
    /// # Errors
    /// When librdkafka refuses a property; the reason names it.
    pub(crate) fn open(config: &Config, lane: usize) -> Result<Self, SourceError> {
        let consumer: BaseConsumer<_> =
            consumer_config(config, lane).create_with_context(GroupContext::default())?;
        let consumer = Arc::new(consumer);
        let queue = RecordQueue::new(Arc::clone(&consumer))
            .ok_or_else(|| KafkaError::ClientCreation("no queue for records".to_owned()))?;
        Ok(Self { queue, consumer, assigned: RefCell::default() })
    }

    /// The memory that the client's fetches of one lane may take, in bytes: two and a half fetch queues.
    pub(crate) fn fetch_reserve(config: &Config) -> usize {
        queue_kib(config) * 1024 * 5 / 2
    }

    /// Joins the group, or tells it of other topics than before.
    ///
    /// # Errors
    /// When the client refuses.
    pub(crate) fn subscribe(&self, topics: &[String]) -> Result<(), SourceError> {
        let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
        Ok(self.consumer.subscribe(&topics)?)
    }

    /// Gives all partitions back; the revocation comes as an event.
    pub(crate) fn unsubscribe(&self) {
        self.consumer.unsubscribe();
    }

    /// Serves the client, and returns what happened since the last call. Keeps the membership alive.
    pub(crate) fn poll(&self) -> Vec<SourceEvent> {
        let context = self.consumer.context();
        loop {
            let before = context.pending();
            let polled = self.consumer.poll(Duration::ZERO);
            // An event that was called back with is not returned, but it is counted.
            let Some(polled) = polled else { if context.pending() == before { break } else { continue } };
            match polled {
                // Records come through the lane's own queue.
                Ok(stray) => context.push(SourceEvent::Fatal(format!(
                    "a record of {}[{}] came past the lane's queue",
                    rdkafka::Message::topic(&stray),
                    rdkafka::Message::partition(&stray)
                ))),
                Err(error @ KafkaError::MessageConsumptionFatal(_)) => {
                    context.push(SourceEvent::Fatal(error.to_string()));
                }
                Err(error) => context.push(SourceEvent::Trouble(error.to_string())),
            }
        }
        self.consumer.context().drain()
    }

    /// Appends up to `most` records (or errors about partitions) to `records`, waiting up to `wait` for the first.
    pub(crate) fn take<'s>(&'s self, records: &mut Vec<Record<'s>>, most: usize, wait: Duration) {
        self.queue.take(records, most, wait);
    }

    fn is_cooperative(&self) -> bool {
        matches!(self.consumer.rebalance_protocol(), RebalanceProtocol::Cooperative)
    }

    /// Tells the group that its assignment was received. What was assigned is fetched from [`Source::begin`] on,
    /// partition by partition, so that one that can't be resolved doesn't hold up the others.
    pub(crate) fn acknowledge(&self) -> Result<(), SourceError> {
        if self.is_cooperative() {
            self.consumer.incremental_assign(&TopicPartitionList::new())?;
        } else {
            self.assigned.borrow_mut().clear();
            self.consumer.assign(&TopicPartitionList::new())?;
        }
        Ok(())
    }

    /// Fetches `partitions` from these offsets on.
    pub(crate) fn begin(&self, partitions: &[(TopicPartition, Offset)]) -> Result<(), SourceError> {
        let mut fresh = TopicPartitionList::new();
        let mut known = TopicPartitionList::new();
        for (partition, offset) in partitions {
            let list = if self.assigned.borrow().contains_key(partition) { &mut known } else { &mut fresh };
            list.add_partition_offset(&partition.topic, partition.partition, ClientOffset::Offset(offset.0))?;
            self.assigned.borrow_mut().insert(partition.clone(), *offset);
            self.queue.forward(&partition.topic, partition.partition);
        }
        if known.count() > 0 {
            self.consumer.seek_partitions(known.clone(), Duration::ZERO)?;
            self.consumer.resume(&known)?;
        }
        if fresh.count() == 0 {
            return Ok(());
        }
        if self.is_cooperative() {
            return Ok(self.consumer.incremental_assign(&fresh)?);
        }
        Ok(self.consumer.assign(&self.everything_from_where_it_is()?)?)
    }

    /// The eager protocol knows whole assignments only: what is fetched already goes on where it is.
    fn everything_from_where_it_is(&self) -> Result<TopicPartitionList, SourceError> {
        let positions = self.positions();
        let mut all = TopicPartitionList::new();
        for (partition, begun) in &*self.assigned.borrow() {
            let offset = positions.get(partition).copied().unwrap_or(*begun).max(*begun);
            all.add_partition_offset(&partition.topic, partition.partition, ClientOffset::Offset(offset.0))?;
        }
        Ok(all)
    }

    pub(crate) fn pause(&self, partition: &TopicPartition) -> Result<(), SourceError> {
        Ok(self.consumer.pause(&list_of([partition]))?)
    }

    pub(crate) fn resume(&self, partition: &TopicPartition) -> Result<(), SourceError> {
        Ok(self.consumer.resume(&list_of([partition]))?)
    }

    /// The offset behind the last thing delivered of each partition, control and aborted records included.
    pub(crate) fn positions(&self) -> BTreeMap<TopicPartition, Offset> {
        let Ok(list) = self.consumer.position() else { return BTreeMap::new() };
        let elements = list.elements();
        let known = elements.iter().filter_map(|element| match element.offset() {
            ClientOffset::Offset(offset) => {
                Some((TopicPartition::new(element.topic(), element.partition()), Offset(offset)))
            }
            _ => None,
        });
        known.collect()
    }

    /// Whether somebody else owns this member's partitions already.
    pub(crate) fn assignment_lost(&self) -> bool {
        self.consumer.assignment_lost()
    }

    /// Hands the commits to the client in one request; each partition's answer comes as an event.
    pub(crate) fn commit(&self, commits: &[Commit]) -> Result<(), SourceError> {
        let mut list = TopicPartitionList::new();
        for commit in commits {
            let mut element = list.add_partition(&commit.partition.topic, commit.partition.partition);
            element.set_offset(ClientOffset::Offset(commit.offset.0))?;
            element.set_metadata(&commit.metadata);
        }
        Ok(raw::commit::commit(&self.consumer, &list)?)
    }

    /// Hands partitions back to the group. Nothing of them may be in memory any more.
    pub(crate) fn give_up(&self, partitions: &[TopicPartition]) -> Result<(), SourceError> {
        let mut assigned = self.assigned.borrow_mut();
        let list = list_of(partitions.iter().filter(|partition| assigned.remove(*partition).is_some()));
        let given = if self.is_cooperative() {
            self.consumer.incremental_unassign(&list)
        } else {
            self.consumer.unassign()
        };
        Ok(given?)
    }

    /// Leaves the group; from now on revocations are answered by the client's callback itself. Blocks until the
    /// coordinator knows, a few seconds at most.
    pub(crate) fn leave(self) {
        self.consumer.context().close();
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Source").field("assigned", &self.assigned).finish_non_exhaustive()
    }
}

fn list_of<'a>(partitions: impl IntoIterator<Item = &'a TopicPartition>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    for partition in partitions {
        list.add_partition(&partition.topic, partition.partition);
    }
    list
}

fn queue_kib(config: &Config) -> usize {
    (config.memory_budget / 8 / config.lanes.max(1) / 1024).clamp(QUEUE_KIB.0, QUEUE_KIB.1)
}

/// What decides speed and memory first, so that `kafka.properties` can change it; what belongs to valve last.
fn consumer_config(config: &Config, lane: usize) -> ClientConfig {
    let mut properties = ClientConfig::new();
    properties
        .set("queued.max.messages.kbytes", queue_kib(config).to_string())
        .set("queued.min.messages", "10000")
        .set("fetch.message.max.bytes", "65536")
        .set("fetch.queue.backoff.ms", "10")
        .set("check.crcs", "true")
        .set("log.connection.close", "false");
    for (name, value) in client_config(&config.kafka).config_map() {
        properties.set(name, value);
    }
    properties.set("client.id", format!("valve-{lane}")).set("group.id", &config.name);
    own_by_valve(&mut properties, config);
    properties
}

/// The properties that the protocol depends on (PROTOCOL.md, "What belongs to valve").
fn own_by_valve(properties: &mut ClientConfig, config: &Config) {
    let isolation = match config.group.isolation {
        Isolation::ReadCommitted => "read_committed",
        Isolation::ReadUncommitted => "read_uncommitted",
    };
    properties
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "error")
        .set("enable.partition.eof", "false")
        .set("isolation.level", isolation);
    match config.group.protocol {
        GroupProtocol::Consumer => properties.set("group.protocol", "consumer"),
        GroupProtocol::Classic => properties.set("group.protocol", "classic").set(
            "partition.assignment.strategy",
            match config.group.assignment {
                Assignment::CooperativeSticky => "cooperative-sticky",
                Assignment::Range => "range",
                Assignment::RoundRobin => "roundrobin",
            },
        ),
    };
}
