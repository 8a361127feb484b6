//! Threads that run until they are told to stop.

use std::sync::atomic::{AtomicBool, Ordering};

/// Tells threads to stop when it goes, also by a test that fails: scoped threads are waited for.
pub struct StopsAtLast<'b>(pub &'b AtomicBool);

impl Drop for StopsAtLast<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
