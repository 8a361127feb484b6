//! A client that keeps a connection to a server, whatever becomes of it: `reconnect [ADDR]`. Start
//! and stop `echo_server` meanwhile. `cargo run --release --example reconnect`
//!
//! The same handler runs over a TAP: `tap_reconnect` of `usockets-smoltcp`.

use std::io::{self, Write};
use std::process::ExitCode;

use static_cell::ConstStaticCell;
use usockets::{Loop, Sockets};
use usockets_linux::Linux;

#[path = "handlers/reconnect.rs"]
mod reconnect;
#[expect(dead_code, reason = "other programs use the rest")]
mod support;

use reconnect::{Event, Reconnect};

/// A connection or a timer, and one of either that is on its way out.
const SOCKETS_MAX: usize = 2;

type Client = Reconnect<fn(Event)>;

static SOCKETS: ConstStaticCell<Sockets<Linux, Client, SOCKETS_MAX>> =
    ConstStaticCell::new(Sockets::new());
static BUFFER: ConstStaticCell<[u8; 4096]> = ConstStaticCell::new([0; 4096]);

fn main() -> ExitCode {
    support::exit(connect())
}

fn connect() -> Result<(), support::Failure> {
    let to = support::address()?;
    let platform = support::with_stop_signals(Linux::new()?)?;
    let mut client = Loop::new(platform, SOCKETS.take(), BUFFER.take());
    let mut reconnect = Client::new(to, std::process::id(), tell);
    reconnect.start(&mut client.net());
    client.run(&mut reconnect)?;
    Ok(())
}

fn tell(event: Event) {
    // A client that cannot say how it goes goes on.
    let _ = match event {
        Event::Connected => writeln!(io::stdout(), "connected"),
        Event::Heard(count) => writeln!(io::stdout(), "{count} bytes"),
        Event::Lost(closed) => writeln!(io::stdout(), "lost: {closed}"),
        Event::Refused(error) => writeln!(io::stdout(), "not connected: {error}"),
        Event::Waits(wait) => writeln!(io::stdout(), "again in {} ms", wait.as_millis()),
    };
}
