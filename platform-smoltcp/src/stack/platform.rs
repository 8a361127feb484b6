//! The platform: a loop's calls, and the device's frames, turned into the shell's steps.

use core::net::SocketAddr;

use usockets::{
    Accepted, Address, Duration, Endpoint, Error, Instant, Platform, Progress, Readiness, Ready,
    Recv, SocketId,
};

use crate::config::{Config, SizeClass};
use crate::counters::Counters;
use crate::device::{CHAIN_MAX, PollDevice, RxChecksum, TxMeta};
use crate::ip::NEVER;
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
use crate::ip::rss::Rss;
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
use crate::ip::shared::SharedNeighbours;
use crate::number::place;
use crate::socket::{Kind, Socket};
use crate::stack::memory::Memory;
use crate::stack::output::{Served, send_copy};
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
use crate::stack::queues::SharedQueues;
use crate::stack::shell::Shell;
use crate::stack::slot::{Facts, Phase};
use crate::tcp::State;

/// Most frames taken from the device in one turn.
pub const FRAMES_MAX: usize = 64;
/// Longest wait for a full device.
const FULL_WAIT: Duration = Duration::from_millis(1);
/// How often is looked for what another stack has heard of a neighbour.
const NEWS_EVERY: Duration = Duration::from_millis(1);
/// Most looks for a frame in one busy wait. By then the clock does not move.
const LOOKS_MAX: u32 = 1 << 24;

/// A TCP stack in user space over a packet device: a [`Platform`] for any loop.
///
/// It holds what [`Memory`] lends and nothing else. What it costs does not depend on how many
/// connections there are, only on how many have something to do.
pub struct Stack<'a, D> {
    pub(super) device: D,
    pub(super) shell: Shell<'a>,
    /// More frames were waiting than one turn takes.
    more: bool,
    /// The device was full at the end of the last turn.
    full: bool,
    busy_poll: Duration,
    /// When a frame came last.
    received_at: Instant,
}

