//! Going on after a handler call unwound.
//!
//! A panic, or an exception of a program in another language, may leave a call and be caught around
//! [`Loop::poll`](crate::Loop::poll), with which the program then goes on. What an iteration keeps
//! while it runs is left as it was: the next one finds it here, and serves what is left of it
//! before it waits again.

use crate::event_loop::Loop;
use crate::handler::Handler;
use crate::id::SocketId;
use crate::platform::{Platform, Readiness};
use crate::pool::flags::{Flags, Phase};
use crate::pool::slot::{find, id_of};

impl<P: Platform, H: Handler<P>> Loop<'_, P, H> {
    /// Has the turn that a call left by unwinding go on, and ends what it left half open.
    #[cold]
    #[inline(never)]
    pub(super) fn recover(&mut self) {
        let turn = core::mem::take(&mut self.state.turn);
        self.state.needs_more = false;
        self.state.has_reports = false;
        if let Some(index) = self.state.half_done.opening.take()
            && let Some(id) = id_of(self.slots, index)
        {
            // It has no data that a call could be passed.
            self.net_now().abort(id, 0);
        }
        if let Some(id) = turn.id {
            self.state.waiting.end_try(self.slots, id);
            self.after_unwinding(id, turn.has_more, turn.reported.unwrap_or_default());
        }
    }

    /// Has a socket dispatched again, with what its turn had still to do: `next_own_work` hands it
    /// to `dispatch`, which begins a new turn. Facts that are reported twice do no harm.
    fn after_unwinding(&mut self, id: SocketId, has_more: bool, rest: Readiness) {
        let Some(slot) = find(self.slots, id) else {
            return;
        };
        match slot.phase() {
            Phase::Open | Phase::Broken => {
                if has_more {
                    slot.flags.set(Flags::READABLE);
                }
                if slot.flags.any(Flags::END_READ) {
                    self.after_peer_fin(id);
                }
            }
            // Those that were told have nothing left; those that open or accept go on.
            Phase::Foreign | Phase::Free | Phase::Timer | Phase::Closing => return,
            Phase::Listening
            | Phase::Bound
            | Phase::Accepting
            | Phase::Connecting
            | Phase::Datagrams
            | Phase::ClosingHeld
            | Phase::Lingering => {}
        }
        let has_room = rest.intersects(Readiness::WRITABLE);
        let readiness = Readiness::WRITABLE.when(has_room);
        self.state.turn.id = Some(id);
        self.state.turn.next = Some(readiness);
    }
}
