//! One thread's compressor: contexts and output memory that serve block after block.
//!
//! A call can't fail: what the libraries could refuse is excluded here, and each `expect` says how. Memory is kept
//! at what ordinary blocks need; what one extraordinary block becomes is given to the caller.

use std::borrow::Cow;
use std::fmt;

use super::{Codec, DEFLATE_LEVELS, ZSTD_LEVELS};
use crate::avro::container::BLOCK_BYTES;

/// log2 of the farthest match that zstd looks for: 1 MiB. Blocks are 64 KiB, so this only bounds what a block of one
/// huge datum takes (the highest levels would otherwise have tables that grow with it).
const ZSTD_WINDOW_LOG: u32 = 20;

/// Blocks up to this size are ordinary: a full one, overshot by its last datum.
const ORDINARY_BLOCK: usize = 2 * BLOCK_BYTES;

/// One thread's compressor, with its contexts and scratch memory.
pub struct Compressor {
    codec: Codec,
    context: Context,
    /// Where compressed blocks are made; always filled up to its capacity, so that libraries get a slice of it.
    output: Vec<u8>,
}

enum Context {
    Null,
    Snappy(Box<snap::raw::Encoder>),
    Deflate { compressor: libdeflater::Compressor, held: usize },
    Zstd { compressor: zstd::bulk::Compressor<'static>, held: usize },
}

impl Compressor {
    /// A compressor for `codec`. A level outside the codec's range (which no parsed [`Codec`] has) is taken as the
    /// nearest one in it.
    ///
    /// All the memory that ordinary blocks need is taken here, so that [`Self::memory`] is right from the start.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        let mut compressor = Self { codec, context: Context::new(codec), output: Vec::new() };
        if codec != Codec::Null {
            compressor.output = vec![0; Self::bound(ORDINARY_BLOCK)];
            // snap and zstd take their tables with the first block.
            compressor.context.compress(&vec![0; ORDINARY_BLOCK], &mut compressor.output);
        }
        compressor
    }

    /// The codec that it compresses with.
    #[must_use]
    pub fn codec(&self) -> Codec {
        self.codec
    }

    /// The memory that it holds: the library's context and the scratch for a compressed block, in bytes.
    ///
    /// While a block of more than 128 KiB (one large datum) is compressed, the result, of which no more is written to than there
    /// comes to be, and with zstd up to another 16 MiB at the highest levels, are beyond this.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.context.memory() + self.output.capacity()
    }

    /// The most bytes that a block of `len` bytes can become, under any codec.
    #[must_use]
    pub fn bound(len: usize) -> usize {
        // Snappy's is the largest: 32 + n + n/6, and 4 for the checksum. Deflate's is n + 5 for each 5,000 + 9,
        // zstd's n + n/256 + 64 (or less).
        len + len / 6 + 128
    }

    /// `block`, compressed as a container file wants it. The result lies in this compressor's scratch, or is
    /// `block` itself when nothing is to be compressed; of an extraordinarily large block it is the caller's.
    ///
    /// `block` must be shorter than 3 GiB; datums come from Kafka messages, which end at 2 GiB.
    #[must_use = "the compressed block is in the result"]
    pub fn compress<'a>(&'a mut self, block: &'a [u8]) -> Cow<'a, [u8]> {
        if self.codec == Codec::Null {
            return Cow::Borrowed(block);
        }
        if block.len() <= ORDINARY_BLOCK {
            let len = self.context.compress(block, &mut self.output);
            return Cow::Borrowed(&self.output[..len]);
        }
        let mut output = vec![0; Self::bound(block.len())];
        let len = self.context.compress(block, &mut output);
        output.truncate(len);
        if matches!(self.context, Context::Zstd { .. }) {
            // Its tables grew with the block, and only a new context has small ones.
            *self = Self::new(self.codec);
        }
        Cow::Owned(output)
    }
}

impl Context {
    fn new(codec: Codec) -> Self {
        match codec {
            Codec::Null => Self::Null,
            Codec::Snappy => Self::Snappy(Box::new(snap::raw::Encoder::new())),
            Codec::Deflate(level) => {
                let level = level.clamp(*DEFLATE_LEVELS.start(), *DEFLATE_LEVELS.end());
                let level = libdeflater::CompressionLvl::new(level.into())
                    .expect("libdeflate has the levels 0 to 12, and this one was clamped to 1 to 12");
                let compressor = libdeflater::Compressor::new(level);
                Self::Deflate { compressor, held: deflate_memory(level) }
            }
            Codec::Zstd(level) => {
                let level = level.clamp(*ZSTD_LEVELS.start(), *ZSTD_LEVELS.end());
                let reason = "zstd has the levels up to 22 and windows of 2^10 to 2^30; only memory can lack";
                let mut compressor = zstd::bulk::Compressor::new(level.into()).expect(reason);
                compressor.window_log(ZSTD_WINDOW_LOG).expect(reason);
                Self::Zstd { compressor, held: 0 }
            }
        }
    }

