//! The object container file, made from datums that are already encoded.
//!
//! Rows come first and the header last: what a header says of its file (its batch, its rows, its digest) is known
//! only when the file is complete, and so is the sync marker, which derives from the file's identity.

use super::codec::Compressor;
use crate::sink::{Body, Digest};

/// A file that takes rows.
#[derive(Debug)]
pub struct OpenFile {}

impl OpenFile {
    /// A file without rows, of records whose schema has this fingerprint.
    #[must_use]
    pub fn new(_fingerprint: u128) -> Self {
        todo!()
    }

    /// Appends one datum; compresses the current block when that is full.
    pub fn append(&mut self, _datum: &[u8], _compressor: &mut Compressor) {
        todo!()
    }

    /// Rows so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        todo!()
    }

    /// The digest of the rows so far: starts from the schema's fingerprint.
    #[must_use]
    pub fn digest(&self) -> Digest {
        todo!()
    }

    /// The memory behind all its buffers, by capacity, in bytes.
    #[must_use]
    pub fn capacity(&self) -> usize {
        todo!()
    }

    /// Bytes of its compressed blocks so far; what waits in the current block isn't in it.
    #[must_use]
    pub fn compressed(&self) -> u64 {
        todo!()
    }

    /// Compresses the last block. Nothing can be appended afterwards.
    pub fn close(&mut self, _compressor: &mut Compressor) {
        todo!()
    }

    /// The whole file: header, then the blocks. The file must be closed.
    #[must_use]
    pub fn into_body(self, _header: &Header<'_>) -> Body {
        todo!()
    }
}

/// What stands at a file's beginning.
#[derive(Debug)]
pub struct Header<'a> {
    /// `avro.schema`
    pub schema: &'a str,
    /// `avro.codec`
    pub codec: super::codec::Codec,
    /// Further metadata, in order.
    pub metadata: &'a [(&'a str, String)],
    /// The marker between blocks.
    pub sync: [u8; 16],
}
