//! Own addresses and the next hop to others.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::number::count;
use crate::wire::HAS_V6;

/// Most addresses that one stack answers for.
pub const ADDRESSES_MAX: usize = 8;

/// An own address and how many of its leading bits name the link.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "an address and a prefix are all")]
pub struct Address {
    /// A unicast address.
    pub ip: IpAddr,
    /// At most 32 for IPv4 and 128 for IPv6.
    pub prefix: u8,
}

impl Address {
    /// Makes an address out of its parts.
    #[must_use]
    pub const fn new(ip: IpAddr, prefix: u8) -> Self {
        Self { ip, prefix }
    }

    /// Returns true if the address is one that a station can have, of a version that is there.
    fn is_sound(&self) -> bool {
        let most = if self.ip.is_ipv4() { 32 } else { 128 };
        if !HAS_V6 && self.ip.is_ipv6() {
            return false;
        }
        self.prefix <= most && is_unicast(self.ip) && !self.ip.is_loopback()
    }

    /// Returns true if `ip` is on the same link.
    #[inline]
    fn contains(&self, ip: IpAddr) -> bool {
        match (self.ip, ip) {
            (IpAddr::V4(own), IpAddr::V4(ip)) => {
                let host = u32::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
                (own.to_bits() ^ ip.to_bits()) & !host == 0
            }
            (IpAddr::V6(own), IpAddr::V6(ip)) if HAS_V6 => {
                let host = u128::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
                (own.to_bits() ^ ip.to_bits()) & !host == 0
            }
            _ => false,
        }
    }

    /// Returns the address of all stations on the link (RFC 922, section 7); `None` for IPv6, and
    /// for links of two (RFC 3021).
    fn broadcast(&self) -> Option<Ipv4Addr> {
        match self.ip {
            IpAddr::V4(own) if self.prefix < 31 => {
                let host = u32::MAX.checked_shr(self.prefix.into()).unwrap_or(0);
                Some(Ipv4Addr::from_bits(own.to_bits() | host))
            }
            _ => None,
        }
    }
}

/// Returns true if `ip` names one station, and not a group, all, or none.
fn is_unicast(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => !ip.is_broadcast() && !ip.is_multicast() && !ip.is_unspecified(),
        IpAddr::V6(ip) => !ip.is_multicast() && !ip.is_unspecified(),
    }
}

/// Own addresses and gateways.
#[derive(Clone, Debug)]
pub(crate) struct Routes {
    own: [Option<Address>; ADDRESSES_MAX],
    /// Those that may not be used: tentative or another station's. `own` has none in their places.
    #[cfg(feature = "dad")]
    unused: [Option<Address>; ADDRESSES_MAX],
    gateway_v4: Option<Ipv4Addr>,
    gateway_v6: Option<Ipv6Addr>,
}

impl Routes {
    /// No address of one's own.
    pub(crate) const NONE: Self = Self {
        own: [None; ADDRESSES_MAX],
        #[cfg(feature = "dad")]
        unused: [None; ADDRESSES_MAX],
        gateway_v4: None,
        gateway_v6: None,
    };

    /// Takes the configuration over; `None` when an address is unfit or there are too many.
    pub(crate) fn new(
        addresses: &[Address],
        gateway_v4: Option<Ipv4Addr>,
        gateway_v6: Option<Ipv6Addr>,
    ) -> Option<Self> {
        let mut own = [None; ADDRESSES_MAX];
        for (index, address) in addresses.iter().enumerate() {
            *own.get_mut(index)? = Some(*address).filter(Address::is_sound);
            (*own.get(index)?)?;
        }
        Some(Self {
            own,
            #[cfg(feature = "dad")]
            unused: [None; ADDRESSES_MAX],
            gateway_v4,
            gateway_v6,
        })
    }

    /// Replaces the own addresses of IPv4 and their gateway by one, or by none, and returns which
    /// numbers are no address any more, a bit for each; `None`, with nothing changed, when the
    /// address is unfit or there is no place for it.
    #[cfg(feature = "datagrams")]
    pub(crate) fn set_v4(
        &mut self,
        address: Option<Address>,
        gateway: Option<Ipv4Addr>,
    ) -> Option<u8> {
        if address.is_some_and(|new| !new.is_sound() || !new.ip.is_ipv4()) {
            return None;
        }
        let mut own = self.own;
        let mut left = address;
        let (mut removed, mut next) = (0, 1_u8);
        for place in &mut own {
            let bit = next;
            next = next.rotate_left(1);
            let Some(old) = place.filter(|old| old.ip.is_ipv4()) else {
                continue;
            };
            *place = left.take_if(|new| new.ip == old.ip);
            if place.is_none() {
                removed |= bit;
            }
        }
        #[cfg(feature = "dad")]
        let unused = self.unused.map(|old| old.filter(|old| !old.ip.is_ipv4()));
        if left.is_some() {
            let places = own.iter_mut();
            #[cfg(feature = "dad")]
            let places = places
                .zip(&unused)
                .filter_map(|(place, unused)| match unused {
                    Some(_) => None,
                    None => Some(place),
                });
            let mut free = places.filter(|place| place.is_none());
            *free.next()? = left;
        }
        #[cfg(feature = "dad")]
        {
            self.unused = unused;
        }
        (self.own, self.gateway_v4) = (own, gateway);
        Some(removed)
    }

