//! Ranges of offsets `[first, end)`: how much of one several others take, counted once.

use crate::types::Offset;

/// A range `[first, end)`.
pub(super) type Range = (Offset, Offset);

/// How many offsets of `within` lie in at least one of `ranges`.
pub(super) fn taken(within: Range, ranges: impl IntoIterator<Item = Range>) -> u64 {
    let (first, end) = within;
    let clipped = ranges.into_iter().map(|(from, to)| (from.max(first), to.min(end)));
    let mut clipped: Vec<Range> = clipped.filter(|(from, to)| from < to).collect();
    clipped.sort_unstable();
    let mut behind = first;
    let mut taken = 0;
    for (from, to) in clipped {
        taken += from.max(behind).distance_to(to);
        behind = behind.max(to);
    }
    taken
}

/// `ranges` in order, each once.
pub(super) fn distinct(ranges: impl IntoIterator<Item = Range>) -> Vec<Range> {
    let mut distinct: Vec<Range> = ranges.into_iter().collect();
    distinct.sort_unstable();
    distinct.dedup();
    distinct
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges(of: &[(i64, i64)]) -> Vec<Range> {
        of.iter().map(|(first, end)| (Offset(*first), Offset(*end))).collect()
    }

    #[test]
    fn given_ranges_that_overlap_or_lie_outside_then_each_offset_counts_once() {
        let within = (Offset(10), Offset(20));
        assert_eq!(taken(within, ranges(&[])), 0);
        assert_eq!(taken(within, ranges(&[(0, 10), (20, 30)])), 0);
        assert_eq!(taken(within, ranges(&[(12, 15), (11, 13), (12, 14)])), 4);
        assert_eq!(taken(within, ranges(&[(0, 12), (18, 40), (0, 12)])), 4);
        assert_eq!(taken(within, ranges(&[(i64::MIN, i64::MAX)])), 10);
        assert_eq!(taken(within, ranges(&[(15, 12)])), 0);
    }
}
