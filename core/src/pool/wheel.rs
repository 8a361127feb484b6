//! A hierarchical timing wheel that runs through the slots.
//!
//! Time is cut into ticks of 1,024 µs. Level 0 has a list per tick, each further level a list for
//! as long as the whole level below spans ([`LEVELS`]). A slot's place may be earlier than its
//! deadline, never later: to move a deadline back is one store, and the list work is made up for
//! when the place comes up.
//! After Varghese and Lauck, "Hashed and hierarchical timing wheels" (1987), scheme 6.2.

use crate::id::to_index;
use crate::injected_bug::injected_bug;
use crate::invariant::{impossible, invariant};
use crate::pool::slot::{Deadline, Slot, WAITING_FOR_SLOT};

/// A level of the wheel: lists that lie one behind the other.
struct Level {
    /// log2 of the ticks that a list spans.
    shift: u32,
    /// The first of its lists among all.
    first: u8,
    /// Its lists, less one: all bits below a power of 2.
    mask: u32,
}

/// From ticks to weeks. All lists together fit a slot's byte, with some to spare.
///
/// Timeouts of a second to two minutes, which are most, lie on the third level. Its lists span a
/// second, so that what is on one of them stays in the processor's cache until it is due; were they
/// four times as long, a million timeouts would take 1.4 times as long to expire.
const LEVELS: [Level; 7] = [
    Level::new(0, 0, 32),
    Level::new(5, 32, 32),
    Level::new(10, 64, 128),
    Level::new(17, 192, 16),
    Level::new(21, 208, 16),
    Level::new(25, 224, 8),
    Level::new(28, 232, 8),
];
const TOP: usize = LEVELS.len() - 1;
/// As many as a byte names, so that none is out of bounds; those behind the last level stay empty.
const LISTS_ALL: usize = 256;

impl Level {
    const fn new(shift: u32, first: u8, lists: u32) -> Self {
        Self {
            shift,
            first,
            mask: lists.wrapping_sub(1),
        }
    }

    /// Counts the level's lists from the beginning of time to a tick.
    #[inline]
    const fn lists_to(&self, tick: u64) -> u64 {
        tick.wrapping_shr(self.shift)
    }

    /// The level's list for a tick.
    #[inline]
    fn list_of(&self, tick: u64) -> u8 {
        self.first.wrapping_add(self.place(self.lists_to(tick)))
    }

    /// The place of a list, so counted, among the level's.
    #[inline]
    fn place(&self, lists: u64) -> u8 {
        u8::try_from(lists & u64::from(self.mask)).unwrap_or_default()
    }
}

/// No list has anything.
pub(crate) const NEVER: u64 = u64::MAX;

/// Microseconds per tick, as a shift.
const TICK_SHIFT: u32 = 10;

/// Lists of slots by time.
#[derive(Debug)]
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct Wheel {
    /// Up to here everything is done.
    tick: u64,
    /// No place is earlier than this tick.
    next: u64,
    /// The same in microseconds.
    next_micros: u64,
    /// The list whose entries are being looked at, plus one. It comes before all others.
    walking: u8,
    /// Which lists of a level have entries.
    filled: [u128; LEVELS.len()],
    /// First slot of each list, plus one. Its own link backwards means nothing, so that a list is
    /// walked along without a look at the slot that becomes the first.
    heads: [u32; LISTS_ALL],
}

/// How a walk along a list ended.
enum Walked {
    /// At a slot whose deadline is over.
    Due(u32, u64),
    /// At the end of the budget.
    Spent,
    /// At the end of the list.
    Done,
}

impl Wheel {
    /// A wheel with nothing on it, whose clock stands at `micros`.
    pub(crate) const fn new(micros: u64) -> Self {
        Self {
            tick: micros >> TICK_SHIFT,
            next: NEVER,
            next_micros: NEVER,
            walking: 0,
            filled: [0; LEVELS.len()],
            heads: [0; LISTS_ALL],
        }
    }

    /// The earliest time at which there may be something to do, in microseconds, or [`NEVER`].
    #[inline]
    pub(crate) const fn next_micros(&self) -> u64 {
        self.next_micros
    }

    fn set_next(&mut self, tick: u64) {
        self.next = tick;
        self.next_micros = if tick == NEVER {
            NEVER
        } else {
            tick.wrapping_shl(TICK_SHIFT)
        };
    }

    /// Moves the clock to `micros`; whether something may be due, which [`Self::expire`] tells.
    #[inline]
    pub(crate) fn advance(&mut self, micros: u64) -> bool {
        let now = micros >> TICK_SHIFT;
        let due = now >= self.next;
        if !due {
            self.tick = now;
        }
        due
    }

