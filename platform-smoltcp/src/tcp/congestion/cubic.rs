//! CUBIC (RFC 9438) in integers: windows in octets, times in milliseconds.

use core::num::NonZeroU32;

use super::HAS_CUBIC;
use super::hystart::HyStart;

/// beta_cubic is 0.7 (RFC 9438, section 4.6), here of 1,024.
const BETA: u64 = 717;
/// (1 + beta_cubic) / 2, for fast convergence (section 4.7), of 1,024.
const CONVERGE: u64 = 870;
/// alpha_cubic = 3 * (1 - beta_cubic) / (1 + beta_cubic) (section 4.3), of 1,024.
const ALPHA: u64 = 542;

/// What CUBIC remembers between acknowledgements.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cubic {
    /// W_max, in octets; 0 before the first loss.
    w_max: u32,
    course: Course,
}

/// Where a window is.
#[derive(Clone, Copy, Debug)]
enum Course {
    /// Between two epochs, or, before the first loss, in the first slow start.
    Between(HyStart),
    /// In congestion avoidance.
    Epoch(Epoch),
}

/// One curve.
#[derive(Clone, Copy, Debug)]
struct Epoch {
    /// When it began, in milliseconds (odd, so that it is never 0).
    begun: NonZeroU32,
    /// K, in milliseconds.
    k: u32,
    /// W_est, in octets: the window that Reno would have.
    w_est: u32,
    /// Octets towards the next growth of `w_est`.
    w_est_credit: u32,
}

// The time of an epoch's begin is never 0, which tells the two apart without another octet.
const _: () = assert!(size_of::<Cubic>() <= 20);

impl Cubic {
    /// No loss yet.
    pub(super) const NEW: Self = Self::resumed(0);

    /// Returns W_max.
    pub(super) const fn w_max(&self) -> u32 {
        self.w_max
    }

    /// Makes the state between two epochs.
    pub(super) const fn resumed(w_max: u32) -> Self {
        Self {
            w_max,
            course: Course::Between(HyStart::NEW),
        }
    }

    /// Returns what is known of the first slow start, while that lasts.
    #[inline]
    pub(super) const fn slow_start(&mut self) -> Option<&mut HyStart> {
        match &mut self.course {
            Course::Between(hystart) if HAS_CUBIC => Some(hystart),
            _ => None,
        }
    }

    /// Returns the threshold after a loss at a window of `window` octets. The curve stays as it is
    /// until the loss is certain ([`Self::on_reduced`]).
    pub(super) fn reduced(window: u32) -> u32 {
        share(window, BETA)
    }

    /// Begins a new curve after a loss that has made `threshold` the threshold.
    pub(super) fn on_reduced(&mut self, threshold: u32) {
        if !HAS_CUBIC {
            return;
        }
        let window = u64::from(threshold).saturating_mul(1_024).div_ceil(BETA);
        let window = u32::try_from(window).unwrap_or(u32::MAX);
        self.on_idle();
        self.w_max = if window < self.w_max {
            share(window, CONVERGE)
        } else {
            window
        };
    }

    /// Notes that the window is `window` octets again as before the last loss, which was none. If
    /// the curve has not been given up yet, it goes on (section 4.9.1).
    pub(super) fn on_undo(&mut self, window: u32) {
        if HAS_CUBIC && matches!(self.course, Course::Between(_)) {
            self.w_max = self.w_max.max(window);
        }
    }

    /// Forgets the epoch: the clock must not run while nothing is sent (section 5.8).
    pub(super) const fn on_idle(&mut self) {
        self.course = Course::Between(HyStart::NEW);
    }

    /// Returns the epoch, which begins now unless it has, in congestion avoidance at `window`
    /// octets.
    fn epoch(&mut self, window: u32, mss: u32, now: u32) -> Epoch {
        if let Course::Epoch(epoch) = self.course {
            return epoch;
        }
        // K = cubic_root((W_max - cwnd) / C) in segments and seconds, C = 0.4: in milliseconds
        // the cube root of 2.5e9 times the difference.
        self.w_max = self.w_max.max(window);
        let difference = u64::from(self.w_max.saturating_sub(window));
        let cube = difference
            .saturating_mul(2_500_000_000)
            .checked_div(u64::from(mss.max(1)))
            .unwrap_or(0);
        Epoch {
            begun: NonZeroU32::MIN | now,
            k: cube_root(cube),
            w_est: window,
            w_est_credit: 0,
        }
    }

