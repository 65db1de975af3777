//! Tries out what valve asks of a store, under a key of its own: for `valve check`.
//!
//! Above all whether the store honours `If-None-Match`: exactly-once depends on that, and in daily work a store that ignores
//! it can't be told from one that doesn't. Nothing is repeated: an answer is what is wanted.

use std::time::Duration;

use aws_sdk_s3::operation::list_multipart_uploads::ListMultipartUploadsOutput;
use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use uuid::Uuid;

use super::super::parts::Parts;
use super::super::patience::Patience;
use super::super::refusal::{Meaning, Refusal};
use super::super::{Body, Digest, OpenError, SinkError};
use super::conditional::{Condition, UNLESS_THERE};
use super::upload::Upload;
use super::{S3Sink, refusal};
use crate::config::S3Config;

/// How long the store may take to answer one request.
const ANSWER: Duration = Duration::from_secs(10);

/// What the probe's keys are below the prefix. A file's key has a UUID with hyphens, these have one without: so the audit and
/// all that lists files pass them over.
const FOLDER: &str = "_valve_check";

/// A store, and the key that it is tried out with.
#[derive(Debug)]
pub(crate) struct S3Probe {
    sink: S3Sink,
    /// The object that is put, and put again.
    pub(crate) key: String,
    /// How the bucket and what is below the prefix are named in IAM.
    bucket_arn: String,
    objects_arn: String,
    has_endpoint: bool,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It is done, with this server-side encryption.
    Done(Option<Encryption>),
    /// It is refused, since there is an object.
    Refused,
    /// The store doesn't know the condition.
    Unsupported,
}

/// How the store says that an object is encrypted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Encryption {
    /// As `sink.sse` has it.
    pub(crate) algorithm: String,
    /// The key, of KMS.
    pub(crate) key: Option<String>,
}

/// Why a step was in vain, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Denied {
    pub(crate) why: String,
    pub(crate) to_do: String,
    /// The store is there and knows who asks, and doesn't allow it: other things may be allowed.
    pub(crate) is_permission: bool,
}

impl S3Probe {
    /// A probe of the bucket. Nothing is asked yet.
    ///
    /// # Errors
    /// When there is no region.
    pub(crate) async fn open(config: &S3Config) -> Result<Self, OpenError> {
        Ok(Self::of(S3Sink::new(config).await?, config))
    }

    pub(super) fn of(mut sink: S3Sink, config: &S3Config) -> Self {
        sink.patience = Patience { answer: ANSWER, ..Patience::default() };
        let below = if config.prefix.is_empty() { String::new() } else { format!("{}/", config.prefix) };
        let bucket_arn = format!("arn:aws:s3:::{}", config.bucket);
        Self {
            sink,
            key: format!("{below}{FOLDER}/{}", Uuid::new_v4().simple()),
            objects_arn: format!("{bucket_arn}/{below}*"),
            bucket_arn,
            has_endpoint: config.endpoint.is_some(),
        }
    }

    /// The bucket and the endpoint, without anything secret.
    pub(crate) fn place(&self) -> &str {
        &self.sink.place
    }

    /// Puts `text` under the key; `unless_there`, only if there is no object.
    pub(crate) async fn put(&self, text: &'static [u8], unless_there: bool) -> Result<Written, Denied> {
        let condition = if unless_there { UNLESS_THERE } else { None };
        let body = Body::new(vec![Bytes::from_static(text)]);
        match self.sink.put_object(&self.key, digest(text), body, condition).await {
            Ok(put) => Ok(Written::Done(put.server_side_encryption.map(|algorithm| Encryption {
                algorithm: algorithm.as_str().to_owned(),
                key: put.ssekms_key_id,
            }))),
            Err(refusal) => self.written(&refusal, condition),
        }
    }

    /// Whether what lies under the key is `text`, with its digest.
    pub(crate) async fn holds(&self, text: &'static [u8]) -> Result<bool, Denied> {
        let request = self.sink.client.get_object().bucket(&self.sink.bucket).key(&self.key);
        let read = async {
            let object = request.send().await.map_err(|error| refusal(&error))?;
            let stored = object.metadata().and_then(|metadata| metadata.get(super::DIGEST_METADATA));
            let same_digest = stored.and_then(|text| Digest::parse(text)) == Some(digest(text));
            let bytes = object.body.collect().await;
            let bytes =
                bytes.map_err(|error| Refusal { message: error.to_string(), ..Refusal::default() })?;
            Ok(same_digest && bytes.into_bytes() == text)
        };
        let silent = || Refusal { message: format!("no answer within {ANSWER:?}"), ..Refusal::default() };
        let read = tokio::time::timeout(ANSWER, Box::pin(read)).await;
        read.unwrap_or_else(|_| Err(silent()))
            .map_err(|refusal| self.denied(&refusal, "s3:GetObject", &self.objects_arn))
    }

