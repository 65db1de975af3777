//! What the brokers know: committed offsets, watermarks, topics and their ids. Asking blocks, so it is done by a
//! client and a thread of its own; nothing here is a member of the group.

use std::collections::{BTreeMap, HashMap};
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::topic_partition_list::{Offset as ClientOffset, TopicPartitionList};

use logs::log_offsets;

use super::SourceError;
use super::client::{client_config, sign_in};
use super::news::{Heard, hear_out};
use super::raw::describe::{DescribedTopic, describe_topics, topic_ids};
use crate::config::{Config, Isolation};
use crate::core::intent::{Found, Metadata};
use crate::core::start::{Facts, Stored};
use crate::telemetry::lag_task::EndOffsets;
use crate::types::{Offset, TopicPartition};

pub(crate) mod describing;
pub(crate) mod group;
mod logs;
pub(crate) mod newest;
mod times;

/// How long one request to the brokers may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// How many partitions one question is about: for each of a list, the client goes through all of that list.
const ASK_AT_ONCE: usize = 100;

/// What is known of a partition, or a sentence on what isn't.
pub(crate) type PartitionFacts = (TopicPartition, Result<Facts, String>);

/// A committed offset, with the metadata that was committed with it.
pub(crate) type Committed = (Offset, String);

/// A client that asks and never joins. Cloning shares it.
#[derive(Clone)]
pub(crate) struct Offsets {
    client: Arc<BaseConsumer<QuietContext>>,
    /// For where logs end, whatever of them may be read yet: the client knows one isolation level.
    whole_log: Arc<BaseConsumer<QuietContext>>,
}

/// Everything about one topic that several of its partitions need.
struct TopicFacts {
    /// None where the brokers don't tell; or why it isn't known.
    id: Result<Option<u128>, String>,
    partitions: u32,
    partitions_at_start: Option<u32>,
}

impl Offsets {
    /// A client of the group `config.name`.
    ///
    /// # Errors
    /// When librdkafka refuses a property; the reason names it.
    pub(crate) fn open(config: &Config) -> Result<Self, SourceError> {
        let isolation = match config.group.isolation {
            Isolation::ReadCommitted => "read_committed",
            Isolation::ReadUncommitted => "read_uncommitted",
        };
        let client = |isolation| -> Result<_, KafkaError> {
            let mut properties = client_config(&config.kafka);
            // Whatever is logged: why a broker can't be reached is said there alone.
            if (properties.log_level as i32) < RDKafkaLogLevel::Info as i32 {
                properties.set_log_level(RDKafkaLogLevel::Info);
            }
            let client: BaseConsumer<_> = properties
                .set("client.id", "valve-offsets")
                .set("group.id", &config.name)
                .set("enable.auto.commit", "false")
                .set("isolation.level", isolation)
                .create_with_context(QuietContext::default())?;
            sign_in(client.client(), &config.kafka);
            Ok(client)
        };
        Ok(Self { client: Arc::new(client(isolation)?), whole_log: Arc::new(client("read_uncommitted")?) })
    }

    /// The id of the cluster. Every broker since 0.10.1 tells it.
    ///
    /// # Errors
    /// What is in the way of the connections to the brokers.
    pub(crate) async fn cluster_id(&self) -> Result<String, String> {
        self.ask(|this| {
            let id = this.client.client().fetch_cluster_id(TIMEOUT);
            id.ok_or_else(|| "none of the brokers tells the cluster's id".to_owned())
        })
        .await
    }

    /// The names of all topics.
    ///
    /// # Errors
    /// When the brokers can't be asked.
    pub(crate) async fn topics(&self) -> Result<Vec<String>, String> {
        self.ask(|this| {
            let metadata = this.client.fetch_metadata(None, TIMEOUT);
            let metadata = metadata.map_err(|error| error.to_string())?;
            Ok(metadata.topics().iter().map(|topic| topic.name().to_owned()).collect())
        })
        .await
    }

    /// What the group has committed in one partition, and nothing else: the answer is a request old.
    ///
    /// # Errors
    /// When the brokers can't be asked.
    pub(crate) async fn committed_in(&self, partition: TopicPartition) -> Result<Option<Committed>, String> {
        self.ask(move |this| {
            let known =
                this.committed(std::slice::from_ref(&partition)).map_err(|error| error.to_string())?;
            let committed = known.into_values().next().ok_or("its committed offset can't be had")?;
            committed.map_err(|error| error.to_string())
        })
        .await
    }

