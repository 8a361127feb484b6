//! The platform: sockets of [`stream`](crate::stream), watched by a [`Selector`].

use rustix::event::Timespec;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use usockets::{
    Accepted, Address, Arrival, Arrivals, Credentials, DatagramError, DatagramOption, Datagrams,
    Departure, Descriptors, Duration, Endpoint, Error, Inserted, Instant, LocalEndpoint,
    LocalSockets, Platform, Progress, Readiness, Ready, Recv, SocketId, SocketOption, Waker,
};

use crate::datagrams;
use crate::errno::error;
use crate::fd::{Fd, Kind};
use crate::local::{self, Received};
use crate::pipe::Pipe;
use crate::selector::{Selector, Watch};
use crate::stream;

/// The name under which a waker is watched: a slot beyond every pool, which the loop ignores.
const WAKER: u64 = u64::MAX;

/// TCP sockets of a POSIX system, watched by `S`: `Poll<N>` or `Kqueue`.
#[derive(Debug)]
pub struct Posix<S> {
    selector: S,
    /// Waits so far, wrapping.
    waits: u8,
    waker: Option<&'static Waker<Pipe>>,
    /// The pipe of the waker is to be emptied.
    rung: bool,
    /// Descriptors that came beside bytes of a Unix socket.
    received: Received,
}

/// The kernel's side of one pool slot: a descriptor, and which slot it is. All zero while closed.
#[derive(Debug)]
pub struct PosixSocket {
    fd: Fd,
    index: u32,
}

impl PosixSocket {
    /// Returns the descriptor.
    #[must_use]
    pub const fn fd(&self) -> &Fd {
        &self.fd
    }
}

impl<S: Selector> Posix<S> {
    /// Makes a platform of a selector.
    #[must_use]
    pub const fn new(selector: S) -> Self {
        Self {
            selector,
            waits: 0,
            waker: None,
            rung: false,
            received: Received::NONE,
        }
    }

    /// Lets `waker` wake the loop. It belongs in a static, because other threads may use it at
    /// any time. It wakes this platform and no other.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when the selector has no place for it, [`Error::Invalid`] when this
    /// platform has a waker already.
    pub fn with_waker(mut self, waker: &'static Waker<Pipe>) -> Result<Self, Error> {
        if self.waker.is_some() {
            return Err(Error::Invalid);
        }
        let id = SocketId::from_bits(WAKER).ok_or(Error::Invalid)?;
        self.selector
            .add(waker.notifier().reader(), id, Watch::Waker)
            .map_err(error)?;
        self.waker = Some(waker);
        Ok(self)
    }

    /// Returns the selector.
    #[must_use]
    pub const fn selector(&self) -> &S {
        &self.selector
    }

    /// Watches a new socket and puts it into its slot.
    fn keep(
        &mut self,
        socket: &mut PosixSocket,
        id: SocketId,
        fd: Fd,
        watch: Watch,
    ) -> Result<(), Error> {
        self.selector.add(fd.get()?, id, watch).map_err(error)?;
        *socket = PosixSocket {
            fd,
            index: id.index(),
        };
        Ok(())
    }

    /// Has an error reported that a call of a datagram socket met in passing.
    fn report_kept(&mut self, socket: &PosixSocket) {
        if datagrams::keeps_error(&socket.fd) {
            self.selector.failed(socket.index);
        }
    }
}

impl<S: Selector> Platform for Posix<S> {
    type Socket = PosixSocket;

    const CLOSED: PosixSocket = PosixSocket {
        fd: Fd::CLOSED,
        index: 0,
    };

    const REPORTS_ARRIVALS: bool = S::REPORTS_ARRIVALS;

