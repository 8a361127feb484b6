//! The example programs as processes: what they print, how they stop, and `load` against them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use support::program::{Server, programs};
use support::{Client, End, PATIENCE, within};

fn load(addr: SocketAddr, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(programs().join("load"));
    command
        .args(["--seconds", "1"])
        .args(arguments)
        .arg(addr.to_string());
    let Output { status, stdout, .. } = command.output().unwrap();
    (status.success(), String::from_utf8(stdout).unwrap())
}

#[test]
fn servers_say_one_line_and_stop_on_signals() {
    for name in ["echo_server", "http_server", "upgrade"] {
        for signal in ["INT", "TERM"] {
            let server = Server::start(name);
            assert_ne!(server.addr.port(), 0);
            let mut client = Client::connect(server.addr);
            // Each of them answers this in its own way, and so has accepted.
            client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").take(1);
            server.signal(signal);
            assert_eq!(client.rest().1, End::Finished, "{name}");
            assert_eq!(server.wait(), (Some(0), String::new()), "{name} {signal}");
        }
    }
}

#[test]
fn http_server_drains_before_it_exits() {
    let server = Server::start("http_server");
    let mut client = Client::connect(server.addr);
    client.send(b"GET /bytes/9999999 HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = client.take_until(b"\r\n\r\n");
    assert!(head.starts_with(b"HTTP/1.1 200 "));
    server.signal("TERM");
    let (body, end) = client.rest();
    assert_eq!((body.len(), end), (9_999_999, End::Finished));
    drop(client);
    assert_eq!(server.wait(), (Some(0), String::new()));
}

#[test]
fn a_wrong_address_is_told() {
    for name in ["echo_server", "http_server", "upgrade"] {
        let output = Command::new(programs().join(name))
            .arg("here")
            .output()
            .unwrap();
        assert_eq!(
            (output.status.code(), output.stdout.len()),
            (Some(1), 0),
            "{name}"
        );
        assert!(!output.stderr.is_empty(), "{name}");
    }
    let taken = Server::start("echo_server");
    let mut second = Command::new(programs().join("http_server"));
    let output = second.arg(taken.addr.to_string()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("address in use"));
}

#[test]
fn load_finds_nothing_wrong() {
    let echo = Server::start("echo_server");
    let http = Server::start("http_server");
    for (server, arguments) in [
        (&echo, &["--echo", "--connections", "50"][..]),
        (
            &echo,
            &[
                "--echo",
                "--connections",
                "7",
                "--pipeline",
                "33",
                "--size",
                "1000",
            ],
        ),
        (
            &echo,
            &["--echo", "--connections", "3", "--size", "1000000"],
        ),
        (&http, &["--http", "--connections", "50"]),
        (
            &http,
            &["--http", "--connections", "7", "--pipeline", "100"],
        ),
        (
            &http,
            &[
                "--http",
                "--connections",
                "3",
                "--pipeline",
                "4",
                "--size",
                "1000000",
            ],
        ),
    ] {
        let (good, output) = load(server.addr, arguments);
        assert!(good, "{arguments:?}: {output}");
        assert!(
            output.contains("failures    0\n"),
            "{arguments:?}: {output}"
        );
        for name in ["requests/s ", "p50 ", "p90 ", "p99 ", "p99.9 ", "max "] {
            assert!(
                output.contains(&format!("\n{name}")),
                "{arguments:?}: {output}"
            );
        }
    }
    // Load that ended has left nothing behind.
    let mut client = Client::connect(http.addr);
    within(PATIENCE, || {
        client.send(b"GET /stats HTTP/1.1\r\nHost: a\r\n\r\n");
        String::from_utf8(client.response().body)
            .unwrap()
            .contains("open 1\n")
    });
}

#[test]
fn load_finds_what_is_wrong() {
    let http = Server::start("http_server");
    let echo = Server::start("echo_server");
    for (server, protocol) in [(&http, "--echo"), (&echo, "--http")] {
        let (good, output) = load(
            server.addr,
            &[protocol, "--connections", "5", "--size", "100"],
        );
        assert!(!good, "{output}");
        assert!(
            output.contains("\nfailures ") && !output.contains("failures    0\n"),
            "{output}"
        );
    }
    let gone = Server::start("echo_server");
    gone.signal("KILL");
    let addr = gone.addr;
    within(PATIENCE, || std::net::TcpStream::connect(addr).is_err());
    let (good, output) = load(addr, &["--echo", "--connections", "5"]);
    assert!(!good && output.contains("5 connects failed"), "{output}");
}

/// Answers one connection by `answer`, which is told how many bytes came, for as long as it has
/// something to say.
fn impostor(answer: impl Fn(usize) -> Option<Vec<u8>> + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = stream.read(&mut chunk) {
            let Some(bytes) = answer(count) else {
                return;
            };
            if stream.write_all(&bytes).is_err() {
                return;
            }
        }
    });
    addr
}

