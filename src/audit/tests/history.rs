//! What a valve does to one partition, step by step, as the protocol says: the files that it leaves in the store, and
//! the metadata that it commits.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;
use xxhash_rust::xxh3::xxh3_128;

use crate::core::intent::{Coverage, Intent, Layout, Metadata, Place};
use crate::core::layout::{DEFAULT_KEY, FilePlace, Granularity, Hour, KeyTemplate, NullPolicy};
use crate::sink::Digest;
use crate::stored::{ListedFile, Part, StoredFile, Totals};
use crate::types::{Offset, SchemaId, TopicPartition, UnixMillis};

pub(super) const PARTITION: i32 = 3;
pub(super) const TOPIC_ID: u128 = 77;
/// What every key begins with.
pub(super) const PREFIX: &str = "p";

/// The hour of a batch's nth file, from 2024-01-01T00 on.
fn hour(index: usize) -> Hour {
    Hour(473_352 + i64::try_from(index).expect("a small number"))
}

/// One thing that happens.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// A batch is made, published and committed; with no rows it has no file.
    Batch { rows: Vec<u64>, dead_letters: u64, skipped: u64, empty: u64 },
    /// Retention takes so many offsets.
    Lost(u64),
    /// A batch is promised, stored in part, and then released.
    Released { rows: Vec<u64>, stored: Vec<usize> },
    /// A batch is promised, and so many of its files are stored; nothing follows.
    Pending { rows: Vec<u64>, stored: usize },
}

/// What is left behind.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) steps: Vec<Step>,
    pub(super) files: Vec<StoredFile>,
    pub(super) committed: Metadata,
    /// The encoded metadata of each promise, by its digest.
    pub(super) promises: BTreeMap<u128, String>,
}

pub(super) fn history() -> impl Strategy<Value = History> {
    let rows = || prop::collection::vec(1..50_u64, 0..4);
    let some_rows = || prop::collection::vec(1..50_u64, 1..4);
    let step = prop_oneof![
        6 => (rows(), 0..3_u64, 0..3_u64, 0..3_u64)
            .prop_map(|(rows, dead_letters, skipped, empty)| Step::Batch { rows, dead_letters, skipped, empty }),
        1 => (1..30_u64).prop_map(Step::Lost),
        1 => (some_rows(), prop::collection::vec(0..4_usize, 0..3))
            .prop_map(|(rows, stored)| Step::Released { rows, stored }),
    ];
    let last = prop::option::of((some_rows(), 0..4_usize));
    (0..1000_i64, prop::collection::vec(step, 0..12), last, 0..1000_usize).prop_map(
        |(origin, mut steps, last, shuffle)| {
            steps.extend(last.map(|(rows, stored)| Step::Pending { rows, stored }));
            play(origin, steps, shuffle)
        },
    )
}

/// Plays `steps` from `origin` on; the files come in an order that depends on `rotate`.
pub(super) fn play(origin: i64, steps: Vec<Step>, rotate: usize) -> History {
    let origin = Offset(origin);
    let committed = Metadata {
        topic_id: Some(TOPIC_ID),
        partition: PARTITION,
        first: origin,
        origin,
        partitions_at_start: None,
        coverage: Coverage::starting(origin),
        intent: None,
    };
    let mut history =
        History { steps: steps.clone(), files: Vec::new(), committed, promises: BTreeMap::new() };
    steps.iter().for_each(|step| history.step(step));
    let rotate = rotate.checked_rem(history.files.len()).unwrap_or(0);
    history.files.rotate_left(rotate);
    history
}

