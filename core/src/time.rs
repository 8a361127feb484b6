//! Points in time, in one unit.

pub use core::time::Duration;

/// A point on the platform's monotonic clock, in microseconds since an arbitrary start.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Instant {
    micros: u64,
}

impl Instant {
    /// The clock's arbitrary start. As a deadline: already past.
    pub const ZERO: Self = Self { micros: 0 };

    /// Returns the instant `micros` microseconds after the start.
    #[inline]
    #[must_use]
    pub const fn from_micros(micros: u64) -> Self {
        Self { micros }
    }

    /// Returns the microseconds since the start.
    #[inline]
    #[must_use]
    pub const fn as_micros(self) -> u64 {
        self.micros
    }

    /// Returns the instant `by` later, or the last representable one.
    ///
    /// `by` counts in whole microseconds, rounded up, so that a wait is never shorter than asked.
    #[inline]
    #[must_use]
    pub const fn saturating_add(self, by: Duration) -> Self {
        Self {
            micros: self.micros.saturating_add(micros_of(by)),
        }
    }

    /// Returns the time from `earlier` to `self`, or zero.
    #[inline]
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.micros.saturating_sub(earlier.micros))
    }
}

/// Whole microseconds of a duration, rounded up.
#[inline]
const fn micros_of(duration: Duration) -> u64 {
    let micros = duration.subsec_nanos().div_ceil(1_000);
    // `u64::from` is not const yet; the widening is written out instead.
    let [a, b, c, d] = micros.to_le_bytes();
    let below = u64::from_le_bytes([a, b, c, d, 0, 0, 0, 0]);
    duration
        .as_secs()
        .saturating_mul(1_000_000)
        .saturating_add(below)
}
