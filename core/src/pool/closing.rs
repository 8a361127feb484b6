//! Sockets whose `on_close` is due.

use crate::id::{SocketId, to_index};
use crate::invariant::{impossible, invariant};
use crate::pool::slot::{Slot, id_of};

/// The sockets whose `on_close` is due, first come first, through [`Slot::next`].
#[derive(Debug, Default)]
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct ClosingQueue {
    /// Ends of the list, plus one.
    head: u32,
    tail: u32,
}

impl ClosingQueue {
    /// Returns true if no `on_close` is due.
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.head == 0
    }

    /// Adds the socket of a slot that is on no other list.
    pub(crate) fn push<S, C>(&mut self, slots: &mut [Slot<S, C>], id: SocketId) {
        let link = id.index().wrapping_add(1);
        if let Some(slot) = slots.get_mut(to_index(id.index())) {
            invariant!(slot.bucket == 0, "a closing socket is on no other list");
            slot.next = 0;
        }
        let last = self.tail.checked_sub(1);
        match last.and_then(|last| slots.get_mut(to_index(last))) {
            Some(last) => last.next = link,
            None => self.head = link,
        }
        self.tail = link;
    }

    /// Checks that the queue has each socket whose `on_close` is due, once.
    pub(crate) fn check<S, C>(&self, used: &[Slot<S, C>]) {
        let is_due = |slot: &&Slot<S, C>| slot.is_closing();
        let (mut link, mut last, mut left) = (self.head, 0, used.iter().filter(is_due).count());
        while let Some(slot) = link.checked_sub(1).and_then(|at| used.get(to_index(at))) {
            invariant!(slot.is_closing(), "the queue is of closing sockets");
            invariant!(left > 0, "a closing socket is queued once");
            left = left.saturating_sub(1);
            last = link;
            link = slot.next;
        }
        invariant!(left == 0, "a closing socket is queued");
        invariant!(self.tail == last, "the queue ends where it says");
    }

    /// Takes the socket that has waited longest.
    pub(crate) fn pop<S, C>(&mut self, slots: &[Slot<S, C>]) -> Option<SocketId> {
        let index = self.head.checked_sub(1)?;
        let Some(slot) = slots.get(to_index(index)) else {
            impossible!("the queue holds slots of the pool");
            return None;
        };
        self.head = slot.next;
        if self.head == 0 {
            self.tail = 0;
        }
        id_of(slots, index)
    }
}

#[cfg(feature = "search")]
impl ClosingQueue {
    /// Hashes the queue in its order.
    pub(crate) fn fingerprint<S, C>(
        &self,
        slots: &[Slot<S, C>],
        into: &mut impl core::hash::Hasher,
    ) {
        // The tail is where the links end.
        let Self { head, tail: _ } = self;
        crate::pool::slot::hash_links(slots, *head, |slot| slot.next, into);
    }
}
