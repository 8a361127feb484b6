//! An echo server for as many connections as it is told when it starts: `sized COUNT [ADDR]`. What
//! no connection ever needed takes no memory. `cargo run --release --example sized 100000`

use std::process::ExitCode;

use usockets::{Endpoint, Loop};
use usockets_linux::{Linux, zeroed_slice};

#[path = "handlers/echo.rs"]
mod echo;
#[expect(dead_code, reason = "other programs use the rest")]
mod support;

use echo::EchoServer;

/// Bytes read at once, and so the most that is ever held for one peer.
const RECEIVE: usize = 16_384;

fn main() -> ExitCode {
    support::exit(serve())
}

fn serve() -> Result<(), support::Failure> {
    let mut arguments = std::env::args().skip(1);
    let count = parse_count(arguments.next())?;
    let at = support::parse_address(arguments.next())?;
    support::raise_descriptors(count);
    // The listener has a slot as well.
    let len = count.saturating_add(1);
    let mut slots = zeroed_slice(len)?;
    let mut data = zeroed_slice(len)?;
    let mut held = zeroed_slice::<[u8; RECEIVE]>(len)?;
    let mut buffer = zeroed_slice(RECEIVE)?;
    let platform = support::with_stop_signals(Linux::new()?)?;
    let mut server = Loop::with_slices(platform, &mut slots, &mut data, &mut buffer)?;
    let listener = server.net().listen(Endpoint::tcp(at), ())?;
    support::announce(server.net().listening_addr(listener));
    server.run(&mut EchoServer::new(&mut held))?;
    Ok(())
}

/// Returns how many connections the argument asks for.
fn parse_count(argument: Option<String>) -> Result<usize, String> {
    let count = argument.as_deref().map(str::parse);
    match count {
        Some(Ok(count)) if count > 0 => Ok(count),
        _ => Err("usage: sized COUNT [ADDR], where COUNT is 1 or more connections".to_owned()),
    }
}
