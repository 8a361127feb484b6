//! Memory that the connections of an HTTP server lease, for more of them than there is memory for.
//!
//! A request that comes whole and a response that is taken at once need none beyond the call. Only
//! who sent a part of a request, or does not take its response, keeps a *set*: an input and an
//! output. One set is always free for the next call. When a call keeps that one and no other is
//! free, who has had a set for the longest time loses it: of those with the beginning of a request,
//! or of those with a response, whichever have more than half of the sets. So of slow clients
//! without number each has a set until as many of its kind have come after it, neither kind takes
//! the other's half, and nobody else waits for them. Who has lost its set gets none again, so that
//! it takes none from others: it is reset unless it takes at once what it is told.
//!
//! A program that includes this file has `http` among its root modules.

use usockets::SocketId;

use crate::http::memory::{Kept, Pieces, Pool};

/// Stands for no set in the table of slots, and for none ever again.
const NO_SET: u16 = 0;
const LOST: u16 = u16::MAX;

/// A set: what a connection received and has not used, and what its client has not taken.
#[derive(Debug)]
pub(crate) struct Set<const IN: usize, const OUT: usize> {
    input: [u8; IN],
    output: [u8; OUT],
}

/// Who has a set, since when in the order of all leases, and whether there is a response in it.
#[derive(Clone, Copy, Debug)]
struct Lease {
    holder: Option<SocketId>,
    since: u64,
    is_response: bool,
}

/// The memory of a server whose pool has `N` slots, in which `SETS` connections may keep something
/// at once: zero bytes, so that a static costs no image space.
#[derive(Debug)]
pub(crate) struct LeasedStore<const IN: usize, const OUT: usize, const SETS: usize, const N: usize>
{
    sets: [Set<IN, OUT>; SETS],
    leases: [Lease; SETS],
    /// By slot, one more than the number of the set that its connection has; or [`NO_SET`], or
    /// [`LOST`].
    held: [u16; N],
    draft: [u8; OUT],
}

impl<const IN: usize, const OUT: usize, const SETS: usize, const N: usize>
    LeasedStore<IN, OUT, SETS, N>
{
    /// Bytes of the table for each slot, and of each set.
    pub(crate) const SLOT_BYTES: usize = size_of::<u16>();
    pub(crate) const SET_BYTES: usize = size_of::<Set<IN, OUT>>() + size_of::<Lease>();

    /// Makes the memory.
    pub(crate) const fn new() -> Self {
        const {
            assert!(SETS > 1 && SETS < 65_535, "one is always free");
        }
        Self {
            sets: [const {
                Set {
                    input: [0; IN],
                    output: [0; OUT],
                }
            }; SETS],
            leases: [const {
                Lease {
                    holder: None,
                    since: 0,
                    is_response: false,
                }
            }; SETS],
            held: [NO_SET; N],
            draft: [0; OUT],
        }
    }

    /// Returns the pool; of memory that is new, all sets are free.
    pub(crate) const fn pool(&mut self) -> Leases<'_, IN, OUT> {
        Leases {
            sets: &mut self.sets,
            leases: &mut self.leases,
            held: &mut self.held,
            draft: &mut self.draft,
            spare: 0,
            count: 0,
            evicted: 0,
        }
    }
}

/// The sets, and who has which.
#[derive(Debug)]
pub(crate) struct Leases<'m, const IN: usize, const OUT: usize> {
    sets: &'m mut [Set<IN, OUT>],
    leases: &'m mut [Lease],
    held: &'m mut [u16],
    draft: &'m mut [u8; OUT],
    /// The free set that the next call works with.
    spare: u16,
    /// Leases so far.
    count: u64,
    /// Sets that were taken from who had them.
    pub(crate) evicted: u64,
}

impl<const IN: usize, const OUT: usize> Leases<'_, IN, OUT> {
    /// Returns the number of the set that a connection has.
    fn set_of(&mut self, id: SocketId) -> Option<u16> {
        let set = id.entry(self.held)?.checked_sub(1)?;
        let lease = self.leases.get(usize::from(set))?;
        (lease.holder == Some(id)).then_some(set)
    }

    /// Returns a free set, or the one whose holder is to lose it.
    fn next_spare(&self) -> u16 {
        let leased = self.leases.iter().filter(|lease| lease.holder.is_some());
        let responses = leased.filter(|lease| lease.is_response).count();
        let is_response = responses > self.leases.len() / 2;
        let all = (0_u16..).zip(self.leases.iter());
        let next = all.min_by_key(|(_, lease)| match lease.holder {
            None => (false, false, 0),
            Some(_) => (true, lease.is_response != is_response, lease.since),
        });
        next.map_or(0, |(set, _)| set)
    }

    /// Ends a lease, if there is one, and has the table of slots say `instead` of who had it.
    /// Returns who that is.
    fn release(&mut self, set: u16, instead: u16) -> Option<SocketId> {
        let lease = self.leases.get_mut(usize::from(set))?;
        let holder = lease.holder.take()?;
        if let Some(held) = holder.entry(self.held) {
            *held = instead;
        }
        Some(holder)
    }
}

impl<const IN: usize, const OUT: usize> Pool for Leases<'_, IN, OUT> {
    const OUT: usize = OUT;

    /// Descriptors never run out where memory is as scarce.
    fn clients(&mut self) -> &mut [Option<SocketId>] {
        &mut []
    }

    fn memory(&mut self, id: SocketId) -> Pieces<'_> {
        let set = self.set_of(id).unwrap_or(self.spare);
        let set = self.sets.get_mut(usize::from(set));
        let (input, output) = set.map_or((&mut [][..], &mut [][..]), |set| {
            (&mut set.input[..], &mut set.output[..])
        });
        Pieces {
            input,
            output,
            draft: self.draft,
        }
    }

    fn after_call(&mut self, id: SocketId, kept: Kept) -> Option<SocketId> {
        let is_response = kept == Kept::Response;
        match (self.set_of(id), kept) {
            (None, Kept::Nothing) => None,
            (Some(set), Kept::Nothing) => {
                self.release(set, NO_SET);
                None
            }
            (Some(set), _) => {
                self.leases.get_mut(usize::from(set))?.is_response = is_response;
                None
            }
            (None, _) if id.entry(self.held).copied() == Some(LOST) => Some(id),
            (None, _) => {
                self.count = self.count.wrapping_add(1);
                *self.leases.get_mut(usize::from(self.spare))? = Lease {
                    holder: Some(id),
                    since: self.count,
                    is_response,
                };
                *id.entry(self.held)? = self.spare.wrapping_add(1);
                self.spare = self.next_spare();
                let loser = self.release(self.spare, LOST);
                self.evicted = self.evicted.wrapping_add(u64::from(loser.is_some()));
                loser
            }
        }
    }

    fn on_close(&mut self, id: SocketId) {
        if let Some(set) = self.set_of(id) {
            self.release(set, NO_SET);
        }
        if let Some(held) = id.entry(self.held) {
            *held = NO_SET;
        }
    }
}
