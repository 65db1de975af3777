//! Dead letters in Kafka: the topic `_dead_letter_queue_<name>`, made when it is missing and that is allowed.
//!
//! A letter that the topic doesn't take for its size, or that is too large to be copied about, has its original stored in the sink,
//! and the message says where ([`super::original`]).
//!
//! A letter counts as stored when all in-sync replicas have it (`acks=all`, idempotent producer). There is no producer before
//! the first letter. It sends on threads of its own; what blocks here (metadata, creating the topic, dropping a client) runs on the
//! runtime's blocking threads.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::metadata::MetadataTopic;
use tokio::task::spawn_blocking;

use self::deliveries::{Deliveries, LastError, Message};
use super::envelope::{Envelope, id};
use super::original::Originals;
use super::{DeadLetter, DeadLettersUnavailable, MAX_IN_FLIGHT};
use crate::config::{Config, KafkaConfig};
use crate::dead_letter::groups;
use crate::source::client::{producer_config, reason, sign_in};
use crate::types::UnixMillis;

mod deliveries;
pub(crate) mod resender;

/// The record header with the letter's id.
const ID_HEADER: &str = "valve-dead-letter-id";

/// How long the client tries to deliver one letter.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);

/// How long the broker may take to say whether the topic is there, and to make it.
const TOPIC_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest message, after compression, that a topic made by valve takes: in base64 a record of any usual size is
/// larger than the broker's default of 1 MiB. Brokers refuse requests beyond 100 MiB.
const TOPIC_MAX_MESSAGE_BYTES: &str = "67108864";

/// A longer key than this stays with an original that is in the sink.
const MAX_KEY: usize = 64 << 10;

/// The dead-letter topic of one valve.
pub struct KafkaDeadLetters {
    valve: String,
    topic: String,
    kafka: KafkaConfig,
    originals: Originals,
    delivery_timeout: Duration,
    producer: Mutex<Option<Arc<Deliveries>>>,
    last_error: LastError,
    topic_is_there: AtomicBool,
    /// Letters that weigh so much, in bytes, are probably too large for the topic.
    large: AtomicUsize,
}

/// The client can't be made: one of its properties is wrong. An error of the configuration.
#[derive(Debug, thiserror::Error)]
#[error("kafka.properties: no producer for dead letters: {0}")]
pub struct OpenError(String);

impl KafkaDeadLetters {
    /// The dead-letter topic of the valve that is configured so. The broker need not be there yet.
    ///
    /// # Errors
    /// When a property of the Kafka client is wrong.
    pub fn open(config: &Config, originals: Originals) -> Result<Self, OpenError> {
        Self::new(&config.name, config.dead_letter_topic(), &config.kafka, originals, DELIVERY_TIMEOUT)
    }

    fn new(
        valve: &str,
        topic: String,
        kafka: &KafkaConfig,
        originals: Originals,
        delivery_timeout: Duration,
    ) -> Result<Self, OpenError> {
        let config = letter_config(kafka, delivery_timeout);
        Deliveries::check(&config).map_err(|error| OpenError(reason(&error)))?;
        Ok(Self {
            valve: valve.to_owned(),
            topic,
            kafka: kafka.clone(),
            originals,
            delivery_timeout,
            producer: Mutex::default(),
            last_error: LastError::default(),
            topic_is_there: AtomicBool::new(false),
            large: AtomicUsize::new(MAX_IN_FLIGHT),
        })
    }

    /// The producer; a new one at the first letter, and when the old one has failed for good, which the client calls fatal.
    fn producer(&self) -> Result<Arc<Deliveries>, DeadLettersUnavailable> {
        let mut current = self.producer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(producer) = &*current {
            let Some((_, fatal)) = producer.client().fatal_error() else { return Ok(Arc::clone(producer)) };
            tracing::warn!(topic = self.topic, reason = %fatal, "the dead-letter producer begins anew");
        }
        let config = letter_config(&self.kafka, self.delivery_timeout);
        let new = Deliveries::open(&config, self.last_error.clone());
        let new = new.map_err(|error| self.unavailable("no producer", &error))?;
        sign_in(new.client(), &self.kafka);
        Ok(Arc::clone(current.insert(Arc::new(new))))
    }

