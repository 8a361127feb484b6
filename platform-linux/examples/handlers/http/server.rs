//! The handler: a loop whose connections all speak HTTP.

use usockets::{AllSockets, Closed, Handler, Opened, Platform, Socket, TimerId};

use super::connection::Connection;
use super::memory::{Shared, Store};
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
pub(crate) struct Server<'m, const IN: usize, const OUT: usize> {
    shared: Shared<'m, IN, OUT>,
    stop: Stop,
}

impl<'m, const IN: usize, const OUT: usize> Server<'m, IN, OUT> {
    /// Makes a server of `service`, whose pool has at most `N` slots.
    pub(crate) const fn new<const N: usize>(
        service: Service,
        store: &'m mut Store<IN, OUT, N>,
    ) -> Self {
        Self {
            shared: Shared::new(service, store),
            stop: Stop { timer: None },
        }
    }
}

impl<P: Platform, const IN: usize, const OUT: usize> Handler<P> for Server<'_, IN, OUT> {
    type Ext = Connection;
    type Context = Group;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<Group>) -> Connection {
        Connection::open(socket, &self.shared.service)
    }

    fn on_data(
        &mut self,
        socket: &mut Socket<'_, P, Self>,
        connection: &mut Connection,
        data: &mut [u8],
    ) {
        let mut desk = self.shared.desk(socket);
        connection.on_data(socket, &mut desk, data);
        group(socket, connection);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, connection: &mut Connection) {
        let mut desk = self.shared.desk(socket);
        connection.on_writable(socket, &mut desk);
        group(socket, connection);
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, connection: &mut Connection) {
        let mut desk = self.shared.desk(socket);
        connection.on_end(socket, &mut desk);
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, connection: &mut Connection) {
        let mut desk = self.shared.desk(socket);
        connection.on_timeout(socket, &mut desk);
        group(socket, connection);
    }

    fn on_close(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut Connection, _: Closed) {
        self.stop.closed(socket);
    }

    fn on_wake(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        self.stop.begin(sockets, &mut self.shared.service);
    }

    fn on_timer(&mut self, sockets: &mut AllSockets<'_, P, Self>, _: TimerId, _: u32) {
        self.stop.end(sockets);
    }
}

/// Keeps the socket's group up to date, so that stopping finds the idle ones.
fn group<P: Platform, H: Handler<P, Context = Group>>(
    socket: &mut Socket<'_, P, H>,
    connection: &Connection,
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
        sockets: &mut AllSockets<'_, P, H>,
        service: &mut Service,
    ) {
        let again = core::mem::replace(&mut service.stopping, true);
        sockets.net().close_all(Group::Idle, 0);
        if again {
            return self.end(sockets);
        }
        if sockets.net().stats().open > 0 {
            let timer = sockets
                .net()
                .start_timer(service.limits.stop, usockets::Duration::ZERO);
            self.timer = timer.ok();
            if self.timer.is_none() {
                self.end(sockets);
            }
        }
    }

    /// Does not wait for the last connections any longer.
    fn end<P: Platform, H: Handler<P, Context = Group>>(
        &mut self,
        sockets: &mut AllSockets<'_, P, H>,
    ) {
        if let Some(timer) = self.timer.take() {
            sockets.net().stop_timer(timer);
        }
        sockets.net().close_all(Group::Busy, 0);
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
