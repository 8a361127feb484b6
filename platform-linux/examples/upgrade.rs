//! HTTP that hands the connection to a line echo: `GET /` with "Upgrade: line-echo".
//! `cargo run --release --example upgrade [ADDR]`

use std::process::ExitCode;
use std::time::SystemTime;

use static_cell::ConstStaticCell;
use usockets::{Endpoint, Loop, Sockets};
use usockets_linux::Linux;

#[expect(dead_code, reason = "the greater part of it is for `http_server`")]
#[path = "handlers/http/mod.rs"]
mod http;
#[path = "handlers/lines.rs"]
mod lines;
mod support;
#[path = "handlers/upgrade.rs"]
mod upgrade;

use http::date::WallClock;
use http::memory::{Memory, Store};
use http::service::Service;
use upgrade::{Kind, Upgrading, route};

/// Bytes per connection for what it received.
const IN: usize = 8_192;
/// Bytes per connection for what the client has not taken.
const OUT: usize = 1_024;

/// Sockets of the pool.
const SOCKETS_MAX: usize = 1024;

static SOCKETS: ConstStaticCell<Sockets<Linux, Upgrading<'_, IN, OUT>, SOCKETS_MAX>> =
    ConstStaticCell::new(Sockets::new());
static STORE: ConstStaticCell<Store<IN, OUT, SOCKETS_MAX>> = ConstStaticCell::new(Store::new());
static BUFFER: ConstStaticCell<[u8; Memory::<IN, OUT>::RECEIVE_MAX]> =
    ConstStaticCell::new([0; Memory::<IN, OUT>::RECEIVE_MAX]);

fn main() -> ExitCode {
    support::exit(serve())
}

fn serve() -> Result<(), support::Failure> {
    let at = support::address()?;
    support::raise_descriptors(SOCKETS_MAX);
    let platform = support::with_stop_signals(Linux::new()?)?;
    let mut server = Loop::new(platform, SOCKETS.take(), BUFFER.take());
    let listener = server.net().listen(Endpoint::tcp(at), Kind::Http)?;
    support::announce(server.net().listening_addr(listener));
    let clock = WallClock(|| SystemTime::UNIX_EPOCH.elapsed().ok());
    let mut upgrading = Upgrading::new(Service::new(route, clock), STORE.take());
    server.run(&mut upgrading)?;
    Ok(())
}
