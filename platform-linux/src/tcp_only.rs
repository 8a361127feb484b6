//! What stands for `local.rs` in a program without Unix sockets (the feature `local`).

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use usockets::{Address, Arrival, Arrivals, Error};
use usockets_posix::{Fd, Kind, stream};

use crate::linux::Linux;
use crate::transfer::encode;

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
    pub(crate) fn recv_local(&self, _: &Fd, _: &mut [u8]) -> (usize, usize) {
        (encode(Err(Errno::INVAL)), 0)
    }

    #[inline]
    pub(crate) fn send_local(_: &Fd, _: &[u8]) -> usize {
        encode(Err(Errno::INVAL))
    }

    #[inline]
    pub(crate) fn recv_local_batch(
        &self,
        _: &Fd,
        _: &mut [u8],
        _: &mut [Arrival],
    ) -> Result<Arrivals, Error> {
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
