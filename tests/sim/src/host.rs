//! One simulated host, as the loop sees it.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use usockets::{
    Accepted, Address, Endpoint, Error, Instant, Platform, Progress, Readiness, Ready, Recv,
    SocketId,
};

use crate::REPEAT;
use crate::end::Opening;
use crate::network::Network;

/// One host of a [`Sim`](super::Sim): the platform of one loop.
///
/// [`Platform::poll`] never waits: virtual time moves only by [`Sim::step`](super::Sim::step). It
/// notes until when the loop wanted to wait, and the simulation goes no further than that without
/// polling the host again.
///
/// With `HOLDS`, the host is as a layer is above another platform: it may hold the end of a stream
/// for a while ([`Platform::HOLDS_OUTPUT`]).
#[derive(Debug)]
pub struct Host<const HOLDS: bool = false> {
    network: Rc<RefCell<Network>>,
    index: usize,
}

/// What a pool slot holds of a simulated socket: a number that the network knows.
#[derive(Debug, Default)]
pub struct SimSocket {
    pub(super) key: u32,
}

/// What is known of one end of a connection, for models to compare with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct Line {
    /// Number of the connection, the same at both ends and used once.
    pub serial: u64,
    /// Whether this is the end that connected.
    pub client: bool,
    /// Bytes the program handed over.
    pub sent: u64,
    /// Bytes the program received.
    pub received: u64,
    /// Bytes the peer's program handed over.
    pub peer_sent: u64,
    /// Whether the peer's end has arrived.
    pub ended: bool,
    /// Why it broke, if it did.
    pub error: Option<Error>,
}

/// How often a loop called its platform: what a system call each would be.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counts {
    /// Calls of `poll`.
    pub polls: u64,
    /// Calls of `accept`.
    pub accepts: u64,
    /// Calls of `refuse`.
    pub refusals: u64,
    /// Calls of `set_accepting`.
    pub switches: u64,
    /// Calls of `open`.
    pub opens: u64,
    /// Calls of `flush`, of a host that holds output.
    pub flushes: u64,
    /// Calls of `take_error`.
    pub errors: u64,
    /// Calls of `peek`.
    pub peeks: u64,
    /// Calls of `set_low_water`.
    pub low_waters: u64,
    /// Calls of `recv`.
    pub receives: u64,
    /// Calls of `send` and `send_vectored`.
    pub sends: u64,
    /// Calls of `finish`.
    pub finishes: u64,
    /// Calls of `close` and `abort`.
    pub closes: u64,
}

/// What a loop asked of one of its listeners, and how that went.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ListenerCall {
    /// The listener.
    pub listener: SocketId,
    /// The call.
    pub what: ListenerCallKind,
}

/// A kind of [`ListenerCall`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum ListenerCallKind {
    /// A connection was taken into a slot.
    Accepted,
    /// There was none to take or to refuse.
    FoundNone,
    /// A connection was refused.
    Refused,
    /// Accepting or refusing failed.
    Failed,
    /// Reports were stopped or asked for.
    SetAccepting {
        /// Which of the two.
        accepting: bool,
        /// Whether it worked.
        worked: bool,
    },
}

impl<const HOLDS: bool> Host<HOLDS> {
    pub(super) const fn new(network: Rc<RefCell<Network>>, index: usize) -> Self {
        Self { network, index }
    }

