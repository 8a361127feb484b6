//! A loop on a dispatch queue of macOS: the feature `gcd`.
//!
//! The loop's descriptor, its deadlines, and what the program does between iterations are each a
//! dispatch source. They have one handler, which runs an iteration, without waiting, on the queue
//! of the program. That queue runs one thing at a time, as the main queue does: it stands for the
//! loop's thread.

use std::ffi::{c_int, c_ulong, c_void};
use std::ptr::{self, NonNull};

use crate::event_loop::{next_millis, run_at_once};
use crate::handles::LoopRef;

type Source = NonNull<c_void>;
type Called = extern "C" fn(*mut c_void);

/// A kind of source: the address of what the system declares for it.
#[repr(C)]
struct Kind([u8; 0]);

/// `DISPATCH_TIME_FOREVER`.
const FOREVER: u64 = u64::MAX;
const NANOS_PER_MILLI: u64 = 1_000_000;

unsafe extern "C" {
    static _dispatch_source_type_read: Kind;
    static _dispatch_source_type_timer: Kind;
    static _dispatch_source_type_data_or: Kind;

    fn dispatch_source_create(
        kind: *const Kind,
        handle: usize,
        mask: c_ulong,
        queue: *mut c_void,
    ) -> Option<Source>;
    fn dispatch_set_context(source: Source, context: *mut c_void);
    fn dispatch_source_set_event_handler_f(source: Source, handler: Called);
    fn dispatch_source_set_cancel_handler_f(source: Source, handler: Called);
    fn dispatch_source_set_timer(source: Source, start: u64, interval: u64, leeway: u64);
    fn dispatch_source_merge_data(source: Source, value: c_ulong);
    fn dispatch_source_cancel(source: Source);
    fn dispatch_resume(source: Source);
    fn dispatch_release(source: Source);
    fn dispatch_time(when: u64, delta: i64) -> u64;
}

/// What a loop has on its queue.
#[derive(Clone, Copy)]
pub(crate) struct Host {
    /// The loop's descriptor, of which this source has a copy of its own.
    read: Source,
    copy: c_int,
    timer: Source,
    /// What the program did between iterations, which may have moved a deadline.
    touch: Source,
}

/// Runs an iteration, and sets the timer to when the next is due by itself.
extern "C" fn on_turn(context: *mut c_void) {
    let Some(lp) = LoopRef::from_ptr(context.cast()) else {
        return;
    };
    if lp.running.get() {
        // A callback has the queue run: the iteration that made it looks again when it is over.
        return;
    }
    let goes_on = run_at_once(lp);
    let Some(host) = lp.queue.get() else {
        return;
    };
    if goes_on {
        host.set_timer(next_millis(lp));
    } else {
        // It cannot wait any more, and would be called for ever.
        host.stop();
    }
}

/// Closes the copy of the descriptor, as nothing watches it any more.
extern "C" fn on_cancelled(context: *mut c_void) {
    // A number, made of a descriptor in `leave`.
    if let Ok(fd) = c_int::try_from(context.addr()) {
        // SAFETY: it is the source's own.
        unsafe { libc::close(fd) };
    }
}

/// Makes a source on a queue, which is not resumed yet.
fn source(kind: &'static Kind, handle: usize, queue: *mut c_void, lp: LoopRef) -> Option<Source> {
    // SAFETY: the queue is the program's, the handle what the kind wants.
    unsafe {
        let source = dispatch_source_create(kind, handle, 0, queue)?;
        dispatch_set_context(source, lp.as_ptr().cast());
        dispatch_source_set_event_handler_f(source, on_turn);
        Some(source)
    }
}

impl Host {
    /// Enters a loop with this descriptor into a queue; `None` without memory or descriptors.
    pub(crate) fn enter(queue: *mut c_void, lp: LoopRef, fd: c_int) -> Option<Self> {
        // SAFETY: the statics are the system's; the descriptor is the loop's.
        let (read, timer, touch, copy) = unsafe {
            let copy = libc::fcntl(fd, libc::F_DUPFD_CLOEXEC, 0);
            let handle = usize::try_from(copy).ok()?;
            let read = source(&_dispatch_source_type_read, handle, queue, lp);
            let timer = source(&_dispatch_source_type_timer, 0, queue, lp);
            let touch = source(&_dispatch_source_type_data_or, 0, queue, lp);
            (read, timer, touch, copy)
        };
        let (Some(read), Some(timer), Some(touch)) = (read, timer, touch) else {
            for source in [read, timer, touch].into_iter().flatten() {
                abandon(source);
            }
            // SAFETY: the copy was made above.
            unsafe { libc::close(copy) };
            return None;
        };
        let host = Self {
            read,
            copy,
            timer,
            touch,
        };
        host.set_timer(-1);
        // SAFETY: the sources were made above, and have not been resumed.
        unsafe {
            dispatch_source_set_cancel_handler_f(read, on_cancelled);
            for source in [read, timer, touch] {
                dispatch_resume(source);
            }
        }
        Some(host)
    }

    /// Sets the timer, or stops it if `millis` is negative.
    fn set_timer(&self, millis: c_int) {
        // SAFETY: the source lives, and the clock has no preconditions.
        unsafe {
            let start = match u64::try_from(millis) {
                Ok(millis) => {
                    let nanos = millis.saturating_mul(NANOS_PER_MILLI);
                    dispatch_time(0, i64::try_from(nanos).unwrap_or(i64::MAX))
                }
                Err(_) => FOREVER,
            };
            dispatch_source_set_timer(self.timer, start, FOREVER, 0);
        }
    }

    /// Has an iteration run soon: the program did something between two.
    pub(crate) fn touch(&self) {
        // SAFETY: the source lives.
        unsafe { dispatch_source_merge_data(self.touch, 1) };
    }

    /// Has the queue call nothing of the loop any more. May be done twice.
    fn stop(&self) {
        let copy = usize::try_from(self.copy).unwrap_or(usize::MAX);
        // SAFETY: the sources live. A cancelled one calls `on_cancelled` only, with its context.
        unsafe {
            for source in [self.read, self.timer, self.touch] {
                dispatch_source_cancel(source);
                dispatch_set_context(source, ptr::without_provenance_mut(copy));
            }
        }
    }

    /// Leaves the queue, which calls nothing of the loop any more.
    pub(crate) fn leave(&self) {
        self.stop();
        // SAFETY: the sources live until here.
        unsafe {
            for source in [self.read, self.timer, self.touch] {
                dispatch_release(source);
            }
        }
    }
}

/// Gives up a source that was not resumed: it may be released only when it has been.
fn abandon(source: Source) {
    // SAFETY: made by `source`, and nobody else knows it.
    unsafe {
        dispatch_source_cancel(source);
        dispatch_resume(source);
        dispatch_release(source);
    }
}
