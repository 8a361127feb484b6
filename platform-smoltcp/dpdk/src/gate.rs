//! Whether a port is started, agreed between the devices of its queues and whoever stops it.
//!
//! DPDK wants nobody in a queue while its port is stopped or started. So stopping closes the gate,
//! devices leave when they see it, and whoever finds that nobody is inside any more stops the port:
//! the last device, or the caller if there is none. Devices ask with two loads for each burst.

use core::sync::atomic::{AtomicU8, AtomicU64, Ordering::SeqCst};

/// Devices may enter, and be inside.
const OPEN: u8 = 0;
/// Devices are to leave.
const CLOSING: u8 = 1;
/// Nobody is inside, and one thread is stopping or starting the port.
const CHANGING: u8 = 2;
/// The port is stopped.
const CLOSED: u8 = 3;

/// What came of entering or leaving.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Passed {
    /// The device is inside.
    Inside,
    /// The device is outside.
    Outside,
    /// It is, and the caller is the one to stop the port, and to say so ([`Gate::set_closed`]).
    Last,
}

/// The gate of a port.
#[derive(Debug)]
pub(crate) struct Gate {
    state: AtomicU8,
    /// A bit for each queue whose device is inside.
    inside: AtomicU64,
    /// A bit for each queue that has a device.
    taken: AtomicU64,
}

impl Gate {
    /// The gate of a started port.
    pub(crate) const fn open() -> Self {
        Self {
            state: AtomicU8::new(OPEN),
            inside: AtomicU64::new(0),
            taken: AtomicU64::new(0),
        }
    }

    /// Returns the bit of a queue, of which there are at most 64.
    fn bit(queue: u16) -> u64 {
        1_u64.checked_shl(queue.into()).unwrap_or(0)
    }

    /// Takes a queue for a device; false if it has one.
    pub(crate) fn take(&self, queue: u16) -> bool {
        let bit = Self::bit(queue);
        self.taken.fetch_or(bit, SeqCst) & bit == 0
    }

    /// Gives back a queue whose device is outside.
    pub(crate) fn give_back(&self, queue: u16) {
        self.taken.fetch_and(!Self::bit(queue), SeqCst);
    }

    /// Returns true if devices that are inside may stay.
    pub(crate) fn is_open(&self) -> bool {
        self.state.load(SeqCst) == OPEN
    }

    /// Returns true if the port is stopped.
    pub(crate) fn is_closed(&self) -> bool {
        self.state.load(SeqCst) == CLOSED
    }

    /// Lets the device of a queue in, if the gate is open.
    pub(crate) fn enter(&self, queue: u16) -> Passed {
        if !self.is_open() {
            return Passed::Outside;
        }
        // Inside first, then a second look: either it sees that the gate is closing, or whoever
        // closes it sees that somebody is inside.
        self.inside.fetch_or(Self::bit(queue), SeqCst);
        if self.is_open() {
            return Passed::Inside;
        }
        self.leave(queue)
    }

    /// Lets the device of a queue out.
    pub(crate) fn leave(&self, queue: u16) -> Passed {
        let bit = Self::bit(queue);
        let others = self.inside.fetch_and(!bit, SeqCst) & !bit;
        if others == 0 && self.change(CLOSING, CHANGING) {
            Passed::Last
        } else {
            Passed::Outside
        }
    }

    /// Closes the gate; true if the caller is the one to stop the port.
    pub(crate) fn close(&self) -> bool {
        self.change(OPEN, CLOSING)
            && self.inside.load(SeqCst) == 0
            && self.change(CLOSING, CHANGING)
    }

    /// Says that the port is stopped.
    pub(crate) fn set_closed(&self) {
        self.state.store(CLOSED, SeqCst);
    }

    /// Opens a gate that devices have not all seen closing; true if the port is stopped, and the
    /// caller is the one to start it and to say so ([`Self::set_open`]).
    pub(crate) fn reopen(&self) -> bool {
        !self.change(CLOSING, OPEN) && self.change(CLOSED, CHANGING)
    }

    /// Says that the port is started.
    pub(crate) fn set_open(&self) {
        self.state.store(OPEN, SeqCst);
    }

    fn change(&self, from: u8, to: u8) -> bool {
        self.state
            .compare_exchange(from, to, SeqCst, SeqCst)
            .is_ok()
    }
}

#[cfg(test)]
mod tests {
    extern crate std;

    use core::sync::atomic::{AtomicBool, AtomicU32};
    use std::thread;

    use super::*;

    #[test]
    fn a_port_is_stopped_when_the_last_device_has_left() {
        let gate = Gate::open();
        assert!(gate.take(0) && gate.take(1) && !gate.take(1));
        assert_eq!(gate.enter(0), Passed::Inside);
        assert_eq!(gate.enter(1), Passed::Inside);
        assert!(!gate.close());
        assert!(!gate.is_open() && !gate.is_closed());
        assert_eq!(gate.leave(0), Passed::Outside);
        assert_eq!(gate.enter(0), Passed::Outside, "it is closing");
        assert_eq!(gate.leave(1), Passed::Last);
        assert!(!gate.reopen(), "somebody is stopping it");
        gate.set_closed();
        assert!(gate.reopen() && !gate.reopen());
        gate.set_open();
        assert_eq!(gate.enter(1), Passed::Inside);
        assert!(!gate.close() && !gate.reopen());
        assert!(gate.is_open(), "taken back before it was seen");
        gate.give_back(1);
        assert!(gate.take(1));
    }

    #[test]
    fn without_devices_the_caller_stops_it() {
        let gate = Gate::open();
        assert!(gate.close() && !gate.close());
        gate.set_closed();
        assert!(gate.is_closed());
    }

    /// Four devices come and go while a fifth thread stops and starts: nobody is ever inside of a
    /// stopped port.
    #[test]
    fn nobody_is_inside_while_the_port_is_stopped() {
        const ROUNDS: u32 = 300;
        let gate = Gate::open();
        let (stopped, over, stops) = (
            AtomicBool::new(false),
            AtomicBool::new(false),
            AtomicU32::new(0),
        );
        let stop = || {
            stopped.store(true, SeqCst);
            stops.fetch_add(1, SeqCst);
            thread::yield_now();
            stopped.store(false, SeqCst);
            gate.set_closed();
        };
        thread::scope(|scope| {
            for queue in 0..4 {
                let (gate, stopped, over, stop) = (&gate, &stopped, &over, &stop);
                scope.spawn(move || {
                    let mut passed = Passed::Outside;
                    while !over.load(SeqCst) {
                        passed = match passed {
                            Passed::Inside if gate.is_open() => {
                                assert!(!stopped.load(SeqCst));
                                Passed::Inside
                            }
                            Passed::Inside => gate.leave(queue),
                            _ => gate.enter(queue),
                        };
                        if passed == Passed::Last {
                            stop();
                        }
                        thread::yield_now();
                    }
                });
            }
            for _ in 0..ROUNDS {
                if gate.close() {
                    stop();
                }
                while !gate.is_closed() {
                    thread::yield_now();
                }
                if gate.reopen() {
                    gate.set_open();
                }
                thread::yield_now();
            }
            over.store(true, SeqCst);
        });
        assert_eq!(stops.load(SeqCst), ROUNDS);
    }
}