    /// Sets the deadline of a slot, 0 for none.
    #[inline]
    pub(crate) fn set<S, C>(&mut self, slots: &mut [Slot<S, C>], index: u32, deadline: u64) {
        let Some(slot) = slots.get_mut(to_index(index)) else {
            impossible!("what has a deadline is a slot of the pool");
            return;
        };
        let before = slot.deadline.micros();
        let earlier = before == 0 || deadline < before;
        slot.deadline = Deadline::at(deadline);
        let late = injected_bug!(LateTimer) && slot.bucket != 0;
        if earlier && deadline != 0 && !late {
            self.place(slots, index);
        }
    }

    /// Finds the slot a place that is early enough for its deadline.
    fn place<S, C>(&mut self, slots: &mut [Slot<S, C>], index: u32) {
        let Some(slot) = slots.get_mut(to_index(index)) else {
            impossible!("what has a deadline is a slot of the pool");
            return;
        };
        let due = due_tick(slot.deadline.micros());
        if let Some(list) = slot.bucket.checked_sub(1) {
            if self.list_tick(list) <= due {
                return;
            }
            self.remove(slots, index);
        }
        self.insert(slots, index, due);
    }

    fn insert<S, C>(&mut self, slots: &mut [Slot<S, C>], index: u32, due: u64) {
        let list = self.list_of(due.max(self.tick.saturating_add(1)));
        self.set_next(self.next.min(self.list_tick(list)));
        self.link(slots, index, list);
    }

    /// Returns the list for a tick to come: on the lowest level that reaches as far.
    #[inline]
    fn list_of(&self, due: u64) -> u8 {
        let [ticks, near, middle, far, further @ .., top] = const { &LEVELS };
        let differs = due ^ self.tick;
        if near.lists_to(differs) == 0 {
            return ticks.list_of(due);
        }
        if middle.lists_to(differs) == 0 {
            return near.list_of(due);
        }
        if far.lists_to(differs) == 0 {
            return middle.list_of(due);
        }
        let mut below = far;
        for level in further {
            if level.lists_to(differs) == 0 {
                return below.list_of(due);
            }
            below = level;
        }
        if top.lists_to(differs) == 0 {
            return below.list_of(due);
        }
        // The top level goes round; what is further away waits in its last list.
        let last = top.lists_to(self.tick).saturating_add(top.mask.into());
        let lists = top.lists_to(due).min(last);
        top.first.wrapping_add(top.place(lists))
    }

    /// Puts a slot, which is on no list, in front of one.
    #[inline]
    fn link<S, C>(&mut self, slots: &mut [Slot<S, C>], index: u32, list: u8) {
        let link = index.wrapping_add(1);
        let second = self.put_first(list, link);
        if let Some(slot) = slots.get_mut(to_index(index)) {
            slot.bucket = list.wrapping_add(1);
            slot.next = second;
        }
        self.put_second(slots, second, link, list);
    }

    /// Lets a list begin with the slot of a link; returns the link that it began with.
    #[inline]
    fn put_first(&mut self, list: u8, link: u32) -> u32 {
        match self.heads.get_mut(usize::from(list)) {
            Some(head) => core::mem::replace(head, link),
            None => 0,
        }
    }

    /// Lets the slot that a list began with, if there was one, come after the first one.
    #[inline]
    fn put_second<S, C>(&mut self, slots: &mut [Slot<S, C>], second: u32, first: u32, list: u8) {
        match linked(slots, second) {
            Some(slot) => slot.prev = first,
            None => self.set_filled(list),
        }
    }

    /// Takes the slot off whatever list it is on.
    pub(crate) fn remove<S, C>(&mut self, slots: &mut [Slot<S, C>], index: u32) {
        let Some(slot) = slots.get_mut(to_index(index)) else {
            impossible!("what has a deadline is a slot of the pool");
            return;
        };
        let Some(list) = slot.bucket.checked_sub(1) else {
            return;
        };
        let (prev, next) = (slot.prev, slot.next);
        slot.bucket = 0;
        let head = self.heads.get_mut(usize::from(list));
        if let Some(head) = head.filter(|head| **head == index.wrapping_add(1)) {
            *head = next;
            if next == 0 {
                self.clear_filled(list);
                self.earliest();
            }
            return;
        }
        if let Some(slot) = linked(slots, next) {
            slot.prev = prev;
        }
        if let Some(slot) = linked(slots, prev) {
            slot.next = next;
        }
    }

