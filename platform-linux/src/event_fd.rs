//! Interrupting a wait in `epoll_wait`.

use rustix::event::{EventfdFlags, eventfd};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::write;
use usockets::{Error, Notify};
use usockets_posix::error;

/// An eventfd (`eventfd(2)`): what a [`Waker`](usockets::Waker) writes to.
#[derive(Debug)]
pub struct EventFd {
    fd: OwnedFd,
}

impl EventFd {
    /// Creates the descriptor.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when the process or the system is out of descriptors or memory.
    pub fn new() -> Result<Self, Error> {
        let fd = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).map_err(error)?;
        Ok(Self { fd })
    }
}

impl Notify for EventFd {
    /// Writes to the descriptor, one system call. Async-signal-safe.
    fn notify(&self) {
        // It is registered edge-triggered and never read: every write wakes. Only a counter at
        // its end (2^64 - 2 wake-ups) would refuse the write.
        let _ = write(&self.fd, &1_u64.to_ne_bytes());
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
