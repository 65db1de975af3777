//! The object container file (Avro specification, "Object Container Files"), made from datums that are already
//! encoded.
//!
//! Rows come first and the header last: what a header says of its file (its batch, its rows, its digest) is known
//! only when the file is complete, and so is the sync marker, which derives from the file's identity. So each
//! block is written with room for its marker, and [`OpenFile::into_body`] fills the markers in.
//!
//! Thousands of files are open at once, most of them idle: an [`OpenFile`] begins with nothing and grows with what
//! it holds, and every byte that it holds is in [`OpenFile::capacity`]. Here nothing reads a datum, and nothing
//! reorders or splits one.
//!
//! # The digest
//!
//! A file's digest says which rows it has, whatever the codec, the blocks and the header:
//!
//! ```text
//! d(0) = XXH3_128(fingerprint)                 the schema's 128-bit fingerprint, little-endian
//! d(n) = XXH3_128(d(n-1) ‖ XXH3_128(datum n))  both little-endian: 32 bytes
//! ```
//!
//! with seed 0 throughout; the digest is `d(rows)`, written as 32 hexadecimal digits, most significant first (the
//! canonical form of the XXH3 tools).

mod header;
pub(crate) mod metadata;
mod segments;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use bytes::Bytes;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

pub use header::Header;

use super::codec::{Codec, Compressor};
use crate::sink::{Body, DIGEST_IN_HEADER, Digest};
use segments::{Segments, allocated};

/// A block is closed before it would have more uncompressed bytes than this. Datums are never split over blocks: one that is
/// longer is a block of its own.
pub const BLOCK_BYTES: usize = 64 * 1024;

/// What a block's buffer begins with; it doubles from here to [`BLOCK_BYTES`].
const FIRST_BUFFER: usize = 1024;

/// The length of a sync marker, in bytes.
pub(crate) const MARKER_LEN: usize = 16;

/// A file that takes rows. All of its blocks are compressed by compressors of one codec.
#[derive(Debug)]
pub struct OpenFile {
    /// The datums of the block that isn't compressed yet.
    block: Vec<u8>,
    block_rows: u64,
    /// The blocks before it, as they will stand in the file, but for their markers.
    blocks: Segments,
    /// Where in `blocks` the markers belong.
    markers: Vec<u64>,
    /// What the blocks are compressed with, once there is one.
    codec: Option<Codec>,
    rows: u64,
    digest: RowDigest,
    /// Uncompressed bytes of all rows.
    datums: u64,
    /// Only counts: it keeps no rows.
    counts: bool,
}

impl OpenFile {
    /// A file without rows, of records whose schema has this fingerprint. It holds no memory yet.
    #[must_use]
    pub fn new(fingerprint: u128) -> Self {
        Self {
            block: Vec::new(),
            block_rows: 0,
            blocks: Segments::default(),
            markers: Vec::new(),
            codec: None,
            rows: 0,
            digest: RowDigest::new(fingerprint),
            datums: 0,
            counts: false,
        }
    }

    /// Drops all bytes, and keeps none from now on: only rows and digest go on. Such a file is never made into a body.
    pub fn only_count(&mut self) {
        (self.block, self.block_rows) = (Vec::new(), 0);
        (self.blocks, self.markers) = (Segments::default(), Vec::new());
        self.counts = true;
    }

    /// Appends one datum; compresses the current block when that is full, or hasn't the room.
    pub fn append(&mut self, datum: &[u8], compressor: &mut Compressor) {
        self.append_in_blocks(datum, BLOCK_BYTES, compressor);
    }

    /// Appends one datum, as a file whose blocks are closed at `block_bytes`, which is at most [`BLOCK_BYTES`].
    pub fn append_in_blocks(&mut self, datum: &[u8], block_bytes: usize, compressor: &mut Compressor) {
        self.rows += 1;
        self.datums += datum.len() as u64;
        self.digest.add(datum);
        if self.counts {
            return;
        }
        let alone = datum.len() >= block_bytes;
        if self.block_rows > 0 && (alone || self.block.len() + datum.len() > block_bytes) {
            self.finish_block(compressor);
        }
        if alone {
            // A block of its own, and as large as it may be: it isn't copied first.
            return self.write_block(datum, 1, compressor);
        }
        self.make_room(datum.len(), block_bytes);
        self.block.extend_from_slice(datum);
        self.block_rows += 1;
        if self.block.len() >= block_bytes {
            self.finish_block(compressor);
        }
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Uncompressed bytes of the rows so far.
    #[must_use]
    pub fn datum_bytes(&self) -> u64 {
        self.datums
    }

    /// The digest of the rows so far: starts from the schema's fingerprint.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest.value()
    }

