//! virtio-net: the network card of virtual machines (virtio 1.2, sections 2.7 and 5.1), for
//! machines without an operating system.
//!
//! [`VirtioNet`] is the device, [`VirtioTransport`] how it reaches the card's registers, of which
//! [`VirtioMmio`] and [`VirtioPci`] are two, and [`VirtioMachine`] the clock and the sleep of the
//! machine. `queue` has the rings and what they may say, `frames` the memory of the frames.

mod frames;
mod mmio;
mod pci;
mod queue;
mod transport;

use usockets::{Error, Instant};

use self::frames::{BUFFER, Frames};
pub use self::mmio::VirtioMmio;
pub use self::pci::{PciConfig, VirtioPci};
use self::queue::{Queue, Rings, Taken};
pub use self::transport::{VirtioMachine, VirtioTransport};
use crate::device::virtio;
use crate::device::{Capabilities, DeviceCounters, Medium, PollDevice, RxMeta, TxMeta};
use crate::number::{count, place};
use crate::wire::ethernet::HEADER_LEN as ETHERNET_LEN;

/// Bytes of the header before each frame (`struct virtio_net_hdr_v1`).
const HEADER_LEN: usize = 12;
/// Largest IP packet that fits into a buffer.
pub const VIRTIO_MTU_MAX: usize = BUFFER - HEADER_LEN - ETHERNET_LEN;
/// The queue that frames come from, and the one that they are sent by.
const RECEIVE: u16 = 0;
const SEND: u16 = 1;

/// Bits of features (virtio 1.2, sections 5.1.3 and 6).
const FILLS_CHECKSUM: u64 = 1;
const MAY_GIVE_PARTIAL: u64 = 1 << 1;
const HAS_MTU: u64 = 1 << 3;
const HAS_MAC: u64 = 1 << 5;
const HAS_LINK: u64 = 1 << 16;
const VERSION_1: u64 = 1 << 32;
/// Where the card's configuration has what (`struct virtio_net_config`).
const LINK_AT: usize = 6;
const MTU_AT: usize = 10;
/// Bits of the card's status (section 2.1).
const ACKNOWLEDGED: u8 = 1;
const DRIVER: u8 = 2;
const DRIVER_OK: u8 = 4;
const FEATURES_OK: u8 = 8;
const NEEDS_RESET: u8 = 64;
/// In what an interrupt says: the configuration has changed.
const CONFIG_CHANGED: u32 = 2;
/// A card that is of no use any more, by the bit of the status that says so.
const NO_USE: Error = Error::Platform(64);
/// Most looks at a card that is being reset.
const RESET_LOOKS: u32 = 1 << 20;

/// The memory of a [`VirtioNet`] with `N` frames on their way in each direction: the rings, and
/// 1,536 bytes for each frame. `N` is a power of two, 32,768 at most.
///
/// The card reads and writes it by itself, so it is never given back. All of it starts as zero: a
/// static of it takes no place in an image.
#[derive(Debug)]
pub struct VirtioMemory<const N: usize> {
    receive: Rings<N>,
    send: Rings<N>,
    received: Frames<N>,
    sent: Frames<N>,
}

impl<const N: usize> VirtioMemory<N> {
    /// Makes memory that no card has yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            receive: Rings::new(),
            send: Rings::new(),
            received: Frames::new(),
            sent: Frames::new(),
        }
    }
}

impl<const N: usize> Default for VirtioMemory<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// A frame of a burst: its buffer, and how many bytes of that are the header and the frame.
#[derive(Clone, Copy)]
struct Received {
    buffer: u16,
    len: usize,
}

