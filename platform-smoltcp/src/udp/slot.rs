//! One datagram socket.

use core::net::{IpAddr, SocketAddr};

use usockets::{Address, DatagramError, Error, Readiness, SocketId};

use crate::pool::links::{Links, Node};
use crate::udp::queue::{Queue, address, octets};

/// Most multicast groups that one socket joins.
pub(crate) const GROUPS_MAX: usize = 4;
/// Most errors that are kept for a socket; what comes beyond is dropped.
const ERRORS_MAX: usize = 4;
/// Hops of what is sent, and of what is sent to groups, unless the socket says otherwise (RFC
/// 1700; RFC 1112, section 6.1).
const HOPS: u8 = 64;
const GROUP_HOPS: u8 = 1;

/// Where a socket is bound.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Bound {
    /// Of IPv4, mapped; the unspecified address of either family for all.
    ip: [u8; 16],
    port: u16,
}

impl Bound {
    const NOWHERE: Self = Self {
        ip: [0; 16],
        port: 0,
    };

    pub(crate) const fn new(ip: IpAddr, port: u16) -> Self {
        Self {
            ip: octets(ip),
            port,
        }
    }

    pub(crate) fn ip(&self) -> IpAddr {
        address(self.ip)
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn words(&self) -> [u64; 3] {
        let [a, b, c, d, e, f, g, h, rest @ ..] = self.ip;
        [
            u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            u64::from_le_bytes(rest),
            u64::from(self.port),
        ]
    }
}

/// An error that came back, in few bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Returned {
    to: SocketAddr,
    error: Error,
    mtu: u32,
}

impl Returned {
    pub(crate) const fn new(to: SocketAddr, error: Error, mtu: u32) -> Self {
        Self { to, error, mtu }
    }

    fn told(self) -> DatagramError {
        DatagramError::new(Address::from(self.to), self.error, self.mtu)
    }
}

/// A multicast group, and the only source wanted of it.
pub(crate) type Group = (IpAddr, Option<IpAddr>);

/// One datagram socket's place in a stack, lent by the caller as [`DatagramSlot::EMPTY`].
#[derive(Debug)]
pub struct DatagramSlot {
    pub(crate) links: Links,
    /// Bits of the owner's `SocketId`; 0 when the place is free.
    pub(crate) owner: u64,
    pub(crate) bound: Bound,
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) received: Queue,
    pub(crate) held: Queue,
    errors: [Option<Returned>; ERRORS_MAX],
    pub(crate) groups: [Option<Group>; GROUPS_MAX],
    /// What is to be reported.
    pub(crate) facts: Readiness,
    /// What comes next is to be reported: all before has been received.
    pub(crate) armed: bool,
    /// A send found no room, and room was not reported since.
    pub(crate) blocked: bool,
    pub(crate) broadcast: bool,
    pub(crate) group_loop: bool,
    pub(crate) hops: u8,
    pub(crate) group_hops: u8,
}

impl DatagramSlot {
    /// A place that no socket has taken.
    pub const EMPTY: Self = Self {
        links: Links::NONE,
        owner: 0,
        bound: Bound::NOWHERE,
        peer: None,
        received: Queue::EMPTY,
        held: Queue::EMPTY,
        errors: [None; ERRORS_MAX],
        groups: [None; GROUPS_MAX],
        facts: Readiness::from_bits(0),
        armed: true,
        blocked: false,
        broadcast: false,
        group_loop: true,
        hops: HOPS,
        group_hops: GROUP_HOPS,
    };

    /// Becomes a socket, or free with no owner; stays in the containers that it is in.
    pub(crate) fn reset(&mut self, owner: u64, bound: Bound) {
        let links = core::mem::replace(&mut self.links, Links::NONE);
        *self = Self {
            links,
            owner,
            bound,
            ..Self::EMPTY
        };
    }

    pub(crate) const fn owner(&self) -> Option<SocketId> {
        SocketId::from_bits(self.owner)
    }

    /// Returns true if it receives from `remote`.
    pub(crate) fn takes_from(&self, remote: SocketAddr) -> bool {
        self.peer.is_none_or(|peer| peer == remote)
    }

    /// Returns true if it has joined a group for what `source` sends.
    pub(crate) fn wants(&self, group: IpAddr, source: IpAddr) -> bool {
        let is_it =
            |(joined, only): &Group| *joined == group && only.is_none_or(|only| only == source);
        self.groups.iter().flatten().any(is_it)
    }

    /// Keeps an error; returns false if there are too many.
    pub(crate) fn push_error(&mut self, error: Returned) -> bool {
        let place = self.errors.iter_mut().find(|place| place.is_none());
        place.is_some_and(|place| {
            *place = Some(error);
            true
        })
    }

    /// Takes the error that came first.
    pub(crate) fn pop_error(&mut self) -> Option<DatagramError> {
        let first = self.errors.first_mut()?.take()?;
        self.errors.rotate_left(1);
        Some(first.told())
    }
}

impl Node for DatagramSlot {
    type Key = Bound;

    fn links(&self) -> &Links {
        &self.links
    }

    fn links_mut(&mut self) -> &mut Links {
        &mut self.links
    }

    fn has_key(&self, key: &Bound) -> bool {
        self.bound == *key
    }
}
