//! Connections in TIME-WAIT, in 32 bytes each, so that their slots are free for others.
//!
//! The table is a ring: a connection takes the place that was taken longest ago, and what is still
//! there gives way. It is its own hash table, too: each place has the head of one chain and the
//! next of its own.
//!
//! | part | bytes |
//! |---|---|
//! | SND.NXT, RCV.NXT, TS.Recent | 12 |
//! | the window as it was told, challenges and their second, whether timestamps are in use | 4 |
//! | a keyed hash of the ends, 48 of its bits | 6 |
//! | when TIME-WAIT is over | 4 |
//! | head of a chain, next of its own | 6 |
//! | sum | 32 |
//!
//! Addresses of IPv6 have no room in that, so no addresses are kept, but their hash. Which chain a
//! place is in adds bits to the 48: of `n` places, a connection that is in none of them is taken
//! for one that is with a probability of about `n` in 2^64, and of one in 2^48 where there are
//! fewer than 65,536. Nobody without the stack's secret can look for such ends. A connection that
//! meets another's hash is answered in its place: its SYN is acknowledged like an old one, and it
//! opens when TIME-WAIT is over, at the latest. No octet of a stream can come out of it, since no
//! connection in TIME-WAIT has any.
//!
//! Nothing is done when TIME-WAIT is over; the place is then as good as free.

use usockets::{Error, Instant};

use crate::number::{count, high, low, low16, place};
use crate::stack::input::Arrival;
use crate::stack::look::Look;
use crate::stack::platform::Stack;
use crate::stack::shell::Shell;
use crate::stack::slot::Ends;
use crate::tcp::{Segment, Seq, TimeWait, TimeWaitAnswer};

/// In a link: the end of a chain, and the rest is the chain's number.
const END: u32 = 1 << 23;
/// Next of a place that is in no chain.
const FREE: u32 = (END << 1) - 1;
/// Most places that links can tell apart from all that.
const PLACES_MAX: usize = 0x7f_ffff;
/// Bits of a hash that a place keeps; the upper ones say which chain it is in.
const KEY_BITS: u32 = 48;
/// Bits of the clock in microseconds that [`TimeWaitSlot::until`] leaves out: it counts 65 ms, and
/// wraps after nine years.
const UNIT_BITS: u32 = 16;

/// One connection's place in the table of those in TIME-WAIT ([`Stack::start_time_wait`]), lent by
/// the caller as [`TimeWaitSlot::EMPTY`]. It takes 32 bytes.
#[derive(Clone, Copy, Debug)]
pub struct TimeWaitSlot {
    connection: TimeWait,
    /// The hash of its ends.
    key_low: u32,
    key_high: u16,
    /// The first place of the chain whose number this place has.
    head: [u8; 3],
    /// The next place of the chain that this one is in.
    next: [u8; 3],
    /// When TIME-WAIT is over, in units of 2^16 µs.
    until: u32,
}

const _: () = assert!(size_of::<TimeWaitSlot>() <= 32);

impl TimeWaitSlot {
    /// A place that no stack has taken yet.
    pub const EMPTY: Self = Self {
        connection: TimeWait::EMPTY,
        key_low: 0,
        key_high: 0,
        head: link(END),
        next: link(FREE),
        until: 0,
    };

    const fn is_used(&self) -> bool {
        index_of(self.next) != FREE
    }

    fn key(&self) -> u64 {
        (u64::from(self.key_high) << 32) | u64::from(self.key_low)
    }

    /// Returns true while TIME-WAIT lasts.
    fn lasts(&self, now: Instant) -> bool {
        let left = self.until.wrapping_sub(low(now.as_micros() >> UNIT_BITS));
        self.is_used() && left != 0 && left <= i32::MAX.cast_unsigned()
    }

    fn set_until(&mut self, until: Instant) {
        let micros = until.as_micros().saturating_add((1 << UNIT_BITS) - 1);
        self.until = low(micros >> UNIT_BITS);
    }
}

/// Returns a link to the place `index`.
const fn link(index: u32) -> [u8; 3] {
    let [a, b, c, _] = index.to_le_bytes();
    [a, b, c]
}

/// Returns the place that a link leads to.
const fn index_of([a, b, c]: [u8; 3]) -> u32 {
    u32::from_le_bytes([a, b, c, 0])
}

/// All connections in TIME-WAIT that have given up their slots.
pub(super) struct TimeWaits<'a> {
    places: &'a mut [TimeWaitSlot],
    /// The place that the next connection takes.
    cursor: u32,
}

impl<'a> TimeWaits<'a> {
    /// No place.
    pub(super) const fn empty() -> Self {
        Self {
            places: &mut [],
            cursor: 0,
        }
    }

