//! A packet socket of Linux (AF_PACKET): an interface that the kernel has, shared with it.
//!
//! [`Packet`] is the device, `ring` its two rings in memory that the kernel shares, `socket` the
//! calls that make it, and `fanout` what spreads frames over several.

#[cfg(all(feature = "queues", target_has_atomic = "32"))]
mod fanout;
mod ring;
pub(crate) mod socket;

use rustix::event::PollFlags;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::netdevice::{index_to_name_inlined, name_to_index};
use rustix::net::sockopt::{set_socket_send_buffer_size, set_socket_send_buffer_size_force};
use rustix::net::{SendFlags, send, sockopt};
use usockets::{Duration, Error, Instant, Notify, Waker};

use self::ring::{CHECKSUM_NOT_READY, CHECKSUM_VALID, FRAME_HEADER, RxRing, TxRing, VLAN_VALID};
use self::socket::RingSize;
use crate::device::region::Region;
use crate::device::sleep::{Sleeper, error, monotonic};
use crate::device::virtio::{self, HEADER_LEN};
use crate::device::{Capabilities, DeviceCounters, Medium, PollDevice, RxChecksum, RxMeta, TxMeta};
use crate::wire::ethernet::HEADER_LEN as ETHERNET_LEN;

/// Bytes of a block: a frame of 64 KiB, which another system on the same machine may send in one
/// piece, and as much again.
const BLOCK_LEN: u32 = 131_072;
/// Blocks of the receive ring: 4 MiB, which 64 sockets of one million bits a second fill in half a
/// second.
const BLOCKS: u32 = 32;
/// Milliseconds until a block is handed over that is not full. The kernel takes no fewer.
const BLOCK_WAIT: u32 = 1;
/// Bytes of the send ring.
const TX_LEN: u32 = 2_097_152;
/// Bytes of a slot if the kernel cuts segments to size, and of the largest packet in it.
const SUPER_SLOT: u32 = 65_536;
const SUPER_MAX: usize = 65_400;
/// How soon what the kernel did not send at once is tried again.
const AGAIN: Duration = Duration::from_millis(1);

/// An interface of Linux by a packet socket (`packet(7)`), with rings of TPACKET_V3.
///
/// For any interface, and with nothing changed on it but that it takes frames for others too: the
/// kernel goes on using it, and sees the same frames. So the stack's addresses must not be the
/// kernel's, or the kernel answers as well.
///
/// One system call sends a burst, and none is made to receive one. Both rings, 6 MiB together, are
/// the kernel's memory, mapped here; nothing is allocated afterwards. The kernel hands received
/// frames over in blocks, when a block is full or after a millisecond: this device is for
/// throughput, and an answer takes a millisecond more than on a TAP.
///
/// A link that is down is waited for, and counted ([`DeviceCounters::downs`]). When the interface
/// is removed, the loop ends with [`Error::Platform`] and `ENODEV`.
pub struct Packet {
    fd: OwnedFd,
    interface: u32,
    capabilities: Capabilities,
    /// A virtio header precedes each frame.
    virtio: bool,
    region: Region,
    rx: RxRing,
    tx: TxRing,
    counters: DeviceCounters,
    /// The last slot asked for was not to be had.
    full: bool,
    /// A frame was committed since the kernel was last called.
    committed: bool,
    /// The link was found down, and nothing has moved since.
    down: bool,
    fault: Option<Error>,
    sleeper: Sleeper,
}