    /// Makes sure that the topic is there, at the first letter and after each failure.
    async fn ensure_topic(&self, producer: &Arc<Deliveries>) -> Result<(), DeadLettersUnavailable> {
        if self.topic_is_there.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (producer, topic) = (Arc::clone(producer), self.topic.clone());
        let looked_up = spawn_blocking(move || topic_is_there(&producer, &topic)).await;
        let there = flatten(looked_up).map_err(|error| self.unavailable("looking it up", &error))?;
        if !there {
            let (kafka, topic) = (self.kafka.clone(), self.topic.clone());
            let created = spawn_blocking(move || create_topic(&kafka, &topic, Creation::Real)).await;
            flatten(created)
                .map_err(|error| self.unavailable("it is missing and can't be created", &error))?;
            tracing::info!(topic = self.topic, "created the dead-letter topic");
        }
        self.topic_is_there.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Sends one letter and waits for the acknowledgement; `false` when it is too large for the topic.
    async fn send(
        &self,
        producer: &Deliveries,
        letter: &DeadLetter,
        processed_at: UnixMillis,
    ) -> Result<bool, DeadLettersUnavailable> {
        // Its message is a third longer, and the client copies that.
        if letter.weight() > MAX_IN_FLIGHT {
            return Ok(false);
        }
        let envelope = Envelope::new(letter, &self.valve, processed_at);
        match self.deliver(producer, letter.key.as_deref(), &envelope).await {
            Ok(()) => Ok(true),
            Err(error) if is_too_large(&error) => Ok(false),
            Err(error) => Err(self.refused(letter, &error)),
        }
    }

    /// Sends a letter that seemed too large: by itself, and if that's in vain, without its original.
    async fn send_large(
        &self,
        producer: &Deliveries,
        letter: &DeadLetter,
        processed_at: UnixMillis,
    ) -> Result<(), DeadLettersUnavailable> {
        // What was refused may have been the batch of messages that it was in.
        let weight = letter.weight();
        if self.send(producer, letter, processed_at).await? {
            self.large.fetch_max(weight + 1, Ordering::Relaxed);
            return Ok(());
        }
        self.large.fetch_min(weight, Ordering::Relaxed);
        let id = id(&self.valve, &letter.source, letter.offset, letter.attempts.count);
        let stored = self.originals.store(letter, id).await;
        let original = stored.map_err(|error| {
            let from = format!("{} at offset {}", letter.source, letter.offset);
            DeadLettersUnavailable(format!("the original of the dead letter of {from}: {error}"))
        })?;
        tracing::info!(%original, "stored the original of a large dead letter");
        let envelope = Envelope::pointing(letter, &self.valve, processed_at, original);
        let key = letter.key.as_deref().filter(|key| key.len() <= MAX_KEY);
        let sent = self.deliver(producer, key, &envelope).await;
        sent.map_err(|error| self.refused(letter, &error))
    }

    async fn deliver(
        &self,
        producer: &Deliveries,
        key: Option<&[u8]>,
        envelope: &Envelope,
    ) -> Result<(), KafkaError> {
        let payload = envelope.to_json();
        let id = Header { key: ID_HEADER, value: Some(&envelope.id) };
        let headers = OwnedHeaders::new_with_capacity(1).insert(id);
        let message = Message { topic: &self.topic, key, payload: &payload, headers };
        producer.send(message, self.delivery_timeout).await
    }

    fn refused(&self, letter: &DeadLetter, error: &KafkaError) -> DeadLettersUnavailable {
        // The client keeps a topic that has denied a letter as denied for minutes, unless it is looked up again.
        self.topic_is_there.store(false, Ordering::Relaxed);
        self.unavailable(&format!("dead letter of {} at offset {}", letter.source, letter.offset), error)
    }

    fn unavailable(&self, what: &str, error: &KafkaError) -> DeadLettersUnavailable {
        let last = if has_timed_out(error) { self.last_error.get() } else { None };
        let last = last.map(|last| format!(" (last: {last})")).unwrap_or_default();
        DeadLettersUnavailable(format!("topic {}: {what}: {}{last}", self.topic, reason(error)))
    }

    /// Stores `letters`, in order but for large ones, as dead-lettered at `processed_at`. One try, bounded in time; it succeeds only
    /// when every letter is acknowledged, and otherwise any of them may be there. Repeating it is right, and the
    /// caller's business.
    ///
    /// # Errors
    /// The reason why at least one letter isn't known to be there.
    pub async fn store(
        &self,
        letters: &[DeadLetter],
        processed_at: UnixMillis,
    ) -> Result<(), DeadLettersUnavailable> {
        if letters.is_empty() {
            return Ok(());
        }
        let producer = self.producer()?;
        self.ensure_topic(&producer).await?;
        for group in groups(letters) {
            // Large ones first: while the store doesn't take their originals, the others would be sent at each try.
            let large = self.large.load(Ordering::Relaxed);
            let (large, others): (Vec<_>, Vec<_>) = group.iter().partition(|letter| letter.weight() >= large);
            for letter in large {
                self.send_large(&producer, letter, processed_at).await?;
            }
            let sent = others.iter().map(|letter| self.send(&producer, letter, processed_at));
            let sent = join_all(sent).await;
            for (letter, sent) in others.into_iter().zip(sent) {
                if !sent? {
                    self.send_large(&producer, letter, processed_at).await?;
                }
            }
        }
        self.last_error.set(None);
        Ok(())
    }
}

impl fmt::Debug for KafkaDeadLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaDeadLetters").field("topic", &self.topic).finish_non_exhaustive()
    }
}

