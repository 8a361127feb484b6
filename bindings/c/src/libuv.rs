//! A loop inside a `uv_loop_t`: the feature `libuv`.
//!
//! The loop's descriptor is in a `uv_poll_t`, its deadlines in one `uv_timer_t`, which a
//! `uv_prepare_t` sets before libuv waits. Each runs one iteration, without waiting. The poll keeps
//! `uv_run` from returning as long as the loop has something left, and nothing else does.

use std::ffi::{c_int, c_void};
use std::ptr::{NonNull, null_mut};

use crate::event_loop::{is_busy, next_millis, run_at_once};
use crate::handles::LoopRef;

type Handle = *mut c_void;

/// Numbers of `uv_handle_type`.
const POLL: c_int = 8;
const PREPARE: c_int = 9;
const TIMER: c_int = 13;
/// `UV_READABLE`.
const READABLE: c_int = 1;
/// `UV_RUN_DEFAULT`.
const UNTIL_THE_END: c_int = 0;

#[link(name = "uv")]
unsafe extern "C-unwind" {
    fn uv_run(uv: Handle, mode: c_int) -> c_int;
    fn uv_handle_size(kind: c_int) -> usize;
    fn uv_handle_set_data(handle: Handle, data: *mut c_void);
    fn uv_handle_get_data(handle: Handle) -> *mut c_void;
    fn uv_poll_init(uv: Handle, handle: Handle, fd: c_int) -> c_int;
    fn uv_poll_start(
        handle: Handle,
        events: c_int,
        callback: unsafe extern "C-unwind" fn(Handle, c_int, c_int),
    ) -> c_int;
    fn uv_prepare_init(uv: Handle, handle: Handle) -> c_int;
    fn uv_prepare_start(handle: Handle, callback: unsafe extern "C-unwind" fn(Handle)) -> c_int;
    fn uv_timer_init(uv: Handle, handle: Handle) -> c_int;
    fn uv_timer_start(
        handle: Handle,
        callback: unsafe extern "C-unwind" fn(Handle),
        millis: u64,
        repeat: u64,
    ) -> c_int;
    fn uv_timer_stop(handle: Handle) -> c_int;
    fn uv_update_time(uv: Handle);
    fn uv_ref(handle: Handle);
    fn uv_unref(handle: Handle);
    fn uv_close(handle: Handle, closed: unsafe extern "C-unwind" fn(Handle));
}

/// What a loop has in its host. libuv frees handles when its own loop runs next, so that each is
/// an allocation by itself.
#[derive(Clone, Copy)]
pub(crate) struct Host {
    uv: Handle,
    poll: Handle,
    prepare: Handle,
    timer: Handle,
}

/// Allocates a handle, and initialises it.
fn handle(kind: c_int, lp: LoopRef, init: impl FnOnce(Handle) -> c_int) -> Option<Handle> {
    // SAFETY: the size that libuv says; a block that it could not initialise is not its own.
    unsafe {
        let block = NonNull::new(libc::malloc(uv_handle_size(kind)))?;
        if init(block.as_ptr()) != 0 {
            libc::free(block.as_ptr());
            return None;
        }
        uv_handle_set_data(block.as_ptr(), lp.as_ptr().cast());
        Some(block.as_ptr())
    }
}

/// Returns the loop of a handle.
///
/// # Safety
/// The handle is not closing.
unsafe fn loop_of(handle: Handle) -> Option<LoopRef> {
    // SAFETY: set when the handle was made; the loop closes its handles before it is freed.
    LoopRef::from_ptr(unsafe { uv_handle_get_data(handle) }.cast())
}

unsafe extern "C-unwind" fn on_readable(handle: Handle, _: c_int, _: c_int) {
    // SAFETY: the handle is the loop's.
    if let Some(lp) = unsafe { loop_of(handle) } {
        run_at_once(lp);
    }
}

unsafe extern "C-unwind" fn on_timer(handle: Handle) {
    // SAFETY: the handle is the loop's.
    if let Some(lp) = unsafe { loop_of(handle) } {
        run_at_once(lp);
    }
}

/// Sets the timer to when the loop has something to do by itself.
unsafe extern "C-unwind" fn on_prepare(handle: Handle) {
    // SAFETY: the handles are the loop's.
    unsafe {
        let Some(lp) = loop_of(handle) else {
            return;
        };
        let Some(host) = lp.host.get() else {
            return;
        };
        host.keep(is_busy(lp));
        match u64::try_from(next_millis(lp)) {
            Ok(millis) => {
                // From the present, not from when libuv looked last.
                uv_update_time(host.uv);
                uv_timer_start(host.timer, on_timer, millis, 0);
            }
            Err(_) => {
                uv_timer_stop(host.timer);
            }
        }
    }
}

unsafe extern "C-unwind" fn on_closed(handle: Handle) {
    // SAFETY: allocated by `handle`, and libuv is done with it.
    unsafe { libc::free(handle) };
}

impl Host {
    /// Enters a loop with this descriptor into a `uv_loop_t`; `None` without memory or descriptors.
    pub(crate) fn enter(uv: Handle, lp: LoopRef, fd: c_int) -> Option<Self> {
        // SAFETY: the program says that it is a loop of libuv's; the handles are initialised.
        unsafe {
            let mut host = Self {
                uv,
                poll: null_mut(),
                prepare: null_mut(),
                timer: null_mut(),
            };
            let made = (|| {
                host.timer = handle(TIMER, lp, |block| uv_timer_init(uv, block))?;
                host.prepare = handle(PREPARE, lp, |block| uv_prepare_init(uv, block))?;
                host.poll = handle(POLL, lp, |block| uv_poll_init(uv, block, fd))?;
                (uv_poll_start(host.poll, READABLE, on_readable) == 0).then_some(())
            })();
            if made.is_none() {
                host.leave();
                return None;
            }
            uv_prepare_start(host.prepare, on_prepare);
            for handle in [host.timer, host.prepare, host.poll] {
                uv_unref(handle);
            }
            Some(host)
        }
    }

    /// Keeps `uv_run` from returning, or no longer. Does nothing if it is so already.
    pub(crate) fn keep(&self, on: bool) {
        // SAFETY: the handle is open.
        unsafe {
            if on {
                uv_ref(self.poll);
            } else {
                uv_unref(self.poll);
            }
        }
    }

    /// Runs libuv until nothing is left in it.
    pub(crate) fn run(&self) {
        // SAFETY: the program's loop, which lives.
        unsafe { uv_run(self.uv, UNTIL_THE_END) };
    }

    /// Leaves libuv, which frees what there is of the loop when it runs next.
    pub(crate) fn leave(&self) {
        for handle in [self.timer, self.prepare, self.poll] {
            if !handle.is_null() {
                // SAFETY: made by `handle`, and closed once.
                unsafe { uv_close(handle, on_closed) };
            }
        }
    }
}
