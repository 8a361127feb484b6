//! The echo server for datagrams, as the example has it, on the stack, against the kernel's UDP
//! across a TAP in a namespace of its own. Every byte is compared.
#![cfg(target_os = "linux")]

#[path = "../../platform-linux/examples/handlers/datagram_echo.rs"]
mod datagram_echo;

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use datagram_echo::{BATCH, DatagramEcho};
use usockets::{Loop, Platform, Sockets};
use usockets_smoltcp::{DatagramMemory, DatagramSlot};
use usockets_tests::restart::restarted;
use usockets_tests::smoltcp::kernel::{Link, Losses, STACK, in_namespace, stack};
use usockets_tests::smoltcp::{leak, pattern, v6};

/// Asks for what is sent again and again, in datagrams of every kind of length, and the port of
/// nobody once.
fn ask(to: SocketAddr) {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    socket.connect(to).unwrap();
    let most = if to.is_ipv4() { 1_472 } else { 1_452 };
    let mut back = [0; 2_000];
    for len in (0..most).step_by(97).chain([1, most]) {
        let bytes = pattern(len, len as u64);
        socket.send(&bytes).unwrap();
        let got = restarted(|| socket.recv(&mut back)).unwrap();
        assert!(back[..got] == bytes, "{len} bytes to {to}");
    }
    // Many at once come back, in order.
    for round in 0..200_u16 {
        socket.send(&round.to_be_bytes()).unwrap();
    }
    for round in 0..200_u16 {
        assert_eq!(restarted(|| socket.recv(&mut back)).unwrap(), 2);
        assert_eq!(back[..2], round.to_be_bytes());
    }
    // The kernel believes the stack's ICMP: nobody is there.
    socket.connect(SocketAddr::new(to.ip(), 9)).unwrap();
    socket.send(b"x").unwrap();
    let refused = restarted(|| socket.recv(&mut back)).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
}

fn echo(offload: bool) {
    in_namespace(move || {
        let link = if offload { Link::TapOffload } else { Link::Tap };
        let mut net = stack(link, &[], Losses::default());
        let memory = DatagramMemory {
            sockets: leak(1, || DatagramSlot::EMPTY),
            buckets: leak(1, || 0),
            received: leak(400_000, || 0),
            held: leak(4_096, || 0),
        };
        net.start_datagrams(memory).unwrap();
        let mut memory = vec![0; BATCH * 1_500];
        let mut sockets = Sockets::<_, DatagramEcho<'_>, 1>::new();
        let mut buffer = [0; 1];
        let mut server = Loop::new(net, &mut sockets, &mut buffer);
        let at = SocketAddr::from(([0_u16; 8], 7));
        server.net().bind(at.into(), ()).unwrap();
        let done = Arc::new(AtomicBool::new(false));
        let told = done.clone();
        let client = thread::spawn(move || {
            ask(SocketAddr::from((STACK, 7)));
            ask(v6(2, 7));
            told.store(true, Ordering::Relaxed);
        });
        let mut echo = DatagramEcho::new(&mut memory);
        while !done.load(Ordering::Relaxed) && !client.is_finished() {
            let now = server.platform().now();
            let until = now.saturating_add(Duration::from_millis(20));
            server.poll(&mut echo, Some(until)).unwrap();
        }
        client.join().unwrap();
        assert_eq!(server.platform().counters().datagrams_dropped, 0);
    });
}

#[test]
fn kernel_clients_get_every_datagram_back() {
    echo(false);
}

#[test]
fn kernel_clients_get_every_datagram_back_with_offload() {
    echo(true);
}
