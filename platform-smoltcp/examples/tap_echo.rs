//! The echo server of `usockets-linux`, over a TCP stack of our own on a TAP of Linux:
//!
//! ```sh
//! cargo build --release -p usockets-smoltcp --features tap --examples
//! sudo platform-smoltcp/scripts/tap up
//! sudo ip netns exec usockets \
//!     target/release/examples/tap_echo --tap us0 --ip 10.77.0.2/24 --ip fd77::2/64
//! ```
//!
//! and then, elsewhere, `sudo ip netns exec usockets nc 10.77.0.2 3000`. In the end
//! `sudo platform-smoltcp/scripts/tap down`.

#[path = "handlers/echo.rs"]
mod echo;
mod support;

use echo::EchoServer;
use static_cell::ConstStaticCell;
use support::CONNECTIONS;
use usockets::{Endpoint, Error, Loop, Sockets};
use usockets_smoltcp::{Pcap, Stack, Tap};

/// Bytes read at once, and so the most that is ever held for one peer.
const RECEIVE: usize = 16_384;

#[expect(clippy::type_complexity, reason = "spelt out, to be seen whole")]
static SOCKETS: ConstStaticCell<
    Sockets<Stack<'static, Pcap<Tap<'static>, fn(&[u8])>>, EchoServer<'_, RECEIVE>, CONNECTIONS>,
> = ConstStaticCell::new(Sockets::new());
static HELD: ConstStaticCell<[[u8; RECEIVE]; CONNECTIONS]> =
    ConstStaticCell::new([[0; RECEIVE]; CONNECTIONS]);
static BUFFER: ConstStaticCell<[u8; RECEIVE]> = ConstStaticCell::new([0; RECEIVE]);

fn main() -> Result<(), Error> {
    let mut server = Loop::new(
        support::stack(std::env::args().skip(1))?,
        SOCKETS.take(),
        BUFFER.take(),
    );
    server
        .net()
        .listen(Endpoint::tcp(([0_u16; 8], 3000).into()), ())?;
    server.run(&mut EchoServer::new(HELD.take()))
}
