//! A hierarchical timing wheel that runs through the slots.
//!
//! Time is cut into ticks of 1,024 µs. Level 0 has a list per tick, each further level a list per
//! 32 lists of the level below. A slot's place may be earlier than its deadline, never later: to
//! move a deadline back is one store, and the list work is made up for when the place comes up.
//! After Varghese and Lauck, "Hashed and hierarchical timing wheels" (1987), scheme 6.2.

use crate::id::to_index;
use crate::injected_bug::injected_bug;
use crate::pool::slot::{Deadline, Slot};

/// log2 of the lists per level.
const BITS: u32 = 5;
const LISTS: u32 = 1 << BITS;
const LEVELS: u32 = 6;
const TOP: u32 = LEVELS - 1;
const LISTS_ALL: usize = 192;
/// No list has anything.
pub(crate) const NEVER: u64 = u64::MAX;

/// Microseconds per tick, as a shift.
const TICK_SHIFT: u32 = 10;

/// Lists of slots by time.
#[derive(Debug)]
pub(crate) struct Wheel {
    /// Up to here everything is done.
    tick: u64,
    /// No place is earlier than this tick.
    next: u64,
    /// The same in microseconds.
    next_micros: u64,
    /// The list whose entries are being looked at, plus one. It comes before all others.
    draining: u8,
    /// Which lists of a level have entries.
    filled: [u32; 6],
    /// First slot of each list, plus one.
    heads: [u32; LISTS_ALL],
}

impl Wheel {
    /// A wheel with nothing on it, whose clock stands at `micros`.
    pub(crate) const fn new(micros: u64) -> Self {
        Self {
            tick: micros >> TICK_SHIFT,
            next: NEVER,
            next_micros: NEVER,
            draining: 0,
            filled: [0; 6],
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
            return;
        };
        let due = due_tick(slot.deadline.micros());
        if let Some(list) = slot.bucket.checked_sub(1) {
            if self.list_tick(u32::from(list)) <= due {
                return;
            }
            self.remove(slots, index);
        }
        self.insert(slots, index, due);
    }

    fn insert<S, C>(&mut self, slots: &mut [Slot<S, C>], index: u32, due: u64) {
        let due = due.max(self.tick.saturating_add(1));
        let differs = due ^ self.tick;
        let top_bit = 63_u32.saturating_sub(differs.leading_zeros());
        let level = (top_bit / BITS).min(TOP);
        let shift = level.wrapping_mul(BITS);
        // The top level goes round; what is further away waits in its last list.
        let here = self.tick.wrapping_shr(shift);
        let place = due
            .wrapping_shr(shift)
            .min(here.saturating_add(u64::from(LISTS - 1)));
        let list = low_bits(place);
        if let Some(filled) = self.filled.get_mut(to_index(level)) {
            *filled |= 1_u32.wrapping_shl(list);
        }
        self.set_next(self.next.min(place.wrapping_shl(shift)));
        let list = level.wrapping_mul(LISTS).wrapping_add(list);
        self.link(slots, index, u8::try_from(list).unwrap_or_default());
    }

    fn link<S, C>(&mut self, slots: &mut [Slot<S, C>], index: u32, list: u8) {
        let Some(head) = self.heads.get_mut(usize::from(list)) else {
            return;
        };
        let second = *head;
        *head = index.wrapping_add(1);
        if let Some(slot) = slots.get_mut(to_index(index)) {
            slot.bucket = list.wrapping_add(1);
            slot.prev = 0;
            slot.next = second;
        }
        if let Some(second) = second.checked_sub(1)
            && let Some(slot) = slots.get_mut(to_index(second))
        {
            slot.prev = index.wrapping_add(1);
        }
    }

