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

use http::connection::Connection;
use http::date::WallClock;
use http::service::Service;
use upgrade::{Kind, Upgrading, route};

/// Bytes per connection for what it received.
const IN: usize = 8_192;
/// Bytes per connection for what the client has not taken.
const OUT: usize = 1_024;

static SOCKETS: ConstStaticCell<Sockets<Linux, Upgrading<IN, OUT>, 1024>> =
    ConstStaticCell::new(Sockets::new());
static BUFFER: ConstStaticCell<[u8; Connection::<IN, OUT>::RECEIVE_MAX]> =
    ConstStaticCell::new([0; Connection::<IN, OUT>::RECEIVE_MAX]);

fn main() -> ExitCode {
    support::exit(serve())
}

fn serve() -> Result<(), support::Failure> {
    let at = support::address()?;
    let platform = Linux::new()?.with_waker(support::stop_signals()?)?;
    let mut server = Loop::new(platform, SOCKETS.take(), BUFFER.take());
    let listener = server.net().listen(Endpoint::tcp(at), Kind::Http)?;
    support::announce(server.net().listening_addr(listener));
    let clock = WallClock(|| SystemTime::UNIX_EPOCH.elapsed().ok());
    server.run(&mut Upgrading::new(Service::new(route, clock)))?;
    Ok(())
}
