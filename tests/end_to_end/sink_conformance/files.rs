//! What is stored: container headers with a digest, and bytes behind them.

use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use valve::sink::{Body, DIGEST_IN_HEADER, Digest, SinkError, Stored};

use super::stores::Store;

pub(super) const MIB: usize = 1 << 20;
pub(super) const OURS: Digest = Digest(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
pub(super) const THEIRS: Digest = Digest(0xfedc);

/// A container header that states `digest`, and `len` bytes behind it, in pieces of half a MiB. The content
/// depends on the digest.
pub(super) fn file(digest: Digest, len: usize) -> Body {
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

pub(super) fn bytes(body: &Body) -> Vec<u8> {
    body.pieces().concat()
}

pub(super) fn streamed(body: &Body) -> BoxStream<'static, Result<Bytes, SinkError>> {
    stream::iter(body.pieces().to_vec().into_iter().map(Ok)).boxed()
}

#[track_caller]
pub(super) fn assert_conflict(
    outcome: Result<Stored, SinkError>,
    expected_key: &str,
    expected_theirs: Option<Digest>,
) {
    match outcome {
        Err(SinkError::Conflict { key, ours, theirs }) => {
            assert_eq!((key.as_str(), ours, theirs), (expected_key, OURS, expected_theirs));
        }
        other => panic!("expected Conflict, got {other:?}"),
    }
}

/// Puts until the store is available: under contention S3 may answer "try again" (409).
pub(super) async fn put_patiently(
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