    /// Returns the host's number, in the order of [`Sim::host`](super::Sim::host).
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Returns how often the host was called so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.network.borrow().hosts[self.index].counts
    }

    /// The network.
    pub(super) fn network(&self) -> RefMut<'_, Network> {
        self.network.borrow_mut()
    }

    /// The network, for a call of a kind that this counts.
    pub(super) fn call(&self, count: fn(&mut Counts) -> &mut u64) -> RefMut<'_, Network> {
        let mut network = self.network.borrow_mut();
        *count(&mut network.hosts[self.index].counts) += 1;
        network
    }

    /// Returns how many connections the host, as a layer, has of its own: those it opens, and
    /// those that it still sends of. Each takes a slot.
    #[must_use]
    pub fn hidden(&self) -> usize {
        self.network.borrow().hosts[self.index].hidden
    }

    /// Returns how many connections the loop kept long after the host, as a layer, was done with
    /// opening them or with sending what it held of them.
    #[must_use]
    pub fn neglected(&self) -> usize {
        self.network.borrow().hosts[self.index].neglected
    }

    /// Returns what the loop asked of its listeners since the last call, in order; of the time
    /// before the first call, nothing.
    pub fn take_listener_calls(&mut self) -> Vec<ListenerCall> {
        let mut network = self.network.borrow_mut();
        let calls = &mut network.hosts[self.index].listener_calls;
        calls.replace(Vec::new()).unwrap_or_default()
    }

    /// Notes what the loop asked of a listener.
    fn note_listener(&self, key: u32, what: ListenerCallKind) {
        let mut network = self.network.borrow_mut();
        let Some(listener) = network.end(key).and_then(|end| end.id) else {
            return;
        };
        if let Some(calls) = &mut network.hosts[self.index].listener_calls {
            calls.push(ListenerCall { listener, what });
        }
    }

    /// Returns what the network knows of a connection of this host, by its name.
    #[must_use]
    pub fn line(&self, id: SocketId) -> Option<Line> {
        let mut network = self.network.borrow_mut();
        let key = *network.names.get(&(self.index, id))?;
        let peer = network.stream(key)?.peer;
        let peer_sent = network.stream(peer).map_or(0, |stream| stream.sent);
        let stream = network.stream(key)?;
        Some(Line {
            peer_sent,
            serial: stream.serial,
            client: stream.client,
            sent: stream.sent,
            received: stream.received,
            ended: stream.ended,
            error: stream.error,
        })
    }
}

impl<const HOLDS: bool> Drop for Host<HOLDS> {
    /// Nobody waits for the host any more.
    fn drop(&mut self) {
        if let Ok(mut network) = self.network.try_borrow_mut() {
            let state = &mut network.hosts[self.index];
            state.polled = true;
            state.deadline = None;
            state.bell.take();
            state.ready.clear();
            state.extra.clear();
        }
    }
}

impl<const HOLDS: bool> Platform for Host<HOLDS> {
    type Socket = SimSocket;

    const HOLDS_OUTPUT: bool = HOLDS;

    const CLOSED: SimSocket = SimSocket { key: 0 };