fn answer(body: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A size, a server, and what `load` is to say of it; `None` if the server is a good one.
struct Impostor(Option<&'static str>, SocketAddr, Option<&'static str>);

const WRONG: &str = "1 connections got a wrong answer";

fn http_impostors() -> [Impostor; 9] {
    let rounds = AtomicUsize::new(0);
    let other = move |first: &'static str, then: &'static str| {
        let round = rounds.fetch_add(1, Ordering::Relaxed);
        Some(answer(if round < 5 { first } else { then }))
    };
    [
        // The pattern is "!\"#$".
        Impostor(Some("4"), impostor(|_| Some(answer("!\"#$"))), None),
        Impostor(Some("4"), impostor(|_| Some(answer("!\"#%"))), Some(WRONG)),
        Impostor(Some("4"), impostor(|_| Some(answer("!\"#"))), Some(WRONG)),
        Impostor(None, impostor(|_| Some(answer("same"))), None),
        Impostor(None, impostor(move |_| other("same", "Same")), Some(WRONG)),
        Impostor(
            None,
            impostor(|_| Some([answer("a"), answer("a")].concat())),
            Some(WRONG),
        ),
        Impostor(
            None,
            impostor(|_| Some(b"HTTP/1.1 500 No\r\n\r\n".to_vec())),
            Some(WRONG),
        ),
        Impostor(
            None,
            impostor(|_| None),
            Some("1 connections were closed by the server"),
        ),
        Impostor(
            None,
            impostor(|_| Some(Vec::new())),
            Some("1 requests were not answered"),
        ),
    ]
}

fn echo_impostors() -> [Impostor; 3] {
    [
        Impostor(
            Some("3"),
            impostor(|_| Some(b"!\"".to_vec())),
            Some("1 requests were not"),
        ),
        Impostor(Some("3"), impostor(|_| Some(b"!\"$".to_vec())), Some(WRONG)),
        Impostor(
            Some("3"),
            impostor(|_| Some(b"!\"#$".to_vec())),
            Some(WRONG),
        ),
    ]
}

#[test]
fn load_notices_every_kind_of_failure() {
    let http = http_impostors().map(|impostor| ("--http", impostor));
    let echo = echo_impostors().map(|impostor| ("--echo", impostor));
    thread::scope(|scope| {
        for (protocol, Impostor(size, addr, what)) in http.into_iter().chain(echo) {
            scope.spawn(move || {
                let mut arguments = vec![protocol, "--connections", "1"];
                arguments.extend(size.map(|_| "--size"));
                arguments.extend(size);
                let (good, output) = load(addr, &arguments);
                assert_eq!(good, what.is_none(), "{arguments:?} {what:?}: {output}");
                let said = output.contains(what.unwrap_or("failures    0\n"));
                assert!(said, "{what:?}: {output}");
            });
        }
    });
}

/// Serves connections one after the other: answers each request with `answer`, `count` times, and
/// then closes the connection.
fn closing_server(count: usize, answer: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut client = Client::from(stream.unwrap());
            for _ in 0..count {
                client.take_until(b"\r\n\r\n");
                if !client.try_send(answer.as_bytes()) {
                    break;
                }
            }
            // Not a reset, for the requests that come after the last answer.
            client.finish();
            let mut chunk = [0; 4096];
            while let Ok(1..) = client.read(&mut chunk) {}
        }
    });
    addr
}

/// Answers, how often each connection gets one, and how often requests are under way.
const CLOSING: &[(&str, usize, &str)] = &[
    (
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
        1,
        "1",
    ),
    (
        "HTTP/1.1 200 OK\r\nConnection: x, Close\r\nContent-Length: 2\r\n\r\nhi",
        1,
        "3",
    ),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 1, "1"),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 100, "1"),
    ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi", 10, "4"),
    ("HTTP/1.1 200 OK\r\n\r\nuntil it closes", 1, "1"),
    ("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi", 1, "1"),
    ("HTTP/1.0 200 OK\r\n\r\n", 1, "1"),
    (
        "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n",
        1,
        "1",
    ),
];

/// A server may close between two answers: the connection is made anew, and nothing has failed.
#[test]
fn load_reconnects() {
    thread::scope(|scope| {
        for (answer, count, pipeline) in CLOSING {
            scope.spawn(move || {
                let addr = closing_server(*count, answer);
                let arguments = ["--http", "--connections", "1", "--pipeline", pipeline];
                let (good, output) = load(addr, &arguments);
                assert!(good, "{answer:?} {count}: {output}");
                let reconnects = output.split("\nreconnects  ").nth(1).unwrap();
                let reconnects: u32 = reconnects.lines().next().unwrap().parse().unwrap();
                assert!(reconnects > 1, "{answer:?} {count}: {output}");
            });
        }
    });
}

/// What an answer's end is found by, and what is wrong with others.
#[test]
fn load_knows_every_framing() {
    const GOOD: [&str; 6] = [
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n\
         2;a=b\r\nhi\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n",
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n\
         HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 204 No\r\n\r\n",
        "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
    ];
    const BAD: [(&str, &str); 9] = [
        (
            "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n",
            "1 connections got a wrong answer; last: status 503\n",
        ),
        (
            "HTTP/1.1 101 Switching\r\n\r\n",
            "1 connections got a wrong answer; last: status 101\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
            "1 connections got a wrong answer; last: not well-formed\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "1 connections got a wrong answer; last: not well-formed\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi!",
            "1 connections got a wrong answer; last: not well-formed\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
            "1 connections got a wrong answer; last: not well-formed\n",
        ),
        (
            "hello\r\n\r\n",
            "1 connections got a wrong answer; last: not well-formed\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi",
            "1 answers were cut off by the server\n",
        ),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
            "1 answers were cut off by the server\n",
        ),
    ];
    let good = GOOD.map(|answer| (answer, 10_000, "failures    0\n"));
    let bad = BAD.map(|(answer, what)| (answer, 1, what));
    thread::scope(|scope| {
        for (answer, count, what) in good.into_iter().chain(bad) {
            scope.spawn(move || {
                let addr = closing_server(count, answer);
                let (good, output) = load(addr, &["--http", "--connections", "1"]);
                assert_eq!(good, count > 1, "{answer:?}: {output}");
                assert!(output.contains(what), "{answer:?}: {output}");
            });
        }
    });
}
