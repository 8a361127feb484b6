//! Memory of frames.
#![expect(unsafe_code, reason = "functions of C, and memory that DPDK is lent")]

use core::marker::PhantomData;
use core::ptr::{NonNull, null_mut};
use core::sync::atomic::{AtomicU32, Ordering};

use crate::eal::Eal;
use crate::error::DpdkError;
use crate::ffi::{self, Mempool, check};

/// Bytes that DPDK leaves free before a frame (`RTE_PKTMBUF_HEADROOM`).
const HEADROOM: usize = 128;
/// Bytes of a page.
const PAGE: usize = 4_096;

/// Each pool has a name of its own in DPDK.
static NEXT: AtomicU32 = AtomicU32::new(0);

/// Buffers for frames, received and to send, in DPDK's memory (huge pages, or ordinary ones with
/// `--no-huge`) or in the caller's.
///
/// A port's rings hold as many as they have descriptors, a device up to 160, and what a cable of
/// rings or another device has not freed yet is out, too. So for each queue that a pool serves,
/// give it twice the descriptors and a few hundred.
///
/// A pool that is dropped while frames are out, in a ring that nobody reads, is never freed.
#[derive(Debug)]
pub struct Pool<'e> {
    raw: NonNull<Mempool>,
    room: u16,
    /// The caller's memory.
    lent: Option<(NonNull<u8>, usize)>,
    eal: PhantomData<&'e Eal>,
}

// SAFETY: DPDK's pools are made for many threads (rings with several producers and consumers), and
// the caller's memory is touched through their frames only.
unsafe impl Send for Pool<'_> {}
// SAFETY: as above.
unsafe impl Sync for Pool<'_> {}

impl<'e> Pool<'e> {
    /// The usual bytes of a buffer: a frame of 1,514 and some tags.
    pub const ROOM: u16 = 2_048;

    /// Returns the bytes a buffer must have for packets of `mtu` bytes: a frame with two VLAN tags,
    /// and at least [`Self::ROOM`].
    #[must_use]
    pub const fn room_for(mtu: u16) -> u16 {
        let room = mtu.saturating_add(22).div_ceil(64).saturating_mul(64);
        if room > Self::ROOM { room } else { Self::ROOM }
    }

    /// Makes a pool of `frames` buffers with `room` bytes each, in DPDK's memory.
    ///
    /// With more room than a packet needs, up to 65,407 bytes, and a port that cuts segments to
    /// size, the stack fills it all ([`PortOptions::offload`](crate::PortOptions::offload)).
    ///
    /// # Errors
    /// [`DpdkError::SmallRoom`] for more bytes than that, else [`DpdkError::Driver`], with `ENOMEM`
    /// or `ENOBUFS` when there is not that much.
    pub fn new(_: &'e Eal, frames: u32, room: u16) -> Result<Self, DpdkError> {
        if room > u16::MAX.saturating_sub(128) {
            return Err(DpdkError::SmallRoom);
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let mut raw = null_mut();
        // SAFETY: the environment has been started, and there is room for a pointer.
        check(unsafe { ffi::us_dpdk_pool(number, frames, room, &raw mut raw) })?;
        Self::of(raw, room, None)
    }

    /// Makes a pool in memory of the caller's: whole pages of 4 KiB, which DPDK has for ever. Each
    /// buffer takes `room` bytes and 128; what says where it is, another 128 and a few, is in
    /// DPDK's memory.
    ///
    /// A card reaches it by its virtual addresses, so it has to be behind an IOMMU.
    ///
    /// # Errors
    /// [`DpdkError::BadMemory`], or [`DpdkError::Driver`]: `ENOTSUP` where cards see physical
    /// addresses.
    pub fn lent(_: &'e Eal, memory: &'static mut [u8], room: u16) -> Result<Self, DpdkError> {
        let buffer_len = usize::from(room).saturating_add(HEADROOM);
        let is_paged = memory.as_ptr().addr().is_multiple_of(PAGE);
        let whole = memory.len().is_multiple_of(PAGE) && memory.len() >= buffer_len;
        if !is_paged || !whole || room > u16::MAX.saturating_sub(128) {
            return Err(DpdkError::BadMemory);
        }
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let len = memory.len();
        let memory = NonNull::from(memory).cast::<u8>();
        let mut raw = null_mut();
        // SAFETY: the environment has been started, the memory was lent for ever and nobody else
        // has it, and there is room for a pointer.
        check(unsafe { ffi::us_dpdk_pool_lent(number, memory.as_ptr(), len, room, &raw mut raw) })?;
        Self::of(raw, room, Some((memory, len)))
    }

    fn of(
        raw: *mut Mempool,
        room: u16,
        lent: Option<(NonNull<u8>, usize)>,
    ) -> Result<Self, DpdkError> {
        Ok(Self {
            raw: NonNull::new(raw).ok_or(DpdkError::BadMemory)?,
            room,
            lent,
            eal: PhantomData,
        })
    }

    /// Returns the bytes of a buffer.
    #[must_use]
    pub const fn room(&self) -> u16 {
        self.room
    }

    /// Returns the number of buffers that are free at present.
    #[must_use]
    pub fn free_count(&self) -> u32 {
        // SAFETY: the pool is there as long as this is.
        unsafe { ffi::us_dpdk_pool_available(self.raw.as_ptr()) }
    }

    pub(crate) const fn raw(&self) -> *mut Mempool {
        self.raw.as_ptr()
    }

    /// Lets the card of a port reach the memory, if it is the caller's.
    pub(crate) fn map_for(&self, port: u16) -> Result<(), DpdkError> {
        let Some((memory, len)) = self.lent else {
            return Ok(());
        };
        // SAFETY: it is the memory that the pool was made in, and the port is there.
        check(unsafe { ffi::us_dpdk_pool_map(port, memory.as_ptr(), len) }).map(drop)
    }
}

impl Drop for Pool<'_> {
    fn drop(&mut self) {
        // SAFETY: ports and devices borrow the pool, so none has it; the call itself finds out
        // whether frames of it are elsewhere, and leaves it then.
        let _ = unsafe { ffi::us_dpdk_pool_free(self.raw.as_ptr()) };
    }
}
