//! The digest in a container file's own header, read without reading the file.
//!
//! The object container file begins with four magic bytes and a map of metadata (Avro 1.12 specification, "Object
//! Container Files"). This reads just that map, and gives up on anything that isn't one: what lies in a directory
//! may be any file at all.

use std::io::{self, BufRead, ErrorKind, Read};

use super::{DIGEST_IN_HEADER, Digest};

const MAGIC: &[u8; 4] = b"Obj\x01";

/// A header longer than this, in bytes, has no digest. Its bulk is the schema's text.
const MAX_HEADER: u64 = 64 << 20;

/// The digest that the header at the beginning of `file` states; `None` when there is no header, none in it, or
/// none that can be read.
pub(super) fn header_digest(file: impl BufRead) -> io::Result<Option<Digest>> {
    match read_header(&mut file.take(MAX_HEADER)) {
        Ok(digest) => Ok(digest),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_header(header: &mut impl BufRead) -> io::Result<Option<Digest>> {
    let mut magic = [0; MAGIC.len()];
    header.read_exact(&mut magic)?;
    if magic != *MAGIC {
        return Ok(None);
    }
    loop {
        // A negative count is followed by the block's size in bytes. An entry takes two bytes or more, so the
        // limit on the header bounds this however large a count claims to be.
        let Some(count) = read_long(header)? else { return Ok(None) };
        if count == 0 || (count < 0 && read_long(header)?.is_none()) {
            return Ok(None);
        }
        for _ in 0..count.unsigned_abs() {
            let Some(is_digest) = read_is_digest_key(header)? else { return Ok(None) };
            let Some(len) = read_len(header)? else { return Ok(None) };
            if is_digest {
                return read_digest(header, len);
            }
            skip(header, len)?;
        }
    }
}

/// Reads a map key and says whether it is the digest's; `None` when it is no key.
fn read_is_digest_key(header: &mut impl BufRead) -> io::Result<Option<bool>> {
    let Some(len) = read_len(header)? else { return Ok(None) };
    let mut key = [0; DIGEST_IN_HEADER.len()];
    if len != key.len() as u64 {
        skip(header, len)?;
        return Ok(Some(false));
    }
    header.read_exact(&mut key)?;
    Ok(Some(key == DIGEST_IN_HEADER.as_bytes()))
}

fn read_digest(header: &mut impl BufRead, len: u64) -> io::Result<Option<Digest>> {
    let mut text = [0; 32];
    if len != text.len() as u64 {
        return Ok(None);
    }
    header.read_exact(&mut text)?;
    Ok(std::str::from_utf8(&text).ok().and_then(Digest::parse))
}

fn skip(header: &mut impl BufRead, len: u64) -> io::Result<()> {
    let skipped = io::copy(&mut header.by_ref().take(len), &mut io::sink())?;
    if skipped < len { Err(ErrorKind::UnexpectedEof.into()) } else { Ok(()) }
}

fn read_len(header: &mut impl BufRead) -> io::Result<Option<u64>> {
    Ok(read_long(header)?.and_then(|len| u64::try_from(len).ok()))
}

/// A zig-zag varint of at most ten bytes; `None` when it is longer.
fn read_long(header: &mut impl BufRead) -> io::Result<Option<i64>> {
    let mut raw = 0u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        header.read_exact(&mut byte)?;
        raw |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            return Ok(Some((raw >> 1).cast_signed() ^ -(raw & 1).cast_signed()));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn long(value: i64, out: &mut Vec<u8>) {
        let mut raw = ((value << 1) ^ (value >> 63)).cast_unsigned();
        while raw >= 0x80 {
            out.push(raw.to_le_bytes()[0] | 0x80);
            raw >>= 7;
        }
        out.push(raw.to_le_bytes()[0]);
    }

    fn entry(key: &str, value: &[u8], out: &mut Vec<u8>) {
        long(i64::try_from(key.len()).unwrap(), out);
        out.extend_from_slice(key.as_bytes());
        long(i64::try_from(value.len()).unwrap(), out);
        out.extend_from_slice(value);
    }

    fn found(file: &[u8]) -> Option<Digest> {
        header_digest(file).unwrap()
    }

    #[test]
    fn given_a_digest_among_other_metadata_then_it_is_found() {
        let digest = Digest(0xfeed << 64);
        let mut file = MAGIC.to_vec();
        long(3, &mut file);
        entry("avro.schema", &[b'x'; 300_000], &mut file);
        entry("valve.differs", b"of the digest's length", &mut file);
        entry(DIGEST_IN_HEADER, digest.to_string().as_bytes(), &mut file);
        assert_eq!(found(&file), Some(digest));
    }

    #[test]
    fn given_several_blocks_with_byte_sizes_then_it_is_found() {
        let digest = Digest(7);
        let mut file = MAGIC.to_vec();
        for (key, value) in [("avro.codec", "null".to_owned()), (DIGEST_IN_HEADER, digest.to_string())] {
            let mut block = Vec::new();
            entry(key, value.as_bytes(), &mut block);
            long(-1, &mut file);
            long(i64::try_from(block.len()).unwrap(), &mut file);
            file.extend_from_slice(&block);
        }
        assert_eq!(found(&file), Some(digest));
    }

    #[test]
    fn given_a_container_without_digest_then_there_is_none() {
        let mut file = MAGIC.to_vec();
        long(1, &mut file);
        entry("avro.codec", b"null", &mut file);
        long(0, &mut file);
        entry(DIGEST_IN_HEADER, Digest(1).to_string().as_bytes(), &mut file);
        assert_eq!(found(&file), None);
    }

    #[test]
    fn given_a_header_that_is_cut_off_anywhere_then_there_is_none() {
        let mut file = MAGIC.to_vec();
        long(1, &mut file);
        entry(DIGEST_IN_HEADER, Digest(1).to_string().as_bytes(), &mut file);
        for len in 0..file.len() {
            assert_eq!(found(&file[..len]), None);
        }
        assert_eq!(found(&file), Some(Digest(1)));
    }

    #[test]
    fn given_hostile_counts_and_lengths_then_there_is_none() {
        for (count, len) in [(i64::MAX, 1), (1, i64::MAX), (1, -5), (i64::MIN, -1)] {
            let mut file = MAGIC.to_vec();
            long(count, &mut file);
            long(len, &mut file);
            file.extend_from_slice(&[0x80; 40]);
            assert_eq!(found(&file), None);
        }
    }

    proptest! {
        #[test]
        fn given_any_bytes_behind_the_magic_then_reading_ends_without_error(
            rest in prop::collection::vec(any::<u8>(), 0..200),
        ) {
            let file = [MAGIC.as_slice(), &rest].concat();
            prop_assert!(header_digest(file.as_slice()).is_ok());
        }
    }
}
