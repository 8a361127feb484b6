//! The handler: a loop whose connections all speak HTTP.

use usockets::{Closed, Handler, Opened, Peers, Platform, Socket, TimerId};

use super::connection::Connection;
use super::service::Service;

/// What a socket is doing. Listeners are [`Self::Idle`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Group {
    /// Nothing that would suffer if it were closed.
    Idle,
    /// A request is under way.
    Busy,
}

/// An HTTP server. Listen with [`Group::Idle`]; a wake-up stops it.
#[derive(Debug)]
pub(crate) struct Server<const IN: usize, const OUT: usize> {
    service: Service,
    stop: Stop,
}

impl<const IN: usize, const OUT: usize> Server<IN, OUT> {
    /// Makes a server of `service`.
    pub(crate) const fn new(service: Service) -> Self {
        Self {
            service,
            stop: Stop { timer: None },
        }
    }
}

impl<P: Platform, const IN: usize, const OUT: usize> Handler<P> for Server<IN, OUT> {
    type Ext = Connection<IN, OUT>;
    type Context = Group;

    fn on_open(
        &mut self,
        socket: &mut Socket<'_, P, Self>,
        _: Opened<Group>,
    ) -> Connection<IN, OUT> {
        Connection::open(socket, &self.service)
    }

    fn on_data(
        &mut self,
        socket: &mut Socket<'_, P, Self>,
        connection: &mut Connection<IN, OUT>,
        data: &mut [u8],
    ) {
        connection.on_data(socket, &mut self.service, data);
        group(socket, connection);
    }

    fn on_writable(
        &mut self,
        socket: &mut Socket<'_, P, Self>,
        connection: &mut Connection<IN, OUT>,
    ) {
        connection.on_writable(socket, &mut self.service);
        group(socket, connection);
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, connection: &mut Connection<IN, OUT>) {
        connection.on_end(socket, &mut self.service);
    }

    fn on_timeout(
        &mut self,
        socket: &mut Socket<'_, P, Self>,
        connection: &mut Connection<IN, OUT>,
    ) {
        connection.on_timeout(socket, &mut self.service);
        group(socket, connection);
    }

    fn on_close(
        &mut self,
        socket: &mut Socket<'_, P, Self>,
        _: &mut Connection<IN, OUT>,
        _: Closed,
    ) {
        self.stop.closed(socket);
    }

    fn on_wake(&mut self, peers: &mut Peers<'_, P, Self>) {
        self.stop.begin(peers, &mut self.service);
    }

    fn on_timer(&mut self, peers: &mut Peers<'_, P, Self>, _: TimerId, _: u32) {
        self.stop.end(peers);
    }
}

/// Keeps the socket's group up to date, so that stopping finds the idle ones.
fn group<P: Platform, H: Handler<P, Context = Group>, const IN: usize, const OUT: usize>(
    socket: &mut Socket<'_, P, H>,
    connection: &Connection<IN, OUT>,
) {
    socket.adopt(if connection.is_idle() {
        Group::Idle
    } else {
        Group::Busy
    });
}

/// Stopping in order: no new connections, no idle ones, and a bounded time for the others. Then
/// the loop has nothing left and [`Loop::run`](usockets::Loop::run) returns.
#[derive(Debug)]
pub(crate) struct Stop {
    timer: Option<TimerId>,
}

impl Stop {
    /// Starts to stop or, when asked for the second time, stops at once.
    fn begin<P: Platform, H: Handler<P, Context = Group>>(
        &mut self,
        peers: &mut Peers<'_, P, H>,
        service: &mut Service,
    ) {
        let again = core::mem::replace(&mut service.stopping, true);
        peers.net().close_all(Group::Idle, 0);
        if again {
            return self.end(peers);
        }
        if peers.net().stats().open > 0 {
            let timer = peers
                .net()
                .start_timer(service.limits.stop, usockets::Duration::ZERO);
            self.timer = timer.ok();
            if self.timer.is_none() {
                self.end(peers);
            }
        }
    }

    /// Does not wait for the last connections any longer.
    fn end<P: Platform, H: Handler<P, Context = Group>>(&mut self, peers: &mut Peers<'_, P, H>) {
        if let Some(timer) = self.timer.take() {
            peers.net().stop_timer(timer);
        }
        peers.net().close_all(Group::Busy, 0);
    }

    /// The last connection takes the timer along.
    fn closed<P: Platform, H: Handler<P>>(&mut self, socket: &mut Socket<'_, P, H>) {
        if self.timer.is_some()
            && socket.net().stats().open == 0
            && let Some(timer) = self.timer.take()
        {
            socket.net().stop_timer(timer);
        }
    }
}
