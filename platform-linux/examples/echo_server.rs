//! Echoes what each connection sends; a peer that does not read costs its memory and no more.
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
/// Bytes that the kernel holds for a peer besides. Its own choice goes up to megabytes, which a
/// slow peer takes minutes for, and looks as if it took nothing meanwhile.
const SEND_BUFFER: usize = 262_144;

/// Sockets of the pool.
const SOCKETS_MAX: usize = 4096;

static SOCKETS: ConstStaticCell<Sockets<Linux, EchoServer<'_, RECEIVE>, SOCKETS_MAX>> =
    ConstStaticCell::new(Sockets::new());
/// What is never needed is never touched, and takes no memory.
static HELD: ConstStaticCell<[[u8; RECEIVE]; SOCKETS_MAX]> =
    ConstStaticCell::new([[0; RECEIVE]; SOCKETS_MAX]);
static BUFFER: ConstStaticCell<[u8; RECEIVE]> = ConstStaticCell::new([0; RECEIVE]);

fn main() -> ExitCode {
    support::exit(serve())
}

fn serve() -> Result<(), support::Failure> {
    let at = support::address()?;
    let platform = Linux::new()?.with_waker(support::stop_signals()?)?;
    let mut server = Loop::new(platform, SOCKETS.take(), BUFFER.take());
    let endpoint = Endpoint::tcp(at).send_buffer(SEND_BUFFER);
    let listener = server.net().listen(endpoint, ())?;
    support::announce(server.net().listening_addr(listener));
    server.run(&mut EchoServer::new(HELD.take()))?;
    Ok(())
}
