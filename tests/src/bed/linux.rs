//! Conformance on Linux: every host is the loopback interface.

use std::net::SocketAddr;
use std::time::Duration;

use usockets::{Instant, Platform};
use usockets_linux::Linux;

use super::Bed;

/// Loops on the loopback interface, polled in turn by one thread.
#[derive(Debug)]
pub struct LinuxBed {
    start: std::time::Instant,
}

impl Default for LinuxBed {
    fn default() -> Self {
        let start = std::time::Instant::now();
        Self { start }
    }
}

/// Runs a test on Linux.
pub fn on_linux(mut test: impl FnMut(&mut LinuxBed)) {
    test(&mut LinuxBed::default());
}

impl Bed for LinuxBed {
    type P = Linux;

    fn platform(&mut self) -> Linux {
        Linux::new().expect("an epoll instance")
    }

    fn addr(&self, _: usize) -> SocketAddr {
        ([127, 0, 0, 1], 0).into()
    }

    fn addr_v6(&self, _: usize) -> SocketAddr {
        "[::1]:0".parse().expect("an address")
    }

    fn is_due(&self, _: usize, _: Option<Instant>) -> bool {
        true
    }

    fn patience(&self, platform: &Linux) -> Option<Instant> {
        let now = platform.now();
        Some(now.saturating_add(Duration::from_micros(100)))
    }

    fn pass(&mut self, _: Duration) {}

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn plenty(&self) -> usize {
        // `tcp_rmem` and `tcp_wmem` (tcp(7)) grow to a few megabytes each.
        16 << 20
    }

    fn is_virtual(&self) -> bool {
        false
    }
}
