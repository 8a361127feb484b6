//! Endpoints with every option.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use usockets::Endpoint;

use crate::rng::mix;

/// Chooses options by counting, so that no fuzzer's byte is spent on what hardly matters.
#[derive(Debug, Default)]
pub(super) struct Variety {
    pub(super) own: Option<IpAddr>,
    count: u64,
}

impl Variety {
    fn next(&mut self) -> u64 {
        self.count += 1;
        mix(self.count)
    }

    fn usual<'e>(&mut self, endpoint: Endpoint<'e>) -> Endpoint<'e> {
        let bits = self.next();
        let endpoint = endpoint
            .nodelay(bits & 1 != 0)
            .reuse_port(bits & 2 != 0)
            .v6_only(bits & 4 != 0);
        if bits & 8 != 0 {
            return endpoint.keepalive(Duration::from_secs(30));
        }
        endpoint
    }

    /// Where to connect to. One of sixteen wants TLS, which a platform by itself does not have.
    pub(super) fn of_connect<'e>(&mut self, endpoint: Endpoint<'e>) -> Endpoint<'e> {
        let bits = self.next();
        if bits & 15 == 0 {
            return Endpoint::tls(endpoint.addr, Some("host.test"));
        }
        let endpoint = self.usual(endpoint);
        match self.own {
            Some(own) if bits & 16 != 0 => endpoint.source(SocketAddr::new(own, 0)),
            _ => endpoint,
        }
    }

    /// Where to listen. One of eight is at every IPv6 address, and so perhaps at every one.
    pub(super) fn of_listen<'e>(&mut self, mut endpoint: Endpoint<'e>) -> Endpoint<'e> {
        if self.next() & 7 == 0 {
            endpoint.addr.set_ip(Ipv6Addr::UNSPECIFIED.into());
        }
        self.usual(endpoint)
    }
}
