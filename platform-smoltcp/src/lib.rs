//! A TCP stack in user space for [`usockets`], over any packet device, without an operating system,
//! without `std`, without allocation.
//!
//! [`Stack`] is a [`usockets::Platform`], so a handler written for Linux runs on it unchanged.
//! What it costs depends on what happens, not on how many connections there are: a segment finds
//! its connection by a keyed hash, deadlines are in a timing wheel, and a connection with nothing
//! to do is never looked at. IPv4 and IPv6, ARP and neighbour discovery, ping both ways. The TCP is
//! a module of its own ([`tcp`]), which knows neither frames nor addresses, and so are the formats
//! ([`wire`]).
//!
//! # Run over your own network card
//!
//! A driver implements [`PollDevice`]: bursts in, slots out. This one is a loop that leads back to
//! itself; the stack on it finds nobody to talk to, and says so:
//!
//! ```
//! use usockets::{Endpoint, Error, Instant, Platform, SocketId};
//! use usockets_smoltcp::{
//!     Address, Block, Capabilities, Config, Listener, Medium, Memory, Neighbour, Outstanding,
//!     PollDevice, Secret, SizeClass, Slot, Stack, TxMeta, Working,
//! };
//!
//! struct Mirror {
//!     frame: [u8; 1514],
//!     len: usize,
//!     micros: u64,
//! }
//!
//! impl PollDevice for Mirror {
//!     fn capabilities(&self) -> Capabilities {
//!         Capabilities::new(Medium::Ethernet, 1500)
//!     }
//!     fn receive(&mut self, _frames_max: usize) -> usize {
//!         usize::from(self.len > 0)
//!     }
//!     fn frame(&self, _index: usize) -> &[u8] {
//!         &self.frame[..self.len]
//!     }
//!     fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
//!         self.frame.get_mut(..len)
//!     }
//!     fn commit(&mut self, len: usize, _meta: &TxMeta) {
//!         self.len = len;
//!     }
//!     fn wait(&mut self, until: Option<Instant>) {
//!         self.micros = until.map_or(self.micros, Instant::as_micros);
//!     }
//!     fn now(&self) -> Instant {
//!         Instant::from_micros(self.micros)
//!     }
//! }
//!
//! let device = Mirror { frame: [0; 1514], len: 0, micros: 1 };
//! let addresses = [Address::new([10, 0, 0, 2].into(), 24)];
//! let secret = Secret::new(*b"take real random"); // From the hardware, at every start.
//! let config = Config::new([2, 0, 0, 0, 0, 1], &addresses, secret);
//! let classes = [SizeClass::new(4, 1024, 1024)]; // Four connections with 1 KiB each way.
//! let memory = Memory {
//!     slots: &mut [const { Slot::EMPTY }; 4],
//!     working: &mut [const { Working::EMPTY }; 4],
//!     resting: &mut [],
//!     in_flight: &mut [],
//!     outstanding: &mut [Outstanding::EMPTY; 32],
//!     ranges: &mut [Block::EMPTY; 16],
//!     bytes: &mut [0; 4 * 2048],
//!     buckets: &mut [0; 4],
//!     listeners: &mut [const { Listener::EMPTY }; 1],
//!     neighbours: &mut [Neighbour::EMPTY; 8],
//!     scratch: &mut [0; 1514],
//! };
//! let mut stack = Stack::new(device, &config, memory, &classes)?;
//! let mut socket = Stack::<Mirror>::CLOSED;
//! let id = SocketId::from_bits(1 << 32).ok_or(Error::Invalid)?;
//! stack.connect(&mut socket, id, &Endpoint::tcp(([10, 0, 0, 9], 80).into()))?;
//! let ready = loop {
//!     stack.poll(None)?;
//!     if let Some(ready) = stack.next_ready() {
//!         break ready;
//!     }
//! };
//! assert_eq!(stack.open(&mut socket, ready.readiness), Err(Error::Unreachable));
//! assert!(stack.now() >= Instant::from_micros(3_000_000), "asked three times");
//! # Ok::<(), Error>(())
//! ```
//!
//! In tree are, for Linux, `Tap` (feature `tap`), `Packet` for any interface by a packet socket
//! (feature `packet`) and `Xdp` for a queue of one by AF_XDP (feature `afxdp`); `VirtioNet` for
//! virtual machines without an operating system (feature `virtio-net`); [`Wire`] for tests,
//! [`Pcap`] around any device, `FromPhy` and `ToPhy` for smoltcp's own devices (feature `phy`), and
//! `FromEmbassy` and `ToEmbassy` for drivers of `embassy-net` (feature `embassy`). Ports of DPDK
//! are devices by a crate of their own, `usockets-dpdk`.
//!
//! # Or smoltcp's own TCP
//!
//! With the feature `smoltcp` there is a second platform, `Smoltcp`, over smoltcp's interface and
//! TCP sockets as they are: simple, small, and O(n), for a few connections, beside smoltcp's UDP,
//! DHCP and DNS sockets, and to compare [`Stack`] with.
//!
//! # Memory
//!
//! All of it is lent by the caller in [`Memory`]. Beside its two buffers, sized by its
//! [`SizeClass`], a connection takes a [`Slot`], a control block ([`Working`]), 4 bytes in the
//! table of addresses, and two tables whose lengths the class chooses: 12 bytes for each segment
//! that may be on its way ([`SizeClass::outstanding`]), and 8 for each range of octets that may
//! come out of order ([`SizeClass::ranges`]).
//!
//! Or the connections of a class share fewer sets of control block, buffers and tables than there
//! are connections (`SizeClass::leased`, feature `leases`), and each leases one while it has
//! something to do. A silent connection then takes 192 bytes in all: its [`Slot`], 4 bytes in the
//! table of addresses, and a [`Resting`]. When it is over and only TIME-WAIT is left of it, it
//! takes 32 bytes, if the stack is given a table for those (`Stack::start_time_wait`).
//!
//! | of a connection beside buffers | for life | leased, silent | leased, busy | TIME-WAIT |
//! |---|---|---|---|---|
//! | [`Slot`] | 80 | 80 | 80 | |
//! | bucket of the table of addresses | 4 | 4 | 4 | |
//! | [`Working`] ([`tcp::Connection`]) | 256 | | | |
//! | [`Resting`] ([`tcp::Quiet`] and which set it has) | | 108 | 108 | |
//! | [`InFlight`] ([`tcp::Flight`] and whose it is) | | | 188 | |
//! | `TimeWaitSlot` ([`tcp::TimeWait`] and what finds it) | | | | 32 |
//! | sum | 340 | 192 | 380 | 32 |
//!
//! `TimeWaitSlot`, [`InFlight`], [`tcp::Flight`] and [`tcp::Quiet`] say what their bytes are.
//!
//! A window is told when a connection opens and may not shrink (RFC 9293, section 3.8.6), so a
//! silent connection has promised its whole receive buffer without holding one. What then comes
//! while all sets are in use is dropped, as a network would, and comes again. How sets change hands
//! when there are too few is told at `SizeClass::leased`.
//!
//! # Paths
//!
//! Windows are as large as the buffers, which may have 4 MiB and more. A router that says that a
//! segment is too big for its link is believed if the segment was sent (RFC 1191, RFC 8201, RFC
//! 5927), and segments become smaller. Where no such message comes through, they become so after
//! three timeouts, and larger again as far as probes of the path arrive (RFC 4821, feature
//! `plpmtud`, which is on by default); without the feature choose an MTU that passes everywhere
//! ([`Capabilities::mtu`]). A connect ends at once when ICMP says that nobody listens there, and
//! when a neighbour does not answer.
//!
//! Routers may mark what they would otherwise drop, if both ends agree (explicit congestion
//! notification, RFC 3168; feature `ecn`, which is on by default). We agree if the peer asks; to
//! ask, too, is [`Config::ecn`]'s to say.
//!
//! What a window lets go leaves at once, and a queue on the way that is shorter than that loses the
//! end of it. With `Config::pacing` (feature `pacing`) it leaves at a rate instead, as
//! `tcp/PACING.md` compares; each connection then takes 4 bytes more, and one that waits is woken
//! by the timing wheel. The feature `bbr` is an experiment with congestion control by a model of
//! the path (`tcp::Algorithm::Bbr`), at 152 bytes for each control block.
//!
//! When it starts the stack tells the link where its addresses are ([`Config::announce`]), so that
//! switches and neighbours need not find out, and again when another station claims one of them
//! ([`Counters::conflicts`]). With `Config::probe_addresses` (feature `dad`) it first asks whether
//! another station has them, and uses those that nobody has. IPv6's extension headers are passed as
//! RFC 8200 asks; of fragments only those that are whole packets.
//!
//! # Several queues
//!
//! Stacks with the same addresses, one for each receive queue of a card, are one host on the link
//! (feature `queues`). What the card hands to one queue only, answers of neighbours, reaches all of
//! them by a table that they share (`SharedNeighbours`). Each is told how the card spreads frames
//! (`Rss`: the key of its hash and its table) and connects from ports whose answers come back to
//! it; two of them never use one port to the same peer. What arrives at a stack and belongs to a
//! connection of another, such as what ICMP says of it, is handed over (`SharedQueues`); where
//! nothing hashes, as behind a TAP or a veth, that is every second packet of two stacks. They are
//! given one configuration, its secret included, so that a SYN cookie of one opens at any other.
//! ARP, neighbour solicitations and pings are answered by the stack that they come to, and the one
//! of queue 0 probes and announces the addresses. Datagrams stay where they arrive: have a socket
//! on each stack.
//!
//! # Listening
//!
//! A listener has no sockets; a SYN takes a slot. When its accept queue is full (the endpoint's
//! `backlog`), SYNs are dropped in silence, and peers send them again. When no more half-open
//! connections may be held ([`SizeClass::half_open`]), or when those of a listener fill its
//! backlog and do not complete, the answer is a SYN cookie, which takes no slot.
//!
//! A full class makes place by giving up, in this order, the oldest connection in TIME-WAIT that
//! has a slot; the oldest that its owner has closed, with everything delivered, and that only waits
//! for its peer's end; and, for a connect or for a peer that returned a cookie, the oldest
//! half-open one, or one that its owner has closed and whose peer has not taken a segment for 10 s.
//! Other closed connections with bytes to deliver keep their slots; each ends when its peer takes
//! less than a segment in [`Limits::answer`], however often it says that it lives.
#![no_std]

