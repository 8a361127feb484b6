//! Echoes what each connection sends, over a TCP stack of our own on a TAP of Linux:
//!
//! ```sh
//! cargo build --release -p usockets-smoltcp --features tap --examples
//! sudo platform-smoltcp/scripts/tap up
//! sudo ip netns exec usockets \
//!     target/release/examples/tap_echo --tap us0 --ip 10.77.0.2/24 --ip fd77::2/64
//! ```
//!
//! and then, elsewhere, `sudo ip netns exec usockets nc 10.77.0.2 3000`.

mod support;

use static_cell::ConstStaticCell;
use support::CONNECTIONS;
use usockets::{Buffer, Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_smoltcp::{Pcap, Stack, Tap};

struct Echo;

impl<P: Platform> Handler<P> for Echo {
    type Context = ();
    type Ext = Buffer<4096>; // What the peer has not taken yet.

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) -> Self::Ext {
        Buffer::EMPTY
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Self::Ext, data: &mut [u8]) {
        let sent = if held.is_empty() {
            socket.write(data)
        } else {
            0
        };
        let rest = data.get(sent..).unwrap_or_default();
        if held.push(rest) < rest.len() {
            socket.close();
        } else if !held.is_empty() {
            socket.pause();
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Self::Ext) {
        held.consume(socket.write(held.filled()));
        if held.is_empty() {
            socket.resume();
        }
    }
}

#[expect(clippy::type_complexity, reason = "spelt out, to be seen whole")]
static SOCKETS: ConstStaticCell<
    Sockets<Stack<'static, Pcap<Tap<'static>, fn(&[u8])>>, Echo, CONNECTIONS>,
> = ConstStaticCell::new(Sockets::new());
static BUFFER: ConstStaticCell<[u8; 4_096]> = ConstStaticCell::new([0; 4_096]);

fn main() -> Result<(), Error> {
    let mut server = Loop::new(support::stack()?, SOCKETS.take(), BUFFER.take());
    server
        .net()
        .listen(Endpoint::tcp(([0_u16; 8], 3000).into()), ())?;
    server.run(&mut Echo)
}
