//! Kafka's ids of topics, by DescribeTopics.

use std::collections::HashMap;
use std::ffi::{CStr, CString};
use std::ptr;
use std::time::Duration;

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
    let client = consumer.client().native_ptr();
    // Any broker knows the answer. Unless told which one to ask, librdkafka asks the controller, which librdkafka's own
    // mock cluster doesn't have.
    let metadata = consumer
        .fetch_metadata(topics.first().copied(), timeout)
        .map_err(|error| format!("metadata: {error}"))?;
    let broker = metadata.brokers().first().map_or(-1, MetadataBroker::id);
    let names: Vec<CString> = topics.iter().filter_map(|topic| CString::new(*topic).ok()).collect();
    let mut pointers: Vec<_> = names.iter().map(|name| name.as_ptr()).collect();
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    // SAFETY: the client is alive, as `consumer` is borrowed. Everything that is made here is destroyed here, in the reverse
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
unsafe fn read_answer(event: *mut sys::rd_kafka_event_t) -> Result<HashMap<String, u128>, String> {
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
        let mut ids = HashMap::new();
        for index in 0..count {
            let topic = *topics.add(index);
            let error = sys::rd_kafka_TopicDescription_error(topic);
            let id = sys::rd_kafka_TopicDescription_topic_id(topic);
            if id.is_null() || sys::rd_kafka_error_code(error) != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                continue;
            }
            let name =
                CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic)).to_string_lossy().into_owned();
            let high = sys::rd_kafka_Uuid_most_significant_bits(id).cast_unsigned();
            let low = sys::rd_kafka_Uuid_least_significant_bits(id).cast_unsigned();
            let id = u128::from(high) << 64 | u128::from(low);
            if id != 0 {
                ids.insert(name, id);
            }
        }
        Ok(ids)
    }
}
