//! How many signatures one call may verify, so that a costly handshake holds nobody up.

/// Signatures by which calls may exceed what they may verify, where they cannot pause: messages
/// that come in one record and are longer than what is kept of them. With one that is left, as many
/// as an honest server costs that shows an OCSP response: two of its path, two of the response, its
/// own.
const EXCESS_MAX: i8 = 4;

/// Counts the signatures that a handshake verifies. All zero bytes at first, which sets no bound.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) struct Pace {
    is_bounded: bool,
    /// Signatures that may still be verified; below zero as many as exceeded it.
    left: i8,
    /// The handshake can wait for the next call.
    can_pause: bool,
    /// It does.
    is_paused: bool,
}

impl Pace {
    pub(crate) const FREE: Self = Self {
        is_bounded: false,
        left: 0,
        can_pause: false,
        is_paused: false,
    };

    /// Bounds the signatures of the next call.
    pub(crate) const fn bound(&mut self, left: i8) {
        self.is_bounded = true;
        self.left = left;
    }

    /// Returns how many signatures are left of the bound; below zero if it was exceeded.
    pub(crate) const fn left(self) -> i8 {
        self.left
    }

    /// Starts a call, which can pause or not.
    pub(crate) const fn start(&mut self, can_pause: bool) {
        self.is_paused = false;
        self.can_pause = can_pause;
    }

    /// Stops until the next call.
    pub(crate) const fn pause(&mut self) {
        self.is_paused = true;
    }

    pub(crate) const fn is_paused(self) -> bool {
        self.is_paused
    }

    /// Returns true if one more signature may be verified, and counts it.
    pub(crate) const fn may_verify(&mut self) -> bool {
        if !self.is_bounded {
            return true;
        }
        let least = if self.can_pause { 0 } else { -EXCESS_MAX };
        if self.left <= least {
            return false;
        }
        self.left = self.left.saturating_sub(1);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::Pace;

    /// Counts how many signatures a call may verify that has as many left.
    fn verified(pace: &mut Pace, can_pause: bool) -> u8 {
        pace.start(can_pause);
        (0..u8::MAX).find(|_| !pace.may_verify()).unwrap()
    }

    #[test]
    fn what_cannot_wait_exceeds_the_bound_once() {
        let mut pace = Pace::FREE;
        pace.bound(3);
        assert_eq!(verified(&mut pace, true), 3);
        // Whether in one call or in several.
        assert_eq!(verified(&mut pace, false), 4);
        assert_eq!(verified(&mut pace, false), 0);
        assert_eq!(pace.left(), -4);
        // Another handshake in the same iteration.
        let mut other = Pace::FREE;
        other.bound(pace.left());
        assert_eq!(verified(&mut other, false), 0);
        assert_eq!(verified(&mut other, true), 0);
    }
}
