//! A batch: the offset range `[first, end)` of one partition, as the core sees it. Rows and buffers are the lane's.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use xxhash_rust::xxh3::Xxh3;

use super::Now;
use super::intent::{Coverage, Intent, Layout, MAX_UNKNOWN_IDS, RULES};
use super::layout::{Granularity, Hour};
use crate::config::BatchLimits;
use crate::dead_letter::Reason;
use crate::sink::Digest;
use crate::types::{Offset, SchemaId, UnixMillis};

/// Tells one batch of a lane from every other that the lane ever had, so that a late answer about an abandoned
/// batch is recognised.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(pub u64);

/// Why a batch takes no more records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SealReason {
    /// `batch.max_records`
    Records,
    /// `batch.max_bytes`
    Bytes,
    /// `batch.max_files`
    Files,
    /// As many unknown schema ids as an intent can name.
    UnknownIds,
    /// `batch.max_age`
    Age,
    /// `batch.max_idle`
    Idle,
    /// The memory budget.
    Memory,
    /// Processing time: the hour is over.
    HourChange,
    /// The partition goes to another member.
    Revocation,
    /// Retention passed the position.
    Retention,
    /// The process ends.
    Shutdown,
}

impl SealReason {
    /// The name in logs and metric labels.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Records => "records",
            Self::Bytes => "bytes",
            Self::Files => "files",
            Self::UnknownIds => "unknown_ids",
            Self::Age => "age",
            Self::Idle => "idle",
            Self::Memory => "memory",
            Self::HourChange => "hour_change",
            Self::Revocation => "revocation",
            Self::Retention => "retention",
            Self::Shutdown => "shutdown",
        }
    }
}

/// When a batch is sealed.
#[derive(Clone, Debug)]
pub struct Limits {
    /// The settings `batch.*`.
    pub batch: BatchLimits,
    /// With processing time: what a batch must not outlive.
    pub processing: Option<Granularity>,
}

/// What a lane did with consecutive records of one partition, told after each run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// The offset behind the last record.
    pub end: Offset,
    /// How many records.
    pub records: u64,
    /// The Kafka timestamp of the first of them.
    pub first_timestamp: Option<UnixMillis>,
    /// The batch's files so far.
    pub files: usize,
    /// The batch's compressed bytes so far, those of unfinished blocks estimated.
    pub bytes: u64,
    /// The memory that the batch holds now, in bytes.
    pub memory: usize,
    /// Whether a record stands before the batch that only a new batch can take: it needs another file than
    /// `batch.max_files` allow, or another unknown id.
    pub full: Option<SealReason>,
}

/// What is known of a batch from its opening to its end.
#[derive(Clone, Debug)]
pub(super) struct Batch {
    pub(super) id: BatchId,
    pub(super) first: Offset,
    pub(super) end: Offset,
    pub(super) instant: UnixMillis,
    /// The Kafka timestamp of its first record.
    pub(super) oldest: Option<UnixMillis>,
    pub(super) records: u64,
    /// The memory that it holds, in bytes.
    pub(super) memory: usize,
    pub(super) unknown_ids: BTreeSet<SchemaId>,
}

/// A batch that takes records.
#[derive(Clone, Debug)]
pub(super) struct OpenBatch {
    pub(super) batch: Batch,
    bytes: u64,
    full: Option<SealReason>,
    opened: Duration,
    touched: Duration,
}

impl OpenBatch {
    pub(super) fn new(id: BatchId, first: Offset, now: Now) -> Self {
        let batch = Batch {
            id,
            first,
            end: first,
            instant: now.wall,
            oldest: None,
            records: 0,
            memory: 0,
            unknown_ids: BTreeSet::new(),
        };
        Self { batch, bytes: 0, full: None, opened: now.monotonic, touched: now.monotonic }
    }

    pub(super) fn took(&mut self, run: &Run, now: Now) {
        let batch = &mut self.batch;
        if batch.records == 0 {
            batch.oldest = run.first_timestamp;
        }
        batch.end = batch.end.max(run.end);
        batch.records += run.records;
        batch.memory = run.memory;
        self.bytes = run.bytes;
        self.full = run.full;
        self.touched = now.monotonic;
    }

