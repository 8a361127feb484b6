//! A platform that leaves out what a platform may leave out, so that the loop's own ways are used.

use usockets::{Endpoint, Error, Platform, SocketId};

use crate::forward::forward;

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

    forward!();
}
