//! The two rings of a packet socket, in memory that the kernel shares (`linux/if_packet.h`,
//! TPACKET_V3; the kernel's `Documentation/networking/packet_mmap.rst`).
//!
//! Frames come in blocks. A block belongs to the kernel until its status says otherwise, and again
//! when we have written so. A slot to send belongs to us until its status asks the kernel to send.
#![expect(
    unsafe_code,
    reason = "frames are lent out of memory that is shared with the kernel"
)]

use crate::device::region::Region;
use crate::number::{count, place};

/// Most frames of one burst.
pub(crate) const BURST_MAX: usize = 64;
/// Where in a block its status, the number of its frames and the place of the first one stand
/// (`struct tpacket_block_desc`, `struct tpacket_hdr_v1`).
const BLOCK_STATUS: usize = 8;
const BLOCK_FRAMES: usize = 12;
const BLOCK_FIRST: usize = 16;
/// Where in the header of a frame is what (`struct tpacket3_hdr`).
const FRAME_NEXT: usize = 0;
const FRAME_KEPT: usize = 12;
const FRAME_LEN: usize = 16;
const FRAME_STATUS: usize = 20;
const FRAME_MAC: usize = 24;
const FRAME_VLAN: usize = 32;
/// Bytes of that header; what is to be sent follows it.
pub(crate) const FRAME_HEADER: usize = 48;
/// Statuses (`TP_STATUS_KERNEL`, `TP_STATUS_USER`; `TP_STATUS_AVAILABLE`,
/// `TP_STATUS_SEND_REQUEST`, `TP_STATUS_WRONG_FORMAT`).
pub(crate) const OF_KERNEL: u32 = 0;
const OF_USER: u32 = 1;
const AVAILABLE: u32 = 0;
const SEND_REQUEST: u32 = 1;
const WRONG_FORMAT: u32 = 4;
/// The status of a frame whose checksum its sender left to be finished, of one with a VLAN tag,
/// and of one whose checksum was verified.
pub(crate) const CHECKSUM_NOT_READY: u32 = 1 << 3;
pub(crate) const VLAN_VALID: u32 = 1 << 4;
pub(crate) const CHECKSUM_VALID: u32 = 1 << 7;

/// A received frame of the burst.
#[derive(Clone, Copy)]
pub(crate) struct Frame {
    at: usize,
    len: usize,
    pub(crate) status: u32,
    pub(crate) vlan: u32,
}

impl Frame {
    const NONE: Self = Self {
        at: 0,
        len: 0,
        status: 0,
        vlan: 0,
    };
}

/// The receive ring: where in it we are, and the burst that is lent.
pub(crate) struct RxRing {
    block_len: usize,
    blocks: usize,
    /// The block that is ours, or becomes so next.
    block: usize,
    /// The block is ours.
    held: bool,
    /// Frames of it that were not lent yet, and where the next one is.
    left: u32,
    next: usize,
    burst: [Frame; BURST_MAX],
    burst_len: usize,
    /// Frames longer than a block, which the kernel has cut.
    pub(crate) cut: u64,
}

impl RxRing {
    /// Makes the state of a ring of `blocks` blocks at the start of a region.
    pub(crate) const fn new(block_len: usize, blocks: usize) -> Self {
        Self {
            block_len,
            blocks,
            block: 0,
            held: false,
            left: 0,
            next: 0,
            burst: [Frame::NONE; BURST_MAX],
            burst_len: 0,
            cut: 0,
        }
    }

    const fn start(&self) -> usize {
        self.block.saturating_mul(self.block_len)
    }

    /// Takes a burst out of one block, and gives that block back once all of it has been lent.
    pub(crate) fn receive(&mut self, region: &mut Region, frames_max: usize) -> usize {
        self.burst_len = 0;
        if self.held && self.left == 0 {
            self.give_back(region);
        }
        if !self.held && !self.take_block(region) {
            return 0;
        }
        let most = frames_max.min(BURST_MAX);
        while self.left > 0 && self.burst_len < most {
            self.left = self.left.saturating_sub(1);
            let Some(frame) = self.parse(region) else {
                // No frame is there: the rest of the block is of no use.
                self.left = 0;
                break;
            };
            let Some(frame) = frame else {
                self.cut = self.cut.wrapping_add(1);
                continue;
            };
            if let Some(place) = self.burst.get_mut(self.burst_len) {
                *place = frame;
                self.burst_len = self.burst_len.saturating_add(1);
            }
        }
        self.burst_len
    }

    fn give_back(&mut self, region: &mut Region) {
        region.release(self.start().saturating_add(BLOCK_STATUS), OF_KERNEL);
        self.held = false;
        self.block = self.block.saturating_add(1);
        if self.block >= self.blocks {
            self.block = 0;
        }
    }

