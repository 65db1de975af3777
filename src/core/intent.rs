//! What every offset commit of valve carries as metadata (docs/protocol.md, "The metadata of every commit").
//!
//! It is the whole of valve's state: where this group's record of the partition begins, what is covered since the
//! last file, and, when a batch is promised, everything that the batch's outcome depends on. Encoded, it is `v1:`
//! and a compact binary form in base64, since Kafka wants a string and gives it 4,096 bytes.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::layout::{Granularity, NullPolicy};
use crate::avro::codec::Codec;
use crate::config::{Config, Isolation, SinkConfig};
use crate::types::{Offset, SchemaId, UnixMillis};

/// Raised whenever any record's fate can change: the walk's limits, how timestamps are parsed.
pub const RULES: u16 = 1;

/// The most bytes that encoded metadata may have.
pub const MAX_METADATA: usize = 2_000;

/// A batch is sealed when it has declared this many schema ids unknown.
pub const MAX_UNKNOWN_IDS: usize = 64;

/// A partition is held rather than let its coverage list more lost ranges than this.
pub const MAX_LOST_RANGES: usize = 16;

/// A batch isn't released while the coverage marks so many.
pub const MAX_RELEASED: usize = 8;

const PREFIX: &str = "v1:";

/// The metadata of one commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// Kafka's id of the topic; a topic that is deleted and created again has another one. `None` where the
    /// broker doesn't tell.
    pub topic_id: Option<u128>,
    /// The partition's index.
    pub partition: i32,
    /// The offset that is committed with this. A copy that a replication tool made has another one.
    pub first: Offset,
    /// Where this group's record of the partition begins.
    pub origin: Offset,
    /// How many partitions the topic had when the group first began one of them; those with an index at or above it were
    /// added later.
    pub partitions_at_start: Option<u32>,
    /// What is covered since the last file.
    pub coverage: Coverage,
    /// The promised batch, if one is.
    pub intent: Option<Intent>,
}

/// What has been dealt with since the last range that produced a file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coverage {
    /// Where the next file's cover begins.
    pub from: Offset,
    /// Dead letters since there.
    pub dead_letters: u64,
    /// Messages without a value skipped since there.
    pub skipped: u64,
    /// Offsets without a record (control records, aborted or compacted away) since there.
    pub empty: u64,
    /// Ranges `[first, end)` that were gone before they were read; these stay.
    pub lost: Vec<(Offset, Offset)>,
    /// Batches `[first, end)` that a person released without the proof that all of it is stored; these stay.
    pub released: Vec<(Offset, Offset)>,
}

impl Coverage {
    /// Nothing dealt with yet; the cover begins at `from`.
    #[must_use]
    pub fn starting(from: Offset) -> Self {
        Self { from, ..Self::default() }
    }
}

/// The promise of one batch: `[first, end)`, and what its outcome depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Intent {
    /// The first offset that isn't the batch's.
    pub end: Offset,
    /// When the batch was opened: processing time, and what limits relative to "now" are relative to.
    pub instant: UnixMillis,
    /// The [`RULES`] that it was made under.
    pub rules: u16,
    /// The layout that it was made under, in full.
    pub layout: Layout,
    /// The schema ids that were declared unknown, ascending.
    pub unknown_ids: Vec<SchemaId>,
    /// The digest of its outcome: [`super::batch::Outcome::digest`].
    pub outcome: u128,
}

/// Everything but memory, time and credentials that a record's fate or a file's place depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The entries of the setting `timestamp`.
    pub timestamp: Vec<String>,
    /// The years `[first, end)` in which a time is usable.
    pub years: (i32, i32),
    /// `layout.key`
    pub key: String,
    /// `layout.granularity`
    pub granularity: Granularity,
    /// `sink.prefix`
    pub prefix: String,
    /// `nulls`
    pub nulls: NullPolicy,
    /// Whether records of aborted transactions are left out.
    pub read_committed: bool,
    /// Where files go.
    pub place: Place,
    /// `batch.max_record_bytes`
    pub max_record_bytes: u64,
    /// `codec`
    pub codec: Codec,
}

