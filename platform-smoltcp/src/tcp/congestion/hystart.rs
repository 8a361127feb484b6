//! Leaving the first slow start before it overruns a queue (HyStart++, RFC 9406).
//!
//! A queue that fills makes round trips longer. When the least one of a round has become longer by
//! an eighth, the window goes on growing at a quarter of its pace, and after five rounds of that
//! slow start is over. If round trips become short again meanwhile, it was no queue.
//!
//! One thing is not as the RFC has it: the growth for one acknowledgement has no limit beside the
//! octets that it acknowledges (section 4.3 has 8 segments without pacing), since receivers that
//! put segments together acknowledge up to 44 at once.

use crate::tcp::seq::Seq;

/// `N_RTT_SAMPLE`: round trips that a round must have shown before it counts.
const SAMPLES: u8 = 8;
/// `CSS_ROUNDS`: rounds of conservative slow start.
const ROUNDS: u8 = 5;
/// `CSS_GROWTH_DIVISOR`: how much slower the window grows in them.
const DIVISOR: u32 = 4;
/// Round trips are kept in units of 64 µs, so that 4 s fit in 16 bits.
const UNIT: u32 = 6;
/// `MIN_RTT_THRESH` and `MAX_RTT_THRESH`, 4 ms and 16 ms.
const LONGER_MIN: u16 = 4_000 >> UNIT;
const LONGER_MAX: u16 = 16_000 >> UNIT;
/// No round trip has been seen.
const UNKNOWN: u16 = u16::MAX;
/// In [`HyStart::samples`]: no round has begun.
const NOT_BEGUN: u8 = u8::MAX;

/// What is known of the round trips of the first slow start.
#[derive(Clone, Copy, Debug)]
pub(super) struct HyStart {
    /// windowEnd: the round ends when this is acknowledged.
    end: Seq,
    /// lastRoundMinRTT.
    last: u16,
    /// currentRoundMinRTT.
    current: u16,
    /// cssBaselineMinRtt.
    baseline: u16,
    /// rttSampleCount, or [`NOT_BEGUN`].
    samples: u8,
    /// Rounds of conservative slow start, with the one in progress; 0 in the usual slow start.
    conservative: u8,
}

impl HyStart {
    /// Nothing is known yet.
    pub(super) const NEW: Self = Self {
        end: Seq::new(0),
        last: UNKNOWN,
        current: UNKNOWN,
        baseline: UNKNOWN,
        samples: NOT_BEGUN,
        conservative: 0,
    };

    /// Notes an acknowledgement up to `una`, with `sample` microseconds of round trip if it tells
    /// them and everything up to `nxt` sent. Returns true if slow start is over.
    pub(super) fn on_ack(&mut self, sample: Option<u32>, una: Seq, nxt: Seq) -> bool {
        if self.samples == NOT_BEGUN {
            self.begin_round(nxt);
            return false;
        }
        if let Some(sample) = sample {
            let sample = u16::try_from(sample >> UNIT).unwrap_or(UNKNOWN);
            self.current = self.current.min(sample);
            self.samples = self.samples.saturating_add(1).min(SAMPLES);
        }
        self.compare();
        if una.is_before(self.end) {
            return false;
        }
        if self.conservative >= ROUNDS {
            return true;
        }
        if self.conservative > 0 {
            self.conservative = self.conservative.saturating_add(1);
        }
        self.begin_round(nxt);
        false
    }

    const fn begin_round(&mut self, nxt: Seq) {
        self.end = nxt;
        self.last = self.current;
        self.current = UNKNOWN;
        self.samples = 0;
    }

    /// Compares this round's least round trip with the last one's, or with that at which the
    /// conservative slow start began.
    fn compare(&mut self) {
        if self.samples < SAMPLES || self.current == UNKNOWN {
            return;
        }
        if self.conservative > 0 {
            if self.current < self.baseline {
                self.baseline = UNKNOWN;
                self.conservative = 0;
            }
        } else if self.last != UNKNOWN {
            let longer = (self.last >> 3).clamp(LONGER_MIN, LONGER_MAX);
            if self.current >= self.last.saturating_add(longer) {
                self.baseline = self.current;
                self.conservative = 1;
            }
        }
    }

    /// Returns by how much the window grows for `acked` octets.
    pub(super) const fn growth(&self, acked: u32) -> u32 {
        if self.conservative > 0 {
            acked / DIVISOR
        } else {
            acked
        }
    }
}

#[cfg(feature = "search")]
impl HyStart {
    /// Hashes all of it, counted from our initial sequence number.
    pub(super) fn fingerprint(&self, iss: Seq, into: &mut impl core::hash::Hasher) {
        use core::hash::Hash;
        let Self {
            end,
            last,
            current,
            baseline,
            samples,
            conservative,
        } = self;
        (*samples != NOT_BEGUN).then(|| end.since(iss)).hash(into);
        (last, current, baseline, samples, conservative).hash(into);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A slow start of ten segments a round, one acknowledgement each.
    struct Rounds {
        state: HyStart,
        una: Seq,
    }

    impl Rounds {
        fn new() -> Self {
            let mut state = HyStart::NEW;
            let una = Seq::new(u32::MAX - 5_000);
            assert!(!state.on_ack(None, una, una.plus(10_000)));
            Self { state, una }
        }

        /// So many segments that take so many microseconds, sent up to `ahead` octets from here on;
        /// returns whether slow start is over.
        fn segments(&mut self, count: usize, micros: u32, ahead: u32) -> bool {
            let nxt = self.una.plus(ahead);
            (0..count).any(|_| {
                self.una = self.una.plus(1_000);
                self.state.on_ack(Some(micros), self.una, nxt)
            })
        }

        fn round(&mut self, micros: u32) -> bool {
            self.segments(10, micros, 20_000)
        }
    }

    #[test]
    fn longer_round_trips_slow_it_down_and_end_it() {
        let mut rounds = Rounds::new();
        assert!(!rounds.round(40_000) && !rounds.round(44_000));
        assert_eq!(rounds.state.growth(1_000), 1_000, "not yet an eighth");
        assert!(!rounds.round(50_000));
        assert_eq!(rounds.state.growth(1_000), 250);
        for _ in 0..3 {
            assert!(!rounds.round(55_000));
        }
        assert!(rounds.round(55_000), "after five rounds");
    }

    #[test]
    fn shorter_round_trips_take_that_back() {
        let mut rounds = Rounds::new();
        rounds.round(40_000);
        rounds.round(50_000);
        assert_eq!(rounds.state.growth(1_000), 250);
        rounds.round(42_000);
        assert_eq!(rounds.state.growth(1_000), 1_000);
        for _ in 0..10 {
            assert!(!rounds.round(42_000));
        }
    }

    #[test]
    fn few_samples_and_short_times_mean_nothing() {
        let mut rounds = Rounds::new();
        rounds.round(1_000);
        rounds.round(4_500);
        assert_eq!(rounds.state.growth(8), 8, "less than 4 ms");
        rounds.segments(7, 90_000, 10_000);
        assert_eq!(rounds.state.growth(8), 8, "seven are too few");
    }
}
