//! One report, from its first consequence to its last.
//!
//! `dispatch` alone serves a usual report. Any other begins a turn, whose steps stand below in the
//! order in which they are taken:
//!
//! | step | what it does | then |
//! |---|---|---|
//! | `dispatch` | reads, and calls `on_data` | `begin_turn`, if not usual; `continue_turn` |
//! | `begin_turn`, `prepare` | latches what was reported; accepts or opens | `begin_reading` |
//! | `begin_reading` | decides whether the socket is read now | `dispatch` or `end_turn` |
//! | `continue_turn`, `reads_on` | after a read: may there be more? | `dispatch` or `end_turn` |
//! | `read_nothing`, `on_peer_fin` | the read brought the end, or an error | `end_turn` |
//! | `end_turn` | calls `on_writable` | `report_close` |
//! | `report_close` | gives the slot up, and calls `on_close` | the next report |
//!
//! What is reported is remembered in flags of the slot (`pool/flags.rs`): `READABLE` until it is
//! read, `READ_TO_END`, to read until nothing is left, `FAILED`, to ask for the error if nobody
//! reads. Writes while any is set take the longer way (`Net::write_rare`).
//!
//! Accepting is in `accept.rs`, opening in `opening.rs`.

use crate::closed::Closed;
use crate::error::Error;
use crate::event_loop::state::{Turn, UNWINDS, Work};
use crate::event_loop::{Loop, split_around};
use crate::handler::Handler;
use crate::id::{SocketId, to_index};
use crate::injected_bug::injected_bug;
use crate::invariant::{breach, impossible, invariant};
use crate::logging::log_event;
use crate::platform::{Platform, Progress, Readiness, Recv};
use crate::pool::flags::{Flags, Phase};
use crate::pool::slot::{Place, Slot, find, find_known};
use crate::sockets::Net;
use crate::sockets::close::is_finishing;
use crate::sockets::socket::{AllSockets, Socket};
use crate::stats::widen;

/// Reads from one socket per iteration, so that one busy peer cannot starve the others.
const READS_MAX: u8 = 4;

