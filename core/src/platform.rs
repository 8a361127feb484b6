//! The contract between the loop and what moves bytes.

use core::net::SocketAddr;

use crate::endpoint::Endpoint;
use crate::error::Error;
use crate::id::SocketId;
use crate::time::Instant;

/// What the loop needs from an operating system, a network stack, or a layer on top of one.
///
/// The loop owns the platform state of every socket ([`Self::Socket`]) inside its pool and lends
/// it to each call, so a platform keeps a table of its own only for what cannot live there, and a
/// layer such as TLS merely wraps another platform's state. No call waits except [`Self::poll`].
///
/// # Readiness is latched
///
/// A platform reports each of [`Readiness`]'s facts **at least once after it becomes true** and
/// need not repeat it; it may report a fact that does not hold (a spurious report), and it may
/// merge reports. The loop keeps the latch: it remembers `readable` until [`Self::recv`] says
/// drained or [`Recv::WouldBlock`], and that a send came back short until `writable` is reported.
/// So there is no interest to register, and pausing or throttling a socket costs nothing.
///
/// A fact *becomes* true when it turns from false to true. In particular:
/// - after `recv` said drained or `WouldBlock`, the next arrival of bytes, of the peer's end or of
///   an error is reported as `readable`;
/// - after `send` took less than it was given (0 included), the return of room is reported as
///   `writable`;
/// - a socket that opens, or fails to, is reported as `writable`;
/// - for a listener, a waiting connection is reported as `readable` after `accept` said drained or
///   found none.
///
/// # Order
///
/// Bytes that came before the peer's end, a hang-up or an error are still there to be received;
/// the loop reads them first.
pub trait Platform {
    /// Platform state of one pool slot. It stays in place for ever and is reused.
    type Socket: Send;

    /// The state of a slot that holds no socket. Make it all zero bytes, so that a static pool
    /// costs no image space.
    const CLOSED: Self::Socket;

    /// Whether the platform may hold bytes that it took and could not pass on yet, as a layer
    /// above another platform does.
    ///
    /// If so, [`Self::progress`] is called on every `writable` of an open socket too, and
    /// [`Self::linger`] before an open socket is closed in order.
    const HOLDS_OUTPUT: bool = false;