    /// Returns how many octets acknowledged let a window of `window` octets grow by a segment, when
    /// `acked` more are. `threshold` is what the last reduction left.
    pub(super) fn rate(
        &mut self,
        (window, threshold): (u32, u32),
        acked: u32,
        mss: u32,
        smoothed: u32,
        now: u32,
    ) -> u32 {
        let mut epoch = self.epoch(window, mss, now);
        epoch.grow_reno((window, threshold), acked, mss);
        self.course = Course::Epoch(epoch);
        // The target is the cubic a round trip ahead (section 4.2).
        let ahead = smoothed.checked_div(1_000).unwrap_or(0);
        // The epoch may be a millisecond ahead.
        let elapsed = (now | 1).wrapping_sub(epoch.begun.get());
        let target = epoch.at(elapsed.saturating_add(ahead), self.w_max, mss);
        let most = window.saturating_add(window >> 1);
        let target = target.clamp(window, most).max(epoch.w_est.min(most));
        let difference = target.saturating_sub(window);
        let slowest = window.saturating_mul(100);
        // A segment for every window * mss / difference octets.
        u64::from(window)
            .saturating_mul(u64::from(mss))
            .checked_div(u64::from(difference))
            .and_then(|octets| u32::try_from(octets).ok())
            .unwrap_or(slowest)
            .clamp(mss.min(slowest), slowest)
    }
}

impl Epoch {
    /// Grows the window that Reno would have (section 4.3): as Reno does once it is as large as the
    /// window was before the reduction, of which `threshold` is what was left, or if the first slow
    /// start ended without one (section 4.10).
    fn grow_reno(&mut self, (window, threshold): (u32, u32), acked: u32, mss: u32) {
        let alpha = if self.k == 0 || Cubic::reduced(self.w_est) >= threshold {
            1_024
        } else {
            ALPHA
        };
        let octets = u64::from(acked).saturating_mul(alpha) >> 10;
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        self.w_est_credit = self.w_est_credit.saturating_add(octets);
        let window = window.max(1);
        let segments = self.w_est_credit.checked_div(window).unwrap_or(0);
        self.w_est_credit = self.w_est_credit.checked_rem(window).unwrap_or(0);
        self.w_est = self.w_est.saturating_add(segments.saturating_mul(mss));
    }

    /// Returns W_cubic(t) (section 4.2, equation 1), in octets.
    fn at(&self, elapsed: u32, w_max: u32, mss: u32) -> u32 {
        let distance = u64::from(elapsed.abs_diff(self.k).min(1_000_000));
        // C * t^3 = 0.4 * t^3 segments, t in seconds.
        let cube = distance.saturating_mul(distance).saturating_mul(distance);
        let octets = (cube / 2_500_000)
            .saturating_mul(u64::from(mss))
            .checked_div(1_000)
            .unwrap_or(0);
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        if elapsed < self.k {
            w_max.saturating_sub(octets)
        } else {
            w_max.saturating_add(octets)
        }
    }
}

#[cfg(feature = "search")]
impl Cubic {
    /// Hashes the curve, and how old its epoch is.
    pub(super) fn fingerprint(
        &self,
        now_ms: u32,
        iss: crate::tcp::seq::Seq,
        into: &mut impl core::hash::Hasher,
    ) {
        use core::hash::Hash;
        let Self { w_max, course } = self;
        w_max.hash(into);
        match course {
            Course::Between(hystart) => hystart.fingerprint(iss, into),
            Course::Epoch(epoch) => {
                let Epoch {
                    begun,
                    k,
                    w_est,
                    w_est_credit,
                } = epoch;
                (k, w_est, w_est_credit).hash(into);
                now_ms.wrapping_sub(begun.get()).hash(into);
            }
        }
    }
}

/// Returns `parts` of 1,024 of a window.
fn share(window: u32, parts: u64) -> u32 {
    u32::try_from(u64::from(window).saturating_mul(parts) >> 10).unwrap_or(u32::MAX)
}

