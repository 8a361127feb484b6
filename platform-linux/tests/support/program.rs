//! The example programs as processes.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::OnceLock;

use super::{PATIENCE, within};

/// Where the programs are, up to date; or where `PROGRAMS` says, as they are.
pub(crate) fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| match std::env::var_os("PROGRAMS") {
        Some(programs) => programs.into(),
        None => built(&["--examples"]),
    })
}

/// Builds programs of this package, by these arguments of `cargo build`; returns where they are.
pub(crate) fn built(arguments: &[&str]) -> PathBuf {
    // This program is target/<profile>/deps/programs-<hash>.
    let own = std::env::current_exe().unwrap();
    let profile = own.parent().unwrap().parent().unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--manifest-path"]);
    cargo.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    cargo.args(arguments);
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
}

/// A server that is killed if the test fails.
pub(crate) struct Server {
    pub(crate) child: Child,
    pub(crate) addr: SocketAddr,
    output: BufReader<ChildStdout>,
}

impl Server {
    pub(crate) fn start(name: &str) -> Self {
        Self::start_at(name, "127.0.0.1:0")
    }

    /// Starts a server at an address.
    pub(crate) fn start_at(name: &str, at: &str) -> Self {
        Self::start_by(name, &[at])
    }

    /// Starts a server with more arguments than its address.
    pub(crate) fn start_with(name: &str, arguments: &[&str]) -> Self {
        Self::start_by(name, &[&["127.0.0.1:0"], arguments].concat())
    }

    fn start_by(name: &str, arguments: &[&str]) -> Self {
        let mut command = Command::new(programs().join(name));
        let command = command.args(arguments).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let addr = announced(&mut output);
        Self {
            child,
            addr,
            output,
        }
    }

    /// The address in the next line of its output.
    pub(crate) fn next_addr(&mut self) -> SocketAddr {
        announced(&mut self.output)
    }

    pub(crate) fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        let kill = Command::new("kill")
            .args(["-s", name, &id])
            .status()
            .unwrap();
        assert!(kill.success());
    }

    /// Waits for the end; returns the exit code and what else was printed.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
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

fn announced(output: &mut impl BufRead) -> SocketAddr {
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    let addr = line.strip_prefix("listening on ").unwrap().trim_end();
    addr.parse().unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
