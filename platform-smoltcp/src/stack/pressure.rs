//! What happens when slots or sets are too few.
//!
//! Who wants a slot and finds none makes place of others in this order: the oldest in TIME-WAIT,
//! the oldest of which only the peer's end is missing ([`Shell::vacate`]); then the oldest
//! half-open connection, one whose owner has closed and whose peer has not taken a segment for
//! [`STUCK`] ([`Shell::evict`]).
//!
//! Who wants a set and finds none makes place of others in this order:
//!
//! 1. A connection that holds nothing but what came out of order loses that. Its peer keeps it
//!    until it is acknowledged (RFC 2018, section 8).
//! 2. A connection whose peer has acknowledged nothing for [`STUCK`], though asked again, is given
//!    up, be it that it does not answer or that it keeps its window closed (RFC 6429, section 4).
//!    What its owner has not received stays, and the set with it, until the owner has.
//!
//! A segment with text that finds none all the same is dropped, as one that the network has lost:
//! its peer sends it again. One without new text needs none, nor do deadlines and resets
//! (`tcp::bare`), so a class may be without any set. The window that its peer was told stays, since
//! it may not shrink (RFC 9293, section 3.8.6). An owner that wants to send or to end waits in a
//! queue, first come, first served, before what segments and new connections want. It keeps its
//! set until it has been told and has had its turn. While anybody waits, no owner sends more than
//! what it has taken already, who has sent it all goes to the end of the queue, and a delayed
//! acknowledgement goes as soon as its connection is served, so that each set comes free when its
//! buffers are empty.
//!
//! Streams without end could still keep all sets for ever, and owners that wait could pass sets on
//! from one to the next, so that no segment of others ever finds one. Where a segment has found
//! none in the last 8 s and no set has been free for a quarter of a second, the class is *crowded*:
//! text is not taken and nothing more is sent, so that a set comes free; and for [`KEPT`] that is
//! only for those whose peers have not been heard for as long, and for new connections. A peer that
//! has found no set tries again more and more seldom; at first it comes back within that time.

use usockets::{Duration, Error, Instant};

use crate::config::CLASSES_MAX;
use crate::number::place;
use crate::pool::wheel::tick_of;
use crate::stack::lease::KEPT;
use crate::stack::shell::Shell;
use crate::stack::slot::{Facts, Flags, Phase};
use crate::tcp::Segment;

/// How long a peer must not have taken a segment before others may have the place.
pub(super) const STUCK: Duration = Duration::from_secs(10);
/// How many slots are looked at for one that is stuck.
const STUCK_TRIES: usize = 64;
/// How often is looked for sets while connections wait for some.
const RELIEF_EVERY: Duration = Duration::from_millis(100);
/// How many sets are looked at for one that can be taken back.
const TRIES: u32 = 64;

