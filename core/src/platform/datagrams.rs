//! The capability of datagrams (UDP, RFC 768; Unix datagram sockets).

use core::net::IpAddr;

use crate::address::Address;
use crate::error::Error;
use crate::id::SocketId;
use crate::platform::Platform;

/// A platform that has datagram sockets.
///
/// A datagram socket lives in a pool slot as a stream does, and is reported by the same
/// [`Readiness`](crate::Readiness): `READABLE` after a receive said drained or found none,
/// `WRITABLE` after a send took fewer than it was given, exactly once each. An ICMP error is
/// reported as `ERROR` and belongs to the datagram that caused it, never to the socket
/// ([`Self::next_error`]). [`Platform::open`] says done of it at once.
///
/// Batches are the unit, since one system call can carry many datagrams (`recvmmsg(2)`,
/// `sendmmsg(2)`, and the kernel's segmentation offload, `udp(7)`). Their memory is the caller's.
pub trait Datagrams: Platform {
    /// Opens a datagram socket at `at` in `socket`, which is [`Platform::CLOSED`]. Port 0 lets the
    /// platform choose one. Reports carry `id`. Closed as any socket, by [`Platform::close`].
    ///
    /// # Errors
    /// As [`Platform::listen`].
    fn bind(&mut self, socket: &mut Self::Socket, id: SocketId, at: Address) -> Result<(), Error>;

    /// Fixes the peer: only its datagrams are received, and [`Departure::to`] may be left out.
    ///
    /// # Errors
    /// No route leads to the peer, or the socket is no datagram socket.
    fn set_peer(&mut self, socket: &mut Self::Socket, peer: Address) -> Result<(), Error>;

    /// Receives up to `arrivals.len()` datagrams. `memory` is cut into that many equal parts; the
    /// one that `arrivals[i]` describes lies at the front of part `i`.
    ///
    /// # Errors
    /// The socket is closed or the platform broke; never what became of a datagram.
    fn recv_batch(
        &mut self,
        socket: &mut Self::Socket,
        memory: &mut [u8],
        arrivals: &mut [Arrival],
    ) -> Result<Arrivals, Error>;

    /// Takes datagrams for sending, in order, out of `memory`, and returns how many: fewer than
    /// given when it would block, or when the next cannot be sent, of which the next call tells.
    /// The bytes are the caller's again when it returns.
    ///
    /// A run of which only a part was taken before it would block counts as taken, and the rest is
    /// lost, as datagrams may be.
    ///
    /// # Errors
    /// The first datagram cannot be sent at all (too large, no route, not permitted; no receiver at
    /// a Unix socket's address, or [`Error::Exhausted`] if that one's queue is full and it is not
    /// the fixed peer) and is left out; those behind it can be tried.
    fn send_batch(
        &mut self,
        socket: &mut Self::Socket,
        memory: &[u8],
        departures: &[Departure],
    ) -> Result<usize, Error>;

    /// Tells that the loop waits for room (true), because a send took none, or no more (false).
    /// On true, room that is there is reported as well.
    ///
    /// For platforms where reports that nobody waits for cost something; the others do nothing.
    fn await_room(&mut self, socket: &mut Self::Socket, id: SocketId, on: bool) {
        let _ = (socket, id, on);
    }

    /// Returns the next error that came back for a datagram sent earlier (ICMP; `IP_RECVERR`,
    /// `ip(7)`), or `None` when there are no more.
    fn next_error(&mut self, socket: &mut Self::Socket) -> Option<DatagramError>;

    /// Changes an option of the socket.
    ///
    /// # Errors
    /// As [`Platform::set_option`].
    fn set_datagram_option(
        &mut self,
        socket: &mut Self::Socket,
        option: DatagramOption,
    ) -> Result<(), Error>;
}

/// What [`Datagrams::recv_batch`] received.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "platforms outside this crate make it"
)]
pub struct Arrivals {
    /// Datagrams, or runs of them, received: how many of `arrivals` count.
    pub count: usize,
    /// Is true if nothing more can be received until the next report.
    pub drained: bool,
}

