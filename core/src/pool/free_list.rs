//! Which slots are free.

use core::num::NonZeroU32;

use crate::id::{SocketId, to_index};
use crate::injected_bug::injected_bug;
use crate::invariant::{impossible, invariant};
use crate::pool::flags::{Flags, Phase};
use crate::pool::slot::{Deadline, Place, Slot, find};

/// The free slots: those that were given back, last come first, and those never used.
///
/// A slot is free as soon as it is given back. Whatever still names its last socket has an id of an
/// older generation.
#[derive(Debug, Default)]
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct FreeList {
    /// The slot given back last, plus one.
    head: u32,
    /// Slots from this index on were never used.
    pub(crate) high_water: u32,
    /// Slots in use.
    in_use: u32,
}

impl FreeList {
    /// Returns how many slots are in use.
    pub(crate) const fn in_use(&self) -> u32 {
        self.in_use
    }

    /// Returns how many slots are free.
    pub(crate) fn free<S, C>(&self, slots: &[Slot<S, C>]) -> u32 {
        let capacity = u32::try_from(slots.len()).unwrap_or(u32::MAX);
        capacity.saturating_sub(self.in_use)
    }

    /// Takes a free slot into use, or `None` when there is none. It has no phase yet.
    pub(crate) fn claim<S, C>(&mut self, slots: &mut [Slot<S, C>]) -> Option<SocketId> {
        let index = match self.head.checked_sub(1) {
            Some(index) => {
                self.head = slots.get(to_index(index))?.next;
                index
            }
            None => {
                let index = self.high_water;
                slots.get(to_index(index))?;
                self.high_water = index.wrapping_add(1);
                index
            }
        };
        let slot = slots.get_mut(to_index(index))?;
        invariant!(slot.phase() == Phase::Free, "a claimed slot was free");
        slot.generation = slot.generation.wrapping_add(1) | 1;
        slot.next = 0;
        slot.prev = 0;
        slot.deadline = Deadline::NEVER;
        slot.bucket = 0;
        slot.listener = 0;
        slot.flags.keep(Flags::QUEUED);
        slot.enter(Phase::Free, 0);
        self.in_use = self.in_use.wrapping_add(1);
        NonZeroU32::new(slot.generation).map(|generation| SocketId::new(index, generation))
    }

    /// Checks that the list has each slot that was used and is free, once.
    pub(crate) fn check<S, C>(&self, used: &[Slot<S, C>]) {
        let free = used.iter().filter(|slot| slot.phase() == Phase::Free);
        let (mut link, mut left) = (self.head, free.count());
        invariant!(
            u32::try_from(left) == Ok(self.high_water.wrapping_sub(self.in_use)),
            "slots in use are counted"
        );
        while let Some(slot) = link.checked_sub(1).and_then(|at| used.get(to_index(at))) {
            invariant!(slot.phase() == Phase::Free, "the list is of free slots");
            invariant!(left > 0, "a free slot is on the list once");
            left = left.saturating_sub(1);
            link = slot.next;
        }
        invariant!(
            left == 0 || injected_bug!(LeakedSlot),
            "a free slot is on the list"
        );
    }

    /// Gives a slot back, which ends its id. It must be on no list but the run queue.
    pub(crate) fn give_back<S, C>(&mut self, slots: &mut [Slot<S, C>], id: SocketId) {
        let Some(slot) = find(slots, id) else {
            impossible!("a slot is given back once");
            return;
        };
        invariant!(slot.bucket == 0, "a free slot is on no other list");
        slot.generation = slot.generation.wrapping_add(1);
        slot.enter(Phase::Free, 0);
        slot.context = Place::Vacant;
        self.in_use = self.in_use.wrapping_sub(1);
        if injected_bug!(LeakedSlot) {
            return;
        }
        slot.next = self.head;
        self.head = id.index().wrapping_add(1);
    }
}

#[cfg(feature = "search")]
impl FreeList {
    /// Hashes the list in its order, and the counts.
    pub(crate) fn fingerprint<S, C>(
        &self,
        slots: &[Slot<S, C>],
        into: &mut impl core::hash::Hasher,
    ) {
        let Self {
            head,
            high_water,
            in_use,
        } = self;
        crate::pool::slot::hash_links(slots, *head, |slot| slot.next, into);
        into.write_u32(*high_water);
        into.write_u32(*in_use);
    }
}
