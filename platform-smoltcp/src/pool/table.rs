//! From a key to its slot, in constant time.

use crate::number::place;
use crate::pool::links::{Marks, NONE, Node};

/// Most slots that links can tell apart.
pub(crate) const SLOTS_MAX: u32 = 1 << 24;
/// In a link: the end of a chain, and the rest is the bucket's number. Another link is a slot's
/// index and, above, [`TAG`] of its hash: most of those that are not looked for are passed over
/// without a look at them.
const END: u32 = 1 << 31;
/// The bits of a hash that links hold; buckets go by the lower ones.
const TAG: u32 = !END & !(SLOTS_MAX - 1);

/// A hash table with chains through the slots.
///
/// The caller's hash is keyed, so that a peer cannot choose what meets in one bucket. No slot keeps
/// its hash: the end of a chain tells whose it is.
pub(crate) struct Table<'a> {
    /// A power of two of them.
    buckets: &'a mut [u32],
    /// What was found last: segments come in trains.
    last: u32,
}

impl<'a> Table<'a> {
    /// Makes a table without buckets, in which nothing is found.
    pub(crate) const fn empty() -> Self {
        Self {
            buckets: &mut [],
            last: NONE,
        }
    }

    /// Makes an empty table of the largest power of two of buckets that `buckets` holds; `None`
    /// without any.
    pub(crate) fn new(buckets: &'a mut [u32]) -> Option<Self> {
        let count = 1_usize.checked_shl(buckets.len().checked_ilog2()?)?;
        let buckets = buckets.get_mut(..count)?;
        let mut end = END;
        for bucket in buckets.iter_mut() {
            *bucket = end;
            end = end.wrapping_add(1);
        }
        Some(Self {
            buckets,
            last: NONE,
        })
    }

    /// Returns the slot found last if it is the one with `key`.
    #[inline(always)]
    pub(crate) fn found_last<N: Node>(&self, slots: &[N], key: &N::Key) -> Option<u32> {
        let slot = slots.get(place(self.last))?;
        (slot.links().has(Marks::LISTED) && slot.has_key(key)).then_some(self.last)
    }

    /// Finds the slot with `key`, whose hash is `hash`.
    #[inline]
    pub(crate) fn find<N: Node>(&mut self, slots: &[N], hash: u32, key: &N::Key) -> Option<u32> {
        let mut link = *self.buckets.get(self.bucket(hash))?;
        // A chain is never longer than all slots.
        for _ in slots {
            let index = linked(link)?;
            let slot = slots.get(place(index))?;
            if (link ^ hash) & TAG == 0 && slot.has_key(key) {
                self.last = index;
                return Some(index);
            }
            link = slot.links().chain;
        }
        None
    }

    /// Adds a slot that is not in the table.
    pub(crate) fn insert<N: Node>(&mut self, slots: &mut [N], index: u32, hash: u32) {
        let at = self.bucket(hash);
        let (Some(slot), Some(head)) = (slots.get_mut(place(index)), self.buckets.get_mut(at))
        else {
            return;
        };
        let links = slot.links_mut();
        links.marks.set(Marks::LISTED);
        links.chain = core::mem::replace(head, index | (hash & TAG));
    }

    /// Takes a slot out if it is in the table.
    pub(crate) fn remove<N: Node>(&mut self, slots: &mut [N], index: u32) {
        let Some(slot) = slots.get_mut(place(index)) else {
            return;
        };
        let links = slot.links_mut();
        if !links.has(Marks::LISTED) {
            return;
        }
        links.marks.clear(Marks::LISTED);
        let chain = links.chain;
        let mut end = chain;
        for _ in 0..slots.len() {
            let after = linked(end).and_then(|index| slots.get(place(index)));
            let Some(slot) = after else {
                break;
            };
            end = slot.links().chain;
        }
        let Some(mut link) = self.buckets.get_mut(place(end & !END)) else {
            return;
        };
        for _ in 0..slots.len() {
            let Some(at) = linked(*link) else {
                return;
            };
            if at == index {
                *link = chain;
                return;
            }
            let Some(slot) = slots.get_mut(place(at)) else {
                return;
            };
            link = &mut slot.links_mut().chain;
        }
    }

    #[inline]
    fn bucket(&self, hash: u32) -> usize {
        place(hash) & self.buckets.len().saturating_sub(1)
    }
}

/// Returns the slot that a link leads to; `None` at the end of a chain.
#[inline]
fn linked(link: u32) -> Option<u32> {
    (link & END == 0).then_some(link & (SLOTS_MAX - 1))
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::pool::links::tests::Bare;
    use std::vec::Vec;

    /// Against a plain search, with few buckets and hashes that meet.
    #[test]
    fn agrees_with_a_plain_search() {
        for seed in 1..=40_u64 {
            let mut random = crate::random::Random::new(seed);
            let mut slots: Vec<Bare> = (0..30).map(Bare::new).collect();
            let mut buckets = [0; 5];
            let mut table = Table::new(&mut buckets).unwrap();
            let hash = |key: u32| key.wrapping_mul(0x8100_0003) & 0xff00_0003;
            let mut model = [false; 30];
            for _ in 0..2_000 {
                let index = crate::number::low(random.below(30));
                let held = &mut model[place(index)];
                if *held {
                    table.remove(&mut slots, index);
                } else {
                    table.insert(&mut slots, index, hash(index));
                }
                *held = !*held;
                for (key, held) in (0..30).zip(model) {
                    let found = table.find(&slots, hash(key), &key);
                    assert_eq!(found, held.then_some(key), "seed {seed}");
                    assert_eq!(table.found_last(&slots, &key), found, "seed {seed}");
                }
            }
        }
    }
}
