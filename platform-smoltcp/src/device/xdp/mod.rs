//! AF_XDP: the frames of an interface's queue, before the kernel makes anything of them.
//!
//! [`XdpProgram`] takes the frames from an interface, [`Xdp`] is the device of one queue,
//! [`options`] what a program can choose; `ring` has the rings of a socket, `memory` the memory of
//! its frames, and `program` what the kernel runs for each frame.

mod memory;
pub(crate) mod options;
mod program;
mod ring;

use rustix::event::PollFlags;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, fcntl_dupfd_cloexec};
use rustix::net::xdp::{
    SocketAddrXdp, SocketAddrXdpFlags, XDP_PGOFF_RX_RING, XDP_PGOFF_TX_RING,
    XDP_UMEM_PGOFF_COMPLETION_RING, XDP_UMEM_PGOFF_FILL_RING, XdpOptionsFlags, XdpRingOffset,
    XdpUmemReg, XdpUmemRegFlags,
};
use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, bind, send, sockopt};
use rustix::net::{netdevice::name_to_index, socket_with};
use usockets::{Duration, Error, Instant, Notify, Waker};

use self::memory::{CHUNK, METADATA_LEN, Memory, parts_of};
use self::options::{XdpCopy, XdpMode, XdpOptions};
use self::ring::{ADDRESS_LEN, DESCRIPTOR_LEN, Layout, Ring};
use crate::device::packet::socket::watch_all;
use crate::device::raw::set_option;
use crate::device::region::Region;
use crate::device::sleep::{Sleeper, error, monotonic};
use crate::device::watch::{LinkState, LinkWatch};
use crate::device::{
    CHAIN_MAX, Capabilities, DeviceCounters, Medium, PollDevice, RxChecksum, RxMeta, TxMeta,
};
use crate::number::{count, place};
use crate::wire::ethernet::HEADER_LEN as ETHERNET_LEN;

/// Most frames of one burst, and most parts of all of them.
const BURST_MAX: usize = 64;
const PARTS_MAX: usize = 256;
/// Most calls by which one flush has the kernel send; each sends 32 frames at least.
const CALLS_MAX: usize = 64;
/// `SOL_XDP`, and its `XDP_MAX_TX_SKB_BUDGET`.
const LEVEL: u32 = 283;
const CALL_FRAMES_MAX: u32 = 9;
/// Bytes of a received frame that comes in one part; the kernel keeps 256 bytes of a page.
pub const XDP_PART_MAX: usize = CHUNK - 256;
/// How soon what the kernel did not send at once is tried again.
const AGAIN: Duration = Duration::from_millis(1);

/// The program on an interface that hands the frames of its queues to the devices opened on it
/// ([`Xdp::open`]); the frames of other queues stay the kernel's.
///
/// It is taken off when this and all devices opened on it are dropped, or the process ends.
#[derive(Debug)]
pub struct XdpProgram {
    name: Name,
    map: OwnedFd,
    link: OwnedFd,
}

/// The name of an interface.
#[derive(Debug)]
struct Name {
    bytes: [u8; 16],
    len: usize,
}

impl Name {
    fn new(name: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        bytes
            .get_mut(..name.len())?
            .copy_from_slice(name.as_bytes());
        let len = name.len();
        Some(Self { bytes, len })
    }

    fn as_str(&self) -> &str {
        let bytes = self.bytes.get(..self.len).unwrap_or_default();
        core::str::from_utf8(bytes).unwrap_or_default()
    }
}

impl XdpProgram {
    /// Puts the program on the interface `name`. No frame is taken before a device is opened.
    ///
    /// # Errors
    /// [`Error::Denied`] without the right to (`CAP_NET_ADMIN` and `CAP_BPF`),
    /// [`Error::AddressInUse`] when the interface has such a program, [`Error::Unsupported`] when
    /// there is no such interface, or its driver or the kernel cannot, else [`Error::Platform`]
    /// with `errno`.
    pub fn attach(name: &str, mode: XdpMode) -> Result<Self, Error> {
        let flags = SocketFlags::CLOEXEC;
        let any = socket_with(AddressFamily::INET, SocketType::DGRAM, flags, None);
        let interface = name_to_index(any.map_err(error)?, name).map_err(error)?;
        let map = program::make_map().map_err(error)?;
        let loaded = program::load(map.as_fd()).map_err(error)?;
        let native = mode == XdpMode::Native;
        let link = program::attach(loaded.as_fd(), interface, native).map_err(error)?;
        Ok(Self {
            name: Name::new(name).ok_or(Error::Invalid)?,
            map,
            link,
        })
    }
}

