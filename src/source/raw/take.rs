//! Records in batches: `rd_kafka_consume_batch_queue` on a queue of one's own.

use std::ffi::{CStr, CString};
use std::marker::PhantomData;
use std::ptr::{self, NonNull};
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::types::RDKafkaRespErr;
use rdkafka_sys as sys;

use crate::source::PartitionError;
use crate::types::{Offset, UnixMillis};

/// A queue that takes the place of the consumer's own for the partitions forwarded to it. Its consumer must still be
/// polled for everything that isn't a record.
pub(in crate::source) struct RecordQueue<C: ConsumerContext + 'static> {
    queue: NonNull<sys::rd_kafka_queue_t>,
    /// Keeps the client alive for as long as the queue and, through their lifetimes, its records.
    consumer: Arc<BaseConsumer<C>>,
}

impl<C: ConsumerContext> RecordQueue<C> {
    pub(in crate::source) fn new(consumer: Arc<BaseConsumer<C>>) -> Option<Self> {
        // SAFETY: the client is alive, as `consumer` is held.
        let queue = NonNull::new(unsafe { sys::rd_kafka_queue_new(consumer.client().native_ptr()) })?;
        Some(Self { queue, consumer })
    }

    /// Makes the partition's records come here. To be called before the partition is assigned.
    pub(in crate::source) fn forward(&self, topic: &str, partition: i32) {
        // Kafka's topic names have no NUL; one that had couldn't have been assigned.
        let Ok(topic) = CString::new(topic) else { return };
        let client = self.consumer.client().native_ptr();
        // SAFETY: the client is alive, the name is a C string that librdkafka copies, and the partition's queue, if
        // there is one, is a reference of ours that is given back.
        unsafe {
            let source = sys::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition);
            if !source.is_null() {
                sys::rd_kafka_queue_forward(source, self.queue.as_ptr());
                sys::rd_kafka_queue_destroy(source);
            }
        }
    }

    /// Appends what is there, up to `most` records, to `records`; when nothing is, waits up to `wait` for one.
    ///
    /// (The client, told to wait for several, gathers all that comes meanwhile, however much that is.)
    pub(in crate::source) fn take<'q>(&'q self, records: &mut Vec<Record<'q>>, most: usize, wait: Duration) {
        if self.consume(records, most, Duration::ZERO) == 0 && !wait.is_zero() {
            self.consume(records, 1, wait);
        }
    }

    /// Appends up to `most` records, of those that are there or come within `wait`; how many there were.
    fn consume<'q>(&'q self, records: &mut Vec<Record<'q>>, most: usize, wait: Duration) -> usize {
        records.reserve(most);
        let wait = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
        let free = records.spare_capacity_mut();
        // SAFETY: `Record` is a transparent wrapper of a message pointer; librdkafka writes at most `most` of them, all
        // non-null and owned by us from then on, into memory that was reserved for as many.
        unsafe {
            let got =
                sys::rd_kafka_consume_batch_queue(self.queue.as_ptr(), wait, free.as_mut_ptr().cast(), most);
            let got = usize::try_from(got).unwrap_or(0);
            records.set_len(records.len() + got);
            got
        }
    }
}

impl<C: ConsumerContext> Drop for RecordQueue<C> {
    fn drop(&mut self) {
        // SAFETY: the reference made in `new`, given back once; the client is still alive.
        unsafe { sys::rd_kafka_queue_destroy(self.queue.as_ptr()) }
    }
}

impl<C: ConsumerContext> std::fmt::Debug for RecordQueue<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordQueue").finish_non_exhaustive()
    }
}

/// What the client takes for a record beside its key and value, in bytes.
const KEPT: usize = 512;

/// One record, or one error about a partition, as the client gave it; not copied, and given back when dropped.
#[repr(transparent)]
pub(crate) struct Record<'q> {
    message: NonNull<sys::rd_kafka_message_t>,
    queue: PhantomData<&'q ()>,
}

/// Tells records of different topics apart at the cost of comparing a number; says nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TopicHandle(usize);

impl<'q> Record<'q> {
    fn message(&self) -> &sys::rd_kafka_message_t {
        // SAFETY: the message is ours until dropped, and librdkafka doesn't change it.
        unsafe { self.message.as_ref() }
    }

    /// Equal for records of the same topic and client.
    pub(crate) fn topic_handle(&self) -> TopicHandle {
        TopicHandle(self.message().rkt.addr())
    }