    /// Checks that each slot with a deadline is on one list, and that the wheel wakes the loop in
    /// time for it.
    pub(crate) fn check<S, C>(&self, used: &[Slot<S, C>]) {
        let is_on = |slot: &&Slot<S, C>| (1..WAITING_FOR_SLOT).contains(&slot.bucket);
        let mut left = used.iter().filter(is_on).count();
        for (level, filled) in LEVELS.iter().zip(self.filled) {
            let mut filled = filled;
            while filled != 0 {
                let place = filled.trailing_zeros();
                filled &= filled.wrapping_sub(1);
                let list = u32::from(level.first).wrapping_add(place);
                let head = self.heads.get(to_index(list)).copied();
                let mut link = head.unwrap_or_default();
                while let Some(slot) = link.checked_sub(1).and_then(|at| used.get(to_index(at))) {
                    invariant!(
                        u32::from(slot.bucket) == list.wrapping_add(1),
                        "a slot knows its list"
                    );
                    let deadline = slot.deadline.micros();
                    let due = due_tick(deadline).max(self.tick.saturating_add(1));
                    let is_early = deadline == 0 || self.next <= due;
                    invariant!(
                        is_early || injected_bug!(LateTimer) || injected_bug!(EarlyTimer),
                        "the wheel wakes the loop no later than a slot is due"
                    );
                    invariant!(left > 0, "a slot is on one list");
                    left = left.saturating_sub(1);
                    link = slot.next;
                }
            }
        }
        invariant!(left == 0, "a slot that is marked is on its list");
    }

    /// Takes the next slot whose deadline is at or before `micros`, with the deadline. `budget`
    /// counts down with every slot looked at; at 0, `None` may only mean "later".
    pub(crate) fn expire<S, C>(
        &mut self,
        slots: &mut [Slot<S, C>],
        micros: u64,
        budget: &mut u32,
    ) -> Option<(u32, u64)> {
        let now = micros >> TICK_SHIFT;
        loop {
            let list = match self.walking.checked_sub(1) {
                Some(list) => list,
                None => self.start_walk(now)?,
            };
            match self.walk(slots, list, budget) {
                Walked::Due(index, deadline) => return Some((index, deadline)),
                Walked::Spent => return None,
                Walked::Done => self.end_walk(list),
            }
        }
    }

    /// Starts on the earliest list if its time has come.
    fn start_walk(&mut self, now: u64) -> Option<u8> {
        let list = self.earliest();
        if self.next > now {
            self.tick = self.tick.max(now);
            return None;
        }
        self.tick = self.tick.max(self.next);
        self.set_next(self.tick);
        self.walking = list.wrapping_add(1);
        Some(list)
    }

    /// Walks on along the list of this tick up to the next slot that is due, and moves the
    /// others to the lists that they belong to by now.
    ///
    /// The list is a whole until this returns: only then it begins with the first slot left on it.
    /// Nothing is added to it meanwhile, nor between two walks, as everything that
    /// is due later than its first tick belongs to another list.
    #[inline]
    fn walk<S, C>(&mut self, slots: &mut [Slot<S, C>], list: u8, budget: &mut u32) -> Walked {
        let Some(&first) = self.heads.get(usize::from(list)) else {
            return Walked::Done;
        };
        let mut link = first;
        while let Some(slot) = linked(slots, link) {
            let Some(left) = budget.checked_sub(1) else {
                self.cut(list, link);
                return Walked::Spent;
            };
            *budget = left;
            let next = slot.next;
            let deadline = slot.deadline.micros();
            let due = due_tick(deadline);
            if deadline == 0 {
                slot.bucket = 0;
            } else if due <= self.tick {
                slot.bucket = 0;
                slot.deadline = Deadline::NEVER;
                self.cut(list, next);
                return Walked::Due(link.wrapping_sub(1), deadline);
            } else {
                let list = self.list_of(due);
                let second = self.put_first(list, link);
                slot.bucket = list.wrapping_add(1);
                slot.next = second;
                self.put_second(slots, second, link, list);
            }
            link = next;
        }
        self.cut(list, 0);
        Walked::Done
    }

    /// Lets a list begin with the slot of a link.
    #[inline]
    fn cut(&mut self, list: u8, link: u32) {
        if let Some(head) = self.heads.get_mut(usize::from(list)) {
            *head = link;
        }
    }

    /// Goes on from the list that was walked along, which is empty.
    fn end_walk(&mut self, list: u8) {
        self.clear_filled(list);
        self.earliest();
    }

    #[cold]
    fn set_filled(&mut self, list: u8) {
        if let Some((level, filled)) = level_of(list).zip(self.filled.get_mut(level_index(list))) {
            *filled |= 1_u128.wrapping_shl(list.wrapping_sub(level.first).into());
        }
    }

    #[cold]
    fn clear_filled(&mut self, list: u8) {
        if let Some((level, filled)) = level_of(list).zip(self.filled.get_mut(level_index(list))) {
            *filled &= !1_u128.wrapping_shl(list.wrapping_sub(level.first).into());
        }
    }

