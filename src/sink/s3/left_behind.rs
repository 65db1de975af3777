//! Uploads that nobody completes any more: their parts cost money until somebody aborts them.
//!
//! An upload says nothing about who began it, so one that is live can be hit. Its writer sees `NoSuchUpload` and starts
//! the file again; as this is done only once the object is there, that finds the object, or its equal.

use aws_sdk_s3::operation::list_multipart_uploads::ListMultipartUploadsOutput;

use super::super::SinkError;
use super::super::refusal::Meaning;
use super::S3Sink;

impl S3Sink {
    /// A store that doesn't list uploads (501) has to clean up by itself.
    pub(super) async fn abort_what_is_left(&self, key: &str) -> Result<usize, SinkError> {
        let mut aborted = 0;
        let mut markers = (None, None);
        loop {
            let Some(page) = self.request_uploads(key, markers).await? else { return Ok(aborted) };
            for upload in page.uploads() {
                // The prefix also finds longer keys.
                if let (Some(found), Some(id)) = (upload.key(), upload.upload_id())
                    && found == key
                    && self.abort(key, id).await?
                {
                    aborted += 1;
                }
            }
            let next = (page.next_key_marker, page.next_upload_id_marker);
            // Longer keys come later: behind the key's own uploads there are only theirs.
            if page.is_truncated != Some(true) || next.0.as_deref() != Some(key) {
                return Ok(aborted);
            }
            markers = next;
        }
    }

    /// A page of the uploads to keys that begin with `key`; `None` when the store doesn't list them.
    pub(super) async fn request_uploads(
        &self,
        key: &str,
        (key_marker, upload_id_marker): (Option<String>, Option<String>),
    ) -> Result<Option<ListMultipartUploadsOutput>, SinkError> {
        let request = self
            .client
            .list_multipart_uploads()
            .bucket(&self.bucket)
            .prefix(key)
            .set_key_marker(key_marker)
            .set_upload_id_marker(upload_id_marker)
            .send();
        match self.answer(0, request).await {
            Ok(page) => Ok(Some(page)),
            Err(refusal) if refusal.meaning() == Meaning::NotImplemented => Ok(None),
            Err(refusal) => Err(self.unavailable("list the uploads to", key, &refusal)),
        }
    }

    /// Whether there still was one to abort.
    pub(super) async fn abort(&self, key: &str, id: &str) -> Result<bool, SinkError> {
        let request = self.client.abort_multipart_upload().bucket(&self.bucket).key(key).upload_id(id).send();
        match self.answer(0, request).await {
            Ok(_) => Ok(true),
            Err(refusal) if refusal.is_no_such_upload() => Ok(false),
            Err(refusal) => Err(self.unavailable("abort an upload to", key, &refusal)),
        }
    }
}
