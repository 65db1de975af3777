//! The process's schemas, each asked for once.
//!
//! What an id stands for never changes, so a schema, or the verdict that it can never be used, is kept for the life
//! of the process: its text and what is compiled from it, some ten kilobytes for each schema that valve meets. What
//! is *not* known is never kept as a verdict, only since when the registry has been saying so.
//!
//! This module owns the decision that an id is unknown (docs/protocol.md, "Deciding that a schema id is unknown"): the
//! last answer was 40403, and its request was sent at least `registry.unknown_after` after the first such answer
//! came, with no other answer in between. An outage is not an answer: it neither counts nor starts the time anew, and
//! a look-up outlasts it. The time is remembered from one look-up to the next, so that a topic full of one
//! bad id doesn't cost every batch the whole wait; after two minutes without a 40403 for that id it is forgotten, for
//! by then the id may have been given out, and only a replica may lag.

use std::collections::HashMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};

use super::{Answer, RawSchema, SchemaSource};
use crate::avro::references;
use crate::avro::schema::{UnusableSchema, WriterSchema};
use crate::clock::Clock;
use crate::retry::Backoff;
use crate::telemetry::troubles::{Dependency, Trouble, Troubles};
use crate::types::SchemaId;

/// For how many ids it is remembered since when they have been unknown: there are 2^32 for a hostile producer.
const MAX_DOUBTS: usize = 10_000;
/// For how long after the last 40403.
const DOUBT_KEPT: Duration = Duration::from_secs(120);

/// What is behind a schema id.
#[derive(Clone, Debug)]
pub enum Lookup {
    /// This schema.
    Known(Arc<WriterSchema>),
    /// Something that valve can never store records of, and why.
    Unusable(Arc<str>),
    /// Nothing, says the registry, and has said so for `registry.unknown_after`.
    Unknown,
}

/// The schemas of the process. Cloning shares them.
#[derive(Clone)]
pub struct SchemaCache {
    inner: Arc<Inner>,
}

struct Inner {
    source: Arc<dyn SchemaSource>,
    unknown_after: Duration,
    clock: Arc<dyn Clock>,
    troubles: Troubles,
    state: Mutex<State>,
}

type Asking = Pin<Box<dyn Future<Output = Lookup> + Send>>;

#[derive(Default)]
struct State {
    /// [`Lookup::Known`] and [`Lookup::Unusable`] only.
    settled: HashMap<SchemaId, Lookup>,
    /// Look-ups under way, for as long as somebody waits for them.
    asking: HashMap<SchemaId, WeakShared<Asking>>,
    doubts: HashMap<SchemaId, Doubt>,
}

/// When the registry first and last said that it doesn't know an id, in the clock's monotonic time.
#[derive(Clone, Copy)]
struct Doubt {
    first: Duration,
    last: Duration,
}

impl SchemaCache {
    /// An empty cache in front of `source`.
    #[must_use]
    pub fn new(
        source: Arc<dyn SchemaSource>,
        unknown_after: Duration,
        clock: Arc<dyn Clock>,
        troubles: Troubles,
    ) -> Self {
        let state = Mutex::default();
        Self { inner: Arc::new(Inner { source, unknown_after, clock, troubles, state }) }
    }

    /// What is known of `id` without asking anybody; never [`Lookup::Unknown`].
    #[must_use]
    pub fn known(&self, id: SchemaId) -> Option<Lookup> {
        self.inner.state().settled.get(&id).cloned()
    }

    /// What is behind `id`, asking the registry until it answers, for ever if need be; meanwhile the reason stands
    /// in the troubles. Look-ups of one id at the same time share their requests. Dropping the future is harmless.
    pub async fn lookup(&self, id: SchemaId) -> Lookup {
        let asking = {
            let mut state = self.inner.state();
            if let Some(settled) = state.settled.get(&id) {
                return settled.clone();
            }
            let under_way = state.asking.get(&id).and_then(WeakShared::upgrade);
            under_way.unwrap_or_else(|| {
                let asking = self.inner.clone().ask(id).boxed().shared();
                state.keep_asking(id, &asking);
                asking
            })
        };
        asking.await
    }
}

