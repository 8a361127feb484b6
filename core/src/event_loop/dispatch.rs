//! What one report, one queued socket or one expiry leads to.

use crate::address::Address;
use crate::closed::Closed;
use crate::error::Error;
use crate::event_loop::Loop;
use crate::handler::{Handler, Opened};
use crate::id::SocketId;
use crate::injected_bug::injected_bug;
use crate::platform::{Platform, Progress, Readiness, Ready, Recv};
use crate::pool::flags::{Flags, Phase};
use crate::pool::{Place, Slot, at, named};
use crate::sockets::socket::{AllSockets, Socket};
use crate::sockets::{Net, OPENING_MAX};
use crate::stats::widen;

/// Reads from one socket per iteration, so that one busy peer cannot starve the others.
const READS_MAX: u32 = 4;

impl<P: Platform, H: Handler<P>> Loop<'_, P, H> {
    /// Acts on a report, or on a socket that has work left over: opens or accepts, reads once,
    /// and then sees to the rest.
    ///
    /// The usual report, bytes for an open socket that takes them all at once, runs through here
    /// without a further call. This is the only place that calls `on_data`, so that it is
    /// inlined: what is to be served before the platform is asked again is returned, to come back.
    #[inline(always)]
    pub(crate) fn dispatch(
        &mut self,
        handler: &mut H,
        id: SocketId,
        readiness: Readiness,
    ) -> Option<SocketId> {
        let slots = &mut *self.slots;
        let Some(slot) = named(slots, id) else {
            return self.lists.next_left_over(self.slots);
        };
        // A layer may have to be told of room even when there is something to read.
        let room = P::HOLDS_OUTPUT && readiness.is_writable();
        if slot.flags.are_usual() && readiness.is_usual() && !room {
            slot.payload = self.lists.stamp();
        } else if !is_again(readiness) {
            return self.prepare(handler, id, readiness);
        }
        let buffer = &mut *self.buffer;
        match self.platform.recv(&mut slot.socket, buffer) {
            Ok(Recv::Data { len, drained }) => {
                let data = buffer.get_mut(..len);
                if !drained {
                    self.lists.conclude.more();
                }
                if let Some(data) = data
                    && let Some((before, rest)) = self.exts.split_at_mut_checked(at(id.index()))
                    && let Some((Place::Occupied(ext), after)) = rest.split_first_mut()
                {
                    let sum = self.lists.stats.received.wrapping_add(widen(len));
                    self.lists.stats.received = sum;
                    let net = Net {
                        platform: &mut self.platform,
                        slots,
                        lists: &mut self.lists,
                        cork: &mut self.cork,
                    };
                    let all = AllSockets { net, before, after };
                    handler.on_data(&mut Socket { all, id }, ext, data);
                }
            }
            Ok(Recv::Finished) => self.ended(handler, id),
            Ok(Recv::WouldBlock) => self.nothing_read(id),
            Ok(Recv::Pending) => self.read_later(id),
            Err(error) => self.broke(id, error),
        }
        if self.lists.conclude.is_due() {
            return self.after_read(handler, id);
        }
        None
    }

    /// Lets the socket be read again if it may, or else finishes with it.
    #[cold]
    #[inline(never)]
    fn after_read(&mut self, handler: &mut H, id: SocketId) -> Option<SocketId> {
        if self.reads_on(id) {
            return self.again(id);
        }
        self.conclude(handler)
    }

    /// Has the socket read, whatever else holds.
    fn again(&mut self, id: SocketId) -> Option<SocketId> {
        self.lists.come_back = Readiness::AGAIN;
        Some(id)
    }

    /// Whether the socket is to be read once more: its turns are not over, and the platform has
    /// more or its end is known to be there.
    fn reads_on(&mut self, id: SocketId) -> bool {
        let more = self.lists.conclude.take_more();
        let Some(slot) = named(self.slots, id) else {
            return false;
        };
        if !more && !slot.flags.any(Flags::HUNG_UP) {
            return false;
        }
        slot.flags.set(Flags::READABLE);
        if !is_readable(slot) {
            return false;
        }
        if self.lists.serving != Some(id) {
            self.lists.serving = Some(id);
            self.lists.turns = READS_MAX;
        }
        self.lists.turns = self.lists.turns.saturating_sub(1);
        if self.lists.turns == 0 {
            if !injected_bug!(CarryOverLost) {
                self.lists.enqueue(self.slots, id);
            }
            return false;
        }
        slot.flags.clear(Flags::READABLE);
        true
    }

    /// What comes before reading: opening and accepting. The socket comes back if it is to be read
    /// then.
    #[cold]
    #[inline(never)]
    fn prepare(&mut self, handler: &mut H, id: SocketId, readiness: Readiness) -> Option<SocketId> {
        self.lists.conclude.set(true);
        self.lists.rest = Some(Ready { id, readiness });
        if let Some(slot) = named(self.slots, id) {
            slot.flags.set(Flags::of(readiness));
            if slot.flags.any(Flags::HUNG_UP) {
                // A call may have learnt it while the socket was being read.
                slot.flags.set(Flags::READABLE);
            }
            match slot.phase() {
                Phase::Listening => self.accept(handler, id),
                Phase::Accepting | Phase::Connecting => self.open(handler, id, readiness),
                Phase::Open => {
                    if injected_bug!(DroppedTail) && readiness.is_last() {
                        self.ended(handler, id);
                    }
                    self.prepare_open(id, readiness);
                }
                Phase::Broken => {
                    if slot.flags.any(Flags::PAUSED.with(Flags::ENDED)) {
                        // Nobody would read, and nobody can write.
                        self.broken_end(id);
                    }
                }
                Phase::Closing if P::HOLDS_OUTPUT => self.linger_on(id),
                Phase::Free | Phase::Timer | Phase::Closing => {}
            }
        }
        match named(self.slots, id) {
            Some(slot) if is_readable(slot) => {
                // `after_read` sets it again if there is more.
                slot.flags.clear(Flags::READABLE);
                self.again(id)
            }
            _ => self.conclude(handler),
        }
    }

    fn prepare_open(&mut self, id: SocketId, readiness: Readiness) {
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        let held = Flags::PAUSED.with(Flags::ENDED);
        if is_readable(slot) {
            slot.payload = self.lists.stamp();
        } else if slot.flags.any(held) && readiness.intersects(Readiness::ERROR) {
            self.all_sockets_now().net.fail_unread(id);
        }
    }

    /// What comes after reading: room to write, and the calls of what closed.
    #[cold]
    #[inline(never)]
    fn conclude(&mut self, handler: &mut H) -> Option<SocketId> {
        self.lists.serving = None;
        if let Some(ready) = self.lists.rest.take()
            && (ready.readiness.is_writable() || P::HOLDS_OUTPUT)
        {
            self.write_on(handler, ready.id, ready.readiness);
        }
        self.lists.conclude.set(false);
        self.drain_closing(handler);
        self.lists.next_left_over(self.slots)
    }

    /// Goes on with what was held up for want of room.
    fn write_on(&mut self, handler: &mut H, id: SocketId, ready: Readiness) {
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        if slot.phase() != Phase::Open {
            return;
        }
        if P::HOLDS_OUTPUT {
            match self.platform.flush(&mut slot.socket) {
                Ok(Progress::Done) => self.flushed(id),
                Ok(Progress::Pending) => return,
                Ok(Progress::Again) => return self.lists.enqueue(self.slots, id),
                Err(error) => return self.all_sockets_now().net.fail(id, error),
            }
        }
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        let lifted = slot.flags.any(Flags::BLOCKED) && ready.is_writable();
        if slot.phase() != Phase::Open || !lifted {
            return;
        }
        slot.flags.clear(Flags::BLOCKED);
        if injected_bug!(MissedWritable) {
            return;
        }
        if !self.all_sockets_now().net.resume_cork(id) {
            return;
        }
        if named(self.slots, id)
            .is_some_and(|slot| slot.phase() == Phase::Open && !slot.flags.any(Flags::FINISHED))
        {
            self.call(id, |socket, ext| handler.on_writable(socket, ext));
        }
    }

    /// Closes a socket that waited only for a layer to send our end.
    fn flushed(&mut self, id: SocketId) {
        let both = Flags::FINISHING.with(Flags::ENDED);
        if self.lists.corked == Some(id) {
            return;
        }
        if let Some(slot) = named(self.slots, id) {
            let done = slot.flags.only(both, both) && !injected_bug!(HeldEnd);
            slot.flags.clear(Flags::FINISHING);
            if done {
                self.all_sockets_now().net.end(id, Closed::Finished);
            }
        }
    }

    /// Nothing was there to read after all.
    #[cold]
    #[inline(never)]
    fn nothing_read(&mut self, id: SocketId) {
        if let Some(slot) = named(self.slots, id) {
            let read = Flags::READABLE.with(Flags::HUNG_UP).with(Flags::FAILED);
            slot.flags.clear(read);
        }
        self.broken_end(id);
    }

    /// A layer cannot read yet, and reports the socket when it can.
    #[cold]
    #[inline(never)]
    fn read_later(&mut self, id: SocketId) {
        if let Some(slot) = named(self.slots, id) {
            let read = Flags::READABLE.with(Flags::HUNG_UP).with(Flags::FAILED);
            slot.flags.clear(read);
        }
    }

    /// Reading failed.
    #[cold]
    #[inline(never)]
    fn broke(&mut self, id: SocketId, error: Error) {
        self.all_sockets_now().net.end(id, Closed::Failed(error));
    }

    /// The peer's end was read.
    #[cold]
    #[inline(never)]
    fn ended(&mut self, handler: &mut H, id: SocketId) {
        if let Some(slot) = named(self.slots, id) {
            if !injected_bug!(SecondEnd) {
                slot.flags.set(Flags::ENDED);
            }
            slot.flags.clear(Flags::READABLE.with(Flags::HUNG_UP));
        }
        self.call(id, |socket, ext| handler.on_end(socket, ext));
        if let Some(slot) = named(self.slots, id)
            && slot.phase() == Phase::Open
        {
            let finished = Flags::FINISHED.with(Flags::FINISHING);
            if slot.flags.only(finished, Flags::FINISHED) {
                self.all_sockets_now().net.end(id, Closed::Finished);
            } else if slot.flags.any(Flags::FAILED) {
                // Nobody would read it any more.
                self.all_sockets_now().net.fail_unread(id);
            }
        }
        self.broken_end(id);
    }

    /// Closes a broken socket of which everything was read.
    fn broken_end(&mut self, id: SocketId) {
        if let Some(slot) = named(self.slots, id)
            && slot.phase() == Phase::Broken
        {
            let error = Error::from_bits(slot.payload);
            self.all_sockets_now().net.end(id, Closed::Failed(error));
        }
    }

    /// Carries on with opening a socket.
    fn open(&mut self, handler: &mut H, id: SocketId, ready: Readiness) {
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        let accepted = slot.phase() == Phase::Accepting;
        if slot.payload != 0 {
            let error = Error::from_bits(slot.payload);
            return self.failed(handler, id, error);
        }
        match self.platform.open(&mut slot.socket, ready) {
            Ok(Progress::Done) if accepted => match self.platform.peer_addr(&slot.socket) {
                Ok(peer) => self.opened(handler, id, Some(peer)),
                Err(error) => self.failed(handler, id, error),
            },
            Ok(Progress::Done) => self.opened(handler, id, None),
            Ok(Progress::Pending) => {}
            Ok(Progress::Again) => self.lists.enqueue(self.slots, id),
            Err(error) => self.failed(handler, id, error),
        }
    }

    /// Carries on with a socket just accepted, whose peer is known.
    pub(crate) fn open_accepted(&mut self, handler: &mut H, id: SocketId, peer: Address) {
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        match self.platform.open(&mut slot.socket, Readiness::NONE) {
            Ok(Progress::Done) => self.opened(handler, id, Some(peer)),
            Ok(progress) => {
                self.all_sockets_now().net.set_timeout(id, OPENING_MAX);
                if progress == Progress::Again {
                    self.lists.enqueue(self.slots, id);
                }
            }
            Err(error) => self.failed(handler, id, error),
        }
    }

    fn opened(&mut self, handler: &mut H, id: SocketId, peer: Option<Address>) {
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        let Some(&context) = slot.context.as_ref() else {
            return;
        };
        slot.set_phase(Phase::Open);
        slot.deadline = 0;
        slot.payload = self.lists.stamp();
        self.lists.stats.open = self.lists.stats.open.wrapping_add(1);
        if self.lists.wheel.has_paused() {
            // One more that may be evicted for those who wait.
            self.lists.note_freed();
        }
        let opened = match peer {
            Some(peer) => Opened::Accepted { context, peer },
            None => {
                self.lists.stats.connected = self.lists.stats.connected.wrapping_add(1);
                Opened::Connected { context }
            }
        };
        let all = self.all_sockets_now();
        let ext = handler.on_open(&mut Socket { all, id }, opened);
        if let Some(place) = self.exts.get_mut(at(id.index())) {
            *place = Place::Occupied(ext);
        }
        if P::HOLDS_OUTPUT {
            // The last message of a handshake may have come with data behind it.
            if let Some(slot) = named(self.slots, id) {
                slot.flags.set(Flags::READABLE);
            }
            self.lists.enqueue(self.slots, id);
        }
    }

    /// Carries on with what a layer still holds of a closed socket.
    fn linger_on(&mut self, id: SocketId) {
        let lingering = |slot: &&mut Slot<_, _>| slot.flags.any(Flags::LINGERING);
        let Some(slot) = named(self.slots, id).filter(lingering) else {
            return;
        };
        match self.platform.flush(&mut slot.socket) {
            Ok(Progress::Pending) => {}
            Ok(Progress::Again) => self.lists.enqueue(self.slots, id),
            // The program has had its last call.
            Ok(Progress::Done) | Err(_) => self.all_sockets_now().net.release(id),
        }
    }

    /// A socket did not open.
    fn failed(&mut self, handler: &mut H, id: SocketId, error: Error) {
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        self.lists.stats.failed = self.lists.stats.failed.wrapping_add(1);
        let connecting = slot.phase() == Phase::Connecting;
        let context = slot.context.as_ref().copied();
        self.all_sockets_now().net.release(id);
        if let (true, Some(context)) = (connecting, context) {
            let all = self.all_sockets_now();
            handler.on_connect_error(&mut Socket { all, id }, context, error);
        }
    }

    /// A deadline is over.
    pub(crate) fn expired(&mut self, handler: &mut H, id: SocketId, deadline: u64) {
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        match slot.phase() {
            Phase::Open | Phase::Broken => {
                self.call(id, |socket, ext| handler.on_timeout(socket, ext));
            }
            Phase::Accepting | Phase::Connecting => self.failed(handler, id, Error::TimedOut),
            Phase::Timer => self.timer_expired(handler, id, deadline),
            Phase::Closing if slot.flags.any(Flags::LINGERING) => {
                self.all_sockets_now().net.release(id)
            }
            Phase::Free | Phase::Listening | Phase::Closing => {}
        }
    }

    /// The reason of a socket that closed goes to the handler; its slot and data are given up.
    #[cold]
    pub(crate) fn closed(&mut self, handler: &mut H, id: SocketId) {
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        let mut closed = Closed::from_bits(slot.payload);
        if injected_bug!(WrongReason) && closed == Closed::Failed(Error::Reset) {
            closed = Closed::Failed(Error::TimedOut);
        }
        self.call(id, |socket, ext| handler.on_close(socket, ext, closed));
        if injected_bug!(DoubleClose) {
            self.call(id, |socket, ext| handler.on_close(socket, ext, closed));
        }
        if let Some(place) = self.exts.get_mut(at(id.index())) {
            *place = Place::Vacant;
        }
        if !self.all_sockets_now().net.linger(id) {
            self.lists.retire(self.slots, id);
        }
    }
}

/// Whether the socket is only to be read. Out of line, to keep the usual path straight.
#[cold]
#[inline(never)]
fn is_again(readiness: Readiness) -> bool {
    readiness == Readiness::AGAIN
}

/// Whether the socket is to be read from.
#[inline]
fn is_readable<S, C>(slot: &Slot<S, C>) -> bool {
    let mut mask = Flags::PAUSED.with(Flags::ENDED).with(Flags::READABLE);
    if injected_bug!(PausedRead) {
        mask.clear(Flags::PAUSED);
    }
    slot.is_open() && slot.flags.only(mask, Flags::READABLE)
}
