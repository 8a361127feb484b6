//! A fixed number of entries, leased to sockets one at a time and in order.

use crate::id::SocketId;
use crate::invariant::{CHECKED, impossible, invariant};
use crate::tls::layer::queue::Queue;

/// Shortest lease while others wait, in microseconds: some round trips of an honest peer.
pub(crate) const LEASE_MIN: u64 = 250_000;
/// Later than any time.
pub(crate) const NEVER: u64 = u64::MAX;
/// Most entries of a pool that is checked from end to end in tests.
const CHECKED_MAX: usize = 256;
/// Sockets that wait for each entry before leases shorten.
const QUEUE_PATIENT: usize = 8;

/// One entry of a [`Pool`], all zero bytes at first.
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct Entry<T> {
    /// Bits of the socket that has it or is to have it; 0 when it is free.
    owner: u64,
    state: State,
    /// The next free entry's index, plus one; 0 ends the list.
    next: u16,
    /// What its owner found no place in when it last tried to do without.
    lacks: Lacks,
    /// Its owner waits for its peer with it, and is to lose it at once if others wait.
    gives_way: bool,
    /// When it was leased, or, of a buffer, its owner last made progress with it, in microseconds.
    since: u64,
    value: T,
}

impl<T> Entry<T> {
    pub(crate) const fn new(value: T) -> Self {
        Self {
            owner: 0,
            state: State::Free,
            next: 0,
            lacks: Lacks::Nothing,
            gives_way: false,
            since: 0,
            value,
        }
    }
}

impl<T> Entry<T> {
    fn is_idle(&self) -> bool {
        self.state == State::Leased && self.gives_way
    }
}

/// What the owner of an entry would need to do without it, and there was none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) enum Lacks {
    Nothing = 0,
    /// A place of [`Tls::with_parking`](crate::tls::Tls::with_parking).
    ParkingPlace,
    /// A place of [`Tls::with_exchange_parking`](crate::tls::Tls::with_exchange_parking).
    ExchangePlace,
}

/// From when on there is room for what owners lack, in microseconds.
#[derive(Clone, Copy)]
pub(crate) struct RoomDue {
    pub(crate) parking_place: u64,
    pub(crate) exchange_place: u64,
}

impl RoomDue {
    const fn of(self, lacks: Lacks) -> u64 {
        match lacks {
            Lacks::Nothing => NEVER,
            Lacks::ParkingPlace => self.parking_place,
            Lacks::ExchangePlace => self.exchange_place,
        }
    }
}

/// What an entry is doing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
#[cfg_attr(feature = "search", derive(Hash))]
enum State {
    Free = 0,
    /// Reserved for a socket that waited and is to be reported.
    Offered,
    /// Reserved for a socket that waited and was reported in this iteration.
    Reported,
    Leased,
    /// Leased, and the socket is to be reported, as it can go on.
    Resumed,
    /// Leased, and the socket is to be reported, as it may be able to do without now.
    Asked,
    /// Leased for too long while others wait; the socket is to be reported.
    Recalled,
    /// Recalled, and the socket was reported.
    Overdue,
}

impl State {
    /// Returns true if an entry may go from this state to `next`, as drawn at [`Pool`].
    const fn may_become(self, next: Self) -> bool {
        match self {
            Self::Free => matches!(next, Self::Leased),
            Self::Offered => matches!(
                next,
                Self::Reported | Self::Leased | Self::Offered | Self::Free
            ),
            Self::Reported => matches!(next, Self::Leased | Self::Offered | Self::Free),
            Self::Leased => matches!(
                next,
                Self::Resumed | Self::Asked | Self::Recalled | Self::Offered | Self::Free
            ),
            Self::Resumed | Self::Asked => {
                matches!(next, Self::Leased | Self::Offered | Self::Free)
            }
            Self::Recalled => matches!(next, Self::Overdue | Self::Offered | Self::Free),
            Self::Overdue => matches!(next, Self::Offered | Self::Free),
        }
    }

