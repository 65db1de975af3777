//! One file of this valve, as its header describes it.

use crate::core::layout::Hour;
use crate::sink::Digest;
use crate::types::{Offset, SchemaId, TopicPartition};

/// A file and what its header says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredFile {
    /// The object's key.
    pub key: String,
    /// Where its records are from.
    pub partition: TopicPartition,
    /// Kafka's id of the topic, as the batch's promise has it.
    pub topic_id: Option<u128>,
    /// Where the record of the partition that the batch belongs to begins, as the promise has it.
    pub origin: Offset,
    /// The batch's first offset.
    pub first: Offset,
    /// The offset behind the batch's last.
    pub end: Offset,
    /// Where the cover that ends with the batch begins: `first`, or before it when batches without a file came between.
    pub covered_from: Offset,
    /// XXH3-128 of the encoded metadata with the batch's promise: the same for all its files.
    pub promise: u128,
    /// The hour of its records.
    pub hour: Hour,
    /// Their schema.
    pub schema: SchemaId,
    /// How many there are.
    pub rows: u64,
    /// The digest of the rows.
    pub digest: Digest,
    /// Which part it has in its batch.
    pub part: Part,
}

/// The part that a file has in its batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The first one (lowest hour, schema id) speaks for the batch.
    First(Box<Totals>),
    /// The others name it.
    Further {
        /// The first file's key.
        first_file: String,
    },
}

/// What the cover `[covered_from, end)` came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Dead letters.
    pub dead_letters: u64,
    /// Messages that were skipped: without a value, or replayed for another valve.
    pub skipped: u64,
    /// Offsets without a record.
    pub empty: u64,
    /// All ranges that the partition ever lost unread, also those before the cover.
    pub lost: Vec<(Offset, Offset)>,
    /// All batches that were ever released.
    pub released: Vec<(Offset, Offset)>,
    /// The batch's files, this one among them.
    pub files: Vec<ListedFile>,
}

/// A file as the first one of its batch lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Its key.
    pub key: String,
    /// How many rows it has.
    pub rows: u64,
    /// Their digest.
    pub digest: Digest,
}

impl StoredFile {
    /// The key of its batch's first file, which may be its own.
    #[must_use]
    pub fn first_file(&self) -> &str {
        match &self.part {
            Part::First(_) => &self.key,
            Part::Further { first_file } => first_file,
        }
    }
}
