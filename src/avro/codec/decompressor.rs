//! One thread's decompressor: what [`super::Compressor`] made of a block, undone.
//!
//! A block may come from anywhere, and says itself how long it becomes: it is refused when that is beyond a limit,
//! before memory is taken for it.

use std::fmt;

/// What a file's blocks are undone with, and the memory for one of them.
pub(crate) struct Decompressor {
    context: Context,
    output: Vec<u8>,
}

enum Context {
    Null,
    Snappy(Box<snap::raw::Decoder>),
    Deflate(Box<libdeflater::Decompressor>),
    Zstd(Box<zstd::bulk::Decompressor<'static>>),
}

/// What is tried first for a deflated block, which doesn't state its length, in bytes.
const FIRST_OUTPUT: usize = 128 * 1024;

impl Decompressor {
    /// For blocks of a file whose header names its codec so; `None` when that is none of valve's.
    pub(crate) fn new(header_name: &str) -> Option<Self> {
        let context = match header_name {
            "null" => Context::Null,
            "snappy" => Context::Snappy(Box::default()),
            "deflate" => Context::Deflate(Box::new(libdeflater::Decompressor::new())),
            "zstandard" => Context::Zstd(Box::new(zstd::bulk::Decompressor::new().ok()?)),
            _ => return None,
        };
        Some(Self { context, output: Vec::new() })
    }

    /// What `block` was before it was compressed, if it is what its codec makes, of at most `limit` bytes.
    pub(crate) fn decompress<'a>(&'a mut self, block: &'a [u8], limit: usize) -> Option<&'a [u8]> {
        let output = &mut self.output;
        let len = match &mut self.context {
            Context::Null => return Some(block).filter(|block| block.len() <= limit),
            Context::Snappy(decoder) => unsnap(decoder, block, limit, output)?,
            Context::Deflate(decompressor) => inflate(decompressor, block, limit, output)?,
            Context::Zstd(decompressor) => {
                let len = zstd::zstd_safe::get_frame_content_size(block).ok()??;
                make_room(output, usize::try_from(len).ok()?, limit)?;
                decompressor.decompress_to_buffer(block, &mut output[..]).ok()?
            }
        };
        Some(&output[..len])
    }
}

/// Snappy, with the CRC-32 of what it was behind it (Avro specification, "snappy").
fn unsnap(
    decoder: &mut snap::raw::Decoder,
    block: &[u8],
    limit: usize,
    output: &mut Vec<u8>,
) -> Option<usize> {
    let (compressed, checksum) = block.split_last_chunk::<4>()?;
    make_room(output, snap::raw::decompress_len(compressed).ok()?, limit)?;
    let len = decoder.decompress(compressed, output).ok()?;
    (crc32fast::hash(&output[..len]) == u32::from_be_bytes(*checksum)).then_some(len)
}

fn inflate(
    decompressor: &mut libdeflater::Decompressor,
    block: &[u8],
    limit: usize,
    output: &mut Vec<u8>,
) -> Option<usize> {
    make_room(output, FIRST_OUTPUT.min(limit), limit)?;
    loop {
        match decompressor.deflate_decompress(block, output) {
            Ok(len) => return Some(len).filter(|len| *len <= limit),
            Err(libdeflater::DecompressionError::InsufficientSpace) if output.len() < limit => {
                let longer = (output.len() * 2).min(limit);
                make_room(output, longer, limit)?;
            }
            Err(_) => return None,
        }
    }
}

/// Sees to it that `output` has `len` bytes, if that is within `limit`.
fn make_room(output: &mut Vec<u8>, len: usize, limit: usize) -> Option<()> {
    if len > limit {
        return None;
    }
    if output.len() < len {
        output.resize(len, 0);
    }
    Some(())
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").field("output", &self.output.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::avro::codec::{Codec, Compressor};

    const CODECS: [Codec; 4] = [Codec::Null, Codec::Snappy, Codec::Deflate(6), Codec::Zstd(3)];

    fn decompressor(codec: Codec) -> Decompressor {
        Decompressor::new(codec.header_name()).unwrap()
    }

    #[test]
    fn given_a_large_block_then_it_comes_back_and_a_lower_limit_refuses_it() {
        let block: Vec<u8> = (0..1_000_000_u32).map(|n| (n / 7) as u8).collect();
        for codec in CODECS {
            let mut compressor = Compressor::new(codec);
            let compressed = compressor.compress(&block);
            let mut decompressor = decompressor(codec);
            assert_eq!(decompressor.decompress(&compressed, 999_999), None, "{codec}");
            assert_eq!(decompressor.decompress(&compressed, 1_000_000), Some(&block[..]), "{codec}");
        }
    }

    #[test]
    fn given_a_codec_of_others_then_there_is_none_for_it() {
        assert!(Decompressor::new("bzip2").is_none());
    }

    proptest! {
        #[test]
        fn given_any_block_then_it_comes_back_and_a_change_never_panics(
            block in prop::collection::vec(0..5_u8, 0..3000),
            at in any::<prop::sample::Index>(),
            bits in 1..=255_u8,
        ) {
            for codec in CODECS {
                let mut compressed = Compressor::new(codec).compress(&block).to_vec();
                let mut decompressor = decompressor(codec);
                prop_assert_eq!(decompressor.decompress(&compressed, 3000), Some(&block[..]));
                if !compressed.is_empty() {
                    let at = at.index(compressed.len());
                    compressed[at] ^= bits;
                    let changed = decompressor.decompress(&compressed, 3000);
                    prop_assert!(changed.is_none_or(|changed| changed.len() <= 3000));
                }
            }
        }
    }
}
