//! Ids of slots that are never mistaken for another connection.

use core::num::NonZeroU32;

/// The id of one socket of one loop, from the moment it is made until it is closed.
///
/// An id is never valid again after its socket closed: the slot moves to its next generation, so
/// a stale id is answered with `None`, `0` or nothing, never with another connection. A
/// generation comes again after 2^31 sockets lived in the same slot.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct SocketId {
    index: u32,
    generation: NonZeroU32,
}

impl SocketId {
    pub(crate) const fn new(index: u32, generation: NonZeroU32) -> Self {
        Self { index, generation }
    }

    /// Rebuilds an id from [`Self::to_bits`], for platforms that keep it in a kernel object.
    ///
    /// `None` when the generation half is zero, which no id has; zero is free for a platform's
    /// own use.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u64) -> Option<Self> {
        let [a, b, c, d, e, f, g, h] = bits.to_le_bytes();
        let index = u32::from_le_bytes([a, b, c, d]);
        match NonZeroU32::new(u32::from_le_bytes([e, f, g, h])) {
            Some(generation) => Some(Self::new(index, generation)),
            None => None,
        }
    }

    /// Packs the id into 64 bits: index in the low half, generation in the high half.
    #[inline]
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        let [a, b, c, d] = self.index.to_le_bytes();
        let [e, f, g, h] = self.generation.get().to_le_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h])
    }

    /// The slot's place in the pool, below the pool's capacity: an index for arrays beside it.
    #[inline]
    #[must_use]
    pub const fn index(self) -> u32 {
        self.index
    }

    /// The slot's own entry in a table that has one for each slot of the pool; `None` when the
    /// table is shorter.
    ///
    /// For what is large and seldom used, such as buffers: a table keeps it out of the way of what
    /// each call needs, and untouched until then.
    #[inline]
    #[must_use]
    pub fn entry<T>(self, table: &mut [T]) -> Option<&mut T> {
        table.get_mut(to_index(self.index))
    }

    #[inline]
    pub(crate) const fn generation(self) -> u32 {
        self.generation.get()
    }
}

/// A slot's index, to index with. Saturates where addresses have fewer than 32 bits.
#[inline]
pub(crate) fn to_index(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// The id of one listener, from [`Net::listen`](crate::Net::listen) until it stops listening.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ListenerId(pub(crate) SocketId);

/// The id of one timer, from [`Net::start_timer`](crate::Net::start_timer) until it is stopped or,
/// if it does not repeat, has fired.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TimerId(pub(crate) SocketId);

impl From<ListenerId> for SocketId {
    /// The id of the listener's slot.
    fn from(listener: ListenerId) -> Self {
        listener.0
    }
}

impl From<TimerId> for SocketId {
    /// The id of the timer's slot.
    fn from(timer: TimerId) -> Self {
        timer.0
    }
}
