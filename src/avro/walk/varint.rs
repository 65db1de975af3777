//! The encodings of single values: each function takes one off the front of the bytes.

use super::Fault;

/// What is left behind a value.
pub(super) type Rest<'d> = Result<&'d [u8], Fault>;

/// The highest bit of each of eight bytes.
const HIGH_BITS: u64 = 0x8080_8080_8080_8080;

const ENDS: &str = "the datum ends within a value";
const LONG_VARINT: &str = "a long of more than 10 bytes";
const LOST_BITS: &str = "a long of more than 64 bits";
const LONG_INT: &str = "an int of more than 5 bytes";
const WIDE_INT: &str = "an int of more than 32 bits";
const BOOLEAN: &str = "a boolean that is neither 0 nor 1";
const NEGATIVE: &str = "a negative length";
const TOO_LONG: &str = "a length beyond the datum's end";
const UTF8: &str = "a string or a map's key is not UTF-8";

#[inline]
pub(super) fn skip(bytes: &[u8], count: usize) -> Rest<'_> {
    bytes.get(count..).ok_or(Fault { left: bytes.len(), what: ENDS })
}

#[inline]
pub(super) fn boolean(bytes: &[u8]) -> Rest<'_> {
    match bytes {
        [0 | 1, rest @ ..] => Ok(rest),
        [] => Err(Fault { left: 0, what: ENDS }),
        _ => Err(Fault { left: bytes.len(), what: BOOLEAN }),
    }
}

/// A varint with zig-zag, of 64 bits; need not be as short as possible.
#[inline]
pub(super) fn long(bytes: &[u8]) -> Result<(i64, &[u8]), Fault> {
    match bytes {
        [byte @ 0..0x80, rest @ ..] => Ok((unzigzag(u64::from(*byte)), rest)),
        [low, high @ 0..0x80, rest @ ..] => {
            Ok((unzigzag(u64::from(low & 0x7f) | u64::from(*high) << 7), rest))
        }
        _ => long_varint(bytes),
    }
}

#[cold]
#[inline(never)]
fn long_varint(bytes: &[u8]) -> Result<(i64, &[u8]), Fault> {
    let (value, rest) = varint(bytes, &LONG)?;
    Ok((unzigzag(value), rest))
}

/// A long of which only the end is of interest.
#[inline]
pub(super) fn skip_long(bytes: &[u8]) -> Rest<'_> {
    // Timestamps have six to nine bytes: look for the last one, which has no high bit, in eight at once.
    if let Some(eight) = bytes.first_chunk::<8>() {
        let last = !u64::from_le_bytes(*eight) & HIGH_BITS;
        if last != 0 {
            return skip(bytes, last.trailing_zeros() as usize / 8 + 1);
        }
    }
    long_varint(bytes).map(|(_, rest)| rest)
}

/// A varint with zig-zag, of 32 bits; need not be as short as possible.
#[inline]
pub(super) fn int(bytes: &[u8]) -> Result<(i64, &[u8]), Fault> {
    match bytes {
        [byte @ 0..0x80, rest @ ..] => Ok((unzigzag(u64::from(*byte)), rest)),
        _ => int_varint(bytes),
    }
}

#[inline(never)]
fn int_varint(bytes: &[u8]) -> Result<(i64, &[u8]), Fault> {
    let (value, rest) = varint(bytes, &INT)?;
    Ok((unzigzag(value), rest))
}

/// An int that is an index below `count`.
#[inline]
pub(super) fn index<'d>(bytes: &'d [u8], count: u32, what: &'static str) -> Result<(u32, &'d [u8]), Fault> {
    let (index, rest) = int(bytes)?;
    match u32::try_from(index) {
        Ok(index) if index < count => Ok((index, rest)),
        _ => Err(Fault { left: bytes.len(), what }),
    }
}

/// A length, and as many bytes.
#[inline]
pub(super) fn prefixed(bytes: &[u8]) -> Result<(&[u8], &[u8]), Fault> {
    let (length, rest) = long(bytes)?;
    match usize::try_from(length).ok().and_then(|length| rest.split_at_checked(length)) {
        Some(parts) => Ok(parts),
        None => Err(Fault { left: bytes.len(), what: if length < 0 { NEGATIVE } else { TOO_LONG } }),
    }
}

/// A length, and as many bytes of UTF-8.
#[inline]
pub(super) fn string(bytes: &[u8]) -> Rest<'_> {
    let (text, rest) = prefixed(bytes)?;
    if is_ascii(text) || std::str::from_utf8(text).is_ok() {
        Ok(rest)
    } else {
        Err(Fault { left: bytes.len(), what: UTF8 })
    }
}

/// As the standard library's, but a quarter faster over a whole datum: strings in events are short.
#[inline]
fn is_ascii(text: &[u8]) -> bool {
    let (eights, _) = text.as_chunks::<8>();
    let all = eights.iter().fold(0, |all, eight| all | u64::from_le_bytes(*eight));
    // The last eight bytes may overlap the eights before.
    let last = match text.last_chunk::<8>() {
        Some(eight) => u64::from_le_bytes(*eight),
        None => text.iter().fold(0, |all, byte| all | u64::from(*byte)),
    };
    (all | last) & HIGH_BITS == 0
}

/// The limits of one kind of varint.
struct Width {
    bytes: usize,
    /// The most that the last of so many bytes may hold.
    last: u8,
    too_long: &'static str,
    too_wide: &'static str,
}

const LONG: Width = Width { bytes: 10, last: 0x01, too_long: LONG_VARINT, too_wide: LOST_BITS };
const INT: Width = Width { bytes: 5, last: 0x0f, too_long: LONG_INT, too_wide: WIDE_INT };

fn varint<'d>(bytes: &'d [u8], width: &Width) -> Result<(u64, &'d [u8]), Fault> {
    let fault = |what| Err(Fault { left: bytes.len(), what });
    let mut value = 0;
    for (index, &byte) in bytes.iter().take(width.bytes).enumerate() {
        if index + 1 == width.bytes && byte > width.last {
            return fault(if byte < 0x80 { width.too_wide } else { width.too_long });
        }
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            return Ok((value, &bytes[index + 1..]));
        }
    }
    fault(ENDS)
}

fn unzigzag(value: u64) -> i64 {
    (value >> 1).cast_signed() ^ -(value & 1).cast_signed()
}
