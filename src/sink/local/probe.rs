//! Tries out a directory as a store: for `valve check`.

use std::path::{Path, PathBuf};

use bytes::Bytes;
use uuid::Uuid;

use super::super::{Body, Digest, Sink as _, SinkError, Stored};
use super::{LocalSink, blocking};

/// The folder below the prefix in which it is tried.
const FOLDER: &str = "_valve_check";

/// A directory, and the file that it is tried out with.
#[derive(Debug)]
pub(crate) struct LocalProbe {
    sink: LocalSink,
    key: String,
}

impl LocalProbe {
    /// A probe of `root`, under `prefix`.
    pub(crate) fn new(root: PathBuf, prefix: &str) -> Self {
        let below = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Self { sink: LocalSink::new(root), key: format!("{below}{FOLDER}/{}", Uuid::new_v4().simple()) }
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> PathBuf {
        self.sink.root.join(&self.key)
    }

    /// Puts `text`, unless a file is there: whether it is new.
    ///
    /// # Errors
    /// What the directory doesn't allow.
    pub(crate) async fn put(&self, text: &'static [u8]) -> Result<bool, SinkError> {
        let digest = Digest(xxhash_rust::xxh3::xxh3_128(text));
        match self.sink.put(&self.key, digest, Body::new(vec![Bytes::from_static(text)])).await {
            Ok(stored) => Ok(stored == Stored::Created),
            // It is no container file, and so has no digest that could be equal.
            Err(SinkError::Conflict { .. }) => Ok(false),
            Err(unavailable) => Err(unavailable),
        }
    }

    /// Whether `text` is there, and listed.
    ///
    /// # Errors
    /// What the directory doesn't allow.
    pub(crate) async fn holds(&self, text: &'static [u8]) -> Result<bool, SinkError> {
        let read = self.sink.read(&self.key, 0..u64::MAX).await?;
        let listed = self.sink.list(&self.key, None).await?;
        Ok(read.as_deref() == Some(text) && listed.iter().any(|listed| listed.key == self.key))
    }

    /// Removes the file, and its folder if that is empty.
    ///
    /// # Errors
    /// What the directory doesn't allow.
    pub(crate) async fn remove(&self) -> Result<(), SinkError> {
        let path = self.path();
        blocking(move || {
            let removed = std::fs::remove_file(&path);
            let folder = path.parent().unwrap_or(Path::new("."));
            // Another check may be at work in it.
            drop(std::fs::remove_dir(folder));
            removed
                .map_err(|error| SinkError::Unavailable(format!("cannot remove {}: {error}", path.display())))
        })
        .await
    }
}
