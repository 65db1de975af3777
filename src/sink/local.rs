//! A directory as a store: for the demo, for tests, and for those who have no object store.
//!
//! A file appears under its name whole or not at all, and is never replaced: it is written under a temporary name
//! that no other attempt uses, synced, then *linked* to its final name, which fails if that exists. (A shared
//! temporary name would let a process that wakes up late write into the visible file; docs/protocol.md, "Identity of
//! a file".) All directories up to the root are synced before a put is done, whoever made them; the root and what
//! lies above it by who makes them.
//!
//! Temporary names begin with a dot and end in `.tmp`: readers skip them. Those left behind by a crash are removed
//! by a later put into the same directory once they are a day older than that put's own file, by the file
//! system's clock; an attempt that sleeps for longer than that fails and is repeated.
//!
//! Keys cannot leave the root by `..` or as absolute paths. Symbolic links under the root are followed: whoever
//! may make them there may write there anyway.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use uuid::Uuid;

use super::header_digest::header_digest;
use super::{Body, Digest, Listed, ObjectInfo, Sink, SinkError, Stored, len_of, verdict};

mod listing;
pub(crate) mod probe;

const TEMPORARY_SUFFIX: &str = ".tmp";

/// The longest name that the file systems in use give a file or a folder, in bytes.
pub(crate) const LONGEST_NAME: usize = 255;

/// How much older than a new one a temporary file must be to count as left behind.
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 60 * 60);

/// Files under a root directory, which is made by the first put if need be. What is stored must be container
/// files that state their digest: it is read back from there.
#[derive(Clone, Debug)]
pub struct LocalSink {
    root: PathBuf,
}

impl LocalSink {
    /// A store under `root`.
    #[must_use]
    pub fn new(root: PathBuf) -> Self {
        let root = if root.as_os_str().is_empty() { PathBuf::from(".") } else { root };
        Self { root }
    }

    /// Where `key` would lie, if it may.
    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn place_of(&self, key: &str) -> Option<PathBuf> {
        self.target(key).ok().map(|target| target.path)
    }

    /// Where `key` lies.
    fn target(&self, key: &str) -> Result<Target, SinkError> {
        let mut path = self.root.clone();
        for name in key.split('/') {
            let is_temporary = is_temporary(name.as_bytes());
            if matches!(name, "" | "." | "..") || name.contains('\0') || is_temporary {
                return Err(SinkError::Unavailable(format!(
                    "the key {key:?} is no path below {}: correct layout.key or sink.prefix",
                    self.root.display()
                )));
            }
            path.push(name);
        }
        Ok(Target { root: self.root.clone(), path, key: key.to_owned() })
    }
}

#[async_trait]
impl Sink for LocalSink {
    async fn put(&self, key: &str, digest: Digest, body: Body) -> Result<Stored, SinkError> {
        let target = self.target(key)?;
        blocking(move || {
            if let Some(stored) = target.compare(digest)? {
                return Ok(stored);
            }
            let mut attempt = Attempt::begin(target)?;
            for piece in body.pieces() {
                attempt.write(piece)?;
            }
            attempt.publish(digest)
        })
        .await
    }

    async fn put_streaming(
        &self,
        key: &str,
        digest: Digest,
        mut pieces: BoxStream<'static, Result<Bytes, SinkError>>,
    ) -> Result<Stored, SinkError> {
        let target = self.target(key)?;
        let begun = blocking(move || match target.compare(digest)? {
            Some(stored) => Ok(Err(stored)),
            None => Attempt::begin(target).map(Ok),
        });
        let mut attempt = match begun.await? {
            Ok(attempt) => attempt,
            Err(stored) => return Ok(stored),
        };
        while let Some(piece) = pieces.next().await {
            let piece = piece?;
            attempt = blocking(move || attempt.write(&piece).map(|()| attempt)).await?;
        }
        blocking(move || attempt.publish(digest)).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, SinkError> {
        let target = self.target(key)?;
        blocking(move || target.head()).await
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, SinkError> {
        let (root, prefix, after) = (self.root.clone(), prefix.to_owned(), after.map(str::to_owned));
        blocking(move || listing::page(&root, &prefix, after.as_deref())).await
    }

    async fn read(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, SinkError> {
        let target = self.target(key)?;
        blocking(move || target.read(&range)).await
    }
}

/// Whether `name` is one that only an [`Attempt`] has.
fn is_temporary(name: &[u8]) -> bool {
    name.starts_with(b".") && name.ends_with(TEMPORARY_SUFFIX.as_bytes())
}

/// Runs file work where it may block. It goes on when the caller stops waiting, and cleans up after itself.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SinkError> + Send + 'static,
) -> Result<T, SinkError> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(SinkError::Unavailable(format!("the process is on its way out, or file work failed: {error}")))
    })
}

/// The place of one key.
#[derive(Debug)]
struct Target {
    root: PathBuf,
    path: PathBuf,
    key: String,
}

impl Target {
    fn open(&self) -> Result<Option<File>, SinkError> {
        match File::open(&self.path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(self.unavailable("open", &error)),
        }
    }

    fn head(&self) -> Result<Option<ObjectInfo>, SinkError> {
        let Some(file) = self.open()? else { return Ok(None) };
        let len = file.metadata().map_err(|error| self.unavailable("look up", &error))?.len();
        let digest = header_digest(BufReader::new(file)).map_err(|error| self.unavailable("read", &error))?;
        Ok(Some(ObjectInfo { len, digest }))
    }

