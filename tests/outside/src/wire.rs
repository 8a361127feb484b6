//! The network that the platform is over: who listens, and pipes in memory between two ends each.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;

use usockets::{Error, Readiness, Ready, Recv, SocketId};

pub type Result<T> = std::result::Result<T, Error>;
/// Reports that a host's loop has not taken yet. An id may be stale by then: the loop knows.
pub type Reports = Rc<RefCell<VecDeque<Ready>>>;

/// Bytes that an end holds until its program receives them.
pub const CAPACITY: usize = 4_096;

/// Each connection has two ends, of which the one that connected is the first.
#[derive(Default)]
pub struct Wire {
    pub listeners: BTreeMap<SocketAddr, Listener>,
    pub connections: BTreeMap<u32, [End; 2]>,
    last_key: u32,
    last_port: u16,
}

/// What a slot of the pool holds: nothing, where it listens, or a connection and which end of it.
#[derive(Clone, Copy, Debug)]
pub enum Pipe {
    Closed,
    Listener(SocketAddr),
    End(u32, bool),
}

/// Who is told what becomes true of a socket.
#[derive(Clone)]
pub struct Owner(pub SocketId, pub Reports);

pub struct Listener {
    pub owner: Owner,
    pub backlog: usize,
    pub waiting: VecDeque<u32>,
}

pub struct End {
    /// None while it waits to be accepted, as it has no id yet.
    pub owner: Option<Owner>,
    pub addr: SocketAddr,
    pub input: VecDeque<u8>,
    /// What `recv` says after the input.
    pub afterwards: Result<Recv>,
    pub is_closed: bool,
}

impl Owner {
    pub fn report(&self, readiness: Readiness) {
        let ready = Ready {
            id: self.0,
            readiness,
        };
        self.1.borrow_mut().push_back(ready);
    }
}

impl End {
    fn new(owner: Option<Owner>, addr: SocketAddr) -> Self {
        Self {
            owner,
            addr,
            input: VecDeque::new(),
            afterwards: Ok(Recv::WouldBlock),
            is_closed: false,
        }
    }

    /// Reports everything that is true.
    pub fn report(&self, peer: &Self) {
        let readiness = Readiness::READABLE
            .when(!self.input.is_empty())
            .union(Readiness::WRITABLE.when(peer.input.len() < CAPACITY))
            .union(Readiness::ENDED.when(self.afterwards == Ok(Recv::Finished)))
            .union(Readiness::ERROR.when(self.afterwards.is_err()));
        if let Some(owner) = &self.owner {
            owner.report(readiness);
        }
    }
}

impl Wire {
    /// Returns a port that nobody has.
    pub fn free_port(&mut self) -> u16 {
        self.last_port += 1;
        40_000 + self.last_port
    }

    pub fn listener(&mut self, pipe: Pipe) -> Result<&mut Listener> {
        match pipe {
            Pipe::Listener(addr) => self.listeners.get_mut(&addr).ok_or(Error::Invalid),
            _ => Err(Error::Invalid),
        }
    }

    /// Returns an end and its peer.
    pub fn ends(&mut self, pipe: Pipe) -> Result<(&mut End, &mut End)> {
        let Pipe::End(key, is_second) = pipe else {
            return Err(Error::Invalid);
        };
        let [first, second] = self.connections.get_mut(&key).ok_or(Error::Invalid)?;
        Ok(if is_second {
            (second, first)
        } else {
            (first, second)
        })
    }

    /// Connects, or is refused where nobody listens or as many wait as may.
    pub fn connect(&mut self, owner: Owner, from: SocketAddr, to: SocketAddr) -> Pipe {
        self.last_key += 1;
        let (mut end, mut peer) = (End::new(Some(owner), from), End::new(None, to));
        let listener = self.listeners.get_mut(&to);
        if let Some(listener) = listener.filter(|one| one.waiting.len() < one.backlog) {
            listener.waiting.push_back(self.last_key);
            listener.owner.report(Readiness::READABLE);
        } else {
            peer.is_closed = true;
            end.afterwards = Err(Error::Refused);
        }
        end.report(&peer);
        self.connections.insert(self.last_key, [end, peer]);
        Pipe::End(self.last_key, false)
    }

    /// Closes in order, or resets, which is also what a peer gets whose bytes were not read.
    pub fn close(&mut self, pipe: Pipe, is_reset: bool) {
        if let Pipe::Listener(addr) = pipe {
            let closed = self.listeners.remove(&addr);
            for key in closed.into_iter().flat_map(|closed| closed.waiting) {
                self.close(Pipe::End(key, true), true);
            }
        } else if let (Pipe::End(key, _), Ok((end, peer))) = (pipe, self.ends(pipe)) {
            let is_orderly = !is_reset && end.input.is_empty();
            peer.afterwards = is_orderly.then_some(Recv::Finished).ok_or(Error::Reset);
            peer.report(end);
            (end.owner, end.is_closed) = (None, true);
            if peer.is_closed {
                self.connections.remove(&key);
            }
        }
    }
}
