//! `poll(2)`: one entry per pool slot, and one call that lists those that wait for something.
#![expect(
    unsafe_code,
    reason = "the list of descriptors outlives the borrow of each"
)]

use heapless::Vec;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::{AsRawFd, BorrowedFd, RawFd};
use rustix::io::Errno;
use usockets::{Readiness, Ready, SocketId};

use crate::selector::{Selector, Watch};

/// That the peer has ended its direction. Systems without it report the end as readable.
#[cfg(any(target_os = "linux", target_os = "freebsd", target_os = "illumos"))]
const ENDED: PollFlags = PollFlags::RDHUP;
#[cfg(not(any(target_os = "linux", target_os = "freebsd", target_os = "illumos")))]
const ENDED: PollFlags = PollFlags::empty();

/// All that is read.
const READ: PollFlags = PollFlags::IN.union(PollFlags::PRI).union(ENDED);

/// What comes unasked (`poll(2)`), and would come in every wait.
const UNASKED: PollFlags = PollFlags::ERR.union(PollFlags::HUP).union(PollFlags::NVAL);

/// One pool slot.
#[derive(Clone, Copy, Debug)]
struct Entry {
    /// The descriptor. Invariant: open for as long as `id` is not 0.
    raw: RawFd,
    /// What is asked for.
    wanted: PollFlags,
    /// What the last wait brought and was not handed out yet.
    found: PollFlags,
    /// Reported again for as long as it holds.
    is_level: bool,
    /// Nothing will be read any more that was not there when it hung up.
    has_hung_up: bool,
    /// That the connection broke or hung up has been reported.
    has_reported_unasked: bool,
    /// Its platform keeps an error that is to be reported.
    has_failed: bool,
    /// The name; 0 for none.
    id: u64,
}

impl Entry {
    const NONE: Self = Self {
        raw: -1,
        wanted: PollFlags::empty(),
        found: PollFlags::empty(),
        is_level: false,
        has_hung_up: false,
        has_reported_unasked: false,
        has_failed: false,
        id: 0,
    };

    /// Returns true if the entry is part of the next call. A connection that asks for nothing is
    /// too, since it may break, until that was reported: `poll` would report it for ever.
    fn is_listed(&self) -> bool {
        let may_break = !self.is_level && !self.has_reported_unasked;
        self.id != 0 && (!self.wanted.is_empty() || may_break)
    }

    /// Hands out what was found, and asks for it no more until it is used up.
    fn report(&mut self) -> Option<Ready> {
        let found = core::mem::replace(&mut self.found, PollFlags::empty());
        let id = SocketId::from_bits(self.id)?;
        if found.is_empty() {
            return None;
        }
        if !self.is_level {
            if found.intersects(READ.union(UNASKED)) {
                self.wanted.remove(READ);
            }
            if found.intersects(PollFlags::OUT.union(UNASKED)) {
                self.wanted.remove(PollFlags::OUT);
            }
        }
        self.has_reported_unasked |= found.intersects(UNASKED);
        self.has_hung_up |= found.intersects(PollFlags::HUP.union(PollFlags::NVAL));
        Some(Ready {
            id,
            readiness: readiness(found),
        })
    }
}

/// Translates what `poll` found.
fn readiness(found: PollFlags) -> Readiness {
    [
        (PollFlags::IN, Readiness::READABLE),
        (PollFlags::PRI, Readiness::URGENT),
        (PollFlags::OUT, Readiness::WRITABLE),
        (PollFlags::ERR.union(PollFlags::NVAL), Readiness::ERROR),
        (PollFlags::HUP, Readiness::HUNG_UP),
        (ENDED, Readiness::ENDED),
    ]
    .into_iter()
    .filter(|(flags, _)| found.intersects(*flags))
    .fold(Readiness::NONE, |all, (_, fact)| all.union(fact))
}

/// `poll(2)` for a pool of at most `N` slots, of which a waker takes one: 32 bytes per slot.
///
/// A wait costs the kernel and this crate time for each socket that waits for something, as
/// `poll` does; that is the price of a call that every Unix has. It has no descriptor that another
/// event loop could watch.
#[derive(Debug)]
pub struct Poll<const N: usize> {
    entries: [Entry; N],
    waker: Entry,
    /// The descriptors of one call. Empty between calls.
    list: Vec<PollFd<'static>, N>,
    /// One more than the highest slot ever used.
    high: usize,
    /// The next slot to look at for reports.
    next: usize,
    /// Slots with reports that were not handed out.
    left: usize,
    /// The platform of some slot keeps an error that is to be reported.
    has_failed: bool,
}

