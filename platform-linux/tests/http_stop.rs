//! The HTTP server asked to stop: every request that had reached it is answered, and no client sees
//! a reset.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::io::{ErrorKind, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use support::program::Server;
use support::{Client, End, PATIENCE, within};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
/// More than one wait of the loop reports.
const CLIENTS: usize = 300;

/// Starts a server, which stands still while `clients` sends requests, and is then asked to stop.
/// Each client gets an answer and a FIN.
fn all_are_answered(clients: impl FnOnce(&Server) -> Vec<Client>) {
    let server = Server::start("http_server");
    let clients = clients(&server);
    server.signal("TERM");
    server.signal("CONT");
    let count = clients.len();
    let (mut answered, mut told) = (0, 0);
    for (index, mut client) in clients.into_iter().enumerate() {
        let (got, end) = client.rest();
        let text = String::from_utf8_lossy(&got);
        assert_eq!(end, End::Finished, "client {index} got {text:?}");
        if text.starts_with("HTTP/1.1 200 ") {
            // The first ones may be answered before the loop learns of the signal.
            told += u32::from(text.contains("\r\nConnection: close\r\n"));
            answered += 1;
        } else {
            assert_eq!(text, "", "client {index}");
        }
    }
    assert_eq!(answered, count, "requests that had reached the server");
    println!("{told} of {count} were told that the connection closes");
    assert_eq!(server.wait(), (Some(0), String::new()));
}

#[test]
fn requests_on_open_connections_are_answered() {
    all_are_answered(|server| {
        let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::connect(server.addr)).collect();
        for client in &mut clients {
            assert_eq!(client.send(REQUEST).response().status(), 200);
        }
        server.signal("STOP");
        for client in &mut clients {
            client.send(REQUEST);
        }
        clients
    });
}

#[test]
fn clients_that_wait_to_be_accepted_are_served() {
    all_are_answered(|server| {
        server.signal("STOP");
        let clients = (0..CLIENTS).map(|_| {
            let mut client = Client::connect(server.addr);
            client.send(REQUEST);
            client
        });
        clients.collect()
    });
}

/// Clients that ask one request after the other, in a closed loop, when the server stops: each
/// request is answered or meets a FIN.
#[test]
fn no_client_in_a_closed_loop_sees_a_reset() {
    let server = Server::start("http_server");
    let addr = server.addr;
    let stopping = AtomicBool::new(false);
    thread::scope(|scope| {
        let stopping = &stopping;
        let clients: Vec<_> = (0..20)
            .map(|_| {
                let mut client = Client::connect(addr);
                assert_eq!(client.send(REQUEST).response().status(), 200);
                scope.spawn(move || ask_until_closed(&mut client, stopping))
            })
            .collect();
        thread::sleep(Duration::from_millis(50));
        stopping.store(true, Ordering::Relaxed);
        server.signal("TERM");
        for client in clients {
            client.join().unwrap();
        }
    });
    assert_eq!(server.wait(), (Some(0), String::new()));
}

/// Asks again and again until the server says that it closes, or ends the connection before
/// anything of an answer.
fn ask_until_closed(client: &mut Client, stopping: &AtomicBool) {
    loop {
        let sent = client.stream.write_all(REQUEST);
        let mut answer = Vec::new();
        let mut chunk = [0; 1024];
        while !answer.ends_with(b"usockets!\n") {
            let count = match client.read(&mut chunk) {
                Ok(count) => count,
                Err(error) => panic!("{error}, sent: {sent:?}"),
            };
            answer.extend_from_slice(&chunk[..count]);
            if count == 0 {
                assert!(
                    stopping.load(Ordering::Relaxed),
                    "closed before it was asked to"
                );
                assert_eq!(answer, b"", "an answer was cut");
                return;
            }
        }
        if String::from_utf8_lossy(&answer).contains("\r\nConnection: close\r\n") {
            assert!(matches!(client.read(&mut chunk), Ok(0)));
            return;
        }
    }
}

/// A request that crosses the server's FIN is dropped, and causes no reset.
#[test]
fn a_request_too_late_meets_a_fin() {
    let server = Server::start("http_server");
    let mut client = Client::connect(server.addr);
    assert_eq!(client.send(REQUEST).response().status(), 200);
    server.signal("TERM");
    within(PATIENCE, || {
        std::net::TcpStream::connect(server.addr).is_err()
    });
    // The server does not listen any more, so that it has sent its FIN.
    thread::sleep(Duration::from_millis(20));
    client.send(REQUEST).finish();
    let mut got = Vec::new();
    match client.stream.read_to_end(&mut got) {
        Ok(_) => assert_eq!(got, b""),
        Err(error) => assert_ne!(error.kind(), ErrorKind::ConnectionReset),
    }
    assert_eq!(server.wait(), (Some(0), String::new()));
}