impl History {
    fn step(&mut self, step: &Step) {
        match step {
            Step::Batch { rows, dead_letters, skipped, empty } => {
                self.batch(rows, [*dead_letters, *skipped, *empty]);
            }
            Step::Lost(offsets) => {
                let range = (self.committed.first, self.behind(*offsets));
                self.committed.coverage.lost.push(range);
                self.committed.first = range.1;
            }
            Step::Released { rows, stored } => {
                let range = (self.committed.first, self.behind(rows.iter().sum()));
                let files = self.files_of(rows, range.1, self.committed.coverage.clone());
                let kept = files.into_iter().enumerate().filter(|(index, _)| stored.contains(index));
                self.files.extend(kept.map(|(_, file)| file));
                self.committed.coverage.released.push(range);
                self.committed.first = range.1;
            }
            Step::Pending { rows, stored } => {
                let end = self.behind(rows.iter().sum());
                let files = self.files_of(rows, end, self.committed.coverage.clone());
                self.files.extend(files.into_iter().take(*stored));
                self.committed.intent = Some(intent(end));
            }
        }
    }

    fn batch(&mut self, rows: &[u64], counts: [u64; 3]) {
        let [dead_letters, skipped, empty] = counts;
        let end = self.behind(rows.iter().sum::<u64>() + dead_letters + skipped + empty);
        let mut cover = self.committed.coverage.clone();
        cover.dead_letters += dead_letters;
        cover.skipped += skipped;
        cover.empty += empty;
        self.committed.coverage = if rows.is_empty() {
            cover
        } else {
            let files = self.files_of(rows, end, cover.clone());
            self.files.extend(files);
            Coverage { lost: cover.lost, released: cover.released, ..Coverage::starting(end) }
        };
        self.committed.first = end;
    }

    fn behind(&self, offsets: u64) -> Offset {
        Offset(self.committed.first.0 + i64::try_from(offsets).expect("a small number"))
    }

    /// The files of a batch that is promised now, and whose cover comes to `cover`.
    fn files_of(&mut self, rows: &[u64], end: Offset, cover: Coverage) -> Vec<StoredFile> {
        let first = self.committed.first;
        let promise = Metadata { intent: Some(intent(end)), ..self.committed.clone() }.encode();
        let digest_of_promise = xxh3_128(promise.as_bytes());
        self.promises.insert(digest_of_promise, promise);
        let template: KeyTemplate = DEFAULT_KEY.parse().expect("the default is one");
        let key = |index: usize| {
            let uuid = Uuid::from_u128(digest_of_promise.wrapping_add(index as u128));
            let place = FilePlace { topic: "orders", hour: hour(index), count: rows[index], uuid };
            template.key(PREFIX, &place)
        };
        let digest = |index: usize| Digest((first.0 as u128) << 8 | index as u128);
        let list =
            |(index, rows): (usize, &u64)| ListedFile { key: key(index), rows: *rows, digest: digest(index) };
        let files: Vec<ListedFile> = rows.iter().enumerate().map(list).collect();
        let totals = Totals {
            dead_letters: cover.dead_letters,
            skipped: cover.skipped,
            empty: cover.empty,
            lost: cover.lost,
            released: cover.released,
            files: files.clone(),
        };
        let described = |(index, file): (usize, ListedFile)| StoredFile {
            key: file.key,
            partition: TopicPartition::new("orders", PARTITION),
            topic_id: Some(TOPIC_ID),
            origin: self.committed.origin,
            first,
            end,
            covered_from: cover.from,
            promise: digest_of_promise,
            hour: hour(index),
            schema: SchemaId(1),
            rows: file.rows,
            digest: file.digest,
            part: if index == 0 {
                Part::First(Box::new(totals.clone()))
            } else {
                Part::Further { first_file: key(0) }
            },
        };
        files.into_iter().enumerate().map(described).collect()
    }
}

fn intent(end: Offset) -> Intent {
    Intent {
        end,
        instant: UnixMillis(0),
        rules: 1,
        layout: Layout {
            timestamp: vec!["kafka".to_owned()],
            years: (1970, 2100),
            key: DEFAULT_KEY.to_owned(),
            granularity: Granularity::Hour,
            prefix: String::new(),
            nulls: NullPolicy::Skip,
            read_committed: true,
            place: Place::Local { path: "/data".to_owned() },
            max_record_bytes: 1 << 20,
            codec: crate::avro::codec::Codec::Null,
        },
        unknown_ids: Vec::new(),
        outcome: 0,
    }
}
