//! Listeners that wait for a slot, or for the platform.

use crate::id::{SocketId, to_index};
use crate::injected_bug::injected_bug;
use crate::invariant::{impossible, invariant};
use crate::pool::flags::{Flags, Phase};
use crate::pool::slot::{Slot, WAITING, WAITING_FOR_SLOT, id_of};
use crate::pool::wheel::NEVER;

/// The listeners that stopped accepting because the pool was full or the platform exhausted: first
/// come, first served.
///
/// When slots become free, each that waits tries again, one in an iteration, and goes behind the
/// others if it has to wait again. It keeps its place on the list until its try is over, and after
/// it too if the try brought nothing, or the slots that are free are of no use to it.
#[derive(Debug)]
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct WaitingListeners {
    /// Ends of the list, plus one.
    head: u32,
    tail: u32,
    /// How many are on the list.
    count: u32,
    /// The listener that tries now, plus one: what it accepts it takes from nobody.
    trying: u32,
    /// How many are still to try for what became free.
    to_resume: u32,
    /// When all try again although nothing became free, in microseconds, or [`NEVER`].
    retry: u64,
}

impl Default for WaitingListeners {
    fn default() -> Self {
        Self {
            head: 0,
            tail: 0,
            count: 0,
            trying: 0,
            to_resume: 0,
            retry: NEVER,
        }
    }
}

impl WaitingListeners {
    /// Returns true if one is to try at the end of the iteration.
    pub(crate) const fn has_next(&self) -> bool {
        self.to_resume > 0 && self.head != 0
    }

    /// Has each that waits try, as something became free.
    pub(crate) const fn resume_all(&mut self) {
        self.to_resume = self.count;
    }

    /// Has none try until something becomes free again.
    pub(crate) const fn stop_resuming(&mut self) {
        self.to_resume = 0;
    }

    /// Returns when to try again by the clock, or [`NEVER`].
    pub(crate) const fn retry(&self) -> u64 {
        self.retry
    }

    /// Has all try again at this time.
    pub(crate) fn retry_at(&mut self, micros: u64) {
        self.retry = self.retry.min(micros);
    }

    /// Has each that waits try, as the time for it has come.
    pub(crate) const fn retry_now(&mut self) {
        self.retry = NEVER;
        self.resume_all();
    }

    /// Puts a listener behind all that wait, or leaves one that tried where it is, if it
    /// `keeps_place`; `for_slot` if a free slot is all that it waits for.
    pub(crate) fn push<S, C>(
        &mut self,
        slots: &mut [Slot<S, C>],
        id: SocketId,
        for_slot: bool,
        keeps_place: bool,
    ) {
        if self.is_trying(id) && !keeps_place {
            self.remove(slots, id.index());
        }
        let tail = self.tail;
        let Some(slot) = slots.get_mut(to_index(id.index())) else {
            impossible!("a listener has a slot of the pool");
            return;
        };
        invariant!(slot.phase() == Phase::Listening, "only listeners wait");
        let was = slot.bucket;
        slot.bucket = if for_slot { WAITING_FOR_SLOT } else { WAITING };
        if was != 0 {
            return;
        }
        slot.prev = tail;
        slot.next = 0;
        let link = id.index().wrapping_add(1);
        match tail
            .checked_sub(1)
            .and_then(|tail| slots.get_mut(to_index(tail)))
        {
            Some(last) => last.next = link,
            None => self.head = link,
        }
        self.tail = link;
        self.count = self.count.wrapping_add(1);
    }

    /// Finds the one that has waited longest, of those that wait for something else than a slot and
    /// those that `can_use` the slots that are free now; it tries then.
    pub(crate) fn begin_try<S, C>(
        &mut self,
        slots: &[Slot<S, C>],
        can_use: impl Fn(&Slot<S, C>) -> bool,
    ) -> Option<SocketId> {
        let mut link = match injected_bug!(LastComeFirst) {
            true => self.tail,
            false => self.head,
        };
        for _ in 0..self.count {
            let index = link.checked_sub(1)?;
            let slot = slots.get(to_index(index))?;
            if slot.bucket == WAITING || can_use(slot) {
                self.to_resume = self.to_resume.saturating_sub(1);
                self.trying = link;
                return id_of(slots, index);
            }
            link = slot.next;
        }
        self.stop_resuming();
        None
    }

