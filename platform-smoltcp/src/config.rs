//! What a stack is made of: addresses, limits, and the caller's memory.

use core::net::{Ipv4Addr, Ipv6Addr};

use usockets::{Budget, Duration};

use crate::hash::Secret;
use crate::ip::route::Address;
use crate::stack::lease::{InFlight, Resting, Working};
use crate::stack::slot::Slot;
#[cfg(feature = "ecn")]
use crate::tcp::Ecn;
use crate::tcp::{Block, Outstanding};

/// Most size classes of one stack.
pub const CLASSES_MAX: usize = 8;
/// Least time between keep-alive probes, as on Linux: a peer far away needs it for its answer.
pub(crate) const KEEPALIVE_MIN: Duration = Duration::from_secs(1);

/// Who a stack is and how long it waits for whom.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Config<'a> {
    /// Own hardware address; not used on a device without Ethernet.
    pub mac: [u8; 6],
    /// Own addresses, at most [`crate::ADDRESSES_MAX`], of IPv6 only with the feature `ipv6`. An
    /// IPv6 neighbour is only found through a link-local address or one of its link, so give one of
    /// each.
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
    /// or without the feature `cookies`, the oldest half-open connection makes place.
    pub cookies: bool,
    /// Tell the link of the own addresses when the stack starts, by gratuitous ARP (RFC 5227,
    /// section 2.3) and unsolicited neighbour advertisements (RFC 4861, section 7.2.6), twice. On
    /// by default; without, switches and neighbours may send to where the addresses were before
    /// for a while.
    pub announce: bool,
    /// Make sure that no other station of the link has an address before it is used, by ARP probes
    /// (RFC 5227, section 2.1) and by neighbour solicitations (duplicate address detection, RFC
    /// 4862, section 5.4). Off by default: addresses are of use at once. An IPv4 address then takes
    /// 4 to 7 seconds, one of IPv6 1 to 2, and is announced after that, as [`Self::announce`] says.
    /// Devices without Ethernet have nobody to ask, and nothing is probed there.
    ///
    /// Until then an address is [tentative](crate::AddressState::Tentative). A listener at it, or
    /// at all addresses, accepts as soon as it is in use; a connect that would have to come from it
    /// is [`Error::AddressUnavailable`](usockets::Error::AddressUnavailable), and so it remains if
    /// another station has it. [`Stack::next_address_change`](crate::Stack::next_address_change)
    /// tells what has come of each address.
    #[cfg(feature = "dad")]
    pub probe_addresses: bool,
    /// How long after the last frame the stack looks for the next one before it sleeps. Zero, the
    /// default, sleeps at once: that saves power, and the waking costs some microseconds.
    pub busy_poll: Duration,
    /// Let the segments of a connection leave at a rate and not in bursts
    /// ([`tcp::Settings::pacing`](crate::tcp::Settings::pacing)). Off by default.
    #[cfg(feature = "pacing")]
    pub pacing: bool,
    /// Which congestion control connections use. CUBIC by default.
    #[cfg(feature = "bbr")]
    pub algorithm: crate::tcp::Algorithm,
    /// Whether connections use explicit congestion notification (RFC 3168): if the peer asks for
    /// it, by default.
    #[cfg(feature = "ecn")]
    pub ecn: Ecn,
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
            announce: true,
            #[cfg(feature = "dad")]
            probe_addresses: false,
            busy_poll: Duration::ZERO,
            #[cfg(feature = "pacing")]
            pacing: false,
            #[cfg(feature = "bbr")]
            algorithm: crate::tcp::Algorithm::Cubic,
            #[cfg(feature = "ecn")]
            ecn: Ecn::Accept,
        }
    }

    /// Sets [`Self::ecn`].
    #[cfg(feature = "ecn")]
    #[must_use]
    pub const fn ecn(mut self, ecn: Ecn) -> Self {
        self.ecn = ecn;
        self
    }

    /// Sets [`Self::algorithm`].
    #[cfg(feature = "bbr")]
    #[must_use]
    pub const fn algorithm(mut self, algorithm: crate::tcp::Algorithm) -> Self {
        self.algorithm = algorithm;
        self
    }

    /// Sets [`Self::pacing`].
    #[cfg(feature = "pacing")]
    #[must_use]
    pub const fn pacing(mut self, on: bool) -> Self {
        self.pacing = on;
        self
    }

    /// Sets [`Self::announce`].
    #[must_use]
    pub const fn announce(mut self, on: bool) -> Self {
        self.announce = on;
        self
    }

    /// Sets [`Self::probe_addresses`].
    #[cfg(feature = "dad")]
    #[must_use]
    pub const fn probe_addresses(mut self, on: bool) -> Self {
        self.probe_addresses = on;
        self
    }

    /// Sets [`Self::busy_poll`].
    #[must_use]
    pub const fn busy_poll(mut self, time: Duration) -> Self {
        self.busy_poll = time;
        self
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

/// Timeouts of a stack, each at most 30 minutes, with a resolution of 70 ms.
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
    /// 60 s by default.
    pub closing: Duration,
    /// TIME-WAIT: twice the time that a segment may live in the network (RFC 9293, section 3.6.1).
    /// 60 s by default, as on Linux.
    pub time_wait: Duration,
}

