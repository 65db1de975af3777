//! What an audit comes to: a record per partition, with what was found, and what that means as a whole.

use serde::Serialize;

use super::ranges::Range;
use crate::types::Offset;

/// What an audit of several partitions found.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// A record per partition and id of its topic.
    pub records: Vec<Record>,
    /// What is wrong with objects that can't be assigned to a partition.
    pub findings: Vec<Finding>,
    /// Whether only some hours were looked at, so that a gap wouldn't have been seen.
    pub is_partial: bool,
    /// What was not checked, and what else a reader should know.
    pub notes: Vec<String>,
}

/// What is known of one partition of one topic (a topic that is created again is another).
#[derive(Clone, Debug, Default, Serialize)]
pub struct Record {
    /// The topic's name.
    pub topic: String,
    /// Kafka's id of the topic in hexadecimal digits, where it is known.
    pub topic_id: Option<String>,
    /// The partition's index.
    pub partition: i32,
    /// Where the record begins.
    pub origin: Option<Offset>,
    /// The group's committed offset.
    pub committed: Option<Offset>,
    /// The range of the batch that is promised and not yet committed.
    pub promised: Option<Range>,
    /// Batches with files.
    pub batches: u64,
    /// Their files that are there.
    pub files: u64,
    /// Rows, as the batches' first files count them.
    pub rows: u64,
    /// Dead letters.
    pub dead_letters: u64,
    /// Messages that were skipped: without a value, or replayed for another valve.
    pub skipped: u64,
    /// Offsets without a record.
    pub empty: u64,
    /// Ranges that were gone before they were read.
    pub lost: Vec<Range>,
    /// Batches that a person released without the proof that all of it is stored.
    pub released: Vec<Released>,
    /// Files of batches that weren't committed when the audit began: not yet its business.
    pub pending_files: u64,
    /// Whether the group began the partition only after the audit began: what it has made of it since wasn't compared.
    pub begun_since: bool,
    /// Files of an earlier record, which ended before this one began.
    pub earlier_files: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What couldn't be compared, and isn't wrong.
    pub notes: Vec<String>,
}

/// A released batch, and what is stored of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Released {
    /// Its first offset.
    pub first: Offset,
    /// The offset behind its last.
    pub end: Offset,
    /// Its files that are there.
    pub files: u64,
    /// Their rows.
    pub rows: u64,
}

/// Something that shows that the offsets aren't each covered once, or that keeps it from being proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, thiserror::Error)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Finding {
    /// Nothing accounts for these offsets.
    #[error("gap: nothing accounts for the offsets [{first}, {end})")]
    Gap {
        /// The first of them.
        first: Offset,
        /// The offset behind the last.
        end: Offset,
    },
    /// These offsets are accounted for more than once.
    #[error("overlap: the offsets [{first}, {end}) are accounted for by {by} and by {and_by}")]
    Overlap {
        /// The first of them.
        first: Offset,
        /// The offset behind the last.
        end: Offset,
        /// By this batch (its first file), or the origin.
        by: String,
        /// And by this one, or the committed metadata.
        and_by: String,
    },
    /// The counts don't add up to the offsets that they are for.
    #[error(
        "counts: {by} accounts for {accounted} of the {offsets} offsets of [{first}, {end}) (rows, dead letters, skipped, \
         empty, lost, released)"
    )]
    Counts {
        /// The first offset that they are for.
        first: Offset,
        /// The offset behind the last.
        end: Offset,
        /// How many offsets there are.
        offsets: u64,
        /// How many are accounted for.
        accounted: u64,
        /// Where the counts stand: a batch's first file, or the committed metadata.
        by: String,
    },
    /// Offsets without a record, where each is to have had one.
    #[error("empty: {by} counts {offsets} offsets of [{first}, {end}) without a record")]
    Empty {
        /// The first offset of the range that they are in.
        first: Offset,
        /// The offset behind its last.
        end: Offset,
        /// How many they are.
        offsets: u64,
        /// Where the count stands: a batch's first file, or the committed metadata.
        by: String,
    },
    /// A file that its batch's first file lists isn't there.
    #[error("missing file: {key}, of the batch [{first}, {end}), with {rows} rows")]
    MissingFile {
        /// Its key.
        key: String,
        /// The batch's first offset.
        first: Offset,
        /// The offset behind the batch's last.
        end: Offset,
        /// How many rows it had.
        rows: u64,
    },
    /// A batch's first file isn't there, while others are.
    #[error("missing first file: {key}, of the batch [{first}, {end}), which has {files} other files")]
    MissingFirstFile {
        /// Its key.
        key: String,
        /// The batch's first offset.
        first: Offset,
        /// The offset behind the batch's last.
        end: Offset,
        /// How many of its files are there.
        files: u64,
    },
    /// A file that its batch's first file doesn't list.
    #[error("unlisted file: {key}, which {first_file} doesn't list")]
    UnlistedFile {
        /// Its key.
        key: String,
        /// The first file that it names.
        first_file: String,
    },
    /// A file isn't what it should be.
    #[error("different file: {key}: {what}")]
    DifferentFile {
        /// Its key.
        key: String,
        /// How it differs.
        what: String,
    },
    /// This valve's file, but its header can't be read or contradicts itself.
    #[error("unreadable file: {key}: {reason}")]
    UnreadableFile {
        /// Its key.
        key: String,
        /// Why.
        reason: String,
    },
    /// What would prove it isn't there.
    #[error("not proven: {reason}")]
    NotProven {
        /// What is missing.
        reason: String,
    },
}

/// What an audit means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Each offset is covered once.
    Clean,
    /// Nothing is unexplained, but lost ranges or released batches are on record.
    OnRecord,
    /// Something is wrong.
    Wrong,
}

impl Record {
    /// What it means.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        if !self.findings.is_empty() {
            Verdict::Wrong
        } else if !(self.lost.is_empty() && self.released.is_empty()) {
            Verdict::OnRecord
        } else {
            Verdict::Clean
        }
    }
}

impl Report {
    /// Whether a file of this valve was met, whatever became of it.
    #[must_use]
    pub fn has_files(&self) -> bool {
        let has = |record: &Record| {
            let released = record.released.iter().any(|mark| mark.files > 0);
            released || record.files > 0 || record.pending_files > 0 || record.earlier_files > 0
        };
        let unreadable = |finding: &Finding| matches!(finding, Finding::UnreadableFile { .. });
        self.records.iter().any(has) || self.findings.iter().any(unreadable)
    }

    /// What it means as a whole.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        let verdicts = || self.records.iter().map(Record::verdict);
        if !self.findings.is_empty() || verdicts().any(|verdict| verdict == Verdict::Wrong) {
            Verdict::Wrong
        } else if verdicts().any(|verdict| verdict == Verdict::OnRecord) {
            Verdict::OnRecord
        } else {
            Verdict::Clean
        }
    }
}
