//! Congestion control: how much may be on its way.
//!
//! [`Congestion`] is the policy, apart from the repair of losses (`loss::recovery`), which sets the
//! window while it lasts. Its hooks are called in these moments and no others:
//!
//! | hook | when |
//! |---|---|
//! | `new` | the handshake is complete |
//! | `on_round_trip` | before `on_ack`, in the first slow start |
//! | `on_ack` | SND.UNA has advanced, not in fast recovery, and the window was made use of |
//! | `on_loss` | the first loss of a window is found, or a tail loss probe has repaired one |
//! | `on_echo` | the peer echoes congestion, the first of a window (feature `ecn`) |
//! | `on_timeout` | a retransmission timeout, the first for this SND.UNA |
//! | `on_recovered` | all that was on its way at the loss is acknowledged; at once after a probe |
//! | `on_idle` | something is sent after nothing was on its way for an RTO |
//! | `on_undo` | duplicates or timestamps say that nothing was lost: takes the reduction back |
//!
//! BBR (feature `bbr`), which goes by a model of the path, has hooks of its own beside `new`,
//! `on_loss`, `on_timeout` and `on_undo`, and sets the window in a repair too:
//!
//! | hook | when |
//! |---|---|
//! | `on_sent` | a segment with text leaves |
//! | `on_limited` | the owner sends after less had been sent than could have been |
//! | `on_delivered` | something has arrived, cumulatively or selectively |

#[cfg(feature = "bbr")]
mod bbr;
mod cubic;
#[cfg(feature = "bbr")]
mod delivery;
mod hystart;

use super::seq::Seq;
use super::settings::Algorithm;
#[cfg(feature = "bbr")]
use bbr::Bbr;
#[cfg(feature = "bbr")]
pub(super) use bbr::Delivered;
use cubic::Cubic;

/// CUBIC and HyStart++ are a part of the stack: feature `cubic`. Conditions on this leave them out.
const HAS_CUBIC: bool = cfg!(feature = "cubic");
/// Segments of the initial window (RFC 6928).
const INITIAL_SEGMENTS: u32 = 10;
/// The window after a loss is at least two segments (RFC 5681, equation 4).
const WINDOW_MIN_SEGMENTS: u32 = 2;
/// No window grows further: what a scaled window can tell (RFC 7323, section 2.3).
const WINDOW_MAX: u32 = 1 << 30;

/// Congestion window, threshold and what the algorithm remembers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Congestion {
    /// cwnd, in octets.
    pub(super) window: u32,
    /// ssthresh, in octets.
    pub(super) threshold: u32,
    /// Octets acknowledged towards the next segment of growth.
    credit: u32,
    /// What was before the last reduction, for [`Self::on_undo`].
    before: Before,
    cubic: Cubic,
    #[cfg(feature = "bbr")]
    bbr: Bbr,
}

/// What the feature `bbr` adds to each connection.
#[cfg(feature = "bbr")]
pub(crate) const MODEL_LEN: usize = size_of::<Bbr>();
#[cfg(feature = "bbr")]
const _: () = assert!(MODEL_LEN == 152);
#[cfg(not(feature = "bbr"))]
pub(crate) const MODEL_LEN: usize = 0;

/// Window and threshold as they were once: the window in units of 8 octets, and in five bits how
/// often it has to be doubled to come near the threshold.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "search", derive(Hash))]
struct Before(u32);

impl Before {
    const NONE: Self = Self(0);

    fn new(window: u32, threshold: u32) -> Self {
        let window = window.min(WINDOW_MAX);
        let doublings = threshold
            .checked_div(window)
            .and_then(u32::checked_ilog2)
            .unwrap_or(0);
        Self(((window >> 3) << 5) | (doublings & 31))
    }

    const fn window(self) -> u32 {
        (self.0 >> 5) << 3
    }

    /// Returns the threshold, less than half of it too low; never below the window.
    fn threshold(self) -> u32 {
        let doubled = u64::from(self.window()) << (self.0 & 31);
        u32::try_from(doubled).map_or(WINDOW_MAX, |doubled| doubled.min(WINDOW_MAX))
    }
}

impl Congestion {
    /// Makes the state of no connection.
    pub(super) const fn unused() -> Self {
        Self {
            window: 0,
            threshold: WINDOW_MAX,
            credit: 0,
            before: Before::NONE,
            cubic: Cubic::NEW,
            #[cfg(feature = "bbr")]
            bbr: Bbr::NEW,
        }
    }

