//! The network card: virtio over memory-mapped registers, and the loop's way to sleep.

use core::ptr::{NonNull, with_exposed_provenance_mut};
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use static_cell::ConstStaticCell;
use usockets::{Instant, Notify, Waker};
use usockets_smoltcp::{Capabilities, Medium, PollDevice, TxMeta};
use virtio_drivers::device::net::VirtIONetRaw;
use virtio_drivers::transport::mmio::MmioTransport;
use virtio_drivers::transport::{DeviceType, Transport};
use virtio_drivers::{BufferDirection, Hal, PAGE_SIZE, PhysAddr};

use crate::clock;
use crate::port::{allow_interrupts, hold_interrupts, sleep};

/// Largest IP packet.
const MTU: usize = 1_500;
/// Bytes of the largest frame.
pub(crate) const FRAME_MAX: usize = MTU + 14;
/// Frames on their way, in each direction.
const FRAMES: usize = 64;
/// Memory of one frame and virtio's header in front of it.
const BUFFER: usize = 1_536;
/// Pages for the rings of both directions.
const PAGES: usize = 16;
/// Where the registers of virtio devices are, 512 bytes each.
const DEVICES: usize = 0xfeb0_0000;
const DEVICE_BYTES: usize = 512;
const DEVICES_MAX: usize = 24;

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

/// The frames of one direction.
#[repr(align(64))]
pub(crate) struct Buffers([[u8; BUFFER]; FRAMES]);

static RECEIVING: ConstStaticCell<Buffers> = ConstStaticCell::new(Buffers([[0; BUFFER]; FRAMES]));
static SENDING: ConstStaticCell<Buffers> = ConstStaticCell::new(Buffers([[0; BUFFER]; FRAMES]));

#[repr(align(4096))]
struct Pages([[u8; PAGE_SIZE]; PAGES]);

/// Memory that is the card's too.
struct Shared;

static RINGS: ConstStaticCell<Pages> = ConstStaticCell::new(Pages([[0; PAGE_SIZE]; PAGES]));
/// Where the rings' memory is, and how much of it is taken.
static RINGS_AT: AtomicUsize = AtomicUsize::new(0);
static RINGS_TAKEN: AtomicUsize = AtomicUsize::new(0);

// SAFETY: memory is mapped as it is, and what is given away comes from a static, is aligned to a
// page, zero, and given away once.
#[expect(unsafe_code, reason = "the card accesses memory by itself")]
unsafe impl Hal for Shared {
    fn dma_alloc(pages: usize, _: BufferDirection) -> (PhysAddr, NonNull<u8>) {
        let from = RINGS_TAKEN.load(Ordering::Relaxed);
        let end = from.saturating_add(pages);
        let at = RINGS_AT.load(Ordering::Relaxed);
        let at = at.wrapping_add(from.wrapping_mul(PAGE_SIZE));
        match NonNull::new(with_exposed_provenance_mut(at)) {
            Some(place) if end <= PAGES => {
                RINGS_TAKEN.store(end, Ordering::Relaxed);
                (widen(at), place)
            }
            // An address of zero tells of failure.
            _ => (0, NonNull::dangling()),
        }
    }

    unsafe fn dma_dealloc(_: PhysAddr, _: NonNull<u8>, _: usize) -> i32 {
        // The card lives as long as the program.
        0
    }

    unsafe fn mmio_phys_to_virt(address: PhysAddr, _: usize) -> NonNull<u8> {
        let address = usize::try_from(address).unwrap_or(0);
        NonNull::new(with_exposed_provenance_mut(address)).unwrap_or(NonNull::dangling())
    }

    unsafe fn share(buffer: NonNull<[u8]>, _: BufferDirection) -> PhysAddr {
        widen(buffer.cast::<u8>().as_ptr().expose_provenance())
    }

    unsafe fn unshare(_: PhysAddr, _: NonNull<[u8]>, _: BufferDirection) {}
}

