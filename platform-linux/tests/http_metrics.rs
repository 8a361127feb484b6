//! The page of numbers of the HTTP server: counters of each loop, and how long iterations took.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};

#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use support::program::programs;
use support::{Client, End, PATIENCE, within};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

struct Running {
    child: Child,
    addr: SocketAddr,
    metrics: SocketAddr,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(threads: &str) -> Running {
    let mut child = Command::new(programs().join("http_server"))
        .args([
            "127.0.0.1:0",
            "--metrics",
            "127.0.0.1:0",
            "--threads",
            threads,
        ])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    output.read_line(&mut line).unwrap();
    let addr = line.trim_end().strip_prefix("listening on ").unwrap();
    let addr = addr.parse().unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    said.read_line(&mut line).unwrap();
    let at = line.trim_end().strip_prefix("metrics on http://").unwrap();
    let metrics = at.strip_suffix("/metrics").unwrap().parse().unwrap();
    Running {
        child,
        addr,
        metrics,
    }
}

/// Asks for the page.
fn page(server: &Running) -> String {
    let mut client = Client::connect(server.metrics);
    // In two parts, as a slow client's.
    client.send(b"GET /metrics HTTP/1.1\r\n");
    client.send(b"Host: a\r\n\r\n");
    let response = client.response();
    assert_eq!(response.status(), 200);
    let kind = response.field("content-type");
    assert_eq!(kind, Some("text/plain; version=0.0.4"));
    assert_eq!(client.rest().1, End::Finished);
    String::from_utf8(response.body).unwrap()
}

/// Sums the values of a metric over all loops.
fn sum(page: &str, name: &str) -> f64 {
    let lines = page.lines().filter_map(|line| line.strip_prefix(name));
    let values = lines.filter(|rest| rest.starts_with('{')).map(|rest| {
        let value: f64 = rest.rsplit(' ').next().unwrap().parse().unwrap();
        value
    });
    values.sum()
}

fn numbers_are_told(threads: &str) {
    let server = start(threads);
    let mut clients: Vec<_> = (0..20).map(|_| Client::connect(server.addr)).collect();
    for client in &mut clients {
        for _ in 0..5 {
            assert_eq!(client.send(REQUEST).response().status(), 200);
        }
    }
    drop(clients);
    within(PATIENCE, || {
        // A loop tells its numbers when it has something to do.
        drop(Client::connect(server.addr));
        let page = page(&server);
        sum(&page, "usockets_requests_total") >= 100.0
            && sum(&page, "usockets_open_connections") <= 1.0
    });
    let page = page(&server);
    println!("{page}");
    assert!((sum(&page, "usockets_requests_total") - 100.0).abs() < 0.5);
    assert!(sum(&page, "usockets_accepted_total") >= 20.0);
    assert!(sum(&page, "usockets_sent_bytes_total") > 100.0 * 100.0);
    let loops: usize = threads.parse().unwrap();
    let all = page
        .lines()
        .filter(|line| line.starts_with("usockets_iteration_seconds_bucket"));
    assert_eq!(all.clone().count(), 12 * loops);
    // Counts grow with their bounds, up to that of all.
    let last = format!("loop=\"{}\"", loops - 1);
    let counts: Vec<u64> = all
        .filter(|line| line.contains(&last))
        .map(|line| line.rsplit(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(counts.is_sorted(), "{counts:?}");
    let count = sum(&page, "usockets_iteration_seconds_count");
    assert!(count >= 20.0 && sum(&page, "usockets_iteration_seconds_sum") > 0.0);
    // Every metric is described once.
    let described = page.lines().filter(|line| line.starts_with("# TYPE "));
    assert_eq!(described.count(), 14);
}

#[test]
fn one_loop_tells_its_numbers() {
    numbers_are_told("1");
}

#[test]
fn each_of_two_loops_tells_its_numbers() {
    numbers_are_told("2");
}

#[test]
fn nothing_else_is_there() {
    let mut server = start("1");
    let mut client = Client::connect(server.metrics);
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 404);
    // A head without an end is given up.
    let mut client = Client::connect(server.metrics);
    while client.try_send(&[b'a'; 1_024]) {}
    drop(client);
    let id = server.child.id().to_string();
    assert!(Command::new("kill").arg(&id).status().unwrap().success());
    let mut code = None;
    within(PATIENCE, || {
        code = server.child.try_wait().unwrap();
        code.is_some()
    });
    assert_eq!(code.unwrap().code(), Some(0));
}
