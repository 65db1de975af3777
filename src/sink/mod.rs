//! Where files go: a small trait, three stores, and wrappers that add one thing each.
//!
//! Every store is *conditional*: an object that is there is never replaced. Putting one again with the same
//! digest is a success, with another digest a [`SinkError::Conflict`] that only a person can resolve.
//!
//! One conformance suite (`tests/end_to_end/sink_conformance.rs`) says what a store must do, and all three pass it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use crate::config::SinkConfig;

#[cfg(any(test, feature = "fault-points"))]
pub mod fault;
mod header_digest;
pub mod local;
#[cfg(any(test, feature = "fault-points"))]
pub mod memory;
mod parts;
pub mod patience;
mod pieces;
mod refusal;
pub mod retry;
pub mod s3;

/// The digest of an object's rows (docs/protocol.md, "Identity of a file"), stored with it: as
/// `x-amz-meta-valve-digest` in S3, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub u128);

impl Digest {
    /// Reads what `Display` writes: exactly 32 hexadecimal digits.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_digest = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_digest { u128::from_str_radix(text, 16).ok().map(Self) } else { None }
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

/// The metadata name under which the digest is stored with an object.
pub const DIGEST_METADATA: &str = "valve-digest";

/// The metadata name under which the digest stands in a file's own header. The local sink finds it there.
pub const DIGEST_IN_HEADER: &str = "valve.digest";

/// An object's bytes, as the pieces they were made in; cloning shares them.
#[derive(Clone, Debug, Default)]
pub struct Body {
    pieces: Arc<[Bytes]>,
    len: u64,
}

impl Body {
    /// A body of `pieces`, one after the other.
    #[must_use]
    pub fn new(pieces: Vec<Bytes>) -> Self {
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        Self { pieces: pieces.into(), len }
    }

    /// The pieces, in order.
    #[must_use]
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// The length of all pieces together, in bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is no byte in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// What a put did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The object is new.
    Created,
    /// An object with the same digest was there already.
    AlreadyThere,
}

/// Why a sink call failed, by what the caller does about it.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The key holds other rows. Hold the partition: never skip, never overwrite.
    #[error("{key} is there with digest {theirs}, not {ours}: other rows are stored under this key", theirs = .theirs.map_or_else(|| "(none)".to_owned(), |d| d.to_string()))]
    Conflict {
        /// The object's key.
        key: String,
        /// The digest of what was to be stored.
        ours: Digest,
        /// The digest of what is there; `None` when it carries none.
        theirs: Option<Digest>,
    },
    /// The store is unreachable, throttles, denies, or lacks the bucket: wait and try again.
    #[error("{0}")]
    Unavailable(String),
}

impl SinkError {
    /// Whether repeating the call is pointless.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Conflict { .. })
    }
}

/// A setting with which no sink can be made: the process stops with exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{setting}: {reason}")]
pub struct OpenError {
    /// The setting's name, for example `sink.region`.
    pub setting: &'static str,
    /// What is wrong with it, and what to do.
    pub reason: String,
}

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its length in bytes.
    pub len: u64,
    /// The digest that it was stored with, if any.
    pub digest: Option<Digest>,
}

/// One object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its key.
    pub key: String,
    /// Its length in bytes.
    pub len: u64,
}

/// The most objects that one [`Sink::list`] returns: as many as S3 does.
pub const LIST_PAGE: usize = 1000;

/// A place for immutable objects. All calls are safe to repeat; dropping a call's future abandons it, after
/// which the object is either there whole or not there.
#[async_trait]
pub trait Sink: fmt::Debug + Send + Sync {
    /// Stores `body` under `key` unless an object is there already.
    async fn put(&self, key: &str, digest: Digest, body: Body) -> Result<Stored, SinkError>;

    /// Like [`Sink::put`] for a body that is made while it is being stored and never held whole. Nothing
    /// becomes visible unless `pieces` ends without an error. When the object is there already, `pieces` may be
    /// left unread.
    async fn put_streaming(
        &self,
        key: &str,
        digest: Digest,
        pieces: BoxStream<'static, Result<Bytes, SinkError>>,
    ) -> Result<Stored, SinkError>;

    /// Looks `key` up; `None` when nothing is there.
    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, SinkError>;

    /// The objects whose key begins with `prefix` (any text, not only whole names), by key in ascending order of
    /// its bytes, beginning behind the key `after`. At most [`LIST_PAGE`]; empty when there are no more. What
    /// is stored while a listing is under way may be missing from it.
    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, SinkError>;

    /// The bytes `range` of an object: fewer where it ends earlier, none where it ends before the range; `None`
    /// when nothing is there. They are held in memory.
    async fn read(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, SinkError>;

    /// Aborts the uploads to `key` that were begun and not completed, and says how many: what processes that died
    /// have left behind. To be called once the object is there: a live upload that is hit then starts again, and
    /// finds it. Parts that stay cost money, no more: no reason to hold a batch.
    async fn abort_uploads(&self, key: &str) -> Result<usize, SinkError> {
        // Most stores have nothing to abort.
        let _ = key;
        Ok(0)
    }
}

/// Makes the configured store. Nothing is asked of it yet: a store that is away is waited for by the calls.
/// The caller wraps it in [`retry::Retrying`].
pub async fn open(config: &SinkConfig) -> Result<Arc<dyn Sink>, OpenError> {
    Ok(match config {
        SinkConfig::S3(config) => Arc::new(s3::S3Sink::new(config).await?),
        SinkConfig::Local { path, .. } => Arc::new(local::LocalSink::new(path.clone())),
    })
}

/// The length of `range`; an inverted one is empty.
fn len_of(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

/// How reasons call what lies below `prefix`; the whole store has none.
fn named(prefix: &str) -> &str {
    if prefix.is_empty() { "everything" } else { prefix }
}

/// What finding an object with digest `theirs` under `key` means for a put with digest `ours`.
fn verdict(key: &str, ours: Digest, theirs: Option<Digest>) -> Result<Stored, SinkError> {
    if theirs == Some(ours) {
        Ok(Stored::AlreadyThere)
    } else {
        Err(SinkError::Conflict { key: key.to_owned(), ours, theirs })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_a_digest_when_written_and_parsed_then_it_is_the_same() {
        for digest in [Digest(0), Digest(1), Digest(u128::MAX), Digest(0x00ff << 100)] {
            assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        }
    }

    #[test]
    fn given_text_that_is_not_32_hexadecimal_digits_then_it_is_no_digest() {
        let signed = format!("+{:031x}", 5);
        for text in ["", "0", "zz", &"0".repeat(31), &"0".repeat(33), &"g".repeat(32), &signed] {
            assert_eq!(Digest::parse(text), None, "{text}");
        }
    }
}
