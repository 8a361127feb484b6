//! What stands for `local.rs` in a program without Unix sockets (the feature `local`).

use rustix::fd::OwnedFd;
use usockets::{Address, Error, Recv};
use usockets_posix::{Fd, Kind, stream};

use crate::linux::Linux;

impl Linux {
    #[inline]
    pub(crate) fn accept_one(&self, listener: &Fd) -> Result<Option<(OwnedFd, Address)>, Error> {
        stream::accept(listener)
    }

    #[inline]
    pub(crate) fn adopt(&self, fd: OwnedFd, kind: Kind) -> Fd {
        Fd::new(fd, kind)
    }

    #[inline]
    pub(crate) const fn recv_local(&self, _: &Fd, _: &mut [u8]) -> Result<Recv, Error> {
        Err(Error::Invalid)
    }

    #[inline]
    pub(crate) const fn send_local(_: &Fd, _: &[u8]) -> Result<usize, Error> {
        Err(Error::Invalid)
    }

    #[inline]
    pub(crate) fn local_address(socket: &Fd) -> Result<Address, Error> {
        stream::local_addr(socket)
    }

    #[inline]
    pub(crate) fn peer_address(socket: &Fd) -> Result<Address, Error> {
        stream::peer_addr(socket)
    }

    #[inline]
    pub(crate) const fn before_close(&self, _: &Fd) {}
}
