//! The proxy between real sockets: pace, ends, resets, a second upstream, and a full pool.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

#[path = "../examples/handlers/proxy.rs"]
mod proxy;
#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use proxy::{Proxy, Role};
use support::{Client, End, PATIENCE, Random, Running, within};

const RECEIVE: usize = 4_096;
/// The listener, two pairs, and a slot that no second client gets.
const SLOTS: usize = 6;

fn start(upstreams: &[SocketAddr]) -> Running {
    let upstreams: &'static [SocketAddr] = upstreams.to_vec().leak();
    let make = || Proxy::new(upstreams, vec![[0; RECEIVE]; SLOTS].leak());
    Running::start_with_reserve::<_, SLOTS>(make, Role::Client, RECEIVE, 1)
}

fn upstream() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// A client of the proxy, and the upstream's end of its connection.
fn pair(server: &Running, upstream: &TcpListener) -> (Client, Client) {
    let client = server.connect();
    (client, Client::from(upstream.accept().unwrap().0))
}

/// An address that refuses.
fn nowhere() -> SocketAddr {
    upstream().1
}

#[test]
fn bytes_and_ends_go_both_ways() {
    let (listener, addr) = upstream();
    let server = start(&[addr]);
    let (mut client, mut other) = pair(&server, &listener);
    let bytes = Random::new().bytes(3_000_000);
    // Both send much at once, and read only then.
    let sent = bytes.clone();
    let mut to_upstream = client.stream.try_clone().unwrap();
    let one = thread::spawn(move || to_upstream.write_all(&sent).unwrap());
    let sent = bytes.clone();
    let mut to_client = other.stream.try_clone().unwrap();
    let two = thread::spawn(move || to_client.write_all(&sent).unwrap());
    assert!(other.take(bytes.len()) == bytes);
    assert!(client.take(bytes.len()) == bytes);
    one.join().unwrap();
    two.join().unwrap();
    // One direction ends, the other goes on.
    assert_eq!(client.finish().read(&mut []).unwrap(), 0);
    assert_eq!(other.rest(), (Vec::new(), End::Finished));
    other.send(&bytes).finish();
    assert!(client.rest() == (bytes, End::Finished));
    drop((client, other));
    assert_eq!(server.stop().in_use, 0);
}

/// The proxy does not read what it cannot hand on.
#[test]
fn a_slow_side_holds_up_the_fast_one() {
    let (listener, addr) = upstream();
    let server = start(&[addr]);
    let (client, mut other) = pair(&server, &listener);
    client.stream.set_nonblocking(true).unwrap();
    let chunk = vec![b'x'; 65_536];
    let (mut sent, mut quiet) = (0_usize, 0);
    // The kernel's buffers hold some megabytes; then nothing is taken for a while.
    while quiet < 100 {
        match (&client.stream).write(&chunk) {
            Ok(count) => (sent, quiet) = (sent + count, 0),
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                thread::sleep(Duration::from_millis(2));
                quiet += 1;
            }
        }
        assert!(sent < 64 << 20, "nobody holds it up");
    }
    drop(client);
    let (got, end) = other.rest();
    assert_eq!((got.len(), end), (sent, End::Finished));
    drop(other);
    server.stop();
}

#[test]
fn a_reset_goes_through() {
    let (listener, addr) = upstream();
    let server = start(&[addr]);
    for from_upstream in [false, true] {
        let (mut client, mut other) = pair(&server, &listener);
        client.send(b"hello");
        assert_eq!(other.take(5), b"hello");
        let (leaves, mut stays) = if from_upstream {
            (other, client)
        } else {
            (client, other)
        };
        // Closing with a byte unread resets.
        stays.send(b"!");
        leaves.stream.set_nonblocking(true).unwrap();
        within(PATIENCE, || leaves.stream.peek(&mut [0]).is_ok());
        drop(leaves);
        assert_eq!(stays.rest().1, End::Reset, "from upstream: {from_upstream}");
    }
    server.stop();
}

#[test]
fn a_second_upstream_stands_in() {
    let (listener, addr) = upstream();
    let server = start(&[nowhere(), addr]);
    let (mut client, mut other) = pair(&server, &listener);
    client.send(b"hello").finish();
    assert_eq!(other.rest(), (b"hello".to_vec(), End::Finished));
    drop((client, other));
    assert_eq!(server.stop().failed, 1);
    // With none at all the client is let go.
    let server = start(&[nowhere(), nowhere()]);
    assert_eq!(server.connect().rest().1, End::Reset);
    server.stop();
}

/// More clients than there is room for: those who are in get their upstream, also the second one
/// when the first fails, and those who wait get in when others leave.
#[test]
fn a_full_pool_serves_those_who_are_in() {
    let (listener, addr) = upstream();
    let server = start(&[nowhere(), addr]);
    let echo = thread::spawn(move || {
        for _ in 0..20 {
            let mut stream = listener.accept().unwrap().0;
            thread::spawn(move || {
                let mut chunk = [0; 1024];
                while let Ok(count @ 1..) = stream.read(&mut chunk) {
                    stream.write_all(chunk.get(..count).unwrap()).unwrap();
                }
            });
        }
    });
    let clients: Vec<_> = (0..20)
        .map(|_| TcpStream::connect(server.addr).unwrap())
        .collect();
    let mut served = 0;
    for stream in clients {
        let mut client = Client::from(stream);
        client.send(b"hello").finish();
        let (got, end) = client.rest();
        assert_eq!((&got[..], end), (&b"hello"[..], End::Finished));
        served += 1;
    }
    assert_eq!(served, 20);
    echo.join().unwrap();
    let stats = server.stop();
    assert_eq!((stats.accepted, stats.connected, stats.in_use), (20, 20, 0));
}
