//! What stands at a container file's beginning: the magic, a map of metadata, the sync marker.

use super::{MARKER_LEN, put_long};
use crate::avro::codec::Codec;

/// "Obj" and the format's version.
pub(super) const MAGIC: [u8; 4] = *b"Obj\x01";

/// What stands at a file's beginning. The same header is always the same bytes.
#[derive(Debug)]
pub struct Header<'a> {
    /// `avro.schema`
    pub schema: &'a str,
    /// `avro.codec`
    pub codec: Codec,
    /// Further metadata, in order. Names that begin with `avro.` belong to the format.
    pub metadata: &'a [(&'a str, String)],
    /// The marker between blocks.
    pub sync: [u8; MARKER_LEN],
}

impl Header<'_> {
    /// The header's bytes. The map is one block: the schema, the codec, then the further metadata.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.encoded_len());
        out.extend_from_slice(&MAGIC);
        put_long(&mut out, 2 + self.metadata.len() as u64);
        for (name, value) in self.entries() {
            put_bytes(&mut out, name);
            put_bytes(&mut out, value);
        }
        put_long(&mut out, 0);
        out.extend_from_slice(&self.sync);
        out
    }

    /// How many bytes [`Self::encode`] takes at most; at most 20 more for each entry than it does take.
    #[must_use]
    pub fn encoded_len(&self) -> usize {
        let lengths = 20;
        let entries: usize = self.entries().map(|(name, value)| lengths + name.len() + value.len()).sum();
        MAGIC.len() + 10 + entries + 1 + MARKER_LEN
    }

    fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        let further = self.metadata.iter().map(|(name, value)| (*name, value.as_str()));
        [("avro.schema", self.schema), ("avro.codec", self.codec.header_name())].into_iter().chain(further)
    }
}

/// An Avro string or bytes: its length, then itself.
fn put_bytes(out: &mut Vec<u8>, text: &str) {
    put_long(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}
