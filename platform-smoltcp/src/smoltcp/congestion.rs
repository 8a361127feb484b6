//! Congestion control (RFC 5681) in four bytes a connection; smoltcp's own takes forty.
//!
//! It starts at ten segments (RFC 6928). Slow start counts bytes (RFC 3465), in congestion
//! avoidance the window grows by one segment for each window acknowledged. It is halved at a loss,
//! inflated by what has arrived behind it until it is repaired, and collapses to one segment at a
//! timeout. It does not grow while less than half of it is used (RFC 7661), and is again as at the
//! start when there has been nothing to send for a while. [`crate::smoltcp::recovery`] tells it
//! what happens, and keeps senders to it.

use crate::number::{high, place};
use crate::smoltcp::cookie::{SIZES, fitting};

/// Whether connections have it.
pub(crate) const ON: bool = cfg!(feature = "congestion");

/// Bytes that windows are counted in, so that 4 MiB fit in two bytes.
const UNIT: u32 = 64;
/// Threshold of a connection that has lost nothing yet, as good as none.
const BOUNDLESS: u8 = 111;

/// What may be on the way to a peer, and why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Congestion {
    /// The congestion window, in [`UNIT`].
    window: u16,
    /// Where slow start ends, in [`UNIT`]: three bits of mantissa, the rest exponent.
    threshold: u8,
    /// The place of the segment size in [`SIZES`], and flags.
    facts: u8,
}

impl Congestion {
    /// A loss is being repaired.
    const RECOVERING: u8 = 8;
    /// A timeout has been, and more is in the buffer than may be on the way.
    const COLLAPSED: u8 = 16;
    /// Nothing was to be sent when the last deadline came.
    const QUIET: u8 = 32;
    /// A segment has come since the connection was served last.
    const HEARD: u8 = 64;

    /// That of a connection of whose peer nothing is known.
    pub(crate) const NEW: Self = Self {
        window: 84,
        threshold: BOUNDLESS,
        facts: 1,
    };

    /// Starts with a peer that takes segments of `mss` bytes.
    pub(crate) fn start(mss: u16) -> Self {
        let mut new = Self::NEW;
        new.facts = fitting(mss);
        new.window = units(new.initial());
        new
    }

    /// Returns the bytes of a segment, or a little less.
    pub(crate) fn segment(&self) -> u32 {
        let size = SIZES.get(usize::from(self.facts & 7));
        size.map_or(536, |size| u32::from(*size))
    }

    /// Returns the bytes that may be on the way.
    #[inline]
    pub(crate) fn window(&self) -> u32 {
        u32::from(self.window).saturating_mul(UNIT)
    }

    /// Returns how many of `wanted` bytes may be added to `queued` ones, in a buffer for
    /// `capacity`: whole segments, if not all.
    #[inline]
    pub(crate) fn share(&self, queued: usize, wanted: usize, capacity: usize) -> usize {
        let window = place(self.window());
        if !ON || window >= capacity || queued.saturating_add(wanted) <= window {
            return wanted;
        }
        let room = window.saturating_sub(queued);
        let rest = room.checked_rem(place(self.segment())).unwrap_or(0);
        room.saturating_sub(rest)
    }

    /// Whether so much room came back in a buffer that it is worth a report: a quarter, or two
    /// segments where the window is smaller than the buffer.
    #[inline]
    pub(crate) fn has_room(&self, queued: usize, capacity: usize) -> bool {
        let window = place(self.window());
        if ON && window < capacity {
            let room = window.saturating_sub(queued);
            return room >= place(self.segment().saturating_mul(2)).min(window);
        }
        let room = capacity.saturating_sub(queued);
        room > 0 && room.saturating_mul(4) >= capacity
    }

    /// Notes that a segment has come; whether nothing is being repaired.
    #[inline]
    pub(crate) const fn hear(&mut self) -> bool {
        self.facts |= Self::HEARD;
        self.facts & (Self::RECOVERING | Self::COLLAPSED) == 0
    }

    /// Notes that the connection has been served.
    #[inline]
    pub(crate) const fn unhear(&mut self) {
        self.facts &= !Self::HEARD;
    }

    /// Notes that there is something to send.
    #[inline]
    pub(crate) const fn stir(&mut self) {
        self.facts &= !Self::QUIET;
    }

    /// Grows: `acked` bytes up to `number` are acknowledged of the `used` that were on the way.
    #[inline]
    pub(crate) fn grow(&mut self, acked: u32, used: u32, number: u32) {
        if used.saturating_mul(2) >= self.window() {
            self.widen(acked, number);
        }
    }