    /// The position went past offsets without records.
    pub(super) fn reach(&mut self, position: Offset, now: Now) {
        self.batch.end = self.batch.end.max(position);
        self.touched = now.monotonic;
    }

    /// The bytes that it would store, as it was told last.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// What one of its records takes; `None` while it has none.
    pub(super) fn bytes_per_record(&self) -> Option<u64> {
        (self.batch.records > 0).then(|| self.bytes.div_ceil(self.batch.records))
    }

    /// It isn't idle of itself: its partition waits for its turn, or for memory.
    pub(super) fn keep_waiting(&mut self, now: Now) {
        self.touched = now.monotonic;
    }

    /// How many more records it takes.
    pub(super) fn room(&self, limits: &Limits) -> u64 {
        limits.batch.max_records.saturating_sub(self.batch.records)
    }

    /// Declares `id` unknown for the rest of the batch; `false` if an intent couldn't name it.
    pub(super) fn declare_unknown(&mut self, id: SchemaId) -> bool {
        let ids = &mut self.batch.unknown_ids;
        ids.contains(&id) || ids.len() < MAX_UNKNOWN_IDS && ids.insert(id)
    }

    /// Whether it covers nothing yet: it was opened for a record that still waits.
    pub(super) fn is_empty(&self) -> bool {
        self.batch.end == self.batch.first
    }

    /// Why it is to be sealed now, if it is.
    pub(super) fn due(&self, limits: &Limits, now: Now) -> Option<SealReason> {
        if self.is_empty() {
            return self.full;
        }
        let batch = &limits.batch;
        let hour_is_over =
            |granularity| Hour::of(self.batch.instant, granularity) != Hour::of(now.wall, granularity);
        if self.room(limits) == 0 {
            Some(SealReason::Records)
        } else if self.bytes >= batch.max_bytes {
            Some(SealReason::Bytes)
        } else if self.full.is_some() {
            self.full
        } else if now.monotonic.saturating_sub(self.opened) >= batch.max_age {
            Some(SealReason::Age)
        } else if now.monotonic.saturating_sub(self.touched) >= batch.max_idle {
            Some(SealReason::Idle)
        } else if limits.processing.is_some_and(hour_is_over) {
            Some(SealReason::HourChange)
        } else {
            None
        }
    }
}

/// What became of a batch's records: known once its files are closed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Its files, by hour and schema id, ascending.
    pub files: Vec<FileOutcome>,
    /// Its dead letters by reason.
    pub dead_letters: BTreeMap<Reason, u64>,
    /// Messages that were skipped: without a value, or replayed for another valve.
    pub skipped: u64,
}

/// One file of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOutcome {
    /// The hour of its records.
    pub hour: Hour,
    /// Their schema.
    pub schema: SchemaId,
    /// The fingerprint of the schema's text.
    pub fingerprint: u128,
    /// How many records.
    pub rows: u64,
    /// The digest of the records.
    pub digest: Digest,
}

impl Outcome {
    /// Rows in all files.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.iter().map(|file| file.rows).sum()
    }

    /// All records that were dealt with.
    #[must_use]
    pub fn records(&self) -> u64 {
        self.rows() + self.dead_letter_count() + self.skipped
    }

    /// Dead letters of all reasons.
    #[must_use]
    pub fn dead_letter_count(&self) -> u64 {
        self.dead_letters.values().sum()
    }

    /// One number for all of it, which a batch that is made again must arrive at: XXH3-128 over each file's hour,
    /// schema id, fingerprint, rows and digest, in order, and the counts of dead letters and skipped.
    #[must_use]
    pub fn digest(&self) -> u128 {
        let mut hash = Xxh3::new();
        for file in &self.files {
            hash.update(&file.hour.0.to_le_bytes());
            hash.update(&file.schema.0.to_le_bytes());
            hash.update(&file.fingerprint.to_le_bytes());
            hash.update(&file.rows.to_le_bytes());
            hash.update(&file.digest.0.to_le_bytes());
        }
        hash.update(&self.dead_letter_count().to_le_bytes());
        hash.update(&self.skipped.to_le_bytes());
        hash.digest128()
    }
}

