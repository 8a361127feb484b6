//! Every list of a loop, followed from end to end: in tests each iteration ends with it.
//!
//! What holds between two iterations, beyond what each step checks for itself: a slot is on the
//! list that its phase calls for and on no other, and every count is that of what it counts.

use crate::event_loop::state::State;
use crate::id::to_index;
use crate::invariant::invariant;
use crate::pool::flags::{Flags, Phase};
use crate::pool::slot::Slot;

/// Most slots of a pool that is checked so; of larger ones, tests would take too long.
const SLOTS_MAX: u32 = 256;

impl State {
    /// Checks every list and count, if the pool is not too large.
    pub(crate) fn check<S, C>(&self, slots: &[Slot<S, C>]) {
        let used = self.free_list.high_water;
        let Some(used) = slots.get(..to_index(used)).filter(|_| used <= SLOTS_MAX) else {
            return;
        };
        self.free_list.check(used);
        self.run_queue.check(used);
        self.closing.check(used);
        self.waiting.check(used);
        self.wheel.check(used);
        invariant!(!self.turn.is_on(), "every turn has ended");
        invariant!(!self.has_reports, "every report was served");
        let mut open = 0_u32;
        for (index, slot) in (0_u32..).zip(used) {
            open = open.wrapping_add(u32::from(slot.is_opened()));
            let is_in_use = slot.phase() != Phase::Free;
            invariant!(
                is_in_use == (slot.generation & 1 == 1),
                "an id is odd while its slot is in use"
            );
            if slot.phase() == Phase::Listening {
                let link = index.wrapping_add(1);
                let own = used.iter().filter(|slot| slot.listener == link).count();
                invariant!(
                    u32::try_from(own) == Ok(slot.population().count),
                    "a listener counts its connections"
                );
            }
            let holder = self.cork.holder.map(|id| id.index());
            invariant!(
                !slot.flags.any(Flags::CORKED) || holder == Some(index),
                "the socket that writes to the cork holds it"
            );
        }
        invariant!(open == self.stats.open, "open sockets are counted");
    }
}
