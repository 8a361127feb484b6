//! The same echo server as a handler of the loop, without tasks: what `bench` compares them with.
//!
//! `cargo run --release --bin echo_handler`

use static_cell::ConstStaticCell;
use usockets::{Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_async_hosts::{ECHO_MAX, SLOTS};
use usockets_linux::Linux;

struct Echo;

impl<P: Platform> Handler<P> for Echo {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut (), data: &mut [u8]) {
        if socket.write(data) < data.len() {
            socket.close();
        }
    }
}

fn main() -> Result<(), Error> {
    static SOCKETS: ConstStaticCell<Sockets<Linux, Echo, SLOTS>> =
        ConstStaticCell::new(Sockets::new());
    let mut buffer = [0; ECHO_MAX];
    let mut server = Loop::new(Linux::new()?, SOCKETS.take(), &mut buffer);
    let at = Endpoint::tcp(([127, 0, 0, 1], 0).into());
    let listener = server.net().listen(at, ())?;
    let addr = server.net().listening_addr(listener);
    println!("{}", addr.ok_or(Error::Invalid)?);
    server.run(&mut Echo)
}
