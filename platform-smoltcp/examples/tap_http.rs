//! The HTTP server of `usockets-linux`, over a TCP stack of our own on a TAP of Linux: `/`,
//! `/echo` (POST), `/bytes/N` and `/stats`, on port 80. See `tap_echo` for how to start it.

use std::time::SystemTime;

#[expect(dead_code, reason = "going over to another protocol is for `upgrade`")]
#[path = "../../platform-linux/examples/handlers/http/mod.rs"]
mod http;
mod support;

use http::date::WallClock;
use http::memory::{Memory, Store};
use http::routes::route;
use http::server::{Group, Server};
use http::service::Service;
use static_cell::ConstStaticCell;
use support::CONNECTIONS;
use usockets::{Endpoint, Error, Loop, Sockets};
use usockets_smoltcp::{Pcap, Stack, Tap};

/// Bytes per connection for what it received: half for a request's head, half for what comes at
/// once.
const IN: usize = 16_384;
/// Bytes per connection for what the client has not taken.
const OUT: usize = 8_192;

#[expect(clippy::type_complexity, reason = "spelt out, to be seen whole")]
static SOCKETS: ConstStaticCell<
    Sockets<Stack<'static, Pcap<Tap<'static>, fn(&[u8])>>, Server<'_, IN, OUT>, CONNECTIONS>,
> = ConstStaticCell::new(Sockets::new());
static STORE: ConstStaticCell<Store<IN, OUT, CONNECTIONS>> = ConstStaticCell::new(Store::new());
static BUFFER: ConstStaticCell<[u8; Memory::<IN, OUT>::RECEIVE_MAX]> =
    ConstStaticCell::new([0; Memory::<IN, OUT>::RECEIVE_MAX]);

fn main() -> Result<(), Error> {
    let mut server = Loop::new(support::stack()?, SOCKETS.take(), BUFFER.take());
    let at = Endpoint::tcp(([0_u16; 8], 80).into());
    server.net().listen(at, Group::Idle)?;
    let clock = WallClock(|| SystemTime::UNIX_EPOCH.elapsed().ok());
    let mut http = Server::new(Service::new(route, clock), STORE.take());
    server.run(&mut http)
}
