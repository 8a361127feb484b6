//! A platform whose accepts unwind, as one does that asks a program in C++ about each connection.

use std::panic::resume_unwind;

use usockets::{Accepted, Endpoint, Error, Platform, SocketId};

use crate::forward::forward;

/// Another platform, of whose connections the first so many are accepted and then unwound about.
#[derive(Debug)]
pub struct Unwinding<P>(pub P, pub u32);

impl<P: Platform> Platform for Unwinding<P> {
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
        let accepted = self.0.accept(listener, socket, id)?;
        if accepted.is_some()
            && let Some(left) = self.1.checked_sub(1)
        {
            self.1 = left;
            resume_unwind(Box::new("accept"));
        }
        Ok(accepted)
    }

    forward!(but accept);
}