    /// Takes over the caller's memory; `None` without any, with too much, or the second time.
    fn start(&mut self, places: &'a mut [TimeWaitSlot]) -> Option<()> {
        if places.is_empty() || places.len() > PLACES_MAX || !self.places.is_empty() {
            return None;
        }
        for (chain, slot) in (0..END).zip(places.iter_mut()) {
            *slot = TimeWaitSlot {
                head: link(END | chain),
                ..TimeWaitSlot::EMPTY
            };
        }
        self.places = places;
        Some(())
    }

    /// Returns the number of the chain for a hash: its upper bits, as many as there are chains.
    fn chain_of(&self, hash: u64) -> usize {
        let bits = self.places.len().checked_ilog2().unwrap_or(0);
        let chain = hash.checked_shr(u64::BITS.saturating_sub(bits));
        usize::try_from(chain.unwrap_or(0)).unwrap_or(usize::MAX)
    }

    /// Finds the connection of a hash that is in TIME-WAIT.
    fn find(&self, hash: u64, now: Instant) -> Option<u32> {
        let key = hash & ((1 << KEY_BITS) - 1);
        let mut index = index_of(self.places.get(self.chain_of(hash))?.head);
        // A chain is never longer than all places.
        for _ in 0..self.places.len() {
            let found = self.places.get(place(index))?;
            if found.key() == key && found.lasts(now) {
                return Some(index);
            }
            index = index_of(found.next);
        }
        None
    }

    /// Takes a connection in until a time. Returns true if one gave way that was still in
    /// TIME-WAIT.
    fn insert(
        &mut self,
        hash: u64,
        connection: TimeWait,
        (now, until): (Instant, Instant),
    ) -> bool {
        let index = self.cursor;
        let after = index.wrapping_add(1);
        self.cursor = if after < count(self.places.len()) {
            after
        } else {
            0
        };
        let gave_way = self
            .places
            .get(place(index))
            .is_some_and(|old| old.lasts(now));
        self.remove(index);
        let chain = self.chain_of(hash);
        let Some(first) = self.places.get_mut(chain) else {
            return false;
        };
        let next = core::mem::replace(&mut first.head, link(index));
        if let Some(slot) = self.places.get_mut(place(index)) {
            slot.connection = connection;
            slot.key_low = low(hash);
            slot.key_high = low16(u64::from(high(hash)));
            slot.next = next;
            slot.set_until(until);
        }
        gave_way
    }

    /// Makes a place free if it is not.
    fn remove(&mut self, index: u32) {
        let Some(slot) = self.places.get_mut(place(index)) else {
            return;
        };
        if !slot.is_used() {
            return;
        }
        let next = core::mem::replace(&mut slot.next, link(FREE));
        let mut end = index_of(next);
        let most = self.places.len();
        for _ in 0..most {
            let Some(slot) = self.places.get(place(end)) else {
                break;
            };
            end = index_of(slot.next);
        }
        let Some(first) = self.places.get_mut(place(end & !END)) else {
            return;
        };
        let mut to = &mut first.head;
        for _ in 0..most {
            let at = index_of(*to);
            if at == index {
                *to = next;
                return;
            }
            let Some(slot) = self.places.get_mut(place(at)) else {
                return;
            };
            to = &mut slot.next;
        }
    }
}

impl<'a, D> Stack<'a, D> {
    /// Gives the stack a table for connections in TIME-WAIT that no owner has any more: each then
    /// takes 32 bytes there, and its slot, its buffers and its control block are free for others at
    /// once. Call it once, after the stack has started; without it they keep their slots.
    ///
    /// A server that closes first, `n` times a second, has 60 `n` connections in TIME-WAIT
    /// ([`Limits::time_wait`](crate::Limits::time_wait)). When the table is full, the connection
    /// that has been in it longest gives way ([`Counters::time_wait_evicted`]); what its peer still
    /// sends is answered with a reset.
    ///
    /// [`Counters::time_wait_evicted`]: crate::Counters::time_wait_evicted
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is no place or more than 8,388,607, or the stack has not been
    /// started, or has such a table.
    pub fn start_time_wait(&mut self, places: &'a mut [TimeWaitSlot]) -> Result<(), Error> {
        if self.shell.scratch.is_empty() {
            return Err(Error::Invalid);
        }
        self.shell.time_waits.start(places).ok_or(Error::Invalid)
    }

    /// Returns the number of connections in TIME-WAIT that have given up their slots
    /// ([`Self::start_time_wait`]). Looks at every place.
    #[must_use]
    pub fn time_wait_count(&self) -> usize {
        let (places, now) = (self.shell.time_waits.places.iter(), self.shell.now);
        places.fold(0, |sum, place| {
            sum.saturating_add(usize::from(place.lasts(now)))
        })
    }
}