    fn listen(
        &mut self,
        socket: &mut PosixSocket,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<(), Error> {
        let mut fd = stream::listen(at)?;
        fd.start_counting(self.waits);
        self.keep(socket, id, fd, Watch::Listener)
    }

    fn connect(
        &mut self,
        socket: &mut PosixSocket,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<(), Error> {
        let fd = stream::connect(to, |_, _| {})?;
        self.keep(socket, id, fd, Watch::Connecting)
    }

    fn accept(
        &mut self,
        listener: &mut PosixSocket,
        socket: &mut PosixSocket,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let accepted = if listener.fd.is_local() {
            // The new one may have the number of a descriptor that was closed.
            self.received = Received::NONE;
            local::accept(&listener.fd)?
        } else {
            stream::accept(&listener.fd)?
        };
        let Some((new, peer)) = accepted else {
            listener.fd.end_counting();
            return Ok(None);
        };
        let drained = listener.fd.count_accepted(self.waits);
        let new = listener.fd.accepted(new);
        self.keep(socket, id, new, Watch::Stream)?;
        Ok(Some(Accepted { peer, drained }))
    }

    fn refuse(&mut self, listener: &mut PosixSocket) -> Result<bool, Error> {
        stream::refuse(&listener.fd)
    }

    fn set_accepting(
        &mut self,
        listener: &mut PosixSocket,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        let fd = listener.fd.get()?;
        self.selector
            .set_accepting(fd, id, accepting)
            .map_err(error)
    }

    fn open(&mut self, socket: &mut PosixSocket, ready: Readiness) -> Result<Progress, Error> {
        let was_open = socket.fd.kind() == Kind::Stream;
        let progress = stream::open(&mut socket.fd, ready)?;
        if progress == Progress::Done && !was_open {
            self.selector.drained(socket.index);
        }
        Ok(progress)
    }

    fn take_error(&mut self, socket: &mut PosixSocket) -> Option<Error> {
        stream::take_error(&socket.fd)
    }

    fn recv(&mut self, socket: &mut PosixSocket, buffer: &mut [u8]) -> Result<Recv, Error> {
        let result = match socket.fd.kind() {
            Kind::Local | Kind::LocalPackets => {
                let received = local::recv(&socket.fd, buffer, &mut self.received);
                let full = received.map_or(0, |(_, full)| full);
                stream::received(&socket.fd, received.map(|(len, _)| len), full)
            }
            _ => stream::recv(&socket.fd, buffer),
        };
        if let Ok(Recv::Data { drained: true, .. } | Recv::WouldBlock) = result {
            self.selector.drained(socket.index);
        }
        result
    }

    fn peek(&mut self, socket: &mut PosixSocket, buffer: &mut [u8]) -> Result<Recv, Error> {
        let result = stream::peek(&socket.fd, buffer);
        if result == Ok(Recv::WouldBlock) {
            self.selector.drained(socket.index);
        }
        result
    }

    fn set_option(&mut self, socket: &mut PosixSocket, option: SocketOption) -> Result<(), Error> {
        stream::set_option(&socket.fd, option)
    }

    fn send(&mut self, socket: &mut PosixSocket, data: &[u8]) -> Result<usize, Error> {
        let count = match socket.fd.kind() {
            Kind::Local | Kind::LocalPackets => stream::sent(local::send(&socket.fd, data))?,
            _ => stream::send(&socket.fd, data)?,
        };
        if count < data.len() {
            self.selector.blocked(socket.index);
        }
        Ok(count)
    }

    fn send_vectored(&mut self, socket: &mut PosixSocket, parts: &[&[u8]]) -> Result<usize, Error> {
        let count = stream::send_vectored(&mut socket.fd, parts)?;
        let len = parts.iter().map(|part| part.len()).sum();
        if count < len {
            self.selector.blocked(socket.index);
        }
        Ok(count)
    }

    fn finish(&mut self, socket: &mut PosixSocket) -> Result<Progress, Error> {
        stream::finish(&socket.fd)
    }

    fn close(&mut self, socket: &mut PosixSocket) {
        if let Ok(fd) = socket.fd.get() {
            self.selector.remove(fd, socket.index);
        }
        self.received.close(&socket.fd);
        *socket = Self::CLOSED;
    }

    fn abort(&mut self, socket: &mut PosixSocket) {
        stream::abort(&socket.fd);
        self.close(socket);
    }

    fn local_addr(&self, socket: &PosixSocket) -> Result<Address, Error> {
        local::local_addr(&socket.fd)
    }

    fn peer_addr(&self, socket: &PosixSocket) -> Result<Address, Error> {
        local::peer_addr(&socket.fd)
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        let timeout = until.map(|until| {
            if until == Instant::ZERO {
                return Timespec::default();
            }
            timespec(until.saturating_since(stream::now()))
        });
        self.waits = self.waits.wrapping_add(1);
        self.selector.wait(timeout.as_ref()).map_err(error)
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.selector.has_more().then_some(Instant::ZERO)
    }

    fn next_ready(&mut self) -> Option<Ready> {
        let ready = self.selector.next_ready()?;
        self.rung |= ready.id.to_bits() == WAKER;
        Some(ready)
    }

    fn woken(&mut self) -> bool {
        let Some(waker) = self.waker else {
            return false;
        };
        if core::mem::take(&mut self.rung) {
            // Before it is taken: a wake-up that comes in between writes again or is seen.
            waker.notifier().empty();
        }
        waker.take()
    }

    fn now(&self) -> Instant {
        stream::now()
    }
}

/// What is inserted as [`Inserted::Foreign`] is reported in every wait while it is readable.
impl<S: Selector> Descriptors for Posix<S> {
    type Descriptor = OwnedFd;

    fn insert(
        &mut self,
        socket: &mut PosixSocket,
        id: SocketId,
        descriptor: OwnedFd,
        kind: Inserted,
    ) -> Result<(), (OwnedFd, Error)> {
        let kind = match stream::check_inserted(descriptor.as_fd(), kind, stream::listens) {
            Ok(kind) => kind,
            Err(error) => return Err((descriptor, error)),
        };
        let watch = match kind {
            Kind::Stream => Watch::Stream,
            _ => Watch::Listener,
        };
        if let Err(errno) = self.selector.add(descriptor.as_fd(), id, watch) {
            return Err((descriptor, error(errno)));
        }
        self.received = Received::NONE;
        let mut fd = local::adopt(descriptor, kind);
        if fd.is_listener() {
            fd.start_counting(self.waits);
        }
        *socket = PosixSocket {
            fd,
            index: id.index(),
        };
        Ok(())
    }

    fn take(&mut self, socket: &mut PosixSocket, _: &mut [u8]) -> Result<(OwnedFd, usize), Error> {
        self.selector.remove(socket.fd.get()?, socket.index);
        self.received.close(&socket.fd);
        let taken = core::mem::replace(socket, Self::CLOSED).fd.into_fd();
        Ok((taken.ok_or(Error::Invalid)?, 0))
    }
}

/// Unix sockets as [`local`](crate::local) has them; who the peer is ([`Credentials`]) is
/// [`Error::Unsupported`]. Of descriptors that come beside bytes, see [`Received`].
impl<S: Selector> LocalSockets for Posix<S> {
    fn listen_local(
        &mut self,
        socket: &mut PosixSocket,
        id: SocketId,
        at: &LocalEndpoint,
    ) -> Result<(), Error> {
        let mut fd = local::listen(at)?;
        fd.start_counting(self.waits);
        self.received = Received::NONE;
        let kept = self.keep(socket, id, fd, Watch::Listener);
        kept.inspect_err(|_| local::unbind(at))
    }

    fn connect_local(
        &mut self,
        socket: &mut PosixSocket,
        id: SocketId,
        to: &LocalEndpoint,
    ) -> Result<(), Error> {
        let fd = local::connect(to)?;
        self.received = Received::NONE;
        self.keep(socket, id, fd, Watch::Connecting)
    }

    fn bind_local(
        &mut self,
        socket: &mut PosixSocket,
        id: SocketId,
        at: &LocalEndpoint,
    ) -> Result<(), Error> {
        let fd = datagrams::bind_local(at)?;
        self.received = Received::NONE;
        let kept = self.keep(socket, id, fd, Watch::Stream);
        kept.inspect_err(|_| local::unbind(at))
    }

    fn peer_credentials(&self, _: &PosixSocket) -> Result<Credentials, Error> {
        Err(Error::Unsupported)
    }

    fn send_with_descriptors(
        &mut self,
        socket: &mut PosixSocket,
        data: &[u8],
        descriptors: &[&OwnedFd],
    ) -> Result<usize, Error> {
        let count = local::send_with_descriptors(&socket.fd, data, descriptors)?;
        if count < data.len() {
            self.selector.blocked(socket.index);
        }
        Ok(count)
    }

    fn send_datagram_with_descriptors(
        &mut self,
        socket: &mut PosixSocket,
        memory: &[u8],
        departure: &Departure,
        descriptors: &[&OwnedFd],
    ) -> Result<bool, Error> {
        let fd = &mut socket.fd;
        let went = datagrams::send_with_descriptors(fd, memory, departure, descriptors);
        self.report_kept(socket);
        if went == Ok(false) {
            self.selector.blocked(socket.index);
        }
        went
    }

    fn next_descriptor(&mut self, socket: &mut PosixSocket) -> Option<OwnedFd> {
        self.received.next(&socket.fd)
    }
}

/// UDP and Unix datagram sockets as [`datagrams`](crate::datagrams) has them, one datagram a call.
impl<S: Selector> Datagrams for Posix<S> {
    fn bind(&mut self, socket: &mut PosixSocket, id: SocketId, at: Address) -> Result<(), Error> {
        let fd = match at {
            Address::Ip(at) => datagrams::bind(at)?,
            Address::Local(at) => {
                return self.bind_local(socket, id, &LocalEndpoint::datagrams(at));
            }
            _ => return Err(Error::Unsupported),
        };
        self.keep(socket, id, fd, Watch::Stream)
    }

    fn set_peer(&mut self, socket: &mut PosixSocket, peer: Address) -> Result<(), Error> {
        datagrams::set_peer(&socket.fd, &peer)
    }

    fn recv_batch(
        &mut self,
        socket: &mut PosixSocket,
        memory: &mut [u8],
        arrivals: &mut [Arrival],
    ) -> Result<Arrivals, Error> {
        let received = datagrams::recv_batch(&mut socket.fd, memory, arrivals, &mut self.received)?;
        if received.drained {
            self.selector.drained(socket.index);
        }
        self.report_kept(socket);
        Ok(received)
    }

    fn send_batch(
        &mut self,
        socket: &mut PosixSocket,
        memory: &[u8],
        departures: &[Departure],
    ) -> Result<usize, Error> {
        let sent = datagrams::send_batch(&mut socket.fd, memory, departures);
        self.report_kept(socket);
        sent
    }

    fn await_room(&mut self, socket: &mut PosixSocket, _: SocketId, on: bool) {
        if on {
            self.selector.blocked(socket.index);
        }
    }

    fn next_error(&mut self, socket: &mut PosixSocket) -> Option<DatagramError> {
        let error = datagrams::next_error(&mut socket.fd);
        if error.is_none() {
            // A report of an error ends the others of a selector that asks for what is true.
            self.selector.drained(socket.index);
        }
        error
    }

    fn set_datagram_option(
        &mut self,
        socket: &mut PosixSocket,
        option: DatagramOption,
    ) -> Result<(), Error> {
        datagrams::set_option(&socket.fd, option)
    }
}

impl<S: AsFd> AsFd for Posix<S> {
    /// Returns the selector's descriptor, for other event loops: readable when the loop has
    /// something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.selector.as_fd()
    }
}

/// A wait, in the kernel's form. One longer than a day is cut, and repeated: some systems refuse
/// what they cannot express.
fn timespec(wait: Duration) -> Timespec {
    Timespec {
        tv_sec: wait.as_secs().min(86_400).cast_signed(),
        tv_nsec: wait.subsec_nanos().into(),
    }
}
