//! What one wait brings.
#![expect(
    unsafe_code,
    reason = "rustix's event may hold a pointer; ours never does"
)]

use rustix::event::epoll;
use rustix::event::epoll::{EventData, EventFlags};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use usockets::{Readiness, Ready, SocketId};

use crate::transfer;

/// Kernel events taken per system call; one less than a `u8` counts, for the end mark.
const EVENTS_MAX: u8 = 255;
/// What follows the last event of a wait. It names nothing.
const END: u64 = 0;

/// The events of the last wait that were not handed out yet.
pub(crate) struct Events {
    /// The next of `events` to hand out.
    next: u8,
    /// What the last wait brought, and then an [`END`]. Only numbers, never pointers.
    events: [epoll::Event; 256],
}

// SAFETY: what keeps an event from being sent is the pointer that its data may hold. The events
// here are made by `new_u64`, or by the kernel from data that were.
unsafe impl Send for Events {}

impl Events {
    pub(crate) const fn new() -> Self {
        let empty = epoll::Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(END),
        };
        Self {
            next: 0,
            events: [empty; 256],
        }
    }

    /// Waits for events, at most for `millis` and as long as it takes if that is negative.
    ///
    /// # Errors
    /// The `epoll` instance is broken. An interrupted wait is one that brought nothing.
    #[inline]
    pub(crate) fn wait(&mut self, epoll: &OwnedFd, millis: i32) -> Result<(), Errno> {
        let count = self.take(epoll, EVENTS_MAX, millis)?;
        self.end_at(count);
        Ok(())
    }

    /// As [`Self::wait`], without waiting, and adds a report of `id`.
    #[cold]
    pub(crate) fn look(&mut self, epoll: &OwnedFd, id: SocketId) -> Result<(), Errno> {
        let count = self.take(epoll, EVENTS_MAX.saturating_sub(1), 0)?;
        if let Some(event) = self.events.get_mut(count) {
            event.flags = EventFlags::IN;
            event.data = EventData::new_u64(id.to_bits());
        }
        self.end_at(count.saturating_add(1));
        Ok(())
    }

    /// Waits for at most `most` events; returns how many came.
    #[inline]
    fn take(&mut self, epoll: &OwnedFd, most: u8, millis: i32) -> Result<usize, Errno> {
        let room = self.events.get_mut(..most.into()).unwrap_or_default();
        let returned = transfer::wait(epoll.as_fd(), room, millis);
        if returned > most.into() {
            return none(returned);
        }
        Ok(returned)
    }

    /// Has the first `count` events handed out next.
    #[inline]
    fn end_at(&mut self, count: usize) {
        self.next = 0;
        if let Some(event) = self.events.get_mut(count) {
            event.data = EventData::new_u64(END);
        }
    }

    /// Takes the next event.
    #[inline]
    pub(crate) fn next_ready(&mut self) -> Option<Ready> {
        let event = self.events.get(usize::from(self.next))?;
        let (flags, data) = (event.flags, event.data.u64());
        // The end mark is no name.
        let id = SocketId::from_bits(data)?;
        self.next = self.next.wrapping_add(1);
        let readiness = Readiness::from_bits(flags.bits());
        Some(Ready { id, readiness })
    }

    /// Returns true if the last wait brought something with this mark, which is not [`END`].
    pub(crate) fn contains(&self, mark: u64) -> bool {
        let data = self.events.iter().map(|event| event.data.u64());
        data.take_while(|&data| data != END)
            .any(|data| data == mark)
    }

    /// Returns true if the last wait brought as much as it could, so that more may be ready.
    #[inline]
    pub(crate) const fn were_all(&self) -> bool {
        self.next == EVENTS_MAX
    }
}

/// Returns how many events came with a wait that failed: none, if it was interrupted.
#[cold]
#[inline(never)]
fn none(returned: usize) -> Result<usize, Errno> {
    match transfer::decode(returned) {
        Err(Errno::INTR) => Ok(0),
        result => result,
    }
}
