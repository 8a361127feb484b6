//! What one wait brings.
#![expect(
    unsafe_code,
    reason = "rustix's event may hold a pointer; ours never does"
)]

use rustix::event::epoll::{EventData, EventFlags};
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use usockets::{Readiness, Ready, SocketId};

/// Kernel events taken per system call; one less than a `u8` counts, for the end mark.
const EVENTS_MAX: u8 = 255;
/// What follows the last event of a wait. It names nothing.
const END: u64 = 0;

/// The events of the last wait that were not handed out yet.
pub(crate) struct Events {
    /// The next of `events` to hand out.
    next: u8,
    /// `epoll_pwait2` is missing (`ENOSYS`, before Linux 5.11) or a sandbox that does not know it
    /// forbids it (`EPERM`): whole milliseconds it is.
    only_millis: bool,
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
            only_millis: false,
            events: [empty; 256],
        }
    }

    /// Waits for events, at most for `timeout`, and adds `extra`.
    ///
    /// # Errors
    /// The `epoll` instance is broken. An interrupted wait is one that brought nothing.
    pub(crate) fn wait(
        &mut self,
        epoll: &OwnedFd,
        timeout: Option<&Timespec>,
        extra: Option<SocketId>,
    ) -> Result<(), Errno> {
        let most = usize::from(EVENTS_MAX).saturating_sub(usize::from(extra.is_some()));
        let room = self.events.get_mut(..most).unwrap_or_default();
        let result = if self.only_millis {
            wait_millis(epoll, room, timeout)
        } else {
            match epoll::wait(epoll, &mut *room, timeout) {
                Err(Errno::NOSYS | Errno::PERM) => {
                    self.only_millis = true;
                    wait_millis(epoll, room, timeout)
                }
                result => result,
            }
        };
        let mut count = match result {
            Ok(count) => count,
            Err(Errno::INTR) => 0,
            Err(errno) => return Err(errno),
        };
        if let (Some(id), Some(event)) = (extra, self.events.get_mut(count)) {
            event.flags = EventFlags::IN;
            event.data = EventData::new_u64(id.to_bits());
            count = count.saturating_add(1);
        }
        self.next = 0;
        if let Some(event) = self.events.get_mut(count) {
            event.data = EventData::new_u64(END);
        }
        Ok(())
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

/// Waits for whole milliseconds: later is right, earlier not.
#[cold]
fn wait_millis(
    epoll: &OwnedFd,
    room: &mut [epoll::Event],
    timeout: Option<&Timespec>,
) -> Result<usize, Errno> {
    let millis = timeout.copied().map(round_up_to_millis);
    epoll::wait(epoll, room, millis.as_ref())
}

/// A wait in whole milliseconds, cut to what `epoll_wait` takes.
fn round_up_to_millis(wait: Timespec) -> Timespec {
    let millis = wait.tv_nsec.saturating_add(999_999) / 1_000_000;
    let carry = i64::from(millis >= 1_000);
    Timespec {
        tv_sec: wait.tv_sec.min(2_000_000).saturating_add(carry),
        tv_nsec: if carry == 1 {
            0
        } else {
            millis.saturating_mul(1_000_000)
        },
    }
}
