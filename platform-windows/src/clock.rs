//! The monotonic clock.
#![expect(unsafe_code, reason = "the counter is read by a call")]

use usockets::Instant;
use windows_sys::Win32::System::Performance::{QueryPerformanceCounter, QueryPerformanceFrequency};

/// The performance counter, which never goes back (`QueryPerformanceCounter`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    /// Counts per second.
    frequency: u64,
}

impl Clock {
    pub(crate) fn new() -> Self {
        let mut frequency = 0;
        // SAFETY: the number outlives the call, which cannot fail since Windows XP.
        unsafe { QueryPerformanceFrequency(&raw mut frequency) };
        let frequency = u64::try_from(frequency).unwrap_or_default().max(1);
        Self { frequency }
    }

    pub(crate) fn now(self) -> Instant {
        let mut count = 0;
        // SAFETY: the number outlives the call, which cannot fail since Windows XP.
        unsafe { QueryPerformanceCounter(&raw mut count) };
        let count = u64::try_from(count).unwrap_or_default();
        Instant::from_micros(micros(count, self.frequency))
    }
}

/// Returns a count in microseconds, rounded down.
fn micros(count: u64, frequency: u64) -> u64 {
    let (Some(secs), Some(left)) = (count.checked_div(frequency), count.checked_rem(frequency))
    else {
        return 0;
    };
    let below = left.saturating_mul(1_000_000).checked_div(frequency);
    secs.saturating_mul(1_000_000)
        .saturating_add(below.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_become_microseconds() {
        assert_eq!(micros(0, 10_000_000), 0);
        assert_eq!(micros(25_000_019, 10_000_000), 2_500_001);
        assert_eq!(
            micros(u64::MAX / 2, 10_000_000) / 1_000_000,
            u64::MAX / 20_000_000
        );
    }

    #[test]
    fn the_clock_goes_on() {
        let clock = Clock::new();
        let first = clock.now();
        assert!(clock.now() >= first);
    }
}