/// A virtio network card, with `N` frames on their way in each direction.
///
/// Frames are lent out of the memory that the card wrote them to, and written to that which it
/// reads. TCP checksums are left to a card that fills them in. A card that says what cannot be, as
/// that it has used a buffer that it does not have, is not believed: the frame is dropped and
/// counted ([`DeviceCounters::broken`]). The buffer that it should have named it keeps. One that
/// keeps all buffers of a queue in this way, claims more than it has, or asks to be reset, ends the
/// loop with [`Error::Platform`] and 64, the bit of its status that says so (`DEVICE_NEEDS_RESET`).
///
/// Memory has to be the same for the card and the processor without further ado, as it is in
/// virtual machines.
///
/// # Example
/// On a machine that has the registers of a card at an address, and a clock:
/// ```no_run
/// use core::ptr::NonNull;
/// use usockets::{Error, Instant};
/// use usockets_smoltcp::{VirtioMachine, VirtioMemory, VirtioMmio, VirtioNet};
///
/// struct Board;
///
/// impl VirtioMachine for Board {
///     fn now(&self) -> Instant {
///         // Reads a timer.
///         Instant::ZERO
///     }
///
///     fn wait(&mut self, until: Option<Instant>, has_news: &mut dyn FnMut() -> bool) {
///         while !has_news() && until.is_none_or(|until| self.now() < until) {
///             core::hint::spin_loop();
///         }
///     }
/// }
///
/// fn card(
///     memory: &'static mut VirtioMemory<64>,
/// ) -> Result<VirtioNet<64, VirtioMmio, Board>, Error> {
///     let registers = NonNull::new(core::ptr::with_exposed_provenance_mut(0xfeb0_0000));
///     // SAFETY: this machine has a card's registers there, and nobody else uses them.
///     let transport = unsafe { VirtioMmio::new(registers.ok_or(Error::Invalid)?) };
///     VirtioNet::start(transport.ok_or(Error::Unsupported)?, Board, memory, 1_500)
/// }
/// ```
pub struct VirtioNet<const N: usize, T: VirtioTransport, M> {
    card: Card<N, T>,
    machine: M,
}

/// The card alone.
struct Card<const N: usize, T: VirtioTransport> {
    transport: T,
    capabilities: Capabilities,
    mac: Option<[u8; 6]>,
    has_link: bool,
    receive: Queue<N>,
    send: Queue<N>,
    burst: [Received; N],
    burst_len: usize,
    /// Buffers to send that the card does not have, the first `idle_len` of these.
    idle: [u16; N],
    idle_len: usize,
    /// The last slot asked for was not to be had.
    full: bool,
    /// Committed since the card was told last.
    committed: bool,
    down: bool,
    counters: DeviceCounters,
    fault: Option<Error>,
}

impl<const N: usize, T: VirtioTransport, M: VirtioMachine> VirtioNet<N, T, M> {
    /// Resets a card and starts it, with packets of at most `mtu` bytes, or fewer if the card says
    /// so.
    ///
    /// # Errors
    /// [`Error::Invalid`] for packets larger than [`VIRTIO_MTU_MAX`] or an `N` that is no power of
    /// two, [`Error::Unsupported`] when it is no card of virtio 1.0 or later or refuses what it
    /// offered, [`Error::Exhausted`] when its queues are shorter than `N`.
    pub fn start(
        transport: T,
        machine: M,
        memory: &'static mut VirtioMemory<N>,
        mtu: usize,
    ) -> Result<Self, Error> {
        let len = u16::try_from(N).unwrap_or(0);
        if !len.is_power_of_two() || mtu > VIRTIO_MTU_MAX {
            return Err(Error::Invalid);
        }
        let buffer = Received { buffer: 0, len: 0 };
        let mut idle = [0; N];
        for (index, place) in (0..len).zip(&mut idle) {
            *place = index;
        }
        let VirtioMemory {
            receive,
            send,
            received,
            sent,
        } = memory;
        let mut card = Card {
            transport,
            capabilities: Capabilities::new(Medium::Ethernet, mtu),
            mac: None,
            has_link: false,
            receive: Queue::new(receive, received),
            send: Queue::new(send, sent),
            burst: [buffer; N],
            burst_len: 0,
            idle,
            idle_len: N,
            full: false,
            committed: false,
            down: false,
            counters: DeviceCounters::default(),
            fault: None,
        };
        card.negotiate(len)?;
        Ok(Self { card, machine })
    }

    /// Returns the card's hardware address; `None` of one that leaves it to its driver.
    #[must_use]
    pub const fn mac(&self) -> Option<[u8; 6]> {
        self.card.mac
    }
}