    #[inline(never)]
    fn widen(&mut self, acked: u32, number: u32) {
        let (window, segment) = (self.window(), self.segment());
        let more = match self.threshold().checked_sub(window) {
            // What is acknowledged after a timeout may have arrived long before it.
            Some(left) if left > 0 && self.is_collapsed() => acked.min(left).min(segment),
            Some(left) if left > 0 => acked.min(left),
            // Once in each window on average: 32 bits cannot tell how far this one is.
            _ if drawn(number, window) < acked => segment,
            _ => 0,
        };
        self.window = units(window.saturating_add(more));
    }

    /// Halves after a loss among `flight` bytes on the way, `beyond` of which have arrived.
    pub(crate) fn lose(&mut self, flight: u32, beyond: u32) {
        self.halve(flight);
        self.window = units(self.threshold().saturating_add(beyond));
        self.facts |= Self::RECOVERING;
    }

    /// Lets one segment leave for one that has arrived behind a loss.
    pub(crate) fn inflate(&mut self) {
        self.window = units(self.window().saturating_add(self.segment()));
    }

    /// Goes on to the next loss of the same window (RFC 6582, section 3.2).
    pub(crate) fn deflate(&mut self, acked: u32) {
        let segment = self.segment();
        let window = self.window().saturating_sub(acked);
        self.window = units(window.saturating_add(segment));
    }

    /// Ends what followed a loss or a timeout.
    pub(crate) fn recover(&mut self) {
        if self.facts & Self::RECOVERING != 0 {
            self.window = units(self.threshold());
        }
        self.facts &= !(Self::RECOVERING | Self::COLLAPSED);
    }

    /// Collapses after a timeout with `flight` bytes on the way. Another one before anything new
    /// could be sent leaves the threshold as it is.
    pub(crate) fn collapse(&mut self, flight: u32) {
        if !self.is_collapsed() {
            self.halve(flight);
        }
        self.window = units(self.segment());
        self.facts &= !Self::RECOVERING;
        self.facts |= Self::COLLAPSED;
    }

    /// Takes note of a deadline without anything to send; whether to come back in a while. If the
    /// last such deadline was `long` ago, the window is as small as at the start (RFC 5681,
    /// section 4.1).
    pub(crate) fn rest(&mut self, long: bool) -> bool {
        let initial = units(self.initial());
        if !ON || self.window <= initial {
            return false;
        }
        let done = long && self.is_quiet();
        if done {
            self.window = initial;
        }
        self.facts |= Self::QUIET;
        if done {
            self.stir();
        }
        !done
    }

    /// Whether nothing was to be sent when the last deadline came, and nothing since.
    pub(crate) const fn is_quiet(&self) -> bool {
        self.facts & Self::QUIET != 0
    }

    pub(crate) const fn is_collapsed(&self) -> bool {
        self.facts & Self::COLLAPSED != 0
    }

    pub(crate) const fn is_recovering(&self) -> bool {
        self.facts & Self::RECOVERING != 0
    }

    pub(crate) const fn has_heard(&self) -> bool {
        self.facts & Self::HEARD != 0
    }

    fn halve(&mut self, flight: u32) {
        self.threshold = pack(units(flight / 2));
    }

    fn threshold(&self) -> u32 {
        let least = self.segment().saturating_mul(2);
        unpack(self.threshold).saturating_mul(UNIT).max(least)
    }

    /// RFC 6928, section 2.
    fn initial(&self) -> u32 {
        let segment = self.segment();
        segment
            .saturating_mul(10)
            .min(segment.saturating_mul(2).max(14_600))
    }
}

/// Returns a number below `bound` that `number` leads to; those of successive numbers are spread
/// evenly (Fibonacci hashing).
fn drawn(number: u32, bound: u32) -> u32 {
    let spread = number.wrapping_mul(0x9e37_79b1);
    high(u64::from(spread).wrapping_mul(bound.into()))
}

/// Returns how many [`UNIT`] hold so many bytes.
fn units(bytes: u32) -> u16 {
    u16::try_from(bytes.div_ceil(UNIT)).unwrap_or(u16::MAX)
}

/// Returns a number in eight bits, rounded down to four significant ones.
fn pack(number: u16) -> u8 {
    let shift = number.checked_ilog2().unwrap_or(0).saturating_sub(3);
    let top = u32::from(number) >> shift;
    u8::try_from(top.saturating_add(shift << 3)).unwrap_or(u8::MAX)
}

