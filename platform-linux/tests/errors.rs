//! Errors of system calls, each injected into the call where it may occur: one table of call,
//! error number and what becomes of it.
//!
//! A row runs this program again under strace, which fails one call, and compares what it prints.
//! Needs `strace` (Debian package of that name); without it the test says that it was skipped.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::as_conversions,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::io::Write;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;

use usockets::{
    AllSockets, Closed, Duration, Endpoint, Error, Handler, Instant, ListenerId, Loop, Opened,
    Platform, Socket, Sockets,
};
use usockets_linux::Linux;

/// Scene, call, which of its occurrences, error number, and what comes of it.
type Row = (&'static str, &'static str, u32, &'static str, &'static str);

const TABLE: &[Row] = &[
    // What is wrong here is said at once.
    ("listen", "socket", 1, "EMFILE", "listen: Exhausted"),
    ("listen", "socket", 1, "ENFILE", "listen: Exhausted"),
    ("listen", "socket", 1, "ENOBUFS", "listen: Exhausted"),
    ("listen", "socket", 1, "ENOMEM", "listen: Exhausted"),
    ("listen", "socket", 1, "EACCES", "listen: Denied"),
    ("listen", "socket", 1, "EAFNOSUPPORT", "listen: Unsupported"),
    ("listen", "bind", 1, "EADDRINUSE", "listen: AddressInUse"),
    (
        "listen",
        "bind",
        1,
        "EADDRNOTAVAIL",
        "listen: AddressUnavailable",
    ),
    ("listen", "bind", 1, "EACCES", "listen: Denied"),
    ("listen", "bind", 1, "EINVAL", "listen: Invalid"),
    ("listen", "listen", 1, "EADDRINUSE", "listen: AddressInUse"),
    ("listen", "listen", 1, "EOPNOTSUPP", "listen: Unsupported"),
    ("listen", "epoll_ctl", 1, "ENOSPC", "listen: Exhausted"),
    ("listen", "epoll_ctl", 1, "ENOMEM", "listen: Exhausted"),
    ("connect", "socket", 1, "EMFILE", "connect: Exhausted"),
    (
        "connect",
        "connect",
        1,
        "EADDRNOTAVAIL",
        "connect: AddressUnavailable",
    ),
    ("connect", "connect", 1, "EAGAIN", "connect: Exhausted"),
    ("connect", "connect", 1, "ENOBUFS", "connect: Exhausted"),
    (
        "connect",
        "connect",
        1,
        "EAFNOSUPPORT",
        "connect: Unsupported",
    ),
    ("connect", "epoll_ctl", 1, "ENOSPC", "connect: Exhausted"),
    // What the route or the peer refuses comes as `on_connect_error`.
    (
        "connect",
        "connect",
        1,
        "ECONNREFUSED",
        "on_connect_error: Refused",
    ),
    (
        "connect",
        "connect",
        1,
        "ENETUNREACH",
        "on_connect_error: Unreachable",
    ),
    (
        "connect",
        "connect",
        1,
        "EHOSTUNREACH",
        "on_connect_error: Unreachable",
    ),
    (
        "connect",
        "connect",
        1,
        "EINVAL",
        "on_connect_error: Unreachable",
    ),
    (
        "connect",
        "connect",
        1,
        "EACCES",
        "on_connect_error: Unreachable",
    ),
    (
        "connect",
        "connect",
        1,
        "EPERM",
        "on_connect_error: Unreachable",
    ),
    (
        "connect",
        "connect",
        1,
        "ETIMEDOUT",
        "on_connect_error: TimedOut",
    ),
    // A connection that died while it waited is counted, and the next is taken.
    ("accept", "accept4", 1, "ECONNABORTED", "on_open, 1 failed"),
    ("accept", "accept4", 1, "EPROTO", "on_open, 1 failed"),
    ("accept", "accept4", 1, "ENETDOWN", "on_open, 1 failed"),
    ("accept", "accept4", 1, "EHOSTUNREACH", "on_open, 1 failed"),
    ("accept", "accept4", 1, "EPERM", "on_open, 1 failed"),
    ("accept", "accept4", 1, "EINTR", "on_open"),
    ("accept", "accept4", 1, "EAGAIN", "on_open"),
    // What there is nothing for goes on waiting.
    (
        "accept",
        "accept4",
        1,
        "EMFILE",
        "on_accept_error: Exhausted, on_open",
    ),
    (
        "accept",
        "accept4",
        1,
        "ENFILE",
        "on_accept_error: Exhausted, on_open",
    ),
    (
        "accept",
        "accept4",
        1,
        "ENOBUFS",
        "on_accept_error: Exhausted, on_open",
    ),
    (
        "accept",
        "accept4",
        1,
        "ENOMEM",
        "on_accept_error: Exhausted, on_open",
    ),
    (
        "accept",
        "epoll_ctl",
        2,
        "ENOSPC",
        "on_accept_error: Exhausted, on_open",
    ),
    (
        "accept",
        "epoll_ctl",
        2,
        "ENOMEM",
        "on_accept_error: Exhausted, on_open",
    ),
    // A wait that a signal interrupts is one that brought nothing.
    ("wait", "epoll_pwait", 1, "EINTR", "waited"),
    // Old sandboxes refuse its newer form, which is of no use to this platform.
    ("wait", "epoll_pwait2", 1, "EPERM", "waited"),
    ("wait", "epoll_pwait2", 1, "ENOSYS", "waited"),
    ("accept", "epoll_pwait2", 1, "EPERM", "on_open"),
    // A connection that breaks while it is written to.
    (
        "send",
        "sendto",
        1,
        "ECONNRESET",
        "on_open, on_close: Failed(Reset)",
    ),
    (
        "send",
        "sendto",
        1,
        "EPIPE",
        "on_open, on_close: Failed(BrokenPipe)",
    ),
    (
        "send",
        "sendto",
        1,
        "ETIMEDOUT",
        "on_open, on_close: Failed(TimedOut)",
    ),
    (
        "send",
        "sendto",
        1,
        "EHOSTUNREACH",
        "on_open, on_close: Failed(Unreachable)",
    ),
    ("send", "sendto", 1, "EAGAIN", "on_open"),
];

