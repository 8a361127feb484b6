//! Loops.

use std::cell::{Cell, RefCell};
use std::ffi::{c_int, c_longlong, c_uint, c_void};
use std::ptr;
use std::slice;

use usockets::{Instant, Loop, Place, Waker};

use crate::block::{self, Reservation};
use crate::calls::Calls;
use crate::handles::{Ending, LoopRef, OnLoop, Side, us_loop_t};
use crate::kernel::{Kernel, Notifier};
use crate::listen::set_errno;
use crate::margins::{self, Margins, PADDING, RECV};
use crate::reach::Reach;
use crate::timer::Timers;
use crate::{CAPACITY, Slot, Stack};

/// Returns what tells the running thread from others.
pub(crate) fn this_thread() -> usize {
    thread_local!(static PLACE: u8 = const { 0 });
    PLACE.with(|place| ptr::from_ref(place).addr())
}

/// Ends the program: another thread than the loop's called, which would corrupt memory.
#[cold]
pub(crate) fn wrong_thread() -> ! {
    eprintln!("usockets: called from a thread that is not the loop's; see us_wakeup_loop");
    std::process::abort();
}

/// Makes everything of a loop; `None`, with errno, without memory or descriptors.
fn make(on_wake: OnLoop, before: OnLoop, after: OnLoop, ext: usize) -> Option<LoopRef> {
    let place = Unmade(LoopRef::reserve(ext)?);
    let lp = place.0;
    let sides = Reservation::new(size_of::<Side>() * CAPACITY)?;
    let slots = Reservation::new(size_of::<Slot>() * CAPACITY)?;
    let data = Reservation::new(size_of::<Place<()>>() * CAPACITY)?;
    let buffer = Reservation::new(RECV)?;
    let margins = Reservation::new(RECV + 2 * PADDING)?;
    let received = margins::received(&margins);
    #[cfg(feature = "tls")]
    let secrets = Reservation::new(crate::secure::MEMORY)?;
    let waker = Box::new(Waker::new(Notifier::new().map_err(set_errno).ok()?));
    let waker: &'static Waker<Notifier> = Box::leak(waker);
    let unused = Unused(waker);
    let kernel = Kernel::new(waker, lp).map_err(set_errno).ok()?;
    #[cfg(not(feature = "tls"))]
    let stack: Stack = Margins::new(kernel, lp, received);
    #[cfg(feature = "tls")]
    let stack: Stack = Margins::new(crate::secure::layer(kernel, &secrets)?, lp, received);
    // SAFETY: reserved above, for as long as the loop is there.
    let inner = unsafe { over(stack, [&slots, &data, &buffer]) }?;
    let value = us_loop_t {
        waker,
        reach: Reach::new(inner),
        on_wake,
        before,
        after,
        sides,
        high: Cell::new(0),
        live: Cell::new(0),
        wait_max: Cell::new(0),
        ending: Cell::new(Ending::at_first(before.or(after).is_some())),
        iteration: Cell::new(0),
        now: Cell::new(0),
        received,
        running: Cell::new(false),
        once: Cell::new(false),
        closed: RefCell::default(),
        origins: RefCell::default(),
        listeners: RefCell::default(),
        attempts: RefCell::default(),
        timers: Timers::default(),
        reason: Cell::new(0),
        #[cfg(feature = "libuv")]
        host: Cell::new(None),
        #[cfg(feature = "gcd")]
        queue: Cell::new(None),
        thread: Cell::new(this_thread()),
        #[cfg(feature = "tls")]
        secure: crate::secure::Secure::default(),
        slots,
        data,
        buffer,
        margins,
        #[cfg(feature = "tls")]
        secrets,
    };
    // SAFETY: reserved above, and nobody has looked into it.
    unsafe { lp.block().write(value) };
    std::mem::forget((unused, place));
    Some(lp)
}

/// Makes a loop over memory for its slots, its data and what it receives.
///
/// # Safety
/// The memory is zeroed, as long as the loop needs it, outlives it, and is nobody else's.
unsafe fn over(
    stack: Stack,
    [slots, data, buffer]: [&Reservation; 3],
) -> Option<Loop<'static, Stack, Calls>> {
    // SAFETY: free slots and vacant places are all zero bytes (`Sockets`); the rest is promised.
    let inner = unsafe {
        Loop::with_slices(
            stack,
            slice::from_raw_parts_mut(slots.start::<Slot>().as_ptr(), CAPACITY),
            slice::from_raw_parts_mut(data.start::<Place<()>>().as_ptr(), CAPACITY),
            slice::from_raw_parts_mut(buffer.start::<u8>().as_ptr(), RECV),
        )
    };
    inner.map_err(set_errno).ok()
}

