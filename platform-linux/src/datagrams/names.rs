//! Socket addresses as the kernel has them (`ip(7)`, `ipv6(7)`).

use core::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// `AF_INET`.
const INET: u16 = 2;
/// `AF_INET6`.
const INET6: u16 = 10;

/// Bytes of the longer of the two, `struct sockaddr_in6`.
pub(super) const NAME_MAX: usize = 28;

/// A socket address in the kernel's form, or none.
#[derive(Clone, Copy, Debug)]
pub(super) struct Name {
    pub(super) bytes: [u8; NAME_MAX],
    pub(super) len: u8,
}

impl Name {
    /// No address.
    pub(super) const NONE: Self = Self {
        bytes: [0; NAME_MAX],
        len: 0,
    };

    /// Writes an address.
    pub(super) fn of(addr: SocketAddr) -> Self {
        let mut name = Self::NONE;
        match addr {
            SocketAddr::V4(addr) => {
                name.put(&INET.to_ne_bytes());
                name.put(&addr.port().to_be_bytes());
                name.put(&addr.ip().octets());
                name.put(&[0; 8]);
            }
            SocketAddr::V6(addr) => {
                name.put(&INET6.to_ne_bytes());
                name.put(&addr.port().to_be_bytes());
                name.put(&addr.flowinfo().to_be_bytes());
                name.put(&addr.ip().octets());
                name.put(&addr.scope_id().to_ne_bytes());
            }
        }
        name
    }

    fn put(&mut self, field: &[u8]) {
        let start = usize::from(self.len);
        let end = start.saturating_add(field.len());
        if let Some(place) = self.bytes.get_mut(start..end) {
            place.copy_from_slice(field);
            self.len = u8::try_from(end).unwrap_or(self.len);
        }
    }
}

/// Reads an address; `None` for another family's, or a short one.
pub(super) fn parse(bytes: &[u8]) -> Option<SocketAddr> {
    let family = u16::from_ne_bytes(*bytes.first_chunk()?);
    let port = u16::from_be_bytes(*bytes.get(2..)?.first_chunk()?);
    match family {
        INET => {
            let ip: [u8; 4] = *bytes.get(4..)?.first_chunk()?;
            Some(SocketAddrV4::new(Ipv4Addr::from(ip), port).into())
        }
        INET6 => {
            let flow = u32::from_be_bytes(*bytes.get(4..)?.first_chunk()?);
            let ip: [u8; 16] = *bytes.get(8..)?.first_chunk()?;
            let scope = u32::from_ne_bytes(*bytes.get(24..)?.first_chunk()?);
            Some(SocketAddrV6::new(Ipv6Addr::from(ip), port, flow, scope).into())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_comes_back_as_it_was() {
        for addr in ["192.0.2.1:53", "[2001:db8::1]:443"] {
            let addr: SocketAddr = addr.parse().unwrap();
            let name = Name::of(addr);
            assert_eq!(parse(&name.bytes[..usize::from(name.len)]), Some(addr));
        }
        let linked = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 7, 0x1234, 3).into();
        let name = Name::of(linked);
        assert_eq!(usize::from(name.len), NAME_MAX);
        assert_eq!(parse(&name.bytes), Some(linked));
        for len in 0..NAME_MAX {
            assert_eq!(parse(&name.bytes[..len]), None);
        }
        assert_eq!(parse(&[1; NAME_MAX]), None);
    }
}
