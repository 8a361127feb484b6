//! The echo server of `plain_echo` composed of two protocols that both write, as `budget` measures
//! it: with its own clients of the first protocol, as many rounds as it is told.

use std::net::SocketAddr;

use usockets::compose::{Both, Composed, Either, PartSocket, Protocol, Scope};
use usockets::{Endpoint, Error, Loop, Opened, Sockets};
use usockets_linux::Linux;
use usockets_tests::lockstep::{Clients, rounds_wanted};

/// Sends back what comes.
struct Echo;

/// Sends back what comes, the first letter as a capital, and counts it.
struct Title;

impl Protocol for Echo {
    type Context = ();
    type Data = ();

    fn on_open<S: Scope<Self>>(&mut self, _: &mut PartSocket<'_, '_, Self, S>, _: Opened<()>) {}

    fn on_data<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        _: &mut (),
        bytes: &mut [u8],
    ) {
        if socket.write(bytes) < bytes.len() {
            socket.close();
        }
    }
}

impl Protocol for Title {
    type Context = ();
    type Data = u64;

    fn on_open<S: Scope<Self>>(
        &mut self,
        _: &mut PartSocket<'_, '_, Self, S>,
        _: Opened<()>,
    ) -> u64 {
        0
    }

    fn on_data<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        count: &mut u64,
        bytes: &mut [u8],
    ) {
        if let Some(first) = bytes.first_mut() {
            first.make_ascii_uppercase();
        }
        let written = socket.write(bytes);
        *count = count.saturating_add(u64::try_from(written).unwrap_or_default());
        if written < bytes.len() {
            socket.close();
        }
    }
}

type Program = Composed<Both<Echo, Title>>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut sockets: Box<Sockets<Linux, Program, 1024>> = Box::default();
    let mut buffer = Box::new([0; 65_536]);
    let mut server = Loop::new(Linux::new()?, &mut sockets, &mut buffer);
    let [addr, _] = [Either::First(()), Either::Second(())].map(|context| {
        let at = Endpoint::tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
        let listener = server.net().listen(at, context)?;
        server.net().listening_addr(listener).ok_or(Error::Invalid)
    });
    let mut program = Composed(Both(Echo, Title));
    let mut clients = Clients::connect(addr?, rounds_wanted().ok_or("how many rounds?")?)?;
    while clients.turn()? {
        server.poll(&mut program, None)?;
    }
    Ok(())
}
