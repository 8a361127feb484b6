//! From a segment's addresses to its connection, in constant time.

use core::net::SocketAddr;

use smoltcp::wire::{IpAddress, IpEndpoint};

use crate::number::place;
use crate::smoltcp::slot::{Flags, NONE, Slot};

/// Most slots that links can tell apart.
pub(crate) const SLOTS_MAX: u32 = 1 << 24;
/// In a link: the end of a chain, and the rest is the bucket's number. Another link is a slot's
/// index and, above, [`TAG`] of its hash: most of those that are not looked for are passed over
/// without a look at their sockets.
const END: u32 = 1 << 31;
/// The bits of a hash that links hold; buckets go by the lower ones.
const TAG: u32 = !END & !(SLOTS_MAX - 1);

/// A hash table with chains through the slots.
///
/// The hash is keyed ([`crate::hash::Secret`]), so a peer cannot choose addresses that meet in one
/// bucket. No slot keeps its hash: the end of a chain tells whose it is.
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
        for (end, bucket) in (END..).zip(buckets.iter_mut()) {
            *bucket = end;
        }
        Some(Self {
            buckets,
            last: NONE,
        })
    }

    /// Returns the slot found last if it is that of the connection between `local` and `remote`.
    #[inline(always)]
    pub(crate) fn last(&self, slots: &[Slot<'_>], pair: (&SocketAddr, &SocketAddr)) -> Option<u32> {
        let slot = slots.get(place(self.last))?;
        (slot.flags.has(Flags::LISTED) && is_of(slot, pair)).then_some(self.last)
    }

    /// Finds the slot of the connection between `local` and `remote`.
    #[inline]
    pub(crate) fn find(
        &mut self,
        slots: &[Slot<'_>],
        hash: u32,
        pair: (&SocketAddr, &SocketAddr),
    ) -> Option<u32> {
        let mut link = *self.buckets.get(self.bucket(hash))?;
        // A chain is never longer than all slots.
        for _ in slots {
            let index = linked(link)?;
            let slot = slots.get(place(index))?;
            if (link ^ hash) & TAG == 0 && is_of(slot, pair) {
                self.last = index;
                return Some(index);
            }
            link = slot.chain;
        }
        None
    }

    /// Adds a slot that is not in the table.
    pub(crate) fn insert(&mut self, slots: &mut [Slot<'_>], index: u32, hash: u32) {
        let at = self.bucket(hash);
        let (Some(slot), Some(head)) = (slots.get_mut(place(index)), self.buckets.get_mut(at))
        else {
            return;
        };
        slot.flags.set(Flags::LISTED);
        slot.chain = core::mem::replace(head, index | (hash & TAG));
    }

    /// Takes a slot out if it is in the table.
    pub(crate) fn remove(&mut self, slots: &mut [Slot<'_>], index: u32) {
        let Some(slot) = slots.get_mut(place(index)) else {
            return;
        };
        if !slot.flags.has(Flags::LISTED) {
            return;
        }
        slot.flags.clear(Flags::LISTED);
        let chain = slot.chain;
        let mut end = chain;
        for _ in 0..slots.len() {
            let after = linked(end).and_then(|index| slots.get(place(index)));
            let Some(slot) = after else {
                break;
            };
            end = slot.chain;
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
            link = &mut slot.chain;
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

/// Whether a slot has the connection between the two ends.
#[inline(always)]
fn is_of(slot: &Slot<'_>, (local, remote): (&SocketAddr, &SocketAddr)) -> bool {
    let Some(socket) = slot.peek() else {
        return false;
    };
    is_at(socket.remote_endpoint(), remote) && is_at(socket.local_endpoint(), local)
}

/// Whether smoltcp's and our address are the same.
#[inline(always)]
fn is_at(end: Option<IpEndpoint>, address: &SocketAddr) -> bool {
    end.is_some_and(|end| {
        end.port == address.port()
            && match (end.addr, address) {
                (IpAddress::Ipv4(ip), SocketAddr::V4(address)) => ip == *address.ip(),
                (IpAddress::Ipv6(ip), SocketAddr::V6(address)) => ip == *address.ip(),
                _ => false,
            }
    })
}
