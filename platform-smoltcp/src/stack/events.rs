//! What the engine says of a connection, turned into reports and phases.

use crate::stack::look::LEASES;
use crate::stack::shell::Shell;
use crate::stack::slot::{Facts, Flags, Phase};
use crate::tcp::{Connection, Events, State};

/// Most deadlines that come true in one turn.
const EXPIRED_MAX: usize = 256;

impl Shell<'_> {
    /// Looks after those whose deadline has come.
    pub(super) fn expire(&mut self) {
        for _ in 0..EXPIRED_MAX {
            let Some(index) = self.wheel.pop(self.slots.all, self.now) else {
                break;
            };
            self.on_deadline(index);
        }
    }

    #[inline(never)]
    fn on_deadline(&mut self, index: u32) {
        let now = self.now;
        let due = self.slots.look(index).deadline();
        let used = self
            .slots
            .get(index)
            .is_some_and(|slot| slot.phase != Phase::Free);
        if self.slots.is_any_leased() && due.is_some_and(|due| due <= now) && self.is_over(index) {
            return self.release(index);
        }
        if used && due.is_some_and(|due| due <= now) {
            let events = match self.slots.open(index) {
                Some(mut open) => open.connection.on_timer(now, &mut open.buffers),
                None => self.on_timer_without_set(index),
            };
            self.on_events(index, events);
        }
        let left = self.slots.get(index).and_then(|slot| slot.ticks_left(now));
        if left == Some(0) {
            self.on_limit(index);
        }
        self.wake(index);
    }

    /// Does what is due of a connection that has no set, and needs none for it.
    fn on_timer_without_set(&mut self, index: u32) -> Events {
        let now = self.now;
        let quiet = self.slots.without_set(index).filter(|_| LEASES);
        quiet.map_or(Events::NONE, |quiet| quiet.on_timer(now))
    }

    /// Returns true for a connection without a set of which nothing is left but TIME-WAIT, or the
    /// limit of FIN-WAIT-2: its end needs no set.
    fn is_over(&mut self, index: u32) -> bool {
        let slot = self.slots.get(index);
        slot.is_some_and(|slot| matches!(slot.phase, Phase::Closing | Phase::TimeWait))
            && self.slots.look(index).working().is_none()
    }

    /// Ends a phase that has reached its limit.
    fn on_limit(&mut self, index: u32) {
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        match slot.phase {
            Phase::HalfOpen => {
                self.counters.handshakes_expired = self.counters.handshakes_expired.wrapping_add(1);
                self.release(index);
            }
            Phase::Closing => self.release(index),
            Phase::Delivering => {
                // The peer is told by a reset.
                self.reset_peer(index);
                self.unlimit(index);
            }
            Phase::Free | Phase::Waiting | Phase::Owned | Phase::TimeWait => self.unlimit(index),
        }
    }

    /// Draws the consequences of what the engine has made true.
    #[cfg_attr(not(target_os = "none"), inline(always))]
    pub(super) fn on_events(&mut self, index: u32, events: Events) {
        // Nobody here waits for that, and most answers to what was sent come with it.
        let events = events.without(Events::DRAINED);
        if events.is_empty() {
            return;
        }
        // Of a connection that is open, this is all there is most of the time.
        if events == Events::READABLE
            && let Some(slot) = self.slots.get(index)
            && slot.phase == Phase::Owned
        {
            return self.report(index, Facts::READABLE);
        }
        self.on_each(index, events);
    }

    #[inline(never)]
    fn on_each(&mut self, index: u32, events: Events) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        if events.has(Events::PEER_FIN) {
            slot.flags.set(Flags::ENDED);
        }
        match slot.phase {
            // At once, so that no later frame of the burst evicts it as a half-open connection.
            Phase::HalfOpen if events.has(Events::ESTABLISHED) => self.establish(index),
            Phase::Owned => self.report_events(index, events),
            _ => {}
        }
        if events.has(Events::CLOSED) {
            self.on_closed(index);
        }
    }

    /// Reports events to an owner.
    fn report_events(&mut self, index: u32, events: Events) {
        let writable = events.has(Events::ESTABLISHED) || events.has(Events::WRITABLE);
        let mut facts = Facts::READABLE.when(events.has(Events::READABLE));
        facts = facts.union(Facts::WRITABLE.when(writable));
        facts = facts.union(Facts::ENDED.when(events.has(Events::PEER_FIN)));
        if events.has(Events::CLOSED) {
            let error = self.slots.look(index).error();
            facts = facts.union(Facts::ERROR.when(error.is_some()));
        }
        self.report(index, facts);
    }

    /// Sees to a connection that the engine has closed: what was not accepted goes away at once,
    /// what an owner has waits for the owner, and others may use the ends again.
    fn on_closed(&mut self, index: u32) {
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        match slot.phase {
            Phase::HalfOpen | Phase::Waiting => self.release(index),
            Phase::Free => {}
            Phase::Owned | Phase::Delivering | Phase::Closing | Phase::TimeWait => {
                self.table.remove(self.slots.all, index);
                // A reset may be due.
                self.wake(index);
            }
        }
    }

    /// Moves a connection without owner on towards its end.
    #[inline(never)]
    pub(super) fn advance_orphan(&mut self, index: u32) {
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        if slot.flags.has(Flags::CLOSE_DUE) {
            return;
        }
        let (phase, left_before) = (slot.phase, slot.left);
        let look = self.slots.look(index);
        let connection = look.working();
        let left = connection.map_or(0, Connection::send_len);
        match (look.state(), phase) {
            (State::Closed, _) => self.release(index),
            (State::TimeWait, Phase::Delivering | Phase::Closing) => {
                #[cfg(feature = "leases")]
                if self.retire(index) {
                    return;
                }
                self.slots.move_to(index, Phase::TimeWait);
                self.unlimit(index);
            }
            (_, Phase::Delivering) if look.is_drained() => {
                self.slots.move_to(index, Phase::Closing);
                self.limit(index, self.limits.closing);
            }
            (_, Phase::Delivering) => {
                let taken = left_before.saturating_sub(left);
                let mss = connection.map_or(0, Connection::send_mss);
                if taken >= u32::from(mss) || (taken > 0 && left == 0) {
                    self.await_progress(index);
                }
            }
            _ => {}
        }
    }

    /// Gives the peer of a connection without owner time to take the next segment.
    pub(super) fn await_progress(&mut self, index: u32) {
        let left = self
            .slots
            .look(index)
            .working()
            .map_or(0, Connection::send_len);
        if let Some(slot) = self.slots.get_mut(index) {
            slot.left = left;
            self.limit(index, self.limits.answer);
        }
    }
}
