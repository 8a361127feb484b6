//! How many signatures one call may verify, so that a costly handshake holds nobody up.

/// Signatures by which a call may exceed what it may verify, where it cannot pause: messages that
/// come in one record and are longer than what is kept of them.
const EXCESS_MAX: u8 = 3;

/// Counts the signatures that a handshake verifies. All zero bytes at first, which sets no bound.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pace {
    is_bounded: bool,
    /// Signatures that may still be verified.
    left: u8,
    /// Signatures that may be verified beyond those.
    excess_left: u8,
    /// The handshake waits for the next call.
    is_paused: bool,
}

impl Pace {
    pub(crate) const FREE: Self = Self {
        is_bounded: false,
        left: 0,
        excess_left: 0,
        is_paused: false,
    };

    /// Bounds the signatures of the next call.
    pub(crate) const fn bound(&mut self, left: u8) {
        self.is_bounded = true;
        self.left = left;
    }

    /// Returns how many signatures are left of the bound.
    pub(crate) const fn left(self) -> u8 {
        self.left
    }

    /// Starts a call, which can pause or not.
    pub(crate) const fn start(&mut self, can_pause: bool) {
        self.is_paused = false;
        self.excess_left = if can_pause { 0 } else { EXCESS_MAX };
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
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return true;
        }
        if let Some(left) = self.excess_left.checked_sub(1) {
            self.excess_left = left;
            return true;
        }
        false
    }
}
