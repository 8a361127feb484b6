//! A port of `net_tap`, whose other end is the kernel's network.
#![allow(
    unsafe_code,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::std_instead_of_core,
    clippy::unwrap_used,
    reason = "a test may panic, and its numbers are small"
)]

#[allow(dead_code, reason = "each program of tests has some use for it")]
mod support;

use std::net::{IpAddr, UdpSocket};
use std::time::{Duration, Instant};

use support::{
    KERNEL, STACK, Server, address, command, eal, echo_client, echo_for_kernel, echo_from_kernel,
    in_namespace, pattern, pool, stack,
};
use usockets::Error;
use usockets_dpdk::{Dpdk, Pool, Port, PortOptions};
use usockets_smoltcp::PollDevice;

/// Makes a TAP of this name, with the kernel's addresses on its other end.
fn tap(
    name: &str,
    pools: &[&'static Pool<'static>],
    options: &PortOptions,
) -> &'static Port<'static> {
    let device = format!("net_tap_{name}");
    eal().attach(&format!("{device},iface={name}")).unwrap();
    let port = Port::open(eal(), &device, pools, options).unwrap();
    address(name);
    Box::leak(Box::new(port))
}

fn counters(server: &mut Server<Dpdk<'static>>) -> usockets_smoltcp::DeviceCounters {
    server.looped.platform_mut().device_mut().counters()
}

#[test]
fn the_kernels_clients_are_served() {
    for (name, offload) in [("us0", true), ("us1", false)] {
        in_namespace(move || {
            let options = PortOptions::DEFAULT.offload(offload);
            let port = tap(name, &[pool(2_048, Pool::ROOM)], &options);
            let device = port.device(0).unwrap();
            assert_eq!(device.capabilities().fills, offload);
            assert_eq!(device.capabilities().segment_max, None);
            assert_eq!(port.verifies_checksums(), offload);
            let mut server = Server::new(stack(device, 2));
            echo_for_kernel(&mut server, 6, 300_000);
            let counted = counters(&mut server);
            assert!(counted.received > 100 && counted.sent > 100, "{counted:?}");
            assert_eq!((counted.cut, counted.dropped), (0, 0), "{counted:?}");
        });
    }
}

#[test]
fn a_client_reaches_the_kernels_server() {
    in_namespace(|| {
        let port = tap("us2", &[pool(2_048, Pool::ROOM)], &PortOptions::DEFAULT);
        echo_from_kernel(stack(port.device(0).unwrap(), 2), 2_000_000);
    });
}

/// The driver cuts to size what the stack sends in one piece, if it is of IPv4: it sends larger
/// packets of IPv6 as they are.
#[test]
fn large_segments_are_cut_to_size() {
    in_namespace(|| {
        let pool = pool(2_048, 16_384);
        let options = PortOptions::DEFAULT;
        let both = tap("us9", &[pool], &options);
        assert_eq!(both.device(0).unwrap().capabilities().segment_max, None);
        let port = tap("us3", &[pool], &options.v4_only(true));
        let device = port.device(0).unwrap();
        assert_eq!(device.capabilities().segment_max, Some(16_370));
        command("ip link set us9 down");
        let mut server = Server::new(stack(device, 2));
        let client = echo_client((STACK, 7).into(), pattern(3_000_000, 1));
        server.serve_until(|| client.is_finished());
        assert!(client.join().unwrap() == pattern(3_000_000, 1));
        let sent = counters(&mut server).sent;
        // 3,000,000 bytes are 2,055 segments of 1,460 bytes.
        assert!(sent < 2_055, "{sent} frames");
        let came = received_by_kernel("us3");
        assert!(came >= 2_055, "{came} packets");
    });
}

/// Returns how many packets the kernel has received on an interface.
fn received_by_kernel(name: &str) -> u64 {
    let table = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap();
    let line = table
        .lines()
        .find_map(|line| line.trim().strip_prefix(name));
    let numbers = line.unwrap().trim_start_matches(':').split_whitespace();
    numbers
        .map(|number| number.parse::<u64>().unwrap())
        .nth(1)
        .unwrap()
}

/// A frame that is longer than a buffer comes in parts; one of more parts than the stack takes is
/// dropped, and counted.
#[test]
fn long_frames_come_in_parts_and_longer_ones_are_cut() {
    in_namespace(|| {
        let port = tap("us4", &[pool(2_048, Pool::ROOM)], &PortOptions::DEFAULT);
        let mut device = port.device(0).unwrap();
        command("ip link set us4 mtu 65000");
        command("ip neigh add 10.0.0.2 lladdr 02:00:00:00:00:02 dev us4");
        let sender = UdpSocket::bind((IpAddr::from(KERNEL), 0)).unwrap();
        let bytes = pattern(60_000, 4);
        let mut whole = Vec::new();
        for len in [60_000, 4_000] {
            let to = (IpAddr::from(STACK), 9);
            assert_eq!(sender.send_to(&bytes[..len], to).unwrap(), len);
        }
        let start = Instant::now();
        while whole.is_empty() {
            assert!(start.elapsed() < Duration::from_secs(10), "nothing comes");
            for index in 0..device.receive(64) {
                // What else the kernel sends is short: ARP, neighbour discovery.
                let parts = (1..18).map(|place| device.chained(index, place));
                let frame = [&[device.frame(index)], &*parts.collect::<Vec<_>>()].concat();
                let frame = frame.concat();
                if frame.len() > 1_000 {
                    assert!(device.frame(index).len() < 2_100, "in parts");
                    whole = frame;
                }
            }
        }
        assert_eq!(whole.len(), 14 + 20 + 8 + 4_000);
        assert!(whole[42..] == bytes[..4_000]);
        assert_eq!(device.counters().cut, 1);
    });
}

