//! The queue.
#![expect(
    unsafe_code,
    reason = "rustix cannot know how long a registered descriptor stays open"
)]

use core::ffi::c_void;

use rustix::event::Timespec;
use rustix::event::kqueue::{Event, EventFilter, EventFlags, kevent_timespec, kqueue};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use usockets::{Error, Ready, SocketId};

use crate::errno::error;
use crate::kqueue::event::{Kevent, KeventFilter, KeventFlags};
use crate::selector::{Selector, Watch};

// A name fills the pointer that an event carries.
const _: () = assert!(size_of::<*mut c_void>() == size_of::<u64>());

/// Events taken per system call.
const EVENTS_MAX: usize = 128;

/// `EV_OOBAND`, which rustix does not name: `EV_FLAG1` of `sys/event.h`.
#[cfg(target_vendor = "apple")]
const OOBAND: EventFlags = EventFlags::from_bits_retain(0x2000);

/// One kqueue (`kqueue(2)`).
///
/// A connection is registered once, for both directions and with `EV_CLEAR`, so that each fact is
/// reported once after it becomes true. A listener is registered without, and reported for as
/// long as a connection waits. The last `close` of a descriptor ends its registrations, and a
/// child does not inherit the queue.
///
/// # Urgent data
///
/// Only Apple's systems report it. Elsewhere a receive that stops at its mark (RFC 9293, section
/// 3.8.5) is taken for the last, and what follows waits for the next arrival: a peer that sends
/// urgent data delays its own connection, and no other.
pub struct Kqueue {
    queue: OwnedFd,
    events: Events,
    next: usize,
    count: usize,
}

/// What the last wait brought.
struct Events([Event; EVENTS_MAX]);

// SAFETY: the pointer in an event is a name, made of an integer, and never followed.
unsafe impl Send for Events {}

impl Kqueue {
    /// Makes the queue.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when the process or the system is out of descriptors or memory.
    pub fn new() -> Result<Self, Error> {
        let empty = Event::new(EventFilter::Read(-1), EventFlags::empty(), mark(0));
        Ok(Self {
            queue: kqueue().map_err(error)?,
            events: Events([empty; EVENTS_MAX]),
            next: 0,
            count: 0,
        })
    }

    fn change(&self, changes: &[Event]) -> Result<(), Errno> {
        let mut nothing: [Event; 0] = [];
        loop {
            // SAFETY: each descriptor is open, and its registrations end when it is closed.
            let result = unsafe { kevent_timespec(&self.queue, changes, &mut nothing[..], None) };
            match result {
                // Changes are made before a signal is looked for, and may be repeated.
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno),
                Ok(_) => return Ok(()),
            }
        }
    }
}

impl core::fmt::Debug for Kqueue {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Kqueue")
            .field("queue", &self.queue)
            .finish_non_exhaustive()
    }
}

impl AsFd for Kqueue {
    /// Returns the queue's descriptor, for other event loops.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.queue.as_fd()
    }
}

/// A name as the pointer that an event carries.
fn mark(id: u64) -> *mut c_void {
    core::ptr::without_provenance_mut(usize::try_from(id).unwrap_or_default())
}

/// What an event says, without the types of the system.
fn kevent(event: &Event) -> Kevent {
    let filter = match event.filter() {
        EventFilter::Read(_) => KeventFilter::Read,
        EventFilter::Write(_) => KeventFilter::Write,
        _ => KeventFilter::Other,
    };
    let has = |flag: EventFlags, said: KeventFlags| {
        let is_set = event.flags().contains(flag);
        if is_set { said } else { KeventFlags::NONE }
    };
    let flags = KeventFlags::of(&[
        has(EventFlags::EOF, KeventFlags::EOF),
        has(EventFlags::ERROR, KeventFlags::ERROR),
        #[cfg(target_vendor = "apple")]
        has(OOBAND, KeventFlags::OOBAND),
    ]);
    Kevent {
        filter,
        flags,
        udata: u64::try_from(event.udata().addr()).unwrap_or_default(),
    }
}

impl Selector for Kqueue {
    const REPORTS_ARRIVALS: bool = true; // `EV_CLEAR`.

    fn add(&mut self, fd: BorrowedFd<'_>, id: SocketId, watch: Watch) -> Result<(), Errno> {
        let (raw, name) = (fd.as_raw_fd(), mark(id.to_bits()));
        let once = EventFlags::ADD.union(EventFlags::CLEAR);
        match watch {
            Watch::Listener => {
                let read = Event::new(EventFilter::Read(raw), EventFlags::ADD, name);
                self.change(&[read])
            }
            Watch::Waker => self.change(&[Event::new(EventFilter::Read(raw), once, name)]),
            Watch::Connecting | Watch::Stream => self.change(&[
                Event::new(EventFilter::Read(raw), once, name),
                Event::new(EventFilter::Write(raw), once, name),
            ]),
        }
    }

    fn set_accepting(
        &mut self,
        fd: BorrowedFd<'_>,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Errno> {
        let flags = if accepting {
            EventFlags::ENABLE
        } else {
            EventFlags::DISABLE
        };
        let read = EventFilter::Read(fd.as_raw_fd());
        self.change(&[Event::new(read, flags, mark(id.to_bits()))])
    }

    fn remove(&mut self, _: BorrowedFd<'_>, _: u32) {
        // `close` does it.
    }

    fn wait(&mut self, timeout: Option<&Timespec>) -> Result<(), Errno> {
        (self.next, self.count) = (0, 0);
        let events = &mut self.events.0[..];
        // SAFETY: nothing is registered here.
        match unsafe { kevent_timespec(&self.queue, &[], events, timeout) } {
            Ok(count) => self.count = count,
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        Ok(())
    }

    fn next_ready(&mut self) -> Option<Ready> {
        while self.next < self.count {
            let event = self.events.0.get(self.next)?;
            self.next = self.next.saturating_add(1);
            if let Some(ready) = kevent(event).ready() {
                return Some(ready);
            }
        }
        None
    }

    fn has_more(&self) -> bool {
        self.count == EVENTS_MAX
    }
}
