//! Conformance on Linux: every host is the loopback interface.

use std::net::SocketAddr;
use std::time::Duration;

use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use usockets::{Instant, Platform};
use usockets_linux::Linux;

use super::Bed;

/// Loops on the loopback interface, polled in turn by one thread.
#[derive(Debug)]
pub struct LinuxBed {
    start: std::time::Instant,
    /// Another loop, which watches those of the hosts edge-triggered.
    outer: OwnedFd,
    /// What it was told of each host.
    edges: Vec<bool>,
}

impl Default for LinuxBed {
    fn default() -> Self {
        let start = std::time::Instant::now();
        Self {
            start,
            outer: epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll instance"),
            edges: Vec::new(),
        }
    }
}

/// Runs a test on Linux.
pub fn on_linux(mut test: impl FnMut(&mut LinuxBed)) {
    test(&mut LinuxBed::default());
}

impl Bed for LinuxBed {
    type P = Linux;

    fn platform(&mut self) -> Linux {
        let platform = Linux::new().expect("an epoll instance");
        let host = epoll::EventData::new_u64(self.edges.len() as u64);
        let flags = epoll::EventFlags::IN | epoll::EventFlags::ET;
        epoll::add(&self.outer, &platform, host, flags).expect("a place among the watched");
        self.edges.push(false);
        platform
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

    fn edge(&mut self, host: usize) -> bool {
        let empty = epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        };
        let mut events = [empty; 16];
        let count = epoll::wait(&self.outer, &mut events[..], Some(&Timespec::default()));
        for event in events.iter().take(count.expect("a sound instance")) {
            self.edges[event.data.u64() as usize] = true;
        }
        std::mem::take(&mut self.edges[host])
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
