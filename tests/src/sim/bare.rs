//! A platform that leaves out what a platform may leave out, so that the loop's own ways are used.

use std::net::SocketAddr;

use usockets::SocketId;
use usockets::{Accepted, Endpoint, Error, Instant, Platform, Progress, Readiness, Ready, Recv};

/// Another platform without what one need not have, but for its waker: vectored sends and
/// farewells.
#[derive(Debug)]
pub struct Bare<P>(pub P);

impl<P: Platform> Platform for Bare<P> {
    type Socket = P::Socket;

    const CLOSED: P::Socket = P::CLOSED;

    const HOLDS_OUTPUT: bool = P::HOLDS_OUTPUT;

    fn listen(
        &mut self,
        socket: &mut P::Socket,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<(), Error> {
        self.0.listen(socket, id, at)
    }

    fn connect(
        &mut self,
        socket: &mut P::Socket,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<(), Error> {
        self.0.connect(socket, id, to)
    }

    fn accept(
        &mut self,
        listener: &mut P::Socket,
        socket: &mut P::Socket,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        self.0.accept(listener, socket, id)
    }

    fn refuse(&mut self, listener: &mut P::Socket) -> Result<bool, Error> {
        self.0.refuse(listener)
    }

    fn set_accepting(
        &mut self,
        listener: &mut P::Socket,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        self.0.set_accepting(listener, id, accepting)
    }

    fn progress(&mut self, socket: &mut P::Socket, ready: Readiness) -> Result<Progress, Error> {
        self.0.progress(socket, ready)
    }

    fn recv(&mut self, socket: &mut P::Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        self.0.recv(socket, buffer)
    }

    fn send(&mut self, socket: &mut P::Socket, data: &[u8]) -> Result<usize, Error> {
        self.0.send(socket, data)
    }

    fn finish(&mut self, socket: &mut P::Socket) -> Result<Progress, Error> {
        self.0.finish(socket)
    }

    fn close(&mut self, socket: &mut P::Socket) {
        self.0.close(socket);
    }

    fn abort(&mut self, socket: &mut P::Socket) {
        self.0.abort(socket);
    }

    fn local_addr(&self, socket: &P::Socket) -> Result<SocketAddr, Error> {
        self.0.local_addr(socket)
    }

    fn peer_addr(&self, socket: &P::Socket) -> Result<SocketAddr, Error> {
        self.0.peer_addr(socket)
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        self.0.poll(until)
    }

    fn next_ready(&mut self) -> Option<Ready> {
        self.0.next_ready()
    }

    fn woken(&mut self) -> bool {
        self.0.woken()
    }

    fn now(&self) -> Instant {
        self.0.now()
    }
}