    /// The topic's name; empty for an error that concerns no topic.
    pub(crate) fn topic(&self) -> &str {
        let topic = self.message().rkt;
        if topic.is_null() {
            return "";
        }
        // SAFETY: the topic lives as long as a message of it; its name is a C string.
        let name = unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(topic)) };
        name.to_str().unwrap_or("")
    }

    pub(crate) fn partition(&self) -> i32 {
        self.message().partition
    }

    pub(crate) fn offset(&self) -> Offset {
        Offset(self.message().offset)
    }

    /// The error that came in the place of a record.
    pub(crate) fn error(&self) -> Option<PartitionError> {
        let error = self.message().err;
        (error != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| PartitionError(error.into()))
    }

    /// The length of the message's value, in bytes; 0 without one.
    pub(crate) fn value_len(&self) -> usize {
        self.value().map_or(0, <[u8]>::len)
    }

    /// What the client keeps of it, in bytes, but for its headers.
    pub(crate) fn memory(&self) -> usize {
        let message = self.message();
        message.len + message.key_len + KEPT
    }

    pub(crate) fn value(&self) -> Option<&[u8]> {
        let message = self.message();
        // SAFETY: librdkafka's pointer and length of the payload, valid while the message is.
        unsafe { bytes(message.payload, message.len) }
    }

    pub(crate) fn key(&self) -> Option<&[u8]> {
        let message = self.message();
        // SAFETY: likewise, of the key.
        unsafe { bytes(message.key, message.key_len) }
    }

    /// The Kafka timestamp, unless the record has none.
    pub(crate) fn timestamp(&self) -> Option<UnixMillis> {
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive, and `kind` is a place to write to.
        let timestamp = unsafe { sys::rd_kafka_message_timestamp(self.message.as_ptr(), &raw mut kind) };
        (kind != sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE)
            .then_some(UnixMillis(timestamp))
    }

    /// The headers, in order, copied.
    pub(crate) fn headers(&self) -> Vec<(String, Option<Vec<u8>>)> {
        let Some(headers) = self.parsed_headers() else { return Vec::new() };
        let header = |index| {
            let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
            // SAFETY: the headers belong to the message and live as long; each name is a C string, each value a pointer
            // with its length, which are copied at once.
            unsafe {
                let error = sys::rd_kafka_header_get_all(
                    headers.as_ptr(),
                    index,
                    &raw mut name,
                    &raw mut value,
                    &raw mut size,
                );
                (error == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| {
                    let name = CStr::from_ptr(name).to_string_lossy().into_owned();
                    (name, bytes(value.cast_mut(), size).map(<[u8]>::to_vec))
                })
            }
        };
        (0..).map_while(header).collect()
    }

    /// The value of the last header of this name, unless that is null. Costs next to nothing for a record without headers.
    pub(crate) fn header(&self, name: &CStr) -> Option<&[u8]> {
        let headers = self.parsed_headers()?;
        let (mut value, mut size) = (ptr::null(), 0);
        // SAFETY: the headers belong to the message, and so does the value with its length.
        unsafe {
            let error =
                sys::rd_kafka_header_get_last(headers.as_ptr(), name.as_ptr(), &raw mut value, &raw mut size);
            (error == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR)
                .then(|| bytes(value.cast_mut(), size))
                .flatten()
        }
    }

    /// The headers, which the client parses at the first call of a record that has some.
    fn parsed_headers(&self) -> Option<NonNull<sys::rd_kafka_headers_t>> {
        let mut headers = ptr::null_mut();
        // SAFETY: the message is ours and alive, and `headers` is a place to write to.
        let error = unsafe { sys::rd_kafka_message_headers(self.message.as_ptr(), &raw mut headers) };
        (error == RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR).then(|| NonNull::new(headers)).flatten()
    }
}

/// `len` bytes at `start`, or none where there is no start.
///
/// # Safety
/// Unless null, `start` points to `len` bytes that live and don't change as long as the result does.
unsafe fn bytes<'a>(start: *mut std::ffi::c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's promise.
    (!start.is_null()).then(|| unsafe { std::slice::from_raw_parts(start.cast::<u8>(), len) })
}

impl Drop for Record<'_> {
    fn drop(&mut self) {
        // SAFETY: the message was given to us and is given back once.
        unsafe { sys::rd_kafka_message_destroy(self.message.as_ptr()) }
    }
}

impl std::fmt::Debug for Record<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Record({}[{}] {})", self.topic(), self.partition(), self.offset())
    }
}
