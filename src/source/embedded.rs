//! A Kafka broker inside this process, for the demo: librdkafka's mock cluster, its producer and its readers.
//!
//! The daemon reaches it as it reaches any other, through `bootstrap.servers`. It keeps about 5 MB a partition and
//! forgets the oldest beyond that, so whoever produces must look at what has been committed ([`Offsets`]).
//! All calls block for as long as they take; not for an async task.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Message as _};
use rdkafka::metadata::{MetadataPartition, MetadataTopic};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::topic_partition_list::{TopicPartitionList, TopicPartitionListElem};

use crate::types::{Offset, TopicPartition};

/// The bytes of one partition that the broker keeps for sure.
pub(crate) const KEPT_BYTES: usize = 5 * 1024 * 1024;

/// How long one request may take. The broker is in this process; only an overloaded machine needs that long.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What went wrong with the embedded broker, and in doing what.
#[derive(Debug, thiserror::Error)]
#[error("embedded broker: {doing}: {reason}")]
pub(crate) struct BrokerError {
    doing: String,
    reason: String,
}

impl BrokerError {
    fn new(doing: impl Into<String>, reason: impl ToString) -> Self {
        Self { doing: doing.into(), reason: reason.to_string() }
    }
}

/// What a producer hands over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Message<'a> {
    /// The topic's name.
    pub(crate) topic: &'a str,
    /// The partition.
    pub(crate) partition: i32,
    /// The key, if it has one.
    pub(crate) key: Option<&'a [u8]>,
    /// The value; it may be empty, but is never absent.
    pub(crate) value: &'a [u8],
}

/// A broker with its topics. It is gone when this is dropped.
pub(crate) struct EmbeddedBroker {
    producer: BaseProducer<Deliveries>,
    deliveries: Deliveries,
    bootstrap_servers: String,
}

impl EmbeddedBroker {
    /// A broker with these topics, each with its number of partitions. Others come into being when they are used.
    pub(crate) fn start(topics: &[(&str, i32)]) -> Result<Self, BrokerError> {
        let mut config = ClientConfig::new();
        config.set("test.mock.num.brokers", "1");
        config.set("client.id", "valve-demo-generator");
        // The mock cluster answers a fetch with one batch of a partition, however small: few large ones are read faster.
        config.set("linger.ms", "100");
        // A repeated message would be a second event; a lost one is an error to report.
        config.set("message.send.max.retries", "0");
        config.set("request.timeout.ms", "60000");
        let deliveries = Deliveries::default();
        let producer: BaseProducer<Deliveries> = config
            .create_with_context(deliveries.clone())
            .map_err(|error| BrokerError::new("starting", error))?;
        let cluster =
            producer.client().mock_cluster().ok_or_else(|| BrokerError::new("starting", "no cluster"))?;
        let bootstrap_servers = cluster.bootstrap_servers();
        drop(cluster);
        let broker = Self { producer, deliveries, bootstrap_servers };
        for (topic, partitions) in topics {
            broker.create(topic, *partitions)?;
        }
        Ok(broker)
    }

    /// Creates a topic.
    pub(crate) fn create(&self, topic: &str, partitions: i32) -> Result<(), BrokerError> {
        let failed =
            |reason: &dyn ToString| BrokerError::new(format!("creating topic {topic}"), reason.to_string());
        let cluster = self.producer.client().mock_cluster().ok_or_else(|| failed(&"no cluster"))?;
        cluster.create_topic(topic, partitions, 1).map_err(|error| failed(&error))
    }

    /// Answers the next fetches with an error of each partition.
    #[cfg(test)]
    pub(crate) fn refuse_fetches(&self, count: usize) {
        let Some(cluster) = self.producer.client().mock_cluster() else { return };
        let error = rdkafka::types::RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
        cluster.request_errors(rdkafka::types::RDKafkaApiKey::Fetch, &vec![error; count]);
    }

