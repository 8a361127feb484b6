//! A TCP stack in user space for [`usockets`]: smoltcp's state machine over any packet device,
//! without an operating system, without `std`, without allocation.
//!
//! [`Stack`] is a [`usockets::Platform`], so a handler written for Linux runs on it unchanged.
//! What it costs depends on what happens, not on how many connections there are: a segment finds
//! its connection by a keyed hash, deadlines are in a timing wheel, and a connection with nothing
//! to do is never looked at. IPv4 and IPv6, ARP and neighbour discovery, ping.
//!
//! # Run over your own network card
//!
//! A driver implements [`PollDevice`]: bursts in, slots out. This one is a loop that leads back to
//! itself; the stack on it finds nobody to talk to, and says so:
//!
//! ```
//! use usockets::{Endpoint, Error, Instant, Platform, SocketId};
//! use usockets_smoltcp::{
//!     Address, Capabilities, Config, Listener, Medium, Memory, Neighbour, PollDevice, Secret,
//!     SizeClass, Slot, SocketStorage, Stack, TxMeta,
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
//!     storage: &mut [const { SocketStorage::EMPTY }; 4],
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
//! In tree are [`Tap`] for Linux (feature `tap`), [`Wire`] for tests, [`Pcap`] around any device,
//! and `FromPhy` and `ToPhy` for smoltcp's own devices (feature `phy`).
//!
//! # Memory
//!
//! All of it is lent by the caller in [`Memory`]. Beside its two buffers, sized by its
//! [`SizeClass`], a connection takes 556 bytes on a 64-bit machine: 80 for [`Slot`], which is
//! listed there field by field, 4 in the table of addresses, and 472 for smoltcp's
//! [`SocketStorage`]:
//!
//! | bytes | for |
//! |---|---|
//! | 112 | timers and limits: retransmission, keep-alive, delayed and challenge acknowledgements |
//! | 64 | what has come out of order: four pieces |
//! | 64 | the two buffers' places |
//! | 60 | addresses of both ends and of the listener |
//! | 56 | sequence numbers, windows, segment size |
//! | 48 | round trip time |
//! | 40 | neighbour and handle, of which nothing is used here |
//! | 28 | timestamps and small facts, with 7 bytes of padding |
//!
//! Congestion control (feature `congestion`, on by default) takes four of them. A build with the
//! variable `SMOLTCP_ASSEMBLER_MAX_SEGMENT_COUNT=1`, which smoltcp heeds, saves 48: then only one
//! piece is kept out of order, and the rest is sent once more.
//!
//! # Congestion control
//!
//! Slow start from ten segments, congestion avoidance, fast recovery and the collapse after a
//! timeout (RFC 5681, RFC 6928) are done here and not in smoltcp. A send takes no more than the
//! congestion window lets go; the rest of the send buffer is of use once the window has grown, and
//! a report of room comes when there is some. Windows go up to 4 MiB, and segment sizes are
//! rounded down to one of eight. After a timeout a device that segments itself may get one large
//! segment before the window collapses.
//!
//! # Listening
//!
//! A listener has no sockets; a SYN takes a slot. When its accept queue is full (the endpoint's
//! `backlog`), SYNs are dropped in silence, and peers send them again. When no more half-open
//! connections may be held ([`SizeClass::half_open`]), or when those of a listener fill its
//! backlog and do not complete, the answer is a SYN cookie, which takes no slot.
//!
//! A full class makes place by giving up, in this order, the oldest connection in
//! TIME-WAIT; the oldest that its owner has closed, with everything delivered, and that only waits
//! for its peer's end; and, for a connect or for a peer that returned a cookie, the oldest
//! half-open one, or one that its owner has closed and whose peer has not taken a segment for 10 s.
//! Other closed connections with bytes to deliver keep their slots; each ends when its peer takes
//! less than a segment in [`Limits::answer`], however often it says that it lives.
//!
//! # What smoltcp 0.14 needs help with
//!
//! Each has a test of its own in the workspace's `tests`:
//! - a SYN that meets one of ours which has not left yet makes it panic: dropped;
//! - receive buffers above 65,535 bytes make it promise more than it keeps: refused;
//! - it takes IPv4 fragments for whole packets (as built here): refused;
//! - it asks for one neighbour a second, keeps eight, and lets a slot's next connection inherit
//!   the wait of its last: neighbours are found here;
//! - its sequence numbers can be foretold: they are chosen here, after RFC 6528;
//! - it takes any reset within the window and ignores SYNs: RFC 5961 is kept here;
//! - while it retransmits, its acknowledgements have sequence numbers of the past, so that two
//!   stacks that lose at once never agree again: corrected on the way out;
//! - it takes a FIN whose data it cut at the window, which ends the stream too soon: dropped;
//! - it does not probe a window that closes over what is on its way: told of it once more;
//! - in LAST-ACK it hears of no open window and of no loss: it gets there late;
//! - three duplicate acknowledgements make it forget to send a FIN again: not shown them;
//! - it throws away at the end of TIME-WAIT what its owner has not read: not served until closed;
//! - it waits a second or more for every loss that three duplicate acknowledgements do not tell
//!   of: selective acknowledgements are heeded here, and the least wait is 250 ms;
//! - its congestion control takes 40 bytes and starts with one segment: it is done here.
//!
//! What it does not have, this stack has not either: repair of several losses in one round trip,
//! path MTU discovery, timestamps' protection of sequence numbers. Choose the MTU so that it
//! passes everywhere ([`Capabilities::mtu`]).
#![no_std]

mod config;
mod counters;
mod device;
mod hash;
mod ip;
mod number;
mod random;
mod smoltcp;
pub mod tcp;
pub mod wire;

pub use self::smoltcp::listener::Listener;
pub use self::smoltcp::slot::Slot;
pub use self::smoltcp::stack::{FRAMES_MAX, Socket, Stack};
/// smoltcp's part of one slot, lent by the caller as `SocketStorage::EMPTY`.
pub use ::smoltcp::iface::SocketStorage;
pub use config::{CLASSES_MAX, Config, Limits, Memory, RECV_MAX, SizeClass};
pub use counters::Counters;
pub use device::pcap::Pcap;
#[cfg(feature = "phy")]
pub use device::phy::{FromPhy, Received, Room, ToPhy};
#[cfg(all(feature = "tap", target_os = "linux"))]
pub use device::tap::Tap;
pub use device::wire::{End, Faults, Flight, Wire};
pub use device::{
    CHAIN_MAX, Capabilities, Medium, PollDevice, RxChecksum, RxMeta, TxMeta, finish_checksum,
};
pub use hash::Secret;
pub use ip::neighbour::Neighbour;
pub use ip::route::{ADDRESSES_MAX, Address};
pub use random::Random;
