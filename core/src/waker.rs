//! Waking a loop from elsewhere.

#[cfg(not(loom))]
use core::sync::atomic::{AtomicBool, Ordering, fence};
#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering, fence};

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
    #[cfg(not(loom))]
    #[must_use]
    pub const fn new(notify: N) -> Self {
        Self {
            pending: AtomicBool::new(false),
            notify,
        }
    }

    /// The same for the model checker, whose atomics are not made at compile time.
    #[cfg(loom)]
    pub fn new(notify: N) -> Self {
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

#[cfg(all(test, loom))]
mod tests {
    extern crate std;

    use loom::sync::atomic::AtomicU32;
    use loom::sync::{Arc, Condvar, Mutex};
    use loom::thread;

    use super::*;

    /// A platform's wait, as an edge-triggered eventfd behaves: notified once or more, it ends.
    #[derive(Default)]
    struct Wait {
        notified: Mutex<bool>,
        changed: Condvar,
    }

    impl Notify for Wait {
        fn notify(&self) {
            *self.notified.lock().unwrap() = true;
            self.changed.notify_one();
        }
    }

    impl Wait {
        /// Waits for ever if no notification comes, which is what the checker finds.
        fn wait(&self) {
            let mut notified = self.notified.lock().unwrap();
            while !*notified {
                notified = self.changed.wait(notified).unwrap();
            }
            *notified = false;
        }
    }

    /// A loop that sleeps until it has seen what each of `threads` stored before waking it.
    /// `preemptions` bounds how often the checker takes the processor from a running thread.
    fn no_wake_up_is_lost(threads: u32, preemptions: Option<usize>) {
        let mut model = loom::model::Builder::new();
        model.preemption_bound = preemptions;
        model.check(move || {
            let waker = Arc::new(Waker::new(Wait::default()));
            let stored: Arc<std::vec::Vec<_>> =
                Arc::new((0..threads).map(|_| AtomicU32::new(0)).collect());
            let others: std::vec::Vec<_> = (0..threads)
                .map(|index| {
                    let (waker, stored) = (waker.clone(), stored.clone());
                    thread::spawn(move || {
                        let index = usize::try_from(index).unwrap();
                        stored[index].store(1, Ordering::Relaxed);
                        waker.wake();
                    })
                })
                .collect();
            let mut seen = 0;
            while seen < threads {
                waker.notifier().wait();
                if waker.take() {
                    // This is `on_wake`: nothing else makes the program look.
                    seen = stored.iter().map(|one| one.load(Ordering::Relaxed)).sum();
                }
            }
            for other in others {
                other.join().unwrap();
            }
        });
    }

    #[test]
    fn loom_one_thread_wakes() {
        no_wake_up_is_lost(1, None);
    }

    #[test]
    fn loom_two_threads_wake() {
        no_wake_up_is_lost(2, Some(3));
    }
}
