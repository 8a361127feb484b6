//! Unix sockets.

use rustix::event::epoll::EventFlags;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use usockets::{
    Address, Arrival, Arrivals, Credentials, Departure, Error, LocalEndpoint, LocalSockets,
    SocketId,
};
use usockets_posix::datagrams;
use usockets_posix::local::{self, Received};
use usockets_posix::{Fd, Kind, stream};

use crate::linux::{Linux, STREAM};
use crate::raw;
use crate::transfer::encode;

/// The steps of a socket that differ for Unix sockets. `tcp_only.rs` has them without.
impl Linux {
    /// Takes a connection from a listener of any kind.
    pub(crate) fn accept_one(
        &mut self,
        listener: &Fd,
    ) -> Result<Option<(OwnedFd, Address)>, Error> {
        if !listener.is_local() {
            return stream::accept(listener);
        }
        self.forget_received();
        local::accept(listener)
    }

    /// Takes over a descriptor that was made elsewhere.
    pub(crate) fn adopt(&mut self, fd: OwnedFd, kind: Kind) -> Fd {
        self.forget_received();
        local::adopt(fd, kind)
    }

    /// Receives from what is no open TCP connection. Returns what came, [encoded](encode), and
    /// what number of bytes means that there may be more.
    #[cold]
    #[inline(never)]
    pub(crate) fn recv_local(&mut self, socket: &Fd, buffer: &mut [u8]) -> (usize, usize) {
        let received = match socket.kind() {
            Kind::Local | Kind::LocalPackets => local::recv(socket, buffer, &mut self.received),
            _ => Err(Errno::INVAL),
        };
        let full = received.map_or(0, |(_, full)| full);
        (encode(received.map(|(len, _)| len)), full)
    }

    /// Sends by what is no open TCP connection. Returns how much was taken, [encoded](encode).
    #[cold]
    #[inline(never)]
    pub(crate) fn send_local(socket: &Fd, data: &[u8]) -> usize {
        encode(match socket.kind() {
            Kind::Local | Kind::LocalPackets => local::send(socket, data),
            _ => Err(Errno::INVAL),
        })
    }

    /// Receives Unix datagrams.
    pub(crate) fn recv_local_batch(
        &mut self,
        socket: &mut Fd,
        memory: &mut [u8],
        arrivals: &mut [Arrival],
    ) -> Result<Arrivals, Error> {
        datagrams::recv_batch(socket, memory, arrivals, &mut self.received)
    }

    pub(crate) fn local_address(socket: &Fd) -> Result<Address, Error> {
        local::local_addr(socket)
    }

    pub(crate) fn peer_address(socket: &Fd) -> Result<Address, Error> {
        local::peer_addr(socket)
    }

    /// Does what comes before a socket is closed, or leaves the platform.
    pub(crate) fn before_close(&mut self, socket: &Fd) {
        if socket.is_local() || socket.kind() == Kind::LocalDatagrams {
            self.received.close(socket);
        }
    }

    /// Closes what was received and not taken, since a new socket may have the number of the one it
    /// came to.
    fn forget_received(&mut self) {
        self.received = Received::NONE;
    }
}

/// A packet that is longer than the loop's receive buffer breaks its connection, with
/// [`Error::Truncated`], and one without bytes ends it, since nothing tells it from the peer's end.
///
/// Beside one receive, at most [`RECEIVED_MAX`](crate::RECEIVED_MAX) descriptors are taken, and the
/// kernel closes those beyond. They are to be taken in the same `on_data`, or after the same
/// [`read`](usockets::Net::read): the next receive of any Unix socket of the loop closes them. A
/// batch of datagrams ends behind one that they came with.
///
/// A path stays when its listener is closed;
/// [`remove_if_refused`](crate::remove_if_refused) removes it.
impl LocalSockets for Linux {
    fn listen_local(
        &mut self,
        socket: &mut Fd,
        id: SocketId,
        at: &LocalEndpoint,
    ) -> Result<(), Error> {
        let mut fd = local::listen(at)?;
        let registered = self.register(&fd, id, EventFlags::IN);
        registered.inspect_err(|_| local::unbind(at))?;
        self.forget_received();
        fd.start_counting(self.waits);
        *socket = fd;
        Ok(())
    }

    fn connect_local(
        &mut self,
        socket: &mut Fd,
        id: SocketId,
        to: &LocalEndpoint,
    ) -> Result<(), Error> {
        let fd = local::connect(to)?;
        self.register(&fd, id, STREAM)?;
        self.forget_received();
        *socket = fd;
        Ok(())
    }

    fn bind_local(
        &mut self,
        socket: &mut Fd,
        id: SocketId,
        at: &LocalEndpoint,
    ) -> Result<(), Error> {
        let fd = datagrams::bind_local(at)?;
        let registered = self.register(&fd, id, EventFlags::IN | EventFlags::ET);
        registered.inspect_err(|_| local::unbind(at))?;
        self.forget_received();
        *socket = fd;
        Ok(())
    }

    fn peer_credentials(&self, socket: &Fd) -> Result<Credentials, Error> {
        if !socket.is_local() {
            return Err(Error::Invalid);
        }
        raw::peer_credentials(socket.get()?)
    }

    fn send_with_descriptors(
        &mut self,
        socket: &mut Fd,
        data: &[u8],
        descriptors: &[&OwnedFd],
    ) -> Result<usize, Error> {
        local::send_with_descriptors(socket, data, descriptors)
    }

    fn send_datagram_with_descriptors(
        &mut self,
        socket: &mut Fd,
        memory: &[u8],
        departure: &Departure,
        descriptors: &[&OwnedFd],
    ) -> Result<bool, Error> {
        datagrams::send_with_descriptors(socket, memory, departure, descriptors)
    }

    fn next_descriptor(&mut self, socket: &mut Fd) -> Option<OwnedFd> {
        self.received.next(socket)
    }
}
