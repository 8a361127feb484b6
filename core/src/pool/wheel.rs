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
#[derive(Clone, Copy)]
struct Level {
    /// log2 of the ticks that a list spans.
    shift: u32,
    /// The first of its lists among all.
    first: u8,
    /// Its lists, less one: all bits below a power of 2.
    mask: u32,
}

/// From ticks to weeks. All lists together fit a slot's byte, with some to spare: 0 is none.
///
/// Timeouts of a second to two minutes, which are most, lie on the third level. Its lists span a
/// second, so that what is on one of them stays in the processor's cache until it is due; were they
/// four times as long, a million timeouts would take 1.4 times as long to expire.
const LEVELS: [Level; 7] = [
    Level::new(0, TICKS_FIRST, 32),
    Level::new(5, 192, 32),
    Level::new(10, MIDDLE_FIRST, 128),
    Level::new(17, 224, 16),
    Level::new(21, 16, 16),
    Level::new(25, 8, 8),
    Level::new(28, TOP_FIRST, 8),
];
/// All lists in the order of their times, in parts of at most 64: the level, the first of the part
/// and a bit for each.
const PARTS: [(Level, u8, u64); 8] = {
    let [ticks, near, middle, a, b, c, top] = LEVELS;
    [
        (ticks, TICKS_FIRST, 0xffff_ffff),
        (near, 192, 0xffff_ffff),
        (middle, MIDDLE_FIRST, u64::MAX),
        (middle, 128, u64::MAX),
        (a, 224, 0xffff),
        (b, 16, 0xffff),
        (c, 8, 0xff),
        (top, TOP_FIRST, 0xff),
    ]
};
/// The first list of the top level.
const TOP_FIRST: u8 = 240;
/// The first list of the third level. In [`PARTS`] its second half begins at 128.
const MIDDLE_FIRST: u8 = 64;
/// The first list of the lowest level. The third level's come after its last.
const TICKS_FIRST: u8 = 32;
/// How many lanes a list has, a power of 2. The slots of a long list lie far apart in memory, and
/// as each is found by the one before, the processor waits for each in turn; of lanes that are
/// taken off side by side, it waits for all at a time. Small programs, which are built without std,
/// have nothing of it but the memory that it takes.
const LANES: usize = if cfg!(feature = "std") { 4 } else { 1 };
/// As many as a byte names, so that none is out of bounds; those of no level stay empty.
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

/// Microseconds per tick, as a shift.
const TICK_SHIFT: u32 = 10;

/// In place of a time: no list has anything. The last tick of all, in microseconds.
pub(crate) const NEVER: u64 = u64::MAX << TICK_SHIFT;

/// Lists of slots by time.
#[derive(Debug)]
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct Wheel {
    /// Up to here everything is done.
    tick: u64,
    /// No place is earlier than this, in microseconds: the beginning of a tick.
    next_micros: u64,
    /// The list whose entries are being looked at, or 0. It comes before all others.
    walking: u8,
    /// Which lists have entries, a bit each.
    filled: [u64; LISTS_ALL / 64],
    /// First slot of each lane of each list, plus one. Its own link backwards means nothing, so
    /// that a list is taken off without a look at the slot that becomes the first.
    heads: [u32; LISTS_ALL * LANES],
}

/// A slot whose deadline is over.
pub(crate) struct Due {
    pub(crate) index: u32,
    pub(crate) generation: u32,
    /// [`Slot::is_opened`].
    pub(crate) is_opened: bool,
    pub(crate) deadline: u64,
}

impl Wheel {
    /// A wheel with nothing on it, whose clock stands at `micros`.
    pub(crate) const fn new(micros: u64) -> Self {
        Self {
            tick: micros >> TICK_SHIFT,
            next_micros: NEVER,
            walking: 0,
            filled: [0; LISTS_ALL / 64],
            heads: [0; LISTS_ALL * LANES],
        }
    }

    /// The earliest time at which there may be something to do, in microseconds, or [`NEVER`].
    #[inline]
    pub(crate) const fn next_micros(&self) -> u64 {
        self.next_micros
    }

    const fn set_next(&mut self, tick: u64) {
        self.next_micros = tick.wrapping_shl(TICK_SHIFT);
    }

    /// No place is earlier than this tick.
    const fn next(&self) -> u64 {
        self.next_micros >> TICK_SHIFT
    }

