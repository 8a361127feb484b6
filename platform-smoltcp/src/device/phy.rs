//! smoltcp's devices under this stack, and this stack's devices under smoltcp.

use smoltcp::phy::{self, Device, DeviceCapabilities, RxToken as _, TxToken as _};
use smoltcp::time::Instant as Stamp;
use usockets::Instant;

use crate::device::{Capabilities, DeviceCounters, Medium, PollDevice, TxMeta};

/// Returns a time on smoltcp's clock.
pub(crate) fn stamp(at: Instant) -> Stamp {
    Stamp::from_micros(i64::try_from(at.as_micros()).unwrap_or(i64::MAX))
}

/// Returns a time of smoltcp's clock.
#[cfg(feature = "smoltcp")]
pub(crate) fn instant(at: Stamp) -> Instant {
    Instant::from_micros(u64::try_from(at.total_micros()).unwrap_or(0))
}

/// A [`PollDevice`] out of a device of smoltcp's. Frames are copied once each way.
///
/// Checksums and segmentation are the stack's business; what smoltcp's device could do of them is
/// not used.
pub struct FromPhy<'m, D, C> {
    device: D,
    clock: C,
    capabilities: Capabilities,
    inbox: &'m mut [u8],
    inbox_len: usize,
    slot: &'m mut [u8],
    counters: DeviceCounters,
}

impl<'m, D: Device, C: Fn() -> Instant> FromPhy<'m, D, C> {
    /// Wraps `device`, with `clock` for the time and memory for one frame each way, both of at
    /// least the device's `max_transmission_unit`.
    pub fn new(device: D, clock: C, memories: [&'m mut [u8]; 2]) -> Self {
        let said = device.capabilities();
        let medium = match said.medium {
            phy::Medium::Ip => Medium::Ip,
            _ => Medium::Ethernet,
        };
        let [inbox, slot] = memories;
        Self {
            device,
            clock,
            capabilities: Capabilities::new(medium, said.ip_mtu()),
            inbox,
            inbox_len: 0,
            slot,
            counters: DeviceCounters::default(),
        }
    }

    /// Returns the device inside.
    pub const fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }

    fn stamp(&self) -> Stamp {
        stamp((self.clock)())
    }
}

impl<D: Device, C: Fn() -> Instant> PollDevice for FromPhy<'_, D, C> {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        let now = self.stamp();
        self.inbox_len = 0;
        if frames_max == 0 {
            return 0;
        }
        let Some((received, _)) = self.device.receive(now) else {
            return 0;
        };
        let (inbox, counters) = (&mut *self.inbox, &mut self.counters);
        self.inbox_len = received.consume(|frame| {
            // A frame longer than the device said has no place: it is lent as empty.
            if let Some(place) = inbox.get_mut(..frame.len()) {
                place.copy_from_slice(frame);
                counters.received = counters.received.wrapping_add(1);
                frame.len()
            } else {
                counters.cut = counters.cut.wrapping_add(1);
                0
            }
        });
        1
    }

    fn frame(&self, index: usize) -> &[u8] {
        let len = if index == 0 { self.inbox_len } else { 0 };
        self.inbox.get(..len).unwrap_or_default()
    }

    fn slot(&mut self, len: usize) -> Option<&mut [u8]> {
        let now = self.stamp();
        if self.device.transmit(now).is_none() {
            self.counters.full = self.counters.full.wrapping_add(1);
            return None;
        }
        self.slot.get_mut(..len)
    }

    fn commit(&mut self, len: usize, _: &TxMeta) {
        let now = self.stamp();
        if let (Some(token), Some(frame)) = (self.device.transmit(now), self.slot.get(..len)) {
            token.consume(len, |place| {
                for (to, from) in place.iter_mut().zip(frame) {
                    *to = *from;
                }
            });
            self.counters.sent = self.counters.sent.wrapping_add(1);
        } else {
            self.counters.dropped = self.counters.dropped.wrapping_add(1);
        }
    }

    fn wait(&mut self, _: Option<Instant>) {
        // smoltcp's devices cannot.
    }

    fn now(&self) -> Instant {
        (self.clock)()
    }

    fn counters(&mut self) -> DeviceCounters {
        self.counters
    }
}

impl<D, C> core::fmt::Debug for FromPhy<'_, D, C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("FromPhy")
            .field("capabilities", &self.capabilities)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

/// A device of smoltcp's out of a [`PollDevice`], without its offloads. Received frames are copied
/// once.
pub struct ToPhy<'m, D> {
    device: D,
    inbox: &'m mut [u8],
}

impl<'m, D: PollDevice> ToPhy<'m, D> {
    /// Wraps `device`, with memory for one frame of [`Capabilities::frame_max`] bytes.
    pub const fn new(device: D, inbox: &'m mut [u8]) -> Self {
        Self { device, inbox }
    }

    /// Returns the device inside.
    #[cfg(feature = "smoltcp")]
    pub(crate) const fn device(&self) -> &D {
        &self.device
    }

    /// Returns the device inside.
    pub const fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }
}

impl<D: PollDevice> Device for ToPhy<'_, D> {
    type RxToken<'t>
        = Received<'t>
    where
        Self: 't;
    type TxToken<'t>
        = Room<'t, D>
    where
        Self: 't;

    fn receive(&mut self, _: Stamp) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        if self.device.slot(0).is_none() || self.device.receive(1) == 0 {
            return None;
        }
        let frame = self.device.frame(0);
        let place = self.inbox.get_mut(..frame.len())?;
        place.copy_from_slice(frame);
        Some((Received(place), Room(&mut self.device)))
    }

    fn transmit(&mut self, _: Stamp) -> Option<Self::TxToken<'_>> {
        self.device.slot(0)?;
        Some(Room(&mut self.device))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let own = self.device.capabilities();
        let mut said = DeviceCapabilities::default();
        (said.medium, said.max_transmission_unit) = match own.medium {
            Medium::Ethernet => (phy::Medium::Ethernet, own.mtu.saturating_add(14)),
            Medium::Ip => (phy::Medium::Ip, own.mtu),
        };
        said
    }
}

/// A received frame.
#[derive(Debug)]
pub struct Received<'t>(&'t [u8]);

impl phy::RxToken for Received<'_> {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for a frame to send.
#[derive(Debug)]
pub struct Room<'t, D>(&'t mut D);

impl<D: PollDevice> phy::TxToken for Room<'_, D> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        // A device that lends a slot of no bytes lends one of more; one that breaks its word gets
        // an empty frame.
        let Some(slot) = self.0.slot(len) else {
            return f(&mut []);
        };
        let result = f(slot);
        self.0.commit(len, &TxMeta::NONE);
        result
    }
}

impl<D> core::fmt::Debug for ToPhy<'_, D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ToPhy").finish_non_exhaustive()
    }
}
