//! A fixed number of things, lent to sockets one at a time and in order.

use crate::id::SocketId;

/// A place for one thing, all zero bytes at first.
pub(crate) struct Entry<T> {
    /// Bits of the socket that has it or is to have it; 0 when it is free.
    owner: u64,
    state: Lent,
    /// The next free entry's index, plus one; 0 ends the list.
    next: u16,
    /// When it was taken, or last of any use, in microseconds.
    since: u64,
    value: T,
}

impl<T> Entry<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            owner: 0,
            state: Lent::Free,
            next: 0,
            since: 0,
            value,
        }
    }
}

/// What an entry is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
enum Lent {
    Free = 0,
    /// Kept for a socket that waited, which has not been told.
    Promised,
    /// Kept for a socket that waited and has been told in this iteration.
    Announced,
    Taken,
    /// Taken, and the socket is to be told that it can go on.
    Called,
    /// Taken for too long while others wait; the socket has not been told.
    Recalled,
    /// Taken for too long; the socket has been told.
    Overdue,
}

impl Lent {
    /// Returns whether the socket is to be told something.
    const fn is_untold(self) -> bool {
        matches!(self, Self::Promised | Self::Called | Self::Recalled)
    }
}

/// The names of the sockets that wait, in order, in memory that is lent by the caller.
struct Queue<'s> {
    ring: &'s mut [u64],
    head: usize,
    len: usize,
}

impl Queue<'_> {
    /// Returns the place of the `offset`th name.
    fn place(&self, offset: usize) -> usize {
        let sum = self.head.saturating_add(offset);
        sum.checked_rem(self.ring.len()).unwrap_or_default()
    }

    fn position(&self, bits: u64) -> Option<usize> {
        (0..self.len).find(|offset| self.ring.get(self.place(*offset)) == Some(&bits))
    }

    fn push(&mut self, bits: u64) -> bool {
        if self.len >= self.ring.len() {
            return false;
        }
        let place = self.place(self.len);
        if let Some(slot) = self.ring.get_mut(place) {
            *slot = bits;
        }
        self.len = self.len.saturating_add(1);
        true
    }

    fn pop(&mut self) -> Option<u64> {
        self.len = self.len.checked_sub(1)?;
        let bits = self.ring.get(self.head).copied();
        self.head = self.place(1);
        bits
    }

    /// Takes out the name at `position`; those behind move up.
    fn remove(&mut self, position: usize) {
        for offset in position..self.len.saturating_sub(1) {
            let next = self.ring.get(self.place(offset.saturating_add(1))).copied();
            let place = self.place(offset);
            if let (Some(slot), Some(next)) = (self.ring.get_mut(place), next) {
                *slot = next;
            }
        }
        self.len = self.len.saturating_sub(1);
    }
}

/// Where a socket stands that asked for an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Loan {
    /// It has this one.
    Taken(Index),
    /// It waits for its turn, which will be announced.
    Waits,
    /// Not even the queue has room.
    Full,
}

/// An entry's index plus one; 0 is none. Small, as every socket has three.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Index(u16);

impl Index {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) const fn is_some(self) -> bool {
        self.0 != 0
    }

    fn get(self) -> Option<usize> {
        usize::from(self.0).checked_sub(1)
    }
}

/// Lends entries. What is given back goes to the socket that has waited longest.
pub(crate) struct Lender<'s, T> {
    entries: &'s mut [Entry<T>],
    waiting: Queue<'s>,
    /// Head of the list of free entries, as [`Index`].
    free: u16,
    /// Entries from here on were never lent.
    fresh: u16,
    /// Entries that are promised, called or recalled.
    promised: u16,
    announced: u16,
    now: u64,
}

impl<'s, T> Lender<'s, T> {
    /// Makes a lender of the caller's memory; `waiting` bounds the sockets that can wait. What was
    /// lent and never given back, as by a loop that leaked, is made ready by `reset`.
    pub(crate) fn new(
        entries: &'s mut [Entry<T>],
        waiting: &'s mut [u64],
        reset: impl Fn(&mut T),
    ) -> Self {
        for entry in entries.iter_mut() {
            entry.owner = 0;
            // Only then, so that memory of which no use was made is not touched.
            if core::mem::replace(&mut entry.state, Lent::Free) != Lent::Free {
                reset(&mut entry.value);
            }
        }
        Self {
            entries,
            waiting: Queue {
                ring: waiting,
                head: 0,
                len: 0,
            },
            free: 0,
            fresh: 0,
            promised: 0,
            announced: 0,
            now: 0,
        }
    }

