//! A TAP of Linux: a network card whose other end is the kernel.

use rustix::event::PollFlags;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags, open};
use rustix::io::{Errno, read, write};
use usockets::{Error, Instant, Notify, Waker};

use crate::device::sleep::{Sleeper, error, monotonic};
use crate::device::tap_control;
use crate::device::virtio::{self, HEADER_LEN};
use crate::device::{Capabilities, DeviceCounters, Medium, PollDevice, RxMeta, TxMeta};
use crate::wire::ethernet::HEADER_LEN as ETHERNET_LEN;

/// Bytes of the largest frame that the kernel gives or takes with offloading.
const SUPER_MAX: usize = 65_535 + ETHERNET_LEN;
/// Bytes behind the largest frame, by which a longer one shows. Two, so that all frames in the
/// caller's memory begin as aligned as the first one.
const SPARE: usize = 2;
/// Most frames of one burst.
const BURST_MAX: usize = 64;

/// A TAP, with checksums and segmentation left to the kernel if wanted.
///
/// Frames go through the caller's memory; one system call each, nothing is allocated. A frame
/// that the kernel does not take is dropped and counted, as is one that comes longer than the MTU
/// allows ([`DeviceCounters::cut`]). A TAP that is down is waited for; it is found to be so when
/// there is something to send ([`DeviceCounters::downs`]). When it is deleted, the loop ends with
/// [`Error::Platform`] and `EBADFD`.
pub struct Tap<'m> {
    fd: OwnedFd,
    capabilities: Capabilities,
    /// A virtio header precedes each frame.
    virtio: bool,
    slot: &'m mut [u8],
    inbox: &'m mut [u8],
    /// Where in its share of the inbox each frame of the burst ends.
    ends: [usize; BURST_MAX],
    count: usize,
    down: bool,
    counters: DeviceCounters,
    fault: Option<Error>,
    sleeper: Sleeper,
}

impl<'m> Tap<'m> {
    /// Opens the TAP `name`. It must be up before frames flow.
    ///
    /// `memory` holds one frame to send and the frames of one burst, 1 to 64; each takes
    /// [`Self::share`] bytes. With `offload` the kernel computes checksums and cuts large segments
    /// to size, and frames of up to 64 KiB come and go.
    ///
    /// # Errors
    /// [`Error::AddressUnavailable`] when there is no device of that name, [`Error::Denied`]
    /// without the right to, [`Error::AddressInUse`] when another program has the TAP,
    /// [`Error::Invalid`] when the name is unfit, the device no TAP or the memory holds fewer than
    /// two frames, [`Error::Unsupported`] without TUN driver, else [`Error::Platform`] with
    /// `errno`.
    pub fn open(
        name: &str,
        mtu: usize,
        offload: bool,
        memory: &'m mut [u8],
    ) -> Result<Self, Error> {
        let has_fit_name = !name.is_empty() && name.len() <= tap_control::NAME_MAX;
        if has_fit_name && !tap_control::exists(name).map_err(error)? {
            return Err(Error::AddressUnavailable);
        }
        Self::make(name, mtu, offload, memory)
    }

    /// Opens the TAP `name`, or makes one if there is none, which ends with the program. Otherwise
    /// as [`Self::open`].
    ///
    /// # Errors
    /// As [`Self::open`].
    pub fn make(
        name: &str,
        mtu: usize,
        offload: bool,
        memory: &'m mut [u8],
    ) -> Result<Self, Error> {
        Self::attach(name, mtu, (offload, false), memory)
    }

    /// Opens one more queue of the TAP `name`, which has several (`ip tuntap add … multi_queue`),
    /// or makes such a TAP if there is none. Otherwise as [`Self::open`].
    ///
    /// The kernel gives a frame to the queue that sent to its connection last, or chooses one by a
    /// hash of its own. Offload makes frames that stacks cannot hand over to one another
    /// (`SharedQueues`), so leave it off where there are several.
    ///
    /// # Errors
    /// As [`Self::open`]; [`Error::Invalid`] also for a TAP with one queue.
    pub fn make_queue(
        name: &str,
        mtu: usize,
        offload: bool,
        memory: &'m mut [u8],
    ) -> Result<Self, Error> {
        Self::attach(name, mtu, (offload, true), memory)
    }

    fn attach(
        name: &str,
        mtu: usize,
        (offload, one_of_several): (bool, bool),
        memory: &'m mut [u8],
    ) -> Result<Self, Error> {
        let share = Self::share(mtu, offload);
        let (slot, inbox) = memory.split_at_mut_checked(share).ok_or(Error::Invalid)?;
        if inbox.len() < share {
            return Err(Error::Invalid);
        }
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = open("/dev/net/tun", flags, Mode::empty()).map_err(error)?;
        tap_control::attach(fd.as_fd(), name, offload, one_of_several).map_err(error)?;
        let mut capabilities = Capabilities::new(Medium::Ethernet, mtu);
        if offload {
            let len = i32::try_from(HEADER_LEN).unwrap_or(0);
            tap_control::offload(fd.as_fd(), len).map_err(error)?;
            capabilities = capabilities.fills(true).segment_max(65_535);
        }
        Ok(Self {
            fd,
            capabilities,
            virtio: offload,
            slot,
            inbox,
            ends: [0; BURST_MAX],
            count: 0,
            down: false,
            counters: DeviceCounters::default(),
            fault: None,
            sleeper: Sleeper::new(),
        })
    }

