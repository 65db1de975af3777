//! A store in memory, for tests.

use std::collections::BTreeMap;
use std::ops::{Bound, Range};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::{Body, Digest, LIST_PAGE, Listed, ObjectInfo, Sink, SinkError, Stored, verdict};

/// One stored object.
#[derive(Clone, Debug)]
pub struct MemoryObject {
    /// The digest that it was stored with; `None` when another tool put it there.
    pub digest: Option<Digest>,
    /// Its bytes.
    pub body: Body,
}

/// Objects in a map.
#[derive(Debug, Default)]
pub struct MemorySink {
    objects: Mutex<BTreeMap<String, MemoryObject>>,
    puts: AtomicU64,
}

impl MemorySink {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// All objects as they are now, by key. Bytes are shared, not copied.
    #[must_use]
    pub fn objects(&self) -> BTreeMap<String, MemoryObject> {
        self.locked().clone()
    }

    /// How many puts have been asked for, whatever became of them.
    #[must_use]
    pub fn puts(&self) -> u64 {
        self.puts.load(Ordering::Relaxed)
    }

    /// Puts an object without a digest, as another tool would, in place of any other.
    pub fn put_foreign(&self, key: impl Into<String>, body: Body) {
        self.locked().insert(key.into(), MemoryObject { digest: None, body });
    }

    fn store(&self, key: &str, digest: Digest, body: Body) -> Result<Stored, SinkError> {
        let mut objects = self.locked();
        if let Some(there) = objects.get(key) {
            return verdict(key, digest, there.digest);
        }
        objects.insert(key.to_owned(), MemoryObject { digest: Some(digest), body });
        Ok(Stored::Created)
    }

    fn locked(&self) -> MutexGuard<'_, BTreeMap<String, MemoryObject>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Sink for MemorySink {
    async fn put(&self, key: &str, digest: Digest, body: Body) -> Result<Stored, SinkError> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        self.store(key, digest, body)
    }

    async fn put_streaming(
        &self,
        key: &str,
        digest: Digest,
        mut pieces: BoxStream<'static, Result<Bytes, SinkError>>,
    ) -> Result<Stored, SinkError> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        let mut body = Vec::new();
        while let Some(piece) = pieces.next().await {
            body.push(piece?);
        }
        self.store(key, digest, Body::new(body))
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, SinkError> {
        let objects = self.locked();
        Ok(objects.get(key).map(|object| ObjectInfo { len: object.body.len(), digest: object.digest }))
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, SinkError> {
        let begin = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            _ => Bound::Included(prefix),
        };
        let objects = self.locked();
        let listed = objects
            .range::<str, _>((begin, Bound::Unbounded))
            .take_while(|(key, _)| key.starts_with(prefix))
            .take(LIST_PAGE)
            .map(|(key, object)| Listed { key: key.clone(), len: object.body.len() });
        Ok(listed.collect())
    }

    async fn read(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, SinkError> {
        Ok(self.locked().get(key).map(|object| cut(&object.body, &range)))
    }
}

/// The bytes `range` of `body`, as far as it has them.
fn cut(body: &Body, range: &Range<u64>) -> Bytes {
    let whole = Bytes::from(body.pieces().concat());
    let bound = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(whole.len());
    let (start, end) = (bound(range.start), bound(range.end));
    if start < end { whole.slice(start..end) } else { Bytes::new() }
}