    /// Starts an iteration: passes on what sockets that were told in the last one did not take,
    /// and recalls what has been of no use for `held_max` while others wait. Returns when the
    /// next will be due, if others wait.
    pub(crate) fn start(&mut self, held_max: u64) -> Option<u64> {
        self.pass_on();
        if self.waiting.len == 0 {
            return None;
        }
        let since = self.oldest()?;
        let due = since.saturating_add(held_max);
        if due <= self.now {
            let is_oldest = |entry: &Entry<T>| entry.state == Lent::Taken && entry.since == since;
            let index = index_at(self.entries.iter().position(is_oldest)?)?;
            let owner = self.entry(index)?.owner;
            self.set(index, Lent::Recalled, owner);
        }
        Some(due)
    }

    /// Returns when the next socket is to be told something, in microseconds; 0 if one is now.
    pub(crate) fn due(&self, held_max: u64) -> Option<u64> {
        if self.promised > 0 || self.announced > 0 {
            return Some(0);
        }
        if self.waiting.len == 0 {
            return None;
        }
        Some(self.oldest()?.saturating_add(held_max))
    }

    /// Returns when the one of those taken was taken, or of use, that has been of no use for the
    /// longest.
    fn oldest(&self) -> Option<u64> {
        let taken = self.entries.iter();
        let taken = taken.filter(|entry| entry.state == Lent::Taken);
        taken.map(|entry| entry.since).min()
    }

    /// Sets the time, in microseconds.
    pub(crate) const fn set_now(&mut self, now: u64) {
        self.now = now;
    }

    /// Has the socket told that was lent the first thing that `is` affirms; whether there is one.
    pub(crate) fn call(&mut self, mut is: impl FnMut(&mut T) -> bool) -> bool {
        let lent = self.entries.iter_mut().take(usize::from(self.fresh));
        let mut taken = lent
            .enumerate()
            .filter(|(_, entry)| entry.state == Lent::Taken);
        let Some((position, entry)) = taken.find_map(|(position, entry)| {
            let called = is(&mut entry.value);
            called.then_some((position, entry))
        }) else {
            return false;
        };
        let owner = entry.owner;
        if let Some(index) = index_at(position) {
            self.set(index, Lent::Called, owner);
        }
        true
    }

    /// Returns whether the entry has been recalled.
    pub(crate) fn is_recalled(&self, index: Index) -> bool {
        let entry = index.get().and_then(|at| self.entries.get(at));
        entry.is_some_and(|entry| matches!(entry.state, Lent::Recalled | Lent::Overdue))
    }

    /// Notes that the entry has been of use.
    pub(crate) fn touch(&mut self, index: Index) {
        let now = self.now;
        if let Some(entry) = self.entry(index) {
            entry.since = now;
        }
    }

    /// Lends an entry to the socket, or puts it into the queue. `waits` tells that it may be
    /// there already.
    pub(crate) fn take(&mut self, id: SocketId, waits: bool) -> Loan {
        if waits {
            if let Some(index) = self.kept_for(id) {
                self.set(index, Lent::Taken, id.to_bits());
                return Loan::Taken(index);
            }
            if self.waiting.position(id.to_bits()).is_some() {
                return Loan::Waits;
            }
        }
        if self.waiting.len == 0
            && let Some(index) = self.take_free()
        {
            self.set(index, Lent::Taken, id.to_bits());
            return Loan::Taken(index);
        }
        if self.waiting.push(id.to_bits()) {
            Loan::Waits
        } else {
            Loan::Full
        }
    }

    /// Lends a free entry to the socket, or none, if only `keep` or fewer are free.
    pub(crate) fn take_now(&mut self, id: SocketId, keep: usize) -> Option<Index> {
        if self.waiting.len > 0 {
            return None;
        }
        if keep > 0 {
            let free = |entry: &&Entry<T>| entry.state == Lent::Free;
            self.entries.iter().filter(free).nth(keep)?;
        }
        let index = self.take_free()?;
        self.set(index, Lent::Taken, id.to_bits());
        Some(index)
    }