impl Packet {
    /// Opens the interface `name`, with packets of at most `mtu` bytes. It must be up before frames
    /// flow.
    ///
    /// With `offload` the kernel or the card computes checksums and cuts large segments to size.
    ///
    /// # Errors
    /// [`Error::Denied`] without the right to (`CAP_NET_RAW`), [`Error::Unsupported`] when there is
    /// no such interface, [`Error::Invalid`] when frames of that size are not possible,
    /// [`Error::Exhausted`] when the kernel has no memory for the rings, else [`Error::Platform`]
    /// with `errno`.
    pub fn open(name: &str, mtu: usize, offload: bool) -> Result<Self, Error> {
        let largest = mtu
            .saturating_add(ETHERNET_LEN + FRAME_HEADER)
            .next_power_of_two()
            .max(2_048);
        let slot_len = if offload {
            SUPER_SLOT
        } else {
            u32::try_from(largest).map_err(|_| Error::Invalid)?
        };
        if mtu > SUPER_MAX || slot_len > SUPER_SLOT {
            return Err(Error::Invalid);
        }
        let rx = RingSize {
            block_len: BLOCK_LEN,
            blocks: BLOCKS,
            frame_len: 2_048,
            wait: BLOCK_WAIT,
        };
        let tx = RingSize {
            block_len: BLOCK_LEN,
            blocks: TX_LEN / BLOCK_LEN,
            frame_len: slot_len,
            wait: 0,
        };
        let fd = socket::open(rx, tx, offload).map_err(error)?;
        let (rx_len, tx_len) = (rx.len(), tx.len());
        let len = rx_len.saturating_add(tx_len);
        let region = Region::map(fd.as_fd(), len, 0).map_err(error)?;
        // What the send ring holds, the socket may have on its way.
        if set_socket_send_buffer_size_force(&fd, tx_len).is_err() {
            let _ = set_socket_send_buffer_size(&fd, tx_len);
        }
        let interface = name_to_index(&fd, name).map_err(error)?;
        socket::attach(fd.as_fd(), interface).map_err(error)?;
        let mut capabilities = Capabilities::new(Medium::Ethernet, mtu);
        if offload {
            capabilities = capabilities.fills(true).segment_max(SUPER_MAX);
        }
        let slot_len = crate::number::place(slot_len);
        let slots = tx_len.checked_div(slot_len).unwrap_or(0);
        let block_len = crate::number::place(BLOCK_LEN);
        Ok(Self {
            fd,
            interface,
            capabilities,
            virtio: offload,
            region,
            rx: RxRing::new(block_len, rx_len.checked_div(block_len).unwrap_or(0)),
            tx: TxRing::new(rx_len, slot_len, slots),
            counters: DeviceCounters::default(),
            full: false,
            committed: false,
            down: false,
            fault: None,
            sleeper: Sleeper::new(),
        })
    }

    /// Shares the interface's frames with other devices like this one, `group` of them in the
    /// system by one number: each gets those of the connections that belong to its queue, which is
    /// its place in the order in which they join, from 0.
    ///
    /// Until it has joined, a device gets every frame, so have all of them join before any of their
    /// stacks runs.
    ///
    /// The kernel hashes TCP as a card with `key` does that has the table
    /// [`Rss::spread::<128>`](crate::Rss::spread). All else goes to the first: ARP and neighbour
    /// discovery, ICMP, datagrams, fragments, and IPv4 with options or IPv6 with extension headers;
    /// what belongs to other stacks is handed over
    /// ([`Stack::share_queues`](crate::Stack::share_queues)).
    ///
    /// # Errors
    /// [`Error::Invalid`] for a group that has another interface or other options, else as
    /// [`Self::open`].
    #[cfg(all(feature = "queues", target_has_atomic = "32"))]
    pub fn with_fanout(self, group: u16, key: &crate::RssKey) -> Result<Self, Error> {
        let program = fanout::Program::hashing(key);
        socket::join(self.fd.as_fd(), group, program.instructions()).map_err(error)?;
        Ok(self)
    }

    /// Lets `waker` wake the loop, through an eventfd (`eventfd(2)`) such as `usockets-linux` has.
    #[must_use]
    pub fn with_waker<N: Notify + AsFd + Sync>(mut self, waker: &'static Waker<N>) -> Self {
        self.sleeper.set_waker(waker);
        self
    }

    const fn header_len(&self) -> usize {
        if self.virtio { HEADER_LEN } else { 0 }
    }

