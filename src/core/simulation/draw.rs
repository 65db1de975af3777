//! Where a schedule's chances come from.

/// SplitMix64. Its few lines are here because a seed that failed once must make the same schedule for ever, which a
/// library's generator doesn't promise across versions; it is also what an unoptimised build draws fastest from.
#[derive(Debug)]
pub(super) struct Draw(u64);

impl Draw {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Below `end`, which isn't 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.bits() >> 16) as usize % end
    }

    /// From `least` to `most`.
    pub(super) fn between(&mut self, least: u64, most: u64) -> u64 {
        least + (self.bits() >> 16) % (most - least + 1)
    }

    /// True once in so many times; never for 0.
    pub(super) fn one_in(&mut self, times: u64) -> bool {
        times > 0 && (self.bits() >> 16).is_multiple_of(times)
    }

    /// An index, as often as its weight says.
    pub(super) fn weighted(&mut self, weights: &[u32]) -> usize {
        let total: u32 = weights.iter().sum();
        let mut left = self.below(total.max(1) as usize) as u32;
        for (index, weight) in weights.iter().enumerate() {
            if left < *weight {
                return index;
            }
            left -= weight;
        }
        0
    }
}
