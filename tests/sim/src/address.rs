//! Who is where.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use usockets::{Endpoint, Error};

use crate::end::Kind;
use crate::network::{HostState, Network};

impl Network {
    /// Adds a host and returns its number.
    pub(super) fn add_host(&mut self) -> usize {
        let number = self.hosts.len();
        let low = u16::try_from(number + 1).expect("fewer hosts than addresses");
        let [high_byte, low_byte] = low.to_be_bytes();
        self.hosts.push(HostState {
            addresses: vec![
                IpAddr::V4(Ipv4Addr::new(10, 0, high_byte, low_byte)),
                IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, low)),
            ],
            port: 40_000,
            ..HostState::default()
        });
        number
    }

    /// The host that `from` reaches at an address.
    pub(super) fn host_at(&self, from: usize, ip: IpAddr) -> Option<usize> {
        let ip = ip.to_canonical();
        if ip.is_loopback() {
            return Some(from);
        }
        self.hosts
            .iter()
            .position(|host| host.addresses.contains(&ip))
    }

    /// The listener that takes a connection to an address, the first of several.
    pub(super) fn listener_at(&mut self, host: usize, at: SocketAddr) -> Option<u32> {
        let ip = at.ip().to_canonical();
        self.listeners.iter().copied().find(|key| {
            let end = &self.ends[*key as usize - 1];
            let Kind::Listener(listener) = &end.kind else {
                return false;
            };
            let here = end.local.ip();
            let any_v6 = here == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            let takes = here == ip
                || (here.is_unspecified() && here.is_ipv4() == ip.is_ipv4())
                || (any_v6 && !listener.v6_only);
            end.host == host && end.local.port() == at.port() && takes
        })
    }

    /// Finds where a listener is to listen: the address must be the host's own, and free.
    pub(super) fn bind(&mut self, host: usize, at: &Endpoint<'_>) -> Result<SocketAddr, Error> {
        let ip = at.addr.ip();
        let own = ip.is_loopback()
            || ip.is_unspecified()
            || self.hosts[host].addresses.contains(&ip.to_canonical());
        if !own {
            return Err(Error::AddressUnavailable);
        }
        if at.addr.port() == 0 {
            return Ok(SocketAddr::new(ip, self.take_port(host)));
        }
        let taken = self.listeners.iter().any(|key| {
            let end = &self.ends[*key as usize - 1];
            let Kind::Listener(listener) = &end.kind else {
                return false;
            };
            let same =
                end.local.ip() == ip || ip.is_unspecified() || end.local.ip().is_unspecified();
            end.host == host
                && end.local.port() == at.addr.port()
                && same
                && !(listener.reuse_port && at.reuse_port)
        });
        if taken {
            return Err(Error::AddressInUse);
        }
        Ok(at.addr)
    }

    /// Finds where a connect comes from.
    pub(super) fn source(&mut self, host: usize, to: &Endpoint<'_>) -> Result<SocketAddr, Error> {
        let remote = to.addr.ip().to_canonical();
        let ip = match to.source {
            Some(source) if !source.ip().is_unspecified() => source.ip(),
            _ if remote.is_loopback() => remote,
            _ => self.hosts[host].addresses[usize::from(remote.is_ipv6())],
        };
        if !ip.is_loopback() && !self.hosts[host].addresses.contains(&ip) {
            return Err(Error::AddressUnavailable);
        }
        let port = to.source.map_or(0, |source| source.port());
        let port = if port == 0 {
            self.take_port(host)
        } else {
            port
        };
        Ok(SocketAddr::new(ip, port))
    }

    pub(super) fn take_port(&mut self, host: usize) -> u16 {
        let port = &mut self.hosts[host].port;
        *port = if *port == u16::MAX { 40_000 } else { *port + 1 };
        *port
    }

    /// Takes a descriptor.
    pub(super) fn take_descriptor(&mut self, host: usize) -> Result<(), Error> {
        if self.hosts[host].descriptors >= self.faults.descriptors {
            return Err(Error::Exhausted);
        }
        self.hosts[host].descriptors += 1;
        Ok(())
    }
}