/// A batch that takes no more records, on its way to being durable.
#[derive(Clone, Debug)]
pub(super) struct SealedBatch {
    pub(super) batch: Batch,
    pub(super) stage: Stage,
    /// The digest that its outcome must have: an earlier owner promised it.
    pub(super) promised: Option<u128>,
}

/// How far a sealed batch has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// The lane finishes its last blocks, or makes it again.
    Closing,
    /// Its outcome is known; its promise is still to be committed, if it isn't.
    Closed(Outcome),
    /// Its files are being stored and its dead letters produced.
    Publishing(Outcome),
    /// All of it is acknowledged; `end` is still to be committed.
    Published(Outcome),
}

impl SealedBatch {
    pub(super) fn new(open: OpenBatch) -> Self {
        Self { batch: open.batch, stage: Stage::Closing, promised: None }
    }

    /// The batch of `intent`, which begins at `first`, to be made again.
    pub(super) fn promised(id: BatchId, first: Offset, intent: &Intent) -> Self {
        let batch = Batch {
            id,
            first,
            end: intent.end,
            instant: intent.instant,
            oldest: None,
            records: 0,
            memory: 0,
            unknown_ids: intent.unknown_ids.iter().copied().collect(),
        };
        Self { batch, stage: Stage::Closing, promised: Some(intent.outcome) }
    }

    /// What makes `outcome` impossible, if anything: as much must have been dealt with as was read or promised.
    pub(super) fn contradiction(&self, outcome: &Outcome) -> Option<String> {
        let Batch { first, end, records, .. } = &self.batch;
        match self.promised {
            Some(promised) if promised != outcome.digest() => Some(format!(
                "[{first}, {end}) was promised by an earlier owner, and made again it came out otherwise: {} rows in {} \
                 files, {} dead letters, {} skipped. Records are gone (retention, compaction), or a schema changed under its \
                 id. See `valve intents show`",
                outcome.rows(),
                outcome.files.len(),
                outcome.dead_letter_count(),
                outcome.skipped
            )),
            None if *records != outcome.records() => Some(format!(
                "{records} records were read and {} dealt with: this is a bug in valve",
                outcome.records()
            )),
            _ => None,
        }
    }

    /// The intent by which it is promised.
    pub(super) fn intent(&self, layout: &Layout, outcome: &Outcome) -> Intent {
        Intent {
            end: self.batch.end,
            instant: self.batch.instant,
            rules: RULES,
            layout: layout.clone(),
            unknown_ids: self.batch.unknown_ids.iter().copied().collect(),
            outcome: outcome.digest(),
        }
    }

    /// The cover that ends with it, when the coverage was `before`.
    pub(super) fn cover(&self, before: &Coverage, outcome: &Outcome) -> Coverage {
        let mut cover = before.clone();
        let empty = self.batch.first.distance_to(self.batch.end).saturating_sub(outcome.records());
        // Saturating, since what `before` says was read from the broker: it may be anything.
        cover.dead_letters = cover.dead_letters.saturating_add(outcome.dead_letter_count());
        cover.skipped = cover.skipped.saturating_add(outcome.skipped);
        cover.empty = cover.empty.saturating_add(empty);
        cover
    }

    /// The coverage after it is committed: a file begins a new cover.
    pub(super) fn covered(&self, before: &Coverage, outcome: &Outcome) -> Coverage {
        let cover = self.cover(before, outcome);
        if outcome.files.is_empty() {
            return cover;
        }
        Coverage { lost: cover.lost, released: cover.released, ..Coverage::starting(self.batch.end) }
    }
}

/// The sealed batches of a partition, the oldest first.
pub(super) type SealedBatches = VecDeque<SealedBatch>;
