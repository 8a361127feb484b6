//! The servers on this library: the handlers of its examples, with a pool for this many.

#[path = "../../../../../platform-linux/examples/handlers/echo.rs"]
mod echo;
#[expect(dead_code, reason = "going over to another protocol is for an example")]
#[path = "../../../../../platform-linux/examples/handlers/http/mod.rs"]
mod http;
mod null;
mod timeouts;

use std::error::Error;
use std::time::SystemTime;

use static_cell::ConstStaticCell;
use usockets::{Endpoint, Handler, Loop, Sockets};
use usockets_linux::Linux;
use usockets_peers::{READ_MAX, Role, announce, any_port};

use echo::EchoServer;
use http::date::WallClock;
use http::memory::{Memory, Store};
use http::routes::route;
use http::server::{Group, Server};
use http::service::Service;

/// Sockets of a pool: 10,000 connections, a listener, and some to spare.
const SOCKETS: usize = 10_240;
/// Bytes per connection for what the HTTP server received, half of them read at once.
const IN: usize = 2 * READ_MAX;
/// Bytes per connection for what the client has not taken.
const OUT: usize = 8_192;

type EchoPool = Sockets<Linux, EchoServer<'static, READ_MAX>, SOCKETS>;
type HttpPool = Sockets<Linux, Server<'static, IN, OUT>, SOCKETS>;

static ECHO: ConstStaticCell<EchoPool> = ConstStaticCell::new(Sockets::new());
static HELD: ConstStaticCell<[[u8; READ_MAX]; SOCKETS]> =
    ConstStaticCell::new([[0; READ_MAX]; SOCKETS]);
static HTTP: ConstStaticCell<HttpPool> = ConstStaticCell::new(Sockets::new());
static STORE: ConstStaticCell<Store<IN, OUT, SOCKETS>> = ConstStaticCell::new(Store::new());
static BUFFER: ConstStaticCell<[u8; READ_MAX]> = ConstStaticCell::new([0; READ_MAX]);

const _: () = assert!(Memory::<IN, OUT>::RECEIVE_MAX == READ_MAX);

fn main() -> Result<(), Box<dyn Error>> {
    let buffer = BUFFER.take();
    match Role::from_args()? {
        Role::Echo => serve(ECHO.take(), buffer, &mut EchoServer::new(HELD.take()), ())?,
        Role::Http => {
            let clock = WallClock(|| SystemTime::UNIX_EPOCH.elapsed().ok());
            let mut server = Server::new(Service::new(route, clock), STORE.take());
            serve(HTTP.take(), buffer, &mut server, Group::Listener)?;
        }
        Role::Timeouts => timeouts::measure(),
    }
    Ok(())
}

fn serve<H: Handler<Linux>>(
    sockets: &mut Sockets<Linux, H, SOCKETS>,
    buffer: &mut [u8; READ_MAX],
    handler: &mut H,
    context: H::Context,
) -> Result<(), Box<dyn Error>> {
    let platform = Linux::new().map_err(|error| error.to_string())?;
    let mut server = Loop::new(platform, sockets, buffer);
    let endpoint = Endpoint::tcp(any_port()).backlog(4096);
    let listener = server.net().listen(endpoint, context);
    let listener = listener.map_err(|error| error.to_string())?;
    let addr = server.net().listening_addr(listener);
    announce(addr.ok_or("no address")?);
    server
        .run(handler)
        .map_err(|error| error.to_string().into())
}
