//! Counts what the timed calls ask the heap for.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

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

/// Returns how many bytes of the C library's heap `free` gives back, Rust's and C's; `None` if that
/// library does not tell.
pub fn freed_by(free: impl FnOnce()) -> Option<usize> {
    // SAFETY: the library is in use already; the function is glibc's, since 2.33, and has no
    // preconditions.
    let used = unsafe {
        let library = libloading::Library::new("libc.so.6").ok()?;
        let mallinfo2: unsafe extern "C" fn() -> MallInfo = *library.get(b"mallinfo2").ok()?;
        move || mallinfo2().used
    };
    let before = used();
    free();
    Some(before.saturating_sub(used()))
}

/// Returns the count since the last call.
pub fn take() -> usize {
    COUNT.swap(0, Ordering::Relaxed)
}
