//! Echoes what each connection sends: `cargo run --release --example echo [ADDR]`.
use static_cell::ConstStaticCell;
use usockets::{
    Buffer, Duration, Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets,
};
use usockets_linux::Linux;

struct Echo;

impl<P: Platform> Handler<P> for Echo {
    type Context = ();
    type Ext = (); // What the peer has not taken yet.

    fn on_open(&mut self, _socket: &mut Socket<'_, P, Self>, _: Opened<()>) -> Self::Ext {}

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut Self::Ext, data: &mut [u8]) {
        let _ = socket.write(data);
    }
}

static SOCKETS: ConstStaticCell<Sockets<Linux, Echo, 1024>> = ConstStaticCell::new(Sockets::new());
static BUFFER: ConstStaticCell<[u8; 65_536]> = ConstStaticCell::new([0; 65_536]);

fn main() -> Result<(), Error> {
    let mut server = Loop::new(Linux::new()?, SOCKETS.take(), BUFFER.take());
    let addr = std::env::args()
        .nth(1)
        .and_then(|a| a.parse().ok())
        .unwrap_or(([127, 0, 0, 1], 3000).into());
    println!("{}", Sockets::<Linux, Echo, 1>::SLOT_BYTES);
    server.net().listen(Endpoint::tcp(addr), ())?;
    server.run(&mut Echo)
}
