//! Frames of one queue: those received last, and those to be sent.
#![expect(unsafe_code, reason = "frames are lent out of DPDK's buffers")]

use core::ptr::null_mut;
use core::slice;

use usockets_smoltcp::{CHAIN_MAX, RxChecksum, RxMeta, TxMeta};

use crate::ffi::{
    self, BURST_MAX, CHECKSUM_GOOD, CHECKSUM_PARTIAL, Frame, HAS_HASH, HAS_VLAN, Mbuf, Mempool,
    Offload, Slot,
};

/// Buffers that a queue takes from its pool at once.
const SPARE_MAX: usize = 32;

/// Returns a number that is at most [`BURST_MAX`].
fn short(count: usize) -> u16 {
    u16::try_from(count).unwrap_or(0)
}

/// A queue of a started port that is nobody else's, or an error of whoever made it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    port: u16,
    queue: u16,
}

impl Lane {
    /// Names a queue.
    ///
    /// # Safety
    /// It is used only while the port is started and nobody else uses the queue.
    pub(crate) const unsafe fn new(port: u16, queue: u16) -> Self {
        Self { port, queue }
    }
}

/// Received frames: those of the burst, and behind them those that were taken from the port, but
/// not asked for yet.
pub(crate) struct Received {
    frames: [Frame; BURST_MAX],
    /// Where the burst starts, how many frames it has, and where the last one of all ends.
    start: usize,
    len: usize,
    end: usize,
    /// Frames that had more parts than may be lent.
    pub(crate) cut: u64,
}

impl Received {
    pub(crate) const fn new() -> Self {
        Self {
            frames: [Frame::NONE; BURST_MAX],
            start: 0,
            len: 0,
            end: 0,
            cut: 0,
        }
    }

    /// Gives the frames of the burst back to their pool.
    fn give_back(&mut self) {
        let burst = self.frames.get(self.start..).unwrap_or_default();
        let burst = burst.get(..self.len).unwrap_or_default();
        if !burst.is_empty() {
            // SAFETY: they were received, are given back once as the burst is empty then, and
            // nobody borrows them.
            unsafe { ffi::us_dpdk_give_back(burst.as_ptr(), short(burst.len())) };
        }
        self.start = self.start.saturating_add(self.len);
        self.len = 0;
    }

    /// Ends the burst, and takes frames from the port if none is left; returns true if there is
    /// one.
    pub(crate) fn fetch(&mut self, lane: Lane) -> bool {
        if self.has_more() {
            return true;
        }
        (self.start, self.end) = (0, 0);
        let (port, queue) = (lane.port, lane.queue);
        let places = self.frames.as_mut_ptr();
        // SAFETY: as who named the lane has said, and there are that many places.
        let count = unsafe { ffi::us_dpdk_receive(port, queue, places, short(BURST_MAX)) };
        for index in 0..usize::from(count).min(BURST_MAX) {
            let Some(frame) = self.frames.get(index).copied() else {
                break;
            };
            if usize::from(frame.parts) > CHAIN_MAX {
                self.cut = self.cut.wrapping_add(1);
                // SAFETY: it was received, and is forgotten here.
                unsafe { ffi::us_dpdk_free(frame.mbuf) };
            } else if let Some(place) = self.frames.get_mut(self.end) {
                *place = frame;
                self.end = self.end.saturating_add(1);
            }
        }
        self.end > 0
    }

    /// Ends the burst; returns true if more has been taken from the port.
    pub(crate) fn has_more(&mut self) -> bool {
        self.give_back();
        self.start < self.end
    }

    /// Makes a burst of at most `frames_max` of what has been taken; returns how many it has.
    pub(crate) fn burst(&mut self, frames_max: usize) -> usize {
        self.len = self.end.saturating_sub(self.start).min(frames_max);
        self.len
    }

    fn get(&self, index: usize) -> Option<&Frame> {
        let burst = self.frames.get(self.start..)?.get(..self.len)?;
        burst.get(index)
    }

    /// Lends a part of a frame of the burst.
    pub(crate) fn part(&self, index: usize, place: usize) -> Option<&[u8]> {
        let frame = self.get(index)?;
        let (mut data, mut len) = (frame.data, frame.len);
        if place > 0 {
            let place = u16::try_from(place).ok()?;
            // SAFETY: the frame was received, and has not been given back.
            data = unsafe { ffi::us_dpdk_part(frame.mbuf, place, &raw mut len) };
        }
        if data.is_null() {
            return None;
        }
        let len = usize::try_from(len).ok()?;
        // SAFETY: a buffer has that many bytes of a frame; it is given back and written to by
        // nobody before `give_back`, which borrows this mutably.
        Some(unsafe { slice::from_raw_parts(data, len) })
    }

    /// Returns what the port knows of a frame of the burst.
    pub(crate) fn meta(&self, index: usize, trusts_checksums: bool) -> RxMeta {
        let Some(frame) = self.get(index) else {
            return RxMeta::NONE;
        };
        let has = |flag| frame.flags & flag != 0;
        let mut meta = RxMeta::NONE.checksum(if has(CHECKSUM_GOOD) {
            RxChecksum::Verified
        } else if has(CHECKSUM_PARTIAL) || trusts_checksums {
            RxChecksum::Partial
        } else {
            RxChecksum::Unknown
        });
        if has(HAS_HASH) {
            meta = meta.hash(frame.hash);
        }
        if has(HAS_VLAN) {
            meta = meta.vlan(frame.vlan);
        }
        meta
    }
}

