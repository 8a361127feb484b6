//! What one report, one queued socket or one expiry leads to.

use crate::closed::Closed;
use crate::error::Error;
use crate::event_loop::Loop;
use crate::handler::{Handler, Opened};
use crate::id::SocketId;
use crate::net::{Net, OPENING_MAX, widen};
use crate::platform::{Platform, Progress, Readiness, Recv};
use crate::pool::{Flags, Phase, Place, Slot, at, named};
use crate::socket::{Peers, Socket};
use crate::wheel::TICK_SHIFT;

/// Reads from one socket per iteration, so that one busy peer cannot starve the others.
const READS_MAX: u32 = 4;

impl<P: Platform, H: Handler<P>> Loop<'_, P, H> {
    /// Acts on a report, or on a socket that had work left over: opens or accepts, then reads,
    /// then tells of the end, then of room to write.
    ///
    /// The usual report, bytes for an open socket that takes them all at once, runs through here
    /// without a further call; this is the only place that calls `on_data`, so that it is inlined.
    #[inline(always)]
    pub(crate) fn dispatch(&mut self, handler: &mut H, id: SocketId, ready: Readiness) {
        let Some(mut slot) = named(self.slots, id) else {
            return;
        };
        slot.flags.set(Flags::of(ready));
        let usual = slot.phase == Phase::Open && slot.flags.only(Flags::HELD_UP, Flags::READABLE);
        if !usual {
            self.prepare(handler, id, ready);
            match readable(self.slots, id) {
                Some(found) => slot = found,
                None => return self.conclude(handler, id, ready),
            }
        }
        let mut turns = READS_MAX;
        loop {
            match self.platform.recv(&mut slot.socket, self.buffer) {
                Ok(Recv::Data { len, drained }) => {
                    let more = !drained || slot.flags.any(Flags::HUNG_UP);
                    if !more {
                        slot.flags.clear(Flags::READABLE);
                    }
                    if slot.phase == Phase::Open {
                        slot.payload = stamp(self.lists.now);
                    }
                    self.deliver(handler, id, len);
                    if !more {
                        break;
                    }
                }
                Ok(Recv::Finished) => break self.ended(handler, id),
                Ok(Recv::WouldBlock) => break self.nothing_read(id),
                Err(error) => break self.broke(id, error),
            }
            turns = turns.saturating_sub(1);
            if turns == 0 {
                break self.lists.enqueue(self.slots, id);
            }
            match readable(self.slots, id) {
                Some(found) => slot = found,
                None => break,
            }
        }
        if !usual {
            return self.conclude(handler, id, ready);
        }
        self.drain_closing(handler);
    }

    /// What comes before reading: opening and accepting.
    #[cold]
    #[inline(never)]
    fn prepare(&mut self, handler: &mut H, id: SocketId, ready: Readiness) {
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        match slot.phase {
            Phase::Listening => self.accept(handler, id),
            Phase::Accepting | Phase::Connecting => self.open(handler, id, ready),
            Phase::Open => {
                let held = Flags::PAUSED.with(Flags::ENDED);
                if slot.flags.any(held) && ready.contains(Readiness::ERROR) {
                    self.everyone().net.fail_paused(id);
                }
            }
            Phase::Free | Phase::Timer | Phase::Broken | Phase::Closing => {}
        }
    }

    /// What comes after reading: room to write, and the calls of what closed.
    #[cold]
    #[inline(never)]
    fn conclude(&mut self, handler: &mut H, id: SocketId, ready: Readiness) {
        if ready.contains(Readiness::WRITABLE) {
            self.write_on(handler, id, ready);
        }
        self.drain_closing(handler);
    }

    /// Goes on with what was held up for want of room.
    fn write_on(&mut self, handler: &mut H, id: SocketId, ready: Readiness) {
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        if slot.phase != Phase::Open {
            return;
        }
        if P::HOLDS_OUTPUT {
            match self.platform.progress(&mut slot.socket, ready) {
                Ok(Progress::Open) => self.flushed(id),
                Ok(Progress::Opening) => return,
                Ok(Progress::Again) => return self.lists.enqueue(self.slots, id),
                Err(error) => return self.everyone().net.fail(id, error),
            }
        }
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        if slot.phase != Phase::Open || !slot.flags.any(Flags::BLOCKED) {
            return;
        }
        slot.flags.clear(Flags::BLOCKED);
        if !self.everyone().net.resume_cork(id) {
            return;
        }
        if named(self.slots, id)
            .is_some_and(|slot| slot.phase == Phase::Open && !slot.flags.any(Flags::FINISHED))
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
            let done = slot.flags.only(both, both);
            slot.flags.clear(Flags::FINISHING);
            if done {
                self.everyone().net.end(id, Closed::Finished);
            }
        }
    }

    /// Nothing was there to read after all.
    #[cold]
    #[inline(never)]
    fn nothing_read(&mut self, id: SocketId) {
        if let Some(slot) = named(self.slots, id) {
            slot.flags.clear(Flags::READABLE.with(Flags::HUNG_UP));
        }
        self.broken_end(id);
    }

    /// Reading failed.
    #[cold]
    #[inline(never)]
    fn broke(&mut self, id: SocketId, error: Error) {
        self.everyone().net.end(id, Closed::Failed(error));
    }

    /// Hands the front of the receive buffer to the handler.
    #[inline(always)]
    fn deliver(&mut self, handler: &mut H, id: SocketId, len: usize) {
        let len = len.min(self.buffer.len());
        let Some(data) = self.buffer.get_mut(..len) else {
            return;
        };
        let Some((before, rest)) = self.exts.split_at_mut_checked(at(id.index())) else {
            return;
        };
        let Some((Place::Occupied(ext), after)) = rest.split_first_mut() else {
            return;
        };
        self.lists.stats.received = self.lists.stats.received.wrapping_add(widen(len));
        let net = Net {
            platform: &mut self.platform,
            slots: self.slots,
            lists: &mut self.lists,
            cork: self.cork,
        };
        let peers = Peers { net, before, after };
        if !data.is_empty() {
            handler.on_data(&mut Socket { peers, id }, ext, data);
        }
    }

    /// The peer's end was read.
    #[cold]
    #[inline(never)]
    fn ended(&mut self, handler: &mut H, id: SocketId) {
        if let Some(slot) = named(self.slots, id) {
            slot.flags.set(Flags::ENDED);
            slot.flags.clear(Flags::READABLE.with(Flags::HUNG_UP));
        }
        self.call(id, |socket, ext| handler.on_end(socket, ext));
        let finished = Flags::FINISHED.with(Flags::FINISHING);
        if named(self.slots, id).is_some_and(|slot| {
            slot.phase == Phase::Open && slot.flags.only(finished, Flags::FINISHED)
        }) {
            self.everyone().net.end(id, Closed::Finished);
        }
        self.broken_end(id);
    }

    /// Closes a broken socket of which everything was read.
    fn broken_end(&mut self, id: SocketId) {
        if let Some(slot) = named(self.slots, id)
            && slot.phase == Phase::Broken
        {
            let error = Error::from_bits(slot.payload);
            self.everyone().net.end(id, Closed::Failed(error));
        }
    }

    /// Carries on with opening a socket.
    fn open(&mut self, handler: &mut H, id: SocketId, ready: Readiness) {
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        let accepted = slot.phase == Phase::Accepting;
        if slot.payload != 0 {
            let error = Error::from_bits(slot.payload);
            return self.failed(handler, id, error);
        }
        match self.platform.progress(&mut slot.socket, ready) {
            Ok(Progress::Open) if accepted => match self.platform.peer_addr(&slot.socket) {
                Ok(peer) => self.opened(handler, id, Some(peer)),
                Err(error) => self.failed(handler, id, error),
            },
            Ok(Progress::Open) => self.opened(handler, id, None),
            Ok(Progress::Opening) => {}
            Ok(Progress::Again) => self.lists.enqueue(self.slots, id),
            Err(error) => self.failed(handler, id, error),
        }
    }

    /// Carries on with a socket just accepted, whose peer is known.
    pub(crate) fn open_accepted(
        &mut self,
        handler: &mut H,
        id: SocketId,
        peer: core::net::SocketAddr,
    ) {
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        match self.platform.progress(&mut slot.socket, Readiness::NONE) {
            Ok(Progress::Open) => self.opened(handler, id, Some(peer)),
            Ok(progress) => {
                self.everyone().net.set_timeout(id, OPENING_MAX);
                if progress == Progress::Again {
                    self.lists.enqueue(self.slots, id);
                }
            }
            Err(error) => self.failed(handler, id, error),
        }
    }

    fn opened(&mut self, handler: &mut H, id: SocketId, peer: Option<core::net::SocketAddr>) {
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        let Some(&context) = slot.context.as_ref() else {
            return;
        };
        slot.phase = Phase::Open;
        slot.deadline = 0;
        slot.payload = stamp(self.lists.now);
        self.lists.stats.open = self.lists.stats.open.wrapping_add(1);
        let opened = match peer {
            Some(peer) => Opened::Accepted { context, peer },
            None => {
                self.lists.stats.connected = self.lists.stats.connected.wrapping_add(1);
                Opened::Connected { context }
            }
        };
        let peers = self.everyone();
        let ext = handler.on_open(&mut Socket { peers, id }, opened);
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

    /// A socket did not open.
    fn failed(&mut self, handler: &mut H, id: SocketId, error: Error) {
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        self.lists.stats.failed = self.lists.stats.failed.wrapping_add(1);
        let connecting = slot.phase == Phase::Connecting;
        let context = slot.context.as_ref().copied();
        self.everyone().net.release(id);
        if let (true, Some(context)) = (connecting, context) {
            let peers = self.everyone();
            handler.on_connect_error(&mut Socket { peers, id }, context, error);
        }
    }

    /// A deadline is over.
    pub(crate) fn expired(&mut self, handler: &mut H, id: SocketId, deadline: u64) {
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        match slot.phase {
            Phase::Open | Phase::Broken => {
                self.call(id, |socket, ext| handler.on_timeout(socket, ext));
            }
            Phase::Accepting | Phase::Connecting => self.failed(handler, id, Error::TimedOut),
            Phase::Timer => self.timer_expired(handler, id, deadline),
            Phase::Free | Phase::Listening | Phase::Closing => {}
        }
    }

    /// The reason of a socket that closed goes to the handler; its slot and data are given up.
    #[cold]
    pub(crate) fn closed(&mut self, handler: &mut H, id: SocketId) {
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        let closed = Closed::from_bits(slot.payload);
        self.call(id, |socket, ext| handler.on_close(socket, ext, closed));
        if let Some(place) = self.exts.get_mut(at(id.index())) {
            *place = Place::Vacant;
        }
        self.lists.retire(self.slots, id);
    }
}

/// The slot of a socket that is to be read from.
#[inline]
fn readable<S, C>(slots: &mut [Slot<S, C>], id: SocketId) -> Option<&mut Slot<S, C>> {
    let mask = Flags::PAUSED.with(Flags::ENDED).with(Flags::READABLE);
    named(slots, id).filter(|slot| slot.is_open() && slot.flags.only(mask, Flags::READABLE))
}

/// When a socket last received, coarse and wrapping.
#[inline]
pub(crate) fn stamp(micros: u64) -> u32 {
    u32::try_from((micros >> TICK_SHIFT) & 0xffff_ffff).unwrap_or_default()
}
