//! What routes and ports of a host decide, in a network namespace of its own.
//!
//! Needs root, `unshare` and `ip` (Debian packages util-linux and iproute2); without them it says
//! that it was skipped.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::net::SocketAddr;
use std::process::Command;

use usockets::{Duration, Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_linux::Linux;

/// Connections that each test tries.
const TRIES: usize = 24;

#[derive(Default)]
struct Notes {
    opened: usize,
    errors: Vec<Error>,
}

impl<P: Platform> Handler<P> for Notes {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, opened: Opened<()>) {
        self.opened += usize::from(matches!(opened, Opened::Connected { .. }));
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), _: &mut [u8]) {}

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, (): (), error: Error) {
        self.errors.push(error);
    }
}

/// Runs this program's test `name` again in a namespace that `set_up` has made.
fn in_namespace(name: &str, set_up: &str) {
    let output = Command::new("unshare")
        .args(["--net", "sh", "-ec"])
        .arg(format!(
            "ip link set lo up\n{set_up}\nexec \"$0\" --exact \"$1\" --nocapture"
        ))
        .arg(std::env::current_exe().unwrap())
        .arg(name)
        .env("IN_NAMESPACE", "yes")
        .output();
    let skipped = match &output {
        Err(error) => Some(error.to_string()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr);
            let is_denied = said.contains("unshare failed") || said.contains("not found");
            is_denied.then(|| said.into_owned())
        }
    };
    if let Some(why) = skipped {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{why}");
        println!("skipped: no network namespace: {why}");
        return;
    }
    let output = output.unwrap();
    let ran = String::from_utf8_lossy(&output.stdout).contains("1 passed");
    assert!(ran && output.status.success(), "{output:?}");
}

fn is_inside() -> bool {
    std::env::var_os("IN_NAMESPACE").is_some()
}

/// Connects to each of `to`, and returns what came of it.
fn connect(to: &[Endpoint<'_>]) -> Notes {
    let mut sockets = Box::new(Sockets::<Linux, Notes, 64>::new());
    let mut buffer = [0; 64];
    let mut net = Loop::new(Linux::new().unwrap(), &mut sockets, &mut buffer);
    let mut notes = Notes::default();
    for to in to {
        if let Err(error) = net.net().connect(*to, ()) {
            notes.errors.push(error);
        }
    }
    let end = net.net().now().saturating_add(Duration::from_millis(500));
    while net.net().now() < end && notes.opened + notes.errors.len() < to.len() {
        net.poll(&mut notes, Some(end)).unwrap();
    }
    notes
}

/// A route that drops, one that refuses and one that does not exist are the way's faults, and come
/// as `on_connect_error`.
#[test]
fn a_route_that_refuses_is_unreachable() {
    if !is_inside() {
        return in_namespace(
            "a_route_that_refuses_is_unreachable",
            "ip addr add 10.9.0.1/24 dev lo\nip route add blackhole 10.8.0.0/24\n\
             ip route add prohibit 10.7.0.0/24\nip route add unreachable 10.6.0.0/24",
        );
    }
    for to in ["10.8.0.1:1", "10.7.0.1:1", "10.6.0.1:1", "10.5.0.1:1"] {
        let to: SocketAddr = to.parse().unwrap();
        let notes = connect(&[Endpoint::tcp(to)]);
        assert_eq!(notes.errors, [Error::Unreachable], "{to}");
    }
}

/// A source address without a port uses up one port per destination, not one altogether: with ten
/// ports, 24 connections to three destinations open.
#[test]
fn a_source_without_a_port_has_all_ports_for_each_destination() {
    if !is_inside() {
        return in_namespace(
            "a_source_without_a_port_has_all_ports_for_each_destination",
            "echo 40000 40009 > /proc/sys/net/ipv4/ip_local_port_range",
        );
    }
    let listeners: Vec<_> = (1_001..1_004)
        .map(|port| std::net::TcpListener::bind(("127.0.0.1", port)).unwrap())
        .collect();
    let source: SocketAddr = ([127, 0, 0, 1], 0).into();
    let to: Vec<_> = (0..TRIES)
        .map(|nth| listeners[nth % 3].local_addr().unwrap())
        .map(|addr| Endpoint::tcp(addr).source(source))
        .collect();
    let notes = connect(&to);
    assert_eq!((notes.opened, notes.errors), (TRIES, vec![]));
}
