//! Conformance on the stack in user space over devices of Linux, in real time: hosts on a bridge,
//! in a network namespace of the test's own.

use std::fs::File;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};
use usockets_smoltcp::{
    Packet, PollDevice, SizeClass, Stack, Tap, Xdp, XdpMode, XdpOptions, XdpProgram,
};

use super::Bed;
use crate::smoltcp::kernel::{Faulty, Link, Losses, batch};
use crate::smoltcp::{MTU, Recipe, reclaim, v6, zeroes};

/// Connections of a host. A test opens 200 and more at once.
const CONNECTIONS: usize = 300;
/// Bytes of each buffer of a connection.
const BUFFER: usize = 8_192;

/// Hosts on a bridge, each by a device of one kind.
#[derive(Debug)]
pub struct DeviceBed {
    link: Link,
    hosts: usize,
    start: Instant,
}

/// Runs a test on hosts with TAPs.
pub fn on_tap(test: impl FnMut(&mut DeviceBed)) {
    on_link(Link::Tap, test);
}

/// Runs a test on hosts with packet sockets.
pub fn on_packet(test: impl FnMut(&mut DeviceBed)) {
    on_link(Link::Packet, test);
}

/// Runs a test on hosts with AF_XDP sockets, which take the frames from the driver.
pub fn on_xdp(test: impl FnMut(&mut DeviceBed)) {
    on_link(Link::Xdp, test);
}

/// Runs a test on hosts with AF_XDP sockets, which take the frames from the kernel's network.
pub fn on_xdp_generic(test: impl FnMut(&mut DeviceBed)) {
    on_link(Link::XdpGeneric, test);
}

fn on_link(link: Link, mut test: impl FnMut(&mut DeviceBed)) {
    if !link.is_here() {
        return;
    }
    let before = File::open("/proc/thread-self/ns/net").expect("the thread's namespace");
    // SAFETY: only the network changes; no descriptor is shared differently afterwards.
    if let Err(error) = unsafe { unshare_unsafe(UnshareFlags::NEWNET) } {
        assert!(std::env::var_os("CI").is_none(), "no namespace: {error}");
        println!("SKIPPED: no right to make a network namespace ({error})");
        return;
    }
    batch("link add br0 type bridge mcast_snooping 0\nlink set br0 up");
    test(&mut DeviceBed {
        link,
        hosts: 0,
        start: Instant::now(),
    });
    // SAFETY: all hosts were the test's.
    unsafe { reclaim() };
    // The thread may run another test, which wants the network that it knows.
    let kind = Some(LinkNameSpaceType::Network);
    move_into_link_name_space(before.as_fd(), kind).expect("the namespace from before");
}

/// Waits until the bridge forwards what comes from an interface, which on a busy machine takes a
/// while: what is sent before is lost, and sent again after a second.
fn wait_until_it_forwards(name: &str) {
    for _ in 0..1_000 {
        let shown = Command::new("ip")
            .args(["-d", "-o", "link", "show", "dev", name])
            .output()
            .expect("ip runs");
        let said = String::from_utf8_lossy(&shown.stdout);
        if said.contains("state UP") && said.contains("bridge_slave state forwarding") {
            return;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    panic!("{name} does not forward");
}

impl DeviceBed {
    /// Makes the device of a host, the other end of which is on the bridge.
    fn device(&self, host: usize) -> Box<dyn PollDevice> {
        let (own, other) = (&format!("h{host}"), &format!("p{host}"));
        let on_bridge = |name: &str| {
            batch(&format!("link set {name} addrgenmode none master br0 up"));
            // A TAP has its carrier from the start.
            if self.link != Link::Tap {
                wait_until_it_forwards(name);
            }
        };
        if self.link == Link::Tap {
            let memory = zeroes(Tap::share(MTU, false) * 65);
            let tap = Tap::make(own, MTU, false, memory).expect("a TAP");
            on_bridge(own);
            return Box::new(tap);
        }
        batch(&format!(
            "link add {own} type veth peer name {other}\nlink set {own} addrgenmode none up"
        ));
        let mode = match self.link {
            Link::Packet => {
                let packet = Packet::open(own, MTU, false).expect("a packet socket");
                on_bridge(other);
                return Box::new(packet);
            }
            Link::XdpGeneric => XdpMode::Generic,
            _ => XdpMode::Native,
        };
        let program = XdpProgram::attach(own, mode).expect("a program on the interface");
        let options = XdpOptions::DEFAULT.frames(512);
        let xdp = Xdp::open(&program, 0, MTU, options).expect("an AF_XDP socket");
        on_bridge(other);
        Box::new(xdp)
    }
}

impl Bed for DeviceBed {
    type P = Stack<'static, Faulty>;

    fn platform(&mut self) -> Self::P {
        let device = self.device(self.hosts);
        self.hosts += 1;
        let class = SizeClass::new(CONNECTIONS, BUFFER, BUFFER);
        let host = self.hosts as u8;
        let device = Faulty::new(device, Losses::default());
        Recipe::new(host).classes(&[class]).build_on(device)
    }

    fn addr(&self, host: usize) -> SocketAddr {
        ([10, 0, 0, host as u8 + 1], 0).into()
    }

    fn addr_v6(&self, host: usize) -> Option<SocketAddr> {
        Some(v6(host as u16 + 1, 0))
    }

    fn now(&self) -> Duration {
        self.start.elapsed()
    }

    fn plenty(&self) -> usize {
        4 * BUFFER + 50
    }

    fn reports_max(&self) -> usize {
        CONNECTIONS + 8
    }

    fn opening_turns(&self) -> u64 {
        // A packet socket hands its frames over after a millisecond.
        2_000
    }

    fn learns_unasked(&self) -> bool {
        false
    }

    fn is_virtual(&self) -> bool {
        false
    }
}
