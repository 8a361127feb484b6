//! Slow clients, vanishing clients, and stopping the HTTP server.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

#[allow(dead_code, reason = "each test crate uses its part")]
#[path = "../examples/handlers/http/mod.rs"]
mod http;
#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use http::date::WallClock;
use http::memory::{Memory, Store};
use http::pattern::PATTERN;
use http::routes::route;
use http::server::{Group, Server};
use http::service::{Limits, Service};
use support::{Client, End, PATIENCE, Random, Running, within};

const IN: usize = 4096;
const OUT: usize = 2048;
const SLOTS: usize = 16;
/// One of the limits, when it is short, and what is surely within it.
const SHORT: Duration = Duration::from_millis(600);
const SOON: Duration = Duration::from_millis(200);

fn start(change: impl FnOnce(&mut Limits) + Send + 'static) -> Running {
    let make = || {
        let mut service = Service::new(route, WallClock(|| None));
        change(&mut service.limits);
        Server::new(service, Box::leak(Box::new(Store::<IN, OUT, SLOTS>::new())))
    };
    Running::start::<_, SLOTS>(make, Group::Listener, Memory::<IN, OUT>::RECEIVE_MAX)
}

fn pattern(count: usize) -> Vec<u8> {
    PATTERN.iter().copied().cycle().take(count).collect()
}

fn ask(client: &mut Client, target: &str) {
    client.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n").as_bytes());
}

#[test]
fn an_idle_connection_is_closed_without_a_word() {
    let server = start(|limits| limits.idle = SHORT);
    let mut client = server.connect();
    ask(&mut client, "/");
    assert_eq!(client.response().status(), 200);
    let since = Instant::now();
    assert_eq!(client.rest(), (Vec::new(), End::Finished));
    assert!(since.elapsed() >= SOON, "{:?}", since.elapsed());
    server.stop();
}

/// Bytes that trickle in do not put the time for a head off.
#[test]
fn a_trickling_head_times_out() {
    let server = start(|limits| {
        limits.head = SHORT;
        limits.linger = SHORT;
    });
    let mut client = server.connect();
    let since = Instant::now();
    client.send(b"GET / HTTP/1.1\r\n");
    let mut trickle = client.stream.try_clone().unwrap();
    let trickling = thread::spawn(move || {
        use std::io::Write;
        while since.elapsed() < PATIENCE && trickle.write_all(b"A: b\r\n").is_ok() {
            thread::sleep(Duration::from_millis(10));
        }
    });
    let (got, _) = client.rest();
    assert!(
        got.starts_with(b"HTTP/1.1 408 "),
        "{}",
        String::from_utf8_lossy(&got)
    );
    assert!(
        (SOON..SHORT * 5).contains(&since.elapsed()),
        "{:?}",
        since.elapsed()
    );
    drop(client);
    trickling.join().unwrap();
    server.stop();
}

/// A head that needs longer than one timeout of its predecessor has its own time.
#[test]
fn each_head_has_its_own_time() {
    let server = start(|limits| limits.head = SHORT);
    let mut client = server.connect();
    for _ in 0..4 {
        client.send(b"GET / HTTP/1.1\r\nHos");
        thread::sleep(SOON);
        client.send(b"t: a\r\n\r\n");
        assert_eq!(client.response().status(), 200);
    }
    // Also when the next one begins with the end of the last.
    client.send(b"GET / HT");
    for _ in 0..4 {
        thread::sleep(SOON);
        client.send(b"TP/1.1\r\nHost: a\r\n\r\nGET / HT");
        assert_eq!(client.response().status(), 200);
    }
    server.stop();
}

#[test]
fn a_stalled_body_times_out() {
    let server = start(|limits| limits.body = SHORT);
    let head = "HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhello";
    let mut client = server.connect();
    client.send(format!("POST / {head}").as_bytes());
    let (got, end) = client.rest();
    assert!(
        got.starts_with(b"HTTP/1.1 408 "),
        "{}",
        String::from_utf8_lossy(&got)
    );
    assert_eq!(end, End::Finished);
    // An echo that has begun has no place for a status.
    let mut client = server.connect();
    client.send(format!("POST /echo {head}").as_bytes());
    let (got, end) = client.rest();
    assert!(got.starts_with(b"HTTP/1.1 200 ") && got.ends_with(b"\r\n\r\nhello"));
    assert_eq!(end, End::Finished);
    server.stop();
}

#[test]
fn a_body_that_comes_slowly_but_steadily_is_taken() {
    let server = start(|limits| {
        limits.body = SHORT;
        limits.progress_min = 100;
    });
    let mut client = server.connect();
    client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1600\r\n\r\n");
    for _ in 0..8 {
        thread::sleep(SOON);
        client.send(&[b'x'; 200]);
    }
    assert_eq!(client.response().body, [b'x'; 1600]);
    server.stop();
}

#[test]
fn a_client_that_takes_nothing_is_reset() {
    let server = start(|limits| limits.send = SHORT);
    let mut client = server.connect();
    ask(&mut client, "/bytes/100000000");
    let mut other = server.connect();
    within(PATIENCE, || {
        ask(&mut other, "/stats");
        let stats = other.response().body;
        String::from_utf8(stats).unwrap().contains("open 1\n")
    });
    let (got, end) = client.rest();
    assert!(got.len() < 100_000_000);
    assert_eq!(end, End::Reset);
    server.stop();
}

