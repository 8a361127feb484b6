//! The echo server's handler against real sockets.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::net::Shutdown;
use std::thread;
use std::time::{Duration, Instant};

#[path = "../examples/handlers/echo.rs"]
mod echo;
#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use echo::EchoServer;
use support::{End, Random, Running, within};

const HELD: usize = 4096;

/// Starts a server with `N` slots.
fn start_with<const N: usize>() -> Running {
    let make = || EchoServer::new(vec![[0; HELD]; N].leak());
    Running::start::<EchoServer<'_, HELD>, N>(make, (), HELD)
}

fn start() -> Running {
    start_with::<16>()
}

#[test]
fn everything_comes_back() {
    let server = start();
    let bytes = Random::new().bytes(3_000_000);
    let mut client = server.connect();
    let mut sender = client.stream.try_clone().unwrap();
    let sent = bytes.clone();
    let sending = thread::spawn(move || {
        use std::io::Write;
        sender.write_all(&sent).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let (got, end) = client.rest();
    sending.join().unwrap();
    assert!(got == bytes, "{} of {} bytes", got.len(), bytes.len());
    assert_eq!(end, End::Finished);
    server.stop();
}

/// The peer's end arrives while bytes are held: they come first.
#[test]
fn what_is_held_outlives_the_peers_end() {
    let server = start();
    let mut client = server.connect();
    let bytes = Random::new().bytes(65_536);
    client.stream.set_nonblocking(true).unwrap();
    // Nothing is read here, so that the server is soon full and stops reading.
    let mut sent = Vec::new();
    let mut stuck_since = Instant::now();
    while stuck_since.elapsed() < Duration::from_millis(300) {
        use std::io::Write;
        match client.stream.write(&bytes) {
            Ok(count) => {
                sent.extend_from_slice(&bytes[..count]);
                stuck_since = Instant::now();
            }
            Err(_) => thread::yield_now(),
        }
    }
    client.stream.set_nonblocking(false).unwrap();
    client.finish();
    let (got, end) = client.rest();
    assert!(got == sent, "{} of {} bytes", got.len(), sent.len());
    assert_eq!(end, End::Finished);
    server.stop();
}

#[test]
fn a_peer_that_does_not_read_holds_up_nobody() {
    let server = start();
    let mut greedy = Vec::new();
    let bytes = vec![7; 65_536];
    for _ in 0..8 {
        let client = server.connect();
        client.stream.set_nonblocking(true).unwrap();
        let mut stuck_since = Instant::now();
        while stuck_since.elapsed() < Duration::from_millis(20) {
            use std::io::Write;
            if (&client.stream).write(&bytes).is_ok() {
                stuck_since = Instant::now();
            }
        }
        greedy.push(client);
    }
    let mut client = server.connect();
    let start = Instant::now();
    for round in 0..1000_u32 {
        let message = round.to_le_bytes();
        assert_eq!(client.send(&message).take(4), message);
    }
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    server.stop();
}

#[test]
fn peers_that_vanish_leave_nothing() {
    let server = start();
    let mut random = Random::new();
    let bytes = random.bytes(100_000);
    // More than the pool has slots, so that a leak would end in a server that does not answer.
    for round in 0..200 {
        let mut client = server.connect();
        client.try_send(&bytes[..random.below(bytes.len())]);
        if round % 2 == 0 {
            client.stream.shutdown(Shutdown::Both).unwrap();
        }
    }
    let mut client = server.connect();
    assert_eq!(client.send(b"still there").take(11), b"still there");
    let stats = server.stop();
    assert_eq!((stats.open, stats.in_use, stats.accepted), (0, 0, 201));
}

#[test]
fn a_full_pool_lets_peers_wait() {
    let server = start_with::<3>();
    let mut first = server.connect();
    let mut second = server.connect();
    first.send(b"1").take(1);
    second.send(b"2").take(1);
    let mut third = server.connect();
    third.send(b"3");
    third.stream.set_nonblocking(true).unwrap();
    assert!(third.stream.peek(&mut [0]).is_err());
    drop(first);
    third.stream.set_nonblocking(false).unwrap();
    assert_eq!(third.take(1), b"3");
    assert!(server.stop().pauses > 0);
}

#[test]
fn stopping_closes_everything() {
    let server = start();
    let mut client = server.connect();
    client.send(b"x").take(1);
    let addr = server.addr;
    server.ask_to_stop();
    assert_eq!(client.rest(), (Vec::new(), End::Finished));
    assert_eq!(server.join().in_use, 0);
    within(support::PATIENCE, || {
        std::net::TcpStream::connect(addr).is_err()
    });
}
