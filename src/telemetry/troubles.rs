//! What is wrong with the world right now, and why: read by `/readyz`, the log and the status page.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Something outside the process that valve cannot work without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependency {
    /// Consul, which has some of the settings.
    Consul,
    /// The Kafka brokers.
    Kafka,
    /// The schema registry.
    Registry,
    /// The object store or directory that files are written to.
    Sink,
    /// The dead-letter topic.
    DeadLetterTopic,
    /// The good records of a topic, of which too many are bad.
    DeadLetterLimit,
}

impl Dependency {
    /// Every dependency.
    pub const ALL: [Self; 6] =
        [Self::Consul, Self::Kafka, Self::Registry, Self::Sink, Self::DeadLetterTopic, Self::DeadLetterLimit];

    /// The name used in logs, metric labels and `/readyz`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Consul => "consul",
            Self::Kafka => "kafka",
            Self::Registry => "registry",
            Self::Sink => "sink",
            Self::DeadLetterTopic => "dead_letter_topic",
            Self::DeadLetterLimit => "dead_letter_limit",
        }
    }
}

/// The troubles of the process. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    open: Arc<Mutex<BTreeMap<(Dependency, u64), Stated>>>,
    next: Arc<AtomicU64>,
}

/// Why one caller waits.
#[derive(Debug, Default)]
struct Stated {
    reason: String,
    /// The reasons that were logged since it began to wait: a client in trouble may alternate between several.
    said: Vec<String>,
}

/// Reasons beyond these are logged again when they come again.
const REMEMBERED: usize = 8;

impl Stated {
    /// Takes a reason in; whether it is news.
    fn is_news(&mut self, reason: String) -> bool {
        let news = !self.said.contains(&reason);
        if news {
            self.said.truncate(REMEMBERED - 1);
            self.said.insert(0, reason.clone());
        }
        self.reason = reason;
        news
    }
}

impl Troubles {
    /// A place for one caller's trouble with `dependency`; empty until [`Trouble::set`], gone when dropped.
    #[must_use]
    pub fn open(&self, dependency: Dependency) -> Trouble {
        let key = (dependency, self.next.fetch_add(1, Ordering::Relaxed));
        Trouble { troubles: self.clone(), key }
    }

    /// The reason of each troubled caller, sorted by dependency.
    #[must_use]
    pub fn reasons(&self) -> Vec<(Dependency, String)> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().map(|((dependency, _), stated)| (*dependency, stated.reason.clone())).collect()
    }

    /// How many callers are troubled by each dependency.
    #[must_use]
    pub fn numbers(&self) -> BTreeMap<Dependency, u64> {
        let mut numbers: BTreeMap<_, _> =
            Dependency::ALL.into_iter().map(|dependency| (dependency, 0)).collect();
        for (dependency, _) in self.open.lock().unwrap_or_else(PoisonError::into_inner).keys() {
            *numbers.entry(*dependency).or_default() += 1;
        }
        numbers
    }

    /// What is wrong, `dependency: reason`, sorted by dependency; what several callers say is there once.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let reasons = self.reasons().into_iter();
        let mut lines: Vec<_> =
            reasons.map(|(dependency, reason)| format!("{}: {reason}", dependency.name())).collect();
        let mut said = HashSet::new();
        lines.retain(|line| said.insert(line.clone()));
        lines
    }
}

/// One caller's trouble with one dependency. Dropped, it is over without a word: perhaps nobody waits any more.
pub struct Trouble {
    troubles: Troubles,
    key: (Dependency, u64),
}

impl Trouble {
    /// States the reason, in place of an earlier one. Each is logged once, until all is well again.
    pub fn set(&self, reason: String) {
        super::metrics::RETRIES.add(1, &[("dependency", self.key.0.name())]);
        let mut open = self.troubles.open.lock().unwrap_or_else(PoisonError::into_inner);
        let stated = open.entry(self.key).or_default();
        if stated.is_news(reason) {
            let (dependency, reason) = (self.key.0.name(), &stated.reason);
            tracing::warn!(dependency, reason, "waiting for a dependency");
            super::metrics::DEPENDENCY_TROUBLES.add(1, &[("dependency", dependency)]);
        }
    }

    /// States that all is well again.
    pub fn clear(&self) {
        let mut open = self.troubles.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.remove(&self.key).is_some() {
            tracing::info!(dependency = self.key.0.name(), "the dependency answers again");
        }
    }
}

impl Drop for Trouble {
    fn drop(&mut self) {
        self.troubles.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl fmt::Debug for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trouble").field("dependency", &self.key.0).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_callers_with_the_same_trouble_then_it_is_told_once_until_none_has_it() {
        let troubles = Troubles::default();
        let callers = [troubles.open(Dependency::Sink), troubles.open(Dependency::Sink)];
        callers.iter().for_each(|caller| caller.set("away".to_owned()));
        assert_eq!(troubles.lines(), ["sink: away"]);
        callers[0].clear();
        assert_eq!(troubles.lines(), ["sink: away"]);
        drop(callers);
        assert_eq!(troubles.lines(), [] as [String; 0]);
    }

    #[test]
    fn given_reasons_that_alternate_then_each_is_news_once_and_the_last_one_stands() {
        let mut stated = Stated::default();
        let news = ["a", "b", "a", "b", "c"].map(|reason| stated.is_news(reason.to_owned()));
        assert_eq!(news, [true, true, false, false, true]);
        assert_eq!(stated.reason, "c");
    }
}
