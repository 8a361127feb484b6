//! Reading and writing one connection.

use core::fmt;
use core::future::poll_fn;
use core::net::SocketAddr;
use core::task::{Context, Poll};

use embedded_io_async::{ErrorType, Read, Write};
use usockets::{Closed, Error, Platform, Read as Received, SocketId};

use crate::error::IoError;
use crate::reactor::{Inner, Reactor, error_of};
use crate::waiters::State;

/// One connection. Dropped, it closes as [`Net::close`](usockets::Net::close) does.
///
/// Reads and writes go straight between the platform and the caller's memory. Each may be
/// cancelled by dropping its future: bytes are taken only by the poll that returns them.
///
/// A task that only writes learns of a reset where the platform tells it without being read, as
/// Linux does. Where a reset has to be received, only a read tells it: let such a task write under
/// [`Reactor::with_timeout`], or read at the same time.
///
/// Our direction ends with [`Self::finish`] or when the stream is dropped, never by itself; the
/// connection is over when both directions have ended.
pub struct Stream<'r, 's, P: Platform> {
    handle: Handle<'r, 's, P>,
    input: Input,
    output: Output,
}

/// The half that reads. Made by [`Stream::split`].
#[derive(Debug)]
pub struct ReadHalf<'a, 'r, 's, P: Platform> {
    handle: Handle<'r, 's, P>,
    input: &'a mut Input,
}

/// The half that writes. Made by [`Stream::split`].
#[derive(Debug)]
pub struct WriteHalf<'a, 'r, 's, P: Platform> {
    handle: Handle<'r, 's, P>,
    output: &'a mut Output,
}

/// Which socket of which reactor.
struct Handle<'r, 's, P: Platform> {
    reactor: &'r Reactor<'s, P>,
    id: SocketId,
}

/// What is known of the peer's direction.
#[derive(Debug, Default)]
struct Input {
    /// A byte that [`Stream::readable`] took to be sure that there is one.
    peeked: Option<u8>,
    /// The end was read.
    is_ended: bool,
}

/// What is known of our direction.
#[derive(Debug, Default)]
struct Output {
    is_finished: bool,
}

impl<P: Platform> Clone for Handle<'_, '_, P> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<P: Platform> Copy for Handle<'_, '_, P> {}

impl<P: Platform> fmt::Debug for Handle<'_, '_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.id.fmt(f)
    }
}

impl<P: Platform> fmt::Debug for Stream<'_, '_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("id", &self.handle.id)
            .finish_non_exhaustive()
    }
}

impl<'r, 's, P: Platform> Stream<'r, 's, P> {
    pub(crate) fn new(reactor: &'r Reactor<'s, P>, id: SocketId) -> Self {
        Self {
            handle: Handle { reactor, id },
            input: Input::default(),
            output: Output::default(),
        }
    }

    /// Returns the socket's id, for what [`Reactor::with_net`] can do.
    #[must_use]
    pub const fn id(&self) -> SocketId {
        self.handle.id
    }

    /// Returns the peer's Internet address; `None` when the connection is gone.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        let Handle { reactor, id } = self.handle;
        let addr = reactor.with_net(|net| net.peer_addr(id)).ok().flatten();
        addr.and_then(|addr| addr.ip())
    }

    /// Returns the local Internet address; `None` when the connection is gone.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        let Handle { reactor, id } = self.handle;
        let addr = reactor.with_net(|net| net.local_addr(id)).ok().flatten();
        addr.and_then(|addr| addr.ip())
    }

    /// Ends our direction of the stream after everything written so far. The peer may still send.
    pub fn finish(&mut self) {
        self.output.is_finished = true;
        let Handle { reactor, id } = self.handle;
        let _ = reactor.with_net(|net| net.finish(id));
    }

    /// Resets the connection, and drops what was not sent.
    pub fn abort(&mut self) {
        self.output.is_finished = true;
        let Handle { reactor, id } = self.handle;
        let _ = reactor.with_net(|net| net.abort(id, 0));
    }

    /// Waits until there is something to read: a byte, the peer's end, or an error. What it finds
    /// is there for the next read, also if the future is dropped.
    ///
    /// # Errors
    /// Why the connection broke.
    pub async fn readable(&mut self) -> Result<(), IoError> {
        let (handle, input) = (self.handle, &mut self.input);
        poll_fn(|context| handle.poll_readable(input, context)).await
    }

    /// Returns the two directions, which two tasks or two branches of one may use at a time.
    pub const fn split(&mut self) -> (ReadHalf<'_, 'r, 's, P>, WriteHalf<'_, 'r, 's, P>) {
        let handle = self.handle;
        (
            ReadHalf {
                handle,
                input: &mut self.input,
            },
            WriteHalf {
                handle,
                output: &mut self.output,
            },
        )
    }
}

impl<P: Platform> ReadHalf<'_, '_, '_, P> {
    /// Waits until there is something to read. See [`Stream::readable`].
    ///
    /// # Errors
    /// As there.
    pub async fn readable(&mut self) -> Result<(), IoError> {
        let (handle, input) = (self.handle, &mut *self.input);
        poll_fn(|context| handle.poll_readable(input, context)).await
    }
}

impl<P: Platform> WriteHalf<'_, '_, '_, P> {
    /// Ends our direction. See [`Stream::finish`].
    pub fn finish(&mut self) {
        self.output.is_finished = true;
        let Handle { reactor, id } = self.handle;
        let _ = reactor.with_net(|net| net.finish(id));
    }
}