/// One received datagram, or a run of equally long ones that the platform put together.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "platforms outside this crate make it"
)]
pub struct Arrival {
    /// Bytes received.
    pub len: usize,
    /// Bytes of each datagram of a run but the last, which may be shorter; 0 if it is one datagram
    /// (`UDP_GRO`).
    pub segment: u16,
    /// Who sent it.
    pub peer: Address,
    /// The address it was sent to, if the platform tells: one of several local ones, a broadcast
    /// address or a multicast group.
    pub destination: Option<IpAddr>,
    /// The interface that received it, by number; 0 if the platform does not tell.
    pub interface: u32,
    /// Its congestion mark (RFC 3168).
    pub ecn: Ecn,
    /// Its time to live or hop limit when it came, if the platform tells.
    pub hops: Option<u8>,
    /// Is true if it was longer than the memory for it, and its end is lost.
    pub truncated: bool,
}

/// One datagram to send, or a run of equally long ones.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "programs make it")]
pub struct Departure {
    /// Where its bytes start in the memory of the batch.
    pub start: usize,
    /// Bytes to send.
    pub len: usize,
    /// Bytes of each datagram of a run but the last, which may be shorter; 0 if it is one datagram
    /// (`UDP_SEGMENT`). A platform that cannot splits the run itself.
    pub segment: u16,
    /// Where it goes; [`Address::Unnamed`] to the peer of [`Datagrams::set_peer`].
    pub to: Address,
    /// The local address to send from, for sockets bound to all of them; the platform's choice if
    /// `None`.
    pub source: Option<IpAddr>,
    /// The interface to send through, by number; 0 leaves it to the routing table.
    pub interface: u32,
    /// Its congestion mark (RFC 3168).
    pub ecn: Ecn,
}

/// A congestion mark (RFC 3168, section 5).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "two bits, all values named")]
#[repr(u8)]
pub enum Ecn {
    /// The sender does not react to marks.
    #[default]
    NotEct = 0,
    /// ECN-capable transport, codepoint 1.
    Ect1,
    /// ECN-capable transport, codepoint 0.
    Ect0,
    /// A router was congested.
    CongestionExperienced,
}

/// An error that came back for a datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct DatagramError {
    /// Where the datagram was going.
    pub to: Address,
    /// What became of it: [`Error::Refused`] (port unreachable), [`Error::Unreachable`], or
    /// [`Error::Invalid`] when it was too large for the path.
    pub error: Error,
    /// The largest packet the path takes, when that is why; 0 otherwise.
    pub path_mtu: u32,
}

impl DatagramError {
    /// Makes the error of a datagram that went to `to`. For platforms.
    #[must_use]
    pub const fn new(to: Address, error: Error, path_mtu: u32) -> Self {
        Self {
            to,
            error,
            path_mtu,
        }
    }
}

/// An option of a datagram socket, with its new value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DatagramOption {
    /// Lets datagrams go to broadcast addresses (`SO_BROADCAST`).
    Broadcast(bool),
    /// Joins a multicast group on an interface, by number (0 is the platform's choice), for one
    /// source or for all (RFC 3376, RFC 3810).
    Join {
        /// The group.
        group: IpAddr,
        /// The only source whose datagrams are wanted; all if `None`.
        source: Option<IpAddr>,
        /// The interface, by number.
        interface: u32,
    },
    /// Leaves a multicast group joined with the same values.
    Leave {
        /// The group.
        group: IpAddr,
        /// The source given when joining.
        source: Option<IpAddr>,
        /// The interface given when joining.
        interface: u32,
    },
    /// Delivers what is sent to a joined group here as well (`IP_MULTICAST_LOOP`).
    MulticastLoop(bool),
    /// The time to live of multicasts (`IP_MULTICAST_TTL`).
    MulticastHops(u8),
    /// The time to live or hop limit (`IP_TTL`, `IPV6_UNICAST_HOPS`).
    Hops(u8),
    /// Sends probes of any size, never fragmented, to find the path's largest
    /// (`IP_PMTUDISC_PROBE`; RFC 8899).
    MtuProbing(bool),
}
