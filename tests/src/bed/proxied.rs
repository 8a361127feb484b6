//! Conformance of the PROXY protocol's layer over another platform: each connect begins with a
//! header, which each listener takes.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use usockets::Instant;
use usockets::proxy::{Network, Proxied, ProxyHeader, ProxyVersion};

use super::{Bed, LinuxBed, SimBed};
use crate::rng::seeds;
use crate::sim::Faults;

/// Rough networks that each test is run on.
const ROUGH: u64 = 4;
/// Bytes of the longest header of version 1, which a receive buffer has to hold.
const HEADER: usize = 107;
/// Everybody is a proxy.
const TRUSTED: &[Network] = &[
    Network::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
    Network::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
];

/// Hosts of another bed, behind proxies that speak for themselves.
pub struct ProxiedBed<'b, B>(&'b mut B);

/// Makes a rough network in which a header comes through.
pub(crate) fn rough(seed: u64) -> Faults {
    let mut faults = Faults::rough(seed);
    faults.recv_buffer = faults.recv_buffer.max(HEADER);
    faults
}

impl<'b, B> ProxiedBed<'b, B> {
    /// Puts the layer before the hosts of a bed.
    #[must_use]
    pub const fn new(bed: &'b mut B) -> Self {
        Self(bed)
    }
}

/// Runs a test with the layer on a smooth simulated network and on some rough ones.
pub fn on_proxied_sim(mut test: impl FnMut(&mut ProxiedBed<'_, SimBed>)) {
    test(&mut ProxiedBed(&mut SimBed::new(0, Faults::none())));
    for seed in seeds(ROUGH) {
        println!("SEED={seed}");
        test(&mut ProxiedBed(&mut SimBed::new(seed, rough(seed))));
    }
}

/// Runs a test with the layer on Linux.
pub fn on_proxied_linux(mut test: impl FnMut(&mut ProxiedBed<'_, LinuxBed>)) {
    test(&mut ProxiedBed(&mut LinuxBed::default()));
}

impl<B: Bed> Bed for ProxiedBed<'_, B> {
    type P = Proxied<'static, B::P>;

    fn platform(&mut self) -> Self::P {
        let mut layer = Proxied::new(self.0.platform(), TRUSTED);
        layer.send_header(Some((ProxyHeader::default(), ProxyVersion::Two)));
        layer
    }

    usockets_conformance::forward_bed!(0);

    fn patience(&self, platform: &Self::P) -> Option<Instant> {
        self.0.patience(platform.inner())
    }

    fn plenty(&self) -> usize {
        self.0.plenty()
    }

    fn long(&self) -> Duration {
        self.0.long()
    }

    fn opening_turns(&self) -> u64 {
        self.0.opening_turns() + 100
    }

    fn learns_unasked(&self) -> bool {
        self.0.learns_unasked()
    }
}
