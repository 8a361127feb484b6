//! The kernel's side of one pool slot.
#![expect(
    unsafe_code,
    reason = "a descriptor is kept as a number, so that a closed slot is all zero bytes"
)]

use core::{hint, mem};

use rustix::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use usockets::Error;

/// Most connections taken from a listener between two waits, less the first.
const BURST_MAX: u8 = 31;

/// The kernel's side of one pool slot: a descriptor and what it is. Eight bytes, all zero while
/// closed. Owns the descriptor, and closes it when dropped.
#[derive(Debug)]
pub struct Fd {
    /// The descriptor; 0 when there is none.
    raw: RawFd,
    /// Invariant: unless it is [`Kind::Closed`], `raw` is an open descriptor that this `Fd` owns.
    kind: Kind,
    /// Of a listener: the wait after which it last accepted. Of a connection that is open: the
    /// error that it still has to tell, see [`Self::keep_error`].
    wait_or_error: u8,
    /// Of a listener: how many connections to take without waiting in between, less the first; it
    /// grows while they keep coming. Of a connection to this host: one half of the port it goes to.
    burst: u8,
    /// Of a listener: what is left of `burst`. Of a connection to this host: the other half. Of a
    /// datagram socket: what the platform notes.
    left: u8,
}

/// What a descriptor is used for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "platforms decide by it what to do with a descriptor"
)]
#[repr(u8)]
pub enum Kind {
    /// Nothing.
    Closed = 0,
    /// A connection that is open, and no Unix socket.
    Stream,
    /// A connection that is opening.
    Connecting,
    /// A connection that is opening to this very host, and may meet itself (RFC 9293, section
    /// 3.5: a simultaneous open with one socket).
    ConnectingLocally,
    /// A listener.
    Listener,
    /// A UDP socket.
    Datagrams,
    /// Anything else that can be waited for, which the program reads and writes by itself.
    Foreign,
    /// A Unix socket that is connected (`unix(7)`).
    Local,
    /// A Unix socket that is connected and keeps the bounds of packets.
    LocalPackets,
    /// A Unix socket that listens.
    LocalListener,
    /// A Unix socket that listens and keeps the bounds of packets.
    LocalPacketListener,
    /// A Unix datagram socket.
    LocalDatagrams,
}

impl Fd {
    /// No socket.
    pub const CLOSED: Self = Self {
        raw: 0,
        kind: Kind::Closed,
        wait_or_error: 0,
        burst: 0,
        left: 0,
    };

    /// Takes `fd` over. Of kind [`Kind::Closed`] it closes it.
    #[must_use]
    pub fn new(fd: OwnedFd, kind: Kind) -> Self {
        if kind == Kind::Closed {
            return Self::CLOSED;
        }
        Self {
            raw: fd.into_raw_fd(),
            kind,
            ..Self::CLOSED
        }
    }

    /// Takes over a connection that this listener accepted.
    #[must_use]
    pub fn accepted(&self, fd: OwnedFd) -> Self {
        let kind = match self.kind {
            Kind::LocalListener => Kind::Local,
            Kind::LocalPacketListener => Kind::LocalPackets,
            _ => Kind::Stream,
        };
        Self::new(fd, kind)
    }

    /// Returns true if it is a Unix socket that is connected or listens.
    #[must_use]
    pub const fn is_local(&self) -> bool {
        matches!(
            self.kind,
            Kind::Local | Kind::LocalPackets | Kind::LocalListener | Kind::LocalPacketListener
        )
    }

    /// Returns true if it is a socket that listens.
    #[must_use]
    pub const fn is_listener(&self) -> bool {
        matches!(
            self.kind,
            Kind::Listener | Kind::LocalListener | Kind::LocalPacketListener
        )
    }

    /// Takes over a connection that is opening to `port` of this very host.
    #[must_use]
    pub(crate) fn connecting_locally(fd: OwnedFd, port: u16) -> Self {
        let mut socket = Self::new(fd, Kind::ConnectingLocally);
        [socket.burst, socket.left] = port.to_le_bytes();
        socket
    }

    /// Returns the port to which a connection to this host is opening.
    pub(crate) const fn local_port(&self) -> Option<u16> {
        match self.kind {
            Kind::ConnectingLocally => Some(u16::from_le_bytes([self.burst, self.left])),
            _ => None,
        }
    }

    /// Returns what the platform noted of a datagram socket; 0 at first, and of other sockets.
    #[must_use]
    pub const fn notes(&self) -> u8 {
        match self.kind {
            Kind::Datagrams | Kind::LocalDatagrams => self.left,
            _ => 0,
        }
    }

    /// Notes something of a datagram socket, in bits of the platform's own.
    pub const fn set_notes(&mut self, notes: u8) {
        if matches!(self.kind, Kind::Datagrams | Kind::LocalDatagrams) {
            self.left = notes;
        }
    }

    /// Returns what the descriptor is used for.
    #[inline]
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Notes that the connection opened.
    pub(crate) const fn set_open(&mut self) {
        self.kind = Kind::Stream;
        self.wait_or_error = 0;
    }

