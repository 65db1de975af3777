//! What every sink must do, as one suite that runs against each of them.
//!
//! The memory and the local sink need nothing; the S3 sink runs against a real store, and its trials are ignored
//! where there is none. What a store holds is read back around the sink ([`Backdoor`]): the trait has no way to,
//! and a sink should not be its own witness.

#![expect(clippy::unwrap_used, reason = "a test that fails says so by panicking")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, ResponseChecksumValidation};
use aws_sdk_s3::operation::get_object::GetObjectError;
use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use futures_util::stream::{self, BoxStream, StreamExt};
use libtest_mimic::Trial;
use uuid::Uuid;
use valve::config::{S3Config, Secret};
use valve::sink::local::LocalSink;
use valve::sink::memory::MemorySink;
use valve::sink::s3::S3Sink;
use valve::sink::{Body, DIGEST_IN_HEADER, DIGEST_METADATA, Digest, ObjectInfo, Sink, SinkError, Stored};

const MIB: usize = 1 << 20;
const OURS: Digest = Digest(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
const THEIRS: Digest = Digest(0xfedc);

/// A running S3-compatible store with a bucket that tests may fill.
#[derive(Clone, Debug)]
pub(crate) struct S3TestStore {
    /// Its URL.
    pub(crate) endpoint: String,
    /// The access key's id.
    pub(crate) access_key: String,
    /// The secret key.
    pub(crate) secret_key: String,
    /// A bucket that exists.
    pub(crate) bucket: String,
}

/// One trial per store and behaviour, named `sink_conformance::<store>::<behaviour>`.
pub(crate) fn trials(s3: Option<S3TestStore>) -> Vec<Trial> {
    let mut trials = Vec::new();
    for (name, check) in BEHAVIOURS {
        trials.push(trial("memory", name, move || async move { check(in_memory()).await }));
        trials.push(trial("local", name, move || async move { check(in_a_directory()).await }));
    }
    let every = BEHAVIOURS.iter().chain(S3_BEHAVIOURS);
    for (name, check) in every {
        let Some(s3) = s3.clone() else {
            trials.push(trial("s3", name, || async {}).with_ignored_flag(true));
            continue;
        };
        trials.push(trial("s3", name, move || async move { check(in_s3(s3).await).await }));
    }
    trials
}

fn trial<F: Future<Output = ()>>(
    store: &str,
    name: &str,
    check: impl FnOnce() -> F + Send + 'static,
) -> Trial {
    Trial::test(format!("sink_conformance::{store}::{name}"), move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(check());
        Ok(())
    })
}

type Check = fn(Store) -> BoxFuture<'static, ()>;

macro_rules! behaviours {
    ($($check:ident,)*) => { &[$((stringify!($check), |store| Box::pin($check(store)))),*] };
}

const BEHAVIOURS: &[(&str, Check)] = behaviours![
    given_nothing_when_looked_up_then_none,
    given_a_put_when_looked_up_then_length_and_digest_are_there,
    given_an_equal_digest_when_put_again_then_it_is_already_there_and_the_bytes_stay,
    given_another_digest_when_put_again_then_the_conflict_names_both_and_the_bytes_stay,
    given_concurrent_puts_of_one_file_then_exactly_one_creates_it,
    given_concurrent_puts_of_different_files_under_one_key_then_the_others_conflict,
    given_an_empty_body_then_it_is_stored,
    given_a_body_of_many_pieces_then_they_are_stored_in_order,
    given_a_body_of_20_mib_then_it_is_stored,
    given_a_body_of_70_mib_then_it_is_stored,
    given_a_stream_of_20_mib_then_it_is_stored,
    given_a_short_stream_then_it_is_stored,
    given_an_empty_stream_then_it_is_stored,
    given_a_stream_that_fails_in_the_middle_then_nothing_becomes_visible,
    given_a_streaming_put_that_is_dropped_then_nothing_becomes_visible,
    given_a_put_that_is_dropped_then_the_object_is_whole_or_absent,
    given_an_object_when_streamed_again_then_the_digests_decide,
    given_a_put_and_a_streaming_put_of_one_file_then_exactly_one_creates_it,
    given_keys_of_all_kinds_then_each_is_its_own_object,
    given_an_object_of_another_tool_then_it_is_a_conflict_without_digest,
];

const S3_BEHAVIOURS: &[(&str, Check)] = behaviours![
    given_an_upload_that_fails_then_no_parts_are_left,
    given_a_stored_object_then_its_metadata_holds_the_digest,
    given_a_bucket_that_does_not_exist_then_it_is_unavailable,
    given_a_wrong_secret_then_it_is_unavailable_and_not_shown,
];

