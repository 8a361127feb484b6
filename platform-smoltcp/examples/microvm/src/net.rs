//! The network card, and the loop's way to sleep.

use core::sync::atomic::{AtomicBool, Ordering};

use static_cell::ConstStaticCell;
use usockets::{Instant, Notify, Waker};
use usockets_smoltcp::{VirtioMachine, VirtioMemory, VirtioNet};

use crate::bus::{self, Registers};
use crate::clock;
use crate::port::{allow_interrupts, hold_interrupts, sleep};

/// Largest IP packet.
const MTU: usize = 1_500;
/// Bytes of the largest frame.
pub(crate) const FRAME_MAX: usize = MTU + 14;
/// Frames on their way, in each direction.
const FRAMES: usize = 64;

/// The driver of the card.
pub(crate) type Card = VirtioNet<FRAMES, Registers, Machine>;

static MEMORY: ConstStaticCell<VirtioMemory<FRAMES>> = ConstStaticCell::new(VirtioMemory::new());

/// Wakes the loop from any interrupt.
pub(crate) static WAKER: Waker<Bell> = Waker::new(Bell(AtomicBool::new(false)));

/// Ends the wait. An interrupt ends the processor's sleep by itself; this keeps the next from
/// beginning.
#[derive(Debug)]
pub(crate) struct Bell(AtomicBool);

impl Notify for Bell {
    fn notify(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// The clock of the machine, and its sleep until an interrupt.
#[derive(Debug)]
pub(crate) struct Machine;

impl VirtioMachine for Machine {
    fn now(&self) -> Instant {
        clock::now()
    }

    fn wait(&mut self, until: Option<Instant>, has_news: &mut dyn FnMut() -> bool) {
        loop {
            // What happens meanwhile is kept back, and ends the sleep at once.
            hold_interrupts();
            let rung = WAKER.notifier().0.swap(false, Ordering::Relaxed);
            let late = until.is_some_and(|until| clock::now() >= until);
            if has_news() || rung || late {
                return allow_interrupts();
            }
            clock::arm(until);
            sleep();
        }
    }

    fn woken(&mut self) -> bool {
        WAKER.take()
    }
}

/// Finds the card and starts it; `None` if there is none, or it is not as it should be.
pub(crate) fn start() -> Option<Card> {
    VirtioNet::start(bus::find()?, Machine, MEMORY.take(), MTU).ok()
}
