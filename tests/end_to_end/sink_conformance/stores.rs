//! The stores under test, each with a way around its sink.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region, ResponseChecksumValidation};
use aws_sdk_s3::operation::get_object::GetObjectError;
use bytes::Bytes;
use uuid::Uuid;
use valve::config::{S3Config, Secret};
use valve::sink::fault::{Chances, Faulty};
use valve::sink::local::LocalSink;
use valve::sink::memory::MemorySink;
use valve::sink::retry::Retrying;
use valve::sink::s3::S3Sink;
use valve::sink::{Body, Sink};
use valve::telemetry::troubles::Troubles;

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

/// One store under test.
pub(super) struct Store {
    pub(super) sink: Arc<dyn Sink>,
    pub(super) backdoor: Box<dyn Backdoor>,
    /// What this trial's keys begin with.
    prefix: String,
    pub(super) s3: Option<(S3TestStore, Client)>,
}

impl Store {
    pub(super) fn key(&self, name: &str) -> String {
        format!("{}/{name}", self.prefix)
    }

    pub(super) async fn bytes(&self, key: &str) -> Option<Vec<u8>> {
        self.backdoor.read(key).await
    }
}

/// The way around the sink.
#[async_trait]
pub(super) trait Backdoor: Send + Sync {
    async fn read(&self, key: &str) -> Option<Vec<u8>>;
    /// Puts an object as another tool would.
    async fn put_foreign(&self, key: &str, bytes: Bytes);
}

pub(super) fn in_memory() -> Store {
    let sink = Arc::new(MemorySink::new());
    Store { sink: sink.clone(), backdoor: Box::new(MemoryBackdoor(sink)), prefix: "p".to_owned(), s3: None }
}

/// Memory behind both wrappers: every call comes late, and none is lost.
pub(super) fn wrapped() -> Store {
    let mut store = in_memory();
    let late = Chances { delay: 1.0, longest_delay: Duration::from_millis(3), ..Chances::default() };
    let faulty = Arc::new(Faulty::seeded(store.sink, 1, late));
    store.sink = Arc::new(Retrying::new(faulty, Troubles::default()));
    store
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

pub(super) fn in_a_directory() -> Store {
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

pub(super) async fn in_s3(store: S3TestStore) -> Store {
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

pub(super) async fn s3_sink(store: &S3TestStore, bucket: &str, secret_key: &str) -> S3Sink {
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
