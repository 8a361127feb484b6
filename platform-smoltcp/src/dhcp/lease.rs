//! What a server has given, as far as it makes sense.

use core::net::Ipv4Addr;

use usockets::{Duration, Instant};

use crate::ip::NEVER;
use crate::ip::route::Address;
use crate::wire::dhcp::{Dhcp, SERVERS_MAX};

/// The shortest lease that is taken: a server that gives less would have its clients ask without
/// end.
const LEASE_MIN: u32 = 10;

/// An address for a time, with what goes with it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Lease {
    /// The address and how many of its leading bits name the link.
    pub address: Address,
    /// Where packets that leave the link go.
    pub router: Option<Ipv4Addr>,
    /// Servers of names, the first first.
    pub dns: [Option<Ipv4Addr>; SERVERS_MAX],
    /// Servers of time, the first first.
    pub ntp: [Option<Ipv4Addr>; SERVERS_MAX],
    /// Who has given it.
    pub server: Ipv4Addr,
    /// When the client asks that server for more time (T1).
    pub renew_at: Instant,
    /// When it asks any server (T2).
    pub rebind_at: Instant,
    /// When it is over; `None` for one without end.
    pub expires_at: Option<Instant>,
}

impl Lease {
    /// Reads a lease out of a server's message to a question of `asked`; `None` if there is none
    /// that a station could live with.
    pub(super) fn read(message: &Dhcp, asked: Instant) -> Option<Self> {
        let ip = message.yours;
        let prefix = match message.mask {
            Some(mask) => prefix_of(mask)?,
            None => class_of(ip),
        };
        let unfit = ip.is_unspecified() || ip.is_broadcast() || ip.is_multicast();
        let host = u32::MAX.checked_shr(prefix.into()).unwrap_or(0);
        let all = prefix < 31 && (ip.to_bits() & host == 0 || ip.to_bits() & host == host);
        if unfit || ip.is_loopback() || all || ip.octets().first() == Some(&0) {
            return None;
        }
        let lease = message.lease.filter(|seconds| *seconds >= LEASE_MIN)?;
        let at = |seconds: u32| asked.saturating_add(Duration::from_secs(seconds.into()));
        let (renew, rebind) = times(lease, message.renew, message.rebind);
        let near = |other: &Ipv4Addr| (other.to_bits() ^ ip.to_bits()) & !host == 0;
        let forever = lease == u32::MAX;
        Some(Self {
            address: Address::new(ip.into(), prefix),
            router: message.router.filter(near).filter(|router| *router != ip),
            dns: message.dns,
            ntp: message.ntp,
            server: message.server.filter(|server| !server.is_unspecified())?,
            renew_at: if forever { NEVER } else { at(renew) },
            rebind_at: if forever { NEVER } else { at(rebind) },
            expires_at: (!forever).then(|| at(lease)),
        })
    }

    /// Returns the address alone.
    pub(super) const fn ip(&self) -> Ipv4Addr {
        match self.address.ip {
            core::net::IpAddr::V4(ip) => ip,
            core::net::IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
        }
    }
}

/// Returns T1 and T2: as the server says if they are in order, else RFC 2131's (section 4.4.5).
fn times(lease: u32, renew: Option<u32>, rebind: Option<u32>) -> (u32, u32) {
    let half = lease >> 1;
    let late = lease.saturating_sub(lease >> 3);
    match (renew.unwrap_or(half), rebind.unwrap_or(late)) {
        (renew, rebind) if renew >= LEASE_MIN >> 1 && renew < rebind && rebind < lease => {
            (renew, rebind)
        }
        _ => (half, late),
    }
}

/// Returns the leading ones of a mask; `None` if there are others behind.
fn prefix_of(mask: Ipv4Addr) -> Option<u8> {
    let ones = mask.to_bits().leading_ones();
    let whole = mask.to_bits().count_ones() == ones && ones > 0;
    u8::try_from(ones).ok().filter(|_| whole)
}

/// Returns the prefix of an address's class (RFC 791), for servers that name no mask.
const fn class_of(ip: Ipv4Addr) -> u8 {
    match ip.octets() {
        [0..=127, ..] => 8,
        [128..=191, ..] => 16,
        _ => 24,
    }
}
