//! Going over from HTTP to a line echo, against real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

#[allow(dead_code, reason = "the greater part of it is for `http_server`")]
#[path = "../examples/handlers/http/mod.rs"]
mod http;
#[path = "../examples/handlers/lines.rs"]
mod lines;
#[allow(dead_code, reason = "each test crate uses its part")]
mod support;
#[path = "../examples/handlers/upgrade.rs"]
mod upgrade;

use http::date::WallClock;
use http::memory::Store;
use http::service::Service;
use support::{End, Running};
use upgrade::{Kind, Upgrading, route};

const IN: usize = 4096;
const ASK: &[u8] =
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, Upgrade\r\nUpgrade: h2c, Line-Echo\r\n\r\n";

fn start() -> Running {
    let make = || {
        let store = Box::leak(Box::new(Store::<IN, 1024, 8>::new()));
        Upgrading::new(Service::new(route, WallClock(|| None)), store)
    };
    Running::start::<_, 8>(make, Kind::Http, IN / 2)
}

#[test]
fn a_request_upgrades_the_connection() {
    let server = start();
    let mut client = server.connect();
    let first = client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").response();
    assert_eq!(first.status(), 200);
    let response = client.send(ASK).response();
    assert_eq!(response.status(), 101);
    assert_eq!(response.field("upgrade"), Some("line-echo"));
    assert_eq!(response.field("connection"), Some("Upgrade"));
    client.send(b"one\ntw");
    assert_eq!(client.take(4), b"one\n");
    client.send(b"o\n\nrest");
    assert_eq!(client.take(5), b"two\n\n");
    assert_eq!(client.finish().rest(), (b"rest".to_vec(), End::Finished));
    server.stop();
}

/// What comes in the same segment as the request belongs to the new protocol.
#[test]
fn nothing_is_lost_on_the_way_over() {
    let server = start();
    let mut all = ASK.to_vec();
    all.extend_from_slice(b"first\nsecond\nGET / HTTP/1.1\n");
    for step in [1, 7, 50, all.len()] {
        let mut client = server.connect();
        for part in all.chunks(step) {
            client.send(part);
        }
        assert_eq!(client.response().status(), 101, "step {step}");
        let (rest, end) = client.finish().rest();
        assert_eq!(rest, b"first\nsecond\nGET / HTTP/1.1\n", "step {step}");
        assert_eq!(end, End::Finished);
    }
    server.stop();
}

#[test]
fn only_what_is_asked_for_is_agreed_to() {
    let server = start();
    for ask in [
        "GET / HTTP/1.1\r\nHost: a\r\nUpgrade: line-echo\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.0\r\nConnection: upgrade, keep-alive\r\nUpgrade: line-echo\r\n\r\n",
    ] {
        let mut client = server.connect();
        assert_eq!(
            client.send(ask.as_bytes()).response().status(),
            200,
            "{ask}"
        );
    }
    server.stop();
}

#[test]
fn many_lines_to_a_peer_that_reads_late() {
    let server = start();
    let mut client = server.connect();
    assert_eq!(client.send(ASK).response().status(), 101);
    let line = b"0123456789012345678901234567890123456789\n".repeat(50_000);
    let mut sender = client.stream.try_clone().unwrap();
    let sent = line.clone();
    let sending = std::thread::spawn(move || {
        use std::io::Write;
        sender.write_all(&sent).unwrap();
        sender.shutdown(std::net::Shutdown::Write).unwrap();
    });
    let (got, end) = client.rest();
    sending.join().unwrap();
    assert!(got == line, "{} of {} bytes", got.len(), line.len());
    assert_eq!(end, End::Finished);
    server.stop();
}

#[test]
fn a_line_without_an_end_is_refused() {
    let server = start();
    let mut client = server.connect();
    assert_eq!(client.send(ASK).response().status(), 101);
    client.try_send(&[b'x'; IN]);
    assert_eq!(client.rest().0, b"");
    let stats = server.stop();
    assert_eq!(stats.in_use, 0);
}
