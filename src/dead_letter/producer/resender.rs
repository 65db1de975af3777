//! Sends the records of dead letters again, in transactions, with the marks that say so.
//!
//! Two replays of one valve share a transactional id: the one that began first is fenced off. What it had committed is read by
//! the second, which looks at the marks only afterwards.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::DateTime;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};

use crate::config::Config;
use crate::dead_letter::envelope::Envelope;
use crate::dead_letter::replay::MARK;
use crate::dead_letter::replayed::Attempts;
use crate::fault_point::{self, Point};
use crate::source::client::{log, producer_config, reason};
use crate::types::UnixMillis;

/// So many letters go out in one transaction at most …
const LETTERS_AT_ONCE: usize = 1000;
/// … and so many bytes, unless one letter alone has more.
const BYTES_AT_ONCE: usize = 8 << 20;

/// How long the brokers may take for one step.
const TIMEOUT: Duration = Duration::from_secs(60);
/// How long acknowledgements are waited for when the client's queue is full.
const FULL_WAIT: Duration = Duration::from_millis(20);
/// A step that may be tried again is tried so often.
const TRIES: u32 = 5;

/// Sends records in transactions.
pub(crate) struct Resender {
    producer: BaseProducer<Deliveries>,
    valve: String,
    letters_topic: String,
    /// Letters and bytes of the transaction that is open; none: there is no open one.
    open: (usize, usize),
}

impl Resender {
    /// A sender for the valve that is configured so; one that was at work for it is fenced off.
    ///
    /// # Errors
    /// A sentence, when a property is wrong or the brokers don't allow it.
    pub(crate) fn open(config: &Config) -> Result<Self, String> {
        let made: Result<BaseProducer<Deliveries>, _> =
            transactional(config).create_with_context(Deliveries::default());
        let producer = made.map_err(|error| reason(&error))?;
        let this = Self {
            producer,
            valve: config.name.clone(),
            letters_topic: config.dead_letter_topic(),
            open: (0, 0),
        };
        this.insist("beginning", |producer| producer.init_transactions(TIMEOUT))?;
        Ok(this)
    }

    /// Sends the record of `letter`, which lies in `partition` of the dead-letter topic, and its mark. It is sent for good
    /// only with the commit after it.
    ///
    /// # Errors
    /// A sentence; what isn't committed is taken back then.
    pub(crate) fn send(&mut self, letter: &Envelope, partition: i32) -> Result<(), String> {
        if self.open.0 == 0 {
            self.insist("a transaction", Producer::begin_transaction)?;
        }
        let what =
            format!("the record of {}[{}] at offset {}", letter.topic, letter.partition, letter.offset);
        let value = letter.message.as_ref().map(|value| &value.0[..]);
        let headers = record_headers(letter, &self.valve);
        let mut record =
            BaseRecord::<[u8], [u8]>::to(&letter.topic).partition(letter.partition).headers(headers);
        record.key = letter.key.as_ref().map(|key| &key.0[..]);
        record.payload = value;
        record.timestamp = letter.timestamp.map(|at| at.0);
        self.enqueue(record).map_err(|error| self.give_up(&what, &error))?;

        let identity = Header { key: MARK, value: Some(&letter.identity()) };
        let headers = OwnedHeaders::new_with_capacity(1).insert(identity);
        let mark = BaseRecord::<[u8], [u8]>::to(&self.letters_topic).partition(partition).headers(headers);
        self.enqueue(mark).map_err(|error| self.give_up("the mark of a letter", &error))?;

        self.open.0 += 1;
        self.open.1 += value.map_or(0, <[u8]>::len);
        if self.open.0 >= LETTERS_AT_ONCE || self.open.1 >= BYTES_AT_ONCE { self.commit() } else { Ok(()) }
    }

    /// Ends the transaction that is open, if there is one: what was sent is sent for good.
    ///
    /// # Errors
    /// A sentence; what was sent since the last commit is taken back then.
    pub(crate) fn commit(&mut self) -> Result<(), String> {
        if self.open.0 == 0 {
            return Ok(());
        }
        // Else the commit waits for what can't be delivered.
        self.producer.flush(TIMEOUT).map_err(|error| self.give_up("sending", &error))?;
        if let Some(failed) = self.producer.context().failure() {
            self.take_back();
            return Err(failed);
        }
        fault_point::reach(Point::Replaying);
        self.insist("committing a transaction", |producer| producer.commit_transaction(TIMEOUT))?;
        self.open = (0, 0);
        Ok(())
    }

    fn enqueue(&self, mut record: BaseRecord<'_, [u8], [u8]>) -> Result<(), KafkaError> {
        loop {
            match self.producer.send(record) {
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    record = refused;
                    self.producer.poll(FULL_WAIT);
                }
                Err((error, _)) => return Err(error),
                Ok(()) => {
                    self.producer.poll(Duration::ZERO);
                    return Ok(());
                }
            }
        }
    }

    /// Does a step of the transaction, again where that may help.
    fn insist(
        &self,
        what: &str,
        step: impl Fn(&BaseProducer<Deliveries>) -> Result<(), KafkaError>,
    ) -> Result<(), String> {
        let mut tries = 0;
        loop {
            let Err(error) = step(&self.producer) else { return Ok(()) };
            tries += 1;
            let may_help = matches!(&error, KafkaError::Transaction(why) if why.is_retriable());
            if !may_help || tries >= TRIES {
                return Err(self.give_up(what, &error));
            }
        }
    }

    /// Takes back what isn't committed, and says why.
    fn give_up(&self, what: &str, error: &KafkaError) -> String {
        let fenced = matches!(
            self.producer.client().fatal_error(),
            Some((RDKafkaErrorCode::Fenced | RDKafkaErrorCode::InvalidProducerEpoch, _))
        );
        if fenced {
            return "another replay for this valve has begun, and goes on where this one was".to_owned();
        }
        let failed = self.producer.context().failure();
        self.take_back();
        failed.unwrap_or_else(|| format!("{what}: {}", reason(error)))
    }

    /// As well as can be: the brokers do it when the next replay begins, or the transaction times out.
    fn take_back(&self) {
        drop(self.producer.abort_transaction(TIMEOUT));
    }
}

impl fmt::Debug for Resender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resender")
            .field("valve", &self.valve)
            .field("open", &self.open)
            .finish_non_exhaustive()
    }
}

fn transactional(config: &Config) -> ClientConfig {
    let mut properties = producer_config(&config.kafka);
    // The limits of the topics decide.
    if properties.get("message.max.bytes").is_none() {
        properties.set("message.max.bytes", "1000000000");
    }
    properties
        .set("client.id", "valve-replay")
        .set("transactional.id", format!("valve-replay-{}", config.name))
        .set("transaction.timeout.ms", "60000")
        .set("message.timeout.ms", "50000")
        // A topic that is gone shall stay so.
        .set("allow.auto.create.topics", "false");
    properties
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

/// Remembers the first message that wasn't delivered.
#[derive(Debug, Default)]
struct Deliveries(Mutex<Option<String>>);

impl Deliveries {
    fn failure(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "the replay's producer");
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        use rdkafka::Message as _;

        let Err((error, message)) = result else { return };
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| format!("topic {}: {}", message.topic(), reason(error)));
    }
}
