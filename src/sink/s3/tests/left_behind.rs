//! Uploads that are aborted once the object is there.

use super::fake_store::{Answer, FakeStore, Refused, Text, reason};
use super::*;

fn uploads(uploads: &[(&str, &str)], next: Option<(&str, &str)>) -> Answer {
    let uploads: Vec<String> = uploads
        .iter()
        .map(|(key, id)| format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>"))
        .collect();
    let next = next.map_or("<IsTruncated>false</IsTruncated>".to_owned(), |(key, id)| {
        format!(
            "<IsTruncated>true</IsTruncated><NextKeyMarker>{key}</NextKeyMarker>\
             <NextUploadIdMarker>{id}</NextUploadIdMarker>"
        )
    });
    Text(format!("<ListMultipartUploadsResult>{next}{}</ListMultipartUploadsResult>", uploads.concat()))
}

/// The uploads that were to be aborted.
fn aborted(store: &FakeStore) -> Vec<String> {
    let ids = store.all("abort").into_iter().map(|seen| seen.query);
    ids.map(|query| query.split('&').find_map(|field| field.strip_prefix("uploadId=")).unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn given_uploads_to_longer_keys_then_only_the_keys_own_are_aborted() {
    let found = uploads(&[("a", "u1"), ("a", "u2"), ("a.avro", "u3"), ("ab", "u4")], None);
    let store = FakeStore::in_turn([("list uploads", found)]).await;
    assert_eq!(store.sink.abort_uploads("a").await.unwrap(), 2);
    assert_eq!(aborted(&store), ["u1", "u2"]);
    assert!(store.all("list uploads")[0].query.contains("prefix=a"));
}

#[tokio::test]
async fn given_more_uploads_than_a_page_then_all_are_aborted() {
    let script = [
        ("list uploads", uploads(&[("a", "u1")], Some(("a", "u1")))),
        ("list uploads", uploads(&[("a", "u2")], Some(("a", "u2")))),
        ("list uploads", uploads(&[("a", "u3"), ("ab", "u4")], Some(("ab", "u4")))),
    ];
    let store = FakeStore::in_turn(script).await;
    assert_eq!(store.sink.abort_uploads("a").await.unwrap(), 3);
    assert_eq!(aborted(&store), ["u1", "u2", "u3"]);
    let pages = store.all("list uploads");
    assert_eq!(pages.len(), 3, "behind the key's own there are only others");
    assert!(pages[1].query.contains("key-marker=a") && pages[1].query.contains("upload-id-marker=u1"));
}

#[tokio::test]
async fn given_an_upload_that_is_gone_by_then_then_it_is_not_counted() {
    let script = [
        ("list uploads", uploads(&[("a", "u1"), ("a", "u2")], None)),
        ("abort", Refused(404, "NoSuchUpload")),
    ];
    let store = FakeStore::in_turn(script).await;
    assert_eq!(store.sink.abort_uploads("a").await.unwrap(), 1);
    assert_eq!(aborted(&store), ["u1", "u2"]);
}

#[tokio::test]
async fn given_a_refusal_then_it_is_unavailable() {
    let store = FakeStore::in_turn([("list uploads", Refused(403, "AccessDenied"))]).await;
    assert!(reason(store.sink.abort_uploads("a").await).contains("s3:ListBucketMultipartUploads"));
    let script = [("list uploads", uploads(&[("a", "u1")], None)), ("abort", Refused(503, "SlowDown"))];
    let store = FakeStore::in_turn(script).await;
    assert!(reason(store.sink.abort_uploads("a").await).contains("SlowDown"));
}

#[tokio::test]
async fn given_a_store_that_does_not_list_uploads_then_there_are_none() {
    let store = FakeStore::in_turn([("list uploads", Refused(501, "NotImplemented"))]).await;
    assert_eq!(store.sink.abort_uploads("a").await.unwrap(), 0);
}
