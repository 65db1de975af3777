//! Records/s of threads that walk, append and compress records that are in memory already: what more lanes could give if
//! there were neither a broker nor a client. One line for each run; the counts of threads take turns.
//!
//! Arguments: rounds, records in all of a run.

use std::time::Instant;

use valve::avro::codec::{Codec, Compressor};
use valve::avro::container::OpenFile;
use valve::avro::program::Program;
use valve::avro::schema::WriterSchema;
use valve::avro::timestamp::TimestampRules;
use valve::avro::wire;
use valve::types::{SchemaId, UnixMillis};
use valve_bench::events::{Events, Order, SCHEMA};

/// How many different records there are: more than a processor's caches hold.
const DISTINCT: u64 = 200_000;
/// A file is dropped and begun again after as many rows, since nobody stores it.
const ROWS: u64 = 100_000;

/// All that a lane has for itself.
struct Lane {
    program: Program,
    rules: TimestampRules,
    fingerprint: u128,
    compressor: Compressor,
}

impl Lane {
    fn new() -> Self {
        let candidate = "field:at".parse().expect("a candidate");
        let rules = TimestampRules::new(vec![candidate], (1970, 2100)).expect("rules");
        let schema = WriterSchema::new(SchemaId(1), SCHEMA).expect("the events' schema is valid");
        let program = Program::compile(&schema, &rules).expect("the events' schema compiles");
        Self { program, rules, fingerprint: schema.fingerprint(), compressor: Compressor::new(Codec::Snappy) }
    }

    fn place(&mut self, values: &[Vec<u8>], records: u64) {
        let mut file = OpenFile::new(self.fingerprint);
        for value in values.iter().cycle().take(records as usize) {
            let (_, datum) = wire::split(value).expect("a wire header");
            let fields = self.program.walk(datum).expect("a datum of the schema");
            let time = self.rules.resolve(&fields, None, UnixMillis(0)).expect("a usable time");
            std::hint::black_box(time);
            file.append(datum, &mut self.compressor);
            if file.rows() == ROWS {
                file = OpenFile::new(self.fingerprint);
            }
        }
    }
}

/// Records/s of `threads` threads that share out `records`, each with records of its own.
fn run(values: &[Vec<Vec<u8>>], threads: usize, records: u64) -> f64 {
    let mut lanes: Vec<_> = (0..threads).map(|_| Lane::new()).collect();
    let share = records / threads as u64;
    let begun = Instant::now();
    std::thread::scope(|scope| {
        for (lane, values) in lanes.iter_mut().zip(values) {
            scope.spawn(move || lane.place(values, share));
        }
    });
    (share * threads as u64) as f64 / begun.elapsed().as_secs_f64()
}

fn values(seed: u64) -> Vec<Vec<u8>> {
    let (count, order) = (DISTINCT, Order::InOrder);
    let events = Events { count, hours: 24, order, repetitive: false, schemas: vec![1], seed };
    let mut value = Vec::new();
    let write = |index| {
        events.write(index, &mut value);
        value.clone()
    };
    (0..count).map(write).collect()
}

fn main() {
    let mut numbers = std::env::args().filter_map(|argument| argument.parse::<u64>().ok());
    let (rounds, records) = (numbers.next().unwrap_or(5), numbers.next().unwrap_or(4_000_000));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let counts: Vec<_> = [1, 2, 4, 8].into_iter().filter(|count| *count <= cores).collect();
    let values: Vec<_> = (1..=cores as u64).map(values).collect();
    for _ in 0..rounds {
        for threads in &counts {
            let per_second = run(&values, *threads, records);
            println!("{}", serde_json::json!({"threads": threads, "per_second": per_second}));
        }
    }
}
