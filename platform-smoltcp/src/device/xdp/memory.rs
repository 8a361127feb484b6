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

    /// Takes a free chunk; `None` if there is none.
    pub(crate) fn take(&mut self) -> Option<u64> {
        let top = self.free.checked_sub(1)?;
        let chunk = self.region.load(self.free_at(top))?;
        self.free = top;
        Some(Self::chunk(chunk))
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

    /// Lends the first `len` bytes of a chunk that was taken and is not in the send ring; `None`
    /// for more bytes than a chunk has.
    pub(crate) fn slot(&mut self, address: u64, len: usize) -> Option<&mut [u8]> {
        let at = usize::try_from(address).ok()?;
        if len > CHUNK || at.checked_add(CHUNK)? > self.shared_len {
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
                    memory.slot(address, CHUNK).map(|slot| slot.len()),
                    Some(CHUNK)
                );
                assert!(memory.slot(address, CHUNK + 1).is_none());
                taken.push(address);
            }
            assert_eq!(taken.len(), FRAMES);
            assert!(memory.is_empty());
            for address in taken {
                memory.give_back(Memory::start_of(address + 77));
            }
        }
        assert_eq!(memory.received(0, 100).map(<[u8]>::len), Some(100));
        assert!(
            memory
                .received(Memory::chunk(2 * FRAMES_U32) - 10, 11)
                .is_none()
        );
        assert!(memory.received(u64::MAX, 1).is_none());
    }
}
