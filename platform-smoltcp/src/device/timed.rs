//! A device of smoltcp's with what a loop also needs: a clock, and a way to wait.

use smoltcp::phy::{Device, DeviceCapabilities};
use smoltcp::time::Instant as Stamp;
use usockets::{Error, Instant};

use crate::device::PollDevice;
use crate::device::phy::ToPhy;

/// A device of smoltcp's that also tells the time and waits.
///
/// [`ToPhy`] makes one out of any [`PollDevice`], and [`Timed`] out of any [`Device`].
pub trait TimedDevice: Device {
    /// Returns the present on a monotonic clock.
    fn now(&self) -> Instant;

    /// Waits for frames or for `until`; `None` waits for ever. May return early. A device without
    /// a way to wait returns at once.
    fn wait(&mut self, until: Option<Instant>);

    /// Sends what smoltcp has written and is not on its way yet.
    fn flush(&mut self) {}

    /// Returns whether the loop has been woken from elsewhere since the last call
    /// ([`usockets::Waker`]).
    fn woken(&mut self) -> bool {
        false
    }

    /// Returns why the device is of no use any more; `None` as long as it may work.
    fn fault(&self) -> Option<Error> {
        None
    }
}

impl<D: PollDevice> TimedDevice for ToPhy<'_, D> {
    fn now(&self) -> Instant {
        self.device().now()
    }

    fn wait(&mut self, until: Option<Instant>) {
        self.device_mut().wait(until);
    }

    fn flush(&mut self) {
        self.device_mut().flush();
    }

    fn woken(&mut self) -> bool {
        self.device_mut().woken()
    }

    fn fault(&self) -> Option<Error> {
        self.device().fault()
    }
}

/// Any device of smoltcp's, with a clock and a way to wait.
#[derive(Debug)]
pub struct Timed<D, C, W> {
    device: D,
    clock: C,
    sleep: W,
}

impl<D: Device, C: Fn() -> Instant, W: FnMut(Option<Instant>)> Timed<D, C, W> {
    /// Joins `device` with `clock`, which tells the time, and `sleep`, which waits as
    /// [`TimedDevice::wait`] says.
    pub const fn new(device: D, clock: C, sleep: W) -> Self {
        Self {
            device,
            clock,
            sleep,
        }
    }

    /// Returns the device inside.
    pub const fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }
}

impl<D: Device, C, W> Device for Timed<D, C, W> {
    type RxToken<'t>
        = D::RxToken<'t>
    where
        Self: 't;
    type TxToken<'t>
        = D::TxToken<'t>
    where
        Self: 't;

    fn receive(&mut self, now: Stamp) -> Option<(Self::RxToken<'_>, Self::TxToken<'_>)> {
        self.device.receive(now)
    }

    fn transmit(&mut self, now: Stamp) -> Option<Self::TxToken<'_>> {
        self.device.transmit(now)
    }

    fn capabilities(&self) -> DeviceCapabilities {
        self.device.capabilities()
    }
}

impl<D: Device, C: Fn() -> Instant, W: FnMut(Option<Instant>)> TimedDevice for Timed<D, C, W> {
    fn now(&self) -> Instant {
        (self.clock)()
    }

    fn wait(&mut self, until: Option<Instant>) {
        (self.sleep)(until);
    }
}
