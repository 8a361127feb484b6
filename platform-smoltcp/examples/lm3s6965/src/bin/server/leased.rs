//! A station that gets its address by DHCP: the HTTP server, and the client of DHCP beside it.

use core::net::IpAddr;

use board::network::{Network, secret, start_without_address};
use board::{print, print_address};
use static_cell::{ConstStaticCell, StaticCell};
use usockets::{AllSockets, Budget, Error, Handler, Loop, Opened, Socket};
use usockets_smoltcp::dhcp::{DhcpClient, DhcpEvent};
use usockets_smoltcp::wire::dhcp::MESSAGE_MAX;
use usockets_smoltcp::{DatagramMemory, DatagramSlot, Memory, Secret, SizeClass};

use crate::http::connection::Connection;
use crate::http::memory::{Shared, Store, Tables};
use crate::http::service::Service;
use crate::{CONNECTIONS, IN, LISTENING, OUT, Platform, endpoint};

/// Sockets: connections, the listener, and the client's.
pub(crate) const SOCKETS: usize = CONNECTIONS + 2;
/// Bytes for what servers have sent: one message of the longest that every host takes (RFC 2131,
/// section 2).
const RECEIVED: usize = 576 + DatagramMemory::HEAD_LEN;
/// Bytes for a message that waits for the server's hardware address.
const HELD: usize = MESSAGE_MAX + DatagramMemory::HEAD_LEN;

static SLOTS: StaticCell<[DatagramSlot; 1]> = StaticCell::new();
static ZEROS: ConstStaticCell<Zeros> = ConstStaticCell::new(Zeros {
    buckets: [0; 1],
    received: [0; RECEIVED],
    held: [0; HELD],
});

/// The memory of datagrams that is all zero bytes at first.
struct Zeros {
    buckets: [u32; 1],
    received: [u8; RECEIVED],
    held: [u8; HELD],
}

/// All memory of datagrams.
pub(crate) const MEMORY: Budget = Budget::of::<[DatagramSlot; 1]>().and(Budget::of::<Zeros>());

/// What a socket is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// It listens, or has come of what listens.
    Http,
    /// It is the DHCP client's.
    Dhcp,
}

/// The loop's handler.
pub(crate) struct Station {
    shared: Shared<Tables<'static, IN, OUT>>,
    dhcp: DhcpClient,
    /// The address that was given last.
    ip: Option<IpAddr>,
}

/// Starts the stack without an address, but with datagrams.
pub(crate) fn start(
    network: &mut Network,
    memory: Memory<'static>,
    classes: &[SizeClass],
) -> Result<(), Error> {
    start_without_address(network, memory, classes)?;
    let zeros = ZEROS.take();
    network.start_datagrams(DatagramMemory {
        sockets: SLOTS.init_with(|| [const { DatagramSlot::EMPTY }; 1]),
        buckets: &mut zeros.buckets,
        received: &mut zeros.received,
        held: &mut zeros.held,
    })
}

/// Draws what the handler is made with: what its client's questions are numbered by.
pub(crate) fn seed() -> Result<Secret, Error> {
    secret()
}

/// Makes the handler.
pub(crate) fn station(
    service: Service,
    store: &'static mut Store<IN, OUT, SOCKETS>,
    secret: Secret,
) -> Station {
    Station {
        shared: Shared::new(service, store.tables()),
        dhcp: DhcpClient::new(board::mac(), secret),
        ip: None,
    }
}

/// Opens the sockets that everything begins with.
pub(crate) fn begin(server: &mut Loop<'static, Platform, Station>) -> Result<(), Error> {
    DhcpClient::bind(&mut server.net(), Role::Dhcp)?;
    server.net().listen(endpoint(), Role::Http)?;
    Ok(())
}

impl Station {
    /// Lets the client act, and tells what has become of the address.
    fn on_dhcp(&mut self, socket: &mut Socket<'_, Platform, Self>) {
        let id = socket.id();
        match self.dhcp.serve(socket.net(), id) {
            Some(DhcpEvent::Configured(lease)) => {
                let ip = lease.address.ip;
                let is_first = self.ip.is_none();
                let is_same = self.ip.replace(ip) == Some(ip);
                if let IpAddr::V4(ip) = ip {
                    print_address(
                        if is_same {
                            "lease renewed:"
                        } else {
                            "address:"
                        },
                        ip,
                    );
                }
                if is_first {
                    print(LISTENING, None);
                }
            }
            Some(_) => print("the lease is over", None),
            None => {}
        }
    }
}

impl Handler<Platform> for Station {
    /// `None` of the DHCP client's socket.
    type Ext = Option<Connection>;
    type Context = Role;

    fn on_open(
        &mut self,
        socket: &mut Socket<'_, Platform, Self>,
        opened: Opened<Role>,
    ) -> Option<Connection> {
        if opened.context() == Role::Dhcp {
            self.on_dhcp(socket);
            return None;
        }
        Some(Connection::open(socket, &self.shared.service))
    }

    fn on_data(
        &mut self,
        socket: &mut Socket<'_, Platform, Self>,
        connection: &mut Option<Connection>,
        data: &mut [u8],
    ) {
        let mut desk = self.shared.desk(socket);
        if let Some(connection) = connection {
            connection.on_data(socket, &mut desk, data);
        }
    }

    fn on_readable(&mut self, socket: &mut Socket<'_, Platform, Self>, _: &mut Option<Connection>) {
        self.on_dhcp(socket);
    }

    fn on_writable(
        &mut self,
        socket: &mut Socket<'_, Platform, Self>,
        connection: &mut Option<Connection>,
    ) {
        let mut desk = self.shared.desk(socket);
        if let Some(connection) = connection {
            connection.on_writable(socket, &mut desk);
        }
    }

    fn on_end(
        &mut self,
        socket: &mut Socket<'_, Platform, Self>,
        connection: &mut Option<Connection>,
    ) {
        let mut desk = self.shared.desk(socket);
        if let Some(connection) = connection {
            connection.on_end(socket, &mut desk);
        }
    }

    fn on_timeout(
        &mut self,
        socket: &mut Socket<'_, Platform, Self>,
        connection: &mut Option<Connection>,
    ) {
        let Some(connection) = connection else {
            return self.on_dhcp(socket);
        };
        let mut desk = self.shared.desk(socket);
        connection.on_timeout(socket, &mut desk);
    }

    fn on_drain(
        &mut self,
        socket: &mut Socket<'_, Platform, Self>,
        connection: &mut Option<Connection>,
    ) {
        let id = socket.id();
        if let Some(connection) = connection {
            connection.stop(socket.net(), id, &self.shared.service.limits);
        }
    }

    fn on_wake(&mut self, sockets: &mut AllSockets<'_, Platform, Self>) {
        self.shared.service.stopping = true;
        let net = sockets.net();
        // Draining waits for datagram sockets, but does not tell them.
        net.close_all(Role::Dhcp, 0);
        net.drain(self.shared.service.limits.stop);
    }
}
