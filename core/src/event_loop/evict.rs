//! Finding the open socket that has been idle for the longest time.

use heapless::Vec;

use crate::id::SocketId;
use crate::pool::flags::Phase;
use crate::pool::{Lists, Slot, name, named};

/// Candidates that one walk over the pool finds.
const CANDIDATES_MAX: usize = 16;

/// The sockets that had been idle longest when the pool was last walked over.
///
/// A socket that received nothing since is still idler than all that were not candidates, so a
/// walk serves [`CANDIDATES_MAX`] evictions.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    /// The idlest last, with the stamp at which it last received.
    candidates: Vec<(SocketId, u32), CANDIDATES_MAX>,
}

impl Idle {
    /// Takes the open socket that has received nothing for the longest time.
    pub(crate) fn take<S, C>(
        &mut self,
        slots: &mut [Slot<S, C>],
        lists: &Lists,
        stamp_now: u32,
    ) -> Option<SocketId> {
        for _ in 0..2 {
            while let Some((id, stamp)) = self.candidates.pop() {
                if named(slots, id)
                    .is_some_and(|slot| slot.phase() == Phase::Open && slot.payload == stamp)
                {
                    return Some(id);
                }
            }
            self.walk(slots, lists.high_water, stamp_now);
        }
        None
    }

    fn walk<S, C>(&mut self, slots: &[Slot<S, C>], high_water: u32, stamp_now: u32) {
        for (index, slot) in (0..high_water).zip(slots) {
            if slot.phase() != Phase::Open {
                continue;
            }
            let Some(id) = name(slots, index) else {
                continue;
            };
            let idle = stamp_now.wrapping_sub(slot.payload);
            let idler = |&(_, stamp): &(SocketId, u32)| stamp_now.wrapping_sub(stamp) < idle;
            let place = self.candidates.partition_point(idler);
            if self.candidates.is_full() {
                if place == 0 {
                    continue;
                }
                // The least idle makes room.
                self.candidates.remove(0);
                let _ = self
                    .candidates
                    .insert(place.saturating_sub(1), (id, slot.payload));
            } else {
                let _ = self.candidates.insert(place, (id, slot.payload));
            }
        }
    }
}
