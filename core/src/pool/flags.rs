//! The phase and the latches of a slot.

use crate::platform::Readiness;

/// What a slot is in use for.
///
/// ```text
///   listen ──▶ Listening ──▶ Free
///   accept ──▶ Accepting ──┬─▶ Open ─┬────────────┬─▶ Closing ─────────────────▶ Free
///   connect ─▶ Connecting ─┤         └─▶ Broken ──┤      ▲
///                          └─▶ Free               └─▶ ClosingHeld ─▶ Lingering ─▶ Free
///   bind ────▶ Bound ──────┬─▶ Datagrams ─▶ Closing ─▶ Free
///                          └─▶ Free
///   start_timer ─▶ Timer ──▶ Free
///   watch ───▶ Foreign ────▶ Free
///   insert ──▶ Accepting, and on as after accept; insert_listener ──▶ Listening
/// ```
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Phase {
    Free,
    Timer,
    Listening,
    /// A datagram socket; `on_open` is due.
    Bound,
    /// Accepted, and a layer still shakes hands.
    Accepting,
    Connecting,
    Open,
    /// Open, but known to have broken: what arrived before is still delivered.
    Broken,
    /// A datagram socket.
    Datagrams,
    /// Closed; `on_close` is due.
    Closing,
    /// As `Closing`, while a layer still sends what it holds.
    ClosingHeld,
    /// A layer still sends what it holds; `on_close` has been made.
    Lingering,
    /// A descriptor that is only waited for.
    Foreign,
}

/// Numbered so that what several phases have in common is one comparison: those that send are 6
/// and 7, those that the program knows of 6 to 8.
impl Phase {
    const fn bits(self) -> u16 {
        match self {
            Self::Free => 0,
            Self::Timer => 1,
            Self::Listening => 2,
            Self::Bound => 3,
            Self::Accepting => 4,
            Self::Connecting => 5,
            Self::Open => 6,
            Self::Datagrams => 7,
            Self::Broken => 8,
            Self::Closing => 9,
            Self::ClosingHeld => 10,
            Self::Lingering => 11,
            Self::Foreign => 12,
        }
    }

    const fn from_bits(bits: u16) -> Self {
        match bits {
            0 => Self::Free,
            1 => Self::Timer,
            2 => Self::Listening,
            3 => Self::Bound,
            4 => Self::Accepting,
            5 => Self::Connecting,
            6 => Self::Open,
            7 => Self::Datagrams,
            8 => Self::Broken,
            9 => Self::Closing,
            10 => Self::ClosingHeld,
            11 => Self::Lingering,
            _ => Self::Foreign,
        }
    }
}

/// The phase and the flags of a slot, in one word so that one comparison tells of all.
///
/// A flag that a kind of slot has no use for means something else there, under a name of its own:
///
/// | bit | connection | listener | datagram socket |
/// |---|---|---|---|
/// | 0 | `READABLE` | `READABLE`: a connection may wait | `READABLE` |
/// | 1 | `BLOCKED` | `MUTED` | `BLOCKED` |
/// | 2 | `FINISHED` | `EXHAUSTED_REPORTED` | |
/// | 3 | `END_READ`; while it opens, `INSERTED` | | |
/// | 4 | `READ_TO_END` | | |
/// | 5 | `QUEUED` | `QUEUED` | `QUEUED` |
/// | 6 | `PAUSED` | `STALLED` | |
/// | 7 | `FINISHING` | | `ROOM_AWAITED` |
/// | 8–11 | the phase | the phase | the phase |
/// | 12 | `CORKED` | | |
/// | 13 | `FAILED` | | `FAILED`: errors of datagrams wait |
/// | 14 | `PULL` | `LISTEN_PAUSED` | `PULL`, always |
/// | 15 | `READABLE_REPORTED` | | `READABLE_REPORTED` |
///
/// `QUEUED` outlives the socket: a slot that is given back while it is queued keeps it, whatever
/// takes the slot next (`FreeList::claim`). But for that a timer has no flag, and a foreign
/// descriptor none for longer than a report is served.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Flags(u16);