impl<'a, D: PollDevice> Stack<'a, D> {
    /// Makes a stack on `device` with connections of the given size classes: [`Self::idle`] and
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
        let now = device.now();
        let shell = Shell::idle(device.capabilities(), now);
        Self {
            device,
            shell,
            more: false,
            full: false,
            busy_poll: Duration::ZERO,
            received_at: now,
        }
    }

    /// Gives an idle stack its memory, with connections of the given size classes.
    ///
    /// A stack is large for machines whose own stack is a few kilobytes. There, make it idle in
    /// its place, such as a static, start it there, and lend it to the loop.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the memory is too small for the classes or the device, a class has
    /// empty buffers or tables, there are more than [`crate::CLASSES_MAX`] classes or
    /// [`crate::ADDRESSES_MAX`] addresses, an address is not unicast, the device's capabilities
    /// contradict each other, or the stack has been started before. After any of them it is of no
    /// use any more. [`Demand::unmet`](crate::Demand::unmet) says which of them it would be.
    pub fn start(
        &mut self,
        config: &Config<'_>,
        memory: Memory<'a>,
        classes: &[SizeClass],
    ) -> Result<(), Error> {
        if !self.shell.slots.all.is_empty() {
            return Err(Error::Invalid);
        }
        self.shell.now = self.device.now();
        self.busy_poll = config.busy_poll;
        let started = self.shell.start(config, memory, classes);
        started.ok_or(Error::Invalid)
    }

    /// Shares what this stack learns of neighbours with all that are given the same table, before
    /// or after it starts. They are on one link, have one hardware address and one clock.
    ///
    /// While a connection waits for a neighbour, the stack then looks every millisecond whether
    /// another has heard of it.
    #[cfg(all(feature = "queues", target_has_atomic = "32"))]
    pub fn share_neighbours(&mut self, table: &'a SharedNeighbours) {
        self.shell.neighbours.share(table);
    }

    /// Makes this the stack of `queue`, counted from 0, of several that are one host: one for each
    /// receive queue of a card, which `rss` describes.
    ///
    /// It then connects from ports whose answers come to its queue, refuses with
    /// [`Error::AddressUnavailable`] to connect from others, and hands over what belongs to
    /// connections of other stacks. A datagram goes to a socket on the queue that it arrives on;
    /// if none there takes it, to one on another queue; for a group or all stations, to one on
    /// each. Where a datagram socket names no port, no two stacks choose the same.
    ///
    /// Handed what it was asleep for, the stack of a queue is woken by `wake`, which is called on
    /// this stack's thread with the number of the queue and has to end [`PollDevice::wait`] of that
    /// stack's device, as a [`usockets::Waker`] does.
    ///
    /// Call it once on each of them, before any connects or listens. All are made of one
    /// [`Config`], with one secret, and of one clock; share neighbours as well
    /// ([`Self::share_neighbours`]). Only the stack of queue 0 probes and announces the addresses.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the table of `rss` does not lead to `queue`, or leads to one that
    /// `queues` has no places for.
    #[cfg(all(feature = "queues", target_has_atomic = "32"))]
    pub fn share_queues(
        &mut self,
        queues: &'a SharedQueues,
        rss: Rss<'a>,
        queue: u16,
        wake: &'a (dyn Fn(u16) + Sync),
    ) -> Result<(), Error> {
        self.shell.share(queues, rss, queue, wake)
    }

    /// Sends what is due and takes frames in, all in bounds.
    ///
    /// What frames make due goes out at once only if they make no reports. Else it waits for the
    /// next turn, which is as soon as the loop has made its calls: most of them send something,
    /// and the acknowledgement goes with it.
    fn turn(&mut self) {
        self.shell.now = self.device.now();
        if self.shell.listeners_asked {
            self.shell.report_asked();
        }
        if self.shell.neighbours.has_news(self.shell.now) {
            self.shell.unblock();
        }
        self.shell.expire();
        if self.shell.slots.is_any_leased() {
            self.shell.relieve();
        }
        self.serve();
        self.take_burst();
        if !self.has_reports() {
            self.serve();
        }
    }

    /// Takes a burst of frames in.
    fn take_burst(&mut self) {
        let count = self.device.receive(FRAMES_MAX);
        if count > 0 {
            self.received_at = self.shell.now;
        }
        for index in 0..count {
            let len = if self.device.chained(index, 1).is_empty() {
                let verified = self.device.rx_meta(index).checksum != RxChecksum::Unknown;
                self.shell.take(self.device.frame(index), verified)
            } else {
                self.take_chain(index)
            };
            if len > 0 {
                let frame = self.shell.scratch.get(..len).unwrap_or_default();
                send_copy(&mut self.device, frame, &TxMeta::NONE);
            }
        }
        self.more = count >= FRAMES_MAX;
        #[cfg(all(feature = "queues", target_has_atomic = "32"))]
        self.take_handed();
    }

    /// Takes in what other stacks have handed over.
    #[cfg(all(feature = "queues", target_has_atomic = "32"))]
    fn take_handed(&mut self) {
        for _ in 0..FRAMES_MAX {
            let Some(len) = self.shell.take_handed() else {
                return;
            };
            self.received_at = self.shell.now;
            if len > 0 {
                let frame = self.shell.scratch.get(..len).unwrap_or_default();
                send_copy(&mut self.device, frame, &TxMeta::NONE);
            }
        }
        self.more = true;
    }

    /// Takes a frame in several buffers in, put together; one that does not fit is dropped.
    #[inline(never)]
    fn take_chain(&mut self, index: usize) -> usize {
        let assembly = core::mem::take(&mut self.shell.assembly);
        let mut len = 0_usize;
        let mut fits = true;
        for place in 0..CHAIN_MAX {
            let part = match place {
                0 => self.device.frame(index),
                _ => self.device.chained(index, place),
            };
            if part.is_empty() {
                break;
            }
            let end = len.saturating_add(part.len());
            match assembly.get_mut(len..end) {
                Some(to) if to.len() == part.len() => to.copy_from_slice(part),
                _ => fits = false,
            }
            len = end;
        }
        let verified = self.device.rx_meta(index).checksum != RxChecksum::Unknown;
        let answer = match assembly.get(..len).filter(|_| fits) {
            Some(frame) => self.shell.take(frame, verified),
            None => self.shell.count_malformed(),
        };
        self.shell.assembly = assembly;
        answer
    }

    /// Serves everyone who is to be served, once, until the device is full.
    fn serve(&mut self) {
        let shell = &mut self.shell;
        self.full = false;
        if shell.addresses_at <= shell.now {
            shell.serve_addresses(&mut self.device);
        }
        for _ in 0..shell.serve.count() {
            let Some(index) = shell.serve.pop(shell.slots.all) else {
                break;
            };
            match shell.serve(index, &mut self.device) {
                Served::Done => {}
                Served::More => shell.serve.push(shell.slots.all, index),
                Served::Full => {
                    shell.serve.push(shell.slots.all, index);
                    self.full = true;
                    break;
                }
            }
        }
        #[cfg(feature = "datagrams")]
        {
            self.full |= shell.serve_datagrams(&mut self.device);
        }
        self.device.flush();
    }

    const fn has_reports(&self) -> bool {
        #[cfg(feature = "datagrams")]
        if self.shell.datagrams.has_reports() {
            return true;
        }
        !self.shell.ready.is_empty() || self.shell.looks
    }

    /// Returns true if the next turn has something to do, whatever the time.
    const fn has_work(&self) -> bool {
        let serve = self.shell.serve.count() > 0 && !self.full;
        self.has_reports() || self.more || serve
    }

    /// Returns when the next turn has something to do if nothing comes.
    fn deadline(&self) -> Option<Instant> {
        let shell = &self.shell;
        let full = self.full.then(|| shell.now.saturating_add(FULL_WAIT));
        #[cfg(feature = "datagrams")]
        let (held, holds) = (
            shell.datagrams.held_until,
            shell.datagrams.held_until.is_some(),
        );
        #[cfg(not(feature = "datagrams"))]
        let (held, holds) = (None, false);
        let waits = (holds || shell.blocked.count() > 0) && shell.neighbours.is_shared();
        let news = waits.then(|| shell.now.saturating_add(NEWS_EVERY));
        let relief = shell.next_relief();
        earliest([
            shell.wheel.next(shell.now),
            full,
            Some(shell.addresses_at),
            news,
            relief,
            held,
        ])
    }

    /// Waits for a frame, a wake-up or `until`: looks for it again and again for a while, then
    /// sleeps. Whatever it says, the next turn looks.
    fn wait(&mut self, until: Option<Instant>) {
        let end = self.received_at.saturating_add(self.busy_poll);
        let end = until.map_or(end, |until| until.min(end));
        for _ in 0..LOOKS_MAX {
            self.shell.now = self.device.now();
            if self.busy_poll.is_zero() || self.shell.now >= end {
                break;
            }
            self.take_burst();
            if self.received_at == self.shell.now || self.has_work() {
                return;
            }
            core::hint::spin_loop();
        }
        self.device.wait(until);
    }
}

