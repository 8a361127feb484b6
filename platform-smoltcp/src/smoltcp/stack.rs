//! The platform: a loop's calls, turned into the engine's steps.

use core::net::SocketAddr;

use smoltcp::socket::tcp::State;
use usockets::{
    Accepted, Address, Endpoint, Error, Instant, Platform, Progress, Readiness, Ready, Recv,
    SocketId,
};

use crate::config::{Config, Memory, SizeClass};
use crate::counters::Counters;
use crate::device::{PollDevice, RxChecksum};
use crate::number::place;
use crate::smoltcp::close::remote_of;
use crate::smoltcp::egress::Served;
use crate::smoltcp::engine::Engine;
use crate::smoltcp::port::send_copy;
use crate::smoltcp::slot::{Facts, Phase};

/// Most frames taken from the device in one turn.
pub const FRAMES_MAX: usize = 64;
/// Most deadlines that come true in one turn.
const EXPIRED_MAX: usize = 256;
/// Longest wait for a full device.
const FULL_WAIT: usockets::Duration = usockets::Duration::from_millis(1);

/// A TCP stack in user space over a packet device: a [`Platform`] for any loop.
///
/// It holds what [`Memory`] lends and nothing else. What it costs does not depend on how many
/// connections there are, only on how many have something to do.
pub struct Stack<'a, D> {
    device: D,
    engine: Engine<'a>,
    /// More frames were waiting than one turn takes.
    more: bool,
    /// The device was full at the end of the last turn.
    full: bool,
}

/// What a loop's pool slot holds of a socket: where it is in the stack.
#[derive(Debug)]
pub struct Socket {
    kind: Kind,
    index: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum Kind {
    Closed = 0,
    Listener = 1,
    Stream = 2,
}

impl Socket {
    const fn stream(&self) -> Option<u32> {
        match self.kind {
            Kind::Stream => Some(self.index),
            _ => None,
        }
    }

    const fn listener(&self) -> Option<u32> {
        match self.kind {
            Kind::Listener => Some(self.index),
            _ => None,
        }
    }
}

impl<'a, D: PollDevice> Stack<'a, D> {
    /// Makes a stack on `device` with slots of the given size classes: [`Self::idle`] and
    /// [`Self::start`] at once.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn new(
        device: D,
        config: &Config<'_>,
        memory: Memory<'a>,
        classes: &[SizeClass],
    ) -> Result<Self, Error> {
        let mut stack = Self::idle(device);
        stack.start(config, memory, classes)?;
        Ok(stack)
    }

    /// Makes a stack without memory and addresses: it can neither listen nor connect.
    #[must_use]
    pub fn idle(device: D) -> Self {
        let engine = Engine::idle(&device.capabilities(), device.now());
        Self {
            device,
            engine,
            more: false,
            full: false,
        }
    }

    /// Gives an idle stack its memory, with slots of the given size classes.
    ///
    /// A stack is large for machines whose own stack is a few kilobytes. There, make it idle in
    /// its place, such as a static, start it there, and lend it to the loop.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the memory is too small for the classes or the device, a class's
    /// buffers are empty or above [`crate::RECV_MAX`], there are more than
    /// [`crate::CLASSES_MAX`] classes or [`crate::ADDRESSES_MAX`] addresses, an address is not
    /// unicast, the device's capabilities contradict each other, or the stack has been started
    /// before. After any of them it is of no use any more.
    pub fn start(
        &mut self,
        config: &Config<'_>,
        memory: Memory<'a>,
        classes: &[SizeClass],
    ) -> Result<(), Error> {
        if !self.engine.slab.slots.is_empty() {
            return Err(Error::Invalid);
        }
        let capabilities = self.device.capabilities();
        self.engine.now = self.device.now();
        let started = self.engine.start(config, &capabilities, memory, classes);
        started.ok_or(Error::Invalid)
    }

    /// Sends what is due and takes frames in, all in bounds.
    ///
    /// What frames make due goes out at once only if they make no reports. Else it waits for the
    /// next turn, which is as soon as the loop has made its calls: most of them send something,
    /// and the acknowledgement goes with it.
    fn turn(&mut self) {
        self.engine.now = self.device.now();
        if self.engine.listeners_asked {
            self.engine.tell_again();
        }
        self.expire();
        self.serve();
        self.take_burst();
        if !self.has_reports() {
            self.serve();
        }
    }

