//! What only a store that speaks S3 does.

use std::time::Duration;

use futures_util::stream::{self, StreamExt};
use valve::sink::{DIGEST_METADATA, Sink, SinkError};

use super::files::{MIB, OURS, file, streamed};
use super::stores::{Store, s3_sink};
use super::{Check, behaviours};

pub(super) const BEHAVIOURS: &[(&str, Check)] = behaviours![
    given_an_upload_that_fails_then_no_parts_are_left,
    given_a_stored_object_then_its_metadata_holds_the_digest,
    given_a_bucket_that_does_not_exist_then_it_is_unavailable,
    given_a_wrong_secret_then_it_is_unavailable_and_not_shown,
];

async fn given_an_upload_that_fails_then_no_parts_are_left(store: Store) {
    let key = store.key("a.avro");
    let (s3, client) = store.s3.as_ref().unwrap();
    let pieces: Vec<_> = file(OURS, 20 * MIB).pieces().iter().cloned().map(Ok).collect();
    let fails = stream::iter([Err(SinkError::Unavailable("the range has changed".to_owned()))]);
    store.sink.put_streaming(&key, OURS, stream::iter(pieces).chain(fails).boxed()).await.unwrap_err();
    for _ in 0..1000 {
        let uploads = client.list_multipart_uploads().bucket(&s3.bucket).prefix(&key).send().await.unwrap();
        if uploads.uploads().is_empty() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    panic!("the upload is never aborted");
}

async fn given_a_stored_object_then_its_metadata_holds_the_digest(store: Store) {
    let (s3, client) = store.s3.as_ref().unwrap();
    for (name, len) in [("small.avro", 10), ("in parts.avro", 20 * MIB)] {
        let key = store.key(name);
        store.sink.put_streaming(&key, OURS, streamed(&file(OURS, len))).await.unwrap();
        let object = client.head_object().bucket(&s3.bucket).key(&key).send().await.unwrap();
        assert_eq!(object.metadata().unwrap().get(DIGEST_METADATA), Some(&OURS.to_string()));
        assert_eq!(object.content_type(), Some("application/avro"));
    }
}

async fn given_a_bucket_that_does_not_exist_then_it_is_unavailable(store: Store) {
    let (s3, _) = store.s3.as_ref().unwrap();
    let sink = s3_sink(s3, "valve-no-such-bucket", &s3.secret_key).await;
    let by_put = sink.put("a", OURS, file(OURS, 10)).await.unwrap_err().to_string();
    let by_stream =
        sink.put_streaming("a", OURS, streamed(&file(OURS, 20 * MIB))).await.unwrap_err().to_string();
    let by_head = sink.head("a").await.unwrap_err().to_string();
    for reason in [by_put, by_stream, by_head] {
        assert!(reason.contains("valve-no-such-bucket") && reason.contains("create the bucket"), "{reason}");
    }
}

async fn given_a_wrong_secret_then_it_is_unavailable_and_not_shown(store: Store) {
    let (s3, _) = store.s3.as_ref().unwrap();
    let sink = s3_sink(s3, &s3.bucket, "wrong-and-secret").await;
    let reason = sink.put("a", OURS, file(OURS, 10)).await.unwrap_err().to_string();
    assert!(reason.contains("HTTP 403") && reason.contains("credentials"), "{reason}");
    assert!(!reason.contains("wrong-and-secret"), "{reason}");
}
