//! The whole audit over a store with real container files: listing, headers, proof, and the rows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;

use super::history::{History, PARTITION, PREFIX, Step, TOPIC_ID, play};
use crate::audit::table::Table;
use crate::audit::{Finding, Progress, Report, Request, Verdict, audit};
use crate::avro::codec::{Codec, Compressor};
use crate::avro::container::{Header, OpenFile};
use crate::avro::schema::WriterSchema;
use crate::core::intent::Metadata;
use crate::core::layout::DEFAULT_KEY;
use crate::sink::memory::MemorySink;
use crate::sink::{Body, Digest, Sink};
use crate::source::offsets::group::GroupOffsets;
use crate::stored::{Part, Store, StoredFile, Totals};
use crate::types::{Offset, SchemaId, TopicPartition};

const SCHEMA: &str = r#"{"type":"record","name":"Order","fields":[{"name":"id","type":"long"}]}"#;

/// Three batches with files, of which the second has all kinds of things before and in it.
fn history() -> History {
    let batch = |rows: &[u64]| Step::Batch { rows: rows.to_vec(), dead_letters: 1, skipped: 2, empty: 3 };
    play(100, vec![batch(&[40_000]), batch(&[]), batch(&[3, 1, 7]), batch(&[9]), batch(&[])], 0)
}

/// A store with the files of a history, and what the group has committed.
struct Scene {
    sink: Arc<MemorySink>,
    group: GroupOffsets,
    history: History,
}

/// Rows for a file: the same for the same key.
fn rows_of(file: &StoredFile, codec: Codec) -> (OpenFile, Digest) {
    let schema = WriterSchema::new(SchemaId(1), SCHEMA).unwrap();
    let mut compressor = Compressor::new(codec);
    let mut rows = OpenFile::new(schema.fingerprint());
    for row in 0..file.rows {
        // A long of two bytes.
        rows.append(&[0x81, (row % 60) as u8 * 2 + 1], &mut compressor);
    }
    rows.close(&mut compressor);
    let digest = rows.digest();
    (rows, digest)
}

fn described(file: &StoredFile, promise: &str) -> Vec<(&'static str, String)> {
    let mut metadata = vec![
        ("valve.name", "archive".to_owned()),
        ("valve.topic", file.partition.topic.to_string()),
        ("valve.partition", file.partition.partition.to_string()),
        ("valve.first", file.first.to_string()),
        ("valve.end", file.end.to_string()),
        ("valve.covered_from", file.covered_from.to_string()),
        ("valve.intent", promise.to_owned()),
        ("valve.hour", file.hour.to_string()),
        ("valve.schema_id", file.schema.to_string()),
        ("valve.rows", file.rows.to_string()),
        ("valve.digest", file.digest.to_string()),
    ];
    match &file.part {
        Part::Further { first_file } => metadata.push(("valve.first_file", first_file.clone())),
        Part::First(totals) => metadata.extend(described_totals(totals)),
    }
    metadata
}

