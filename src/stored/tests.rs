//! Real container files in a sink: recognised by their first bytes, and told from what isn't ours.

use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::avro::codec::Codec;
use crate::avro::container::{Header, OpenFile};
use crate::core::intent::{Coverage, Intent, Layout, Metadata, Place};
use crate::core::layout::{DEFAULT_KEY, Granularity, NullPolicy};
use crate::sink::Body;
use crate::sink::memory::MemorySink;
use crate::types::{Offset, UnixMillis};

const KEY: &str = "a/3ac93d9f-271d-57c4-aab8-65f109857053.avro";

/// A promise of `[100, 110)` of partition 2.
pub(crate) fn promise() -> Metadata {
    let layout = Layout {
        timestamp: vec!["kafka".to_owned()],
        years: (1970, 2100),
        key: DEFAULT_KEY.to_owned(),
        granularity: Granularity::Hour,
        prefix: "a".to_owned(),
        nulls: NullPolicy::Skip,
        read_committed: true,
        place: Place::Local { path: "/data".to_owned() },
        max_record_bytes: 1 << 20,
        codec: Codec::Null,
    };
    let intent = Intent {
        end: Offset(110),
        instant: UnixMillis(0),
        rules: 1,
        layout,
        unknown_ids: Vec::new(),
        outcome: 9,
    };
    Metadata {
        topic_id: Some(5),
        partition: 2,
        first: Offset(100),
        origin: Offset(40),
        partitions_at_start: None,
        coverage: Coverage::starting(Offset(90)),
        intent: Some(intent),
    }
}

/// The metadata of a batch's first file.
fn metadata() -> Vec<(&'static str, String)> {
    let digest = "0".repeat(31) + "7";
    vec![
        ("valve.name", "archive".to_owned()),
        ("valve.topic", "orders".to_owned()),
        ("valve.partition", "2".to_owned()),
        ("valve.first", "100".to_owned()),
        ("valve.end", "110".to_owned()),
        ("valve.covered_from", "90".to_owned()),
        ("valve.intent", promise().encode()),
        ("valve.hour", "2026-11-23T07".to_owned()),
        ("valve.schema_id", "3".to_owned()),
        ("valve.rows", "9".to_owned()),
        ("valve.digest", digest.clone()),
        ("valve.dead_letters", "4".to_owned()),
        ("valve.skipped", "5".to_owned()),
        ("valve.empty", "2".to_owned()),
        ("valve.lost", "[[50,60]]".to_owned()),
        ("valve.released", "[[60,70],[70,71]]".to_owned()),
        ("valve.files", format!("[[\"{KEY}\",9,\"{digest}\"]]")),
    ]
}

fn changed(name: &'static str, value: &str) -> Vec<(&'static str, String)> {
    let mut metadata = metadata();
    metadata.retain(|(theirs, _)| *theirs != name);
    metadata.push((name, value.to_owned()));
    metadata
}

fn file(schema: &str, metadata: &[(&str, String)]) -> Body {
    OpenFile::new(1).into_body(&Header { schema, codec: Codec::Null, metadata, sync: [7; 16] })
}

/// A file of the valve `archive`.
pub(crate) fn own_file(topic: &str, hour: &str) -> Body {
    let mut metadata = changed("valve.topic", topic);
    metadata.retain(|(name, _)| *name != "valve.hour");
    metadata.push(("valve.hour", hour.to_owned()));
    file("\"bytes\"", &metadata)
}

async fn recognised(body: Body) -> Recognised {
    let sink = Arc::new(MemorySink::new());
    sink.put_foreign(KEY, body);
    Store::new(sink, "archive").recognise(KEY).await.unwrap().expect("it is there")
}

async fn broken(metadata: &[(&str, String)]) -> String {
    match recognised(file("\"bytes\"", metadata)).await {
        Recognised::Broken(reason) => reason,
        other => panic!("not broken: {other:?}"),
    }
}

#[tokio::test]
async fn given_a_first_file_then_all_that_its_header_says_is_there() {
    let Recognised::Own(header) = recognised(file("\"bytes\"", &metadata())).await else { panic!("not own") };
    let file = &header.file;
    assert_eq!((file.key.as_str(), file.partition.to_string().as_str()), (KEY, "orders[2]"));
    assert_eq!((file.first, file.end, file.covered_from), (Offset(100), Offset(110), Offset(90)));
    assert_eq!((file.origin, file.topic_id, file.rows), (Offset(40), Some(5), 9));
    assert_eq!((file.hour.to_string().as_str(), file.schema.0), ("2026-11-23T07", 3));
    let Part::First(totals) = &file.part else { panic!("not first") };
    assert_eq!((totals.dead_letters, totals.skipped, totals.empty), (4, 5, 2));
    assert_eq!(totals.lost, [(Offset(50), Offset(60))]);
    assert_eq!(totals.released.len(), 2);
    assert_eq!(totals.files[0].key, KEY);
    assert_eq!((header.promise, header.container.sync), (promise(), [7; 16]));
}

