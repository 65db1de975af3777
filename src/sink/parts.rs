//! A stream of pieces cut into the parts of a multipart upload, without copying.
//!
//! Parts are all of the same size for as long as possible (some stores insist on that). An upload has at most
//! 10,000 of them, so their size doubles after every 1,000, and stops growing at [`LARGEST_PART`], which is what
//! the memory budget has to have room for: the biggest object is 1,000 x (8 + 16 + 32) MiB + 7,000 x 64 MiB, 492
//! GiB. S3 takes parts of 5 MiB to 5 GiB and objects of up to 5 TiB ("Amazon S3 multipart upload limits").

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;

use super::{Body, SinkError};

/// The size of the first parts, in bytes.
pub(super) const FIRST_PART: u64 = 8 << 20;
/// The size of the last parts of a huge object, in bytes.
pub(super) const LARGEST_PART: u64 = 64 << 20;
/// The most parts an upload can have.
pub(super) const MAX_PARTS: i32 = 10_000;

/// The size of part `number` (from 1), unless it is the last, in bytes.
pub(super) fn part_size(number: i32) -> u64 {
    let doublings = (number.max(1) - 1) / 1000;
    FIRST_PART.checked_shl(doublings.unsigned_abs()).unwrap_or(LARGEST_PART).min(LARGEST_PART)
}

/// Takes parts from a stream.
pub(super) struct Parts {
    pieces: BoxStream<'static, Result<Bytes, SinkError>>,
    /// What the last part had no room for.
    rest: Bytes,
    number: i32,
}

impl Parts {
    pub(super) fn of(pieces: BoxStream<'static, Result<Bytes, SinkError>>) -> Self {
        // Asked again for a part when the last one ended with the stream.
        Self { pieces: pieces.fuse().boxed(), rest: Bytes::new(), number: 0 }
    }

    /// The next part, of [`part_size`] bytes, or of fewer if it is the last; empty when nothing is left.
    pub(super) async fn next(&mut self) -> Result<Body, SinkError> {
        self.number = self.number.saturating_add(1);
        let size = part_size(self.number);
        let mut room = size;
        let mut part = Vec::new();
        while room > 0 {
            if self.rest.is_empty() {
                match self.pieces.next().await {
                    Some(piece) => self.rest = piece?,
                    None => break,
                }
            }
            let take = usize::try_from(room).unwrap_or(usize::MAX).min(self.rest.len());
            if take > 0 {
                part.push(self.rest.split_to(take));
                room -= take as u64;
            }
        }
        Ok(Body::new(part))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use proptest::prelude::*;

    use super::*;

    fn cut(pieces: Vec<Bytes>) -> Vec<Body> {
        // Panics when it is asked for more after its end.
        let stream =
            stream::unfold(pieces.into_iter(), |mut pieces| async { Some((Ok(pieces.next()?), pieces)) });
        let stream = stream.boxed();
        let mut parts = Parts::of(stream);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let mut all = Vec::new();
            loop {
                let part = parts.next().await.unwrap();
                if part.is_empty() {
                    return all;
                }
                all.push(part);
            }
        })
    }

    #[test]
    fn given_all_parts_an_upload_may_have_then_they_hold_492_gib_and_none_is_too_large() {
        let sizes: Vec<u64> = (1..=MAX_PARTS).map(part_size).collect();
        assert_eq!(sizes.iter().sum::<u64>() >> 30, 492);
        assert!(sizes.iter().all(|size| (FIRST_PART..=LARGEST_PART).contains(size)));
        assert_eq!(part_size(1000), FIRST_PART);
        assert_eq!(part_size(1001), 2 * FIRST_PART);
        assert_eq!(part_size(i32::MAX), LARGEST_PART);
    }

    #[test]
    fn given_an_error_in_the_stream_then_it_is_the_parts_error() {
        let broken = stream::iter([Ok(Bytes::from_static(b"x")), Err(SinkError::Unavailable("gone".into()))]);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let error = runtime.block_on(Parts::of(broken.boxed()).next()).unwrap_err();
        assert_eq!(error.to_string(), "gone");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(8))]
        #[test]
        fn given_any_pieces_then_all_parts_but_the_last_are_full_and_nothing_is_lost(
            lengths in prop::collection::vec(0usize..5 << 20, 0..8),
        ) {
            let pieces: Vec<Bytes> = lengths
                .iter()
                .enumerate()
                .map(|(index, len)| Bytes::from(vec![u8::try_from(index).unwrap(); *len]))
                .collect();
            let parts = cut(pieces.clone());
            for part in parts.iter().rev().skip(1) {
                prop_assert_eq!(part.len(), FIRST_PART);
            }
            let joined: Vec<u8> =
                parts.iter().flat_map(|part| part.pieces().iter().flatten().copied()).collect();
            prop_assert!(joined == pieces.concat());
        }
    }
}
