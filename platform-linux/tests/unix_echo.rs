//! The program `unix_echo`, as a user runs it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    clippy::std_instead_of_core,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread;

#[allow(dead_code, reason = "each test crate uses its part")]
mod support;

use support::program::programs;
use support::{PATIENCE, Random, within};

/// A directory of this test's own, removed at its end.
struct Directory(PathBuf);

impl Directory {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("usockets-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A server that is killed if the test fails.
struct Server(Child);

impl Server {
    fn start(path: &Path) -> Self {
        let mut command = Command::new(programs().join("unix_echo"));
        let mut child = command.arg(path).stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let output = child.stdout.as_mut().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert_eq!(line, format!("listening on {}\n", path.display()));
        Self(child)
    }

    /// Stops the server in order, and waits for its end.
    fn stop(mut self) {
        let id = self.0.id().to_string();
        let kill = Command::new("kill").args(["-s", "TERM", &id]).status();
        assert!(kill.unwrap().success());
        within(PATIENCE, || self.0.try_wait().unwrap().is_some());
        assert_eq!(self.0.wait().unwrap().code(), Some(0));
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Runs the program where it must fail; returns what it said.
fn fails(arguments: &[&Path]) -> String {
    let mut command = Command::new(programs().join("unix_echo"));
    let Output {
        status,
        stdout,
        stderr,
    } = command.args(arguments).output().unwrap();
    assert_eq!((status.code(), stdout.len()), (Some(1), 0));
    String::from_utf8(stderr).unwrap()
}

#[test]
fn everything_comes_back_and_the_path_goes() {
    let directory = Directory::new("echo");
    let path = directory.path("a.sock");
    let server = Server::start(&path);
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
    let bytes = Random::new().bytes(3_000_000);
    let mut client = UnixStream::connect(&path).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut sender = client.try_clone().unwrap();
    let sent = bytes.clone();
    let sending = thread::spawn(move || {
        sender.write_all(&sent).unwrap();
        sender.shutdown(Shutdown::Write).unwrap();
    });
    let mut got = Vec::new();
    client.read_to_end(&mut got).unwrap();
    sending.join().unwrap();
    assert!(got == bytes, "{} of {} bytes", got.len(), bytes.len());
    server.stop();
    assert!(!path.exists(), "it removes its path");
}

#[test]
fn a_path_in_use_is_told_and_left_alone() {
    let directory = Directory::new("in-use");
    let path = directory.path("a.sock");
    let server = Server::start(&path);
    let text = fails(&[&path]);
    assert_eq!(text, format!("{}: in use\n", path.display()));
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"a").unwrap();
    client.read_exact(&mut [0]).unwrap();
    server.stop();
    // Neither is a file, nor what a link points to, whatever it is.
    let file = directory.path("file");
    fs::write(&file, "kept").unwrap();
    assert!(fails(&[&file]).contains("in use"));
    assert_eq!(fs::read_to_string(&file).unwrap(), "kept");
    let (dead, link) = (directory.path("dead"), directory.path("link"));
    drop(UnixListener::bind(&dead).unwrap());
    std::os::unix::fs::symlink(&dead, &link).unwrap();
    assert!(fails(&[&link]).contains("in use"));
    assert!(fs::metadata(&link).unwrap().file_type().is_socket());
}

#[test]
fn a_socket_that_nobody_listens_at_is_replaced() {
    let directory = Directory::new("dead");
    let path = directory.path("a.sock");
    drop(UnixListener::bind(&path).unwrap());
    let mut killed = Server::start(&path);
    killed.0.kill().unwrap();
    killed.0.wait().unwrap();
    assert!(path.exists(), "nobody removed it");
    let server = Server::start(&path);
    let mut client = UnixStream::connect(&path).unwrap();
    client.write_all(b"a").unwrap();
    client.read_exact(&mut [0]).unwrap();
    server.stop();
}

#[test]
fn an_abstract_name_and_names_of_wrong_lengths() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;

    let name = format!("usockets-{}", std::process::id());
    let server = Server::start(Path::new(&format!("@{name}")));
    let addr = SocketAddr::from_abstract_name(&name).unwrap();
    let mut client = UnixStream::connect_addr(&addr).unwrap();
    client.write_all(b"a").unwrap();
    client.read_exact(&mut [0]).unwrap();
    server.stop();
    for wrong in ["", "@", &"a".repeat(108), &format!("@{}", "a".repeat(108))] {
        let text = fails(&[Path::new(wrong)]);
        assert!(text.contains("not of 1 to 107 bytes"), "{text}");
    }
    assert!(fails(&[]).starts_with("usage:"));
    let absent = fails(&[Path::new("/nowhere/at/all")]);
    assert!(absent.starts_with("/nowhere/at/all: "), "{absent}");
}