impl Flags {
    /// Free, and no latch.
    pub(crate) const NONE: Self = Self(0);
    /// Reading, or accepting, may yield something.
    pub(crate) const READABLE: Self = Self(1);
    /// A send came back short, and no room was reported since.
    pub(crate) const BLOCKED: Self = Self(1 << 1);
    /// We ended our direction.
    pub(crate) const FINISHED: Self = Self(1 << 2);
    /// The peer's end was read.
    pub(crate) const END_READ: Self = Self(1 << 3);
    /// The peer's end, an error or urgent data is known to be there: read until nothing is left.
    pub(crate) const READ_TO_END: Self = Self(1 << 4);
    /// On the run queue.
    pub(crate) const QUEUED: Self = Self(1 << 5);
    /// The program does not want to read.
    pub(crate) const PAUSED: Self = Self(1 << 6);
    /// Our end still has to be handed to the platform, after what the cork or a layer holds.
    pub(crate) const FINISHING: Self = Self(1 << 7);
    /// Writes go to the cork.
    pub(crate) const CORKED: Self = Self(1 << 12);
    /// The connection is reported to have broken, which reading need not show: the peer's end may
    /// have been read, or the program may not read.
    pub(crate) const FAILED: Self = Self(1 << 13);
    /// The program reads when it likes ([`Net::read`](crate::Net::read)).
    pub(crate) const PULL: Self = Self(1 << 14);
    /// `on_readable` has been made, and the program has not read all since.
    pub(crate) const READABLE_REPORTED: Self = Self(1 << 15);

    /// A connection that was made elsewhere, until it opens.
    pub(crate) const INSERTED: Self = Self::END_READ;

    /// A listener that the platform was told not to report.
    pub(crate) const MUTED: Self = Self::BLOCKED;
    /// A listener that cannot accept now: no slot is free for it, or the platform is exhausted.
    pub(crate) const STALLED: Self = Self::PAUSED;
    /// A listener that the program has paused.
    pub(crate) const LISTEN_PAUSED: Self = Self::PULL;
    /// A listener whose platform was exhausted, which the program knows.
    pub(crate) const EXHAUSTED_REPORTED: Self = Self::FINISHED;

    /// The platform of a datagram socket was told to report room.
    pub(crate) const ROOM_AWAITED: Self = Self::FINISHING;

    /// All that says that there is something to read.
    pub(crate) const UNREAD: Self = Self::READABLE
        .with(Self::READ_TO_END)
        .with(Self::FAILED)
        .with(Self::READABLE_REPORTED);
    /// The bits of the phase.
    const PHASE: Self = Self(0xf << 8);
    const OPEN: Self = Self(Phase::Open.bits() << 8);

    /// Returns the phase and the flags as bits.
    #[cfg(feature = "search")]
    pub(crate) const fn bits(self) -> u16 {
        self.0
    }

    /// Returns true if the socket is open and no latch is set: it is neither blocked nor finished,
    /// paused, queued nor corked. One comparison, for the usual path.
    #[inline]
    pub(crate) const fn are_usual(self) -> bool {
        self.0 == Self::OPEN.0
    }

    /// Returns true if the socket is open and the platform takes bytes for it directly.
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

    /// Returns true if any flag of `other` is set.
    #[inline]
    pub(crate) const fn any(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns true if of the flags in `mask` exactly `other`'s are set.
    #[inline]
    pub(crate) const fn only(self, mask: Self, other: Self) -> bool {
        self.0 & mask.0 == other.0
    }

    /// The latches that a report sets.
    pub(crate) fn of(readiness: Readiness) -> Self {
        let last = readiness.is_last();
        let readable = last || readiness.intersects(Readiness::READABLE);
        let failed = readiness.intersects(Readiness::ERROR);
        let last = Self::READ_TO_END.when(last).with(Self::FAILED.when(failed));
        Self::READABLE.when(readable).with(last)
    }

    /// Clears every flag but `other`'s.
    #[inline]
    pub(crate) const fn keep(&mut self, other: Self) {
        self.0 &= other.0;
    }

    /// Returns what the slot is in use for.
    #[inline]
    pub(crate) const fn phase(self) -> Phase {
        Phase::from_bits((self.0 >> 8) & 0xf)
    }

    /// Changes the phase, and no latch.
    #[inline]
    pub(crate) const fn set_phase(&mut self, phase: Phase) {
        self.0 = self.0 & !Self::PHASE.0 | phase.bits() << 8;
    }
}