    fn listen(
        &mut self,
        socket: &mut SimSocket,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<(), Error> {
        socket.key = self.network.borrow_mut().listen(self.index, id, at)?;
        Ok(())
    }

    fn connect(
        &mut self,
        socket: &mut SimSocket,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<(), Error> {
        socket.key = self.network.borrow_mut().connect(self.index, id, to)?;
        Ok(())
    }

    fn accept(
        &mut self,
        listener: &mut SimSocket,
        socket: &mut SimSocket,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let taken = self
            .call(|counts| &mut counts.accepts)
            .accept(listener.key, id, HOLDS);
        let what = match &taken {
            Ok(Some(_)) => ListenerCallKind::Accepted,
            Ok(None) => ListenerCallKind::FoundNone,
            Err(_) => ListenerCallKind::Failed,
        };
        self.note_listener(listener.key, what);
        Ok(taken?.map(|(key, accepted)| {
            socket.key = key;
            accepted
        }))
    }

    fn refuse(&mut self, listener: &mut SimSocket) -> Result<bool, Error> {
        let refused = self
            .call(|counts| &mut counts.refusals)
            .refuse_one(listener.key);
        let what = match refused {
            Ok(true) => ListenerCallKind::Refused,
            Ok(false) => ListenerCallKind::FoundNone,
            Err(_) => ListenerCallKind::Failed,
        };
        self.note_listener(listener.key, what);
        refused
    }

    fn set_accepting(
        &mut self,
        listener: &mut SimSocket,
        _: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        let result = self
            .call(|counts| &mut counts.switches)
            .set_accepting(listener.key, accepting);
        let worked = result.is_ok();
        let what = ListenerCallKind::SetAccepting { accepting, worked };
        self.note_listener(listener.key, what);
        result
    }

    fn open(&mut self, socket: &mut SimSocket, _: Readiness) -> Result<Progress, Error> {
        self.call(|counts| &mut counts.opens).advance(socket.key)
    }

    fn flush(&mut self, socket: &mut SimSocket) -> Result<Progress, Error> {
        if !HOLDS {
            return Ok(Progress::Done);
        }
        self.call(|counts| &mut counts.flushes).flush(socket.key)
    }

    fn take_error(&mut self, socket: &mut SimSocket) -> Option<Error> {
        self.call(|counts| &mut counts.errors)
            .take_error(socket.key)
    }

    fn peek(&mut self, socket: &mut SimSocket, buffer: &mut [u8]) -> Result<Recv, Error> {
        self.call(|counts| &mut counts.peeks)
            .peek(socket.key, buffer)
    }

    fn set_low_water(&mut self, socket: &mut SimSocket, bytes: usize) -> Result<(), Error> {
        self.call(|counts| &mut counts.low_waters)
            .set_low_water(socket.key, bytes)
    }

    fn recv(&mut self, socket: &mut SimSocket, buffer: &mut [u8]) -> Result<Recv, Error> {
        assert!(!buffer.is_empty(), "the loop receives into something");
        self.call(|counts| &mut counts.receives)
            .recv(socket.key, buffer)
    }

    fn send(&mut self, socket: &mut SimSocket, data: &[u8]) -> Result<usize, Error> {
        self.call(|counts| &mut counts.sends)
            .send(socket.key, &[data])
    }

    fn send_vectored(&mut self, socket: &mut SimSocket, parts: &[&[u8]]) -> Result<usize, Error> {
        self.call(|counts| &mut counts.sends)
            .send(socket.key, parts)
    }

    fn finish(&mut self, socket: &mut SimSocket) -> Result<Progress, Error> {
        self.call(|counts| &mut counts.finishes)
            .finish(socket.key, HOLDS)
    }

    fn close(&mut self, socket: &mut SimSocket) {
        let key = std::mem::take(&mut socket.key);
        self.call(|counts| &mut counts.closes).release(key, false);
    }

    fn linger(&mut self, socket: &mut SimSocket) -> bool {
        HOLDS && self.network.borrow_mut().linger(socket.key)
    }

    fn abort(&mut self, socket: &mut SimSocket) {
        let key = std::mem::take(&mut socket.key);
        self.call(|counts| &mut counts.closes).release(key, true);
    }

    fn local_addr(&self, socket: &SimSocket) -> Result<Address, Error> {
        let mut network = self.network.borrow_mut();
        let end = network.end(socket.key).ok_or(Error::Invalid)?;
        Ok(end.local.into())
    }

    fn peer_addr(&self, socket: &SimSocket) -> Result<Address, Error> {
        let mut network = self.network.borrow_mut();
        match network.stream(socket.key) {
            Some(stream) if stream.opening == Opening::Open => Ok(stream.remote.into()),
            _ => Err(Error::Invalid),
        }
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        self.call(|counts| &mut counts.polls)
            .poll(self.index, until)
    }

    fn next_ready(&mut self) -> Option<Ready> {
        self.network.borrow_mut().hosts[self.index]
            .batch
            .pop_front()
    }

    fn woken(&mut self) -> bool {
        self.network.borrow().hosts[self.index].bell.take()
    }

    fn now(&self) -> Instant {
        let network = self.network.borrow();
        let ahead = network.hosts[self.index].ahead;
        Instant::from_micros(network.now.saturating_add(ahead))
    }
}

/// The facts as a number, for the digest.
pub(super) fn bits(readiness: Readiness) -> u32 {
    let facts = [
        Readiness::READABLE,
        Readiness::WRITABLE,
        Readiness::ERROR,
        Readiness::HUNG_UP,
        Readiness::ENDED,
    ];
    let values = [0x1, 0x4, 0x8, 0x10, 0x2000];
    let set = facts.into_iter().zip(values);
    set.filter(|(fact, _)| readiness.intersects(*fact))
        .fold(0, |sum, (_, value)| sum | value)
}

impl Network {
    fn poll(&mut self, host: usize, until: Option<Instant>) -> Result<(), Error> {
        let state = &mut self.hosts[host];
        state.polled = true;
        state.deadline = until.map(Instant::as_micros);
        if let Some(error) = state.broken {
            return Err(error);
        }
        if self.faults.level_listeners {
            self.report_listeners(host);
        }
        if self.faults.shuffled > 0 && self.hosts[host].ready.len() > 1 {
            self.shuffle(host);
        }
        self.invent(host);
        let most = match self.faults.batch_max {
            max @ 0..=255 => self.rng.between(1, max as u64) as usize,
            max => max,
        };
        while self.hosts[host].batch.len() < most {
            let state = &mut self.hosts[host];
            if let Some(ready) = state.extra.pop_front() {
                state.batch.push_back(ready);
                continue;
            }
            let Some(key) = state.ready.pop_front() else {
                break;
            };
            self.report(host, key);
        }
        // What is reported may lead to more: only the next poll can tell until when to wait.
        let now = self.now.saturating_add(self.hosts[host].ahead);
        let state = &mut self.hosts[host];
        if !state.batch.is_empty()
            || state.bell.is_rung()
            || state.deadline.is_some_and(|at| at <= now)
        {
            state.deadline = Some(0);
        }
        Ok(())
    }

    /// Puts one socket's facts into the batch.
    fn report(&mut self, host: usize, key: u32) {
        let split = self.rng.chance(self.faults.split);
        let Some(end) = self.end(key) else { return };
        let readiness = std::mem::take(&mut end.pending);
        end.queued = false;
        let Some(id) = end.id else { return };
        self.note("report", u64::from(key), u64::from(bits(readiness)));
        let several = [Readiness::WRITABLE, Readiness::READABLE, Readiness::ENDED]
            .into_iter()
            .filter(|fact| readiness.intersects(*fact));
        let batch = &mut self.hosts[host].batch;
        if split && !readiness.intersects(Readiness::ERROR) {
            batch.extend(several.map(|readiness| Ready { id, readiness }));
        } else {
            batch.push_back(Ready { id, readiness });
        }
    }

    fn report_listeners(&mut self, host: usize) {
        let state = &mut self.hosts[host];
        if self.now < state.repeated_at.saturating_add(REPEAT) {
            return;
        }
        state.repeated_at = self.now;
        for key in self.listeners.clone() {
            let waits = self
                .end(key)
                .is_some_and(|end| end.host == host && end.facts().intersects(Readiness::READABLE));
            if waits {
                self.queue(key, Readiness::READABLE);
            }
        }
    }

    fn shuffle(&mut self, host: usize) {
        for index in 1..self.hosts[host].ready.len() {
            if self.rng.chance(self.faults.shuffled) {
                let other = self.rng.index(index + 1);
                self.hosts[host].ready.swap(index, other);
            }
        }
    }

    /// Adds a report of a socket that need not have anything to tell.
    fn invent(&mut self, host: usize) {
        if self.ends.is_empty() || !self.rng.chance(self.faults.spurious) {
            return;
        }
        // One of the latest, which are the likeliest to be alive.
        let back = self.rng.index(self.ends.len().min(40));
        let end = &self.ends[self.ends.len() - 1 - back];
        let Some(id) = end.id.filter(|_| end.host == host) else {
            return;
        };
        let readiness =
            Readiness::from_bits(self.rng.pick(&[1, 4, 5, 8, 0x10, 0x2001, 0x2000, 0x201d]));
        self.hosts[host].extra.push_back(Ready { id, readiness });
    }
}
