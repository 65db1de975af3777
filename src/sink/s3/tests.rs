//! How the sink takes what a store may answer, shown with a server that answers as told. What a store that works
//! makes of it all is in the conformance suite.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body as HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use axum::serve::ListenerExt;

use super::*;

const SECRET: &str = "not-to-be-seen";
const OURS: Digest = Digest(1);
const THEIRS: Digest = Digest(2);

/// What the store does with one request.
enum Answer {
    Done,
    /// Status and code.
    Refused(u16, &'static str),
    /// The object looked up has this digest.
    Found(Option<Digest>),
    /// Status 200, and then an error in the body.
    DoneBut(&'static str),
    Silence,
}
use Answer::{Done, DoneBut, Found, Refused, Silence};

/// One request: what it asks, with `if absent` when it is conditional, and its headers.
type Seen = (String, HeaderMap);

struct FakeStore {
    sink: S3Sink,
    connections: Arc<AtomicUsize>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl FakeStore {
    async fn answering(answer: impl Fn(&str) -> Answer + Clone + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::<Seen>::new()));
        let log = seen.clone();
        let service = axum::Router::new().fallback(move |request: Request| {
            let (answer, log) = (answer.clone(), log.clone());
            async move {
                let (head, body) = request.into_parts();
                let asked = asked(&head.method, head.uri.path(), head.uri.query(), &head.headers);
                let read = to_bytes(body, usize::MAX).await.unwrap();
                assert_eq!(
                    read.len().to_string(),
                    head.headers.get("content-length").map_or("0", |l| l.to_str().unwrap())
                );
                log.lock().unwrap().push((asked.clone(), head.headers));
                respond(&asked, answer(&asked)).await
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        let connections = Arc::new(AtomicUsize::new(0));
        let counter = connections.clone();
        let listener = listener.tap_io(move |_| {
            counter.fetch_add(1, Ordering::Relaxed);
        });
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });
        Self { sink: sink_at(&endpoint).await, connections, seen }
    }

    /// What was asked so far.
    fn asked(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|(asked, _)| asked.clone()).collect()
    }

    async fn put(&self) -> Result<Stored, SinkError> {
        self.sink.put("a", OURS, Body::new(vec![Bytes::from_static(b"ro"), Bytes::from_static(b"ws")])).await
    }

    /// A body of two parts.
    async fn put_in_parts(&self) -> Result<Stored, SinkError> {
        let piece = Bytes::from(vec![0; 5 << 20]);
        self.sink.put_streaming("a", OURS, stream::iter([Ok(piece.clone()), Ok(piece)]).boxed()).await
    }

    async fn wait_until_asked(&self, wanted: &str) {
        let found = async {
            while !self.asked().iter().any(|asked| asked == wanted) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(30), found).await;
        assert!(in_time.is_ok(), "never asked: {wanted}; asked: {:?}", self.asked());
    }
}

fn config(endpoint: Option<&str>) -> S3Config {
    S3Config {
        bucket: "bucket".into(),
        prefix: String::new(),
        region: None,
        endpoint: endpoint.map(str::to_owned),
        path_style: true,
        storage_class: Some("STANDARD_IA".into()),
        acl: Some("bucket-owner-full-control".into()),
        sse: Some("aws:kms".into()),
        kms_key_id: Some("key-1".into()),
    }
}

async fn sink_at(endpoint: &str) -> S3Sink {
    let credentials = (config(Some(endpoint)), Secret::new(SECRET));
    S3Sink::with_credentials(&credentials.0, "access", &credentials.1).await.unwrap()
}

fn asked(method: &Method, path: &str, query: Option<&str>, headers: &HeaderMap) -> String {
    let query = query.unwrap_or_default();
    let asked = match method.as_str() {
        "PUT" if query.contains("partNumber") => "part",
        "PUT" => "put",
        "POST" if query.contains("uploadId") => "complete",
        "POST" => "begin",
        "DELETE" => "abort",
        "HEAD" if path.trim_matches('/') == "bucket" => "look up bucket",
        "HEAD" => "look up",
        other => other,
    };
    let condition = headers.get("if-none-match").map(|value| value.to_str().unwrap());
    match condition {
        Some("*") => format!("{asked} if absent"),
        Some(other) => format!("{asked} if not {other}"),
        None => asked.to_owned(),
    }
}

async fn respond(asked: &str, answer: Answer) -> Response {
    let response = Response::builder();
    match answer {
        Done if asked == "begin" => response.body(
            "<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>".into(),
        ),
        Done if asked.starts_with("complete") => {
            response.body("<CompleteMultipartUploadResult></CompleteMultipartUploadResult>".into())
        }
        Done if asked == "look up" => response.status(404).body(HttpBody::empty()),
        Done => response.header("etag", "\"e\"").body(HttpBody::empty()),
        Refused(status, code) => {
            let body = if asked.starts_with("look up") { String::new() } else { error_body(code) };
            response.status(status).header("x-amz-bucket-region", "eu-west-9").body(body.into())
        }
        Found(Some(digest)) => {
            response.header("x-amz-meta-valve-digest", digest.to_string()).body(HttpBody::empty())
        }
        Found(None) => response.body(HttpBody::empty()),
        DoneBut(code) => response.body(error_body(code).into()),
        Silence => std::future::pending().await,
    }
    .unwrap()
}

fn error_body(code: &str) -> String {
    format!(
        "<Error><Code>{code}</Code><Message>as told</Message><RequestId>never-the-same</RequestId></Error>"
    )
}

/// The reason of an outage; it must name what it is about and hold no secret nor anything that changes.
fn reason(result: Result<Stored, SinkError>) -> String {
    match result {
        Err(SinkError::Unavailable(reason)) => {
            assert!(reason.contains("a in bucket bucket at http://127.0.0.1:"), "{reason}");
            assert!(!reason.contains(SECRET) && !reason.contains("never-the-same"), "{reason}");
            reason
        }
        other => panic!("expected Unavailable, got {other:?}"),
    }
}

fn theirs(result: Result<Stored, SinkError>) -> Option<Digest> {
    match result {
        Err(SinkError::Conflict { key, ours: OURS, theirs }) if key == "a" => theirs,
        other => panic!("expected Conflict, got {other:?}"),
    }
}

#[tokio::test]
async fn given_settings_then_a_put_carries_them_unsigned_and_with_its_length() {
    let store = FakeStore::answering(|_| Done).await;
    assert_eq!(store.put().await.unwrap(), Stored::Created);
    let (asked, headers) = store.seen.lock().unwrap()[0].clone();
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

#[tokio::test]
async fn given_412_and_an_equal_digest_then_it_is_already_there() {
    let store = FakeStore::answering(|asked| match asked {
        "look up" => Found(Some(OURS)),
        _ => Refused(412, "PreconditionFailed"),
    });
    assert_eq!(store.await.put().await.unwrap(), Stored::AlreadyThere);
}

#[tokio::test]
async fn given_412_and_another_digest_then_it_is_a_conflict_that_names_it() {
    let store = FakeStore::answering(|asked| match asked {
        "look up" => Found(Some(THEIRS)),
        _ => Refused(412, "PreconditionFailed"),
    });
    assert_eq!(theirs(store.await.put().await), Some(THEIRS));
}

#[tokio::test]
async fn given_412_and_no_digest_then_it_is_a_conflict() {
    let store = FakeStore::answering(|asked| match asked {
        "look up" => Found(None),
        _ => Refused(412, "PreconditionFailed"),
    });
    assert_eq!(theirs(store.await.put().await), None);
}

#[tokio::test]
async fn given_412_and_the_object_is_gone_by_then_then_the_put_starts_again() {
    let store = FakeStore::answering(|asked| match asked {
        "look up" => Refused(404, ""),
        _ => Refused(412, "PreconditionFailed"),
    });
    assert!(reason(store.await.put().await).contains("start again"));
}

#[tokio::test]
async fn given_412_and_a_lookup_that_is_denied_then_it_is_unavailable() {
    let store = FakeStore::answering(|asked| match asked {
        "look up" => Refused(403, ""),
        _ => Refused(412, "PreconditionFailed"),
    });
    let reason = reason(store.await.put().await);
    assert!(reason.contains("look up a") && reason.contains("HTTP 403"), "{reason}");
}

#[tokio::test]
async fn given_409_then_the_put_starts_again() {
    let store = FakeStore::answering(|_| Refused(409, "ConditionalRequestConflict")).await;
    let reason = reason(store.put().await);
    assert!(reason.contains("409 ConditionalRequestConflict") && reason.contains("start again"), "{reason}");
    assert_eq!(store.asked(), ["put if absent"], "one attempt, no lookup");
}

#[tokio::test]
async fn given_a_store_without_conditional_writes_then_it_is_asked_first_from_then_on() {
    let store = FakeStore::answering(|asked| match asked {
        "put if absent" => Refused(501, "NotImplemented"),
        _ => Done,
    })
    .await;
    assert_eq!(store.put().await.unwrap(), Stored::Created);
    assert_eq!(store.put().await.unwrap(), Stored::Created);
    assert_eq!(store.asked(), ["put if absent", "look up", "put", "look up", "put"]);
}

#[tokio::test]
async fn given_a_store_without_conditional_writes_then_nothing_that_is_there_is_overwritten() {
    for there in [OURS, THEIRS] {
        let store = FakeStore::answering(move |asked| match asked {
            "put if absent" => Refused(501, "NotImplemented"),
            "look up" => Found(Some(there)),
            _ => Done,
        })
        .await;
        let outcome = store.put().await;
        if there == OURS {
            assert_eq!(outcome.unwrap(), Stored::AlreadyThere);
        } else {
            assert_eq!(theirs(outcome), Some(THEIRS));
        }
        assert_eq!(store.asked(), ["put if absent", "look up"]);
    }
}

#[tokio::test]
async fn given_501_for_another_reason_then_the_condition_is_not_given_up() {
    let store = FakeStore::answering(|asked| match asked {
        "look up" => Done,
        _ => Refused(501, "NotImplemented"),
    })
    .await;
    assert!(reason(store.put().await).contains("sink.acl"));
    assert!(reason(store.put().await).contains("sink.acl"));
    assert_eq!(store.asked(), ["put if absent", "look up", "put", "put if absent", "look up", "put"]);
}

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

#[tokio::test]
async fn given_a_large_body_then_it_goes_up_in_parts_and_is_completed_conditionally() {
    let store = FakeStore::answering(|_| Done).await;
    let piece = Bytes::from(vec![0; 4 << 20]);
    let body = Body::new(vec![piece; 17]);
    assert_eq!(store.sink.put("a", OURS, body).await.unwrap(), Stored::Created);
    let mut expected = vec!["look up", "begin"];
    expected.extend(["part"; 9]);
    expected.push("complete if absent");
    assert_eq!(store.asked(), expected);
}

#[tokio::test]
async fn given_an_object_that_is_there_then_a_streaming_put_sends_nothing() {
    let store = FakeStore::answering(|_| Found(Some(OURS))).await;
    assert_eq!(store.put_in_parts().await.unwrap(), Stored::AlreadyThere);
    assert_eq!(store.asked(), ["look up"]);
}

#[tokio::test]
async fn given_an_upload_that_is_not_completed_then_it_is_aborted() {
    for failing in ["part", "complete if absent"] {
        let store =
            FakeStore::answering(move |asked| if asked == failing { Refused(503, "SlowDown") } else { Done })
                .await;
        assert!(reason(store.put_in_parts().await).contains("SlowDown"));
        store.wait_until_asked("abort").await;
    }
}

#[tokio::test]
async fn given_no_such_upload_then_the_file_starts_again_and_is_never_done() {
    for failing in ["part", "complete if absent"] {
        let store = FakeStore::answering(
            move |asked| {
                if asked == failing { Refused(404, "NoSuchUpload") } else { Done }
            },
        )
        .await;
        assert!(reason(store.put_in_parts().await).contains("start this file again"));
    }
}

#[tokio::test]
async fn given_an_error_inside_a_200_then_the_upload_is_not_complete() {
    let store = FakeStore::answering(|asked| match asked {
        "complete if absent" => DoneBut("InternalError"),
        _ => Done,
    })
    .await;
    assert!(reason(store.put_in_parts().await).contains("InternalError"));
    store.wait_until_asked("abort").await;
}

#[tokio::test]
async fn given_412_at_completion_then_the_digests_decide_and_the_parts_are_aborted() {
    for there in [OURS, THEIRS] {
        let looked_up = Arc::new(Mutex::new(0));
        let store = FakeStore::answering(move |asked| match asked {
            "look up" => {
                let mut times = looked_up.lock().unwrap();
                *times += 1;
                if *times == 1 { Done } else { Found(Some(there)) }
            }
            "complete if absent" => Refused(412, "PreconditionFailed"),
            _ => Done,
        })
        .await;
        let outcome = store.put_in_parts().await;
        if there == OURS {
            assert_eq!(outcome.unwrap(), Stored::AlreadyThere);
        } else {
            assert_eq!(theirs(outcome), Some(THEIRS));
        }
        store.wait_until_asked("abort").await;
    }
}

#[tokio::test]
async fn given_a_store_that_completes_only_unconditionally_then_it_is_asked_first() {
    let store = FakeStore::answering(|asked| match asked {
        "complete if absent" => Refused(501, "NotImplemented"),
        _ => Done,
    })
    .await;
    assert_eq!(store.put_in_parts().await.unwrap(), Stored::Created);
    let expected = ["look up", "begin", "part", "part", "complete if absent", "look up", "complete"];
    assert_eq!(store.asked(), expected);
}

#[tokio::test]
async fn given_a_stream_that_fails_then_its_error_is_handed_on_and_the_upload_aborted() {
    let store = FakeStore::answering(|_| Done).await;
    let pieces =
        [Ok(Bytes::from(vec![0; 9 << 20])), Err(SinkError::Unavailable("the range has changed".into()))];
    let error = store.sink.put_streaming("a", OURS, stream::iter(pieces).boxed()).await.unwrap_err();
    assert_eq!(error.to_string(), "the range has changed");
    store.wait_until_asked("abort").await;
    assert!(!store.asked().iter().any(|asked| asked.starts_with("complete")));
}

#[tokio::test]
async fn given_a_streaming_put_that_is_dropped_then_the_upload_is_aborted() {
    let store = FakeStore::answering(|_| Done).await;
    let pieces = stream::iter([Ok(Bytes::from(vec![0; 9 << 20]))]).chain(stream::pending()).boxed();
    tokio::select! {
        outcome = store.sink.put_streaming("a", OURS, pieces) => panic!("ended: {outcome:?}"),
        () = store.wait_until_asked("part") => {}
    }
    store.wait_until_asked("abort").await;
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
