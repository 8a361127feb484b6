//! Ports: cards, or what stands for one.
#![expect(unsafe_code, reason = "functions of C")]

use core::ptr::{NonNull, null, null_mut};
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use usockets::Error;
use usockets_smoltcp::{Capabilities, Medium};

use crate::control::Control;
use crate::device::Dpdk;
use crate::eal::Eal;
use crate::error::DpdkError;
use crate::ffi::{self, CUTS, Config, FILLS, Name, Opened, QUEUES_MAX, SPREADS, VERIFIES, check};
use crate::gate::{Gate, Passed};
use crate::options::PortOptions;
use crate::pool::Pool;

/// Bytes of a link's header.
const ETHERNET_LEN: u16 = 14;
/// Bytes of the largest segment that a card is given to cut to size.
const SEGMENT_MAX: usize = 65_000;
/// `ERANGE`, which the shim says of too many queues, and `ENODEV`.
const RANGE: u16 = 34;
const GONE: u16 = 19;

/// A port of DPDK, configured and started: a card, or one in software.
///
/// Each of its queues is a [`Dpdk`], a device for one stack, which may be on a thread of its own.
/// When the port is dropped, it is stopped; it can be opened again then.
#[derive(Debug)]
pub struct Port<'e> {
    id: u16,
    opened: Opened,
    pub(crate) options: PortOptions,
    pools: [Option<&'e Pool<'e>>; QUEUES_MAX],
    pub(crate) gate: Gate,
    /// The link was up when it was last asked.
    pub(crate) is_up: AtomicBool,
    /// How often the device of this number has been taken out, and had been when it was opened.
    removals: &'static AtomicU32,
    removals_before: u32,
}

/// What the driver of a port has counted since it was opened, in frames. Drivers count as they
/// please: some leave at zero what they do not know.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct PortStatistics {
    /// Received, by all queues.
    pub received: u64,
    /// Sent, by all queues.
    pub sent: u64,
    /// Came while the rings were full.
    pub missed: u64,
    /// Came while the pool was empty.
    pub no_buffers: u64,
    /// Came broken, or too long.
    pub receive_errors: u64,
    /// Could not be sent. Drivers of rings also count frames here that are sent later.
    pub send_errors: u64,
}

impl<'e> Port<'e> {
    /// Opens the port `name`: the address of a card (`"0000:01:00.0"`), or what a `--vdev` or
    /// [`Eal::attach`] has called it. `pools` are one for all queues, or one for each.
    ///
    /// # Errors
    /// [`DpdkError::NoPort`], [`DpdkError::PortTaken`], [`DpdkError::NoQueue`] for more queues than
    /// it has, [`DpdkError::WrongPools`], [`DpdkError::SmallRoom`], or [`DpdkError::Driver`].
    pub fn open(
        eal: &'e Eal,
        name: &str,
        pools: &[&'e Pool<'e>],
        options: &PortOptions,
    ) -> Result<Self, DpdkError> {
        let queues = usize::from(options.queues);
        if queues == 0 || queues > QUEUES_MAX {
            return Err(DpdkError::NoQueue);
        }
        if pools.len() != 1 && pools.len() != queues {
            return Err(DpdkError::WrongPools);
        }
        let frame_max = options.mtu.saturating_add(ETHERNET_LEN);
        if pools.iter().any(|pool| pool.room() < frame_max) {
            return Err(DpdkError::SmallRoom);
        }
        let control = Control::lock();
        let id = Self::find(eal, name)?;
        let removals = Self::removals(id)?;
        let removals_before = removals.load(Ordering::Acquire);
        if !control.take(id, removals_before) {
            return Err(DpdkError::PortTaken);
        }
        let mut each = [None; QUEUES_MAX];
        for (place, pool) in each.iter_mut().zip(pools.iter().cycle()).take(queues) {
            *place = Some(*pool);
        }
        let opened = Self::configure(id, &each, pools, options);
        let opened = opened.inspect_err(|_| control.give_back(id, removals_before))?;
        Ok(Self {
            id,
            opened,
            options: *options,
            pools: each,
            gate: Gate::open(),
            is_up: AtomicBool::new(true),
            removals,
            removals_before,
        })
    }

