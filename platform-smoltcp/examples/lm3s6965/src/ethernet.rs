//! The Ethernet block of the LM3S6965: a device for the stack, and the loop's way to sleep.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use usockets::{Instant, Notify, Waker};
use usockets_smoltcp::{Capabilities, Medium, PollDevice, TxMeta};

use crate::clock;
use crate::registers::{
    MAC_ADDRESS_0, MAC_ADDRESS_1, MAC_DATA, MAC_FRAMES, MAC_MASK, MAC_RECEIVE, MAC_START,
    MAC_STATUS, MAC_TRANSMIT,
};

/// Largest IP packet: 768 bytes and headers, for windows of no more than that. Beside TLS the least
/// that IPv4 allows, as every byte counts.
pub const MTU: usize = if cfg!(feature = "tls") { 576 } else { 808 };
/// Bytes of an Ethernet header.
const HEADER: usize = 14;
/// Bytes of the largest frame.
pub const FRAME_MAX: usize = MTU + HEADER;
/// Bytes in front of a frame in the receive FIFO: its length, these two included.
const LENGTH: usize = 2;
/// Bytes behind it: the checksum.
const CHECKSUM: usize = 4;
/// A received frame in whole words.
const RECEIVED_MAX: usize = (LENGTH + FRAME_MAX + CHECKSUM).next_multiple_of(4);
/// A frame to send in whole words.
const SENDING_MAX: usize = (LENGTH + FRAME_MAX).next_multiple_of(4);
/// A frame has come.
const STATUS_RECEIVED: u32 = 1 << 0;
/// The receive FIFO was full and a frame was lost.
const STATUS_OVERRUN: u32 = 1 << 3;
/// A frame was damaged.
const STATUS_DAMAGED: u32 = 1 << 4;
const STATUS_INWARD: u32 = STATUS_RECEIVED | STATUS_OVERRUN | STATUS_DAMAGED;
/// Receive, what is for our address and for everybody, multicast too; drop what is damaged.
const RECEIVE_ON: u32 = 0b1011;
/// Empties the receive FIFO.
const RECEIVE_RESET: u32 = 1 << 4;
/// Send, pad, add the checksum, full duplex.
const TRANSMIT_ON: u32 = 0b1111;

/// Frames that did not fit the FIFO or the memory for one.
static LOST: AtomicU32 = AtomicU32::new(0);

/// Wakes the loop from any interrupt.
pub static WAKER: Waker<Bell> = Waker::new(Bell(AtomicBool::new(false)));

/// Ends the wait. An interrupt ends the processor's sleep by itself; this keeps the next from
/// beginning.
#[derive(Debug)]
pub struct Bell(AtomicBool);