impl<P: Platform> Handle<'_, '_, P> {
    #[inline]
    fn poll_read(
        self,
        input: &mut Input,
        buffer: &mut [u8],
        context: &Context<'_>,
    ) -> Poll<Result<usize, IoError>> {
        if let Some(byte) = input.peeked
            && let Some(first) = buffer.first_mut()
        {
            *first = byte;
            input.peeked = None;
            return Poll::Ready(Ok(1));
        }
        if input.is_ended || buffer.is_empty() {
            return Poll::Ready(Ok(0));
        }
        let id = self.id;
        let poll = self
            .reactor
            .poll_with(|inner| match inner.net.net().read(id, buffer) {
                Ok(Received::Data(len)) => Poll::Ready(Ok(len)),
                Ok(Received::WouldBlock) => {
                    inner.tasks.wait_to_read(id, context);
                    Poll::Pending
                }
                Ok(Received::End) => Poll::Ready(Ok(0)),
                Err(error) => Poll::Ready(read_failed(inner, id, error)),
            });
        if poll == Poll::Ready(Ok(0)) {
            input.is_ended = true;
        }
        poll
    }

    fn poll_readable(self, input: &mut Input, context: &Context<'_>) -> Poll<Result<(), IoError>> {
        if input.peeked.is_some() {
            return Poll::Ready(Ok(()));
        }
        let mut byte = [0];
        let poll = self.poll_read(input, &mut byte, context);
        if let (Poll::Ready(Ok(1)), [byte]) = (poll, byte) {
            input.peeked = Some(byte);
        }
        poll.map_ok(|_| ())
    }

    #[inline]
    fn poll_write(
        self,
        output: &Output,
        bytes: &[u8],
        context: &Context<'_>,
    ) -> Poll<Result<usize, IoError>> {
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        if output.is_finished {
            return Poll::Ready(Err(IoError(Error::BrokenPipe)));
        }
        let id = self.id;
        self.reactor.poll_with(|inner| {
            let mut net = inner.net.net();
            let count = net.write(id, bytes);
            if count > 0 {
                return Poll::Ready(Ok(count));
            }
            if let Some(error) = net.failure(id) {
                return Poll::Ready(Err(error));
            }
            if !net.is_open(id) {
                return Poll::Ready(Err(reason(inner, id)));
            }
            inner.tasks.wait_to_write(id, context);
            Poll::Pending
        })
    }
}

/// Returns what a read of a connection says that is closed, or just broke.
#[cold]
fn read_failed<P: Platform>(
    inner: &mut Inner<'_, P>,
    id: SocketId,
    error: Error,
) -> Result<usize, Error> {
    match inner.tasks.state(id) {
        // Both directions have ended in order.
        Some(State::Closed(Closed::Finished)) => Ok(0),
        Some(State::Closed(closed)) => Err(error_of(closed)),
        Some(_) => {
            inner.tasks.fail(id, error);
            Err(error)
        }
        None => Err(Error::Reset),
    }
}

/// Returns why a connection is closed.
#[cold]
fn reason<P: Platform>(inner: &mut Inner<'_, P>, id: SocketId) -> Error {
    match inner.tasks.state(id) {
        Some(State::Closed(closed)) => error_of(closed),
        Some(_) => Error::BrokenPipe,
        // Another connection has the slot, so that the reason is gone.
        None => Error::Reset,
    }
}

impl<P: Platform> Drop for Stream<'_, '_, P> {
    fn drop(&mut self) {
        let Handle { reactor, id } = self.handle;
        // Only inside a call of the reactor it fails, which wakers must not make.
        let _ = reactor.with(|inner| {
            inner.net.net().close(id);
            inner.tasks.end(id);
            Ok(())
        });
    }
}

impl<P: Platform> ErrorType for Stream<'_, '_, P> {
    type Error = IoError;
}

impl<P: Platform> ErrorType for ReadHalf<'_, '_, '_, P> {
    type Error = IoError;
}

impl<P: Platform> ErrorType for WriteHalf<'_, '_, '_, P> {
    type Error = IoError;
}

impl<P: Platform> Read for Stream<'_, '_, P> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, IoError> {
        let (handle, input) = (self.handle, &mut self.input);
        poll_fn(|context| handle.poll_read(input, buffer, context)).await
    }
}

impl<P: Platform> Read for ReadHalf<'_, '_, '_, P> {
    async fn read(&mut self, buffer: &mut [u8]) -> Result<usize, IoError> {
        let (handle, input) = (self.handle, &mut *self.input);
        poll_fn(|context| handle.poll_read(input, buffer, context)).await
    }
}

impl<P: Platform> Write for Stream<'_, '_, P> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, IoError> {
        let (handle, output) = (self.handle, &self.output);
        poll_fn(|context| handle.poll_write(output, bytes, context)).await
    }

    /// Returns at once: what was written is the platform's already.
    async fn flush(&mut self) -> Result<(), IoError> {
        Ok(())
    }
}

impl<P: Platform> Write for WriteHalf<'_, '_, '_, P> {
    async fn write(&mut self, bytes: &[u8]) -> Result<usize, IoError> {
        let (handle, output) = (self.handle, &*self.output);
        poll_fn(|context| handle.poll_write(output, bytes, context)).await
    }

    /// Returns at once: what was written is the platform's already.
    async fn flush(&mut self) -> Result<(), IoError> {
        Ok(())
    }
}
