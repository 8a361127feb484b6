//! A client on a datagram socket of a stack.

use core::borrow::BorrowMut;
use core::net::{Ipv4Addr, SocketAddr};

use usockets::{Arrival, DatagramOption, Datagrams, Departure, Duration, Error, Net, SocketId};

use crate::device::PollDevice;
use crate::dhcp::client::{Action, DhcpClient};
use crate::dhcp::lease::Lease;
use crate::stack::platform::Stack;
use crate::wire::dhcp::{CLIENT_PORT, MESSAGE_MAX, SERVER_PORT};

/// Bytes of the longest message of a server: what every host takes (RFC 2131, section 2).
const RECEIVE: usize = 576;
/// Most messages that are taken in by one call, and most steps of the client.
const STEPS_MAX: usize = 16;

/// What has become of a stack's address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum DhcpEvent {
    /// The stack has this address, or its lease was renewed.
    Configured(Lease),
    /// The address that the stack had is another's, or its time is over.
    Deconfigured,
}

impl DhcpClient {
    /// Opens the socket that [`Self::serve`] uses, at port 68.
    ///
    /// # Errors
    /// What [`Net::bind`] says.
    pub fn bind<P: Datagrams, C: Copy + PartialEq>(
        net: &mut Net<'_, P, C>,
        context: C,
    ) -> Result<SocketId, Error> {
        let at = SocketAddr::from((Ipv4Addr::UNSPECIFIED, CLIENT_PORT));
        let id = net.bind(at.into(), context)?;
        net.set_datagram_option(id, DatagramOption::Broadcast(true))?;
        Ok(id)
    }

    /// Takes in what has come to the socket, does what is due, and sets the socket's timeout to
    /// when something is due again. To be called when it opens, is readable and times out. Returns
    /// the last change of the stack's address.
    ///
    /// The stack gets the lease's address and router in place of all IPv4 addresses that it has;
    /// those of IPv6 stay. It is the loop's platform, or what the loop has borrowed as that.
    pub fn serve<'a, D: PollDevice, P: Datagrams + BorrowMut<Stack<'a, D>>, C: Copy + PartialEq>(
        &mut self,
        net: &mut Net<'_, P, C>,
        id: SocketId,
    ) -> Option<DhcpEvent> {
        let now = net.now();
        let (mut memory, mut arrivals) = ([0; RECEIVE], [Arrival::default(); 1]);
        for _ in 0..STEPS_MAX {
            while net.next_datagram_error(id).is_some() {}
            let received = net.recv_batch(id, &mut memory, &mut arrivals);
            let ([arrival], Ok(1)) = (&arrivals, received) else {
                break;
            };
            let from_server = arrival
                .peer
                .ip()
                .is_some_and(|peer| peer.port() == SERVER_PORT);
            let message = memory.get(..arrival.len).unwrap_or_default();
            if from_server && !arrival.truncated {
                self.on_message(now, message);
            }
        }
        let stack: &mut Stack<'a, D> = net.platform_mut().borrow_mut();
        if stack.is_address_taken() {
            stack.watch_address(None);
            self.on_conflict(now);
        }
        let mut event = None;
        for _ in 0..STEPS_MAX {
            match self.poll(now, &mut memory) {
                Action::Send { to, len } => send(net, id, to, memory.get(..len)),
                Action::Probe(ip) => net.platform_mut().borrow_mut().probe_address(ip),
                Action::Configure(lease) => {
                    configure(net.platform_mut().borrow_mut(), Some(&lease));
                    event = Some(DhcpEvent::Configured(lease));
                }
                Action::Deconfigure => {
                    configure(net.platform_mut().borrow_mut(), None);
                    event = Some(DhcpEvent::Deconfigured);
                }
                Action::Wait(until) => {
                    // None is no timeout.
                    let left = until.saturating_since(now).max(Duration::from_millis(1));
                    net.set_timeout(id, left);
                    break;
                }
            }
        }
        event
    }
}

// What is written fits into what is received.
const _: () = assert!(MESSAGE_MAX <= RECEIVE);

/// Sends a message. What cannot be sent is sent again in time.
fn send<P: Datagrams, C: Copy + PartialEq>(
    net: &mut Net<'_, P, C>,
    id: SocketId,
    to: Ipv4Addr,
    message: Option<&[u8]>,
) {
    let message = message.unwrap_or_default();
    let departure = Departure {
        len: message.len(),
        to: SocketAddr::from((to, SERVER_PORT)).into(),
        ..Departure::default()
    };
    let _ = net.send_batch(id, message, &[departure]);
}

/// Gives a stack the address and router of a lease in place of its IPv4 addresses, or takes them.
fn configure<D: PollDevice>(stack: &mut Stack<'_, D>, lease: Option<&Lease>) {
    let address = lease.map(|lease| (lease.address, lease.router));
    // An address of a lease is one that a station can have, and takes the place of the last.
    let _ = stack.set_address_v4(address);
    stack.watch_address(None);
}
