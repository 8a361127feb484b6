//! A fixed number of small places, for which nobody waits.

use crate::tls::handshake::exchange::ParkedHandshake;
use crate::tls::layer::pool::Index;
use crate::tls::wire::copy;

/// A place in which a server's handshake of which only the client's last message is to come, or the
/// end of a record that a slow peer has taken in part, waits in little memory. See
/// [`Tls::with_parking`](crate::tls::Tls::with_parking). 160 bytes at most, all zero when empty.
pub struct ParkingPlace {
    value: Parked,
    /// The next free place's index, as [`Index`]; 0 ends the list.
    next: u16,
}

impl ParkingPlace {
    /// A place with nothing in it.
    pub const EMPTY: Self = Self {
        value: Parked::EMPTY,
        next: 0,
    };
}

const _: () = assert!(size_of::<ParkingPlace>() <= 160, "as documented");

/// Places in the caller's memory. The index of one is its owner's alone.
pub(crate) struct Slab<'s> {
    slots: &'s mut [ParkingPlace],
    /// Head of the list of free places, as [`Index`].
    free: u16,
    /// Places from here on were never used.
    fresh: u16,
}

impl<'s> Slab<'s> {
    /// Makes a slab in the caller's memory. What is in it is never read: it is replaced first.
    pub(crate) const fn new(slots: &'s mut [ParkingPlace]) -> Self {
        Self {
            slots,
            free: 0,
            fresh: 0,
        }
    }

    /// Puts `value` into a free place; drops it, and returns `None`, if there is none.
    pub(crate) fn insert(&mut self, value: Parked) -> Option<Index> {
        let bits = match self.free {
            0 => self.fresh.saturating_add(1),
            free => free,
        };
        let index = Index::from_bits(bits);
        let slot = index.get().and_then(|at| self.slots.get_mut(at))?;
        match self.free {
            0 => self.fresh = bits,
            _ => self.free = slot.next,
        }
        slot.value = value;
        Some(index)
    }

    /// Returns the value at `index`.
    pub(crate) fn get(&mut self, index: Index) -> Option<&mut Parked> {
        let slot = self.slots.get_mut(index.get()?)?;
        Some(&mut slot.value)
    }

    /// Takes the value at `index`, which becomes free, and leaves `empty`.
    pub(crate) fn remove(&mut self, index: Index, empty: Parked) -> Option<Parked> {
        let slot = self.slots.get_mut(index.get()?)?;
        slot.next = core::mem::replace(&mut self.free, index.to_bits());
        Some(core::mem::replace(&mut slot.value, empty))
    }
}

/// What a socket may keep in little memory, of which there is enough for many. All zero bytes when
/// empty, wiped when replaced.
#[repr(u8)]
pub(crate) enum Parked {
    Empty = 0,
    /// A server's handshake that waits for the client's `Finished`.
    Handshake(ParkedHandshake),
    /// The end of an open connection's record that the platform has taken in part.
    Tail(Tail),
}

impl Parked {
    pub(crate) const EMPTY: Self = Self::Empty;
}

/// Most bytes of a [`Tail`].
pub(crate) const TAIL_MAX: usize = 130;

/// The end of a small record that the platform has not taken.
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
        let spare = self.bytes.get_mut(usize::from(self.end)..);
        let fits = copy(spare.unwrap_or_default(), bytes);
        if let (true, Ok(end)) = (fits, u8::try_from(len)) {
            self.end = end;
        }
        fits
    }

    /// Returns the bytes that are left.
    pub(crate) fn filled(&self) -> &[u8] {
        let range = usize::from(self.start)..usize::from(self.end);
        self.bytes.get(range).unwrap_or_default()
    }

    /// Marks `count` bytes from the front as sent.
    pub(crate) fn consume(&mut self, count: usize) {
        let count = u8::try_from(count).unwrap_or(u8::MAX);
        self.start = self.start.saturating_add(count).min(self.end);
    }
}