    /// Returns the number of the port `name`.
    fn find(_: &Eal, name: &str) -> Result<u16, DpdkError> {
        let name = Name::<{ ffi::NAME_LEN }>::new(name).ok_or(DpdkError::BadArgument)?;
        // SAFETY: the environment has been started, and the name is valid for the call.
        let found = check(unsafe { ffi::us_dpdk_find(name.as_ptr()) });
        let id = found.map_err(|_| DpdkError::NoPort)?;
        u16::try_from(id).map_err(|_| DpdkError::NoPort)
    }

    /// Returns the count of how often the device of a number has been taken out.
    fn removals(id: u16) -> Result<&'static AtomicU32, DpdkError> {
        // SAFETY: any number may be asked for.
        let count = NonNull::new(unsafe { ffi::us_dpdk_removals(id) });
        let count = count.ok_or(DpdkError::NoPort)?;
        // SAFETY: the count is a static, and touched atomically by everybody.
        Ok(unsafe { AtomicU32::from_ptr(count.as_ptr()) })
    }

    fn configure(
        id: u16,
        each: &[Option<&Pool<'_>>; QUEUES_MAX],
        pools: &[&Pool<'_>],
        options: &PortOptions,
    ) -> Result<Opened, DpdkError> {
        for pool in pools {
            pool.map_for(id)?;
        }
        let config = Config {
            queues: options.queues,
            mtu: options.mtu,
            rx_descriptors: options.rx_descriptors,
            tx_descriptors: options.tx_descriptors,
            offload: options.offload.into(),
            v4_only: options.v4_only.into(),
            promiscuous: options.promiscuous.into(),
            rss_key: options.rss_key.as_ref().map_or(null(), |key| key.as_ptr()),
            pools: each.map(|pool| pool.map_or(null_mut(), Pool::raw)),
        };
        let mut opened = Opened::default();
        // SAFETY: the port is ours, the pools outlive it, and all pointers are valid for the call.
        let said = check(unsafe { ffi::us_dpdk_open(id, &raw const config, &raw mut opened) });
        match said {
            Ok(_) => Ok(opened),
            Err(DpdkError::Driver(RANGE)) => Err(DpdkError::NoQueue),
            Err(error) => Err(error),
        }
    }

    /// Makes the device of a queue, counted from 0. A queue has one at a time.
    ///
    /// # Errors
    /// [`DpdkError::NoQueue`], or [`DpdkError::QueueTaken`].
    pub fn device(&self, queue: u16) -> Result<Dpdk<'_>, DpdkError> {
        let pool = self.pools.get(usize::from(queue)).copied().flatten();
        let pool = pool.ok_or(DpdkError::NoQueue)?;
        if !self.gate.take(queue) {
            return Err(DpdkError::QueueTaken);
        }
        Ok(Dpdk::new(self, pool, queue))
    }

    /// Returns the port's MAC address, which best is the stack's.
    #[must_use]
    pub const fn mac(&self) -> [u8; 6] {
        self.opened.mac
    }

    /// Returns the number of entries of the card's table if it spreads TCP over its queues by
    /// [`PortOptions::rss_key`]: its entries name queues in turn, as
    /// [`Rss::spread`](usockets_smoltcp::Rss::spread) does. `None` if it spreads as it likes or
    /// not at all; stacks then hand over to one another.
    #[must_use]
    pub const fn table_len(&self) -> Option<u16> {
        if self.can(SPREADS) {
            Some(self.opened.table_len)
        } else {
            None
        }
    }

    /// Returns true if the port verifies checksums of TCP, as far as it says so with each frame.
    #[must_use]
    pub const fn verifies_checksums(&self) -> bool {
        self.can(VERIFIES)
    }

    /// Returns true if the link was up when it was last asked: ten times a second by the device of
    /// queue 0 while it waits.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.is_up.load(Ordering::Relaxed)
    }

    /// Stops the port: nothing is received or sent until [`Self::start`]. Callable from any thread;
    /// the port stops when every device that is in use has seen it, which those do that wait or are
    /// asked for frames ([`Self::is_stopped`]).
    ///
    /// # Errors
    /// [`DpdkError::Driver`]
    pub fn stop(&self) -> Result<(), DpdkError> {
        if self.gate.close() {
            self.finish_stop()
        } else {
            Ok(())
        }
    }

    /// Returns true if the port is stopped.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.gate.is_closed()
    }

    /// Starts the port again. Some drivers cannot, as `net_af_packet`.
    ///
    /// # Errors
    /// [`DpdkError::Driver`]
    pub fn start(&self) -> Result<(), DpdkError> {
        if !self.gate.reopen() {
            return Ok(());
        }
        // SAFETY: the port is open and stopped, and the gate lets nobody else start it.
        match check(unsafe { ffi::us_dpdk_port_start(self.id) }) {
            Ok(_) => {
                self.gate.set_open();
                Ok(())
            }
            Err(error) => {
                self.gate.set_closed();
                Err(error)
            }
        }
    }

    /// Stops the port, for who was the last to pass the gate.
    pub(crate) fn finish_stop(&self) -> Result<(), DpdkError> {
        let said = if self.is_gone() {
            Ok(0)
        } else {
            // SAFETY: the port is open, no device is in a queue, and the gate lets none in.
            check(unsafe { ffi::us_dpdk_port_stop(self.id) })
        };
        self.gate.set_closed();
        said.map(drop)
    }

    /// Stops the port and takes its device out, as [`Eal::attach`] has put it in.
    ///
    /// # Errors
    /// [`DpdkError::Driver`]
    pub fn remove(self) -> Result<(), DpdkError> {
        let (id, removals, before) = (self.id, self.removals, self.removals_before);
        drop(self);
        let control = Control::lock();
        // Another may have opened it meanwhile, or it is gone.
        if removals.load(Ordering::Acquire) != before || !control.take(id, before) {
            return Ok(());
        }
        // SAFETY: the port is there and is stopped, and nobody opens it meanwhile.
        let said = check(unsafe { ffi::us_dpdk_remove(id) });
        control.give_back(id, before);
        said.map(drop)
    }

    /// Returns what the driver has counted; zeros if it counts nothing.
    #[must_use]
    pub fn statistics(&self) -> PortStatistics {
        let mut said = ffi::Statistics::default();
        if !self.is_gone() {
            // SAFETY: the port is open, and there is room for the counts.
            let _ = unsafe { ffi::us_dpdk_statistics(self.id, &raw mut said) };
        }
        PortStatistics {
            received: said.received,
            sent: said.sent,
            missed: said.missed,
            no_buffers: said.no_buffers,
            receive_errors: said.receive_errors,
            send_errors: said.send_errors,
        }
    }

    /// Asks whether the link is up.
    pub(crate) fn ask_link(&self) -> bool {
        // SAFETY: the port is open.
        let said = check(unsafe { ffi::us_dpdk_link(self.id) });
        // A driver that does not know says so for ever.
        said.map_or(true, |up| up == 1)
    }

    pub(crate) fn is_gone(&self) -> bool {
        self.removals.load(Ordering::Acquire) != self.removals_before
    }

    /// Returns why the port is of no use any more.
    pub(crate) fn fault(&self) -> Option<Error> {
        self.is_gone().then_some(Error::Platform(GONE))
    }

    pub(crate) const fn id(&self) -> u16 {
        self.id
    }

    pub(crate) const fn abilities(&self) -> u32 {
        self.opened.abilities
    }

    pub(crate) const fn can(&self, ability: u32) -> bool {
        self.opened.abilities & ability != 0
    }

    /// Returns what the device of a queue with this pool can do.
    pub(crate) fn capabilities(&self, pool: &Pool<'_>) -> Capabilities {
        let mtu = usize::from(self.options.mtu);
        let capabilities = Capabilities::new(Medium::Ethernet, mtu).fills(self.can(FILLS));
        let room = usize::from(pool.room().saturating_sub(ETHERNET_LEN)).min(SEGMENT_MAX);
        // For a few bytes more it is not worth it.
        if self.can(CUTS) && room >= mtu.saturating_mul(2) {
            capabilities.segment_max(room)
        } else {
            capabilities
        }
    }

    /// Lets the device of a queue out of it.
    pub(crate) fn leave(&self, queue: u16) {
        if self.gate.leave(queue) == Passed::Last {
            // Whoever asked for it finds it stopped, or not.
            let _ = self.finish_stop();
        }
    }
}

impl Drop for Port<'_> {
    fn drop(&mut self) {
        if self.gate.close() {
            let _ = self.finish_stop();
        }
        Control::lock().give_back(self.id, self.removals_before);
    }
}
