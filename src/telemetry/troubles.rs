//! What is wrong with the world right now, and why: read by `/readyz`, the log and the status page.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

/// Something outside the process that valve cannot work without.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dependency {
    /// The Kafka brokers.
    Kafka,
    /// The schema registry.
    Registry,
    /// The object store or directory that files are written to.
    Sink,
    /// The dead-letter topic.
    DeadLetterTopic,
}

impl Dependency {
    /// The name used in logs, metric labels and `/readyz`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kafka => "kafka",
            Self::Registry => "registry",
            Self::Sink => "sink",
            Self::DeadLetterTopic => "dead_letter_topic",
        }
    }
}

/// The troubles of the process. Cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Troubles {
    open: Arc<Mutex<BTreeMap<(Dependency, u64), String>>>,
    next: Arc<AtomicU64>,
}

impl Troubles {
    /// A place for one caller's trouble with `dependency`; empty until [`Trouble::set`], gone when dropped.
    #[must_use]
    pub fn open(&self, dependency: Dependency) -> Trouble {
        let key = (dependency, self.next.fetch_add(1, Ordering::Relaxed));
        Trouble { troubles: self.clone(), key }
    }

    /// One line per troubled caller, `dependency: reason`, sorted by dependency.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().map(|((dependency, _), reason)| format!("{}: {reason}", dependency.name())).collect()
    }
}

/// One caller's trouble with one dependency; it is over when this is dropped.
pub struct Trouble {
    troubles: Troubles,
    key: (Dependency, u64),
}

impl Trouble {
    /// States the reason, in place of an earlier one. The first time, and whenever it changes, it is logged.
    pub fn set(&self, reason: String) {
        let mut open = self.troubles.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.get(&self.key) != Some(&reason) {
            tracing::warn!(dependency = self.key.0.name(), reason = %reason, "waiting for a dependency");
            super::metrics::DEPENDENCY_TROUBLES.add(1, &[("dependency", self.key.0.name())]);
            open.insert(self.key, reason);
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
        self.clear();
    }
}

impl fmt::Debug for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trouble").field("dependency", &self.key.0).finish_non_exhaustive()
    }
}
