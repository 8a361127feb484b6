//! What a stack is made of: addresses, limits, and the caller's memory.

use core::net::{Ipv4Addr, Ipv6Addr};

use smoltcp::iface::SocketStorage;
use usockets::Duration;

use crate::hash::Secret;
use crate::ip::neighbour::Neighbour;
use crate::ip::route::Address;
use crate::smoltcp::listener::Listener;
use crate::smoltcp::slot::Slot;

/// Most bytes of one receive buffer. Above, smoltcp 0.14 promises a peer a larger window in its
/// SYN|ACK than it keeps (the window there is not scaled, but is remembered as if it were).
pub const RECV_MAX: usize = 65_535;
/// Most size classes of one stack.
pub const CLASSES_MAX: usize = 8;

/// Who a stack is and how long it waits for whom.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Config<'a> {
    /// Own hardware address; not used on a device without Ethernet.
    pub mac: [u8; 6],
    /// Own addresses, at most [`crate::ADDRESSES_MAX`]. An IPv6 neighbour is only found through a
    /// link-local address or one of its link, so give one of each.
    pub addresses: &'a [Address],
    /// Where IPv4 packets that leave the link go.
    pub gateway_v4: Option<Ipv4Addr>,
    /// Where IPv6 packets that leave the link go.
    pub gateway_v6: Option<Ipv6Addr>,
    /// 16 random bytes, new at every start.
    pub secret: Secret,
    /// How long the stack waits for whom.
    pub limits: Limits,
    /// Answer with SYN cookies when no more half-open connections may be held. On by default; off,
    /// the oldest half-open connection makes place.
    pub cookies: bool,
}

impl<'a> Config<'a> {
    /// Makes a configuration without gateways and with the default limits.
    #[must_use]
    pub const fn new(mac: [u8; 6], addresses: &'a [Address], secret: Secret) -> Self {
        Self {
            mac,
            addresses,
            gateway_v4: None,
            gateway_v6: None,
            secret,
            limits: Limits::DEFAULT,
            cookies: true,
        }
    }

    /// Sets [`Self::gateway_v4`].
    #[must_use]
    pub const fn gateway_v4(mut self, gateway: Ipv4Addr) -> Self {
        self.gateway_v4 = Some(gateway);
        self
    }

    /// Sets [`Self::gateway_v6`].
    #[must_use]
    pub const fn gateway_v6(mut self, gateway: Ipv6Addr) -> Self {
        self.gateway_v6 = Some(gateway);
        self
    }

    /// Sets [`Self::limits`].
    #[must_use]
    pub const fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Sets [`Self::cookies`].
    #[must_use]
    pub const fn cookies(mut self, on: bool) -> Self {
        self.cookies = on;
        self
    }
}

/// How long a stack waits for whom. Each is at most 30 minutes, and kept to 70 ms.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Limits {
    /// From a connect's start until it is open. 10 s by default, as long as a loop gives it.
    pub connect: Duration,
    /// From a SYN until the handshake is complete (SYN-RECEIVED). 5 s by default.
    pub handshake: Duration,
    /// Without a sign of the peer while something is unacknowledged. 120 s by default (RFC 9293,
    /// section 3.8.3, asks for at least 100 s). Once the owner has closed, also the time in which
    /// the peer must take a segment of what is left.
    pub answer: Duration,
    /// For the peer's end after ours, once the owner has closed (FIN-WAIT-2, CLOSING, LAST-ACK).
    /// 60 s by default. TIME-WAIT lasts smoltcp's 10 s.
    pub closing: Duration,
}

impl Limits {
    /// The default limits.
    pub const DEFAULT: Self = Self {
        connect: Duration::from_secs(10),
        handshake: Duration::from_secs(5),
        answer: Duration::from_secs(120),
        closing: Duration::from_secs(60),
    };

    /// Sets [`Self::connect`].
    #[must_use]
    pub const fn connect(mut self, limit: Duration) -> Self {
        self.connect = limit;
        self
    }

    /// Sets [`Self::handshake`].
    #[must_use]
    pub const fn handshake(mut self, limit: Duration) -> Self {
        self.handshake = limit;
        self
    }

    /// Sets [`Self::answer`].
    #[must_use]
    pub const fn answer(mut self, limit: Duration) -> Self {
        self.answer = limit;
        self
    }

    /// Sets [`Self::closing`].
    #[must_use]
    pub const fn closing(mut self, limit: Duration) -> Self {
        self.closing = limit;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::DEFAULT
    }
}

/// Some of a stack's slots, all with buffers of one size.
///
/// A listener or a connect takes its connections from the first class whose buffers are at least
/// as large as the endpoint's `recv_buffer` and `send_buffer` ask for; from the first class of all
/// when they ask for nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct SizeClass {
    /// Number of slots.
    pub connections: usize,
    /// Bytes of each receive buffer, 1 to [`RECV_MAX`].
    pub recv: usize,
    /// Bytes of each send buffer, at least 1; filled no further than the congestion window goes.
    pub send: usize,
    /// Most connections of the class in SYN-RECEIVED; half of them, rounded up, by default. What
    /// comes beyond is answered with cookies.
    pub half_open: usize,
}

impl SizeClass {
    /// Makes a class of `connections` slots with buffers of `recv` and `send` bytes.
    #[must_use]
    pub const fn new(connections: usize, recv: usize, send: usize) -> Self {
        Self {
            connections,
            recv,
            send,
            half_open: connections.div_ceil(2),
        }
    }

    /// Sets [`Self::half_open`].
    #[must_use]
    pub const fn half_open(mut self, connections: usize) -> Self {
        self.half_open = connections;
        self
    }

    /// Returns the bytes that the class takes of [`Memory::bytes`].
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.connections
            .saturating_mul(self.recv.saturating_add(self.send))
    }
}

/// All memory of one stack, lent for as long as it lives. Nothing more is ever asked for.
#[expect(clippy::exhaustive_structs, reason = "the caller makes it")]
pub struct Memory<'a> {
    /// One for each slot of all classes; 16,777,216 at most.
    pub slots: &'a mut [Slot<'a>],
    /// smoltcp's part of each slot; as many as `slots`.
    pub storage: &'a mut [SocketStorage<'a>],
    /// The buffers of all classes ([`SizeClass::bytes`]).
    pub bytes: &'a mut [u8],
    /// The table from addresses to slots; the largest power of two of them is used. As many as
    /// slots, or more.
    pub buckets: &'a mut [u32],
    /// One for each listener, at most 255.
    pub listeners: &'a mut [Listener],
    /// One for each neighbour on the link that is talked to; four times that many, so that they
    /// never push each other out. Not used on a device without Ethernet.
    pub neighbours: &'a mut [Neighbour],
    /// For one frame: [`crate::Capabilities::frame_max`] bytes and at least 128.
    pub scratch: &'a mut [u8],
}

impl core::fmt::Debug for Memory<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Memory")
            .field("slots", &self.slots.len())
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}
