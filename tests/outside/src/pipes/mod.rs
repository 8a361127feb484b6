//! A whole platform: hosts of one process, and pipes in memory between them.
//!
//! What is sent is there at once. [`Wire`] is the network and its clock, [`Pipes`] one host on it.

mod wire;

use std::cell::{RefCell, RefMut};
use std::net::SocketAddr;
use std::rc::Rc;

use usockets::{
    Accepted, Address, Endpoint, Error, Instant, Platform, Progress, Readiness, Ready, Recv,
    Security, SocketId,
};

pub use self::wire::Wire;
use self::wire::{CAPACITY, End, Listener, Socket};

/// Reports given in one poll, at most.
const REPORTS_MAX: usize = 64;

/// One host: the platform of a loop.
pub struct Pipes {
    wire: Rc<RefCell<Wire>>,
    host: usize,
    /// Reports that the last poll may still give.
    left: usize,
}

impl Pipes {
    /// Makes a further host.
    pub fn new(wire: &Rc<RefCell<Wire>>) -> Self {
        let host = wire.borrow_mut().add_host();
        let wire = Rc::clone(wire);
        Self {
            wire,
            host,
            left: 0,
        }
    }

    /// Returns the wire, for a call of the loop's: it may have more to do afterwards.
    fn call(&self) -> RefMut<'_, Wire> {
        let mut wire = self.wire.borrow_mut();
        wire.hosts[self.host].was_called = true;
        wire
    }

    /// Returns the address to use: one of this host, with a port that is free if it had none.
    fn bind(&self, wanted: SocketAddr) -> Result<SocketAddr, Error> {
        let mut wire = self.wire.borrow_mut();
        if wanted.ip() != Wire::ip(self.host) {
            return Err(Error::AddressUnavailable);
        }
        let port = if wanted.port() == 0 {
            wire.free_port()
        } else {
            wanted.port()
        };
        Ok(SocketAddr::new(wanted.ip(), port))
    }
}

impl Platform for Pipes {
    /// A number that the wire knows; 0 is none.
    type Socket = u32;

    const CLOSED: u32 = 0;

    fn listen(&mut self, socket: &mut u32, id: SocketId, at: &Endpoint<'_>) -> Result<(), Error> {
        if at.reuse_port || at.security != Security::Plain {
            return Err(Error::Unsupported);
        }
        let addr = self.bind(at.addr)?;
        let wire = &mut *self.call();
        if wire.listener_at(addr).is_some() {
            return Err(Error::AddressInUse);
        }
        *socket = wire.add(Socket::Listener(Listener::new(
            self.host, id, addr, at.backlog,
        )));
        Ok(())
    }

    fn connect(&mut self, socket: &mut u32, id: SocketId, to: &Endpoint<'_>) -> Result<(), Error> {
        if to.security != Security::Plain {
            return Err(Error::Unsupported);
        }
        let local = self.bind(to.source.unwrap_or((Wire::ip(self.host), 0).into()))?;
        *socket = self
            .wire
            .borrow_mut()
            .connect(self.host, id, local, to.addr);
        Ok(())
    }

    fn accept(
        &mut self,
        listener: &mut u32,
        socket: &mut u32,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let wire = &mut *self.call();
        let Some((key, drained)) = wire.take_waiting(*listener) else {
            return Ok(None);
        };
        let Some(end) = wire.end(key) else {
            return Err(Error::Reset);
        };
        (end.host, end.id) = (self.host, Some(id));
        let peer = Address::Ip(end.peer_addr);
        // What became true before had no id to be reported under.
        let facts = end.facts();
        wire.report(key, facts);
        *socket = key;
        Ok(Some(Accepted { peer, drained }))
    }

    fn refuse(&mut self, listener: &mut u32) -> Result<bool, Error> {
        let wire = &mut *self.call();
        let waiting = wire.take_waiting(*listener);
        if let Some((key, _)) = waiting {
            wire.remove(key, true);
        }
        Ok(waiting.is_some())
    }

    fn set_accepting(&mut self, l: &mut u32, _: SocketId, accepting: bool) -> Result<(), Error> {
        // Each connection is reported once, so there is nothing to stop.
        if accepting {
            self.call().report_waiting(*l);
        }
        Ok(())
    }

