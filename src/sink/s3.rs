//! S3, and stores that speak its protocol. The only module that knows the S3 client.
//!
//! - Every write is conditional (`If-None-Match: *`; `s3/conditional.rs` has what each answer means). 412 is not "done"
//!   by itself: the digests are compared. A store without conditional writes (501) is asked first and then written
//!   to plainly, which leaves the moment between the two unguarded; that is logged once. (A store that *ignores* the
//!   condition can't be noticed here; `valve check` finds it out.)
//! - Each call is one attempt: the client's own retries are off, [`super::retry::Retrying`] repeats. Each request
//!   has a limit by its size ([`Patience`]) on all of it, connecting (5 s at most) included; no separate read
//!   timeout, since the client's would also count the time that sending the body takes. The client's protection
//!   against stalled transfers stays on, and ends a dead upload much earlier. It is off while an upload is
//!   completed, which S3 may be silent about for minutes.
//! - Bodies are sent in their pieces, unsigned: hashing them with SHA-256 costs more than compressing them. They
//!   carry a CRC-32 instead, and not only for bits that flip: a store may keep as much as arrived of a body that was
//!   cut off by a dropped call, under the full digest (versitygw 1.8.0 does), unless a checksum says otherwise.
//! - Large and streamed bodies go up in parts and appear when they are complete. An upload that is not completed is
//!   aborted; that of a process that died stays until somebody calls [`Sink::abort_uploads`]. For those of files
//!   that nobody makes again, give the bucket a lifecycle rule that aborts incomplete multipart uploads after a day.

use std::error::Error;
use std::fmt;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use async_trait::async_trait;
use aws_config::{BehaviorVersion, ConfigLoader, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Builder, Credentials, Region, RequestChecksumCalculation};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::PutObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use aws_sdk_s3::types::{
    ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, ObjectCannedAcl, ServerSideEncryption,
    StorageClass,
};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};

use super::parts::{FIRST_PART, Parts};
use super::patience::Patience;
use super::pieces::Pieces;
use super::refusal::Refusal;
use super::{Body, DIGEST_METADATA, Digest, Listed, ObjectInfo, OpenError, Sink, SinkError, Stored};
use crate::causes::with_causes;
use crate::config::{S3Config, Secret};

mod conditional;
mod left_behind;
pub(crate) mod probe;
mod reading;
mod upload;

use conditional::Condition;
use upload::Upload;

/// What the objects are said to be. IANA knows no type for container files; readers go by the key.
const CONTENT_TYPE: &str = "application/avro";

/// A larger body, in bytes, goes up in parts. S3 itself allows 5 GiB in one request, of which all is lost when
/// the last byte is.
const LARGEST_SINGLE_PUT: u64 = 64 << 20;

/// How many parts of a body that is in memory anyway go up at the same time.
const PARTS_AT_ONCE: usize = 4;

/// The limit on making a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(5);

/// Signs for stores that have no regions, when none is configured.
const NO_REGION: &str = "us-east-1";

/// A bucket.
pub struct S3Sink {
    client: Client,
    bucket: String,
    /// The bucket and the endpoint, for messages.
    place: String,
    storage_class: Option<StorageClass>,
    acl: Option<ObjectCannedAcl>,
    sse: Option<ServerSideEncryption>,
    kms_key_id: Option<String>,
    patience: Patience,
    /// The store has been found to have no conditional writes.
    unconditional: AtomicBool,
}

impl S3Sink {
    /// A bucket, with credentials from the ordinary chain (environment, profile, web identity, ECS, EC2). They are
    /// looked for when the first request is made, and renewed by themselves.
    pub async fn new(config: &S3Config) -> Result<Self, OpenError> {
        Self::load(config, aws_config::defaults(BehaviorVersion::latest())).await
    }

    /// A bucket, with these credentials instead of the chain's.
    pub async fn with_credentials(
        config: &S3Config,
        access_key: &str,
        secret_key: &Secret,
    ) -> Result<Self, OpenError> {
        let credentials = Credentials::new(access_key, secret_key.reveal(), None, None, "given");
        let loader = aws_config::defaults(BehaviorVersion::latest()).credentials_provider(credentials);
        Self::load(config, loader).await
    }