    fn take_block(&mut self, region: &Region) -> bool {
        let start = self.start();
        let at = |field: usize| start.saturating_add(field);
        let status = region.acquire(at(BLOCK_STATUS)).unwrap_or(OF_KERNEL);
        if status & OF_USER == 0 {
            return false;
        }
        self.held = true;
        self.left = region.load(at(BLOCK_FRAMES)).unwrap_or(0);
        let first = region.load(at(BLOCK_FIRST)).unwrap_or(0);
        self.next = start.saturating_add(place(first));
        true
    }

    /// Reads the next frame's header; `None` where none can be, `Some(None)` if the frame was cut.
    fn parse(&mut self, region: &Region) -> Option<Option<Frame>> {
        let end = self.start().saturating_add(self.block_len);
        let start = self.next;
        let word = |field: usize| region.load(start.saturating_add(field));
        let [next, kept, len, status] = [FRAME_NEXT, FRAME_KEPT, FRAME_LEN, FRAME_STATUS].map(word);
        let [a, b, ..] = word(FRAME_MAC)?.to_ne_bytes();
        let at = start.saturating_add(usize::from(u16::from_ne_bytes([a, b])));
        let (len, kept) = (place(len?), place(kept?));
        if at.saturating_add(kept) > end {
            return None;
        }
        self.next = start.saturating_add(place(next?));
        if kept < len {
            return Some(None);
        }
        Some(Some(Frame {
            at,
            len,
            status: status?,
            vlan: word(FRAME_VLAN)?,
        }))
    }

    /// Returns a frame of the burst; `None` past its end.
    pub(crate) fn get(&self, index: usize) -> Option<&Frame> {
        self.burst.get(..self.burst_len)?.get(index)
    }

    /// Lends the bytes of a frame of the burst.
    pub(crate) fn bytes<'r>(&self, region: &'r Region, index: usize) -> Option<&'r [u8]> {
        let frame = self.get(index)?;
        // SAFETY: the frame lies in the block that is ours until `receive` gives it back, for
        // which it wants the region mutably.
        unsafe { region.bytes(frame.at, frame.len) }
    }
}

/// The send ring, behind the receive ring in the region.
pub(crate) struct TxRing {
    start: usize,
    slot_len: usize,
    slots: usize,
    /// The slot that is lent next.
    head: usize,
    /// The oldest slot that the kernel may not have looked at.
    tail: usize,
    /// Slots from there to the head.
    waiting: usize,
    /// Slots that the kernel found no frame in.
    pub(crate) dropped: u64,
}

impl TxRing {
    /// Makes the state of a ring of `slots` slots from `start` on.
    pub(crate) const fn new(start: usize, slot_len: usize, slots: usize) -> Self {
        Self {
            start,
            slot_len,
            slots,
            head: 0,
            tail: 0,
            waiting: 0,
            dropped: 0,
        }
    }

    const fn at(&self, slot: usize) -> usize {
        self.start
            .saturating_add(slot.saturating_mul(self.slot_len))
    }

    const fn after(&self, slot: usize) -> usize {
        let next = slot.saturating_add(1);
        if next < self.slots { next } else { 0 }
    }

    /// Returns true if the next slot is ours, and counts what the kernel did not like in it.
    fn has_room(&mut self, region: &mut Region) -> bool {
        let at = self.at(self.head).saturating_add(FRAME_STATUS);
        match region.acquire(at) {
            Some(AVAILABLE) => true,
            Some(WRONG_FORMAT) => {
                self.dropped = self.dropped.wrapping_add(1);
                region.release(at, AVAILABLE);
                true
            }
            _ => false,
        }
    }

