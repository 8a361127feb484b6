//! The memory of a socket's frames (UMEM): chunks of a page each, one half to receive and one half
//! to send. The latter are slots of as many chunks as the largest frame to send takes, one behind
//! the other, so that the stack writes a frame in one piece; the kernel has it in parts. A slot is
//! free when the kernel has given all its parts back.
#![expect(
    unsafe_code,
    reason = "frames are lent out of memory that is shared with the kernel"
)]

use rustix::io::Errno;

use super::ring::Descriptor;
use crate::device::region::Region;
use crate::number::{count, place};

/// Bytes of a chunk.
pub(crate) const CHUNK: usize = 4_096;
const CHUNK_BITS: u32 = 12;
/// Bytes before each frame that is sent, which tell the kernel what to do with it
/// (`struct xsk_tx_metadata` of Linux 6.8).
pub(crate) const METADATA_LEN: usize = 16;
/// `XDP_TXMD_FLAGS_CHECKSUM`.
const CHECKSUM: u64 = 1 << 1;

/// Chunks shared with the kernel; behind them, for us alone, a stack of the slots that are free to
/// be sent, and of each slot how many parts the kernel has.
pub(crate) struct Memory {
    region: Region,
    shared_len: usize,
    /// Chunks of either half.
    frames: usize,
    /// Chunks of a slot.
    parts: usize,
    free: usize,
}

/// Returns how many chunks a frame of `len` bytes takes to be sent.
pub(crate) const fn parts_of(len: usize) -> usize {
    METADATA_LEN.saturating_add(len).div_ceil(CHUNK)
}

impl Memory {
    /// Maps `frames` chunks for each direction. The first half is to be received in, the second
    /// half is free to be sent, by slots of `parts` chunks.
    pub(crate) fn new(frames: u32, parts: usize) -> Result<Self, Errno> {
        let frames = place(frames);
        let chunks = frames.checked_mul(2).ok_or(Errno::INVAL)?;
        let shared_len = chunks.checked_mul(CHUNK).ok_or(Errno::INVAL)?;
        let own = chunks.saturating_mul(size_of::<u32>());
        let len = shared_len.checked_add(own).ok_or(Errno::INVAL)?;
        Ok(Self::of(Region::anonymous(len)?, frames, parts))
    }