impl<const N: usize> Poll<N> {
    /// Makes a selector that watches nothing.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: [Entry::NONE; N],
            waker: Entry::NONE,
            list: Vec::new(),
            high: 0,
            next: 0,
            left: 0,
            has_failed: false,
        }
    }

    fn entry(&mut self, index: u32) -> Option<&mut Entry> {
        self.entries.get_mut(usize::try_from(index).ok()?)
    }

    /// Lists what waits for something, in the order of the slots.
    fn fill(&mut self) {
        self.list.clear();
        let pool = self.entries.get(..self.high).unwrap_or_default();
        for entry in pool.iter().chain([&self.waker]) {
            if !entry.is_listed() {
                continue;
            }
            // SAFETY: by the invariant of `Entry` the descriptor is open: whoever closes it
            // removes the entry first. The list is emptied before that can happen.
            let fd = unsafe { BorrowedFd::borrow_raw(entry.raw) };
            // There is room: `add` keeps one place for the waker.
            let _ = self.list.push(PollFd::from_borrowed_fd(fd, entry.wanted));
        }
    }

    /// Notes for each entry what was found, in the same order.
    fn note(&mut self) {
        let mut list = self.list.iter();
        let pool = self.entries.get_mut(..self.high).unwrap_or_default();
        for entry in pool.iter_mut().chain([&mut self.waker]) {
            let is_listed = entry.is_listed();
            if is_listed && let Some(polled) = list.next() {
                entry.found = polled.revents();
            }
            if core::mem::take(&mut entry.has_failed) {
                entry.found.insert(PollFlags::ERR);
            }
            let is_found = usize::from(!entry.found.is_empty());
            self.left = self.left.saturating_add(is_found);
        }
    }
}

impl<const N: usize> Default for Poll<N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<const N: usize> Selector for Poll<N> {
    fn add(&mut self, fd: BorrowedFd<'_>, id: SocketId, watch: Watch) -> Result<(), Errno> {
        let wanted = match watch {
            Watch::Listener | Watch::Waker => PollFlags::IN,
            Watch::Connecting => PollFlags::OUT,
            Watch::Stream => READ,
        };
        let new = Entry {
            raw: fd.as_raw_fd(),
            wanted,
            is_level: matches!(watch, Watch::Listener | Watch::Waker),
            id: id.to_bits(),
            ..Entry::NONE
        };
        if watch == Watch::Waker {
            // Its place in the list is the last slot's.
            let free = self.high < N;
            self.waker = if free { new } else { Entry::NONE };
            return if free { Ok(()) } else { Err(Errno::NOMEM) };
        }
        let pool = N.saturating_sub(usize::from(self.waker.id != 0));
        let index = usize::try_from(id.index()).unwrap_or(usize::MAX);
        let entry = self.entries.get_mut(..pool).unwrap_or_default();
        *entry.get_mut(index).ok_or(Errno::NOMEM)? = new;
        self.high = self.high.max(index.saturating_add(1));
        Ok(())
    }

    fn set_accepting(
        &mut self,
        _: BorrowedFd<'_>,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Errno> {
        if let Some(entry) = self.entry(id.index()) {
            entry.wanted.set(PollFlags::IN, accepting);
        }
        Ok(())
    }

    fn remove(&mut self, _: BorrowedFd<'_>, index: u32) {
        if let Some(entry) = self.entry(index) {
            let found = core::mem::replace(entry, Entry::NONE).found;
            self.left = self.left.saturating_sub(usize::from(!found.is_empty()));
        }
    }

    fn drained(&mut self, index: u32) {
        if let Some(entry) = self.entry(index)
            && !entry.has_hung_up
        {
            entry.wanted.insert(READ);
        }
    }

    fn blocked(&mut self, index: u32) {
        if let Some(entry) = self.entry(index) {
            entry.wanted.insert(PollFlags::OUT);
        }
    }

    fn failed(&mut self, index: u32) {
        if let Some(entry) = self.entry(index) {
            entry.has_failed = true;
            self.has_failed = true;
        }
    }

    fn wait(&mut self, timeout: Option<&Timespec>) -> Result<(), Errno> {
        self.fill();
        self.next = 0;
        self.left = 0;
        let has_failed = core::mem::take(&mut self.has_failed);
        let at_once = Timespec::default();
        let result = poll(
            &mut self.list,
            if has_failed { Some(&at_once) } else { timeout },
        );
        if has_failed || result.is_ok_and(|count| count > 0) {
            self.note();
        }
        self.list.clear();
        match result {
            Ok(_) | Err(Errno::INTR) => Ok(()),
            Err(errno) => Err(errno),
        }
    }

    fn next_ready(&mut self) -> Option<Ready> {
        while self.left > 0 {
            let entry = if self.next < self.high {
                self.entries.get_mut(self.next)?
            } else {
                self.left = 1;
                &mut self.waker
            };
            self.next = self.next.saturating_add(1);
            if !entry.found.is_empty() {
                self.left = self.left.saturating_sub(1);
                if let Some(ready) = entry.report() {
                    return Some(ready);
                }
            }
        }
        None
    }
}
