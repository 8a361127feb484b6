//! What of libuv is called (`uv.h`).

use std::ffi::{c_int, c_void};

use usockets::Duration;

/// Numbers of `uv_handle_type`.
pub const POLL: c_int = 8;
pub const PREPARE: c_int = 9;
pub const TIMER: c_int = 13;
/// `UV_READABLE`.
pub const READABLE: c_int = 1;
/// A handle of any type, or a loop.
pub type Handle = *mut c_void;
#[link(name = "uv")]
unsafe extern "C" {
    pub fn uv_default_loop() -> Handle;
    pub fn uv_run(uv: Handle, mode: c_int) -> c_int;
    pub fn uv_update_time(uv: Handle);
    pub fn uv_handle_get_loop(handle: Handle) -> Handle;
    pub fn uv_handle_size(kind: c_int) -> usize;
    pub fn uv_handle_set_data(handle: Handle, data: *mut c_void);
    pub fn uv_handle_get_data(handle: Handle) -> *mut c_void;
    pub fn uv_poll_init(uv: Handle, handle: Handle, fd: c_int) -> c_int;
    pub fn uv_poll_start(h: Handle, events: c_int, f: extern "C" fn(Handle, c_int, c_int))
    -> c_int;
    pub fn uv_prepare_init(uv: Handle, handle: Handle) -> c_int;
    pub fn uv_prepare_start(handle: Handle, f: extern "C" fn(Handle)) -> c_int;
    pub fn uv_timer_init(uv: Handle, handle: Handle) -> c_int;
    pub fn uv_timer_start(h: Handle, f: extern "C" fn(Handle), millis: u64, repeat: u64) -> c_int;
    pub fn uv_timer_stop(handle: Handle) -> c_int;
}

/// Returns the memory of a handle, which is never freed.
pub fn new_handle(kind: c_int) -> Handle {
    // SAFETY: it only looks a number up.
    let len = unsafe { uv_handle_size(kind) };
    vec![0_u64; len.div_ceil(8)].leak().as_mut_ptr().cast()
}

/// Sets a timer to a time from now, rounded up to milliseconds; `None` stops it.
///
/// # Safety
/// The timer is initialized and not closed.
pub unsafe fn set_timer(timer: Handle, due: extern "C" fn(Handle), wait: Option<Duration>) {
    let millis = wait.map(|wait| wait.as_micros().div_ceil(1_000) as u64);
    // SAFETY: as the caller promises.
    unsafe {
        uv_update_time(uv_handle_get_loop(timer));
        match millis {
            Some(millis) => uv_timer_start(timer, due, millis, 0),
            None => uv_timer_stop(timer),
        };
    }
}