/// Returns a number from its eight bits.
fn unpack(packed: u8) -> u32 {
    let shift = u32::from(packed >> 3).saturating_sub(1);
    let top = u32::from(packed).saturating_sub(shift << 3);
    top.checked_shl(shift).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn starts_at_ten_segments() {
        for (mss, segment, window) in [
            (1_460, 1_460, 14_600),
            (1_500, 1_460, 14_600),
            (536, 536, 5_360),
            (100, 216, 2_160),
            (9_000, 8_940, 17_880),
        ] {
            let new = Congestion::start(mss);
            assert_eq!(new.segment(), segment);
            assert!((window..window + UNIT).contains(&new.window()), "{mss}");
        }
        assert_eq!(Congestion::start(536), Congestion::NEW);
    }

    #[test]
    fn thresholds_are_kept_to_an_eighth() {
        for number in 0..=u16::MAX {
            let kept = unpack(pack(number));
            let number = u32::from(number);
            assert!(kept <= number && number - kept <= number / 8, "{number}");
        }
        assert_eq!(pack(u16::MAX), BOUNDLESS);
    }

    #[test]
    fn doubles_at_first_and_then_adds_a_segment_a_round() {
        let mut window = Congestion::start(1_460);
        let mut number = 7_u32;
        let mut round = |window: &mut Congestion| {
            let before = window.window();
            for _ in 0..before / 1_460 {
                number = number.wrapping_add(1_460);
                window.grow(1_460, before, number);
            }
            window.window() - before
        };
        let before = window.window();
        assert!(round(&mut window) > before * 9 / 10);
        window.lose(window.window(), 0);
        window.recover();
        let grown: u32 = (0..100).map(|_| round(&mut window)).sum();
        assert!((90..=110).contains(&(grown / 1_460)), "{grown}");
        let before = window;
        window.grow(1_460, window.window() / 3, 1_460);
        assert_eq!(window, before, "what is not used does not grow");
    }

    #[test]
    fn halves_at_a_loss_and_collapses_at_a_timeout() {
        let mut window = Congestion::start(1_000);
        window.lose(64_000, 3_000);
        assert!(window.is_recovering() && window.window() >= 35_000 - 4_000);
        window.inflate();
        window.deflate(10_000);
        window.recover();
        assert!((28_000..=32_000).contains(&window.window()));
        window.collapse(32_000);
        assert!(window.is_collapsed() && !window.is_recovering());
        assert_eq!(
            window.window().div_ceil(window.segment()),
            2,
            "one and a unit"
        );
        let threshold = window.threshold();
        window.collapse(1_000);
        assert_eq!(
            window.threshold(),
            threshold,
            "held while nothing new is sent"
        );
        window.grow(100_000, 100_000, 1);
        assert!(
            window.window() <= 3 * 536,
            "one segment for each acknowledgement"
        );
        window.recover();
        window.lose(1_000, 0);
        assert!(window.window() >= 2 * 536, "two segments at least");
    }

    #[test]
    fn shares_whole_segments_and_reports_room_for_two() {
        let window = Congestion::start(1_460);
        let full = place(window.window());
        assert_eq!(window.share(0, 9_000, 65_535), 9_000);
        assert_eq!(
            window.share(0, 50_000, 14_000),
            50_000,
            "the buffer is the limit"
        );
        if ON {
            assert_eq!(window.share(0, 50_000, 65_535), 14_600);
            assert_eq!(window.share(14_000, 50_000, 65_535), 0);
            assert_eq!(window.share(full * 2, 1, 65_535), 0);
            assert!(!window.has_room(full - 2_919, 65_535));
            assert!(window.has_room(full - 2_920, 65_535));
        }
        assert!(window.has_room(3, 4) && !window.has_room(4, 4) && !window.has_room(31, 40));
    }

    #[test]
    fn is_small_again_after_two_quiet_deadlines() {
        let mut window = Congestion::start(1_460);
        assert!(!window.rest(true), "nothing to forget");
        window.grow(20_000, 14_600, 20_000);
        let grown = window;
        if ON {
            assert!(window.rest(true));
            window.stir();
            assert_eq!(window, grown);
            assert!(window.rest(true) && window.rest(false));
            assert_eq!(window.window(), grown.window());
            assert!(!window.rest(true));
            assert_eq!(window, Congestion::start(1_460));
        }
    }
}
