//! Waking a loop from elsewhere.

use core::sync::atomic::{AtomicBool, Ordering, fence};

/// How a platform's wait is interrupted: an eventfd, a semaphore, an interrupt line.
pub trait Notify {
    /// Ends the platform's wait, or the next one if it does not wait now. Callable from any
    /// thread or interrupt the platform allows; must not block.
    fn notify(&self);
}

/// Wakes a loop from any thread or interrupt; `on_wake` follows.
///
/// Wake-ups that come before the loop has seen the first are one. While one is pending, another
/// costs an atomic load and no system call. Needs no compare-and-swap, so it works on every
/// target that has atomic loads and stores.
#[derive(Debug)]
pub struct Waker<N> {
    pending: AtomicBool,
    notify: N,
}

impl<N: Notify> Waker<N> {
    /// Makes a waker that interrupts the wait through `notify`.
    #[must_use]
    pub const fn new(notify: N) -> Self {
        Self {
            pending: AtomicBool::new(false),
            notify,
        }
    }

    /// Wakes the loop. What the caller stored before is seen by the `on_wake` that follows.
    pub fn wake(&self) {
        // Pairs with the fence in `take`: either this load sees that the loop has taken the last
        // wake-up, or the loop sees what was stored before this call.
        fence(Ordering::SeqCst);
        if self.pending.load(Ordering::Relaxed) {
            return;
        }
        self.pending.store(true, Ordering::Relaxed);
        self.notify.notify();
    }

    /// Takes the pending wake-up; whether there was one. For platforms.
    pub fn take(&self) -> bool {
        if !self.pending.load(Ordering::Relaxed) {
            return false;
        }
        self.pending.store(false, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        true
    }

    /// Returns what interrupts the wait.
    pub const fn notifier(&self) -> &N {
        &self.notify
    }
}
