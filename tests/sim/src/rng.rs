//! Random numbers that a seed repeats on every machine.

/// A generator of 64-bit numbers (`SplitMix64`; Steele, Lea and Flood, 2014), before which bytes
/// may come that decide the first draws.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u64,
    bytes: std::vec::IntoIter<u8>,
}

impl Rng {
    /// Makes the generator of `seed`.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self::with_bytes(seed, Vec::new())
    }

    /// Makes the generator of `seed` whose first draws `bytes` decide, for fuzzers.
    #[must_use]
    pub fn with_bytes(seed: u64, bytes: Vec<u8>) -> Self {
        Self {
            state: seed,
            bytes: bytes.into_iter(),
        }
    }

    /// Returns the next number.
    #[expect(
        clippy::should_implement_trait,
        reason = "numbers without end are no iterator"
    )]
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.state)
    }

    /// Returns a number below `bound`; 0 when `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        if bound <= 1 {
            return 0;
        }
        if let Some(low) = self.bytes.next() {
            // As few bytes as decide, so that a mutation changes one draw.
            let value = match bound {
                0..=256 => u64::from(low),
                _ => u64::from(low) << 8 | u64::from(self.bytes.next().unwrap_or(0)),
            };
            return if bound <= 65_536 {
                (value * bound) >> (if bound <= 256 { 8 } else { 16 })
            } else {
                mix(value) % bound
            };
        }
        // Multiply-shift; the bias is below 2^-32 for the bounds used here.
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// Returns a number from `low` to `high`, both included.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// Returns an index below `len`.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(len as u64) as usize
    }

    /// Returns true in `rate` of 10,000 cases. A rate of 0 draws nothing.
    pub fn chance(&mut self, rate: u16) -> bool {
        rate > 0 && self.below(10_000) < u64::from(rate)
    }

    /// Returns one of `choices`, which is not empty.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }
}

/// Scrambles 64 bits, each of which depends on all.
#[must_use]
pub const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// Returns the seed of a random test: `SEED` from the environment, or else `fallback`. Prints it,
/// so that a failure can be repeated.
#[must_use]
pub fn seed_or(fallback: u64) -> u64 {
    let seed = match std::env::var("SEED") {
        Ok(text) => text.parse().expect("SEED is a number"),
        Err(_) => fallback,
    };
    println!("SEED={seed}");
    seed
}

/// Returns the seeds of a random test: only `SEED` if the environment has it, or else the first
/// `count` numbers.
#[must_use]
pub fn seeds(count: u64) -> Vec<u64> {
    match std::env::var("SEED") {
        Ok(text) => vec![text.parse().expect("SEED is a number")],
        Err(_) => (0..count).collect(),
    }
}