    /// Takes an entry back; the longest waiting socket is to have it.
    pub(crate) fn give_back(&mut self, index: Index) {
        match self.waiting.pop() {
            Some(bits) => self.set(index, Lent::Promised, bits),
            None => {
                self.set(index, Lent::Free, 0);
                let free = core::mem::replace(&mut self.free, index.0);
                if let Some(entry) = self.entry(index) {
                    entry.next = free;
                }
            }
        }
    }

    /// Forgets a socket that may be waiting.
    pub(crate) fn forget(&mut self, id: SocketId) {
        if let Some(index) = self.kept_for(id) {
            self.give_back(index);
        } else if let Some(position) = self.waiting.position(id.to_bits()) {
            self.waiting.remove(position);
        }
    }

    /// Returns whether the socket is still in the queue.
    pub(crate) fn is_waiting(&self, id: SocketId) -> bool {
        self.waiting.position(id.to_bits()).is_some()
    }

    /// Returns whether a socket waits for what another has.
    pub(crate) const fn is_wanted(&self) -> bool {
        self.waiting.len > 0
    }

    /// Returns how many sockets are to be told of something.
    pub(crate) const fn promised(&self) -> u16 {
        self.promised
    }

    /// Takes the name of a socket whose turn has come, or is over (`false`), once.
    pub(crate) fn announce(&mut self) -> Option<(SocketId, bool)> {
        if self.promised == 0 {
            return None;
        }
        let untold = |entry: &Entry<T>| entry.state.is_untold();
        let index = index_at(self.entries.iter().position(untold)?)?;
        let entry = self.entry(index)?;
        let bits = entry.owner;
        let told = match entry.state {
            Lent::Promised => Lent::Announced,
            Lent::Called => Lent::Taken,
            _ => Lent::Overdue,
        };
        let has_come = told != Lent::Overdue;
        self.set(index, told, bits);
        Some((SocketId::from_bits(bits)?, has_come))
    }

    /// Passes on what sockets that were told in the last iteration did not take.
    fn pass_on(&mut self) {
        for position in 0..self.entries.len() {
            if self.announced == 0 {
                return;
            }
            let is_left = self
                .entries
                .get(position)
                .is_some_and(|entry| entry.state == Lent::Announced);
            if let (true, Some(index)) = (is_left, index_at(position)) {
                self.give_back(index);
            }
        }
    }

    /// Returns the thing at `index`.
    pub(crate) fn get(&mut self, index: Index) -> Option<&mut T> {
        self.entry(index).map(|entry| &mut entry.value)
    }

    fn entry(&mut self, index: Index) -> Option<&mut Entry<T>> {
        self.entries.get_mut(index.get()?)
    }

    fn kept_for(&self, id: SocketId) -> Option<Index> {
        if self.promised == 0 && self.announced == 0 {
            return None;
        }
        let bits = id.to_bits();
        let kept = |entry: &Entry<T>| {
            entry.owner == bits && matches!(entry.state, Lent::Promised | Lent::Announced)
        };
        index_at(self.entries.iter().position(kept)?)
    }

    fn take_free(&mut self) -> Option<Index> {
        if self.free != 0 {
            let index = Index(self.free);
            self.free = self.entry(index)?.next;
            return Some(index);
        }
        let position = usize::from(self.fresh);
        if position >= self.entries.len() {
            return None;
        }
        let index = index_at(position)?;
        self.fresh = index.0;
        Some(index)
    }

    fn set(&mut self, index: Index, state: Lent, owner: u64) {
        let Some(entry) = index.get().and_then(|at| self.entries.get_mut(at)) else {
            return;
        };
        if entry.state.is_untold() {
            self.promised = self.promised.saturating_sub(1);
        }
        if state.is_untold() {
            self.promised = self.promised.saturating_add(1);
        }
        if entry.state == Lent::Announced {
            self.announced = self.announced.saturating_sub(1);
        }
        match state {
            Lent::Announced => self.announced = self.announced.saturating_add(1),
            Lent::Taken => entry.since = self.now,
            _ => {}
        }
        entry.state = state;
        entry.owner = owner;
    }
}

/// Names the entry at `position`; only the first 65,535 can be lent.
fn index_at(position: usize) -> Option<Index> {
    u16::try_from(position.saturating_add(1)).ok().map(Index)
}
