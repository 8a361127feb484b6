//! CUBIC (RFC 9438) in integers: windows in octets, times in milliseconds.

use core::num::NonZeroU32;

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
    /// When the epoch began, in milliseconds (odd, so that it is never 0); `None` before it does.
    epoch: Option<NonZeroU32>,
    /// K, in milliseconds.
    k: u32,
    /// W_est, in octets: the window that Reno would have.
    w_est: u32,
    /// Octets towards the next growth of `w_est`.
    w_est_credit: u32,
}

impl Cubic {
    /// No loss yet.
    pub(super) const NEW: Self = Self {
        w_max: 0,
        epoch: None,
        k: 0,
        w_est: 0,
        w_est_credit: 0,
    };

    /// Returns W_max.
    pub(super) const fn w_max(&self) -> u32 {
        self.w_max
    }

    /// Makes the state between two epochs.
    pub(super) const fn resumed(w_max: u32) -> Self {
        Self { w_max, ..Self::NEW }
    }

    /// Returns the threshold after a loss at a window of `window` octets. The curve stays as it is
    /// until the loss is certain ([`Self::on_reduced`]).
    pub(super) fn reduced(window: u32) -> u32 {
        share(window, BETA)
    }

    /// Begins a new curve after a loss that has made `threshold` the threshold.
    pub(super) fn on_reduced(&mut self, threshold: u32) {
        let window = u64::from(threshold).saturating_mul(1_024).div_ceil(BETA);
        let window = u32::try_from(window).unwrap_or(u32::MAX);
        self.epoch = None;
        self.w_max = if window < self.w_max {
            share(window, CONVERGE)
        } else {
            window
        };
    }

    /// Notes that the window is `window` octets again as before the last loss, which was none. If
    /// the curve has not been given up yet, it goes on (section 4.9.1).
    pub(super) fn on_undo(&mut self, window: u32) {
        if self.epoch.is_none() {
            self.w_max = self.w_max.max(window);
        }
    }

    /// Forgets the epoch: the clock must not run while nothing is sent (section 5.8).
    pub(super) const fn on_idle(&mut self) {
        self.epoch = None;
    }

    /// Begins an epoch in congestion avoidance at `window` octets.
    fn begin(&mut self, window: u32, mss: u32, now: u32) {
        self.epoch = NonZeroU32::new(now | 1);
        self.w_est = window;
        self.w_est_credit = 0;
        if self.w_max <= window {
            self.w_max = window;
            self.k = 0;
            return;
        }
        // K = cubic_root((W_max - cwnd) / C) in segments and seconds, C = 0.4: in milliseconds
        // the cube root of 2.5e9 times the difference.
        let difference = u64::from(self.w_max.saturating_sub(window));
        let cube = difference
            .saturating_mul(2_500_000_000)
            .checked_div(u64::from(mss.max(1)))
            .unwrap_or(0);
        self.k = cube_root(cube);
    }

    /// Returns how many octets acknowledged let a window of `window` octets grow by a segment, when
    /// `acked` more are.
    pub(super) fn rate(
        &mut self,
        window: u32,
        acked: u32,
        mss: u32,
        smoothed: u32,
        now: u32,
    ) -> u32 {
        if self.epoch.is_none() {
            self.begin(window, mss, now);
        }
        self.grow_reno(window, acked, mss);
        // The target is the cubic a round trip ahead (section 4.2).
        let ahead = smoothed.checked_div(1_000).unwrap_or(0);
        let epoch = self.epoch.map_or(now, NonZeroU32::get);
        // The epoch may be a millisecond ahead.
        let elapsed = (now | 1).wrapping_sub(epoch).saturating_add(ahead);
        let target = self.at(elapsed, mss);
        let most = window.saturating_add(window >> 1);
        let target = target.clamp(window, most).max(self.w_est.min(most));
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

    /// Grows the window that Reno would have (section 4.3).
    fn grow_reno(&mut self, window: u32, acked: u32, mss: u32) {
        let alpha = if self.w_est >= self.w_max {
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
    fn at(&self, elapsed: u32, mss: u32) -> u32 {
        let distance = u64::from(elapsed.abs_diff(self.k).min(1_000_000));
        // C * t^3 = 0.4 * t^3 segments, t in seconds.
        let cube = distance.saturating_mul(distance).saturating_mul(distance);
        let octets = (cube / 2_500_000)
            .saturating_mul(u64::from(mss))
            .checked_div(1_000)
            .unwrap_or(0);
        let octets = u32::try_from(octets).unwrap_or(u32::MAX);
        if elapsed < self.k {
            self.w_max.saturating_sub(octets)
        } else {
            self.w_max.saturating_add(octets)
        }
    }
}

#[cfg(feature = "search")]
impl Cubic {
    /// Hashes the curve, and how old its epoch is.
    pub(super) fn fingerprint(&self, now_ms: u32, into: &mut impl core::hash::Hasher) {
        use core::hash::Hash;
        let Self {
            w_max,
            epoch,
            k,
            w_est,
            w_est_credit,
        } = self;
        (w_max, k, w_est, w_est_credit).hash(into);
        epoch
            .map(|epoch| now_ms.wrapping_sub(epoch.get()))
            .hash(into);
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

#[cfg(test)]
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
        cubic.begin(window, mss, 0);
        assert!((4_200..4_230).contains(&cubic.k), "{}", cubic.k);
        assert!(cubic.at(0, mss).abs_diff(70_019) < 200);
        assert_eq!(cubic.at(cubic.k, mss), 100_000);
        assert!(cubic.at(cubic.k + 4_217, mss).abs_diff(130_000) < 300);
    }

    /// Section 4.7: a flow that did not get back to its W_max makes room for others.
    #[test]
    fn a_second_loss_below_w_max_lowers_it() {
        let mut cubic = Cubic::NEW;
        cubic.on_reduced(Cubic::reduced(100_000));
        cubic.on_reduced(Cubic::reduced(80_000));
        assert!(cubic.w_max.abs_diff(68_000) < 200, "{}", cubic.w_max);
    }
}
