//! Socket addresses as Windows lays them out.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

/// `AF_INET` and `AF_INET6` of `ws2def.h`.
const INET: u16 = 2;
const INET6: u16 = 23;
/// Bytes of a `SOCKADDR_IN` and of a `SOCKADDR_IN6`.
const V4_LEN: usize = 16;
const V6_LEN: usize = 28;

/// A `SOCKADDR_IN` or a `SOCKADDR_IN6` (`ws2def.h`, `ws2ipdef.h`).
///
/// Kept as bytes, so that reading one needs no union: family in the processor's order, port in the
/// network's; then either the IPv4 address, or flow label, IPv6 address and scope.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(crate) struct Layout {
    bytes: [u8; V6_LEN],
    len: usize,
}

impl Layout {
    /// Room for an address that a call fills in.
    pub(crate) const EMPTY: Self = Self {
        bytes: [0; V6_LEN],
        len: V6_LEN,
    };

    /// Lays an address out.
    pub(crate) fn new(addr: &SocketAddr) -> Self {
        let [port_high, port_low] = addr.port().to_be_bytes();
        let mut layout = Self::EMPTY;
        match addr {
            SocketAddr::V4(addr) => {
                let [a, b] = INET.to_ne_bytes();
                layout.put(0, &[a, b, port_high, port_low]);
                layout.put(4, &addr.ip().octets());
                layout.len = V4_LEN;
            }
            SocketAddr::V6(addr) => {
                let [a, b] = INET6.to_ne_bytes();
                layout.put(0, &[a, b, port_high, port_low]);
                layout.put(4, &addr.flowinfo().to_ne_bytes());
                layout.put(8, &addr.ip().octets());
                layout.put(24, &addr.scope_id().to_ne_bytes());
            }
        }
        layout
    }

    /// Reads an address; `None` for another family. An IPv4-mapped address (RFC 4291, section
    /// 2.5.5.2) comes as IPv4.
    pub(crate) fn read(&self) -> Option<SocketAddr> {
        let port = u16::from_be_bytes(self.get(2)?);
        let addr = match u16::from_ne_bytes(self.get(0)?) {
            INET => {
                let octets: [u8; 4] = self.get(4)?;
                SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::from(octets), port))
            }
            INET6 => {
                let octets: [u8; 16] = self.get(8)?;
                let flow = u32::from_ne_bytes(self.get(4)?);
                let scope = u32::from_ne_bytes(self.get(24)?);
                SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(octets), port, flow, scope))
            }
            _ => return None,
        };
        Some(match addr.ip().to_canonical() {
            IpAddr::V4(ip) => SocketAddr::new(IpAddr::V4(ip), port),
            IpAddr::V6(_) => addr,
        })
    }

    /// Returns where the bytes are, for a call that reads them.
    pub(crate) const fn as_ptr(&self) -> *const u8 {
        self.bytes.as_ptr()
    }

    /// Returns where the bytes are, for a call that writes them.
    pub(crate) const fn as_mut_ptr(&mut self) -> *mut u8 {
        self.bytes.as_mut_ptr()
    }

    /// Returns the number of bytes that count.
    pub(crate) fn len(&self) -> i32 {
        i32::try_from(self.len).unwrap_or_default()
    }

    fn put(&mut self, at: usize, bytes: &[u8]) {
        let to = self.bytes.iter_mut().skip(at);
        for (to, from) in to.zip(bytes) {
            *to = *from;
        }
    }

    fn get<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        self.bytes.get(at..)?.first_chunk().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_their_layout() {
        for addr in ["127.0.0.1:80", "[::1]:65535", "[fe80::1%7]:1"] {
            let addr: SocketAddr = addr.parse().unwrap();
            assert_eq!(Layout::new(&addr).read(), Some(addr));
        }
    }

    #[test]
    fn the_layout_is_that_of_the_headers() {
        let v4 = Layout::new(&"1.2.3.4:258".parse().unwrap());
        assert_eq!(v4.len(), 16);
        assert_eq!(
            v4.get::<4>(0),
            Some([INET.to_ne_bytes(), [1, 2]].concat().try_into().unwrap())
        );
        assert_eq!(v4.get(4), Some([1, 2, 3, 4]));
        let v6 = Layout::new(&"[::9]:258".parse().unwrap());
        assert_eq!(v6.len(), 28);
        assert_eq!(v6.get(23), Some([9]));
    }

    #[test]
    fn mapped_addresses_come_as_ipv4_and_other_families_not_at_all() {
        let mapped = Layout::new(&"[::ffff:10.0.0.1]:7".parse().unwrap());
        assert_eq!(mapped.read(), Some("10.0.0.1:7".parse().unwrap()));
        assert_eq!(Layout::EMPTY.read(), None);
    }
}
