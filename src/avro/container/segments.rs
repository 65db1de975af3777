//! Bytes that are only ever appended to, in pieces that never move.
//!
//! A growing vector would copy megabytes each time it doubles, and hold both copies meanwhile.

use bytes::Bytes;

/// A segment has room for what is to be written, or for a quarter of what is there, up to [`LARGEST`], rounded up: little of
/// the memory is without use, which counts with thousands of files.
const LARGEST: usize = 256 * 1024;
const SMALLEST: usize = 64;

/// A sequence of bytes in segments. Only the last one is written to.
#[derive(Debug, Default)]
pub(super) struct Segments {
    segments: Vec<Vec<u8>>,
    len: u64,
    /// The capacities of all segments together.
    held: usize,
    /// What the next segment is to have room for.
    expected: usize,
}

impl Segments {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The memory of the segments and of the list of them, by capacity, in bytes.
    pub(super) fn capacity(&self) -> usize {
        self.held + self.segments.capacity() * size_of::<Vec<u8>>()
    }

    /// Says that `bytes` are about to be written, in one or several calls.
    pub(super) fn expect(&mut self, bytes: usize) {
        let free = self.segments.last().map_or(0, |last| last.capacity() - last.len());
        if let Some(more @ 1..) = bytes.checked_sub(free) {
            self.expected = more;
        }
    }

    /// Appends `bytes`, over as many segments as that takes.
    pub(super) fn write(&mut self, mut bytes: &[u8]) {
        self.len += bytes.len() as u64;
        while !bytes.is_empty() {
            let segment = self.segment_with_room();
            let (fits, rest) = bytes.split_at(bytes.len().min(segment.capacity() - segment.len()));
            segment.extend_from_slice(fits);
            bytes = rest;
        }
    }

    /// Appends `bytes` without copying them.
    pub(super) fn adopt(&mut self, bytes: Vec<u8>) {
        self.len += bytes.len() as u64;
        self.held += bytes.capacity();
        self.segments.push(bytes);
        // What has room behind its bytes isn't written to any more, or shall have none.
        for segment in self.segments.iter_mut().rev().take(2) {
            self.held -= segment.capacity();
            segment.shrink_to_fit();
            self.held += segment.capacity();
        }
    }

    /// Writes `bytes` over those that begin at each of `positions`, which ascend, don't overlap, and have as many
    /// bytes behind them.
    pub(super) fn overwrite(&mut self, positions: &[u64], bytes: &[u8]) {
        let mut positions = positions.iter().copied().peekable();
        let mut start = 0;
        for segment in &mut self.segments {
            let end = start + segment.len() as u64;
            while let Some(&at) = positions.peek()
                && at < end
            {
                // What of `bytes` lies in this segment: the rest of what began in one before it, or a beginning.
                let (done, into) = (start.saturating_sub(at) as usize, at.saturating_sub(start) as usize);
                let fits = (bytes.len() - done).min(segment.len() - into);
                segment[into..into + fits].copy_from_slice(&bytes[done..done + fits]);
                if done + fits < bytes.len() {
                    break;
                }
                positions.next();
            }
            start = end;
        }
    }

    /// The segments, without copying them; spare capacity of the last one stays with it.
    pub(super) fn into_pieces(self) -> impl Iterator<Item = Bytes> {
        self.segments.into_iter().map(Bytes::from)
    }

    fn segment_with_room(&mut self) -> &mut Vec<u8> {
        if self.segments.last().is_none_or(|last| last.len() == last.capacity()) {
            let room = std::mem::take(&mut self.expected).max(self.held / 4).clamp(SMALLEST, LARGEST);
            let segment = Vec::with_capacity(allocated(room));
            self.held += segment.capacity();
            self.segments.push(segment);
        }
        let last = self.segments.len() - 1;
        &mut self.segments[last]
    }
}

/// What an allocator takes for `len` bytes, which are at least [`SMALLEST`]: its sizes are four to a doubling. Asked for all of
/// it, what is counted is what is taken.
pub(super) fn allocated(len: usize) -> usize {
    let step = 1 << (len.ilog2() - 2);
    len.next_multiple_of(step)
}

#[cfg(test)]
impl Segments {
    /// What [`Self::capacity`] should be, counted anew.
    pub(super) fn recount(&self) -> usize {
        let held: usize = self.segments.iter().map(Vec::capacity).sum();
        held + self.segments.capacity() * size_of::<Vec<u8>>()
    }

    /// Where the segments lie.
    pub(super) fn addresses(&self) -> Vec<*const u8> {
        self.segments.iter().map(Vec::as_ptr).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(segments: Segments) -> Vec<u8> {
        segments.into_pieces().collect::<Vec<_>>().concat()
    }

    #[test]
    fn given_a_few_bytes_then_little_is_held() {
        let mut segments = Segments::default();
        assert_eq!(segments.capacity(), 0);
        segments.write(&[1, 2, 3]);
        assert!(segments.capacity() < 5000, "{}", segments.capacity());
    }

    #[test]
    fn given_many_bytes_then_no_segment_is_larger_than_the_largest() {
        let mut segments = Segments::default();
        segments.write(&vec![7; 5_000_000]);
        assert!(segments.segments.iter().all(|segment| segment.capacity() <= LARGEST));
        assert!(segments.capacity() < 5_000_000 + LARGEST + 10_000);
        assert_eq!(segments.into_pieces().map(|piece| piece.len()).sum::<usize>(), 5_000_000);
    }

    proptest! {
        #[test]
        fn given_any_writes_and_overwrites_then_the_bytes_are_those_of_a_plain_vector(
            writes in prop::collection::vec((0..9000_usize, any::<u8>(), any::<bool>()), 0..30),
            gap in 16..700_usize,
        ) {
            let mut segments = Segments::default();
            let mut plain = Vec::new();
            for (len, byte, adopts) in writes {
                if adopts {
                    segments.adopt(vec![byte; len]);
                } else {
                    segments.write(&vec![byte; len]);
                }
                plain.extend(vec![byte; len]);
                prop_assert_eq!(segments.len(), plain.len() as u64);
                prop_assert_eq!(segments.capacity(), segments.recount());
            }
            let marker: Vec<u8> = (100..116).collect();
            let positions: Vec<u64> =
                (0..plain.len() / gap).map(|nth| (nth * gap) as u64).filter(|at| at + 16 <= plain.len() as u64).collect();
            segments.overwrite(&positions, &marker);
            for at in positions {
                plain[at as usize..at as usize + 16].copy_from_slice(&marker);
            }
            prop_assert_eq!(whole(segments), plain);
        }
    }
}
