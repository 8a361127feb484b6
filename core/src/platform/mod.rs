//! The contract between the loop and what moves bytes.
//!
//! [`Platform`] is what every platform and layer implements. What only some can do is a method
//! with a default that says [`Error::Unsupported`], or a trait of its own: [`Datagrams`],
//! [`LocalSockets`], [`Descriptors`].
//!
//! | file | what it has |
//! |---|---|
//! | `mod.rs` | [`Platform`] and what its calls return |
//! | `readiness.rs` | [`Readiness`] and [`Ready`]: reports |
//! | `option.rs` | [`SocketOption`]: what can be changed after opening |
//! | `datagrams.rs`, `local.rs`, `descriptors.rs` | the capabilities |
//! | `by_reference.rs` | a platform that a loop borrows |

mod by_reference;
mod datagrams;
mod descriptors;
mod local;
mod option;
mod readiness;

pub use self::datagrams::{
    Arrival, Arrivals, DatagramError, DatagramOption, Datagrams, Departure, Ecn,
};
pub use self::descriptors::{Descriptors, Inserted};
pub use self::local::{Credentials, LocalEndpoint, LocalSockets, LocalType, StalePath};
pub use self::option::{Keepalive, SocketOption};
pub use self::readiness::{Readiness, Ready};
use crate::address::Address;
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
/// Whether a backend is edge-triggered, one-shot (`poll(2)`, AFD) or completion-style (io_uring)
/// makes no difference: "drained" and "short send" are where one-shot backends arm a socket again,
/// inside [`Self::recv`] and [`Self::send`].
///
/// # Order
///
/// Bytes that came before the peer's end, a hang-up or an error are still there to be received;
/// the loop reads them first.
///
/// # Three questions
///
/// Is it open yet, is everything out that a layer holds, and why did it break: [`Self::open`],
/// [`Self::flush`] and [`Self::take_error`]. A platform that holds nothing leaves the second at its
/// default.
///
/// # Example
///
/// A layer that counts the bytes received by the platform below:
///
/// ```
/// # use usockets::*;
/// struct Counted<P> {
///     inner: P,
///     received: usize,
/// }
///
/// impl<P: Platform> Platform for Counted<P> {
///     type Socket = P::Socket;
///     const CLOSED: P::Socket = P::CLOSED;
///
///     fn recv(&mut self, socket: &mut P::Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
///         let received = self.inner.recv(socket, buffer)?;
///         if let Recv::Data { len, .. } = received {
///             self.received += len;
///         }
///         Ok(received)
///     }
///     // Every other method calls the platform below.
/// #   fn listen(
/// #       &mut self, s: &mut P::Socket, id: SocketId, at: &Endpoint<'_>,
/// #   ) -> Result<(), Error> { self.inner.listen(s, id, at) }
/// #   fn connect(
/// #       &mut self, s: &mut P::Socket, id: SocketId, to: &Endpoint<'_>,
/// #   ) -> Result<(), Error> { self.inner.connect(s, id, to) }
/// #   fn accept(
/// #       &mut self, l: &mut P::Socket, s: &mut P::Socket, id: SocketId,
/// #   ) -> Result<Option<Accepted>, Error> { self.inner.accept(l, s, id) }
/// #   fn refuse(&mut self, l: &mut P::Socket) -> Result<bool, Error> { self.inner.refuse(l) }
/// #   fn open(&mut self, s: &mut P::Socket, ready: Readiness) -> Result<Progress, Error> {
/// #       self.inner.open(s, ready)
/// #   }
/// #   fn take_error(&mut self, s: &mut P::Socket) -> Option<Error> { self.inner.take_error(s) }
/// #   fn send(&mut self, s: &mut P::Socket, data: &[u8]) -> Result<usize, Error> {
/// #       self.inner.send(s, data)
/// #   }
/// #   fn finish(&mut self, s: &mut P::Socket) -> Result<Progress, Error> { self.inner.finish(s) }
/// #   fn close(&mut self, s: &mut P::Socket) { self.inner.close(s) }
/// #   fn abort(&mut self, s: &mut P::Socket) { self.inner.abort(s) }
/// #   fn local_addr(&self, s: &P::Socket) -> Result<Address, Error> { self.inner.local_addr(s) }
/// #   fn peer_addr(&self, s: &P::Socket) -> Result<Address, Error> { self.inner.peer_addr(s) }
/// #   fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> { self.inner.poll(until) }
/// #   fn next_ready(&mut self) -> Option<Ready> { self.inner.next_ready() }
/// #   fn now(&self) -> Instant { self.inner.now() }
/// }
/// ```
pub trait Platform {
    /// Platform state of one pool slot. It stays in place for ever and is reused.
    type Socket: Send;

