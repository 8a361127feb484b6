//! Descriptors made elsewhere, in a slot of the pool.

use rustix::event::epoll::{self, EventFlags};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::net::sockopt;
use usockets::{Descriptors, Error, Inserted, SocketId};
use usockets_posix::{Fd, error, stream};

use crate::linux::{Linux, STREAM};

impl Descriptors for Linux {
    type Descriptor = OwnedFd;

    /// Inserts a descriptor. One of kind [`Inserted::Foreign`] is reported edge-triggered: the
    /// program reads it until it would block. A regular file cannot be waited for (`epoll_ctl(2)`,
    /// `EPERM`) and is [`Error::Invalid`].
    fn insert(
        &mut self,
        socket: &mut Fd,
        id: SocketId,
        descriptor: OwnedFd,
        kind: Inserted,
    ) -> Result<(), (OwnedFd, Error)> {
        let listens = |fd: BorrowedFd<'_>| sockopt::socket_acceptconn(fd) == Ok(true);
        let kind = match stream::check_inserted(descriptor.as_fd(), kind, listens) {
            Ok(kind) => kind,
            Err(error) => return Err((descriptor, error)),
        };
        let mut new = self.adopt(descriptor, kind);
        let flags = if new.is_listener() {
            EventFlags::IN
        } else {
            STREAM
        };
        if let Err(error) = self.register(&new, id, flags) {
            let error = match error {
                Error::Denied => Error::Invalid,
                error => error,
            };
            // It was just put in.
            return match new.into_fd() {
                Some(descriptor) => Err((descriptor, error)),
                None => Ok(()),
            };
        }
        if new.is_listener() {
            new.start_counting(self.waits);
        }
        *socket = new;
        Ok(())
    }

    fn take(&mut self, socket: &mut Fd, _: &mut [u8]) -> Result<(OwnedFd, usize), Error> {
        let fd = socket.get()?;
        if socket.is_listener() {
            self.deregister_listener(fd);
        } else {
            epoll::delete(&self.epoll, fd).map_err(error)?;
        }
        self.before_close(socket);
        let taken = core::mem::replace(socket, Fd::CLOSED).into_fd();
        Ok((taken.ok_or(Error::Invalid)?, 0))
    }
}
