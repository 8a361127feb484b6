//! The program `udp_echo`, as a user runs it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::net::{SocketAddr, UdpSocket};
use std::process::Command;

#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use support::program::{Server, programs};
use support::{PATIENCE, has_ipv6, restarted};

/// A client whose receives end in the end.
fn client(at: &str, server: SocketAddr) -> UdpSocket {
    let client = UdpSocket::bind(at).unwrap();
    client.connect(server).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

/// Receives one datagram.
fn take(client: &UdpSocket) -> Vec<u8> {
    let mut buffer = [0; 4_096];
    let received = restarted(|| client.recv(&mut buffer)).unwrap();
    buffer[..received].to_vec()
}

#[test]
fn what_is_sent_comes_back() {
    let server = Server::start("udp_echo");
    let client = client("127.0.0.1:0", server.addr);
    let long = [b'x'; 2_048];
    for message in [&b"hello"[..], b"", b"y", &long] {
        client.send(message).unwrap();
        assert_eq!(take(&client), message);
    }
}

/// The answer comes from the address that was asked, on sockets of both families.
#[test]
fn both_families_are_answered_from_the_address_asked() {
    if !has_ipv6() {
        return;
    }
    let only = Server::start_at("udp_echo", "[::1]:0");
    let direct = client("[::1]:0", only.addr);
    direct.send(b"six").unwrap();
    assert_eq!(take(&direct), b"six");
    // A client that has a fixed peer receives from no other address.
    let both = Server::start_at("udp_echo", "[::]:0");
    for (from, to) in [("[::1]:0", "::1"), ("127.0.0.1:0", "127.0.0.9")] {
        let asked = SocketAddr::new(to.parse().unwrap(), both.addr.port());
        let client = client(from, asked);
        client.send(to.as_bytes()).unwrap();
        assert_eq!(take(&client), to.as_bytes());
    }
}

/// What is too long is not echoed in part, and those around it are.
#[test]
fn a_datagram_that_is_too_long_is_left_out() {
    let server = Server::start("udp_echo");
    let client = client("127.0.0.1:0", server.addr);
    server.signal("STOP");
    for message in [&b"before"[..], &[b'x'; 2_049], &[b'x'; 9_000], b"after"] {
        client.send(message).unwrap();
    }
    server.signal("CONT");
    assert_eq!(take(&client), b"before");
    assert_eq!(take(&client), b"after");
}

/// An echo to a port that is closed meanwhile comes back as an error, and others are served.
#[test]
fn an_error_that_comes_back_stops_nothing() {
    let server = Server::start("udp_echo");
    for round in 0..3 {
        server.signal("STOP");
        for _ in 0..10 {
            let gone = client("127.0.0.1:0", server.addr);
            gone.send(b"lost").unwrap();
        }
        let client = client("127.0.0.1:0", server.addr);
        client.send(&[round]).unwrap();
        server.signal("CONT");
        assert_eq!(take(&client), [round]);
        client.send(b"again").unwrap();
        assert_eq!(take(&client), b"again");
    }
}

/// As many as one batch holds, and more than one, from several clients: each comes back to the
/// client that sent it, in order.
#[test]
fn many_at_once_come_back_in_order() {
    let server = Server::start("udp_echo");
    for count in [64_u8, 65, 150] {
        let clients = [(); 2].map(|()| client("127.0.0.1:0", server.addr));
        server.signal("STOP");
        for number in 0..count {
            clients[usize::from(number % 2)].send(&[number]).unwrap();
        }
        server.signal("CONT");
        for number in 0..count {
            assert_eq!(take(&clients[usize::from(number % 2)]), [number]);
        }
    }
}

#[test]
fn it_says_one_line_and_stops_on_signals() {
    for signal in ["INT", "TERM"] {
        let server = Server::start("udp_echo");
        let client = client("127.0.0.1:0", server.addr);
        client.send(b"x").unwrap();
        assert_eq!(take(&client), b"x");
        server.signal(signal);
        assert_eq!(server.wait(), (Some(0), String::new()), "{signal}");
    }
}

#[test]
fn what_is_wrong_is_told_in_words() {
    let taken = Server::start("udp_echo");
    let addr = taken.addr.to_string();
    for (argument, words) in [
        ("here", "not an address"),
        (addr.as_str(), "in use"),
        ("192.0.2.1:1", "192.0.2.1:1"),
    ] {
        let program = programs().join("udp_echo");
        let output = Command::new(program).arg(argument).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert_eq!(output.stdout, b"");
        assert!(told.contains(argument) && told.contains(words), "{told}");
    }
}