    /// Finds the earliest list that has entries and notes its time in `next`.
    fn earliest(&mut self) -> u8 {
        if let Some(list) = self.walking.checked_sub(1) {
            if self
                .heads
                .get(usize::from(list))
                .is_some_and(|head| *head != 0)
            {
                self.set_next(self.tick);
                return list;
            }
            self.walking = 0;
        }
        for (index, (level, filled)) in LEVELS.iter().zip(self.filled).enumerate() {
            if filled != 0 {
                // Only the top level goes round; below it, what is filled lies ahead.
                let here = level.place(level.lists_to(self.tick)).into();
                let place = if index == TOP {
                    // Twice, so that what lies behind the end comes after it.
                    let twice = filled | filled.wrapping_shl(level.mask.wrapping_add(1));
                    let ahead = twice.wrapping_shr(here).trailing_zeros();
                    here.wrapping_add(ahead) & level.mask
                } else {
                    filled.trailing_zeros()
                };
                let place = u8::try_from(place).unwrap_or_default();
                let list = level.first.wrapping_add(place);
                self.set_next(self.list_tick(list));
                return list;
            }
        }
        self.set_next(NEVER);
        0
    }

    /// The first tick of a list: when its entries are looked at.
    fn list_tick(&self, list: u8) -> u64 {
        let Some(level) = level_of(list) else {
            impossible!("a list is of one of the levels");
            return NEVER;
        };
        let here = level.lists_to(self.tick);
        let place = list.wrapping_sub(level.first);
        let ahead = u32::from(place.wrapping_sub(level.place(here))) & level.mask;
        here.wrapping_add(u64::from(ahead))
            .wrapping_shl(level.shift)
    }
}

#[cfg(feature = "search")]
impl Wheel {
    /// Hashes each list that has entries, in their order, by the time that is left to it.
    ///
    /// Of the absolute time only its place within the third level matters: where a deadline of less
    /// than two minutes goes depends on no more of it.
    pub(crate) fn fingerprint<S, C>(
        &self,
        slots: &[Slot<S, C>],
        now: u64,
        into: &mut impl core::hash::Hasher,
    ) {
        // `next_micros` is `next` in other units.
        let Self {
            tick,
            next,
            next_micros: _,
            walking,
            filled,
            heads,
        } = self;
        into.write_u64(now & 0x3ff);
        into.write_u64((now >> TICK_SHIFT).wrapping_sub(*tick));
        into.write_u64(tick & 0x1_ffff);
        hash_time(*next, NEVER, *tick, into);
        into.write_u8(*walking);
        for (level, filled) in LEVELS.iter().zip(filled) {
            let mut filled = *filled;
            while filled != 0 {
                let place = u8::try_from(filled.trailing_zeros()).unwrap_or_default();
                filled &= filled.wrapping_sub(1);
                let list = level.first.wrapping_add(place);
                into.write_u64(self.list_tick(list).wrapping_sub(*tick));
                let head = heads.get(usize::from(list)).copied();
                let head = head.unwrap_or_default();
                crate::pool::slot::hash_links(slots, head, |slot| slot.next, into);
            }
        }
    }
}

/// Hashes what is left of the time to `at`, or that there is none.
#[cfg(feature = "search")]
pub(crate) fn hash_time(at: u64, never: u64, now: u64, into: &mut impl core::hash::Hasher) {
    let is_set = at != never;
    into.write_u8(u8::from(is_set));
    if is_set {
        into.write_u64(at.wrapping_sub(now));
    }
}

/// The slot of a link, which is its index plus one. The link 0 leads beyond every pool.
#[inline]
fn linked<S, C>(slots: &mut [Slot<S, C>], link: u32) -> Option<&mut Slot<S, C>> {
    slots.get_mut(to_index(link.wrapping_sub(1)))
}

/// The tick at which a deadline is surely over; of no meaning for 0, which is none.
#[inline]
fn due_tick(deadline: u64) -> u64 {
    if injected_bug!(EarlyTimer) {
        return deadline >> TICK_SHIFT;
    }
    (deadline.wrapping_sub(1) >> TICK_SHIFT).wrapping_add(1)
}

/// The level of a list.
#[inline]
const fn level_index(list: u8) -> usize {
    match list {
        0..32 => 0,
        32..64 => 1,
        64..192 => 2,
        192..208 => 3,
        208..224 => 4,
        224..232 => 5,
        232.. => 6,
    }
}

#[inline]
fn level_of(list: u8) -> Option<&'static Level> {
    LEVELS.get(level_index(list))
}

#[cfg(test)]
extern crate std;

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "an overflow in a test is a failed test"
)]
mod tests;
