//! The protocol under random schedules: the real core, several lanes of it in one group, in a model of everything else.
//!
//! Brokers, group, store, registry and clock are a [`world::World`] of plain data; a [`process::Process`] does for its
//! [`super::Lane`] what `crate::lane` does in production. A schedule is a seed: turns of work and trouble are drawn from
//! it, then the world is healed and runs dry. ARCHITECTURE.md's invariants are looked at whenever something becomes durable.
//!
//! A schedule that fails prints its seed and its last steps. To see all of them, write the seed into
//! `target/simulation.seed` and run `cargo test --lib simulation::replay -- --ignored --nocapture`. `simulation::survey`
//! tells what goes wrong in many schedules, and how often.
//!
//! What is taken for granted: a client reads a topic by its id, so that nothing of a topic that was created again is
//! taken for the one before (librdkafka does so only where the new topic is shorter than what was read, or has leaders of other
//! epochs: README, "What becomes of bad input"); a stopped group's puts and commits have ended long before its offsets expire. What isn't
//! modelled: eager rebalances, open transactions, several passes over a batch that is made again, `valve intents release`.

mod audit;
mod checks;
mod draw;
mod group;
mod log;
mod mix;
mod mutations;
mod offsets;
mod process;
mod publishing;
mod schedule;
mod seen;
mod store;
mod taking;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};

use self::mutations::{ALL, Mutation};
use self::seen::Seen;
use self::world::World;
use crate::types::TopicPartition;

/// How many schedules one run of the tests goes through.
const SCHEDULES: u64 = 100_000;

/// Within how many of them a broken protocol must be noticed.
const MUTANT_SCHEDULES: u64 = 20_000;

/// How many steps of a schedule that failed are shown.
const SHOWN: usize = 60;

/// Where the seed is that is replayed.
const SEED_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/target/simulation.seed");

fn names() -> Vec<TopicPartition> {
    (0..3).map(|index| TopicPartition::new("t", index)).collect()
}

/// Runs one schedule; the first thing that is wrong, if anything is.
fn run(seed: u64, mutation: Option<Mutation>, names: &[TopicPartition], seen: &mut Seen) -> Option<String> {
    let mut world = World::new(seed, mutation, names);
    world.run();
    seen.add(&world.seen);
    world.fault
}

/// Runs one schedule again, and tells its last steps.
fn told(seed: u64, mutation: Option<Mutation>, shown: usize) -> String {
    let mut world = World::new(seed, mutation, &names());
    world.trace = Some(Vec::new());
    world.note(format!("{:?}", world.mix));
    world.run();
    let trace = world.trace.unwrap_or_default();
    let first = trace.len().saturating_sub(shown);
    format!("seed {seed}: {:?}\n{}", world.fault, trace[first..].join("\n"))
}

/// Goes through the seeds below `end`, on all cores, until one fails.
fn search(end: u64, mutation: Option<Mutation>) -> (Seen, Option<u64>) {
    let (next, failed) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let go = || {
        let (names, mut seen) = (names(), Seen::default());
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= end || failed.load(Ordering::Relaxed) != u64::MAX {
                return seen;
            }
            let _said = Said(seed);
            let fault = run(seed, mutation, &names, &mut seen);
            let sign = mutation.map_or("", Mutation::sign);
            if fault.is_some_and(|fault| fault.contains(sign)) {
                failed.fetch_min(seed, Ordering::Relaxed);
            }
        }
    };
    let mut seen = Seen::default();
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|_| scope.spawn(go)).collect();
        for thread in running {
            seen.add(&thread.join().expect("a schedule panicked: its seed is above"));
        }
    });
    let failed = failed.into_inner();
    (seen, (failed != u64::MAX).then_some(failed))
}

/// Says which schedule panicked.
struct Said(u64);

impl Drop for Said {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("the schedule of seed {} panicked", self.0);
        }
    }
}

#[test]
fn given_any_schedule_of_faults_then_every_record_is_stored_exactly_once() {
    let (seen, failed) = search(SCHEDULES, None);
    if let Some(seed) = failed {
        panic!("{}", told(seed, None, SHOWN));
    }
    for (state, times, least) in seen.counts() {
        println!("{times:>10} {state}");
        assert!(times >= least, "{state} was reached {times} times");
    }
}

#[test]
#[ignore = "tells what goes wrong in many schedules, and how often"]
fn survey() {
    let mut faults = std::collections::BTreeMap::<String, (u64, u64)>::new();
    let mut seen = Seen::default();
    for seed in 0..20_000 {
        if let Some(fault) = run(seed, None, &names(), &mut seen) {
            let kind: String = fault.chars().filter(|c| !c.is_ascii_digit()).take(70).collect();
            faults.entry(kind).or_insert((0, seed)).0 += 1;
        }
    }
    println!("{faults:#?}\n{seen:?}");
}

#[test]
#[ignore = "replays the seed in target/simulation.seed"]
fn replay() {
    let text = std::fs::read_to_string(SEED_FILE).unwrap_or_default();
    let seed = text.trim().parse().expect("a number in target/simulation.seed");
    println!("{}", told(seed, None, usize::MAX));
}

#[test]
fn given_a_broken_protocol_then_a_schedule_tells() {
    for mutation in ALL {
        let (_, failed) = search(MUTANT_SCHEDULES, Some(mutation));
        assert!(failed.is_some(), "{mutation:?} is not noticed in {MUTANT_SCHEDULES} schedules");
        println!("{mutation:?}: {}", told(failed.unwrap(), Some(mutation), 0).trim());
    }
}
