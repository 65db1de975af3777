//! Where a log ends, as the client heard with its last fetch: `rd_kafka_get_watermark_offsets`, which asks nobody.

use std::ffi::CString;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka_sys as sys;

use crate::types::{Offset, TopicPartition};

/// The offset behind the last record of the partition's log; `None` before anything was fetched of it.
pub(in crate::source) fn log_end<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    partition: &TopicPartition,
) -> Option<Offset> {
    let topic = CString::new(&*partition.topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client is alive, the name is a C string, and both offsets are places to write to.
    let error = unsafe {
        sys::rd_kafka_get_watermark_offsets(
            consumer.client().native_ptr(),
            topic.as_ptr(),
            partition.partition,
            &raw mut low,
            &raw mut high,
        )
    };
    (error == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR && high >= 0).then_some(Offset(high))
}
