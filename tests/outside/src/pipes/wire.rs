//! The network: every listener and every end of a connection.

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use usockets::{Address, Error, Instant, Readiness, Ready, SocketId};

/// Bytes that an end holds until its program receives them.
pub(crate) const CAPACITY: usize = 4_096;
/// The first port that is given to those who ask for any.
const FIRST_PORT: u16 = 40_000;

/// All hosts, what is between them, and their clock.
#[derive(Default)]
pub struct Wire {
    /// The present.
    pub now: Instant,
    pub(crate) hosts: Vec<Host>,
    sockets: BTreeMap<u32, Socket>,
    last_key: u32,
    ports_given: u16,
}

/// What a host's loop is to be told, in order.
#[derive(Default)]
pub(crate) struct Host {
    pub(crate) reports: VecDeque<u32>,
    pub(crate) was_called: bool,
}

/// What a key stands for.
pub(crate) enum Socket {
    Listener(Listener),
    End(End),
}

/// A listener, and the connections that wait at it.
pub(crate) struct Listener {
    host: usize,
    id: SocketId,
    addr: SocketAddr,
    backlog: usize,
    waiting: VecDeque<u32>,
    has_report: bool,
}

/// One end of a connection.
pub(crate) struct End {
    pub(crate) host: usize,
    /// Its loop's; none while it waits to be accepted.
    pub(crate) id: Option<SocketId>,
    local: SocketAddr,
    pub(crate) peer_addr: SocketAddr,
    /// The other end, unless it is closed.
    pub(crate) peer: Option<u32>,
    pub(crate) input: VecDeque<u8>,
    pub(crate) is_open: bool,
    /// The peer's end has come.
    pub(crate) ended: bool,
    pub(crate) error: Option<Error>,
    /// The last send took less than it was given.
    pub(crate) was_short: bool,
    to_report: Readiness,
}

impl Listener {
    pub(crate) fn new(host: usize, id: SocketId, addr: SocketAddr, backlog: u16) -> Self {
        let backlog = usize::from(backlog.max(1));
        Self {
            host,
            id,
            addr,
            backlog,
            waiting: VecDeque::new(),
            has_report: false,
        }
    }
}

impl End {
    fn new(host: usize, id: Option<SocketId>, local: SocketAddr, peer_addr: SocketAddr) -> Self {
        Self {
            host,
            id,
            local,
            peer_addr,
            peer: None,
            input: VecDeque::new(),
            is_open: false,
            ended: false,
            error: None,
            was_short: false,
            to_report: Readiness::NONE,
        }
    }

    /// Returns everything that is true.
    pub(crate) fn facts(&self) -> Readiness {
        Readiness::READABLE
            .when(!self.input.is_empty())
            .union(Readiness::ENDED.when(self.ended))
            .union(Readiness::ERROR.when(self.error.is_some()))
    }
}

impl Wire {
    /// Returns the address of a host.
    pub fn ip(host: usize) -> IpAddr {
        IpAddr::from([10, 0, 0, host as u8 + 1])
    }

    /// Returns true if a host has something to do.
    pub fn is_due(&self, host: usize) -> bool {
        self.hosts[host].was_called || !self.hosts[host].reports.is_empty()
    }

    pub(crate) fn add_host(&mut self) -> usize {
        self.hosts.push(Host::default());
        self.hosts.len() - 1
    }

    pub(crate) fn free_port(&mut self) -> u16 {
        self.ports_given += 1;
        FIRST_PORT + self.ports_given
    }

    pub(crate) fn add(&mut self, socket: Socket) -> u32 {
        self.last_key += 1;
        self.sockets.insert(self.last_key, socket);
        self.last_key
    }

    pub(crate) fn end(&mut self, key: u32) -> Option<&mut End> {
        match self.sockets.get_mut(&key) {
            Some(Socket::End(end)) => Some(end),
            _ => None,
        }
    }

    fn listener(&mut self, key: u32) -> Option<&mut Listener> {
        match self.sockets.get_mut(&key) {
            Some(Socket::Listener(listener)) => Some(listener),
            _ => None,
        }
    }

    pub(crate) fn listener_at(&self, addr: SocketAddr) -> Option<u32> {
        let is_there = |socket: &Socket| matches!(socket, Socket::Listener(l) if l.addr == addr);
        let mut found = self.sockets.iter().filter(|(_, socket)| is_there(socket));
        found.next().map(|(key, _)| *key)
    }

    pub(crate) fn connect(
        &mut self,
        host: usize,
        id: SocketId,
        local: SocketAddr,
        to: SocketAddr,
    ) -> u32 {
        let key = self.add(Socket::End(End::new(host, Some(id), local, to)));
        let Some(listener) = self.listener_at(to) else {
            self.on_error(key, Error::Refused);
            return key;
        };
        let other = self.add(Socket::End(End::new(host, None, to, local)));
        for (one, peer) in [(key, other), (other, key)] {
            if let Some(end) = self.end(one) {
                end.peer = Some(peer);
            }
        }
        if let Some(listener) = self.listener(listener) {
            listener.waiting.push_back(other);
        }
        self.open_waiting(listener);
        self.report_waiting(listener);
        key
    }

