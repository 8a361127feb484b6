//! Echoes datagrams (UDP), 64 by one call where so many wait, from memory that is set aside before
//! the program runs. `cargo run --release --example udp_echo [ADDR]`
//!
//! At an IPv6 address such as `[::]:3000` it serves IPv4 as well. A datagram of more than 2,048
//! bytes is not echoed. SIGINT or SIGTERM stops the server.

use std::process::ExitCode;

use static_cell::ConstStaticCell;
use usockets::{Error, Loop, Sockets};
use usockets_linux::Linux;

#[path = "handlers/datagram_echo.rs"]
mod datagram_echo;
#[expect(dead_code, reason = "one descriptor is within every limit")]
mod support;

use datagram_echo::{BATCH, DatagramEcho};

/// Bytes of the longest datagram that is echoed.
const LONGEST: usize = 2_048;

static SOCKETS: ConstStaticCell<Sockets<Linux, DatagramEcho<'_>, 1>> =
    ConstStaticCell::new(Sockets::new());
static MEMORY: ConstStaticCell<[u8; BATCH * LONGEST]> = ConstStaticCell::new([0; BATCH * LONGEST]);

fn main() -> ExitCode {
    support::exit(serve())
}

fn serve() -> Result<(), support::Failure> {
    let at = support::address()?;
    let platform = support::with_stop_signals(Linux::new()?)?;
    // The receive buffer is for streams, of which there are none.
    let mut buffer = [0; 1];
    let mut server = Loop::new(platform, SOCKETS.take(), &mut buffer);
    let bound = server.net().bind(at.into(), ());
    let socket = bound.map_err(|error| match error {
        Error::AddressInUse => format!("{at}: in use"),
        error => format!("{at}: {error}"),
    })?;
    support::announce(server.net().local_addr(socket).and_then(|at| at.ip()));
    server.run(&mut DatagramEcho::new(MEMORY.take()))?;
    Ok(())
}
