//! A TCP proxy for any platform: two sockets paired, each the other's outlet.

use core::net::SocketAddr;

use usockets::{
    AllSockets, Closed, Duration, Endpoint, Error, Handler, Net, Opened, Platform, Socket,
    SocketId, Span,
};

/// Time in which a pair may move nothing.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// Code of an abort because the other socket of the pair is gone.
const OTHER_GONE: u16 = 1;

/// What a socket is, before it has data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Role {
    /// A client, or the listener that it comes from.
    Client,
    /// The connection to an upstream, by number, that is made for this client.
    Upstream(SocketId, usize),
}

/// One socket of a pair.
#[derive(Debug)]
pub(crate) struct Half {
    /// The other one; none as long as the client's upstream is not open.
    other: Option<SocketId>,
    /// The connect for a client that is under way.
    connecting: Option<SocketId>,
    /// What it has not taken yet of what the other one received.
    held: Span,
    /// The other one has ended: so does this one, after what is held.
    ends: bool,
}

/// Hands on what comes, both ways. `N` is at least the length of the loop's receive buffer.
///
/// Nothing is read from a socket while the other one has not taken what was read: the slower side
/// sets the pace of the faster one. A FIN is handed on as a FIN, a reset as a reset.
#[derive(Debug)]
pub(crate) struct Proxy<'m, const N: usize> {
    upstreams: &'m [SocketAddr],
    /// For each slot of the pool, what [`Half::held`] is a part of.
    memory: &'m mut [[u8; N]],
}

impl<'m, const N: usize> Proxy<'m, N> {
    /// Makes a proxy for `upstreams`: the first, and those that stand in for it.
    pub(crate) const fn new(upstreams: &'m [SocketAddr], memory: &'m mut [[u8; N]]) -> Self {
        Self { upstreams, memory }
    }

    /// Connects a client to an upstream, or lets it go if there is none.
    fn connect<P: Platform>(
        &self,
        net: &mut Net<'_, P, Role>,
        client: SocketId,
        half: &mut Half,
        number: usize,
    ) {
        half.connecting = None;
        let Some(upstream) = self.upstreams.get(number) else {
            return net.abort(client, OTHER_GONE);
        };
        match net.connect(Endpoint::tcp(*upstream), Role::Upstream(client, number)) {
            Ok(id) => half.connecting = Some(id),
            Err(_) => net.abort(client, OTHER_GONE),
        }
    }
}

impl<P: Platform, const N: usize> Handler<P> for Proxy<'_, N> {
    type Ext = Half;
    type Context = Role;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<Role>) -> Half {
        let id = socket.id();
        let mut half = Half {
            other: None,
            connecting: None,
            held: Span::EMPTY,
            ends: false,
        };
        socket.set_timeout(IDLE_MAX);
        match opened.context() {
            Role::Client => {
                // Nothing is read before there is somebody to hand it to.
                socket.pause();
                self.connect(socket.net(), id, &mut half, 0);
            }
            Role::Upstream(client, _) => match socket.other(client) {
                Some((net, of_client)) => {
                    half.other = Some(client);
                    of_client.other = Some(id);
                    of_client.connecting = None;
                    net.set_timeout(client, IDLE_MAX);
                    net.resume(client);
                }
                None => socket.close(),
            },
        }
        half
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, half: &mut Half, data: &mut [u8]) {
        socket.set_timeout(IDLE_MAX);
        let Some((other, (net, of_other))) =
            half.other.and_then(|id| Some((id, socket.other(id)?)))
        else {
            return socket.abort(OTHER_GONE);
        };
        net.set_timeout(other, IDLE_MAX);
        let sent = if of_other.held.is_empty() {
            net.write(other, data)
        } else {
            0
        };
        let rest = data.get(sent..).unwrap_or_default();
        if rest.is_empty() {
            return;
        }
        let memory = other.entry(self.memory);
        if memory.map_or(0, |memory| of_other.held.of(memory).push(rest)) < rest.len() {
            // Only a receive buffer longer than `N` gets here.
            return socket.abort(OTHER_GONE);
        }
        socket.pause();
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, half: &mut Half) {
        if let Some(memory) = socket.id().entry(self.memory) {
            let mut held = half.held.of(memory);
            let sent = socket.write(held.filled());
            held.consume(sent);
        }
        if !half.held.is_empty() {
            return;
        }
        if half.ends {
            socket.finish();
        }
        if let Some(other) = half.other {
            socket.net().resume(other);
        }
    }

    /// One direction of the pair is over; the other goes on.
    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, half: &mut Half) {
        let Some((other, (net, of_other))) =
            half.other.and_then(|id| Some((id, socket.other(id)?)))
        else {
            return socket.finish();
        };
        of_other.ends = true;
        if of_other.held.is_empty() {
            net.finish(other);
        }
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut Half) {
        socket.abort(OTHER_GONE);
    }

    fn on_close(&mut self, socket: &mut Socket<'_, P, Self>, half: &mut Half, closed: Closed) {
        if let Some(connecting) = half.connecting {
            socket.net().close(connecting);
        }
        let Some(other) = half.other else {
            return;
        };
        match closed {
            // Both directions are over here, and there as soon as what is held is sent.
            Closed::Finished => {}
            Closed::Local(0) => socket.net().close(other),
            _ => socket.net().abort(other, OTHER_GONE),
        }
    }

    /// An upstream cannot be reached: the next one is tried.
    fn on_connect_error(&mut self, socket: &mut Socket<'_, P, Self>, role: Role, _: Error) {
        if let Role::Upstream(client, number) = role
            && let Some((net, half)) = socket.other(client)
        {
            self.connect(net, client, half, number.saturating_add(1));
        }
    }

    /// The program was asked to stop.
    fn on_wake(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        sockets.net().close_all(Role::Client, 0);
    }
}