    fn read(&self, range: &Range<u64>) -> Result<Option<Bytes>, SinkError> {
        let Some(file) = self.open()? else { return Ok(None) };
        bytes_of(file, range).map(Some).map_err(|error| self.unavailable("read", &error))
    }

    /// What a file that is there already means for a put; `None` when there is none. It may be another process's
    /// that has linked it and not yet synced the directories.
    fn compare(&self, digest: Digest) -> Result<Option<Stored>, SinkError> {
        let Some(there) = self.head()? else { return Ok(None) };
        let stored = verdict(&self.key, digest, there.digest)?;
        self.sync_directories()?;
        Ok(Some(stored))
    }

    fn directory(&self) -> &Path {
        self.path.parent().unwrap_or(&self.root)
    }

    /// Makes the directories that are missing. The root is another's to keep, and rarely missing.
    fn make_directories(&self) -> Result<(), SinkError> {
        make_durably(&self.root)
            .and_then(|()| fs::create_dir_all(self.directory()))
            .map_err(|error| self.unavailable("make the directory of", &error))
    }

    /// Syncs every directory from the file's own to the root.
    fn sync_directories(&self) -> Result<(), SinkError> {
        let directories = self.directory().ancestors().take_while(|path| path.starts_with(&self.root));
        for directory in directories {
            sync(directory).map_err(|error| self.unavailable("sync the directories of", &error))?;
        }
        Ok(())
    }

    fn unavailable(&self, doing: &str, error: &io::Error) -> SinkError {
        let advice = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => "make room there",
            ErrorKind::PermissionDenied => "let valve's user read and write there",
            ErrorKind::ReadOnlyFilesystem => "mount it for writing",
            ErrorKind::NotADirectory | ErrorKind::IsADirectory => {
                "something else is in its place: move it away"
            }
            ErrorKind::InvalidFilename => "shorten layout.key or the names in it",
            _ => "check sink.path",
        };
        SinkError::Unavailable(format!("cannot {doing} {}: {error} ({advice})", self.path.display()))
    }
}

fn bytes_of(mut file: File, range: &Range<u64>) -> io::Result<Bytes> {
    let mut bytes = Vec::new();
    // A file system refuses to go where none of its files can reach.
    if range.start < file.metadata()?.len() {
        file.seek(SeekFrom::Start(range.start))?;
        file.take(len_of(range)).read_to_end(&mut bytes)?;
    }
    Ok(bytes.into())
}

/// Makes `directory` and those above it, and syncs where each one is entered.
fn make_durably(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let Some(parent) = directory.parent() else { return Ok(()) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    make_durably(parent)?;
    match fs::create_dir(directory) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists && directory.is_dir() => {}
        made => made?,
    }
    sync(parent)
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}

/// A file on its way to its name; removed when dropped.
#[derive(Debug)]
struct Attempt {
    target: Target,
    temporary: PathBuf,
    file: File,
}

impl Attempt {
    fn begin(target: Target) -> Result<Self, SinkError> {
        target.make_directories()?;
        let directory = target.directory();
        let temporary = directory.join(format!(".{}{TEMPORARY_SUFFIX}", Uuid::new_v4()));
        let file = OpenOptions::new().write(true).create_new(true).open(&temporary);
        let file = file.map_err(|error| target.unavailable("write beside", &error))?;
        remove_left_behind(directory, &file);
        Ok(Self { target, temporary, file })
    }

    fn write(&mut self, piece: &[u8]) -> Result<(), SinkError> {
        self.file.write_all(piece).map_err(|error| self.target.unavailable("write", &error))
    }

    /// Gives the file its name, unless one is there.
    fn publish(self, digest: Digest) -> Result<Stored, SinkError> {
        let target = &self.target;
        self.file.sync_all().map_err(|error| target.unavailable("sync", &error))?;
        match fs::hard_link(&self.temporary, &target.path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                return target.compare(digest)?.ok_or_else(|| {
                    let path = target.path.display();
                    SinkError::Unavailable(format!("{path} was there and is gone: start again"))
                });
            }
            Err(error) => return Err(target.unavailable("link", &error)),
        }
        fs::remove_file(&self.temporary)
            .map_err(|error| target.unavailable("remove the temporary file of", &error))?;
        target.sync_directories()?;
        Ok(Stored::Created)
    }
}

impl Drop for Attempt {
    /// One unlink: short enough for any thread.
    fn drop(&mut self) {
        match fs::remove_file(&self.temporary) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(path = %self.temporary.display(), %error, "cannot remove a temporary file");
            }
            _ => {}
        }
    }
}

/// Removes temporary files in `directory` that are far older than `own`. Failing to is no reason to fail a put.
fn remove_left_behind(directory: &Path, own: &File) {
    let Ok(now) = own.metadata().and_then(|own| own.modified()) else { return };
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if !is_temporary(name.as_encoded_bytes()) {
            continue;
        }
        let modified = entry.metadata().and_then(|metadata| metadata.modified());
        let age = modified.ok().and_then(|modified| now.duration_since(modified).ok());
        if age.is_some_and(|age| age > LEFT_BEHIND) {
            match fs::remove_file(entry.path()) {
                Ok(()) => tracing::info!(path = %entry.path().display(), "removed what a crash left behind"),
                Err(error) => tracing::debug!(path = %entry.path().display(), %error, "cannot remove"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
