//! A port of `net_af_packet` on one end of a veth, whose other end the kernel has.
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

use std::time::{Duration, Instant};

use support::{
    STACK, Server, address, command, eal, echo_client, echo_for_kernel, echo_from_kernel,
    in_namespace, pattern, pool, stack,
};
use usockets_dpdk::{Pool, Port, PortOptions};
use usockets_smoltcp::PollDevice;

/// Makes a veth with a port on its end `NAMEb`, and the kernel's addresses on `NAMEa`.
fn veth(name: &str) -> &'static Port<'static> {
    command(&format!("ip link add {name}a type veth peer name {name}b"));
    // The kernel would send frames longer than a packet of the driver's ring.
    command(&format!("ip link set {name}a gso_max_segs 1"));
    command(&format!("ip link set {name}b addrgenmode none up"));
    address(&format!("{name}a"));
    let device = format!("net_af_packet_{name}");
    eal().attach(&format!("{device},iface={name}b")).unwrap();
    // The other end of a veth leaves checksums to nobody.
    let options = PortOptions::DEFAULT
        .promiscuous(true)
        .trusts_checksums(true);
    let port = Port::open(eal(), &device, &[pool(4_096, Pool::ROOM)], &options).unwrap();
    Box::leak(Box::new(port))
}

#[test]
fn the_kernels_clients_are_served() {
    in_namespace(|| {
        let port = veth("us0");
        let device = port.device(0).unwrap();
        assert!(!device.capabilities().fills, "the driver has no checksums");
        let mut server = Server::new(stack(device, 2));
        echo_for_kernel(&mut server, 6, 300_000);
        let counted = server.looped.platform_mut().device_mut().counters();
        assert!(counted.received > 100 && counted.sent > 100, "{counted:?}");
    });
}

#[test]
fn a_client_reaches_the_kernels_server() {
    in_namespace(|| {
        let port = veth("us1");
        echo_from_kernel(stack(port.device(0).unwrap(), 2), 2_000_000);
    });
}

/// While the link is down the driver frees frames that it says it has not sent: they are counted,
/// freed once, and sent again by TCP.
#[test]
fn frames_that_are_lost_on_a_link_that_is_down_are_sent_again() {
    in_namespace(|| {
        let pool = pool(4_096, Pool::ROOM);
        command("ip link add us2a type veth peer name us2b");
        command("ip link set us2a gso_max_segs 1");
        command("ip link set us2b addrgenmode none up");
        address("us2a");
        eal().attach("net_af_packet_us2,iface=us2b").unwrap();
        let options = PortOptions::DEFAULT
            .promiscuous(true)
            .trusts_checksums(true);
        let port = Port::open(eal(), "net_af_packet_us2", &[pool], &options).unwrap();
        let port: &'static Port<'static> = Box::leak(Box::new(port));
        let mut server = Server::new(stack(port.device(0).unwrap(), 2));
        let bytes = pattern(8_000_000, 7);
        let client = echo_client((STACK, 7).into(), bytes.clone());
        server.serve_frames(300);
        let free = pool.free_count();
        command("ip link set us2b down");
        server.serve_counted(|counted| counted.dropped > 0);
        command("ip link set us2b up");
        server.serve_until(|| client.is_finished());
        assert!(client.join().unwrap() == bytes);
        // Nothing was lost from the pool, and nothing freed twice.
        let start = Instant::now();
        server.serve_until(|| start.elapsed() > Duration::from_millis(50));
        let now = pool.free_count();
        assert!(
            now.abs_diff(free) <= 192 && now <= 4_096,
            "{free} and {now}"
        );
    });
}
