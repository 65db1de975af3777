//! Fills a topic with events, as fast as the broker takes them, and says how many bytes they were.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Parser;
use rdkafka::ClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext};
use valve_bench::events::{Events, Order};

/// Fills a topic (which is there already) with events.
#[derive(Debug, Parser)]
struct Arguments {
    /// host:port
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    topic: String,
    #[arg(long)]
    partitions: u64,
    #[arg(long)]
    records: u64,
    /// The schema ids in the wire headers
    #[arg(long, value_delimiter = ',', required = true)]
    schemas: Vec<u32>,
    /// in-order, shuffled, late (1 % by one to six hours)
    #[arg(long, default_value = "in-order")]
    order: Order,
    /// Over how many hours
    #[arg(long, default_value_t = 24)]
    hours: u32,
    /// Events that are nearly the same
    #[arg(long)]
    repetitive: bool,
    /// none, lz4, zstd, snappy, gzip
    #[arg(long, default_value = "none")]
    compression: String,
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Counts what the broker has refused.
#[derive(Clone, Debug, Default)]
struct Refused(Arc<AtomicU64>);

impl ClientContext for Refused {}

impl ProducerContext for Refused {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if result.is_err() {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let refused = Refused::default();
    let producer: BaseProducer<Refused> = ClientConfig::new()
        .set("bootstrap.servers", &arguments.brokers)
        .set("compression.type", &arguments.compression)
        .set("enable.idempotence", "true")
        .set("linger.ms", "50")
        .set("batch.size", "1000000")
        .set("batch.num.messages", "10000")
        .set("queue.buffering.max.messages", "500000")
        .create_with_context(refused.clone())?;
    let begun = Instant::now();
    let bytes = produce(&producer, &arguments)?;
    producer.flush(Duration::from_secs(120))?;
    let refused = refused.0.load(Ordering::Relaxed);
    if refused > 0 {
        return Err(format!("the broker refused {refused} records").into());
    }
    let (records, seconds) = (arguments.records, begun.elapsed().as_secs_f64());
    println!("{}", serde_json::json!({"records": records, "bytes": bytes, "seconds": seconds}));
    Ok(())
}

/// Hands all events to the client; the bytes of their values.
fn produce(producer: &BaseProducer<Refused>, arguments: &Arguments) -> Result<u64, KafkaError> {
    let events = Events {
        count: arguments.records,
        hours: arguments.hours,
        order: arguments.order,
        repetitive: arguments.repetitive,
        schemas: arguments.schemas.clone(),
        seed: arguments.seed,
    };
    let (mut value, mut bytes) = (Vec::new(), 0);
    for index in 0..events.count {
        events.write(index, &mut value);
        bytes += value.len() as u64;
        let partition = (index % arguments.partitions) as i32;
        send(producer, &arguments.topic, partition, &value)?;
    }
    Ok(bytes)
}

fn send(
    producer: &BaseProducer<Refused>,
    topic: &str,
    partition: i32,
    value: &[u8],
) -> Result<(), KafkaError> {
    let mut record = BaseRecord::<(), [u8]>::to(topic).partition(partition).payload(value);
    loop {
        match producer.send(record) {
            Ok(()) => return Ok(()),
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                producer.poll(Duration::from_millis(10));
                record = back;
            }
            Err((error, _)) => return Err(error),
        }
    }
}
