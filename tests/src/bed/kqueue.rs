//! Conformance on a model of kqueue: the events that a BSD would make of what `epoll` says, read by
//! the very functions that read a queue's.
//!
//! What becomes of a socket is Linux's business, what its events say and in which order is a BSD's:
//! each filter reports on its own, in either order; the end of reading comes with bytes; and the
//! end of writing comes also where nothing is wrong (`filt_sowrite`, after our own `shutdown`).

use std::collections::VecDeque;

use rustix::event::{Timespec, epoll};
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::Errno;
use usockets::{Ready, SocketId};
use usockets_posix::{Kevent, KeventFilter, KeventFlags, Selector, Watch};

use super::PosixBed;
use crate::rng::mix;

/// Events of one wait, as of a queue.
const EVENTS_MAX: usize = 128;

/// A model of one kqueue.
#[derive(Debug)]
pub struct KqueueModel {
    epoll: OwnedFd,
    events: VecDeque<Kevent>,
    has_more: bool,
    waits: u64,
}

/// Runs a test on the model.
pub fn on_kqueue_model(mut test: impl FnMut(&mut PosixBed<KqueueModel>)) {
    test(&mut PosixBed::new(|| KqueueModel {
        epoll: epoll::create(epoll::CreateFlags::CLOEXEC).expect("an epoll instance"),
        events: VecDeque::new(),
        has_more: false,
        waits: 0,
    }));
}

impl KqueueModel {
    /// What a BSD's filters say of a descriptor of which `epoll` said `flags`.
    fn translate(&mut self, flags: epoll::EventFlags, udata: u64) {
        use epoll::EventFlags as E;

        let event = |filter, is_over| Kevent {
            filter,
            flags: if is_over {
                KeventFlags::EOF
            } else {
                KeventFlags::NONE
            },
            udata,
        };
        let broke = flags.intersects(E::HUP | E::ERR);
        let read = (flags.intersects(E::IN | E::RDHUP | E::PRI) || broke)
            .then(|| event(KeventFilter::Read, broke || flags.intersects(E::RDHUP)));
        let write = (flags.intersects(E::OUT) || broke).then(|| event(KeventFilter::Write, broke));
        let chance = mix(self.waits ^ udata);
        let both = if chance & 1 == 0 {
            [read, write]
        } else {
            [write, read]
        };
        self.events.extend(both.into_iter().flatten());
        if chance % 16 < 2 && flags.contains(E::IN | E::OUT) {
            // As after our own end: to be asked about, and nothing is wrong.
            self.events.push_back(event(KeventFilter::Write, true));
        }
    }
}

impl Selector for KqueueModel {
    fn add(&mut self, fd: BorrowedFd<'_>, id: SocketId, watch: Watch) -> Result<(), Errno> {
        use epoll::EventFlags as E;

        let flags = match watch {
            Watch::Listener => E::IN,
            Watch::Waker => E::IN | E::ET,
            Watch::Connecting | Watch::Stream => E::IN | E::OUT | E::RDHUP | E::PRI | E::ET,
        };
        epoll::add(
            &self.epoll,
            fd,
            epoll::EventData::new_u64(id.to_bits()),
            flags,
        )
    }

    fn set_accepting(
        &mut self,
        fd: BorrowedFd<'_>,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Errno> {
        let flags = if accepting {
            epoll::EventFlags::IN
        } else {
            epoll::EventFlags::ET
        };
        let name = epoll::EventData::new_u64(id.to_bits());
        epoll::modify(&self.epoll, fd, name, flags)
    }

    fn remove(&mut self, fd: BorrowedFd<'_>, _: u32) {
        // A BSD's `close` does it, whoever has a copy.
        let _ = epoll::delete(&self.epoll, fd);
    }

    fn wait(&mut self, timeout: Option<&Timespec>) -> Result<(), Errno> {
        self.waits += 1;
        let empty = epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(0),
        };
        // Each may make three.
        let mut events = [empty; EVENTS_MAX / 3];
        let count = match epoll::wait(&self.epoll, &mut events[..], timeout) {
            Err(Errno::INTR) => 0,
            count => count?,
        };
        self.events.clear();
        for event in &events[..count] {
            let (flags, udata) = (event.flags, event.data.u64());
            self.translate(flags, udata);
        }
        self.has_more = count == events.len();
        Ok(())
    }

    fn next_ready(&mut self) -> Option<Ready> {
        loop {
            let event = self.events.pop_front()?;
            if let Some(ready) = event.ready() {
                return Some(ready);
            }
        }
    }

    fn has_more(&self) -> bool {
        self.has_more
    }
}
