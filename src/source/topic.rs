//! Reads a whole topic once, as it is at the beginning, without being a member of any group: for commands that look.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset as ClientOffset, TopicPartitionList};

use super::client::{client_config, reason, sign_in};
use super::offsets::{QuietContext, explained};
use crate::config::Config;
use crate::types::Offset;

/// How long one question to the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How long one look for a message takes.
const WAIT: Duration = Duration::from_millis(200);
/// So many looks in a row may be in vain while there should be more: half a minute.
const MAX_IN_VAIN: u32 = 150;

/// One message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StoredMessage {
    pub(crate) partition: i32,
    pub(crate) offset: Offset,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
}

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum From {
    /// At the beginning of each partition.
    Beginning,
    /// At this offset of one partition.
    At(i32, Offset),
}

/// Hands `each` every message of `topic` that is there now, until it has enough; whether there is such a topic. Blocks.
///
/// # Errors
/// A sentence, when the brokers can't be asked or don't deliver.
pub(crate) fn read(
    config: &Config,
    topic: &str,
    from: From,
    each: impl FnMut(StoredMessage) -> ControlFlow<()>,
) -> Result<bool, String> {
    let failed = |error: KafkaError| format!("topic {topic}: {}", reason(&error));
    let consumer = reader(config, "read_committed").map_err(failed)?;
    let ends = ends(&consumer, topic).map_err(|error| explained(&consumer, failed(error)))?;
    let Some(ends) = ends else { return Ok(false) };
    let mut left = BTreeMap::new();
    let mut assignment = TopicPartitionList::new();
    for (partition, (begin, end)) in ends {
        let begin = match from {
            From::Beginning => begin,
            From::At(wanted, offset) if wanted == partition => offset.0.max(begin),
            From::At(..) => continue,
        };
        if begin < end {
            left.insert(partition, end);
            let added = assignment.add_partition_offset(topic, partition, ClientOffset::Offset(begin));
            added.map_err(failed)?;
        }
    }
    consumer.assign(&assignment).map_err(failed)?;
    deliver(&consumer, left, each).map_err(|what| format!("topic {topic}: {what}"))?;
    Ok(true)
}

/// A partition of `topic` in which a transaction is open: what lies behind its first message can't be read yet.
///
/// # Errors
/// A sentence, when the brokers can't be asked.
pub(crate) fn open_transaction(config: &Config, topic: &str) -> Result<Option<i32>, String> {
    let ends = |isolation| {
        let failed = |error: KafkaError| format!("topic {topic}: {}", reason(&error));
        let consumer = reader(config, isolation).map_err(failed)?;
        ends(&consumer, topic).map_err(|error| explained(&consumer, failed(error)))
    };
    // What comes in between can only look like one.
    let (whole, readable) = (ends("read_uncommitted")?, ends("read_committed")?.unwrap_or_default());
    let pinned = whole
        .unwrap_or_default()
        .into_iter()
        .find(|(partition, (_, end))| readable.get(partition).is_none_or(|(_, readable)| readable < end));
    Ok(pinned.map(|(partition, _)| partition))
}

/// A client that reads and is no member of any group.
fn reader(config: &Config, isolation: &str) -> Result<BaseConsumer<QuietContext>, KafkaError> {
    let consumer: BaseConsumer<_> = client_config(&config.kafka)
        .set("client.id", "valve-letters")
        // The client wants a group, but asks nothing of it.
        .set("group.id", &config.name)
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("enable.partition.eof", "false")
        // To look shall not create.
        .set("allow.auto.create.topics", "false")
        .set("auto.offset.reset", "earliest")
        .create_with_context(QuietContext::default())?;
    sign_in(consumer.client(), &config.kafka);
    Ok(consumer)
}

/// Where each partition begins and ends.
type Ends = BTreeMap<i32, (i64, i64)>;

/// Asks for the ends; `None` when there is no such topic.
fn ends(consumer: &BaseConsumer<QuietContext>, topic: &str) -> Result<Option<Ends>, KafkaError> {
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT)?;
    let Some(known) = metadata.topics().iter().find(|known| known.name() == topic) else { return Ok(None) };
    match known.error().map(RDKafkaErrorCode::from) {
        None => {}
        Some(RDKafkaErrorCode::UnknownTopicOrPartition) => return Ok(None),
        Some(error) => return Err(KafkaError::MetadataFetch(error)),
    }
    let partitions = known.partitions().iter().map(|partition| {
        let ends = consumer.fetch_watermarks(topic, partition.id(), TIMEOUT)?;
        Ok((partition.id(), ends))
    });
    partitions.collect::<Result<_, _>>().map(Some)
}

fn deliver(
    consumer: &BaseConsumer<QuietContext>,
    mut left: BTreeMap<i32, i64>,
    mut each: impl FnMut(StoredMessage) -> ControlFlow<()>,
) -> Result<(), String> {
    let (mut last_error, mut in_vain) = (None, 0);
    while !left.is_empty() {
        match consumer.poll(WAIT) {
            Some(Ok(message)) => {
                in_vain = 0;
                let partition = message.partition();
                let end = left.get(&partition).copied();
                // Behind the end is what came while this was read.
                if end.is_none_or(|end| message.offset() >= end) {
                    finish(consumer, &mut left, message.topic(), partition)?;
                    continue;
                }
                let stored = StoredMessage {
                    partition,
                    offset: Offset(message.offset()),
                    key: message.key().map(<[u8]>::to_vec),
                    value: message.payload().map(<[u8]>::to_vec),
                };
                if each(stored).is_break() {
                    return Ok(());
                }
                if end == Some(message.offset() + 1) {
                    finish(consumer, &mut left, message.topic(), partition)?;
                }
            }
            Some(Err(error)) => last_error = Some(reason(&error)),
            // The last offsets may be none of a message: markers of transactions, or compacted.
            None => {
                in_vain += 1;
                let positions = consumer.position().map_err(|error| reason(&error))?;
                for at in positions.elements() {
                    if let (ClientOffset::Offset(at), partition) = (at.offset(), at.partition())
                        && left.get(&partition).is_some_and(|end| at >= *end)
                    {
                        left.remove(&partition);
                    }
                }
                if in_vain >= MAX_IN_VAIN && !left.is_empty() {
                    let why = last_error.map(|error| format!(" ({error})")).unwrap_or_default();
                    return Err(format!("nothing more came for half a minute{why}"));
                }
            }
        }
    }
    Ok(())
}

/// Takes a partition that is read off those that are left, and fetches no more of it.
fn finish(
    consumer: &BaseConsumer<QuietContext>,
    left: &mut BTreeMap<i32, i64>,
    topic: &str,
    partition: i32,
) -> Result<(), String> {
    left.remove(&partition);
    let mut list = TopicPartitionList::new();
    list.add_partition(topic, partition);
    consumer.pause(&list).map_err(|error| reason(&error))
}
