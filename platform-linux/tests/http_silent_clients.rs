//! Clients that connect and say nothing do not keep the HTTP server from serving others.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};

#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use support::program::{Server, programs};
use support::{Client, PATIENCE, within};

/// More than the server's pool has slots.
const SILENT: usize = 4_200;
/// Descriptors besides.
const SPARE: u64 = 64;

#[test]
fn more_silent_clients_than_slots_do_not_stop_it() {
    let mut limit = getrlimit(Resource::Nofile);
    let wanted = u64::try_from(SILENT).unwrap() + SPARE;
    if limit.maximum.is_some_and(|max| max < wanted) {
        assert!(std::env::var_os("CI").is_none(), "`ulimit -Hn` is too low");
        println!("skipped: `ulimit -Hn` is below {wanted}");
        return;
    }
    limit.current = limit.maximum.or(Some(wanted));
    setrlimit(Resource::Nofile, limit).unwrap();
    let server = Server::start("http_server");
    let mut silent = Vec::new();
    for _ in 0..SILENT {
        silent.push(TcpStream::connect(server.addr).unwrap());
    }
    let since = Instant::now();
    let mut client = Client::connect(server.addr);
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    let took = since.elapsed();
    assert!(took < Duration::from_secs(10), "served after {took:?}");
}

/// The same where descriptors are out before slots are.
#[test]
fn more_silent_clients_than_descriptors_do_not_stop_it() {
    let addr = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let mut server = std::process::Command::new("sh");
    server.args(["-c", "ulimit -n 60; exec \"$0\" \"$1\""]);
    server.arg(programs().join("http_server"));
    server
        .arg(addr.to_string())
        .stdout(std::process::Stdio::null());
    let mut server = server.stderr(std::process::Stdio::null()).spawn().unwrap();
    within(PATIENCE, || TcpStream::connect(addr).is_ok());
    let silent: Vec<_> = (0..100)
        .map(|_| TcpStream::connect(addr).unwrap())
        .collect();
    for _ in 0..20 {
        let since = Instant::now();
        let mut client = Client::connect(addr);
        client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(client.response().status(), 200);
        let took = since.elapsed();
        assert!(took < Duration::from_secs(5), "served after {took:?}");
    }
    drop(silent);
    server.kill().unwrap();
    server.wait().unwrap();
}
