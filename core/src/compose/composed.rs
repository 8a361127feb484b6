//! A protocol as the handler of a loop.

use core::marker::PhantomData;

use crate::closed::Closed;
use crate::compose::protocol::{PartSocket, PartSockets, Protocol, Scope};
use crate::error::Error;
use crate::handler::{Handler, Opened};
use crate::id::{ListenerId, SocketId, TimerId};
use crate::platform::{Platform, Readiness};
use crate::sockets::incoming::{Incoming, PreOpen};
use crate::sockets::socket::{AllSockets, Socket};

/// The handler of a loop that one protocol, usually [`Both`](super::Both), is the whole of.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a name for what is in it")]
pub struct Composed<Q>(
    /// The protocol.
    pub Q,
);

/// The scope of a protocol that is the whole of a loop on the platform `P`.
pub struct Outermost<P>(PhantomData<fn(P)>);

impl<P: Platform, Q: Protocol> Scope<Q> for Outermost<P> {
    type Platform = P;
    type Handler = Composed<Q>;

    #[inline]
    fn data(whole: &mut Q::Data) -> Option<&mut Q::Data> {
        Some(whole)
    }

    fn context(whole: Q::Context) -> Option<Q::Context> {
        Some(whole)
    }

    fn whole(context: Q::Context) -> Q::Context {
        context
    }
}

impl<P: Platform, Q: Protocol> Handler<P> for Composed<Q> {
    type Ext = Q::Data;
    type Context = Q::Context;

    #[inline]
    fn on_pre_open(&mut self, incoming: &mut Incoming<'_, P, Q::Context>) -> PreOpen {
        let (peer, now, context) = (incoming.peer(), incoming.now(), incoming.context());
        self.0.on_pre_open(peer, now, context)
    }

    #[inline]
    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<Q::Context>) -> Q::Data {
        self.0.on_open(&mut part(socket), opened)
    }

    #[inline]
    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, ext: &mut Q::Data, data: &mut [u8]) {
        self.0.on_data(&mut part(socket), ext, data);
    }

    fn on_readable(&mut self, socket: &mut Socket<'_, P, Self>, ext: &mut Q::Data) {
        self.0.on_readable(&mut part(socket), ext);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, ext: &mut Q::Data) {
        self.0.on_writable(&mut part(socket), ext);
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, ext: &mut Q::Data) {
        self.0.on_end(&mut part(socket), ext);
    }

    fn on_drain(&mut self, socket: &mut Socket<'_, P, Self>, ext: &mut Q::Data) {
        self.0.on_drain(&mut part(socket), ext);
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, ext: &mut Q::Data) {
        self.0.on_timeout(&mut part(socket), ext);
    }

    fn on_close(&mut self, socket: &mut Socket<'_, P, Self>, ext: &mut Q::Data, closed: Closed) {
        self.0.on_close(&mut part(socket), ext, closed);
    }

    fn on_connect_error(
        &mut self,
        socket: &mut Socket<'_, P, Self>,
        context: Q::Context,
        error: Error,
    ) {
        self.0.on_connect_error(&mut part(socket), context, error);
    }

    fn on_accept_error(
        &mut self,
        sockets: &mut AllSockets<'_, P, Self>,
        listener: ListenerId,
        error: Error,
    ) {
        self.0.on_accept_error(&mut parts(sockets), listener, error);
    }

    fn on_descriptor(
        &mut self,
        sockets: &mut AllSockets<'_, P, Self>,
        id: SocketId,
        context: Q::Context,
        readiness: Readiness,
    ) {
        self.0
            .on_descriptor(&mut parts(sockets), id, context, readiness);
    }

    fn on_timer(&mut self, sockets: &mut AllSockets<'_, P, Self>, timer: TimerId, missed: u32) {
        let context = sockets.timer_context();
        self.0.on_timer(&mut parts(sockets), timer, context, missed);
    }

    fn on_wake(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        self.0.on_wake(&mut parts(sockets));
    }

    fn before_wait(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        self.0.before_wait(&mut parts(sockets));
    }

    #[inline]
    fn after_wait(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        self.0.after_wait(&mut parts(sockets));
    }

    fn after_dispatch(&mut self, sockets: &mut AllSockets<'_, P, Self>) {
        self.0.after_dispatch(&mut parts(sockets));
    }
}

#[inline]
const fn part<'s, 'a, P: Platform, Q: Protocol>(
    socket: &'s mut Socket<'a, P, Composed<Q>>,
) -> PartSocket<'s, 'a, Q, Outermost<P>> {
    PartSocket::new(socket)
}

const fn parts<'s, 'a, P: Platform, Q: Protocol>(
    sockets: &'s mut AllSockets<'a, P, Composed<Q>>,
) -> PartSockets<'s, 'a, Q, Outermost<P>> {
    PartSockets::new(sockets)
}