    /// Returns true if the socket is to be reported.
    const fn needs_report(self) -> bool {
        matches!(
            self,
            Self::Offered | Self::Resumed | Self::Asked | Self::Recalled
        )
    }
}

/// What a socket is reported for by [`Pool::next_report`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Report {
    /// Its turn has come, or it can go on with what it has.
    GoOn,
    /// Its lease is over.
    Recalled,
}

/// What came of asking for an entry.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Lease {
    /// The socket has this one.
    Granted(Index),
    /// It waits for its turn, at which it is reported.
    Waits,
    /// Not even the queue has room.
    Full,
}

/// An entry's index plus one; 0 is none. Small, as every socket has three.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) struct Index(u16);

impl Index {
    pub(crate) const NONE: Self = Self(0);

    pub(crate) const fn is_some(self) -> bool {
        self.0 != 0
    }

    pub(crate) const fn to_bits(self) -> u16 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u16) -> Self {
        Self(bits)
    }

    /// Returns where in its pool the entry is.
    pub(crate) fn get(self) -> Option<usize> {
        usize::from(self.0).checked_sub(1)
    }
}

/// Leases entries. One that is released goes to the socket that has waited longest.
///
/// | how much is left | when |
/// |---|---|
/// | [`is_scarce`](Self::is_scarce) | more than half of them are in use |
/// | [`is_last_leased`](Self::is_last_leased) | all are in use or kept for who waits |
/// | [`is_wanted`](Self::is_wanted) | somebody waits |
///
/// ```text
///          lease               release
///   Free ─────────▶ Leased ─────────────▶ Free, or Offered to who waits
///                   │    ▲ ├─ resume ─▶ Resumed ─ report ─▶ Leased
///                   │    │ └─ ask_one ────▶ Asked ─ report ─▶ Leased
///            begin_ │    │ lease
///         iteration │    └───────── Reported ◀─ report ─ Offered
///                   ▼                  └─ not taken in time: to the next who waits
///                Recalled ─ report ─▶ Overdue ─ release ─▶ as above
/// ```
pub(crate) struct Pool<'s, T> {
    entries: &'s mut [Entry<T>],
    waiting: Queue<'s>,
    /// Head of the list of free entries, as [`Index`].
    free: u16,
    /// Entries from here on were never leased.
    fresh: u16,
    /// Entries that are not free.
    in_use: u16,
    /// Entries whose owners are to be reported.
    to_report: u16,
    /// Entries in [`State::Reported`].
    reported: u16,
    /// The present, in microseconds.
    now: u64,
}

