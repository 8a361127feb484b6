//! The barest echo server on the Linux platform, with `()` data: what `budget` measures.
//! Prints its address, then serves until it is killed, or its own clients as many rounds as it is
//! told.

use std::net::SocketAddr;

use usockets::{Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
use usockets_linux::Linux;
use usockets_tests::lockstep::{Clients, rounds_wanted};

struct Echo;

impl<P: Platform> Handler<P> for Echo {
    type Context = ();
    type Ext = ();

    fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut (), data: &mut [u8]) {
        if socket.write(data) < data.len() {
            socket.close();
        }
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut sockets: Box<Sockets<Linux, Echo, 1024>> = Box::default();
    let mut buffer = Box::new([0; 65_536]);
    let mut server = Loop::new(Linux::new()?, &mut sockets, &mut buffer);
    let listener = server
        .net()
        .listen(Endpoint::tcp(SocketAddr::from(([127, 0, 0, 1], 0))), ())?;
    let addr = server.net().listening_addr(listener);
    let addr = addr.ok_or(Error::Invalid)?;
    println!("{addr}");
    let mut clients = match rounds_wanted() {
        Some(rounds) => Some(Clients::connect(addr, rounds)?),
        None => None,
    };
    while clients.as_mut().map_or(Ok(true), Clients::turn)? {
        server.poll(&mut Echo, None)?;
    }
    Ok(())
}
