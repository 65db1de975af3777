//! The producer against the client library's mock cluster: real connections, real protocol.

use std::collections::BTreeMap;

use rdkafka::Message;
use rdkafka::Offset as Position;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, DefaultProducerContext, Producer as _};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka_sys::RDKafkaApiKey;
use rdkafka_sys::types::RDKafkaRespErr;

use super::*;
use crate::config::{Secret, SinkConfig};
use crate::dead_letter::envelope::letter_at;
use crate::sink::fault::{Fault, Faulty};
use crate::sink::memory::MemorySink;

type Broker = MockCluster<'static, DefaultProducerContext>;

const TOPIC: &str = "_dead_letter_queue_archive";
const NOW: UnixMillis = UnixMillis(1_763_726_400_007);

fn kafka(bootstrap_servers: &str, properties: &[(&str, &str)]) -> KafkaConfig {
    let properties: BTreeMap<_, _> =
        properties.iter().map(|(name, value)| ((*name).to_owned(), Secret::new(*value))).collect();
    KafkaConfig { bootstrap_servers: bootstrap_servers.to_owned(), auth: None, properties }
}

fn originals() -> Originals {
    let config = SinkConfig::Local { path: "/data".into(), prefix: String::new() };
    Originals::new(Arc::new(MemorySink::default()), &config)
}

fn dead_letters(kafka: &KafkaConfig, timeout: Duration) -> KafkaDeadLetters {
    KafkaDeadLetters::new("archive", TOPIC.to_owned(), kafka, originals(), timeout).expect("a producer")
}

/// A broker with the dead-letter topic, and a producer for it.
fn broker_with_topic(timeout: Duration) -> (Broker, KafkaDeadLetters) {
    let broker = MockCluster::new(1).expect("a mock broker");
    broker.create_topic(TOPIC, 1, 1).expect("a topic");
    let store = dead_letters(&kafka(&broker.bootstrap_servers(), &[]), timeout);
    (broker, store)
}

