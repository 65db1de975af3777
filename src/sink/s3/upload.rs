//! One multipart upload: begun, fed with parts, and completed or aborted.

use aws_sdk_s3::config::StalledStreamProtectionConfig;
use futures_util::stream::{FuturesOrdered, TryStreamExt};

use super::super::parts::{MAX_PARTS, Parts};
use super::super::refusal::Refusal;
use super::super::{Body, DIGEST_METADATA, Digest, SinkError, Stored};
use super::{
    Builder, CONTENT_TYPE, ChecksumAlgorithm, CompletedMultipartUpload, CompletedPart, Condition, S3Sink,
    answer_within, checksum, in_pieces,
};

/// A multipart upload; aborted when dropped before it is complete.
pub(super) struct Upload<'a> {
    sink: &'a S3Sink,
    key: &'a str,
    id: String,
    complete: bool,
}

impl<'a> Upload<'a> {
    pub(super) async fn begin(sink: &'a S3Sink, key: &'a str, digest: Digest) -> Result<Self, SinkError> {
        let request = sink
            .client
            .create_multipart_upload()
            .bucket(&sink.bucket)
            .key(key)
            .content_type(CONTENT_TYPE)
            .metadata(DIGEST_METADATA, digest.to_string())
            .set_storage_class(sink.storage_class.clone())
            .set_acl(sink.acl.clone())
            .set_server_side_encryption(sink.sse.clone())
            .set_ssekms_key_id(sink.kms_key_id.clone())
            .checksum_algorithm(ChecksumAlgorithm::Crc32)
            .send();
        let begun = sink.answer(0, request).await;
        let begun = begun.map_err(|refusal| sink.unavailable("begin the upload of", key, &refusal))?;
        let id = begun.upload_id.unwrap_or_default();
        Ok(Self { sink, key, id, complete: false })
    }

    /// Sends `first` and what follows it, `at_once` parts at the same time. No part is taken from the stream before
    /// it can be sent.
    pub(super) async fn send_all(
        &self,
        first: Body,
        mut rest: Parts,
        at_once: usize,
    ) -> Result<Vec<CompletedPart>, SinkError> {
        let (mut sending, mut sent) = (FuturesOrdered::new(), Vec::new());
        let (mut part, mut number) = (first, 1);
        while !part.is_empty() {
            sending.push_back(self.send(number, part, at_once));
            if sending.len() >= at_once {
                sent.extend(sending.try_next().await?);
            }
            part = rest.next().await?;
            number += 1;
        }
        sent.append(&mut sending.try_collect().await?);
        Ok(sent)
    }

    async fn send(&self, number: i32, part: Body, at_once: usize) -> Result<CompletedPart, SinkError> {
        let Self { sink, key, .. } = *self;
        if number > MAX_PARTS {
            let limit = format!("upload {key}: larger than the 492 GiB that {MAX_PARTS} parts hold");
            return Err(SinkError::Unavailable(limit));
        }
        let (len, checksum) = (part.len(), checksum(&part));
        let request = sink
            .client
            .upload_part()
            .bucket(&sink.bucket)
            .key(key)
            .upload_id(&self.id)
            .part_number(number)
            .content_length(i64::try_from(len).unwrap_or(i64::MAX))
            .checksum_crc32(&checksum)
            .body(in_pieces(part))
            .customize()
            .disable_payload_signing()
            .send();
        // Parts that go up at once share the line: each may take as long as all of them one after the other.
        let sent = sink.answer(len.saturating_mul(at_once as u64), request).await;
        let sent =
            sent.map_err(|refusal| sink.unavailable(&format!("upload part {number} of"), key, &refusal))?;
        let part =
            CompletedPart::builder().part_number(number).set_e_tag(sent.e_tag).checksum_crc32(checksum);
        Ok(part.build())
    }

    /// Makes the object visible unless one is there.
    pub(super) async fn complete(
        mut self,
        parts: Vec<CompletedPart>,
        digest: Digest,
    ) -> Result<Stored, SinkError> {
        let (sink, key) = (self.sink, self.key);
        let complete = |condition| self.request_completion(parts.clone(), condition);
        let stored = sink.write_once("complete the upload of", key, digest, complete).await?;
        // After a 412 with an equal digest the parts are still there, and are aborted.
        self.complete = stored == Stored::Created;
        Ok(stored)
    }

    /// Leaves it as it is; its id.
    pub(super) fn leave(mut self) -> String {
        self.complete = true;
        std::mem::take(&mut self.id)
    }

    pub(super) async fn request_completion(
        &self,
        parts: Vec<CompletedPart>,
        condition: Condition,
    ) -> Result<(), Refusal> {
        let limit = self.sink.patience.for_completion(parts.len());
        // S3 answers at once, and then sends a blank now and then until it is done.
        let blanks = Builder::new().stalled_stream_protection(StalledStreamProtectionConfig::disabled());
        let parts = CompletedMultipartUpload::builder().set_parts(Some(parts)).build();
        let request = self
            .sink
            .client
            .complete_multipart_upload()
            .bucket(&self.sink.bucket)
            .key(self.key)
            .upload_id(&self.id)
            .set_if_none_match(condition.map(str::to_owned))
            .multipart_upload(parts)
            .customize()
            .config_override(blanks)
            .send();
        answer_within(limit, request).await.map(drop)
    }
}

impl Drop for Upload<'_> {
    /// As well as can be: the parts cost money, no more.
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.complete {
            return;
        }
        let request = self
            .sink
            .client
            .abort_multipart_upload()
            .bucket(&self.sink.bucket)
            .key(self.key)
            .upload_id(&self.id);
        let (key, limit) = (self.key.to_owned(), self.sink.patience.for_request(0));
        runtime.spawn(async move {
            let refused = answer_within(limit, request.send()).await.err();
            // It may have been completed without our hearing of it, or aborted by another process.
            if let Some(refusal) = refused.filter(|refusal| !refusal.is_no_such_upload()) {
                tracing::warn!(%key, %refusal, "cannot abort an upload: its parts stay until the bucket's rule");
            }
        });
    }
}
