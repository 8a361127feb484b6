//! What the servers' `main` functions share. Linux only.

use core::fmt::Display;
use core::net::SocketAddr;
use std::io::{self, Write};

use std::process::ExitCode;

use rustix::process::{Resource, getrlimit, setrlimit};
use usockets::Error;
use usockets_linux::{Linux, Signal};

/// Descriptors that a server needs besides its sockets.
const DESCRIPTORS: usize = 16;

/// Returns where to listen: the first argument, or port 3000 of this machine.
///
/// # Errors
/// The argument is no address.
pub(crate) fn address() -> Result<SocketAddr, String> {
    parse_address(std::env::args().nth(1))
}

/// Returns the address that an argument is, or port 3000 of this machine.
///
/// # Errors
/// The argument is no address.
pub(crate) fn parse_address(argument: Option<String>) -> Result<SocketAddr, String> {
    let Some(argument) = argument else {
        return Ok(SocketAddr::from(([127, 0, 0, 1], 3000)));
    };
    let parsed = argument.parse();
    parsed.map_err(|_| format!("{argument}: not an address such as 127.0.0.1:3000 or [::]:80"))
}

/// Has SIGINT and SIGTERM wake the loop. Called in the first thread, before there are others.
///
/// # Errors
/// The process is out of descriptors.
pub(crate) fn with_stop_signals(linux: Linux) -> Result<Linux, Error> {
    linux.with_signals(&[Signal::INTERRUPT, Signal::TERMINATE])
}

/// Says where the server listens: the one line that it prints. A server that cannot say so serves
/// all the same.
pub(crate) fn announce(at: Option<SocketAddr>) {
    let Some(at) = at else {
        return;
    };
    if let Err(error) = writeln!(io::stdout(), "listening on {at}") {
        say(format_args!("standard output: {error}"));
    }
}

/// Says something on standard error, which may be closed or full.
pub(crate) fn say(what: impl Display) {
    let _ = writeln!(io::stderr(), "{what}");
}

/// Lets the process have a descriptor for each of `sockets`, as far as the system allows
/// (`getrlimit(2)`), and says so if it does not.
pub(crate) fn raise_descriptors(sockets: usize) {
    let wanted = u64::try_from(sockets.saturating_add(DESCRIPTORS)).unwrap_or(u64::MAX);
    let mut limit = getrlimit(Resource::Nofile);
    if limit.current.is_none_or(|current| current >= wanted) {
        return;
    }
    let current = limit.maximum.map_or(wanted, |max| max.min(wanted));
    limit.current = Some(current);
    let raised = setrlimit(Resource::Nofile, limit);
    if raised.is_err() || current < wanted {
        let now = getrlimit(Resource::Nofile).current.unwrap_or(current);
        say(format_args!(
            "`ulimit -n` is {now}: fewer connections than the {sockets} that there is room for"
        ));
    }
}

/// Turns the loop's outcome into the process's, with a reason on standard error.
pub(crate) fn exit(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure(reason)) => {
            say(reason);
            ExitCode::FAILURE
        }
    }
}

/// Why a server could not go on.
#[derive(Debug)]
pub(crate) struct Failure(String);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}

impl From<String> for Failure {
    fn from(reason: String) -> Self {
        Self(reason)
    }
}
