//! Pacing: segments with text leave no faster than the congestion window in a round trip, and not
//! in bursts (RFC 9002, section 7.7).
//!
//! A connection that is paced ([`Settings::pacing`](super::Settings), feature `pacing`) has one
//! time beside its windows: when what it has sent would have left at its rate. Until then nothing
//! with text leaves, and who waits has that time among its deadlines, which the shell keeps as it
//! keeps the others: nothing is polled. What was not sent in time may be made up for within
//! [`SPAN`], so that a shell whose timers go by the millisecond wakes a connection no more often
//! than that, and keeps its rate.
//!
//! What answers a timeout is not held back: the first segment of a retransmission timeout, tail
//! loss probes and window probes. Nor is what has no text. All of it that has text counts.
//!
//! Without the feature nothing here takes a byte or an instruction. With it, a connection that is
//! not paced costs the test of a mark for each segment, and each connection 4 bytes.

use core::num::NonZeroU32;

use super::connection::{Connection, Marks};
use super::timers::micros32;

/// What may leave at once: what the rate allows for so long, in microseconds, and two segments at
/// least. A tick of the stack's timing wheel; Linux, too, lets a millisecond's worth go at once
/// (`tcp_tso_autosize`).
const SPAN: u64 = 1_024;
/// The rate in fifths of the congestion window in a round trip, in slow start and after it, as on
/// Linux (`tcp_pacing_ss_ratio`, `tcp_pacing_ca_ratio`): faster than the acknowledgements come, so
/// that the window is made use of.
const SLOW_START_FIFTHS: u64 = 10;
const AVOIDANCE_FIFTHS: u64 = 6;

/// When what was sent would have left at the rate of a connection.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The low bits of the clock in microseconds, the last of them set; `None` if that is long ago.
    #[cfg(feature = "pacing")]
    due: Option<NonZeroU32>,
}

/// What the feature adds to each connection.
pub(crate) const PACE_LEN: usize = size_of::<Pace>();
#[cfg(feature = "pacing")]
const _: () = assert!(PACE_LEN == 4);

impl Pace {
    /// Long ago.
    pub(super) const NONE: Self = Self {
        #[cfg(feature = "pacing")]
        due: None,
    };

    /// Makes the time whose low bits are `low_bits`, or one microsecond before it.
    #[cfg_attr(
        not(feature = "pacing"),
        expect(unused_variables, reason = "no time is kept")
    )]
    pub(super) const fn at(low_bits: u32) -> Self {
        Self {
            #[cfg(feature = "pacing")]
            due: NonZeroU32::new(low_bits.wrapping_sub(1) | 1),
        }
    }

    /// Returns the low bits of the clock; `None` if that was long ago.
    #[inline]
    pub(super) const fn due(self) -> Option<NonZeroU32> {
        #[cfg(feature = "pacing")]
        return self.due;
        #[cfg(not(feature = "pacing"))]
        None
    }
}

impl Connection {
    /// Returns true if the connection is paced.
    #[inline]
    const fn is_paced(&self) -> bool {
        cfg!(feature = "pacing") && self.marks.has(Marks::PACED)
    }

    /// Returns true if a segment has to wait for its time.
    #[inline]
    pub(super) const fn waits_for_pace(&self) -> bool {
        cfg!(feature = "pacing") && self.marks.has(Marks::PACE_WAITS)
    }

    /// Returns true if a segment with text that could leave otherwise has to wait for its time,
    /// which then is a deadline.
    #[inline]
    pub(super) fn is_held_back(&mut self, now: u64) -> bool {
        if !self.is_paced() || self.timers.pace_due().is_none_or(|due| due <= now) {
            return false;
        }
        self.marks.set(Marks::PACE_WAITS);
        true
    }

    /// Counts a segment with `octets` of text, which leaves now. `first`: nothing else is on its
    /// way.
    #[inline]
    pub(super) fn count_paced(&mut self, now: u64, octets: u32, first: bool) {
        if self.is_paced() {
            #[cfg(feature = "bbr")]
            if self.algorithm.is_model() {
                self.congestion.on_sent(micros32(now), first);
            }
            #[cfg(not(feature = "bbr"))]
            let _ = first;
            self.put_off(now, octets);
        }
    }

