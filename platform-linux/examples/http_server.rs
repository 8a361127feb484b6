//! An HTTP/1.1 server: `/`, `/echo` (POST), `/bytes/N` and `/stats`.
//! `cargo run --release --example http_server [ADDR]`; SIGINT or SIGTERM stops it in order.

use std::process::ExitCode;
use std::time::SystemTime;

use static_cell::ConstStaticCell;
use usockets::{Endpoint, Loop, Sockets, WhenFull};
use usockets_linux::Linux;

#[expect(dead_code, reason = "going over to another protocol is for `upgrade`")]
#[path = "handlers/http/mod.rs"]
mod http;
mod support;

use http::date::WallClock;
use http::memory::{Memory, Store};
use http::routes::route;
use http::server::{Group, Server};
use http::service::Service;

/// Bytes per connection for what it received: half for a request's head, half for what comes at
/// once.
const IN: usize = 16_384;
/// Bytes per connection for what the client has not taken.
const OUT: usize = 8_192;
/// Bytes that the kernel holds for a client besides. Its own choice goes up to megabytes, which a
/// slow client takes minutes for, and looks as if it took nothing meanwhile.
const SEND_BUFFER: usize = 262_144;

/// Sockets of the pool.
const SOCKETS_MAX: usize = 4096;

static SOCKETS: ConstStaticCell<Sockets<Linux, Server<'_, IN, OUT>, SOCKETS_MAX>> =
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
    // Whoever connects and says nothing makes room for the next one.
    let endpoint = Endpoint::tcp(at)
        .send_buffer(SEND_BUFFER)
        .when_full(WhenFull::EvictIdle);
    let listener = server.net().listen(endpoint, Group::Listener)?;
    support::announce(server.net().listening_addr(listener));
    let clock = WallClock(|| SystemTime::UNIX_EPOCH.elapsed().ok());
    let mut http = Server::new(Service::new(route, clock), STORE.take());
    server.run(&mut http)?;
    Ok(())
}
