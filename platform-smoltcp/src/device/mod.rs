//! Packet devices: what one has to do ([`PollDevice`]), and those in the tree.
//!
//! [`wire`] is a cable in memory for tests, [`tap`] Linux's, with [`virtio`] the header before its
//! frames; [`pcap`] writes down what any device moves, and [`phy`] leads from and to smoltcp's own.
//! Nothing here knows of the stack.

pub(crate) mod pcap;
#[cfg(feature = "phy")]
pub(crate) mod phy;
#[cfg(all(feature = "tap", target_os = "linux"))]
pub(crate) mod tap;
#[cfg(all(feature = "tap", target_os = "linux"))]
mod tap_control;
#[cfg(all(feature = "tap", target_os = "linux"))]
mod virtio;
pub(crate) mod wire;

use core::num::NonZeroU16;

use usockets::{Error, Instant};

/// A device that moves frames in bursts: a network card's queue pair, a TAP, a wire in memory.
///
/// A driver keeps its rings and lends frames from them; the stack copies nothing on the way in and
/// writes headers and payload straight into the transmit slot on the way out. Nothing here waits
/// but [`Self::wait`].
pub trait PollDevice {
    /// Returns what the device is and can do. Asked once, when a stack is made.
    fn capabilities(&self) -> Capabilities;

    /// Gives back the frames of the last burst and takes a new one of at most `frames_max`;
    /// returns how many there are. Zero when none has come.
    fn receive(&mut self, frames_max: usize) -> usize;

    /// Lends a frame of the last burst, by its place in it; empty past its end.
    ///
    /// With [`Capabilities::verifies`] every lent frame has a right TCP checksum.
    fn frame(&self, index: usize) -> &[u8];

    /// Returns whether [`Self::slot`] would give a slot now.
    fn has_room(&mut self) -> bool;

    /// Lends the memory for one outgoing frame of `len` bytes, at most [`Capabilities::frame_max`].
    /// `None` when the device is full. A slot that is not committed is lent
    /// again, with what it holds.
    fn slot(&mut self, len: usize) -> Option<&mut [u8]>;

    /// Sends the first `len` bytes of the slot lent last.
    ///
    /// With `segment` the frame is a TCP segment to be cut into several with at most so many bytes
    /// of payload each; only a device with [`Capabilities::segment_max`] is asked to. A frame that
    /// cannot be sent is dropped, as on any wire.
    fn commit(&mut self, len: usize, segment: Option<NonZeroU16>);

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

    fn has_room(&mut self) -> bool {
        (**self).has_room()
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        (**self).slot(len)
    }

    fn commit(&mut self, len: usize, segment: Option<NonZeroU16>) {
        (**self).commit(len, segment);
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
}

/// What a [`PollDevice`] is and can do.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Capabilities {
    /// What the frames are.
    pub medium: Medium,
    /// Bytes of the largest IP packet. IPv6 asks for at least 1,280 (RFC 8200, section 5).
    ///
    /// Nobody measures the path: all segments carry DF, and ICMP's "too big" is not heeded. Behind
    /// tunnels choose a size that passes everywhere.
    pub mtu: usize,
    /// Whether the device checks the TCP checksum of what it receives.
    pub verifies: bool,
    /// Whether the device fills in the TCP checksum of what it sends.
    pub fills: bool,
    /// Bytes of the largest TCP segment over IPv4, with all headers, that the device cuts to size
    /// itself. Needs [`Self::fills`].
    pub segment_max: Option<usize>,
}

impl Capabilities {
    /// A device of the given medium and MTU that leaves everything to the stack.
    #[must_use]
    pub const fn new(medium: Medium, mtu: usize) -> Self {
        Self {
            medium,
            mtu,
            verifies: false,
            fills: false,
            segment_max: None,
        }
    }

    /// Sets [`Self::verifies`] and [`Self::fills`].
    #[must_use]
    pub const fn checksums(mut self, verifies: bool, fills: bool) -> Self {
        self.verifies = verifies;
        self.fills = fills;
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