/// Of a producer whose letters are acknowledged by all in-sync replicas or fail within `timeout`. What doesn't bear on
/// that can be set under `kafka.properties`.
fn letter_config(kafka: &KafkaConfig, timeout: Duration) -> ClientConfig {
    let mut config = producer_config(kafka);
    for (property, value) in [
        ("linger.ms", "5"),
        ("compression.type", "zstd"),
        // The client's limit is out of the way; the topic's own decides.
        ("message.max.bytes", "1000000000"),
    ] {
        if config.get(property).is_none() {
            config.set(property, value);
        }
    }
    config.set("acks", "all").set("enable.idempotence", "true");
    // Looking the topic up would otherwise create it, with a limit of its own that is too small.
    config.set("allow.auto.create.topics", "false");
    config.set("message.timeout.ms", timeout.as_millis().to_string());
    config
}

/// Whether the broker knows the topic.
fn topic_is_there(producer: &Deliveries, topic: &str) -> Result<bool, KafkaError> {
    let metadata = producer.client().fetch_metadata(Some(topic), TOPIC_TIMEOUT)?;
    let error = metadata.topics().iter().find(|known| known.name() == topic).map(MetadataTopic::error);
    match error.map(|error| error.map(RDKafkaErrorCode::from)) {
        // A leader that isn't elected yet is waited for by the producer.
        Some(None | Some(RDKafkaErrorCode::LeaderNotAvailable)) => Ok(true),
        None | Some(Some(RDKafkaErrorCode::UnknownTopicOrPartition)) => Ok(false),
        Some(Some(error)) => Err(KafkaError::MetadataFetch(error)),
    }
}

/// Whether a topic is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Creation {
    /// It is.
    Real,
    /// It isn't: the brokers only say whether it would be.
    Tried,
}

/// Whether the brokers would let this client create the dead-letter topic. It isn't created.
///
/// # Errors
/// Why not, or why they can't be asked.
pub(crate) async fn may_create_topic(config: &Config) -> Result<(), String> {
    let (kafka, topic) = (config.kafka.clone(), config.dead_letter_topic());
    let tried = spawn_blocking(move || create_topic(&kafka, &topic, Creation::Tried)).await;
    flatten(tried).map_err(|error| reason(&error))
}

/// Creates the topic with one partition, which keeps letters in order, and the broker's default replication. That it
/// has come to be meanwhile is fine.
fn create_topic(kafka: &KafkaConfig, topic: &str, creation: Creation) -> Result<(), KafkaError> {
    let admin: AdminClient<DefaultClientContext> = producer_config(kafka).create()?;
    sign_in(admin.inner(), kafka);
    let options = AdminOptions::new()
        .request_timeout(Some(TOPIC_TIMEOUT))
        .operation_timeout(Some(TOPIC_TIMEOUT / 2))
        .validate_only(creation == Creation::Tried);
    let new = NewTopic::new(topic, 1, TopicReplication::Fixed(-1))
        .set("max.message.bytes", TOPIC_MAX_MESSAGE_BYTES)
        // The broker's defaults would drop letters after a week.
        .set("retention.ms", "-1")
        .set("retention.bytes", "-1")
        .set("cleanup.policy", "delete");
    let results = tokio::runtime::Handle::current().block_on(admin.create_topics([&new], &options))?;
    match results.into_iter().next() {
        Some(Err((_, error))) if error != RDKafkaErrorCode::TopicAlreadyExists => {
            Err(KafkaError::AdminOp(error))
        }
        _ => Ok(()),
    }
}

/// A blocking task's result; the task's own failure (a runtime that shuts down) is a cancelled call.
fn flatten<T>(joined: Result<Result<T, KafkaError>, tokio::task::JoinError>) -> Result<T, KafkaError> {
    joined.unwrap_or(Err(KafkaError::Canceled))
}

/// Whether the topic takes no message of this size, or the client doesn't.
fn is_too_large(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::MessageSizeTooLarge
                | RDKafkaErrorCode::InvalidMessageSize
                | RDKafkaErrorCode::MessageBatchTooLarge
        )
    )
}

/// Whether the client only says that it has waited in vain, not for what.
fn has_timed_out(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::MessageTimedOut
                | RDKafkaErrorCode::OperationTimedOut
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::QueueFull
        )
    )
}

#[cfg(test)]
#[path = "producer_tests.rs"]
mod tests;
