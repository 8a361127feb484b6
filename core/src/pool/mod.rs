//! The caller's memory: slots, their data, and the lists that run through them.

pub(crate) mod flags;
pub(crate) mod wheel;

use core::num::NonZeroU32;

use crate::handler::Handler;
use crate::id::SocketId;
use crate::injected_bug::injected_bug;
use crate::platform::{Platform, Readiness, Ready};
use crate::pool::flags::{Flags, Phase};
use crate::pool::wheel::{NEVER, Wheel};
use crate::stats::Stats;

/// Memory for the `N` sockets of one loop, made at compile time and placed by the caller.
///
/// A slot holds one connection, listener or timer. All state is zero bytes as long as
/// [`Platform::CLOSED`] is, so a static pool lies in `.bss` and costs no image space. Untouched
/// slots are never read or written.
pub struct Sockets<P: Platform, H: Handler<P>, const N: usize> {
    pub(crate) slots: [Slot<P::Socket, H::Context>; N],
    pub(crate) exts: [Place<H::Ext>; N],
}

impl<P: Platform, H: Handler<P>, const N: usize> Default for Sockets<P, H, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<P: Platform, H: Handler<P>, const N: usize> Sockets<P, H, N> {
    /// Bytes that one slot takes, the socket's data included.
    pub const SLOT_BYTES: usize =
        size_of::<Slot<P::Socket, H::Context>>() + size_of::<Place<H::Ext>>();

    /// Makes an empty pool.
    #[must_use]
    pub const fn new() -> Self {
        const {
            assert!(N > 0, "a pool holds at least one socket");
            assert!(N < 0xffff_ffff, "a pool index fits 32 bits");
        }
        Self {
            slots: [const { Slot::free(P::CLOSED) }; N],
            exts: [const { Place::Vacant }; N],
        }
    }
}

/// An `Option` whose `None` is always a zero byte, which a niche would not be.
#[repr(u8)]
pub(crate) enum Place<T> {
    Vacant = 0,
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

/// One connection, listener or timer. 40 bytes with Linux's socket and the context `()`.
pub(crate) struct Slot<S, C> {
    /// Even while free, odd while in use.
    pub(crate) generation: u32,
    /// Next on the run queue, plus one. Outlives the socket: a slot may be queued when it closes.
    pub(crate) queue_next: u32,
    /// Neighbours, plus one: in the timing wheel or among paused listeners while in use, then on
    /// the closing, retired and free lists.
    pub(crate) next: u32,
    pub(crate) prev: u32,
    /// When the timeout is over, in microseconds, or 0 for never. The slot's place in the wheel
    /// may be earlier, never later.
    pub(crate) deadline: u64,
    /// By phase: a timer's period in milliseconds; a listener's `WhenFull`; the error a connect
    /// met at once; the iteration in which an open socket last received; why a broken or closing
    /// one is.
    pub(crate) payload: u32,
    pub(crate) flags: Flags,
    /// Which of the wheel's lists the slot is on, plus one.
    pub(crate) bucket: u8,
    pub(crate) context: Place<C>,
    pub(crate) socket: S,
}

impl<S, C> Slot<S, C> {
    pub(crate) const fn free(socket: S) -> Self {
        Self {
            generation: 0,
            queue_next: 0,
            next: 0,
            prev: 0,
            deadline: 0,
            payload: 0,
            flags: Flags::NONE,
            bucket: 0,
            context: Place::Vacant,
            socket,
        }
    }

    /// Whether data may still arrive and be delivered.
    #[inline]
    pub(crate) const fn is_open(&self) -> bool {
        matches!(self.phase(), Phase::Open | Phase::Broken)
    }

    #[inline]
    pub(crate) const fn phase(&self) -> Phase {
        self.flags.phase()
    }

    #[inline]
    pub(crate) const fn set_phase(&mut self, phase: Phase) {
        self.flags.set_phase(phase);
    }
}

#[inline]
pub(crate) fn at(index: u32) -> usize {
    usize::try_from(index).unwrap_or(usize::MAX)
}

/// The slot of the socket that the running call is about: it is not reused before the iteration
/// is over, so its place alone names it.
#[inline]
pub(crate) fn own<S, C>(slots: &mut [Slot<S, C>], id: SocketId) -> Option<&mut Slot<S, C>> {
    slots.get_mut(at(id.index()))
}

/// The slot that `id` names, if it is still that socket.
#[inline]
pub(crate) fn named<S, C>(slots: &mut [Slot<S, C>], id: SocketId) -> Option<&mut Slot<S, C>> {
    let slot = slots.get_mut(at(id.index()))?;
    let same = slot.generation == id.generation() || injected_bug!(StaleId);
    same.then_some(slot)
}

/// The name of the socket in a slot, if there is one.
#[inline]
pub(crate) fn name<S, C>(slots: &[Slot<S, C>], index: u32) -> Option<SocketId> {
    let slot = slots.get(at(index))?;
    if slot.phase() == Phase::Free {
        return None;
    }
    NonZeroU32::new(slot.generation).map(|generation| SocketId::new(index, generation))
}

/// Ends of a singly linked list of slots, plus one.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Queue {
    pub(crate) head: u32,
    tail: u32,
}

