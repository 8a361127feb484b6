//! Echoes what each connection sends; a peer that does not read costs its slot and no more.
//! `cargo run --release --example echo_server [ADDR]`

use std::process::ExitCode;

use static_cell::ConstStaticCell;
use usockets::{Endpoint, Loop, Sockets};
use usockets_linux::Linux;

#[path = "handlers/echo.rs"]
mod echo;
mod support;

use echo::EchoServer;

/// Bytes read at once, and so the most that is ever held for one peer.
const RECEIVE: usize = 16_384;

static SOCKETS: ConstStaticCell<Sockets<Linux, EchoServer<RECEIVE>, 4096>> =
    ConstStaticCell::new(Sockets::new());
static BUFFER: ConstStaticCell<[u8; RECEIVE]> = ConstStaticCell::new([0; RECEIVE]);

fn main() -> ExitCode {
    support::exit(serve())
}

fn serve() -> Result<(), support::Failure> {
    let at = support::address()?;
    let platform = Linux::new()?.with_waker(support::stop_signals()?)?;
    let mut server = Loop::new(platform, SOCKETS.take(), BUFFER.take());
    let listener = server.net().listen(Endpoint::tcp(at), ())?;
    support::announce(server.net().listening_addr(listener));
    server.run(&mut EchoServer)?;
    Ok(())
}