/// One frame of a burst: its buffer, and where it starts and ends there.
#[derive(Clone, Copy, Default)]
struct Received {
    buffer: usize,
    from: usize,
    to: usize,
}

/// The driver. Frames are lent from the buffers that the card wrote them to, and written to those
/// that it reads.
pub(crate) struct Card {
    inner: VirtIONetRaw<Shared, MmioTransport<'static>, FRAMES>,
    receiving: &'static mut [[u8; BUFFER]; FRAMES],
    /// Which buffer the card has under which name.
    received_by: [usize; FRAMES],
    burst: [Received; FRAMES],
    burst_len: usize,
    sending: &'static mut [[u8; BUFFER]; FRAMES],
    /// Which buffer is being sent under which name, and how long it is.
    sent_by: [(usize, usize); FRAMES],
    /// Buffers not being sent, the first `idle_len` of these.
    idle: [usize; FRAMES],
    idle_len: usize,
    /// Bytes of virtio's header.
    header: usize,
}

impl Card {
    /// Finds the card and starts it; `None` if there is none, or it is not as it should be.
    pub(crate) fn start() -> Option<Self> {
        RINGS_AT.store(
            core::ptr::from_mut(&mut RINGS.take().0).expose_provenance(),
            Ordering::Relaxed,
        );
        let mut inner = VirtIONetRaw::new(find()?).ok()?;
        inner.enable_interrupts();
        let sending = &mut SENDING.take().0;
        let header = inner.fill_buffer_header(sending.first_mut()?).ok()?;
        let mut idle = [0; FRAMES];
        for (index, place) in idle.iter_mut().enumerate() {
            *place = index;
        }
        let mut card = Self {
            inner,
            receiving: &mut RECEIVING.take().0,
            received_by: [0; FRAMES],
            burst: [Received::default(); FRAMES],
            burst_len: 0,
            sending,
            sent_by: [(0, 0); FRAMES],
            idle,
            idle_len: FRAMES,
            header,
        };
        for buffer in 0..FRAMES {
            card.give(buffer);
        }
        Some(card)
    }

    /// Returns the card's hardware address.
    pub(crate) fn mac(&self) -> [u8; 6] {
        self.inner.mac_address()
    }

    /// Gives the card a buffer to receive in.
    #[expect(unsafe_code, reason = "the card writes to the buffer by itself")]
    fn give(&mut self, buffer: usize) {
        let Some(place) = self.receiving.get_mut(buffer) else {
            return;
        };
        // SAFETY: the buffer is a static's, and nobody looks at it before `receive_complete`.
        let name = unsafe { self.inner.receive_begin(place) };
        let name = name.ok().map(usize::from);
        if let Some(by) = name.and_then(|name| self.received_by.get_mut(name)) {
            *by = buffer;
        }
    }

    /// Takes a frame from the card.
    #[expect(unsafe_code, reason = "the card wrote to the buffer by itself")]
    fn take(&mut self) -> Option<Received> {
        loop {
            let name = self.inner.poll_receive()?;
            let buffer = *self.received_by.get(usize::from(name))?;
            let place = self.receiving.get_mut(buffer)?;
            // SAFETY: it is the buffer that was given under this name.
            match unsafe { self.inner.receive_complete(name, place) } {
                Ok((from, len)) => {
                    let to = from.saturating_add(len);
                    return Some(Received { buffer, from, to });
                }
                Err(_) => self.give(buffer),
            }
        }
    }

    /// Takes back what has been sent.
    #[expect(unsafe_code, reason = "the card has read the buffer by itself")]
    fn take_back(&mut self) {
        while let Some(name) = self.inner.poll_transmit() {
            let Some(&(buffer, len)) = self.sent_by.get(usize::from(name)) else {
                return;
            };
            let Some(frame) = self.sending.get(buffer).and_then(|place| place.get(..len)) else {
                return;
            };
            // SAFETY: it is the buffer that is being sent under this name.
            if unsafe { self.inner.transmit_complete(name, frame) }.is_err() {
                return;
            }
            self.release(buffer);
        }
    }