/// What is to be done after the running call, in one byte that is zero in the usual case.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Conclude(u8);

impl Conclude {
    #[inline]
    pub(crate) const fn is_due(self) -> bool {
        self.0 != 0
    }

    /// Notes that the platform has more to read.
    #[inline]
    pub(crate) const fn more(&mut self) {
        self.0 |= 1;
    }

    pub(crate) const fn take_more(&mut self) -> bool {
        let more = self.0 & 1 != 0;
        self.0 &= 2;
        more
    }

    /// Notes whether there are sockets to close or reports to finish with.
    #[inline]
    pub(crate) const fn set(&mut self, due: bool) {
        self.0 = if due { self.0 | 2 } else { 0 };
    }
}

/// Everything of a loop that is not per slot: list ends, clock, timers and counters.
#[derive(Debug)]
pub(crate) struct Lists {
    /// The iteration's time, in microseconds, as long as it has been asked for.
    pub(crate) now: Option<u64>,
    latest: u64,
    /// The socket that is being read more than once, and the reads that it has left in this
    /// iteration.
    pub(crate) serving: Option<SocketId>,
    pub(crate) turns: u32,
    /// The first socket that the last iteration left over, plus one.
    pub(crate) left_over: u32,
    /// Whether something is to be done after the running call.
    pub(crate) conclude: Conclude,
    /// A report that asks for more than reading, until its socket has been read.
    pub(crate) rest: Option<Ready>,
    /// Whether something is to be done at the end of the iteration.
    pub(crate) unsettled: bool,
    /// What the socket that a dispatch returns is to be dispatched with.
    pub(crate) come_back: Readiness,
    /// The first socket with work left over for the next iteration, plus one.
    pub(crate) run: u32,
    /// Sockets whose `on_close` is due.
    pub(crate) closing: Queue,
    /// Slots that become free when the iteration is over.
    pub(crate) retired: Queue,
    free: u32,
    /// Whether slots were freed since paused listeners were last thought of.
    pub(crate) freed: bool,
    /// Slots from this index on were never used.
    pub(crate) high_water: u32,
    /// When to try paused listeners again although no slot was freed, or [`NEVER`].
    pub(crate) retry: u64,
    pub(crate) wheel: Wheel,
    pub(crate) stats: Stats,
    /// The socket whose writes are being coalesced.
    pub(crate) corked: Option<SocketId>,
    /// Bytes in the cork buffer.
    pub(crate) cork_len: usize,
}

impl Lists {
    /// No list has anything; the clock stands at `micros`. `unsettled` if the loop has no buffer.
    pub(crate) fn new(micros: u64, unsettled: bool) -> Self {
        Self {
            now: None,
            latest: micros,
            serving: None,
            turns: 0,
            left_over: 0,
            come_back: Readiness::NONE,
            conclude: Conclude::default(),
            rest: None,
            unsettled,
            run: 0,
            closing: Queue::default(),
            retired: Queue::default(),
            free: 0,
            freed: false,
            high_water: 0,
            retry: NEVER,
            wheel: Wheel::new(micros),
            stats: Stats::default(),
            corked: None,
            cork_len: 0,
        }
    }

    /// The iteration's number, wrapping, for `Slot::payload`.
    #[inline]
    pub(crate) fn stamp(&self) -> u32 {
        u32::try_from(self.stats.iterations & 0xffff_ffff).unwrap_or_default()
    }

    /// The iteration's time. The platform is asked once.
    #[inline]
    pub(crate) fn now_micros<P: Platform>(&mut self, platform: &P) -> u64 {
        match self.now {
            Some(now) => now,
            None => self.read_clock(platform),
        }
    }

    fn read_clock<P: Platform>(&mut self, platform: &P) -> u64 {
        let now = platform.now().as_micros().max(self.latest);
        self.latest = now;
        self.now = Some(now);
        now
    }

    /// Takes a free slot, or `None` when all are in use.
    pub(crate) fn claim<S, C>(&mut self, slots: &mut [Slot<S, C>]) -> Option<SocketId> {
        let index = if let Some(index) = self.free.checked_sub(1) {
            self.free = slots.get(at(index))?.next;
            index
        } else {
            let index = self.high_water;
            let slot = slots.get_mut(at(index))?;
            // A pool that an earlier loop leaked may hold anything.
            slot.flags = Flags::default();
            self.high_water = index.wrapping_add(1);
            index
        };
        let slot = slots.get_mut(at(index))?;
        slot.generation = slot.generation.wrapping_add(1) | 1;
        slot.next = 0;
        slot.prev = 0;
        slot.deadline = 0;
        slot.payload = 0;
        slot.bucket = 0;
        slot.flags.keep(Flags::QUEUED);
        self.stats.in_use = self.stats.in_use.wrapping_add(1);
        NonZeroU32::new(slot.generation).map(|generation| SocketId::new(index, generation))
    }