#[tokio::test]
async fn given_a_header_longer_than_the_first_read_then_it_is_read_on() {
    let schema = format!("{{\"type\":\"bytes\",\"doc\":\"{}\"}}", "x".repeat(700_000));
    let mut metadata = metadata();
    metadata.truncate(11);
    metadata.push(("valve.first_file", "a/other".to_owned()));
    let Recognised::Own(header) = recognised(file(&schema, &metadata)).await else { panic!("not own") };
    assert_eq!(header.file.first_file(), "a/other");
    assert_eq!(header.container.schema, schema);
}

#[tokio::test]
async fn given_what_isnt_this_valves_file_then_it_is_foreign_and_no_error() {
    let others = file("\"bytes\"", &changed("valve.name", "tank"));
    let whole = file("\"bytes\"", &metadata()).pieces().concat();
    let cut = Body::new(vec![Bytes::from(whole[..whole.len() - 20].to_vec())]);
    let text = Body::new(vec![Bytes::from_static(b"year,month\n")]);
    let hostile = Body::new(vec![Bytes::from([b"Obj\x01".as_slice(), &[0xff; 9], &[1; 9]].concat())]);
    for body in [others, cut, text, hostile, Body::new(vec![]), file("\"bytes\"", &[])] {
        assert!(matches!(recognised(body).await, Recognised::Foreign));
    }
}

#[tokio::test]
async fn given_a_header_that_contradicts_its_promise_then_it_is_broken_and_says_how() {
    for (name, value) in [
        ("valve.end", "111"),
        ("valve.first", "99"),
        ("valve.covered_from", "91"),
        ("valve.partition", "3"),
        ("valve.intent", "v1:AAAA"),
    ] {
        assert!(broken(&changed(name, value)).await.contains("intent"), "{name}");
    }
    assert!(broken(&changed("valve.intent", "v7:AAAA")).await.contains("newer version"));
    assert!(broken(&changed("valve.rows", "11")).await.contains("11 rows"));
}

#[tokio::test]
async fn given_a_header_with_an_entry_that_lacks_or_cant_be_read_then_it_is_broken_and_names_it() {
    for (name, _) in metadata() {
        if !matches!(name, "valve.name" | "valve.topic" | "valve.intent") {
            assert!(broken(&changed(name, "-?")).await.contains(name), "{name}");
        }
        if !matches!(name, "valve.name" | "valve.empty" | "valve.lost" | "valve.released") {
            let mut metadata = metadata();
            metadata.retain(|(theirs, _)| *theirs != name);
            assert!(broken(&metadata).await.contains(name), "{name}");
        }
    }
}

#[tokio::test]
async fn given_more_keys_than_a_page_then_all_that_may_be_files_are_listed_once() {
    use futures_util::TryStreamExt as _;

    let sink = Arc::new(MemorySink::new());
    let keys: Vec<String> =
        (0..2500).map(|n| format!("p/{:036}", uuid::Uuid::from_u128(n).hyphenated())).collect();
    for key in &keys {
        sink.put_foreign(key.clone(), Body::default());
    }
    sink.put_foreign("p/_SUCCESS", Body::default());
    sink.put_foreign("q/3ac93d9f-271d-57c4-aab8-65f109857053", Body::default());
    let listed: Vec<_> = Store::new(sink, "archive").list("p/".to_owned()).try_collect().await.unwrap();
    assert_eq!(listed.into_iter().map(|listed| listed.key).collect::<Vec<_>>(), keys);
}

proptest! {
    #[test]
    fn given_a_header_with_any_bytes_changed_or_cut_off_then_recognising_it_ends_without_panic(
        at in any::<prop::sample::Index>(),
        bits in 1..=255_u8,
        len in any::<prop::sample::Index>(),
        whole: bool,
    ) {
        let mut bytes = file("\"bytes\"", &metadata()).pieces().concat();
        let at = at.index(bytes.len());
        bytes[at] ^= bits;
        let _any = header::recognise("archive", KEY, &bytes, whole);
        bytes.truncate(len.index(bytes.len()));
        prop_assert!(header::recognise("archive", KEY, &bytes, true).is_some());
    }
}
