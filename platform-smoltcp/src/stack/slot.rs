//! What the stack keeps of one connection beside its control block: whose it is, and where it is
//! listed.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use usockets::{Instant, Readiness, SocketId};

use crate::hash::Secret;
use crate::number::{high, low};
use crate::pool::links::{Links, Node};
use crate::pool::wheel::tick_of;
use crate::stack::lease::{Resting, Working};
use crate::wire::HAS_V6;

/// No listener.
pub(super) const NO_LISTENER: u8 = u8::MAX;

/// The two ends of a connection, as segments name them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ends {
    /// The peer's address; one of IPv4 is mapped (RFC 4291, section 2.5.5.2).
    remote: [u8; 16],
    remote_port: u16,
    local_port: u16,
    /// Which of our own addresses ([`crate::ip::route::Routes::own_at`]).
    local: u8,
}

impl Ends {
    /// Of nobody.
    const NONE: Self = Self {
        remote: [0; 16],
        remote_port: 0,
        local_port: 0,
        local: 0,
    };

    /// Makes the ends of a connection between the own address of a number and `remote`.
    #[inline]
    pub(super) fn new((local, local_port): (u8, u16), remote: IpAddr, remote_port: u16) -> Self {
        let remote = match remote {
            IpAddr::V4(ip) => ip.to_ipv6_mapped(),
            IpAddr::V6(ip) => ip,
        };
        Self {
            remote: remote.octets(),
            remote_port,
            local_port,
            local,
        }
    }

    /// Returns the peer's address.
    #[inline]
    pub(super) const fn remote_ip(&self) -> IpAddr {
        // Compared as a number, not octet by octet as `Ipv6Addr::to_ipv4_mapped` does.
        let [.., a, b, c, d] = self.remote;
        if !HAS_V6 || u128::from_be_bytes(self.remote) >> 32 == 0xffff {
            IpAddr::V4(Ipv4Addr::new(a, b, c, d))
        } else {
            IpAddr::V6(Ipv6Addr::from_octets(self.remote))
        }
    }

    /// Returns the peer's address and port.
    pub(super) const fn remote(&self) -> SocketAddr {
        SocketAddr::new(self.remote_ip(), self.remote_port)
    }

    #[inline]
    pub(super) const fn remote_port(&self) -> u16 {
        self.remote_port
    }

    #[inline]
    pub(super) const fn local_port(&self) -> u16 {
        self.local_port
    }

    /// Returns the number of the own address.
    #[inline]
    pub(super) const fn local_number(&self) -> u8 {
        self.local
    }

    /// Returns a keyed hash of the ends and one word more.
    #[inline]
    pub(super) fn hash(&self, secret: Secret, extra: u64) -> u64 {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = self.remote;
        let ports = (u64::from(self.local_port) << 16) | u64::from(self.remote_port);
        let last = (u64::from(self.local) << 32) | ports;
        secret.hash(&[
            u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            u64::from_le_bytes([i, j, k, l, m, n, o, p]),
            last,
            extra,
        ])
    }

    /// Returns 32 bits of [`Self::hash`].
    #[inline]
    pub(super) fn hash32(&self, secret: Secret) -> u32 {
        let hash = self.hash(secret, 0);
        low(hash) ^ high(hash)
    }
}

/// One connection's place in a stack, lent by the caller as [`Slot::EMPTY`].
///
/// It holds whose a connection is and where it is listed; its control block and its buffers are
/// apart ([`crate::Memory`]).
///
/// | part | bytes |
/// |---|---|
/// | places in the table, two rings, a list and the timing wheel | 36 |
/// | the owner's name | 8 |
/// | addresses and ports of both ends | 22 |
/// | limit of the phase, and what was left to deliver when it was set | 8 |
/// | listener, size class, phase, what is to be reported, flags | 5 |
/// | sum, rounded up | 80 |
///
/// What holds in which phase:
///
/// | phase | limit | listener | owner, facts | flags |
/// |---|---|---|---|---|
/// | free | | | | |
/// | half-open | the handshake's | its own | | `LIMITED` |
/// | waiting | | its own | | `ENDED` |
/// | owned | | | both | `ENDED`, `FINISHED`, `STARVED`, `SEND_DUE`, `FINISH_DUE` |
/// | delivering | the answer's | | | `LIMITED`, `ENDED`, `STARVED`, `CLOSE_DUE` |
/// | closing | the closing's | | | `LIMITED` |
/// | TIME-WAIT, without a table for it | | | | |
///
/// A flag that is not listed may be left from an earlier phase, and means nothing, but for
/// `SEND_DUE`: until `rest` has cleared it, `take_back` leaves the connection its set. `ENDED` may
/// be set in closing and TIME-WAIT too. The answer's limit is set anew whenever the peer has taken
/// a whole segment, or all; there is none if only a reset is due. TIME-WAIT ends by the engine's
/// own timer.
#[derive(Debug)]
pub struct Slot {
    pub(super) links: Links,
    /// Bits of the owner's `SocketId`; 0 without an owner.
    pub(super) owner: u64,
    pub(super) ends: Ends,
    /// The tick at which the phase ends by itself; meaningful with [`Flags::LIMITED`].
    pub(super) limit: u32,
    /// Octets that the peer had not acknowledged when the limit was set; in
    /// [`Phase::Delivering`].
    pub(super) left: u32,
    /// Which listener's it is before it is accepted; [`NO_LISTENER`] afterwards.
    pub(super) listener: u8,
    pub(super) class: u8,
    pub(super) phase: Phase,
    pub(super) facts: Facts,
    pub(super) flags: Flags,
}