impl<'s, T> Pool<'s, T> {
    /// Makes a pool in the caller's memory; the length of `waiting` bounds the sockets that can
    /// wait. What was leased and never released, as by a loop that leaked, is made ready by
    /// `reset`.
    pub(crate) fn new(
        entries: &'s mut [Entry<T>],
        waiting: &'s mut [u64],
        reset: impl Fn(&mut T),
    ) -> Self {
        for entry in entries.iter_mut() {
            entry.owner = 0;
            // Only then, so that memory of which no use was made is not touched.
            if core::mem::replace(&mut entry.state, State::Free) != State::Free {
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
            in_use: 0,
            to_report: 0,
            reported: 0,
            now: 0,
        }
    }

    /// Starts an iteration: passes on what sockets that were reported in the last one did not
    /// take, and recalls the entry whose owner has made no progress for longest, if its lease is
    /// over. Returns when the next lease will be over, if others wait.
    pub(crate) fn begin_iteration(&mut self, lease_max: u64) -> Option<u64> {
        if CHECKED {
            self.check();
        }
        self.pass_on();
        if self.waiting.len == 0 {
            return None;
        }
        for _ in 0..self.waiting.len {
            if !self.recall_idle() {
                break;
            }
        }
        let since = self.oldest()?;
        let due = since.saturating_add(self.lease_len(lease_max));
        if due <= self.now {
            let is_oldest = |entry: &Entry<T>| entry.state == State::Leased && entry.since == since;
            let index = index_at(self.entries.iter().position(is_oldest)?)?;
            let owner = self.entry(index)?.owner;
            self.set(index, State::Recalled, owner);
        }
        Some(due)
    }

    /// Says whether the owner of an entry is to lose it as soon as others wait; of several, the one
    /// that has had it for longest is the first. Holds until the next call.
    pub(crate) fn set_gives_way(&mut self, index: Index, gives_way: bool) {
        if let Some(entry) = self.entry(index) {
            entry.gives_way = gives_way && entry.state == State::Leased;
        }
    }

    /// Recalls the entry that gives way first; false if there is none.
    fn recall_idle(&mut self) -> bool {
        let idle = self.entries.iter().filter(|entry| entry.is_idle());
        let Some(since) = idle.map(|entry| entry.since).min() else {
            return false;
        };
        let is_first = |entry: &Entry<T>| entry.is_idle() && entry.since == since;
        let Some(index) = self.entries.iter().position(is_first).and_then(index_at) else {
            return false;
        };
        let owner = self.entry(index).map_or(0, |entry| entry.owner);
        self.set(index, State::Recalled, owner);
        true
    }

    /// Notes what the owner of an entry would need to do without it. Holds until its owner is
    /// asked, or the entry is leased anew.
    pub(crate) fn set_lacks(&mut self, index: Index, lacks: Lacks) {
        if let Some(entry) = self.entry(index) {
            entry.lacks = lacks;
        }
    }

    /// Has an owner reported that may be able to do without its entry now, if others wait: one for
    /// whose lack there is room, the first for which that is so, and of several the one that has
    /// made no progress for longest. Returns when.
    pub(crate) fn ask_one(&mut self, room: RoomDue) -> Option<u64> {
        let (index, due) = self.next_asked(room)?;
        if due <= self.now {
            let owner = self.entry(index)?.owner;
            self.set(index, State::Asked, owner);
        }
        Some(due)
    }

    /// Returns when the next owner is to be asked; see [`Self::ask_one`].
    pub(crate) fn ask_due(&self, room: RoomDue) -> Option<u64> {
        self.next_asked(room).map(|(_, due)| due)
    }

    /// Returns whose owner is to be asked next, and when.
    fn next_asked(&self, room: RoomDue) -> Option<(Index, u64)> {
        if self.waiting.len == 0 {
            return None;
        }
        let mut next = None;
        let mut first = (NEVER, 0);
        for (entry, number) in self.entries.iter().zip(1..=u16::MAX) {
            let room_due = room.of(entry.lacks);
            let due = entry.since.saturating_add(LEASE_MIN).max(room_due);
            if entry.state == State::Leased && (due, entry.since) < first {
                first = (due, entry.since);
                next = Some((Index(number), due));
            }
        }
        next
    }

    /// Returns how long an entry may be leased without progress, in microseconds: the shorter the
    /// more sockets wait for each, down to [`LEASE_MIN`].
    fn lease_len(&self, lease_max: u64) -> u64 {
        let patient = self.entries.len().saturating_mul(QUEUE_PATIENT);
        let sharing = self.waiting.len.checked_div(patient).unwrap_or_default();
        let sharing = u64::try_from(sharing).unwrap_or(u64::MAX).max(1);
        let shared = lease_max.checked_div(sharing).unwrap_or_default();
        shared.max(LEASE_MIN.min(lease_max))
    }

    /// Returns when the next socket is to be reported, in microseconds; 0 if one is now.
    pub(crate) fn due(&self, lease_max: u64) -> Option<u64> {
        if self.to_report > 0 || self.reported > 0 {
            return Some(0);
        }
        if self.waiting.len == 0 {
            return None;
        }
        if self.entries.iter().any(Entry::is_idle) {
            return Some(0);
        }
        Some(self.oldest()?.saturating_add(self.lease_len(lease_max)))
    }

    /// Returns since when the one of those leased has made no progress that has made none for
    /// longest.
    fn oldest(&self) -> Option<u64> {
        let leased = self.entries.iter();
        let leased = leased.filter(|entry| entry.state == State::Leased);
        leased.map(|entry| entry.since).min()
    }

    /// Sets the time, in microseconds.
    pub(crate) const fn set_now(&mut self, now: u64) {
        self.now = now;
    }

    /// Has the first owner of a leased entry for which `resume` returns true reported; returns true
    /// if there is one.
    pub(crate) fn resume(&mut self, mut resume: impl FnMut(&mut T) -> bool) -> bool {
        let used = self.entries.iter_mut().take(usize::from(self.fresh));
        let mut leased = used
            .enumerate()
            .filter(|(_, entry)| entry.state == State::Leased);
        let Some((position, entry)) = leased.find_map(|(position, entry)| {
            let resumes = resume(&mut entry.value);
            resumes.then_some((position, entry))
        }) else {
            return false;
        };
        let owner = entry.owner;
        if let Some(index) = index_at(position) {
            self.set(index, State::Resumed, owner);
        }
        true
    }

    /// Returns true if the entry has been recalled.
    pub(crate) fn is_recalled(&self, index: Index) -> bool {
        let entry = index.get().and_then(|at| self.entries.get(at));
        entry.is_some_and(|entry| matches!(entry.state, State::Recalled | State::Overdue))
    }

    /// Notes that the owner has made progress with the entry.
    pub(crate) fn touch(&mut self, index: Index) {
        let now = self.now;
        if let Some(entry) = self.entry(index) {
            entry.since = now;
        }
    }

    /// Leases an entry to the socket, or puts it into the queue. `waits` tells that it may be
    /// there already.
    pub(crate) fn lease(&mut self, id: SocketId, waits: bool) -> Lease {
        if waits {
            if let Some(index) = self.reserved_for(id) {
                self.set(index, State::Leased, id.to_bits());
                return Lease::Granted(index);
            }
            if self.waiting.position(id.to_bits()).is_some() {
                return Lease::Waits;
            }
        }
        if self.waiting.len == 0
            && let Some(index) = self.take_free()
        {
            self.set(index, State::Leased, id.to_bits());
            return Lease::Granted(index);
        }
        if self.waiting.push(id.to_bits()) {
            Lease::Waits
        } else {
            Lease::Full
        }
    }

    /// Leases a free entry to the socket, or none, if only `keep` or fewer are free or others
    /// wait.
    pub(crate) fn lease_now(&mut self, id: SocketId, keep: usize) -> Option<Index> {
        if self.waiting.len > 0 {
            return None;
        }
        if keep > 0 {
            let free = |entry: &&Entry<T>| entry.state == State::Free;
            self.entries.iter().filter(free).nth(keep)?;
        }
        let index = self.take_free()?;
        self.set(index, State::Leased, id.to_bits());
        Some(index)
    }

    /// Returns true if the entries are several and none is free that nobody waits for: who has
    /// leased the last is to release it before its call is over.
    pub(crate) fn is_last_leased(&self) -> bool {
        let has_fresh = usize::from(self.fresh) < self.entries.len();
        let is_spare = self.waiting.len == 0 && (self.free != 0 || has_fresh);
        self.entries.len() > 1 && !is_spare
    }

    /// Returns true if more than half of the entries are in use: who has leased one is to take care
    /// that it is not for long. Never of a pool of one, which keeps nothing in reserve.
    pub(crate) fn is_scarce(&self) -> bool {
        !self.is_single() && self.entries.len() < usize::from(self.in_use).saturating_mul(2)
    }

    /// Returns true if there is but one entry.
    pub(crate) const fn is_single(&self) -> bool {
        self.entries.len() == 1
    }

    /// Returns true if a socket waits for what others have.
    pub(crate) const fn is_wanted(&self) -> bool {
        self.waiting.len > 0
    }

    /// Takes an entry back; the longest waiting socket is to have it.
    pub(crate) fn release(&mut self, index: Index) {
        match self.waiting.pop() {
            Some(bits) => self.set(index, State::Offered, bits),
            None => {
                self.set(index, State::Free, 0);
                let free = core::mem::replace(&mut self.free, index.0);
                if let Some(entry) = self.entry(index) {
                    entry.next = free;
                }
            }
        }
    }

    /// Forgets a socket that may be waiting.
    pub(crate) fn forget(&mut self, id: SocketId) {
        if let Some(index) = self.reserved_for(id) {
            self.release(index);
        } else if let Some(position) = self.waiting.position(id.to_bits()) {
            self.waiting.remove(position);
        }
    }

    /// Returns true if the socket is still in the queue.
    pub(crate) fn is_waiting(&self, id: SocketId) -> bool {
        self.waiting.position(id.to_bits()).is_some()
    }

    /// Returns how many sockets are to be reported.
    pub(crate) const fn reports(&self) -> u16 {
        self.to_report
    }

    /// Takes the next socket that is to be reported, and for what.
    pub(crate) fn next_report(&mut self) -> Option<(SocketId, Report)> {
        if self.to_report == 0 {
            return None;
        }
        let is_due = |entry: &Entry<T>| entry.state.needs_report();
        let position = self.entries.iter().position(is_due);
        invariant!(position.is_some(), "who is to be reported is counted");
        let index = index_at(position?)?;
        let entry = self.entry(index)?;
        let (bits, since) = (entry.owner, entry.since);
        let is_asked = entry.state == State::Asked;
        let (state, report) = match entry.state {
            State::Offered => (State::Reported, Report::GoOn),
            State::Resumed | State::Asked => (State::Leased, Report::GoOn),
            _ => (State::Overdue, Report::Recalled),
        };
        self.set(index, state, bits);
        if is_asked && let Some(entry) = self.entry(index) {
            // That is no progress.
            entry.since = since;
        }
        Some((SocketId::from_bits(bits)?, report))
    }

    /// Passes on what sockets that were reported in the last iteration did not take.
    fn pass_on(&mut self) {
        for position in 0..self.entries.len() {
            if self.reported == 0 {
                return;
            }
            let is_left = self
                .entries
                .get(position)
                .is_some_and(|entry| entry.state == State::Reported);
            if let (true, Some(index)) = (is_left, index_at(position)) {
                self.release(index);
            }
        }
    }

    /// Checks the counts and the list of free entries from end to end, if there are not too many.
    fn check(&self) {
        let Some(used) = self.entries.get(..usize::from(self.fresh)) else {
            impossible!("entries that were leased are of the pool");
            return;
        };
        if used.len() > CHECKED_MAX {
            return;
        }
        let count =
            |is: &dyn Fn(State) -> bool| used.iter().filter(|entry| is(entry.state)).count();
        let to_report = count(&State::needs_report);
        let reported = count(&|state| state == State::Reported);
        invariant!(
            (to_report, reported) == (self.to_report.into(), self.reported.into()),
            "who is to be reported, or was, is counted"
        );
        let (mut index, mut left) = (Index(self.free), count(&|state| state == State::Free));
        while let Some(entry) = index.get().and_then(|at| used.get(at)) {
            invariant!(entry.state == State::Free, "the list is of free entries");
            invariant!(left > 0, "a free entry is on the list once");
            left = left.saturating_sub(1);
            index = Index(entry.next);
        }
        invariant!(left == 0, "a free entry is on the list");
    }

    /// Returns the value of the entry at `index`.
    pub(crate) fn get(&mut self, index: Index) -> Option<&mut T> {
        self.entry(index).map(|entry| &mut entry.value)
    }

    fn entry(&mut self, index: Index) -> Option<&mut Entry<T>> {
        self.entries.get_mut(index.get()?)
    }

    fn reserved_for(&self, id: SocketId) -> Option<Index> {
        if self.to_report == 0 && self.reported == 0 {
            return None;
        }
        let bits = id.to_bits();
        let reserved = |entry: &Entry<T>| {
            entry.owner == bits && matches!(entry.state, State::Offered | State::Reported)
        };
        index_at(self.entries.iter().position(reserved)?)
    }

    fn take_free(&mut self) -> Option<Index> {
        if self.free != 0 {
            let index = Index(self.free);
            let Some(entry) = self.entry(index) else {
                impossible!("the list is of entries of the pool");
                return None;
            };
            invariant!(entry.state == State::Free, "the list is of free entries");
            self.free = entry.next;
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

    fn set(&mut self, index: Index, state: State, owner: u64) {
        let Some(entry) = index.get().and_then(|at| self.entries.get_mut(at)) else {
            impossible!("what is leased is an entry of the pool");
            return;
        };
        invariant!(
            entry.state.may_become(state),
            "an entry goes from state to state as drawn"
        );
        invariant!(
            (owner == 0) == (state == State::Free),
            "an entry that is not free is somebody's"
        );
        if entry.state.needs_report() {
            invariant!(self.to_report > 0, "who is to be reported is counted");
            self.to_report = self.to_report.saturating_sub(1);
        }
        if state.needs_report() {
            self.to_report = self.to_report.saturating_add(1);
        }
        if entry.state == State::Reported {
            invariant!(self.reported > 0, "who was reported is counted");
            self.reported = self.reported.saturating_sub(1);
        }
        if entry.state == State::Free {
            self.in_use = self.in_use.saturating_add(1);
        }
        match state {
            State::Free => self.in_use = self.in_use.saturating_sub(1),
            State::Reported => self.reported = self.reported.saturating_add(1),
            State::Leased => {
                entry.since = self.now;
                entry.lacks = Lacks::Nothing;
                entry.gives_way = false;
            }
            _ => {}
        }
        entry.state = state;
        entry.owner = owner;
    }
}

/// Names the entry at `position`; only the first 65,535 can be leased.
fn index_at(position: usize) -> Option<Index> {
    u16::try_from(position.saturating_add(1)).ok().map(Index)
}

#[cfg(feature = "search")]
impl<T> Pool<'_, T> {
    /// Returns how many entries are not free.
    pub(crate) fn count(&self) -> usize {
        let is_used = |entry: &&Entry<T>| entry.state != State::Free;
        self.entries.iter().filter(is_used).count()
    }

    /// Iterates over the values of all entries, in order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().map(|entry| &entry.value)
    }
}

#[cfg(feature = "search")]
impl<T: Clone> Pool<'_, T> {
    /// Makes this pool what `other` is; false if it has another length.
    pub(crate) fn copy_from(&mut self, other: &Self) -> bool {
        use crate::tls::layer::search::copy_all;
        let Pool {
            entries,
            waiting: Queue { ring, head, len },
            free,
            fresh,
            in_use,
            to_report,
            reported,
            now,
        } = other;
        (self.waiting.head, self.waiting.len) = (*head, *len);
        (self.free, self.fresh, self.in_use) = (*free, *fresh, *in_use);
        (self.to_report, self.reported, self.now) = (*to_report, *reported, *now);
        copy_all(self.waiting.ring, ring) && copy_all(self.entries, entries)
    }
}

#[cfg(feature = "search")]
impl<T: core::hash::Hash> core::hash::Hash for Pool<'_, T> {
    fn hash<S: core::hash::Hasher>(&self, into: &mut S) {
        use crate::tls::layer::search::hash_owner;
        let Self {
            entries,
            waiting,
            free,
            fresh,
            // Counted from the states of the entries.
            in_use: _,
            to_report: _,
            reported: _,
            now,
        } = self;
        for entry in entries.iter() {
            let Entry {
                owner,
                state,
                next,
                lacks,
                gives_way,
                since,
                value,
            } = entry;
            state.hash(into);
            if *state == State::Free {
                next.hash(into);
            } else {
                hash_owner(*owner, into);
                (lacks, gives_way).hash(into);
                now.wrapping_sub(*since).hash(into);
            }
            value.hash(into);
        }
        for offset in 0..waiting.len {
            let bits = waiting.ring.get(waiting.at(offset)).copied();
            hash_owner(bits.unwrap_or_default(), into);
        }
        (waiting.len, free, fresh).hash(into);
    }
}

#[cfg(test)]
mod tests;
