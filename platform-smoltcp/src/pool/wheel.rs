//! Deadlines of all connections: a timing wheel whose entries live in the slots.
//!
//! Four levels of 64 places; a place of level `n` is 64^n ticks wide, a tick is 1,024 µs. Setting,
//! moving and clearing a deadline cost the same whatever the number of connections; so does
//! finding the next one (one bit scan a level). A deadline beyond the wheel (4.7 hours) waits in
//! its last place and is put in again from there.

use usockets::Instant;

use crate::number::{low, place};
use crate::pool::links::{Marks, NONE, Node};

const LEVELS: usize = 4;
const PLACES: usize = 64;
/// Ticks that the wheel spans.
const SPAN: u32 = 1 << 24;
/// How far ahead a deadline can be put: short of coming round to the current place again.
const AHEAD_MAX: u32 = (63 << 18) - 1;

/// Returns the tick in which `at` lies. Ticks wrap after 50 days and are only ever compared with
/// ticks less than half of that away.
pub(crate) fn tick_of(at: Instant) -> u32 {
    low(at.as_micros() >> 10)
}

/// Returns the first tick that starts at or after `at`.
pub(crate) fn tick_after(at: Instant) -> u32 {
    low(at.as_micros().saturating_add(1_023) >> 10)
}

/// The wheel: heads of doubly linked lists through the slots.
pub(crate) struct Wheel {
    /// Every deadline in the wheel is at or after this tick.
    tick: u32,
    /// None is in this tick.
    over: bool,
    used: [u64; LEVELS],
    heads: [[u32; PLACES]; LEVELS],
}

impl Wheel {
    /// Makes an empty wheel that starts at `now`.
    pub(crate) fn new(now: Instant) -> Self {
        Self {
            tick: tick_of(now),
            over: false,
            used: [0; LEVELS],
            heads: [[NONE; PLACES]; LEVELS],
        }
    }

    /// Sets the deadline of slot `index` to the tick `due`; one already set moves. A deadline in
    /// the past is due at once.
    pub(crate) fn set<N: Node>(&mut self, slots: &mut [N], index: u32, due: u32) {
        let due = if before(due, self.tick) {
            self.tick
        } else {
            due
        };
        let Some(slot) = slots.get(place(index)) else {
            return;
        };
        if slot.links().has(Marks::TIMED) {
            if slot.links().timer_due == due {
                return;
            }
            self.clear(slots, index);
        }
        self.over &= due != self.tick;
        let ahead = due.wrapping_sub(self.tick).min(AHEAD_MAX);
        self.link(slots, index, due, self.tick.wrapping_add(ahead));
    }

    /// Clears the deadline of slot `index`, if it has one.
    pub(crate) fn clear<N: Node>(&mut self, slots: &mut [N], index: u32) {
        let Some(slot) = slots.get_mut(place(index)) else {
            return;
        };
        let links = slot.links_mut();
        if !links.has(Marks::TIMED) {
            return;
        }
        let (level, cell) = split(links.timer_place);
        let (prev, next) = (links.timer_prev, links.timer_next);
        links.marks.clear(Marks::TIMED);
        if let Some(slot) = slots.get_mut(place(next)) {
            slot.links_mut().timer_prev = prev;
        }
        if let Some(slot) = slots.get_mut(place(prev)) {
            slot.links_mut().timer_next = next;
            return;
        }
        if let Some(head) = self.heads.get_mut(level).and_then(|row| row.get_mut(cell)) {
            *head = next;
        }
        if next == NONE
            && let Some(used) = self.used.get_mut(level)
        {
            *used &= !bit(cell);
        }
    }

    /// Takes one slot whose deadline has come by `now`; `None` when there is none.
    ///
    /// Call until `None`; a caller that stops early loses nothing.
    #[inline]
    pub(crate) fn pop<N: Node>(&mut self, slots: &mut [N], now: Instant) -> Option<u32> {
        let now = tick_of(now);
        if self.over && now == self.tick {
            return None;
        }
        loop {
            let next = self.first().filter(|(_, _, start)| !before(now, *start));
            let Some((level, cell, start)) = next else {
                // Nothing lies between, so that what is set from here on is exact.
                if before(self.tick, now) {
                    self.tick = now;
                }
                self.over = self.tick == now;
                return None;
            };
            self.tick = start;
            self.over = false;
            let index = *self.heads.get(level)?.get(cell)?;
            let due = slots.get(place(index))?.links().timer_due;
            self.clear(slots, index);
            if !before(now, due) {
                return Some(index);
            }
            // Of a wide place, or from beyond the wheel: put in again, closer.
            self.set(slots, index, due);
        }
    }

    /// Returns an instant at or before the next deadline; `None` when no deadline is set.
    pub(crate) fn next(&self, now: Instant) -> Option<Instant> {
        let (_, _, start) = self.first()?;
        let ahead = start.wrapping_sub(tick_of(now));
        if ahead > u32::MAX / 2 {
            return Some(now);
        }
        let at = (now.as_micros() >> 10).saturating_add(u64::from(ahead)) << 10;
        Some(Instant::from_micros(at.max(now.as_micros())))
    }

