//! The echo server for datagrams of `usockets-linux`, over the stack in user space on a TAP of
//! Linux, which is made as `tap_echo` tells:
//!
//! ```sh
//! cargo build --release -p usockets-smoltcp --features tap,datagrams --examples
//! sudo ip netns exec usockets \
//!     target/release/examples/tap_udp_echo --tap us0 --ip 10.77.0.2/24 --ip fd77::2/64
//! ```
//!
//! and then, elsewhere, `sudo ip netns exec usockets nc -u 10.77.0.2 3000`.

#[path = "handlers/datagram_echo.rs"]
mod datagram_echo;
#[path = "support/mail.rs"]
mod mail;
mod support;

use datagram_echo::{BATCH, DatagramEcho};
use static_cell::ConstStaticCell;
use usockets::{Error, Loop, Sockets};
use usockets_smoltcp::{Pcap, Stack, Tap};

/// Bytes of the longest datagram that is echoed: none is longer without fragments.
const LONGEST: usize = 1_500;

type Net = Stack<'static, Pcap<Tap<'static>, fn(&[u8])>>;

static SOCKETS: ConstStaticCell<Sockets<Net, DatagramEcho<'_>, 1>> =
    ConstStaticCell::new(Sockets::new());
static MEMORY: ConstStaticCell<[u8; BATCH * LONGEST]> = ConstStaticCell::new([0; BATCH * LONGEST]);

fn main() -> Result<(), Error> {
    let mut stack = support::stack(std::env::args().skip(1))?;
    mail::start(&mut stack)?;
    // The receive buffer is for streams, of which there are none.
    let mut buffer = [0; 1];
    let mut server = Loop::new(stack, SOCKETS.take(), &mut buffer);
    let at = core::net::SocketAddr::from(([0_u16; 8], 3000));
    server.net().bind(at.into(), ())?;
    server.run(&mut DatagramEcho::new(MEMORY.take()))
}
