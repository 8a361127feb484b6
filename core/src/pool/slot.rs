//! One slot of a pool.

use core::num::NonZeroU32;

use crate::error::Error;
use crate::id::{SocketId, to_index};
use crate::injected_bug::injected_bug;
use crate::invariant::{impossible, invariant};
use crate::pool::flags::{Flags, Phase};

/// In place of a list of the wheel: a listener that waits for the platform or, having as many
/// connections as it may, for one of its own to end.
pub(crate) const WAITING: u8 = u8::MAX;
/// Likewise: a listener that waits for a free slot of the pool.
pub(crate) const WAITING_FOR_SLOT: u8 = u8::MAX - 1;

/// One connection, listener, datagram socket, timer or foreign descriptor. 44 bytes with Linux's
/// socket and the context `()`.
///
/// Most fields mean the same in every phase. `by_phase` and `deadline` do not, and are reached
/// through methods that are named after what they hold:
///
/// | phase | `by_phase` | `deadline` |
/// |---|---|---|
/// | free | 0 | what the last one left, until it is claimed |
/// | timer | period in milliseconds | when it is due |
/// | listening | policy and reserve | cap and count of its connections |
/// | bound, datagrams | 0 | timeout |
/// | accepting | 0 | until when it may open |
/// | connecting | the error that is known already, or 0 | until when it may open |
/// | open | iteration in which it last received | timeout |
/// | broken | the error | timeout |
/// | closing, closing held | why it closed | 0 |
/// | lingering | 0 | until when a layer may send |
/// | foreign | 0 | 0 |
///
/// Links are slot indices plus one, so that zero bytes mean none.
///
/// What the timing wheel looks at stands together at the end, so that most slots cost it one line
/// of the processor's cache, not two; hence the order of the fields.
///
/// Programs see it only where they size a pool at run time
/// ([`Loop::with_slices`](crate::Loop::with_slices)).
#[cfg_attr(feature = "search", derive(Clone))]
#[repr(C)]
pub struct Slot<S, C> {
    pub(crate) socket: S,
    by_phase: u32,
    /// The listener that accepted the connection, its index plus one; 0 for none.
    pub(crate) listener: u32,
    /// Next on the run queue. Outlives the socket: a slot may be queued when it closes.
    pub(crate) queue_next: u32,
    /// Even while free, odd while in use.
    pub(crate) generation: u32,
    /// Neighbours on the one list that the slot is on: of the timing wheel, of the listeners that
    /// wait for a slot, of those whose `on_close` is due, or of the free.
    pub(crate) next: u32,
    pub(crate) prev: u32,
    /// In microseconds, or 0 for never. The slot's place in the wheel may be earlier, never later.
    pub(crate) deadline: Deadline,
    pub(crate) flags: Flags,
    /// Which of the wheel's lists the slot is on; or [`WAITING`] or [`WAITING_FOR_SLOT`].
    pub(crate) bucket: u8,
    pub(crate) context: Place<C>,
}

impl<S, C> Slot<S, C> {
    /// Makes a free slot around a closed socket, [`Platform::CLOSED`](crate::Platform::CLOSED). All
    /// zero bytes if that is.
    #[must_use]
    pub const fn free(socket: S) -> Self {
        Self {
            generation: 0,
            queue_next: 0,
            next: 0,
            prev: 0,
            deadline: Deadline::NEVER,
            by_phase: 0,
            listener: 0,
            flags: Flags::NONE,
            bucket: 0,
            context: Place::Vacant,
            socket,
        }
    }