impl fmt::Debug for SchemaCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let settled = self.inner.state().settled.len();
        f.debug_struct("SchemaCache").field("settled", &settled).finish_non_exhaustive()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks until there is a verdict, and notes it.
    async fn ask(self: Arc<Self>, id: SchemaId) -> Lookup {
        let trouble = self.troubles.open(Dependency::Registry);
        let lookup = self.insist(id, &trouble).await;
        trouble.clear();
        lookup
    }

    async fn insist(&self, id: SchemaId, trouble: &Trouble) -> Lookup {
        let mut backoff = Backoff::default();
        loop {
            let asked_at = self.clock.monotonic();
            let wait = match self.source.schema(id).await {
                Ok(Answer::Found(raw)) => return self.settle(id, use_schema(id, &raw)),
                Ok(Answer::Unusable(reason)) => return self.settle(id, Lookup::Unusable(reason.into())),
                Ok(Answer::Unknown) => match self.doubt(id, asked_at, trouble) {
                    Some(left) => backoff.next_wait().min(left),
                    None => return Lookup::Unknown,
                },
                Err(reason) => {
                    trouble.set(format!("schema id {id}: {reason}"));
                    backoff.next_wait()
                }
            };
            tokio::time::sleep(wait).await;
        }
    }

    fn settle(&self, id: SchemaId, lookup: Lookup) -> Lookup {
        let mut state = self.state();
        state.settled.insert(id, lookup.clone());
        state.asking.remove(&id);
        state.doubts.remove(&id);
        lookup
    }

    /// Takes in a 40403 to a request sent at `asked_at`: how long to doubt it still, or `None` when it is believed.
    fn doubt(&self, id: SchemaId, asked_at: Duration, trouble: &Trouble) -> Option<Duration> {
        let now = self.clock.monotonic();
        let mut state = self.state();
        let doubt = state.doubt(id, now);
        if asked_at.checked_sub(doubt.first).is_some_and(|doubted| doubted >= self.unknown_after) {
            state.asking.remove(&id);
            return None;
        }
        drop(state);
        let patience = self.unknown_after;
        trouble.set(format!(
            "schema id {id} is unknown to the registry; asked again until {patience:?} have passed"
        ));
        Some(patience.saturating_sub(now.saturating_sub(doubt.first)))
    }
}

impl State {
    fn keep_asking(&mut self, id: SchemaId, asking: &Shared<Asking>) {
        self.asking.retain(|_, asking| asking.upgrade().is_some());
        self.asking.extend(asking.downgrade().map(|asking| (id, asking)));
    }

    /// Notes that `id` was unknown at `now`.
    fn doubt(&mut self, id: SchemaId, now: Duration) -> Doubt {
        let is_kept = |doubt: &Doubt| now.saturating_sub(doubt.last) <= DOUBT_KEPT;
        let first = self.doubts.get(&id).filter(|doubt| is_kept(doubt)).map_or(now, |doubt| doubt.first);
        let doubt = Doubt { first, last: now };
        if self.doubts.len() >= MAX_DOUBTS && !self.doubts.contains_key(&id) {
            self.doubts.retain(|_, doubt| is_kept(doubt));
            self.forget_oldest();
        }
        self.doubts.insert(id, doubt);
        doubt
    }

    fn forget_oldest(&mut self) {
        if self.doubts.len() >= MAX_DOUBTS {
            let oldest = self.doubts.iter().min_by_key(|(_, doubt)| doubt.last).map(|(id, _)| *id);
            self.doubts.retain(|id, _| Some(*id) != oldest);
        }
    }
}

/// What becomes of a schema that the registry has; never [`Lookup::Unknown`].
pub(crate) fn use_schema(id: SchemaId, raw: &RawSchema) -> Lookup {
    let schema = references::inline(raw).and_then(|text| WriterSchema::new(id, &text));
    match schema {
        Ok(schema) => Lookup::Known(Arc::new(schema)),
        Err(UnusableSchema(reason)) => Lookup::Unusable(reason.into()),
    }
}

#[cfg(test)]
mod tests;
