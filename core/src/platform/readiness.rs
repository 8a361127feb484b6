//! What a platform reports of its sockets.

use crate::id::SocketId;

/// A set of facts about one socket.
///
/// The bits are those of `epoll` (`epoll_ctl(2)`), so that a report of it needs no translation.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Readiness(u32);

impl Readiness {
    /// No fact.
    pub const NONE: Self = Self(0);
    /// Bytes or, for a listener, a connection can be taken. `EPOLLIN`.
    pub const READABLE: Self = Self(0x1);
    /// Urgent data came (RFC 9293, section 3.8.5), at whose mark a receive may stop short although
    /// there is more: until [`WouldBlock`](crate::Recv::WouldBlock), `drained` means nothing.
    /// `EPOLLPRI`.
    pub const URGENT: Self = Self(0x2);
    /// Room to send came back, or the socket opened. `EPOLLOUT`.
    pub const WRITABLE: Self = Self(0x4);
    /// The connection broke, or could not be opened. `EPOLLERR`.
    pub const ERROR: Self = Self(0x8);
    /// Both directions ended. `EPOLLHUP`.
    pub const HUNG_UP: Self = Self(0x10);
    /// The peer ended its direction. `EPOLLRDHUP`.
    pub const ENDED: Self = Self(0x2000);

    /// No fact: what the loop serves once more. Platforms leave the bit clear.
    pub(crate) const READ_AGAIN: Self = Self(0x8000_0000);

    /// Returns the facts of both sets.
    #[inline]
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns `self` if `condition` holds, else the empty set.
    #[inline]
    #[must_use]
    pub const fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::NONE }
    }

    /// Returns whether any fact of `other` is in the set.
    #[inline]
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns whether all facts of `other` are in the set.
    #[inline]
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the set as bits.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Makes the set of `bits`. Those that are no fact above mean nothing; the highest must be
    /// clear.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Returns true if there is something to read, perhaps room to write, and no other fact.
    #[inline]
    pub(crate) const fn is_readable_and_maybe_writable(self) -> bool {
        self.0 & !Self::WRITABLE.0 == Self::READABLE.0
    }

    /// Returns true if the socket is to be read until nothing is left, whatever a receive says: the
    /// peer's end or an error is there, or a mark at which receives stop.
    pub(crate) const fn is_last(self) -> bool {
        let last = Self::ERROR.union(Self::HUNG_UP).union(Self::ENDED);
        self.intersects(last.union(Self::URGENT))
    }

    /// Returns true if sending may go on, or will show why not.
    pub(crate) const fn is_writable(self) -> bool {
        let writable = Self::WRITABLE.union(Self::ERROR).union(Self::HUNG_UP);
        self.intersects(writable)
    }
}

/// One report: a socket and what became true of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "platforms outside this crate make it"
)]
pub struct Ready {
    /// Which socket, as given to [`Platform::listen`](crate::Platform::listen), `connect` or
    /// `accept`. An id that is stale by now does no harm.
    pub id: SocketId,
    /// What became true.
    pub readiness: Readiness,
}