    /// Starts listening at `at`, in `socket`, which is [`Self::CLOSED`]. Reports carry `id`.
    ///
    /// # Errors
    /// The address is taken, absent or forbidden, an option is not supported, or the platform is
    /// [`Error::Exhausted`]. `socket` is then closed again.
    fn listen(
        &mut self,
        socket: &mut Self::Socket,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<(), Error>;

    /// Starts connecting to `to`, in `socket`, which is [`Self::CLOSED`]. Reports carry `id`;
    /// [`Self::progress`] tells when the connection is open.
    ///
    /// # Errors
    /// The connection cannot even be started. `socket` is then closed again.
    fn connect(
        &mut self,
        socket: &mut Self::Socket,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<(), Error>;

    /// Moves one waiting connection from `listener` into `socket`, which is [`Self::CLOSED`].
    /// `None` when none waits. The connection's reports carry `id`.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when the platform cannot take a connection now; what waits keeps
    /// waiting, and the loop tries again later. Any other error is about one connection that is
    /// lost (it died while it waited); the listener is still good. `socket` stays closed.
    fn accept(
        &mut self,
        listener: &mut Self::Socket,
        socket: &mut Self::Socket,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error>;

    /// Takes one waiting connection from `listener` and resets it. Whether there was one.
    ///
    /// # Errors
    /// As [`Self::accept`].
    fn refuse(&mut self, listener: &mut Self::Socket) -> Result<bool, Error>;

    /// Tells that the loop will not (`false`) or will again (`true`) accept from `listener`.
    ///
    /// On `true`, which may come twice, a connection that waits is reported at least once more, by
    /// the next poll at the earliest.
    /// On `false`, a platform that repeats its reports for as long as a connection waits stops
    /// that. The default is right only where each poll reports each listener that has one.
    ///
    /// # Errors
    /// The platform cannot change it; the loop tries again later.
    fn set_accepting(
        &mut self,
        listener: &mut Self::Socket,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        let _ = (listener, id, accepting);
        Ok(())
    }

    /// Carries on with opening the socket, and with what a layer holds. Called on every report
    /// while the socket opens, and see [`Self::HOLDS_OUTPUT`].
    ///
    /// # Errors
    /// The connection could not be opened, or broke.
    fn progress(&mut self, socket: &mut Self::Socket, ready: Readiness) -> Result<Progress, Error>;

    /// Receives into `buffer`, which is not empty.
    ///
    /// # Errors
    /// The connection broke, and everything that came before has been received.
    fn recv(&mut self, socket: &mut Self::Socket, buffer: &mut [u8]) -> Result<Recv, Error>;

    /// Takes up to `data.len()` bytes for sending and returns how many; 0 when it would block.
    ///
    /// # Errors
    /// The connection broke.
    fn send(&mut self, socket: &mut Self::Socket, data: &[u8]) -> Result<usize, Error>;

    /// Takes the bytes of `parts` in order, as if they were one slice; returns how many.
    ///
    /// # Errors
    /// The connection broke.
    fn send_vectored(
        &mut self,
        socket: &mut Self::Socket,
        parts: &[&[u8]],
    ) -> Result<usize, Error> {
        let mut sum = 0_usize;
        for part in parts {
            if part.is_empty() {
                continue;
            }
            let count = match self.send(socket, part) {
                Ok(count) => count,
                // What was taken counts; the next call tells of the error.
                Err(_) if sum > 0 => return Ok(sum),
                Err(error) => return Err(error),
            };
            sum = sum.saturating_add(count);
            if count < part.len() {
                break;
            }
        }
        Ok(sum)
    }

    /// Ends our direction of the stream (FIN, `close_notify`) after all bytes taken.
    ///
    /// [`Progress::Open`] when all of it is out of a layer's hands; any other while a layer still
    /// holds some, and then [`Self::progress`] says `Open` when it is done.
    ///
    /// # Errors
    /// The connection broke.
    fn finish(&mut self, socket: &mut Self::Socket) -> Result<Progress, Error>;

    /// Releases the socket and leaves [`Self::CLOSED`]. Bytes taken are still delivered as far as
    /// the platform can. Never fails and may be repeated.
    fn close(&mut self, socket: &mut Self::Socket);

    /// Says farewell to the peer before [`Self::close`], and returns whether a layer still holds
    /// bytes that it took.
    ///
    /// If so, [`Self::progress`] is called on every report until it fails or says
    /// [`Progress::Open`], as nothing is held any more, or the loop has waited for long enough.
    /// Then, or if not, `close` follows.
    fn linger(&mut self, socket: &mut Self::Socket) -> bool {
        let _ = socket;
        false
    }

    /// Like [`Self::close`], but resets the connection (RST) and drops what was not sent.
    fn abort(&mut self, socket: &mut Self::Socket);

    /// Returns the local address of a socket or listener.
    ///
    /// # Errors
    /// The socket is closed.
    fn local_addr(&self, socket: &Self::Socket) -> Result<SocketAddr, Error>;

    /// Returns the peer's address. An IPv4-mapped address (RFC 4291, section 2.5.5.2) comes as
    /// IPv4.
    ///
    /// # Errors
    /// The socket is not connected.
    fn peer_addr(&self, socket: &Self::Socket) -> Result<SocketAddr, Error>;

    /// Returns the name of the protocol above the transport that a layer has agreed on with the
    /// peer (ALPN, RFC 7301); empty if none.
    fn protocol(&self, socket: &Self::Socket) -> &[u8] {
        let _ = socket;
        &[]
    }

    /// Waits until there is something to report, [`Self::woken`] is true, or `until` has come;
    /// `None` waits for ever. May return early.
    ///
    /// Before it is called again, the loop takes every report with [`Self::next_ready`].
    ///
    /// # Errors
    /// The platform itself is broken; the loop cannot go on.
    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error>;

    /// Returns when [`Self::poll`] next has something to report by itself, without anything coming
    /// from outside: a layer whose sockets wait for one another. Counts as the loop's own
    /// deadlines do, for programs that wait elsewhere.
    #[inline]
    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// Takes the next report of the last [`Self::poll`]; `None` when it has given them all.
    ///
    /// A platform gives a bounded number per poll and keeps the rest for the next, which then
    /// does not wait.
    fn next_ready(&mut self) -> Option<Ready>;

    /// Returns whether a wake-up came since the last call.
    fn woken(&mut self) -> bool {
        false
    }

    /// Returns the present on the platform's monotonic clock. Never earlier than before.
    fn now(&self) -> Instant;
}

/// A connection that [`Platform::accept`] took.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "platforms outside this crate make it"
)]
pub struct Accepted {
    /// The peer's address. An IPv4-mapped address comes as IPv4.
    pub peer: SocketAddr,
    /// Whether the listener will be reported again if more wait. When `false` the loop accepts
    /// again without waiting for a report.
    pub drained: bool,
}

/// How far a socket is with opening.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "platforms outside this crate make it"
)]
pub enum Progress {
    /// Waiting for a report.
    Opening,
    /// Could go on at once but yields to other sockets; call again in the next iteration.
    Again,
    /// Data can flow, and nothing is held.
    Open,
}