#[test]
fn a_link_that_is_down_is_waited_for() {
    in_namespace(|| {
        let port = tap("us5", &[pool(2_048, Pool::ROOM)], &PortOptions::DEFAULT);
        let mut server = Server::new(stack(port.device(0).unwrap(), 2));
        let bytes = pattern(8_000_000, 5);
        let client = echo_client((STACK, 7).into(), bytes.clone());
        server.serve_frames(300);
        command("ip link set us5 down");
        server.serve_until(|| !port.is_up());
        command("ip link set us5 up");
        server.serve_until(|| client.is_finished());
        assert!(client.join().unwrap() == bytes);
        server.serve_until(|| port.is_up());
        assert_eq!(counters(&mut server).downs, 1);
    });
}

/// Connections outlive a port that is stopped for a while.
#[test]
fn a_port_that_is_stopped_goes_on_later() {
    in_namespace(|| {
        let port = tap("us6", &[pool(2_048, Pool::ROOM)], &PortOptions::DEFAULT);
        let mut server = Server::new(stack(port.device(0).unwrap(), 2));
        let bytes = pattern(8_000_000, 6);
        let client = echo_client((STACK, 7).into(), bytes.clone());
        server.serve_frames(300);
        port.stop().unwrap();
        assert!(!port.is_stopped(), "the device has not seen it yet");
        server.serve_until(|| port.is_stopped());
        let before = counters(&mut server);
        let start = Instant::now();
        server.serve_until(|| start.elapsed() > Duration::from_millis(200));
        let counted = counters(&mut server);
        assert_eq!(counted.received, before.received);
        assert_eq!(counted.downs, 1);
        port.start().unwrap();
        server.serve_until(|| client.is_finished());
        assert!(client.join().unwrap() == bytes);
    });
}

unsafe extern "C" {
    /// Takes a device out, as when a card is pulled.
    fn rte_eal_hotplug_remove(
        bus: *const core::ffi::c_char,
        name: *const core::ffi::c_char,
    ) -> core::ffi::c_int;
}

#[test]
fn the_loop_ends_when_the_device_is_gone() {
    in_namespace(|| {
        let port = tap("us7", &[pool(2_048, Pool::ROOM)], &PortOptions::DEFAULT);
        let mut server = Server::new(stack(port.device(0).unwrap(), 2));
        echo_for_kernel(&mut server, 1, 10_000);
        // SAFETY: DPDK is started, and the device's queue is not used meanwhile.
        let removed = unsafe { rte_eal_hotplug_remove(c"vdev".as_ptr(), c"net_tap_us7".as_ptr()) };
        assert_eq!(removed, 0);
        assert_eq!(server.poll(), Err(Error::Platform(19)));
        assert_eq!(port.statistics(), usockets_dpdk::PortStatistics::default());
    });
}

/// A port can be opened again, with other options, and taken out.
#[test]
fn a_port_is_opened_again_and_removed() {
    in_namespace(|| {
        let pool = pool(2_048, Pool::ROOM);
        eal().attach("net_tap_us8,iface=us8").unwrap();
        for offload in [true, false] {
            let options = PortOptions::DEFAULT.offload(offload);
            let port = Port::open(eal(), "net_tap_us8", &[pool], &options).unwrap();
            let port = Box::into_raw(Box::new(port));
            if offload {
                address("us8");
            }
            // SAFETY: it is there until the server is gone.
            let device = unsafe { &*port }.device(0).unwrap();
            let mut server = Server::new(stack(device, 2));
            // By IPv4: the kernel forgets addresses of IPv6 while the port is stopped.
            echo_for_kernel(&mut server, 1, 10_000);
            drop(server);
            // SAFETY: it was made just here, and its device is gone.
            drop(unsafe { Box::from_raw(port) });
        }
        let port = Port::open(eal(), "net_tap_us8", &[pool], &PortOptions::DEFAULT).unwrap();
        port.remove().unwrap();
        let again = Port::open(eal(), "net_tap_us8", &[pool], &PortOptions::DEFAULT);
        assert_eq!(again.err(), Some(usockets_dpdk::DpdkError::NoPort));
    });
}
