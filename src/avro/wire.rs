//! The Confluent wire format: byte `0x00`, a 4-byte big-endian schema id, an Avro datum.

use crate::types::SchemaId;

/// Why a value has no usable wire header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// Fewer than five bytes.
    #[error("the value has {0} bytes; the wire header alone has 5")]
    TooShort(usize),
    /// The first byte isn't 0.
    #[error("the value begins with 0x{0:02x}; the wire format begins with 0x00")]
    Magic(u8),
}

/// Splits a message's value into its schema id and its datum (which may be empty).
///
/// # Errors
/// When the value is not in the wire format.
pub fn split(value: &[u8]) -> Result<(SchemaId, &[u8]), WireError> {
    match value {
        [0, a, b, c, d, datum @ ..] => Ok((SchemaId(u32::from_be_bytes([*a, *b, *c, *d])), datum)),
        [magic, ..] if *magic != 0 => Err(WireError::Magic(*magic)),
        short => Err(WireError::TooShort(short.len())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_the_five_bytes_alone_then_the_datum_is_empty() {
        assert_eq!(split(&[0, 0, 0, 1, 2]), Ok((SchemaId(258), &[][..])));
    }

    #[test]
    fn given_a_wrong_first_byte_then_it_is_named() {
        assert_eq!(split(&[1, 0, 0, 0, 1, 9]), Err(WireError::Magic(1)));
        assert_eq!(split(&[7]), Err(WireError::Magic(7)));
    }

    #[test]
    fn given_fewer_than_five_bytes_then_it_is_too_short() {
        assert_eq!(split(&[]), Err(WireError::TooShort(0)));
        assert_eq!(split(&[0, 0, 0, 1]), Err(WireError::TooShort(4)));
    }
}
