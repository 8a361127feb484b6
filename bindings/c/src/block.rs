//! Memory that is not the core's: blocks for the program's data, and reserved address space.

use std::ptr::NonNull;
#[cfg(unix)]
use std::ptr::null_mut;

/// Allocates a `T` with `ext` bytes behind it, from the program's own allocator.
///
/// `None` when there is no memory. The bytes behind are uninitialised, as in µSockets.
pub(crate) fn allocate<T>(value: T, ext: usize) -> Option<NonNull<T>> {
    let block = reserve::<T>(ext)?;
    // SAFETY: the block is large and aligned enough, and nobody else knows it.
    unsafe { block.write(value) };
    Some(block)
}

/// Allocates room for a `T` with `ext` bytes behind it.
pub(crate) fn reserve<T>(ext: usize) -> Option<NonNull<T>> {
    const { assert!(align_of::<T>() <= ALIGNMENT && size_of::<T>().is_multiple_of(ALIGNMENT)) };
    let bytes = size_of::<T>().checked_add(ext)?;
    // SAFETY: any size may be asked for.
    NonNull::new(unsafe { libc::malloc(bytes) }).map(NonNull::cast)
}

/// What `malloc` aligns to, and `LIBUS_EXT_ALIGNMENT` promises.
const ALIGNMENT: usize = 16;

/// Frees a block of [`allocate`].
///
/// # Safety
/// Nobody uses the block afterwards. Its value is not dropped.
pub(crate) unsafe fn free<T>(block: NonNull<T>) {
    // SAFETY: the caller's promise.
    unsafe { libc::free(block.as_ptr().cast()) };
}

/// Returns the bytes behind a `T` that [`allocate`] made room for, or a few more.
///
/// # Safety
/// The block is one of [`allocate`], not freed.
pub(crate) unsafe fn room<T>(block: NonNull<T>) -> usize {
    #[cfg(windows)]
    use libc::_msize as size;
    #[cfg(target_vendor = "apple")]
    use libc::malloc_size as size;
    #[cfg(all(unix, not(target_vendor = "apple")))]
    use libc::malloc_usable_size as size;
    // SAFETY: the caller's promise.
    let bytes = unsafe { size(block.as_ptr().cast()) };
    bytes.saturating_sub(size_of::<T>())
}

/// Address space of which only what is touched takes memory. Zero bytes at first.
///
/// So it is on systems of the Unix kind. Windows has to have room for all of it from the start, in
/// memory or in its page file, though it too finds a page only when that is touched.
#[derive(Debug)]
pub(crate) struct Reservation {
    start: NonNull<u8>,
    bytes: usize,
}

impl Reservation {
    /// Reserves `bytes`; `None` when the system has no such space.
    pub(crate) fn new(bytes: usize) -> Option<Self> {
        let start = NonNull::new(reserve_pages(bytes))?;
        Some(Self { start, bytes })
    }

    /// Returns the first byte, as what is to lie there.
    pub(crate) const fn start<T>(&self) -> NonNull<T> {
        self.start.cast()
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // SAFETY: the mapping is this one's own. Who uses it outlives neither it nor its loop.
        unsafe { give_back(self.start.as_ptr(), self.bytes) };
    }
}

#[cfg(unix)]
fn reserve_pages(bytes: usize) -> *mut u8 {
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANON;
    // Others promise no memory before it is touched.
    #[cfg(target_os = "linux")]
    let flags = flags | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at a place of the kernel's choice.
    let start = unsafe { libc::mmap(null_mut(), bytes, access, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return null_mut();
    }
    start.cast()
}

#[cfg(unix)]
unsafe fn give_back(start: *mut u8, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(start.cast(), bytes) };
}

#[cfg(windows)]
fn reserve_pages(bytes: usize) -> *mut u8 {
    use windows_sys::Win32::System::Memory;

    let kind = Memory::MEM_RESERVE | Memory::MEM_COMMIT;
    // SAFETY: new pages at a place of the system's choice.
    unsafe { Memory::VirtualAlloc(std::ptr::null(), bytes, kind, Memory::PAGE_READWRITE) }.cast()
}

#[cfg(windows)]
unsafe fn give_back(start: *mut u8, _: usize) {
    use windows_sys::Win32::System::Memory;

    // SAFETY: the caller's promise.
    unsafe { Memory::VirtualFree(start.cast(), 0, Memory::MEM_RELEASE) };
}