// ---- the stores ----

/// One store under test.
struct Store {
    sink: Arc<dyn Sink>,
    backdoor: Box<dyn Backdoor>,
    /// What this trial's keys begin with.
    prefix: String,
    s3: Option<(S3TestStore, Client)>,
}

impl Store {
    fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    async fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        self.backdoor.read(key).await
    }
}

/// The way around the sink.
#[async_trait]
trait Backdoor: Send + Sync {
    async fn read(&self, key: &str) -> Option<Vec<u8>>;
    /// Puts an object as another tool would.
    async fn put_foreign(&self, key: &str, bytes: Bytes);
}

fn in_memory() -> Store {
    let sink = Arc::new(MemorySink::new());
    Store { sink: sink.clone(), backdoor: Box::new(MemoryBackdoor(sink)), prefix: "p".to_owned(), s3: None }
}

struct MemoryBackdoor(Arc<MemorySink>);

#[async_trait]
impl Backdoor for MemoryBackdoor {
    async fn read(&self, key: &str) -> Option<Vec<u8>> {
        self.0.objects().get(key).map(|object| object.body.pieces().concat())
    }

    async fn put_foreign(&self, key: &str, bytes: Bytes) {
        self.0.put_foreign(key, Body::new(vec![bytes]));
    }
}

fn in_a_directory() -> Store {
    let directory = tempfile::tempdir().unwrap();
    let sink = Arc::new(LocalSink::new(directory.path().to_owned()));
    Store { sink, backdoor: Box::new(directory), prefix: "p".to_owned(), s3: None }
}

#[async_trait]
impl Backdoor for tempfile::TempDir {
    async fn read(&self, key: &str) -> Option<Vec<u8>> {
        std::fs::read(self.path().join(key)).ok()
    }

