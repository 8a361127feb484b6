//! Own addresses that change while the stack runs.

use core::net::{IpAddr, Ipv4Addr};

use usockets::Error;

use crate::device::{Medium, PollDevice, TxMeta};
use crate::ip::resolve::{self, Heard, MESSAGE_MAX};
use crate::ip::route::Address;
use crate::number::count;
use crate::stack::output::send_copy;
use crate::stack::platform::Stack;
use crate::stack::shell::Shell;
use crate::stack::slot::Phase;
use crate::wire::ethernet::Mac;

impl<D: PollDevice> Stack<'_, D> {
    /// Gives a started stack one IPv4 address, and where packets that leave its link go, in place
    /// of those of IPv4 that it has; or none. The new one is announced on the link, and is not
    /// probed before: that is for who has chosen it, as a DHCP client does.
    ///
    /// Connections of addresses that are gone end with [`Error::Unreachable`], and their peers are
    /// not told: packets would have to come from the address. Sockets that are bound to one stay,
    /// and are of use again when it comes back. Looks at every connection.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the address is none that a station can have, or has no place beside
    /// those of IPv6; nothing changes then.
    pub fn set_address_v4(
        &mut self,
        address: Option<(Address, Option<Ipv4Addr>)>,
    ) -> Result<(), Error> {
        let (address, gateway) = match address {
            Some((address, gateway)) => (Some(address), gateway),
            None => (None, None),
        };
        #[cfg(feature = "dad")]
        let unused = self.shell.routes.unused_v4();
        let removed = self.shell.routes.set_v4(address, gateway);
        let removed = removed.ok_or(Error::Invalid)?;
        #[cfg(feature = "dad")]
        self.shell.detection.forget(unused | removed);
        self.shell.now = self.device.now();
        if removed != 0 {
            self.shell.end_connections(removed);
        }
        if address.is_some() {
            self.shell.announce_again();
        }
        Ok(())
    }

    /// Returns the own hardware address.
    #[must_use]
    pub const fn mac(&self) -> Mac {
        self.shell.mac
    }

    /// Asks the link whether a station has an address (RFC 5227, section 2.1.1), and watches for
    /// it ([`Self::watch_address`]). On a device without Ethernet there is nobody to ask.
    pub fn probe_address(&mut self, ip: Ipv4Addr) {
        let known = self.shell.watched.filter(|(watched, _)| *watched == ip);
        self.shell.watched = known.or(Some((ip.into(), false)));
        if self.shell.device.medium != Medium::Ethernet {
            return;
        }
        let mut memory = [0; MESSAGE_MAX];
        let len = resolve::probe(&mut memory, self.shell.mac, ip.into());
        let frame = memory.get(..len).unwrap_or_default();
        send_copy(&mut self.device, frame, &TxMeta::NONE);
        self.device.flush();
    }

    /// Watches from now on whether another station shows that it has an address, or wants to have
    /// it; `None` ends that.
    pub fn watch_address(&mut self, ip: Option<IpAddr>) {
        self.shell.watched = ip.map(|ip| (ip, false));
    }

    /// Returns true if another station has, or wants to have, the address that is watched for.
    #[must_use]
    pub const fn is_address_taken(&self) -> bool {
        matches!(self.shell.watched, Some((_, true)))
    }
}

impl Shell<'_> {
    /// Sees whether a neighbour's message is about the address that is watched for.
    pub(super) fn check_watched(&mut self, heard: &Heard) {
        let Some((watched, taken)) = &mut self.watched else {
            return;
        };
        // What comes back from us comes with our hardware address, and says nothing.
        let claims = heard.claims.filter(|(_, mac)| *mac != Some(self.mac));
        *taken |= claims.is_some_and(|(ip, _)| ip == *watched);
    }

    /// Ends the connections of own addresses that are gone, a bit for each number.
    fn end_connections(&mut self, removed: u8) {
        for index in 0..count(self.slots.all.len()) {
            let Some(slot) = self.slots.get(index) else {
                continue;
            };
            let gone = removed.rotate_right(slot.ends.local_number().into()) & 1 != 0;
            match slot.phase {
                _ if !gone => {}
                Phase::Free => {}
                Phase::Owned => {
                    // Without a set for it, it ends by its own limits.
                    if self.lease(index) {
                        self.fail(index, Error::Unreachable);
                    }
                }
                _ => self.release(index),
            }
        }
    }
}
