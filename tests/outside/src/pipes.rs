//! A whole platform: hosts of one process on a [`Wire`], on which what is sent is there at once.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use usockets::{
    Accepted, Address, Endpoint, Error, Instant, Platform, Progress, Readiness, Ready, Recv,
    Security, SocketId,
};

use crate::wire::{CAPACITY, End, Listener, Owner, Pipe, Reports, Result, Wire};

/// Reports that one poll gives, at most.
pub const REPORTS_MAX: usize = 64;

/// One host: the platform of a loop.
pub struct Pipes {
    pub wire: Rc<RefCell<Wire>>,
    pub now: Rc<Cell<Instant>>,
    pub ip: IpAddr,
    pub reports: Reports,
    /// Reports that the last poll may still give.
    pub left: usize,
}

impl Pipes {
    fn owner(&self, id: SocketId) -> Owner {
        Owner(id, self.reports.clone())
    }

    /// Returns the address to use: one of this host, with a port that is free if it had none.
    fn bind(&self, mut addr: SocketAddr, endpoint: &Endpoint<'_>) -> Result<SocketAddr> {
        if endpoint.reuse_port || endpoint.security != Security::Plain {
            return Err(Error::Unsupported);
        } else if addr.ip() != self.ip {
            return Err(Error::AddressUnavailable);
        } else if addr.port() == 0 {
            addr.set_port(self.wire.borrow_mut().free_port());
        }
        Ok(addr)
    }

    /// Calls `f` with an end and its peer.
    fn at<T>(&self, end: Pipe, f: impl FnOnce(&mut End, &mut End) -> Result<T>) -> Result<T> {
        let mut wire = self.wire.borrow_mut();
        let (end, peer) = wire.ends(end)?;
        f(end, peer)
    }
}

impl Platform for Pipes {
    type Socket = Pipe;

    const CLOSED: Pipe = Pipe::Closed;

    fn listen(&mut self, socket: &mut Pipe, id: SocketId, at: &Endpoint<'_>) -> Result<()> {
        let addr = self.bind(at.addr, at)?;
        let mut wire = self.wire.borrow_mut();
        if wire.listeners.contains_key(&addr) {
            return Err(Error::AddressInUse);
        }
        let listener = Listener {
            owner: self.owner(id),
            backlog: at.backlog.into(),
            waiting: VecDeque::new(),
        };
        wire.listeners.insert(addr, listener);
        *socket = Pipe::Listener(addr);
        Ok(())
    }

    fn connect(&mut self, socket: &mut Pipe, id: SocketId, to: &Endpoint<'_>) -> Result<()> {
        let addr = self.bind(to.source.unwrap_or((self.ip, 0).into()), to)?;
        let mut wire = self.wire.borrow_mut();
        *socket = wire.connect(self.owner(id), addr, to.addr);
        Ok(())
    }

    fn accept(&mut self, l: &mut Pipe, s: &mut Pipe, id: SocketId) -> Result<Option<Accepted>> {
        let mut wire = self.wire.borrow_mut();
        let listener = wire.listener(*l)?;
        let Some(key) = listener.waiting.pop_front() else {
            return Ok(None);
        };
        let drained = listener.waiting.is_empty();
        *s = Pipe::End(key, true);
        let (end, peer) = wire.ends(*s)?;
        end.owner = Some(self.owner(id));
        // What became true before had no id to be reported under.
        end.report(peer);
        let peer = peer.addr.into();
        Ok(Some(Accepted { peer, drained }))
    }

    fn refuse(&mut self, listener: &mut Pipe) -> Result<bool> {
        let mut wire = self.wire.borrow_mut();
        let waiting = wire.listener(*listener)?.waiting.pop_front();
        let end = waiting.map_or(Pipe::Closed, |key| Pipe::End(key, true));
        wire.close(end, true);
        Ok(waiting.is_some())
    }

    fn set_accepting(&mut self, listener: &mut Pipe, _: SocketId, accepting: bool) -> Result<()> {
        let mut wire = self.wire.borrow_mut();
        let listener = wire.listener(*listener)?;
        // A connection is reported once, so there is nothing to stop.
        if accepting && !listener.waiting.is_empty() {
            listener.owner.report(Readiness::READABLE);
        }
        Ok(())
    }

    fn open(&mut self, socket: &mut Pipe, _: Readiness) -> Result<Progress> {
        self.at(*socket, |end, _| match end.afterwards {
            Err(Error::Refused) => Err(Error::Refused),
            _ => Ok(Progress::Done),
        })
    }

    fn take_error(&mut self, socket: &mut Pipe) -> Option<Error> {
        // Also while bytes are unread: they are delivered then, though the program has paused.
        self.at(*socket, |end, _| end.afterwards).err()
    }

    fn recv(&mut self, socket: &mut Pipe, buffer: &mut [u8]) -> Result<Recv> {
        self.at(*socket, |end, peer| {
            if end.input.is_empty() {
                return end.afterwards;
            }
            let was_full = end.input.len() == CAPACITY;
            let len = buffer.len().min(end.input.len());
            for (to, from) in buffer.iter_mut().zip(end.input.drain(..len)) {
                *to = from;
            }
            if was_full {
                peer.report(end);
            }
            // The end and an error are read too, so bytes before them are not the last.
            let drained = end.input.is_empty() && end.afterwards == Ok(Recv::WouldBlock);
            Ok(Recv::Data { len, drained })
        })
    }

    fn send(&mut self, socket: &mut Pipe, data: &[u8]) -> Result<usize> {
        self.at(*socket, |end, peer| {
            end.afterwards?;
            if peer.is_closed {
                // Bytes that reach a peer that has closed are answered by a reset.
                end.afterwards = Err(Error::Reset);
                end.report(peer);
                return Ok(data.len());
            }
            let was_empty = peer.input.is_empty();
            let len = data.len().min(CAPACITY - peer.input.len());
            peer.input.extend(&data[..len]);
            if was_empty {
                peer.report(end);
            }
            Ok(len)
        })
    }

    fn finish(&mut self, socket: &mut Pipe) -> Result<Progress> {
        self.at(*socket, |end, peer| {
            end.afterwards?;
            peer.afterwards = Ok(Recv::Finished);
            peer.report(end);
            Ok(Progress::Done)
        })
    }

    fn close(&mut self, socket: &mut Pipe) {
        let end = std::mem::replace(socket, Pipe::Closed);
        self.wire.borrow_mut().close(end, false);
    }

    fn abort(&mut self, socket: &mut Pipe) {
        let end = std::mem::replace(socket, Pipe::Closed);
        self.wire.borrow_mut().close(end, true);
    }

    fn local_addr(&self, socket: &Pipe) -> Result<Address> {
        match socket {
            Pipe::Listener(addr) => Ok((*addr).into()),
            end => self.at(*end, |end, _| Ok(end.addr.into())),
        }
    }

    fn peer_addr(&self, socket: &Pipe) -> Result<Address> {
        self.at(*socket, |_, peer| Ok(peer.addr.into()))
    }

    fn poll(&mut self, _: Option<Instant>) -> Result<()> {
        // Time is the test's, so nothing is waited for.
        self.left = REPORTS_MAX;
        Ok(())
    }

    fn next_ready(&mut self) -> Option<Ready> {
        self.left = self.left.checked_sub(1)?;
        self.reports.borrow_mut().pop_front()
    }

    fn next_deadline(&self) -> Option<Instant> {
        let has_more = !self.reports.borrow().is_empty();
        has_more.then_some(Instant::ZERO)
    }

    fn now(&self) -> Instant {
        self.now.get()
    }
}