    /// `parts` is not zero, and `region` as long as [`Self::new`] makes it.
    fn of(region: Region, frames: usize, parts: usize) -> Self {
        let mut this = Self {
            region,
            shared_len: frames.saturating_mul(2).saturating_mul(CHUNK),
            frames,
            parts,
            free: 0,
        };
        for slot in 0..frames.checked_div(parts).unwrap_or_default() {
            this.free(slot);
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

    /// Returns where it stands how many parts of a slot the kernel has.
    const fn sent_at(&self, slot: usize) -> usize {
        self.free_at(self.frames.saturating_add(slot))
    }

    /// Returns the bytes of the largest frame that fits in a slot.
    pub(crate) const fn slot_max(&self) -> usize {
        self.parts
            .saturating_mul(CHUNK)
            .saturating_sub(METADATA_LEN)
    }

    /// Returns the slot that an address lies in; `None` of one that is not to be sent.
    fn slot_of(&self, address: u64) -> Option<usize> {
        let chunk = place(crate::number::low(address >> CHUNK_BITS));
        chunk.checked_sub(self.frames)?.checked_div(self.parts)
    }

    /// Returns true if no slot is free.
    pub(crate) const fn is_empty(&self) -> bool {
        self.free == 0
    }

    /// Takes a free slot, and returns the address of the frame to be in it; `None` if none is free.
    pub(crate) fn take(&mut self) -> Option<u64> {
        let top = self.free.checked_sub(1)?;
        let slot = place(self.region.load(self.free_at(top))?);
        self.free = top;
        let chunk = self.frames.saturating_add(slot.saturating_mul(self.parts));
        let before = u64::try_from(METADATA_LEN).unwrap_or_default();
        Some(Self::chunk(count(chunk)).saturating_add(before))
    }

    /// Makes a slot free.
    fn free(&mut self, slot: usize) {
        self.region.store(self.free_at(self.free), count(slot));
        self.free = self.free.saturating_add(1);
    }

    /// Returns a part of a frame of `len` bytes that is at an address that was taken; `None` past
    /// the last one.
    pub(crate) fn part(address: u64, len: usize, index: usize) -> Option<Descriptor> {
        // Where in the slot the part starts, and what is left of the frame there.
        let (start, at) = match index {
            0 => (METADATA_LEN, 0),
            _ => (0, index.saturating_mul(CHUNK).saturating_sub(METADATA_LEN)),
        };
        let left = len.checked_sub(at).filter(|left| *left > 0)?;
        let most = CHUNK.saturating_sub(start);
        Some(Descriptor {
            address: address.saturating_add(u64::try_from(at).unwrap_or(u64::MAX)),
            len: count(left.min(most)),
            continued: left > most,
        })
    }

    /// Notes that the kernel gets so many parts of the frame at an address that was taken.
    pub(crate) fn hand_over(&mut self, address: u64, parts: usize) {
        if let Some(slot) = self.slot_of(address) {
            self.region.store(self.sent_at(slot), count(parts));
        }
    }

    /// Takes back a part that the kernel has sent, and with the last one its slot. One that it does
    /// not have is no part.
    pub(crate) fn give_back(&mut self, address: u64) {
        let Some(slot) = self.slot_of(address) else {
            return;
        };
        let at = self.sent_at(slot);
        let Some(left) = self.region.load(at).and_then(|left| left.checked_sub(1)) else {
            return;
        };
        self.region.store(at, left);
        if left == 0 {
            self.free(slot);
        }
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

    /// Lends the first `len` bytes of a frame whose slot was taken and is not in the send ring;
    /// `None` for more bytes than fit.
    pub(crate) fn slot(&mut self, address: u64, len: usize) -> Option<&mut [u8]> {
        let at = usize::try_from(address).ok()?;
        let most = self.slot_max();
        if len > most || at.checked_add(most)? > self.shared_len {
            return None;
        }
        // SAFETY: the kernel looks at chunks whose addresses are in the send ring, where `commit`
        // puts those of this slot, having given it up.
        unsafe { self.region.bytes_mut(at, len) }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::ptr::NonNull;
    use std::vec::Vec;

    use super::*;

    const FRAMES_U32: u32 = 12;
    const FRAMES: usize = 12;

    /// Memory of [`FRAMES`] chunks each way, in `words`.
    fn memory(words: &mut Vec<u64>, parts: usize) -> Memory {
        let len = 2 * FRAMES * (CHUNK + 4);
        words.resize(len / 8, 0);
        let base = NonNull::new(words.as_mut_ptr().cast()).unwrap();
        // SAFETY: the words outlive the memory, and nothing else uses them.
        let region = unsafe { Region::of(base, len) };
        Memory::of(region, FRAMES, parts)
    }

    #[test]
    fn what_is_asked_lies_before_the_frame() {
        let mut words = Vec::new();
        let mut memory = memory(&mut words, 1);
        let max = memory.slot_max();
        let address = memory.take().unwrap();
        memory.slot(address, max).unwrap().fill(9);
        memory.ask_for_checksum(address, 34, 16);
        let at = usize::try_from(Memory::start_of(address)).unwrap();
        let request = [34, 16].map(u16::to_ne_bytes);
        let word = memory.region.load(at.saturating_add(8)).unwrap();
        assert_eq!(memory.region.load_u64(at), Some(CHECKSUM));
        assert_eq!(word.to_ne_bytes(), request.as_flattened());
        let frame = memory.slot(address, max).unwrap();
        assert!(frame.iter().all(|byte| *byte == 9));
    }

    fn wide(number: usize) -> u64 {
        number.try_into().unwrap()
    }

    /// Whether a slot is one chunk or several, it is free when all its parts have come back.
    #[test]
    fn every_slot_is_taken_once_and_what_is_to_be_received_never() {
        for parts in [1, 3, 5] {
            let mut words = Vec::new();
            let mut memory = memory(&mut words, parts);
            let max = parts * CHUNK - METADATA_LEN;
            for round in 0..3 {
                let mut taken = Vec::new();
                while let Some(address) = memory.take() {
                    assert!(address >= Memory::chunk(FRAMES_U32), "round {round}");
                    assert!(!taken.contains(&address));
                    let len = memory.slot(address, max).map(|slot| slot.len());
                    assert_eq!(len, Some(max));
                    assert!(memory.slot(address, max + 1).is_none());
                    taken.push(address);
                }
                assert_eq!(taken.len(), FRAMES / parts);
                for address in taken {
                    memory.hand_over(address, parts);
                    for part in 0..parts {
                        let free = memory.free;
                        memory.give_back(address + wide(part * CHUNK));
                        assert_eq!(memory.free - free, usize::from(part + 1 == parts));
                    }
                    // Nothing that the kernel says twice.
                    let free = memory.free;
                    memory.give_back(address);
                    assert_eq!(memory.free, free);
                }
            }
        }
    }

    /// In pieces that each lie in one chunk, one behind the other and without a gap.
    #[test]
    fn the_parts_of_a_frame_are_all_of_it() {
        let mut words = Vec::new();
        let mut memory = memory(&mut words, 3);
        let address = memory.take().unwrap();
        let first = CHUNK - METADATA_LEN;
        for len in [1, first - 1, first, first + 1, 9_014, memory.slot_max()] {
            let (mut at, mut count) = (address, 0);
            while let Some(part) = Memory::part(address, len, count) {
                let last = part.address + u64::from(part.len) - 1;
                assert_eq!(part.address, at);
                assert_eq!(Memory::start_of(part.address), Memory::start_of(last));
                at += u64::from(part.len);
                count += 1;
                assert_eq!(part.continued, at < address + wide(len), "{len}");
            }
            assert_eq!((at - address, count), (wide(len), parts_of(len)));
        }
        assert_eq!(Memory::part(address, 0, 0), None);
    }

    #[test]
    fn nothing_is_received_past_the_end() {
        let mut words = Vec::new();
        let memory = memory(&mut words, 1);
        let end = Memory::chunk(2 * FRAMES_U32);
        assert_eq!(memory.received(0, 100).map(<[u8]>::len), Some(100));
        assert!(memory.received(end - 10, 10).is_some());
        assert!(memory.received(end - 10, 11).is_none());
        assert!(memory.received(u64::MAX, 1).is_none());
    }
}