    /// Moves the clock to `micros`; whether something may be due, which [`Self::expire`] tells.
    #[inline]
    pub(crate) fn advance(&mut self, micros: u64) -> bool {
        let due = micros >= self.next_micros;
        if !due {
            self.tick = micros >> TICK_SHIFT;
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
        if slot.bucket != 0 {
            if self.list_tick(slot.bucket) <= due {
                return;
            }
            self.remove(slots, index);
        }
        let list = list_of(due.max(self.tick.wrapping_add(1)), self.tick);
        let micros = self.list_tick(list).wrapping_shl(TICK_SHIFT);
        self.next_micros = self.next_micros.min(micros);
        let link = index.wrapping_add(1);
        self.link(slots, link, list, lane_of(list, link));
    }

    /// Puts the slot of a link, which is on no list, in front of a lane of one.
    #[inline]
    fn link<S, C>(&mut self, slots: &mut [Slot<S, C>], link: u32, list: u8, lane: usize) {
        let second = match self.head(list, lane) {
            Some(head) => core::mem::replace(head, link),
            None => 0,
        };
        if let Some(slot) = linked(slots, link) {
            slot.bucket = list;
            slot.next = second;
        }
        match linked(slots, second) {
            Some(slot) => slot.prev = link,
            None => self.set_filled(list),
        }
    }

    /// The links that the lanes of each list begin with.
    #[inline]
    const fn lanes(&self) -> &[[u32; LANES]] {
        self.heads.as_chunks().0
    }

    /// The link that a lane of a list begins with.
    #[inline]
    fn head(&mut self, list: u8, lane: usize) -> Option<&mut u32> {
        let (lanes, _) = self.heads.as_chunks_mut::<LANES>();
        lanes.get_mut(usize::from(list))?.get_mut(lane)
    }

    /// Returns true if a list has no entries.
    fn is_empty(&self, list: u8) -> bool {
        let lanes = self.lanes().get(usize::from(list));
        lanes.is_none_or(|lanes| *lanes == [0; LANES])
    }

    /// Takes the slot off whatever list it is on.
    pub(crate) fn remove<S, C>(&mut self, slots: &mut [Slot<S, C>], index: u32) {
        let Some(slot) = slots.get_mut(to_index(index)) else {
            impossible!("what has a deadline is a slot of the pool");
            return;
        };
        let list = slot.bucket;
        if list == 0 {
            return;
        }
        let (prev, next) = (slot.prev, slot.next);
        slot.bucket = 0;
        let link = index.wrapping_add(1);
        let head = self.head(list, lane_of(list, link));
        if let Some(head) = head.filter(|head| **head == link) {
            *head = next;
            if next == 0 && self.is_empty(list) {
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
        let begun = self.heads.iter();
        let mut unmarked: u32 = begun.map(|head| u32::from(*head != 0)).sum();
        let lanes = self.filled_lists().flat_map(|list| {
            let lanes = self.lanes().get(usize::from(list)).into_iter().flatten();
            (0..)
                .zip(lanes)
                .map(move |(lane, first)| (list, lane, *first))
        });
        for (list, lane, mut link) in lanes {
            unmarked = unmarked.wrapping_sub(u32::from(link != 0));
            while let Some(slot) = link.checked_sub(1).and_then(|at| used.get(to_index(at))) {
                invariant!(slot.bucket == list, "a slot knows its list");
                invariant!(lane_of(list, link) == lane, "a slot is in its lane");
                let deadline = slot.deadline.micros();
                let due = due_tick(deadline).max(self.tick.saturating_add(1));
                let is_early = deadline == 0 || self.next() <= due;
                invariant!(
                    is_early || injected_bug!(LateTimer) || injected_bug!(EarlyTimer),
                    "the wheel wakes the loop no later than a slot is due"
                );
                invariant!(left > 0, "a slot is on one list");
                left = left.saturating_sub(1);
                link = slot.next;
            }
        }
        invariant!(unmarked == 0, "a list that has entries is marked");
        invariant!(left == 0, "a slot that is marked is on its list");
    }

    /// Takes the next slot whose deadline is at or before `micros`, with the deadline. `budget`
    /// counts down with the slots looked at; once it is spent, `None` may only mean "later".
    #[inline]
    pub(crate) fn expire<S, C>(
        &mut self,
        slots: &mut [Slot<S, C>],
        micros: u64,
        budget: &mut u32,
    ) -> Option<Due> {
        loop {
            let list = match self.walking {
                0 => self.start_walk(micros >> TICK_SHIFT)?,
                list => list,
            };
            if !is_tick(list) {
                self.spread(slots, list, budget);
            } else if let Some(due) = self.take_due(slots, list, budget) {
                return Some(due);
            }
            if !self.is_empty(list) {
                return None;
            }
            self.end_walk(list);
        }
    }

    /// Starts on the earliest list if its time has come.
    fn start_walk(&mut self, now: u64) -> Option<u8> {
        let list = self.earliest();
        if self.next() > now {
            self.tick = now;
            return None;
        }
        invariant!(self.next() >= self.tick, "what is done is on no list");
        self.tick = self.next();
        self.walking = list;
        Some(list)
    }

    /// Takes slots off the list of this tick up to the next one that is due, which is returned.
    /// Those whose deadlines were put off are put where they belong by now.
    ///
    /// Nothing is added to it meanwhile, nor between two calls: what is put anywhere then is due
    /// after this tick ([`Self::place`]), and that is another list.
    #[inline]
    fn take_due<S, C>(
        &mut self,
        slots: &mut [Slot<S, C>],
        list: u8,
        budget: &mut u32,
    ) -> Option<Due> {
        loop {
            let head = self.head(list, 0)?;
            let link = *head;
            let slot = linked(slots, link)?;
            *budget = budget.checked_sub(1)?;
            *head = slot.next;
            slot.bucket = 0;
            let deadline = slot.deadline.micros();
            let index = link.wrapping_sub(1);
            if deadline == 0 {
                continue;
            }
            if due_tick(deadline) > self.tick {
                self.place(slots, index);
                continue;
            }
            slot.deadline = Deadline::NEVER;
            return Some(Due {
                index,
                generation: slot.generation,
                is_opened: slot.is_opened(),
                deadline,
            });
        }
    }

    /// Moves the slots of a list, whose first tick this is, to the lists that they belong to by
    /// now, up to the end of the budget: one of each lane in turn. What is due by this tick goes to
    /// the tick's list.
    fn spread<S, C>(&mut self, slots: &mut [Slot<S, C>], list: u8, budget: &mut u32) {
        let tick = self.tick;
        loop {
            let mut taken = 0_u32;
            for lane in 0..LANES {
                let Some(head) = self.head(list, lane) else {
                    return;
                };
                let link = *head;
                let Some(slot) = linked(slots, link) else {
                    continue;
                };
                *head = slot.next;
                taken = taken.wrapping_add(1);
                let deadline = slot.deadline.micros();
                if deadline == 0 {
                    slot.bucket = 0;
                    continue;
                }
                let (list, lane) = place_of(due_tick(deadline).max(tick), tick, lane);
                self.link(slots, link, list, lane);
            }
            let left = budget.checked_sub(taken);
            *budget = left.unwrap_or(0);
            if taken == 0 || left.is_none() {
                return;
            }
        }
    }

    /// Goes on from the list that was walked along, which is empty.
    fn end_walk(&mut self, list: u8) {
        self.clear_filled(list);
        self.earliest();
    }

    /// Notes that a list has entries.
    #[cold]
    fn set_filled(&mut self, list: u8) {
        if let Some(filled) = self.filled.get_mut(usize::from(list >> 6)) {
            *filled |= 1_u64.wrapping_shl(list.into());
        }
    }

    fn clear_filled(&mut self, list: u8) {
        if let Some(filled) = self.filled.get_mut(usize::from(list >> 6)) {
            *filled &= !1_u64.wrapping_shl(list.into());
        }
    }

    /// Returns every list that is marked to have entries.
    fn filled_lists(&self) -> impl Iterator<Item = u8> {
        let parts = [0_u8, 64, 128, 192].into_iter().zip(self.filled);
        parts.flat_map(|(first, mut left)| {
            core::iter::from_fn(move || {
                let place = u8::try_from(left.trailing_zeros())
                    .ok()
                    .filter(|_| left != 0)?;
                left &= left.wrapping_sub(1);
                Some(first.wrapping_add(place))
            })
        })
    }

    /// Finds the earliest list that has entries and notes its time in `next`.
    fn earliest(&mut self) -> u8 {
        if self.walking != 0 {
            let list = self.walking;
            if !self.is_empty(list) {
                self.set_next(self.tick);
                return list;
            }
            self.walking = 0;
        }
        for (level, first, part) in &PARTS {
            let filled = self.filled.get(usize::from(*first >> 6));
            let filled = filled.map_or(0, |filled| filled.wrapping_shr((*first).into()) & part);
            if filled != 0 {
                // Only the top level goes round; below it, what is filled lies ahead.
                let place = if *first == TOP_FIRST {
                    let here = level.place(level.lists_to(self.tick));
                    let [filled, ..] = filled.to_le_bytes();
                    let ahead = filled.rotate_right(here.into()).trailing_zeros();
                    u32::from(here).wrapping_add(ahead) & level.mask
                } else {
                    filled.trailing_zeros()
                };
                let place = u8::try_from(place).unwrap_or_default();
                let list = first.wrapping_add(place);
                self.set_next(self.tick_of(level, list));
                return list;
            }
        }
        self.next_micros = NEVER;
        0
    }

    /// The first tick of a list: when its entries are looked at.
    fn list_tick(&self, list: u8) -> u64 {
        let Some(level) = level_of(list) else {
            impossible!("a list is of one of the levels");
            return NEVER >> TICK_SHIFT;
        };
        self.tick_of(level, list)
    }

    /// The same of a list of this level.
    fn tick_of(&self, level: &Level, list: u8) -> u64 {
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
        let Self {
            tick,
            next_micros,
            walking,
            heads: _,
            // Which lists have entries shows in the links.
            filled: _,
        } = self;
        into.write_u64(now & 0x3ff);
        into.write_u64((now >> TICK_SHIFT).wrapping_sub(*tick));
        into.write_u64(tick & 0x1_ffff);
        hash_time(*next_micros, NEVER, now, into);
        into.write_u8(*walking);
        for (list, lanes) in (0..=u8::MAX).zip(self.lanes()) {
            for head in lanes.iter().filter(|head| **head != 0) {
                into.write_u64(self.list_tick(list).wrapping_sub(*tick));
                crate::pool::slot::hash_links(slots, *head, |slot| slot.next, into);
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

/// Returns the list for a tick to come: on the lowest level that reaches as far.
#[inline]
fn list_of(due: u64, now: u64) -> u8 {
    let [ticks, near, middle, far, ..] = const { &LEVELS };
    let differs = due ^ now;
    if near.lists_to(differs) == 0 {
        ticks.list_of(due)
    } else if middle.lists_to(differs) == 0 {
        near.list_of(due)
    } else if far.lists_to(differs) == 0 {
        middle.list_of(due)
    } else {
        far_list_of(due, now)
    }
}

/// The same for a tick that is beyond the third level.
#[cold]
#[inline(never)]
fn far_list_of(due: u64, now: u64) -> u8 {
    let [_, _, _, far, further @ .., top] = const { &LEVELS };
    let differs = due ^ now;
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
    let last = top.lists_to(now).saturating_add(top.mask.into());
    let lists = top.lists_to(due).min(last);
    top.first.wrapping_add(top.place(lists))
}

/// Returns the list for a tick that is here or to come, and the lane for a slot that comes from
/// this one.
#[inline]
fn place_of(due: u64, now: u64, lane: usize) -> (u8, usize) {
    let [ticks, near, ..] = const { &LEVELS };
    if near.lists_to(due ^ now) == 0 {
        (ticks.list_of(due), 0)
    } else {
        (list_of(due, now), lane)
    }
}

/// Returns the lane of a list for the slot of a link. A slot that moves from one list to another
/// keeps its lane, as its link stays. Lists of the lowest level have one only: their slots were
/// looked at a moment ago.
#[inline]
fn lane_of(list: u8, link: u32) -> usize {
    if is_tick(list) {
        0
    } else {
        to_index(link) & const { LANES.wrapping_sub(1) }
    }
}

/// Returns true if a list is of the lowest level.
#[inline]
const fn is_tick(list: u8) -> bool {
    TICKS_FIRST <= list && list < MIDDLE_FIRST
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
        0..16 => 5,
        16..32 => 4,
        32..64 => 0,
        64..192 => 2,
        192..224 => 1,
        224..240 => 3,
        240.. => 6,
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