    /// Whether the key is listed.
    pub(crate) async fn is_listed(&self) -> Result<bool, Denied> {
        let request = self.sink.client.list_objects_v2().bucket(&self.sink.bucket).prefix(&self.key);
        let listed = self.sink.answer(0, request.send()).await;
        let listed = listed.map_err(|refusal| self.denied(&refusal, "s3:ListBucket", &self.bucket_arn))?;
        Ok(listed.contents().iter().any(|object| object.key() == Some(&self.key)))
    }

    /// Uploads a part to the key, and completes that if there is no object; without the condition if the store doesn't know
    /// it. What isn't completed stays, under the id that comes back.
    pub(crate) async fn upload(&self, text: &'static [u8]) -> Result<(Written, String), Denied> {
        let digest = digest(text);
        let upload = Upload::begin(&self.sink, &self.key, digest).await;
        let upload = upload.map_err(|error| self.in_vain(&error, "s3:PutObject", &self.objects_arn))?;
        let part = Body::new(vec![Bytes::from_static(text)]);
        let parts = upload.send_all(part, Parts::of(stream::empty().boxed()), 1).await;
        let parts = parts.map_err(|error| self.in_vain(&error, "s3:PutObject", &self.objects_arn))?;
        let written = match upload.request_completion(parts, UNLESS_THERE).await {
            Ok(()) => Written::Done(None),
            Err(refusal) => self.written(&refusal, UNLESS_THERE)?,
        };
        Ok((written, upload.leave()))
    }

    /// Whether the upload is listed; `None` when the store doesn't list uploads.
    pub(crate) async fn lists_upload(&self, id: &str) -> Result<Option<bool>, Denied> {
        let page = self.sink.request_uploads(&self.key, (None, None)).await;
        let page =
            page.map_err(|error| self.in_vain(&error, "s3:ListBucketMultipartUploads", &self.bucket_arn))?;
        let has_it = |page: ListMultipartUploadsOutput| {
            page.uploads().iter().any(|upload| upload.upload_id() == Some(id))
        };
        Ok(page.map(has_it))
    }

    /// Aborts an upload.
    pub(crate) async fn abort(&self, id: &str) -> Result<(), Denied> {
        let aborted = self.sink.abort(&self.key, id).await;
        aborted.map(drop).map_err(|error| self.in_vain(&error, "s3:AbortMultipartUpload", &self.objects_arn))
    }

    /// Deletes the object.
    pub(crate) async fn delete(&self) -> Result<(), Denied> {
        let request = self.sink.client.delete_object().bucket(&self.sink.bucket).key(&self.key);
        let deleted = self.sink.answer(0, request.send()).await;
        deleted.map(drop).map_err(|refusal| self.denied(&refusal, "s3:DeleteObject", &self.objects_arn))
    }

    fn written(&self, refusal: &Refusal, condition: Condition) -> Result<Written, Denied> {
        match refusal.meaning() {
            Meaning::Exists => Ok(Written::Refused),
            Meaning::NotImplemented if condition.is_some() => Ok(Written::Unsupported),
            _ => Err(self.denied(refusal, "s3:PutObject", &self.objects_arn)),
        }
    }

    /// The same of what valve's own calls say, with their advice in it.
    fn in_vain(&self, error: &SinkError, action: &str, resource: &str) -> Denied {
        let to_do = format!("allow {action} on {resource}, if it is that");
        Denied { why: error.to_string(), to_do, is_permission: false }
    }

    /// What to do about a refusal of something for which `action` on `resource` must be allowed.
    fn denied(&self, refusal: &Refusal, action: &str, resource: &str) -> Denied {
        let is_permission = refusal.is_missing_permission();
        let to_do = match (is_permission, refusal.names_a_kms_key(), self.has_endpoint) {
            (true, true, _) => {
                "allow kms:GenerateDataKey and kms:Decrypt on the key of sink.kms_key_id, in IAM and in the \
                                key's own policy"
                    .to_owned()
            }
            (true, false, false) => format!("allow {action} on {resource} to the role that valve runs under"),
            (true, false, true) => format!("allow what S3 calls {action} on {resource} to these credentials"),
            (false, ..) => refusal.advice(),
        };
        Denied { why: refusal.without_advice(), to_do, is_permission }
    }
}

/// What stands for the digest of rows.
fn digest(text: &[u8]) -> Digest {
    Digest(xxhash_rust::xxh3::xxh3_128(text))
}