    /// Opens the connections that have a place in a listener's queue. Those beyond its backlog have
    /// none: their SYN would be dropped, and sent again.
    fn open_waiting(&mut self, listener: u32) {
        let Some(listener) = self.listener(listener) else {
            return;
        };
        let queued: Vec<u32> = listener
            .waiting
            .iter()
            .take(listener.backlog)
            .copied()
            .collect();
        for key in queued {
            let Some(end) = self.end(key).filter(|end| !end.is_open) else {
                continue;
            };
            end.is_open = true;
            if let Some(peer) = end.peer
                && let Some(end) = self.end(peer)
            {
                end.is_open = true;
                self.report(peer, Readiness::WRITABLE);
            }
        }
    }

    /// Takes the first connection from a listener's queue, and whether it was the last.
    pub(crate) fn take_waiting(&mut self, key: u32) -> Option<(u32, bool)> {
        let listener = self.listener(key)?;
        let first = listener.waiting.pop_front()?;
        let drained = listener.waiting.is_empty();
        self.open_waiting(key);
        Some((first, drained))
    }

    /// Reports a listener at which a connection waits.
    pub(crate) fn report_waiting(&mut self, key: u32) {
        let Some(listener) = self.listener(key) else {
            return;
        };
        if !listener.waiting.is_empty() && !std::mem::replace(&mut listener.has_report, true) {
            let host = listener.host;
            self.hosts[host].reports.push_back(key);
        }
    }

    /// Has a fact reported, with those that were not taken yet.
    pub(crate) fn report(&mut self, key: u32, facts: Readiness) {
        let Some(end) = self.end(key).filter(|end| end.id.is_some()) else {
            return;
        };
        let is_new = end.to_report == Readiness::NONE && facts != Readiness::NONE;
        end.to_report = end.to_report.union(facts);
        if is_new {
            let host = end.host;
            self.hosts[host].reports.push_back(key);
        }
    }

    pub(crate) fn next_report(&mut self, host: usize) -> Option<Ready> {
        loop {
            let key = self.hosts[host].reports.pop_front()?;
            match self.sockets.get_mut(&key) {
                Some(Socket::Listener(listener)) => {
                    listener.has_report = false;
                    let (id, readiness) = (listener.id, Readiness::READABLE);
                    return Some(Ready { id, readiness });
                }
                Some(Socket::End(end)) => {
                    let readiness = std::mem::take(&mut end.to_report);
                    if let Some(id) = end.id {
                        return Some(Ready { id, readiness });
                    }
                }
                // It was closed since.
                None => {}
            }
        }
    }

    /// The peer ended its direction.
    pub(crate) fn end_stream(&mut self, key: u32) {
        if let Some(end) = self.end(key) {
            end.ended = true;
        }
        self.report(key, Readiness::READABLE.union(Readiness::ENDED));
    }

    fn on_error(&mut self, key: u32, error: Error) {
        if let Some(end) = self.end(key) {
            end.error = Some(error);
        }
        self.report(key, Readiness::ERROR.union(Readiness::READABLE));
    }

    /// Closes a socket: in order, or by a reset, which is also what a peer gets whose bytes were
    /// not read.
    pub(crate) fn remove(&mut self, key: u32, resets: bool) {
        match self.sockets.remove(&key) {
            Some(Socket::Listener(listener)) => {
                for key in listener.waiting {
                    self.remove(key, true);
                }
            }
            Some(Socket::End(end)) => {
                let Some(peer) = end.peer else {
                    return;
                };
                if let Some(peer) = self.end(peer) {
                    peer.peer = None;
                }
                if resets || !end.input.is_empty() {
                    self.on_error(peer, Error::Reset);
                } else {
                    self.end_stream(peer);
                }
                if !end.is_open {
                    self.forget_waiting(peer);
                }
            }
            None => {}
        }
    }

    /// Takes a connection that was given up before it opened from its listener's queue.
    fn forget_waiting(&mut self, key: u32) {
        for socket in self.sockets.values_mut() {
            if let Socket::Listener(listener) = socket {
                listener.waiting.retain(|waiting| *waiting != key);
            }
        }
        if self.end(key).is_some_and(|end| end.id.is_none()) {
            self.sockets.remove(&key);
        }
    }

    pub(crate) fn local_addr(&self, key: u32) -> Option<Address> {
        match self.sockets.get(&key)? {
            Socket::Listener(listener) => Some(listener.addr.into()),
            Socket::End(end) => Some(end.local.into()),
        }
    }
}