    /// Makes the state of a connection that sends segments of `mss` octets. After a handshake that
    /// lost a SYN the window starts with one segment (RFC 5681, section 3.1).
    pub(super) fn new(mss: u32, syn_lost: bool) -> Self {
        let window = if syn_lost { mss } else { initial_window(mss) };
        Self {
            window,
            threshold: WINDOW_MAX,
            credit: 0,
            before: Before::NONE,
            cubic: Cubic::NEW,
            #[cfg(feature = "bbr")]
            bbr: Bbr::NEW,
        }
    }

    /// Returns what [`Self::resumed`] needs: CUBIC's W_max, or the bandwidth of BBR's model.
    pub(super) const fn kept(&self, algorithm: Algorithm) -> u32 {
        match algorithm {
            Algorithm::Cubic | Algorithm::Reno => self.cubic.w_max(),
            #[cfg(feature = "bbr")]
            Algorithm::Bbr => self.bbr.bandwidth(),
        }
    }

    /// Makes the state again of a connection that had nothing on its way: CUBIC begins a new epoch
    /// (RFC 9438, section 4.8), and BBR measures the round trip anew.
    pub(super) const fn resumed(
        algorithm: Algorithm,
        (window, threshold): (u32, u32),
        kept: u32,
    ) -> Self {
        let mut resumed = Self::unused();
        (resumed.window, resumed.threshold) = (window, threshold);
        match algorithm {
            Algorithm::Cubic | Algorithm::Reno => resumed.cubic = Cubic::resumed(kept),
            #[cfg(feature = "bbr")]
            Algorithm::Bbr => resumed.bbr = Bbr::resumed(kept, threshold < WINDOW_MAX),
        }
        resumed
    }

    /// Returns true in slow start.
    pub(super) const fn is_slow_start(&self) -> bool {
        self.window < self.threshold
    }

    /// Returns true before the first loss, in the slow start that ends where a queue begins to fill
    /// (RFC 9406, section 4.3: no other does).
    #[inline]
    pub(super) const fn is_first_slow_start(&self) -> bool {
        self.threshold == WINDOW_MAX
    }

    /// Notes the round trip of what is acknowledged up to `una`, in microseconds and if it is
    /// known, with everything up to `nxt` sent. That may end the first slow start.
    pub(super) fn on_round_trip(&mut self, sample: Option<u32>, una: Seq, nxt: Seq) {
        if let Some(hystart) = self.cubic.slow_start()
            && hystart.on_ack(sample, una, nxt)
        {
            self.threshold = self.window;
        }
    }

    /// Grows the window for `acked` octets newly acknowledged.
    pub(super) fn on_ack(
        &mut self,
        algorithm: Algorithm,
        acked: u32,
        mss: u32,
        (smoothed, now_ms): (u32, u32),
    ) {
        let mut left = acked;
        let is_first = self.is_first_slow_start();
        if self.is_slow_start() {
            // RFC 5681, section 3.1, with octets counted (RFC 3465): up to the threshold.
            let step = left.min(self.threshold.saturating_sub(self.window));
            left = left.saturating_sub(step);
            let slow_start = self.cubic.slow_start().filter(|_| is_first);
            let step = slow_start.map_or(step, |hystart| hystart.growth(step));
            self.window = self.window.saturating_add(step);
        }
        if left > 0 {
            match algorithm {
                // It has hooks of its own.
                #[cfg(feature = "bbr")]
                Algorithm::Bbr => {}
                Algorithm::Cubic if HAS_CUBIC => {
                    let windows = (self.window, self.threshold);
                    let rate = self.cubic.rate(windows, left, mss, smoothed, now_ms);
                    self.grow_by(left, rate, mss);
                }
                Algorithm::Reno | Algorithm::Cubic => self.grow_by(left, self.window, mss),
            }
        }
        self.window = self.window.min(WINDOW_MAX);
    }

    /// Grows the window by a segment for every `each` octets.
    fn grow_by(&mut self, octets: u32, each: u32, mss: u32) {
        let each = each.max(1);
        self.credit = self.credit.saturating_add(octets);
        let segments = self.credit.checked_div(each).unwrap_or(0);
        self.credit = self.credit.checked_rem(each).unwrap_or(0);
        // At most one segment for every two acknowledged, as CUBIC's target has it (RFC 9438,
        // section 4.4).
        let most = octets >> 1;
        let grown = segments.saturating_mul(mss).min(most.max(mss));
        self.window = self.window.saturating_add(grown);
    }

    /// Notes a loss with `flight` octets on their way; the repair brings the window down to the
    /// new threshold.
    pub(super) fn on_loss(&mut self, algorithm: Algorithm, flight: u32, mss: u32) {
        #[cfg(feature = "bbr")]
        if algorithm.is_model() {
            self.bbr.on_loss(self.window);
        }
        self.reduce(algorithm, flight, mss);
    }