    async fn load(config: &S3Config, mut loader: ConfigLoader) -> Result<Self, OpenError> {
        if let Some(region) = &config.region {
            loader = loader.region(Region::new(region.clone()));
        } else if config.endpoint.is_some() {
            // Looking for a region may mean asking a metadata service that isn't there.
            loader = loader.region(Region::from_static(NO_REGION));
        }
        Self::with_shared(config, &loader.load().await)
    }

    fn with_shared(config: &S3Config, shared: &SdkConfig) -> Result<Self, OpenError> {
        if shared.region().is_none() {
            let reason = "no region is configured, and neither the environment nor the profile has one";
            return Err(OpenError { setting: "sink.region", reason: reason.to_owned() });
        }
        let mut client = Builder::from(shared)
            .force_path_style(config.path_style)
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).build())
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired);
        if let Some(endpoint) = &config.endpoint {
            client = client.endpoint_url(endpoint);
        }
        Ok(Self {
            client: Client::from_conf(client.build()),
            bucket: config.bucket.clone(),
            place: place(config),
            storage_class: config.storage_class.as_deref().map(StorageClass::from),
            acl: config.acl.as_deref().map(ObjectCannedAcl::from),
            sse: config.sse.as_deref().map(ServerSideEncryption::from),
            kms_key_id: config.kms_key_id.clone(),
            patience: Patience::default(),
            unconditional: AtomicBool::new(false),
        })
    }

    /// The answer to a request that moves `len` bytes.
    fn answer<T, E>(
        &self,
        len: u64,
        request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    ) -> impl Future<Output = Result<T, Refusal>>
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        answer_within(self.patience.for_request(len), request)
    }

    fn unavailable(&self, doing: &str, key: &str, refusal: &Refusal) -> SinkError {
        SinkError::Unavailable(format!("{doing} {key} in {}: {refusal}", self.place))
    }
}

/// `bucket` and the endpoint without anything that might be a password.
fn place(config: &S3Config) -> String {
    let bucket = format!("bucket {}", config.bucket);
    match config.endpoint.as_deref() {
        Some(endpoint) => format!("{bucket} at {}", endpoint.rsplit('@').next().unwrap_or_default()),
        None => bucket,
    }
}

impl fmt::Debug for S3Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("S3Sink").field("place", &self.place).finish_non_exhaustive()
    }
}

#[async_trait]
impl Sink for S3Sink {
    async fn put(&self, key: &str, digest: Digest, body: Body) -> Result<Stored, SinkError> {
        if body.len() > LARGEST_SINGLE_PUT {
            // Its parts share its memory.
            let pieces = stream::iter(body.pieces().to_vec().into_iter().map(Ok)).boxed();
            return self.put_in_parts(key, digest, pieces, PARTS_AT_ONCE).await;
        }
        self.put_whole(key, digest, body).await
    }

    /// Holds up to one part in memory, 8 MiB, and the pieces that it begins and ends in; more only for objects of more than 8 GiB
    /// (`parts.rs`). So the parts go up one after the other.
    async fn put_streaming(
        &self,
        key: &str,
        digest: Digest,
        pieces: BoxStream<'static, Result<Bytes, SinkError>>,
    ) -> Result<Stored, SinkError> {
        self.put_in_parts(key, digest, pieces, 1).await
    }

    async fn head(&self, key: &str) -> Result<Option<ObjectInfo>, SinkError> {
        if let Some(found) = self.look_up(key).await? {
            return Ok(Some(found));
        }
        // A HEAD has no body to say whether it is the object or the bucket that is missing.
        let bucket = self.client.head_bucket().bucket(&self.bucket);
        match self.answer(0, bucket.send()).await {
            Ok(_) => Ok(None),
            Err(mut refusal) => {
                if refusal.status == Some(404) {
                    refusal.code = Some("NoSuchBucket".to_owned());
                }
                Err(self.unavailable("look up", key, &refusal))
            }
        }
    }