impl<const N: usize, T: VirtioTransport> Card<N, T> {
    /// Brings a card up (section 3.1.1).
    fn negotiate(&mut self, len: u16) -> Result<(), Error> {
        self.transport.set_status(0);
        if !(0..RESET_LOOKS).any(|_| self.transport.status() == 0) {
            return Err(Error::Unsupported);
        }
        let mut status = ACKNOWLEDGED | DRIVER;
        self.transport.set_status(status);
        let wanted = FILLS_CHECKSUM | MAY_GIVE_PARTIAL | HAS_MTU | HAS_MAC | HAS_LINK | VERSION_1;
        let features = self.transport.features() & wanted;
        if features & VERSION_1 == 0 {
            return Err(Error::Unsupported);
        }
        self.transport.set_features(features);
        status |= FEATURES_OK;
        self.transport.set_status(status);
        if self.transport.status() & FEATURES_OK == 0 {
            return Err(Error::Unsupported);
        }
        self.read_config(features);
        for queue in [RECEIVE, SEND] {
            if self.transport.queue_len_max(queue) < len {
                return Err(Error::Exhausted);
            }
            let (own, _) = self.queue(queue);
            let addresses = own.addresses();
            let addresses = addresses.map(|at| self.transport.address_of(at));
            self.transport.set_queue(queue, len, addresses);
        }
        let transport = &self.transport;
        self.receive.describe(true, |at| transport.address_of(at));
        self.send.describe(false, |at| transport.address_of(at));
        self.send.ask_for_interrupts(false);
        self.transport.set_status(status | DRIVER_OK);
        for buffer in 0..len {
            self.receive.give(buffer);
        }
        self.tell(RECEIVE);
        self.look_at_link();
        Ok(())
    }

    const fn queue(&mut self, queue: u16) -> (&mut Queue<N>, &mut DeviceCounters) {
        let own = if queue == RECEIVE {
            &mut self.receive
        } else {
            &mut self.send
        };
        (own, &mut self.counters)
    }

    fn read_config(&mut self, features: u64) {
        let mut byte = |at: usize| self.transport.config(at);
        if features & HAS_MAC != 0 {
            self.mac = Some([0, 1, 2, 3, 4, 5].map(&mut byte));
        }
        let mtu = u16::from_le_bytes([byte(MTU_AT), byte(MTU_AT.saturating_add(1))]);
        if features & HAS_MTU != 0 {
            self.capabilities.mtu = self.capabilities.mtu.min(mtu.into());
        }
        self.capabilities.fills = features & FILLS_CHECKSUM != 0;
        self.has_link = features & HAS_LINK != 0;
    }

    /// Tells the card that a queue has more for it, if it wants to be told.
    fn tell(&mut self, queue: u16) {
        if self.queue(queue).0.wants_to_be_told() {
            self.transport.notify(queue);
        }
    }

    fn look_at_link(&mut self) {
        let was_down = self.down;
        self.down = self.has_link && self.transport.config(LINK_AT) & 1 == 0;
        if self.down && !was_down {
            self.counters.downs = self.counters.downs.wrapping_add(1);
        }
    }

    /// Looks at what an interrupt was about.
    fn take_interrupt(&mut self) {
        if self.transport.take_interrupt() & CONFIG_CHANGED == 0 {
            return;
        }
        self.look_at_link();
        if self.transport.status() & NEEDS_RESET != 0 {
            self.fault = Some(NO_USE);
        }
    }

    /// Takes a used buffer of a queue from the card; `None` if there is none.
    fn take(&mut self, queue: u16) -> Option<(u16, u32)> {
        // As many entries as a ring has; whatever the card does, this ends.
        for _ in 0..N {
            let (own, counters) = self.queue(queue);
            match own.take() {
                Taken::Nothing => return None,
                Taken::Buffer { buffer, len } => return Some((buffer, len)),
                Taken::NotTheirs => {
                    counters.broken = counters.broken.wrapping_add(1);
                    if own.has_lost_all() {
                        self.fault = Some(NO_USE);
                        return None;
                    }
                }
                Taken::TooMany => {
                    counters.broken = counters.broken.wrapping_add(1);
                    self.fault = Some(NO_USE);
                    return None;
                }
            }
        }
        None
    }

    /// Takes back what has been sent.
    fn reclaim(&mut self) {
        for _ in 0..N {
            let Some((buffer, _)) = self.take(SEND) else {
                break;
            };
            if let Some(place) = self.idle.get_mut(self.idle_len) {
                *place = buffer;
                self.idle_len = self.idle_len.saturating_add(1);
            }
        }
    }

    fn next_idle(&self) -> Option<u16> {
        self.idle.get(self.idle_len.checked_sub(1)?).copied()
    }

