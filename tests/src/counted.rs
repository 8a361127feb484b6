//! A platform whose calls are counted.

use std::cell::Cell;
use std::rc::Rc;

use usockets::{Endpoint, Error, Platform, Recv, SocketId};

use crate::forward::forward;

/// Calls that take or look at what has come, that set a mark, and that send; and what these sent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Calls {
    pub receives: u32,
    pub peeks: u32,
    pub marks: u32,
    pub sends: u32,
    pub sent_bytes: usize,
}

impl Calls {
    /// Returns how many there are but for those that send.
    pub fn for_input(self) -> u32 {
        self.receives + self.peeks + self.marks
    }
}

/// A platform, and where its calls are counted.
pub struct Counted<P>(pub P, pub Rc<Cell<Calls>>);

impl<P> Counted<P> {
    fn count(&self, change: impl FnOnce(&mut Calls)) {
        let mut calls = self.1.get();
        change(&mut calls);
        self.1.set(calls);
    }
}

impl<P: Platform> Platform for Counted<P> {
    type Socket = P::Socket;

    const CLOSED: P::Socket = P::CLOSED;

    const REPORTS_ARRIVALS: bool = P::REPORTS_ARRIVALS;

    fn listen(&mut self, s: &mut P::Socket, id: SocketId, at: &Endpoint<'_>) -> Result<(), Error> {
        self.0.listen(s, id, at)
    }

    fn connect(&mut self, s: &mut P::Socket, id: SocketId, to: &Endpoint<'_>) -> Result<(), Error> {
        self.0.connect(s, id, to)
    }

    fn recv(&mut self, socket: &mut P::Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        self.count(|calls| calls.receives += 1);
        self.0.recv(socket, buffer)
    }

    fn peek(&mut self, socket: &mut P::Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        self.count(|calls| calls.peeks += 1);
        self.0.peek(socket, buffer)
    }

    fn set_low_water(&mut self, socket: &mut P::Socket, bytes: usize) -> Result<(), Error> {
        self.count(|calls| calls.marks += 1);
        self.0.set_low_water(socket, bytes)
    }

    fn send(&mut self, socket: &mut P::Socket, data: &[u8]) -> Result<usize, Error> {
        let taken = self.0.send(socket, data)?;
        self.count(|calls| {
            calls.sends += 1;
            calls.sent_bytes += taken;
        });
        Ok(taken)
    }

    forward!(but transfer);
}