    /// The state of a slot that holds no socket. Make it all zero bytes, so that a static pool
    /// costs no image space.
    const CLOSED: Self::Socket;

    /// Is true if the platform may hold bytes that it took and could not pass on yet, as a layer
    /// above another platform does.
    ///
    /// If so, [`Self::flush`] is called on every report of an open socket, and [`Self::linger`]
    /// before an open socket is closed in order.
    const HOLDS_OUTPUT: bool = false;

    /// Is true if every arrival of bytes is reported, also when what came before is still there,
    /// as edge-triggered systems do (`EPOLLET`, `EV_CLEAR`). A layer that looks at what is
    /// incomplete ([`Self::peek`]) then learns of the rest although it can set no mark, and with
    /// one ([`Self::set_low_water`]) that there is no room for the rest.
    const REPORTS_ARRIVALS: bool = false;

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
    /// [`Self::open`] tells when the connection is open.
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
    /// The platform cannot change it; the loop tries again later: on `false`, at the next report.
    /// One that can never stop its reports so keeps the loop from waiting, and from nothing else.
    fn set_accepting(
        &mut self,
        listener: &mut Self::Socket,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        let _ = (listener, id, accepting);
        Ok(())
    }

    /// Carries on with opening a connection. Called on every report until it says
    /// [`Progress::Done`], and once right after `accept`, with [`Readiness::NONE`].
    ///
    /// # Errors
    /// The connection could not be opened.
    fn open(&mut self, socket: &mut Self::Socket, ready: Readiness) -> Result<Progress, Error>;

    /// Sends what a layer holds of an open or lingering socket, and then our end if
    /// [`Self::finish`] could not. [`Progress::Done`] when nothing is held any more.
    ///
    /// # Errors
    /// The connection broke.
    #[inline]
    fn flush(&mut self, socket: &mut Self::Socket) -> Result<Progress, Error> {
        let _ = socket;
        Ok(Progress::Done)
    }

    /// Returns why a connection broke, and may forget it (`SO_ERROR`, `socket(7)`).
    ///
    /// The loop asks at most once for each report of [`Readiness::ERROR`], and only of an open
    /// connection that the program has paused, reads on demand or has read to the peer's end. Any
    /// other is read until [`Self::recv`] fails. A layer may ask of any open connection.
    ///
    /// | the connection | the answer | what follows |
    /// |---|---|---|
    /// | broke, also while bytes are unread | why | they are delivered, then it closes for that |
    /// | did not break | `None` | no question before the next report of `ERROR` |
    /// | broke behind bytes that a layer cannot receive yet | `None` | the same |
    ///
    /// In the last case the layer reports `ERROR` again once it can receive them. If it did not, a
    /// connection that the program has paused would keep its slot.
    fn take_error(&mut self, socket: &mut Self::Socket) -> Option<Error>;

    /// Receives into `buffer`, which is not empty.
    ///
    /// # Errors
    /// The connection broke, and everything that came before has been received.
    fn recv(&mut self, socket: &mut Self::Socket, buffer: &mut [u8]) -> Result<Recv, Error>;

