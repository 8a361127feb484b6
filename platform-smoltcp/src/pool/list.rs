//! Lists of slots, linked through the slots themselves.

use crate::number::place;
use crate::pool::links::{Marks, NONE, Node};

/// A doubly linked list through each slot: any slot leaves at once.
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
    pub(crate) fn push<N: Node>(&mut self, slots: &mut [N], index: u32) {
        let Some(slot) = slots.get_mut(place(index)) else {
            return;
        };
        let links = slot.links_mut();
        links.prev = self.tail;
        links.next = NONE;
        match slots.get_mut(place(self.tail)) {
            Some(last) => last.links_mut().next = index,
            None => self.head = index,
        }
        self.tail = index;
        self.count = self.count.saturating_add(1);
    }

    /// Takes out a slot that is in this list.
    pub(crate) fn remove<N: Node>(&mut self, slots: &mut [N], index: u32) {
        let Some(slot) = slots.get_mut(place(index)) else {
            return;
        };
        let links = slot.links_mut();
        let prev = core::mem::replace(&mut links.prev, NONE);
        let next = core::mem::replace(&mut links.next, NONE);
        match slots.get_mut(place(prev)) {
            Some(slot) => slot.links_mut().next = next,
            None => self.head = next,
        }
        match slots.get_mut(place(next)) {
            Some(slot) => slot.links_mut().prev = prev,
            None => self.tail = prev,
        }
        self.count = self.count.saturating_sub(1);
    }

    /// Takes out the slot that has been in longest.
    pub(crate) fn pop<N: Node>(&mut self, slots: &mut [N]) -> Option<u32> {
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

/// A first-in first-out ring through its slots: a slot is in at most one, once.
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
    pub(crate) fn push<N: Node>(&mut self, slots: &mut [N], index: u32) {
        let Some(slot) = slots.get_mut(place(index)) else {
            return;
        };
        let links = slot.links_mut();
        if links.marks.has(Marks::QUEUED) {
            return;
        }
        links.marks.set(Marks::QUEUED);
        links.ring_next = NONE;
        match slots.get_mut(place(self.tail)) {
            Some(last) => last.links_mut().ring_next = index,
            None => self.head = index,
        }
        self.tail = index;
        self.count = self.count.saturating_add(1);
    }

    /// Adds a slot unless it is in a ring already, and marks that this ring is the second one.
    pub(crate) fn push_blocked<N: Node>(&mut self, slots: &mut [N], index: u32) {
        self.push(slots, index);
        if let Some(slot) = slots.get_mut(place(index)) {
            slot.links_mut().marks.set(Marks::BLOCKED);
        }
    }

    /// Takes the slot that has been in longest.
    #[inline]
    pub(crate) fn pop<N: Node>(&mut self, slots: &mut [N]) -> Option<u32> {
        let index = self.head;
        let links = slots.get_mut(place(index))?.links_mut();
        links.marks.clear(Marks::QUEUED | Marks::BLOCKED);
        self.head = links.ring_next;
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

/// A first-in first-out ring through its slots: the slots with something to report.
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
    pub(crate) fn push<N: Node>(&mut self, slots: &mut [N], index: u32) {
        let Some(slot) = slots.get_mut(place(index)) else {
            return;
        };
        let links = slot.links_mut();
        if links.marks.has(Marks::READY) {
            return;
        }
        links.marks.set(Marks::READY);
        links.ready_next = NONE;
        match slots.get_mut(place(self.tail)) {
            Some(last) => last.links_mut().ready_next = index,
            None => self.head = index,
        }
        self.tail = index;
    }

    /// Takes the slot that has been in longest.
    #[inline]
    pub(crate) fn pop<N: Node>(&mut self, slots: &mut [N]) -> Option<u32> {
        let index = self.head;
        let links = slots.get_mut(place(index))?.links_mut();
        links.marks.clear(Marks::READY);
        self.head = links.ready_next;
        if self.head == NONE {
            self.tail = NONE;
        }
        Some(index)
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.head == NONE
    }
}