/// Bytes of a bucket of the table of addresses.
const BUCKET_LEN: usize = size_of::<u32>();
/// Bytes that counting what was sent again adds.
const VIEW_LEN: usize = if cfg!(feature = "connections") { 4 } else { 0 };
// What a connection takes beside its buffers and tables, if it keeps them for life.
const _: () = assert!(
    size_of::<Slot>() + BUCKET_LEN + size_of::<Working>()
        <= 340 + VIEW_LEN + crate::tcp::PACE_LEN + crate::tcp::MODEL_LEN
);
// And what a quiet one takes that leases them: all there is.
const _: () = assert!(size_of::<Slot>() + BUCKET_LEN + size_of::<Resting>() <= 200);

impl Slot {
    /// A slot that no stack has taken yet.
    pub const EMPTY: Self = Self {
        links: Links::NONE,
        owner: 0,
        ends: Ends::NONE,
        limit: 0,
        left: 0,
        listener: NO_LISTENER,
        class: 0,
        phase: Phase::Free,
        facts: Facts::NONE,
        flags: Flags::NONE,
    };

    /// Returns the owner's name, if there is an owner.
    #[inline]
    pub(super) const fn owner(&self) -> Option<SocketId> {
        SocketId::from_bits(self.owner)
    }

    /// Limits the phase to the tick `at`.
    pub(super) const fn set_limit(&mut self, at: u32) {
        self.limit = at;
        self.flags.set(Flags::LIMITED);
    }

    /// Returns the ticks until the phase's limit, if it has one; 0 when it is reached.
    #[inline]
    pub(super) fn ticks_left(&self, now: Instant) -> Option<u32> {
        if !self.flags.has(Flags::LIMITED) {
            return None;
        }
        let left = self.limit.wrapping_sub(tick_of(now));
        Some(if left > u32::MAX / 2 { 0 } else { left })
    }
}

impl Node for Slot {
    type Key = Ends;

    #[inline]
    fn links(&self) -> &Links {
        &self.links
    }

    #[inline]
    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }

    #[inline]
    fn has_key(&self, key: &Ends) -> bool {
        self.ends == *key
    }
}

/// Who has a slot and in which list it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Nobody; in its class's free list.
    Free,
    /// A SYN came for a listener; in its class's list of half-open connections.
    HalfOpen,
    /// Established; in its listener's accept queue.
    Waiting,
    /// A loop's socket; in no list but, while it is `STARVED`, its class's of those that wait for a
    /// set.
    Owned,
    /// Closed by its owner, with octets or our FIN still to deliver; listed as when it was owned.
    Delivering,
    /// Closed by its owner and all delivered, but not closed by both; in its class's list.
    Closing,
    /// RFC 9293's TIME-WAIT without an owner; in its class's list.
    TimeWait,
}

impl Phase {
    /// Returns true if neither a loop nor a listener knows of the connection any more.
    pub(super) const fn is_orphaned(self) -> bool {
        matches!(self, Self::Delivering | Self::Closing | Self::TimeWait)
    }
}

/// What is to be reported, in one byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Facts(u8);

impl Facts {
    pub(super) const NONE: Self = Self(0);
    pub(super) const READABLE: Self = Self(1);
    pub(super) const WRITABLE: Self = Self(2);
    /// The peer's end: read until it shows.
    pub(super) const ENDED: Self = Self(4 | 1);
    /// The connection broke: read until it shows, or see it in a send.
    pub(super) const ERROR: Self = Self(8 | 4 | 2 | 1);

    #[inline]
    pub(super) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    pub(super) const fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::NONE }
    }

    /// Returns them in the contract's words.
    #[inline]
    pub(super) const fn readiness(self) -> Readiness {
        Readiness::READABLE
            .when(self.0 & 1 != 0)
            .union(Readiness::WRITABLE.when(self.0 & 2 != 0))
            .union(Readiness::ENDED.when(self.0 & 4 != 0))
            .union(Readiness::ERROR.when(self.0 & 8 != 0))
    }
}

/// Small facts about a slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Flags(u8);

impl Flags {
    const NONE: Self = Self(0);
    /// The phase has a limit.
    pub(super) const LIMITED: u8 = 1;
    /// The peer's end has come: there is nothing after what can be received.
    pub(super) const ENDED: u8 = 2;
    /// The owner has ended our direction.
    pub(super) const FINISHED: u8 = 4;
    /// It waits for a set, in its class's queue.
    pub(super) const STARVED: u8 = 8;
    /// The owner wants to send, ends our direction, or has closed, once there is a set. `SEND_DUE`
    /// without `STARVED`: there is one, and the owner's turn to send with it is not over.
    pub(super) const SEND_DUE: u8 = 16;
    pub(super) const FINISH_DUE: u8 = 32;
    pub(super) const CLOSE_DUE: u8 = 64;

    #[inline]
    pub(super) const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    #[inline]
    pub(super) const fn set(&mut self, flag: u8) {
        self.0 |= flag;
    }

    #[inline]
    pub(super) const fn clear(&mut self, flag: u8) {
        self.0 &= !flag;
    }

    /// Clears all.
    pub(super) const fn reset(&mut self) {
        *self = Self::NONE;
    }
}
