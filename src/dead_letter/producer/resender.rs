//! Sends the records of dead letters again, in transactions, with the marks that say so.
//!
//! Two replays of one valve share a transactional id: the one that began first is fenced off. What it had committed is read by
//! the second, which looks at the marks only afterwards.

use std::collections::HashMap;
use std::error::Error;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::DateTime;
use rdkafka::ClientConfig;
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext, PurgeConfig};

use super::is_too_large;
use crate::config::Config;
use crate::dead_letter::envelope::Envelope;
use crate::dead_letter::replay::MARK;
use crate::dead_letter::replayed::Attempts;
use crate::fault_point::{self, Point};
use crate::source::client::{log, may_write, producer_config, reason, sign_in, token};
use crate::types::UnixMillis;

/// How long the brokers may take for one step, and how often one that may be tried again is.
const TIMEOUT: Duration = Duration::from_secs(20);
const TRIES: u32 = 3;
/// How long the brokers keep a transaction that was left open, in milliseconds. A transaction is as short as its steps.
const TRANSACTION_MS: u32 = 60_000;
/// How long acknowledgements are waited for when the client's queue is full.
const FULL_WAIT: Duration = Duration::from_millis(20);

/// A letter whose record is to be sent.
#[derive(Debug)]
pub(crate) struct Picked {
    pub(crate) letter: Envelope,
    /// The partition of the dead-letter topic that it lies in.
    pub(crate) partition: i32,
}

/// Why none of the letters was sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unsent {
    /// A topic doesn't take the record of at least one of them, and won't.
    Refused(String),
    /// The brokers can't be reached, or don't allow it.
    Broken(String),
    /// Another replay for this valve has begun since.
    Fenced,
}

/// Sends records in transactions.
pub(crate) struct Resender {
    producer: BaseProducer<Deliveries>,
    valve: String,
    letters_topic: String,
    homes: HashMap<String, Home>,
}

/// What is known of a topic that records are to go to.
#[derive(Clone, Copy, Debug)]
enum Home {
    Missing,
    /// It may not be written to.
    Denied,
    /// It has so many.
    Partitions(i32),
}

impl Resender {
    /// A sender for the valve that is configured so; one that was at work for it is fenced off.
    ///
    /// # Errors
    /// When a property is wrong or the brokers don't allow it.
    pub(crate) fn open(config: &Config) -> Result<Self, Unsent> {
        let made: Result<BaseProducer<Deliveries>, _> =
            transactional(config).create_with_context(Deliveries::new(config.dead_letter_topic()));
        let producer = made.map_err(|error| Unsent::Broken(reason(&error)))?;
        sign_in(producer.client(), &config.kafka);
        let this = Self {
            producer,
            valve: config.name.clone(),
            letters_topic: config.dead_letter_topic(),
            homes: HashMap::new(),
        };
        this.insist("to begin", |producer| producer.init_transactions(TIMEOUT))?;
        let marks = may_write(this.producer.client(), &this.letters_topic, TIMEOUT);
        match marks.map_err(|why| this.broken(&why))? {
            Some(false) => Err(Unsent::Broken(format!(
                "topic {} may not be written to, and has to be marked what was sent",
                this.letters_topic
            ))),
            _ => Ok(this),
        }
    }

    /// Why the record of `letter` has nowhere to go, if so. In a transaction that would show late, and in the others' place.
    ///
    /// # Errors
    /// When the brokers can't be asked.
    pub(crate) fn is_homeless(&mut self, letter: &Envelope) -> Result<Option<String>, Unsent> {
        let topic = &letter.topic;
        let home = match self.homes.get(topic) {
            Some(home) => *home,
            None => {
                let found = self.look_up(topic);
                let home = found.map_err(|why| self.broken(&format!("to look up topic {topic}: {why}")))?;
                self.homes.insert(topic.clone(), home);
                home
            }
        };
        Ok(match home {
            Home::Missing => Some(format!("there is no topic {topic}")),
            Home::Denied => Some(format!("topic {topic} may not be written to")),
            Home::Partitions(count) if (0..count).contains(&letter.partition) => None,
            Home::Partitions(count) => Some(format!("topic {topic} has {count} partitions")),
        })
    }

