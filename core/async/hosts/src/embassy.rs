//! Embassy's executor around the loop: it polls the tasks that were woken, and the loop waits.

use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use embassy_executor::{Spawner, raw};
use usockets::{Error, Instant, Waker};
use usockets_linux::{EventFd, Linux};

use crate::Shared;

static PENDING: AtomicBool = AtomicBool::new(false);
static WAKER: OnceLock<Waker<EventFd>> = OnceLock::new();

thread_local! {
    /// This is the thread of the loop, which looks at [`PENDING`] before it waits.
    static IS_LOOP: Cell<bool> = const { Cell::new(false) };
}

/// Called by the executor when a task was woken, perhaps by another thread, such as the one of
/// embassy-time's clock.
// SAFETY: no other function of the program has this name.
#[unsafe(no_mangle)]
fn __pender(_: *mut ()) {
    PENDING.store(true, Ordering::Release);
    if !IS_LOOP.get()
        && let Some(waker) = WAKER.get()
    {
        waker.wake();
    }
}

/// Makes the platform, which other threads can wake.
///
/// # Errors
/// The process is out of descriptors or memory.
pub fn platform() -> Result<Linux, Error> {
    let event = EventFd::new()?;
    let waker = WAKER.get_or_init(|| Waker::new(event));
    Linux::new()?.with_waker(waker)
}

/// Runs the executor and the loop. `start` spawns the first tasks.
///
/// # Errors
/// The platform broke.
pub fn run(reactor: Shared, start: impl FnOnce(Spawner)) -> Result<(), Error> {
    IS_LOOP.set(true);
    let executor: &'static raw::Executor =
        Box::leak(Box::new(raw::Executor::new(std::ptr::null_mut())));
    start(executor.spawner());
    loop {
        // SAFETY: the executor was made by `new`, stays where it is, and is polled by this thread
        // only, never from within a task.
        unsafe { executor.poll() };
        let is_ready = PENDING.swap(false, Ordering::Acquire);
        reactor.turn(is_ready.then_some(Instant::ZERO))?;
    }
}
