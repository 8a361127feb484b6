//! Packet sockets (`packet(7)`): the calls that make one, and its options.
#![expect(unsafe_code, reason = "rustix has no address of a packet socket")]

use core::ptr::from_ref;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};

use crate::device::raw::{get_option, set_option};
use crate::number::place;

/// `SOL_PACKET`, and its options (`linux/if_packet.h`).
const LEVEL: u32 = 263;
const ADD_MEMBERSHIP: u32 = 1;
const RX_RING: u32 = 5;
const STATISTICS: u32 = 6;
const VERSION: u32 = 10;
const TX_RING: u32 = 13;
const LOSS: u32 = 14;
const VNET_HEADER: u32 = 15;
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
const FANOUT: u32 = 18;
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
const FANOUT_DATA: u32 = 22;
const IGNORE_OUTGOING: u32 = 23;
/// `TPACKET_V3`.
const V3: u32 = 2;
/// `PACKET_FANOUT_CBPF`, in the upper half of the option's value.
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
const BY_PROGRAM: u32 = 6 << 16;
/// `PACKET_MR_PROMISC`.
const PROMISCUOUS: u16 = 1;
/// `ETH_P_ALL`.
const ALL: u16 = 3;

/// The size of a ring (`struct tpacket_req3`).
#[derive(Clone, Copy)]
pub(crate) struct RingSize {
    pub(crate) block_len: u32,
    pub(crate) blocks: u32,
    pub(crate) frame_len: u32,
    /// Milliseconds after which a block with anything in it is handed over; 0 for a send ring.
    pub(crate) wait: u32,
}

impl RingSize {
    /// Returns the bytes of the ring.
    pub(crate) fn len(&self) -> usize {
        place(self.block_len).saturating_mul(place(self.blocks))
    }

    fn words(&self) -> [u32; 7] {
        let per_block = self.block_len.checked_div(self.frame_len).unwrap_or(0);
        let frames = per_block.saturating_mul(self.blocks);
        // No private part of a block, no hash wanted: what software would compute.
        let [private, features] = [0, 0];
        [
            self.block_len,
            self.blocks,
            self.frame_len,
            frames,
            self.wait,
            private,
            features,
        ]
    }
}

/// Makes a packet socket with these two rings; nothing comes before it is bound.
pub(crate) fn open(rx: RingSize, tx: RingSize, vnet_header: bool) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let fd = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)?;
    let set = |option, value: &[u32]| set_option(fd.as_fd(), LEVEL, option, value);
    set(VERSION, &[V3])?;
    // What cannot be sent is dropped; otherwise it would stay at the head for ever.
    set(LOSS, &[1])?;
    set(IGNORE_OUTGOING, &[1])?;
    if vnet_header {
        set(VNET_HEADER, &[1])?;
    }
    set(RX_RING, &rx.words())?;
    set(TX_RING, &tx.words())?;
    Ok(fd)
}

/// Has everything that comes to an interface delivered, from now on, also what is for others
/// there.
pub(crate) fn attach(fd: BorrowedFd<'_>, interface: u32) -> Result<(), Errno> {
    bind(fd, &LinkAddress { interface })?;
    promiscuous(fd, interface)
}

/// Has an interface take what is for others as well, as long as the socket is open.
fn promiscuous(fd: BorrowedFd<'_>, interface: u32) -> Result<(), Errno> {
    // `struct packet_mreq`: its two 16-bit fields, a kind and the length of no address, are one
    // word here.
    let [a, b] = PROMISCUOUS.to_ne_bytes();
    let kind = u32::from_ne_bytes([a, b, 0, 0]);
    set_option(fd, LEVEL, ADD_MEMBERSHIP, &[interface, kind, 0, 0])
}

/// Has an interface take what is for others as well, as long as what is returned is open.
#[cfg(feature = "afxdp")]
pub(crate) fn watch_all(interface: u32) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC;
    // Of no protocol: nothing comes to it.
    let fd = socket_with(AddressFamily::PACKET, SocketType::RAW, flags, None)?;
    promiscuous(fd.as_fd(), interface)?;
    Ok(fd)
}

/// Has a bound socket share the frames with others of its group, each of which gets those for which
/// `program` returns its place, modulo how many there are.
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
pub(crate) fn join(fd: BorrowedFd<'_>, group: u16, program: &[[u8; 8]]) -> Result<(), Errno> {
    set_option(fd, LEVEL, FANOUT, &[u32::from(group) | BY_PROGRAM])?;
    crate::device::raw::set_program(fd, LEVEL, FANOUT_DATA, program)
}

/// Returns the number of frames that the kernel had no room for since the last call.
pub(crate) fn take_overruns(fd: BorrowedFd<'_>) -> u64 {
    // `struct tpacket_stats_v3`: frames, and those dropped among them; times the ring was frozen.
    let read = get_option::<3>(fd, LEVEL, STATISTICS);
    read.map_or(0, |[_, drops, _]| u64::from(drops))
}

/// An interface, and every protocol on it (`struct sockaddr_ll`).
struct LinkAddress {
    interface: u32,
}

// SAFETY: `f` gets a local of 20 bytes, and that length.
unsafe impl SocketAddrArg for LinkAddress {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        let [f0, f1] = AddressFamily::PACKET.as_raw().to_ne_bytes();
        let [p0, p1] = ALL.to_be_bytes();
        let family = u32::from_ne_bytes([f0, f1, p0, p1]);
        let words = [family, self.interface, 0, 0, 0];
        f(from_ref(&words).cast(), 20)
    }
}
