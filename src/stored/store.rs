//! Asks a sink for this valve's files: lists keys, reads beginnings.
//!
//! Calls are as patient as the sink that they go to. However large or hostile what lies there is, what is held stays
//! bounded: a page of keys, the first [`FIRST_READ`] bytes of as many objects as are read at once, and of one object at
//! a time up to [`MAX_HEADER`].

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{TryStreamExt as _, iter, try_unfold};
use futures_util::{Stream, future};
use tokio::sync::{Semaphore, SemaphorePermit};

use super::header::{Recognised, recognise};
use crate::sink::{Listed, Sink, SinkError};

/// How much of an object is read at first, in bytes: most headers are shorter.
pub const FIRST_READ: u64 = 16 * 1024;

/// A header longer than this, in bytes, is none. Its bulk is the schema's text and the list of a batch's files.
pub const MAX_HEADER: u64 = 64 << 20;

/// How many objects' beginnings are read at once.
pub const AT_ONCE: usize = 32;

/// A sink, and whose files are looked for in it. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Store {
    sink: Arc<dyn Sink>,
    name: Arc<str>,
    /// For whoever holds more than a first read.
    long: Arc<Semaphore>,
}

impl Store {
    /// The files of the valve `name` in `sink`.
    #[must_use]
    pub fn new(sink: Arc<dyn Sink>, name: impl Into<Arc<str>>) -> Self {
        Self { sink, name: name.into(), long: Arc::new(Semaphore::new(1)) }
    }

    /// The objects whose key begins with `prefix` and may be a file of some valve, in the order of their keys.
    pub fn list(&self, prefix: String) -> impl Stream<Item = Result<Listed, SinkError>> + Send + 'static {
        let sink = Arc::clone(&self.sink);
        let pages = try_unfold((sink, prefix, None::<String>), |(sink, prefix, after)| async move {
            let page = sink.list(&prefix, after.as_deref()).await?;
            let last = page.last().map(|listed| listed.key.clone());
            Ok(last.map(|last| (page, (sink, prefix, Some(last)))))
        });
        let pages = pages.map_ok(|page| iter(page.into_iter().map(Ok))).try_flatten();
        pages.try_filter(|listed| future::ready(has_uuid(&listed.key)))
    }

    /// What the object under `key` is; `None` when it is gone.
    ///
    /// # Errors
    /// When the sink gives up.
    pub async fn recognise(&self, key: &str) -> Result<Option<Recognised>, SinkError> {
        let Some(first) = self.sink.read(key, 0..FIRST_READ).await? else { return Ok(None) };
        let whole = (first.len() as u64) < FIRST_READ;
        match recognise(&self.name, key, &first, whole) {
            Some(recognised) => Ok(Some(recognised)),
            None => self.recognise_long(key, first).await,
        }
    }

    /// Bytes of an object, from `from` on; fewer where it ends.
    pub(crate) async fn read(&self, key: &str, from: u64, len: u64) -> Result<Bytes, SinkError> {
        Ok(self.sink.read(key, from..from.saturating_add(len)).await?.unwrap_or_default())
    }

    /// Reads on, eight times as far each time.
    async fn recognise_long(&self, key: &str, first: Bytes) -> Result<Option<Recognised>, SinkError> {
        let _permit = self.one_at_a_time().await;
        let mut beginning = BytesMut::from(&first[..]);
        while (beginning.len() as u64) < MAX_HEADER {
            let from = beginning.len() as u64;
            let to = from.saturating_mul(8).min(MAX_HEADER);
            let Some(more) = self.sink.read(key, from..to).await? else { return Ok(None) };
            let whole = (more.len() as u64) < to - from;
            beginning.extend_from_slice(&more);
            if let Some(recognised) = recognise(&self.name, key, &beginning, whole) {
                return Ok(Some(recognised));
            }
        }
        Ok(Some(Recognised::Foreign))
    }

    async fn one_at_a_time(&self) -> Option<SemaphorePermit<'_>> {
        // Nobody closes it.
        self.long.acquire().await.ok()
    }
}

/// Whether `key` has a UUID in it, as every file's key must.
fn has_uuid(key: &str) -> bool {
    let is_uuid = |window: &[u8]| {
        window.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
    };
    key.as_bytes().windows(36).any(is_uuid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_keys_then_those_with_a_uuid_may_be_files() {
        assert!(has_uuid("a/orders_12-messages_3ac93d9f-271d-57c4-aab8-65f109857053.avro"));
        assert!(has_uuid("3ac93d9f-271d-57c4-aab8-65f109857053"));
        for key in
            ["", "a/b.avro", "3ac93d9f-271d-57c4-aab8-65f10985705", "3ac93d9f_271d-57c4-aab8-65f109857053"]
        {
            assert!(!has_uuid(key), "{key}");
        }
    }
}
