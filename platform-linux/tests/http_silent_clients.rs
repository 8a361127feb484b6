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

use support::Client;
use support::program::Server;

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
