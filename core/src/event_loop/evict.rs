//! Finding the open socket that has been idle for the longest time, or the connection that has been
//! opening for it.

use heapless::Vec;

use crate::id::SocketId;
use crate::pool::flags::Phase;
use crate::pool::slot::{Slot, find, id_of};

/// Candidates that one walk over the pool finds.
const CANDIDATES_MAX: usize = 16;

/// The sockets that had been idle longest when the pool was last walked over.
///
/// A socket that received nothing since is still idler than all that were not candidates, so a
/// walk serves [`CANDIDATES_MAX`] evictions.
#[derive(Debug, Default)]
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct Idle {
    /// The idlest last, with the iteration in which it last received.
    candidates: Vec<(SocketId, u32), CANDIDATES_MAX>,
}

impl Idle {
    /// Takes the open socket that has received nothing for the longest time.
    pub(crate) fn take<S, C>(
        &mut self,
        slots: &mut [Slot<S, C>],
        high_water: u32,
        iteration: u32,
    ) -> Option<SocketId> {
        for _ in 0..2 {
            while let Some((id, stamp)) = self.candidates.pop() {
                if find(slots, id)
                    .is_some_and(|slot| slot.phase() == Phase::Open && slot.received_at() == stamp)
                {
                    return Some(id);
                }
            }
            self.walk(slots, high_water, iteration);
        }
        None
    }

    fn walk<S, C>(&mut self, slots: &[Slot<S, C>], high_water: u32, iteration: u32) {
        for (index, slot) in (0..high_water).zip(slots) {
            if slot.phase() != Phase::Open {
                continue;
            }
            let Some(id) = id_of(slots, index) else {
                continue;
            };
            let idle = iteration.wrapping_sub(slot.received_at());
            let idler = |&(_, stamp): &(SocketId, u32)| iteration.wrapping_sub(stamp) < idle;
            let place = self.candidates.partition_point(idler);
            if self.candidates.is_full() {
                if place == 0 {
                    continue;
                }
                // The least idle makes room.
                self.candidates.remove(0);
                let _ = self
                    .candidates
                    .insert(place.saturating_sub(1), (id, slot.received_at()));
            } else {
                let _ = self.candidates.insert(place, (id, slot.received_at()));
            }
        }
    }
}

#[cfg(feature = "search")]
impl Idle {
    /// Hashes the candidates that are still good, in their order. Others never are again.
    pub(crate) fn fingerprint<S, C>(
        &self,
        slots: &[Slot<S, C>],
        into: &mut impl core::hash::Hasher,
    ) {
        let Self { candidates } = self;
        for (id, stamp) in candidates {
            let slot = slots.get(crate::id::to_index(id.index()));
            let is_good = slot.is_some_and(|slot| {
                slot.generation == id.generation()
                    && slot.phase() == Phase::Open
                    && slot.received_at() == *stamp
            });
            if is_good {
                into.write_u32(id.index());
            }
        }
        into.write_u8(0);
    }
}

/// Returns the open socket that has received nothing for the longest time of those that a listener
/// accepted. Looks at every slot.
pub(crate) fn idlest_of<S, C>(
    slots: &[Slot<S, C>],
    high_water: u32,
    iteration: u32,
    listener: SocketId,
) -> Option<SocketId> {
    let link = listener.index().wrapping_add(1);
    let own = (0..high_water)
        .zip(slots)
        .filter(|(_, slot)| slot.phase() == Phase::Open && slot.listener == link);
    let idlest = own.max_by_key(|(_, slot)| iteration.wrapping_sub(slot.received_at()));
    idlest.and_then(|(index, _)| id_of(slots, index))
}

/// Returns the connection of a listener, of the one that is given or of any, that has been opening
/// for the longest time, and until when it may open. Looks at every slot.
pub(crate) fn longest_opening<S, C>(
    slots: &[Slot<S, C>],
    high_water: u32,
    listener: Option<SocketId>,
) -> Option<(SocketId, u64)> {
    let link = listener.map(|listener| listener.index().wrapping_add(1));
    let opening = (0..high_water).zip(slots).filter(|(_, slot)| {
        let is_accepted = link.map_or(slot.listener != 0, |link| slot.listener == link);
        slot.phase() == Phase::Accepting && is_accepted
    });
    let oldest = opening.min_by_key(|(_, slot)| slot.deadline.micros());
    let (index, slot) = oldest?;
    Some((id_of(slots, index)?, slot.deadline.micros()))
}
