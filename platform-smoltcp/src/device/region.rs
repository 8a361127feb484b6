//! Memory that the kernel writes to as well: rings and frames of AF_PACKET and AF_XDP.
//!
//! Words are read and written one at a time and atomically, so that nothing the kernel does with
//! them is a race. Frames are lent as slices, which is unsafe: who asks says why the kernel leaves
//! them alone meanwhile.
#![expect(
    unsafe_code,
    reason = "memory that is shared with the kernel is behind pointers"
)]

use core::ptr::{NonNull, null_mut};
use core::slice;
use core::sync::atomic::{AtomicU32, Ordering};

use rustix::fd::BorrowedFd;
use rustix::io::Errno;
#[cfg(feature = "afxdp")]
use rustix::mm::mmap_anonymous;
use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// Memory shared with the kernel, mapped until it is dropped.
pub(crate) struct Region {
    base: NonNull<u8>,
    len: usize,
    /// It was mapped here, and is unmapped when dropped.
    mapped: bool,
}

// SAFETY: the memory belongs to nobody else in this process, whatever the thread.
unsafe impl Send for Region {}

impl Region {
    /// Maps `len` bytes of what a socket shares, from `offset` on (`mmap(2)`).
    pub(crate) fn map(fd: BorrowedFd<'_>, len: usize, offset: u64) -> Result<Self, Errno> {
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, Self::flags());
        // SAFETY: the kernel chooses a place where nothing is.
        let base = unsafe { mmap(null_mut(), len, protection, flags, fd, offset) }?;
        Self::mapped(base.cast(), len)
    }

    /// Maps `len` bytes of zeros, in pages of their own.
    #[cfg(feature = "afxdp")]
    pub(crate) fn anonymous(len: usize) -> Result<Self, Errno> {
        let (protection, flags) = (ProtFlags::READ | ProtFlags::WRITE, Self::flags());
        // SAFETY: the kernel chooses a place where nothing is.
        let base = unsafe { mmap_anonymous(null_mut(), len, protection, flags) }?;
        Self::mapped(base.cast(), len)
    }

    /// Shared, and with all its pages at once, so that nothing is missing later.
    const fn flags() -> MapFlags {
        MapFlags::SHARED.union(MapFlags::POPULATE)
    }

    fn mapped(base: *mut u8, len: usize) -> Result<Self, Errno> {
        let base = NonNull::new(base).ok_or(Errno::NOMEM)?;
        Ok(Self {
            base,
            len,
            mapped: true,
        })
    }

    /// Returns a region in ordinary memory, for tests that act as the kernel.
    ///
    /// # Safety
    /// `base` is aligned to 8 bytes, `len` bytes there are valid for as long as the region is, and
    /// everybody uses them through regions only.
    #[cfg(test)]
    pub(crate) const unsafe fn of(base: NonNull<u8>, len: usize) -> Self {
        Self {
            base,
            len,
            mapped: false,
        }
    }

    /// Returns where it is, as the kernel has to be told.
    #[cfg(feature = "afxdp")]
    pub(crate) fn address(&self) -> usize {
        self.base.as_ptr().expose_provenance()
    }

    /// Returns the word at `at`; `None` if there is no place for one.
    fn word(&self, at: usize) -> Option<&AtomicU32> {
        let end = at.checked_add(size_of::<u32>())?;
        if end > self.len || !at.is_multiple_of(size_of::<u32>()) {
            return None;
        }
        // SAFETY: inside of the region, which is aligned to 8 bytes at least. Slices of it that
        // are lent mutably borrow the region so, and what is atomic may be shared with all others.
        Some(unsafe { AtomicU32::from_ptr(self.base.as_ptr().add(at).cast()) })
    }

    /// Reads the word at `at`, after which all that was written before it was stored is seen.
    pub(crate) fn acquire(&self, at: usize) -> Option<u32> {
        self.word(at).map(|word| word.load(Ordering::Acquire))
    }

    /// Reads the word at `at`.
    pub(crate) fn load(&self, at: usize) -> Option<u32> {
        self.word(at).map(|word| word.load(Ordering::Relaxed))
    }

    /// Reads the two words at `at` as one number.
    #[cfg(feature = "afxdp")]
    pub(crate) fn load_u64(&self, at: usize) -> Option<u64> {
        let [a, b, c, d] = self.load(at)?.to_ne_bytes();
        let [e, f, g, h] = self.load(at.checked_add(4)?)?.to_ne_bytes();
        Some(u64::from_ne_bytes([a, b, c, d, e, f, g, h]))
    }

    /// Writes the word at `at`, before which all that was written is seen by who acquires it.
    pub(crate) fn release(&mut self, at: usize, value: u32) {
        if let Some(word) = self.word(at) {
            word.store(value, Ordering::Release);
        }
    }

    /// Writes the word at `at`.
    pub(crate) fn store(&mut self, at: usize, value: u32) {
        if let Some(word) = self.word(at) {
            word.store(value, Ordering::Relaxed);
        }
    }

    /// Writes a number as the two words at `at`.
    #[cfg(feature = "afxdp")]
    pub(crate) fn store_u64(&mut self, at: usize, value: u64) {
        let [a, b, c, d, e, f, g, h] = value.to_ne_bytes();
        self.store(at, u32::from_ne_bytes([a, b, c, d]));
        self.store(at.saturating_add(4), u32::from_ne_bytes([e, f, g, h]));
    }

    fn holds(&self, at: usize, len: usize) -> bool {
        at.checked_add(len).is_some_and(|end| end <= self.len)
    }

    /// Lends `len` bytes from `at` on; `None` if they are not all in the region.
    ///
    /// # Safety
    /// The kernel does not write to them while they are lent.
    pub(crate) unsafe fn bytes(&self, at: usize, len: usize) -> Option<&[u8]> {
        // SAFETY: inside of the region, which holds initialized bytes, and nobody here writes to
        // what is lent, as that borrows the region mutably; that others do not, the caller says.
        self.holds(at, len)
            .then(|| unsafe { slice::from_raw_parts(self.base.as_ptr().add(at), len) })
    }

    /// Lends `len` bytes from `at` on, to write; `None` if they are not all in the region.
    ///
    /// # Safety
    /// The kernel neither reads nor writes them while they are lent.
    pub(crate) unsafe fn bytes_mut(&mut self, at: usize, len: usize) -> Option<&mut [u8]> {
        // SAFETY: as in `bytes`, and the region is borrowed mutably.
        self.holds(at, len)
            .then(|| unsafe { slice::from_raw_parts_mut(self.base.as_ptr().add(at), len) })
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        if self.mapped {
            // SAFETY: mapped by this type with this length, and nothing borrows it any more. What
            // the kernel still does with pages that it has pinned is no matter of this process.
            let _ = unsafe { munmap(self.base.as_ptr().cast(), self.len) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(words: &mut [u64]) -> Region {
        let len = size_of_val(words);
        let base = NonNull::new(words.as_mut_ptr().cast()).unwrap();
        // SAFETY: the words outlive the region in each test, which uses nothing else.
        unsafe { Region::of(base, len) }
    }

    #[test]
    fn nothing_is_reached_past_the_end() {
        let mut words = [0_u64; 4];
        let mut region = region(&mut words);
        region.store(28, 7);
        assert_eq!(region.load(28), Some(7));
        for at in [29, 30, 32, usize::MAX - 1, usize::MAX] {
            region.release(at, 1);
            assert_eq!(region.acquire(at), None, "{at}");
        }
        // SAFETY: nobody else has the memory.
        unsafe {
            assert_eq!(region.bytes(28, 4).map(<[u8]>::len), Some(4));
            assert!(region.bytes(28, 5).is_none());
            assert!(region.bytes_mut(usize::MAX, 2).is_none());
        }
    }
}