    /// Lends the first `len` bytes of the next slot; `None` if it is not ours.
    pub(crate) fn slot<'r>(&mut self, region: &'r mut Region, len: usize) -> Option<&'r mut [u8]> {
        if !self.has_room(region) || len > self.slot_len.saturating_sub(FRAME_HEADER) {
            return None;
        }
        // SAFETY: the slot is available, so the kernel has done with it, and it does not look
        // behind the status before `commit` writes it, for which it wants the region mutably.
        unsafe { region.bytes_mut(self.at(self.head).saturating_add(FRAME_HEADER), len) }
    }

    /// Hands the first `len` bytes of the slot lent last to the kernel, which sends them when it
    /// is called.
    pub(crate) fn commit(&mut self, region: &mut Region, len: usize) {
        if !self.has_room(region) {
            return;
        }
        let at = self.at(self.head);
        let word = |field: usize| at.saturating_add(field);
        region.store(word(FRAME_NEXT), 0);
        region.store(word(FRAME_KEPT), count(len));
        region.store(word(FRAME_LEN), count(len));
        region.release(word(FRAME_STATUS), SEND_REQUEST);
        self.head = self.after(self.head);
        self.waiting = self.waiting.saturating_add(1);
    }

    /// Returns the number of slots that the kernel has not looked at.
    pub(crate) fn waiting(&mut self, region: &Region) -> usize {
        while self.waiting > 0 {
            let status = region.acquire(self.at(self.tail).saturating_add(FRAME_STATUS));
            if status == Some(SEND_REQUEST) {
                break;
            }
            self.tail = self.after(self.tail);
            self.waiting = self.waiting.saturating_sub(1);
        }
        self.waiting
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of tests")]
mod tests {
    extern crate std;

    use core::ptr::NonNull;
    use std::vec::Vec;

    use super::*;

    const BLOCK_LEN: usize = 1_024;
    const BLOCKS: usize = 3;
    const SLOT_LEN: usize = 256;
    const SLOTS: usize = 4;
    const LEN: usize = BLOCK_LEN * BLOCKS + SLOT_LEN * SLOTS;

    type Words = [u64; LEN / 8];

    /// A view of the rings' memory: one for us, one for who acts as the kernel.
    fn view(memory: &mut Words) -> [Region; 2] {
        let base = NonNull::new(memory.as_mut_ptr().cast()).unwrap();
        // SAFETY: the memory outlives both, and the tests use it through them only.
        [(), ()].map(|()| unsafe { Region::of(base, LEN) })
    }

    /// Fills a block with frames as the kernel does, each of its first byte's length; `cut` takes
    /// away from what is kept of each.
    fn fill(kernel: &mut Region, block: usize, frames: &[u8], cut: u32) {
        let start = block * BLOCK_LEN;
        assert_eq!(kernel.acquire(start + BLOCK_STATUS), Some(OF_KERNEL));
        kernel.store(start + BLOCK_FRAMES, count(frames.len()));
        kernel.store(start + BLOCK_FIRST, 48);
        let mut at = start + 48;
        for len in frames {
            let room = (64 + usize::from(*len)).next_multiple_of(8);
            let words = [
                (FRAME_NEXT, count(room)),
                (FRAME_KEPT, u32::from(*len) - cut),
                (FRAME_LEN, u32::from(*len)),
                (FRAME_STATUS, OF_USER | CHECKSUM_VALID),
                (FRAME_MAC, u32::from_ne_bytes([64, 0, 78, 0])),
            ];
            for (field, value) in words {
                kernel.store(at + field, value);
            }
            // SAFETY: the block is the kernel's.
            let bytes = unsafe { kernel.bytes_mut(at + 64, usize::from(*len)) };
            bytes.unwrap().fill(*len);
            at += room;
        }
        kernel.release(start + BLOCK_STATUS, OF_USER);
    }

    /// Takes one burst and returns the first bytes of its frames, which are their lengths.
    fn burst(rx: &mut RxRing, region: &mut Region, frames_max: usize) -> Vec<u8> {
        let taken = rx.receive(region, frames_max);
        let frames: Vec<_> = (0..taken)
            .map(|index| {
                let frame = rx.bytes(region, index).unwrap();
                assert!(frame.iter().all(|byte| usize::from(*byte) == frame.len()));
                assert_ne!(rx.get(index).unwrap().status & CHECKSUM_VALID, 0);
                frame[0]
            })
            .collect();
        assert!(rx.bytes(region, taken).is_none());
        frames
    }

    #[test]
    fn blocks_come_in_order_and_go_back_when_all_was_lent() {
        let mut memory = [0; LEN / 8];
        let [mut region, mut kernel] = view(&mut memory);
        let mut rx = RxRing::new(BLOCK_LEN, BLOCKS);
        assert!(burst(&mut rx, &mut region, 9).is_empty());
        fill(&mut kernel, 0, &[60, 61, 62], 0);
        fill(&mut kernel, 1, &[63], 0);
        assert_eq!(burst(&mut rx, &mut region, 2), [60, 61]);
        assert_eq!(burst(&mut rx, &mut region, 2), [62]);
        let status = kernel.acquire(BLOCK_STATUS);
        assert_eq!(status, Some(OF_USER), "its frames are still lent");
        assert_eq!(burst(&mut rx, &mut region, 2), [63]);
        assert!(burst(&mut rx, &mut region, 2).is_empty());
        fill(&mut kernel, 2, &[64], 0);
        fill(&mut kernel, 0, &[65], 0);
        assert_eq!(burst(&mut rx, &mut region, 9), [64]);
        assert_eq!(burst(&mut rx, &mut region, 9), [65]);
    }

    #[test]
    fn a_frame_that_was_cut_is_counted_and_left_out() {
        let mut memory = [0; LEN / 8];
        let [mut region, mut kernel] = view(&mut memory);
        let mut rx = RxRing::new(BLOCK_LEN, BLOCKS);
        fill(&mut kernel, 0, &[60, 61], 1);
        fill(&mut kernel, 1, &[62], 0);
        assert!(burst(&mut rx, &mut region, 9).is_empty());
        assert_eq!(rx.cut, 2);
        assert_eq!(burst(&mut rx, &mut region, 9), [62]);
    }

    /// Whatever stands in a block, no frame reaches out of it.
    #[test]
    fn any_words_in_a_block_do_no_harm() {
        let mut random = crate::Random::new(1);
        for _ in 0..if cfg!(miri) { 50 } else { 20_000 } {
            let mut memory = [0; LEN / 8];
            let [mut region, mut kernel] = view(&mut memory);
            let mut rx = RxRing::new(BLOCK_LEN, BLOCKS);
            fill(&mut kernel, 0, &[60, 61, 62], 0);
            for _ in 0..4 {
                let at = usize::try_from(random.below(64)).unwrap() * 4;
                let value = count(usize::try_from(random.below(1 << 34) >> 3).unwrap());
                kernel.store(at + 12, value >> random.below(32));
            }
            kernel.release(BLOCK_STATUS, OF_USER);
            for _ in 0..4 {
                for index in 0..rx.receive(&mut region, 2) {
                    let frame = rx.get(index).unwrap();
                    assert!(frame.at + frame.len <= BLOCK_LEN);
                    assert!(rx.bytes(&region, index).is_some());
                }
            }
        }
    }

    #[test]
    fn a_slot_is_lent_again_when_the_kernel_has_sent_it() {
        let mut memory = [0; LEN / 8];
        let [mut region, mut kernel] = view(&mut memory);
        let start = BLOCK_LEN * BLOCKS;
        let mut tx = TxRing::new(start, SLOT_LEN, SLOTS);
        assert!(tx.slot(&mut region, SLOT_LEN - FRAME_HEADER + 1).is_none());
        for round in 0..SLOTS {
            tx.slot(&mut region, 100)
                .unwrap()
                .fill(u8::try_from(round).unwrap());
            tx.commit(&mut region, 100);
            assert_eq!(tx.waiting(&region), round + 1);
        }
        assert!(tx.slot(&mut region, 1).is_none(), "all are the kernel's");
        // Nothing was lent: nothing is sent.
        tx.commit(&mut region, 1);
        assert_eq!(tx.waiting(&region), SLOTS);
        for (slot, status) in [(0, AVAILABLE), (1, WRONG_FORMAT)] {
            let at = start + slot * SLOT_LEN;
            assert_eq!(kernel.acquire(at + FRAME_STATUS), Some(SEND_REQUEST));
            assert_eq!(kernel.load(at + FRAME_LEN), Some(100));
            // SAFETY: the slot is the kernel's.
            let sent = unsafe { kernel.bytes(at + FRAME_HEADER, 100) }.unwrap();
            assert!(sent.iter().all(|byte| usize::from(*byte) == slot));
            kernel.release(at + FRAME_STATUS, status);
        }
        assert_eq!(tx.waiting(&region), 2);
        for _ in 0..2 {
            assert!(tx.slot(&mut region, 10).is_some());
            tx.commit(&mut region, 10);
        }
        assert_eq!(tx.dropped, 1, "one that the kernel did not like");
        assert!(tx.slot(&mut region, 1).is_none());
    }

    /// Over threads, so that Miri sees what orders the memory.
    #[test]
    fn frames_are_seen_whole_by_another_thread() {
        let mut memory = [0; LEN / 8];
        let [mut region, mut kernel] = view(&mut memory);
        let mut rx = RxRing::new(BLOCK_LEN, BLOCKS);
        let blocks = if cfg!(miri) { 20 } else { 2_000 };
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for block in 0..blocks {
                    let place = block % BLOCKS;
                    while kernel.acquire(place * BLOCK_LEN + BLOCK_STATUS) != Some(OF_KERNEL) {
                        std::thread::yield_now();
                    }
                    fill(&mut kernel, place, &[60, 200, 61], 0);
                }
            });
            let mut seen = Vec::new();
            while seen.len() < 3 * blocks {
                seen.append(&mut burst(&mut rx, &mut region, 2));
                std::thread::yield_now();
            }
            assert!(seen.chunks(3).all(|frames| frames == [60, 200, 61]));
        });
    }
}
