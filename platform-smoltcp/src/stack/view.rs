//! What a stack tells of its connections.

use core::fmt;
use core::net::SocketAddr;

use usockets::SocketId;

use crate::number::count;
use crate::socket::Socket;
use crate::stack::platform::Stack;
use crate::stack::shell::Shell;
use crate::stack::slot::Phase;
use crate::tcp::{Info, State};

/// One connection of a stack, as it is at the moment.
///
/// [`Display`](fmt::Display) writes a line of text: state, own and peer's address, round trip time,
/// windows in octets, and how many segments were sent again.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct ConnectionView {
    /// Our end.
    pub local: SocketAddr,
    /// The peer's end.
    pub remote: SocketAddr,
    /// The socket that has it; `None` before it is accepted and after its owner has closed it.
    pub owner: Option<SocketId>,
    /// How it is doing.
    pub info: Info,
}

impl fmt::Display for ConnectionView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            local,
            remote,
            info,
            ..
        } = self;
        write!(f, "{} {local} {remote} rtt ", name(info.state))?;
        match info.round_trip {
            Some(time) => write!(f, "{} us", time.as_micros())?,
            None => f.write_str("unknown")?,
        }
        write!(
            f,
            ", cwnd {}, peer's window {}, in flight {}, unsent {}, unread {}, sent again {}",
            info.congestion_window,
            info.send_window,
            info.in_flight,
            info.unsent,
            info.unread,
            info.retransmissions
        )
    }
}

/// Returns a state's name in RFC 9293.
const fn name(state: State) -> &'static str {
    match state {
        State::Closed => "CLOSED",
        State::SynSent => "SYN-SENT",
        State::SynReceived => "SYN-RECEIVED",
        State::Established => "ESTABLISHED",
        State::FinWait1 => "FIN-WAIT-1",
        State::FinWait2 => "FIN-WAIT-2",
        State::CloseWait => "CLOSE-WAIT",
        State::Closing => "CLOSING",
        State::LastAck => "LAST-ACK",
        State::TimeWait => "TIME-WAIT",
    }
}

impl<D> Stack<'_, D> {
    /// Returns the connections of the stack in no particular order, those included that nobody has
    /// accepted yet and those that their owner has closed. It looks at every slot.
    ///
    /// # Example
    /// ```
    /// use usockets_smoltcp::Stack;
    ///
    /// /// Prints a line for each connection.
    /// fn print<D>(stack: &Stack<'_, D>) {
    ///     for connection in stack.connections() {
    ///         println!("{connection}");
    ///     }
    /// }
    /// # struct None;
    /// # let _ = print::<None>;
    /// ```
    pub fn connections(&self) -> impl Iterator<Item = ConnectionView> {
        let all = 0..count(self.shell.slots.all.len());
        all.filter_map(|index| self.shell.view(index))
    }

    /// Returns the connection of a socket; `None` of a socket that has none.
    #[must_use]
    pub fn connection(&self, socket: &Socket) -> Option<ConnectionView> {
        self.shell.view(socket.stream().ok()?)
    }
}

impl Shell<'_> {
    fn view(&self, index: u32) -> Option<ConnectionView> {
        let slot = self.slots.get(index)?;
        if slot.phase == Phase::Free {
            return None;
        }
        let local = self.routes.own_at(slot.ends.local_number())?;
        Some(ConnectionView {
            local: SocketAddr::new(local, slot.ends.local_port()),
            remote: slot.ends.remote(),
            owner: slot.owner(),
            info: self.slots.info(index),
        })
    }
}