impl<D> Stack<'_, D> {
    /// Returns what happened so far.
    #[must_use]
    pub const fn counters(&self) -> &Counters {
        &self.shell.counters
    }

    /// Returns the number of free slots of all classes.
    #[must_use]
    pub fn free_count(&self) -> usize {
        place(self.shell.slots.free_count())
    }

    /// Returns the number of sets of control block and buffers that no connection has, of all
    /// classes that lease theirs (`SizeClass::leased`, feature `leases`).
    #[must_use]
    pub fn free_sets(&self) -> usize {
        place(self.shell.slots.free_sets())
    }

    /// Returns true while a connection that its owner has closed has octets, or our end, that the
    /// peer has not acknowledged: a program that ends then cuts them off. Looks at every slot.
    #[must_use]
    pub fn is_delivering(&self) -> bool {
        let mut slots = self.shell.slots.all.iter();
        slots.any(|slot| slot.phase == Phase::Delivering)
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

/// Returns the earliest of these times, if there is one.
///
/// None is [`NEVER`]: if the times of `None` are compared and left out afterwards, as
/// compilers may do, memcheck takes that for a use of memory that nobody has written.
fn earliest<const N: usize>(times: [Option<Instant>; N]) -> Option<Instant> {
    let first = times.into_iter().map(|time| time.unwrap_or(NEVER)).min();
    first.filter(|first| *first != NEVER)
}

impl<D: PollDevice> Platform for Stack<'_, D> {
    type Socket = Socket;

    const CLOSED: Socket = Socket::CLOSED;

    fn listen(
        &mut self,
        socket: &mut Socket,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<(), Error> {
        let index = self.shell.listen(id, at)?;
        *socket = Socket::new(Kind::Listener, index);
        Ok(())
    }

    fn connect(
        &mut self,
        socket: &mut Socket,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<(), Error> {
        self.shell.now = self.device.now();
        let index = self.shell.connect(id, to)?;
        *socket = Socket::new(Kind::Stream, index);
        Ok(())
    }

    fn accept(
        &mut self,
        listener: &mut Socket,
        socket: &mut Socket,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let number = listener.listener()?;
        let Some(index) = self.shell.dequeue(number) else {
            return Ok(None);
        };
        let Some(peer) = self.shell.own(index, id) else {
            self.shell.release(index);
            return Err(Error::Reset);
        };
        *socket = Socket::new(Kind::Stream, index);
        let left = self.shell.listeners.get(place(number));
        Ok(Some(Accepted {
            peer: peer.into(),
            drained: left.is_none_or(|listener| listener.queue.count() == 0),
        }))
    }

    fn refuse(&mut self, listener: &mut Socket) -> Result<bool, Error> {
        let Some(index) = self.shell.dequeue(listener.listener()?) else {
            return Ok(false);
        };
        self.shell.slots.move_to(index, Phase::Owned);
        self.shell.abort(index);
        Ok(true)
    }

    fn set_accepting(
        &mut self,
        listener: &mut Socket,
        _: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        let number = listener.listener()?;
        if accepting && let Some(listener) = self.shell.listeners.get_mut(place(number)) {
            // Not before the next poll: in this iteration the loop still has no place for it.
            listener.asked = true;
            self.shell.listeners_asked = true;
        }
        Ok(())
    }

    fn open(&mut self, socket: &mut Socket, _: Readiness) -> Result<Progress, Error> {
        #[cfg(feature = "datagrams")]
        if socket.kind == Kind::Datagrams {
            return Ok(Progress::Done);
        }
        let index = socket.stream()?;
        if let Some(error) = self.shell.error(index) {
            return Err(error);
        }
        if self.shell.state(index).is_opening() {
            Ok(Progress::Pending)
        } else {
            Ok(Progress::Done)
        }
    }

    fn take_error(&mut self, socket: &mut Socket) -> Option<Error> {
        self.shell.error(socket.stream().ok()?)
    }

    fn recv(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        self.shell.recv(socket.stream()?, buffer)
    }

    fn peek(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        self.shell.peek(socket.stream()?, buffer)
    }

    /// Tells what its receive buffer never holds; every arrival is reported whatever the mark,
    /// which costs no system call.
    fn set_low_water(&mut self, socket: &mut Socket, bytes: usize) -> Result<(), Error> {
        match bytes > self.shell.receive_max(socket.stream()?) {
            true => Err(Error::Invalid),
            false => Ok(()),
        }
    }

    fn send(&mut self, socket: &mut Socket, data: &[u8]) -> Result<usize, Error> {
        self.shell.send(socket.stream()?, data)
    }

    fn finish(&mut self, socket: &mut Socket) -> Result<Progress, Error> {
        let index = socket.stream()?;
        if let Some(error) = self.shell.error(index) {
            return Err(error);
        }
        if self.shell.state(index) == State::SynSent {
            return Err(Error::Invalid);
        }
        self.shell.finish(index);
        Ok(Progress::Done)
    }

    fn close(&mut self, socket: &mut Socket) {
        match socket.kind {
            Kind::Stream => self.shell.orphan(socket.index),
            Kind::Listener => self.shell.unlisten(socket.index),
            #[cfg(feature = "datagrams")]
            Kind::Datagrams => self.shell.release_datagrams(socket.index),
            Kind::Closed => {}
        }
        *socket = Self::CLOSED;
    }

    fn abort(&mut self, socket: &mut Socket) {
        match socket.kind {
            Kind::Stream => self.shell.abort(socket.index),
            Kind::Listener => self.shell.unlisten(socket.index),
            #[cfg(feature = "datagrams")]
            Kind::Datagrams => self.shell.release_datagrams(socket.index),
            Kind::Closed => {}
        }
        *socket = Self::CLOSED;
    }

    fn local_addr(&self, socket: &Socket) -> Result<Address, Error> {
        let addr = match socket.kind {
            Kind::Listener => {
                let listener = self.shell.listeners.get(place(socket.index));
                listener.and_then(|listener| listener.at)
            }
            Kind::Stream => self.shell.slots.get(socket.index).and_then(|slot| {
                let ip = self.shell.routes.own_at(slot.ends.local_number())?;
                Some(SocketAddr::new(ip, slot.ends.local_port()))
            }),
            #[cfg(feature = "datagrams")]
            Kind::Datagrams => self.shell.datagrams_addr(socket.index),
            Kind::Closed => None,
        };
        addr.map(Address::Ip).ok_or(Error::Invalid)
    }

    fn peer_addr(&self, socket: &Socket) -> Result<Address, Error> {
        #[cfg(feature = "datagrams")]
        if socket.kind == Kind::Datagrams {
            let slot = self.shell.datagrams.get(socket.index);
            let peer = slot.and_then(|slot| slot.peer).ok_or(Error::Invalid)?;
            return Ok(peer.into());
        }
        let slot = self.shell.slots.get(socket.stream()?);
        let slot = slot.ok_or(Error::Invalid)?;
        Ok(slot.ends.remote().into())
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        self.turn();
        if !self.has_work() {
            let first = earliest([until, self.deadline()]);
            if first.is_none_or(|first| first > self.shell.now) {
                self.wait(first);
                self.turn();
            }
        }
        self.device.fault().map_or(Ok(()), Err)
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.has_work() || self.shell.listeners_asked {
            return Some(Instant::ZERO);
        }
        self.deadline()
    }

    fn next_ready(&mut self) -> Option<Ready> {
        let shell = &mut self.shell;
        while let Some(index) = shell.ready.pop(shell.slots.all) {
            let Some(slot) = shell.slots.get_mut(index) else {
                continue;
            };
            let facts = core::mem::replace(&mut slot.facts, Facts::NONE);
            if let Some(id) = slot.owner()
                && facts != Facts::NONE
            {
                let readiness = facts.readiness();
                shell.after_report(index);
                return Some(Ready { id, readiness });
            }
        }
        if shell.looks {
            for listener in shell.listeners.iter_mut() {
                let waits = listener.queue.count() > 0;
                let ready = core::mem::take(&mut listener.ready) && waits;
                if let (true, Some(id)) = (ready, SocketId::from_bits(listener.owner)) {
                    let readiness = Readiness::READABLE;
                    return Some(Ready { id, readiness });
                }
            }
            shell.looks = false;
        }
        #[cfg(feature = "datagrams")]
        if let Some(ready) = shell.datagrams.next_ready() {
            return Some(ready);
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
            .field("counters", &self.shell.counters)
            .finish_non_exhaustive()
    }
}
