//! Sockets that wait for their turn.

use crate::invariant::{impossible, invariant};

/// The sockets that wait, in order, in memory of the caller's.
pub(crate) struct Queue<'s> {
    pub(crate) ring: &'s mut [u64],
    pub(crate) head: usize,
    pub(crate) len: usize,
}

impl Queue<'_> {
    /// Returns where in the ring the socket `offset` behind the first is.
    pub(crate) fn at(&self, offset: usize) -> usize {
        let sum = self.head.wrapping_add(offset);
        sum.checked_rem(self.ring.len()).unwrap_or_default()
    }

    pub(crate) fn position(&self, bits: u64) -> Option<usize> {
        (0..self.len).find(|offset| self.ring.get(self.at(*offset)) == Some(&bits))
    }

    pub(crate) fn push(&mut self, bits: u64) -> bool {
        if self.len >= self.ring.len() {
            return false;
        }
        let at = self.at(self.len);
        let Some(slot) = self.ring.get_mut(at) else {
            impossible!("a place in the ring is beyond its end");
            return false;
        };
        *slot = bits;
        self.len = self.len.wrapping_add(1);
        true
    }

    pub(crate) fn pop(&mut self) -> Option<u64> {
        self.len = self.len.checked_sub(1)?;
        let bits = self.ring.get(self.head).copied();
        invariant!(bits.is_some(), "a place in the ring is beyond its end");
        self.head = self.at(1);
        bits
    }

    /// Takes out the socket at `position`; those behind move up.
    pub(crate) fn remove(&mut self, position: usize) {
        for offset in position..self.len.saturating_sub(1) {
            let next = self.ring.get(self.at(offset.wrapping_add(1))).copied();
            let at = self.at(offset);
            match (self.ring.get_mut(at), next) {
                (Some(slot), Some(next)) => *slot = next,
                _ => impossible!("a place in the ring is beyond its end"),
            }
        }
        self.len = self.len.saturating_sub(1);
    }
}
