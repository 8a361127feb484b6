//! Gets an address by DHCP and asks for the time, over the stack in user space on a TAP of Linux:
//! `tap_sntp [SERVER] --tap us0`. The server is the one that the lease names, if none is given.
//! Prints the seconds since 1970.

#[path = "support/mail.rs"]
mod mail;
#[path = "support/sntp.rs"]
mod sntp;
#[path = "support/station.rs"]
mod station;
mod support;

use sntp::Sntp;
use static_cell::ConstStaticCell;
use station::Station;
use usockets::{Error, Loop, Sockets};
use usockets_smoltcp::dhcp::DhcpClient;
use usockets_smoltcp::{Pcap, Secret, Stack, Tap};

type Net = Stack<'static, Pcap<Tap<'static>, fn(&[u8])>>;

static SOCKETS: ConstStaticCell<Sockets<Net, Station<Sntp>, 2>> =
    ConstStaticCell::new(Sockets::new());

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1).peekable();
    let named = arguments.next_if(|first| !first.starts_with('-'));
    let server = match named.map(|named| named.parse()) {
        None => None,
        Some(Ok(server)) => Some(server),
        Some(Err(_)) => return Err(Error::Invalid),
    };
    let mut stack = support::stack(arguments)?;
    mail::start(&mut stack)?;
    let dhcp = DhcpClient::new(stack.mac(), Secret::new(support::random()?));
    let mut buffer = [0; 1];
    let mut client = Loop::new(stack, SOCKETS.take(), &mut buffer);
    Station::start(&mut client)?;
    let mut station = Station::new(dhcp, Sntp::new(server, support::random()?));
    client.run(&mut station)?;
    println!("{}", station.question.seconds.ok_or(Error::TimedOut)?);
    Ok(())
}
