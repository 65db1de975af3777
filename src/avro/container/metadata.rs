//! The beginning of any container file, read back: the map of metadata and the sync marker.
//!
//! What is read may be any file at all, so every length is checked before it is believed, and what isn't wanted is
//! skipped, not held. A file that ends too early is an [`ErrorKind::UnexpectedEof`], one that is no container an
//! [`ErrorKind::InvalidData`].

use std::io::{self, BufRead, ErrorKind, Read};

use super::MARKER_LEN;
use super::header::MAGIC;

/// A metadata's name that is longer than this, in bytes, is nobody's.
const MAX_NAME: u64 = 1024;

/// Reads the metadata entry by entry: a name, then its value or not.
#[derive(Debug)]
pub(crate) struct MetadataReader<R> {
    file: R,
    /// Entries left in the map's current block.
    entries: u64,
    /// The length of the value that stands next.
    value: Option<u64>,
}

impl<R: BufRead> MetadataReader<R> {
    /// Begins with `file`.
    pub(crate) fn open(mut file: R) -> io::Result<Self> {
        let mut magic = [0; MAGIC.len()];
        file.read_exact(&mut magic)?;
        if magic != MAGIC {
            return Err(no_container("it doesn't begin as a container file"));
        }
        Ok(Self { file, entries: 0, value: None })
    }

    /// The next entry's name; `None` behind the last. The value before it is skipped unless it was taken.
    pub(crate) fn next_name(&mut self) -> io::Result<Option<Vec<u8>>> {
        if let Some(len) = self.value.take() {
            self.skip(len)?;
        }
        if self.entries == 0 {
            // A negative count is followed by the block's size in bytes. An entry takes two bytes or more, so that
            // the file's length bounds this however large a count claims to be.
            let count = self.long()?;
            if count == 0 {
                return Ok(None);
            }
            if count < 0 {
                self.long()?;
            }
            self.entries = count.unsigned_abs();
        }
        self.entries -= 1;
        let len = self.len()?;
        if len > MAX_NAME {
            return Err(no_container("a name in its metadata is too long"));
        }
        let name = self.take(len)?;
        self.value = Some(self.len()?);
        Ok(Some(name))
    }

    /// The value of the name that was given last, if it has at most `limit` bytes.
    pub(crate) fn value(&mut self, limit: u64) -> io::Result<Vec<u8>> {
        match self.value.take() {
            Some(len) if len <= limit => self.take(len),
            _ => Err(no_container("a value in its metadata is too long")),
        }
    }

    /// The sync marker, which stands behind the last entry.
    pub(crate) fn sync(mut self) -> io::Result<[u8; MARKER_LEN]> {
        let mut sync = [0; MARKER_LEN];
        self.file.read_exact(&mut sync)?;
        Ok(sync)
    }

    fn take(&mut self, len: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        // It grows with what is there, not with what is claimed.
        self.file.by_ref().take(len).read_to_end(&mut bytes)?;
        if (bytes.len() as u64) < len { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
    }

    fn skip(&mut self, len: u64) -> io::Result<()> {
        let skipped = io::copy(&mut self.file.by_ref().take(len), &mut io::sink())?;
        if skipped < len { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
    }

    fn len(&mut self) -> io::Result<u64> {
        u64::try_from(self.long()?).map_err(|_| no_container("a length in its metadata is negative"))
    }

    fn long(&mut self) -> io::Result<i64> {
        read_long(&mut self.file)
    }
}

/// A zig-zag varint of at most ten bytes.
pub(crate) fn read_long(file: &mut impl Read) -> io::Result<i64> {
    let mut raw = 0u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        file.read_exact(&mut byte)?;
        raw |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            return Ok((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed());
        }
    }
    Err(no_container("a number takes more than ten bytes"))
}

fn no_container(reason: &'static str) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, reason)
}