impl Notify for Bell {
    fn notify(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Returns how many frames were lost or too long.
#[must_use]
pub fn lost() -> u32 {
    LOST.load(Ordering::Relaxed)
}

/// Counts a lost frame. Only the loop does, so no update gets between.
fn lose() {
    LOST.store(lost().wrapping_add(1), Ordering::Relaxed);
}

/// What the interrupt does: nothing but to be silent until the next sleep.
pub(crate) fn interrupt() {
    MAC_MASK.write(0);
}

/// The driver. It copies one frame at a time out of the FIFO, so that the stack can look at it, and
/// one at a time into the other.
#[derive(Debug)]
pub struct Ethernet {
    /// The frame received last, as the FIFO has it: its length, the frame, its checksum.
    received: [u8; RECEIVED_MAX],
    /// Bytes of it, all included; 0 without a frame.
    received_len: usize,
    /// What the transmit FIFO takes: the length of the payload, then the frame.
    sending: [u8; SENDING_MAX],
}

impl Ethernet {
    /// A driver that has not been started. All zero bytes.
    pub const NEW: Self = Self {
        received: [0; RECEIVED_MAX],
        received_len: 0,
        sending: [0; SENDING_MAX],
    };

    /// Switches the device on, with `mac` as its address.
    pub fn start(&mut self, mac: [u8; 6]) {
        let [a, b, c, d, e, f] = mac;
        MAC_MASK.write(0);
        MAC_RECEIVE.write(RECEIVE_RESET);
        MAC_STATUS.write(u32::MAX);
        MAC_ADDRESS_0.write(u32::from_le_bytes([a, b, c, d]));
        MAC_ADDRESS_1.write(u32::from_le_bytes([e, f, 0, 0]));
        MAC_TRANSMIT.write(TRANSMIT_ON);
        MAC_RECEIVE.write(RECEIVE_ON);
    }

    /// Takes the next frame out of the FIFO; whether it fits.
    fn take(&mut self) -> bool {
        let first = MAC_DATA.read().to_le_bytes();
        let [low, high, ..] = first;
        let len = usize::from(u16::from_le_bytes([low, high]));
        let fits = (LENGTH + CHECKSUM + HEADER..=RECEIVED_MAX).contains(&len);
        let mut words = self.received.as_chunks_mut::<4>().0.iter_mut();
        if let Some(word) = words.next() {
            *word = first;
        }
        for _ in 1..len.div_ceil(4) {
            // A frame that does not fit must be read as well, to come to the next.
            let read = MAC_DATA.read().to_le_bytes();
            if let Some(word) = words.next() {
                *word = read;
            }
        }
        self.received_len = if fits { len } else { 0 };
        fits
    }
}

impl PollDevice for &mut Ethernet {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Medium::Ethernet, MTU)
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        self.received_len = 0;
        if frames_max == 0 || MAC_FRAMES.read() == 0 {
            return 0;
        }
        if self.take() {
            return 1;
        }
        lose();
        0
    }

    fn frame(&self, index: usize) -> &[u8] {
        let end = self.received_len.saturating_sub(CHECKSUM);
        let frame = self.received.get(LENGTH..end).unwrap_or_default();
        if index == 0 { frame } else { &[] }
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        if MAC_START.read() & 1 != 0 {
            return None;
        }
        self.sending.get_mut(LENGTH..)?.get_mut(..len)
    }

    fn commit(&mut self, len: usize, _: &TxMeta) {
        let (Some(payload), Some(end)) = (len.checked_sub(HEADER), len.checked_add(LENGTH)) else {
            return;
        };
        let (Ok(payload), Some(place)) = (u16::try_from(payload), self.sending.first_chunk_mut())
        else {
            return;
        };
        *place = payload.to_le_bytes();
        let words = self.sending.as_chunks::<4>().0;
        for word in words.iter().take(end.div_ceil(4)) {
            MAC_DATA.write(u32::from_le_bytes(*word));
        }
        MAC_START.write(1);
    }

    fn wait(&mut self, until: Option<Instant>) {
        while !sleep(until) {}
    }

    fn woken(&mut self) -> bool {
        WAKER.take()
    }

    fn now(&self) -> Instant {
        clock::now()
    }
}

/// Sleeps until the next interrupt, unless there is a reason not to; whether there is.
fn sleep(until: Option<Instant>) -> bool {
    // What happens while interrupts are masked stays pending, and ends the sleep at once.
    cortex_m::interrupt::free(|section| {
        let status = MAC_STATUS.read();
        MAC_STATUS.write(status & STATUS_INWARD);
        if status & (STATUS_OVERRUN | STATUS_DAMAGED) != 0 {
            lose();
        }
        let bell = &WAKER.notifier().0;
        let rung = bell.load(Ordering::Relaxed);
        bell.store(false, Ordering::Relaxed);
        let late = until.is_some_and(|until| clock::read(section) >= until);
        if rung || late || MAC_FRAMES.read() > 0 {
            return true;
        }
        clock::arm(section, until);
        MAC_MASK.write(STATUS_INWARD);
        cortex_m::asm::wfi();
        clock::arm(section, None);
        false
    })
}
