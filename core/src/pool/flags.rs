//! The phase and the latches of a slot.

use crate::platform::Readiness;

/// What a slot is in use for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    Free,
    Timer,
    Listening,
    /// Accepted, and a layer still shakes hands.
    Accepting,
    Connecting,
    Open,
    /// Open, but sending failed: what arrived before is still delivered.
    Broken,
    /// Released, `on_close` still to come.
    Closing,
}

/// The phase and the latches of a slot, in one word so that one comparison tells of all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Flags(u16);

impl Flags {
    /// Free, and no latch.
    pub(crate) const NONE: Self = Self(0);
    /// Reading, or accepting, may yield something.
    pub(crate) const READABLE: Self = Self(1);
    /// A send came back short, and no room was reported since.
    pub(crate) const BLOCKED: Self = Self(2);
    /// A listener that the platform was told not to report.
    pub(crate) const MUTED: Self = Self::BLOCKED;
    /// We ended our direction.
    pub(crate) const FINISHED: Self = Self(4);
    /// The peer's end was read.
    pub(crate) const ENDED: Self = Self(8);
    /// The peer's end, an error or urgent data is known to be there: read until nothing is left.
    pub(crate) const HUNG_UP: Self = Self(16);
    /// On the run queue.
    pub(crate) const QUEUED: Self = Self(32);
    /// The program does not want to read; for a listener: the loop cannot accept.
    pub(crate) const PAUSED: Self = Self(64);
    /// Our end still has to be handed to the platform, after what the cork or a layer holds.
    pub(crate) const FINISHING: Self = Self(128);

    /// Writes go to the cork.
    pub(crate) const CORKED: Self = Self(1 << 11);
    /// A layer still sends what it took before the socket was closed.
    pub(crate) const LINGERING: Self = Self(1 << 12);
    /// The connection is known to have broken, which reading may not show behind the peer's end.
    pub(crate) const FAILED: Self = Self(1 << 13);
    /// The bits of the phase.
    const PHASE: Self = Self(7 << 8);
    const OPEN: Self = Self(5 << 8);
    /// The socket is open, and there is nothing else to say of it: neither held up nor finished,
    /// queued nor corked. One comparison, for the usual path.
    #[inline]
    pub(crate) const fn are_usual(self) -> bool {
        self.0 == Self::OPEN.0
    }

    /// The socket is open, and the platform takes bytes for it directly.
    #[inline]
    pub(crate) const fn are_writable(self) -> bool {
        let others = Self::PHASE
            .with(Self::BLOCKED)
            .with(Self::FINISHED)
            .with(Self::CORKED);
        self.only(others, Self::OPEN)
    }

    #[inline]
    pub(crate) const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// The flags if `condition` holds, else none.
    #[inline]
    pub(crate) fn when(self, condition: bool) -> Self {
        Self(self.0 & u16::from(condition).wrapping_neg())
    }

    #[inline]
    pub(crate) const fn set(&mut self, other: Self) {
        self.0 |= other.0;
    }

    #[inline]
    pub(crate) const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    #[inline]
    pub(crate) const fn clear(&mut self, other: Self) {
        self.0 &= !other.0;
    }

    /// Whether any flag of `other` is set.
    #[inline]
    pub(crate) const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Whether of the flags in `mask` exactly `other`'s are set.
    #[inline]
    pub(crate) const fn only(self, mask: Self, other: Self) -> bool {
        self.0 & mask.0 == other.0
    }

    /// The latches that a report sets.
    pub(crate) fn of(readiness: Readiness) -> Self {
        let last = readiness.is_last();
        let readable = last || readiness.intersects(Readiness::READABLE);
        let failed = readiness.intersects(Readiness::ERROR);
        let last = Self::HUNG_UP.when(last).with(Self::FAILED.when(failed));
        Self::READABLE.when(readable).with(last)
    }

    /// Clears every flag but `other`'s.
    #[inline]
    pub(crate) const fn keep(&mut self, other: Self) {
        self.0 &= other.0;
    }

    /// What the slot is in use for.
    #[inline]
    pub(crate) const fn phase(self) -> Phase {
        match (self.0 >> 8) & 7 {
            0 => Phase::Free,
            1 => Phase::Timer,
            2 => Phase::Listening,
            3 => Phase::Accepting,
            4 => Phase::Connecting,
            5 => Phase::Open,
            6 => Phase::Broken,
            _ => Phase::Closing,
        }
    }

    /// Changes the phase, and no latch.
    #[inline]
    pub(crate) const fn set_phase(&mut self, phase: Phase) {
        let bits = match phase {
            Phase::Free => 0,
            Phase::Timer => 1,
            Phase::Listening => 2,
            Phase::Accepting => 3,
            Phase::Connecting => 4,
            Phase::Open => 5,
            Phase::Broken => 6,
            Phase::Closing => 7,
        };
        self.0 = self.0 & !Self::PHASE.0 | bits << 8;
    }
}