    /// What clients connect to, as `bootstrap.servers` wants it.
    pub(crate) fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    /// Hands `message` to the producer, waiting while its queue is full. Messages to a partition get consecutive
    /// offsets in the order of these calls, from 0; Kafka's timestamp is the present.
    pub(crate) fn produce(&self, message: &Message<'_>) -> Result<(), BrokerError> {
        let mut record: BaseRecord<'_, [u8], [u8]> =
            BaseRecord::to(message.topic).partition(message.partition).payload(message.value);
        record.key = message.key;
        loop {
            match self.producer.send(record) {
                Ok(()) => return self.serve(),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    self.producer.poll(Duration::from_millis(10));
                }
                Err((error, _)) => {
                    return Err(BrokerError::new(format!("producing to {}", message.topic), error));
                }
            }
        }
    }

    /// Takes note of what the broker has acknowledged.
    ///
    /// # Errors
    /// When it has refused a message, this one or an earlier one.
    pub(crate) fn serve(&self) -> Result<(), BrokerError> {
        self.producer.poll(Duration::ZERO);
        match self.deliveries.failed.load(Ordering::Relaxed) {
            0 => Ok(()),
            failed => Err(BrokerError::new("producing", format!("{failed} messages were not delivered"))),
        }
    }

    /// Waits until the broker has acknowledged all that was produced.
    pub(crate) fn flush(&self) -> Result<(), BrokerError> {
        self.producer.flush(TIMEOUT).map_err(|error| BrokerError::new("flushing", error))?;
        self.serve()
    }

    /// A view on what `group` commits for `partitions`.
    pub(crate) fn offsets(&self, group: &str, partitions: &[TopicPartition]) -> Result<Offsets, BrokerError> {
        let consumer = self.consumer(group)?;
        let mut wanted = TopicPartitionList::new();
        for TopicPartition { topic, partition } in partitions {
            wanted.add_partition(topic, *partition);
        }
        Ok(Offsets { consumer, wanted })
    }

    /// A reader of all partitions of `topic`, from their beginning.
    pub(crate) fn read(&self, topic: &str) -> Result<TopicReader, BrokerError> {
        let failed = |error: KafkaError| BrokerError::new(format!("reading topic {topic}"), error);
        let consumer = self.consumer("valve-demo-reader")?;
        let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT).map_err(failed)?;
        let partitions: Vec<i32> =
            metadata.topics().iter().flat_map(MetadataTopic::partitions).map(MetadataPartition::id).collect();
        let mut assignment = TopicPartitionList::new();
        for partition in &partitions {
            assignment.add_partition_offset(topic, *partition, rdkafka::Offset::Beginning).map_err(failed)?;
        }
        consumer.assign(&assignment).map_err(failed)?;
        let read = partitions.into_iter().map(|partition| (partition, 0)).collect();
        Ok(TopicReader { consumer, topic: topic.to_owned(), read })
    }

    /// A consumer that never joins its group.
    fn consumer(&self, group: &str) -> Result<BaseConsumer, BrokerError> {
        ClientConfig::new()
            .set("bootstrap.servers", &self.bootstrap_servers)
            .set("client.id", "valve-demo-reader")
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .set("fetch.wait.max.ms", "50")
            .create()
            .map_err(|error| BrokerError::new("connecting", error))
    }
}

impl std::fmt::Debug for EmbeddedBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EmbeddedBroker")
            .field("bootstrap_servers", &self.bootstrap_servers)
            .finish_non_exhaustive()
    }
}

/// Counts the messages that the broker refused.
#[derive(Clone, Debug, Default)]
struct Deliveries {
    failed: Arc<AtomicU64>,
}

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        self.failed.fetch_add(u64::from(result.is_err()), Ordering::Relaxed);
    }
}

/// What a group has committed.
pub(crate) struct Offsets {
    consumer: BaseConsumer,
    wanted: TopicPartitionList,
}

impl Offsets {
    /// The committed offsets, in the order of the partitions asked for; 0 where there is none yet.
    pub(crate) fn committed(&self) -> Result<Vec<Offset>, BrokerError> {
        let found = self
            .consumer
            .committed_offsets(self.wanted.clone(), TIMEOUT)
            .map_err(|error| BrokerError::new("asking for committed offsets", error))?;
        let committed = |wanted: &TopicPartitionListElem<'_>| {
            let element = found.find_partition(wanted.topic(), wanted.partition());
            Offset(element.and_then(|element| element.offset().to_raw()).unwrap_or(0).max(0))
        };
        Ok(self.wanted.elements().iter().map(committed).collect())
    }
}

