//! Numbers that look random and are a function of where they stand: the same on every machine and in every version.

/// A sequence of numbers that two numbers decide (SplitMix64).
#[derive(Clone, Debug)]
pub(super) struct Draws(u64);

impl Draws {
    /// The sequence number `index` of the seed `seed`.
    pub(super) fn new(seed: u64, index: u64) -> Self {
        let mut mixed = Self(seed);
        let seed = mixed.next();
        Self(seed ^ index.wrapping_mul(0xd134_2543_de82_ef95))
    }

    /// The next number.
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `end` - 1, or 0 when `end` is 0. The bias of the remainder doesn't matter here.
    pub(super) fn below(&mut self, end: u32) -> u32 {
        let drawn = self.next() >> 33;
        u32::try_from(drawn % u64::from(end.max(1))).unwrap_or(0)
    }

    /// One of `choices`.
    pub(super) fn of<T: Copy, const N: usize>(&mut self, choices: [T; N]) -> T {
        const { assert!(N > 0) };
        choices[self.below(N as u32) as usize]
    }

    /// Whether something of which there are `share` in a hundred happens.
    pub(super) fn percent(&mut self, share: u32) -> bool {
        self.below(100) < share
    }
}