    /// Notes that the peer echoes congestion: the window is the threshold at once, down to one
    /// segment, which the threshold does not go (RFC 9438, section 4.6).
    pub(super) fn on_echo(&mut self, algorithm: Algorithm, flight: u32, mss: u32) {
        // BBR takes no notice: its text is not ECT, so that no router has marked it.
        if algorithm.is_model() {
            return;
        }
        let reduced = self.reduced(algorithm, flight, mss);
        self.reduce(algorithm, flight, mss);
        self.window = self.window.min(reduced).max(mss);
        self.cubic.on_reduced(self.threshold);
    }

    /// Notes a timeout: the window is one segment (RFC 5681, section 3.1).
    pub(super) fn on_timeout(&mut self, algorithm: Algorithm, flight: u32, mss: u32) {
        #[cfg(feature = "bbr")]
        if algorithm.is_model() {
            self.bbr.on_timeout(self.window);
        }
        self.reduce(algorithm, flight, mss);
        self.cubic.on_reduced(self.threshold);
        self.window = mss;
        self.credit = 0;
    }

    fn reduce(&mut self, algorithm: Algorithm, flight: u32, mss: u32) {
        self.before = Before::new(self.window, self.threshold);
        let least = mss.saturating_mul(WINDOW_MIN_SEGMENTS);
        self.threshold = self.reduced(algorithm, flight, mss).max(least);
        self.credit = 0;
    }

    /// Returns what congestion leaves of a window of which `flight` octets are on their way.
    fn reduced(&self, algorithm: Algorithm, flight: u32, mss: u32) -> u32 {
        match algorithm {
            // Losses do not change where the path was full.
            #[cfg(feature = "bbr")]
            Algorithm::Bbr => self.threshold,
            Algorithm::Cubic if HAS_CUBIC => {
                // A window that is not made use of has not caused the loss (RFC 9438, section 4.6).
                let most = flight.saturating_add(mss.saturating_mul(3));
                Cubic::reduced(self.window.min(most))
            }
            Algorithm::Reno | Algorithm::Cubic => flight >> 1,
        }
    }

    /// Notes that the repair is over with `pipe` octets on their way. The window becomes the
    /// threshold, but no more than a few segments above what is on its way, so that the next
    /// acknowledgement does not release a burst (RFC 6582, section 3.2, step 3); slow start makes
    /// up for the difference.
    pub(super) fn on_recovered(&mut self, pipe: u32, mss: u32) {
        let burst = mss.saturating_mul(INITIAL_SEGMENTS);
        self.cubic.on_reduced(self.threshold);
        self.window = self.threshold.min(pipe.saturating_add(burst));
    }

    /// Makes the window no larger than at the start (RFC 5681, section 4.1).
    pub(super) fn on_idle(&mut self, mss: u32) {
        // What was reached is remembered, so that slow start leads back there.
        self.threshold = self
            .threshold
            .max(self.window.saturating_sub(self.window >> 2));
        self.window = self.window.min(initial_window(mss));
        self.cubic.on_idle();
    }

    /// Takes the last reduction back.
    pub(super) fn on_undo(&mut self) {
        self.window = self.window.max(self.before.window());
        self.threshold = self.threshold.max(self.before.threshold());
        self.cubic.on_undo(self.window);
    }
}

/// The hooks of BBR.
#[cfg(feature = "bbr")]
impl Congestion {
    /// Returns at how many octets a second segments leave; 0 before the first is known.
    pub(super) const fn rate(&self) -> u32 {
        self.bbr.rate()
    }

    /// Notes that a segment leaves. `first`: nothing else is on its way.
    pub(super) fn on_sent(&mut self, now: u32, first: bool) {
        self.bbr.on_sent(now, first);
    }

    /// Notes that less was sent than could have been, with `pipe` octets on their way.
    pub(super) const fn on_limited(&mut self, pipe: u32) {
        self.bbr.on_limited(pipe);
    }

    /// Sets the window that follows one of `window` octets. The threshold is where the path was
    /// full.
    pub(super) fn on_delivered(&mut self, window: u32, told: &Delivered) {
        self.window = self.bbr.on_delivered(window, told).min(WINDOW_MAX);
        if self.bbr.is_filled() && self.threshold == WINDOW_MAX {
            self.threshold = self.window.min(WINDOW_MAX - 1);
        }
    }
}

#[cfg(feature = "search")]
impl Congestion {
    /// Hashes all of it.
    pub(super) fn fingerprint(
        &self,
        (now_micros, now_ms): (u32, u32),
        iss: Seq,
        into: &mut impl core::hash::Hasher,
    ) {
        use core::hash::Hash;
        let _ = now_micros;
        let Self {
            window,
            threshold,
            credit,
            before,
            cubic,
            #[cfg(feature = "bbr")]
            bbr,
        } = self;
        (window, threshold, credit, before).hash(into);
        cubic.fingerprint(now_ms, iss, into);
        #[cfg(feature = "bbr")]
        bbr.fingerprint((now_micros, now_ms), into);
    }
}

