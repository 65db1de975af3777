//! A store that is waited for: each call is repeated until it succeeds or only a person can help.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use tokio::sync::Semaphore;

use super::patience::Patience;
use super::{Body, Digest, Listed, ObjectInfo, Sink, SinkError, Stored, len_of, named};
use crate::retry::{Limits, until_final};
use crate::telemetry::troubles::{Dependency, Troubles};

/// How many objects are being stored at once: each is a connection, with buffers that no budget sees.
const PUTS_AT_ONCE: usize = 16;

/// Repeats the calls of another store, with backoff, until they succeed or end in a [`SinkError::Conflict`]; the
/// reason for waiting stands in [`Troubles`] meanwhile. Each attempt is bounded by [`Patience::for_put`].
///
/// A streaming put is passed through as it is: its pieces are gone once they are taken, so the caller makes them
/// again and starts over (with [`until_final`], for example).
#[derive(Debug)]
pub struct Retrying {
    inner: Arc<dyn Sink>,
    troubles: Troubles,
    patience: Patience,
    puts: Arc<Semaphore>,
    /// All but puts.
    others: Semaphore,
}

impl Retrying {
    /// Waits for `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Sink>, troubles: Troubles) -> Self {
        Self::with_patience(inner, troubles, Patience::default())
    }

    /// Waits for `inner`, with other limits on each attempt.
    #[must_use]
    pub fn with_patience(inner: Arc<dyn Sink>, troubles: Troubles, patience: Patience) -> Self {
        let (puts, others) = (Arc::new(Semaphore::new(PUTS_AT_ONCE)), Semaphore::new(Semaphore::MAX_PERMITS));
        Self { inner, troubles, patience, puts, others }
    }

    /// Shares the permits for its puts with other stores.
    #[must_use]
    pub fn in_turns(mut self, puts: Arc<Semaphore>) -> Self {
        self.puts = puts;
        self
    }

    /// Repeats a call that moves `len` bytes.
    async fn wait<T, F, Fut>(&self, what: String, len: u64, attempt: F) -> Result<T, SinkError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, SinkError>>,
    {
        self.wait_in_turn(what, len, &self.others, attempt).await
    }

    async fn wait_in_turn<T, F, Fut>(
        &self,
        what: String,
        len: u64,
        turns: &Semaphore,
        attempt: F,
    ) -> Result<T, SinkError>
    where
        F: FnMut() -> Fut,
        Fut: Future<Output = Result<T, SinkError>>,
    {
        let limits = Limits { told: self.patience.for_silence(len), ended: self.patience.for_put(len) };
        until_final(&self.troubles, Dependency::Sink, &what, limits, turns, SinkError::is_final, attempt)
            .await
    }
}

#[async_trait]
impl Sink for Retrying {
    async fn put(&self, key: &str, digest: Digest, body: Body) -> Result<Stored, SinkError> {
        let put = || self.inner.put(key, digest, body.clone());
        self.wait_in_turn(format!("put {key}"), body.len(), &self.puts, put).await
    }