    /// Puts off what comes next for as long as `octets` take at the rate.
    fn put_off(&mut self, now: u64, octets: u32) {
        let earliest = now.saturating_sub(self.pace_span());
        let due = self.timers.pace_due().unwrap_or(0).max(earliest);
        let due = due.saturating_add(self.pace_of(octets));
        self.timers.pace = Pace::at(micros32(due));
        self.marks.clear(Marks::PACE_WAITS);
    }

    /// Returns for how long what was not sent in time may be made up for: with two segments at
    /// least.
    fn pace_span(&self) -> u64 {
        self.pace_of(self.segment_len()).max(SPAN)
    }

    /// Returns the microseconds that `octets` take at the rate; 0 before the first round trip is
    /// known.
    fn pace_of(&self, octets: u32) -> u64 {
        let (micros, per) = self.pace();
        u64::from(octets)
            .saturating_mul(micros)
            .checked_div(per)
            .unwrap_or(0)
    }

    /// Returns the rate: how many microseconds so many octets take.
    fn pace(&self) -> (u64, u64) {
        let congestion = &self.congestion;
        #[cfg(feature = "bbr")]
        if self.algorithm.is_model() && congestion.rate() > 0 {
            return (1_000_000, u64::from(congestion.rate()));
        }
        // Near the threshold slow start has its end before it (as on Linux).
        let fifths = if congestion.window < congestion.threshold >> 1 {
            SLOW_START_FIFTHS
        } else {
            AVOIDANCE_FIFTHS
        };
        // A window that is small in a repair does not tell how fast the path is.
        let window = u64::from(congestion.window.max(self.flight()));
        let round_trip = u64::from(self.rtt.smoothed);
        (round_trip.saturating_mul(5), window.saturating_mul(fifths))
    }

    /// Cuts `octets`, which would leave in one segment that the device cuts to size, to what may
    /// leave at once.
    #[inline]
    pub(super) fn cut_to_pace(&self, octets: u32, mss: u32) -> u32 {
        let two = mss.saturating_mul(2);
        if !self.is_paced() || octets <= two {
            return octets;
        }
        let (micros, per) = self.pace();
        let most = per.saturating_mul(SPAN).checked_div(micros);
        let most = most.and_then(|most| u32::try_from(most).ok());
        most.map_or(octets, |most| octets.min(most.max(two)))
    }

    /// Lets what comes next leave at once.
    #[inline]
    pub(super) const fn release_pace(&mut self) {
        self.timers.pace = Pace::NONE;
    }

    /// Notes that the clock is `now`: who waits for its time has it as a deadline no longer.
    #[inline]
    pub(super) fn on_pace_timer(&mut self, now: u64) {
        if self.waits_for_pace() && self.timers.pace_due().is_none_or(|due| due <= now) {
            self.marks.clear(Marks::PACE_WAITS);
        }
    }
}

#[cfg(feature = "bbr")]
impl Connection {
    /// Notes before the owner sends that less was sent than could have been, if so.
    pub(super) fn note_limited(&mut self) {
        let pipe = self.pipe();
        let limited = self.unsent() < self.segment_len() && self.board.lost == 0;
        if limited && pipe < self.congestion.window && self.algorithm.is_model() {
            self.congestion.on_limited(pipe);
        }
    }
}

#[cfg(feature = "search")]
impl Connection {
    /// Hashes how long what comes next is put off, or how much of it may be made up for.
    pub(super) fn fingerprint_pace(&self, now: u64, into: &mut impl core::hash::Hasher) {
        use core::hash::Hash;
        let earliest = now.saturating_sub(self.pace_span());
        let due = self.timers.pace_due().map(|due| due.max(earliest));
        let ahead = due.unwrap_or(earliest).wrapping_sub(now);
        self.is_paced().then_some(ahead).hash(into);
    }
}