/// The part of a sink's settings that says where its objects are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Place {
    /// A bucket, and the endpoint if it isn't AWS's.
    S3 {
        /// `sink.bucket`
        bucket: String,
        /// `sink.endpoint`
        endpoint: Option<String>,
    },
    /// A directory.
    Local {
        /// `sink.path`
        path: String,
    },
}

impl Layout {
    /// The layout that `config` asks for.
    #[must_use]
    pub fn of(config: &Config) -> Self {
        let (place, prefix) = match &config.sink {
            SinkConfig::S3(s3) => {
                (Place::S3 { bucket: s3.bucket.clone(), endpoint: s3.endpoint.clone() }, s3.prefix.clone())
            }
            SinkConfig::Local { path, prefix } => {
                (Place::Local { path: path.to_string_lossy().into_owned() }, prefix.clone())
            }
        };
        Self {
            timestamp: config.timestamp.candidates().iter().map(ToString::to_string).collect(),
            years: config.timestamp.years(),
            key: config.layout.key.to_string(),
            granularity: config.layout.granularity,
            prefix,
            nulls: config.nulls,
            read_committed: config.group.isolation == Isolation::ReadCommitted,
            place,
            max_record_bytes: config.batch.max_record_bytes as u64,
            codec: config.codec,
        }
    }

    /// The length in bytes of the longest metadata that a batch of this layout can have: everything that data
    /// drives at its bound.
    #[must_use]
    pub fn longest_metadata(&self) -> usize {
        let last = Offset(i64::MAX);
        let coverage = Coverage {
            from: last,
            dead_letters: u64::MAX,
            skipped: u64::MAX,
            empty: u64::MAX,
            lost: vec![(last, last); MAX_LOST_RANGES],
            released: vec![(last, last); MAX_RELEASED],
        };
        let intent = Intent {
            end: last,
            instant: UnixMillis(i64::MAX),
            rules: u16::MAX,
            layout: self.clone(),
            unknown_ids: vec![SchemaId(u32::MAX); MAX_UNKNOWN_IDS],
            outcome: u128::MAX,
        };
        let metadata = Metadata {
            topic_id: Some(u128::MAX),
            partition: i32::MAX,
            first: last,
            origin: last,
            partitions_at_start: Some(u32::MAX),
            coverage,
            intent: Some(intent),
        };
        metadata.encode().len()
    }
}

/// What the metadata found with a committed offset is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// Valve's own, for this partition and offset.
    Own(Box<Metadata>),
    /// None, another tool's, or a copy of valve's from another partition or offset: ignored, and replaced by the
    /// next commit.
    Foreign,
    /// A later version of valve wrote it. The partition is held: what it promises can't be known.
    Newer,
}

impl Metadata {
    /// The text to commit.
    #[must_use]
    pub fn encode(&self) -> String {
        // Plain structs of numbers, strings and lists: there is nothing that could fail to serialise.
        let bytes = postcard::to_stdvec(self).unwrap_or_default();
        format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// What `text` is, when it was found committed with offset `first` of the partition with index `partition`.
    /// Any text is possible.
    #[must_use]
    pub fn find(text: &str, partition: i32, first: Offset) -> Found {
        if is_newer(text) {
            return Found::Newer;
        }
        match Self::decode(text) {
            Some(own) if own.partition == partition && own.first == first => Found::Own(Box::new(own)),
            _ => Found::Foreign,
        }
    }

    /// What `text` says, if it is just what [`Metadata::encode`] makes: the identities of files follow from the text, so
    /// nothing else will do. Any text is possible.
    #[must_use]
    pub fn decode(text: &str) -> Option<Self> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.strip_prefix(PREFIX)?).ok()?;
        let own: Self = postcard::from_bytes(&bytes).ok()?;
        (own.encode() == text).then_some(own)
    }
}

