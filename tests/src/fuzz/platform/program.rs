//! Handlers that do what bytes say, and hold the loop to the order of its calls.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use usockets::compose::{PartSocket, PartSockets, Protocol, Scope};
use usockets::{
    Address, AllSockets, Closed, Error, Handler, Incoming, Instant, ListenerId, Opened, PreOpen,
    Readiness, Socket, SocketId, TimerId,
};

use super::actions::{Full, act_fully, endpoint, touch};
use super::world::{Call, Unwound, World};

/// The data of a socket: whose it is. There is no more of it than there are sockets.
pub type Data = (SocketId, Arc<()>);

/// A handler on a platform that can do everything.
pub struct Program<'w> {
    pub world: &'w World<'w>,
    pub host: usize,
}

impl Program<'_> {
    /// Acts within a call about a socket.
    fn turn<P: Full>(&self, socket: &mut Socket<'_, P, Self>, data: Option<&Data>) {
        let id = socket.id();
        assert!(data.is_none_or(|data| data.0 == id), "data of another");
        for _ in 0..self.world.below(3) {
            act_fully(self.world, self.host, socket.net(), Some(id));
        }
        if self.world.seldom(16) {
            self.visit(socket.all());
        }
    }

    /// Acts within a call that is about no socket.
    fn turn_of_all<P: Full>(&self, all: &mut AllSockets<'_, P, Self>) {
        for _ in 0..self.world.below(3) {
            act_fully(self.world, self.host, all.net(), None);
        }
        if self.world.seldom(16) {
            self.visit(all);
        }
        self.world.unwind_seldom();
    }

    fn visit<P: Full>(&self, all: &mut AllSockets<'_, P, Self>) {
        all.visit(
            |_| true,
            |net, id, data| {
                assert_eq!(data.0, id, "data of another");
                act_fully(self.world, self.host, net, Some(id));
            },
        );
    }

    fn called<P: Full>(&self, socket: &mut Socket<'_, P, Self>, data: &Data, call: Call) {
        self.world.on_call(self.host, socket.id(), call);
        self.turn(socket, Some(data));
        self.world.unwind_seldom();
    }
}

impl<P: Full> Handler<P> for Program<'_> {
    type Ext = Data;
    type Context = u8;

    fn on_pre_open(&mut self, incoming: &mut Incoming<'_, P, u8>) -> PreOpen {
        let _ = (incoming.peer(), incoming.now(), incoming.local_addr());
        self.world.unwind_seldom();
        match self.world.below(16) {
            13 => PreOpen::Refuse,
            14 => {
                self.world.descriptors.borrow_mut().extend(incoming.take());
                PreOpen::Keep
            }
            _ => PreOpen::Keep,
        }
    }

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, _: Opened<u8>) -> Data {
        let id = socket.id();
        self.world.on_open(self.host, id);
        self.turn(socket, None);
        if self.world.draw() == u8::MAX {
            self.world.on_cut(self.host, id);
            resume_unwind(Box::new(Unwound));
        }
        (id, Arc::clone(&self.world.tally))
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, data: &mut Data, _: &mut [u8]) {
        self.called(socket, data, Call::Data);
    }

    fn on_readable(&mut self, socket: &mut Socket<'_, P, Self>, data: &mut Data) {
        self.called(socket, data, Call::Readable);
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, data: &mut Data) {
        self.called(socket, data, Call::Writable);
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, data: &mut Data) {
        self.called(socket, data, Call::End);
    }

    fn on_drain(&mut self, socket: &mut Socket<'_, P, Self>, data: &mut Data) {
        self.called(socket, data, Call::Drain);
    }

    fn on_timeout(&mut self, socket: &mut Socket<'_, P, Self>, data: &mut Data) {
        self.called(socket, data, Call::Timeout);
    }

    fn on_close(&mut self, socket: &mut Socket<'_, P, Self>, data: &mut Data, _: Closed) {
        self.world.on_close(self.host, socket.id());
        assert!(socket.context().is_some(), "a closed socket has a context");
        self.turn(socket, Some(data));
        self.world.unwind_seldom();
    }

    fn on_connect_error(&mut self, socket: &mut Socket<'_, P, Self>, _: u8, _: Error) {
        self.world.on_connect_error(self.host, socket.id());
        self.turn(socket, None);
        self.world.unwind_seldom();
    }

    fn on_accept_error(&mut self, all: &mut AllSockets<'_, P, Self>, _: ListenerId, _: Error) {
        self.turn_of_all(all);
    }

    fn on_descriptor(
        &mut self,
        all: &mut AllSockets<'_, P, Self>,
        _: SocketId,
        _: u8,
        _: Readiness,
    ) {
        self.turn_of_all(all);
    }

    fn on_timer(&mut self, all: &mut AllSockets<'_, P, Self>, _: TimerId, _: u32) {
        self.turn_of_all(all);
    }

    fn on_wake(&mut self, all: &mut AllSockets<'_, P, Self>) {
        self.turn_of_all(all);
    }

    fn before_wait(&mut self, all: &mut AllSockets<'_, P, Self>) {
        self.turn_of_all(all);
    }

    fn after_wait(&mut self, all: &mut AllSockets<'_, P, Self>) {
        self.turn_of_all(all);
    }

    fn after_dispatch(&mut self, all: &mut AllSockets<'_, P, Self>) {
        self.turn_of_all(all);
    }
}