    /// Returns true if data may still arrive and be delivered.
    #[inline]
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.phase(), Phase::Open | Phase::Broken)
    }

    /// Returns true if the program knows the socket: its `on_open` has been made, its `on_close`
    /// not.
    pub(crate) const fn is_opened(&self) -> bool {
        matches!(self.phase(), Phase::Open | Phase::Broken | Phase::Datagrams)
    }

    /// Returns true if the socket sends, and did not break.
    pub(crate) const fn is_writing(&self) -> bool {
        matches!(self.phase(), Phase::Open | Phase::Datagrams)
    }

    #[inline]
    pub(crate) const fn phase(&self) -> Phase {
        self.flags.phase()
    }

    /// Moves to another phase, and says what `by_phase` holds there.
    #[inline]
    pub(crate) const fn enter(&mut self, phase: Phase, by_phase: u32) {
        self.flags.set_phase(phase);
        self.by_phase = by_phase;
    }

    /// Returns the iteration in which an open socket last received, or opened.
    #[inline]
    pub(crate) fn received_at(&self) -> u32 {
        invariant!(self.phase() == Phase::Open, "only an open socket receives");
        self.by_phase
    }

    #[inline]
    pub(crate) fn set_received_at(&mut self, stamp: u32) {
        invariant!(self.phase() == Phase::Open, "only an open socket receives");
        self.by_phase = stamp;
    }

    /// Returns why a broken connection broke, or a connect failed at once; a datagram socket whose
    /// `on_open` is due did not.
    pub(crate) fn error(&self) -> Option<Error> {
        let has_place = matches!(
            self.phase(),
            Phase::Broken | Phase::Connecting | Phase::Bound
        );
        invariant!(has_place, "what is open or closed has no error");
        (self.by_phase != 0).then(|| Error::from_bits(self.by_phase))
    }

    /// Returns why an open connection broke, of which a receive says `error`. What broke it was
    /// known before if a send or a report told so, and then a layer above may only find its stream
    /// cut. `BrokenPipe` alone may hide a better reason: it is what a send finds after the first.
    pub(crate) fn true_reason(&self, error: Error) -> Error {
        match self.phase() {
            Phase::Broken => match self.error() {
                Some(known) if known != Error::BrokenPipe => known,
                _ => error,
            },
            _ => error,
        }
    }

    /// Returns true if the `on_close` of the socket is due.
    pub(crate) const fn is_closing(&self) -> bool {
        matches!(self.phase(), Phase::Closing | Phase::ClosingHeld)
    }

    /// Returns the packed reason of a closing socket.
    pub(crate) fn close_reason(&self) -> u32 {
        invariant!(self.is_closing(), "only a closing socket has a reason");
        self.by_phase
    }

    /// Returns the period of a timer in milliseconds; 0 for once.
    pub(crate) fn period_millis(&self) -> u32 {
        invariant!(self.phase() == Phase::Timer, "only a timer has a period");
        self.by_phase
    }

    /// Returns how many connections a listener may have, and has.
    pub(crate) fn population(&self) -> Population {
        invariant!(
            self.phase() == Phase::Listening,
            "only a listener has connections"
        );
        Population::of(self.deadline)
    }

    /// Returns a listener's packed policy and reserve.
    pub(crate) fn admission(&self) -> u32 {
        invariant!(self.phase() == Phase::Listening, "only a listener admits");
        self.by_phase
    }
}

/// The most connections of a listener, and how many it has, in the place of a deadline.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Population {
    pub(crate) cap: u32,
    pub(crate) count: u32,
}

impl Population {
    const fn of(deadline: Deadline) -> Self {
        let [a, b, c, d, e, f, g, h] = deadline.micros().to_le_bytes();
        Self {
            cap: u32::from_le_bytes([a, b, c, d]),
            count: u32::from_le_bytes([e, f, g, h]),
        }
    }

    pub(crate) const fn to_deadline(self) -> Deadline {
        let [a, b, c, d] = self.cap.to_le_bytes();
        let [e, f, g, h] = self.count.to_le_bytes();
        Deadline::at(u64::from_le_bytes([a, b, c, d, e, f, g, h]))
    }
}

/// Counts a connection out of those of the listener in slot `index`.
pub(crate) fn count_out<S, C>(slots: &mut [Slot<S, C>], index: u32) {
    if let Some(slot) = slots.get_mut(to_index(index)) {
        let mut population = slot.population();
        invariant!(population.count > 0, "a listener counts its connections");
        population.count = population.count.saturating_sub(1);
        slot.deadline = population.to_deadline();
    }
}

/// A `u64` without its alignment, which would cost each slot four bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[repr(C, packed(4))]
pub(crate) struct Deadline(u64);

impl Deadline {
    pub(crate) const NEVER: Self = Self(0);

    #[inline]
    pub(crate) const fn at(micros: u64) -> Self {
        Self(micros)
    }

    /// Returns the microseconds; 0 for never.
    #[inline]
    pub(crate) const fn micros(self) -> u64 {
        self.0
    }
}

/// The data of a slot, or none: an `Option` whose `None` is always a zero byte, which a niche would
/// not be.
#[expect(clippy::exhaustive_enums, reason = "there is or there is not")]
#[repr(u8)]
#[cfg_attr(feature = "search", derive(Clone))]
pub enum Place<T> {
    /// No data.
    Vacant = 0,
    /// The data of an open socket.
    Occupied(T) = 1,
}

impl<T> Place<T> {
    #[inline]
    pub(crate) const fn as_ref(&self) -> Option<&T> {
        match self {
            Self::Vacant => None,
            Self::Occupied(value) => Some(value),
        }
    }

    #[inline]
    pub(crate) const fn as_mut(&mut self) -> Option<&mut T> {
        match self {
            Self::Vacant => None,
            Self::Occupied(value) => Some(value),
        }
    }
}