    fn link<N: Node>(&mut self, slots: &mut [N], index: u32, due: u32, near: u32) {
        let (level, cell) = self.locate(near);
        let Some(head) = self.heads.get_mut(level).and_then(|row| row.get_mut(cell)) else {
            return;
        };
        let old = core::mem::replace(head, index);
        if let Some(used) = self.used.get_mut(level) {
            *used |= bit(cell);
        }
        if let Some(slot) = slots.get_mut(place(old)) {
            slot.links_mut().timer_prev = index;
        }
        if let Some(slot) = slots.get_mut(place(index)) {
            let links = slot.links_mut();
            links.timer_due = due;
            links.timer_prev = NONE;
            links.timer_next = old;
            links.timer_place = join(level, cell);
            links.marks.set(Marks::TIMED);
        }
    }

    /// The level is that of the highest group of six bits in which the deadline differs from now.
    fn locate(&self, due: u32) -> (usize, usize) {
        let differ = (due ^ self.tick) & (SPAN - 1);
        let level = match differ {
            0..=0x3f => 0,
            0x40..=0xfff => 1,
            0x1000..=0x3_ffff => 2,
            _ => 3,
        };
        (level, cell_of(due, level))
    }

    /// Returns the first used place and the tick at which it starts.
    fn first(&self) -> Option<(usize, usize, u32)> {
        let mut best: Option<(usize, usize, u32)> = None;
        for (level, used) in self.used.iter().enumerate() {
            if *used == 0 {
                continue;
            }
            let current = cell_of(self.tick, level);
            let turned = used.rotate_right(u32::try_from(current).unwrap_or(0));
            let distance = turned.trailing_zeros();
            let shift = shift_of(level);
            let cell = current.wrapping_add(place(distance)) & (PLACES - 1);
            let aligned = (self.tick >> shift).wrapping_add(distance) << shift;
            // The current place of a level has started already.
            let start = if distance == 0 { self.tick } else { aligned };
            let ahead = start.wrapping_sub(self.tick);
            if best.is_none_or(|(_, _, other)| ahead < other.wrapping_sub(self.tick)) {
                best = Some((level, cell, start));
            }
        }
        best
    }
}

/// Whether tick `a` comes before tick `b`.
const fn before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b) > u32::MAX / 2
}

const fn bit(cell: usize) -> u64 {
    1_u64.rotate_left(low_of(cell))
}

const fn low_of(cell: usize) -> u32 {
    let [first, ..] = cell.to_le_bytes();
    u32::from_le_bytes([first, 0, 0, 0])
}

const fn shift_of(level: usize) -> u32 {
    match level {
        0 => 0,
        1 => 6,
        2 => 12,
        _ => 18,
    }
}

fn cell_of(tick: u32, level: usize) -> usize {
    place((tick >> shift_of(level)) & 63)
}

fn join(level: usize, cell: usize) -> u8 {
    u8::try_from((level << 6) | cell).unwrap_or(0)
}

fn split(timer_place: u8) -> (usize, usize) {
    (usize::from(timer_place >> 6), usize::from(timer_place & 63))
}

#[cfg(test)]
#[expect(clippy::as_conversions, reason = "small numbers of tests")]
mod tests {
    extern crate std;
    use super::*;
    use crate::pool::links::tests::Bare;
    use std::vec::Vec;

    fn at(tick: u64) -> Instant {
        Instant::from_micros(tick << 10)
    }

    /// Against a plain list: never early, never late, whatever is set, moved and cleared.
    #[test]
    fn agrees_with_a_sorted_list() {
        for seed in 1..=40_u64 {
            let mut random = crate::random::Random::new(seed);
            let mut slots: Vec<Bare> = (0..50).map(Bare::new).collect();
            let mut now = random.below(1 << 40);
            let mut wheel = Wheel::new(at(now));
            let mut model: [Option<u64>; 50] = [None; 50];
            for _ in 0..4_000 {
                match random.below(4) {
                    0 | 1 => {
                        let index = random.below(50);
                        let far = [2, 70, 5_000, 300_000, 20_000_000][random.below(5) as usize];
                        let due = now + random.below(far);
                        wheel.set(&mut slots, index as u32, low(due));
                        model[index as usize] = Some(due);
                    }
                    2 => {
                        let index = random.below(50);
                        wheel.clear(&mut slots, index as u32);
                        model[index as usize] = None;
                    }
                    _ => {
                        let far = [2, 70, 5_000, 300_000][random.below(4) as usize];
                        now += random.below(far);
                        let mut fired = Vec::new();
                        while let Some(index) = wheel.pop(&mut slots, at(now)) {
                            fired.push(index as usize);
                        }
                        fired.sort_unstable();
                        let due: Vec<usize> = (0..50)
                            .filter(|i| model[*i].is_some_and(|due| due <= now))
                            .collect();
                        assert_eq!(fired, due, "seed {seed}");
                        for index in due {
                            model[index] = None;
                        }
                    }
                }
                let next = model.iter().flatten().min().copied();
                let said = wheel.next(at(now)).map(|at| at.as_micros() >> 10);
                match (next, said) {
                    (None, said) => assert_eq!(said, None, "seed {seed}"),
                    (Some(due), said) => {
                        assert!(said.is_some_and(|said| said <= due.max(now)), "seed {seed}");
                    }
                }
            }
        }
    }
}
