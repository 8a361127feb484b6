//! How readiness is learnt, which is what POSIX systems differ in.

use rustix::event::Timespec;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use usockets::{Ready, SocketId};

/// What a descriptor is watched for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "a selector must know what to do with each"
)]
pub enum Watch {
    /// A listener: reported in every wait while a connection waits.
    Listener,
    /// A connection that is opening.
    Connecting,
    /// A connection that is open, or a datagram socket.
    Stream,
    /// What a waker writes to: reported in every wait until it is read.
    Waker,
}

/// Waits for descriptors: `poll`, kqueue, or a model of one in a test.
///
/// A selector reports as [`Platform`](usockets::Platform) demands: each fact once after it becomes
/// true. One that asks the system for what *is* true, as `poll` does, stops asking for what it has
/// reported, until [`Self::drained`] or [`Self::blocked`] says that it is used up.
pub trait Selector {
    /// See [`Platform::REPORTS_ARRIVALS`](usockets::Platform::REPORTS_ARRIVALS).
    const REPORTS_ARRIVALS: bool = false;

    /// Watches a descriptor under the name `id`.
    ///
    /// # Errors
    /// There is no memory to do so.
    fn add(&mut self, fd: BorrowedFd<'_>, id: SocketId, watch: Watch) -> Result<(), Errno>;

    /// Stops (`false`) or goes on (`true`) watching a listener.
    ///
    /// # Errors
    /// The system cannot change it now.
    fn set_accepting(
        &mut self,
        fd: BorrowedFd<'_>,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Errno>;

    /// Stops watching a descriptor that is about to be closed, in pool slot `index`.
    fn remove(&mut self, fd: BorrowedFd<'_>, index: u32);

    /// Notes that nothing more can be read from pool slot `index` until it is reported again, or
    /// that its connection has just opened.
    fn drained(&mut self, index: u32) {
        let _ = index;
    }

    /// Notes that a send of pool slot `index` came back short.
    fn blocked(&mut self, index: u32) {
        let _ = index;
    }

    /// Notes that a call of pool slot `index` met an error that belongs to an earlier datagram, and
    /// that its platform keeps it: the next wait is to report it. A selector that cannot leaves it
    /// to the socket's next error.
    fn failed(&mut self, index: u32) {
        let _ = index;
    }

    /// Waits for something to report, at most for `timeout`; `None` waits for ever.
    ///
    /// # Errors
    /// The selector itself is broken. An interrupted wait is one without reports.
    fn wait(&mut self, timeout: Option<&Timespec>) -> Result<(), Errno>;

    /// Takes the next report of the last wait. One of the waker has the name it was added with.
    fn next_ready(&mut self) -> Option<Ready>;

    /// Returns true if the last wait could not hand out all that was ready.
    fn has_more(&self) -> bool {
        false
    }
}

/// A selector that its platform borrows, so that a large one need not move.
impl<S: Selector> Selector for &mut S {
    const REPORTS_ARRIVALS: bool = S::REPORTS_ARRIVALS;

    fn add(&mut self, fd: BorrowedFd<'_>, id: SocketId, watch: Watch) -> Result<(), Errno> {
        (**self).add(fd, id, watch)
    }

    fn set_accepting(
        &mut self,
        fd: BorrowedFd<'_>,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Errno> {
        (**self).set_accepting(fd, id, accepting)
    }

    fn remove(&mut self, fd: BorrowedFd<'_>, index: u32) {
        (**self).remove(fd, index);
    }

    fn drained(&mut self, index: u32) {
        (**self).drained(index);
    }

    fn blocked(&mut self, index: u32) {
        (**self).blocked(index);
    }

    fn failed(&mut self, index: u32) {
        (**self).failed(index);
    }

    fn wait(&mut self, timeout: Option<&Timespec>) -> Result<(), Errno> {
        (**self).wait(timeout)
    }

    fn next_ready(&mut self) -> Option<Ready> {
        (**self).next_ready()
    }

    fn has_more(&self) -> bool {
        (**self).has_more()
    }
}
