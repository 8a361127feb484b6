//! What may be done by one thread at a time: ports appear, are opened and disappear, and their
//! numbers are used again. Frames never wait for this.

use core::cell::Cell;
use core::marker::PhantomData;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use rustix::thread::sched_yield;

/// Most ports that DPDK may have been built for.
const PORTS_MAX: usize = 1_024;

static LOCKED: AtomicBool = AtomicBool::new(false);

/// For each number, one more than the removals that had been counted when its port was opened, and
/// 0 when it is not open. Written under the lock.
static HOLDERS: [AtomicU32; PORTS_MAX] = [const { AtomicU32::new(0) }; PORTS_MAX];

/// Proof that no other thread controls ports meanwhile.
#[derive(Debug)]
pub(crate) struct Control(PhantomData<Cell<()>>);

impl Control {
    /// Waits until no other thread controls ports.
    pub(crate) fn lock() -> Self {
        while LOCKED.swap(true, Ordering::Acquire) {
            sched_yield();
        }
        Self(PhantomData)
    }

    /// Takes the port for whoever opens it after so many removals; false if it is open. Who opened
    /// it before its device was taken out does not have it any more.
    pub(crate) fn take(&self, port: u16, removals: u32) -> bool {
        let Some(holder) = HOLDERS.get(usize::from(port)) else {
            return false;
        };
        let mark = removals.wrapping_add(1);
        holder.swap(mark, Ordering::Relaxed) != mark
    }

    /// Gives the port back, if it is still that of who opened it after so many removals.
    pub(crate) fn give_back(&self, port: u16, removals: u32) {
        if let Some(holder) = HOLDERS.get(usize::from(port))
            && holder.load(Ordering::Relaxed) == removals.wrapping_add(1)
        {
            holder.store(0, Ordering::Relaxed);
        }
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        LOCKED.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_used_again_is_the_new_ports() {
        let control = Control::lock();
        assert!(control.take(1_000, 4) && !control.take(1_000, 4));
        assert!(control.take(1_000, 5), "the old port is gone");
        control.give_back(1_000, 4);
        assert!(!control.take(1_000, 5), "it was not the old one's to give");
        control.give_back(1_000, 5);
        assert!(control.take(1_000, 5));
        assert!(!control.take(1_024, 0));
    }
}