    /// Takes the slot off whatever list it is on.
    pub(crate) fn remove<S, C>(&mut self, slots: &mut [Slot<S, C>], index: u32) {
        let Some(slot) = slots.get_mut(to_index(index)) else {
            return;
        };
        let Some(list) = slot.bucket.checked_sub(1) else {
            return;
        };
        let (prev, next) = (slot.prev, slot.next);
        slot.bucket = 0;
        if let Some(next) = next.checked_sub(1)
            && let Some(slot) = slots.get_mut(to_index(next))
        {
            slot.prev = prev;
        }
        if let Some(prev) = prev.checked_sub(1) {
            if let Some(slot) = slots.get_mut(to_index(prev)) {
                slot.next = next;
            }
            return;
        }
        if let Some(head) = self.heads.get_mut(usize::from(list)) {
            *head = next;
        }
        let (level, bit) = (u32::from(list) / LISTS, u32::from(list) % LISTS);
        if next == 0
            && let Some(filled) = self.filled.get_mut(to_index(level))
        {
            *filled &= !1_u32.wrapping_shl(bit);
            self.earliest();
        }
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
            let list = self.earliest();
            if self.next > now {
                self.tick = self.tick.max(now);
                return None;
            }
            self.tick = self.tick.max(self.next);
            self.draining = list.wrapping_add(1);
            *budget = budget.checked_sub(1)?;
            let index = self.heads.get(usize::from(list))?.checked_sub(1)?;
            self.remove(slots, index);
            let slot = slots.get_mut(to_index(index))?;
            let deadline = slot.deadline.micros();
            if deadline == 0 {
                continue;
            }
            let due = due_tick(deadline);
            if due <= self.tick {
                slot.deadline = Deadline::NEVER;
                return Some((index, deadline));
            }
            self.insert(slots, index, due);
        }
    }

    /// Finds the earliest list that has entries and notes its time in `next`.
    fn earliest(&mut self) -> u8 {
        if let Some(list) = self.draining.checked_sub(1) {
            if self
                .heads
                .get(usize::from(list))
                .is_some_and(|head| *head != 0)
            {
                self.set_next(self.tick);
                return list;
            }
            self.draining = 0;
        }
        for (level, filled) in (0_u32..).zip(self.filled) {
            if filled != 0 {
                // Only the top level goes round; below it, what is filled lies ahead.
                let list = if level == TOP {
                    let here = low_bits(self.tick.wrapping_shr(TOP.wrapping_mul(BITS)));
                    let ahead = filled.rotate_right(here).trailing_zeros();
                    here.wrapping_add(ahead) % LISTS
                } else {
                    filled.trailing_zeros()
                };
                let list = level.wrapping_mul(LISTS).wrapping_add(list);
                self.set_next(self.list_tick(list));
                return u8::try_from(list).unwrap_or_default();
            }
        }
        self.set_next(NEVER);
        0
    }

    /// The first tick of a list: when its entries are looked at.
    fn list_tick(&self, list: u32) -> u64 {
        let (level, list) = (list / LISTS, list % LISTS);
        let shift = level.wrapping_mul(BITS);
        let here = self.tick.wrapping_shr(shift);
        let ahead = list.wrapping_sub(low_bits(here)) % LISTS;
        here.wrapping_add(u64::from(ahead)).wrapping_shl(shift)
    }
}

/// The tick at which a deadline is surely over.
fn due_tick(deadline: u64) -> u64 {
    if injected_bug!(EarlyTimer) {
        return deadline >> TICK_SHIFT;
    }
    deadline.saturating_add((1 << TICK_SHIFT) - 1) >> TICK_SHIFT
}

fn low_bits(value: u64) -> u32 {
    u32::try_from(value & 31).unwrap_or_default()
}

#[cfg(test)]
#[expect(
    clippy::arithmetic_side_effects,
    reason = "an overflow in a test is a failed test"
)]
mod tests {
    extern crate std;

    use std::vec::Vec;

    use super::*;

    const SLOTS: u32 = 200;
    /// Miri takes a thousand times as long.
    const STEPS: u32 = if cfg!(miri) { 200 } else { 3_000 };
    /// Miri is too slow for as many.
    const SEEDS: u64 = if cfg!(miri) { 3 } else { 60 };
    const TICK: u64 = 1 << TICK_SHIFT;