    /// Keeps the error of a connection that broke, which the system tells only once, for the call
    /// that finds nothing left to receive.
    pub(crate) const fn keep_error(&mut self, error: Error) {
        self.wait_or_error = match error {
            Error::BrokenPipe => 2,
            _ => 1,
        };
    }

    /// Returns the error that was kept.
    #[cold]
    pub(crate) const fn kept_error(&self) -> Option<Error> {
        match self.wait_or_error {
            0 => None,
            2 => Some(Error::BrokenPipe),
            _ => Some(Error::Reset),
        }
    }

    /// Starts counting what a listener accepts that is made after wait number `wait` of its
    /// platform, which wraps.
    pub const fn start_counting(&mut self, wait: u8) {
        self.wait_or_error = wait.wrapping_sub(1);
    }

    /// Counts a connection accepted after wait number `wait`. Returns true if the listener's burst
    /// is over: the next connection is taken after another wait.
    ///
    /// Nothing is lost by that, as the listener is level-triggered and reported again. The first
    /// burst is of one connection, as is one that comes after a wait without any. While the
    /// listener accepts after every wait they are of 1, 2, 4, 8, 16, then 32, so that a busy one
    /// does not cost a wait for each connection.
    pub const fn count_accepted(&mut self, wait: u8) -> bool {
        if self.wait_or_error == wait {
            self.left = self.left.saturating_sub(1);
        } else {
            let running = wait.wrapping_sub(self.wait_or_error) == 1;
            let more = self.burst.saturating_mul(2).saturating_add(1);
            let more = if more < BURST_MAX { more } else { BURST_MAX };
            self.burst = if running { more } else { 0 };
            self.left = self.burst;
            self.wait_or_error = wait;
        }
        self.left == 0
    }

    /// Notes that nothing waits at a listener any more.
    pub const fn end_counting(&mut self) {
        self.burst = 0;
    }

    /// Returns the descriptor of a connection that is open and no Unix socket; `None` of anything
    /// else. One comparison tells both.
    #[inline]
    #[must_use]
    pub fn stream(&self) -> Option<BorrowedFd<'_>> {
        if self.kind != Kind::Stream {
            return None;
        }
        // SAFETY: the kind is not `Closed`.
        Some(unsafe { self.borrow() })
    }

    /// Returns the descriptor.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none.
    #[inline]
    pub fn get(&self) -> Result<BorrowedFd<'_>, Error> {
        if self.kind == Kind::Closed {
            return closed();
        }
        // SAFETY: the kind is not `Closed`.
        Ok(unsafe { self.borrow() })
    }

    /// Returns the descriptor.
    ///
    /// # Safety
    /// The kind is not [`Kind::Closed`].
    #[inline]
    const unsafe fn borrow(&self) -> BorrowedFd<'_> {
        // SAFETY: by the invariant this is an open descriptor, and those are not negative. That it
        // is known saves 9 instructions an echo (callgrind).
        unsafe { hint::assert_unchecked(self.raw >= 0) };
        // SAFETY: by the invariant it is open, and the borrow of `self` keeps it open.
        unsafe { BorrowedFd::borrow_raw(self.raw) }
    }
}

impl Fd {
    /// Gives the descriptor away; `None` when there is none.
    #[must_use]
    pub fn into_fd(mut self) -> Option<OwnedFd> {
        if mem::replace(&mut self.kind, Kind::Closed) == Kind::Closed {
            return None;
        }
        // SAFETY: by the invariant the descriptor is open and owned, and it was just given up.
        Some(unsafe { OwnedFd::from_raw_fd(self.raw) })
    }
}

impl Drop for Fd {
    #[inline]
    fn drop(&mut self) {
        if mem::replace(&mut self.kind, Kind::Closed) != Kind::Closed {
            // SAFETY: by the invariant the descriptor is open and owned, and it was just given up.
            drop(unsafe { OwnedFd::from_raw_fd(self.raw) });
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
        assert_eq!((fd.raw, fd.kind), (0, Kind::Closed));
        assert_eq!((fd.wait_or_error, fd.burst, fd.left), (0, 0, 0));
        assert!(fd.get().is_err());
    }

    #[test]
    fn a_connection_is_of_its_listeners_kind() {
        for (listener, connection, is_local) in [
            (Kind::Listener, Kind::Stream, false),
            (Kind::LocalListener, Kind::Local, true),
            (Kind::LocalPacketListener, Kind::LocalPackets, true),
        ] {
            let new = || eventfd(0, EventfdFlags::CLOEXEC).unwrap();
            let listener = Fd::new(new(), listener);
            assert!(listener.is_listener() && listener.stream().is_none());
            let accepted = listener.accepted(new());
            assert_eq!(accepted.kind(), connection);
            assert_eq!(
                (listener.is_local(), accepted.is_local()),
                (is_local, is_local)
            );
            assert_eq!(accepted.stream().is_none(), is_local);
        }
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