    fn open(&mut self, socket: &mut u32, _: Readiness) -> Result<Progress, Error> {
        let wire = &mut *self.call();
        match wire.end(*socket) {
            Some(End { is_open: true, .. }) => Ok(Progress::Done),
            Some(End {
                error: Some(error), ..
            }) => Err(*error),
            _ => Ok(Progress::Pending),
        }
    }

    fn take_error(&mut self, socket: &mut u32) -> Option<Error> {
        let wire = &mut *self.call();
        // Also while bytes are unread: a paused socket closes without reading them.
        wire.end(*socket)?.error
    }

    fn recv(&mut self, socket: &mut u32, buffer: &mut [u8]) -> Result<Recv, Error> {
        let wire = &mut *self.call();
        let end = wire.end(*socket).ok_or(Error::Invalid)?;
        let len = buffer.len().min(end.input.len());
        for (to, from) in buffer.iter_mut().zip(end.input.drain(..len)) {
            *to = from;
        }
        if len == 0 {
            return match end.error {
                Some(error) => Err(error),
                None if end.ended => Ok(Recv::Finished),
                None => Ok(Recv::WouldBlock),
            };
        }
        // The end and an error are read too, so bytes before them are not the last.
        let drained = end.input.is_empty() && !end.ended && end.error.is_none();
        let peer = end.peer;
        if let Some(peer) = peer
            && wire
                .end(peer)
                .is_some_and(|peer| std::mem::take(&mut peer.was_short))
        {
            wire.report(peer, Readiness::WRITABLE);
        }
        Ok(Recv::Data { len, drained })
    }

    fn send(&mut self, socket: &mut u32, data: &[u8]) -> Result<usize, Error> {
        let wire = &mut *self.call();
        let end = wire.end(*socket).ok_or(Error::Invalid)?;
        if let Some(error) = end.error {
            return Err(error);
        }
        let Some(peer) = end.peer else {
            // The peer has closed; bytes that reach it now are answered by a reset.
            end.error = Some(Error::Reset);
            wire.report(*socket, Readiness::ERROR);
            return Ok(data.len());
        };
        let Some(other) = wire.end(peer) else {
            return Err(Error::Reset);
        };
        let len = data.len().min(CAPACITY - other.input.len());
        other.input.extend(&data[..len]);
        if len > 0 {
            wire.report(peer, Readiness::READABLE);
        }
        if let Some(end) = wire.end(*socket) {
            end.was_short = len < data.len();
        }
        Ok(len)
    }

    fn finish(&mut self, socket: &mut u32) -> Result<Progress, Error> {
        let wire = &mut *self.call();
        let end = wire.end(*socket).ok_or(Error::Invalid)?;
        if let Some(error) = end.error {
            return Err(error);
        }
        if let Some(peer) = end.peer {
            wire.end_stream(peer);
        }
        Ok(Progress::Done)
    }

    fn close(&mut self, socket: &mut u32) {
        self.call().remove(std::mem::take(socket), false);
    }

    fn abort(&mut self, socket: &mut u32) {
        self.call().remove(std::mem::take(socket), true);
    }

    fn local_addr(&self, socket: &u32) -> Result<Address, Error> {
        self.wire
            .borrow_mut()
            .local_addr(*socket)
            .ok_or(Error::Invalid)
    }

    fn peer_addr(&self, socket: &u32) -> Result<Address, Error> {
        let wire = &mut *self.wire.borrow_mut();
        wire.end(*socket)
            .map(|end| end.peer_addr.into())
            .ok_or(Error::Invalid)
    }

    fn poll(&mut self, _: Option<Instant>) -> Result<(), Error> {
        // Time is the test's, so nothing is waited for.
        self.wire.borrow_mut().hosts[self.host].was_called = false;
        self.left = REPORTS_MAX;
        Ok(())
    }

    fn next_ready(&mut self) -> Option<Ready> {
        self.left = self.left.checked_sub(1)?;
        self.wire.borrow_mut().next_report(self.host)
    }

    fn next_deadline(&self) -> Option<Instant> {
        let has_more = !self.wire.borrow().hosts[self.host].reports.is_empty();
        has_more.then_some(Instant::ZERO)
    }

    fn now(&self) -> Instant {
        self.wire.borrow().now
    }
}