    fn release(&mut self, buffer: usize) {
        if let Some(place) = self.idle.get_mut(self.idle_len) {
            *place = buffer;
            self.idle_len = self.idle_len.saturating_add(1);
        }
    }

    fn next_idle(&self) -> Option<usize> {
        self.idle.get(self.idle_len.checked_sub(1)?).copied()
    }
}

impl PollDevice for Card {
    fn capabilities(&self) -> Capabilities {
        Capabilities::new(Medium::Ethernet, MTU)
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        for index in 0..core::mem::take(&mut self.burst_len) {
            if let Some(buffer) = self.burst.get(index).map(|frame| frame.buffer) {
                self.give(buffer);
            }
        }
        while self.burst_len < frames_max.min(FRAMES)
            && let Some(frame) = self.take()
        {
            if let Some(place) = self.burst.get_mut(self.burst_len) {
                *place = frame;
            }
            self.burst_len = self.burst_len.saturating_add(1);
        }
        self.burst_len
    }

    fn frame(&self, index: usize) -> &[u8] {
        let burst = self.burst.get(..self.burst_len).unwrap_or_default();
        let Some(&Received { buffer, from, to }) = burst.get(index) else {
            return &[];
        };
        let place = self.receiving.get(buffer);
        place
            .and_then(|place| place.get(from..to))
            .unwrap_or_default()
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        self.take_back();
        let buffer = self.next_idle()?;
        let end = self.header.checked_add(len)?;
        self.sending.get_mut(buffer)?.get_mut(self.header..end)
    }

    #[expect(unsafe_code, reason = "the card reads the buffer by itself")]
    fn commit(&mut self, len: usize, _: &TxMeta) {
        let Some(buffer) = self.next_idle() else {
            return;
        };
        let len = self.header.saturating_add(len);
        let Some(frame) = self
            .sending
            .get_mut(buffer)
            .and_then(|place| place.get_mut(..len))
        else {
            return;
        };
        if self.inner.fill_buffer_header(frame).is_err() {
            return;
        }
        // SAFETY: the buffer is a static's, and nobody writes to it before it is taken back.
        let Ok(name) = (unsafe { self.inner.transmit_begin(frame) }) else {
            return;
        };
        if let Some(by) = self.sent_by.get_mut(usize::from(name)) {
            *by = (buffer, len);
        }
        self.idle_len = self.idle_len.saturating_sub(1);
    }

    fn wait(&mut self, until: Option<Instant>) {
        loop {
            // What happens meanwhile is kept back, and ends the sleep at once.
            hold_interrupts();
            self.inner.ack_interrupt();
            let rung = WAKER.notifier().0.swap(false, Ordering::Relaxed);
            let late = until.is_some_and(|until| clock::now() >= until);
            if rung || late || self.inner.poll_receive().is_some() {
                return allow_interrupts();
            }
            clock::arm(until);
            sleep();
        }
    }

    fn woken(&mut self) -> bool {
        WAKER.take()
    }

    fn now(&self) -> Instant {
        clock::now()
    }
}

/// Finds the registers of the first network card.
#[expect(unsafe_code, reason = "only the machine's makers know what is where")]
fn find() -> Option<MmioTransport<'static>> {
    (0..DEVICES_MAX).find_map(|number| {
        let at = DEVICES.wrapping_add(number.wrapping_mul(DEVICE_BYTES));
        let header = NonNull::new(with_exposed_provenance_mut(at))?;
        // SAFETY: at these places `microvm` has virtio's registers, of devices or of none, which
        // their first words tell.
        let transport = unsafe { MmioTransport::new(header, DEVICE_BYTES) }.ok()?;
        (transport.device_type() == DeviceType::Network).then_some(transport)
    })
}

fn widen(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
