//! The kernel's side of one pool slot.
#![expect(
    unsafe_code,
    reason = "a descriptor is kept off by one, so that a closed slot is all zero bytes"
)]

use core::mem;

use rustix::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use usockets::Error;

/// The kernel's side of one pool slot: a descriptor and what it is. Eight bytes, all zero while
/// closed. Owns the descriptor, and closes it when dropped.
#[derive(Debug)]
pub struct Fd {
    /// The descriptor plus one; 0 when there is none.
    ///
    /// Invariant: any other value is a descriptor that this `Fd` owns.
    off_by_one: u32,
    pub(crate) kind: Kind,
    /// Of a listener: the wait after which it last accepted; how many connections to take
    /// without asking `epoll` in between, which grows while they keep coming; what is left of
    /// that.
    pub(crate) wait: u8,
    pub(crate) burst: u8,
    pub(crate) left: u8,
}

/// What a descriptor is used for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Kind {
    Stream = 0,
    Connecting,
    Listener,
}

impl Fd {
    /// No socket.
    pub(crate) const CLOSED: Self = Self {
        off_by_one: 0,
        kind: Kind::Stream,
        wait: 0,
        burst: 0,
        left: 0,
    };

    pub(crate) fn new(fd: OwnedFd, kind: Kind) -> Self {
        Self {
            // Descriptors are never negative, so this does not wrap to 0.
            off_by_one: fd.into_raw_fd().cast_unsigned().wrapping_add(1),
            kind,
            ..Self::CLOSED
        }
    }

    /// Returns the descriptor.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none.
    #[inline]
    pub fn get(&self) -> Result<BorrowedFd<'_>, Error> {
        let (raw, none) = self.off_by_one.overflowing_sub(1);
        if none {
            return closed();
        }
        // SAFETY: by the invariant this is an open descriptor, and the borrow of `self` keeps it
        // open. It is not -1, because it was not 0 before the subtraction.
        Ok(unsafe { BorrowedFd::borrow_raw(raw.cast_signed()) })
    }
}

impl Drop for Fd {
    #[inline]
    fn drop(&mut self) {
        if let Some(raw) = mem::take(&mut self.off_by_one).checked_sub(1) {
            // SAFETY: by the invariant the descriptor is open and owned, and it was just given up.
            drop(unsafe { OwnedFd::from_raw_fd(raw.cast_signed()) });
        }
    }
}

/// Out of line, so that the usual path is a branch not taken.
#[cold]
#[inline(never)]
fn closed<T>() -> Result<T, Error> {
    Err(Error::Invalid)
}

#[cfg(test)]
mod tests {
    use rustix::event::{EventfdFlags, eventfd};
    use rustix::fd::AsRawFd;
    use rustix::io::{Errno, fcntl_getfd};

    use super::*;

    #[test]
    fn closed_is_all_zero_bytes() {
        let fd = Fd::CLOSED;
        assert_eq!(size_of_val(&fd), 8);
        assert_eq!((fd.off_by_one, fd.kind), (0, Kind::Stream));
        assert_eq!((fd.wait, fd.burst, fd.left), (0, 0, 0));
        assert!(fd.get().is_err());
    }

    #[test]
    fn a_descriptor_is_kept_and_closed_once() {
        let owned = eventfd(0, EventfdFlags::CLOEXEC).unwrap();
        let raw = owned.as_raw_fd();
        let fd = Fd::new(owned, Kind::Stream);
        assert_eq!(fd.get().unwrap().as_raw_fd(), raw);
        assert!(fcntl_getfd(fd.get().unwrap()).is_ok());
        let mut slot = Fd::CLOSED;
        assert!(slot.get().is_err());
        drop(mem::replace(&mut slot, fd));
        // SAFETY: used for nothing but asking whether it is open.
        let after = unsafe { BorrowedFd::borrow_raw(raw) };
        assert!(fcntl_getfd(after).is_ok());
        drop(slot);
        assert_eq!(fcntl_getfd(after).err(), Some(Errno::BADF));
    }
}