    async fn put_foreign(&self, key: &str, bytes: Bytes) {
        let path: PathBuf = self.path().join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

async fn in_s3(store: S3TestStore) -> Store {
    let credentials = Credentials::new(&store.access_key, &store.secret_key, None, None, "test");
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(&store.endpoint)
        .region(Region::from_static("us-east-1"))
        .force_path_style(true)
        // The bytes are compared anyway, and the client's own checksums are slow in an unoptimised build.
        .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
        .credentials_provider(credentials)
        .build();
    let client = Client::from_conf(config);
    let sink = s3_sink(&store, &store.bucket, &store.secret_key).await;
    Store {
        sink: Arc::new(sink),
        backdoor: Box::new(S3Backdoor(client.clone(), store.bucket.clone())),
        prefix: format!("conformance/{}", Uuid::new_v4()),
        s3: Some((store, client)),
    }
}

async fn s3_sink(store: &S3TestStore, bucket: &str, secret_key: &str) -> S3Sink {
    let config = S3Config {
        bucket: bucket.to_owned(),
        prefix: String::new(),
        region: None,
        endpoint: Some(store.endpoint.clone()),
        path_style: true,
        storage_class: None,
        acl: None,
        sse: None,
        kms_key_id: None,
    };
    S3Sink::with_credentials(&config, &store.access_key, &Secret::new(secret_key)).await.unwrap()
}

struct S3Backdoor(Client, String);

#[async_trait]
impl Backdoor for S3Backdoor {
    async fn read(&self, key: &str) -> Option<Vec<u8>> {
        match self.0.get_object().bucket(&self.1).key(key).send().await {
            Ok(object) => Some(object.body.collect().await.unwrap().into_bytes().to_vec()),
            Err(error) => {
                assert!(error.as_service_error().is_some_and(GetObjectError::is_no_such_key), "{error:?}");
                None
            }
        }
    }

    async fn put_foreign(&self, key: &str, bytes: Bytes) {
        self.0.put_object().bucket(&self.1).key(key).body(bytes.into()).send().await.unwrap();
    }
}

// ---- files ----

/// A container header that states `digest`, and `len` bytes behind it, in pieces of half a MiB. The content
/// depends on the digest.
fn file(digest: Digest, len: usize) -> Body {
    let mut header = b"Obj\x01\x02".to_vec();
    for text in [DIGEST_IN_HEADER.to_owned(), digest.to_string()] {
        header.push(u8::try_from(text.len() * 2).unwrap());
        header.extend_from_slice(text.as_bytes());
    }
    header.push(0);
    let mut pieces = vec![Bytes::from(header)];
    let mut left = len;
    while left > 0 {
        let number = pieces.len().to_le_bytes();
        let unit = [number.as_slice(), &digest.0.to_le_bytes(), b"row"].concat();
        let mut piece = unit.repeat((MIB / 2).min(left).div_ceil(unit.len()));
        piece.truncate((MIB / 2).min(left));
        left -= piece.len();
        pieces.push(Bytes::from(piece));
    }
    Body::new(pieces)
}

fn bytes(body: &Body) -> Vec<u8> {
    body.pieces().concat()
}

fn streamed(body: &Body) -> BoxStream<'static, Result<Bytes, SinkError>> {
    stream::iter(body.pieces().to_vec().into_iter().map(Ok)).boxed()
}

#[track_caller]
fn assert_conflict(outcome: Result<Stored, SinkError>, expected_key: &str, expected_theirs: Option<Digest>) {
    match outcome {
        Err(SinkError::Conflict { key, ours, theirs }) => {
            assert_eq!((key.as_str(), ours, theirs), (expected_key, OURS, expected_theirs));
        }
        other => panic!("expected Conflict, got {other:?}"),
    }
}

/// Puts until the store is available: under contention S3 may answer "try again" (409).
async fn put_patiently(
    store: &Store,
    key: &str,
    digest: Digest,
    body: &Body,
    stream: bool,
) -> Result<Stored, SinkError> {
    for _ in 0..100 {
        let outcome = if stream {
            store.sink.put_streaming(key, digest, streamed(body)).await
        } else {
            store.sink.put(key, digest, body.clone()).await
        };
        match outcome {
            Err(SinkError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(20)).await,
            outcome => return outcome,
        }
    }
    panic!("the store stays unavailable");
}

// ---- the behaviours ----

async fn given_nothing_when_looked_up_then_none(store: Store) {
    assert_eq!(store.sink.head(&store.key("nothing.avro")).await.unwrap(), None);
}

async fn given_a_put_when_looked_up_then_length_and_digest_are_there(store: Store) {
    let (key, body) = (store.key("a.avro"), file(OURS, 1000));
    assert_eq!(store.sink.put(&key, OURS, body.clone()).await.unwrap(), Stored::Created);
    let found = store.sink.head(&key).await.unwrap();
    assert_eq!(found, Some(ObjectInfo { len: body.len(), digest: Some(OURS) }));
    assert!(store.bytes(&key).await.unwrap() == bytes(&body));
}

async fn given_an_equal_digest_when_put_again_then_it_is_already_there_and_the_bytes_stay(store: Store) {
    let (key, body) = (store.key("a.avro"), file(OURS, 1000));
    store.sink.put(&key, OURS, body.clone()).await.unwrap();
    let other_bytes = file(OURS, 2000);
    assert_eq!(store.sink.put(&key, OURS, other_bytes).await.unwrap(), Stored::AlreadyThere);
    assert!(store.bytes(&key).await.unwrap() == bytes(&body));
}

async fn given_another_digest_when_put_again_then_the_conflict_names_both_and_the_bytes_stay(store: Store) {
    let (key, body) = (store.key("a.avro"), file(THEIRS, 1000));
    store.sink.put(&key, THEIRS, body.clone()).await.unwrap();
    assert_conflict(store.sink.put(&key, OURS, file(OURS, 1000)).await, &key, Some(THEIRS));
    assert!(store.bytes(&key).await.unwrap() == bytes(&body));
}

async fn given_concurrent_puts_of_one_file_then_exactly_one_creates_it(store: Store) {
    let (key, body) = (store.key("a.avro"), file(OURS, 100_000));
    let puts = (0..8).map(|_| put_patiently(&store, &key, OURS, &body, false));
    let outcomes: Vec<Stored> = join_all(puts).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|stored| **stored == Stored::Created).count(), 1, "{outcomes:?}");
    assert!(store.bytes(&key).await.unwrap() == bytes(&body));
}

async fn given_concurrent_puts_of_different_files_under_one_key_then_the_others_conflict(store: Store) {
    let key = store.key("a.avro");
    let bodies: Vec<(Digest, Body)> = (1..=8).map(|n| (Digest(n), file(Digest(n), 100_000))).collect();
    let puts = bodies.iter().map(|(digest, body)| put_patiently(&store, &key, *digest, body, false));
    let outcomes = join_all(puts).await;
    let created: Vec<usize> = (0..8).filter(|n| matches!(outcomes[*n], Ok(Stored::Created))).collect();
    let conflicts =
        outcomes.iter().filter(|outcome| matches!(outcome, Err(SinkError::Conflict { .. }))).count();
    assert_eq!((created.len(), conflicts), (1, 7), "{outcomes:?}");
    assert!(store.bytes(&key).await.unwrap() == bytes(&bodies[created[0]].1));
}

