//! A fixed number of small places, for which nobody waits.

use crate::tls::layer::pool::Index;

/// A place of a [`Slab`], all zero bytes at first if its value is.
pub(crate) struct Slot<T> {
    value: T,
    /// The next free place's index, as [`Index`]; 0 ends the list.
    next: u16,
}

impl<T> Slot<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self { value, next: 0 }
    }
}

/// Places in the caller's memory. The index of one is its owner's alone.
pub(crate) struct Slab<'s, T> {
    slots: &'s mut [Slot<T>],
    /// Head of the list of free places, as [`Index`].
    free: u16,
    /// Places from here on were never used.
    fresh: u16,
}

impl<'s, T> Slab<'s, T> {
    /// Makes a slab in the caller's memory. What is in it is never read: it is replaced first.
    pub(crate) const fn new(slots: &'s mut [Slot<T>]) -> Self {
        Self {
            slots,
            free: 0,
            fresh: 0,
        }
    }

    /// Puts `value` into a free place; gives it back if there is none.
    pub(crate) fn insert(&mut self, value: T) -> Result<Index, T> {
        let bits = match self.free {
            0 => self.fresh.saturating_add(1),
            free => free,
        };
        let index = Index::from_bits(bits);
        let Some(slot) = index.get().and_then(|at| self.slots.get_mut(at)) else {
            return Err(value);
        };
        match self.free {
            0 => self.fresh = bits,
            _ => self.free = slot.next,
        }
        slot.value = value;
        Ok(index)
    }

    /// Returns the value at `index`.
    pub(crate) fn get(&mut self, index: Index) -> Option<&mut T> {
        let slot = self.slots.get_mut(index.get()?)?;
        Some(&mut slot.value)
    }

    /// Takes the value at `index`, which becomes free, and leaves `empty`.
    pub(crate) fn remove(&mut self, index: Index, empty: T) -> Option<T> {
        let slot = self.slots.get_mut(index.get()?)?;
        slot.next = core::mem::replace(&mut self.free, index.to_bits());
        Some(core::mem::replace(&mut slot.value, empty))
    }
}