fn described_totals(totals: &Totals) -> [(&'static str, String); 6] {
    let list = totals.files.iter().map(|file| json!([file.key, file.rows, file.digest.to_string()]));
    [
        ("valve.dead_letters", totals.dead_letters.to_string()),
        ("valve.skipped", totals.skipped.to_string()),
        ("valve.empty", totals.empty.to_string()),
        ("valve.lost", json!(totals.lost).to_string()),
        ("valve.released", json!(totals.released).to_string()),
        ("valve.files", json!(list.collect::<Vec<_>>()).to_string()),
    ]
}

impl Scene {
    fn new(codec: Codec) -> Self {
        let mut history = history();
        let digests: BTreeMap<String, Digest> =
            history.files.iter().map(|file| (file.key.clone(), rows_of(file, codec).1)).collect();
        for file in &mut history.files {
            file.digest = digests[&file.key];
            if let Part::First(totals) = &mut file.part {
                totals.files.iter_mut().for_each(|entry| entry.digest = digests[&entry.key]);
            }
        }
        let committed = (history.committed.first, history.committed.encode());
        let group = GroupOffsets {
            committed: BTreeMap::from([(TopicPartition::new("orders", PARTITION), committed)]),
            topics: ["orders".to_owned()].into(),
            topic_ids: [("orders".to_owned(), TOPIC_ID)].into(),
            ..GroupOffsets::default()
        };
        let scene = Self { sink: Arc::new(MemorySink::new()), group, history };
        scene.history.files.iter().for_each(|file| scene.put(file, codec));
        scene
    }

    fn put(&self, file: &StoredFile, codec: Codec) {
        let metadata = described(file, &self.history.promises[&file.promise]);
        let header = Header { schema: SCHEMA, codec, metadata: &metadata, sync: *b"0123456789abcdef" };
        let body = rows_of(file, codec).0.into_body(&header);
        self.sink.put_foreign(file.key.clone(), body);
    }

    /// The same store without an object.
    fn without(&self, gone: &str) -> Arc<MemorySink> {
        let sink = Arc::new(MemorySink::new());
        for (key, object) in self.sink.objects() {
            if key != gone {
                sink.put_foreign(key, object.body);
            }
        }
        sink
    }

    async fn audit(&self, sink: Arc<dyn Sink>, deep: bool, hours: Option<(&str, &str)>) -> Report {
        self.audit_beside(sink, &request(deep, hours), GroupOffsets::default()).await
    }

    /// An audit at whose end the group has `later`, if it is asked again.
    async fn audit_beside(&self, sink: Arc<dyn Sink>, request: &Request, later: GroupOffsets) -> Report {
        let store = Store::new(sink, "archive");
        let ask = async |topics: BTreeSet<String>| {
            assert_eq!(topics, BTreeSet::from(["orders".to_owned()]));
            later.clone()
        };
        audit(&store, request, &self.group, ask, &Progress::default()).await.unwrap()
    }
}

fn request(deep: bool, hours: Option<(&str, &str)>) -> Request {
    Request {
        prefix: PREFIX.to_owned(),
        template: DEFAULT_KEY.parse().unwrap(),
        topics: [].into(),
        known_topics: ["orders".to_owned()].into(),
        hours: hours.map(|(from, to)| (from.parse().unwrap(), to.parse().unwrap())),
        deep,
        dense: false,
    }
}

fn findings(report: &Report) -> Vec<&Finding> {
    report.findings.iter().chain(report.records.iter().flat_map(|record| &record.findings)).collect()
}

#[tokio::test]
async fn given_real_files_then_they_audit_clean_and_so_do_their_rows_under_every_codec() {
    for codec in [Codec::Null, Codec::Snappy, Codec::Deflate(6), Codec::Zstd(3)] {
        let scene = Scene::new(codec);
        let report = scene.audit(scene.sink.clone(), true, None).await;
        assert_eq!(findings(&report), [] as [&Finding; 0], "{codec}");
        assert_eq!(report.verdict(), Verdict::Clean);
        let record = &report.records[0];
        assert_eq!((record.rows, record.files, record.batches), (40_020, 5, 3));
        assert_eq!((record.dead_letters, record.skipped, record.empty), (5, 10, 15));
    }
}

#[tokio::test]
async fn given_an_object_that_is_gone_then_its_key_or_its_range_is_named() {
    let scene = Scene::new(Codec::Snappy);
    for file in &scene.history.files {
        let report = scene.audit(scene.without(&file.key), false, None).await;
        let found = findings(&report);
        let alone = matches!(&file.part, Part::First(totals) if totals.files.len() == 1);
        let named = found.iter().any(|finding| match finding {
            Finding::Gap { first, end } => alone && (*first, *end) == (file.covered_from, file.end),
            Finding::MissingFile { key, .. } | Finding::MissingFirstFile { key, .. } => *key == file.key,
            _ => false,
        });
        assert!(named && found.len() == 1, "{}: {found:?}", file.key);
    }
}

#[tokio::test]
async fn given_rows_that_changed_behind_a_right_header_then_only_the_deep_audit_finds_them() {
    let scene = Scene::new(Codec::Null);
    for file in &scene.history.files {
        let object = &scene.sink.objects()[&file.key];
        let mut bytes = object.body.pieces().concat();
        // The last byte before the last marker is a row's.
        let at = bytes.len() - 17;
        bytes[at] ^= 2;
        let changed = scene.without(&file.key);
        changed.put_foreign(file.key.clone(), Body::new(vec![Bytes::from(bytes)]));
        assert_eq!(findings(&scene.audit(changed.clone(), false, None).await), [] as [&Finding; 0]);
        let report = scene.audit(changed, true, None).await;
        let found = findings(&report);
        assert!(matches!(found[..], [Finding::DifferentFile { key, .. }] if *key == file.key), "{found:?}");
    }
}

#[tokio::test]
async fn given_a_file_that_is_cut_off_anywhere_behind_its_header_then_the_deep_audit_finds_it() {
    let scene = Scene::new(Codec::Zstd(3));
    let file = &scene.history.files[1];
    let bytes = scene.sink.objects()[&file.key].body.pieces().concat();
    for missing in 1..=20 {
        let cut = scene.without(&file.key);
        let left = bytes[..bytes.len() - missing].to_vec();
        cut.put_foreign(file.key.clone(), Body::new(vec![Bytes::from(left)]));
        let report = scene.audit(cut, true, None).await;
        assert_eq!(report.verdict(), Verdict::Wrong, "without the last {missing} bytes");
    }
}

#[tokio::test]
async fn given_some_hours_then_batches_that_begin_before_are_checked_by_their_first_file() {
    let scene = Scene::new(Codec::Null);
    let hours = Some(("2024-01-01T01", "2024-01-01T03"));
    let report = scene.audit(scene.sink.clone(), false, hours).await;
    assert_eq!(findings(&report), [] as [&Finding; 0]);
    // The two later files of the one batch that has them, and its first.
    assert_eq!((report.records[0].files, report.is_partial), (3, true));
    assert!(report.notes[0].contains("not checked"));

    let later = scene.history.files.iter().find(|file| matches!(file.part, Part::Further { .. })).unwrap();
    let report = scene.audit(scene.without(&later.key), false, hours).await;
    let found = findings(&report);
    assert!(matches!(found[..], [Finding::MissingFile { key, .. }] if *key == later.key), "{found:?}");
}

#[tokio::test]
async fn given_objects_of_others_under_the_prefix_then_they_are_counted_and_dont_matter() {
    let scene = Scene::new(Codec::Null);
    let key = "p/orders/3ac93d9f-271d-57c4-aab8-65f109857053.avro";
    scene.sink.put_foreign(key, Body::new(vec![Bytes::from_static(b"PAR1")]));
    let report = scene.audit(scene.sink.clone(), true, None).await;
    assert_eq!(report.verdict(), Verdict::Clean);
    assert_eq!(report.notes, ["objects under the prefix that aren't files of this valve: 1"]);
}

#[tokio::test]
async fn given_a_prefix_without_files_then_what_was_committed_is_a_gap() {
    let scene = Scene::new(Codec::Null);
    let report = scene.audit(Arc::new(MemorySink::new()), false, None).await;
    assert!(matches!(findings(&report)[..], [Finding::Gap { .. }]), "{report:?}");
}

#[tokio::test]
async fn given_neither_offsets_nor_files_then_nothing_is_proven() {
    let mut scene = Scene::new(Codec::Null);
    scene.group = GroupOffsets::default();
    let report = scene.audit(Arc::new(MemorySink::new()), false, None).await;
    assert!(matches!(findings(&report)[..], [Finding::NotProven { .. }]), "{report:?}");
}

#[tokio::test]
async fn given_hours_without_a_file_then_that_is_said() {
    let scene = Scene::new(Codec::Null);
    let report = scene.audit(scene.sink.clone(), false, Some(("2024-02-01T01", "2024-02-01T03"))).await;
    assert_eq!((report.verdict(), report.has_files()), (Verdict::Clean, false));
    assert!(report.notes[1].starts_with("no file of this valve lies in these hours"), "{:?}", report.notes);
    let text = Table(&report).to_string();
    assert!(text.ends_with("CONSISTENT, but no file of this valve lies in these hours\n"), "{text}");
}

#[tokio::test]
async fn given_files_of_a_topic_that_kafka_does_not_have_then_that_is_why_nothing_is_proven() {
    let mut scene = Scene::new(Codec::Null);
    let reason = |report: &Report| match findings(report)[..] {
        [Finding::NotProven { reason }] => reason.clone(),
        _ => panic!("{report:?}"),
    };
    scene.group.committed.clear();
    let report = scene.audit(scene.sink.clone(), false, None).await;
    assert!(reason(&report).starts_with("the group has no committed offset"), "{report:?}");
    scene.group.topics.clear();
    let report = scene.audit(scene.sink.clone(), false, None).await;
    assert!(reason(&report).starts_with("Kafka has no topic orders, or"), "{report:?}");
}

/// The notes of an audit when the group has never begun these partitions.
async fn notes_without(scene: &mut Scene, partitions: &[i32]) -> Vec<String> {
    let never = partitions.iter().map(|index| TopicPartition::new("orders", *index));
    // Nothing at all is known of payments.
    let others = [TopicPartition::new("payments", 0)];
    scene.group.never_begun = never.chain(others).collect();
    let report = scene.audit(scene.sink.clone(), false, None).await;
    assert_eq!(report.verdict(), Verdict::Clean);
    report.notes
}

#[tokio::test]
async fn given_partitions_that_the_group_has_never_begun_then_each_topic_has_a_note_and_the_rest_is_proven() {
    let mut scene = Scene::new(Codec::Null);
    assert!(notes_without(&mut scene, &[]).await.is_empty());
    let stored = "is stored, as far as this audit can tell";
    let one = notes_without(&mut scene, &[7]).await;
    assert_eq!(one, [format!("the group has never begun orders[7]: nothing of it {stored}")]);
    let many: Vec<i32> = (10..40).collect();
    let shown = "10, 11, 12, 13, 14, 15, 16, 17, 18, 19 and 20 more";
    let expected =
        format!("the group has never begun 30 partitions of orders ({shown}): nothing of them {stored}");
    assert_eq!(notes_without(&mut scene, &many).await, [expected]);
}

/// A partition that the group has begun, and of which nothing has come yet.
fn begun(partition: i32) -> (TopicPartition, (Offset, String)) {
    let own = Metadata { partition, ..play(7, Vec::new(), 0).committed };
    (TopicPartition::new("orders", partition), (own.first, own.encode()))
}

#[tokio::test]
async fn given_a_partition_that_begins_while_the_audit_runs_then_it_is_left_to_the_next_one() {
    let mut scene = Scene::new(Codec::Null);
    let later = scene.group.clone();
    scene.group.committed = BTreeMap::from([begun(0)]);
    let request = request(false, None);
    let report = scene.audit_beside(scene.sink.clone(), &request, later.clone()).await;
    assert_eq!(findings(&report), [] as [&Finding; 0]);
    let record = &report.records[1];
    assert_eq!((record.begun_since, record.files, record.pending_files), (true, 0, 5));
    assert!(record.notes[0].contains("left to the next audit"), "{record:?}");
    let text = Table(&report).to_string();
    assert!(text.ends_with("PROVEN: every offset of 1 partition is covered exactly once\n"), "{text}");

    // It has files and no offset still.
    let report = scene.audit_beside(scene.sink.clone(), &request, scene.group.clone()).await;
    assert!(matches!(findings(&report)[..], [Finding::NotProven { .. }]), "{report:?}");

    // It is all that there is.
    scene.group.committed.clear();
    let report = scene.audit_beside(scene.sink.clone(), &request, later).await;
    let run_again = |finding: &&Finding| finding.to_string().ends_with("run it again");
    assert!(findings(&report).len() == 1 && findings(&report).iter().all(run_again), "{report:?}");
}
