//! A fixed number of places, for which nobody waits.

use core::mem::{replace, swap};

use crate::invariant::{CHECKED, impossible, invariant};
use crate::tls::crypto::provider::Crypto;
use crate::tls::handshake::exchange::{Exchange, ParkedHandshake};
use crate::tls::layer::pool::{Index, LEASE_MIN, NEVER};
use crate::tls::wire::{copy, part, part_mut};

/// A place in which a server's handshake of which only the client's last message is to come, or the
/// end of a record that a slow peer has taken in part, waits in little memory. See
/// [`Tls::with_parking`](crate::tls::Tls::with_parking). 176 bytes, all zero when empty.
#[cfg_attr(feature = "search", derive(Clone))]
pub struct ParkingPlace(Place<Parked>);

impl ParkingPlace {
    /// A place with nothing in it.
    pub const EMPTY: Self = Self(Place::EMPTY);
}

/// A place in which a server's handshake waits of which more than the last message is to come: of a
/// client that is asked for a certificate, or for another hello. See
/// [`Tls::with_exchange_parking`](crate::tls::Tls::with_exchange_parking). 1,152 bytes, all zero
/// when empty.
#[cfg_attr(feature = "search", derive(Clone))]
pub struct ExchangePlace<C: Crypto>(Place<ParkedExchange<C>>);

impl<C: Crypto> ExchangePlace<C> {
    /// A place with nothing in it.
    pub const EMPTY: Self = Self(Place::EMPTY);
}

/// One of the two.
pub(crate) trait Slot {
    /// What it may have.
    type Value: Value;

    fn place(&self) -> &Place<Self::Value>;

    fn place_mut(&mut self) -> &mut Place<Self::Value>;
}

impl Slot for ParkingPlace {
    type Value = Parked;

    fn place(&self) -> &Place<Parked> {
        &self.0
    }

    fn place_mut(&mut self) -> &mut Place<Parked> {
        &mut self.0
    }
}

impl<C: Crypto> Slot for ExchangePlace<C> {
    type Value = ParkedExchange<C>;

    fn place(&self) -> &Place<Self::Value> {
        &self.0
    }

    fn place_mut(&mut self) -> &mut Place<Self::Value> {
        &mut self.0
    }
}

/// A value, and whose it is.
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct Place<T> {
    value: T,
    /// Bits of the socket whose it is.
    owner: u64,
    /// When it was taken, in microseconds.
    since: u64,
    /// The next free place, or the handshake that was parked next, as [`Index`]; 0 ends the list.
    next: u16,
    /// The handshake that was parked before, likewise.
    previous: u16,
    /// What is in it is the end of a record.
    is_tail: bool,
}

impl<T: Value> Place<T> {
    const EMPTY: Self = Self {
        value: T::EMPTY,
        owner: 0,
        since: 0,
        next: 0,
        previous: 0,
        is_tail: false,
    };
}

const _: () = assert!(size_of::<ParkingPlace>() <= 176, "as documented");

/// Most places of a slab that is checked from end to end in tests.
const CHECKED_MAX: usize = 256;

/// Places of which use is made. Sockets keep the highest bit of an index for something else.
const PLACES_MAX: usize = 0x7fff;

/// Places in the caller's memory.
///
/// A handshake that finds none takes that of the one that has been parked for longest, if that was
/// for [`LEASE_MIN`] at least, and its own lease is wanted: that one is over, since the place is no
/// longer its owner's. The ends of records take at most half of the places, rounded up, and are
/// never replaced.
pub(crate) struct Slab<'s, S> {
    slots: &'s mut [S],
    /// Head of the list of free places, as [`Index`].
    free: u16,
    /// Places from here on were never used.
    fresh: u16,
    /// The ends of the list of handshakes, in the order in which they were parked.
    oldest: u16,
    newest: u16,
    tails: u16,
    /// The present, in microseconds.
    now: u64,
}

impl<'s, S: Slot> Slab<'s, S> {
    /// Makes a slab in the caller's memory. What is in it is never read: it is replaced first.
    pub(crate) const fn new(slots: &'s mut [S]) -> Self {
        Self {
            slots,
            free: 0,
            fresh: 0,
            oldest: 0,
            newest: 0,
            tails: 0,
            now: 0,
        }
    }

    /// Sets the time, in microseconds.
    pub(crate) fn set_now(&mut self, now: u64) {
        self.now = now;
        if CHECKED {
            self.check();
        }
    }

