//! What a topic costs without valve: a drain, perhaps with a codec over the same bytes. Its CPU is measured by whoever
//! starts it, as valve's is.

use std::error::Error;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use rdkafka::config::ClientConfig;
use valve_bench::drain::Drain;

/// As many bytes as valve's blocks have.
const BLOCK: usize = 64 * 1024;
/// The wire header, which doesn't go into files.
const WIRE_HEADER: usize = 5;

/// Takes all records of a topic.
#[derive(Debug, Parser)]
struct Arguments {
    /// host:port
    #[arg(long)]
    brokers: String,
    #[arg(long)]
    topic: String,
    #[arg(long, value_enum)]
    take: Take,
    /// What to do with the records
    #[arg(long, value_enum, default_value = "drop")]
    codec: Codec,
    /// Properties of librdkafka: name=value
    #[arg(short = 'X')]
    properties: Vec<String>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Take {
    /// `BaseConsumer::poll`, one by one
    Poll,
    /// `rd_kafka_consume_batch_queue`
    Batch,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Codec {
    /// Nothing at all
    Drop,
    /// Appended to blocks of 64 KiB, and those compressed with snappy, with the CRC-32 that Avro wants
    Snappy,
    /// Likewise, with zstd on level 1
    #[value(name = "zstd-1")]
    Zstd1,
}

/// Blocks, one after the other, in the same memory.
struct Blocks {
    block: Vec<u8>,
    output: Vec<u8>,
    compressor: Compressor,
    compressed: u64,
}

enum Compressor {
    Snappy(Box<snap::raw::Encoder>),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl Blocks {
    fn new(compressor: Compressor) -> Self {
        Self { block: Vec::with_capacity(2 * BLOCK), output: vec![0; 4 * BLOCK], compressor, compressed: 0 }
    }

    /// Appends a value's datum; compresses the block when it is full.
    fn add(&mut self, value: &[u8]) {
        self.block.extend_from_slice(value.get(WIRE_HEADER..).unwrap_or_default());
        if self.block.len() >= BLOCK {
            self.finish();
        }
    }

    fn finish(&mut self) {
        let (block, output) = (&self.block[..], &mut self.output[..]);
        let written = match &mut self.compressor {
            Compressor::Snappy(encoder) => {
                let checksum = std::hint::black_box(crc32fast::hash(block)).to_be_bytes().len();
                encoder.compress(block, output).map(|len| len + checksum).ok()
            }
            Compressor::Zstd(compressor) => compressor.compress_to_buffer(block, output).ok(),
        };
        self.compressed += written.expect("the output is four blocks long") as u64;
        self.block.clear();
    }
}

fn drain(drain: &Drain, take: Take, each: impl FnMut(&[u8])) -> Result<(), Box<dyn Error>> {
    match take {
        Take::Poll => drain.poll(each)?,
        Take::Batch => drain.batches(each)?,
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let mut client = ClientConfig::new();
    // The queue's back-off is a second by default, which a fast consumer waits out again and again.
    client
        .set("bootstrap.servers", &arguments.brokers)
        .set("group.id", "floor")
        .set("enable.auto.commit", "false")
        .set("fetch.queue.backoff.ms", "10");
    for property in &arguments.properties {
        let (name, value) = property.split_once('=').ok_or("-X takes name=value")?;
        client.set(name, value);
    }
    let records = Drain::open(&client, &arguments.topic)?;
    let begun = Instant::now();
    let mut bytes = 0;
    let mut compressed = 0;
    let compressor = match arguments.codec {
        Codec::Drop => None,
        Codec::Snappy => Some(Compressor::Snappy(Box::new(snap::raw::Encoder::new()))),
        Codec::Zstd1 => Some(Compressor::Zstd(zstd::bulk::Compressor::new(1)?)),
    };
    match compressor {
        None => drain(&records, arguments.take, |value| bytes += value.len() as u64)?,
        Some(compressor) => {
            let mut blocks = Blocks::new(compressor);
            drain(&records, arguments.take, |value| {
                bytes += value.len() as u64;
                blocks.add(value);
            })?;
            blocks.finish();
            compressed = blocks.compressed;
        }
    }
    let said = serde_json::json!({
        "records": records.records(), "bytes": bytes, "compressed": compressed,
        "seconds": begun.elapsed().as_secs_f64(),
    });
    println!("{said}");
    Ok(())
}