/// A queue of an interface by an AF_XDP socket.
///
/// Its frames do not reach the kernel's network any more: they come straight out of memory that is
/// shared with the kernel, or with the card ([`XdpCopy`]), and go straight into it. One system call
/// sends a burst. The memory, of [`XdpOptions::frames`] frames each way, is mapped when the device
/// is opened; nothing is allocated afterwards.
///
/// Frames longer than [`XDP_PART_MAX`] come in several parts, which the stack puts together in what
/// its [`Memory::scratch`](crate::Memory::scratch) has beyond a frame to send: 64 KiB more where
/// another system on the same machine may send as large ones, as over a veth in generic mode.
///
/// Frames to send that are longer than a page less 16 bytes go in several parts, too, for which the
/// kernel (Linux 6.6) and the driver must be able; else the device does not open with such an MTU.
///
/// Each stack of several has a queue and a device of its own, and they share what the link told one
/// of them (`SharedNeighbours`, feature `queues`).
///
/// A link that is down is waited for, and counted ([`DeviceCounters::downs`]). When the interface
/// is removed, the loop ends with [`Error::Platform`] and `ENODEV`.
pub struct Xdp {
    fd: OwnedFd,
    capabilities: Capabilities,
    options: XdpOptions,
    queue: u32,
    memory: Memory,
    fill: Ring,
    completion: Ring,
    rx: Ring,
    tx: Ring,
    /// The frames of the burst: the first part of each and how many.
    frames: [(usize, usize); BURST_MAX],
    burst_len: usize,
    /// All their parts: address and length.
    parts: [(u64, u32); PARTS_MAX],
    parts_len: usize,
    /// The chunk that is lent to be filled.
    slot: Option<u64>,
    /// The last slot asked for was not to be had.
    full: bool,
    /// The card reads and writes the chunks itself.
    zero_copy: bool,
    down: bool,
    counters: DeviceCounters,
    fault: Option<Error>,
    sleeper: Sleeper,
    watch: LinkWatch,
    /// What takes the frames from the interface, and what has it take all.
    _program: OwnedFd,
    _watch_all: OwnedFd,
}

impl Xdp {
    /// Opens a queue of the interface that `program` is on, with packets of at most `mtu` bytes.
    /// The interface must be up before frames flow.
    ///
    /// # Errors
    /// [`Error::Denied`] without the right to, [`Error::AddressInUse`] when the queue has such a
    /// socket, [`Error::Invalid`] for a queue that is not there, packets that do not fit in 17
    /// pages, or a number of frames that is no power of two or less than those pages,
    /// [`Error::Unsupported`] when kernel or driver cannot do what is asked, [`Error::Exhausted`]
    /// without memory, else [`Error::Platform`] with `errno`.
    pub fn open(
        program: &XdpProgram,
        queue: u32,
        mtu: usize,
        options: XdpOptions,
    ) -> Result<Self, Error> {
        let frames = options.frames;
        let parts = parts_of(mtu.saturating_add(ETHERNET_LEN));
        let fits = parts <= CHAIN_MAX && parts <= place(frames);
        if !fits || !frames.is_power_of_two() || queue >= program::QUEUES_MAX {
            return Err(Error::Invalid);
        }
        let watch = LinkWatch::open(program.name.as_str()).map_err(error)?;
        let watch_all = watch_all(watch.interface()).map_err(error)?;
        let mut this = Self::rings(
            mtu,
            &options,
            watch,
            [
                fcntl_dupfd_cloexec(&program.link, 0).map_err(error)?,
                watch_all,
            ],
        )
        .map_err(error)?;
        this.queue = queue;
        let flags = match options.copy {
            XdpCopy::Any => SocketAddrXdpFlags::empty(),
            XdpCopy::Copy => SocketAddrXdpFlags::XDP_COPY,
            XdpCopy::ZeroCopy => SocketAddrXdpFlags::XDP_ZEROCOPY,
        };
        let flags = flags | SocketAddrXdpFlags::XDP_USE_NEED_WAKEUP;
        let address = |flags| SocketAddrXdp::new(flags, this.watch.interface(), queue);
        // Frames in several parts since Linux 6.6, and not by every driver.
        match bind(&this.fd, &address(flags | SocketAddrXdpFlags::XDP_USE_SG)) {
            Err(_) if parts == 1 => bind(&this.fd, &address(flags)).map_err(error)?,
            bound => bound.map_err(error)?,
        }
        let said = sockopt::xdp_options(&this.fd).map_err(error)?;
        this.zero_copy = said.contains(XdpOptionsFlags::XDP_OPTIONS_ZEROCOPY);
        // What drivers do with frames of their own sending is up to each.
        this.capabilities.fills &= !this.zero_copy;
        program::set_socket(program.map.as_fd(), queue, this.fd.as_fd()).map_err(error)?;
        Ok(this)
    }

