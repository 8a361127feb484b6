//! A queue of buffers between driver and card: the split virtqueue (virtio 1.2, section 2.7), each
//! descriptor of which is one buffer and stays with it.
//!
//! The rings are atomics, since the card reads and writes them by itself; all numbers in them are
//! little-endian.

use core::sync::atomic::{AtomicU16, AtomicU32, Ordering, fence};

use crate::device::virtio_net::frames::{BUFFER, Buffers, Frames};
use crate::number::{count, high, low};

/// In a descriptor: the card writes to the buffer.
const WRITES: u32 = 2;
/// In the available ring: no interrupt when a buffer has been used.
const NO_INTERRUPT: u16 = 1;
/// In the used ring: the card need not be told of more.
const NO_NOTIFY: u16 = 1;

/// The rings of one direction.
#[derive(Debug)]
#[repr(C, align(16))]
pub(super) struct Rings<const N: usize> {
    descriptors: Descriptors<N>,
    available: Available<N>,
    used: Used<N>,
}

/// Address, length, flags and next of each buffer (`struct virtq_desc`).
#[derive(Debug)]
#[repr(C, align(16))]
struct Descriptors<const N: usize>([[AtomicU32; 4]; N]);

/// What the card may use (`struct virtq_avail`).
#[derive(Debug)]
#[repr(C)]
struct Available<const N: usize> {
    flags: AtomicU16,
    index: AtomicU16,
    entries: [AtomicU16; N],
}

/// What the card has used (`struct virtq_used`): buffer and length.
#[derive(Debug)]
#[repr(C, align(4))]
struct Used<const N: usize> {
    flags: AtomicU16,
    index: AtomicU16,
    entries: [[AtomicU32; 2]; N],
}

impl<const N: usize> Rings<N> {
    pub(super) const fn new() -> Self {
        Self {
            descriptors: Descriptors([const { [const { AtomicU32::new(0) }; 4] }; N]),
            available: Available {
                flags: AtomicU16::new(0),
                index: AtomicU16::new(0),
                entries: [const { AtomicU16::new(0) }; N],
            },
            used: Used {
                flags: AtomicU16::new(0),
                index: AtomicU16::new(0),
                entries: [const { [const { AtomicU32::new(0) }; 2] }; N],
            },
        }
    }
}

/// What the card has to give back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Taken {
    Nothing,
    /// A buffer, and how many bytes the card says it has written.
    Buffer {
        buffer: u16,
        len: u32,
    },
    /// A buffer that the card does not have.
    NotTheirs,
    /// More than it has been given. Nothing in the ring can be believed.
    TooMany,
}

/// Our side of a queue, and its buffers.
pub(super) struct Queue<const N: usize> {
    rings: &'static Rings<N>,
    pub(super) buffers: Buffers<N>,
    /// Buffers given, and used ones seen, both wrapping.
    given: u16,
    seen: u16,
    /// Entries of the used ring that named no buffer of the card's.
    misnamed: u16,
}

impl<const N: usize> Queue<N> {
    /// Makes a queue that the card knows nothing of.
    pub(super) const fn new(rings: &'static mut Rings<N>, frames: &'static mut Frames<N>) -> Self {
        Self {
            rings,
            buffers: Buffers::new(frames),
            given: 0,
            seen: 0,
            misnamed: 0,
        }
    }

    /// Describes all buffers to the card: it writes to them, or reads them.
    pub(super) fn describe(&self, card_writes: bool, address_of: impl Fn(usize) -> u64) {
        let flags = if card_writes { WRITES } else { 0 };
        for (buffer, descriptor) in (0..).zip(&self.rings.descriptors.0) {
            let address = address_of(self.buffers.address(buffer));
            let words = [low(address), high(address), count(BUFFER), flags];
            for (word, value) in descriptor.iter().zip(words) {
                word.store(value.to_le(), Ordering::Relaxed);
            }
        }
    }

    /// Returns where descriptors, available and used ring are.
    pub(super) fn addresses(&self) -> [usize; 3] {
        let rings = self.rings;
        [
            core::ptr::from_ref(&rings.descriptors).expose_provenance(),
            core::ptr::from_ref(&rings.available).expose_provenance(),
            core::ptr::from_ref(&rings.used).expose_provenance(),
        ]
    }

    /// Sets how many bytes of a buffer the card is to read.
    pub(super) fn set_len(&self, buffer: u16, len: u32) {
        if let Some([_, _, word, _]) = self.rings.descriptors.0.get(usize::from(buffer)) {
            word.store(len.to_le(), Ordering::Relaxed);
        }
    }

    /// Gives a buffer of ours to the card.
    pub(super) fn give(&mut self, buffer: u16) {
        if !self.buffers.give(buffer) {
            return;
        }
        let available = &self.rings.available;
        let at = usize::from(self.given).checked_rem(N).unwrap_or(0);
        if let Some(entry) = available.entries.get(at) {
            entry.store(buffer.to_le(), Ordering::Relaxed);
        }
        self.given = self.given.wrapping_add(1);
        available.index.store(self.given.to_le(), Ordering::Release);
    }

    /// Returns true if the card has given something back.
    pub(super) fn is_ready(&self) -> bool {
        u16::from_le(self.rings.used.index.load(Ordering::Acquire)) != self.seen
    }

    /// Takes a buffer back from the card.
    pub(super) fn take(&mut self) -> Taken {
        let used = &self.rings.used;
        let index = u16::from_le(used.index.load(Ordering::Acquire));
        let ahead = index.wrapping_sub(self.seen);
        if ahead == 0 {
            return Taken::Nothing;
        }
        if ahead > self.given.wrapping_sub(self.seen) {
            return Taken::TooMany;
        }
        let at = usize::from(self.seen).checked_rem(N).unwrap_or(0);
        let Some([buffer, len]) = used.entries.get(at) else {
            return Taken::TooMany;
        };
        self.seen = self.seen.wrapping_add(1);
        let len = u32::from_le(len.load(Ordering::Relaxed));
        let buffer = u32::from_le(buffer.load(Ordering::Relaxed));
        match u16::try_from(buffer) {
            Ok(buffer) if self.buffers.take_back(buffer) => Taken::Buffer { buffer, len },
            _ => {
                self.misnamed = self.misnamed.saturating_add(1);
                Taken::NotTheirs
            }
        }
    }

    /// Returns true if no buffer can come back any more: each name of another than the card had
    /// stands for one that it keeps.
    pub(super) fn has_lost_all(&self) -> bool {
        usize::from(self.misnamed) >= N
    }

    /// Returns true if the card wants to be told that it has been given something.
    pub(super) fn wants_to_be_told(&self) -> bool {
        // Either it sees what it has been given, or we see that it sleeps.
        fence(Ordering::SeqCst);
        u16::from_le(self.rings.used.flags.load(Ordering::Relaxed)) & NO_NOTIFY == 0
    }

    /// Has the card interrupt when it has used a buffer, or not. What it used just before it learns
    /// of that is to be looked for.
    pub(super) fn ask_for_interrupts(&self, on: bool) {
        let flags = if on { 0 } else { NO_INTERRUPT };
        let available = &self.rings.available;
        available.flags.store(flags.to_le(), Ordering::Relaxed);
        fence(Ordering::SeqCst);
    }
}
