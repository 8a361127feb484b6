//! Timeouts of libuv: a heap of handles.

use std::cell::Cell;
use std::ffi::c_void;
use std::thread::sleep;
use std::time::Duration;

use usockets_peers::timeouts::{COUNT, Timeouts, spread};

use crate::uv;

/// libuv's time cannot be made up: for expiring, the deadlines are brought into real milliseconds.
const REAL_MAX: u64 = 256;

thread_local! {
    static EXPIRED: Cell<u32> = const { Cell::new(0) };
}

extern "C" fn on_timer(_: *mut c_void) {
    EXPIRED.set(EXPIRED.get() + 1);
}

/// `COUNT` timer handles of the default loop.
pub(crate) struct Timers {
    run: *mut c_void,
    handles: Vec<*mut c_void>,
}

impl Timers {
    /// Makes the handles, none of them armed.
    pub(crate) fn new() -> Self {
        // SAFETY: loop and handles live until the process ends.
        let run = unsafe { uv::uv_default_loop() };
        let handles = (0..COUNT).map(|_| {
            let handle = uv::handle(uv::TIMER);
            // SAFETY: as above.
            unsafe { uv::uv_timer_init(run, handle) };
            handle
        });
        let handles = handles.collect();
        Self { run, handles }
    }
}

impl Timeouts for Timers {
    fn arm(&mut self, key: u32, after: u64) {
        // SAFETY: the handle was initialised and is never closed.
        unsafe { uv::uv_timer_start(self.handles[key as usize], on_timer, after, 0) };
    }

    fn rearm(&mut self, key: u32, after: u64) {
        self.arm(key, after);
    }

    fn prepare(&mut self) {
        for key in 0..COUNT {
            self.arm(key, spread(key) % REAL_MAX);
        }
        // SAFETY: a plain question.
        let start = unsafe { uv::uv_now(self.run) };
        // SAFETY: the loop lives.
        while unsafe { uv::uv_now(self.run) } < start + REAL_MAX {
            sleep(Duration::from_millis(10));
            // SAFETY: the loop lives.
            unsafe { uv::uv_update_time(self.run) };
        }
    }

    fn expire(&mut self) -> u32 {
        // SAFETY: the loop and every armed handle live.
        unsafe { uv::uv_run(self.run, uv::RUN_NOWAIT) };
        EXPIRED.get()
    }
}
