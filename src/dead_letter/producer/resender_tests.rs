//! The sender against the client library's mock cluster, which knows transactions but tells no rights.

use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka_sys::types::RDKafkaRespErr;

use super::*;
use crate::dead_letter::envelope::letter_at;

const LETTERS: &str = "_dead_letter_queue_archive";

fn cluster(topics: &[&str]) -> (MockCluster<'static, DefaultProducerContext>, Config) {
    let cluster = MockCluster::new(1).expect("a mock broker");
    for topic in topics {
        cluster.create_topic(topic, 4, 1).expect("a topic");
    }
    let servers = cluster.bootstrap_servers();
    let env = [
        ("VALVE_NAME", "archive"),
        ("VALVE_TOPICS", "orders"),
        ("VALVE_KAFKA__BOOTSTRAP_SERVERS", &servers),
        ("VALVE_REGISTRY__URL", "http://localhost"),
        ("VALVE_TIMESTAMP", "kafka"),
        ("VALVE_SINK__BUCKET", "events"),
    ];
    let env = env.map(|(name, value)| (name.to_owned(), value.to_owned()));
    (
        cluster,
        crate::config::Sources::local(None, env.into_iter())
            .and_then(crate::config::Sources::validate)
            .expect("a configuration"),
    )
}

fn letter() -> Envelope {
    Envelope::new(&letter_at(17), "archive", UnixMillis(0))
}

fn ends(resender: &Resender, topic: &str, partition: i32) -> i64 {
    let watermarks = resender.producer.client().fetch_watermarks(topic, partition, TIMEOUT);
    watermarks.expect("watermarks").1
}

#[test]
fn given_brokers_that_tell_no_rights_then_record_and_mark_are_sent() {
    let (_cluster, config) = cluster(&["orders", LETTERS]);
    let mut resender = Resender::open(&config).expect("a sender");
    assert_eq!(resender.is_homeless(&letter()), Ok(None));
    resender.send(&[Picked { letter: letter(), partition: 1 }]).expect("sent");
    assert!(ends(&resender, "orders", 3) > 0 && ends(&resender, LETTERS, 1) > 0);
}

#[test]
fn given_a_topic_that_is_denied_or_missing_or_smaller_then_its_letters_have_nowhere_to_go() {
    let (cluster, config) = cluster(&["orders", LETTERS]);
    let mut resender = Resender::open(&config).expect("a sender");
    let elsewhere = Envelope { topic: "payments".to_owned(), ..letter() };
    assert_eq!(resender.is_homeless(&elsewhere), Ok(Some("there is no topic payments".to_owned())));
    let denied = RDKafkaRespErr::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
    cluster.topic_error("orders", denied).expect("an error");
    let why = "topic orders may not be written to".to_owned();
    assert_eq!(resender.is_homeless(&letter()), Ok(Some(why)));

    let none = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR;
    cluster.topic_error("orders", none).expect("no error");
    let mut another = Resender::open(&config).expect("a sender");
    let beyond = Envelope { partition: 4, ..letter() };
    assert_eq!(another.is_homeless(&beyond), Ok(Some("topic orders has 4 partitions".to_owned())));
}

#[test]
fn given_a_dead_letter_topic_that_denies_marks_then_it_isnt_the_letters_that_are_refused() {
    let denied = KafkaError::MessageProduction(RDKafkaErrorCode::TopicAuthorizationFailed);
    assert!(refuses_record("orders", LETTERS, &denied) && !refuses_record(LETTERS, LETTERS, &denied));
    let too_large = KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge);
    assert!(refuses_record("orders", LETTERS, &too_large) && refuses_record(LETTERS, LETTERS, &too_large));
}