async fn given_an_empty_body_then_it_is_stored(store: Store) {
    let key = store.key("empty.avro");
    assert_eq!(store.sink.put(&key, OURS, Body::default()).await.unwrap(), Stored::Created);
    assert_eq!(store.sink.head(&key).await.unwrap().map(|found| found.len), Some(0));
    assert_eq!(store.bytes(&key).await, Some(Vec::new()));
}

async fn given_a_body_of_many_pieces_then_they_are_stored_in_order(store: Store) {
    let whole = Bytes::from(bytes(&file(OURS, 100_000)));
    let mut pieces = vec![Bytes::new()];
    for start in (0..whole.len()).step_by(13) {
        pieces.push(whole.slice(start..(start + 13).min(whole.len())));
        if start % 5 == 0 {
            pieces.push(Bytes::new());
        }
    }
    let key = store.key("a.avro");
    assert_eq!(store.sink.put(&key, OURS, Body::new(pieces)).await.unwrap(), Stored::Created);
    assert!(store.bytes(&key).await.unwrap() == whole);
}

async fn check_large_body(store: Store, len: usize) {
    let (key, body) = (store.key("large.avro"), file(OURS, len));
    assert_eq!(store.sink.put(&key, OURS, body.clone()).await.unwrap(), Stored::Created);
    let found = store.sink.head(&key).await.unwrap();
    assert_eq!(found, Some(ObjectInfo { len: body.len(), digest: Some(OURS) }));
    assert!(store.bytes(&key).await.unwrap() == bytes(&body));
    assert_eq!(store.sink.put(&key, OURS, body).await.unwrap(), Stored::AlreadyThere);
}

async fn given_a_body_of_20_mib_then_it_is_stored(store: Store) {
    check_large_body(store, 20 * MIB).await;
}

async fn given_a_body_of_70_mib_then_it_is_stored(store: Store) {
    check_large_body(store, 70 * MIB).await;
}

async fn check_stream(store: Store, body: Body, digest: Option<Digest>) {
    let key = store.key("streamed.avro");
    assert_eq!(store.sink.put_streaming(&key, OURS, streamed(&body)).await.unwrap(), Stored::Created);
    let found = store.sink.head(&key).await.unwrap().unwrap();
    assert_eq!(found.len, body.len());
    if digest.is_some() {
        assert_eq!(found.digest, digest);
    }
    assert!(store.bytes(&key).await.unwrap() == bytes(&body));
}

async fn given_a_stream_of_20_mib_then_it_is_stored(store: Store) {
    check_stream(store, file(OURS, 20 * MIB), Some(OURS)).await;
}

async fn given_a_short_stream_then_it_is_stored(store: Store) {
    check_stream(store, file(OURS, 1000), Some(OURS)).await;
}

async fn given_an_empty_stream_then_it_is_stored(store: Store) {
    check_stream(store, Body::default(), None).await;
}

async fn given_a_stream_that_fails_in_the_middle_then_nothing_becomes_visible(store: Store) {
    let body = file(OURS, 20 * MIB);
    let key = store.key("a.avro");
    for len in [0, 3, 35] {
        let pieces: Vec<_> = body.pieces()[..len].iter().cloned().map(Ok).collect();
        let fails = stream::iter([Err(SinkError::Unavailable("the range has changed".to_owned()))]);
        let error = store.sink.put_streaming(&key, OURS, stream::iter(pieces).chain(fails).boxed()).await;
        assert_eq!(error.unwrap_err().to_string(), "the range has changed");
        assert_eq!(store.sink.head(&key).await.unwrap(), None);
        assert_eq!(store.bytes(&key).await, None);
    }
    assert_eq!(store.sink.put_streaming(&key, OURS, streamed(&body)).await.unwrap(), Stored::Created);
}

async fn given_a_streaming_put_that_is_dropped_then_nothing_becomes_visible(store: Store) {
    let body = file(OURS, 20 * MIB);
    let key = store.key("a.avro");
    let (at_the_end, reached) = tokio::sync::oneshot::channel();
    let never_ends = stream::once(async move {
        at_the_end.send(()).unwrap();
        std::future::pending().await
    });
    tokio::select! {
        outcome = store.sink.put_streaming(&key, OURS, streamed(&body).chain(never_ends).boxed()) => {
            panic!("ended: {outcome:?}")
        }
        all_taken = reached => all_taken.unwrap(),
    }
    assert_eq!(store.sink.head(&key).await.unwrap(), None);
    assert_eq!(store.sink.put_streaming(&key, OURS, streamed(&body)).await.unwrap(), Stored::Created);
    assert!(store.bytes(&key).await.unwrap() == bytes(&body));
}

