//! The digest in a container file's own header, read without reading the file.
//!
//! What lies in a directory may be any file at all: what isn't a container, or is cut off, has no digest.

use std::io::{self, BufRead, ErrorKind};

use super::{DIGEST_IN_HEADER, Digest};
use crate::avro::container::metadata::MetadataReader;

/// A header longer than this, in bytes, has no digest. Its bulk is the schema's text.
const MAX_HEADER: u64 = 64 << 20;

/// How a digest is written, in bytes.
const DIGITS: u64 = 32;

/// The digest that the header at the beginning of `file` states; `None` when there is no header, none in it, or
/// none that can be read.
pub(super) fn header_digest(file: impl BufRead) -> io::Result<Option<Digest>> {
    match read_header(file.take(MAX_HEADER)) {
        Ok(digest) => Ok(digest),
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_header(file: impl BufRead) -> io::Result<Option<Digest>> {
    let mut metadata = MetadataReader::open(file)?;
    while let Some(name) = metadata.next_name()? {
        if name == DIGEST_IN_HEADER.as_bytes() {
            let text = metadata.value(DIGITS)?;
            return Ok(std::str::from_utf8(&text).ok().and_then(Digest::parse));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MAGIC: &[u8] = b"Obj\x01";

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
            let file = [MAGIC, &rest].concat();
            prop_assert!(header_digest(file.as_slice()).is_ok());
        }
    }
}
