//! The handler: a loop whose connections all speak HTTP.

use usockets::{
    AllSockets, Closed, Duration, Error, Handler, Instant, ListenerId, Opened, Platform, Socket,
    SocketId,
};

use super::connection::Connection;
use super::memory::{Pool, Shared, Store, Tables};
use super::service::{Observer, Service};

/// Clients that make room at once when descriptors are out.
const ROOM_MADE: u32 = 16;
/// Time without a new client after which descriptors count as enough again.
const CROWDED: Duration = Duration::from_secs(1);

/// What a socket is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Group {
    /// It listens.
    Listener,
    /// It belongs to a client.
    Client,
}

/// An HTTP server. Listen with [`Group::Listener`].
///
/// A wake-up stops it: clients that wait are accepted, every request that has arrived is answered,
/// and with the answer its connection closes; those without a request end by a FIN. Another wake-up
/// does not wait for anything any longer.
#[derive(Debug)]
pub(crate) struct ServerOf<T> {
    shared: Shared<T>,
    /// Until then, each new client takes the place of an idle one.
    crowded_until: Instant,
}

/// A server whose connections each have their memory for life.
pub(crate) type Server<'m, const IN: usize, const OUT: usize> = ServerOf<Tables<'m, IN, OUT>>;

impl<'m, const IN: usize, const OUT: usize> Server<'m, IN, OUT> {
    /// Makes a server of `service`, whose pool has at most `N` slots.
    pub(crate) const fn new<const N: usize>(
        service: Service,
        store: &'m mut Store<IN, OUT, N>,
    ) -> Self {
        Self::with_pool(service, store.tables())
    }
}

impl<T: Pool> ServerOf<T> {
    /// Makes a server of `service` with any memory for as many connections as its loop has slots.
    pub(crate) const fn with_pool(service: Service, pool: T) -> Self {
        Self {
            shared: Shared::new(service, pool),
            crowded_until: Instant::ZERO,
        }
    }

    /// Returns the memory of the connections.
    pub(crate) const fn pool(&self) -> &T {
        &self.shared.pool
    }

    /// Has somebody told of each iteration.
    pub(crate) fn set_observer(&mut self, observer: &'static dyn Observer) {
        self.shared.service.observer = Some(observer);
    }

    /// Ends a call of a connection. Somebody may lose its memory for what is kept of it.
    #[inline]
    fn after_call<P: Platform>(&mut self, socket: &mut Socket<'_, P, Self>, it: &mut Connection) {
        let own = socket.id();
        let Some(loser) = self.shared.pool.after_call(own, it.kept()) else {
            return;
        };
        if loser == own {
            it.lose_memory(socket.net(), own);
        } else if let Some((net, other)) = socket.other(loser) {
            other.lose_memory(net, loser);
        }
    }
}

impl<P: Platform, T: Pool> Handler<P> for ServerOf<T> {
    type Ext = Connection;
    type Context = Group;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<Group>) -> Connection {
        socket.adopt(Group::Client);
        let now = socket.net().now();
        if now < self.crowded_until {
            self.crowded_until = now.saturating_add(CROWDED);
            let idlest = idlest(self.shared.pool.clients(), &mut |id| {
                socket.other(id).and_then(|(_, it)| it.idle_since())
            });
            if let Some(id) = idlest {
                socket.net().close(id);
            }
        }
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
        self.after_call(socket, connection);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, connection: &mut Connection) {
        let mut desk = self.shared.desk(socket);
        connection.on_writable(socket, &mut desk);
        self.after_call(socket, connection);
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, connection: &mut Connection) {
        let mut desk = self.shared.desk(socket);
        connection.on_end(socket, &mut desk);
        self.after_call(socket, connection);
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, connection: &mut Connection) {
        let mut desk = self.shared.desk(socket);
        connection.on_timeout(socket, &mut desk);
        self.after_call(socket, connection);
    }

    fn on_close(&mut self, socket: &mut Socket<'_, P, Self>, _: &mut Connection, _: Closed) {
        self.shared.pool.on_close(socket.id());
    }

    fn on_drain(&mut self, socket: &mut Socket<'_, P, Self>, connection: &mut Connection) {
        let id = socket.id();
        connection.stop(socket.net(), id, &self.shared.service.limits);
    }

    /// Descriptors are out, which no policy of the listener mends: the clients that have been idle
    /// for the longest time make room, from now on one for each that comes.
    fn on_accept_error(
        &mut self,
        sockets: &mut AllSockets<'_, P, Self>,
        _: ListenerId,
        error: Error,
    ) {
        if error == Error::Exhausted {
            self.crowded_until = sockets.net().now().saturating_add(CROWDED);
            for _ in 0..ROOM_MADE {
                let idlest = idlest(self.shared.pool.clients(), &mut |id| {
                    sockets.get(id).and_then(|(_, it)| it.idle_since())
                });
                if let Some(id) = idlest {
                    sockets.net().close(id);
                }
            }
        }
    }

    fn after_wait(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        if let Some(observer) = self.shared.service.observer {
            observer.woke(sockets.net().now());
        }
    }

    fn after_dispatch(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        if let Some(observer) = self.shared.service.observer {
            let net = sockets.net();
            let (stats, requests) = (net.stats(), self.shared.service.requests);
            // The loop's own time is that of the iteration's beginning.
            observer.dispatched(net.platform_mut().now(), stats, requests);
        }
    }

    fn on_wake(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        self.shared.service.stopping = true;
        let within = match sockets.net().is_draining() {
            false => self.shared.service.limits.stop,
            true => Duration::ZERO,
        };
        sockets.net().drain(within);
    }
}

/// Returns the client that has been idle for the longest time.
fn idlest(
    clients: &[Option<SocketId>],
    idle_since: &mut dyn FnMut(SocketId) -> Option<Instant>,
) -> Option<SocketId> {
    let idle = clients.iter().flatten();
    let idle = idle.filter_map(|id| Some((idle_since(*id)?, *id)));
    idle.min().map(|(_, id)| id)
}