    /// Lets no own address be used.
    #[cfg(feature = "dad")]
    pub(crate) const fn suspend(&mut self) {
        core::mem::swap(&mut self.own, &mut self.unused);
    }

    /// Lets an own address be used.
    #[cfg(feature = "dad")]
    pub(crate) fn resume(&mut self, number: u8) {
        let number = usize::from(number);
        if let (Some(own), Some(unused)) = (self.own.get_mut(number), self.unused.get_mut(number)) {
            *own = unused.take().or(*own);
        }
    }

    /// Replaces an address that may not be used, and returns its number; `None`, with nothing
    /// changed, when there is no such address, or the new one is unfit or there already.
    #[cfg(feature = "dad")]
    pub(crate) fn replace_unused(&mut self, old: IpAddr, new: Address) -> Option<u8> {
        let number = self.unused_number(old)?;
        let known = self.unused_number(new.ip).or(self.own_number(new.ip));
        if !new.is_sound() || known.is_some_and(|known| known != number) {
            return None;
        }
        *self.unused.get_mut(usize::from(number))? = Some(new);
        Some(number)
    }

    /// Returns the number of an own address that may not be used.
    #[cfg(feature = "dad")]
    pub(crate) fn unused_number(&self, ip: IpAddr) -> Option<u8> {
        let is_it = |own: &Option<Address>| own.is_some_and(|own| own.ip == ip);
        u8::try_from(self.unused.iter().position(is_it)?).ok()
    }

    /// Returns an own address, whether it may be used or not.
    #[cfg(feature = "dad")]
    pub(crate) fn any_at(&self, number: u8) -> Option<Address> {
        let number = usize::from(number);
        (*self.own.get(number)?).or(*self.unused.get(number)?)
    }

    /// Returns the numbers of IPv4 addresses that may not be used, a bit for each.
    #[cfg(all(feature = "dad", feature = "datagrams"))]
    pub(crate) fn unused_v4(&self) -> u8 {
        let places = self.unused.iter().rev();
        places.fold(0, |bits, place| {
            let is_v4 = place.is_some_and(|own| own.ip.is_ipv4());
            bits.rotate_left(1) | u8::from(is_v4)
        })
    }

    /// Returns true if the own address to talk to `ip` from is one that may not be used.
    #[cfg(feature = "dad")]
    pub(crate) fn lacks_source_for(&self, ip: IpAddr) -> bool {
        let all = || self.own().chain(self.unused.iter().flatten().copied());
        best_source(all, ip).is_some_and(|source| !self.is_own(source))
    }

    /// Returns the own addresses that may be used.
    pub(crate) fn own(&self) -> impl Iterator<Item = Address> {
        self.own.iter().flatten().copied()
    }

    /// Returns the number of an own address; `None` when `ip` is none.
    #[inline]
    pub(crate) fn own_number(&self, ip: IpAddr) -> Option<u8> {
        let is_it = |own: &Option<Address>| own.is_some_and(|own| own.ip == ip);
        let at = self.own.iter().position(is_it)?;
        u8::try_from(count(at)).ok()
    }

    /// Returns the own address of a number.
    #[inline]
    pub(crate) fn own_at(&self, number: u8) -> Option<IpAddr> {
        self.own.get(usize::from(number))?.map(|own| own.ip)
    }

    /// Returns true if `ip` is an own address.
    #[inline]
    pub(crate) fn is_own(&self, ip: IpAddr) -> bool {
        self.own_number(ip).is_some()
    }

    /// Returns true if a connection can be with `ip` at all: one other station, and not a
    /// broadcast.
    pub(crate) fn is_peer(&self, ip: IpAddr) -> bool {
        let broadcast = |own: Address| own.broadcast().map(IpAddr::V4) == Some(ip);
        is_unicast(ip) && !ip.is_loopback() && !self.own().any(broadcast) && !self.is_own(ip)
    }

    /// Returns true if `ip` is the address of all stations on the link.
    #[cfg(feature = "datagrams")]
    pub(crate) fn is_broadcast(&self, ip: IpAddr) -> bool {
        let IpAddr::V4(v4) = ip else {
            return false;
        };
        v4.is_broadcast() || self.own().any(|own| own.broadcast() == Some(v4))
    }

    /// Returns true if `ip` is on the link, so that it is asked for by its own address.
    pub(crate) fn is_on_link(&self, ip: IpAddr) -> bool {
        let link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        link_local || self.own().any(|own| own.contains(ip))
    }