    /// Checks the list of handshakes from end to end, and the count of the rest, if there are not
    /// too many places.
    fn check(&self) {
        let Some(used) = self.slots.get(..usize::from(self.fresh)) else {
            impossible!("places that were used are of the slab");
            return;
        };
        if used.len() > CHECKED_MAX {
            return;
        }
        let owned = used
            .iter()
            .map(Slot::place)
            .filter(|place| place.owner != 0);
        let (tails, handshakes): (usize, usize) = owned.fold((0, 0), |(tails, others), place| {
            let is_tail = usize::from(place.is_tail);
            let is_other = usize::from(!place.is_tail);
            (tails.wrapping_add(is_tail), others.wrapping_add(is_other))
        });
        invariant!(
            tails == usize::from(self.tails),
            "the ends of records are counted"
        );
        let (mut link, mut last, mut left) = (self.oldest, 0, handshakes);
        while let Some(slot) = Index::from_bits(link).get().and_then(|at| used.get(at)) {
            let place = slot.place();
            invariant!(
                place.owner != 0 && !place.is_tail,
                "the list is of handshakes"
            );
            invariant!(place.previous == last, "links lead back");
            invariant!(left > 0, "a handshake is on the list once");
            left = left.saturating_sub(1);
            last = link;
            link = place.next;
        }
        invariant!(left == 0, "a handshake that is parked is on the list");
        invariant!(self.newest == last, "the list ends where it says");
    }

    /// Puts a handshake into a free place, or if `replaces` into that of the one that has been
    /// parked for longest, which has had its time ([`Self::room_due`]), and leaves an empty value
    /// for it; `None`, and it stays, if there is no place.
    pub(crate) fn insert_handshake(
        &mut self,
        owner: u64,
        handshake: &mut S::Value,
        replaces: bool,
    ) -> Option<Index> {
        let due = self.room_due();
        if replaces && due > 0 && due <= self.now {
            self.remove_at(Index::from_bits(self.oldest));
        }
        let index = self.put(owner, handshake)?;
        let newest = replace(&mut self.newest, index.to_bits());
        match self.slot(Index::from_bits(newest)) {
            Some(slot) => slot.next = index.to_bits(),
            None => self.oldest = index.to_bits(),
        }
        let slot = self.slot(index)?;
        invariant!(!slot.is_tail, "the list is of handshakes");
        slot.next = 0;
        slot.previous = newest;
        Some(index)
    }

    /// Puts the end of a record into a free place; drops it, and returns `None`, if there is none,
    /// or half of them have others.
    pub(crate) fn insert_tail(&mut self, owner: u64, mut tail: S::Value) -> Option<Index> {
        if usize::from(self.tails) >= self.slots.len().div_ceil(2) {
            return None;
        }
        let index = self.put(owner, &mut tail)?;
        self.tails = self.tails.saturating_add(1);
        Some(index)
    }

    /// Returns from when on a handshake that is wanted finds a place, in microseconds: 0 if one is
    /// free, or else when the one that has been parked for longest has had its time.
    pub(crate) fn room_due(&self) -> u64 {
        if self.has_free() {
            return 0;
        }
        let oldest = Index::from_bits(self.oldest).get();
        let oldest = oldest.and_then(|at| self.slots.get(at));
        oldest.map_or(NEVER, |slot| slot.place().since.saturating_add(LEASE_MIN))
    }

    /// Returns the value at `index`, if that is still the owner's.
    pub(crate) fn get(&mut self, index: Index, owner: u64) -> Option<&mut S::Value> {
        let slot = self.slot(index)?;
        (slot.owner == owner).then_some(&mut slot.value)
    }

    /// Returns true if the place at `index` is still the owner's.
    pub(crate) fn is_of(&self, index: Index, owner: u64) -> bool {
        let slot = index.get().and_then(|at| self.slots.get(at));
        slot.is_some_and(|slot| slot.place().owner == owner)
    }

    /// Takes the value at `index`, which becomes free, if it is still the owner's.
    pub(crate) fn remove(&mut self, index: Index, owner: u64) {
        if self.is_of(index, owner) {
            self.remove_at(index);
        }
    }

    fn remove_at(&mut self, index: Index) {
        let free = self.free;
        let Some(slot) = self.slot(index) else {
            impossible!("a place that is somebody's is of the slab");
            return;
        };
        invariant!(slot.owner != 0, "a place is given back once");
        let is_tail = slot.is_tail;
        slot.value = S::Value::EMPTY;
        let next = replace(&mut slot.next, free);
        let previous = core::mem::take(&mut slot.previous);
        slot.owner = 0;
        self.free = index.to_bits();
        if !is_tail {
            match self.slot(Index::from_bits(previous)) {
                Some(slot) => slot.next = next,
                None => self.oldest = next,
            }
            match self.slot(Index::from_bits(next)) {
                Some(slot) => slot.previous = previous,
                None => self.newest = previous,
            }
        } else {
            invariant!(self.tails > 0, "the ends of records are counted");
            self.tails = self.tails.saturating_sub(1);
        }
    }

    fn put(&mut self, owner: u64, value: &mut S::Value) -> Option<Index> {
        if !self.has_free() {
            return None;
        }
        let bits = match self.free {
            0 => self.fresh.saturating_add(1),
            free => free,
        };
        let (index, now, fresh) = (Index::from_bits(bits), self.now, self.fresh);
        let Some(slot) = self.slot(index) else {
            impossible!("a free place is of the slab");
            return None;
        };
        invariant!(slot.owner == 0 || bits > fresh, "a free place is nobody's");
        invariant!(owner != 0, "what is parked is somebody's");
        let next = slot.next;
        slot.is_tail = value.is_tail();
        slot.value = S::Value::EMPTY;
        swap(&mut slot.value, value);
        slot.owner = owner;
        slot.since = now;
        match self.free {
            0 => self.fresh = bits,
            _ => self.free = next,
        }
        Some(index)
    }

