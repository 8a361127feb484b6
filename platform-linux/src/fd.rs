//! The kernel's side of one pool slot.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use usockets::Error;

/// The kernel's side of one pool slot: a descriptor and what it is. Eight bytes, all zero while
/// closed.
#[derive(Debug)]
#[non_exhaustive]
#[repr(u8)]
pub enum Fd {
    /// No socket.
    Closed = 0,
    /// A socket that carries data.
    Stream(OwnedFd) = 1,
    /// A socket whose connect is under way.
    Connecting(OwnedFd) = 2,
    /// A socket that listens.
    #[non_exhaustive]
    Listener {
        /// The wait after which it last accepted.
        wait: u8,
        /// Connections to take without asking `epoll` in between: grows while they keep coming.
        burst: u8,
        /// What is left of that.
        left: u8,
        /// The descriptor.
        fd: OwnedFd,
    } = 3,
}

impl Fd {
    /// Returns the descriptor.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none.
    #[inline]
    pub fn get(&self) -> Result<BorrowedFd<'_>, Error> {
        match self {
            Self::Closed => Err(Error::Invalid),
            Self::Stream(fd) | Self::Connecting(fd) | Self::Listener { fd, .. } => Ok(fd.as_fd()),
        }
    }
}