    /// Returns the station that packets to `ip` are handed to; `None` without a route.
    #[inline]
    pub(crate) fn next_hop(&self, ip: IpAddr) -> Option<IpAddr> {
        if self.is_on_link(ip) {
            return Some(ip);
        }
        match ip {
            IpAddr::V4(_) => self.gateway_v4.map(IpAddr::V4),
            IpAddr::V6(_) => self.gateway_v6.map(IpAddr::V6),
        }
    }

    /// Returns the own address to talk to `ip` from: of the same link if there is one, else of the
    /// same scope (RFC 6724, section 5, rules 2 and 8 in short).
    pub(crate) fn source_for(&self, ip: IpAddr) -> Option<IpAddr> {
        best_source(|| self.own(), ip)
    }
}

/// Returns which of several own addresses to talk to `ip` from.
fn best_source<T: Iterator<Item = Address>>(all: impl Fn() -> T, ip: IpAddr) -> Option<IpAddr> {
    let fits = |own: &Address| own.ip.is_ipv4() == ip.is_ipv4();
    let scope = |ip: IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let near = all().filter(fits).find(|own| own.contains(ip));
    let same = || all().filter(fits).find(|own| scope(own.ip) == scope(ip));
    near.or_else(same).map(|own| own.ip)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[cfg(feature = "ipv6")]
    #[test]
    fn next_hops_and_sources_follow_the_link() {
        let own = [
            Address::new(ip("10.0.0.1"), 24),
            Address::new(ip("fd00::1"), 64),
            Address::new(ip("fe80::1"), 64),
        ];
        let routes = Routes::new(&own, Some(Ipv4Addr::new(10, 0, 0, 254)), None).unwrap();
        assert_eq!(routes.next_hop(ip("10.0.0.9")), Some(ip("10.0.0.9")));
        assert_eq!(routes.next_hop(ip("10.0.1.9")), Some(ip("10.0.0.254")));
        assert_eq!(routes.next_hop(ip("fd00::9")), Some(ip("fd00::9")));
        assert_eq!(routes.next_hop(ip("fd01::9")), None);
        assert_eq!(routes.next_hop(ip("fe80::9")), Some(ip("fe80::9")));
        assert_eq!(routes.source_for(ip("9.9.9.9")), Some(ip("10.0.0.1")));
        assert_eq!(routes.source_for(ip("fe80::9")), Some(ip("fe80::1")));
        assert_eq!(routes.source_for(ip("2001:db8::9")), Some(ip("fd00::1")));
        for (other, can) in [
            ("10.0.0.2", true),
            ("10.0.0.1", false),
            ("10.0.0.255", false),
            ("255.255.255.255", false),
            ("224.0.0.1", false),
            ("0.0.0.0", false),
            ("127.0.0.1", false),
            ("fd00::2", true),
            ("ff02::1", false),
            ("::", false),
            ("::1", false),
        ] {
            assert_eq!(routes.is_peer(ip(other)), can, "{other}");
        }
        assert_eq!(routes.own_number(ip("fe80::1")), Some(2));
        assert_eq!(routes.own_at(2), Some(ip("fe80::1")));
        assert_eq!(routes.own_at(3), None);
    }

    #[test]
    fn unfit_addresses_are_refused() {
        for (text, prefix) in [
            ("10.0.0.1", 33),
            ("255.255.255.255", 8),
            ("0.0.0.0", 0),
            ("127.0.0.1", 8),
            ("ff02::1", 64),
            ("fd00::1", 129),
        ] {
            assert!(Routes::new(&[Address::new(ip(text), prefix)], None, None).is_none());
        }
        let nine = [Address::new(ip("10.0.0.1"), 24); 9];
        assert!(Routes::new(&nine, None, None).is_none());
        let all = [Address::new(ip("10.0.0.1"), 0)];
        let routes = Routes::new(&all, None, None).unwrap();
        assert!(routes.is_on_link(ip("9.9.9.9")) && !routes.is_on_link(ip("2001:db8::1")));
        let all = [Address::new(ip("fd00::1"), 0)];
        let routes = Routes::new(&all, None, None);
        assert_eq!(routes.is_some(), HAS_V6, "one of IPv6 where there is IPv6");
        assert!(routes.is_none_or(|routes| routes.is_on_link(ip("2001:db8::1"))));
    }

    #[test]
    fn next_hops_of_ipv4_follow_the_link() {
        let own = [Address::new(ip("10.0.0.1"), 24)];
        let routes = Routes::new(&own, Some(Ipv4Addr::new(10, 0, 0, 254)), None).unwrap();
        assert_eq!(routes.next_hop(ip("10.0.0.9")), Some(ip("10.0.0.9")));
        assert_eq!(routes.next_hop(ip("10.0.1.9")), Some(ip("10.0.0.254")));
        assert_eq!(routes.next_hop(ip("fd00::9")), None);
        assert_eq!(routes.source_for(ip("9.9.9.9")), Some(ip("10.0.0.1")));
        assert_eq!(routes.source_for(ip("fd00::9")), None);
    }
}
