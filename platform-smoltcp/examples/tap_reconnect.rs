//! The client `reconnect` of `usockets-linux`, over a TCP stack of our own on a TAP of Linux; see
//! `tap_echo` for how to make one. `tap_reconnect ADDR --tap us0 --ip 10.77.0.2/24` keeps a
//! connection to what listens at ADDR.

#[path = "handlers/reconnect.rs"]
mod reconnect;
mod support;

use std::io::{self, Write};

use reconnect::{Event, Reconnect};
use static_cell::ConstStaticCell;
use usockets::{Error, Loop, Sockets};
use usockets_smoltcp::{Pcap, Stack, Tap};

type Platform = Stack<'static, Pcap<Tap<'static>, fn(&[u8])>>;

type Client = Reconnect<fn(Event)>;

static SOCKETS: ConstStaticCell<Sockets<Platform, Client, 2>> =
    ConstStaticCell::new(Sockets::new());
static BUFFER: ConstStaticCell<[u8; 4096]> = ConstStaticCell::new([0; 4096]);

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let to = arguments.next().and_then(|address| address.parse().ok());
    let to = to.ok_or(Error::Invalid)?;
    let stack = support::stack(arguments)?;
    let mut client = Loop::new(stack, SOCKETS.take(), BUFFER.take());
    let mut reconnect = Client::new(to, std::process::id(), tell);
    reconnect.start(&mut client.net());
    client.run(&mut reconnect)
}

fn tell(event: Event) {
    let _ = writeln!(io::stdout(), "{event:?}");
}
