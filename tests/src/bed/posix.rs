//! Conformance on `poll(2)`: every host is the loopback interface.

use std::net::SocketAddr;
use std::time::Duration;

use usockets::{Instant, Platform};
use usockets_posix::{Poll, Posix, Selector};

use super::Bed;

/// Slots of the largest pool that a test makes.
const SLOTS: usize = 4_096;

/// Loops on the loopback interface over a selector, polled in turn by one thread.
#[derive(Debug)]
pub struct PosixBed<S> {
    start: std::time::Instant,
    make: fn() -> S,
    reports_max: usize,
}

/// Runs a test on `poll(2)`.
pub fn on_poll(mut test: impl FnMut(&mut PosixBed<&'static mut Poll<SLOTS>>)) {
    let mut bed = PosixBed::new(|| Box::leak(Box::new(Poll::new())));
    // The call brings whatever is ready of its array.
    bed.reports_max = SLOTS;
    test(&mut bed);
}

impl<S> PosixBed<S> {
    /// Makes a bed whose platforms each have a selector of their own.
    pub fn new(make: fn() -> S) -> Self {
        let start = std::time::Instant::now();
        Self {
            start,
            make,
            reports_max: 256,
        }
    }
}

impl<S: Selector + 'static> Bed for PosixBed<S> {
    type P = Posix<S>;

    fn platform(&mut self) -> Self::P {
        Posix::new((self.make)())
    }

    fn addr(&self, _: usize) -> SocketAddr {
        ([127, 0, 0, 1], 0).into()
    }

    fn addr_v6(&self, _: usize) -> Option<SocketAddr> {
        "[::1]:0".parse().ok()
    }

    fn is_due(&self, _: usize, _: Option<Instant>) -> bool {
        true
    }

    fn edge(&mut self, _: usize) -> bool {
        true
    }

    fn patience(&self, platform: &Self::P) -> Option<Instant> {
        let now = platform.now();
        Some(now.saturating_add(Duration::from_micros(100)))
    }

    fn pass(&mut self, _: Duration) {}

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn reports_max(&self) -> usize {
        self.reports_max
    }

    fn plenty(&self) -> usize {
        // `tcp_rmem` and `tcp_wmem` (tcp(7)) grow to a few megabytes each.
        16 << 20
    }

    fn is_virtual(&self) -> bool {
        false
    }
}
