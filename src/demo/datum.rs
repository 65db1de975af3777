//! Writes Avro's binary encoding (Avro 1.12, "Binary Encoding"), field by field.
//!
//! Fifty thousand events a second leave no time to build a tree of values for each. The tests read what this
//! writes back with the Avro library and the schema.

/// A value in the wire format, as far as it is written.
#[derive(Debug)]
pub(super) struct Datum(Vec<u8>);

impl Datum {
    /// The wire header of a datum written with the schema `id`.
    pub(super) fn new(id: u32) -> Self {
        let mut bytes = Vec::with_capacity(320);
        bytes.push(0);
        bytes.extend_from_slice(&id.to_be_bytes());
        Self(bytes)
    }

    /// An int, a long, an enum's index, a union's branch or a block's count: zig-zag, seven bits a byte.
    pub(super) fn long(&mut self, value: impl Into<i64>) -> &mut Self {
        let value: i64 = value.into();
        let mut rest = (value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned();
        while rest >= 0x80 {
            self.0.push((rest & 0x7f) as u8 | 0x80);
            rest >>= 7;
        }
        self.0.push(rest as u8);
        self
    }

    /// A boolean.
    pub(super) fn boolean(&mut self, value: bool) -> &mut Self {
        self.0.push(u8::from(value));
        self
    }

    /// A double.
    pub(super) fn double(&mut self, value: f64) -> &mut Self {
        self.fixed(&value.to_le_bytes())
    }

    /// The bytes of a fixed.
    pub(super) fn fixed(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// A string, or bytes.
    pub(super) fn string(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        // A slice's length always fits.
        self.long(i64::try_from(bytes.len()).unwrap_or(i64::MAX)).fixed(bytes)
    }

    /// A value of a union of null and something: its branch, and the value if there is one.
    pub(super) fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) -> &mut Self {
        self.long(i64::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
        self
    }

    /// An array or a map of `count` entries in one block, each written by `write` from its index.
    pub(super) fn block(&mut self, count: u32, mut write: impl FnMut(&mut Self, u32)) -> &mut Self {
        if count > 0 {
            self.long(count);
            for index in 0..count {
                write(self, index);
            }
        }
        self.long(0)
    }

    /// Wire header and datum.
    pub(super) fn into_value(self) -> Vec<u8> {
        self.0
    }
}
