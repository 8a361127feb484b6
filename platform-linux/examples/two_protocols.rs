//! Two protocols of two authors in one loop, neither aware of the other: echo, and rooms in which
//! all hear what one says. `two_protocols [ADDR]` serves echo there and two rooms at the two ports
//! above it; for port 0, all three at ports that the system chooses.
//! `cargo run --release --example two_protocols`
//!
//! The protocols are packages: `protocols/echo` and `protocols/talk`. How they go together says the
//! documentation of `usockets::compose`.

use core::convert::Infallible;
use core::net::SocketAddr;
use std::process::ExitCode;

use example_echo_protocol::Echo;
use example_talk_protocol::Talk;
use static_cell::ConstStaticCell;
use usockets::compose::{Both, Composed, Either, PartSocket, PartSockets, Protocol, Scope};
use usockets::{Endpoint, Loop, Opened, Sockets};
use usockets_linux::Linux;

mod support;

/// Bytes read at once.
const RECEIVE: usize = 4_096;
const SOCKETS_MAX: usize = 1_024;

/// The whole program: the two protocols, and what stops them.
type Program = Composed<Both<Stop, Both<Echo<RECEIVE>, Talk>>>;

/// Ends the program when it is asked to. Has no sockets: there is no value of its context.
struct Stop;

impl Protocol for Stop {
    type Data = Infallible;
    type Context = Infallible;

    fn on_open<S: Scope<Self>>(
        &mut self,
        _: &mut PartSocket<'_, '_, Self, S>,
        opened: Opened<Infallible>,
    ) -> Infallible {
        opened.context()
    }

    fn on_data<S: Scope<Self>>(
        &mut self,
        _: &mut PartSocket<'_, '_, Self, S>,
        _: &mut Infallible,
        _: &mut [u8],
    ) {
    }

    fn on_wake<S: Scope<Self>>(&mut self, sockets: &mut PartSockets<'_, '_, Self, S>) {
        // Of the whole loop, not of this part.
        sockets.net().close_where(0, |_| true);
    }
}

static SOCKETS: ConstStaticCell<Sockets<Linux, Program, SOCKETS_MAX>> =
    ConstStaticCell::new(Sockets::new());
static BUFFER: ConstStaticCell<[u8; RECEIVE]> = ConstStaticCell::new([0; RECEIVE]);

fn main() -> ExitCode {
    support::exit(serve())
}

fn serve() -> Result<(), support::Failure> {
    let at = support::address()?;
    support::raise_descriptors(SOCKETS_MAX);
    let platform = support::with_stop_signals(Linux::new()?)?;
    let mut server = Loop::new(platform, SOCKETS.take(), BUFFER.take());
    let echo = Either::Second(Either::First(()));
    let room = |number| Either::Second(Either::Second(number));
    for (above, context) in [(0, echo), (1, room(0)), (2, room(1))] {
        let at = Endpoint::tcp(port_above(at, above));
        let listener = server.net().listen(at, context)?;
        support::announce(server.net().listening_addr(listener));
    }
    server.run(&mut Composed(Both(Stop, Both(Echo, Talk::NEW))))?;
    Ok(())
}

/// The address whose port is `above` that of `at`; that of any port, if `at` is.
fn port_above(mut at: SocketAddr, above: u16) -> SocketAddr {
    if at.port() != 0 {
        at.set_port(at.port().saturating_add(above));
    }
    at
}