    /// Returns true while a listener tries.
    pub(crate) const fn is_any_trying(&self) -> bool {
        self.trying != 0
    }

    /// Returns true while this listener tries.
    pub(crate) const fn is_trying(&self, id: SocketId) -> bool {
        self.trying == id.index().wrapping_add(1)
    }

    /// Ends the try of this listener, if it tries. It waits no longer, unless it was stalled again.
    pub(crate) fn end_try<S, C>(&mut self, slots: &mut [Slot<S, C>], id: SocketId) {
        if !self.is_trying(id) {
            return;
        }
        self.trying = 0;
        let slot = slots.get(to_index(id.index()));
        if slot.is_some_and(|slot| !slot.flags.any(Flags::STALLED)) {
            self.remove(slots, id.index());
        }
    }

    /// Returns how many free slots this listener must leave to others that wait for one and
    /// `can_use` it.
    pub(crate) fn ahead_of<S, C>(
        &self,
        slots: &[Slot<S, C>],
        id: SocketId,
        can_use: impl Fn(&Slot<S, C>) -> bool,
    ) -> u32 {
        if self.is_trying(id) || injected_bug!(SlotTakenFromWaiting) {
            return 0;
        }
        let (mut link, mut ahead) = (self.head, 0_u32);
        while let Some(slot) = link.checked_sub(1).and_then(|at| slots.get(to_index(at))) {
            let waits = slot.bucket == WAITING_FOR_SLOT && can_use(slot);
            ahead = ahead.saturating_add(u32::from(waits));
            link = slot.next;
        }
        ahead
    }

    /// Checks that the list has each listener that is marked so, once, and its counts.
    pub(crate) fn check<S, C>(&self, used: &[Slot<S, C>]) {
        let waits = |slot: &&Slot<S, C>| slot.bucket >= WAITING_FOR_SLOT;
        let (mut link, mut last) = (self.head, 0);
        let mut left = used.iter().filter(waits).count();
        invariant!(
            u32::try_from(left) == Ok(self.count),
            "those that wait are counted"
        );
        while let Some(slot) = link.checked_sub(1).and_then(|at| used.get(to_index(at))) {
            invariant!(slot.phase() == Phase::Listening, "only listeners wait");
            invariant!(slot.prev == last, "links lead back");
            invariant!(left > 0, "a listener waits once");
            left = left.saturating_sub(1);
            last = link;
            link = slot.next;
        }
        invariant!(left == 0, "a listener that is marked waits");
        invariant!(self.tail == last, "the list ends where it says");
    }

    /// Takes a listener off the list, if it is on it.
    pub(crate) fn remove<S, C>(&mut self, slots: &mut [Slot<S, C>], index: u32) {
        if self.trying == index.wrapping_add(1) {
            self.trying = 0;
        }
        let Some(slot) = slots.get_mut(to_index(index)) else {
            impossible!("a listener has a slot of the pool");
            return;
        };
        if slot.bucket == 0 {
            return;
        }
        slot.bucket = 0;
        let (prev, next) = (slot.prev, slot.next);
        let before = prev.checked_sub(1);
        match before.and_then(|before| slots.get_mut(to_index(before))) {
            Some(before) => before.next = next,
            None => self.head = next,
        }
        let behind = next.checked_sub(1);
        match behind.and_then(|behind| slots.get_mut(to_index(behind))) {
            Some(behind) => behind.prev = prev,
            None => self.tail = prev,
        }
        invariant!(self.count > 0, "the list counts its listeners");
        self.count = self.count.wrapping_sub(1);
    }
}

#[cfg(feature = "search")]
impl WaitingListeners {
    /// Hashes the list in its order, which of them tries, and what is left of the time to the
    /// retry.
    pub(crate) fn fingerprint<S, C>(
        &self,
        slots: &[Slot<S, C>],
        now: u64,
        into: &mut impl core::hash::Hasher,
    ) {
        // The tail and the count follow from the links.
        let Self {
            head,
            tail: _,
            count: _,
            trying,
            to_resume,
            retry,
        } = self;
        crate::pool::slot::hash_links(slots, *head, |slot| slot.next, into);
        into.write_u32(*trying);
        into.write_u32(*to_resume);
        crate::pool::wheel::hash_time(*retry, NEVER, now, into);
    }
}
