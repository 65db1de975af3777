//! A store that fails on purpose, for tests.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::{Body, Digest, Listed, ObjectInfo, Sink, SinkError, Stored};

/// One way for a call to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It never reaches the store.
    Refused,
    /// The store does it, but the caller is told that it failed.
    AnswerLost,
    /// It reaches the store only after this time.
    Delay(Duration),
    /// It never reaches the store, and never returns.
    Hang,
}

/// How likely each fault is, per call, from 0 to 1; together at most 1.
#[derive(Clone, Copy, Debug, Default)]
pub struct Chances {
    /// Of [`Fault::Refused`].
    pub refused: f64,
    /// Of [`Fault::AnswerLost`].
    pub answer_lost: f64,
    /// Of a [`Fault::Delay`] of up to [`Chances::longest_delay`].
    pub delay: f64,
    /// The longest delay.
    pub longest_delay: Duration,
    /// Of [`Fault::Hang`].
    pub hang: f64,
}

#[derive(Debug)]
enum Plan {
    Calls(BTreeMap<u64, Fault>),
    Random(Box<StdRng>, Chances),
}

/// Passes calls on to another store, except for those that its plan lets fail. Calls of every kind are counted
/// together, from 1, in the order in which they are first polled.
#[derive(Debug)]
pub struct Faulty {
    inner: Arc<dyn Sink>,
    plan: Mutex<(u64, Plan)>,
}

impl Faulty {
    /// Lets just these calls fail, each given by its number.
    #[must_use]
    pub fn planned(inner: Arc<dyn Sink>, faults: impl IntoIterator<Item = (u64, Fault)>) -> Self {
        Self { inner, plan: Mutex::new((0, Plan::Calls(faults.into_iter().collect()))) }
    }

    /// Lets calls fail by chance; the same seed and order of calls give the same faults.
    #[must_use]
    pub fn seeded(inner: Arc<dyn Sink>, seed: u64, chances: Chances) -> Self {
        Self { inner, plan: Mutex::new((0, Plan::Random(Box::new(StdRng::seed_from_u64(seed)), chances))) }
    }

    /// The number of calls so far.
    #[must_use]
    pub fn calls(&self) -> u64 {
        self.plan.lock().unwrap_or_else(PoisonError::into_inner).0
    }

    /// The next call's fate.
    fn next_fault(&self) -> (u64, Option<Fault>) {
        let mut plan = self.plan.lock().unwrap_or_else(PoisonError::into_inner);
        let (calls, plan) = &mut *plan;
        *calls += 1;
        let fault = match plan {
            Plan::Calls(faults) => faults.remove(calls),
            Plan::Random(random, chances) => chances.draw(random),
        };
        (*calls, fault)
    }

    async fn call<T>(&self, call: impl Future<Output = Result<T, SinkError>>) -> Result<T, SinkError> {
        let (number, fault) = self.next_fault();
        match fault {
            None => call.await,
            Some(Fault::Refused) => Err(injected(number, "refused")),
            Some(Fault::AnswerLost) => {
                call.await?;
                Err(injected(number, "answer lost"))
            }
            Some(Fault::Delay(time)) => {
                tokio::time::sleep(time).await;
                call.await
            }
            Some(Fault::Hang) => std::future::pending().await,
        }
    }
}

impl Chances {
    fn draw(&self, random: &mut StdRng) -> Option<Fault> {
        // Always two numbers a call: so one call's fault doesn't depend on another's kind.
        let mut left: f64 = random.random();
        let delay = self.longest_delay.mul_f64(random.random());
        let faults = [
            (self.refused, Fault::Refused),
            (self.answer_lost, Fault::AnswerLost),
            (self.delay, Fault::Delay(delay)),
            (self.hang, Fault::Hang),
        ];
        for (chance, fault) in faults {
            if left < chance {
                return Some(fault);
            }
            left -= chance;
        }
        None
    }
}

fn injected(call: u64, kind: &str) -> SinkError {
    SinkError::Unavailable(format!("injected fault in call {call}: {kind}"))
}

#[async_trait]
impl Sink for Faulty {
    async fn put(&self, key: &str, digest: Digest, body: Body) -> Result<Stored, SinkError> {
        self.call(self.inner.put(key, digest, body)).await
    }

    async fn put_streaming(
        &self,
        key: &str,
        digest: Digest,
        pieces: BoxStream<'static, Result<Bytes, SinkError>>,
    ) -> Result<Stored, SinkError> {
        self.call(self.inner.put_streaming(key, digest, pieces)).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, SinkError> {
        self.call(self.inner.head(key)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, SinkError> {
        self.call(self.inner.list(prefix, after)).await
    }

    async fn read(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, SinkError> {
        self.call(self.inner.read(key, range)).await
    }

    async fn abort_uploads(&self, key: &str) -> Result<usize, SinkError> {
        self.call(self.inner.abort_uploads(key)).await
    }
}

#[cfg(test)]
mod tests {
    use super::super::memory::MemorySink;
    use super::*;

    fn body() -> Body {
        Body::new(vec![Bytes::from_static(b"rows")])
    }

    #[tokio::test]
    async fn given_a_plan_then_just_its_calls_fail_before_or_after_the_store() {
        let memory = Arc::new(MemorySink::new());
        let plan = [(1, Fault::Refused), (2, Fault::AnswerLost), (4, Fault::Hang)];
        let sink = Faulty::planned(memory.clone(), plan);
        assert!(sink.put("a", Digest(1), body()).await.is_err());
        assert!(memory.objects().is_empty());
        assert!(sink.put("a", Digest(1), body()).await.is_err());
        assert_eq!(memory.objects().len(), 1);
        assert_eq!(sink.put("a", Digest(1), body()).await.unwrap(), Stored::AlreadyThere);
        let hung = tokio::time::timeout(Duration::from_millis(50), sink.head("a")).await;
        assert!(hung.is_err());
        assert!(sink.head("a").await.unwrap().is_some());
        assert_eq!(sink.calls(), 5);
    }

    #[tokio::test]
    async fn given_a_conflict_then_a_lost_answer_does_not_hide_it() {
        let memory = Arc::new(MemorySink::new());
        memory.put_foreign("a", body());
        let sink = Faulty::planned(memory, [(1, Fault::AnswerLost)]);
        assert!(sink.put("a", Digest(1), body()).await.unwrap_err().is_final());
    }

    async fn outcomes(seed: u64) -> Vec<bool> {
        let chances = Chances { refused: 0.3, answer_lost: 0.2, ..Chances::default() };
        let sink = Faulty::seeded(Arc::new(MemorySink::new()), seed, chances);
        let mut outcomes = Vec::new();
        for _ in 0..200 {
            outcomes.push(sink.head("a").await.is_ok());
        }
        outcomes
    }

    #[tokio::test]
    async fn given_the_same_seed_then_the_same_calls_fail_about_as_often_as_asked() {
        assert_eq!(outcomes(1).await, outcomes(1).await);
        assert_ne!(outcomes(1).await, outcomes(2).await);
        let done = outcomes(1).await.iter().filter(|done| **done).count();
        assert!((60..140).contains(&done), "{done} of 200");
    }
}