    async fn list(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, SinkError> {
        self.page(prefix, after).await
    }

    async fn read(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, SinkError> {
        self.range_of(key, range).await
    }

    async fn abort_uploads(&self, key: &str) -> Result<usize, SinkError> {
        self.abort_what_is_left(key).await
    }
}

impl S3Sink {
    async fn put_in_parts(
        &self,
        key: &str,
        digest: Digest,
        pieces: BoxStream<'static, Result<Bytes, SinkError>>,
        at_once: usize,
    ) -> Result<Stored, SinkError> {
        // In a takeover most files are there already: one request instead of all the parts.
        if let Some(stored) = self.compare(key, digest).await? {
            return Ok(stored);
        }
        let mut parts = Parts::of(pieces);
        let first = parts.next().await?;
        if first.len() < FIRST_PART {
            return self.put_whole(key, digest, first).await;
        }
        let upload = Upload::begin(self, key, digest).await?;
        let sent = upload.send_all(first, parts, at_once).await?;
        upload.complete(sent, digest).await
    }

    async fn put_whole(&self, key: &str, digest: Digest, body: Body) -> Result<Stored, SinkError> {
        let put = |condition| {
            let request = self.put_object(key, digest, body.clone(), condition);
            async { request.await.map(drop) }
        };
        self.write_once("put", key, digest, put).await
    }

    async fn put_object(
        &self,
        key: &str,
        digest: Digest,
        body: Body,
        condition: Condition,
    ) -> Result<PutObjectOutput, Refusal> {
        let len = body.len();
        let request = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .set_if_none_match(condition.map(str::to_owned))
            .content_type(CONTENT_TYPE)
            .content_length(i64::try_from(len).unwrap_or(i64::MAX))
            .checksum_crc32(checksum(&body))
            .metadata(DIGEST_METADATA, digest.to_string())
            .set_storage_class(self.storage_class.clone())
            .set_acl(self.acl.clone())
            .set_server_side_encryption(self.sse.clone())
            .set_ssekms_key_id(self.kms_key_id.clone())
            .body(in_pieces(body))
            .customize()
            .disable_payload_signing()
            .send();
        self.answer(len, request).await
    }

    async fn look_up(&self, key: &str) -> Result<Option<ObjectInfo>, SinkError> {
        let request = self.client.head_object().bucket(&self.bucket).key(key);
        match self.answer(0, request.send()).await {
            Ok(object) => Ok(Some(ObjectInfo {
                len: object.content_length().and_then(|len| u64::try_from(len).ok()).unwrap_or(0),
                digest: object
                    .metadata()
                    .and_then(|metadata| metadata.get(DIGEST_METADATA))
                    .and_then(|digest| Digest::parse(digest)),
            })),
            Err(Refusal { status: Some(404), .. }) => Ok(None),
            Err(refusal) => Err(self.unavailable("look up", key, &refusal)),
        }
    }
}

fn in_pieces(body: Body) -> ByteStream {
    ByteStream::new(SdkBody::retryable(move || SdkBody::from_body_1_x(Pieces::of(body.clone()))))
}

/// `x-amz-checksum-crc32`: the CRC-32 (ISO-HDLC) of `body`, big-endian, in base64. A millisecond per 8 MiB or less.
fn checksum(body: &Body) -> String {
    let mut checksum = crc32fast::Hasher::new();
    for piece in body.pieces() {
        checksum.update(piece);
    }
    BASE64.encode(checksum.finalize().to_be_bytes())
}

/// The answer to a request, when it comes in time. (The client has limits too, but to give each request its own costs it
/// more than to sign the request.)
fn answer_within<T, E>(
    limit: Duration,
    request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
) -> impl Future<Output = Result<T, Refusal>>
where
    E: ProvideErrorMetadata + Error + 'static,
{
    // It has kilobytes, which would be moved about in all that it is part of.
    let request = Box::pin(request);
    async move {
        match tokio::time::timeout(limit, request).await {
            Ok(answer) => answer.map_err(|error| refusal(&error)),
            Err(_) => Err(Refusal { message: format!("no answer within {limit:?}"), ..Refusal::default() }),
        }
    }
}

/// What is to be known of a failed request.
fn refusal<E>(error: &SdkError<E, HttpResponse>) -> Refusal
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let response = error.raw_response();
    let region = response.and_then(|response| response.headers().get("x-amz-bucket-region"));
    let message = match error.as_service_error() {
        Some(service) => service.message().unwrap_or_default().to_owned(),
        None => with_causes(error),
    };
    Refusal {
        status: response.map(|response| response.status().as_u16()),
        code: error.as_service_error().and_then(|service| service.code()).map(str::to_owned),
        message,
        region: region.map(str::to_owned),
    }
}

#[cfg(test)]
mod tests;
