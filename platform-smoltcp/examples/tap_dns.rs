//! Gets an address by DHCP and looks a name up, over the stack in user space on a TAP of Linux with
//! a server of both behind it, such as dnsmasq:
//! `tap_dns NAME --tap us0`. Prints the address that it was given, and that of the name.

#[path = "support/dns.rs"]
mod dns;
#[path = "support/mail.rs"]
mod mail;
#[path = "support/station.rs"]
mod station;
mod support;

use dns::Dns;
use static_cell::ConstStaticCell;
use station::Station;
use usockets::{Error, Loop, Sockets};
use usockets_smoltcp::dhcp::DhcpClient;
use usockets_smoltcp::{Pcap, Secret, Stack, Tap};

type Net = Stack<'static, Pcap<Tap<'static>, fn(&[u8])>>;

static SOCKETS: ConstStaticCell<Sockets<Net, Station<Dns<'static>>, 2>> =
    ConstStaticCell::new(Sockets::new());

fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let Some(name) = arguments.next().filter(|name| !name.starts_with('-')) else {
        eprintln!("usage: NAME --tap NAME");
        return Err(Error::Invalid);
    };
    let mut stack = support::stack(arguments)?;
    mail::start(&mut stack)?;
    let dhcp = DhcpClient::new(stack.mac(), Secret::new(support::random()?));
    let mut buffer = [0; 1];
    let mut server = Loop::new(stack, SOCKETS.take(), &mut buffer);
    Station::start(&mut server)?;
    let mut station = Station::new(dhcp, Dns::new(name.clone().leak(), support::random()?));
    server.run(&mut station)?;
    match (station.lease, station.question.address) {
        (Some(lease), Some(address)) => {
            println!("{name} is {address}, asked from {}", lease.address.ip)
        }
        (Some(_), None) if station.is_answered => println!("{name} has no address"),
        (Some(_), None) => return Err(Error::TimedOut),
        (None, _) => return Err(Error::Unreachable),
    }
    Ok(())
}
