//! The platform is held to the whole suite.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;

use outside::pipes::{Pipes, Wire};
use usockets::Instant;
use usockets_conformance::{Bed, conformance};

/// Hosts on one wire, in virtual time.
#[derive(Default)]
struct PipesBed {
    wire: Rc<RefCell<Wire>>,
    /// When each loop next has something to do by itself.
    deadlines: RefCell<Vec<Option<Instant>>>,
}

fn pipes() -> PipesBed {
    PipesBed::default()
}

conformance!(pipes);

impl Bed for PipesBed {
    type P = Pipes;

    fn platform(&mut self) -> Pipes {
        self.deadlines.get_mut().push(None);
        Pipes::new(&self.wire)
    }

    fn addr(&self, host: usize) -> SocketAddr {
        (Wire::ip(host), 0).into()
    }

    fn is_due(&self, host: usize, deadline: Option<Instant>) -> bool {
        self.deadlines.borrow_mut()[host] = deadline;
        let wire = self.wire.borrow();
        wire.is_due(host) || deadline.is_some_and(|at| at <= wire.now)
    }

    fn edge(&mut self, host: usize) -> bool {
        self.wire.borrow().is_due(host)
    }

    fn pass(&mut self, most: Duration) {
        let now = self.wire.borrow().now;
        let end = now.saturating_add(most);
        // What is past is of a host that is gone: no host is due.
        let deadlines = self.deadlines.get_mut().iter().flatten();
        let next = deadlines.filter(|at| **at > now).min();
        self.wire.borrow_mut().now = next.map_or(end, |next| *next.min(&end));
    }

    fn now(&self) -> Duration {
        Duration::from_micros(self.wire.borrow().now.as_micros())
    }

    fn plenty(&self) -> usize {
        // What one end holds, four times over.
        16_384
    }

    fn is_virtual(&self) -> bool {
        true
    }

    fn shares_ports(&self) -> bool {
        false
    }
}
