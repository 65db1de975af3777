//! Offset commits whose answer comes as an event: `rd_kafka_commit_queue`. The binding's own asynchronous commit answers
//! through a callback that it doesn't register.

use std::ptr;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{IsError as _, KafkaError, KafkaResult};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka_sys as sys;

/// Hands `offsets` to the client in one request; [`ConsumerContext::commit_callback`] is called with the answer by the
/// thread that polls the consumer.
pub(in crate::source) fn commit<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    offsets: &TopicPartitionList,
) -> KafkaResult<()> {
    let client = consumer.client().native_ptr();
    // SAFETY: the client is alive, as `consumer` is borrowed; it copies the list, and keeps a reference of its own to the
    // queue. Without a callback the answer is an ordinary event in the queue that the consumer polls.
    let error = unsafe {
        let queue = sys::rd_kafka_queue_get_consumer(client);
        let error = sys::rd_kafka_commit_queue(client, offsets.ptr(), queue, None, ptr::null_mut());
        if !queue.is_null() {
            sys::rd_kafka_queue_destroy(queue);
        }
        error
    };
    if error.is_error() { Err(KafkaError::ConsumerCommit(error.into())) } else { Ok(()) }
}
