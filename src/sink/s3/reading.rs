//! Listing and reading: what the audit and takeovers ask of a store.

use std::ops::Range;

use aws_sdk_s3::operation::get_object::GetObjectOutput;
use aws_sdk_s3::operation::list_objects_v2::ListObjectsV2Output;
use bytes::{Bytes, BytesMut};

use super::super::refusal::Refusal;
use super::super::{LIST_PAGE, Listed, SinkError, len_of, named};
use super::{S3Sink, refusal, with_causes};

impl S3Sink {
    /// One page. A store may answer with an empty page and say that there is more ("`ListObjectsV2`" in the S3 API
    /// reference); then the next one is asked for, since an empty page means the end here.
    pub(super) async fn page(&self, prefix: &str, after: Option<&str>) -> Result<Vec<Listed>, SinkError> {
        let mut token = None;
        loop {
            let answer = self.request_page(prefix, after, token).await?;
            token = answer.next_continuation_token().map(str::to_owned);
            let page: Vec<Listed> = listed(answer);
            self.check_order(prefix, after, &page)?;
            if !page.is_empty() || token.is_none() {
                return Ok(page);
            }
        }
    }

    async fn request_page(
        &self,
        prefix: &str,
        after: Option<&str>,
        token: Option<String>,
    ) -> Result<ListObjectsV2Output, SinkError> {
        let request = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
            .set_start_after(after.map(str::to_owned))
            .set_continuation_token(token)
            .max_keys(i32::try_from(LIST_PAGE).unwrap_or(i32::MAX))
            .send();
        self.answer(0, request).await.map_err(|refusal| self.unavailable("list", named(prefix), &refusal))
    }

    /// With another order, the pages behind this one would leave objects out without anybody noticing. (Directory
    /// buckets of S3 have no order.)
    fn check_order(&self, prefix: &str, after: Option<&str>, page: &[Listed]) -> Result<(), SinkError> {
        let keys = || page.iter().map(|listed| listed.key.as_str());
        if after.into_iter().chain(keys()).is_sorted_by(|one, next| one < next) {
            return Ok(());
        }
        Err(SinkError::Unavailable(format!(
            "list {} in {}: the store doesn't list keys in the order of their bytes, as valve needs it",
            named(prefix),
            self.place
        )))
    }

    /// A range that begins behind the object's end is refused (416), even of an empty object; it has no bytes.
    pub(super) async fn range_of(&self, key: &str, range: Range<u64>) -> Result<Option<Bytes>, SinkError> {
        let len = len_of(&range);
        if len == 0 {
            // No header says "nothing at all".
            return Ok(self.look_up(key).await?.map(|_| Bytes::new()));
        }
        let limit = self.patience.for_request(len);
        // Until the body's last byte, not until its first.
        let answered = tokio::time::timeout(limit, self.request_range(key, &range)).await;
        let message = format!("not read within {limit:?}");
        match answered.unwrap_or_else(|_| Err(Refusal { message, ..Refusal::default() })) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(Refusal { status: Some(416), .. }) => Ok(Some(Bytes::new())),
            Err(refusal) if refusal.code.as_deref() == Some("NoSuchKey") => Ok(None),
            Err(refusal) => Err(self.unavailable("read", key, &refusal)),
        }
    }

    async fn request_range(&self, key: &str, range: &Range<u64>) -> Result<Bytes, Refusal> {
        // Both ends are included, and some stores read them as signed numbers.
        let last = range.end.min(i64::MAX.cast_unsigned()).saturating_sub(1);
        let object = self
            .client
            .get_object()
            .bucket(&self.bucket)
            .key(key)
            .range(format!("bytes={}-{last}", range.start))
            .send()
            .await
            .map_err(|error| refusal(&error))?;
        body_of(object, range).await
    }
}

fn listed(page: ListObjectsV2Output) -> Vec<Listed> {
    let objects = page.contents.unwrap_or_default().into_iter();
    objects
        .filter_map(|object| {
            let len = object.size.and_then(|len| u64::try_from(len).ok()).unwrap_or(0);
            object.key.map(|key| Listed { key, len })
        })
        .collect()
}

/// The wanted bytes, no more of them than wanted: a store that knows no ranges answers with the whole object.
async fn body_of(object: GetObjectOutput, range: &Range<u64>) -> Result<Bytes, Refusal> {
    let mut skip = if object.content_range().is_some() { 0 } else { range.start };
    let mut room = len_of(range);
    let mut body = object.body;
    let mut bytes = BytesMut::new();
    while room > 0 {
        let Some(piece) = body.next().await else { break };
        let mut piece =
            piece.map_err(|error| Refusal { message: with_causes(&error), ..Refusal::default() })?;
        let skipped = piece.split_to(bounded(skip, piece.len()));
        skip -= skipped.len() as u64;
        piece.truncate(bounded(room, piece.len()));
        room -= piece.len() as u64;
        bytes.extend_from_slice(&piece);
    }
    Ok(bytes.freeze())
}

fn bounded(wanted: u64, there: usize) -> usize {
    usize::try_from(wanted).unwrap_or(usize::MAX).min(there)
}
