//! Pseudo-random numbers from a seed, for the faulty wire and the tests. Not for secrets.

/// A small generator (SplitMix64): the same seed gives the same numbers.
#[derive(Clone, Copy, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Makes a generator that starts at `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Returns the next 64 bits.
    pub const fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Returns a number below `bound`, or 0 if that is 0.
    pub const fn below(&mut self, bound: u64) -> u64 {
        match self.next().checked_rem(bound) {
            Some(number) => number,
            None => 0,
        }
    }

    /// Returns true `ppm` times in a million.
    pub const fn chance(&mut self, ppm: u32) -> bool {
        let [a, b, c, d] = ppm.to_le_bytes();
        self.below(1_000_000) < u64::from_le_bytes([a, b, c, d, 0, 0, 0, 0])
    }
}