/// Reads the first `count` messages of the dead-letter topic's first partition.
fn read<T>(broker: &Broker, count: usize, take: impl Fn(&BorrowedMessage<'_>) -> T) -> Vec<T> {
    let mut config = producer_config(&kafka(&broker.bootstrap_servers(), &[]));
    let consumer: BaseConsumer = config.set("group.id", "reader").create().expect("a consumer");
    let mut partitions = TopicPartitionList::new();
    partitions.add_partition_offset(TOPIC, 0, Position::Beginning).expect("a position");
    consumer.assign(&partitions).expect("an assignment");
    let mut taken = Vec::new();
    for _ in 0..600 {
        if taken.len() == count {
            return taken;
        }
        if let Some(Ok(message)) = consumer.poll(Duration::from_millis(100)) {
            taken.push(take(&message));
        }
    }
    panic!("{} of {count} messages", taken.len());
}

/// How many messages the dead-letter topic has.
fn broker_end(broker: &Broker) -> i64 {
    let config = producer_config(&kafka(&broker.bootstrap_servers(), &[]));
    let producer: BaseProducer = config.create().expect("a client");
    producer.client().fetch_watermarks(TOPIC, 0, TOPIC_TIMEOUT).expect("watermarks").1
}

fn envelope(message: &BorrowedMessage<'_>) -> Envelope {
    Envelope::from_json(message.payload().expect("a value")).expect("a dead letter")
}

#[tokio::test]
async fn given_letters_then_they_are_in_the_topic_with_the_originals_key_and_the_id_as_header() {
    let (broker, store) = broker_with_topic(DELIVERY_TIMEOUT);
    let letters = [letter_at(17), DeadLetter { key: None, value: None, ..letter_at(18) }];
    store.store(&letters, NOW).await.expect("stored");

    let stored = read(&broker, 2, |message| {
        let header = message.headers().expect("headers").get(0);
        let id = String::from_utf8(header.value.expect("an id").to_vec()).expect("text");
        (message.key().map(<[u8]>::to_vec), header.key.to_owned(), id, envelope(message))
    });
    for ((key, header, id, envelope), letter) in stored.into_iter().zip(&letters) {
        assert_eq!(key.as_deref(), letter.key.as_deref());
        assert_eq!((header.as_str(), &id), (ID_HEADER, &envelope.id));
        assert_eq!(envelope, Envelope::new(letter, "archive", NOW));
    }
}

#[tokio::test]
async fn given_more_letters_than_may_be_in_flight_then_all_arrive_in_order() {
    let (broker, store) = broker_with_topic(DELIVERY_TIMEOUT);
    let value = Some(vec![7; MAX_IN_FLIGHT / 40].into());
    let letters: Vec<_> =
        (0..100).map(|offset| DeadLetter { value: value.clone(), ..letter_at(offset) }).collect();
    assert!(groups(&letters).count() > 1);
    store.store(&letters, NOW).await.expect("stored");

    let offsets = read(&broker, letters.len(), |message| envelope(message).offset.0);
    assert_eq!(offsets, (0..100).collect::<Vec<_>>());
}

#[tokio::test]
async fn given_a_letter_that_is_too_large_to_be_copied_about_then_it_says_where_its_original_is() {
    let (broker, store) = broker_with_topic(DELIVERY_TIMEOUT);
    let long_key = Some(vec![1; MAX_KEY + 1].into());
    let large = DeadLetter { value: Some(vec![7; MAX_IN_FLIGHT].into()), ..letter_at(17) };
    let letters = [large.clone(), DeadLetter { key: long_key, ..large }, letter_at(18)];
    store.store(&letters, NOW).await.expect("stored");
    // A batch that is made again.
    store.store(&letters[..1], NOW).await.expect("stored");

    let stored = read(&broker, 4, |message| (message.key().map(<[u8]>::len), envelope(message)));
    assert_eq!(stored.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [Some(10), None, Some(10), Some(10)]);
    let whole = stored.iter().filter(|(_, envelope)| envelope.original.is_none()).count();
    assert_eq!(whole, 1);
    for ((_, mut envelope), letter) in stored.into_iter().zip([0, 1, 2, 0]) {
        store.originals.put_back(&mut envelope).await.expect("it is there");
        assert_eq!(envelope, Envelope::new(&letters[letter], "archive", NOW));
    }
}

#[tokio::test]
async fn given_a_store_that_is_away_then_only_large_letters_are_tried_again_and_again() {
    let broker = MockCluster::new(1).expect("a mock broker");
    broker.create_topic(TOPIC, 1, 1).expect("a topic");
    let kafka = kafka(&broker.bootstrap_servers(), &[("message.max.bytes", "2000")]);
    let away = Faulty::planned(Arc::new(MemorySink::default()), (1..=5).map(|call| (call, Fault::Refused)));
    let config = SinkConfig::Local { path: "/data".into(), prefix: String::new() };
    let originals = Originals::new(Arc::new(away), &config);
    let store = KafkaDeadLetters::new("archive", TOPIC.to_owned(), &kafka, originals, DELIVERY_TIMEOUT);
    let store = store.expect("a producer");
    let large = DeadLetter { value: Some(vec![7; 9_000].into()), ..letter_at(1) };
    let letters = [letter_at(0), large, letter_at(2)];
    for _ in 0..5 {
        let error = store.store(&letters, NOW).await.expect_err("no original");
        assert!(error.0.contains("the original of the dead letter of orders[3] at offset 1"), "{error}");
    }
    store.store(&letters, NOW).await.expect("stored");

    let mut offsets = read(&broker, 5, |message| envelope(message).offset.0);
    offsets.sort_unstable();
    assert_eq!(offsets, [0, 0, 1, 2, 2], "once before anything was known of the topic");
    assert_eq!(broker_end(&broker), 5);
}

#[tokio::test]
async fn given_a_topic_that_denies_letters_then_it_is_unavailable_until_it_takes_them() {
    let (broker, store) = broker_with_topic(DELIVERY_TIMEOUT);
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    broker.request_errors(RDKafkaApiKey::Produce, &[denied]);
    let DeadLettersUnavailable(reason) = store.store(&[letter_at(17)], NOW).await.expect_err("denied");
    assert!(
        reason.contains(TOPIC)
            && reason.contains("orders[3] at offset 17")
            && reason.contains("uthorization"),
        "{reason}"
    );

    store.store(&[letter_at(18)], NOW).await.expect("stored");
    assert_eq!(read(&broker, 1, |message| envelope(message).offset.0), [18]);
}

#[tokio::test]
async fn given_a_producer_that_has_failed_for_good_then_another_takes_its_place() {
    let (broker, store) = broker_with_topic(DELIVERY_TIMEOUT);
    // A broker that has lost track of the idempotent producer: the client calls that fatal.
    broker.request_errors(
        RDKafkaApiKey::Produce,
        &[RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER],
    );
    store.store(&[letter_at(17)], NOW).await.expect_err("fatal");
    let failed = store.producer.lock().expect("not poisoned").clone().expect("a producer");
    assert!(failed.client().fatal_error().is_some());

    store.store(&[letter_at(18)], NOW).await.expect("stored");
    assert_eq!(read(&broker, 1, |message| envelope(message).offset.0), [18]);
}

#[tokio::test]
async fn given_a_topic_that_may_not_be_looked_up_then_it_is_unavailable_until_it_may() {
    let (broker, store) = broker_with_topic(DELIVERY_TIMEOUT);
    broker
        .topic_error(TOPIC, RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        .expect("an error");
    let DeadLettersUnavailable(reason) = store.store(&[letter_at(17)], NOW).await.expect_err("denied");
    assert!(reason.contains(TOPIC) && reason.contains("uthorization"), "{reason}");

    broker.topic_error(TOPIC, RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).expect("no error");
    store.store(&[letter_at(17)], NOW).await.expect("stored");
}

#[tokio::test]
async fn given_a_broker_that_goes_down_then_it_is_unavailable_until_it_is_back() {
    let (broker, store) = broker_with_topic(Duration::from_secs(2));
    store.store(&[letter_at(16)], NOW).await.expect("stored");
    broker.broker_down(1).expect("down");
    let DeadLettersUnavailable(reason) = store.store(&[letter_at(17)], NOW).await.expect_err("down");
    assert!(reason.contains(TOPIC) && reason.contains("(last: "), "{reason}");

    broker.broker_up(1).expect("up");
    let mut attempts = 0;
    while let Err(error) = store.store(&[letter_at(18)], NOW).await {
        attempts += 1;
        assert!(attempts < 30, "{error}");
    }
    let offsets = read(&broker, 2, |message| envelope(message).offset.0);
    assert_eq!(offsets, [16, 18]);
}

#[tokio::test]
async fn given_no_letters_then_no_broker_is_needed() {
    let store = dead_letters(&kafka("127.0.0.1:1", &[]), DELIVERY_TIMEOUT);
    assert_eq!(store.store(&[], NOW).await, Ok(()));
}

#[test]
fn given_a_wrong_property_then_the_error_names_it_and_hides_its_value() {
    let error = KafkaDeadLetters::new(
        "archive",
        TOPIC.to_owned(),
        &kafka("127.0.0.1:1", &[("sasl.passwort", "hunter2")]),
        originals(),
        DELIVERY_TIMEOUT,
    )
    .expect_err("no such property")
    .to_string();
    assert!(error.contains("sasl.passwort") && !error.contains("hunter2"), "{error}");
}

#[test]
fn given_letters_of_any_size_then_groups_hold_them_all_and_large_ones_alone() {
    let of = |bytes: usize| DeadLetter { value: Some(vec![0; bytes].into()), ..letter_at(0) };
    let letters = [of(2 * MAX_IN_FLIGHT), of(10), of(10), of(MAX_IN_FLIGHT), of(10)];
    let sizes: Vec<_> = groups(&letters).map(<[DeadLetter]>::len).collect();
    assert_eq!(sizes, [1, 2, 1, 1]);
    assert_eq!(groups(&[]).count(), 0);
}
