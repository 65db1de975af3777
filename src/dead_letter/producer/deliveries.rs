//! A Kafka producer whose acknowledgements are awaited.
//!
//! The client library has one too, but that polls on a thread of its own and spins for the last millisecond of each tenth of
//! a second: a hundredth of a core, in a process that may never have a dead letter. Here a task polls, often while
//! letters are on their way and once a second otherwise.

use std::error::Error;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::client::{Client, ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use tokio::sync::{Notify, oneshot};
use tokio::task::spawn_blocking;

use crate::source::client::{log, token};
use crate::source::news::{Heard, hear_out};

/// How often acknowledgements are looked for while letters are on their way.
const BUSY: Duration = Duration::from_millis(5);
/// How often the client is asked for news otherwise.
const IDLE: Duration = Duration::from_secs(1);

type Answer = oneshot::Sender<Result<(), KafkaError>>;

/// What is sent of one letter.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) topic: &'a str,
    pub(super) key: Option<&'a [u8]>,
    pub(super) payload: &'a [u8],
    pub(super) headers: OwnedHeaders,
}

/// A producer, which a task polls for as long as it is there.
pub(super) struct Deliveries {
    producer: Arc<BaseProducer<LastError>>,
    sent: Arc<Notify>,
}

impl Deliveries {
    /// A producer; to be called on the runtime.
    ///
    /// # Errors
    /// When the client refuses a property.
    pub(super) fn open(config: &ClientConfig, last_error: LastError) -> Result<Self, KafkaError> {
        let producer = Arc::new(config.create_with_context(last_error)?);
        let sent = Arc::new(Notify::new());
        drop(tokio::spawn(keep_polling(Arc::clone(&producer), Arc::clone(&sent))));
        Ok(Self { producer, sent })
    }

    /// Whether the client takes this configuration.
    ///
    /// # Errors
    /// When it refuses a property.
    pub(super) fn check(config: &ClientConfig) -> Result<(), KafkaError> {
        config.create_with_context(LastError::default()).map(|_: BaseProducer<_>| ())
    }

    /// Sends a message and waits for the acknowledgement. A full queue is waited for up to `patience`.
    ///
    /// # Errors
    /// When the client refuses the message, or isn't told within its `message.timeout.ms` that it is stored.
    pub(super) async fn send(&self, message: Message<'_>, patience: Duration) -> Result<(), KafkaError> {
        let (answer, answered) = oneshot::channel::<Result<(), KafkaError>>();
        let mut record = BaseRecord::with_opaque_to(message.topic, Box::new(answer))
            .payload(message.payload)
            .headers(message.headers);
        record.key = message.key;
        let mut waited = Duration::ZERO;
        while let Err((error, refused)) = self.producer.send(record) {
            let is_full = error.rdkafka_error_code() == Some(RDKafkaErrorCode::QueueFull);
            if !is_full || waited >= patience {
                return Err(error);
            }
            tokio::time::sleep(BUSY).await;
            waited += BUSY;
            record = refused;
        }
        self.sent.notify_one();
        answered.await.unwrap_or(Err(KafkaError::Canceled))
    }

    /// The client, to ask the cluster something or whether it has failed for good.
    pub(super) fn client(&self) -> &Client<LastError> {
        self.producer.client()
    }
}

impl Drop for Deliveries {
    fn drop(&mut self) {
        self.sent.notify_one();
    }
}

impl fmt::Debug for Deliveries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deliveries").finish_non_exhaustive()
    }
}

/// Polls until nobody else has the producer, and lets it end where that may block.
async fn keep_polling(producer: Arc<BaseProducer<LastError>>, sent: Arc<Notify>) {
    while Arc::strong_count(&producer) > 1 {
        // Each poll brings one event, which may be thousands of acknowledgements.
        let all = hear_out(&producer.context().0.heard, || {
            producer.poll(Duration::ZERO);
            false
        });
        if !all || producer.in_flight_count() > 0 {
            tokio::time::sleep(BUSY).await;
        } else {
            // What was sent before this is waited for is noticed by it.
            drop(tokio::time::timeout(IDLE, sent.notified()).await);
        }
    }
    drop(spawn_blocking(move || drop(producer)));
}

/// The last error of a connection: why a letter has timed out. Cloning shares it.
#[derive(Clone, Debug, Default)]
pub(super) struct LastError(Arc<Told>);

#[derive(Debug, Default)]
struct Told {
    heard: Heard,
    last_error: Mutex<Option<String>>,
}

impl LastError {
    pub(super) fn get(&self) -> Option<String> {
        self.0.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn set(&self, reason: Option<String>) {
        *self.0.last_error.lock().unwrap_or_else(PoisonError::into_inner) = reason;
    }
}

impl ClientContext for LastError {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn generate_oauth_token(&self, _: Option<&str>) -> Result<OAuthToken, Box<dyn Error>> {
        self.0.heard.count();
        token()
    }

    fn stats_raw(&self, _: &[u8]) {
        self.0.heard.count();
    }

    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        self.0.heard.count();
        log(level, facility, message);
    }

    /// Remembers it; whoever waits for a letter reports it.
    fn error(&self, error: KafkaError, reason: &str) {
        self.0.heard.count();
        tracing::debug!(%error, reason, "the dead-letter producer");
        self.set(Some(reason.to_owned()));
    }
}

impl ProducerContext for LastError {
    type DeliveryOpaque = Box<Answer>;

    fn delivery(&self, result: &DeliveryResult<'_>, answer: Self::DeliveryOpaque) {
        self.0.heard.count();
        let result = result.as_ref().map(drop).map_err(|(error, _)| error.clone());
        // Nobody waits any more for a letter of a partition that was given up.
        drop(answer.send(result));
    }
}