impl Limits {
    /// The default limits.
    pub const DEFAULT: Self = Self {
        connect: Duration::from_secs(10),
        handshake: Duration::from_secs(5),
        answer: Duration::from_secs(120),
        closing: Duration::from_secs(60),
        time_wait: Duration::from_secs(60),
    };

    /// Sets [`Self::time_wait`].
    #[must_use]
    pub const fn time_wait(mut self, limit: Duration) -> Self {
        self.time_wait = limit;
        self
    }

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
    /// Bytes of each receive buffer, at least 1. Above 65,535 the windows told are scaled
    /// (RFC 7323), and long paths carry more.
    pub recv: usize,
    /// Bytes of each send buffer, at least 1.
    pub send: usize,
    /// Most connections of the class in SYN-RECEIVED; half of them, rounded up, by default. What
    /// comes beyond is answered with cookies.
    pub half_open: usize,
    /// Segments that one connection may have on their way, at least four. By default a quarter more
    /// than the send buffer holds of 1,220 octets each, which are what IPv6 promises to carry.
    pub outstanding: usize,
    /// Ranges of octets that one connection keeps that came out of order; what makes more of them
    /// is dropped. By default one for each 2 KiB of the receive buffer, 4 to 32.
    pub ranges: usize,
    /// Sets of control block, buffers and tables; as many as slots, by default.
    working: usize,
    /// Connections lease them.
    leased: bool,
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
            outstanding: outstanding_for(send),
            ranges: ranges_for(recv),
            working: connections,
            leased: false,
        }
    }

    /// Lets the connections of the class lease their buffers, tables and control blocks, of which
    /// there are `sets` for all of them. A connection that has nothing to do holds
    /// none, and takes less than 200 bytes in all; a server of many connections most of which are
    /// silent needs a small part of the memory.
    ///
    /// Every connection is told the whole receive buffer as its window. What comes when all sets
    /// are in use is dropped, as if the network had lost it, and comes again. Owners that want to
    /// send wait, first come, first served. Peers that hold a set and take nothing for 10 s lose
    /// their connection if others want one, and what only came out of order is forgotten then. No
    /// more than half of `sets` are for connections that are half open, others get cookies; and no
    /// more than three quarters for what owners have not received, so that some are left to those
    /// that send.
    ///
    /// What an owner does not receive keeps its set. So a program that reads from some connections
    /// only when others have answered gives those others a class of their own: in one class, three
    /// quarters of the sets may wait for answers that find none. The same holds of an accept queue
    /// whose connections have sent something: have a slot for each of them, or a short queue.
    ///
    /// Choose twice as many sets as you expect connections to be busy at once. With less, streams
    /// are slow, but each goes on, even with one set for all: where somebody has found none, and
    /// none has been free for a quarter of a second, those that have one take and send nothing more
    /// until one is free again, and that is for who was not served in the last second. A peer sends
    /// again more and more seldom, so with many times less it may find no free set as often as it
    /// tries, and give up as on a path that loses everything.
    ///
    /// Only text needs a set. While none is free, keep-alive probes are still answered and sent,
    /// and the peer's end and resets are heard. A class may have no set at all: its connections
    /// open by cookies, stay, and end, be it by their peers, by a timeout of the program or by
    /// keep-alives that nobody answers. What comes is dropped as often as it comes, a send takes 0
    /// bytes, and no owner is told that it may send. A connect there is
    /// [`Error::Exhausted`](usockets::Error::Exhausted), and without [`Config::cookies`] SYNs are
    /// dropped.
    #[cfg(feature = "leases")]
    #[must_use]
    pub const fn leased(mut self, sets: usize) -> Self {
        self.working = sets;
        self.leased = true;
        self
    }

    /// Returns true if its connections lease their memory.
    #[inline]
    pub(crate) const fn is_leased(&self) -> bool {
        self.leased
    }

    /// Returns the number of sets.
    pub(crate) const fn sets(&self) -> usize {
        self.working
    }

    /// Returns the entries that the class takes of [`Memory::working`](crate::Memory): its sets, if
    /// they are for life.
    #[must_use]
    pub const fn working_len(&self) -> usize {
        if self.leased { 0 } else { self.working }
    }

    /// Returns the entries that the class takes of [`Memory::in_flight`](crate::Memory): its sets,
    /// if they are leased.
    #[must_use]
    pub const fn in_flight_len(&self) -> usize {
        if self.leased { self.working } else { 0 }
    }

    /// Returns the entries that the class takes of [`Memory::resting`](crate::Memory).
    #[must_use]
    pub const fn resting_len(&self) -> usize {
        if self.leased { self.connections } else { 0 }
    }

    /// Sets [`Self::outstanding`].
    #[must_use]
    pub const fn outstanding(mut self, segments: usize) -> Self {
        self.outstanding = segments;
        self
    }

    /// Sets [`Self::ranges`].
    #[must_use]
    pub const fn ranges(mut self, ranges: usize) -> Self {
        self.ranges = ranges;
        self
    }

    /// Returns the entries that the class takes of [`Memory::outstanding`](crate::Memory).
    #[must_use]
    pub const fn outstanding_len(&self) -> usize {
        self.working.saturating_mul(self.outstanding)
    }

    /// Returns the entries that the class takes of [`Memory::ranges`](crate::Memory).
    #[must_use]
    pub const fn ranges_len(&self) -> usize {
        self.working.saturating_mul(self.ranges)
    }

    /// Returns true if connections of the class can work.
    pub(crate) const fn is_sound(&self) -> bool {
        const BUFFER_MAX: usize = 1 << 30;
        self.recv > 0
            && self.send > 0
            && self.recv <= BUFFER_MAX
            && self.send <= BUFFER_MAX
            && self.outstanding >= 4
    }

    /// Sets [`Self::half_open`].
    #[must_use]
    pub const fn half_open(mut self, connections: usize) -> Self {
        self.half_open = connections;
        self
    }

    /// Returns the bytes that the class takes of [`Memory::bytes`](crate::Memory::bytes).
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.working
            .saturating_mul(self.recv.saturating_add(self.send))
    }

    /// Returns what the class takes of [`Memory`](crate::Memory): slots, control blocks, buffers,
    /// both kinds of entries, and one bucket a slot.
    #[must_use]
    pub const fn budget(&self) -> Budget {
        let buffers = Budget::of::<u8>().times(self.recv.saturating_add(self.send));
        let sets = buffers
            .and(Budget::of::<Outstanding>().times(self.outstanding))
            .and(Budget::of::<Block>().times(self.ranges))
            .times(self.working);
        Budget::of::<Slot>()
            .and(Budget::of::<u32>())
            .times(self.connections)
            .and(Budget::of::<Working>().times(self.working_len()))
            .and(Budget::of::<InFlight>().times(self.in_flight_len()))
            .and(Budget::of::<Resting>().times(self.resting_len()))
            .and(sets)
    }
}

/// Returns how many segments a send buffer of `send` bytes has on their way at most.
const fn outstanding_for(send: usize) -> usize {
    let segments = send.div_ceil(1_220);
    segments
        .saturating_add(segments.div_ceil(4))
        .saturating_add(4)
}

/// Returns how many ranges are kept in a receive buffer of `recv` bytes.
const fn ranges_for(recv: usize) -> usize {
    match recv.div_ceil(2_048) {
        0..4 => 4,
        few @ 4..32 => few,
        _ => 32,
    }
}
