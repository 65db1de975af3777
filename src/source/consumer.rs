//! One lane's consumer: its membership in the group, its records, its commits.
//!
//! Everything here is called by the lane's thread alone and returns at once, but for [`Source::take`], which waits no
//! longer than it is told, and what ends it.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, RebalanceProtocol};
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::{Offset as ClientOffset, TopicPartitionList};

use super::SourceError;
use super::client::{configure, sign_in};
use super::context::GroupContext;
use super::news::hear_out;
use super::raw;
use super::raw::take::{Record, RecordQueue};
use crate::config::{Assignment, Config, GroupProtocol, Isolation};
use crate::core::Commit;
use crate::types::{Offset, TopicPartition};

pub(crate) use super::context::SourceEvent;

/// The bounds of a lane's fetch queue, in KiB: as fast as a larger one from 8 MiB on.
const QUEUE_KIB: (usize, usize) = (256, 8 << 10);

/// The client fetches when fewer records are in it than these: the shortest queue is filled when it is empty.
const QUEUE_RECORDS: (usize, usize) = (1, 10_000);

/// What a lane's client takes beside what it fetches, in bytes: its threads and connections.
const CLIENT: usize = 1 << 20;

/// What the client takes for a record batch of a megabyte, which brokers allow, whatever the queue's length, in bytes: with
/// each record it keeps some 500 bytes.
const ONE_BATCH: usize = 3 << 20;

/// Of records that are larger than that, a lane has so many in memory, in one form or another, beside its batches.
const AT_ONCE: usize = 3;

/// In milliseconds.
const HOUR: u128 = 3_600_000;

/// One member of the consumer group.
pub(crate) struct Source {
    /// Before the consumer, so that it is dropped first.
    queue: RecordQueue<GroupContext>,
    consumer: Arc<BaseConsumer<GroupContext>>,
    /// What was handed to the client, and the offset that it last began or will begin at.
    assigned: RefCell<BTreeMap<TopicPartition, Offset>>,
}

impl Source {
    /// A consumer of the group that isn't a member yet. `lane` tells the process's consumers apart.
    ///
    /// # Errors
    /// When librdkafka refuses a property; the reason names it.
    pub(crate) fn open(config: &Config, lane: usize) -> Result<Self, SourceError> {
        let consumer: BaseConsumer<_> =
            consumer_config(config, &format!("valve-{lane}")).create_with_context(GroupContext::default())?;
        sign_in(consumer.client(), &config.kafka);
        let consumer = Arc::new(consumer);
        let queue = RecordQueue::new(Arc::clone(&consumer))
            .ok_or_else(|| KafkaError::ClientCreation("no queue for records".to_owned()))?;
        Ok(Self { queue, consumer, assigned: RefCell::default() })
    }

