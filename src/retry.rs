//! Waiting out the world's failures: capped exponential backoff with jitter.
//!
//! Every dependency (broker, registry, store, Consul) fails all the time. A call to one of them goes through
//! [`until_done`]: it is bounded by a timeout, repeated for as long as it takes, and its trouble is visible in
//! [`Troubles`] (and so on `/readyz`) and in the log meanwhile. Cancel it by dropping the future. Where some
//! errors are answers rather than failures, [`until_final`] hands them back.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use rand::RngExt;

use crate::telemetry::troubles::{Dependency, Troubles};

/// The waits between attempts: doubling from a first ceiling to a cap, each drawn evenly from the upper half
/// of its ceiling, so that many callers spread out but none hammers.
#[derive(Clone, Debug)]
pub struct Backoff {
    ceiling: Duration,
    cap: Duration,
}

impl Backoff {
    /// Waits of at most `first`, then at most `2 * first`, … and never more than `cap`.
    #[must_use]
    pub fn new(first: Duration, cap: Duration) -> Self {
        Self { ceiling: first.min(cap), cap }
    }

    /// The wait before the next attempt.
    pub fn next_wait(&mut self) -> Duration {
        let wait = self.ceiling.mul_f64(rand::rng().random_range(0.5..=1.0));
        self.ceiling = self.ceiling.saturating_mul(2).min(self.cap);
        wait
    }
}

impl Default for Backoff {
    /// 100 ms to 10 s: quick enough that a blip is not felt, slow enough that an outage is not fed.
    fn default() -> Self {
        Self::new(Duration::from_millis(100), Duration::from_secs(10))
    }
}

/// Calls `attempt` until it succeeds, each attempt bounded by `timeout`. While it fails, the trouble stands in
/// `troubles` under `dependency`, prefixed by `what` (for example `put orders/…avro`).
pub async fn until_done<T, E, F, Fut>(
    troubles: &Troubles,
    dependency: Dependency,
    what: &str,
    timeout: Duration,
    mut attempt: F,
) -> T
where
    E: Display,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let mut backoff = Backoff::default();
    let trouble = troubles.open(dependency);
    loop {
        let reason = match tokio::time::timeout(timeout, attempt()).await {
            Ok(Ok(done)) => {
                trouble.clear();
                return done;
            }
            Ok(Err(error)) => {
                let error = error.to_string();
                // Some say it themselves.
                if error.starts_with(what) { error } else { format!("{what}: {error}") }
            }
            Err(_) => format!("{what}: no answer within {timeout:?}"),
        };
        trouble.set(reason);
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

/// Like [`until_done`], but an error that `is_final` ends it: repeating the call would not help.
pub async fn until_final<T, E, F, Fut>(
    troubles: &Troubles,
    dependency: Dependency,
    what: &str,
    timeout: Duration,
    is_final: fn(&E) -> bool,
    mut attempt: F,
) -> Result<T, E>
where
    E: Display,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    until_done(troubles, dependency, what, timeout, || {
        let call = attempt();
        async move {
            match call.await {
                Err(error) if !is_final(&error) => Err(error),
                done => Ok(done),
            }
        }
    })
    .await
}