/// `v<number>:` with a number above this version's.
fn is_newer(text: &str) -> bool {
    let version = text.strip_prefix('v').and_then(|rest| rest.split_once(':')).map(|(version, _)| version);
    version.and_then(|version| version.parse::<u32>().ok()).is_some_and(|version| version > 1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn layout() -> Layout {
        Layout {
            timestamp: vec!["field:header.created_at@ms".into(), "kafka".into()],
            years: (1970, 2100),
            key: super::super::layout::DEFAULT_KEY.into(),
            granularity: Granularity::Hour,
            prefix: "events/archive".into(),
            nulls: NullPolicy::Skip,
            read_committed: true,
            place: Place::S3 { bucket: "company-events".into(), endpoint: None },
            max_record_bytes: 16 << 20,
            codec: Codec::Snappy,
        }
    }

    fn metadata() -> Metadata {
        Metadata {
            topic_id: Some(7),
            partition: 3,
            first: Offset(100),
            origin: Offset(0),
            partitions_at_start: None,
            coverage: Coverage {
                dead_letters: 2,
                lost: vec![(Offset(4), Offset(9))],
                ..Coverage::starting(Offset(90))
            },
            intent: Some(Intent {
                end: Offset(200),
                instant: UnixMillis(1_700_000_000_000),
                rules: RULES,
                layout: layout(),
                unknown_ids: vec![SchemaId(8)],
                outcome: 5,
            }),
        }
    }

    #[test]
    fn given_own_metadata_when_it_is_read_back_then_it_is_the_same() {
        let text = metadata().encode();
        assert_eq!(Metadata::find(&text, 3, Offset(100)), Found::Own(Box::new(metadata())));
    }

    /// What one version promises, the next one must be able to make: a text that is written otherwise needs another `v`.
    #[test]
    fn given_metadata_then_its_text_is_the_one_that_earlier_versions_wrote() {
        let text = concat!(
            "v1:AQcGyAEAALQBAgAAAQgSAAGQA4Cgq_75YgECGmZpZWxkOmhlYWRlci5jcmVhdGVkX2F0QG1zBWthZmth5B7oIFx7dG9waWN9L3llYXI9",
            "e3llYXJ9L21vbnRoPXttb250aH0vZGF5PXtkYXl9L2hvdXI9e2hvdXJ9L3t0b3BpY31fe2NvdW50fS1tZXNzYWdlc197dXVpZH0uYXZybwAO",
            "ZXZlbnRzL2FyY2hpdmUAAQAOY29tcGFueS1ldmVudHMAgICACAEBCAU",
        );
        assert_eq!(metadata().encode(), text);
    }

    #[test]
    fn given_a_copy_at_another_offset_or_partition_then_it_is_foreign() {
        let text = metadata().encode();
        assert_eq!(Metadata::find(&text, 3, Offset(101)), Found::Foreign);
        assert_eq!(Metadata::find(&text, 2, Offset(100)), Found::Foreign);
    }

    #[test]
    fn given_a_later_versions_metadata_then_it_is_newer() {
        assert_eq!(Metadata::find("v2:AAAA", 0, Offset(0)), Found::Newer);
        assert_eq!(Metadata::find("v:AAAA", 0, Offset(0)), Found::Foreign);
        assert_eq!(Metadata::find("", 0, Offset(0)), Found::Foreign);
    }

    #[test]
    fn given_long_names_everywhere_then_the_longest_metadata_is_within_its_bound() {
        let mut layout = layout();
        layout.timestamp = vec![format!("field:{}", "a".repeat(50)); 3];
        layout.prefix = "p".repeat(100);
        layout.place = Place::S3 { bucket: "b".repeat(63), endpoint: Some("e".repeat(60)) };
        assert!(layout.longest_metadata() <= MAX_METADATA, "{}", layout.longest_metadata());
    }

    proptest! {
        #[test]
        fn given_hostile_text_then_reading_it_never_panics(text in "(v[0-9]{0,3}:)?\\PC{0,200}", bytes: Vec<u8>) {
            let encoded = format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes));
            for text in [text, encoded] {
                // What isn't exactly what valve writes is nobody's or a later version's.
                if let Found::Own(own) = Metadata::find(&text, 0, Offset(0)) {
                    prop_assert_eq!(own.first, Offset(0));
                }
            }
        }
    }
}
