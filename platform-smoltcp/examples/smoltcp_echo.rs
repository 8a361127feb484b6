//! An echo server and a client of it, over smoltcp's own TCP on smoltcp's own loopback device,
//! which leads back to the stack itself:
//!
//! ```sh
//! cargo run -p usockets-smoltcp --features smoltcp --example smoltcp_echo
//! ```
//!
//! The handler is as for any other platform; what is smoltcp's is made in `net`.

use core::time::Duration;

use smoltcp::iface::{Config, Interface, SocketStorage};
use smoltcp::phy::{Loopback, Medium};
use smoltcp::wire::{EthernetAddress, IpAddress, IpCidr};
use usockets::{
    Closed, Endpoint, Error, Handler, Instant, Loop, Opened, Platform, Socket, Sockets,
};
use usockets_smoltcp::{
    Limits, Smoltcp, SmoltcpEntry, SmoltcpListener, SmoltcpMemory, Timed, TimedDevice,
};

/// TCP sockets of smoltcp's: the listener's, both ends of a connection, and one to spare.
const SOCKETS: usize = 4;
/// Bytes of each of a socket's two buffers.
const BUFFER: usize = 4_096;
const MESSAGE: &[u8] = b"hello";

/// What a connection is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Role {
    Server,
    Client,
}

/// Sends back what comes, as the server; says hello and waits for it, as the client.
#[derive(Debug, Default)]
struct Echo {
    received: Vec<u8>,
    closed: Option<Closed>,
}

impl<P: Platform> Handler<P> for Echo {
    type Context = Role;
    type Ext = Role;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<Role>) -> Role {
        if opened.context() == Role::Client {
            // It fits in the socket's buffer, which is empty.
            let _ = socket.write(MESSAGE);
            socket.finish();
        }
        opened.context()
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, role: &mut Role, data: &mut [u8]) {
        match role {
            Role::Server => {
                // A real server holds what is not taken: see `tap_echo`.
                if socket.write(data) < data.len() {
                    socket.abort(1);
                }
            }
            Role::Client => self.received.extend_from_slice(data),
        }
    }

    fn on_close(&mut self, _: &mut Socket<'_, P, Self>, role: &mut Role, closed: Closed) {
        if *role == Role::Client {
            self.closed = Some(closed);
        }
    }
}

/// A stack on a loopback device, which is of no use but for talking to itself.
fn net(start: std::time::Instant) -> Result<Smoltcp<'static, impl TimedDevice>, Error> {
    let clock = move || {
        let micros = start.elapsed().as_micros();
        Instant::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))
    };
    let sleep = move |until: Option<Instant>| {
        let left = until.map(|until| until.saturating_since(clock()));
        std::thread::sleep(left.unwrap_or_default().min(Duration::from_millis(1)));
    };
    let mut device = Timed::new(Loopback::new(Medium::Ethernet), clock, sleep);
    let mut config = Config::new(EthernetAddress([2, 0, 0, 0, 0, 1]).into());
    // Sequence numbers and ports: take real random bits where others can reach you.
    config.random_seed = 1;
    let mut interface = Interface::new(config, &mut device, smoltcp::time::Instant::ZERO);
    interface.update_ip_addrs(|all| {
        // There is room for two.
        let _ = all.push(IpCidr::new(IpAddress::v4(127, 0, 0, 1), 8));
    });
    let memory = SmoltcpMemory {
        entries: Vec::leak((0..SOCKETS).map(|_| SmoltcpEntry::EMPTY).collect()),
        storage: Vec::leak((0..SOCKETS).map(|_| SocketStorage::EMPTY).collect()),
        bytes: Vec::leak(vec![0; SOCKETS * 2 * BUFFER]),
        listeners: Vec::leak(vec![SmoltcpListener::EMPTY]),
    };
    Smoltcp::new(device, interface, Limits::DEFAULT, memory)
}

/// Says hello to itself and returns what came back.
pub(crate) fn run() -> Result<Vec<u8>, Error> {
    let mut sockets = Sockets::<_, Echo, SOCKETS>::new();
    let mut buffer = [0; BUFFER];
    let mut own = Loop::new(net(std::time::Instant::now())?, &mut sockets, &mut buffer);
    let at = Endpoint::tcp(([127, 0, 0, 1], 3000).into());
    own.net().listen(at, Role::Server)?;
    own.net().connect(at, Role::Client)?;
    let mut echo = Echo::default();
    while echo.closed.is_none() {
        own.poll(&mut echo, None)?;
    }
    println!("{:?}: {}", echo.closed, echo.received.escape_ascii());
    Ok(echo.received)
}

fn main() -> Result<(), Error> {
    if run()? == MESSAGE {
        Ok(())
    } else {
        Err(Error::Truncated)
    }
}
