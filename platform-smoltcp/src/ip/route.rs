//! Own addresses and the way to others.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use smoltcp::wire::IpCidr;

/// Most addresses that one stack answers for. As many as smoltcp is built for.
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

    /// Returns it in smoltcp's form; `None` unless it is valid and unicast.
    fn cidr(self) -> Option<IpCidr> {
        let most = if self.ip.is_ipv4() { 32 } else { 128 };
        let ip = smoltcp::wire::IpAddress::from(self.ip);
        (self.prefix <= most && ip.is_unicast() && !self.ip.is_loopback())
            .then(|| IpCidr::new(ip, self.prefix))
    }
}

/// Own addresses and gateways.
#[derive(Clone, Debug)]
pub(crate) struct Routes {
    own: [Option<IpCidr>; ADDRESSES_MAX],
    gateway_v4: Option<Ipv4Addr>,
    gateway_v6: Option<Ipv6Addr>,
}

impl Routes {
    /// No address of one's own.
    pub(crate) const NONE: Self = Self {
        own: [None; ADDRESSES_MAX],
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
            *own.get_mut(index)? = Some(address.cidr()?);
        }
        Some(Self {
            own,
            gateway_v4,
            gateway_v6,
        })
    }

    /// Returns the own addresses.
    pub(crate) fn own(&self) -> impl Iterator<Item = IpCidr> {
        self.own.iter().flatten().copied()
    }

    /// Whether `ip` is an own address.
    #[inline]
    pub(crate) fn is_own(&self, ip: IpAddr) -> bool {
        self.own().any(|cidr| IpAddr::from(cidr.address()) == ip)
    }

    /// Whether a connection can be with `ip` at all: one other station, and not a broadcast.
    pub(crate) fn is_peer(&self, ip: IpAddr) -> bool {
        let broadcast = |cidr: IpCidr| match cidr {
            IpCidr::Ipv4(cidr) => cidr.broadcast().map(IpAddr::V4) == Some(ip),
            IpCidr::Ipv6(_) => false,
        };
        smoltcp::wire::IpAddress::from(ip).is_unicast()
            && !ip.is_loopback()
            && !self.own().any(broadcast)
            && !self.is_own(ip)
    }

    /// Whether `ip` is on the link, so that it is asked for by its own address.
    pub(crate) fn is_on_link(&self, ip: IpAddr) -> bool {
        let link_local = matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        link_local || self.own().any(|cidr| cidr.contains_addr(&ip.into()))
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
        let fits = |cidr: &IpCidr| IpAddr::from(cidr.address()).is_ipv4() == ip.is_ipv4();
        let scope = |ip: IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        let near = self
            .own()
            .filter(fits)
            .find(|cidr| cidr.contains_addr(&ip.into()));
        let same = || {
            self.own()
                .filter(fits)
                .find(|cidr| scope(cidr.address().into()) == scope(ip))
        };
        near.or_else(same).map(|cidr| cidr.address().into())
    }
}
