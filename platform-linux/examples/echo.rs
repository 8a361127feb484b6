//! The smallest server: echoes what each connection sends.
//! `cargo run --release --example echo`, on 127.0.0.1:3000.
use static_cell::ConstStaticCell;
use usockets::{
    Buffer, Duration, Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets,
};
use usockets_linux::Linux;

struct Echo;

impl<P: Platform> Handler<P> for Echo {
    type Context = ();
    type Ext = Buffer<4096>; // What the peer has not taken yet.

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<()>) -> Self::Ext {
        socket.set_timeout(Duration::from_secs(30));
        Buffer::EMPTY
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Self::Ext, data: &mut [u8]) {
        let sent = socket.write(data);
        if held.push(data.get(sent..).unwrap_or_default()) > 0 {
            socket.pause(); // Nothing is read meanwhile: one buffer's rest is all there is to hold.
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, held: &mut Self::Ext) {
        held.consume(socket.write(held.filled()));
        if held.is_empty() {
            socket.resume();
        }
    }
}

static SOCKETS: ConstStaticCell<Sockets<Linux, Echo, 1024>> = ConstStaticCell::new(Sockets::new());
static BUFFER: ConstStaticCell<[u8; 4096]> = ConstStaticCell::new([0; 4096]);

fn main() -> Result<(), Error> {
    let mut server = Loop::new(Linux::new()?, SOCKETS.take(), BUFFER.take());
    server
        .net()
        .listen(Endpoint::tcp(([127, 0, 0, 1], 3000).into()), ())?;
    server.run(&mut Echo)
}
