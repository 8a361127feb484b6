//! Hosts on one wire, for the suite: what one writes besides the platform.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use outside::pipes::{Pipes, REPORTS_MAX};
use outside::wire::{Reports, Wire};
use usockets::Instant;
use usockets_conformance::{Bed, Clock};

/// Hosts on one wire, in virtual time.
#[derive(Default)]
pub struct PipesBed {
    wire: Rc<RefCell<Wire>>,
    clock: Clock,
    /// What each host has to report.
    reports: Vec<Reports>,
}

/// Makes a network without hosts.
pub fn pipes() -> PipesBed {
    PipesBed::default()
}

impl Bed for PipesBed {
    type P = Pipes;

    fn platform(&mut self) -> Pipes {
        let ip = self.addr(self.reports.len()).ip();
        let reports = Reports::default();
        self.reports.push(reports.clone());
        Pipes {
            wire: self.wire.clone(),
            now: self.clock.now.clone(),
            ip,
            reports,
            left: 0,
        }
    }

    fn addr(&self, host: usize) -> SocketAddr {
        (IpAddr::from([10, 0, 0, host as u8 + 1]), 0).into()
    }

    fn is_due(&self, host: usize, deadline: Option<Instant>) -> bool {
        self.clock.is_due(host, deadline) || !self.reports[host].borrow().is_empty()
    }

    fn edge(&mut self, host: usize) -> bool {
        !self.reports[host].borrow().is_empty()
    }

    fn pass(&mut self, most: Duration) {
        self.clock.pass(most);
    }

    fn now(&self) -> Duration {
        self.clock.time()
    }

    fn plenty(&self) -> usize {
        // What one end holds, four times over.
        16_384
    }

    fn reports_max(&self) -> usize {
        REPORTS_MAX
    }

    fn is_virtual(&self) -> bool {
        true
    }

    fn shares_ports(&self) -> bool {
        false
    }

    fn drops_surplus(&self) -> bool {
        false
    }
}
