//! The round trip time and how long to wait for an acknowledgement (RFC 6298).

use crate::number::low16;

/// RTTVAR before the first measurement: with SRTT 0 the timeout is a second (RFC 6298, section
/// 2.1). In microseconds.
const VARIANCE_FIRST: u32 = 250_000;
/// RTTVAR after a handshake in which the SYN was sent again: the timeout is three seconds (RFC
/// 6298, section 5.7).
const VARIANCE_AFTER_SYN_LOSS: u32 = 750_000;
/// The least that the variance adds to the round trip. RFC 6298, section 2.4, asks for a least
/// timeout of a second; 200 ms above the round trip is what all large systems use, and what peers'
/// delayed acknowledgements fit in.
const VARIANCE_MIN: u32 = 200_000;
/// The longest timeout (RFC 6298, section 2.5): a minute.
pub(in crate::tcp) const RTO_MAX: u32 = 60_000_000;
/// How long the least round trip counts before a larger one replaces it, in seconds.
const LEAST_LIFE: u16 = 300;

/// Round trip times of one connection, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Rtt {
    /// SRTT; 0 before the first measurement.
    pub(in crate::tcp) smoothed: u32,
    /// RTTVAR.
    variance: u32,
    /// The least round trip of the last minutes; 0 before the first measurement.
    pub(in crate::tcp) least: u32,
    /// When it was measured, in seconds, wrapping.
    least_at: u16,
    /// How often the timeout has been doubled.
    pub(in crate::tcp) backoff: u8,
}

impl Rtt {
    /// Nothing is measured yet.
    pub(in crate::tcp) const NEW: Self = Self {
        smoothed: 0,
        variance: VARIANCE_FIRST,
        least: 0,
        least_at: 0,
        backoff: 0,
    };

    /// Notes the round trip of a segment that was sent once (Karn's algorithm is the caller's).
    pub(in crate::tcp) fn measure(&mut self, sample: u32, now: u64) {
        let sample = sample.max(1);
        let second = low16(now.checked_div(1_000_000).unwrap_or(0));
        if self.least == 0
            || sample <= self.least
            || second.wrapping_sub(self.least_at) > LEAST_LIFE
        {
            (self.least, self.least_at) = (sample, second);
        }
        if self.smoothed == 0 {
            self.smoothed = sample;
            self.variance = sample >> 1;
        } else {
            let difference = self.smoothed.abs_diff(sample);
            let quarter = self.variance >> 2;
            self.variance = self
                .variance
                .saturating_sub(quarter)
                .saturating_add(difference >> 2);
            self.smoothed = self
                .smoothed
                .saturating_sub(self.smoothed >> 3)
                .saturating_add(sample >> 3)
                .max(1);
        }
        self.backoff = 0;
    }

    /// Sets the timeout of a connection whose SYN was lost.
    pub(in crate::tcp) const fn restart_after_syn_loss(&mut self) {
        self.variance = VARIANCE_AFTER_SYN_LOSS;
        self.backoff = 0;
    }

    /// Returns the timeout: RTO, doubled as often as it has run out since something new was
    /// acknowledged.
    pub(in crate::tcp) fn timeout(&self) -> u32 {
        let factor = 1_u32
            .checked_shl(u32::from(self.backoff))
            .unwrap_or(u32::MAX);
        let variance = self.variance.saturating_mul(4).max(VARIANCE_MIN);
        let rto = self.smoothed.saturating_add(variance);
        rto.saturating_mul(factor).min(RTO_MAX)
    }

    /// Doubles the timeout (RFC 6298, section 5.5).
    pub(in crate::tcp) const fn back_off(&mut self) {
        if self.backoff < 31 {
            self.backoff = self.backoff.saturating_add(1);
        }
    }
}

#[cfg(feature = "search")]
impl Rtt {
    /// Hashes what is measured, and how old the least is.
    pub(in crate::tcp) fn fingerprint(&self, now: u64, into: &mut impl core::hash::Hasher) {
        use core::hash::Hash;
        let Self {
            smoothed,
            variance,
            least,
            least_at,
            backoff,
        } = self;
        (smoothed, variance, least, backoff).hash(into);
        let second = low16(now.checked_div(1_000_000).unwrap_or(0));
        let age = second.wrapping_sub(*least_at);
        (*least > 0).then_some(age).hash(into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_follow_rfc_6298() {
        let mut rtt = Rtt::NEW;
        assert_eq!(rtt.timeout(), 1_000_000);
        rtt.measure(100_000, 0);
        assert_eq!(rtt.timeout(), 300_000, "SRTT + max(4 * RTTVAR, 200 ms)");
        rtt.measure(500_000, 0);
        assert_eq!(rtt.smoothed, 150_000);
        assert_eq!(rtt.timeout(), 150_000 + 4 * (37_500 + 100_000));
        for _ in 0..40 {
            rtt.back_off();
        }
        assert_eq!(rtt.timeout(), RTO_MAX);
        for _ in 0..200 {
            rtt.measure(1_000, 0);
        }
        assert!((200_000..203_000).contains(&rtt.timeout()), "{rtt:?}");
        assert_eq!(rtt.least, 1_000);
        rtt.measure(9_000, 400_000_000);
        assert_eq!(rtt.least, 9_000, "the least is forgotten after minutes");
    }

    /// The least round trip counts for five minutes from when it was measured last.
    #[test]
    fn the_least_round_trip_counts_for_five_minutes() {
        let mut rtt = Rtt::NEW;
        let second = 1_000_000;
        rtt.measure(0, 70_000 * second);
        assert_eq!((rtt.least, rtt.smoothed), (1, 1), "a microsecond at least");
        rtt.measure(1, 70_100 * second);
        rtt.measure(5, 70_400 * second + second - 1);
        assert_eq!(rtt.least, 1, "measured again, it counts anew");
        rtt.measure(5, 70_401 * second);
        assert_eq!(rtt.least, 5);
        rtt.measure(4, 70_402 * second);
        assert_eq!(rtt.least, 4);
    }

    /// RFC 6298, section 2.3: a quarter of the difference, whichever way it is, and an eighth.
    #[test]
    fn measurements_are_smoothed() {
        let mut rtt = Rtt::NEW;
        rtt.back_off();
        assert_eq!(rtt.timeout(), 2_000_000);
        rtt.measure(800_000, 0);
        assert_eq!(
            (rtt.smoothed, rtt.timeout()),
            (800_000, 800_000 + 4 * 400_000)
        );
        rtt.measure(400_000, 0);
        assert_eq!(rtt.smoothed, 750_000);
        assert_eq!(rtt.timeout(), 750_000 + 4 * (300_000 + 100_000));
        rtt.restart_after_syn_loss();
        assert_eq!(rtt.timeout(), 750_000 + 3_000_000);
        for _ in 0..100 {
            rtt.back_off();
        }
        assert_eq!(rtt.backoff, 31);
    }
}
