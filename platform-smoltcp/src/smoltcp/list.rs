//! Lists of slots, linked through the slots themselves.

use crate::number::place;
use crate::smoltcp::slot::{Flags, NONE, Slot};

/// A doubly linked list through [`Slot::prev`] and [`Slot::next`]: any slot leaves at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct List {
    head: u32,
    tail: u32,
    count: u32,
}

impl List {
    pub(crate) const EMPTY: Self = Self {
        head: NONE,
        tail: NONE,
        count: 0,
    };

    /// Adds a slot that is in no list at the end.
    pub(crate) fn push(&mut self, slots: &mut [Slot<'_>], index: u32) {
        let Some(slot) = slots.get_mut(place(index)) else {
            return;
        };
        slot.prev = self.tail;
        slot.next = NONE;
        match slots.get_mut(place(self.tail)) {
            Some(last) => last.next = index,
            None => self.head = index,
        }
        self.tail = index;
        self.count = self.count.saturating_add(1);
    }

    /// Takes out a slot that is in this list.
    pub(crate) fn remove(&mut self, slots: &mut [Slot<'_>], index: u32) {
        let Some(slot) = slots.get_mut(place(index)) else {
            return;
        };
        let (prev, next) = (slot.prev, slot.next);
        slot.prev = NONE;
        slot.next = NONE;
        match slots.get_mut(place(prev)) {
            Some(slot) => slot.next = next,
            None => self.head = next,
        }
        match slots.get_mut(place(next)) {
            Some(slot) => slot.prev = prev,
            None => self.tail = prev,
        }
        self.count = self.count.saturating_sub(1);
    }

    /// Takes out the slot that has been in longest.
    pub(crate) fn pop(&mut self, slots: &mut [Slot<'_>]) -> Option<u32> {
        let index = self.first()?;
        self.remove(slots, index);
        Some(index)
    }

    /// Returns the slot that has been in longest.
    pub(crate) const fn first(&self) -> Option<u32> {
        if self.head == NONE {
            None
        } else {
            Some(self.head)
        }
    }

    pub(crate) const fn count(&self) -> u32 {
        self.count
    }
}

/// A first-in first-out ring through [`Slot::serve_next`]: a slot is in at most one, once.
#[derive(Debug)]
pub(crate) struct Ring {
    head: u32,
    tail: u32,
    count: u32,
}

impl Ring {
    pub(crate) const EMPTY: Self = Self {
        head: NONE,
        tail: NONE,
        count: 0,
    };

    /// Adds a slot unless it is in a ring already.
    #[inline]
    pub(crate) fn push(&mut self, slots: &mut [Slot<'_>], index: u32) {
        let Some(slot) = slots.get_mut(place(index)) else {
            return;
        };
        if slot.flags.has(Flags::QUEUED) {
            return;
        }
        slot.flags.set(Flags::QUEUED);
        slot.serve_next = NONE;
        match slots.get_mut(place(self.tail)) {
            Some(last) => last.serve_next = index,
            None => self.head = index,
        }
        self.tail = index;
        self.count = self.count.saturating_add(1);
    }

    /// Takes the slot that has been in longest.
    #[inline]
    pub(crate) fn pop(&mut self, slots: &mut [Slot<'_>]) -> Option<u32> {
        let index = self.head;
        let slot = slots.get_mut(place(index))?;
        slot.flags.clear(Flags::QUEUED | Flags::BLOCKED);
        self.head = slot.serve_next;
        if self.head == NONE {
            self.tail = NONE;
        }
        self.count = self.count.saturating_sub(1);
        Some(index)
    }

    pub(crate) const fn count(&self) -> u32 {
        self.count
    }
}

/// A first-in first-out ring through [`Slot::ready_next`]: the slots with facts to report.
#[derive(Debug)]
pub(crate) struct ReadyRing {
    head: u32,
    tail: u32,
}

impl ReadyRing {
    pub(crate) const EMPTY: Self = Self {
        head: NONE,
        tail: NONE,
    };

    /// Adds a slot unless it is in already.
    #[inline]
    pub(crate) fn push(&mut self, slots: &mut [Slot<'_>], index: u32) {
        let Some(slot) = slots.get_mut(place(index)) else {
            return;
        };
        if slot.flags.has(Flags::READY) {
            return;
        }
        slot.flags.set(Flags::READY);
        slot.ready_next = NONE;
        match slots.get_mut(place(self.tail)) {
            Some(last) => last.ready_next = index,
            None => self.head = index,
        }
        self.tail = index;
    }

    /// Takes the slot that has been in longest.
    #[inline]
    pub(crate) fn pop(&mut self, slots: &mut [Slot<'_>]) -> Option<u32> {
        let index = self.head;
        let slot = slots.get_mut(place(index))?;
        slot.flags.clear(Flags::READY);
        self.head = slot.ready_next;
        if self.head == NONE {
            self.tail = NONE;
        }
        Some(index)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.head == NONE
    }
}
