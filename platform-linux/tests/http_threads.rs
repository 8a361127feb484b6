//! The HTTP server with a loop per thread: all of them serve, and all of them stop in order.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::process::Command;

#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use support::program::{Server, programs};
use support::{Client, End, within};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const STATS: &[u8] = b"GET /stats HTTP/1.1\r\nHost: a\r\n\r\n";
/// Of so many, the kernel's hash gives each of two threads some, but for one time in 2^99.
const CLIENTS: u32 = 100;

fn start(options: &[&str]) -> Server {
    Server::start_with("http_server", options)
}

/// Returns how many connections the loop of this client has accepted.
fn accepted(client: &mut Client) -> u32 {
    let response = client.send(STATS).response();
    let body = String::from_utf8(response.body).unwrap();
    let line = body.lines().find_map(|line| line.strip_prefix("accepted "));
    line.unwrap().parse().unwrap()
}

/// Connects clients and returns them by the number that their loop accepted.
fn connect(server: &Server) -> BTreeMap<u32, Vec<Client>> {
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::connect(server.addr)).collect();
    for client in &mut clients {
        assert_eq!(client.send(REQUEST).response().status(), 200);
    }
    let mut loops = BTreeMap::<_, Vec<_>>::new();
    for mut client in clients {
        loops.entry(accepted(&mut client)).or_default().push(client);
    }
    loops
}

fn both_threads_serve(options: &[&str]) {
    let server = start(options);
    let loops = connect(&server);
    let shares: Vec<_> = loops.keys().copied().collect();
    println!("{options:?}: {shares:?}");
    // A loop of half of them is one entry with all.
    let sum = match &shares[..] {
        [half] => half * 2,
        shares => shares.iter().sum(),
    };
    assert_eq!(sum, CLIENTS, "{shares:?}");
    assert!(shares.len() <= 2);
    server.signal("TERM");
    for mut client in loops.into_values().flatten() {
        assert_eq!(client.rest().1, End::Finished);
    }
    assert_eq!(server.wait(), (Some(0), String::new()));
}

#[test]
fn connections_are_spread_over_two_threads() {
    both_threads_serve(&["--threads", "2"]);
}

/// Where a processor's own connections come to it, all of them may come to one: which one, the
/// kernel says.
#[test]
fn pinned_threads_serve() {
    let server = start(&["--threads", "2", "--pin"]);
    let loops = connect(&server);
    println!("{:?}", loops.keys().collect::<Vec<_>>());
    server.signal("INT");
    for mut client in loops.into_values().flatten() {
        assert_eq!(client.rest().1, End::Finished);
    }
    assert_eq!(server.wait(), (Some(0), String::new()));
}

/// What had reached the server when it was asked to stop is answered by every thread: on open
/// connections, and on those that wait to be accepted.
#[test]
fn every_thread_drains() {
    let server = start(&["--threads", "3"]);
    let mut clients: Vec<_> = connect(&server).into_values().flatten().collect();
    server.signal("STOP");
    for client in &mut clients {
        client.send(REQUEST);
    }
    clients.extend((0..CLIENTS).map(|_| {
        let mut client = Client::connect(server.addr);
        client.send(REQUEST);
        client
    }));
    server.signal("TERM");
    server.signal("CONT");
    for (mut client, index) in clients.into_iter().zip(0..) {
        let (got, end) = client.rest();
        assert_eq!(end, End::Finished, "client {index}");
        assert!(got.starts_with(b"HTTP/1.1 200 "), "client {index}");
    }
    assert_eq!(server.wait(), (Some(0), String::new()));
}

/// A second signal does not wait for those who take their time.
#[test]
fn a_second_signal_stops_all_threads_at_once() {
    let server = start(&["--threads", "2"]);
    let slow: Vec<_> = (0..20)
        .map(|_| {
            let mut client = Client::connect(server.addr);
            client.send(b"GET /bytes/99999999 HTTP/1.1\r\nHost: a\r\n\r\n");
            client.take(1_000);
            client
        })
        .collect();
    server.signal("TERM");
    within(std::time::Duration::from_secs(5), || {
        std::net::TcpStream::connect(server.addr).is_err()
    });
    let since = std::time::Instant::now();
    server.signal("TERM");
    assert_eq!(server.wait(), (Some(0), String::new()));
    assert!(since.elapsed() < std::time::Duration::from_secs(5));
    drop(slow);
}

#[test]
fn a_wrong_number_of_threads_is_told() {
    for wrong in [
        &["--threads"][..],
        &["--threads", "0"],
        &["--threads", "257"],
        &["--threads", "two"],
    ] {
        let output = Command::new(programs().join("http_server"))
            .args(wrong)
            .output();
        let output = output.unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{wrong:?}");
        assert!(said.contains("not a number from 1 to 256"), "{said}");
    }
    let output = Command::new(programs().join("http_server"))
        .arg("--thread")
        .output();
    let said = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(said.contains("usage"), "{said}");
}

/// Without the option the port is the server's own: a second server is told.
#[test]
fn one_thread_does_not_share_its_port() {
    let first = start(&[]);
    let second = Command::new(programs().join("http_server"))
        .args([&first.addr.to_string(), "--threads", "2"])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("address in use"));
}