/// Frees the block of a loop that could not be made.
struct Unmade(LoopRef);

impl Drop for Unmade {
    fn drop(&mut self) {
        // SAFETY: nobody has seen it, and there is nothing in it.
        unsafe { block::free(self.0.block()) };
    }
}

/// Frees a waker of a loop that could not be made.
struct Unused(&'static Waker<Notifier>);

impl Drop for Unused {
    fn drop(&mut self) {
        free_waker(self.0);
    }
}

fn free_waker(waker: &'static Waker<Notifier>) {
    // SAFETY: made by `Box::leak`, and the loop that used it is gone.
    drop(unsafe { Box::from_raw(ptr::from_ref(waker).cast_mut()) });
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_create_loop(
    hint: *mut c_void,
    on_wake: OnLoop,
    before: OnLoop,
    after: OnLoop,
    ext: c_uint,
) -> Option<LoopRef> {
    let lp = make(on_wake, before, after, ext as usize)?;
    #[cfg(feature = "libuv")]
    if !hint.is_null() {
        let fd = lp.with(|net| crate::kernel(net).descriptor());
        let host = crate::libuv::Host::enter(hint, lp, fd);
        if host.is_none() {
            // SAFETY: nobody has seen it.
            unsafe { us_loop_free(lp) };
            return None;
        }
        lp.host.set(host);
    }
    #[cfg(feature = "gcd")]
    if !hint.is_null() {
        let fd = lp.with(|net| crate::kernel(net).descriptor());
        let queue = crate::gcd::Host::enter(hint, lp, fd);
        if queue.is_none() {
            // SAFETY: nobody has seen it.
            unsafe { us_loop_free(lp) };
            return None;
        }
        lp.queue.set(queue);
    }
    let _ = hint;
    Some(lp)
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_loop_free(lp: LoopRef) {
    lp.check_thread();
    #[cfg(feature = "libuv")]
    if let Some(host) = lp.host.take() {
        host.leave();
    }
    #[cfg(feature = "gcd")]
    if let Some(queue) = lp.queue.take() {
        queue.leave();
    }
    let mut sockets = lp.closed.take();
    sockets.extend((0..lp.high.get()).filter_map(|index| lp.socket_at(index)));
    sockets.extend(
        lp.listeners
            .take()
            .into_iter()
            .map(crate::handles::ListenRef::cast),
    );
    let waker = lp.waker;
    // SAFETY: the program was told that the loop and its sockets are gone. The loop's memory, and
    // the blocks, are freed after everything in it, which closes what is open.
    unsafe {
        ptr::drop_in_place(lp.as_ptr());
        for socket in sockets {
            socket.free();
        }
        block::free(lp.block());
    }
    free_waker(waker);
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_loop_ext(lp: LoopRef) -> *mut c_void {
    lp.ext()
}

/// Runs one iteration that does not wait, or waiting iterations until nothing is left; whether the
/// loop is still whole.
///
/// The only caller of the core's iteration, which so becomes a part of it: a call would save and
/// restore every register in each iteration.
///
/// # Exceptions
///
/// One that leaves a callback passes through the core, which serves in the next iteration what it
/// had begun; see [`usockets::Handler`].
fn run(lp: LoopRef, once: bool) -> bool {
    struct Ended(LoopRef);

    impl Drop for Ended {
        fn drop(&mut self) {
            self.0.now.set(0);
            self.0.once.set(false);
            self.0.note_wait_max();
        }
    }

    struct Interrupted(LoopRef);

    impl Drop for Interrupted {
        fn drop(&mut self) {
            self.0.reason.set(0);
        }
    }

    let _ended = Ended(lp);
    let interrupted = Interrupted(lp);
    let mut calls = Calls { lp };
    lp.once.set(once);
    lp.note_wait_max();
    let is_whole = loop {
        begin(lp);
        let Some(mut held) = lp.reach.hold() else {
            break false;
        };
        // Held for many, as each would ask for it and give it back (6 instructions of a request;
        // callgrind).
        let result = loop {
            let result = held.poll(&mut calls, None);
            if result.is_err() || !lp.ends_plainly() {
                break result;
            }
            lp.count_iteration();
        };
        drop(held);
        if result.is_err() {
            break false;
        }
        if end(lp, once) {
            break true;
        }
    };
    std::mem::forget(interrupted);
    is_whole
}

/// Does what comes before an iteration.
#[cold]
#[inline(never)]
fn begin(lp: LoopRef) {
    lp.count_iteration();
    if let Some(callback) = lp.before {
        lp.now.set(0);
        // SAFETY: the program's callback, with what it expects.
        unsafe { callback(lp) };
    }
}

/// Does what comes after an iteration; whether it was the last.
#[cold]
#[inline(never)]
fn end(lp: LoopRef, once: bool) -> bool {
    if lp.timers.next().is_some() {
        fire(lp);
    }
    lp.free_closed();
    if let Some(callback) = lp.after {
        // SAFETY: the program's callback, with what it expects.
        unsafe { callback(lp) };
    }
    lp.wait_max.get() == 0 && (once || !is_busy(lp))
}

/// Calls the timers that are due.
fn fire(lp: LoopRef) {
    let now = lp.now().as_micros();
    if lp.timers.next().is_some_and(|due| due <= now) {
        lp.timers.fire(now);
        lp.note_wait_max();
    }
}

/// Marks a loop as running, until it is dropped.
struct Running(LoopRef);

impl Running {
    /// `None` inside of a callback: the core cannot wait there.
    fn enter(lp: LoopRef) -> Option<Self> {
        if lp.running.replace(true) {
            return None;
        }
        lp.thread.set(this_thread());
        Some(Self(lp))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.running.set(false);
    }
}

/// Whether something is left that could make a call.
pub(crate) fn is_busy(lp: LoopRef) -> bool {
    lp.live.get() > 0 || lingers(lp)
}

#[cold]
#[inline(never)]
fn lingers(lp: LoopRef) -> bool {
    // The listener that stands for connections made elsewhere is none of the program's.
    #[cfg(feature = "tls")]
    let own = u32::from(lp.secure.adopts.get());
    #[cfg(not(feature = "tls"))]
    let own = 0;
    // A layer may still be sending what closed sockets left.
    let in_use = lp.reach.peek(|inner| inner.stats().in_use).unwrap_or(0);
    in_use > own || lp.with(|net| crate::kernel(net).is_delivering())
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_loop_run(lp: LoopRef) {
    #[cfg(feature = "libuv")]
    if let Some(host) = lp.host.get().filter(|_| !lp.running.get()) {
        lp.thread.set(this_thread());
        return host.run();
    }
    #[cfg(feature = "gcd")]
    if lp.queue.get().is_some() {
        // The queue runs it.
        return;
    }
    let Some(_running) = Running::enter(lp) else {
        return;
    };
    if is_busy(lp) {
        run(lp, false);
    }
}

/// Runs one iteration without waiting, and returns the milliseconds until the next is due by
/// itself; -1 for never, or if the loop is broken.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_loop_poll(lp: LoopRef) -> c_int {
    if run_at_once(lp) { next_millis(lp) } else { -1 }
}

/// Runs one iteration without waiting; false inside of another, or if the loop is broken.
pub(crate) fn run_at_once(lp: LoopRef) -> bool {
    let Some(_running) = Running::enter(lp) else {
        return false;
    };
    run(lp, true)
}

/// Returns the milliseconds until the next iteration is due by itself; -1 for never.
pub(crate) fn next_millis(lp: LoopRef) -> c_int {
    let deadline = lp.reach.peek(Loop::next_deadline).flatten();
    let timer = lp.timers.next().map(Instant::from_micros);
    let next = match (deadline, timer) {
        (Some(deadline), Some(timer)) => deadline.min(timer),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => return -1,
    };
    let wait = next.saturating_since(lp.with(|net| net.now()));
    let millis = wait.as_micros().div_ceil(1_000);
    c_int::try_from(millis).unwrap_or(c_int::MAX)
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_loop_fd(lp: LoopRef) -> c_int {
    lp.reach
        .with(|net| crate::kernel(net).descriptor())
        .unwrap_or(-1)
}

/// Nothing is left to do: the loop's deadlines are part of its wait.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_loop_integrate(_lp: LoopRef) {}

/// The only function that any thread may call.
#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_wakeup_loop(lp: LoopRef) {
    lp.waker.wake();
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_loop_iteration_number(lp: LoopRef) -> c_longlong {
    lp.iteration.get()
}

/// What a loop did so far. See the header.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct us_loop_statistics_t {
    iterations: u64,
    accepted: u64,
    connected: u64,
    failed: u64,
    pauses: u64,
    received: u64,
    sent: u64,
    open: u32,
    capacity: u32,
}

#[unsafe(no_mangle)]
pub unsafe extern "C-unwind" fn us_loop_statistics(lp: LoopRef) -> us_loop_statistics_t {
    let capacity = u32::try_from(CAPACITY).unwrap_or(u32::MAX);
    lp.with(|net| {
        let stats = net.stats();
        us_loop_statistics_t {
            iterations: stats.iterations,
            accepted: stats.accepted,
            connected: stats.connected,
            failed: stats.failed,
            pauses: stats.pauses,
            received: stats.received,
            sent: stats.sent,
            open: stats.open,
            capacity,
        }
    })
}
