//! Sockets that have work left for the next iteration.

use crate::id::{SocketId, to_index};
use crate::invariant::{impossible, invariant};
use crate::pool::flags::Flags;
use crate::pool::slot::{Slot, find, id_of};

/// The sockets that the next iteration serves before it asks the platform, and those that the
/// running one has still to serve. Each is on it once ([`Flags::QUEUED`]).
///
/// An iteration serves the whole queue, so the order does not matter; last come is first, which
/// touches no other slot.
#[derive(Debug, Default)]
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct RunQueue {
    /// First of the next iteration, plus one.
    head: u32,
    /// First that the running iteration has still to serve, plus one.
    serving: u32,
}

impl RunQueue {
    /// Returns true if the next iteration has something to serve.
    #[inline]
    pub(crate) const fn has_next(&self) -> bool {
        self.head != 0
    }

    /// Returns the next socket that the running iteration is to serve, as a link: 0 for none.
    #[inline]
    pub(crate) const fn serving(&self) -> u32 {
        self.serving
    }

    /// Adds a socket, unless it is on the queue already.
    pub(crate) fn push<S, C>(&mut self, slots: &mut [Slot<S, C>], id: SocketId) {
        if let Some(slot) = find(slots, id) {
            self.push_slot(slot, id);
        }
    }

    /// Adds the socket of a slot at hand.
    pub(crate) const fn push_slot<S, C>(&mut self, slot: &mut Slot<S, C>, id: SocketId) {
        if !slot.flags.any(Flags::QUEUED) {
            slot.flags.set(Flags::QUEUED);
            slot.queue_next = self.head;
            self.head = id.index().wrapping_add(1);
        }
    }

    /// Turns what was queued into what the iteration that begins is to serve.
    #[inline]
    pub(crate) const fn begin_iteration(&mut self) {
        // Something is left unserved only if a call unwound: then it comes first, and the others in
        // the iteration after.
        if self.head != 0 && self.serving == 0 {
            self.serving = self.head;
            self.head = 0;
        }
    }

    /// Checks that the queue has each slot that is marked so, once, and that the iteration that has
    /// ended served all it had to.
    pub(crate) fn check<S, C>(&self, used: &[Slot<S, C>]) {
        let queued = used.iter().filter(|slot| slot.flags.any(Flags::QUEUED));
        let (mut link, mut left) = (self.head, queued.count());
        while let Some(slot) = link.checked_sub(1).and_then(|at| used.get(to_index(at))) {
            invariant!(slot.flags.any(Flags::QUEUED), "what is queued is marked");
            invariant!(left > 0, "a slot is queued once");
            left = left.saturating_sub(1);
            link = slot.queue_next;
        }
        invariant!(left == 0, "what is marked is queued");
        invariant!(self.serving == 0, "an iteration serves the whole queue");
    }

    /// Takes the next socket to serve; skips slots that are free by now. If another socket has
    /// taken the slot since, that one is returned: serving it with nothing reported does no harm.
    #[cold]
    #[inline(never)]
    pub(crate) fn pop<S, C>(&mut self, slots: &mut [Slot<S, C>]) -> Option<SocketId> {
        while let Some(index) = self.serving.checked_sub(1) {
            let Some(slot) = slots.get_mut(to_index(index)) else {
                impossible!("the queue holds slots of the pool");
                self.serving = 0;
                return None;
            };
            self.serving = slot.queue_next;
            slot.flags.clear(Flags::QUEUED);
            if let Some(id) = id_of(slots, index) {
                return Some(id);
            }
        }
        None
    }
}

#[cfg(feature = "search")]
impl RunQueue {
    /// Hashes both queues in their order.
    pub(crate) fn fingerprint<S, C>(
        &self,
        slots: &[Slot<S, C>],
        into: &mut impl core::hash::Hasher,
    ) {
        let Self { head, serving } = self;
        crate::pool::slot::hash_links(slots, *head, |slot| slot.queue_next, into);
        crate::pool::slot::hash_links(slots, *serving, |slot| slot.queue_next, into);
    }
}
