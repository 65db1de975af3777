//! Where files go: a small trait, three stores, and wrappers that add one thing each.
//!
//! Every store is *conditional*: an object that is there is never replaced. Putting one again with the same
//! digest is a success, with another digest a [`SinkError::Conflict`] that only a person can resolve.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

/// The digest of an object's rows (PROTOCOL.md, "Identity of a file"), stored with it: as
/// `x-amz-meta-valve-digest` in S3, written as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub u128);

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

/// The metadata name under which the digest is stored with an object, and in a file's own header
/// (there as `valve.digest`).
pub const DIGEST_METADATA: &str = "valve-digest";

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

/// What is known of an object without reading it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its length in bytes.
    pub len: u64,
    /// The digest that it was stored with, if any.
    pub digest: Option<Digest>,
}

/// A place for immutable objects. All calls are safe to repeat; dropping a call's future abandons it, after
/// which the object is either there whole or not there.
#[async_trait]
pub trait Sink: fmt::Debug + Send + Sync {
    /// Stores `body` under `key` unless an object is there already.
    async fn put(&self, key: &str, digest: Digest, body: Body) -> Result<Stored, SinkError>;

    /// Like [`Sink::put`] for a body that is made while it is being stored and never held whole. Nothing
    /// becomes visible unless `pieces` ends without an error.
    async fn put_streaming(
        &self,
        key: &str,
        digest: Digest,
        pieces: BoxStream<'static, Result<Bytes, SinkError>>,
    ) -> Result<Stored, SinkError>;

    /// Looks `key` up; `None` when nothing is there.
    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, SinkError>;
}