impl Drop for Received {
    fn drop(&mut self) {
        self.len = self.end.saturating_sub(self.start);
        self.give_back();
    }
}

/// Frames to send: empty buffers, and those that wait for room in the card's queue.
pub(crate) struct Outgoing {
    spare: [Slot; SPARE_MAX],
    spare_len: usize,
    unsent: [*mut Mbuf; BURST_MAX],
    unsent_len: usize,
    /// Frames that the driver did not take, or lost.
    pub(crate) dropped: u64,
}

impl Outgoing {
    pub(crate) const fn new() -> Self {
        Self {
            spare: [Slot::NONE; SPARE_MAX],
            spare_len: 0,
            unsent: [null_mut(); BURST_MAX],
            unsent_len: 0,
            dropped: 0,
        }
    }

    /// Returns true if nothing waits to be sent.
    pub(crate) const fn is_empty(&self) -> bool {
        self.unsent_len == 0
    }

    /// Returns true if no more frames can wait.
    pub(crate) const fn is_full(&self) -> bool {
        self.unsent_len >= BURST_MAX
    }

    /// Sees to it that there is an empty buffer; false if the pool has none.
    ///
    /// # Safety
    /// The pool has not been freed.
    pub(crate) unsafe fn refill(&mut self, pool: *mut Mempool) -> bool {
        if self.spare_len == 0 {
            let places = self.spare.as_mut_ptr();
            // SAFETY: as the caller has said, and there are that many places.
            let count = unsafe { ffi::us_dpdk_take(pool, places, short(SPARE_MAX)) };
            self.spare_len = usize::from(count).min(SPARE_MAX);
        }
        self.spare_len > 0
    }

    fn top(&self) -> Option<Slot> {
        self.spare.get(self.spare_len.checked_sub(1)?).copied()
    }

    /// Lends the first `len` bytes of an empty buffer, the same until it is committed.
    pub(crate) fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        let slot = self.top().filter(|slot| len <= slot.room)?;
        // SAFETY: the buffer is ours alone, has that much room, in memory that the system or the
        // caller has given bytes, and is borrowed mutably with this.
        Some(unsafe { slice::from_raw_parts_mut(slot.data, len) })
    }

    /// Has the first `len` bytes of the slot wait to be sent; false if there was none.
    pub(crate) fn commit(&mut self, len: usize, meta: &TxMeta, abilities: u32) -> bool {
        let Some(slot) = self.top().filter(|slot| len <= slot.room) else {
            return false;
        };
        let (Some(place), Ok(len)) = (self.unsent.get_mut(self.unsent_len), u16::try_from(len))
        else {
            return false;
        };
        let offload = Offload {
            link_len: meta.link_len,
            ip_len: meta.ip_len,
            tcp_len: meta.tcp_len,
            v6: meta.v6.into(),
            segment_size: meta.segment_size.map_or(0, u16::from),
            pseudo_sum: meta.pseudo_sum,
        };
        // All headers are in the frame, if it has any that the card is to look at.
        let asked = meta.checksum && meta.payload_at() <= usize::from(len);
        let offload = if asked {
            &raw const offload
        } else {
            core::ptr::null()
        };
        // SAFETY: the buffer is ours, and has that much room.
        unsafe { ffi::us_dpdk_describe(slot.mbuf, len, offload, abilities) };
        *place = slot.mbuf;
        self.unsent_len = self.unsent_len.saturating_add(1);
        self.spare_len = self.spare_len.saturating_sub(1);
        true
    }

    /// Sends what waits, as far as there is room; returns how many frames are gone.
    pub(crate) fn send(&mut self, lane: Lane, abilities: u32) -> usize {
        if self.unsent_len == 0 {
            return 0;
        }
        let mut dropped = 0;
        let (port, queue, count) = (lane.port, lane.queue, short(self.unsent_len));
        let unsent = self.unsent.as_mut_ptr();
        // SAFETY: as who named the lane has said; the frames are ours, and those that are gone are
        // forgotten below.
        let gone =
            unsafe { ffi::us_dpdk_send(port, queue, unsent, count, abilities, &raw mut dropped) };
        let gone = usize::from(gone).min(self.unsent_len);
        self.unsent.copy_within(gone..self.unsent_len, 0);
        self.unsent_len = self.unsent_len.saturating_sub(gone);
        self.dropped = self.dropped.wrapping_add(u64::from(dropped));
        gone
    }

    /// Drops what waits, and counts it.
    pub(crate) fn give_up(&mut self) {
        let unsent = self.unsent.get(..self.unsent_len).unwrap_or_default();
        for mbuf in unsent {
            // SAFETY: the frame is ours, and forgotten below.
            unsafe { ffi::us_dpdk_free(*mbuf) };
        }
        let count = u64::from(short(unsent.len()));
        self.dropped = self.dropped.wrapping_add(count);
        self.unsent_len = 0;
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.give_up();
        let spare = self.spare.get(..self.spare_len).unwrap_or_default();
        for slot in spare {
            // SAFETY: the buffer is ours, and forgotten with this.
            unsafe { ffi::us_dpdk_free(slot.mbuf) };
        }
    }
}
