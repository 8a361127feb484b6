//! Drivers of embassy's under this stack, and this stack's devices under embassy's.

use core::task::{Context, Waker};

use embassy_net_driver::{
    Capabilities as DriverCapabilities, Driver, HardwareAddress, LinkState, RxToken, TxToken,
};
use usockets::Instant;

use crate::device::{Capabilities, DeviceCounters, Medium, PollDevice, TxMeta};
use crate::wire::ethernet::HEADER_LEN;

/// A [`PollDevice`] out of a driver for `embassy-net`. Frames are copied once each way.
///
/// Checksums are the stack's business; what the driver could do of them is not used.
///
/// A driver wakes a task. Give it the waker of the task that runs the loop, which then polls
/// without waiting and returns to its executor; or [`Waker::noop`] where the loop looks again and
/// again.
pub struct FromEmbassy<'m, D, C> {
    driver: D,
    clock: C,
    waker: Waker,
    capabilities: Capabilities,
    inbox: &'m mut [u8],
    inbox_len: usize,
    slot: &'m mut [u8],
    is_down: bool,
    counters: DeviceCounters,
}

impl<'m, D: Driver, C: Fn() -> Instant> FromEmbassy<'m, D, C> {
    /// Wraps `driver`, with `clock` for the time, `waker` for it to wake, and memory for one frame
    /// each way, both of at least the driver's `max_transmission_unit`.
    pub fn new(driver: D, clock: C, waker: Waker, memories: [&'m mut [u8]; 2]) -> Self {
        let frame_max = driver.capabilities().max_transmission_unit;
        let (medium, mtu) = match driver.hardware_address() {
            HardwareAddress::Ip => (Medium::Ip, frame_max),
            _ => (Medium::Ethernet, frame_max.saturating_sub(HEADER_LEN)),
        };
        let [inbox, slot] = memories;
        Self {
            driver,
            clock,
            waker,
            capabilities: Capabilities::new(medium, mtu),
            inbox,
            inbox_len: 0,
            slot,
            is_down: false,
            counters: DeviceCounters::default(),
        }
    }

    /// Returns the driver inside.
    pub const fn driver_mut(&mut self) -> &mut D {
        &mut self.driver
    }

    /// Returns the hardware address that the driver tells, to be the stack's
    /// ([`Config::mac`](crate::Config::mac)); `None` without Ethernet.
    pub fn mac(&self) -> Option<[u8; 6]> {
        match self.driver.hardware_address() {
            HardwareAddress::Ethernet(mac) => Some(mac),
            _ => None,
        }
    }
}

impl<D: Driver, C: Fn() -> Instant> PollDevice for FromEmbassy<'_, D, C> {
    fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    fn receive(&mut self, frames_max: usize) -> usize {
        self.inbox_len = 0;
        if frames_max == 0 {
            return 0;
        }
        let mut context = Context::from_waker(&self.waker);
        let is_down = self.driver.link_state(&mut context) == LinkState::Down;
        if is_down && !self.is_down {
            self.counters.downs = self.counters.downs.wrapping_add(1);
        }
        self.is_down = is_down;
        let Some((received, _)) = self.driver.receive(&mut context) else {
            return 0;
        };
        let (inbox, counters) = (&mut *self.inbox, &mut self.counters);
        self.inbox_len = received.consume(|frame| {
            // A frame longer than the driver said has no place: it is lent as empty.
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
        let mut context = Context::from_waker(&self.waker);
        if self.driver.transmit(&mut context).is_none() {
            self.counters.full = self.counters.full.wrapping_add(1);
            return None;
        }
        self.slot.get_mut(..len)
    }

    fn commit(&mut self, len: usize, _: &TxMeta) {
        let mut context = Context::from_waker(&self.waker);
        let room = self.driver.transmit(&mut context);
        if let (Some(room), Some(frame)) = (room, self.slot.get(..len)) {
            room.consume(len, |place| {
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
        // The driver wakes a task instead.
    }

    fn now(&self) -> Instant {
        (self.clock)()
    }

    fn counters(&mut self) -> DeviceCounters {
        self.counters
    }
}

impl<D, C> core::fmt::Debug for FromEmbassy<'_, D, C> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("FromEmbassy")
            .field("capabilities", &self.capabilities)
            .field("counters", &self.counters)
            .finish_non_exhaustive()
    }
}

/// A driver for `embassy-net` out of a [`PollDevice`], without its offloads. Received frames are
/// copied once. Its link is always up.
///
/// A device has nothing that wakes a task, so a task that finds nothing is woken at once, and looks
/// again and again.
pub struct ToEmbassy<'m, D> {
    device: D,
    mac: [u8; 6],
    inbox: &'m mut [u8],
}

impl<'m, D: PollDevice> ToEmbassy<'m, D> {
    /// Wraps `device`, with the hardware address that it is to have if it is one of Ethernet, and
    /// memory for one frame of [`Capabilities::frame_max`] bytes.
    pub const fn new(device: D, mac: [u8; 6], inbox: &'m mut [u8]) -> Self {
        Self { device, mac, inbox }
    }

    /// Returns the device inside.
    pub const fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }
}

impl<D: PollDevice> Driver for ToEmbassy<'_, D> {
    type RxToken<'t>
        = DriverReceived<'t>
    where
        Self: 't;
    type TxToken<'t>
        = DriverRoom<'t, D>
    where
        Self: 't;

    fn receive(
        &mut self,
        context: &mut Context<'_>,
    ) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        if self.device.slot(0).is_none() || self.device.receive(1) == 0 {
            context.waker().wake_by_ref();
            return None;
        }
        let frame = self.device.frame(0);
        let place = self.inbox.get_mut(..frame.len())?;
        place.copy_from_slice(frame);
        Some((DriverReceived(place), DriverRoom(&mut self.device)))
    }

    fn transmit(&mut self, context: &mut Context<'_>) -> Option<Self::TxToken<'_>> {
        if self.device.slot(0).is_none() {
            context.waker().wake_by_ref();
            return None;
        }
        Some(DriverRoom(&mut self.device))
    }

    fn link_state(&mut self, _: &mut Context<'_>) -> LinkState {
        LinkState::Up
    }

    fn capabilities(&self) -> DriverCapabilities {
        let mut said = DriverCapabilities::default();
        let own = self.device.capabilities();
        said.max_transmission_unit = match own.medium {
            Medium::Ethernet => own.mtu.saturating_add(HEADER_LEN),
            Medium::Ip => own.mtu,
        };
        said
    }

    fn hardware_address(&self) -> HardwareAddress {
        match self.device.capabilities().medium {
            Medium::Ethernet => HardwareAddress::Ethernet(self.mac),
            Medium::Ip => HardwareAddress::Ip,
        }
    }
}

/// A received frame.
#[derive(Debug)]
pub struct DriverReceived<'t>(&'t mut [u8]);

impl RxToken for DriverReceived<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, f: F) -> R {
        f(self.0)
    }
}

/// Room for a frame to send.
#[derive(Debug)]
pub struct DriverRoom<'t, D>(&'t mut D);

impl<D: PollDevice> TxToken for DriverRoom<'_, D> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, len: usize, f: F) -> R {
        // A device that lends a slot of no bytes lends one of more; one that breaks its word gets
        // an empty frame.
        let Some(slot) = self.0.slot(len) else {
            return f(&mut []);
        };
        let result = f(slot);
        self.0.commit(len, &TxMeta::NONE);
        self.0.flush();
        result
    }
}

impl<D> core::fmt::Debug for ToEmbassy<'_, D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ToEmbassy").finish_non_exhaustive()
    }
}