    /// Gives back a slot that no callback has seen.
    pub(crate) fn unclaim<S, C>(&mut self, slots: &mut [Slot<S, C>], id: SocketId) {
        if let Some(slot) = named(slots, id) {
            slot.generation = slot.generation.wrapping_add(1);
            slot.set_phase(Phase::Free);
            slot.next = self.free;
            self.free = id.index().wrapping_add(1);
            self.stats.in_use = self.stats.in_use.wrapping_sub(1);
        }
    }

    /// Ends a name. The slot becomes free when the iteration is over.
    pub(crate) fn retire<S, C>(&mut self, slots: &mut [Slot<S, C>], id: SocketId) {
        self.wheel.remove(slots, id.index());
        if let Some(slot) = named(slots, id) {
            slot.generation = slot.generation.wrapping_add(1);
            slot.set_phase(Phase::Free);
            slot.context = Place::Vacant;
            self.stats.in_use = self.stats.in_use.wrapping_sub(1);
            if !injected_bug!(LeakedSlot) {
                push(slots, &mut self.retired, id.index());
            }
            self.unsettled = true;
        }
    }

    /// Frees the retired slots.
    pub(crate) fn free_retired<S, C>(&mut self, slots: &mut [Slot<S, C>]) {
        let Queue { head, tail } = core::mem::take(&mut self.retired);
        if let Some(last) = tail.checked_sub(1)
            && let Some(slot) = slots.get_mut(at(last))
        {
            slot.next = self.free;
            self.free = head;
            self.note_freed();
        }
    }

    /// Has paused listeners thought of before the next wait.
    pub(crate) fn note_freed(&mut self) {
        self.freed = true;
        self.unsettled = true;
    }

    /// Puts an open socket among those whose `on_close` is due.
    pub(crate) fn close<S, C>(&mut self, slots: &mut [Slot<S, C>], id: SocketId, bits: u32) {
        self.wheel.remove(slots, id.index());
        if let Some(slot) = named(slots, id) {
            slot.set_phase(Phase::Closing);
            slot.payload = bits;
            slot.deadline = 0;
            push(slots, &mut self.closing, id.index());
            self.conclude.set(true);
            self.unsettled = true;
        }
    }

    /// Takes the next socket whose `on_close` is due.
    pub(crate) fn next_closing<S, C>(&mut self, slots: &[Slot<S, C>]) -> Option<SocketId> {
        let index = self.closing.head.checked_sub(1)?;
        self.closing.head = slots.get(at(index))?.next;
        if self.closing.head == 0 {
            self.closing.tail = 0;
        }
        name(slots, index)
    }

    /// Queues a socket for the next iteration, which then does not wait.
    pub(crate) fn enqueue<S, C>(&mut self, slots: &mut [Slot<S, C>], id: SocketId) {
        if let Some(slot) = named(slots, id) {
            self.enqueue_slot(slot, id);
        }
    }

    /// Queues the socket of a slot at hand. An iteration serves the whole queue, so that the
    /// order does not matter; last come is first, which needs no other slot.
    pub(crate) fn enqueue_slot<S, C>(&mut self, slot: &mut Slot<S, C>, id: SocketId) {
        if !slot.flags.any(Flags::QUEUED) {
            slot.flags.set(Flags::QUEUED);
            slot.queue_next = self.run;
            self.run = id.index().wrapping_add(1);
        }
    }

    /// Takes the run queue, to serve it before anything else; whether there is any.
    #[inline]
    pub(crate) fn start_left_over(&mut self) -> bool {
        if self.run == 0 {
            return false;
        }
        self.left_over = core::mem::take(&mut self.run);
        true
    }

    /// Takes the next socket that the last iteration left over.
    #[cold]
    #[inline(never)]
    pub(crate) fn next_left_over<S, C>(&mut self, slots: &mut [Slot<S, C>]) -> Option<SocketId> {
        while let Some(index) = self.left_over.checked_sub(1) {
            self.left_over = 0;
            let slot = slots.get_mut(at(index))?;
            self.left_over = slot.queue_next;
            slot.flags.clear(Flags::QUEUED);
            // Until the queue is empty, every dispatch is followed by another.
            self.conclude.set(self.left_over != 0);
            if let Some(id) = name(slots, index) {
                self.come_back = Readiness::NONE;
                return Some(id);
            }
        }
        None
    }
}

fn push<S, C>(slots: &mut [Slot<S, C>], queue: &mut Queue, index: u32) {
    let link = index.wrapping_add(1);
    if let Some(slot) = slots.get_mut(at(index)) {
        slot.next = 0;
    }
    match queue.tail.checked_sub(1) {
        None => queue.head = link,
        Some(last) => {
            if let Some(last) = slots.get_mut(at(last)) {
                last.next = link;
            }
        }
    }
    queue.tail = link;
}
