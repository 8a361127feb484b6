//! Packet devices: what one has to do ([`PollDevice`]), what goes with its frames ([`RxMeta`],
//! [`TxMeta`]), and those in the tree.
//!
//! [`wire`] is a cable in memory for tests. Linux's are `tap`, `packet` and `xdp`, with `virtio`
//! the header before frames, `region` memory that the kernel shares, `raw` its calls, `sleep` how
//! they wait, and `watch` what happens to an interface. `virtio_net` is the card of virtual
//! machines. [`pcap`] writes down what any device moves;
//! `phy` leads from and to smoltcp's own, to which `timed` adds a clock, and `embassy` from and to
//! embassy's drivers. Nothing here knows of the stack.

mod counts;
#[cfg(feature = "embassy")]
pub(crate) mod embassy;
mod meta;
#[cfg(all(feature = "packet", target_os = "linux"))]
pub(crate) mod packet;
pub(crate) mod pcap;
#[cfg(feature = "phy")]
pub(crate) mod phy;
#[cfg(all(feature = "packet", target_os = "linux"))]
mod raw;
#[cfg(all(feature = "packet", target_os = "linux"))]
mod region;
#[cfg(all(any(feature = "packet", feature = "tap"), target_os = "linux"))]
mod sleep;
#[cfg(all(feature = "tap", target_os = "linux"))]
pub(crate) mod tap;
#[cfg(all(feature = "tap", target_os = "linux"))]
mod tap_control;
#[cfg(feature = "smoltcp")]
pub(crate) mod timed;
#[cfg(any(
    all(any(feature = "packet", feature = "tap"), target_os = "linux"),
    feature = "virtio-net"
))]
mod virtio;
#[cfg(feature = "virtio-net")]
pub(crate) mod virtio_net;
#[cfg(all(feature = "afxdp", target_os = "linux"))]
mod watch;
pub(crate) mod wire;
#[cfg(all(feature = "afxdp", target_os = "linux"))]
pub(crate) mod xdp;

use usockets::{Error, Instant};

pub use counts::DeviceCounters;
pub use meta::{RxChecksum, RxMeta, TxMeta, finish_checksum};

/// Most buffers of one received frame: 64 KiB in pieces of 4 KiB, and one more.
pub const CHAIN_MAX: usize = 17;

/// A device that moves frames in bursts: a network card's queue pair, a TAP, a cable in memory.
///
/// A driver keeps its rings and lends frames from them; the stack copies nothing on the way in and
/// writes headers and payload straight into the transmit slot on the way out. A driver never looks
/// into frames: what it knows of a received one goes up in [`RxMeta`], what it has to know of one
/// to send comes down in [`TxMeta`]. Nothing here waits but [`Self::wait`].
pub trait PollDevice {
    /// Returns what the device is and can do. Asked once, when a stack is made.
    fn capabilities(&self) -> Capabilities;

    /// Gives back the frames of the last burst and takes a new one of at most `frames_max`;
    /// returns how many there are. Zero when none has come.
    fn receive(&mut self, frames_max: usize) -> usize;

    /// Lends a frame of the last burst, by its place in it; empty past its end. Of a frame in
    /// several buffers it is the first, which holds at least all headers.
    fn frame(&self, index: usize) -> &[u8];

    /// Lends a further buffer of a frame of the last burst: `place` counts from 1 up to
    /// [`CHAIN_MAX`], exclusive. Empty behind the last one, as always on a device whose frames lie
    /// in one piece.
    fn chained(&self, index: usize, place: usize) -> &[u8] {
        let _ = (index, place);
        &[]
    }

    /// Returns what the device knows of a frame of the last burst. By default, nothing.
    fn rx_meta(&self, index: usize) -> RxMeta {
        let _ = index;
        RxMeta::NONE
    }

    /// Lends the memory for one outgoing frame of `len` bytes, at most [`Capabilities::frame_max`].
    ///
    /// `None` when the device is full, whatever the length; this alone says so. A slot that is not
    /// committed is lent again, and holds anything then.
    fn slot(&mut self, len: usize) -> Option<&mut [u8]>;

