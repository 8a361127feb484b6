//! The memory of a socket's frames (UMEM): chunks of a page each, one half to receive and one half
//! to send, and which of the latter are free.
#![expect(
    unsafe_code,
    reason = "frames are lent out of memory that is shared with the kernel"
)]

use rustix::io::Errno;

use crate::device::region::Region;
use crate::number::place;

/// Bytes of a chunk.
pub(crate) const CHUNK: usize = 4_096;
const CHUNK_BITS: u32 = 12;
/// Bytes before each frame that is sent, which tell the kernel what to do with it
/// (`struct xsk_tx_metadata` of Linux 6.8).
pub(crate) const METADATA_LEN: usize = 16;
/// Bytes of the largest frame that can be sent.
pub(crate) const SLOT_MAX: usize = CHUNK - METADATA_LEN;
/// `XDP_TXMD_FLAGS_CHECKSUM`.
const CHECKSUM: u64 = 1 << 1;

/// Chunks shared with the kernel; behind them, for us alone, a stack of those that are free to be
/// sent.
pub(crate) struct Memory {
    region: Region,
    shared_len: usize,
    free: usize,
}

impl Memory {
    /// Maps `frames` chunks for each direction. The first half is to be received in, the second
    /// half is free to be sent.
    pub(crate) fn new(frames: u32) -> Result<Self, Errno> {
        let frames = place(frames);
        let chunks = frames.checked_mul(2).ok_or(Errno::INVAL)?;
        let shared_len = chunks.checked_mul(CHUNK).ok_or(Errno::INVAL)?;
        let stack = frames.saturating_mul(size_of::<u32>());
        let len = shared_len.checked_add(stack).ok_or(Errno::INVAL)?;
        Ok(Self::of(Region::anonymous(len)?, shared_len, frames))
    }

    fn of(region: Region, shared_len: usize, frames: usize) -> Self {
        let mut this = Self {
            region,
            shared_len,
            free: 0,
        };
        for chunk in frames..frames.saturating_mul(2) {
            this.give_back(Self::chunk(crate::number::count(chunk)));
        }
        this
    }

    /// Returns where the kernel finds the chunks, and how many bytes they have.
    pub(crate) fn address(&self) -> u64 {
        u64::try_from(self.region.address()).unwrap_or_default()
    }

    pub(crate) fn shared_len(&self) -> u64 {
        u64::try_from(self.shared_len).unwrap_or_default()
    }

    /// Returns the address of a chunk, as the rings have it.
    pub(crate) fn chunk(index: u32) -> u64 {
        u64::from(index) << CHUNK_BITS
    }

    /// Returns the address of the chunk that an address lies in.
    pub(crate) const fn start_of(address: u64) -> u64 {
        address >> CHUNK_BITS << CHUNK_BITS
    }

    const fn free_at(&self, index: usize) -> usize {
        self.shared_len
            .saturating_add(index.saturating_mul(size_of::<u32>()))
    }

    /// Returns true if no chunk is free.
    pub(crate) const fn is_empty(&self) -> bool {
        self.free == 0
    }

    /// Takes a free chunk, and returns the address of the frame to be in it; `None` if none is
    /// free.
    pub(crate) fn take(&mut self) -> Option<u64> {
        let top = self.free.checked_sub(1)?;
        let chunk = self.region.load(self.free_at(top))?;
        self.free = top;
        let before = u64::try_from(METADATA_LEN).unwrap_or_default();
        Some(Self::chunk(chunk).saturating_add(before))
    }

    /// Asks the kernel to finish a checksum of the frame at an address that was taken and is not in
    /// the send ring. It covers all from `start` on, and its place is `at` bytes further.
    pub(crate) fn ask_for_checksum(&mut self, address: u64, start: u16, at: u16) {
        let frame = usize::try_from(address).unwrap_or(usize::MAX);
        let Some(metadata) = frame.checked_sub(METADATA_LEN) else {
            return;
        };
        let [[s0, s1], [a0, a1]] = [start, at].map(u16::to_ne_bytes);
        let request = u64::from_ne_bytes([s0, s1, a0, a1, 0, 0, 0, 0]);
        self.region.store_u64(metadata, CHECKSUM);
        self.region.store_u64(metadata.saturating_add(8), request);
    }

