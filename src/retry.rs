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
use tokio::sync::Semaphore;

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

/// How long one attempt may take. Of a plain duration both are the same.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until its silence counts as a trouble, while the answer is waited for all the same.
    pub told: Duration,
    /// Until it has failed.
    pub ended: Duration,
}

impl From<Duration> for Limits {
    fn from(ended: Duration) -> Self {
        Self { told: ended, ended }
    }
}

/// Calls `attempt` until it succeeds, each attempt bounded by `limits`. While it fails or is silent, the trouble stands
/// in `troubles` under `dependency`, prefixed by `what` (for example `put orders/…avro`).
pub async fn until_done<T, E, F, Fut>(
    troubles: &Troubles,
    dependency: Dependency,
    what: &str,
    limits: impl Into<Limits>,
    attempt: F,
) -> T
where
    E: Display,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let free = Semaphore::new(1);
    until_done_in_turn(troubles, dependency, what, limits, &free, attempt).await
}

/// Like [`until_done`], where attempts share the permits of `turns`. Each attempt waits for one of its own, so what fails again and
/// again lets the others go on in between. The wait counts as no silence.
pub async fn until_done_in_turn<T, E, F, Fut>(
    troubles: &Troubles,
    dependency: Dependency,
    what: &str,
    limits: impl Into<Limits>,
    turns: &Semaphore,
    mut attempt: F,
) -> T
where
    E: Display,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    let Limits { told, ended } = limits.into();
    let mut backoff = Backoff::default();
    let trouble = troubles.open(dependency);
    loop {
        // Nobody closes it.
        let turn = turns.acquire().await.ok();
        let mut answer = Box::pin(tokio::time::timeout(ended, attempt()));
        let answer = match tokio::time::timeout(told, &mut answer).await {
            Ok(answer) => answer,
            Err(_) => {
                trouble.set(format!("{what}: no answer for {told:?} so far"));
                answer.await
            }
        };
        let reason = match answer {
            Ok(Ok(done)) => {
                trouble.clear();
                return done;
            }
            Ok(Err(error)) => {
                let error = error.to_string();
                // Some say it themselves.
                if error.starts_with(what) { error } else { format!("{what}: {error}") }
            }
            Err(_) => format!("{what}: no answer within {ended:?}"),
        };
        trouble.set(reason);
        drop(turn);
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

/// Like [`until_done_in_turn`], but an error that `is_final` ends it: repeating the call would not help.
pub async fn until_final<T, E, F, Fut>(
    troubles: &Troubles,
    dependency: Dependency,
    what: &str,
    limits: impl Into<Limits>,
    turns: &Semaphore,
    is_final: fn(&E) -> bool,
    mut attempt: F,
) -> Result<T, E>
where
    E: Display,
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
{
    until_done_in_turn(troubles, dependency, what, limits, turns, || {
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

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use tokio::sync::Notify;

    use super::*;

    const SOON: Duration = Duration::from_millis(10);
    const LATE: Duration = Duration::from_mins(1);

    #[tokio::test]
    async fn given_one_that_fails_again_and_again_then_others_have_their_turns_in_between() {
        let (troubles, turns) = (Troubles::default(), Semaphore::new(1));
        let failing = || async { Err::<Infallible, _>("403") };
        let failing = until_done_in_turn(&troubles, Dependency::Sink, "put a", LATE, &turns, failing);
        let done = async {
            while troubles.lines().is_empty() {
                tokio::task::yield_now().await;
            }
            let well = || async { Ok::<_, Infallible>(()) };
            until_done_in_turn(&troubles, Dependency::Sink, "put b", LATE, &turns, well).await;
        };
        tokio::select! {
            never = failing => match never {},
            () = done => {}
        }
    }

    #[tokio::test]
    async fn given_an_attempt_that_is_silent_then_that_is_told_while_its_answer_is_waited_for() {
        let troubles = Troubles::default();
        let limits = Limits { told: SOON, ended: LATE };
        let (mut attempts, answer) = (0, Notify::new());
        let mut call = Box::pin(until_done(&troubles, Dependency::Sink, "put a", limits, || {
            attempts += 1;
            let (attempt, answered) = (attempts, answer.notified());
            async move {
                answered.await;
                Ok::<_, Infallible>(attempt)
            }
        }));
        while troubles.lines().is_empty() {
            assert!(tokio::time::timeout(SOON, &mut call).await.is_err());
        }
        assert_eq!(troubles.lines(), ["sink: put a: no answer for 10ms so far"]);
        answer.notify_one();
        assert_eq!(call.await, 1, "the first attempt's answer counts");
        assert!(troubles.lines().is_empty());
    }
}