impl<P: Platform, H: Handler<P>> Loop<'_, P, H> {
    /// Serves one report, or one socket of the run queue (which is reported with no readiness):
    /// opens or accepts, reads, tells of room, and makes the `on_close` calls that all this led to.
    ///
    /// The usual report, bytes for an open socket that takes them all at once, goes through here
    /// without a further call. This is the only place that calls `on_data`, so that it is inlined;
    /// a socket that is read more than once comes back as work of its own.
    ///
    /// Returns true if nothing is left to be done before the platform's next report.
    #[inline(always)]
    pub(super) fn dispatch(&mut self, handler: &mut H, work: Work) -> bool {
        let Work { id, readiness } = work;
        let iteration = self.state.iteration();
        let slots = &mut *self.slots;
        let Some(slot) = find(slots, id) else {
            return false;
        };
        // A layer has to be told of room even when there is something to read.
        let tells_layer = P::HOLDS_OUTPUT && readiness.is_writable();
        let is_usual =
            slot.flags.are_usual() && readiness.is_readable_and_maybe_writable() && !tells_layer;
        if is_usual && slot.received_at() != iteration {
            slot.set_received_at(iteration);
        } else if readiness != Readiness::READ_AGAIN || !self.state.turn.is_on() {
            self.begin_turn(handler, id, readiness);
            return false;
        }
        let buffer = &mut *self.buffer;
        let (len, drained) = match self.platform.recv(&mut slot.socket, buffer) {
            Ok(Recv::Data { len, drained }) => (len, drained),
            other => {
                self.read_nothing(handler, id, other);
                self.end_turn(handler, id);
                return false;
            }
        };
        if !drained {
            // Noted before the call, so that the usual path keeps nothing across it. `needs_more`
            // has `continue_turn` called below, whose `reads_on` goes by `has_more`.
            self.state.turn.has_more = true;
            if UNWINDS {
                // So that `recover` knows whose the bytes are that are left.
                self.state.turn.id = Some(id);
            }
            self.state.needs_more = true;
        }
        if let Some(data) = buffer.get_mut(..len)
            && let Some((Place::Occupied(ext), before, after)) = split_around(self.exts, id)
        {
            let sum = self.state.stats.received.wrapping_add(widen(len));
            self.state.stats.received = sum;
            let net = Net {
                platform: &mut self.platform,
                slots,
                state: &mut self.state,
                cork: &mut self.cork,
            };
            let all = AllSockets {
                net,
                before,
                after,
                kept_context: None,
            };
            handler.on_data(&mut Socket::new(all, id), ext, data);
        } else {
            // More bytes than the buffer has.
            breach!(self.state.stats);
        }
        if !self.state.needs_more {
            return true;
        }
        self.continue_turn(handler, id);
        false
    }

    /// Begins to serve a report that asks for more than one read, or for something else.
    #[cold]
    #[inline(never)]
    fn begin_turn(&mut self, handler: &mut H, id: SocketId, readiness: Readiness) {
        invariant!(!self.state.turn.is_on(), "one turn at a time");
        if readiness.intersects(Readiness::READ_AGAIN) {
            breach!(self.state.stats);
        }
        self.state.turn = Turn {
            id: Some(id),
            reported: Some(readiness),
            reads_left: READS_MAX,
            ..Turn::default()
        };
        self.state.needs_more = true;
        if self.prepare(handler, id, readiness) {
            self.read_again();
        } else {
            self.end_turn(handler, id);
        }
    }

    /// Does what comes before reading. Returns true if the socket is to be read now.
    #[cold]
    #[inline(never)]
    fn prepare(&mut self, handler: &mut H, id: SocketId, readiness: Readiness) -> bool {
        if let Some(slot) = find(self.slots, id) {
            slot.flags.set(Flags::of(readiness));
            if slot.flags.any(Flags::READ_TO_END) {
                // A call may have learnt it while the socket was being read.
                slot.flags.set(Flags::READABLE);
            }
        }
        match self.phase(id) {
            Phase::Listening => {
                self.accept(handler, id);
                return false;
            }
            Phase::Bound | Phase::Accepting | Phase::Connecting => {
                self.open(handler, id, readiness);
                return self.begin_reading(handler, id, true);
            }
            Phase::ClosingHeld | Phase::Lingering => {
                self.linger_on(id);
                return false;
            }
            Phase::Open | Phase::Broken | Phase::Datagrams => {}
            Phase::Foreign => {
                self.report_foreign(handler, id, readiness);
                return false;
            }
            Phase::Free | Phase::Timer | Phase::Closing => return false,
        }
        if injected_bug!(DroppedTail) && readiness.is_last() && self.phase(id) == Phase::Open {
            self.on_peer_fin(handler, id);
        }
        self.begin_reading(handler, id, false)
    }

    /// Returns true if an open socket is to be read now. If the program does not read it, finds
    /// out whether it broke; if it reads on demand, tells it.
    fn begin_reading(&mut self, handler: &mut H, id: SocketId, has_just_opened: bool) -> bool {
        let unread = Flags::PAUSED.with(Flags::END_READ).with(Flags::PULL);
        let Some(slot) = find(self.slots, id) else {
            return false;
        };
        if slot.phase() == Phase::Open && slot.flags.any(Flags::FAILED) && slot.flags.any(unread) {
            self.net_now().check_broken(id);
        }
        let iteration = self.state.iteration();
        let Some(slot) = find_known(self.slots, id) else {
            return false;
        };
        if slot.phase() == Phase::Broken && slot.flags.any(Flags::END_READ) {
            self.close_broken(id);
            return false;
        }
        if !is_readable(slot) {
            return false;
        }
        if slot.flags.any(Flags::PULL) {
            self.report_readable(handler, id);
            return false;
        }
        let has_been_read = slot.phase() == Phase::Open && slot.received_at() == iteration;
        if slot.flags.any(Flags::QUEUED) || (has_been_read && !has_just_opened) {
            // Once in an iteration is its share, however often it is reported.
            self.state.run_queue.push_slot(slot, id);
            return false;
        }
        if slot.phase() == Phase::Open {
            slot.set_received_at(iteration);
        }
        // `reads_on` sets it again if there is more.
        slot.flags.clear(Flags::READABLE);
        true
    }

    /// Goes on after a read: has the socket read again, or does what comes last.
    #[cold]
    #[inline(never)]
    fn continue_turn(&mut self, handler: &mut H, id: SocketId) {
        if !self.state.turn.is_on() {
            self.state.turn.id = Some(id);
            self.state.turn.reads_left = READS_MAX;
            self.state.needs_more = true;
        }
        let drained = !core::mem::take(&mut self.state.turn.has_more);
        if self.reads_on(id, drained) {
            self.read_again();
        } else {
            self.end_turn(handler, id);
        }
    }

    /// Has the socket whose turn it is read next, before any other work.
    fn read_again(&mut self) {
        self.state.turn.next = Some(Readiness::READ_AGAIN);
    }

    /// Returns true if a socket is to be read once more: its turn is not over, and the platform has
    /// more or its end is known to be there.
    fn reads_on(&mut self, id: SocketId, drained: bool) -> bool {
        let Some(slot) = find_known(self.slots, id) else {
            return false;
        };
        if drained && !slot.flags.any(Flags::READ_TO_END) {
            return false;
        }
        slot.flags.set(Flags::READABLE);
        let failed = Flags::PAUSED.with(Flags::FAILED);
        let paused = slot.flags.only(failed, failed) && !injected_bug!(ResetBehindPause);
        if slot.phase() == Phase::Open && paused {
            // The program paused at bytes that came together with a reset.
            self.net_now().check_broken(id);
        }
        let Some(slot) = find(self.slots, id).filter(|slot| is_readable(slot)) else {
            return false;
        };
        if slot.flags.any(Flags::PULL) {
            // It turned to reading on demand, and is told in the next iteration.
            self.serve_later(id);
            return false;
        }
        self.state.turn.reads_left = self.state.turn.reads_left.saturating_sub(1);
        if self.state.turn.reads_left == 0 {
            if !injected_bug!(CarryOverLost) {
                self.state.run_queue.push_slot(slot, id);
            }
            return false;
        }
        slot.flags.clear(Flags::READABLE);
        true
    }

    /// Acts on a read that brought no bytes.
    #[cold]
    #[inline(never)]
    fn read_nothing(&mut self, handler: &mut H, id: SocketId, received: Result<Recv, Error>) {
        match received {
            Ok(Recv::Finished) => self.on_peer_fin(handler, id),
            Ok(Recv::WouldBlock) => {
                if let Some(slot) = find_known(self.slots, id) {
                    slot.flags.clear(Flags::UNREAD);
                }
                self.close_broken(id);
            }
            Ok(Recv::Pending) => {
                if let Some(slot) = find_known(self.slots, id) {
                    slot.flags.clear(Flags::UNREAD);
                }
            }
            Ok(Recv::Data { .. }) => impossible!("bytes are handed to the program"),
            Err(error) => {
                let known = find_known(self.slots, id).map(|slot| slot.true_reason(error));
                self.net_now()
                    .end(id, Closed::Failed(known.unwrap_or(error)));
            }
        }
    }

    /// The peer's end was read.
    fn on_peer_fin(&mut self, handler: &mut H, id: SocketId) {
        let Some(slot) = find_known(self.slots, id) else {
            return;
        };
        slot.flags.clear(Flags::READABLE.with(Flags::READ_TO_END));
        let is_broken = slot.phase() == Phase::Broken && !injected_bug!(ForgottenReset);
        if is_broken && slot.error() != Some(Error::BrokenPipe) {
            // An error is told once. That a send was told it does not make this an orderly end.
            return self.close_broken(id);
        }
        if !injected_bug!(SecondEnd) {
            slot.flags.set(Flags::END_READ);
        }
        // Which by default ends our direction too, and so closes the socket.
        self.call(id, |socket, ext| handler.on_end(socket, ext));
        self.after_peer_fin(id);
    }

    /// Closes a socket whose peer's end the program knows, if ours has ended too, or if it broke.
    pub(super) fn after_peer_fin(&mut self, id: SocketId) {
        if let Some(slot) = find(self.slots, id)
            && slot.phase() == Phase::Open
        {
            let finished = Flags::FINISHED.with(Flags::FINISHING);
            if slot.flags.only(finished, Flags::FINISHED) {
                self.net_now().end(id, Closed::Finished);
            } else if slot.flags.any(Flags::FAILED) {
                // Nobody would read it any more.
                self.net_now().check_broken(id);
            }
        }
        self.close_broken(id);
    }

    /// Closes a broken socket of which everything was read.
    fn close_broken(&mut self, id: SocketId) {
        if let Some(slot) = find(self.slots, id)
            && slot.phase() == Phase::Broken
        {
            let error = slot.error().unwrap_or(Error::Reset);
            self.net_now().end(id, Closed::Failed(error));
        }
    }

    /// Does what comes last for a socket.
    #[cold]
    #[inline(never)]
    fn end_turn(&mut self, handler: &mut H, id: SocketId) {
        let turn = core::mem::take(&mut self.state.turn);
        if let Some(readiness) = turn.reported
            && (P::HOLDS_OUTPUT || readiness.is_writable())
        {
            self.on_writable(handler, id, readiness);
        }
        self.report_closes(handler);
        self.state.needs_more = false;
    }

    /// Goes on with what was held up for want of room.
    fn on_writable(&mut self, handler: &mut H, id: SocketId, readiness: Readiness) {
        let is_stream = self.phase(id) == Phase::Open;
        if P::HOLDS_OUTPUT && is_stream && !self.flush(id) {
            return;
        }
        let Some(slot) = find(self.slots, id).filter(|slot| slot.is_writing()) else {
            return;
        };
        if !slot.flags.any(Flags::BLOCKED) || !readiness.is_writable() {
            return;
        }
        if slot.phase() == Phase::Datagrams && !readiness.intersects(Readiness::WRITABLE) {
            // An error belongs to a datagram, and is no room.
            return;
        }
        slot.flags.clear(Flags::BLOCKED);
        if injected_bug!(MissedWritable) || !self.net_now().resume_cork(id) {
            return;
        }
        let tells = find(self.slots, id)
            .is_some_and(|slot| slot.is_writing() && !slot.flags.any(Flags::FINISHED));
        if tells {
            self.call(id, |socket, ext| handler.on_writable(socket, ext));
        }
    }

    /// Has a layer send what it holds of an open socket. Returns true if it holds nothing any more.
    fn flush(&mut self, id: SocketId) -> bool {
        let Some(slot) = find_known(self.slots, id) else {
            return false;
        };
        match self.platform.flush(&mut slot.socket) {
            Ok(Progress::Done) => {
                self.on_flushed(id);
                true
            }
            Ok(Progress::Pending) => false,
            Ok(Progress::Again) => {
                self.serve_later(id);
                false
            }
            Err(error) => {
                self.net_now().fail(id, error);
                false
            }
        }
    }

    /// Closes a socket that waited only for a layer to send our end.
    fn on_flushed(&mut self, id: SocketId) {
        if self.state.cork.holder == Some(id) {
            return;
        }
        if let Some(slot) = find(self.slots, id) {
            let closes = is_finishing(slot) && !injected_bug!(HeldEnd);
            slot.flags.clear(Flags::FINISHING);
            if closes {
                self.net_now().end(id, Closed::Finished);
            }
        }
    }

    /// Makes the `on_close` calls that are due. Ends, as each open socket closes once.
    pub(super) fn report_closes(&mut self, handler: &mut H) {
        while let Some(id) = self.state.closing.pop(self.slots) {
            self.report_close(handler, id);
        }
    }

    /// Makes the `on_close` of a socket, whose slot is given up before, unless a layer still sends:
    /// what the call connects may take it.
    #[cold]
    fn report_close(&mut self, handler: &mut H, id: SocketId) {
        let Some(slot) = find(self.slots, id) else {
            impossible!("a closing socket keeps its slot");
            return;
        };
        let mut closed = Closed::from_bits(slot.close_reason());
        if injected_bug!(WrongReason) && closed == Closed::Failed(Error::Reset) {
            closed = Closed::Failed(Error::TimedOut);
        }
        let context = slot.context.as_ref().copied();
        if slot.phase() == Phase::ClosingHeld {
            self.net_now().linger(id);
        } else {
            self.state.give_back(self.slots, id);
        }
        let Some(context) = context else {
            impossible!("a socket has a context");
            return;
        };
        log_event!(debug, "{:?} closed: {:?}", id, closed);
        self.state.half_done.closing.note(id);
        let calls = if injected_bug!(DoubleClose) { 2 } else { 1 };
        for _ in 0..calls {
            self.call(id, |socket, ext| {
                socket.all.kept_context = Some(context);
                handler.on_close(socket, ext, closed);
            });
        }
        let _ = self.state.half_done.closing.take();
        self.drop_ext(id.index());
    }

    /// Drops the data of a socket whose `on_close` was made.
    pub(super) fn drop_ext(&mut self, index: u32) {
        if let Some(place) = self.exts.get_mut(to_index(index)) {
            *place = Place::Vacant;
        }
    }

    /// Tells the program that a socket that is read on demand has something to read.
    fn report_readable(&mut self, handler: &mut H, id: SocketId) {
        let Some(slot) = find_known(self.slots, id) else {
            return;
        };
        if !slot.flags.any(Flags::READABLE_REPORTED) {
            slot.flags.set(Flags::READABLE_REPORTED);
            self.call(id, |socket, ext| handler.on_readable(socket, ext));
        }
    }

    /// Tells the program that a descriptor which it watches is ready.
    fn report_foreign(&mut self, handler: &mut H, id: SocketId, readiness: Readiness) {
        let Some(slot) = find_known(self.slots, id) else {
            return;
        };
        slot.flags.clear(Flags::UNREAD);
        if let Some(&context) = slot.context.as_ref() {
            let mut all = self.all_sockets_now();
            handler.on_descriptor(&mut all, id, context, readiness);
        }
    }

    /// Carries on with what a layer still holds of a closed socket.
    fn linger_on(&mut self, id: SocketId) {
        let Some(slot) = find_known(self.slots, id) else {
            return;
        };
        match self.platform.flush(&mut slot.socket) {
            Ok(Progress::Pending) => {}
            Ok(Progress::Again) => self.serve_later(id),
            Ok(Progress::Done) | Err(_) => self.end_lingering(id),
        }
    }

    /// Releases a socket of which a layer holds nothing any more.
    pub(super) fn end_lingering(&mut self, id: SocketId) {
        let Some(slot) = find_known(self.slots, id) else {
            return;
        };
        if slot.phase() == Phase::Lingering {
            self.net_now().release(id);
        } else {
            // Its `on_close` is still due.
            self.platform.close(&mut slot.socket);
            slot.flags.set_phase(Phase::Closing);
        }
    }
}

/// Returns true if there is something to read of an open socket, and it may be read.
#[inline]
fn is_readable<S, C>(slot: &Slot<S, C>) -> bool {
    let mut mask = Flags::PAUSED.with(Flags::END_READ).with(Flags::READABLE);
    if slot.phase() == Phase::Broken || injected_bug!(PausedRead) {
        // What came before it broke is delivered whatever the program wants.
        mask.clear(Flags::PAUSED);
    }
    slot.is_opened() && slot.flags.only(mask, Flags::READABLE)
}