    /// Takes a burst of frames in.
    fn take_burst(&mut self) {
        let engine = &mut self.engine;
        let count = self.device.receive(FRAMES_MAX);
        for index in 0..count {
            let verified = self.device.rx_meta(index).checksum != RxChecksum::Unknown;
            let answer = engine.take(self.device.frame(index), verified);
            if !answer.is_empty() {
                let frame = engine.scratch.get(answer).unwrap_or_default();
                let packet_at = u8::try_from(engine.reply_at()).unwrap_or(0);
                send_copy(&mut self.device, frame, (packet_at, engine.fills));
            }
        }
        self.more = count >= FRAMES_MAX;
    }

    /// Wakes those whose deadline has come.
    fn expire(&mut self) {
        let engine = &mut self.engine;
        for _ in 0..EXPIRED_MAX {
            match engine.wheel.pop(engine.slab.slots, engine.now) {
                Some(index) => {
                    engine.rest(index);
                    engine.wake(index);
                }
                None => break,
            }
        }
    }

    /// Serves everyone who is to be served, once, until the device is full.
    fn serve(&mut self) {
        let engine = &mut self.engine;
        self.full = false;
        for _ in 0..engine.serve.count() {
            let Some(index) = engine.serve.pop(engine.slab.slots) else {
                break;
            };
            match engine.serve(index, &mut self.device) {
                Served::Done => {}
                Served::More => engine.serve.push(engine.slab.slots, index),
                Served::Full => {
                    engine.serve.push(engine.slab.slots, index);
                    self.full = true;
                    break;
                }
            }
        }
        self.device.flush();
    }

    const fn has_reports(&self) -> bool {
        !self.engine.ready.is_empty() || self.engine.listeners_ready
    }

    /// Until when there is nothing to do but wait; `None` when there is something.
    fn rest(&self, until: Option<Instant>) -> Option<Option<Instant>> {
        let engine = &self.engine;
        if self.has_reports() || self.more || (engine.serve.count() > 0 && !self.full) {
            return None;
        }
        let now = engine.now;
        let full = self.full.then(|| now.saturating_add(FULL_WAIT));
        let deadlines = [until, engine.wheel.next(now), full];
        let first = deadlines.into_iter().flatten().min();
        first.is_none_or(|first| first > now).then_some(first)
    }
}

impl<'a, D> Stack<'a, D> {
    /// Returns what happened so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.engine.counters
    }

    /// Returns the number of free slots of all classes.
    #[must_use]
    pub fn free_count(&self) -> usize {
        let free = self
            .engine
            .slab
            .classes
            .iter()
            .map(|class| class.free.count());
        place(free.fold(0, u32::saturating_add))
    }

    /// Lends the device.
    #[must_use]
    pub const fn device(&self) -> &D {
        &self.device
    }

    /// Lends the device for changing. Taking frames from it behind the stack's back loses them.
    #[must_use]
    pub const fn device_mut(&mut self) -> &mut D {
        &mut self.device
    }
}