/// Returns the initial window for segments of `mss` octets (RFC 6928, section 2).
pub(super) fn initial_window(mss: u32) -> u32 {
    let least = mss.saturating_mul(2).max(14_600);
    mss.saturating_mul(INITIAL_SEGMENTS).min(least)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_start_as_rfc_6928_says() {
        assert_eq!(initial_window(1_460), 14_600);
        assert_eq!(initial_window(536), 5_360);
        assert_eq!(initial_window(8_960), 17_920);
        assert_eq!(Congestion::new(1_460, true).window, 1_460);
    }

    #[test]
    fn reno_doubles_then_adds_a_segment_a_round_trip() {
        let mut reno = Congestion::new(1_000, false);
        reno.on_ack(Algorithm::Reno, 10_000, 1_000, (50_000, 0));
        assert_eq!(reno.window, 20_000);
        reno.on_loss(Algorithm::Reno, 20_000, 1_000);
        reno.on_recovered(20_000, 1_000);
        assert_eq!(reno.window, 10_000);
        for _ in 0..10 {
            reno.on_ack(Algorithm::Reno, 1_000, 1_000, (50_000, 0));
        }
        assert_eq!(reno.window, 11_000);
        reno.on_timeout(Algorithm::Reno, 11_000, 1_000);
        assert_eq!((reno.window, reno.threshold), (1_000, 5_500));
    }

    /// After a pause slow start leads back to three quarters of the window.
    #[test]
    fn what_was_reached_before_a_pause_is_remembered() {
        let mut reno = Congestion::new(1_000, false);
        reno.on_loss(Algorithm::Reno, 10_000, 1_000);
        (reno.window, reno.threshold) = (40_000, 5_000);
        reno.on_idle(1_000);
        assert_eq!((reno.window, reno.threshold), (10_000, 30_000));
        reno.on_idle(1_000);
        assert_eq!((reno.window, reno.threshold), (10_000, 30_000));
    }

    /// A connection with nothing on its way keeps W_max, however often.
    #[cfg(feature = "cubic")]
    #[test]
    fn the_window_of_the_last_loss_is_kept() {
        let algorithm = Algorithm::Cubic;
        let mut cubic = Congestion::new(1_000, false);
        cubic.on_loss(algorithm, 10_000, 1_000);
        cubic.on_recovered(10_000, 1_000);
        let kept = cubic.kept(algorithm);
        assert!(kept.abs_diff(10_000) < 10, "{kept}");
        let resumed = Congestion::resumed(algorithm, (7_000, 7_000), kept);
        assert_eq!(resumed.kept(algorithm), kept);
    }

    #[test]
    fn what_was_no_loss_is_taken_back() {
        let mut cubic = Congestion::new(1_000, false);
        cubic.on_ack(Algorithm::Cubic, 90_000, 1_000, (50_000, 0));
        let window = cubic.window;
        cubic.on_loss(Algorithm::Cubic, window, 1_000);
        cubic.on_recovered(0, 1_000);
        assert!(cubic.window < window);
        cubic.on_undo();
        assert_eq!(cubic.window, window);
    }

    #[cfg(feature = "cubic")]
    #[test]
    fn a_loss_that_was_none_does_not_leave_slow_start_slow() {
        let mut cubic = Congestion::new(1_000, false);
        // Rounds whose round trips grow longer: conservative slow start.
        let mut sent = 0_u32;
        for micros in [50_000, 50_000, 90_000] {
            for _ in 0..10 {
                sent += 1_000;
                let (una, nxt) = (Seq::new(sent), Seq::new(sent + 10_000));
                cubic.on_round_trip(Some(micros), una, nxt);
                cubic.on_ack(Algorithm::Cubic, 1_000, 1_000, (micros, 0));
            }
        }
        let before = cubic.window;
        cubic.on_ack(Algorithm::Cubic, 1_000, 1_000, (90_000, 0));
        assert_eq!(cubic.window - before, 250, "a quarter of the pace");
        // A loss, which is taken back while slow start goes on towards the old threshold.
        cubic.on_timeout(Algorithm::Cubic, cubic.window, 1_000);
        cubic.on_undo();
        assert!(cubic.is_slow_start() && !cubic.is_first_slow_start());
        let before = cubic.window;
        cubic.on_ack(Algorithm::Cubic, 1_000, 1_000, (90_000, 0));
        assert_eq!(cubic.window - before, 1_000, "the whole pace");
    }
}
