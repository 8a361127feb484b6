//! Own addresses that are probed before they are used: what goes out for them, what others say of
//! them, and what the program is told.

use core::net::IpAddr;

use usockets::{Duration, Error};

use crate::config::Config;
use crate::device::{Medium, PollDevice, TxMeta};
use crate::ip::dad::{AddressState, Due, NUMBERS};
use crate::ip::resolve::{self, Heard, MESSAGE_MAX};
use crate::ip::route::{ADDRESSES_MAX, Address};
use crate::stack::output::send_copy;
use crate::stack::platform::Stack;
use crate::stack::shell::Shell;

/// Wait for a device that has no room for a probe: one that is not sent asks nobody.
const FULL_WAIT: Duration = Duration::from_millis(10);
/// How often the stack of another queue than 0 looks what that one has found.
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
const LOOK_EVERY: Duration = Duration::from_millis(100);

impl<D: PollDevice> Stack<'_, D> {
    /// Probes `new` in place of an own address that is another station's; it may be the same again.
    ///
    /// After ten such addresses the probing of a stack begins no more often than once in a minute,
    /// whatever the program asks for (RFC 5227, section 2.1.1).
    ///
    /// # Errors
    /// [`Error::Invalid`] when `old` is not [`AddressState::Duplicated`], or `new` is an own
    /// address beside it or none that a station can have; [`Error::Unsupported`] of a stack that is
    /// one of several (`Stack::share_queues`).
    pub fn replace_address(&mut self, old: IpAddr, new: Address) -> Result<(), Error> {
        let shell = &mut self.shell;
        #[cfg(all(feature = "queues", target_has_atomic = "32"))]
        if shell.share.is_some() {
            return Err(Error::Unsupported);
        }
        if shell.address_state(old) != Some(AddressState::Duplicated) {
            return Err(Error::Invalid);
        }
        let number = shell.routes.replace_unused(old, new);
        let number = number.ok_or(Error::Invalid)?;
        shell.now = self.device.now();
        shell.detection.begin(number, shell.now);
        shell.schedule_addresses(shell.next_announcement());
        Ok(())
    }
}

impl<D> Stack<'_, D> {
    /// Returns what is known of an own address; `None` when it is none.
    #[must_use]
    pub fn address_state(&self, ip: IpAddr) -> Option<AddressState> {
        self.shell.address_state(ip)
    }

    /// Returns an own address whose state has changed since the last call, with its state now;
    /// `None` when there is none. After each change a poll returns without waiting, so a program
    /// that asks in [`Handler::after_dispatch`](usockets::Handler::after_dispatch), or after each
    /// [`Loop::poll`](usockets::Loop::poll), learns of it at once.
    pub fn next_address_change(&mut self) -> Option<(Address, AddressState)> {
        for _ in 0..ADDRESSES_MAX {
            let number = self.shell.detection.next_change()?;
            if let Some(address) = self.shell.routes.any_at(number) {
                let state = self.shell.address_state(address.ip)?;
                return Some((address, state));
            }
        }
        None
    }
}

