//! What a virtio network card is reached by, and what its machine has beside it.

use usockets::Instant;

/// How the registers of a virtio device are reached (virtio 1.2, section 4).
///
/// The addresses that [`Self::set_queue`] is given, and those in the memory there, are of memory
/// that is the device's to use as the specification has it until its status is set to 0.
pub trait VirtioTransport {
    /// Returns the features that the device offers.
    fn features(&mut self) -> u64;

    /// Accepts some of them.
    fn set_features(&mut self, features: u64);

    /// Returns the device's status.
    fn status(&mut self) -> u8;

    /// Sets the device's status; 0 resets it.
    fn set_status(&mut self, status: u8);

    /// Returns the most entries that a queue can have; 0 if there is no such queue.
    fn queue_len_max(&mut self, queue: u16) -> u16;

    /// Lets a queue begin, with `len` entries, and descriptors, available and used ring where the
    /// device finds them.
    fn set_queue(&mut self, queue: u16, len: u16, addresses: [u64; 3]);

    /// Tells the device that a queue has more for it.
    fn notify(&mut self, queue: u16);

    /// Returns the byte at `at` of the device's configuration.
    fn config(&mut self, at: usize) -> u8;

    /// Returns what the device interrupts for, and has it stop: 1 for used buffers, 2 for a
    /// configuration that has changed. Without interrupts of its own, what may have happened.
    fn take_interrupt(&mut self) -> u32;

    /// Returns where the device finds what is at an address in memory. By default, there.
    fn address_of(&self, address: usize) -> u64 {
        u64::try_from(address).unwrap_or(u64::MAX)
    }
}

/// What a machine has beside its card: a clock, and a way to sleep until an interrupt.
pub trait VirtioMachine {
    /// Returns the present on a monotonic clock.
    fn now(&self) -> Instant;

    /// Waits until `has_news` returns true, a wake-up, or `until`; `None` waits for ever. May
    /// return early.
    ///
    /// `has_news` takes the card's interrupt. Ask it with interrupts held back before each sleep,
    /// which one that comes then has to end at once.
    fn wait(&mut self, until: Option<Instant>, has_news: &mut dyn FnMut() -> bool);

    /// Returns whether the loop has been woken from elsewhere since the last call
    /// ([`usockets::Waker`]).
    fn woken(&mut self) -> bool {
        false
    }
}