    fn has_free(&self) -> bool {
        self.free != 0 || usize::from(self.fresh) < self.slots.len().min(PLACES_MAX)
    }

    fn slot(&mut self, index: Index) -> Option<&mut Place<S::Value>> {
        self.slots.get_mut(index.get()?).map(Slot::place_mut)
    }
}

#[cfg(feature = "search")]
impl<S: Slot> Slab<'_, S> {
    /// Returns how many places are taken.
    pub(crate) fn count(&self) -> usize {
        let is_used = |slot: &&S| slot.place().owner != 0;
        self.slots.iter().filter(is_used).count()
    }
}

#[cfg(feature = "search")]
impl<S: Slot + Clone> Slab<'_, S> {
    /// Makes this slab what `other` is; false if it has another length.
    pub(crate) fn copy_from(&mut self, other: &Self) -> bool {
        let Slab {
            slots,
            free,
            fresh,
            oldest,
            newest,
            tails,
            now,
        } = other;
        (self.free, self.fresh, self.tails) = (*free, *fresh, *tails);
        (self.oldest, self.newest, self.now) = (*oldest, *newest, *now);
        crate::tls::layer::search::copy_all(self.slots, slots)
    }
}

#[cfg(feature = "search")]
impl<S: Slot> core::hash::Hash for Slab<'_, S>
where
    S::Value: core::hash::Hash,
{
    fn hash<H: core::hash::Hasher>(&self, into: &mut H) {
        let Self {
            slots,
            free,
            fresh,
            oldest,
            newest,
            tails,
            now,
        } = self;
        for slot in slots.iter().take(usize::from(*fresh)) {
            let Place {
                value,
                owner,
                since,
                next,
                previous,
                is_tail,
            } = slot.place();
            value.hash(into);
            crate::tls::layer::search::hash_owner(*owner, into);
            if *owner != 0 {
                now.wrapping_sub(*since).hash(into);
            }
            (next, previous, is_tail).hash(into);
        }
        (free, fresh, oldest, newest, tails).hash(into);
    }
}

/// What a [`Place`] may have.
pub(crate) trait Value {
    /// Nothing, all zero bytes.
    const EMPTY: Self;

    /// Returns true if it is the end of a record, and no handshake.
    fn is_tail(&self) -> bool;
}

/// All of a server's handshake but the message that is being put together. Wiped when replaced.
#[cfg_attr(feature = "search", derive(Clone, Hash))]
pub(crate) struct ParkedExchange<C: Crypto>(pub(crate) Exchange<C>);

impl<C: Crypto> Value for ParkedExchange<C> {
    const EMPTY: Self = Self(Exchange::EMPTY);

    fn is_tail(&self) -> bool {
        false
    }
}

/// What a socket may keep in little memory, of which there is enough for many. All zero bytes when
/// empty, wiped when replaced.
#[repr(u8)]
#[cfg_attr(feature = "search", derive(Clone, Hash))]
pub(crate) enum Parked {
    /// Nothing.
    Empty = 0,
    /// A server's handshake that waits for the client's `Finished`.
    Handshake(ParkedHandshake),
    /// The end of an open connection's record that the platform has taken in part.
    Tail(Tail),
}

impl Value for Parked {
    const EMPTY: Self = Self::Empty;

    fn is_tail(&self) -> bool {
        matches!(self, Self::Tail(_))
    }
}

/// Most bytes of a [`Tail`].
pub(crate) const TAIL_MAX: usize = 130;

/// The end of a small record that the platform has not taken.
#[cfg_attr(feature = "search", derive(Clone, Hash))]
pub(crate) struct Tail {
    bytes: [u8; TAIL_MAX],
    start: u8,
    end: u8,
}

impl Tail {
    /// Keeps `bytes`; none if they are more than [`TAIL_MAX`].
    pub(crate) fn new(bytes: &[u8]) -> Option<Self> {
        let mut tail = Self {
            bytes: [0; TAIL_MAX],
            start: 0,
            end: 0,
        };
        tail.push(bytes).then_some(tail)
    }

    /// Adds `bytes`; false, and nothing has changed, if they do not fit.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> bool {
        let len = usize::from(self.end).saturating_add(bytes.len());
        let spare = part_mut(&mut self.bytes, usize::from(self.end)..);
        let fits = copy(spare, bytes);
        if let (true, Ok(end)) = (fits, u8::try_from(len)) {
            self.end = end;
        }
        fits
    }

    /// Returns the bytes that are left.
    pub(crate) fn filled(&self) -> &[u8] {
        let range = usize::from(self.start)..usize::from(self.end);
        part(&self.bytes, range)
    }

    /// Marks `count` bytes from the front as sent.
    pub(crate) fn consume(&mut self, count: usize) {
        let count = u8::try_from(count).unwrap_or(u8::MAX);
        self.start = self.start.saturating_add(count).min(self.end);
    }
}