async fn given_a_put_that_is_dropped_then_the_object_is_whole_or_absent(store: Store) {
    let body = file(OURS, 20 * MIB);
    for wait in [0, 1, 3, 10, 30, 100] {
        let key = store.key(&format!("dropped after {wait} ms.avro"));
        let put = store.sink.put(&key, OURS, body.clone());
        let ended = tokio::time::timeout(Duration::from_millis(wait), put).await;
        if let Some(there) = store.bytes(&key).await {
            assert!(there == bytes(&body), "after {wait} ms, ended: {ended:?}");
        }
        let stored = put_patiently(&store, &key, OURS, &body, false).await.unwrap();
        assert!(ended.is_err() || stored == Stored::AlreadyThere);
        assert!(store.bytes(&key).await.unwrap() == bytes(&body));
    }
}

async fn given_an_object_when_streamed_again_then_the_digests_decide(store: Store) {
    for len in [1000, 20 * MIB] {
        let (key, body) = (store.key(&format!("{len}.avro")), file(OURS, len));
        store.sink.put(&key, OURS, body.clone()).await.unwrap();
        let stored = store.sink.put_streaming(&key, OURS, streamed(&file(OURS, len + 1))).await;
        assert_eq!(stored.unwrap(), Stored::AlreadyThere);
        assert!(store.bytes(&key).await.unwrap() == bytes(&body));

        let (key, theirs) = (store.key(&format!("{len} theirs.avro")), file(THEIRS, len));
        store.sink.put(&key, THEIRS, theirs.clone()).await.unwrap();
        assert_conflict(store.sink.put_streaming(&key, OURS, streamed(&body)).await, &key, Some(THEIRS));
        assert!(store.bytes(&key).await.unwrap() == bytes(&theirs));
    }
}

async fn given_a_put_and_a_streaming_put_of_one_file_then_exactly_one_creates_it(store: Store) {
    let (key, body) = (store.key("a.avro"), file(OURS, 10 * MIB));
    let puts = (0..6).map(|n| put_patiently(&store, &key, OURS, &body, n % 2 == 0));
    let outcomes: Vec<Stored> = join_all(puts).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(outcomes.iter().filter(|stored| **stored == Stored::Created).count(), 1, "{outcomes:?}");
    assert!(store.bytes(&key).await.unwrap() == bytes(&body));
}

async fn given_keys_of_all_kinds_then_each_is_its_own_object(store: Store) {
    let names = [
        "year=2026/month=07/day=03/hour=09/orders_5-messages_x.avro",
        "a b.avro",
        "a+b.avro",
        "a%20b.avro",
        "a%2Bb.avro",
        "größe/日本語 🚰.avro",
        "~!@$&'()*,;:=[]{}^`|#?.avro",
        ".hidden/..two/three...avro",
        "\"quoted\".avro",
    ];
    for (n, name) in (1..).zip(names) {
        let outcome = store.sink.put(&store.key(name), Digest(n), file(Digest(n), 10)).await;
        assert_eq!(outcome.unwrap(), Stored::Created, "{name}");
    }
    for (n, name) in (1..).zip(names) {
        let found = store.sink.head(&store.key(name)).await.unwrap().unwrap();
        assert_eq!(found.digest, Some(Digest(n)), "{name}");
        assert_eq!(store.bytes(&store.key(name)).await, Some(bytes(&file(Digest(n), 10))), "{name}");
    }
}

async fn given_an_object_of_another_tool_then_it_is_a_conflict_without_digest(store: Store) {
    let key = store.key("foreign.avro");
    store.backdoor.put_foreign(&key, Bytes::from_static(b"not ours")).await;
    assert_conflict(store.sink.put(&key, OURS, file(OURS, 10)).await, &key, None);
    assert_conflict(store.sink.put_streaming(&key, OURS, streamed(&file(OURS, 20 * MIB))).await, &key, None);
    assert_eq!(store.sink.head(&key).await.unwrap(), Some(ObjectInfo { len: 8, digest: None }));
    assert_eq!(store.bytes(&key).await.unwrap(), b"not ours");
}

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
