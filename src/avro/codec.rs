//! How the blocks of a container file are compressed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The setting `codec`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Codec {
    /// `null`: not at all.
    Null,
    /// `snappy`, with the CRC-32 that Avro wants behind each block.
    Snappy,
    /// `deflate[-N]`, N from 1 to 12.
    Deflate(u8),
    /// `zstd[-N]`, N from 1 to 22; `zstandard` in a file's header.
    Zstd(u8),
}

impl FromStr for Codec {
    type Err = String;
    fn from_str(_text: &str) -> Result<Self, String> {
        todo!()
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, _f: &mut fmt::Formatter<'_>) -> fmt::Result {
        todo!()
    }
}

impl Codec {
    /// The value of `avro.codec`.
    #[must_use]
    pub fn header_name(self) -> &'static str {
        todo!()
    }
}

/// One thread's compressor, with its contexts and scratch memory.
pub struct Compressor {}

impl Compressor {
    /// A compressor for `codec`.
    #[must_use]
    pub fn new(_codec: Codec) -> Self {
        todo!()
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").finish_non_exhaustive()
    }
}
