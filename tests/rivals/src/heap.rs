//! Counts what the timed calls ask the heap for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use libloading::{Library, Symbol};

static COUNT: AtomicUsize = AtomicUsize::new(0);
thread_local! {
    static IS_COUNTING: Cell<bool> = const { Cell::new(false) };
}

struct Counting;

// SAFETY: every call is passed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if IS_COUNTING.get() {
            COUNT.fetch_add(1, Ordering::Relaxed);
        }
        // SAFETY: as the caller promised.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as the caller promised.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Calls `f`, and counts what it asks Rust's heap for; C's is not seen.
pub fn counted<T>(f: impl FnOnce() -> T) -> T {
    IS_COUNTING.set(true);
    let made = f();
    IS_COUNTING.set(false);
    made
}

/// What `mallinfo2` returns, of which the bytes in use count.
#[repr(C)]
struct MallInfo {
    before: [usize; 7],
    used: usize,
    after: [usize; 2],
}

/// Returns how many bytes of the C library's heap are in use, Rust's and C's; `None` if that
/// library does not tell.
pub fn used() -> Option<usize> {
    // SAFETY: the library is in use already; the function is glibc's, since 2.33, and has no
    // preconditions.
    unsafe {
        static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();
        let library = LIBRARY.get_or_init(|| Library::new("libc.so.6").ok());
        let mallinfo2: Symbol<'_, unsafe extern "C" fn() -> MallInfo> =
            library.as_ref()?.get(b"mallinfo2").ok()?;
        Some(mallinfo2().used)
    }
}

/// Returns how many bytes of it `free` gives back.
pub fn freed_by(free: impl FnOnce()) -> Option<usize> {
    let before = used()?;
    free();
    Some(before.saturating_sub(used()?))
}

/// Returns the count since the last call.
pub fn take() -> usize {
    COUNT.swap(0, Ordering::Relaxed)
}