    /// Makes the socket, its memory and its rings; all frames of one half wait to be filled.
    fn rings(
        mtu: usize,
        options: &XdpOptions,
        watch: LinkWatch,
        [program, watch_all]: [OwnedFd; 2],
    ) -> Result<Self, Errno> {
        let size = options.frames;
        let flags = SocketFlags::CLOEXEC;
        let fd = socket_with(AddressFamily::XDP, SocketType::RAW, flags, None)?;
        let parts = parts_of(mtu.saturating_add(ETHERNET_LEN));
        let memory = Memory::new(size, parts)?;
        // The kernel wants room for what is to be done before each part, where the stack writes.
        let wanted = options.leaves_checksums && parts == 1;
        let leaves_checksums = register(fd.as_fd(), &memory, wanted)?;
        sockopt::set_xdp_umem_fill_ring_size(&fd, size)?;
        sockopt::set_xdp_umem_completion_ring_size(&fd, size)?;
        sockopt::set_xdp_rx_ring_size(&fd, size)?;
        sockopt::set_xdp_tx_ring_size(&fd, size)?;
        // So that one call sends all that is in the ring; Linux before 6.17 sends 32 frames.
        let _ = set_option(fd.as_fd(), LEVEL, CALL_FRAMES_MAX, &[size]);
        let offsets = sockopt::xdp_mmap_offsets(&fd)?;
        let ring = |offsets: &XdpRingOffset, entry_len: usize, at: u64| {
            let layout = Layout::new(offsets).ok_or(Errno::INVAL)?;
            let entries = place(size).saturating_mul(entry_len);
            let region = Region::map(fd.as_fd(), layout.entries.saturating_add(entries), at)?;
            Ok::<_, Errno>(Ring::new(region, layout, entry_len, size))
        };
        let mut fill = ring(&offsets.fr, ADDRESS_LEN, XDP_UMEM_PGOFF_FILL_RING)?;
        for chunk in 0..size {
            fill.put_address(Memory::chunk(chunk));
        }
        fill.publish();
        Ok(Self {
            completion: ring(&offsets.cr, ADDRESS_LEN, XDP_UMEM_PGOFF_COMPLETION_RING)?,
            rx: ring(&offsets.rx, DESCRIPTOR_LEN, XDP_PGOFF_RX_RING)?,
            tx: ring(&offsets.tx, DESCRIPTOR_LEN, XDP_PGOFF_TX_RING)?,
            fill,
            fd,
            capabilities: Capabilities::new(Medium::Ethernet, mtu).fills(leaves_checksums),
            options: *options,
            queue: 0,
            memory,
            frames: [(0, 0); BURST_MAX],
            burst_len: 0,
            parts: [(0, 0); PARTS_MAX],
            parts_len: 0,
            slot: None,
            full: false,
            zero_copy: false,
            down: false,
            counters: DeviceCounters::default(),
            fault: None,
            sleeper: Sleeper::new(),
            watch,
            _program: program,
            _watch_all: watch_all,
        })
    }

    /// Lets `waker` wake the loop, through an eventfd (`eventfd(2)`) such as `usockets-linux` has.
    #[must_use]
    pub fn with_waker<N: Notify + AsFd + Sync>(mut self, waker: &'static Waker<N>) -> Self {
        self.sleeper.set_waker(waker);
        self
    }

    /// Returns true if the card reads and writes the frames' memory itself.
    #[must_use]
    pub const fn is_zero_copy(&self) -> bool {
        self.zero_copy
    }

