//! Sockets that whoever starts the HTTP server has opened for it: a service manager
//! (`sd_listen_fds(3)`), or inetd.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};

#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use support::program::programs;
use support::{Client, End, PATIENCE, within};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// A program that is killed if the test fails.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Running {
    /// Starts the server by a shell, which has `input` as its standard input and runs `script`
    /// with the program's path as `$0`.
    fn start(script: &str, input: impl Into<OwnedFd>) -> Self {
        let child = Command::new("sh")
            .args(["-c", script])
            .arg(programs().join("http_server"))
            .stdin(Stdio::from(input.into()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        Self(child.unwrap())
    }

    /// Asks it to stop, and waits for the end; returns the exit code and what was printed.
    fn stop(mut self) -> (Option<i32>, String) {
        let id = self.0.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
        self.wait()
    }

    fn wait(&mut self) -> (Option<i32>, String) {
        let mut code = None;
        within(PATIENCE, || {
            code = self.0.try_wait().unwrap();
            code.is_some()
        });
        let mut said = String::new();
        self.0
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        self.0
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut said)
            .unwrap();
        (code.unwrap().code(), said)
    }
}

/// Makes standard input descriptor 3, and says so as a service manager does.
const PASS: &str = "exec 3<&0 0</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=web;";

fn listener() -> (TcpListener, std::net::SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let addr = listener.local_addr().unwrap();
    (listener, addr)
}

/// A connection that waited before the server was started is served, and those that come later.
#[test]
fn a_listener_of_a_service_manager_is_served() {
    for options in ["", " --threads 2"] {
        let (listener, addr) = listener();
        let mut early = Client::connect(addr);
        early.send(REQUEST);
        let server = Running::start(&format!("{PASS} exec \"$0\"{options}"), listener);
        assert_eq!(early.response().status(), 200);
        let mut late = Client::connect(addr);
        assert_eq!(late.send(REQUEST).response().status(), 200);
        let (code, said) = server.stop();
        assert_eq!((code, said), (Some(0), format!("listening on {addr}\n")));
        assert_eq!(late.rest().1, End::Finished);
        assert!(TcpStream::connect(addr).is_err(), "nobody else has it");
    }
}

#[test]
fn what_is_meant_for_another_process_is_left_alone() {
    let (listener, addr) = listener();
    let script = "exec 3<&0 0</dev/null; export LISTEN_PID=1 LISTEN_FDS=1; exec \"$0\" 127.0.0.1:0";
    let server = Running::start(script, listener);
    let mut client = Client::connect(addr);
    client.send(REQUEST);
    std::thread::sleep(std::time::Duration::from_millis(200));
    client.stream.set_nonblocking(true).unwrap();
    assert!(client.read(&mut [0]).is_err(), "nobody serves it");
    assert_eq!(server.stop().0, Some(0));
}

#[test]
fn what_is_wrong_is_told() {
    let (listener, _) = listener();
    let numbers = "export LISTEN_PID=$$ LISTEN_FDS=one; exec \"$0\"";
    let closed = "exec 3<&-; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\"";
    let many = "export LISTEN_PID=$$ LISTEN_FDS=2000000000; exec \"$0\"";
    for script in [numbers, closed, many] {
        let (code, said) = Running::start(script, listener.try_clone().unwrap()).wait();
        assert_eq!(code, Some(1), "{script}");
        assert!(said.contains("LISTEN_FDS: "), "{script}: {said}");
    }
    // A file is no socket.
    let script = "exec 3</dev/null; export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\"";
    let (code, said) = Running::start(script, listener).wait();
    assert_eq!(code, Some(1));
    assert!(said.contains("a descriptor that was passed: "), "{said}");
}

/// As inetd starts it for each connection: the program ends with it.
#[test]
fn a_connection_of_inetd_is_served_to_its_end() {
    let (listener, addr) = listener();
    let mut client = Client::connect(addr);
    let (connection, _) = listener.accept().unwrap();
    client.send(REQUEST);
    let mut server = Running::start("exec \"$0\" --inetd", connection);
    assert_eq!(client.response().status(), 200);
    assert_eq!(client.send(REQUEST).response().status(), 200);
    assert_eq!(client.finish().rest().1, End::Finished);
    assert_eq!(server.wait(), (Some(0), String::new()));
}

/// As inetd starts it once (`wait`), with the socket that listens.
#[test]
fn a_listener_of_inetd_is_served() {
    let (listener, addr) = listener();
    let server = Running::start("exec \"$0\" --inetd", listener);
    let mut client = Client::connect(addr);
    assert_eq!(client.send(REQUEST).response().status(), 200);
    assert_eq!(server.stop(), (Some(0), format!("listening on {addr}\n")));
}
