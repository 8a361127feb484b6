//! A station that gets its address by DHCP, asks one question over UDP, and is done.

use core::net::SocketAddr;

use usockets::{AllSockets, Arrival, Departure, Duration, Handler, Loop, Opened, Socket, SocketId};
use usockets_smoltcp::dhcp::{DhcpClient, DhcpEvent, Lease};
use usockets_smoltcp::{PollDevice, Stack};

/// Bytes of the longest question and answer (RFC 1035, section 2.3.4).
const MESSAGE: usize = 512;
/// How long an answer is waited for, and how often the question is asked.
const WAIT: Duration = Duration::from_secs(2);
const TRIES: u32 = 3;

/// A question that one datagram asks and one answers.
pub(crate) trait Question {
    /// Who answers it, for a station with this lease; `None` if nobody is known.
    fn server(&self, lease: &Lease) -> Option<SocketAddr>;

    /// Writes it and returns its length.
    fn ask(&mut self, message: &mut [u8]) -> usize;

    /// Reads an answer; returns false if it is none.
    fn read(&mut self, message: &[u8]) -> bool;
}

/// What a socket of the station is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    Dhcp,
    Question,
}

/// The station: a handler for a stack with two datagram sockets.
#[derive(Debug)]
pub(crate) struct Station<Q> {
    dhcp: DhcpClient,
    pub(crate) question: Q,
    pub(crate) lease: Option<Lease>,
    /// The question was answered.
    pub(crate) is_answered: bool,
    tries: u32,
}

impl<Q: Question> Station<Q> {
    pub(crate) const fn new(dhcp: DhcpClient, question: Q) -> Self {
        Self {
            dhcp,
            question,
            lease: None,
            is_answered: false,
            tries: 0,
        }
    }

    /// Opens the socket that everything begins with.
    pub(crate) fn start<D: PollDevice>(
        server: &mut Loop<'_, Stack<'_, D>, Self>,
    ) -> Result<SocketId, usockets::Error> {
        DhcpClient::bind(&mut server.net(), Role::Dhcp)
    }

    /// Lets the client of DHCP act; with a first address the question is asked.
    fn on_dhcp<D: PollDevice>(
        &mut self,
        id: SocketId,
        all: &mut AllSockets<'_, Stack<'_, D>, Self>,
    ) {
        let net = all.net();
        let Some(DhcpEvent::Configured(lease)) = self.dhcp.serve(net, id) else {
            return;
        };
        if self.lease.replace(lease).is_some() {
            return;
        }
        let server = self.question.server(&lease);
        let from = SocketAddr::new(lease.address.ip, 0);
        if let Some(server) = server
            && let Ok(socket) = net.bind(from.into(), Role::Question)
            && net.set_peer(socket, server.into()).is_ok()
        {
            return;
        }
        net.close_all(Role::Dhcp, 0);
    }

    /// Asks, or gives up.
    fn ask<D: PollDevice>(&mut self, socket: &mut Socket<'_, Stack<'_, D>, Self>) {
        if self.tries >= TRIES {
            return Self::finish(socket);
        }
        self.tries = self.tries.saturating_add(1);
        let mut message = [0; MESSAGE];
        let departure = Departure {
            len: self.question.ask(&mut message),
            ..Departure::default()
        };
        // What does not go out is asked again.
        let _ = socket.send_batch(&message, &[departure]);
        socket.set_timeout(WAIT);
    }

    /// Closes both sockets, which ends the loop.
    fn finish<D: PollDevice>(socket: &mut Socket<'_, Stack<'_, D>, Self>) {
        let net = socket.all().net();
        net.close_all(Role::Dhcp, 0);
        net.close_all(Role::Question, 0);
    }
}

impl<'a, D: PollDevice, Q: Question> Handler<Stack<'a, D>> for Station<Q> {
    type Context = Role;
    type Ext = Option<Role>;

    fn on_open(
        &mut self,
        socket: &mut Socket<'_, Stack<'a, D>, Self>,
        opened: Opened<Role>,
    ) -> Option<Role> {
        let Opened::Bound { context } = opened else {
            return None;
        };
        match context {
            Role::Dhcp => self.on_dhcp(socket.id(), socket.all()),
            Role::Question => self.ask(socket),
        }
        Some(context)
    }

    fn on_data(
        &mut self,
        _: &mut Socket<'_, Stack<'a, D>, Self>,
        _: &mut Option<Role>,
        _: &mut [u8],
    ) {
    }

    fn on_readable(
        &mut self,
        socket: &mut Socket<'_, Stack<'a, D>, Self>,
        role: &mut Option<Role>,
    ) {
        if *role == Some(Role::Dhcp) {
            return self.on_dhcp(socket.id(), socket.all());
        }
        let (mut message, mut arrivals) = ([0; MESSAGE], [Arrival::default(); 1]);
        let received = socket.recv_batch(&mut message, &mut arrivals);
        let ([arrival], Ok(1)) = (&arrivals, received) else {
            return;
        };
        let bytes = message.get(..arrival.len).unwrap_or_default();
        if !arrival.truncated && self.question.read(bytes) {
            self.is_answered = true;
            Self::finish(socket);
        }
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, Stack<'a, D>, Self>, role: &mut Option<Role>) {
        match role {
            Some(Role::Dhcp) => self.on_dhcp(socket.id(), socket.all()),
            _ => self.ask(socket),
        }
    }
}
