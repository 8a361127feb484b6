//! The functions of `shim.c` and `shim_ring.c`, and the structures that both sides know.
//!
//! Errors are negative numbers of errno(3); [`check`] makes them [`DpdkError::Driver`].
#![expect(unsafe_code, reason = "functions of C")]

use core::ffi::{c_char, c_int, c_uint};
use core::marker::{PhantomData, PhantomPinned};
use core::ptr::{null, null_mut};

use crate::error::DpdkError;

/// Most frames of one call, and most queues of a port.
pub(crate) const BURST_MAX: usize = 64;
pub(crate) const QUEUES_MAX: usize = 64;
/// Bytes of a port's name, with the zero at its end (`RTE_ETH_NAME_MAX_LEN`).
pub(crate) const NAME_LEN: usize = 64;

/// [`Frame::flags`].
pub(crate) const CHECKSUM_GOOD: u32 = 1;
pub(crate) const CHECKSUM_PARTIAL: u32 = 2;
pub(crate) const HAS_HASH: u32 = 4;
pub(crate) const HAS_VLAN: u32 = 8;

/// [`Opened::abilities`].
pub(crate) const FILLS: u32 = 1;
pub(crate) const CUTS: u32 = 2;
pub(crate) const VERIFIES: u32 = 4;
pub(crate) const SPREADS: u32 = 8;
pub(crate) const COUNTS_WHAT_IT_LOSES: u32 = 16;

/// A buffer of DPDK (`struct rte_mbuf`).
#[repr(C)]
pub(crate) struct Mbuf([u8; 0], Opaque);

/// A pool of buffers (`struct rte_mempool`).
#[repr(C)]
pub(crate) struct Mempool([u8; 0], Opaque);

/// What is known of only behind a pointer.
type Opaque = PhantomData<(*mut u8, PhantomPinned)>;

/// A text without a zero at its end.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Text {
    bytes: *const c_char,
    len: usize,
}

impl Text {
    pub(crate) const EMPTY: Self = Self {
        bytes: null(),
        len: 0,
    };

    pub(crate) const fn new(text: &str) -> Self {
        Self {
            bytes: text.as_ptr().cast(),
            len: text.len(),
        }
    }
}

/// A received frame: its first part, and what the port knows of it.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    pub(crate) data: *const u8,
    pub(crate) mbuf: *mut Mbuf,
    pub(crate) len: u32,
    pub(crate) hash: u32,
    pub(crate) flags: u32,
    pub(crate) vlan: u16,
    pub(crate) parts: u16,
}

impl Frame {
    pub(crate) const NONE: Self = Self {
        data: null(),
        mbuf: null_mut(),
        len: 0,
        hash: 0,
        flags: 0,
        vlan: 0,
        parts: 0,
    };
}

/// An empty buffer to send.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct Slot {
    pub(crate) data: *mut u8,
    pub(crate) mbuf: *mut Mbuf,
    pub(crate) room: usize,
}

impl Slot {
    pub(crate) const NONE: Self = Self {
        data: null_mut(),
        mbuf: null_mut(),
        room: 0,
    };
}

/// What the card has to do with a frame.
#[repr(C)]
pub(crate) struct Offload {
    pub(crate) link_len: u8,
    pub(crate) ip_len: u8,
    pub(crate) tcp_len: u8,
    pub(crate) v6: u8,
    pub(crate) segment_size: u16,
    pub(crate) pseudo_sum: u16,
}

/// How a port is to be.
#[repr(C)]
pub(crate) struct Config {
    pub(crate) queues: u16,
    pub(crate) mtu: u16,
    pub(crate) rx_descriptors: u16,
    pub(crate) tx_descriptors: u16,
    pub(crate) offload: u8,
    pub(crate) v4_only: u8,
    pub(crate) promiscuous: u8,
    pub(crate) rss_key: *const u8,
    pub(crate) pools: [*mut Mempool; QUEUES_MAX],
}

/// What a port turned out to be.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Opened {
    pub(crate) abilities: u32,
    pub(crate) table_len: u16,
    pub(crate) mac: [u8; 6],
}

/// What the driver of a port has counted.
#[repr(C)]
#[derive(Default)]
pub(crate) struct Statistics {
    pub(crate) received: u64,
    pub(crate) sent: u64,
    pub(crate) missed: u64,
    pub(crate) no_buffers: u64,
    pub(crate) receive_errors: u64,
    pub(crate) send_errors: u64,
}

