//! `valve check`: whether this machine reaches all that valve works with, may do with it what it must, and finds there what it
//! expects. It leaves nothing behind, joins no group, and writes but one object, which it deletes.
//!
//! Each check asks one thing, and says in a [`Finding`] what was tried, what came of it, how long that took and what to do. They
//! run side by side; one that stands on another that failed isn't tried, and says so. Each has a limit of its own, and all
//! together end within [`Checks::WITHIN`].
//!
//! - `consul`: where settings come from; `settings`: what they come to on this machine.
//! - `kafka`: brokers, group and dead-letter topic; `topics`: which they are, and whether they may be read.
//! - `registry`; `records`: what would become of the topics' newest records.
//! - `sink`: the bucket or directory.
//! - `reach`: names and addresses; `advice`: what to do about what the clients say.
//! - `told`: text and JSON.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::{Clock as _, SystemClock};
use crate::config::Config;
use crate::registry::confluent::Confluent;
use crate::source::offsets::Offsets;

mod advice;
pub(crate) mod consul;
mod kafka;
mod reach;
mod records;
mod registry;
pub(crate) mod settings;
mod sink;
pub(crate) mod told;
mod topics;

/// What one check came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// As it must be.
    Well,
    /// Something to know, no more.
    Noted,
    /// Valve works, and not quite as one would want.
    Warned,
    /// Valve can't work so.
    Failed,
    /// It stands on something that failed.
    NotTried,
}

/// One check, and what it came to.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// What it is about: a part of the surroundings, such as `kafka`.
    pub(crate) area: &'static str,
    /// What was tried, and against what.
    pub(crate) tried: String,
    pub(crate) outcome: Outcome,
    /// What came of it, or why nothing did.
    pub(crate) said: String,
    /// What to do about it.
    pub(crate) to_do: Option<String>,
    pub(crate) took: Option<Duration>,
}

impl Finding {
    pub(crate) fn new(area: &'static str, tried: impl Into<String>, outcome: Outcome) -> Self {
        Self { area, tried: tried.into(), outcome, said: String::new(), to_do: None, took: None }
    }

    /// A check that stands on what `failed` says.
    pub(crate) fn not_tried(area: &'static str, tried: impl Into<String>, failed: &str) -> Self {
        Self::new(area, tried, Outcome::NotTried).saying(format!("not tried, since {failed}"))
    }

    pub(crate) fn saying(self, said: impl fmt::Display) -> Self {
        Self { said: advice::unwrapped(&said.to_string()), ..self }
    }

    fn advising(self, to_do: impl Into<String>) -> Self {
        Self { to_do: Some(to_do.into()), ..self }
    }

    fn took(self, took: Duration) -> Self {
        Self { took: Some(took), ..self }
    }

    #[cfg(test)]
    fn advice(&self) -> &str {
        self.to_do.as_deref().unwrap_or_default()
    }
}

/// What the checks share: the time that they have.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    clock: SystemClock,
}

impl Checks {
    /// All of them are done by then.
    pub(crate) const WITHIN: Duration = Duration::from_secs(60);

    /// Since they began.
    pub(crate) fn elapsed(&self) -> Duration {
        self.clock.monotonic()
    }

    /// The answer, and how long it took.
    async fn timed<T>(&self, asked: impl Future<Output = T>) -> (T, Duration) {
        let began = self.clock.monotonic();
        let answer = asked.await;
        (answer, self.clock.monotonic().saturating_sub(began))
    }

    /// The answer, if it comes within `limit` and before the time of all is over, and how long it took.
    async fn within<T, E: fmt::Display>(
        &self,
        limit: Duration,
        asked: impl Future<Output = Result<T, E>>,
    ) -> (Result<T, String>, Duration) {
        let limit = limit.min(Self::WITHIN.saturating_sub(self.elapsed()));
        let (answer, took) = self.timed(tokio::time::timeout(limit, asked)).await;
        let answer = match answer {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer within {limit:.0?}")),
        };
        (answer, took)
    }
}

/// The clients that the checks share; nothing is asked of them yet.
pub(crate) struct Clients {
    pub(crate) config: Arc<Config>,
    pub(crate) offsets: Offsets,
    pub(crate) registry: Arc<Confluent>,
}

/// Checks everything outside of the process but Consul.
pub(crate) async fn all(checks: &Checks, clients: &Clients) -> Vec<Finding> {
    let config = &clients.config;
    let asked = async {
        let ((kafka, topics), registry) =
            tokio::join!(kafka::check(checks, clients), registry::check(checks, clients));
        let records = records::check(checks, clients, topics.as_deref(), registry.is_well).await;
        [kafka, registry.findings, records].concat()
    };
    let (asked, sink, outlets) =
        tokio::join!(asked, Box::pin(sink::check(checks, &config.sink)), reach::outlets(checks, config));
    [asked, sink, outlets].concat()
}
