//! Gives inputs, found by coverage, to one of valve's targets: `fuzz/run` says which by the environment.
//!
//! What must not happen is asserted in the targets themselves (`src/fuzzing/`). Here memory and time are bounded: one input that
//! takes more ends the process, and libFuzzer keeps it.

#![no_main]

use std::alloc::System;
use std::env;
use std::sync::LazyLock;
use std::time::Duration;

use cap::Cap;
use cpu_time::ProcessTime;
use libfuzzer_sys::fuzz_target;
use valve::fuzzing::TARGETS;

/// Inputs have a few kilobytes; what takes more of the heap than this for one is a bomb.
const MAX_HEAP: usize = 64 << 20;

/// The most time that one input may take: of the processor's, since a busy machine may let the process wait for longer.
const MAX_TIME: Duration = Duration::from_secs(1);

/// What apache-avro, the judge of datums, believes of a length.
const MAX_CLAIMED: usize = 4 << 20;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, MAX_HEAP);

static TARGET: LazyLock<fn(&[u8])> = LazyLock::new(|| {
    let wanted = env::var("FUZZ_TARGET").unwrap_or_default();
    let found = TARGETS.iter().find(|(name, _)| *name == wanted);
    found.unwrap_or_else(|| panic!("FUZZ_TARGET={wanted:?} is no target")).1
});

fuzz_target!(
    init: {
        apache_avro::util::max_allocation_bytes(MAX_CLAIMED);
    },
    |data: &[u8]| {
        let begun = ProcessTime::now();
        TARGET(data);
        let taken = begun.elapsed();
        assert!(taken < MAX_TIME, "{} bytes took {taken:?}", data.len());
    }
);