    /// The memory that one lane takes for what is fetched, in bytes, when values have up to `longest`: the client's queue, twice
    /// as much for what it keeps with small records, and a response on its way; of large records the one that is being placed, what
    /// becomes of it, and the next one; and a compressor of `compressor` bytes. (A record batch that decompresses to several megabytes
    /// is beyond this.)
    ///
    /// For large records no more is set aside than makes half the budget for all lanes and a takeover: what is left lets them go on,
    /// however large the records are.
    pub(crate) fn fetch_reserve(config: &Config, longest: usize, compressor: usize) -> usize {
        let most = (config.memory_budget / 2 / (config.lanes + 1)).saturating_sub(CLIENT + compressor);
        let large = longest.saturating_mul(AT_ONCE).min(most);
        (queue_kib(config) * 1024 * 4).max(ONE_BATCH).max(large) + CLIENT + compressor
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

    /// Serves the client, and returns what happened since the last call, and whether that is all. Keeps the membership alive.
    pub(crate) fn poll(&self) -> (Vec<SourceEvent>, bool) {
        let context = self.consumer.context();
        let all = hear_out(context.heard(), || {
            let Some(polled) = self.consumer.poll(Duration::ZERO) else { return false };
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
                // The context was told the same, with the client's words for it.
                Err(error) => tracing::trace!(%error, "returned by the client"),
            }
            true
        });
        (context.drain(), all)
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

    /// Whether partitions can be added to what is fetched. Under the eager protocol they can't: all that is assigned
    /// begins together.
    pub(crate) fn adds_partitions(&self) -> bool {
        self.is_cooperative()
    }

    /// Fetches `partitions` from these offsets on. A pause of an earlier time, which the client remembers, ends.
    pub(crate) fn begin(&self, partitions: &[(TopicPartition, Offset)]) -> Result<(), SourceError> {
        let mut fresh = TopicPartitionList::new();
        for (partition, offset) in partitions {
            fresh.add_partition_offset(
                &partition.topic,
                partition.partition,
                ClientOffset::Offset(offset.0),
            )?;
            self.queue.forward(&partition.topic, partition.partition);
        }
        if self.is_cooperative() {
            self.consumer.incremental_assign(&fresh)?;
        } else {
            self.assign_everything_with(partitions)?;
        }
        self.assigned.borrow_mut().extend(partitions.iter().cloned());
        Ok(self.consumer.resume(&fresh)?)
    }

    /// Fetches `partitions` no more, until they are begun again. (A seek wouldn't do: the client refuses it silently for a
    /// partition whose offset is out of range.)
    pub(crate) fn stop(&self, partitions: &[TopicPartition]) -> Result<(), SourceError> {
        self.assigned.borrow_mut().retain(|partition, _| !partitions.contains(partition));
        if self.is_cooperative() {
            self.consumer.incremental_unassign(&self.owned(partitions)?)?;
        } else {
            self.assign_everything_with(&[])?;
        }
        Ok(())
    }

    /// When fetching stops, the client forgets in its own time where the partition's records go: perhaps only when it was begun
    /// again, as at once under the eager protocol, where a new assignment restarts everything. They would come nowhere then.
    pub(crate) fn keep_forwarding(&self) {
        for partition in self.assigned.borrow().keys() {
            self.queue.forward(&partition.topic, partition.partition);
        }
    }

    /// Those of `partitions` that the client was given: it refuses a whole list for one that it wasn't.
    fn owned<'a>(
        &self,
        partitions: impl IntoIterator<Item = &'a TopicPartition>,
    ) -> Result<TopicPartitionList, SourceError> {
        let owned = self.consumer.assignment()?;
        let is_owned = |partition: &&TopicPartition| {
            owned.find_partition(&partition.topic, partition.partition).is_some()
        };
        Ok(list_of(partitions.into_iter().filter(is_owned)))
    }

    /// The eager protocol knows whole assignments only, and each begins everything anew: what is fetched already goes on where it is. The
    /// client knows no position of what nothing comes of from then on, so where each begins is remembered.
    fn assign_everything_with(&self, fresh: &[(TopicPartition, Offset)]) -> Result<(), SourceError> {
        let all = self.everything_with(fresh)?;
        self.consumer.assign(&all)?;
        let mut assigned = self.assigned.borrow_mut();
        for element in all.elements() {
            let partition = TopicPartition::new(element.topic(), element.partition());
            if let (ClientOffset::Offset(offset), Some(begun)) =
                (element.offset(), assigned.get_mut(&partition))
            {
                *begun = Offset(offset);
            }
        }
        Ok(())
    }

