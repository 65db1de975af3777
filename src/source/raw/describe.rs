//! Kafka's ids of topics, and whether they may be written to, by DescribeTopics.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::metadata::MetadataBroker;
use rdkafka::types::RDKafkaRespErr;
use rdkafka_sys as sys;

/// Asks the brokers for the ids of `topics`; a topic that they don't know, or whose id they don't tell, is left out.
/// Blocks for up to `timeout`.
///
/// # Errors
/// A sentence with librdkafka's reason, when there is no answer.
pub(in crate::source) fn topic_ids<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    topics: &[&str],
    timeout: Duration,
) -> Result<HashMap<String, u128>, String> {
    let described = describe(consumer.client(), topics, false, timeout)?;
    Ok(described.into_iter().filter_map(|(name, topic)| Some((name, topic.id?))).collect())
}

/// Asks the brokers whether the client may write to `topic`; `None` when they don't tell. Blocks for up to `timeout`.
///
/// # Errors
/// A sentence with librdkafka's reason, when there is no answer.
pub(in crate::source) fn may_write<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Result<Option<bool>, String> {
    let described = describe(client, &[topic], true, timeout)?;
    Ok(described.get(topic).and_then(|topic| topic.may_write))
}

/// What the brokers tell of a topic.
struct Described {
    id: Option<u128>,
    /// Where that was asked.
    may_write: Option<bool>,
}

fn describe<C: ClientContext>(
    client: &Client<C>,
    topics: &[&str],
    with_rights: bool,
    timeout: Duration,
) -> Result<HashMap<String, Described>, String> {
    // Any broker knows the answer. Unless told which one to ask, librdkafka asks the controller, which librdkafka's own
    // mock cluster doesn't have.
    let metadata = client
        .fetch_metadata(topics.first().copied(), timeout)
        .map_err(|error| format!("metadata: {error}"))?;
    let broker = metadata.brokers().first().map_or(-1, MetadataBroker::id);
    let names: Vec<CString> = topics.iter().filter_map(|topic| CString::new(*topic).ok()).collect();
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let client = client.native_ptr();
    // SAFETY: the client is alive, as it is borrowed. Everything that is made here is destroyed here, in the reverse
    // order; the names outlive the collection, which copies them; what is read from the event is copied before the
    // event is destroyed.
    unsafe {
        let queue = sys::rd_kafka_queue_new(client);
        let collection = sys::rd_kafka_TopicCollection_of_topic_names(pointers.as_mut_ptr(), pointers.len());
        let options = sys::rd_kafka_AdminOptions_new(
            client,
            sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
        );
        sys::rd_kafka_AdminOptions_set_request_timeout(options, millis, ptr::null_mut(), 0);
        sys::rd_kafka_AdminOptions_set_broker(options, broker, ptr::null_mut(), 0);
        if with_rights {
            let refused = sys::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
            if !refused.is_null() {
                sys::rd_kafka_error_destroy(refused);
            }
        }
        sys::rd_kafka_DescribeTopics(client, collection, options, queue);
        let event = sys::rd_kafka_queue_poll(queue, millis);
        let answer = read_answer(event);
        if !event.is_null() {
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_TopicCollection_destroy(collection);
        sys::rd_kafka_queue_destroy(queue);
        answer
    }
}

/// # Safety
/// `event` must be null or an event that isn't destroyed before this returns.
unsafe fn read_answer(event: *mut sys::rd_kafka_event_t) -> Result<HashMap<String, Described>, String> {
    if event.is_null() {
        return Err("no answer to DescribeTopics in time".to_owned());
    }
    // SAFETY: the event is alive by the caller's promise, and so is all that belongs to it; strings are C strings.
    unsafe {
        if sys::rd_kafka_event_error(event) != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            let reason = CStr::from_ptr(sys::rd_kafka_event_error_string(event)).to_string_lossy();
            return Err(format!("DescribeTopics: {reason}"));
        }
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        if result.is_null() {
            return Err("DescribeTopics: an answer of another kind".to_owned());
        }
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let mut described = HashMap::new();
        for index in 0..count {
            let topic = *topics.add(index);
            let error = sys::rd_kafka_TopicDescription_error(topic);
            if sys::rd_kafka_error_code(error) != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                continue;
            }
            let name =
                CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic)).to_string_lossy().into_owned();
            described.insert(name, Described { id: id_of(topic), may_write: may_write_of(topic) });
        }
        Ok(described)
    }
}

/// # Safety
/// `topic` must belong to an event that isn't destroyed before this returns.
unsafe fn id_of(topic: *const sys::rd_kafka_TopicDescription_t) -> Option<u128> {
    // SAFETY: the id belongs to the topic.
    let (high, low) = unsafe {
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        if id.is_null() {
            return None;
        }
        (sys::rd_kafka_Uuid_most_significant_bits(id), sys::rd_kafka_Uuid_least_significant_bits(id))
    };
    let id = u128::from(high.cast_unsigned()) << 64 | u128::from(low.cast_unsigned());
    (id != 0).then_some(id)
}

/// # Safety
/// As [`id_of`].
unsafe fn may_write_of(topic: *const sys::rd_kafka_TopicDescription_t) -> Option<bool> {
    let mut count = 0;
    // SAFETY: the operations belong to the topic, and there are `count` of them.
    let operations = unsafe {
        let operations = sys::rd_kafka_TopicDescription_authorized_operations(topic, &raw mut count);
        if operations.is_null() || count == 0 {
            return None;
        }
        std::slice::from_raw_parts(operations, count)
    };
    Some(operations.contains(&sys::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_WRITE))
}