    /// The memory behind all its buffers, by capacity, in bytes. Takes no time.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.block.capacity() + self.blocks.capacity() + self.markers.capacity() * size_of::<u64>()
    }

    /// Bytes of its compressed blocks so far, framing included; what waits in the current block isn't in it.
    #[must_use]
    pub fn compressed(&self) -> u64 {
        self.blocks.len()
    }

    /// Uncompressed bytes that wait in the current block: at most, the file grows by a little more than this when
    /// it is closed now.
    #[must_use]
    pub fn pending(&self) -> usize {
        self.block.len()
    }

    /// Compresses the last block and gives its buffer back; what is left to do is [`Self::into_body`]. The work is
    /// that of one block, so many files are closed in slices of one. Closing again does nothing.
    pub fn close(&mut self, compressor: &mut Compressor) {
        if self.block_rows > 0 {
            self.finish_block(compressor);
        }
        self.block = Vec::new();
    }

    /// The whole file: header, then the blocks, which aren't copied (spare capacity of the last piece stays with it).
    ///
    /// # Panics
    /// When the file isn't closed, or the header names another codec than its blocks have: such a file would lack
    /// rows or be unreadable.
    #[must_use]
    pub fn into_body(mut self, header: &Header<'_>) -> Body {
        assert!(!self.counts, "a file that only counts has no rows to become a body");
        assert_eq!(self.block_rows, 0, "a file is closed before it becomes a body");
        if let Some(codec) = self.codec {
            assert_eq!(codec, header.codec, "the header names the codec of the blocks");
        }
        self.blocks.overwrite(&self.markers, &header.sync);
        let mut pieces = vec![Bytes::from(header.encode())];
        pieces.extend(self.blocks.into_pieces());
        Body::new(pieces)
    }

    /// Takes its finished blocks out, as they stand in the file behind a header with this marker: for a file that is
    /// stored while it is made.
    pub fn take_blocks(&mut self, sync: &[u8; MARKER_LEN]) -> Vec<Bytes> {
        self.blocks.overwrite(&self.markers, sync);
        self.markers.clear();
        std::mem::take(&mut self.blocks).into_pieces().collect()
    }

    /// Makes the block's buffer long enough for another `len` bytes: doubling while it is short, then no longer
    /// than needed.
    fn make_room(&mut self, len: usize, block_bytes: usize) {
        let needed = self.block.len() + len;
        let capacity = self.block.capacity();
        if needed > capacity {
            let longer = (capacity * 2).clamp(FIRST_BUFFER, block_bytes.max(FIRST_BUFFER)).max(needed);
            self.block.reserve_exact(allocated(longer) - self.block.len());
        }
    }

    /// Compresses the current block behind the others.
    fn finish_block(&mut self, compressor: &mut Compressor) {
        let (mut block, rows) = (std::mem::take(&mut self.block), std::mem::take(&mut self.block_rows));
        self.write_block(&block, rows, compressor);
        block.clear();
        self.block = block;
    }

    /// Appends a block of these datums, framed: count, byte size, bytes, room for the marker.
    fn write_block(&mut self, datums: &[u8], rows: u64, compressor: &mut Compressor) {
        self.codec = Some(compressor.codec());
        let compressed = compressor.compress(datums);
        let mut framing = Vec::with_capacity(20);
        put_long(&mut framing, rows);
        put_long(&mut framing, compressed.len() as u64);
        match compressed {
            // Without a codec too, the block is copied: to write rows into memory that isn't in the cache costs more.
            Cow::Borrowed(compressed) => {
                self.blocks.expect(framing.len() + compressed.len() + MARKER_LEN);
                self.blocks.write(&framing);
                self.blocks.write(compressed);
            }
            Cow::Owned(compressed) => {
                self.blocks.write(&framing);
                self.blocks.adopt(compressed);
            }
        }
        self.markers.push(self.blocks.len());
        self.blocks.write(&[0; MARKER_LEN]);
    }
}

/// The digest of rows, one after the other: which rows there were, in which order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowDigest(u128);

impl RowDigest {
    /// Of no rows yet, of the schema with this fingerprint.
    pub(crate) fn new(fingerprint: u128) -> Self {
        Self(xxh3_128(&fingerprint.to_le_bytes()))
    }

    /// Goes on with one datum.
    pub(crate) fn add(&mut self, datum: &[u8]) {
        self.link(xxh3_128(datum));
    }

    fn link(&mut self, datum: u128) {
        let mut link = [0; 32];
        link[..16].copy_from_slice(&self.0.to_le_bytes());
        link[16..].copy_from_slice(&datum.to_le_bytes());
        self.0 = xxh3_128(&link);
    }

    /// The digest so far.
    pub(crate) fn value(self) -> Digest {
        Digest(self.0)
    }
}

/// A file of one row, whose `pieces` are shared and not compressed, and its digest.
#[must_use]
pub fn one_row(schema: &str, sync: [u8; MARKER_LEN], pieces: Vec<Bytes>) -> (Digest, Body) {
    let (mut datum, mut len) = (Xxh3::new(), 0);
    for piece in &pieces {
        datum.update(piece);
        len += piece.len() as u64;
    }
    let mut digest = RowDigest::new(xxh3_128(schema.as_bytes()));
    digest.link(datum.digest128());
    let metadata = [(DIGEST_IN_HEADER, digest.value().to_string())];
    let mut begin = Header { schema, codec: Codec::Null, metadata: &metadata, sync }.encode();
    put_long(&mut begin, 1);
    put_long(&mut begin, len);
    let row = std::iter::once(Bytes::from(begin)).chain(pieces);
    (digest.value(), Body::new(row.chain([Bytes::copy_from_slice(&sync)]).collect()))
}

/// Writes `value` as an Avro long (zigzag, then base 128 from the low end). Counts and lengths are far below 2^63.
pub(crate) fn put_long(out: &mut Vec<u8>, value: u64) {
    let mut rest = value << 1;
    while rest >= 0x80 {
        // Truncation keeps the low seven bits, which are meant.
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
