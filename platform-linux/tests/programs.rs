//! The example programs as processes: what they print, how they stop, and `load` against them.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use support::{Client, End, PATIENCE, within};

/// Where the programs are, up to date.
fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        // This program is target/<profile>/deps/programs-<hash>.
        let own = std::env::current_exe().unwrap();
        let profile = own.parent().unwrap().parent().unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--examples", "--manifest-path"]);
        cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
        cargo.arg("--target-dir").arg(profile.parent().unwrap());
        // What cargo told this test about its package would make build scripts run again.
        for (name, _) in std::env::vars() {
            if name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_") {
                cargo.env_remove(name);
            }
        }
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        assert!(cargo.status().unwrap().success());
        profile.join("examples")
    })
}

/// A server that is killed if the test fails.
struct Server {
    child: Child,
    addr: SocketAddr,
    output: BufReader<ChildStdout>,
}

impl Server {
    fn start(name: &str) -> Self {
        let mut command = Command::new(programs().join(name));
        let mut child = command
            .arg("127.0.0.1:0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let addr = line.strip_prefix("listening on ").unwrap().trim_end();
        let addr = addr.parse().unwrap();
        Self {
            child,
            addr,
            output,
        }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let kill = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .unwrap();
        assert!(kill.success());
    }

    /// Waits for the end; returns the exit code and what else was printed.
    fn wait(mut self) -> (Option<i32>, String) {
        let mut code = None;
        within(PATIENCE, || {
            code = self.child.try_wait().unwrap();
            code.is_some()
        });
        let mut rest = String::new();
        self.output.read_to_string(&mut rest).unwrap();
        (code.unwrap().code(), rest)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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