/// Writes down what is called.
#[derive(Default)]
struct Notes {
    calls: Vec<String>,
    says: bool,
}

impl<P: Platform> Handler<P> for Notes {
    type Ext = ();
    type Context = ();

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) {
        self.calls.push("on_open".into());
        if self.says {
            let _ = socket.write(b"hello");
        }
    }

    fn on_data(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), _: &mut [u8]) {}

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, (): &mut (), closed: Closed) {
        self.calls.push(format!("on_close: {closed:?}"));
    }

    fn on_connect_error(&mut self, _: &mut Socket<'_, P, Self>, (): (), error: Error) {
        self.calls.push(format!("on_connect_error: {error:?}"));
    }

    fn on_accept_error(&mut self, _: &mut AllSockets<'_, P, Self>, _: ListenerId, error: Error) {
        self.calls.push(format!("on_accept_error: {error:?}"));
    }
}

/// Plays a scene and prints what came of it. Run under strace, by the test below.
#[test]
fn scene() {
    let Ok(scene) = std::env::var("SCENE") else {
        return;
    };
    let mut sockets = Sockets::<Linux, Notes, 8>::new();
    let mut buffer = [0; 512];
    let mut net = Loop::new(Linux::new().unwrap(), &mut sockets, &mut buffer);
    let mut notes = Notes {
        says: scene == "send",
        ..Notes::default()
    };
    let local: SocketAddr = ([127, 0, 0, 1], 0).into();
    let mut _peer = None;
    if scene == "wait" {
        let before = net.net().now();
        let wait = Duration::from_micros(2_500);
        while net.net().now() < before.saturating_add(wait) {
            let until = Some(before.saturating_add(wait));
            net.poll(&mut notes, until).unwrap();
        }
        notes.calls.push("waited".into());
    } else if scene == "connect" {
        // The listener is std's, and comes before, in a thread that is not looked at.
        let at: SocketAddr = std::env::var("ADDR").unwrap().parse().unwrap();
        if let Err(error) = net.net().connect(Endpoint::tcp(at), ()) {
            notes.calls.push(format!("connect: {error:?}"));
        }
    } else {
        match net.net().listen(Endpoint::tcp(local), ()) {
            Err(error) => notes.calls.push(format!("listen: {error:?}")),
            Ok(listener) if scene != "listen" => {
                let at = net.net().listening_addr(listener).unwrap();
                _peer = Some(TcpStream::connect(at).unwrap());
            }
            Ok(_) => {}
        }
    }
    let end = net.net().now().saturating_add(Duration::from_millis(400));
    while net.net().now() < end {
        let next: Instant = net.net().now().saturating_add(Duration::from_millis(50));
        net.poll(&mut notes, Some(next)).unwrap();
    }
    let failed = net.stats().failed;
    let is_connect_error = |call: &String| call.starts_with("on_connect_error");
    if failed > 0 && !notes.calls.iter().any(is_connect_error) {
        notes.calls.push(format!("{failed} failed"));
    }
    println!("\nOUTCOME {}", notes.calls.join(", "));
    std::io::stdout().flush().unwrap();
}

#[test]
fn each_error_of_each_call_becomes_what_the_table_says() {
    if Command::new("strace").arg("-V").output().is_err() {
        assert!(
            std::env::var("CI").as_deref() != Ok("true"),
            "strace is missing"
        );
        println!("skipped: strace is not installed");
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap().to_string();
    let mut wrong = Vec::new();
    for (scene, call, nth, error, expected) in TABLE {
        let output = Command::new("strace")
            .args(["-f", "-qq", "-o", "/dev/null", "-e"])
            .arg(format!("trace={call}"))
            .arg("-e")
            .arg(format!("inject={call}:error={error}:when={nth}"))
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "scene", "--nocapture", "--test-threads=1"])
            .env("SCENE", scene)
            .env("ADDR", &addr)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let outcome = text.lines().find_map(|line| line.strip_prefix("OUTCOME "));
        if outcome != Some(expected) {
            let outcome = outcome.map_or_else(|| format!("{output:?}"), Into::into);
            wrong.push(format!(
                "{scene}, {call} {error}: {outcome}, not {expected}"
            ));
        }
    }
    assert!(wrong.is_empty(), "\n{}\n", wrong.join("\n"));
}