    /// Gives the chunks of the last burst back to be filled.
    fn give_back(&mut self) {
        let parts = self.parts.get(..self.parts_len).unwrap_or_default();
        // As many as are on their way at most, so there is room.
        for (address, _) in parts {
            self.fill.put_address(Memory::start_of(*address));
        }
        if self.parts_len > 0 {
            self.fill.publish();
        }
        (self.parts_len, self.burst_len) = (0, 0);
    }

    /// Takes one frame of `ready` descriptors, all its parts; `None` if there is no whole one.
    fn take_frame(&mut self, ready: u32) -> Option<()> {
        let first = self.parts_len;
        let mut taken = 0_u32;
        loop {
            if taken >= ready {
                return None;
            }
            let descriptor = self.rx.peek(taken)?;
            *self.parts.get_mut(first.saturating_add(place(taken)))? =
                (descriptor.address, descriptor.len);
            taken = taken.saturating_add(1);
            if !descriptor.continued {
                break;
            }
        }
        self.rx.skip(taken);
        let parts = place(taken);
        self.parts_len = first.saturating_add(parts);
        if parts > CHAIN_MAX {
            // More than a frame has.
            self.counters.cut = self.counters.cut.wrapping_add(1);
        } else if let Some(frame) = self.frames.get_mut(self.burst_len) {
            *frame = (first, parts);
            self.burst_len = self.burst_len.saturating_add(1);
        }
        Some(())
    }

    /// Takes back the chunks that have been sent.
    fn reclaim(&mut self) {
        let ready = self.completion.ready();
        for _ in 0..ready {
            if let Some(address) = self.completion.take_address() {
                self.memory.give_back(address);
            }
        }
        if ready > 0 {
            self.completion.release();
        }
    }

    /// Has the kernel send what is in the ring, as far as it does.
    fn kick(&mut self) {
        let mut before = u32::MAX;
        for _ in 0..CALLS_MAX {
            let pending = self.tx.pending();
            // Where the kernel copies, nothing but a call has it send, whatever the flag says.
            let wakes = !self.zero_copy || self.tx.needs_wakeup();
            if pending == 0 || pending >= before || !wakes {
                break;
            }
            before = pending;
            match send(&self.fd, &[], SendFlags::DONTWAIT) {
                Err(Errno::NETDOWN | Errno::NXIO) => break,
                // The first frame that the interface did not take ends the call.
                Err(Errno::BUSY) => {
                    self.counters.dropped = self.counters.dropped.wrapping_add(1);
                }
                // What is sent is seen in the ring.
                Ok(_) | Err(_) => {}
            }
        }
        self.reclaim();
    }

    fn learn(&mut self, state: LinkState) {
        let was_down = core::mem::replace(&mut self.down, state != LinkState::Up);
        if self.down && !was_down {
            self.counters.downs = self.counters.downs.wrapping_add(1);
        }
        if state == LinkState::Gone {
            let gone = u16::try_from(Errno::NODEV.raw_os_error()).unwrap_or(u16::MAX);
            self.fault = Some(Error::Platform(gone));
        }
    }

    fn part(&self, index: usize, place: usize) -> &[u8] {
        let frames = self.frames.get(..self.burst_len).unwrap_or_default();
        frames
            .get(index)
            .filter(|(_, parts)| place < *parts)
            .and_then(|(first, _)| self.parts.get(first.saturating_add(place)))
            .and_then(|(address, len)| self.memory.received(*address, *len))
            .unwrap_or_default()
    }
}

/// `XDP_UMEM_TX_METADATA_LEN`: there is room before each frame to say what is to be done with it.
const HAS_METADATA: XdpUmemRegFlags = XdpUmemRegFlags::from_bits_retain(1 << 2);

/// Tells the kernel of the frames' memory; returns true if it finishes checksums, where `wanted`.
fn register(fd: BorrowedFd<'_>, memory: &Memory, wanted: bool) -> Result<bool, Errno> {
    let plain = XdpUmemReg {
        addr: memory.address(),
        len: memory.shared_len(),
        chunk_size: count(CHUNK),
        headroom: 0,
        flags: XdpUmemRegFlags::empty(),
        tx_metadata_len: 0,
    };
    let mut with_metadata = plain;
    with_metadata.flags = HAS_METADATA;
    with_metadata.tx_metadata_len = count(METADATA_LEN);
    if wanted && sockopt::set_xdp_umem_reg(fd, with_metadata).is_ok() {
        return Ok(true);
    }
    sockopt::set_xdp_umem_reg(fd, plain)?;
    Ok(false)
}

