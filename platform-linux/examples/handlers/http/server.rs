//! The handler: a loop whose connections all speak HTTP.

use usockets::{AllSockets, Closed, Handler, Opened, Platform, Socket, TimerId};

use super::connection::Connection;
use super::memory::{Shared, Store};
use super::service::Service;
use super::stop::Stop;

/// What a socket is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Group {
    /// It listens.
    Listener,
    /// It belongs to a client.
    Client,
}

/// An HTTP server. Listen with [`Group::Listener`]; a wake-up stops it.
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
            stop: Stop::new(),
        }
    }
}

impl<P: Platform, const IN: usize, const OUT: usize> Handler<P> for Server<'_, IN, OUT> {
    type Ext = Connection;
    type Context = Group;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<Group>) -> Connection {
        socket.adopt(Group::Client);
        self.shared.opened(socket.id());
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
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, connection: &mut Connection) {
        let mut desk = self.shared.desk(socket);
        connection.on_writable(socket, &mut desk);
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, connection: &mut Connection) {
        let mut desk = self.shared.desk(socket);
        connection.on_end(socket, &mut desk);
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, connection: &mut Connection) {
        let mut desk = self.shared.desk(socket);
        connection.on_timeout(socket, &mut desk);
    }

    fn on_close(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut Connection, _: Closed) {
        self.stop.on_close(socket.net());
    }

    fn on_wake(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        self.stop.ask(sockets.net(), &mut self.shared);
    }

    fn on_timer(&mut self, sockets: &mut AllSockets<'_, P, Self>, _: TimerId, _: u32) {
        self.stop.on_timer(sockets, &mut self.shared);
    }

    fn before_wait(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        if self.shared.service.stopping {
            self.stop
                .before_wait(sockets.net(), &self.shared.service.limits);
        }
    }
}
