//! A platform that a loop borrows.

use crate::address::Address;
use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::id::SocketId;
use crate::platform::{
    Accepted, Arrival, Arrivals, DatagramError, DatagramOption, Datagrams, Departure, Platform,
    Progress, Readiness, Ready, Recv, SocketOption,
};
use crate::time::Instant;

/// A loop may borrow its platform: a large one stays where it is made, such as in a static, and is
/// never moved through a small stack.
impl<P: Platform> Platform for &mut P {
    type Socket = P::Socket;

    const CLOSED: P::Socket = P::CLOSED;

    const HOLDS_OUTPUT: bool = P::HOLDS_OUTPUT;

    const REPORTS_ARRIVALS: bool = P::REPORTS_ARRIVALS;

    #[inline]
    fn listen(
        &mut self,
        socket: &mut P::Socket,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<(), Error> {
        (**self).listen(socket, id, at)
    }

    #[inline]
    fn connect(
        &mut self,
        socket: &mut P::Socket,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<(), Error> {
        (**self).connect(socket, id, to)
    }

    #[inline]
    fn accept(
        &mut self,
        listener: &mut P::Socket,
        socket: &mut P::Socket,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        (**self).accept(listener, socket, id)
    }

    #[inline]
    fn refuse(&mut self, listener: &mut P::Socket) -> Result<bool, Error> {
        (**self).refuse(listener)
    }

    #[inline]
    fn set_accepting(
        &mut self,
        listener: &mut P::Socket,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        (**self).set_accepting(listener, id, accepting)
    }

    #[inline]
    fn open(&mut self, socket: &mut P::Socket, ready: Readiness) -> Result<Progress, Error> {
        (**self).open(socket, ready)
    }

    #[inline]
    fn flush(&mut self, socket: &mut P::Socket) -> Result<Progress, Error> {
        (**self).flush(socket)
    }

    #[inline]
    fn take_error(&mut self, socket: &mut P::Socket) -> Option<Error> {
        (**self).take_error(socket)
    }

    #[inline]
    fn recv(&mut self, socket: &mut P::Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        (**self).recv(socket, buffer)
    }

    #[inline]
    fn peek(&mut self, socket: &mut P::Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        (**self).peek(socket, buffer)
    }

    #[inline]
    fn set_low_water(&mut self, socket: &mut P::Socket, bytes: usize) -> Result<(), Error> {
        (**self).set_low_water(socket, bytes)
    }

    #[inline]
    fn set_option(&mut self, socket: &mut P::Socket, option: SocketOption) -> Result<(), Error> {
        (**self).set_option(socket, option)
    }

    #[inline]
    fn send(&mut self, socket: &mut P::Socket, data: &[u8]) -> Result<usize, Error> {
        (**self).send(socket, data)
    }

    #[inline]
    fn send_vectored(&mut self, socket: &mut P::Socket, parts: &[&[u8]]) -> Result<usize, Error> {
        (**self).send_vectored(socket, parts)
    }

    #[inline]
    fn finish(&mut self, socket: &mut P::Socket) -> Result<Progress, Error> {
        (**self).finish(socket)
    }

    #[inline]
    fn linger(&mut self, socket: &mut P::Socket) -> bool {
        (**self).linger(socket)
    }

    #[inline]
    fn close(&mut self, socket: &mut P::Socket) {
        (**self).close(socket);
    }

    #[inline]
    fn abort(&mut self, socket: &mut P::Socket) {
        (**self).abort(socket);
    }

    #[inline]
    fn local_addr(&self, socket: &P::Socket) -> Result<Address, Error> {
        (**self).local_addr(socket)
    }

    #[inline]
    fn peer_addr(&self, socket: &P::Socket) -> Result<Address, Error> {
        (**self).peer_addr(socket)
    }

    #[inline]
    fn protocol(&self, socket: &P::Socket) -> &[u8] {
        (**self).protocol(socket)
    }

    #[inline]
    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        (**self).poll(until)
    }

    #[inline]
    fn next_deadline(&self) -> Option<Instant> {
        (**self).next_deadline()
    }

    #[inline]
    fn next_ready(&mut self) -> Option<Ready> {
        (**self).next_ready()
    }

    #[inline]
    fn woken(&mut self) -> bool {
        (**self).woken()
    }

    #[inline]
    fn now(&self) -> Instant {
        (**self).now()
    }
}

impl<P: Datagrams> Datagrams for &mut P {
    fn bind(&mut self, socket: &mut P::Socket, id: SocketId, at: Address) -> Result<(), Error> {
        (**self).bind(socket, id, at)
    }

    fn set_peer(&mut self, socket: &mut P::Socket, peer: Address) -> Result<(), Error> {
        (**self).set_peer(socket, peer)
    }

    fn recv_batch(
        &mut self,
        socket: &mut P::Socket,
        memory: &mut [u8],
        arrivals: &mut [Arrival],
    ) -> Result<Arrivals, Error> {
        (**self).recv_batch(socket, memory, arrivals)
    }

    fn send_batch(
        &mut self,
        socket: &mut P::Socket,
        memory: &[u8],
        departures: &[Departure],
    ) -> Result<usize, Error> {
        (**self).send_batch(socket, memory, departures)
    }

    fn await_room(&mut self, socket: &mut P::Socket, id: SocketId, on: bool) {
        (**self).await_room(socket, id, on);
    }

    fn next_error(&mut self, socket: &mut P::Socket) -> Option<DatagramError> {
        (**self).next_error(socket)
    }

    fn set_datagram_option(
        &mut self,
        socket: &mut P::Socket,
        option: DatagramOption,
    ) -> Result<(), Error> {
        (**self).set_datagram_option(socket, option)
    }
}
