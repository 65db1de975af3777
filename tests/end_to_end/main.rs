//! Valve's real binary against real services: what its users see, by behaviour.
//!
//! `tests/run` starts the services and says where they are (tests/stack/). Without them, these tests are ignored; with
//! `VALVE_TEST_REQUIRE_SERVICES=1` they fail instead. Each test has topics, a group and a prefix of its own, so that
//! all of them share one Kafka, registry and bucket. What is produced is produced by Confluent's serializer, and what
//! is stored is judged by fastavro: never by valve's own code.
#![expect(clippy::unwrap_used, clippy::disallowed_methods, reason = "tests")]
#![expect(
    clippy::print_stderr,
    reason = "a failed test shows what valve said, and the end where the time went"
)]

use std::cmp::Reverse;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Failed, Trial};

use crate::browser::Chromium;
use crate::hard_limit::Group;
use crate::sink_conformance::S3TestStore;
use crate::stack::Stack;

mod auditing;
mod bounded_memory;
mod browser;
mod checking;
mod consul;
mod dead_letters;
mod demo;
mod event;
mod files;
mod hard_limit;
mod hours;
mod intents;
mod kafka;
mod killing;
mod lag;
mod logs;
mod msk_iam;
mod oidc;
mod outages;
mod page;
mod patience;
mod planted_secrets;
mod producer;
mod publishing_metrics;
mod rebalancing;
mod registry_proxy;
mod replaying;
mod scene;
mod secure_kafka;
mod secure_registry;
mod settings;
mod shipped;
mod sink_conformance;
mod stack;
mod starting;
mod stopping;
mod storing;
mod subscribing;
mod taking_over;
mod tls_listener;
mod token_provider;
mod torturing;
mod valve;

/// Tests wait more than they compute.
const TESTS_AT_ONCE: usize = 4;
const SLOWEST_SHOWN: usize = 25;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(TESTS_AT_ONCE);
    let found = Stack::from_env();
    let required = std::env::var_os("VALVE_TEST_REQUIRE_SERVICES").is_some_and(|value| value == "1");
    let on_stack = |(name, test): Test<fn(&Stack)>| {
        let stack = found.clone();
        let ignored = stack.is_err() && !required;
        timed(name, move || {
            test(&*stack?);
            Ok(())
        })
        .with_ignored_flag(ignored)
    };
    let alone = |(name, test): Test<fn()>| {
        timed(name, move || {
            test();
            Ok(())
        })
    };
    // Not everybody may make control groups.
    let in_a_group = |test| alone(test).with_ignored_flag(!Group::can_be_made());
    let browser = Chromium::from_env();
    let on_page = |(name, test): page::PageTest| {
        let (stack, browser) = (found.clone(), browser.clone());
        // Not every machine can have a browser.
        let ignored = browser.is_err() || stack.is_err() && !required;
        timed(name, move || {
            test(&*stack?, &*browser?);
            Ok(())
        })
        .with_ignored_flag(ignored)
    };
    let trials = [
        storing::TESTS,
        shipped::TESTS,
        consul::TESTS,
        checking::TESTS,
        dead_letters::TESTS,
        replaying::TESTS,
        stopping::TESTS,
        outages::TESTS,
        lag::TESTS,
        logs::TESTS,
        publishing_metrics::TESTS,
        subscribing::TESTS,
        rebalancing::TESTS,
        auditing::TESTS,
        hours::TESTS,
        taking_over::TESTS,
        killing::TESTS,
        torturing::TESTS,
        starting::TESTS,
        intents::TESTS,
        bounded_memory::TESTS,
        secure_kafka::TESTS,
        msk_iam::TESTS,
        oidc::TESTS,
        secure_registry::TESTS,
        planted_secrets::TESTS,
    ];
    let mut trials: Vec<Trial> = trials.into_iter().flatten().copied().map(on_stack).collect();
    trials.extend(settings::TESTS.iter().copied().map(alone));
    trials.extend(bounded_memory::IN_A_GROUP.iter().copied().map(in_a_group));
    trials.extend(page::TESTS.iter().copied().map(on_page));
    trials.extend(demo::TESTS.iter().copied().map(on_stack));
    let s3 = found.as_ref().map(|stack| s3_of(stack)).map_err(Clone::clone);
    trials.extend(sink_conformance::trials(&s3, required));
    let conclusion = libtest_mimic::run(&arguments, trials);
    show_slowest();
    conclusion.exit_code()
}

/// How long each test took that has come to its end.
static TOOK: Mutex<Vec<(Duration, &'static str)>> = Mutex::new(Vec::new());

fn timed(name: &'static str, test: impl FnOnce() -> Result<(), Failed> + Send + 'static) -> Trial {
    Trial::test(name, move || {
        let begun = Instant::now();
        let result = test();
        TOOK.lock().unwrap().push((begun.elapsed(), name));
        result
    })
}

/// Says where the time went, when there were many.
fn show_slowest() {
    let mut took = TOOK.lock().unwrap();
    if took.len() <= SLOWEST_SHOWN {
        return;
    }
    took.sort_unstable_by_key(|(time, _)| Reverse(*time));
    eprintln!("the slowest:");
    for (time, name) in took.iter().take(SLOWEST_SHOWN) {
        eprintln!("{:>5.0} s  {name}", time.as_secs_f64());
    }
}

fn s3_of(stack: &Stack) -> S3TestStore {
    S3TestStore {
        endpoint: stack.s3_endpoint.clone(),
        access_key: stack.s3_access_key.clone(),
        secret_key: stack.s3_secret_key.clone(),
        bucket: stack.bucket.clone(),
    }
}

/// A module's tests, by the names that they are shown under.
macro_rules! tests {
    ($($name:ident),+ $(,)?) => {
        &[$((concat!(module_path!(), "::", stringify!($name)), $name)),+]
    };
}
use tests;

/// A test and the name that it is shown under.
type Test<F> = (&'static str, F);

/// What the tests share, given that the services are there.
type Shared = Result<Arc<Stack>, String>;