    fn look_up(&self, topic: &str) -> Result<Home, String> {
        let client = self.producer.client();
        let metadata = client.fetch_metadata(Some(topic), TIMEOUT).map_err(|error| reason(&error))?;
        let Some(known) = metadata.topics().iter().find(|known| known.name() == topic) else {
            return Ok(Home::Missing);
        };
        match known.error().map(RDKafkaErrorCode::from) {
            None | Some(RDKafkaErrorCode::LeaderNotAvailable) => {}
            Some(RDKafkaErrorCode::UnknownTopicOrPartition | RDKafkaErrorCode::InvalidTopic) => {
                return Ok(Home::Missing);
            }
            Some(RDKafkaErrorCode::TopicAuthorizationFailed) => return Ok(Home::Denied),
            Some(error) => return Err(reason(&KafkaError::MetadataFetch(error))),
        }
        // A transaction that a topic denies can't even be taken back: the producer would be of no more use.
        if may_write(client, topic, TIMEOUT)? == Some(false) {
            return Ok(Home::Denied);
        }
        Ok(Home::Partitions(i32::try_from(known.partitions().len()).unwrap_or(i32::MAX)))
    }

    /// Sends the records of `letters`, each with its mark: all, or none.
    ///
    /// # Errors
    /// Why none was sent. After a step that wasn't answered all may have been: the marks tell.
    pub(crate) fn send(&mut self, letters: &[Picked]) -> Result<(), Unsent> {
        let mut tries = 0;
        loop {
            tries += 1;
            let sent = self.try_to_send(letters);
            if tries >= TRIES || !self.producer.context().take_aborted() {
                return sent;
            }
        }
    }

    fn try_to_send(&self, letters: &[Picked]) -> Result<(), Unsent> {
        self.insist("to begin a transaction", Producer::begin_transaction)?;
        let sent = letters.iter().try_for_each(|picked| self.enqueue(picked)).and_then(|()| self.flush());
        if let Err(unsent) = sent {
            self.take_back();
            return Err(unsent);
        }
        fault_point::reach(Point::Replaying);
        self.insist("to commit", |producer| producer.commit_transaction(TIMEOUT))
    }

    fn enqueue(&self, Picked { letter, partition }: &Picked) -> Result<(), Unsent> {
        let headers = record_headers(letter, &self.valve);
        let mut record =
            BaseRecord::<[u8], [u8]>::to(&letter.topic).partition(letter.partition).headers(headers);
        record.key = letter.key.as_ref().map(|key| &key.0[..]);
        record.payload = letter.message.as_ref().map(|value| &value.0[..]);
        record.timestamp = letter.timestamp.map(|at| at.0);
        self.enqueue_record(record)?;

        let key = format!("{MARK}{}", letter.identity());
        let mark = BaseRecord::<[u8], [u8]>::to(&self.letters_topic).partition(*partition);
        self.enqueue_record(mark.key(key.as_bytes()))
    }

    fn enqueue_record(&self, mut record: BaseRecord<'_, [u8], [u8]>) -> Result<(), Unsent> {
        let topic = record.topic;
        loop {
            match self.producer.send(record) {
                Ok(()) => {
                    self.producer.poll(Duration::ZERO);
                    return Ok(());
                }
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    record = refused;
                    self.producer.poll(FULL_WAIT);
                }
                Err((error, _)) => {
                    let why = format!("topic {topic}: {}", reason(&error));
                    let refused = refuses_record(topic, &self.letters_topic, &error);
                    return Err(if refused { Unsent::Refused(why) } else { self.broken(&why) });
                }
            }
        }
    }

    /// Waits until everything is acknowledged, or something isn't.
    fn flush(&self) -> Result<(), Unsent> {
        let flushed = self.producer.flush(TIMEOUT);
        match self.producer.context().failure() {
            Some((why, true)) => Err(Unsent::Refused(why)),
            Some((why, false)) => Err(self.broken(&why)),
            None => flushed.map_err(|error| self.broken(&format!("to send: {}", reason(&error)))),
        }
    }

    /// Does a step of the transaction, again where that may help.
    fn insist(
        &self,
        what: &str,
        step: impl Fn(&BaseProducer<Deliveries>) -> Result<(), KafkaError>,
    ) -> Result<(), Unsent> {
        let mut tries = 0;
        loop {
            let Err(error) = step(&self.producer) else { return Ok(()) };
            tries += 1;
            let may_help = matches!(&error, KafkaError::Transaction(why) if why.is_retriable());
            if !may_help || tries >= TRIES {
                let broken = self.broken(&format!("{what}: {}", reason(&error)));
                self.take_back();
                // The brokers haven't committed it: another transaction may do, as after one that was taken back.
                let aborted = matches!(&error, KafkaError::Transaction(why) if why.txn_requires_abort())
                    && !is_final(&error);
                self.producer.context().aborted.store(aborted, Ordering::Relaxed);
                return Err(broken);
            }
        }
    }

    /// What it means that the client can't go on.
    fn broken(&self, why: &str) -> Unsent {
        let fatal = self.producer.client().fatal_error();
        if matches!(fatal, Some((RDKafkaErrorCode::Fenced | RDKafkaErrorCode::InvalidProducerEpoch, _))) {
            return Unsent::Fenced;
        }
        let last = self.producer.context().last_error().map(|last| format!(" (last: {last})"));
        Unsent::Broken(format!("{why}{}", last.unwrap_or_default()))
    }

    /// Takes back what isn't committed, as well as can be: the brokers do it when the next replay begins, or after a minute.
    fn take_back(&self) {
        // The client ends a transaction only when it was told of every message, which it is while flushing.
        self.producer.purge(PurgeConfig::default().queue());
        drop(self.producer.flush(TIMEOUT));
        drop(self.producer.abort_transaction(TIMEOUT));
        self.producer.context().forget();
    }
}