    /// Compresses into `output`, which has room for the bound of `block`; how many bytes it became.
    fn compress(&mut self, block: &[u8], output: &mut [u8]) -> usize {
        match self {
            Self::Null => 0,
            Self::Snappy(encoder) => {
                let len = encoder
                    .compress(block, output)
                    .expect("snappy refuses only blocks beyond 3 GiB and outputs shorter than their bound");
                output[len..len + 4].copy_from_slice(&crc32fast::hash(block).to_be_bytes());
                len + 4
            }
            Self::Deflate { compressor, .. } => compressor
                .deflate_compress(block, output)
                .expect("libdeflate refuses only outputs shorter than their bound"),
            Self::Zstd { compressor, held } => {
                let len = compressor
                    .compress_to_buffer(block, output)
                    .expect("zstd refuses only outputs shorter than their bound, and lack of memory");
                *held = compressor.context_mut().sizeof();
                len
            }
        }
    }

    /// Bytes of the library's own tables.
    fn memory(&self) -> usize {
        match self {
            Self::Null => 0,
            // The larger of its two tables, 2^14 16-bit entries, is not part of the type.
            Self::Snappy(_) => size_of::<snap::raw::Encoder>() + (2 << 14),
            Self::Deflate { held, .. } | Self::Zstd { held, .. } => *held,
        }
    }
}

/// What libdeflate allocates once per compressor: the size of its `struct libdeflate_compressor` with the match
/// finder of the level (version 1.26, 64 bits, rounded up), which it doesn't publish.
fn deflate_memory(level: libdeflater::CompressionLvl) -> usize {
    match i32::from(level) {
        ..=1 => 200 << 10,
        2..=9 => 656 << 10,
        10.. => 8802 << 10,
    }
}

impl fmt::Debug for Compressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Compressor").field("codec", &self.codec).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Codec; 10] = [
        Codec::Null,
        Codec::Snappy,
        Codec::Deflate(1),
        Codec::Deflate(6),
        Codec::Deflate(12),
        Codec::Zstd(1),
        Codec::Zstd(3),
        Codec::Zstd(9),
        Codec::Zstd(19),
        Codec::Zstd(22),
    ];

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 56) as u8
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn given_any_ordinary_block_then_the_memory_is_as_at_the_start() {
        for codec in ALL {
            let mut compressor = Compressor::new(codec);
            let stated = compressor.memory();
            for len in [0, 1, 100, 5000, BLOCK_BYTES, BLOCK_BYTES + 270, ORDINARY_BLOCK] {
                assert!(!compressor.compress(&noise(len)).is_empty() || (codec == Codec::Null && len == 0));
                assert_eq!(compressor.memory(), stated, "{codec}, {len} bytes");
            }
        }
    }

    #[test]
    fn given_noise_of_any_length_then_it_stays_within_the_bound() {
        for codec in ALL {
            let mut compressor = Compressor::new(codec);
            for len in [0, 1, 59, 60, 61, 5000, BLOCK_BYTES, 1_000_000] {
                let compressed = compressor.compress(&noise(len)).len();
                assert!(compressed <= Compressor::bound(len), "{codec}: {len} became {compressed}");
            }
        }
    }

    #[test]
    fn given_a_huge_block_then_what_it_became_is_given_away_and_the_memory_is_as_before() {
        for codec in ALL {
            let mut compressor = Compressor::new(codec);
            let before = compressor.memory();
            let block = vec![0; 16 << 20];
            let compressed = compressor.compress(&block);
            assert!(!compressed.is_empty() && matches!(compressed, Cow::Owned(_)) == (codec != Codec::Null));
            drop(compressed);
            assert_eq!(compressor.memory(), before, "{codec}");
        }
    }

    #[test]
    fn given_a_level_that_no_setting_has_then_the_nearest_is_used() {
        let block = noise(1000).repeat(20);
        for (wrong, right) in [
            (Codec::Deflate(0), Codec::Deflate(1)),
            (Codec::Deflate(200), Codec::Deflate(12)),
            (Codec::Zstd(0), Codec::Zstd(1)),
            (Codec::Zstd(255), Codec::Zstd(22)),
        ] {
            assert_eq!(Compressor::new(wrong).compress(&block), Compressor::new(right).compress(&block));
        }
    }
}
