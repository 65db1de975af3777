//! Making an object visible unless one is there: what every put ends in, of whatever kind.
//!
//! What the store's answer means (docs/protocol.md, "Storing is conditional"):
//!
//! | answer | what is done |
//! |---|---|
//! | 412 | somebody was there first: the digests decide between success and conflict |
//! | 409, `NoSuchUpload` and other refusals | this attempt is over, and the next one starts the file again |
//! | 501 | lookup first, then a plain write |
//! | none, or one cut off | lookup: it may have been done; if it wasn't, the file is started again |
//!
//! Nothing but a success of this request or an object with the same digest counts as stored. `NoSuchUpload` never
//! does, even though an earlier request may have completed the upload: another process may as well have aborted it.

use std::sync::atomic::Ordering;

use super::super::refusal::{Meaning, Refusal};
use super::super::{Digest, SinkError, Stored, verdict};
use super::S3Sink;

/// The `If-None-Match` of a write.
pub(super) type Condition = Option<&'static str>;
/// Only where there is no object.
pub(super) const UNLESS_THERE: Condition = Some("*");

impl S3Sink {
    /// Makes `key` visible unless an object is there. `write` sends the request, with or
    /// without the condition.
    pub(super) async fn write_once<F, Fut>(
        &self,
        doing: &str,
        key: &str,
        digest: Digest,
        write: F,
    ) -> Result<Stored, SinkError>
    where
        F: Fn(Condition) -> Fut + Send,
        Fut: Future<Output = Result<(), Refusal>> + Send,
    {
        let known = self.unconditional.load(Ordering::Relaxed);
        if !known {
            match write(UNLESS_THERE).await {
                Ok(()) => return Ok(Stored::Created),
                Err(refusal) if refusal.meaning() == Meaning::NotImplemented => {}
                Err(refusal) => return self.settle(doing, key, digest, &refusal).await,
            }
        }
        if let Some(stored) = self.compare(key, digest).await? {
            return Ok(stored);
        }
        if let Err(refusal) = write(None).await {
            return self.settle(doing, key, digest, &refusal).await;
        }
        // Only now it is sure that the condition was what the store did not offer.
        if !known && !self.unconditional.swap(true, Ordering::Relaxed) {
            tracing::warn!(store = %self.place, "the store has no conditional writes: valve asks before it writes, \
                but two processes that store one file at the same moment both will");
        }
        Ok(Stored::Created)
    }

    /// What a failed write means.
    async fn settle(
        &self,
        doing: &str,
        key: &str,
        digest: Digest,
        refusal: &Refusal,
    ) -> Result<Stored, SinkError> {
        match refusal.meaning() {
            Meaning::Exists => self.compare(key, digest).await?.ok_or_else(|| {
                let place = &self.place;
                SinkError::Unavailable(format!(
                    "{doing} {key} in {place}: it was there and is gone: start again"
                ))
            }),
            // The bytes may be there all the same. A store may also say 412 and hang up while the body is still
            // being sent, and the answer is lost every time: only the lookup ends that.
            Meaning::NoAnswer => match self.compare(key, digest).await {
                Ok(Some(stored)) => Ok(stored),
                Err(conflict @ SinkError::Conflict { .. }) => Err(conflict),
                Ok(None) | Err(_) => Err(self.unavailable(doing, key, refusal)),
            },
            Meaning::NotImplemented | Meaning::Refused => Err(self.unavailable(doing, key, refusal)),
        }
    }

    /// What an object that is there already means for a put; `None` when there is none.
    pub(super) async fn compare(&self, key: &str, digest: Digest) -> Result<Option<Stored>, SinkError> {
        match self.look_up(key).await? {
            Some(there) => verdict(key, digest, there.digest).map(Some),
            None => Ok(None),
        }
    }
}