    /// Lets `waker` wake the loop, through an eventfd (`eventfd(2)`) such as `usockets-linux` has.
    #[must_use]
    pub fn with_waker<N: Notify + AsFd + Sync>(mut self, waker: &'static Waker<N>) -> Self {
        self.sleeper.set_waker(waker);
        self
    }

    /// Returns the bytes of memory that one frame takes.
    #[must_use]
    pub const fn share(mtu: usize, offload: bool) -> usize {
        Self::end_max(mtu, offload).saturating_add(SPARE)
    }

    /// Returns where in its share the largest frame ends.
    const fn end_max(mtu: usize, offload: bool) -> usize {
        if offload {
            SUPER_MAX.saturating_add(HEADER_LEN)
        } else {
            mtu.saturating_add(ETHERNET_LEN)
        }
    }

    /// Returns the number of frames that the kernel did not take.
    #[must_use]
    pub const fn dropped_count(&self) -> u64 {
        self.counters.dropped
    }

    const fn header_len(&self) -> usize {
        if self.virtio { HEADER_LEN } else { 0 }
    }

    /// Counts a frame that the kernel did not take.
    const fn drop_one(&mut self, errno: Errno) {
        self.counters.dropped = self.counters.dropped.wrapping_add(1);
        // The driver's word for a TAP that is down.
        if matches!(errno, Errno::IO) && !self.down {
            self.down = true;
            self.counters.downs = self.counters.downs.wrapping_add(1);
        }
    }

    /// Reads one frame into `memory` and returns where it ends; `None` when none has come.
    fn read_one(&mut self, index: usize) -> Option<usize> {
        let share = Self::share(self.capabilities.mtu, self.virtio);
        let at = index.saturating_mul(share);
        let memory = self.inbox.get_mut(at..)?.get_mut(..share)?;
        loop {
            let end = match read(&self.fd, &mut *memory) {
                Ok(end) => end,
                Err(Errno::INTR) => continue,
                // The TAP has been deleted. To wait for it would not wait.
                Err(Errno::BADFD) => {
                    self.fault = Some(error(Errno::BADFD));
                    return None;
                }
                // Nothing there, or the TAP is down; the wait will tell.
                Err(_) => return None,
            };
            return Some(end);
        }
    }
}

impl PollDevice for Tap<'_> {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        self.count = 0;
        let end_max = Self::end_max(self.capabilities.mtu, self.virtio);
        for _ in 0..frames_max.min(BURST_MAX) {
            let Some(end) = self.read_one(self.count) else {
                break;
            };
            if end > end_max {
                self.counters.cut = self.counters.cut.wrapping_add(1);
                continue;
            }
            if let Some(place) = self.ends.get_mut(self.count) {
                *place = end;
            }
            self.count = self.count.saturating_add(1);
            self.counters.received = self.counters.received.wrapping_add(1);
        }
        self.count
    }

    fn frame(&self, index: usize) -> &[u8] {
        let share = Self::share(self.capabilities.mtu, self.virtio);
        let end = self.ends.get(..self.count).and_then(|ends| ends.get(index));
        let memory = self.inbox.get(index.saturating_mul(share)..);
        end.zip(memory)
            .and_then(|(end, memory)| memory.get(self.header_len()..*end))
            .unwrap_or_default()
    }

    fn rx_meta(&self, index: usize) -> RxMeta {
        if !self.virtio {
            return RxMeta::NONE;
        }
        let share = Self::share(self.capabilities.mtu, self.virtio);
        let header = self.inbox.get(index.saturating_mul(share)..);
        virtio::rx_meta(header.unwrap_or_default())
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        // The kernel queues or drops; it never asks to wait.
        let start = self.header_len();
        self.slot.get_mut(start..)?.get_mut(..len)
    }

    fn commit(&mut self, len: usize, meta: &TxMeta) {
        let end = self.header_len().saturating_add(len);
        let Some(memory) = self.slot.get_mut(..end) else {
            return;
        };
        if self.virtio {
            virtio::describe(memory, meta, u16::to_ne_bytes);
        }
        loop {
            match write(&self.fd, memory) {
                Err(Errno::INTR) => {}
                Ok(_) => {
                    self.down = false;
                    self.counters.sent = self.counters.sent.wrapping_add(1);
                    return;
                }
                Err(errno) => return self.drop_one(errno),
            }
        }
    }

    fn wait(&mut self, until: Option<Instant>) {
        self.sleeper
            .sleep(self.fd.as_fd(), PollFlags::IN, None, until);
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
        self.counters
    }
}

impl AsFd for Tap<'_> {
    /// The TAP, for other event loops: readable when a frame has come.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl core::fmt::Debug for Tap<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Tap")
            .field("capabilities", &self.capabilities)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}