    /// Receives as [`Self::recv`] does, and leaves the bytes where they are: the next call finds
    /// them again, from the first (`MSG_PEEK`, `recv(2)`). For layers that take whole units only.
    ///
    /// After [`Recv::WouldBlock`] the next arrival is reported; `drained` means nothing here.
    ///
    /// # Errors
    /// As [`Self::recv`]; [`Error::Unsupported`] where the platform cannot.
    fn peek(&mut self, socket: &mut Self::Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        let _ = (socket, buffer);
        Err(Error::Unsupported)
    }

    /// Has the socket reported as readable only when `bytes` (at least 1) can be received, or its
    /// end or an error (`SO_RCVLOWAT`, `socket(7)`). Holds until the next call; 1 at first.
    ///
    /// What is there already when the mark is lowered is reported again. With
    /// [`Self::REPORTS_ARRIVALS`] what is there is reported, too, when there is no room for the
    /// rest.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the platform cannot, [`Error::Invalid`] if it never holds as
    /// many.
    fn set_low_water(&mut self, socket: &mut Self::Socket, bytes: usize) -> Result<(), Error> {
        let _ = (socket, bytes);
        Err(Error::Unsupported)
    }

    /// Changes an option of an open connection.
    ///
    /// # Errors
    /// [`Error::Unsupported`] where the platform has no such option, [`Error::Invalid`] for a value
    /// out of its range, [`Error::Denied`] without the privilege it needs.
    fn set_option(&mut self, socket: &mut Self::Socket, option: SocketOption) -> Result<(), Error> {
        let _ = (socket, option);
        Err(Error::Unsupported)
    }

    /// Takes up to `data.len()` bytes for sending and returns how many; 0 when it would block.
    /// They are the caller's again when it returns.
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
    /// [`Progress::Done`] when all of it is out of a layer's hands; any other while a layer still
    /// holds some, and then [`Self::flush`] says `Done` when it is out.
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
    /// If so, [`Self::flush`] is called on every report until it fails or says
    /// [`Progress::Done`], as nothing is held any more, or the loop has waited for long enough.
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
    fn local_addr(&self, socket: &Self::Socket) -> Result<Address, Error>;

    /// Returns the peer's address. An IPv4-mapped address (RFC 4291, section 2.5.5.2) comes as
    /// IPv4.
    ///
    /// # Errors
    /// The socket is not connected.
    fn peer_addr(&self, socket: &Self::Socket) -> Result<Address, Error>;

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

    /// Returns when [`Self::poll`] next has something to do by itself, without anything coming
    /// from outside: a stack's own timers, or a layer whose sockets wait for one another. In the
    /// past ([`Instant::ZERO`]) when more waits than the last poll handed out, which an outer loop
    /// that is edge-triggered would not be told again. `poll` minds it by itself while it waits.
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

    /// Returns the present on the platform's monotonic clock. Never earlier than before, and less
    /// than 2^63 microseconds after its start.
    fn now(&self) -> Instant;
}

/// A connection that [`Platform::accept`] took.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "platforms outside this crate make it"
)]
pub struct Accepted {
    /// The peer's address. An IPv4-mapped address comes as IPv4; a Unix socket's peer often has
    /// none.
    pub peer: Address,
    /// True: the loop takes no more until the listener's next report, though more may wait, and
    /// the platform reports it again if they do. False: the loop accepts again at once.
    pub drained: bool,
}

/// How far [`Platform::open`], [`Platform::flush`] or [`Platform::finish`] came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "platforms outside this crate make it"
)]
pub enum Progress {
    /// Not done, and waiting for a report.
    Pending,
    /// Could go on at once but yields to other sockets; call again in the next iteration.
    Again,
    /// Done: the connection is open, and nothing is held.
    Done,
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
    /// A layer cannot read now for want of memory that its other sockets use. What has come stays,
    /// the peer's end and an error too, and is reported as readable when the layer can read it.
    Pending,
    /// The peer ended its direction of the stream, and all its bytes have been received.
    Finished,
}
