//! Taking a topic's records and doing nothing with them: the least that any consumer on this client has to pay.
//!
//! No group, no commits: all partitions from their beginning to where they end now. Both ways see the same records.

use std::ffi::CString;
use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

const PATIENCE: Duration = Duration::from_secs(30);
/// As valve takes them.
const TAKE: usize = 2_000;

/// A consumer of every partition of one topic, and how many records that are.
pub struct Drain {
    consumer: BaseConsumer,
    topic: String,
    partitions: i32,
    records: u64,
}

impl Drain {
    /// Looks up where `topic` begins and ends; begins to fetch with the first record that is asked for.
    ///
    /// # Errors
    /// The client's.
    pub fn open(client: &ClientConfig, topic: &str) -> Result<Self, KafkaError> {
        let consumer: BaseConsumer = client.create()?;
        let metadata = consumer.fetch_metadata(Some(topic), PATIENCE)?;
        let partitions = metadata.topics().first().map_or(0, |topic| topic.partitions().len()) as i32;
        let mut records = 0;
        for partition in 0..partitions {
            let (low, high) = consumer.fetch_watermarks(topic, partition, PATIENCE)?;
            records += (high - low).cast_unsigned();
        }
        Ok(Self { consumer, topic: topic.to_owned(), partitions, records })
    }

    /// How many records there are.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.records
    }

    fn assign(&self) -> Result<(), KafkaError> {
        let mut all = TopicPartitionList::new();
        for partition in 0..self.partitions {
            all.add_partition_offset(&self.topic, partition, Offset::Beginning)?;
        }
        self.consumer.assign(&all)
    }

    /// Takes all records with `BaseConsumer::poll`, one by one.
    ///
    /// # Errors
    /// The client's.
    pub fn poll(&self, mut each: impl FnMut(&[u8])) -> Result<(), KafkaError> {
        self.assign()?;
        let mut left = self.records;
        while left > 0 {
            if let Some(message) = self.consumer.poll(Duration::from_millis(100)) {
                each(message?.payload().unwrap_or_default());
                left -= 1;
            }
        }
        Ok(())
    }

    /// Takes all records with `rd_kafka_consume_batch_queue`, many at a time.
    ///
    /// # Errors
    /// The client's.
    pub fn batches(&self, mut each: impl FnMut(&[u8])) -> Result<(), KafkaError> {
        let queue = Queue::new(&self.consumer);
        for partition in 0..self.partitions {
            queue.forward(&self.topic, partition);
        }
        self.assign()?;
        let mut left = self.records;
        while left > 0 {
            // Errors about partitions come in records' places; the broker is on this machine, so there are none that
            // wouldn't show as a drain that doesn't end.
            left -= queue.take(&mut each).min(left);
            if let Some(Err(error)) = self.consumer.poll(Duration::ZERO) {
                return Err(error);
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for Drain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Drain")
            .field("topic", &self.topic)
            .field("records", &self.records)
            .finish_non_exhaustive()
    }
}

/// A queue of our own that partitions are forwarded to.
struct Queue<'c> {
    consumer: &'c BaseConsumer,
    queue: *mut rdkafka_sys::rd_kafka_queue_t,
}

impl<'c> Queue<'c> {
    fn new(consumer: &'c BaseConsumer) -> Self {
        // SAFETY: the client is alive, as it is borrowed for as long as the queue is there.
        let queue = unsafe { rdkafka_sys::rd_kafka_queue_new(consumer.client().native_ptr()) };
        Self { consumer, queue }
    }

    fn forward(&self, topic: &str, partition: i32) {
        let Ok(topic) = CString::new(topic) else { return };
        let client = self.consumer.client().native_ptr();
        // SAFETY: client and queue are alive; the partition's queue is a reference of ours that is given back.
        unsafe {
            let source = rdkafka_sys::rd_kafka_queue_get_partition(client, topic.as_ptr(), partition);
            if !source.is_null() {
                rdkafka_sys::rd_kafka_queue_forward(source, self.queue);
                rdkafka_sys::rd_kafka_queue_destroy(source);
            }
        }
    }

    /// Shows each of the next records; how many they were.
    fn take(&self, each: &mut impl FnMut(&[u8])) -> u64 {
        let mut messages = [std::ptr::null_mut(); TAKE];
        let mut count = 0;
        // SAFETY: librdkafka writes at most TAKE pointers to messages, which are ours until they are given back; a
        // payload that isn't null has `len` bytes.
        unsafe {
            let got = rdkafka_sys::rd_kafka_consume_batch_queue(
                self.queue,
                100,
                messages.as_mut_ptr(),
                messages.len(),
            );
            for message in &messages[..usize::try_from(got).unwrap_or(0)] {
                let (payload, len) = ((**message).payload, (**message).len);
                if (**message).err == rdkafka_sys::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                    count += 1;
                    if !payload.is_null() {
                        each(std::slice::from_raw_parts(payload.cast::<u8>(), len));
                    }
                }
                rdkafka_sys::rd_kafka_message_destroy(*message);
            }
        }
        count
    }
}

impl Drop for Queue<'_> {
    fn drop(&mut self) {
        // SAFETY: the reference made in `new`, given back once, while the client is alive.
        unsafe { rdkafka_sys::rd_kafka_queue_destroy(self.queue) }
    }
}