/// Returns the integer cube root, by bits from the top.
fn cube_root(number: u64) -> u32 {
    let mut root = 0_u64;
    let mut bit = 1_u64 << 20;
    // 21 bits: the cube of a larger root does not fit.
    while bit > 0 {
        let tried = root | bit;
        let cube = tried.saturating_mul(tried).saturating_mul(tried);
        if cube <= number {
            root = tried;
        }
        bit >>= 1;
    }
    u32::try_from(root).unwrap_or(u32::MAX)
}

#[cfg(all(test, feature = "cubic"))]
mod tests {
    use super::*;

    #[test]
    fn cube_roots_are_exact() {
        for root in [1_u64, 2, 999, 1_000, 12_345, 2_000_000] {
            let cube = root * root * root;
            assert_eq!(u64::from(cube_root(cube)), root);
            assert_eq!(u64::from(cube_root(cube + 1)), root);
        }
        assert_eq!(cube_root(u64::MAX), 2_097_151);
    }

    /// RFC 9438, section 4.2: from 0.7 of W_max the window is back there after K seconds; for 100
    /// segments lost, K is (30 / 0.4)^(1/3) = 4.217 s.
    #[test]
    fn the_window_returns_after_k() {
        let mss = 1_000;
        let mut cubic = Cubic::NEW;
        let window = Cubic::reduced(100_000);
        assert_eq!(window, 70_019);
        cubic.on_reduced(window);
        let epoch = cubic.epoch(window, mss, 0);
        assert!((4_200..4_230).contains(&epoch.k), "{}", epoch.k);
        let at = |elapsed| epoch.at(elapsed, cubic.w_max, mss);
        assert!(at(0).abs_diff(70_019) < 200);
        assert_eq!(at(epoch.k), 100_000);
        assert!(at(epoch.k + 4_217).abs_diff(130_000) < 300);
    }

    /// Section 4.3: with fast convergence W_max is lower than the window was before the loss, and
    /// up to that Reno's window grows by alpha_cubic a round trip, not by a segment.
    #[test]
    fn the_window_of_reno_grows_slower_up_to_the_last_loss() {
        let mss = 1_000;
        let mut cubic = Cubic::NEW;
        cubic.on_reduced(Cubic::reduced(100_000));
        let threshold = Cubic::reduced(90_000);
        cubic.on_reduced(threshold);
        let mut epoch = cubic.epoch(threshold, mss, 0);
        let mut rounds = [0_u32; 2];
        while epoch.w_est < 110_000 {
            let late = usize::from(epoch.w_est > 90_000);
            rounds[late] += 1;
            epoch.grow_reno((70_000, threshold), 70_000, mss);
        }
        // 27 segments at 0.53 a round trip, then 20 at one.
        assert!((50..55).contains(&rounds[0]), "{rounds:?}");
        assert!((18..22).contains(&rounds[1]), "{rounds:?}");
    }

    /// Section 4.9.1: a loss that was none does not lower W_max; a curve that has begun since stays
    /// as it is.
    #[test]
    fn a_loss_that_was_none_leaves_w_max_as_large() {
        let mut cubic = Cubic::NEW;
        cubic.on_reduced(Cubic::reduced(100_000));
        cubic.on_reduced(Cubic::reduced(80_000));
        cubic.on_undo(80_000);
        assert_eq!(cubic.w_max, 80_000);
        cubic.rate((56_000, 56_000), 1_000, 1_000, 50_000, 7);
        cubic.on_undo(90_000);
        assert_eq!(cubic.w_max, 80_000);
    }

    /// Section 4.2: a target far above the window counts as one and a half of it.
    #[test]
    fn the_window_grows_by_half_a_round_trip_at_most() {
        let mut cubic = Cubic::NEW;
        cubic.on_reduced(Cubic::reduced(1_000_000));
        let rate = cubic.rate((10_000, 10_000), 1_000, 1_000, 50_000, 1);
        assert_eq!(rate, 2_000, "a segment for every two");
    }

    /// Section 4.7: a flow that did not get back to its W_max makes room for others.
    #[test]
    fn a_second_loss_below_w_max_lowers_it() {
        let mut cubic = Cubic::NEW;
        cubic.on_reduced(Cubic::reduced(100_000));
        let w_max = cubic.w_max;
        cubic.on_reduced(Cubic::reduced(100_000));
        assert_eq!(cubic.w_max, w_max, "it got there");
        cubic.on_reduced(Cubic::reduced(80_000));
        assert!(cubic.w_max.abs_diff(68_000) < 200, "{}", cubic.w_max);
    }
}