impl Shell<'_> {
    /// Sees to it that the connection has a set; returns false if there is none for it.
    #[inline]
    pub(super) fn lease(&mut self, index: u32) -> bool {
        !self.slots.is_any_leased() || self.lease_set(index)
    }

    /// Returns true if a connection's class has no sets at all.
    pub(super) fn is_bare(&self, index: u32) -> bool {
        let class = self.slots.class_of(index);
        self.slots.is_any_leased() && !self.slots.has_sets(class)
    }

    /// Returns true if a connection has a set or could have one now.
    #[inline(never)]
    pub(super) fn may_find_set(&mut self, index: u32) -> bool {
        let class = self.slots.class_of(index);
        self.slots.has_set(class) || self.slots.has_own_set(index)
    }

    #[inline(never)]
    fn lease_set(&mut self, index: u32) -> bool {
        let class = self.slots.class_of(index);
        let free = self.slots.has_set(class);
        if free
            && self.is_kept(class)
            && !self.slots.has_own_set(index)
            && !self.slots.is_silent(index, self.now, KEPT)
        {
            self.counters.starved = self.counters.starved.wrapping_add(1);
            return false;
        }
        if !self.slots.lease(index) {
            if self.reclaim(class) {
                // Who has waited goes first, even if somebody else has made place.
                self.feed(class);
            }
            if !self.slots.lease(index) {
                self.note_refusal(class);
                return false;
            }
        }
        if free && !self.slots.has_set(class) {
            self.note_last_taken(class);
        }
        let slot = self.slots.get(index);
        if slot.is_some_and(|slot| slot.flags.has(Flags::STARVED)) {
            self.make_up(index);
        }
        true
    }

    /// Does what an owner has asked for while its connection waited for a set.
    fn make_up(&mut self, index: u32) {
        self.slots.unstarve(index);
        let now = self.now;
        let Some(open) = self.slots.open(index) else {
            return;
        };
        let flags = &mut open.slot.flags;
        if flags.has(Flags::CLOSE_DUE) {
            open.connection.close(now, &open.buffers);
        } else if flags.has(Flags::FINISH_DUE) {
            open.connection.shutdown();
        }
        let facts = Facts::WRITABLE.when(flags.has(Flags::SEND_DUE));
        // The owner's send stays due, and the set its own, until it has had its turn.
        flags.clear(Flags::CLOSE_DUE | Flags::FINISH_DUE);
        self.report(index, facts);
        self.serve.push(self.slots.all, index);
    }

    /// Lets the connection wait for a set to do what `due` says.
    pub(super) fn starve(&mut self, index: u32, due: u8) {
        if self.is_bare(index) {
            // There will never be one.
            return;
        }
        if let Some(slot) = self.slots.get_mut(index) {
            slot.flags.set(due);
            self.slots.starve(index);
        }
        self.await_relief();
    }

    /// Has sets looked for soon.
    fn await_relief(&mut self) {
        let at = self.now.saturating_add(RELIEF_EVERY);
        if let Some(relief) = self.relief_at.first_mut() {
            relief.get_or_insert(at);
        }
    }

    /// Notes that a segment or a connection has found no set of a class.
    fn note_refusal(&mut self, class: u8) {
        self.counters.starved = self.counters.starved.wrapping_add(1);
        if let Some(crowding) = self.slots.crowding(class) {
            crowding.on_refusal(self.now);
        }
    }

    /// Notes that the last free set of a class is taken now.
    fn note_last_taken(&mut self, class: u8) {
        if let Some(crowding) = self.slots.crowding(class) {
            crowding.on_last_taken(self.now);
        }
    }

    /// Returns true while the sets of a class are for those that have been silent.
    fn is_kept(&mut self, class: u8) -> bool {
        let crowding = self.slots.crowding(class);
        crowding.is_some_and(|crowding| crowding.is_kept(self.now))
    }

    /// Returns true if nobody may take more of a class's sets than what is needed to give them
    /// back.
    fn is_crowded(&self, class: u8) -> bool {
        self.slots.is_crowded(class, self.now)
    }

    /// Returns when sets are looked for next, for connections that wait for some.
    pub(super) fn next_relief(&self) -> Option<Instant> {
        self.relief_at.first().copied().flatten()
    }

    /// Looks once more, from time to time, for sets that can be given to those that wait.
    pub(super) fn relieve(&mut self) {
        if self.next_relief().is_none_or(|at| at > self.now) {
            return;
        }
        self.relief_at.fill(None);
        for class in 0..u8::try_from(CLASSES_MAX).unwrap_or(u8::MAX) {
            if self.slots.first_starved(class).is_none() {
                continue;
            }
            let kept = self.is_kept(class);
            if !kept && (self.slots.has_set(class) || self.reclaim(class)) {
                self.feed(class);
                if !self.slots.has_set(class) {
                    self.note_last_taken(class);
                }
            }
            if self.slots.first_starved(class).is_some() {
                let at = self.now.saturating_add(RELIEF_EVERY);
                self.relief_at.fill(Some(at));
            }
        }
    }

    /// Gives sets that are free to those that wait for one.
    pub(super) fn feed(&mut self, class: u8) {
        // Each round takes a set.
        while let Some(index) = self.slots.first_starved(class) {
            if !self.slots.lease(index) {
                return;
            }
            self.make_up(index);
        }
    }

    /// Takes the set of a connection with nothing to do back; while others wait, lets it have
    /// nothing to do soon.
    #[inline]
    pub(super) fn rest(&mut self, index: u32) {
        if self.slots.is_any_leased() {
            self.rest_leased(index);
        }
    }

    #[inline(never)]
    fn rest_leased(&mut self, index: u32) {
        let Some(class) = self.slots.get(index).map(|slot| slot.class) else {
            return;
        };
        self.slots.count_holding(index);
        if self.has_turn(index) {
            return;
        }
        let crowded = self.is_crowded(class);
        if self.slots.rest(index) {
            if crowded {
                if let Some(crowding) = self.slots.crowding(class) {
                    crowding.keep(self.now);
                }
                return self.await_relief();
            }
            if !self.is_kept(class) {
                self.feed(class);
            }
            return;
        }
        if self.slots.has_set(class) {
            return;
        }
        if let Some(open) = self.slots.open(index)
            && open.connection.hurry()
        {
            self.serve.push(self.slots.all, index);
        }
    }

    /// Returns true while a connection keeps the set that it has waited for to send, which is until
    /// its owner has been told and has made its calls. Then the turn is over, used or not.
    fn has_turn(&mut self, index: u32) -> bool {
        let Some(slot) = self.slots.get_mut(index) else {
            return false;
        };
        if !slot.flags.has(Flags::SEND_DUE) || slot.flags.has(Flags::STARVED) {
            return false;
        }
        if slot.facts != Facts::NONE {
            return true;
        }
        slot.flags.clear(Flags::SEND_DUE);
        false
    }

    /// Sees to it that a turn ends whose owner has just been told of it.
    #[inline]
    pub(super) fn after_report(&mut self, index: u32) {
        if !self.slots.is_any_leased() {
            return;
        }
        let slot = self.slots.get(index);
        if slot.is_some_and(|slot| slot.flags.has(Flags::SEND_DUE)) {
            self.serve.push(self.slots.all, index);
        }
    }

    /// Returns true if an owner may send: with a set, and not more than its share while others wait
    /// for one. If not, it is told later.
    #[inline(never)]
    pub(super) fn may_send(&mut self, index: u32) -> bool {
        let Some(slot) = self.slots.get(index) else {
            return false;
        };
        let waiting = slot.flags.has(Flags::STARVED);
        let waits = self.slots.first_starved(slot.class).is_some() || self.is_crowded(slot.class);
        if let Some(open) = self.slots.open(index) {
            let flags = &mut open.slot.flags;
            let turn = flags.has(Flags::SEND_DUE) && !flags.has(Flags::STARVED);
            flags.clear(Flags::SEND_DUE);
            if waits && open.connection.send_len() > 0 {
                open.connection.note_short();
                return false;
            }
            if !waits || turn || !open.connection.is_quiet() {
                return true;
            }
            // Who has waited goes first, and this one to the end of the queue.
            self.starve(index, Flags::SEND_DUE);
            self.rest(index);
            return false;
        }
        // Who waits has its turn in the queue: a set that is free now is for others.
        if !waiting && self.lease(index) {
            return true;
        }
        self.starve(index, Flags::SEND_DUE);
        false
    }

    /// Sees to it that a class has a set for a new connection; returns false if it has not. Those
    /// that wait already go first.
    pub(super) fn spare(&mut self, class: u8) -> bool {
        if !self.slots.is_any_leased() || self.slots.has_set(class) {
            return true;
        }
        if self.reclaim(class) {
            self.feed(class);
        }
        if self.slots.has_set(class) {
            return true;
        }
        self.note_refusal(class);
        false
    }

    /// Makes a set of a class free, if one can be taken back.
    #[cold]
    fn reclaim(&mut self, class: u8) -> bool {
        if self.take_back(class, None) {
            return true;
        }
        let now = self.now;
        let mut unread = None;
        for _ in 0..TRIES {
            let Some(index) = self.slots.next_leaseholder(class) else {
                return false;
            };
            if !self.slots.may_be_stalled(index, (now, STUCK.as_micros())) {
                continue;
            }
            let Some(open) = self.slots.open(index) else {
                continue;
            };
            if u128::from(open.connection.stalled(now)) < STUCK.as_micros() {
                continue;
            }
            if open.connection.receive_len() == 0 {
                return self.give_up(index);
            }
            unread.get_or_insert(index);
        }
        unread.is_some_and(|index| self.give_up(index))
    }

    /// Ends a connection whose peer takes nothing. The peer learns of it with its next segment.
    /// Returns true if its set is free: not if an owner has octets to receive first.
    fn give_up(&mut self, index: u32) -> bool {
        let Some(phase) = self.slots.get(index).map(|slot| slot.phase) else {
            return false;
        };
        self.counters.stalled_evicted = self.counters.stalled_evicted.wrapping_add(1);
        if phase == Phase::Owned {
            self.fail(index, Error::TimedOut);
            return self.slots.rest(index);
        }
        self.release(index);
        true
    }

    /// Returns a segment without its text if the connection may not take that. What it acknowledges
    /// counts all the same.
    #[inline]
    pub(super) fn cut<'s>(&mut self, index: u32, segment: &Segment<'s>) -> Option<Segment<'s>> {
        let has_text = self.slots.is_any_leased() && !segment.payload.is_empty();
        (has_text && !self.may_take(index)).then(|| segment.without_text())
    }

    /// Returns true if a connection may take octets now.
    #[inline(never)]
    fn may_take(&mut self, index: u32) -> bool {
        let class = self.slots.class_of(index);
        !self.is_crowded(class) && self.may_hold(index)
    }

    /// Returns true if a connection may hold octets: they must not fill the last sets. What others
    /// have out of order makes place.
    fn may_hold(&mut self, index: u32) -> bool {
        if self.slots.may_hold(index) {
            return true;
        }
        let class = self.slots.class_of(index);
        if self.take_back(class, Some(index)) && self.slots.may_hold(index) {
            return true;
        }
        self.counters.starved = self.counters.starved.wrapping_add(1);
        false
    }

    /// Makes a set free of a connection that has become quiet in this turn, or has nothing but what
    /// came out of order: only the latter if it is for octets of the connection `holder`.
    #[cold]
    fn take_back(&mut self, class: u8, holder: Option<u32>) -> bool {
        for _ in 0..TRIES {
            let Some(index) = self.slots.next_leaseholder(class) else {
                return false;
            };
            if !self.slots.may_renege(index) {
                continue;
            }
            let Some(open) = self.slots.open(index) else {
                continue;
            };
            let holds = open.connection.holds_received();
            if holder.is_some_and(|holder| holder == index || !holds) {
                continue;
            }
            if !open.slot.flags.has(Flags::SEND_DUE) && open.connection.renege() {
                let reneged = u64::from(holds);
                self.counters.reneged = self.counters.reneged.wrapping_add(reneged);
                return self.slots.rest(index);
            }
        }
        false
    }

    /// Returns a free slot of a class, making one free if need be: of what is gone already, the
    /// oldest in TIME-WAIT, then the oldest of which only the peer's end is missing.
    pub(super) fn vacate(&mut self, class: u8) -> Option<u32> {
        if let Some(index) = self.slots.free(class) {
            return Some(index);
        }
        let lists = self.slots.classes.get(usize::from(class))?;
        let (index, old) = match (lists.time_wait.first(), lists.closing.first()) {
            (Some(index), _) => (index, true),
            (None, Some(index)) => (index, false),
            (None, None) => return None,
        };
        let count = if old {
            &mut self.counters.time_wait_evicted
        } else {
            &mut self.counters.closing_evicted
        };
        *count = count.wrapping_add(1);
        self.release(index);
        Some(index)
    }

    /// Makes a slot free if nothing else is: of the oldest half-open connection, or of one that is
    /// stuck.
    pub(super) fn evict(&mut self, class: u8) -> Option<u32> {
        self.evict_half_open(class)
            .or_else(|| self.evict_stuck(class))
    }

    /// Makes the slot of the oldest half-open connection free.
    fn evict_half_open(&mut self, class: u8) -> Option<u32> {
        let lists = self.slots.classes.get(usize::from(class))?;
        let index = lists.half_open.first()?;
        self.counters.half_open_evicted = self.counters.half_open_evicted.wrapping_add(1);
        self.release(index);
        Some(index)
    }

    /// Makes a slot free of which nothing goes: its owner has closed, and the peer has not taken a
    /// segment for [`STUCK`]. Looks at a few slots, from where it looked last.
    fn evict_stuck(&mut self, class: u8) -> Option<u32> {
        let whole = self.limits.answer.saturating_sub(STUCK);
        let mut least = tick_of(Instant::ZERO.saturating_add(whole));
        let mut found = None;
        for _ in 0..self.slots.all.len().min(STUCK_TRIES) {
            if place(self.cursor) >= self.slots.all.len() {
                self.cursor = 0;
            }
            let slot = self.slots.get(self.cursor)?;
            // Who waits for a set has not been let send.
            let ours = slot.class == class
                && slot.phase == Phase::Delivering
                && !slot.flags.has(Flags::CLOSE_DUE);
            if let Some(left) = slot.ticks_left(self.now).filter(|_| ours)
                && left <= least
            {
                (least, found) = (left, Some(self.cursor));
            }
            self.cursor = self.cursor.wrapping_add(1);
        }
        let index = found?;
        self.counters.stuck_evicted = self.counters.stuck_evicted.wrapping_add(1);
        self.release(index);
        Some(index)
    }
}
