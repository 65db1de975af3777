//! A server that answers as told, and remembers what it was asked.

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::{Body as HttpBody, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, Method};
use axum::response::Response;
use axum::serve::ListenerExt;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use tokio::sync::Barrier;
use uuid::Uuid;

use super::super::S3Sink;
use crate::config::{S3Config, Secret};
use crate::sink::{Body, Digest, Sink, SinkError, Stored};

pub(super) const SECRET: &str = "not-to-be-seen";
pub(super) const OURS: Digest = Digest(1);
pub(super) const THEIRS: Digest = Digest(2);

/// What the store does with one request.
pub(super) enum Answer {
    Done,
    /// Status and code.
    Refused(u16, &'static str),
    /// The object looked up has this digest.
    Found(Option<Digest>),
    /// Status 200, and then an error in the body.
    DoneBut(&'static str),
    /// Status 200 and this body.
    Text(String),
    /// The same, after the wanted number of requests have got this answer and are under way.
    Together(Arc<Barrier>),
    Silence,
    /// Status 200 and then not all of the body that was announced.
    Stalls,
    /// Status 200, the beginning of a body, and its end after this time.
    Late(&'static str, Duration, &'static str),
}
pub(super) use Answer::{Done, DoneBut, Found, Refused, Silence, Text, Together};

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// What it asks, with `if absent` when it is conditional.
    pub(super) asked: String,
    pub(super) query: String,
    pub(super) headers: HeaderMap,
}

pub(super) struct FakeStore {
    pub(super) sink: S3Sink,
    pub(super) connections: Arc<AtomicUsize>,
    pub(super) seen: Arc<Mutex<Vec<Seen>>>,
    /// The most parts that were being sent at the same time.
    pub(super) parts_at_once: Arc<AtomicUsize>,
}

impl FakeStore {
    /// Gives each request the first answer of the script that is for its kind and not yet given, or does it.
    pub(super) async fn in_turn(script: impl IntoIterator<Item = (&'static str, Answer)>) -> Self {
        let script = Arc::new(Mutex::new(script.into_iter().collect::<Vec<_>>()));
        Self::answering(move |asked| {
            let mut script = script.lock().unwrap();
            match script.iter().position(|(kind, _)| *kind == asked) {
                Some(next) => script.remove(next).1,
                None => Done,
            }
        })
        .await
    }

    pub(super) async fn answering(answer: impl Fn(&str) -> Answer + Clone + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::<Seen>::new()));
        let (now, parts_at_once) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (log, most) = (seen.clone(), parts_at_once.clone());
        let service = axum::Router::new().fallback(move |request: Request| {
            let (answer, log, now, most) = (answer.clone(), log.clone(), now.clone(), most.clone());
            async move {
                let seen = take(request).await;
                log.lock().unwrap().push(seen.clone());
                let is_part = usize::from(seen.asked == "part");
                most.fetch_max(now.fetch_add(is_part, Ordering::SeqCst) + is_part, Ordering::SeqCst);
                let response = respond(&seen, answer(&seen.asked)).await;
                now.fetch_sub(is_part, Ordering::SeqCst);
                response
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
        Self { sink: sink_at(&endpoint).await, connections, seen, parts_at_once }
    }

    /// What was asked so far.
    pub(super) fn asked(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|seen| seen.asked.clone()).collect()
    }

    /// The requests of one kind so far.
    pub(super) fn all(&self, kind: &str) -> Vec<Seen> {
        self.seen.lock().unwrap().iter().filter(|seen| seen.asked == kind).cloned().collect()
    }

    pub(super) async fn put(&self) -> Result<Stored, SinkError> {
        self.sink.put("a", OURS, Body::new(vec![Bytes::from_static(b"ro"), Bytes::from_static(b"ws")])).await
    }

    /// A body of two parts.
    pub(super) async fn put_in_parts(&self) -> Result<Stored, SinkError> {
        let piece = Bytes::from(vec![0; 5 << 20]);
        self.sink.put_streaming("a", OURS, stream::iter([Ok(piece.clone()), Ok(piece)]).boxed()).await
    }

    pub(super) async fn wait_until_asked(&self, wanted: &str) {
        let found = async {
            while !self.asked().iter().any(|asked| asked == wanted) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(30), found).await;
        assert!(in_time.is_ok(), "never asked: {wanted}; asked: {:?}", self.asked());
    }
}

pub(super) fn config(endpoint: Option<&str>) -> S3Config {
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

pub(super) async fn sink_at(endpoint: &str) -> S3Sink {
    let credentials = (config(Some(endpoint)), Secret::new(SECRET));
    S3Sink::with_credentials(&credentials.0, "access", &credentials.1).await.unwrap()
}

async fn take(request: Request) -> Seen {
    let (head, body) = request.into_parts();
    let query = head.uri.query().unwrap_or_default().to_owned();
    let asked = asked(&head.method, head.uri.path(), &query, &head.headers);
    let read = to_bytes(body, usize::MAX).await.unwrap();
    let announced = head.headers.get("content-length").map_or("0", |len| len.to_str().unwrap());
    assert_eq!(read.len().to_string(), announced);
    Seen { asked, query, headers: head.headers }
}

fn asked(method: &Method, path: &str, query: &str, headers: &HeaderMap) -> String {
    let asked = match method.as_str() {
        "PUT" if query.contains("partNumber") => "part",
        "PUT" => "put",
        "POST" if query.contains("uploadId") => "complete",
        "POST" => "begin",
        "DELETE" => "abort",
        "HEAD" if path.trim_matches('/') == "bucket" => "look up bucket",
        "HEAD" => "look up",
        "GET" if query.contains("list-type=2") => "list",
        "GET" if query.contains("uploads") => "list uploads",
        "GET" => "read",
        other => other,
    };
    let condition = headers.get("if-none-match").map(|value| value.to_str().unwrap());
    match condition {
        Some("*") => format!("{asked} if absent"),
        Some(other) => format!("{asked} if not {other}"),
        None => asked.to_owned(),
    }
}

async fn respond(seen: &Seen, answer: Answer) -> Response {
    let (asked, response) = (seen.asked.as_str(), Response::builder());
    match answer {
        Done if asked == "begin" => {
            let id = Uuid::new_v4().simple();
            let result = format!(
                "<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"
            );
            response.body(result.into())
        }
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
        Text(body) => response.body(body.into()),
        Together(barrier) => {
            barrier.wait().await;
            response.header("etag", "\"e\"").body(HttpBody::empty())
        }
        Answer::Stalls => {
            let some = stream::iter([Ok::<_, fmt::Error>(Bytes::from_static(b"some"))]);
            response.body(HttpBody::from_stream(some.chain(stream::pending())))
        }
        Answer::Late(begin, time, end) => {
            let end = stream::once(async move {
                tokio::time::sleep(time).await;
                Ok(Bytes::from(end))
            });
            let begin = stream::iter([Ok::<_, fmt::Error>(Bytes::from(begin))]);
            response.body(HttpBody::from_stream(begin.chain(end)))
        }
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
pub(super) fn reason<T: fmt::Debug>(result: Result<T, SinkError>) -> String {
    match result {
        Err(SinkError::Unavailable(reason)) => {
            assert!(reason.contains("a in bucket bucket at http://127.0.0.1:"), "{reason}");
            assert!(!reason.contains(SECRET) && !reason.contains("never-the-same"), "{reason}");
            reason
        }
        other => panic!("expected Unavailable, got {other:?}"),
    }
}

pub(super) fn theirs(result: Result<Stored, SinkError>) -> Option<Digest> {
    match result {
        Err(SinkError::Conflict { key, ours: OURS, theirs }) if key == "a" => theirs,
        other => panic!("expected Conflict, got {other:?}"),
    }
}
