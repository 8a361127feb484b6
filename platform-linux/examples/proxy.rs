//! A TCP proxy: `proxy LISTEN UPSTREAM [UPSTREAM]`. The second upstream stands in for the first.
//! `cargo run --release --example proxy 127.0.0.1:3000 127.0.0.1:8080`
//!
//! Back-pressure and half-closing go through, both ways. It holds one receive buffer for each
//! connection at most.

use core::net::SocketAddr;
use std::process::ExitCode;

use static_cell::ConstStaticCell;
use usockets::{Endpoint, Loop, Sockets};
use usockets_linux::Linux;

#[path = "handlers/proxy.rs"]
mod proxy;
#[expect(dead_code, reason = "other programs use the rest")]
mod support;

use proxy::{Proxy, Role};

/// Bytes read at once, and so the most that is held for a connection. 64 KiB: where large blocks
/// pass, fewer reads are cheaper.
const RECEIVE: usize = 65_536;
/// Bytes that the kernel holds for a connection besides.
const SEND_BUFFER: usize = 262_144;
/// Sockets of the pool: two for each client.
const SOCKETS_MAX: usize = 4096;

static SOCKETS: ConstStaticCell<Sockets<Linux, Proxy<'_, RECEIVE>, SOCKETS_MAX>> =
    ConstStaticCell::new(Sockets::new());
/// What is never needed is never touched, and takes no memory.
static MEMORY: ConstStaticCell<[[u8; RECEIVE]; SOCKETS_MAX]> =
    ConstStaticCell::new([[0; RECEIVE]; SOCKETS_MAX]);
static BUFFER: ConstStaticCell<[u8; RECEIVE]> = ConstStaticCell::new([0; RECEIVE]);

fn main() -> ExitCode {
    support::exit(serve())
}

fn serve() -> Result<(), support::Failure> {
    let mut addresses = std::env::args().skip(1);
    let at = support::parse_address(addresses.next())?;
    let upstreams: Result<Vec<SocketAddr>, _> = addresses
        .map(|address| support::parse_address(Some(address)))
        .collect();
    let upstreams = upstreams?.leak();
    if !(1..=2).contains(&upstreams.len()) {
        return Err("proxy LISTEN UPSTREAM [UPSTREAM]".to_owned().into());
    }
    support::raise_descriptors(SOCKETS_MAX);
    let platform = support::with_stop_signals(Linux::new()?)?;
    let mut server = Loop::new(platform, SOCKETS.take(), BUFFER.take());
    // A client needs a second slot, for its upstream.
    let endpoint = Endpoint::tcp(at).send_buffer(SEND_BUFFER).reserve(1);
    let listener = server.net().listen(endpoint, Role::Client)?;
    support::announce(server.net().listening_addr(listener));
    server.run(&mut Proxy::new(upstreams, MEMORY.take()))?;
    Ok(())
}
