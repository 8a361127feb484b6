//! A platform whose connections hold back what they send, and leave unread what they get: for
//! peers that are slow on purpose.

#[cfg(feature = "tls")]
pub mod peers;
#[cfg(feature = "tls")]
pub mod stage;

use usockets::{Endpoint, Error, Instant, Platform, Progress, Readiness, Recv, SocketId};

use crate::rng::Rng;

/// What one connection holds back.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Slowness {
    /// So many bytes go out; all that is sent behind them is held back for ever.
    pub sends: usize,
    /// So many bytes are read; no more after them.
    pub reads: usize,
    /// Once so many bytes are out, of each further piece only the first byte goes out, with the
    /// rest of the one before.
    pub tails_after: usize,
}

impl Slowness {
    /// Nothing is held back.
    pub const NONE: Self = Self {
        sends: usize::MAX,
        reads: usize::MAX,
        tails_after: usize::MAX,
    };

    /// Draws a connection that holds back anything, at any byte.
    pub fn any(rng: &mut Rng) -> Self {
        let mut at = |often: u16, most: u64| match rng.chance(often) {
            true => rng.below(most) as usize,
            false => usize::MAX,
        };
        Self {
            sends: at(5_000, 2_500),
            reads: at(3_000, 20_000),
            tails_after: at(5_000, 1_500),
        }
    }
}

/// A socket of [`Slow`].
#[derive(Debug)]
pub struct SlowSocket<S> {
    inner: S,
    slowness: Slowness,
    sent: usize,
    read: usize,
    held: Vec<u8>,
}

/// A platform whose connections are slow, each as `draw` says.
pub struct Slow<P> {
    /// The platform below.
    pub inner: P,
    /// Tells what the next connection holds back.
    pub draw: Box<dyn FnMut() -> Slowness>,
}

impl<P: Platform> Slow<P> {
    /// Sends what may go out of what is held back; all of it, if `all`.
    fn pass(&mut self, socket: &mut SlowSocket<P::Socket>, all: bool) -> Result<(), Error> {
        let room = socket.slowness.sends.saturating_sub(socket.sent);
        let may = match all {
            true => socket.held.len(),
            false => 1.min(socket.held.len()),
        };
        let count = self
            .inner
            .send(&mut socket.inner, &socket.held[..may.min(room)])?;
        socket.sent += count;
        socket.held.drain(..count);
        Ok(())
    }
}

impl<P: Platform> Platform for Slow<P> {
    type Socket = SlowSocket<P::Socket>;

    const CLOSED: Self::Socket = SlowSocket {
        inner: P::CLOSED,
        slowness: Slowness::NONE,
        sent: 0,
        read: 0,
        held: Vec::new(),
    };

    fn listen(
        &mut self,
        socket: &mut Self::Socket,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<(), Error> {
        self.inner.listen(&mut socket.inner, id, at)
    }

    fn connect(
        &mut self,
        socket: &mut Self::Socket,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<(), Error> {
        socket.slowness = (self.draw)();
        self.inner.connect(&mut socket.inner, id, to)
    }

    fn accept(
        &mut self,
        listener: &mut Self::Socket,
        socket: &mut Self::Socket,
        id: SocketId,
    ) -> Result<Option<usockets::Accepted>, Error> {
        self.inner
            .accept(&mut listener.inner, &mut socket.inner, id)
    }

    fn refuse(&mut self, listener: &mut Self::Socket) -> Result<bool, Error> {
        self.inner.refuse(&mut listener.inner)
    }

    fn open(&mut self, socket: &mut Self::Socket, ready: Readiness) -> Result<Progress, Error> {
        self.inner.open(&mut socket.inner, ready)
    }

    fn take_error(&mut self, socket: &mut Self::Socket) -> Option<Error> {
        self.inner.take_error(&mut socket.inner)
    }

    fn recv(&mut self, socket: &mut Self::Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        let room = socket.slowness.reads.saturating_sub(socket.read);
        let most = room.min(buffer.len());
        if most == 0 {
            return Ok(Recv::WouldBlock);
        }
        let received = self.inner.recv(&mut socket.inner, &mut buffer[..most])?;
        if let Recv::Data { len, .. } = received {
            socket.read += len;
        }
        Ok(received)
    }

    fn send(&mut self, socket: &mut Self::Socket, data: &[u8]) -> Result<usize, Error> {
        let is_tailing = socket.sent + socket.held.len() >= socket.slowness.tails_after;
        self.pass(socket, true)?;
        socket.held.extend_from_slice(data);
        self.pass(socket, !is_tailing)?;
        Ok(data.len())
    }

    fn finish(&mut self, socket: &mut Self::Socket) -> Result<Progress, Error> {
        self.inner.finish(&mut socket.inner)
    }

    fn close(&mut self, socket: &mut Self::Socket) {
        self.inner.close(&mut socket.inner);
        *socket = Self::CLOSED;
    }

    fn abort(&mut self, socket: &mut Self::Socket) {
        self.inner.abort(&mut socket.inner);
        *socket = Self::CLOSED;
    }

    fn local_addr(&self, socket: &Self::Socket) -> Result<usockets::Address, Error> {
        self.inner.local_addr(&socket.inner)
    }

    fn peer_addr(&self, socket: &Self::Socket) -> Result<usockets::Address, Error> {
        self.inner.peer_addr(&socket.inner)
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        self.inner.poll(until)
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.inner.next_deadline()
    }

    fn next_ready(&mut self) -> Option<usockets::Ready> {
        self.inner.next_ready()
    }

    fn now(&self) -> Instant {
        self.inner.now()
    }
}
