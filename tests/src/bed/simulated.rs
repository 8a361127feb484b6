//! Conformance on the simulator.

use std::net::SocketAddr;
use std::time::Duration;

use usockets::Instant;

use super::Bed;
use crate::rng::seeds;
use crate::sim::{Faults, Host, Sim};

/// Rough networks that each test is run on, besides the smooth one.
const ROUGH: u64 = 24;

/// Hosts of one simulated network.
#[derive(Debug)]
pub struct SimBed {
    /// The network.
    pub sim: Sim,
}

impl SimBed {
    /// Makes a network without hosts.
    #[must_use]
    pub fn new(seed: u64, faults: Faults) -> Self {
        let sim = Sim::new(seed, faults);
        Self { sim }
    }
}

/// Runs a test on a smooth network and on many rough ones, which lose nothing.
pub fn on_sim(test: impl FnMut(&mut SimBed)) {
    let mut test = test;
    test(&mut SimBed::new(0, Faults::none()));
    on_rough_sim(ROUGH, test);
}

/// Runs a test on rough networks only.
pub fn on_rough_sim(count: u64, mut test: impl FnMut(&mut SimBed)) {
    for seed in seeds(count) {
        println!("SEED={seed}");
        test(&mut SimBed::new(seed, Faults::rough(seed)));
    }
}

impl Bed for SimBed {
    type P = Host;

    fn platform(&mut self) -> Host {
        self.sim.host()
    }

    fn addr(&self, host: usize) -> SocketAddr {
        SocketAddr::new(self.sim.addresses(host)[0], 0)
    }

    fn addr_v6(&self, host: usize) -> Option<SocketAddr> {
        Some(SocketAddr::new(self.sim.addresses(host)[1], 0))
    }

    fn is_due(&self, host: usize, deadline: Option<Instant>) -> bool {
        self.sim.expect(host, deadline);
        self.sim.is_due(host)
    }

    fn edge(&mut self, host: usize) -> bool {
        self.sim.is_due(host)
    }

    fn patience(&self, _: &Host) -> Option<Instant> {
        None
    }

    fn pass(&mut self, most: Duration) {
        self.sim.step(most);
    }

    fn now(&self) -> Duration {
        Duration::from_micros(self.sim.now_micros())
    }

    fn plenty(&self) -> usize {
        let faults = self.sim.faults();
        2 * (faults.send_buffer + faults.recv_buffer) + 50
    }

    fn is_smooth(&self) -> bool {
        let faults = self.sim.faults();
        let reports = faults.spurious == 0 && faults.late_report == 0;
        reports && faults.latency_max <= 50 && faults.pressure == 0
    }

    fn is_virtual(&self) -> bool {
        true
    }
}