/// The time to linger is about the client's end, not about what it has yet to read.
#[test]
fn a_slow_client_gets_the_end_of_the_response() {
    let server = start(|limits| limits.linger = Duration::from_millis(20));
    let mut client = server.connect();
    // The kernel takes it all, but the client's window is too small for all of it.
    client.send(b"GET /bytes/150000 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let mut other = server.connect();
    within(PATIENCE, || {
        ask(&mut other, "/stats");
        let stats = other.response().body;
        String::from_utf8(stats).unwrap().contains("open 1\n")
    });
    assert!(client.response().body == pattern(150_000));
    assert_eq!(client.rest(), (Vec::new(), End::Finished));
    server.stop();
}

/// Dropping what a refused client goes on to send has an end too.
#[test]
fn a_client_that_never_stops_sending_is_cut_off() {
    let server = start(|limits| {
        limits.linger = PATIENCE;
        limits.linger_bytes = 100_000;
    });
    let mut client = server.connect();
    client.send(b"nonsense\r\n\r\n");
    let since = Instant::now();
    let bytes = vec![b'x'; 65_536];
    while client.try_send(&bytes) {
        assert!(since.elapsed() < PATIENCE / 2, "it goes on and on");
    }
    server.stop();
}

#[test]
fn a_slow_reader_holds_up_nobody() {
    let server = start(|_| {});
    let mut slow = server.connect();
    ask(&mut slow, "/bytes/10000000");
    let mut client = server.connect();
    let since = Instant::now();
    for _ in 0..1000 {
        ask(&mut client, "/");
        assert_eq!(client.response().status(), 200);
    }
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "{:?}",
        since.elapsed()
    );
    assert!(slow.response().body == pattern(10_000_000));
    server.stop();
}

/// A client that takes all it gets is served in turns, and another request ends none early.
#[test]
fn a_long_response_takes_turns() {
    let server = start(|limits| limits.turn_max = 3_000);
    let mut client = server.connect();
    ask(&mut client, "/bytes/100000");
    ask(&mut client, "/");
    assert!(client.response().body == pattern(100_000));
    assert_eq!(client.response().body.len(), 21);
    // 33 turns, each of which ends an iteration.
    let stats = server.stop();
    assert!(stats.iterations > 33, "{stats:?}");
}

#[test]
fn clients_that_vanish_leave_nothing() {
    let server = start(|_| {});
    let mut random = Random::new();
    let requests = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100),
        "GET /bytes/100000000 HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
        format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9999\r\n\r\n{:5000}",
            ""
        ),
        format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{:99}",
            ""
        ),
    ];
    for round in 0..1000 {
        let request = &requests[round % requests.len()];
        let mut client = server.connect();
        client.try_send(&request.as_bytes()[..1 + random.below(request.len())]);
    }
    let mut client = server.connect();
    within(PATIENCE, || {
        ask(&mut client, "/stats");
        let stats = String::from_utf8(client.response().body).unwrap();
        stats.contains("open 1\n") && stats.contains("in_use 2\n")
    });
    let stats = server.stop();
    assert_eq!((stats.accepted, stats.open, stats.in_use), (1001, 0, 0));
}

#[test]
fn stopping_lets_running_requests_end() {
    let server = start(|_| {});
    let mut idle = server.connect();
    ask(&mut idle, "/");
    assert_eq!(idle.response().status(), 200);
    let mut silent = server.connect();
    let mut reading = server.connect();
    ask(&mut reading, "/bytes/5000000");
    let mut sending = server.connect();
    sending.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel");
    let mut asking = server.connect();
    asking.send(b"GET / HTTP/1.1\r\nHost");
    let mut watch = server.connect();
    // By the second answer, what came before the first question has been read.
    for _ in 0..2 {
        ask(&mut watch, "/stats");
        let stats = String::from_utf8(watch.response().body).unwrap();
        assert!(stats.contains("open 6\n"), "{stats}");
    }

    server.ask_to_stop();
    assert_eq!(idle.rest(), (Vec::new(), End::Finished));
    assert_eq!(silent.rest(), (Vec::new(), End::Finished));
    assert_eq!(watch.rest(), (Vec::new(), End::Finished));
    assert!(TcpStream::connect(server.addr).is_err());
    let response = sending.send(b"lo").response();
    assert_eq!(response.status(), 405);
    assert_eq!(sending.rest(), (Vec::new(), End::Finished));
    let response = asking.send(b": a\r\n\r\n").response();
    assert_eq!(
        (response.status(), response.field("connection")),
        (200, Some("close"))
    );
    assert_eq!(asking.rest(), (Vec::new(), End::Finished));
    assert!(reading.response().body == pattern(5_000_000));
    assert_eq!(reading.rest(), (Vec::new(), End::Finished));
    drop((sending, asking, reading));
    let since = Instant::now();
    let stats = server.join();
    assert!(since.elapsed() < PATIENCE / 4, "it waited for nothing");
    assert_eq!((stats.open, stats.in_use), (0, 0));
}

#[test]
fn stopping_does_not_wait_for_ever() {
    let server = start(|limits| limits.stop = SHORT);
    let mut client = server.connect();
    ask(&mut client, "/bytes/1000000000");
    let _ = client.take(100);
    let since = Instant::now();
    server.ask_to_stop();
    assert_eq!(server.join().in_use, 0);
    assert!(
        (SOON..SHORT * 10).contains(&since.elapsed()),
        "{:?}",
        since.elapsed()
    );
}

#[test]
fn asking_twice_stops_at_once() {
    let server = start(|_| {});
    let mut client = server.connect();
    ask(&mut client, "/bytes/1000000000");
    let _ = client.take(100);
    server.ask_to_stop();
    within(PATIENCE, || TcpStream::connect(server.addr).is_err());
    let since = Instant::now();
    server.ask_to_stop();
    assert_eq!(server.join().in_use, 0);
    assert!(
        since.elapsed() < Duration::from_secs(5),
        "{:?}",
        since.elapsed()
    );
}