impl Shell<'_> {
    /// Begins to probe the own addresses if that is wanted, and returns whether it is.
    pub(super) fn start_detection(&mut self, config: &Config<'_>) -> bool {
        let seed = config.secret.derive(9).hash(&[1]);
        self.detection.start(seed, config.announce);
        // Elsewhere there is nobody to ask.
        let probes = config.probe_addresses && self.device.medium == Medium::Ethernet;
        if probes {
            self.routes.suspend();
            for number in NUMBERS {
                if self.routes.any_at(number).is_some() {
                    self.detection.begin(number, self.now);
                }
            }
        }
        probes
    }

    fn address_state(&self, ip: IpAddr) -> Option<AddressState> {
        if self.routes.is_own(ip) {
            return Some(AddressState::Preferred);
        }
        let number = self.routes.unused_number(ip)?;
        Some(self.detection.state(number))
    }

    /// Returns true if an own address is still being probed.
    pub(super) fn is_tentative(&self, ip: IpAddr) -> bool {
        self.address_state(ip) == Some(AddressState::Tentative)
    }

    /// Does what is due for addresses that are probed.
    pub(super) fn serve_detection<D: PollDevice>(&mut self, device: &mut D) {
        // To be used and announced at once are two steps of one address.
        for _ in 0..2 * ADDRESSES_MAX {
            let routes = &self.routes;
            let is_ipv4 = |number| routes.any_at(number).is_some_and(|own| own.ip.is_ipv4());
            let Some((number, due)) = self.detection.due(self.now, is_ipv4) else {
                return;
            };
            let Some(Address { ip, .. }) = self.routes.any_at(number) else {
                self.detection.forget_one(number);
                continue;
            };
            if due != Due::Announcement && self.follows_others(number) {
                continue;
            }
            let mut memory = [0; MESSAGE_MAX];
            let len = match due {
                Due::Use => {
                    let state = self.decide(number, AddressState::Preferred);
                    self.on_state(number, state);
                    continue;
                }
                Due::Probe => resolve::probe(&mut memory, self.mac, ip),
                Due::Announcement => resolve::announce(&mut memory, self.mac, ip),
            };
            if device.slot(len).is_none() {
                let later = self.now.saturating_add(FULL_WAIT);
                self.detection.postpone(number, later);
                continue;
            }
            send_copy(device, memory.get(..len).unwrap_or_default(), &TxMeta::NONE);
            match due {
                Due::Probe => self.detection.on_probe(number, ip.is_ipv4(), self.now),
                _ => self.detection.on_announcement(number, self.now),
            }
        }
    }

    /// Sees whether a neighbour's message says that another station has an address which is being
    /// probed, or probes it as well.
    pub(super) fn check_tentative(&mut self, heard: &Heard) {
        // What comes back from us comes with our hardware address, and says nothing.
        let Some((ip, _)) = heard.claims.filter(|(_, mac)| *mac != Some(self.mac)) else {
            return;
        };
        if !self.is_tentative(ip) {
            return;
        }
        let Some(number) = self.routes.unused_number(ip) else {
            return;
        };
        let state = self.decide(number, AddressState::Duplicated);
        if state == AddressState::Duplicated {
            self.counters.duplicates = self.counters.duplicates.wrapping_add(1);
        }
        self.on_state(number, state);
        self.schedule_addresses(self.next_announcement());
    }

    /// Takes it that an address which is being probed is in the given state.
    fn on_state(&mut self, number: u8, state: AddressState) {
        match state {
            AddressState::Tentative => return,
            AddressState::Preferred => {
                self.routes.resume(number);
                let elsewhere = self.is_another_first();
                self.detection.on_use(number, elsewhere, self.now);
            }
            AddressState::Duplicated => self.detection.on_duplicate(number),
        }
        // So that the program can look, the next poll does not wait.
        self.looks = true;
    }
}

/// Where several stacks are one host, that of queue 0 probes, and what any of them hears counts.
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
impl Shell<'_> {
    /// Returns true if another stack of the host probes and announces the addresses.
    fn is_another_first(&self) -> bool {
        self.is_announced_elsewhere()
    }

    /// Does as another stack has found out about an address, and returns true if this one is not to
    /// probe it.
    fn follows_others(&mut self, number: u8) -> bool {
        let Some(queues) = self.share.as_ref().map(|share| share.queues) else {
            return false;
        };
        let state = queues.address_state(number);
        if state == AddressState::Tentative && !self.is_announced_elsewhere() {
            return false;
        }
        let later = self.now.saturating_add(LOOK_EVERY);
        self.detection.postpone(number, later);
        self.on_state(number, state);
        true
    }

    /// Finds out that an address is in a state, unless another stack of the host was first; returns
    /// the state that it is in.
    fn decide(&self, number: u8, state: AddressState) -> AddressState {
        match &self.share {
            Some(share) => share.queues.decide_address(number, state),
            None => state,
        }
    }
}

#[cfg(not(all(feature = "queues", target_has_atomic = "32")))]
#[expect(clippy::unused_self, reason = "of the feature `queues`")]
impl Shell<'_> {
    const fn is_another_first(&self) -> bool {
        false
    }

    const fn follows_others(&self, _: u8) -> bool {
        false
    }

    const fn decide(&self, _: u8, state: AddressState) -> AddressState {
        state
    }
}