/// Returns the slot that has this id; `None` if the id is stale.
///
/// On machines without an operating system it is in the program once: copies would take 1 KB of
/// flash on a Cortex-M3.
#[cfg_attr(not(target_os = "none"), inline)]
#[cfg_attr(target_os = "none", inline(never))]
pub(crate) fn find<S, C>(slots: &mut [Slot<S, C>], id: SocketId) -> Option<&mut Slot<S, C>> {
    let slot = slots.get_mut(to_index(id.index()))?;
    let same = slot.generation == id.generation() || injected_bug!(StaleId);
    same.then_some(slot)
}

/// Returns the slot that has this id, which cannot be stale: the caller has just claimed it, or
/// nothing has run since that could have given it back.
#[inline]
#[track_caller]
pub(crate) fn find_known<S, C>(slots: &mut [Slot<S, C>], id: SocketId) -> Option<&mut Slot<S, C>> {
    let slot = find(slots, id);
    if slot.is_none() {
        impossible!("the id of a socket at hand is good");
    }
    slot
}

/// Returns the slot of a connection, open or opening, or of a datagram socket.
#[inline]
pub(crate) fn find_connection<S, C>(
    slots: &mut [Slot<S, C>],
    id: SocketId,
) -> Option<&mut Slot<S, C>> {
    find(slots, id).filter(|slot| {
        slot.is_opened()
            || matches!(
                slot.phase(),
                Phase::Bound | Phase::Accepting | Phase::Connecting
            )
    })
}

/// Returns the slot of an open connection.
#[inline]
pub(crate) fn find_open<S, C>(slots: &mut [Slot<S, C>], id: SocketId) -> Option<&mut Slot<S, C>> {
    find(slots, id).filter(|slot| slot.is_open())
}

/// Returns the id of what is in a slot; `None` if it is free.
#[inline]
pub(crate) fn id_of<S, C>(slots: &[Slot<S, C>], index: u32) -> Option<SocketId> {
    let slot = slots.get(to_index(index))?;
    if slot.phase() == Phase::Free {
        return None;
    }
    NonZeroU32::new(slot.generation).map(|generation| SocketId::new(index, generation))
}

#[cfg(feature = "search")]
impl<S: core::hash::Hash, C: core::hash::Hash> Slot<S, C> {
    /// Hashes what influences the future of a slot. `rank` stands for the iteration in which an
    /// open socket last received.
    pub(crate) fn fingerprint(&self, now: u64, rank: u32, into: &mut impl core::hash::Hasher) {
        use core::hash::Hash as _;
        let Self {
            // Who keeps an id hashes whether it is good.
            generation: _,
            // Each list hashes its order.
            queue_next: _,
            next: _,
            prev: _,
            deadline,
            by_phase,
            listener,
            flags,
            bucket,
            context,
            socket,
        } = self;
        let phase = self.phase();
        if phase == Phase::Free {
            // `claim` sets all else anew.
            into.write_u8(u8::from(flags.any(Flags::QUEUED)));
            return;
        }
        into.write_u16(flags.bits());
        match phase {
            Phase::Listening => into.write_u64(deadline.micros()),
            _ => crate::pool::wheel::hash_time(deadline.micros(), 0, now, into),
        }
        into.write_u32(match phase {
            Phase::Open => rank,
            _ => *by_phase,
        });
        into.write_u32(*listener);
        // The wheel hashes which of its lists it is.
        into.write_u8(match *bucket {
            0 | WAITING | WAITING_FOR_SLOT => *bucket,
            _ => 1,
        });
        context.as_ref().hash(into);
        socket.hash(into);
    }
}

/// Hashes a list of slots in its order, as long as it is.
#[cfg(feature = "search")]
pub(crate) fn hash_links<S, C>(
    slots: &[Slot<S, C>],
    first: u32,
    next: impl Fn(&Slot<S, C>) -> u32,
    into: &mut impl core::hash::Hasher,
) {
    let mut link = first;
    for _ in 0..=slots.len() {
        into.write_u32(link);
        let index = link.checked_sub(1);
        match index.and_then(|index| slots.get(to_index(index))) {
            Some(slot) => link = next(slot),
            None => return,
        }
    }
}

/// Hashes an id by its slot, and whether it is good.
#[cfg(feature = "search")]
pub(crate) fn hash_id<S, C>(
    slots: &[Slot<S, C>],
    id: Option<SocketId>,
    into: &mut impl core::hash::Hasher,
) {
    let Some(id) = id else {
        return into.write_u8(0);
    };
    let slot = slots.get(to_index(id.index()));
    let is_good = slot.is_some_and(|slot| slot.generation == id.generation());
    into.write_u8(if is_good { 2 } else { 1 });
    into.write_u32(id.index());
}
