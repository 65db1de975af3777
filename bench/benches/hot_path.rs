//! What is done for each record, block and file, one thing at a time, in memory.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use valve::avro::codec::{Codec, Compressor};
use valve::avro::container::{BLOCK_BYTES, Header, OpenFile};
use valve::avro::program::Program;
use valve::avro::schema::WriterSchema;
use valve::avro::timestamp::TimestampRules;
use valve::avro::wire;
use valve::types::{SchemaId, UnixMillis};
use valve_bench::events::{Events, Order, SCHEMA};

const COUNT: u64 = 10_000;
const CODECS: [&str; 7] = ["snappy", "zstd-1", "zstd-3", "zstd-9", "deflate-1", "deflate-6", "deflate-9"];

fn values() -> Vec<Vec<u8>> {
    let events = Events {
        count: COUNT,
        hours: 24,
        order: Order::InOrder,
        repetitive: false,
        schemas: vec![1],
        seed: 1,
    };
    let mut value = Vec::new();
    let write = |index| {
        events.write(index, &mut value);
        value.clone()
    };
    (0..COUNT).map(write).collect()
}

fn datums() -> Vec<Vec<u8>> {
    values().into_iter().map(|value| value[5..].to_vec()).collect()
}

fn rules() -> TimestampRules {
    TimestampRules::new(vec!["field:at".parse().expect("a candidate")], (1970, 2100)).expect("rules")
}

fn schema() -> WriterSchema {
    WriterSchema::new(SchemaId(1), SCHEMA).expect("the events' schema is valid")
}

fn bytes(values: &[Vec<u8>]) -> u64 {
    values.iter().map(|value| value.len() as u64).sum()
}

/// Wire header, walk, and the time that it found.
fn walk(criterion: &mut Criterion) {
    let (values, rules) = (values(), rules());
    let program = Program::compile(&schema(), &rules).expect("the events' schema compiles");
    let mut group = criterion.benchmark_group("walk");
    group.throughput(Throughput::ElementsAndBytes { elements: COUNT, bytes: bytes(&values) });
    group.bench_function("header, walk, timestamp", |bencher| {
        bencher.iter(|| {
            for value in &values {
                let (_, datum) = wire::split(black_box(value)).expect("a wire header");
                let fields = program.walk(datum).expect("a datum of the schema");
                black_box(rules.resolve(&fields, None, UnixMillis(0)).expect("a usable time"));
            }
        });
    });
    group.finish();
}

/// Into an open file, digest included; nothing is compressed.
fn append(criterion: &mut Criterion) {
    let (datums, schema) = (datums(), schema());
    let mut compressor = Compressor::new(Codec::Null);
    let mut group = criterion.benchmark_group("append");
    group.throughput(Throughput::ElementsAndBytes { elements: COUNT, bytes: bytes(&datums) });
    group.bench_function("one file", |bencher| {
        bencher.iter(|| {
            let mut file = OpenFile::new(schema.fingerprint());
            for datum in &datums {
                file.append(black_box(datum), &mut compressor);
            }
            file
        });
    });
    group.bench_function("200 files in turn", |bencher| {
        bencher.iter(|| {
            let mut files: Vec<_> = (0..200).map(|_| OpenFile::new(schema.fingerprint())).collect();
            for (index, datum) in datums.iter().enumerate() {
                files[index % 200].append(black_box(datum), &mut compressor);
            }
            files
        });
    });
    group.finish();
}

/// One full block of events.
fn codecs(criterion: &mut Criterion) {
    let block: Vec<u8> = datums().concat().into_iter().take(BLOCK_BYTES).collect();
    let mut group = criterion.benchmark_group("codec");
    group.throughput(Throughput::Bytes(block.len() as u64));
    for name in CODECS {
        let mut compressor = Compressor::new(name.parse().expect("a codec"));
        let ratio = block.len() as f64 / compressor.compress(&block).len() as f64;
        group.bench_function(BenchmarkId::new(name, format!("{ratio:.2} to 1")), |bencher| {
            bencher.iter(|| black_box(compressor.compress(black_box(&block)).len()));
        });
    }
    group.finish();
}

/// A container file's header, with about what valve's own entries take.
fn header(criterion: &mut Criterion) {
    let metadata: Vec<_> = (0..14).map(|_| ("valve.entry", "x".repeat(40))).collect();
    let mut group = criterion.benchmark_group("header");
    group.bench_function("schema and 14 entries", |bencher| {
        bencher.iter(|| {
            let header = Header { schema: SCHEMA, codec: Codec::Snappy, metadata: &metadata, sync: [7; 16] };
            black_box(header.encode())
        });
    });
    group.finish();
}

criterion_group!(benches, walk, append, codecs, header);
criterion_main!(benches);