/// A part of a handler, on any platform.
pub struct Part<'w> {
    pub world: &'w World<'w>,
    pub host: usize,
}

impl Part<'_> {
    fn turn<S: Scope<Self>>(&self, socket: &mut PartSocket<'_, '_, Self, S>, data: Option<&Data>) {
        let id = socket.id();
        assert!(data.is_none_or(|data| data.0 == id), "data of another");
        self.act(&mut socket.all(), Some(id));
        if self.world.seldom(8) {
            socket.adopt(self.world.draw() % 3);
        }
    }

    /// Does what a part can do that only knows of its own.
    fn act<S: Scope<Self>>(
        &self,
        sockets: &mut PartSockets<'_, '_, Self, S>,
        own: Option<SocketId>,
    ) {
        let context = self.world.draw() % 3;
        let (at, second) = (endpoint(self.world), Duration::from_secs(1));
        match self.world.below(16) {
            1 => drop(sockets.listen(at, context)),
            2 => drop(sockets.connect(at, context)),
            3 => drop(sockets.start_timer(second, second, context)),
            4 => sockets.close_all(context, 1),
            5 => {
                let _ = sockets.count_where(|one| *one == context);
            }
            6 => {
                sockets.write_each(b"each", |one| *one == context, |net, id, _| net.close(id));
            }
            7 => sockets.visit(|_| true, |_, id, data| assert_eq!(data.0, id)),
            8 => {
                if let Some(id) = self.world.id(self.host) {
                    sockets.adopt(id, context);
                    let _ = (sockets.context(id), sockets.get(id).is_some());
                }
            }
            _ => touch(self.world, self.host, sockets.net(), own),
        }
    }

    fn turn_of_all<S: Scope<Self>>(&self, sockets: &mut PartSockets<'_, '_, Self, S>) {
        self.act(sockets, None);
        self.world.unwind_seldom();
    }

    fn called<S: Scope<Self>>(
        &self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &Data,
        call: Call,
    ) {
        self.world.on_call(self.host, socket.id(), call);
        self.turn(socket, Some(data));
        self.world.unwind_seldom();
    }
}

impl Protocol for Part<'_> {
    type Data = Data;
    type Context = u8;

    fn on_pre_open(&mut self, _: Address, _: Instant, _: u8) -> PreOpen {
        match self.world.seldom(16) {
            true => PreOpen::Refuse,
            false => PreOpen::Keep,
        }
    }

    fn on_open<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        _: Opened<u8>,
    ) -> Data {
        let id = socket.id();
        self.world.on_open(self.host, id);
        self.turn(socket, None);
        (id, Arc::clone(&self.world.tally))
    }

    fn on_data<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Data,
        _: &mut [u8],
    ) {
        self.called(socket, data, Call::Data);
    }

    fn on_readable<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Data,
    ) {
        self.called(socket, data, Call::Readable);
    }

    fn on_writable<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Data,
    ) {
        self.called(socket, data, Call::Writable);
    }

    fn on_end<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Data,
    ) {
        self.called(socket, data, Call::End);
    }

    fn on_drain<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Data,
    ) {
        self.called(socket, data, Call::Drain);
    }

    fn on_timeout<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Data,
    ) {
        self.called(socket, data, Call::Timeout);
    }

    fn on_close<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        data: &mut Data,
        _: Closed,
    ) {
        self.world.on_close(self.host, socket.id());
        // `None` if the program has moved it to a context of the other part.
        let _ = socket.context();
        self.turn(socket, Some(data));
        self.world.unwind_seldom();
    }

    fn on_connect_error<S: Scope<Self>>(
        &mut self,
        socket: &mut PartSocket<'_, '_, Self, S>,
        _: u8,
        _: Error,
    ) {
        self.world.on_connect_error(self.host, socket.id());
        self.turn(socket, None);
    }

    fn on_accept_error<S: Scope<Self>>(
        &mut self,
        sockets: &mut PartSockets<'_, '_, Self, S>,
        _: ListenerId,
        _: Error,
    ) {
        self.turn_of_all(sockets);
    }

    fn on_descriptor<S: Scope<Self>>(
        &mut self,
        sockets: &mut PartSockets<'_, '_, Self, S>,
        _: SocketId,
        _: u8,
        _: Readiness,
    ) {
        self.turn_of_all(sockets);
    }

    fn on_timer<S: Scope<Self>>(
        &mut self,
        sockets: &mut PartSockets<'_, '_, Self, S>,
        _: TimerId,
        _: Option<u8>,
        _: u32,
    ) {
        self.turn_of_all(sockets);
    }

    fn on_wake<S: Scope<Self>>(&mut self, sockets: &mut PartSockets<'_, '_, Self, S>) {
        self.turn_of_all(sockets);
    }

    fn before_wait<S: Scope<Self>>(&mut self, sockets: &mut PartSockets<'_, '_, Self, S>) {
        self.turn_of_all(sockets);
    }

    fn after_wait<S: Scope<Self>>(&mut self, sockets: &mut PartSockets<'_, '_, Self, S>) {
        self.turn_of_all(sockets);
    }

    fn after_dispatch<S: Scope<Self>>(&mut self, sockets: &mut PartSockets<'_, '_, Self, S>) {
        self.turn_of_all(sockets);
    }
}
