//! How the sink takes what a store may answer, shown with a server that answers as told. What a store that works
//! makes of it all is in the conformance suite.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Barrier;

use fake_store::{Done, FakeStore, OURS, Seen, config, sink_at};

use super::*;

mod conditional;
mod fake_store;
mod left_behind;
mod outages;
mod probing;
mod reading;
mod uploading;

#[tokio::test]
async fn given_settings_then_a_put_carries_them_unsigned_and_with_its_length() {
    let store = FakeStore::answering(|_| Done).await;
    assert_eq!(store.put().await.unwrap(), Stored::Created);
    let Seen { asked, headers, .. } = store.seen.lock().unwrap()[0].clone();
    assert_eq!(asked, "put if absent");
    for (name, value) in [
        ("content-length", "4"),
        ("content-type", "application/avro"),
        ("x-amz-meta-valve-digest", "00000000000000000000000000000001"),
        // The CRC-32 of "rows".
        ("x-amz-checksum-crc32", "Cov0oQ=="),
        ("x-amz-storage-class", "STANDARD_IA"),
        ("x-amz-acl", "bucket-owner-full-control"),
        ("x-amz-server-side-encryption", "aws:kms"),
        ("x-amz-server-side-encryption-aws-kms-key-id", "key-1"),
        ("x-amz-content-sha256", "UNSIGNED-PAYLOAD"),
    ] {
        assert_eq!(headers.get(name).map(|value| value.to_str().unwrap()), Some(value), "{name}");
    }
    assert!(!headers.contains_key("transfer-encoding") && !headers.contains_key("x-amz-trailer"));
}

#[tokio::test]
async fn given_requests_of_all_sizes_then_they_share_one_connection() {
    let store = FakeStore::answering(|_| Done).await;
    for len in [0, 1, 3 << 20] {
        store.sink.put("a", OURS, Body::new(vec![Bytes::from(vec![0; len])])).await.unwrap();
        store.sink.head("a").await.unwrap();
    }
    assert_eq!(store.connections.load(Ordering::Relaxed), 1);
}

#[test]
fn given_no_region_anywhere_then_the_error_names_the_setting() {
    let error = S3Sink::with_shared(&config(None), &SdkConfig::builder().build()).unwrap_err();
    assert_eq!(error.setting, "sink.region");
}

#[tokio::test]
async fn given_a_password_in_the_endpoint_then_no_message_shows_it() {
    let sink = sink_at("http://user:hunter2@127.0.0.1:9").await;
    let error = sink.put("a", OURS, Body::default()).await.unwrap_err();
    assert!(!format!("{sink:?} {error}").contains("hunter2"));
}
