//! The network card: virtio over memory-mapped registers, and the loop's way to sleep.

use core::ptr::{NonNull, with_exposed_provenance_mut};
use core::sync::atomic::{AtomicBool, Ordering};

use static_cell::ConstStaticCell;
use usockets::{Instant, Notify, Waker};
use usockets_smoltcp::{VirtioMachine, VirtioMemory, VirtioMmio, VirtioNet};

use crate::clock;
use crate::port::{allow_interrupts, hold_interrupts, sleep};

/// Largest IP packet.
const MTU: usize = 1_500;
/// Bytes of the largest frame.
pub(crate) const FRAME_MAX: usize = MTU + 14;
/// Frames on their way, in each direction.
const FRAMES: usize = 64;
/// Where the registers of virtio devices are, 512 bytes each.
const DEVICES: usize = 0xfeb0_0000;
const DEVICE_BYTES: usize = 512;
const DEVICES_MAX: usize = 24;

/// The driver of the card.
pub(crate) type Card = VirtioNet<FRAMES, VirtioMmio, Machine>;

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
    VirtioNet::start(find()?, Machine, MEMORY.take(), MTU).ok()
}

/// Finds the registers of the first network card.
#[expect(unsafe_code, reason = "only the machine's makers know what is where")]
fn find() -> Option<VirtioMmio> {
    (0..DEVICES_MAX).find_map(|number| {
        let at = DEVICES.wrapping_add(number.wrapping_mul(DEVICE_BYTES));
        let registers = NonNull::new(with_exposed_provenance_mut(at))?;
        // SAFETY: at these places `microvm` has virtio's registers, of devices or of none, which
        // their first words tell; nobody else uses them, and memory is mapped as it is.
        unsafe { VirtioMmio::new(registers) }
    })
}
