//! Echoes what each connection to a Unix socket sends: the handler of `echo_server`, unchanged.
//! `cargo run --release --example unix_echo PATH`; a PATH that starts with `@` is an abstract name.
//!
//! A socket that nobody listens at any more is replaced, and nothing else. SIGINT or SIGTERM stops
//! the server in order, which removes the path.

use std::io::Write;
use std::process::ExitCode;

use static_cell::ConstStaticCell;
use usockets::{Error, LocalAddress, LocalEndpoint, Loop, Sockets, StalePath};
use usockets_linux::{Linux, remove_if_refused};

#[path = "handlers/echo.rs"]
mod echo;
#[expect(dead_code, reason = "the address is a path here")]
mod support;

use echo::EchoServer;

/// Bytes read at once, and so the most that is ever held for one peer.
const RECEIVE: usize = 65_536;
/// Sockets of the pool.
const SOCKETS_MAX: usize = 1024;

static SOCKETS: ConstStaticCell<Sockets<Linux, EchoServer<'_, RECEIVE>, SOCKETS_MAX>> =
    ConstStaticCell::new(Sockets::new());
static HELD: ConstStaticCell<[[u8; RECEIVE]; SOCKETS_MAX]> =
    ConstStaticCell::new([[0; RECEIVE]; SOCKETS_MAX]);
static BUFFER: ConstStaticCell<[u8; RECEIVE]> = ConstStaticCell::new([0; RECEIVE]);

fn main() -> ExitCode {
    support::exit(serve())
}

fn serve() -> Result<(), support::Failure> {
    let path = std::env::args_os().nth(1);
    let path = path.ok_or_else(|| "usage: unix_echo PATH".to_owned())?;
    let name = path.as_encoded_bytes();
    let addr = match name.strip_prefix(b"@") {
        Some(name) => LocalAddress::abstract_name(name),
        None => LocalAddress::path(name),
    };
    let addr = addr.map_err(|_| format!("{}: not of 1 to 107 bytes", path.display()))?;
    support::raise_descriptors(SOCKETS_MAX);
    let platform = support::with_stop_signals(Linux::new()?)?;
    let mut server = Loop::new(platform, SOCKETS.take(), BUFFER.take());
    let endpoint = LocalEndpoint::stream(addr)
        .mode(0o600)
        .stale(StalePath::RemoveIfRefused);
    let listening = server.net().listen_local(endpoint, ());
    listening.map_err(|error| match error {
        Error::AddressInUse => format!("{addr}: in use"),
        error => format!("{addr}: {error}"),
    })?;
    let _ = writeln!(std::io::stdout(), "listening on {addr}");
    let result = server.run(&mut EchoServer::new(HELD.take()));
    // The listener is closed, so this is refused, unless another server has taken over.
    let removed = remove_if_refused(&addr);
    result?;
    removed.map_err(|error| format!("{addr}: {error}"))?;
    Ok(())
}
