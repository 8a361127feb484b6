//! What the HTTP server refuses, and that the refusal reaches the client.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::time::{Duration, Instant};

#[allow(dead_code, reason = "each test crate uses its part")]
#[path = "../examples/handlers/http/mod.rs"]
mod http;
#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use http::date::WallClock;
use http::memory::{Memory, Store};
use http::routes::route;
use http::server::{Group, Server};
use http::service::Service;
use support::{End, Random, Running};

const IN: usize = 4096;
const OUT: usize = 1024;

fn start() -> Running {
    let make = || {
        let store = Box::leak(Box::new(Store::<IN, OUT, 8>::new()));
        Server::new(Service::new(route, WallClock(|| None)), store)
    };
    Running::start::<_, 8>(make, Group::Listener, Memory::<IN, OUT>::RECEIVE_MAX)
}

/// Requests, and the status that each must be answered with. `@` stands for a good start.
const HEADS: &[(u16, &str)] = &[
    (200, "@\r\n"),
    (400, "GET / HTTP/1.1\r\n\r\n"),
    (400, "@Host: b\r\n\r\n"),
    (400, "GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
    (400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    (400, "GET / HTTP/1.1\nHost: a\n\n"),
    (400, "GET / HTTP/1.1\r\nHost: a\n\r\n"),
    (200, "\r\n\r\n@\r\n"),
    (400, "\n@\r\n"),
    (400, "\r\n\n@\r\n"),
    (400, "\n\r\n@\r\n"),
    (400, "@A: b\rC: d\r\n\r\n"),
    (400, "@A: b\r\r\n\r\n"),
    (400, "@A: b\r\n folded\r\n\r\n"),
    (400, "@ A: b\r\n\r\n"),
    (400, "@A : b\r\n\r\n"),
    (400, "@A\r\n\r\n"),
    (400, "@: b\r\n\r\n"),
    (400, "@A: \0\r\n\r\n"),
    (400, "GET  / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /\r\n\r\n"),
    (400, "GET / \r\nHost: a\r\n\r\n"),
    (400, "G\0T / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /a b HTTP/2.0\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/1.1 x\r\nHost: a\r\n\r\n"),
    (400, "GET nowhere HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET /#part HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET * HTTP/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTQ/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET / http/1.1\r\nHost: a\r\n\r\n"),
    (400, "GET / HTTP/11\r\nHost: a\r\n\r\n"),
    (400, "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\u{fc}\u{3}\u{3}\n"),
    (417, "@Expect: 200-maybe\r\n\r\n"),
    (501, "BREW / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (501, "get / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (505, "GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    (505, "GET / HTTP/0.9\r\nHost: a\r\n\r\n"),
    (505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
];

/// The same for the framing of bodies. `@` stands for a good start of a POST to `/`, which is
/// answered with 405 when its body is read.
const BODIES: &[(u16, &str)] = &[
    (405, "@Content-Length: 5\r\n\r\nhello"),
    (405, "@Content-Length: 05\r\n\r\nhello"),
    (400, "@Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
    (400, "@Content-Length: 5, 5\r\n\r\nhello"),
    (400, "@Content-Length: 5;\r\n\r\nhello"),
    (400, "@Content-Length: +5\r\n\r\nhello"),
    (400, "@Content-Length: -5\r\n\r\nhello"),
    (400, "@Content-Length: 0x5\r\n\r\nhello"),
    (400, "@Content-Length: 5 5\r\n\r\nhello"),
    (400, "@Content-Length:\r\n\r\nhello"),
    (413, "@Content-Length: 99999999999999999999\r\n\r\nhello"),
    (413, "@Content-Length: 18446744073709551615\r\n\r\nhello"),
    (
        400,
        "@Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        400,
        "@Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    ),
    (
        400,
        "@Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (400, "@Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    (400, "@Transfer-Encoding: identity\r\n\r\n0\r\n\r\n"),
    (400, "@Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    (400, "@Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
    (400, "@Transfer-Encoding: \u{b}chunked\r\n\r\n0\r\n\r\n"),
    (501, "@Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    (
        400,
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
];

/// The same for chunked bodies.
const CHUNKS: &[(u16, &str)] = &[
    (405, "5\r\nhello\r\n0\r\n\r\n"),
    (
        405,
        "05;a;b=c \t;d=\"e\"\r\nhello\r\n00\r\nA: b\r\nC:\r\n\r\n",
    ),
    (400, "5\nhello\r\n0\r\n\r\n"),
    (400, "5\r\nhello\n0\r\n\r\n"),
    (400, "5\r\nhelloX"),
    (400, "5\r\nhello\rX"),
    (400, "-5\r\nhello\r\n0\r\n\r\n"),
    (400, "0x5\r\nhello\r\n0\r\n\r\n"),
    (400, " 5\r\nhello\r\n0\r\n\r\n"),
    (400, "5 \r\nhello\r\n0\r\n\r\n"),
    (400, "5 5\r\nhello\r\n0\r\n\r\n"),
    (400, "\r\nhello\r\n0\r\n\r\n"),
    (400, ";a\r\n\r\n"),
    (400, "5;a\rb\r\nhello\r\n0\r\n\r\n"),
    (400, "5;a\0\r\nhello\r\n0\r\n\r\n"),
    (400, "00000000000000005\r\nhello\r\n0\r\n\r\n"),
    (413, "ffffffffffffffff\r\nhello"),
    (400, "0\r\n folded\r\n\r\n"),
    (400, "0\r\nA\r\n\r\n"),
    (400, "0\r\nA : b\r\n\r\n"),
    (400, "0\r\nA: b\n\r\n"),
    (400, "0\r\n\rX"),
];

fn requests() -> impl Iterator<Item = (u16, String)> {
    let good = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    let post = "POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    let heads = HEADS
        .iter()
        .map(move |(status, text)| (*status, text.replace('@', good)));
    let bodies = BODIES
        .iter()
        .map(move |(status, text)| (*status, text.replace('@', post)));
    let chunked = format!("{post}Transfer-Encoding: chunked\r\n\r\n");
    let chunks = CHUNKS
        .iter()
        .map(move |(status, text)| (*status, format!("{chunked}{text}")));
    heads.chain(bodies).chain(chunks)
}

/// What cannot become a request is refused when it comes, not when the time for a head is over.
#[test]
fn what_cannot_begin_a_request_is_refused_at_once() {
    let server = start();
    // The client hello of TLS begins like this, and says that more follows.
    let hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdefgh";
    for start in [
        &hello[..],
        &hello[..1],
        b"\0",
        &[0; 300],
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"G\0",
        b"GET /\0",
        b"GET / HTTP/1.1\r\nHost: a\0",
        b"GET / HTTP/1.1\nHost",
    ] {
        let mut client = server.connect();
        let since = Instant::now();
        let (got, end) = client.send(start).rest();
        let what = start.escape_ascii();
        assert!(got.starts_with(b"HTTP/1.1 400 "), "{what}");
        assert_eq!(end, End::Finished, "{what}");
        // The time for a head is 10 s.
        assert!(since.elapsed() < Duration::from_secs(5), "{what}");
        drop(client);

        // Also byte by byte.
        let mut client = server.connect();
        for byte in start {
            if !client.try_send(&[*byte]) {
                break;
            }
        }
        assert_eq!(client.rest(), (got, End::Finished), "{what} byte by byte");
        assert!(since.elapsed() < Duration::from_secs(5), "{what}");
    }
    assert_eq!(server.stop().in_use, 0);
}

/// One response, the connection ended in order after it, and the same however it is cut.
#[test]
fn each_is_answered_with_its_status() {
    let server = start();
    for (status, request) in requests() {
        let mut client = server.connect();
        client.send(request.as_bytes());
        let (got, end) = client.rest();
        let text = String::from_utf8_lossy(&got);
        let wanted = format!("HTTP/1.1 {status} ");
        assert!(text.starts_with(&wanted), "{request:?} gave {text:?}");
        assert_eq!(
            text.matches("HTTP/1.1 ").count(),
            1,
            "{request:?} gave {text:?}"
        );
        assert!(
            text.contains("\r\nConnection: close\r\n"),
            "{request:?} gave {text:?}"
        );
        assert_eq!(end, End::Finished, "{request:?}");

        let mut client = server.connect();
        for byte in request.as_bytes() {
            if !client.try_send(&[*byte]) {
                break;
            }
        }
        assert_eq!(
            client.rest(),
            (got, End::Finished),
            "{request:?} byte by byte"
        );
    }
    assert_eq!(server.stop().in_use, 0);
}

#[test]
fn what_is_too_long_is_told_apart() {
    let server = start();
    let long = "x".repeat(IN);
    let field = format!("A: {}\r\n", "b".repeat(100));
    let start = "GET / HTTP/1.1\r\nHost: a\r\n";
    let post = "POST /none HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (status, request) in [
        (414, format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n")),
        (414, long.clone()),
        (431, format!("{start}A: {long}\r\n\r\n")),
        (431, format!("{start}{}\r\n", field.repeat(30))),
        (431, format!("{start}{}\r\n", "A: b\r\n".repeat(65))),
        (431, format!("{post}0\r\n{}\r\n", field.repeat(30))),
        (
            400,
            format!("{post}5;{}\r\nhello\r\n0\r\n\r\n", &long[..1100]),
        ),
        (
            400,
            format!("{post}{}0\r\n\r\n", "1;aaaaaaaaa\r\nx\r\n".repeat(200)),
        ),
    ] {
        let mut client = server.connect();
        client.send(request.as_bytes());
        let (got, end) = client.rest();
        let text = String::from_utf8_lossy(&got);
        let first = &request[..request.len().min(60)];
        assert!(
            text.starts_with(&format!("HTTP/1.1 {status} ")),
            "{first:?} gave {text:?}"
        );
        assert_eq!(end, End::Finished, "{first:?}");
    }
    server.stop();
}

/// A client that goes on sending still gets the answer, not a reset in its place.
#[test]
fn the_answer_survives_what_is_not_read() {
    let server = start();
    for _ in 0..20 {
        let mut client = server.connect();
        let mut request =
            b"POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n".to_vec();
        request.resize(800_000, b'x');
        client.send(&request).finish();
        let (got, end) = client.rest();
        assert!(
            got.starts_with(b"HTTP/1.1 413 "),
            "{}",
            String::from_utf8_lossy(&got)
        );
        assert_eq!(end, End::Finished);
    }
    server.stop();
}

/// A refusal has a body, whatever the request before was.
#[test]
fn a_refusal_after_head_has_its_body() {
    let server = start();
    let mut client = server.connect();
    client.send(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    client.take_until(b"\r\n\r\n");
    let response = client.send(b"nonsense\r\n\r\n").response();
    assert_eq!(response.status(), 400);
    assert_eq!(response.body, b"400 Bad Request\r\n");
    assert_eq!(client.rest(), (Vec::new(), End::Finished));
    server.stop();
}

/// An error in a body whose echo has begun cannot be told by a status: the echo stays incomplete.
#[test]
fn an_echo_that_fails_does_not_look_complete() {
    let server = start();
    let mut client = server.connect();
    client.send(b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    client.send(b"5\r\nhello\r\nnonsense");
    let (got, end) = client.rest();
    let text = String::from_utf8_lossy(&got);
    assert!(text.ends_with("\r\n\r\n5\r\nhello\r\n"), "{text:?}");
    assert_eq!(end, End::Finished);
    server.stop();
}

#[test]
fn an_end_inside_a_request_is_a_bad_request() {
    let server = start();
    for (request, wanted) in [
        ("", ""),
        ("\r\n\r\n", ""),
        ("GET / HTTP/1.1\r\nHost: a\r\n", "HTTP/1.1 400 "),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel",
            "HTTP/1.1 400 ",
        ),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
            "HTTP/1.1 400 ",
        ),
        (
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhel",
            "HTTP/1.1 200 ",
        ),
    ] {
        let (got, end) = server.connect().send(request.as_bytes()).finish().rest();
        let text = String::from_utf8_lossy(&got);
        assert!(text.starts_with(wanted), "{request:?} gave {text:?}");
        assert_eq!(
            got.is_empty(),
            wanted.is_empty(),
            "{request:?} gave {text:?}"
        );
        assert_eq!(end, End::Finished);
    }
    server.stop();
}

/// Whatever comes, the server stays up, leaks no slot and answers the next client.
#[test]
fn garbage_does_no_harm() {
    let server = start();
    let mut random = Random::new();
    let all: Vec<String> = requests().map(|(_, request)| request).collect();
    for _ in 0..2000 {
        let mut bytes = all[random.below(all.len())].clone().into_bytes();
        for _ in 0..random.below(4) {
            let at = random.below(bytes.len());
            match random.below(3) {
                0 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
                1 => drop(bytes.drain(at..=at)),
                _ => bytes.truncate(at.max(1)),
            }
            if bytes.is_empty() {
                break;
            }
        }
        let mut client = server.connect();
        client.try_send(&bytes);
        if random.below(2) == 0 {
            client.finish();
            let (got, _) = client.rest();
            assert!(got.is_empty() || got.starts_with(b"HTTP/1.1 "));
        }
    }
    let mut client = server.connect();
    client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_eq!(client.response().status(), 200);
    assert_eq!(server.stop().in_use, 0);
}
