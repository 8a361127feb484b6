//! The memory of a queue's frames, each of which either the card has or we have.
#![expect(unsafe_code, reason = "the card reads and writes frames by itself")]

use core::cell::UnsafeCell;

/// Bytes of a buffer.
pub(super) const BUFFER: usize = 1_536;

/// The buffers of one direction.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Frames<const N: usize>([UnsafeCell<[u8; BUFFER]>; N]);

// SAFETY: all that is done with what is in it is done through the one `Buffers` that it is lent to
// for ever.
unsafe impl<const N: usize> Sync for Frames<N> {}

impl<const N: usize> Frames<N> {
    pub(super) const fn new() -> Self {
        Self([const { UnsafeCell::new([0; BUFFER]) }; N])
    }
}

/// Who has which of a queue's buffers. In the beginning we have all.
pub(super) struct Buffers<const N: usize> {
    frames: &'static Frames<N>,
    theirs: [bool; N],
}

impl<const N: usize> Buffers<N> {
    pub(super) const fn new(frames: &'static mut Frames<N>) -> Self {
        Self {
            frames,
            theirs: [false; N],
        }
    }

    /// Returns where a buffer is, for the card, which leaves it alone until it is given to it.
    pub(super) fn address(&self, buffer: u16) -> usize {
        let cell = self.frames.0.get(usize::from(buffer));
        cell.map_or(0, |cell| cell.get().expose_provenance())
    }

    /// Notes that the card has a buffer from now on. Returns false if it had it already, or there
    /// is no such.
    pub(super) fn give(&mut self, buffer: u16) -> bool {
        let theirs = self.theirs.get_mut(usize::from(buffer));
        theirs.is_some_and(|theirs| !core::mem::replace(theirs, true))
    }

    /// Notes that the card has given a buffer back. Returns false if it did not have it.
    pub(super) fn take_back(&mut self, buffer: u16) -> bool {
        let theirs = self.theirs.get_mut(usize::from(buffer));
        theirs.is_some_and(core::mem::take)
    }

    /// Lends a buffer; `None` while the card has it.
    pub(super) fn lend(&self, buffer: u16) -> Option<&[u8; BUFFER]> {
        let cell = self.ours(buffer)?;
        // SAFETY: the card writes to buffers that it has been given and has not given back, of
        // which this is none, and `lend_mut` borrows all of them mutably.
        Some(unsafe { &*cell.get() })
    }

    /// Lends a buffer, to write; `None` while the card has it.
    pub(super) fn lend_mut(&mut self, buffer: u16) -> Option<&mut [u8; BUFFER]> {
        let cell = self.ours(buffer)?;
        // SAFETY: the card reads and writes buffers that it has been given and has not given back,
        // of which this is none, and this is the only way to them, which is borrowed mutably.
        Some(unsafe { &mut *cell.get() })
    }

    fn ours(&self, buffer: u16) -> Option<&'static UnsafeCell<[u8; BUFFER]>> {
        let index = usize::from(buffer);
        let ours = self.theirs.get(index).is_some_and(|theirs| !theirs);
        self.frames.0.get(index).filter(|_| ours)
    }
}