    /// Sends the first `len` bytes of the slot lent last, with what `meta` asks for; only what the
    /// device said it could ([`Capabilities`]) is asked. A frame that cannot be sent is dropped, as
    /// on any wire.
    fn commit(&mut self, len: usize, meta: &TxMeta);

    /// Sends what is committed and not on its way yet.
    fn flush(&mut self) {}

    /// Waits for frames, for room if the device is full, or for `until`; `None` waits for ever.
    /// May return early. A device without a way to wait returns at once.
    fn wait(&mut self, until: Option<Instant>);

    /// Returns whether the loop has been woken from elsewhere since the last call; such a wake-up
    /// ends [`Self::wait`]. See [`usockets::Waker`].
    fn woken(&mut self) -> bool {
        false
    }

    /// Returns why the device is of no use any more, as when it has been taken out; `None` as long
    /// as it may work. The loop then ends with this error ([`usockets::Platform::poll`]).
    fn fault(&self) -> Option<Error> {
        None
    }

    /// Returns the present on a monotonic clock, the one `until` is on.
    fn now(&self) -> Instant;

    /// Returns what the device has counted, which may take a system call. By default, nothing.
    fn counters(&mut self) -> DeviceCounters {
        DeviceCounters::default()
    }
}

impl<D: PollDevice + ?Sized> PollDevice for &mut D {
    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        (**self).receive(frames_max)
    }

    fn frame(&self, index: usize) -> &[u8] {
        (**self).frame(index)
    }

    fn chained(&self, index: usize, place: usize) -> &[u8] {
        (**self).chained(index, place)
    }

    fn rx_meta(&self, index: usize) -> RxMeta {
        (**self).rx_meta(index)
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        (**self).slot(len)
    }

    fn commit(&mut self, len: usize, meta: &TxMeta) {
        (**self).commit(len, meta);
    }

    fn flush(&mut self) {
        (**self).flush();
    }

    fn wait(&mut self, until: Option<Instant>) {
        (**self).wait(until);
    }

    fn woken(&mut self) -> bool {
        (**self).woken()
    }

    fn fault(&self) -> Option<Error> {
        (**self).fault()
    }

    fn now(&self) -> Instant {
        (**self).now()
    }

    fn counters(&mut self) -> DeviceCounters {
        (**self).counters()
    }
}

/// What a [`PollDevice`] is and can do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Capabilities {
    /// What the frames are.
    pub medium: Medium,
    /// Bytes of the largest IP packet. IPv6 asks for at least 1,280 (RFC 8200, section 5).
    ///
    /// All segments carry DF. Where a link of the path takes less, a router says so and segments
    /// become smaller; where firewalls drop what it says, choose a size that passes everywhere.
    pub mtu: usize,
    /// Whether the device finishes the TCP checksum of what it sends ([`TxMeta::checksum`]). What
    /// it knows of those it receives comes with each frame ([`RxMeta::checksum`]).
    pub fills: bool,
    /// Bytes of the largest TCP segment, with all headers of IP and TCP, that the device cuts to
    /// size itself ([`segment_size`](field@TxMeta::segment_size)). Needs [`Self::fills`].
    pub segment_max: Option<usize>,
}

impl Capabilities {
    /// A device of the given medium and MTU that leaves everything to the stack.
    #[must_use]
    pub const fn new(medium: Medium, mtu: usize) -> Self {
        Self {
            medium,
            mtu,
            fills: false,
            segment_max: None,
        }
    }

    /// Sets [`Self::fills`].
    #[must_use]
    pub const fn fills(mut self, on: bool) -> Self {
        self.fills = on;
        self
    }

    /// Sets [`Self::segment_max`].
    #[must_use]
    pub const fn segment_max(mut self, bytes: usize) -> Self {
        self.segment_max = Some(bytes);
        self
    }

    /// Returns the bytes of the largest frame the stack may ask a slot for.
    #[must_use]
    pub const fn frame_max(&self) -> usize {
        let packet = match self.segment_max {
            Some(bytes) if bytes > self.mtu => bytes,
            _ => self.mtu,
        };
        match self.medium {
            Medium::Ethernet => packet.saturating_add(14),
            Medium::Ip => packet,
        }
    }
}

/// What the frames of a device are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Medium {
    /// Ethernet frames without checksum.
    Ethernet,
    /// IP packets, as on a TUN.
    Ip,
}
