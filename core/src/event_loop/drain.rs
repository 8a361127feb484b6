//! Ending in order: what has arrived is served, then everything ends.

use crate::closed::Closed;
use crate::event_loop::Loop;
use crate::event_loop::drain_state::Step;
use crate::event_loop::state::UNWINDS;
use crate::handler::Handler;
use crate::id::{ListenerId, SocketId, to_index};
use crate::platform::Platform;
use crate::pool::flags::{Flags, Phase};
use crate::pool::slot::{find, id_of};

/// Sockets that are told per iteration.
const TELLS_MAX: u32 = 4_096;

impl<P: Platform, H: Handler<P>> Loop<'_, P, H> {
    /// Carries on with draining.
    pub(super) fn drain(&mut self, handler: &mut H) {
        let now = self.state.now_micros(&self.platform);
        if now >= self.state.drain.ends_at {
            self.state.drain.end();
            return self.close_everything(handler);
        }
        // Slots beyond were never in use, and their memory stays untouched.
        let used = to_index(self.state.free_list.high_water);
        let mut used = self.slots.iter().take(used);
        let is_opening = || used.any(|slot| slot.phase() == Phase::Accepting);
        if self.state.drain.look(now, &self.state.stats, is_opening) {
            self.state.drain.step = Step::Telling {
                from: 0,
                again: false,
            };
        }
        if let Step::Telling { from, again } = self.state.drain.step {
            return self.tell_drain(handler, from, again);
        }
        while let Some(id) = self.state.drain.take_late(now) {
            self.tell(handler, id);
        }
    }

    /// Has an accepted connection that has just opened told later, if others have been already.
    pub(super) fn join_drain(&mut self, id: SocketId) {
        if self.state.drain.has_passed(id.index()) {
            let now = self.state.now_micros(&self.platform);
            self.state.drain.note_late(id, now);
        }
    }

    /// Tells a connection, if it is open.
    fn tell(&mut self, handler: &mut H, id: SocketId) {
        if self.phase(id) == Phase::Open {
            self.call(id, |socket, ext| handler.on_drain(socket, ext));
            self.report_closes(handler);
        }
    }

    /// Stops listeners, and tells connections that nothing more will be accepted.
    fn tell_drain(&mut self, handler: &mut H, first: u32, again: bool) {
        let end = self.state.free_list.high_water;
        let last = first.saturating_add(TELLS_MAX).min(end);
        for index in first..last {
            if UNWINDS {
                let from = index.saturating_add(1);
                self.state.drain.step = Step::Telling { from, again };
            }
            let Some(id) = id_of(self.slots, index) else {
                continue;
            };
            match self.phase(id) {
                Phase::Listening => self.net_now().stop_listening(ListenerId(id)),
                _ if again && self.has_finished(id) => {}
                _ => self.tell(handler, id),
            }
        }
        self.state.drain.step = match last < end {
            true => Step::Telling { from: last, again },
            false => Step::Ending,
        };
    }

    /// Returns true if the program has ended its direction of a connection.
    fn has_finished(&mut self, id: SocketId) -> bool {
        let ended = Flags::FINISHED.with(Flags::FINISHING);
        find(self.slots, id).is_some_and(|slot| slot.flags.any(ended))
    }

    /// Closes every listener and connection.
    fn close_everything(&mut self, handler: &mut H) {
        for index in 0..self.state.free_list.high_water {
            let Some(slot) = self.slots.get(to_index(index)) else {
                break;
            };
            let (phase, Some(id)) = (slot.phase(), id_of(self.slots, index)) else {
                continue;
            };
            match phase {
                Phase::Listening => self.net_now().stop_listening(ListenerId(id)),
                _ => self.net_now().end(id, Closed::TimedOut),
            }
        }
        self.report_closes(handler);
    }
}