    /// The ids of these topics; of one that doesn't exist, or where the brokers don't tell, there is none.
    ///
    /// # Errors
    /// When the brokers can't be asked.
    pub(crate) async fn topic_ids(&self, topics: Vec<String>) -> Result<BTreeMap<Arc<str>, u128>, String> {
        self.ask(move |this| {
            let names: Vec<&str> = topics.iter().map(String::as_str).collect();
            let ids = topic_ids(&this.client, &names, TIMEOUT)?;
            Ok(ids.into_iter().map(|(name, id)| (Arc::from(name), id)).collect())
        })
        .await
    }

    /// What is known of each of `partitions`; a sentence for one of which something isn't.
    ///
    /// # Errors
    /// When nothing can be learned at all.
    pub(crate) async fn facts(&self, partitions: Vec<TopicPartition>) -> Result<Vec<PartitionFacts>, String> {
        self.ask(move |this| this.ask_facts(partitions)).await
    }

    fn ask_facts(&self, partitions: Vec<TopicPartition>) -> Result<Vec<PartitionFacts>, String> {
        let committed = self.committed(&partitions).map_err(|error| format!("committed offsets: {error}"))?;
        let topics = self.topic_facts(&partitions)?;
        let ask = |client, which| {
            log_offsets(client, &partitions, which).map_err(|error| format!("offsets of logs: {error}"))
        };
        let low = ask(&self.client, ClientOffset::Beginning)?;
        let high = ask(&self.client, ClientOffset::End)?;
        let end = ask(&self.whole_log, ClientOffset::End)?;
        let facts_of = |partition: &TopicPartition| {
            let topic = topics.get(&*partition.topic).ok_or("the brokers don't know the topic")?;
            let committed = committed.get(partition).ok_or("its committed offset can't be had")?;
            Ok(Facts {
                committed: committed.clone().map_err(|error| format!("its committed offset: {error}"))?,
                low: *low.get(partition).ok_or("its low watermark can't be had")?,
                high: *high.get(partition).ok_or("how far it may be read can't be had")?,
                end: *end.get(partition).ok_or("its log's end can't be had")?,
                topic_id: topic.id.clone()?,
                partitions: topic.partitions,
                partitions_at_start: topic.partitions_at_start,
                stored: Stored::NotAsked,
            })
        };
        let facts = partitions.into_iter().map(|partition| {
            let facts = facts_of(&partition).map_err(|what: String| format!("{partition}: {what}"));
            (partition, facts)
        });
        Ok(facts.collect())
    }

    /// The group's offset of each partition, where it has one. A partition of which that can't be had must not be taken
    /// for one without.
    fn committed(
        &self,
        partitions: &[TopicPartition],
    ) -> KafkaResult<BTreeMap<TopicPartition, KafkaResult<Option<Committed>>>> {
        let mut list = TopicPartitionList::new();
        for partition in partitions {
            list.add_partition(&partition.topic, partition.partition);
        }
        let answer = self.client.committed_offsets(list, TIMEOUT)?;
        let committed = answer.elements().into_iter().map(|element| {
            let offset = element.error().map(|()| match element.offset() {
                ClientOffset::Offset(offset) => Some((Offset(offset), element.metadata().to_owned())),
                _ => None,
            });
            (TopicPartition::new(element.topic(), element.partition()), offset)
        });
        Ok(committed.collect())
    }

    fn topic_facts(&self, partitions: &[TopicPartition]) -> Result<HashMap<String, TopicFacts>, String> {
        let mut names: Vec<&str> = partitions.iter().map(|partition| &*partition.topic).collect();
        names.sort_unstable();
        names.dedup();
        let described = describe_topics(self.client.client(), &names, false, TIMEOUT)?;
        let mut topics = HashMap::new();
        for name in names {
            // A broker that hasn't heard of a new topic yet doesn't say that it is the old one.
            let id = match described.iter().find(|described| described.name == name) {
                Some(DescribedTopic { error: None, id, .. }) => Ok(*id),
                Some(DescribedTopic { error: Some(error), .. }) => Err(format!("its topic's id: {error}")),
                None => Err("its topic's id can't be had".to_owned()),
            };
            let count = self.partition_count(name)?;
            let partitions_at_start = self.partitions_at_start(name, count)?;
            let facts = TopicFacts { id, partitions: count, partitions_at_start };
            topics.insert(name.to_owned(), facts);
        }
        Ok(topics)
    }