// Names end with a zero. Numbers of ports are those of `us_dpdk_find`, and pools those that have
// not been freed.
unsafe extern "C" {
    pub(crate) fn us_dpdk_start(arguments: *const Text, count: usize) -> c_int;
    pub(crate) fn us_dpdk_stop() -> c_int;
    pub(crate) fn us_dpdk_attach(arguments: *const c_char) -> c_int;
    pub(crate) fn us_dpdk_find(name: *const c_char) -> c_int;

    pub(crate) fn us_dpdk_pool(
        number: u32,
        frames: c_uint,
        room: u16,
        out: *mut *mut Mempool,
    ) -> c_int;
    /// The memory begins and ends with a page.
    pub(crate) fn us_dpdk_pool_lent(
        number: u32,
        memory: *mut u8,
        len: usize,
        room: u16,
        out: *mut *mut Mempool,
    ) -> c_int;
    pub(crate) fn us_dpdk_pool_map(port: u16, memory: *mut u8, len: usize) -> c_int;
    pub(crate) fn us_dpdk_pool_free(pool: *mut Mempool) -> c_int;
    pub(crate) fn us_dpdk_pool_available(pool: *const Mempool) -> c_uint;

    pub(crate) fn us_dpdk_open(port: u16, config: *const Config, out: *mut Opened) -> c_int;
    pub(crate) fn us_dpdk_port_start(port: u16) -> c_int;
    pub(crate) fn us_dpdk_port_stop(port: u16) -> c_int;
    pub(crate) fn us_dpdk_remove(port: u16) -> c_int;
    pub(crate) fn us_dpdk_link(port: u16) -> c_int;
    pub(crate) fn us_dpdk_statistics(port: u16, out: *mut Statistics) -> c_int;
    /// A count that stays where it is, of how often the device of this number was taken out.
    pub(crate) fn us_dpdk_removals(port: u16) -> *mut u32;

    /// The port is started, and nobody else receives on the queue. As for all below, `most` and
    /// `count` are at most [`BURST_MAX`], and there are as many places.
    pub(crate) fn us_dpdk_receive(port: u16, queue: u16, frames: *mut Frame, most: u16) -> u16;
    pub(crate) fn us_dpdk_part(mbuf: *const Mbuf, place: u16, len: *mut u32) -> *const u8;
    pub(crate) fn us_dpdk_free(mbuf: *mut Mbuf);
    pub(crate) fn us_dpdk_give_back(frames: *const Frame, count: u16);
    pub(crate) fn us_dpdk_take(pool: *mut Mempool, slots: *mut Slot, most: u16) -> u16;
    /// Without `offload` nothing is to be done but to send.
    pub(crate) fn us_dpdk_describe(
        mbuf: *mut Mbuf,
        len: u16,
        offload: *const Offload,
        abilities: u32,
    );
    /// The port is started, and nobody else sends on the queue. What is gone is not ours any more.
    pub(crate) fn us_dpdk_send(
        port: u16,
        queue: u16,
        mbufs: *mut *mut Mbuf,
        count: u16,
        abilities: u32,
        dropped: *mut u16,
    ) -> u16;
}

#[cfg(feature = "ring")]
unsafe extern "C" {
    pub(crate) fn us_dpdk_ring_pair(
        name: *const c_char,
        queues: u16,
        frames: c_uint,
        ports: *mut u16,
    ) -> c_int;
}

/// Returns what a call said, or its error.
pub(crate) fn check(said: c_int) -> Result<c_int, DpdkError> {
    if said >= 0 {
        return Ok(said);
    }
    let errno = u16::try_from(said.unsigned_abs()).unwrap_or(u16::MAX);
    Err(DpdkError::Driver(errno))
}

/// A text with a zero at its end.
pub(crate) struct Name<const N: usize>([u8; N]);

impl<const N: usize> Name<N> {
    /// Copies a text; `None` if it has a zero or no room.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let mut bytes = [0; N];
        let (start, end) = bytes.split_at_mut_checked(text.len())?;
        if end.is_empty() || text.bytes().any(|byte| byte == 0) {
            return None;
        }
        start.copy_from_slice(text.as_bytes());
        Some(Self(bytes))
    }

    pub(crate) const fn as_ptr(&self) -> *const c_char {
        self.0.as_ptr().cast()
    }
}