impl Shell<'_> {
    /// Returns what ends are found by in the table.
    fn time_wait_hash(&self, ends: &Ends) -> u64 {
        // The demultiplexer's hash has another word.
        ends.hash(self.secrets.table, 1)
    }

    /// Moves a connection in TIME-WAIT that has nothing to send out of its slot, into the table.
    /// Returns true if the slot is free.
    pub(super) fn retire(&mut self, index: u32) -> bool {
        if self.time_waits.places.is_empty() {
            return false;
        }
        let look = self.slots.look(index);
        let left = match look {
            Look::Working(connection) => connection.time_wait(),
            Look::Quiet(quiet) => quiet.time_wait(),
        };
        let (Some(left), Some(until)) = (left, look.deadline()) else {
            return false;
        };
        let Some(slot) = self.slots.get(index) else {
            return false;
        };
        let hash = self.time_wait_hash(&slot.ends);
        if self.time_waits.insert(hash, left, (self.now, until)) {
            let count = &mut self.counters.time_wait_evicted;
            *count = count.wrapping_add(1);
        }
        self.release(index);
        true
    }

    /// Returns true if a connection in the table has these ends.
    pub(super) fn is_in_time_wait(&self, ends: &Ends) -> bool {
        let hash = self.time_wait_hash(ends);
        self.time_waits.find(hash, self.now).is_some()
    }

    /// Takes a segment for a connection in the table and returns the bytes of the frame that
    /// answers it; an `Err` if there is none, or no longer, with the SND.NXT that it had.
    pub(super) fn on_time_wait(
        &mut self,
        ends: &Ends,
        segment: &Segment<'_>,
        arrival: &Arrival<'_>,
    ) -> Result<usize, Option<Seq>> {
        if self.time_waits.places.is_empty() {
            return Err(None);
        }
        let hash = self.time_wait_hash(ends);
        let index = self.time_waits.find(hash, self.now).ok_or(None)?;
        let offset = self.clock_offset(ends);
        let until = self.now.saturating_add(self.limits.time_wait);
        let slot = self.time_waits.places.get_mut(place(index)).ok_or(None)?;
        let answer = match slot.connection.on_segment(self.now, segment, offset) {
            TimeWaitAnswer::Nothing => return Ok(0),
            TimeWaitAnswer::Acknowledge(answer) => answer,
            TimeWaitAnswer::Restart(answer) => {
                slot.set_until(until);
                answer
            }
            TimeWaitAnswer::NewSyn(_) if self.listener_for(ends).is_none() => return Ok(0),
            TimeWaitAnswer::NewSyn(last) => {
                self.time_waits.remove(index);
                return Err(Some(last));
            }
        };
        Ok(self.answer(ends, &answer, arrival))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::random::Random;
    use usockets::Duration;

    /// Against a plain list, with hashes that meet in chains and in keys' halves.
    #[test]
    fn agrees_with_a_plain_list() {
        for seed in 1..=60_u64 {
            let mut random = Random::new(seed);
            let len = 1 + usize::try_from(random.below(20)).unwrap();
            let mut places = std::vec![TimeWaitSlot::EMPTY; len];
            let mut table = TimeWaits::empty();
            table.start(&mut places).unwrap();
            let mut now = Instant::from_micros(seed << 40);
            // Hash, place, and when it is over.
            let mut model: std::vec::Vec<(u64, u32, Instant)> = std::vec::Vec::new();
            let mut cursor = 0;
            for _ in 0..3_000 {
                now = now.saturating_add(Duration::from_micros(random.below(400_000)));
                let hash = [0, u64::MAX, 1 << 40][place(low(random.below(3)))]
                    ^ (random.below(4) << 62)
                    ^ random.below(4);
                let lasts =
                    |until: Instant| until.as_micros().div_ceil(1 << 16) > now.as_micros() >> 16;
                let known = model
                    .iter()
                    .rev()
                    .find(|(known, _, until)| *known == hash && lasts(*until));
                let found = table.find(hash, now);
                // Where the keys are the same, chains tell hashes apart only if there are some.
                if len >= 4 {
                    assert_eq!(found, known.map(|(_, at, _)| *at), "seed {seed}");
                }
                if random.below(4) == 0 {
                    if let Some(at) = found {
                        table.remove(at);
                        model.retain(|(_, place, _)| *place != at);
                    }
                    continue;
                }
                let until = now.saturating_add(Duration::from_millis(random.below(3_000)));
                let old = model.iter().position(|(_, at, _)| *at == cursor);
                let gone = old.map(|old| model.remove(old));
                let gave_way = table.insert(hash, TimeWait::EMPTY, (now, until));
                assert_eq!(gave_way, gone.is_some_and(|(_, _, until)| lasts(until)));
                model.push((hash, cursor, until));
                cursor = (cursor + 1) % count(len);
            }
        }
    }
}
