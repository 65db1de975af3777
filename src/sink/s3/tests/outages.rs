//! A store that refuses, doesn't answer, or isn't there.

use super::fake_store::{Done, FakeStore, Found, OURS, Refused, Silence, reason, sink_at};
use super::*;

async fn reason_when_refused(status: u16, code: &'static str) -> String {
    let store = FakeStore::answering(move |_| Refused(status, code)).await;
    let reason = reason(store.put().await);
    assert_eq!(store.asked(), ["put if absent"], "one attempt, no lookup");
    assert!(reason.contains(&format!("HTTP {status}")) && reason.contains("as told"), "{reason}");
    reason
}

#[tokio::test]
async fn given_slow_down_then_it_is_unavailable_after_one_attempt() {
    assert!(reason_when_refused(503, "SlowDown").await.contains("SlowDown: as told (the store throttles"));
}

#[tokio::test]
async fn given_an_internal_error_then_it_is_unavailable() {
    assert!(reason_when_refused(500, "InternalError").await.contains("InternalError"));
}

#[tokio::test]
async fn given_access_denied_then_the_reason_names_the_permissions() {
    assert!(reason_when_refused(403, "AccessDenied").await.contains("s3:PutObject"));
}

#[tokio::test]
async fn given_no_such_bucket_then_the_reason_says_so() {
    assert!(reason_when_refused(404, "NoSuchBucket").await.contains("create the bucket"));
}

#[tokio::test]
async fn given_a_bucket_in_another_region_then_the_reason_names_it() {
    assert!(reason_when_refused(301, "PermanentRedirect").await.contains("set sink.region to eu-west-9"));
}

#[tokio::test]
async fn given_an_answer_that_is_not_the_protocols_then_it_is_unavailable() {
    let store = FakeStore::answering(|_| Refused(502, "</Code><html>")).await;
    assert!(reason(store.put().await).contains("HTTP 502"));
}

#[tokio::test]
async fn given_a_store_that_does_not_answer_then_the_put_ends_in_time() {
    let mut store = FakeStore::answering(|_| Silence).await;
    store.sink.patience = Patience { answer: Duration::from_millis(100), bytes_per_second: u64::MAX };
    assert!(reason(store.put().await).contains("no answer"));
}

#[tokio::test]
async fn given_an_answer_that_is_lost_then_the_lookup_finds_the_object() {
    let mut store = FakeStore::answering(|asked| match asked {
        "look up" => Found(Some(OURS)),
        _ => Silence,
    })
    .await;
    // The put takes all of its time; the lookup is answered at once, however slow the machine.
    store.sink.patience = Patience { answer: Duration::from_secs(1), bytes_per_second: u64::MAX };
    assert_eq!(store.put().await.unwrap(), Stored::AlreadyThere);
}

#[tokio::test]
async fn given_nobody_at_the_endpoint_then_it_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let sink = sink_at(&endpoint).await;
    let reason = reason(sink.put("a", OURS, Body::default()).await);
    assert!(reason.contains("no answer") && reason.contains("sink.endpoint"), "{reason}");
}

#[tokio::test]
async fn given_a_missing_object_then_head_tells_it_from_a_missing_bucket() {
    let store = FakeStore::answering(|_| Done).await;
    assert_eq!(store.sink.head("a").await.unwrap(), None);
    let store = FakeStore::answering(|_| Refused(404, "")).await;
    let reason = store.sink.head("a").await.unwrap_err().to_string();
    assert!(reason.contains("create the bucket"), "{reason}");
}
