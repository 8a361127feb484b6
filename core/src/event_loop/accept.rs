//! Taking connections, and who gets a slot when there are too few.
//!
//! A free slot goes to whoever claims it, with three exceptions for listeners. One that waits for a
//! slot gets the next that becomes free, first come, first served ([`WaitingListeners`]); others
//! take from what is left beyond that. A listener leaves its [`reserve`](crate::Endpoint::reserve)
//! to others. And one that evicts takes the slot of the socket that it closed in the same step, so
//! that nobody comes between.
//!
//! [`WaitingListeners`]: crate::pool::waiting::WaitingListeners

use crate::closed::Closed;
use crate::endpoint::WhenFull;
use crate::error::Error;
use crate::event_loop::Loop;
use crate::event_loop::evict::{idlest_of, longest_opening};
use crate::handler::Handler;
use crate::id::{ListenerId, SocketId, to_index};
use crate::injected_bug::injected_bug;
use crate::invariant::impossible;
use crate::logging::log_event;
use crate::platform::{Accepted, Platform};
use crate::pool::flags::{Flags, Phase};
use crate::pool::slot::{Place, Slot, find, find_known};
use crate::sockets::incoming::{Incoming, PreOpen};
use crate::sockets::{Admission, OPENING_MAX};
use crate::time::Instant;

/// Connections taken from one listener per iteration.
const ACCEPTS_MAX: u32 = 32;
/// Time after which a platform that was exhausted is asked again, in microseconds.
const RETRY_MICROS: u64 = 100_000;
/// Time that a connection has to open, in microseconds, when others wait for its slot.
const OPENING_SHORT: u64 = 2_000_000;

/// What a listener may do with the next connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Admit {
    /// Take it: a slot is free for it.
    Yes,
    /// Nothing: it is gone, paused or stalled, nobody is known to wait, or its share is used.
    Later,
    /// Whatever it does when the pool is full.
    Full,
}

/// What became of one attempt to accept.
enum Attempt {
    /// One connection was taken.
    Taken,
    /// None waits.
    Nobody,
    /// The platform cannot take one now.
    Exhausted,
    /// One was lost, or the listener is broken.
    Failed(Error),
}