impl std::fmt::Debug for Offsets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offsets").field("partitions", &self.wanted.count()).finish_non_exhaustive()
    }
}

/// Reads one topic.
pub(crate) struct TopicReader {
    consumer: BaseConsumer,
    topic: String,
    /// The partitions, and for each the offset behind the last message that was read.
    read: Vec<(i32, i64)>,
}

impl TopicReader {
    /// Hands over each value that the topic has by now and that wasn't read before; a message without one as empty.
    pub(crate) fn read_to_end(&mut self, mut take: impl FnMut(&[u8])) -> Result<(), BrokerError> {
        let ends = self.ends()?;
        while self.read.iter().zip(&ends).any(|((_, read), end)| read < end) {
            let message = match self.consumer.poll(TIMEOUT) {
                Some(Ok(message)) => message,
                // The client goes on by itself; if it doesn't, nothing comes.
                Some(Err(error)) => {
                    tracing::debug!(%error, "reading a topic back");
                    continue;
                }
                None => return Err(self.failed("nothing came although there is more")),
            };
            if let Some((_, read)) =
                self.read.iter_mut().find(|(partition, _)| *partition == message.partition())
            {
                *read = message.offset() + 1;
            }
            take(message.payload().unwrap_or_default());
        }
        Ok(())
    }

    /// The end of each partition, in the order of `read`.
    fn ends(&self) -> Result<Vec<i64>, BrokerError> {
        let end = |(partition, _): &(i32, i64)| {
            let (_, end) = self
                .consumer
                .fetch_watermarks(&self.topic, *partition, TIMEOUT)
                .map_err(|error| self.failed(error))?;
            Ok(end)
        };
        self.read.iter().map(end).collect()
    }

    fn failed(&self, reason: impl ToString) -> BrokerError {
        BrokerError::new(format!("reading topic {}", self.topic), reason)
    }
}

impl std::fmt::Debug for TopicReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TopicReader").field("topic", &self.topic).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::consumer::CommitMode;

    use super::*;

    fn message<'a>(partition: i32, value: &'a [u8]) -> Message<'a> {
        Message { topic: "t", partition, key: Some(b"k"), value }
    }

    #[test]
    fn given_messages_then_a_reader_gets_each_once_and_goes_on_where_it_was() {
        let broker = EmbeddedBroker::start(&[("t", 2)]).unwrap();
        let mut reader = broker.read("t").unwrap();
        let mut values = Vec::new();
        for round in 0..2u8 {
            for index in 0..100u8 {
                broker.produce(&message(i32::from(index % 2), &[round, index])).unwrap();
            }
            broker.produce(&message(0, b"")).unwrap();
            broker.flush().unwrap();
            reader.read_to_end(|value| values.push(value.to_vec())).unwrap();
            assert_eq!(values.len(), 101 * (usize::from(round) + 1));
        }
        values.retain(|value| !value.is_empty());
        values.sort();
        values.dedup();
        assert_eq!(values.len(), 200);
    }

    #[test]
    fn given_a_commit_then_the_view_shows_it() {
        let broker = EmbeddedBroker::start(&[("t", 2)]).unwrap();
        let partitions = [TopicPartition::new("t", 1), TopicPartition::new("t", 0)];
        let offsets = broker.offsets("g", &partitions).unwrap();
        assert_eq!(offsets.committed().unwrap(), [Offset(0), Offset(0)]);
        let mut commit = TopicPartitionList::new();
        commit.add_partition_offset("t", 1, rdkafka::Offset::Offset(17)).unwrap();
        broker.consumer("g").unwrap().commit(&commit, CommitMode::Sync).unwrap();
        assert_eq!(offsets.committed().unwrap(), [Offset(17), Offset(0)]);
    }

    #[test]
    fn given_an_empty_topic_then_a_reader_is_at_its_end() {
        let broker = EmbeddedBroker::start(&[("t", 3)]).unwrap();
        broker.read("t").unwrap().read_to_end(|_| panic!("there is nothing")).unwrap();
    }
}
