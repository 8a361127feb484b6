//! Taking connections, and what happens when there is no place for them.

use crate::closed::Closed;
use crate::error::Error;
use crate::event_loop::Loop;
use crate::handler::Handler;
use crate::id::{ListenerId, SocketId, TimerId};
use crate::injected_bug::injected_bug;
use crate::platform::{Accepted, Platform};
use crate::pool::flags::{Flags, Phase};
use crate::pool::wheel::NEVER;
use crate::pool::{Place, at, name, named};

/// Connections taken from one listener per iteration.
const ACCEPTS_MAX: u32 = 32;
/// Time after which a platform that was exhausted is asked again, in microseconds.
const RETRY_MICROS: u64 = 100_000;

/// A listener's policy, in its slot's payload; 0 is to pause.
pub(crate) const REFUSE: u32 = 1;
pub(crate) const EVICT_IDLE: u32 = 2;

impl<P: Platform, H: Handler<P>> Loop<'_, P, H> {
    /// Takes the connections that wait at a listener, up to a bound.
    pub(crate) fn accept(&mut self, handler: &mut H, listener: SocketId) {
        let (mut has_any, mut last_error) = (false, None);
        for count in 0..ACCEPTS_MAX {
            let Some(slot) = named(self.slots, listener) else {
                return;
            };
            let ready = Flags::READABLE.with(Flags::PAUSED);
            if slot.phase() != Phase::Listening || !slot.flags.only(ready, Flags::READABLE) {
                return;
            }
            let evicts = slot.payload == EVICT_IDLE;
            let Some(id) = self.lists.claim(self.slots) else {
                if count > 0 && evicts {
                    // The last slot went to this turn's own: perhaps nobody waits any more.
                    return self.ask_again(listener);
                }
                return self.full(handler, listener);
            };
            let Ok([from, to]) = self
                .slots
                .get_disjoint_mut([at(listener.index()), at(id.index())])
            else {
                return;
            };
            match self.platform.accept(&mut from.socket, &mut to.socket, id) {
                Ok(Some(Accepted { peer, drained })) => {
                    // One that is muted is not reported again, so only "none" ends its turn.
                    if drained && !from.flags.any(Flags::MUTED) {
                        from.flags.clear(Flags::READABLE);
                    }
                    to.set_phase(Phase::Accepting);
                    if let Some(&context) = from.context.as_ref() {
                        to.context = Place::Occupied(context);
                    }
                    self.lists.stats.accepted = self.lists.stats.accepted.wrapping_add(1);
                    has_any = true;
                    self.open_accepted(handler, id, peer);
                    self.drain_closing(handler);
                }
                Ok(None) => {
                    self.lists.unclaim(self.slots, id);
                    return self.drained(listener);
                }
                Err(Error::Exhausted) => {
                    self.lists.unclaim(self.slots, id);
                    return self.pause(handler, listener, Error::Exhausted);
                }
                Err(error) => {
                    self.lists.unclaim(self.slots, id);
                    self.lists.stats.failed = self.lists.stats.failed.wrapping_add(1);
                    last_error = Some(error);
                }
            }
        }
        self.go_on(handler, listener, last_error.filter(|_| !has_any));
    }

    /// Comes back to a listener whose turn is over, in which nothing but this error came of it.
    fn go_on(&mut self, handler: &mut H, listener: SocketId, stuck: Option<Error>) {
        match stuck {
            // Maybe not about the connections but about the listener: do not spin on it.
            Some(error) => self.pause(handler, listener, error),
            None => self.lists.enqueue(self.slots, listener),
        }
    }

    /// No connection waits any more: the platform's next report counts again.
    fn drained(&mut self, listener: SocketId) {
        let Some(slot) = named(self.slots, listener) else {
            return;
        };
        slot.flags.clear(Flags::READABLE);
        if slot.flags.any(Flags::MUTED) {
            self.ask_again(listener);
        }
    }

    /// Has the platform report the listener if a connection waits.
    fn ask_again(&mut self, listener: SocketId) {
        let Some(slot) = named(self.slots, listener) else {
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
            self.pause_until_retry(listener);
        }
    }

    /// A connection waits and the pool is full.
    fn full(&mut self, handler: &mut H, listener: SocketId) {
        let policy = named(self.slots, listener).map_or(0, |slot| slot.payload);
        match policy {
            REFUSE => self.refuse(handler, listener),
            EVICT_IDLE => self.evict(handler, listener),
            _ => self.pause(handler, listener, Error::Full),
        }
    }

    /// Resets the connections that wait, up to a bound.
    fn refuse(&mut self, handler: &mut H, listener: SocketId) {
        let (mut has_any, mut last_error) = (false, None);
        for _ in 0..ACCEPTS_MAX {
            let Some(slot) = named(self.slots, listener) else {
                return;
            };
            match self.platform.refuse(&mut slot.socket) {
                Ok(true) => {
                    self.lists.stats.refused = self.lists.stats.refused.wrapping_add(1);
                    has_any = true;
                }
                Ok(false) => return self.drained(listener),
                Err(Error::Exhausted) => return self.pause(handler, listener, Error::Exhausted),
                Err(error) => {
                    self.lists.stats.failed = self.lists.stats.failed.wrapping_add(1);
                    last_error = Some(error);
                }
            }
        }
        self.go_on(handler, listener, last_error.filter(|_| !has_any));
    }

    /// Closes the idlest socket; its slot is free for the listener in the next iteration.
    fn evict(&mut self, handler: &mut H, listener: SocketId) {
        let now = self.lists.stamp();
        let Some(victim) = self.idle.take(self.slots, &self.lists, now) else {
            return self.pause(handler, listener, Error::Full);
        };
        self.lists.stats.evicted = self.lists.stats.evicted.wrapping_add(1);
        self.all_sockets_now().net.end(victim, Closed::Evicted);
        // The connection may be gone by then: only a report may cost the next victim.
        self.ask_again(listener);
    }

    /// Stops accepting until a slot is freed or, if the platform is exhausted, for a while.
    fn pause(&mut self, handler: &mut H, listener: SocketId, error: Error) {
        let Some(slot) = named(self.slots, listener) else {
            return;
        };
        let first = !slot.flags.any(Flags::MUTED);
        let mut muted = true;
        if first {
            muted = self
                .platform
                .set_accepting(&mut slot.socket, listener, false)
                .is_ok();
            if muted {
                slot.flags.set(Flags::MUTED);
            }
        }
        slot.flags.set(Flags::PAUSED);
        self.lists.wheel.pause(self.slots, listener.index());
        if error != Error::Full || !muted {
            self.retry_later();
        }
        if first {
            self.lists.stats.pauses = self.lists.stats.pauses.wrapping_add(1);
            handler.on_accept_error(&mut self.all_sockets_now(), ListenerId(listener), error);
        }
    }

    fn pause_until_retry(&mut self, listener: SocketId) {
        if let Some(slot) = named(self.slots, listener) {
            slot.flags.set(Flags::PAUSED);
            self.lists.wheel.pause(self.slots, listener.index());
            self.retry_later();
        }
    }

    fn retry_later(&mut self) {
        let now = self.lists.now_micros(&self.platform);
        self.lists.retry = now.saturating_add(RETRY_MICROS);
        self.lists.unsettled = true;
    }

    /// Lets the paused listeners try again, in the next iteration.
    pub(crate) fn resume_listeners(&mut self) {
        self.lists.retry = NEVER;
        if injected_bug!(StarvedListener) {
            return;
        }
        while let Some(index) = self.lists.wheel.next_paused(self.slots) {
            let Some(id) = name(self.slots, index) else {
                continue;
            };
            if let Some(slot) = named(self.slots, id) {
                slot.flags.clear(Flags::PAUSED);
                slot.flags.set(Flags::READABLE);
            }
            self.lists.enqueue(self.slots, id);
        }
    }

    /// A timer is due, since `deadline`.
    pub(crate) fn timer_expired(&mut self, handler: &mut H, id: SocketId, deadline: u64) {
        let Some(slot) = named(self.slots, id) else {
            return;
        };
        let period = u64::from(slot.payload).saturating_mul(1_000);
        let late = self
            .lists
            .now_micros(&self.platform)
            .saturating_sub(deadline);
        let missed = late.checked_div(period);
        match missed {
            None => self.lists.retire(self.slots, id),
            Some(missed) => {
                let next = period.saturating_mul(missed.saturating_add(1));
                let next = deadline.saturating_add(next);
                self.lists.wheel.set(self.slots, id.index(), next);
            }
        }
        let missed = u32::try_from(missed.unwrap_or(0)).unwrap_or(u32::MAX);
        handler.on_timer(&mut self.all_sockets_now(), TimerId(id), missed);
    }
}