    fn everything_with(&self, fresh: &[(TopicPartition, Offset)]) -> Result<TopicPartitionList, SourceError> {
        let positions = self.positions();
        let assigned = self.assigned.borrow();
        let going_on = assigned.iter().map(|(partition, begun)| {
            let offset = positions.get(partition).copied().unwrap_or(*begun).max(*begun);
            (partition, offset)
        });
        let fresh = fresh.iter().map(|(partition, offset)| (partition, *offset));
        let mut all = TopicPartitionList::new();
        for (partition, offset) in going_on.chain(fresh) {
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

    /// Where the partition's log ended when something was last fetched of it.
    pub(crate) fn log_end(&self, partition: &TopicPartition) -> Option<Offset> {
        raw::log_end::log_end(&self.consumer, partition)
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
        self.assigned.borrow_mut().retain(|partition, _| !partitions.contains(partition));
        if self.is_cooperative() {
            self.consumer.incremental_unassign(&self.owned(partitions)?)?;
        } else {
            self.consumer.unassign()?;
        }
        Ok(())
    }
}

impl Drop for Source {
    /// Leaves the group. From now on the client's callback answers rebalances itself, and one that hasn't been answered
    /// is answered here: the client would wait for that for ever. Blocks until the coordinator knows, a few seconds at
    /// most while it can be reached.
    fn drop(&mut self) {
        self.consumer.context().close();
        let answered = self.acknowledge().and_then(|()| {
            let all: Vec<_> = self.assigned.borrow().keys().cloned().collect();
            self.give_up(&all)
        });
        if let Err(error) = answered {
            tracing::debug!(%error, "leaving the group");
        }
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
    (config.memory_budget / 64 / config.lanes.max(1) / 1024).clamp(QUEUE_KIB.0, QUEUE_KIB.1)
}

/// What decides speed and memory first, so that `kafka.properties` can change it; what belongs to valve last.
pub(super) fn consumer_config(config: &Config, client_id: &str) -> ClientConfig {
    let queue = queue_kib(config);
    let records = ((queue - QUEUE_KIB.0) * 4).clamp(QUEUE_RECORDS.0, QUEUE_RECORDS.1);
    let mut properties = ClientConfig::new();
    properties
        .set("queued.max.messages.kbytes", queue.to_string())
        .set("queued.min.messages", records.to_string())
        .set("fetch.message.max.bytes", "65536")
        // A full queue is looked at again so soon that a short one doesn't run empty meanwhile.
        .set("fetch.queue.backoff.ms", "2")
        // How soon the group learns of partitions that a topic was given. (The client takes an hour at most.)
        .set("topic.metadata.refresh.interval.ms", config.topics_refresh.as_millis().min(HOUR).to_string())
        .set("check.crcs", "true")
        .set("log.connection.close", "false");
    // A member hears of a rebalance with its next heartbeat, and one that gives partitions away takes two. (Under the newer
    // protocol the group's coordinator decides, and the client refuses this.)
    if config.group.protocol == GroupProtocol::Classic {
        properties.set("heartbeat.interval.ms", "1000");
    }
    configure(&mut properties, &config.kafka);
    limit_responses(&mut properties);
    properties.set("client.id", client_id).set("group.id", &config.name);
    own_by_valve(&mut properties, config);
    properties
}

/// Lets a response be a quarter of the queue, unless `kafka.properties` say how long it may be: what is fetched at once may
/// decompress to many times its size before the queue is known to be full.
fn limit_responses(properties: &mut ClientConfig) {
    let number = |properties: &ClientConfig, name| properties.get(name).and_then(|text| text.parse().ok());
    let queue: usize = number(properties, "queued.max.messages.kbytes").unwrap_or(QUEUE_KIB.1);
    // The client takes no less.
    let response = (queue.saturating_mul(1024) / 4).max(1000);
    // The client wants a response to be no shorter than this, which bounds what producers send.
    let message = number(properties, "message.max.bytes").unwrap_or(response.min(1_000_000));
    properties.set("message.max.bytes", message.to_string());
    if properties.get("fetch.max.bytes").is_none() {
        properties.set("fetch.max.bytes", response.max(message).to_string());
    }
}

/// `isolation.level`
pub(super) fn isolation(read_committed: bool) -> &'static str {
    if read_committed { "read_committed" } else { "read_uncommitted" }
}

/// The properties that the protocol depends on (docs/protocol.md, "What belongs to valve").
fn own_by_valve(properties: &mut ClientConfig, config: &Config) {
    let isolation = isolation(config.group.isolation == Isolation::ReadCommitted);
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

#[cfg(test)]
mod tests {
    use std::thread;

    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};

    use super::*;
    use crate::config::Sources;

    /// Looks, a hundredth of a second apart.
    const SOON: usize = 3_000;

    fn limits(given: &[(&str, &str)]) -> (String, String) {
        let mut properties = ClientConfig::new();
        for (name, value) in given {
            properties.set(*name, *value);
        }
        limit_responses(&mut properties);
        let value = |name| properties.get(name).unwrap().to_owned();
        (value("fetch.max.bytes"), value("message.max.bytes"))
    }

    #[test]
    fn given_a_queue_then_a_response_is_a_quarter_of_it_and_no_shorter_than_a_message_that_may_be_sent() {
        let queue = "queued.max.messages.kbytes";
        let text = |fetch: &str, message: &str| (fetch.to_owned(), message.to_owned());
        assert_eq!(limits(&[(queue, "512")]), text("131072", "131072"));
        assert_eq!(limits(&[(queue, "8192")]), text("2097152", "1000000"));
        assert_eq!(limits(&[(queue, "1")]), text("1000", "1000"));
        assert_eq!(limits(&[(queue, "512"), ("message.max.bytes", "5000000")]), text("5000000", "5000000"));
        assert_eq!(limits(&[(queue, "512"), ("fetch.max.bytes", "77")]).0, "77");
    }

    /// A member of the group at `brokers`, with one partition of the topic "orders" that is fetched from its beginning.
    fn member(brokers: &str, assignment: &str) -> (Source, TopicPartition) {
        let given = [
            ("VALVE_NAME", "archive"),
            ("VALVE_TOPICS", "orders"),
            ("VALVE_KAFKA__BOOTSTRAP_SERVERS", brokers),
            ("VALVE_GROUP__ASSIGNMENT", assignment),
            ("VALVE_REGISTRY__URL", "http://127.0.0.1:1"),
            ("VALVE_TIMESTAMP", "kafka"),
            ("VALVE_SINK__BUCKET", "events"),
            ("VALVE_LANES", "1"),
            ("VALVE_MEMORY__BUDGET", "256 MiB"),
        ];
        let given = given.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let config = Sources::local(None, given).and_then(Sources::validate).expect("valid settings");
        let source = Source::open(&config, 0).expect("a client");
        source.subscribe(&["orders".to_owned()]).expect("a subscription");
        let partition = TopicPartition::new("orders", 0);
        let assigned = (0..SOON).any(|_| {
            thread::sleep(Duration::from_millis(10));
            let (events, _) = source.poll();
            events.iter().any(|event| matches!(event, SourceEvent::Assigned(of) if of.contains(&partition)))
        });
        assert!(assigned, "the partition is assigned");
        source.acknowledge().expect("acknowledged");
        source.begin(&[(partition.clone(), Offset(0))]).expect("begun");
        (source, partition)
    }

    /// Looks once, as a lane would that reports each time; the offsets of what came.
    fn look(source: &Source) -> Vec<Offset> {
        let mut records = Vec::new();
        source.take(&mut records, 10, Duration::from_millis(10));
        source.poll();
        source.keep_forwarding();
        records.iter().filter(|record| record.error().is_none()).map(Record::offset).collect()
    }

    fn gets_a_record(source: &Source) -> bool {
        (0..SOON).any(|_| !look(source).is_empty())
    }

    /// Sends a record to the first partition.
    fn send(brokers: &str) {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", brokers).create().expect("a producer");
        let record = BaseRecord::<(), _>::to("orders").payload("a").partition(0);
        producer.send(record).map_err(|(error, _)| error).expect("sent");
        producer.flush(Duration::from_secs(30)).expect("stored");
    }

    #[test]
    fn given_a_partition_that_is_stopped_and_begun_again_at_once_then_its_records_come() {
        for assignment in ["cooperative-sticky", "range"] {
            let cluster = MockCluster::new(1).expect("a mock broker");
            cluster.create_topic("orders", 1, 1).expect("a topic");
            let brokers = cluster.bootstrap_servers();
            send(&brokers);
            let (source, partition) = member(&brokers, assignment);
            for round in 0..5 {
                assert!(gets_a_record(&source), "{assignment}, round {round}");
                for _ in 0..50 {
                    source.stop(std::slice::from_ref(&partition)).expect("stopped");
                    source.begin(&[(partition.clone(), Offset(0))]).expect("begun again");
                }
            }
        }
    }

    #[test]
    fn given_the_eager_protocol_when_a_partition_is_stopped_and_begun_then_an_idle_one_is_not_read_again() {
        let cluster = MockCluster::new(1).expect("a mock broker");
        cluster.create_topic("orders", 2, 1).expect("a topic");
        let brokers = cluster.bootstrap_servers();
        send(&brokers);
        let (source, _idle) = member(&brokers, "range");
        assert!(gets_a_record(&source));
        let other = [TopicPartition::new("orders", 1)];
        for round in 0..3 {
            source.begin(&[(other[0].clone(), Offset(0))]).expect("begun");
            assert_eq!((0..30).flat_map(|_| look(&source)).collect::<Vec<_>>(), [], "round {round}");
            source.stop(&other).expect("stopped");
        }
        send(&brokers);
        let next = (0..SOON).map(|_| look(&source)).find(|offsets| !offsets.is_empty());
        assert_eq!(next, Some(vec![Offset(1)]));
    }
}