    /// Finds a buffer to send that the card does not have.
    fn find_idle(&mut self) -> Option<u16> {
        if self.idle_len == 0 {
            self.reclaim();
        }
        if self.idle_len == 0 {
            // To be told when there is room; what was sent meanwhile would not be.
            self.send.ask_for_interrupts(true);
            self.reclaim();
        }
        let buffer = self.next_idle();
        if buffer.is_none() {
            self.counters.full = self.counters.full.wrapping_add(1);
        } else if self.full {
            self.send.ask_for_interrupts(false);
        }
        self.full = buffer.is_none();
        buffer
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        let given = core::mem::take(&mut self.burst_len);
        for frame in self.burst.iter().take(given) {
            self.receive.give(frame.buffer);
        }
        let mut gave = given > 0;
        for _ in 0..N {
            if self.burst_len >= frames_max.min(N) {
                break;
            }
            let Some((buffer, len)) = self.take(RECEIVE) else {
                break;
            };
            let len = place(len);
            if len < HEADER_LEN.saturating_add(ETHERNET_LEN) || len > BUFFER {
                self.counters.broken = self.counters.broken.wrapping_add(1);
                self.receive.give(buffer);
                gave = true;
            } else if let Some(frame) = self.burst.get_mut(self.burst_len) {
                *frame = Received { buffer, len };
                self.burst_len = self.burst_len.saturating_add(1);
            }
        }
        if gave {
            self.tell(RECEIVE);
        }
        let frames = u64::from(count(self.burst_len));
        self.counters.received = self.counters.received.wrapping_add(frames);
        self.burst_len
    }

    fn commit(&mut self, len: usize, meta: &TxMeta) {
        let Some(buffer) = self.next_idle() else {
            return;
        };
        let end = HEADER_LEN.saturating_add(len);
        let whole = self.send.buffers.lend_mut(buffer);
        let Some(header) = whole
            .filter(|whole| end <= whole.len())
            .and_then(|whole| whole.first_chunk_mut::<HEADER_LEN>())
        else {
            self.counters.dropped = self.counters.dropped.wrapping_add(1);
            return;
        };
        *header = [0; HEADER_LEN];
        virtio::describe(header, meta, u16::to_le_bytes);
        self.idle_len = self.idle_len.saturating_sub(1);
        self.send.set_len(buffer, count(end));
        self.send.give(buffer);
        self.committed = true;
        self.counters.sent = self.counters.sent.wrapping_add(1);
    }

    /// Returns true if the card has something for the stack.
    fn has_news(&self) -> bool {
        self.receive.is_ready() || (self.full && self.send.is_ready()) || self.fault.is_some()
    }

    fn received(&self, index: usize) -> &[u8] {
        let burst = self.burst.get(..self.burst_len).unwrap_or_default();
        let Some(frame) = burst.get(index) else {
            return &[];
        };
        let whole = self.receive.buffers.lend(frame.buffer);
        whole
            .and_then(|whole| whole.get(..frame.len))
            .unwrap_or_default()
    }
}

impl<const N: usize, T: VirtioTransport, M: VirtioMachine> PollDevice for VirtioNet<N, T, M> {
    fn capabilities(&self) -> Capabilities {
        self.card.capabilities
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        self.card.receive(frames_max)
    }

    fn frame(&self, index: usize) -> &[u8] {
        let whole = self.card.received(index);
        whole.get(HEADER_LEN..).unwrap_or_default()
    }

    fn rx_meta(&self, index: usize) -> RxMeta {
        virtio::rx_meta(self.card.received(index))
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        let buffer = self.card.find_idle()?;
        let whole = self.card.send.buffers.lend_mut(buffer)?;
        whole.get_mut(HEADER_LEN..)?.get_mut(..len)
    }

    fn commit(&mut self, len: usize, meta: &TxMeta) {
        self.card.commit(len, meta);
    }

    fn flush(&mut self) {
        if core::mem::take(&mut self.card.committed) {
            self.card.tell(SEND);
        }
    }

    fn wait(&mut self, until: Option<Instant>) {
        self.flush();
        let Self { card, machine } = self;
        machine.wait(until, &mut || {
            card.take_interrupt();
            card.has_news()
        });
    }

    fn woken(&mut self) -> bool {
        self.machine.woken()
    }

    fn fault(&self) -> Option<Error> {
        self.card.fault
    }

    fn now(&self) -> Instant {
        self.machine.now()
    }

    fn counters(&mut self) -> DeviceCounters {
        self.card.counters
    }
}

impl<const N: usize, T: VirtioTransport> Drop for Card<N, T> {
    fn drop(&mut self) {
        // It leaves the memory alone from now on.
        self.transport.set_status(0);
    }
}

impl<const N: usize, T: VirtioTransport, M> core::fmt::Debug for VirtioNet<N, T, M> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("VirtioNet")
            .field("mac", &self.card.mac)
            .field("capabilities", &self.card.capabilities)
            .field("counters", &self.card.counters)
            .finish_non_exhaustive()
    }
}