    fn partition_count(&self, topic: &str) -> Result<u32, String> {
        let metadata = self.client.fetch_metadata(Some(topic), TIMEOUT);
        let metadata = metadata.map_err(|error| format!("metadata of {topic}: {error}"))?;
        let count = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// What the group has committed in each partition of the topic.
    fn committed_of_all(
        &self,
        topic: &str,
        count: u32,
    ) -> Result<Vec<(TopicPartition, Option<Committed>)>, String> {
        let indices = 0..i32::try_from(count).unwrap_or(i32::MAX);
        let all: Vec<_> = indices.map(|index| TopicPartition::new(topic, index)).collect();
        let committed =
            self.committed(&all).map_err(|error| format!("committed offsets of {topic}: {error}"))?;
        let known = committed.into_iter().map(|(partition, committed)| match committed {
            Ok(committed) => Ok((partition, committed)),
            Err(error) => Err(format!("committed offset of {partition}: {error}")),
        });
        known.collect()
    }

    /// What any partition's committed metadata says of how many partitions there were at first.
    fn partitions_at_start(&self, topic: &str, count: u32) -> Result<Option<u32>, String> {
        let mut earliest: Option<u32> = None;
        for (partition, committed) in self.committed_of_all(topic, count)? {
            let Some((offset, text)) = committed else { continue };
            if let Found::Own(own) = Metadata::find(&text, partition.partition, offset) {
                earliest = [earliest, own.partitions_at_start].into_iter().flatten().min();
            }
        }
        Ok(earliest)
    }

    /// Asks on a thread that may block. What went wrong comes with what is in the way of the connections, if anything is.
    async fn ask<T: Send + 'static>(
        &self,
        ask: impl FnOnce(&Self) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let this = self.clone();
        let asked = tokio::task::spawn_blocking(move || {
            let answer = ask(&this);
            listen(&this.whole_log);
            answer.map_err(|what| explained(&this.client, what)).inspect(|_| {
                listen(&this.client);
                this.client.context().forget_errors();
            })
        });
        match asked.await {
            Ok(answer) => answer,
            Err(failed) if failed.is_panic() => std::panic::resume_unwind(failed.into_panic()),
            // The runtime ends, and this future with it.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Takes in what a client has to say. Not for one whose records don't come through a queue of their own.
pub(super) fn listen(client: &BaseConsumer<QuietContext>) {
    hear_out(&client.context().heard, || client.poll(Duration::ZERO).is_some());
}

/// What went wrong, with what is in the way of the client's connections: the client's errors don't say it. Not for one that
/// fetches records.
pub(super) fn explained(client: &BaseConsumer<QuietContext>, what: String) -> String {
    listen(client);
    match client.context().last_error() {
        Some(last) => format!("{what} (last: {last})"),
        None => what,
    }
}

#[async_trait]
impl EndOffsets for Offsets {
    async fn end_offsets(
        &self,
        partitions: &[TopicPartition],
    ) -> Result<HashMap<TopicPartition, Offset>, String> {
        let partitions = partitions.to_vec();
        self.ask(move |this| {
            let ends = log_offsets(&this.client, &partitions, ClientOffset::End);
            ends.map_err(|error: KafkaError| error.to_string())
        })
        .await
    }
}

impl std::fmt::Debug for Offsets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Offsets").finish_non_exhaustive()
    }
}

/// Logs, and leaves errors to the calls that they concern; the last one says why nothing is reached.
#[derive(Debug, Default)]
pub(super) struct QuietContext {
    heard: Heard,
    last_error: Mutex<Option<String>>,
}

impl QuietContext {
    /// What went wrong before this isn't in the way any more.
    fn forget_errors(&self) {
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for QuietContext {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.heard.count();
        super::client::token()
    }

    fn stats_raw(&self, _: &[u8]) {
        self.heard.count();
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.heard.count();
        super::client::log(level, facility, message);
        // Why a broker can't be reached stands nowhere else. The name of a thread comes first.
        if facility == "FAIL" {
            let reason = message.split_once("]: ").map_or(message, |(_, reason)| reason);
            *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "rdkafka", %error, reason, "the offsets client is in trouble");
        // Without a token no connection is even tried.
        if error.rdkafka_error_code() == Some(RDKafkaErrorCode::Authentication) {
            *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}

impl ConsumerContext for QuietContext {}