    async fn put_streaming(
        &self,
        key: &str,
        digest: Digest,
        pieces: BoxStream<'static, Result<Bytes, SinkError>>,
    ) -> Result<Stored, SinkError> {
        self.inner.put_streaming(key, digest, pieces).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, SinkError> {
        self.wait(format!("look up {key}"), 0, || self.inner.head(key)).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, SinkError> {
        self.wait(format!("list {}", named(prefix)), 0, || self.inner.list(prefix, after)).await
    }

    async fn read(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, SinkError> {
        self.wait(format!("read {key}"), len_of(&range), || self.inner.read(key, range.clone())).await
    }

    async fn abort_uploads(&self, key: &str) -> Result<usize, SinkError> {
        self.wait(format!("abort the uploads to {key}"), 0, || self.inner.abort_uploads(key)).await
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::fault::{Fault, Faulty};
    use super::super::memory::MemorySink;
    use super::*;

    fn retrying(faults: impl IntoIterator<Item = (u64, Fault)>) -> (Retrying, Arc<MemorySink>, Troubles) {
        let memory = Arc::new(MemorySink::new());
        let troubles = Troubles::default();
        let faulty = Arc::new(Faulty::planned(memory.clone(), faults));
        let patience = Patience { answer: Duration::from_millis(20), bytes_per_second: u64::MAX };
        (Retrying::with_patience(faulty, troubles.clone(), patience), memory, troubles)
    }

    fn body() -> Body {
        Body::new(vec![Bytes::from_static(b"rows")])
    }

    #[tokio::test]
    async fn given_a_store_that_fails_at_first_then_the_put_is_repeated_until_it_is_done() {
        let (sink, memory, troubles) = retrying([(1, Fault::Refused), (2, Fault::Refused)]);
        assert_eq!(sink.put("a", Digest(1), body()).await.unwrap(), Stored::Created);
        assert_eq!(memory.puts(), 1);
        assert!(troubles.lines().is_empty());
    }

    #[tokio::test]
    async fn given_a_lost_answer_then_the_repeated_put_finds_the_object_there() {
        let (sink, memory, _) = retrying([(1, Fault::AnswerLost)]);
        assert_eq!(sink.put("a", Digest(1), body()).await.unwrap(), Stored::AlreadyThere);
        assert_eq!(memory.puts(), 2);
    }

    #[tokio::test]
    async fn given_a_call_that_hangs_then_it_is_given_up_and_repeated() {
        let (sink, _, _) = retrying([(1, Fault::Hang), (2, Fault::Hang)]);
        assert_eq!(sink.head("a").await.unwrap(), None);
    }

    #[tokio::test]
    async fn given_faults_then_listings_reads_and_aborts_are_repeated() {
        let faults = [Fault::Refused, Fault::Hang, Fault::AnswerLost];
        for fault in faults {
            let (sink, memory, troubles) = retrying([1, 3, 5].map(|call| (call, fault)));
            memory.put_foreign("a", body());
            assert_eq!(sink.list("", None).await.unwrap(), [Listed { key: "a".to_owned(), len: 4 }]);
            assert_eq!(sink.read("a", 1..9).await.unwrap(), Some(Bytes::from_static(b"ows")));
            assert_eq!(sink.abort_uploads("a").await.unwrap(), 0);
            assert!(troubles.lines().is_empty(), "{fault:?}");
        }
    }

    #[tokio::test]
    async fn given_more_keys_that_are_refused_than_puts_at_once_then_another_is_stored_all_the_same() {
        let memory = Arc::new(MemorySink::new());
        let refusing =
            Faulty::planned(Arc::new(MemorySink::new()), (1..1_000).map(|call| (call, Fault::Refused)));
        let puts = Arc::new(Semaphore::new(2));
        let in_turns = |sink: Arc<dyn Sink>| Retrying::new(sink, Troubles::default()).in_turns(puts.clone());
        let (refused, well) = (in_turns(Arc::new(refusing)), in_turns(memory.clone()));
        let never = futures_util::future::join_all((0..4).map(|_| refused.put("a", Digest(1), body())));
        tokio::select! {
            biased;
            stored = never => panic!("{stored:?}"),
            stored = well.put("b", Digest(1), body()) => assert_eq!(stored.unwrap(), Stored::Created),
        }
    }

    #[tokio::test]
    async fn given_a_conflict_then_it_is_handed_back_at_once() {
        let (sink, memory, troubles) = retrying([]);
        memory.put_foreign("a", body());
        let error = sink.put("a", Digest(1), body()).await.unwrap_err();
        assert!(error.is_final());
        assert_eq!(memory.puts(), 1);
        assert!(troubles.lines().is_empty());
    }

    #[tokio::test]
    async fn given_an_outage_then_its_reason_stands_among_the_troubles_meanwhile() {
        let (sink, _, troubles) = retrying((1..1000).map(|call| (call, Fault::Refused)));
        let put = sink.put("a", Digest(1), body());
        let watch = async {
            while troubles.lines().is_empty() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            troubles.lines()
        };
        let lines = tokio::select! {
            outcome = put => panic!("done during the outage: {outcome:?}"),
            lines = watch => lines,
        };
        assert!(lines.len() == 1 && lines[0].starts_with("sink: put a: "), "{lines:?}");
        assert!(troubles.lines().is_empty(), "over when the call is dropped");
    }
}