    /// Makes a chunk free that was taken, and has been sent.
    pub(crate) fn give_back(&mut self, address: u64) {
        let chunk = crate::number::low(address >> CHUNK_BITS);
        self.region.store(self.free_at(self.free), chunk);
        self.free = self.free.saturating_add(1);
    }

    /// Lends what was received at an address that came with the receive ring and is not in the
    /// fill ring since.
    pub(crate) fn received(&self, address: u64, len: u32) -> Option<&[u8]> {
        let at = usize::try_from(address).ok()?;
        let len = place(len);
        if at.checked_add(len)? > self.shared_len {
            return None;
        }
        // SAFETY: the kernel has handed the chunk over, and does not write to it before its
        // address is in the fill ring again: `Xdp::give_back`, after which no frame is lent.
        unsafe { self.region.bytes(at, len) }
    }

    /// Lends the first `len` bytes of a frame whose chunk was taken and is not in the send ring;
    /// `None` for more bytes than fit.
    pub(crate) fn slot(&mut self, address: u64, len: usize) -> Option<&mut [u8]> {
        let at = usize::try_from(address).ok()?;
        if len > SLOT_MAX || at.checked_add(SLOT_MAX)? > self.shared_len {
            return None;
        }
        // SAFETY: the kernel looks at chunks whose addresses are in the send ring, where `commit`
        // puts this one, having given up the slot.
        unsafe { self.region.bytes_mut(at, len) }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::ptr::NonNull;
    use std::vec::Vec;

    use super::*;

    fn assert_what_is_asked_lies_before_the_frame(memory: &mut Memory) {
        let address = memory.take().unwrap();
        memory.slot(address, SLOT_MAX).unwrap().fill(9);
        memory.ask_for_checksum(address, 34, 16);
        let at = usize::try_from(Memory::start_of(address)).unwrap();
        let request = [34, 16].map(u16::to_ne_bytes);
        let word = memory.region.load(at.saturating_add(8)).unwrap();
        assert_eq!(memory.region.load_u64(at), Some(CHECKSUM));
        assert_eq!(word.to_ne_bytes(), request.as_flattened());
        let frame = memory.slot(address, SLOT_MAX).unwrap();
        assert!(frame.iter().all(|byte| *byte == 9));
        memory.give_back(address);
    }

    #[test]
    fn every_chunk_to_send_is_taken_once_and_those_to_receive_never() {
        const FRAMES_U32: u32 = 4;
        const FRAMES: usize = 4;
        let shared = 2 * FRAMES * CHUNK;
        let mut words = std::vec![0_u64; (shared + FRAMES * 4) / 8];
        let base = NonNull::new(words.as_mut_ptr().cast()).unwrap();
        // SAFETY: the words outlive the memory, and nothing else uses them.
        let region = unsafe { Region::of(base, shared + FRAMES * 4) };
        let mut memory = Memory::of(region, shared, FRAMES);
        for round in 0..3 {
            let mut taken = Vec::new();
            while let Some(address) = memory.take() {
                assert!(address >= Memory::chunk(FRAMES_U32), "round {round}");
                assert!(!taken.contains(&address));
                assert_eq!(
                    memory.slot(address, SLOT_MAX).map(|slot| slot.len()),
                    Some(SLOT_MAX)
                );
                assert!(memory.slot(address, SLOT_MAX + 1).is_none());
                taken.push(address);
            }
            assert_eq!(taken.len(), FRAMES);
            assert!(memory.is_empty());
            for address in taken {
                memory.give_back(Memory::start_of(address + 77));
            }
        }
        assert_what_is_asked_lies_before_the_frame(&mut memory);
        assert_eq!(memory.received(0, 100).map(<[u8]>::len), Some(100));
        assert!(
            memory
                .received(Memory::chunk(2 * FRAMES_U32) - 10, 11)
                .is_none()
        );
        assert!(memory.received(u64::MAX, 1).is_none());
    }
}