impl fmt::Debug for Resender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resender").field("valve", &self.valve).finish_non_exhaustive()
    }
}

fn transactional(config: &Config) -> ClientConfig {
    let mut properties = producer_config(&config.kafka);
    // The limits of the topics decide; the producer of a large record may have compressed it.
    for (property, value) in [("message.max.bytes", "1000000000"), ("compression.type", "zstd")] {
        if properties.get(property).is_none() {
            properties.set(property, value);
        }
    }
    // The client refuses one that is longer than the transaction's.
    let socket = properties.get("socket.timeout.ms").and_then(|ms| ms.parse::<u32>().ok());
    if socket.is_some_and(|ms| ms > TRANSACTION_MS) {
        properties.set("socket.timeout.ms", TRANSACTION_MS.to_string());
    }
    properties
        .set("client.id", "valve-replay")
        .set("transactional.id", format!("valve-replay-{}", config.name))
        .set("transaction.timeout.ms", TRANSACTION_MS.to_string())
        // Shorter than a step, which waits for it; and shorter still for a topic that isn't there.
        .set("message.timeout.ms", "15000")
        .set("topic.metadata.propagation.max.ms", "5000")
        // A topic that is gone shall stay so.
        .set("allow.auto.create.topics", "false");
    properties
}

/// Whether `topic` has refused one letter's record, and would again. That the dead-letter topic takes no marks is none of a
/// letter's fault, but for one whose identity is too long.
fn refuses_record(topic: &str, letters_topic: &str, error: &KafkaError) -> bool {
    if topic == letters_topic { is_too_large(error) } else { is_final(error) }
}

/// Whether the same message would be refused again.
fn is_final(error: &KafkaError) -> bool {
    let of_its_topic = matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::UnknownTopic
                | RDKafkaErrorCode::UnknownPartition
                | RDKafkaErrorCode::UnknownTopicOrPartition
                | RDKafkaErrorCode::InvalidTopic
                | RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::InvalidTimestamp
                | RDKafkaErrorCode::InvalidRecord
                | RDKafkaErrorCode::PolicyViolation
        )
    );
    of_its_topic || is_too_large(error)
}

/// The record's own, and behind them those that say for whom it comes again.
fn record_headers(letter: &Envelope, valve: &str) -> OwnedHeaders {
    let own = letter.headers.iter();
    let own = own.map(|header| (header.name.clone(), header.value.as_ref().map(|value| value.0.clone())));
    let mut headers = own.collect();
    let first_failed = DateTime::parse_from_rfc3339(&letter.first_failed_at).ok();
    let first_failed = first_failed.map(|at| UnixMillis(at.timestamp_millis()));
    Attempts { count: letter.attempts, first_failed }.write_on(&mut headers, valve, &letter.id);
    headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |all, (name, value)| {
        all.insert(Header { key: name, value: value.as_deref() })
    })
}

/// What the client says of its messages and connections.
#[derive(Debug)]
struct Deliveries {
    letters_topic: String,
    /// The first message that wasn't delivered, and whether it would be refused again.
    failure: Mutex<Option<(String, bool)>>,
    last_error: Mutex<Option<String>>,
    /// The transaction could only be taken back.
    aborted: AtomicBool,
}

impl Deliveries {
    fn new(letters_topic: String) -> Self {
        Self {
            letters_topic,
            failure: Mutex::default(),
            last_error: Mutex::default(),
            aborted: AtomicBool::new(false),
        }
    }

    fn failure(&self) -> Option<(String, bool)> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn take_aborted(&self) -> bool {
        self.aborted.swap(false, Ordering::Relaxed)
    }

    fn forget(&self) {
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

impl ClientContext for Deliveries {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        token()
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "the replay's producer");
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        use rdkafka::Message as _;

        let Err((error, message)) = result else { return };
        // Taken back on purpose; it may be told only when the next transaction is under way.
        let code = error.rdkafka_error_code();
        if matches!(code, Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight)) {
            return;
        }
        let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| {
            let why = format!("topic {}[{}]: {}", message.topic(), message.partition(), reason(error));
            (why, refuses_record(message.topic(), &self.letters_topic, error))
        });
    }
}

#[cfg(test)]
#[path = "resender_tests.rs"]
mod tests;