/// What [`Platform::recv`] did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "complete by definition of a byte stream"
)]
pub enum Recv {
    /// `len` bytes are at the front of the buffer.
    Data {
        /// Number of bytes, at least 1 and at most the buffer's length.
        len: usize,
        /// Whether nothing more can be read until the next report. When `false` the loop reads
        /// again without waiting for one. The loop also reads on when the peer's end or an error
        /// has been reported, whatever this says.
        drained: bool,
    },
    /// Nothing to read until the next report.
    WouldBlock,
    /// The peer ended its direction of the stream, and all its bytes have been received.
    Finished,
}

/// A set of facts about one socket.
///
/// The bits are those of `epoll` (`epoll_ctl(2)`), so that a report of it needs no translation.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Readiness(u32);

impl Readiness {
    /// No fact.
    pub const NONE: Self = Self(0);
    /// Bytes or, for a listener, a connection can be taken. `EPOLLIN`.
    pub const READABLE: Self = Self(0x1);
    /// Urgent data came (RFC 9293, section 3.8.5), at whose mark a receive may stop short although
    /// there is more: until [`Recv::WouldBlock`], `drained` means nothing. `EPOLLPRI`.
    pub const URGENT: Self = Self(0x2);
    /// Room to send came back, or the socket opened. `EPOLLOUT`.
    pub const WRITABLE: Self = Self(0x4);
    /// The connection broke, or could not be opened. `EPOLLERR`.
    pub const ERROR: Self = Self(0x8);
    /// Both directions ended. `EPOLLHUP`.
    pub const HUNG_UP: Self = Self(0x10);
    /// The peer ended its direction. `EPOLLRDHUP`.
    pub const ENDED: Self = Self(0x2000);
    /// Work that the loop left over: read, whatever else holds.
    pub(crate) const AGAIN: Self = Self(0x8000_0000);

    /// Returns the facts of both sets.
    #[inline]
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns `self` if `condition` holds, else the empty set.
    #[inline]
    #[must_use]
    pub const fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::NONE }
    }

    /// Returns whether any fact of `other` is in the set.
    #[inline]
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns whether all facts of `other` are in the set.
    #[inline]
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns the set as bits.
    #[inline]
    #[must_use]
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Makes the set of `bits`. Those that are no fact above mean nothing; the highest must be
    /// clear.
    #[inline]
    #[must_use]
    pub const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// Whether there are bytes to read, and nothing to think of before.
    #[inline]
    pub(crate) const fn is_usual(self) -> bool {
        self.0 & !Self::WRITABLE.0 == Self::READABLE.0
    }

    /// Whether the socket is to be read until nothing is left, whatever a receive says: the peer's
    /// end or an error is there, or a mark at which receives stop.
    pub(crate) const fn is_last(self) -> bool {
        let last = Self::ERROR.union(Self::HUNG_UP).union(Self::ENDED);
        self.intersects(last.union(Self::URGENT))
    }

    /// Whether sending may go on, or will show why not.
    pub(crate) const fn is_writable(self) -> bool {
        let writable = Self::WRITABLE.union(Self::ERROR).union(Self::HUNG_UP);
        self.intersects(writable)
    }
}

/// One report: a socket and what became true of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "platforms outside this crate make it"
)]
pub struct Ready {
    /// Which socket, as given to [`Platform::listen`], `connect` or `accept`. A name that is
    /// stale by now does no harm.
    pub id: SocketId,
    /// What became true.
    pub readiness: Readiness,
}
