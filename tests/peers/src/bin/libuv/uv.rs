//! The few declarations of libuv 1.x that are needed. Handles and requests are opaque; libuv says
//! how big they are.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ffi::{c_char, c_int, c_uint, c_void};

/// `UV_TCP` of `uv_handle_type`.
pub(crate) const TCP: c_int = 12;
/// `UV_TIMER` of `uv_handle_type`.
pub(crate) const TIMER: c_int = 13;
/// `UV_WRITE` of `uv_req_type`.
pub(crate) const WRITE: c_int = 3;
/// `UV_RUN_DEFAULT` of `uv_run_mode`.
pub(crate) const RUN_DEFAULT: c_int = 0;
/// `UV_RUN_NOWAIT` of `uv_run_mode`.
pub(crate) const RUN_NOWAIT: c_int = 2;

/// Alignment that `malloc` would give.
const ALIGN: usize = 16;

/// `uv_buf_t` of Unix.
#[repr(C)]
pub(crate) struct Buf {
    pub(crate) base: *mut u8,
    pub(crate) len: usize,
}

impl Buf {
    /// Describes bytes that libuv only reads.
    pub(crate) const fn of(bytes: &[u8]) -> Self {
        Self {
            base: bytes.as_ptr().cast_mut(),
            len: bytes.len(),
        }
    }
}

type ConnectionCb = extern "C" fn(*mut c_void, c_int);
type AllocCb = extern "C" fn(*mut c_void, usize, *mut Buf);
type ReadCb = extern "C" fn(*mut c_void, isize, *const Buf);
type WriteCb = extern "C" fn(*mut c_void, c_int);
type HandleCb = extern "C" fn(*mut c_void);

#[link(name = "uv")]
unsafe extern "C" {
    pub(crate) fn uv_default_loop() -> *mut c_void;
    pub(crate) fn uv_run(run: *mut c_void, mode: c_int) -> c_int;
    pub(crate) fn uv_now(run: *mut c_void) -> u64;
    pub(crate) fn uv_update_time(run: *mut c_void);
    pub(crate) fn uv_handle_size(kind: c_int) -> usize;
    pub(crate) fn uv_req_size(kind: c_int) -> usize;
    pub(crate) fn uv_handle_get_data(handle: *const c_void) -> *mut c_void;
    pub(crate) fn uv_handle_set_data(handle: *mut c_void, data: *mut c_void);
    pub(crate) fn uv_req_get_data(request: *const c_void) -> *mut c_void;
    pub(crate) fn uv_req_set_data(request: *mut c_void, data: *mut c_void);
    pub(crate) fn uv_is_closing(handle: *const c_void) -> c_int;
    pub(crate) fn uv_close(handle: *mut c_void, cb: HandleCb);
    pub(crate) fn uv_tcp_init(run: *mut c_void, handle: *mut c_void) -> c_int;
    pub(crate) fn uv_tcp_open(handle: *mut c_void, fd: c_int) -> c_int;
    pub(crate) fn uv_tcp_nodelay(handle: *mut c_void, on: c_int) -> c_int;
    pub(crate) fn uv_listen(handle: *mut c_void, backlog: c_int, cb: ConnectionCb) -> c_int;
    pub(crate) fn uv_accept(listener: *mut c_void, handle: *mut c_void) -> c_int;
    pub(crate) fn uv_read_start(handle: *mut c_void, alloc: AllocCb, read: ReadCb) -> c_int;
    pub(crate) fn uv_read_stop(handle: *mut c_void) -> c_int;
    pub(crate) fn uv_try_write(handle: *mut c_void, buffers: *const Buf, count: c_uint) -> c_int;
    pub(crate) fn uv_write(
        request: *mut c_void,
        handle: *mut c_void,
        buffers: *const Buf,
        count: c_uint,
        cb: WriteCb,
    ) -> c_int;
    pub(crate) fn uv_timer_init(run: *mut c_void, handle: *mut c_void) -> c_int;
    pub(crate) fn uv_timer_start(
        handle: *mut c_void,
        cb: HandleCb,
        timeout: u64,
        repeat: u64,
    ) -> c_int;
    fn uv_strerror(error: c_int) -> *const c_char;
}

/// Makes room for a handle.
pub(crate) fn handle(kind: c_int) -> *mut c_void {
    // SAFETY: a plain question.
    room(unsafe { uv_handle_size(kind) })
}

/// Makes room for a request.
pub(crate) fn request(kind: c_int) -> *mut c_void {
    // SAFETY: a plain question.
    room(unsafe { uv_req_size(kind) })
}

/// Makes zeroed room of any other size, aligned as libuv wants it.
fn room(size: usize) -> *mut c_void {
    let layout = Layout::from_size_align(size.max(1), ALIGN).expect("a size that libuv said");
    // SAFETY: the layout is not empty.
    unsafe { alloc_zeroed(layout) }.cast()
}

/// Gives room back.
///
/// # Safety
/// `place` came from [`handle`] or [`request`] with this size, and nobody uses it any more.
pub(crate) unsafe fn free(place: *mut c_void, size: usize) {
    let layout = Layout::from_size_align(size.max(1), ALIGN).expect("a size that libuv said");
    // SAFETY: as the caller promises.
    unsafe { dealloc(place.cast(), layout) }
}

/// Turns libuv's negative numbers into errors.
pub(crate) fn check(status: c_int) -> Result<(), String> {
    if status >= 0 {
        return Ok(());
    }
    // SAFETY: libuv returns a string that ends and stays.
    let text = unsafe { std::ffi::CStr::from_ptr(uv_strerror(status)) };
    Err(text.to_string_lossy().into_owned())
}