    /// Calls the kernel, which sends what it finds in the ring.
    fn send(&mut self) {
        loop {
            match send(&self.fd, &[], SendFlags::DONTWAIT) {
                Err(Errno::INTR) => {}
                Err(Errno::NETDOWN | Errno::NXIO) => return self.link_is_down(),
                // What is sent is seen in the ring.
                Ok(_) => {
                    self.down = false;
                    return;
                }
                Err(_) => return,
            }
        }
    }

    /// Finds out whether the interface is down or gone.
    fn link_is_down(&mut self) {
        if index_to_name_inlined(&self.fd, self.interface).is_ok() {
            let was_down = core::mem::replace(&mut self.down, true);
            let times = u64::from(!was_down);
            self.counters.downs = self.counters.downs.wrapping_add(times);
        } else {
            let gone = u16::try_from(Errno::NODEV.raw_os_error()).unwrap_or(u16::MAX);
            self.fault = Some(Error::Platform(gone));
        }
    }
}

impl PollDevice for Packet {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        let count = self.rx.receive(&mut self.region, frames_max);
        self.down &= count == 0;
        self.counters.received = self
            .counters
            .received
            .wrapping_add(count.try_into().unwrap_or(0));
        count
    }

    fn frame(&self, index: usize) -> &[u8] {
        self.rx.bytes(&self.region, index).unwrap_or_default()
    }

    fn rx_meta(&self, index: usize) -> RxMeta {
        let Some(frame) = self.rx.get(index) else {
            return RxMeta::NONE;
        };
        let meta = RxMeta::NONE.checksum(if frame.status & CHECKSUM_NOT_READY != 0 {
            RxChecksum::Partial
        } else if frame.status & CHECKSUM_VALID != 0 {
            RxChecksum::Verified
        } else {
            RxChecksum::Unknown
        });
        match u16::try_from(frame.vlan) {
            Ok(tag) if frame.status & VLAN_VALID != 0 => meta.vlan(tag),
            _ => meta,
        }
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        let start = self.header_len();
        let slot = self.tx.slot(&mut self.region, len.saturating_add(start));
        self.full = slot.is_none();
        if self.full {
            self.counters.full = self.counters.full.wrapping_add(1);
        }
        slot?.get_mut(start..)
    }

    fn commit(&mut self, len: usize, meta: &TxMeta) {
        let end = self.header_len().saturating_add(len);
        if self.virtio
            && let Some(memory) = self.tx.slot(&mut self.region, end)
        {
            virtio::describe(memory, meta, u16::to_ne_bytes);
        }
        self.tx.commit(&mut self.region, end);
        self.counters.sent = self.counters.sent.wrapping_add(1);
        self.committed = true;
    }

    fn flush(&mut self) {
        if core::mem::take(&mut self.committed) {
            self.send();
        }
    }

    fn wait(&mut self, until: Option<Instant>) {
        let mut flags = PollFlags::IN;
        if self.full {
            flags |= PollFlags::OUT;
        }
        let mut until = until;
        if self.tx.waiting(&self.region) > 0 {
            self.send();
            if self.tx.waiting(&self.region) > 0 {
                let again = monotonic().saturating_add(AGAIN);
                until = Some(until.map_or(again, |until| until.min(again)));
            }
        }
        let seen = self.sleeper.sleep(self.fd.as_fd(), flags, None, until);
        if seen
            .device
            .intersects(PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL)
        {
            // To read the error clears it; to wait would not wait otherwise.
            let _ = sockopt::socket_error(&self.fd);
            self.link_is_down();
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
        let overruns = socket::take_overruns(self.fd.as_fd());
        self.counters.overruns = self.counters.overruns.wrapping_add(overruns);
        self.counters.cut = self.rx.cut;
        self.counters.dropped = self.tx.dropped;
        self.counters
    }
}

impl AsFd for Packet {
    /// The socket, for other event loops: readable when a block has come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl core::fmt::Debug for Packet {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Packet")
            .field("capabilities", &self.capabilities)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