    fn next_random(state: &mut u64) -> u64 {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state
    }

    /// A span whose magnitude is random too, up to about 2^46 µs (2 years).
    fn span(state: &mut u64) -> u64 {
        let bits = next_random(state) % 46;
        next_random(state) % (1 << bits) + 1
    }

    /// A plain table of deadlines beside the wheel, under random arming, re-arming, disarming,
    /// removal and jumps of time: each fires once, never early, and late by a tick at most.
    fn run(seed: u64, budget_max: u64) {
        let mut random = seed;
        let mut slots: Vec<Slot<(), ()>> = (0..SLOTS).map(|_| Slot::free(())).collect();
        let mut now = next_random(&mut random) % (1 << 50);
        let mut wheel = Wheel::new(now);
        let mut model: Vec<Option<u64>> = (0..SLOTS).map(|_| None).collect();
        for _ in 0..STEPS {
            let index = u32::try_from(next_random(&mut random) % u64::from(SLOTS)).unwrap();
            let entry = &mut model[to_index(index)];
            match next_random(&mut random) % 8 {
                0..4 => {
                    let deadline = now + span(&mut random);
                    wheel.set(&mut slots, index, deadline);
                    *entry = Some(deadline);
                }
                4 => {
                    wheel.set(&mut slots, index, 0);
                    *entry = None;
                }
                5 => {
                    wheel.remove(&mut slots, index);
                    slots[to_index(index)].deadline = Deadline::NEVER;
                    *entry = None;
                }
                _ => {
                    let earliest = model.iter().flatten().min();
                    if let Some(&earliest) = earliest {
                        let due = earliest.div_ceil(TICK) * TICK;
                        assert!(wheel.next_micros() <= due, "seed {seed}: would oversleep");
                    }
                    now = if next_random(&mut random).is_multiple_of(2)
                        && wheel.next_micros() != NEVER
                    {
                        now.max(wheel.next_micros())
                    } else {
                        now + span(&mut random)
                    };
                    expire(&mut wheel, &mut slots, &mut model, now, budget_max, seed);
                }
            }
        }
    }

    fn expire(
        wheel: &mut Wheel,
        slots: &mut [Slot<(), ()>],
        model: &mut [Option<u64>],
        now: u64,
        budget_max: u64,
        seed: u64,
    ) {
        let mut rounds = 0;
        while wheel.advance(now) {
            let mut budget = u32::try_from(budget_max).unwrap();
            while let Some((index, deadline)) = wheel.expire(slots, now, &mut budget) {
                assert_eq!(model[to_index(index)].take(), Some(deadline), "seed {seed}");
                assert!(deadline <= now, "seed {seed}: early");
            }
            rounds += 1;
            assert!(rounds < 100_000, "seed {seed}: no progress");
        }
        for deadline in model.iter().flatten() {
            assert!(deadline + TICK > now, "seed {seed}: late");
        }
    }

    #[test]
    fn deadlines_fire_once_never_early_and_a_tick_late_at_most() {
        for seed in 1..SEEDS {
            run(seed, u64::from(u32::MAX));
        }
    }

    #[test]
    fn a_budget_only_puts_expiries_off() {
        for seed in 1..SEEDS {
            run(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), 3);
        }
    }

    #[test]
    fn putting_a_deadline_off_leaves_the_lists_alone() {
        let mut slots: Vec<Slot<(), ()>> = (0..2).map(|_| Slot::free(())).collect();
        let mut wheel = Wheel::new(0);
        wheel.set(&mut slots, 0, 30_000_000);
        let bucket = slots[0].bucket;
        for deadline in 30_000_001..30_001_000 {
            wheel.set(&mut slots, 0, deadline);
            assert_eq!(slots[0].bucket, bucket);
        }
    }
}