impl<D: PollDevice> Platform for Stack<'_, D> {
    type Socket = Socket;

    const CLOSED: Socket = Socket {
        kind: Kind::Closed,
        index: 0,
    };

    fn listen(
        &mut self,
        socket: &mut Socket,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<(), Error> {
        let index = self.engine.listen(id, at)?;
        *socket = Socket {
            kind: Kind::Listener,
            index,
        };
        Ok(())
    }

    fn connect(
        &mut self,
        socket: &mut Socket,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<(), Error> {
        self.engine.now = self.device.now();
        let index = self.engine.connect(id, to)?;
        *socket = Socket {
            kind: Kind::Stream,
            index,
        };
        Ok(())
    }

    fn accept(
        &mut self,
        listener: &mut Socket,
        socket: &mut Socket,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let number = listener.listener().ok_or(Error::Invalid)?;
        let Some(index) = self.engine.dequeue(number) else {
            return Ok(None);
        };
        let Some(peer) = self.engine.own(index, id) else {
            self.engine.release(index);
            return Err(Error::Reset);
        };
        *socket = Socket {
            kind: Kind::Stream,
            index,
        };
        let left = self.engine.listeners.get(place(number));
        Ok(Some(Accepted {
            peer: peer.into(),
            drained: left.is_none_or(|listener| listener.queue.count() == 0),
        }))
    }

    fn refuse(&mut self, listener: &mut Socket) -> Result<bool, Error> {
        let number = listener.listener().ok_or(Error::Invalid)?;
        let Some(index) = self.engine.dequeue(number) else {
            return Ok(false);
        };
        self.engine.slab.move_to(index, Phase::Owned);
        self.engine.abort(index);
        Ok(true)
    }

    fn set_accepting(
        &mut self,
        listener: &mut Socket,
        _: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        let number = listener.listener().ok_or(Error::Invalid)?;
        if accepting && let Some(listener) = self.engine.listeners.get_mut(place(number)) {
            // Not before the next poll: in this iteration the loop still has no place for it.
            listener.asked = true;
            self.engine.listeners_asked = true;
        }
        Ok(())
    }

    fn open(&mut self, socket: &mut Socket, _: Readiness) -> Result<Progress, Error> {
        let index = socket.stream().ok_or(Error::Invalid)?;
        if let Some(error) = self.engine.fault(index) {
            return Err(error);
        }
        match self.engine.state(index) {
            State::SynSent | State::SynReceived => Ok(Progress::Pending),
            _ => Ok(Progress::Done),
        }
    }

    fn take_error(&mut self, socket: &mut Socket) -> Option<Error> {
        self.engine.fault(socket.stream()?)
    }

    fn recv(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        let index = socket.stream().ok_or(Error::Invalid)?;
        self.engine.recv(index, buffer)
    }

    fn send(&mut self, socket: &mut Socket, data: &[u8]) -> Result<usize, Error> {
        let index = socket.stream().ok_or(Error::Invalid)?;
        self.engine.send(index, data)
    }

    fn finish(&mut self, socket: &mut Socket) -> Result<Progress, Error> {
        let index = socket.stream().ok_or(Error::Invalid)?;
        if let Some(error) = self.engine.fault(index) {
            return Err(error);
        }
        if self.engine.state(index) == State::SynSent {
            return Err(Error::Invalid);
        }
        self.engine.end(index);
        Ok(Progress::Done)
    }

    fn close(&mut self, socket: &mut Socket) {
        match socket.kind {
            Kind::Stream => self.engine.orphan(socket.index),
            Kind::Listener => self.engine.unlisten(socket.index),
            Kind::Closed => {}
        }
        *socket = Self::CLOSED;
    }

    fn abort(&mut self, socket: &mut Socket) {
        match socket.kind {
            Kind::Stream => self.engine.abort(socket.index),
            Kind::Listener => self.engine.unlisten(socket.index),
            Kind::Closed => {}
        }
        *socket = Self::CLOSED;
    }

    fn local_addr(&self, socket: &Socket) -> Result<Address, Error> {
        let addr = match socket.kind {
            Kind::Listener => {
                let listener = self.engine.listeners.get(place(socket.index));
                listener.and_then(|listener| listener.at)
            }
            Kind::Stream => self
                .engine
                .slab
                .peek(socket.index)
                .and_then(|socket| socket.local_endpoint())
                .map(|end| SocketAddr::new(end.addr.into(), end.port)),
            Kind::Closed => None,
        };
        addr.map(Address::Ip).ok_or(Error::Invalid)
    }

    fn peer_addr(&self, socket: &Socket) -> Result<Address, Error> {
        let index = socket.stream().ok_or(Error::Invalid)?;
        let socket = self.engine.slab.peek(index).ok_or(Error::Invalid)?;
        remote_of(socket).map(Address::Ip).ok_or(Error::Invalid)
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        self.turn();
        if let Some(deadline) = self.rest(until) {
            self.device.wait(deadline);
            self.turn();
        }
        self.device.fault().map_or(Ok(()), Err)
    }

    fn next_deadline(&self) -> Option<Instant> {
        let engine = &self.engine;
        let waits = self.has_reports() || self.more || engine.listeners_asked;
        if waits || (engine.serve.count() > 0 && !self.full) {
            return Some(Instant::ZERO);
        }
        let now = engine.now;
        let full = self.full.then(|| now.saturating_add(FULL_WAIT));
        engine.wheel.next(now).into_iter().chain(full).min()
    }

    fn next_ready(&mut self) -> Option<Ready> {
        let engine = &mut self.engine;
        while let Some(index) = engine.ready.pop(engine.slab.slots) {
            let Some(slot) = engine.slab.get(index) else {
                continue;
            };
            let facts = core::mem::replace(&mut slot.facts, Facts::NONE);
            if let Some(id) = slot.owner()
                && facts != Facts::NONE
            {
                let readiness = facts.readiness();
                return Some(Ready { id, readiness });
            }
        }
        if engine.listeners_ready {
            for listener in engine.listeners.iter_mut() {
                let waits = listener.queue.count() > 0;
                let ready = core::mem::take(&mut listener.ready) && waits;
                if let (true, Some(id)) = (ready, SocketId::from_bits(listener.owner)) {
                    let readiness = Readiness::READABLE;
                    return Some(Ready { id, readiness });
                }
            }
            engine.listeners_ready = false;
        }
        None
    }

    fn woken(&mut self) -> bool {
        self.device.woken()
    }

    fn now(&self) -> Instant {
        self.device.now()
    }
}

impl<D> core::fmt::Debug for Stack<'_, D> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Stack")
            .field("counters", &self.engine.counters)
            .finish_non_exhaustive()
    }
}