impl PollDevice for Xdp {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        self.give_back();
        let ready = self.rx.ready();
        let start = self.rx.position();
        let most = frames_max.min(BURST_MAX);
        while self.burst_len < most {
            let taken = self.rx.position().wrapping_sub(start);
            if self.take_frame(ready.saturating_sub(taken)).is_none() {
                break;
            }
        }
        if self.rx.position() != start {
            self.rx.release();
        }
        let frames = u64::from(count(self.burst_len));
        self.counters.received = self.counters.received.wrapping_add(frames);
        self.burst_len
    }

    fn frame(&self, index: usize) -> &[u8] {
        self.part(index, 0)
    }

    fn chained(&self, index: usize, place: usize) -> &[u8] {
        self.part(index, place)
    }

    fn rx_meta(&self, _: usize) -> RxMeta {
        let queue = u16::try_from(self.queue).unwrap_or(u16::MAX);
        let meta = RxMeta::NONE.queue(queue);
        if self.options.trusts_checksums {
            meta.checksum(RxChecksum::Partial)
        } else {
            meta
        }
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        if self.slot.is_none() {
            if self.memory.is_empty() {
                self.kick();
            }
            self.slot = self.memory.take();
        }
        self.full = self.slot.is_none();
        if self.full {
            self.counters.full = self.counters.full.wrapping_add(1);
        }
        self.memory.slot(self.slot?, len)
    }

    fn commit(&mut self, len: usize, meta: &TxMeta) {
        let Some(address) = self.slot.take() else {
            return;
        };
        if len == 0 {
            // Nothing that the kernel would send, or give back.
            self.slot = Some(address);
            return;
        }
        if meta.checksum {
            let number = |len: usize| u16::try_from(len).unwrap_or(u16::MAX);
            let (start, at) = (meta.tcp_at(), meta.checksum_at());
            let further = at.saturating_sub(start);
            self.memory
                .ask_for_checksum(address, number(start), number(further));
        }
        // No more than was lent.
        let len = len.min(self.memory.slot_max());
        let parts = parts_of(len);
        if place(self.tx.room()) < parts {
            // There are as many places as chunks: the kernel's index makes no sense.
            self.counters.broken = self.counters.broken.wrapping_add(1);
            self.slot = Some(address);
            return;
        }
        self.memory.hand_over(address, parts);
        for index in 0..parts {
            if let Some(part) = Memory::part(address, len, index) {
                self.tx.put_part(part, meta.checksum && index == 0);
            }
        }
        self.tx.publish();
        self.counters.sent = self.counters.sent.wrapping_add(1);
    }

    fn flush(&mut self) {
        if self.tx.pending() > 0 {
            self.kick();
        }
    }

    fn wait(&mut self, until: Option<Instant>) {
        let mut flags = PollFlags::IN;
        if self.full {
            flags |= PollFlags::OUT;
        }
        let mut until = until;
        if !self.down && self.tx.pending() > 0 {
            self.kick();
            if self.tx.pending() > 0 {
                let again = monotonic().saturating_add(AGAIN);
                until = Some(until.map_or(again, |until| until.min(again)));
            }
        }
        let watch = Some(self.watch.as_fd());
        let seen = self.sleeper.sleep(self.fd.as_fd(), flags, watch, until);
        if seen.also
            && let Some(state) = self.watch.news()
        {
            self.learn(state);
        }
    }

    fn woken(&mut self) -> bool {
        self.sleeper.woken()
    }

    fn fault(&self) -> Option<Error> {
        self.fault
    }

    fn now(&self) -> Instant {
        monotonic()
    }

    fn counters(&mut self) -> DeviceCounters {
        let mut counters = self.counters;
        if let Ok(said) = sockopt::xdp_statistics(&self.fd) {
            let full = said.rx_ring_full.unwrap_or(0);
            counters.overruns = said.rx_dropped.wrapping_add(full);
            counters.dropped = counters.dropped.wrapping_add(said.tx_invalid_descs);
        }
        counters
    }
}

impl AsFd for Xdp {
    /// The socket, for other event loops: readable when a frame has come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl core::fmt::Debug for Xdp {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Xdp")
            .field("queue", &self.queue)
            .field("capabilities", &self.capabilities)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
