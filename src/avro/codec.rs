//! How the blocks of a container file are compressed: the setting `codec`, and what it is called in a header.
//!
//! Only the codecs that every common reader of Avro knows are offered, and each with the levels of the library
//! that [`Compressor`] uses. The level is the writer's business: a header names the codec alone.

mod compressor;
pub(crate) mod decompressor;

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use compressor::Compressor;

/// The levels of libdeflate, without its 0 (stored).
const DEFLATE_LEVELS: RangeInclusive<u8> = 1..=12;
/// The levels of zstd, without the negative ones.
const ZSTD_LEVELS: RangeInclusive<u8> = 1..=22;
/// What `deflate` without a level means; libdeflate's own default.
const DEFLATE_DEFAULT: u8 = 6;
/// What `zstd` without a level means; zstd's own default.
const ZSTD_DEFAULT: u8 = 3;

/// The setting `codec`.
///
/// It is written with its level always (`deflate-6`, not `deflate`), so that a layout fixed in an intent says the
/// same when a default changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Codec {
    /// `null`: not at all.
    Null,
    /// `snappy`, with the CRC-32 that Avro wants behind each block.
    Snappy,
    /// `deflate[-N]`, N from 1 to 12, 6 when there is none.
    Deflate(u8),
    /// `zstd[-N]`, N from 1 to 22, 3 when there is none; `zstandard` in a file's header.
    Zstd(u8),
}

impl FromStr for Codec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, level) = match text.split_once('-') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        match (name, level) {
            ("null", None) => Ok(Self::Null),
            ("snappy", None) => Ok(Self::Snappy),
            ("null" | "snappy", Some(_)) => Err(format!("\"{text}\": {name} has no levels")),
            ("deflate", level) => {
                parse_level(text, level, &DEFLATE_LEVELS, DEFLATE_DEFAULT).map(Self::Deflate)
            }
            ("zstd", level) => parse_level(text, level, &ZSTD_LEVELS, ZSTD_DEFAULT).map(Self::Zstd),
            _ => Err(format!(
                "\"{text}\" is none of null, snappy, deflate[-N] (N from 1 to 12), zstd[-N] (N from 1 to 22)"
            )),
        }
    }
}

fn parse_level(
    text: &str,
    level: Option<&str>,
    levels: &RangeInclusive<u8>,
    default: u8,
) -> Result<u8, String> {
    let Some(level) = level else { return Ok(default) };
    // `parse` also takes "+3" and "03", which would be second spellings of one setting.
    let plain = level.bytes().all(|digit| digit.is_ascii_digit()) && !level.starts_with('0');
    level.parse().ok().filter(|level| plain && levels.contains(level)).ok_or_else(|| {
        format!("\"{text}\": the level is a whole number from {} to {}", levels.start(), levels.end())
    })
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Null => f.write_str("null"),
            Self::Snappy => f.write_str("snappy"),
            Self::Deflate(level) => write!(f, "deflate-{level}"),
            Self::Zstd(level) => write!(f, "zstd-{level}"),
        }
    }
}

impl Codec {
    /// The value of `avro.codec`: the names of the Avro specification, "Required Codecs" and "Optional Codecs".
    #[must_use]
    pub fn header_name(self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Snappy => "snappy",
            Self::Deflate(_) => "deflate",
            Self::Zstd(_) => "zstandard",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> impl Iterator<Item = Codec> {
        let deflate = DEFLATE_LEVELS.map(Codec::Deflate);
        [Codec::Null, Codec::Snappy].into_iter().chain(deflate).chain(ZSTD_LEVELS.map(Codec::Zstd))
    }

    #[test]
    fn given_any_codec_then_its_text_parses_to_itself() {
        assert_eq!(all().count(), 36);
        for codec in all() {
            assert_eq!(codec.to_string().parse(), Ok(codec));
        }
    }

    #[test]
    fn given_no_level_then_it_is_the_default() {
        assert_eq!("deflate".parse(), Ok(Codec::Deflate(6)));
        assert_eq!("zstd".parse(), Ok(Codec::Zstd(3)));
        assert_eq!("zstd".parse::<Codec>().map(|codec| codec.to_string()), Ok("zstd-3".to_owned()));
    }

    #[test]
    fn given_a_level_out_of_range_or_misspelt_then_the_range_is_named() {
        for text in ["deflate-0", "deflate-13", "deflate-", "deflate-+3", "deflate-03", "deflate-3-3"] {
            let error = text.parse::<Codec>().unwrap_err();
            assert_eq!(error, format!("\"{text}\": the level is a whole number from 1 to 12"));
        }
        for text in ["zstd-0", "zstd-23", "zstd--1", "zstd-256", "zstd-fast"] {
            let error = text.parse::<Codec>().unwrap_err();
            assert_eq!(error, format!("\"{text}\": the level is a whole number from 1 to 22"));
        }
    }

    #[test]
    fn given_a_level_where_there_is_none_then_that_is_said() {
        assert_eq!("snappy-1".parse::<Codec>(), Err("\"snappy-1\": snappy has no levels".to_owned()));
        assert_eq!("null-1".parse::<Codec>(), Err("\"null-1\": null has no levels".to_owned()));
    }

    #[test]
    fn given_another_name_then_what_is_allowed_is_listed() {
        for text in ["", "lz4", "Snappy", "zstandard", "bzip2", " snappy", "-3"] {
            let error = text.parse::<Codec>().unwrap_err();
            assert_eq!(
                error,
                format!(
                    "\"{text}\" is none of null, snappy, deflate[-N] (N from 1 to 12), zstd[-N] (N from 1 to 22)"
                )
            );
        }
    }

    #[test]
    fn given_a_codec_then_the_header_names_it_as_the_specification_does() {
        let names = [Codec::Null, Codec::Snappy, Codec::Deflate(9), Codec::Zstd(1)].map(Codec::header_name);
        assert_eq!(names, ["null", "snappy", "deflate", "zstandard"]);
    }
}