#[cfg(any(doc, doctest))]
pub mod book;
mod config;
mod counters;
mod device;
#[cfg(feature = "datagrams")]
pub mod dhcp;
mod hash;
mod ip;
mod listener;
mod number;
mod pool;
mod ports;
mod random;
#[cfg(feature = "smoltcp")]
mod smoltcp;
mod socket;
mod stack;
pub mod tcp;
#[cfg(feature = "datagrams")]
mod udp;
pub mod wire;

#[cfg(feature = "smoltcp")]
pub use crate::smoltcp::{Smoltcp, SmoltcpEntry, SmoltcpMemory};
pub use config::{CLASSES_MAX, Config, Limits, SizeClass};
pub use counters::Counters;
#[cfg(feature = "embassy")]
pub use device::embassy::{DriverReceived, DriverRoom, FromEmbassy, ToEmbassy};
#[cfg(all(feature = "packet", target_os = "linux"))]
pub use device::packet::Packet;
pub use device::pcap::Pcap;
#[cfg(feature = "phy")]
pub use device::phy::{FromPhy, Received, Room, ToPhy};
#[cfg(all(feature = "tap", target_os = "linux"))]
pub use device::tap::Tap;
#[cfg(feature = "smoltcp")]
pub use device::timed::{Timed, TimedDevice};
#[cfg(feature = "virtio-net")]
pub use device::virtio_net::{
    PciConfig, VIRTIO_MTU_MAX, VirtioMachine, VirtioMemory, VirtioMmio, VirtioNet, VirtioPci,
    VirtioTransport,
};
pub use device::wire::{End, Faults, Flight, Wire};
#[cfg(all(feature = "afxdp", target_os = "linux"))]
pub use device::xdp::options::{XdpCopy, XdpMode, XdpOptions};
#[cfg(all(feature = "afxdp", target_os = "linux"))]
pub use device::xdp::{XDP_PART_MAX, Xdp, XdpProgram};
pub use device::{
    CHAIN_MAX, Capabilities, DeviceCounters, Medium, PollDevice, RxChecksum, RxMeta, TxMeta,
    finish_checksum,
};
pub use hash::Secret;
#[cfg(feature = "dad")]
pub use ip::dad::AddressState;
#[cfg(feature = "echo")]
pub use ip::echo::{ECHOES_MAX, EchoReply};
pub use ip::neighbour::Neighbour;
pub use ip::route::{ADDRESSES_MAX, Address};
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
pub use ip::rss::{RSS_KEY_LEN, Rss, RssKey};
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
pub use ip::shared::{SharedNeighbour, SharedNeighbours};
pub use random::Random;

pub use listener::Listener;
#[cfg(feature = "smoltcp")]
pub use listener::Listener as SmoltcpListener;
pub use socket::Socket;
#[cfg(feature = "smoltcp")]
pub use socket::Socket as SmoltcpSocket;
pub use stack::demand::Demand;
pub use stack::lease::{InFlight, Resting, Working};
pub use stack::memory::Memory;
pub use stack::platform::{FRAMES_MAX, Stack};
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
pub use stack::queues::{SharedPacket, SharedQueues};
pub use stack::slot::Slot;
#[cfg(feature = "leases")]
pub use stack::time_wait::TimeWaitSlot;
#[cfg(feature = "connections")]
pub use stack::view::ConnectionView;
#[cfg(feature = "ecn")]
pub use tcp::Ecn;
pub use tcp::{Block, Outstanding};
#[cfg(feature = "datagrams")]
pub use udp::memory::DatagramMemory;
#[cfg(feature = "datagrams")]
pub use udp::slot::DatagramSlot;