impl<P: Platform, H: Handler<P>> Loop<'_, P, H> {
    /// Takes the connections that wait at a listener, up to a bound.
    pub(super) fn accept(&mut self, handler: &mut H, listener: SocketId) {
        self.accept_some(handler, listener);
        self.state.waiting.end_try(self.slots, listener);
    }

    fn accept_some(&mut self, handler: &mut H, listener: SocketId) {
        let (mut has_any, mut last_error) = (false, None);
        for _ in 0..ACCEPTS_MAX {
            match self.admit(listener) {
                Admit::Yes => {}
                Admit::Later => return,
                // This turn has filled the pool. Nothing is evicted before the platform reports
                // the listener again, for a peer who may not be there.
                Admit::Full if has_any && self.evicts(listener) => return self.unmute(listener),
                Admit::Full => {
                    if !self.make_room(handler, listener, has_any) {
                        return;
                    }
                }
            }
            match self.accept_one(handler, listener) {
                Attempt::Taken => has_any = true,
                Attempt::Nobody => {
                    if self.state.waiting.is_trying(listener) {
                        // The slot that was kept for it is there for those behind it.
                        self.state.note_room();
                    }
                    return self.on_queue_empty(listener);
                }
                Attempt::Exhausted => {
                    return self.stall(handler, listener, Error::Exhausted, false);
                }
                Attempt::Failed(error) => {
                    self.state.stats.failed = self.state.stats.failed.wrapping_add(1);
                    last_error = Some(error);
                }
            }
        }
        self.continue_later(handler, listener, last_error.filter(|_| !has_any));
    }

    /// Returns whether a listener may take another connection.
    fn admit(&mut self, listener: SocketId) -> Admit {
        let free = self.state.free_list.free(self.slots);
        let Some(slot) = find(self.slots, listener) else {
            return Admit::Later;
        };
        let stops = Flags::STALLED.with(Flags::LISTEN_PAUSED);
        if slot.phase() != Phase::Listening {
            return Admit::Later;
        }
        if slot.flags.any(stops) {
            // Reported all the same, so it is not muted yet. Each report asks again: a platform
            // that cannot stop them does not wait either, and asking by the clock would only have
            // the loop spin on until then.
            self.mute(listener);
            return Admit::Later;
        }
        if !slot.flags.any(Flags::READABLE) {
            return Admit::Later;
        }
        if slot.flags.any(Flags::QUEUED) {
            // Its turn in this iteration is over.
            return Admit::Later;
        }
        let reserve = Admission::from_bits(slot.admission()).reserve;
        let population = slot.population();
        // Whose own reserve forbids it a slot that is free now holds nobody back.
        let can_use = |slot: &Slot<P::Socket, H::Context>| {
            free > Admission::from_bits(slot.admission()).reserve
        };
        let others = self.state.waiting.ahead_of(self.slots, listener, can_use);
        let kept = reserve.saturating_add(others);
        let kept = kept.saturating_add(u32::from(injected_bug!(FullTooEarly)));
        if population.count < population.cap && free > kept {
            Admit::Yes
        } else {
            Admit::Full
        }
    }

    /// Takes one connection into a free slot.
    fn accept_one(&mut self, handler: &mut H, listener: SocketId) -> Attempt {
        let Some(id) = self.state.claim(self.slots) else {
            impossible!("a listener is admitted when a slot is free");
            return Attempt::Nobody;
        };
        let indices = [to_index(listener.index()), to_index(id.index())];
        let Ok([from, to]) = self.slots.get_disjoint_mut(indices) else {
            impossible!("a listener and a slot just claimed are two");
            return Attempt::Nobody;
        };
        // So that an accept or a call which unwinds leaves a slot that is in use.
        to.enter(Phase::Accepting, 0);
        self.state.half_done.opening.note(id);
        let accepted = self.platform.accept(&mut from.socket, &mut to.socket, id);
        let Accepted { peer, drained } = match accepted {
            Ok(Some(accepted)) => accepted,
            Ok(None) => return self.give_back_unused(id, Attempt::Nobody),
            Err(Error::Exhausted) => return self.give_back_unused(id, Attempt::Exhausted),
            Err(error) => return self.give_back_unused(id, Attempt::Failed(error)),
        };
        // One that is muted is not reported again, so it is asked until it says "none".
        if drained && !from.flags.any(Flags::MUTED) {
            from.flags.clear(Flags::READABLE);
        }
        let context = from.context.as_ref().copied();
        if let Some(context) = context {
            let mut incoming = Incoming {
                platform: &mut self.platform,
                socket: &mut to.socket,
                state: &mut self.state,
                listener: ListenerId(listener),
                context,
                peer,
                is_taken: false,
            };
            let asked = handler.on_pre_open(&mut incoming);
            let is_taken = incoming.is_taken;
            if is_taken || asked == PreOpen::Refuse {
                self.state.half_done.opening.take();
                self.turn_away(id, is_taken);
                return Attempt::Taken;
            }
            to.context = Place::Occupied(context);
        }
        self.state.half_done.opening.take();
        to.listener = listener.index().wrapping_add(1);
        let mut population = from.population();
        population.count = population.count.saturating_add(1);
        from.deadline = population.to_deadline();
        self.state.stats.accepted = self.state.stats.accepted.wrapping_add(1);
        self.open_accepted(handler, id, peer);
        self.report_closes(handler);
        Attempt::Taken
    }

    /// Gives back a slot into which no connection came. It was never in use: nothing became free.
    fn give_back_unused(&mut self, id: SocketId, attempt: Attempt) -> Attempt {
        self.state.half_done.opening.take();
        self.state.free_list.give_back(self.slots, id);
        attempt
    }

    /// Gives back the slot of a connection that the program did not keep: it took it out, or has it
    /// reset.
    #[cold]
    #[inline(never)]
    fn turn_away(&mut self, id: SocketId, is_taken: bool) {
        if let Some(slot) = self.slots.get_mut(to_index(id.index()))
            && !is_taken
        {
            log_event!(debug, "{:?} refused before it opened", id);
            self.platform.abort(&mut slot.socket);
            self.state.stats.refused = self.state.stats.refused.wrapping_add(1);
        }
        self.state.give_back(self.slots, id);
    }

    /// Serves a listener again later, which has used up its attempts of this iteration; `stuck` if
    /// nothing but this error came of them.
    fn continue_later(&mut self, handler: &mut H, listener: SocketId, stuck: Option<Error>) {
        match stuck {
            // Maybe not about the connections but about the listener: do not spin on it.
            Some(error) => self.stall(handler, listener, error, false),
            None => self.serve_later(listener),
        }
    }

    /// Has a listener whose queue is empty wait for the platform's next report.
    fn on_queue_empty(&mut self, listener: SocketId) {
        let Some(slot) = find_known(self.slots, listener) else {
            return;
        };
        slot.flags
            .clear(Flags::READABLE.with(Flags::EXHAUSTED_REPORTED));
        if slot.flags.any(Flags::MUTED) {
            self.unmute(listener);
        }
    }

    /// Has the platform report the listener if a connection waits.
    fn unmute(&mut self, listener: SocketId) {
        let Some(slot) = find(self.slots, listener) else {
            return;
        };
        slot.flags.clear(Flags::READABLE);
        let result = self
            .platform
            .set_accepting(&mut slot.socket, listener, true);
        if result.is_ok() {
            slot.flags.clear(Flags::MUTED);
        } else {
            // Not reported yet, so the next attempt is by the clock.
            slot.flags.set(Flags::STALLED);
            self.state.waiting.push(self.slots, listener, false, false);
            self.retry_later();
        }
    }

    /// Does what the listener does when the pool is full for it; `has_any` if it has taken one in
    /// this turn. Returns true if there is a slot now.
    fn make_room(&mut self, handler: &mut H, listener: SocketId, has_any: bool) -> bool {
        let Some(slot) = find_known(self.slots, listener) else {
            return false;
        };
        match Admission::from_bits(slot.admission()).when_full {
            WhenFull::Refuse => self.refuse(handler, listener),
            WhenFull::EvictIdle => return self.evict(handler, listener),
            WhenFull::Pause => self.stall(handler, listener, Error::Full, !has_any),
        }
        false
    }

    fn evicts(&mut self, listener: SocketId) -> bool {
        let slot = find_known(self.slots, listener);
        let admission = slot.map_or(0, |slot| slot.admission());
        Admission::from_bits(admission).when_full == WhenFull::EvictIdle
    }

    /// Closes the idlest socket, in whose slot the listener then accepts; the idlest of its own, if
    /// it has as many as it may. Returns true if there is a slot now.
    fn evict(&mut self, handler: &mut H, listener: SocketId) -> bool {
        let Some(slot) = find_known(self.slots, listener) else {
            return false;
        };
        let population = slot.population();
        let iteration = self.state.iteration();
        let high_water = self.state.free_list.high_water;
        let victim = if population.count < population.cap {
            self.idle.take(self.slots, high_water, iteration)
        } else {
            idlest_of(self.slots, high_water, iteration, listener)
        };
        let Some(victim) = victim else {
            if P::HOLDS_OUTPUT && self.evict_opening(handler, listener) {
                return true;
            }
            self.stall(handler, listener, Error::Full, false);
            return false;
        };
        self.state.stats.evicted = self.state.stats.evicted.wrapping_add(1);
        self.net_now().end(victim, Closed::Evicted);
        self.report_closes(handler);
        // Its last call may have taken the slot, or stopped the listener.
        if self.phase(listener) != Phase::Listening || self.state.free_list.free(self.slots) == 0 {
            self.unmute(listener);
            return false;
        }
        true
    }

    /// Gives up the connection that a layer has been opening for the longest time, where none is
    /// open that could be evicted; one of the listener's own, if it has as many as it may. If none
    /// has had its time, the listener tries again when one has. Returns true if there is a slot
    /// now.
    #[inline(never)]
    fn evict_opening(&mut self, handler: &mut H, listener: SocketId) -> bool {
        let Some(slot) = find_known(self.slots, listener) else {
            return false;
        };
        let population = slot.population();
        let own = (population.count >= population.cap).then_some(listener);
        let oldest = longest_opening(self.slots, self.state.free_list.high_water, own);
        let Some((id, until)) = oldest else {
            return false;
        };
        let most = Instant::ZERO.saturating_add(OPENING_MAX).as_micros();
        let due = until.saturating_sub(most.saturating_sub(OPENING_SHORT));
        if due > self.state.now_micros(&self.platform) {
            self.state.waiting.retry_at(due);
            self.state.has_end_work = true;
            return false;
        }
        self.report_failed(handler, id, Error::TimedOut);
        true
    }

    /// Resets the connections that wait, up to a bound.
    fn refuse(&mut self, handler: &mut H, listener: SocketId) {
        let (mut has_any, mut last_error) = (false, None);
        for _ in 0..ACCEPTS_MAX {
            let Some(slot) = find_known(self.slots, listener) else {
                return;
            };
            match self.platform.refuse(&mut slot.socket) {
                Ok(true) => {
                    self.state.stats.refused = self.state.stats.refused.wrapping_add(1);
                    has_any = true;
                }
                Ok(false) => return self.on_queue_empty(listener),
                Err(Error::Exhausted) => {
                    return self.stall(handler, listener, Error::Exhausted, false);
                }
                Err(error) => {
                    self.state.stats.failed = self.state.stats.failed.wrapping_add(1);
                    last_error = Some(error);
                }
            }
        }
        self.continue_later(handler, listener, last_error.filter(|_| !has_any));
    }

    /// Stops accepting until a slot is freed or, if the platform is exhausted, for a while. One
    /// that `took_none`, as somebody else took the slot, keeps its place.
    fn stall(&mut self, handler: &mut H, listener: SocketId, error: Error, took_none: bool) {
        let Some(slot) = find_known(self.slots, listener) else {
            return;
        };
        let was_muted = slot.flags.any(Flags::MUTED);
        let was_exhausted = slot.flags.any(Flags::EXHAUSTED_REPORTED);
        slot.flags.set(Flags::STALLED);
        let for_slot = error == Error::Full && slot.population().count < slot.population().cap;
        if error == Error::Exhausted {
            slot.flags.set(Flags::EXHAUSTED_REPORTED);
        }
        let muted = self.mute(listener);
        let keeps_place = for_slot && took_none;
        self.state
            .waiting
            .push(self.slots, listener, for_slot, keeps_place);
        if error == Error::Exhausted {
            // Nothing is left for those behind it, which keep their places.
            self.state.waiting.stop_resuming();
        }
        if error != Error::Full || !muted {
            self.retry_later();
        }
        let first = !was_muted || (error == Error::Exhausted && !was_exhausted);
        if first {
            log_event!(warn, "{:?} pauses: {:?}", listener, error);
            self.state.stats.pauses = self.state.stats.pauses.wrapping_add(1);
            handler.on_accept_error(&mut self.all_sockets_now(), ListenerId(listener), error);
        }
    }

    /// Has the platform report a listener no more. Returns true if it does not.
    fn mute(&mut self, listener: SocketId) -> bool {
        let Some(slot) = find_known(self.slots, listener) else {
            return true;
        };
        if !slot.flags.any(Flags::MUTED)
            && self
                .platform
                .set_accepting(&mut slot.socket, listener, false)
                .is_ok()
        {
            slot.flags.set(Flags::MUTED);
        }
        slot.flags.any(Flags::MUTED)
    }

    fn retry_later(&mut self) {
        let now = self.state.now_micros(&self.platform);
        self.state
            .waiting
            .retry_at(now.saturating_add(RETRY_MICROS));
        self.state.has_end_work = true;
    }

    /// Lets the listener that has waited longest try again, in the next iteration. Returns true if
    /// one did wait.
    pub(super) fn resume_listener(&mut self) -> bool {
        if injected_bug!(StarvedListener) {
            return false;
        }
        let free = self.state.free_list.free(self.slots);
        let can_use = |slot: &Slot<P::Socket, H::Context>| {
            let admission = Admission::from_bits(slot.admission());
            free > admission.reserve || admission.when_full == WhenFull::EvictIdle
        };
        let Some(id) = self.state.waiting.begin_try(self.slots, can_use) else {
            return false;
        };
        if let Some(slot) = find(self.slots, id) {
            slot.flags.clear(Flags::STALLED);
            slot.flags.set(Flags::READABLE);
            self.state.run_queue.push_slot(slot, id);
        }
        true
    }
}
