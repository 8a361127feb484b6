//! Conformance on Windows: every host is the loopback interface.

use std::net::SocketAddr;
use std::time::Duration;

use usockets::{Instant, Platform};
use usockets_windows::{Operation, Windows};

use super::Bed;

/// Operations of each loop: three for each slot of the largest pool that a test makes.
const OPERATIONS: usize = 3 * 1_100;

/// Loops on the loopback interface, polled in turn by one thread.
#[derive(Debug)]
pub struct WindowsBed {
    start: std::time::Instant,
}

impl Default for WindowsBed {
    fn default() -> Self {
        let start = std::time::Instant::now();
        Self { start }
    }
}

/// Runs a test on Windows.
pub fn on_windows(mut test: impl FnMut(&mut WindowsBed)) {
    test(&mut WindowsBed::default());
}

impl Bed for WindowsBed {
    type P = Windows;

    fn platform(&mut self) -> Windows {
        let operations: Vec<_> = (0..OPERATIONS).map(|_| Operation::new()).collect();
        Windows::new(operations.leak()).expect("a completion port")
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

    fn patience(&self, platform: &Windows) -> Option<Instant> {
        // Waits are in whole milliseconds.
        let now = platform.now();
        Some(now.saturating_add(Duration::from_millis(1)))
    }

    fn pass(&mut self, _: Duration) {}

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn plenty(&self) -> usize {
        // Wine has the buffers of the system below it, which grow to a few megabytes each.
        16 << 20
    }

    fn shares_ports(&self) -> bool {
        false
    }

    fn is_virtual(&self) -> bool {
        false
    }
}
