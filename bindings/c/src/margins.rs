//! The outermost layer of a loop's platform: margins beside what is received, and the library's own
//! deadlines.
//!
//! # Margins
//!
//! A program may write to 32 bytes on both sides of what `on_data` gets. The core's receive buffer
//! is the core's: writing beside the slice that a handler is given would be undefined behaviour.
//! So this layer receives into memory of its own, which nobody else refers to while the callback
//! runs, and the core's buffer is address space that is never touched.

use std::ptr::NonNull;

use usockets::{
    Accepted, Address, Duration, Endpoint, Error, Instant, Platform, Progress, Readiness, Ready,
    Recv, SocketId,
};

use crate::block::Reservation;
use crate::handles::{LoopRef, NO_LIMIT};

/// `LIBUS_RECV_BUFFER_LENGTH`.
pub(crate) const RECV: usize = 524_288;
/// `LIBUS_RECV_BUFFER_PADDING`.
pub(crate) const PADDING: usize = 32;

/// Returns where what is received begins, in the memory for it and its margins.
pub(crate) const fn received(memory: &Reservation) -> NonNull<u8> {
    let start: NonNull<u8> = memory.start();
    // SAFETY: inside the reservation, which is larger by both margins.
    unsafe { start.add(PADDING) }
}

/// Farewells that a layer still sends are seen to at least this often once nothing else is left.
const FAREWELL_MAX: Duration = Duration::from_millis(100);

/// A platform below the margins.
pub(crate) trait Inner: Platform {
    /// True if what closed sockets left is delivered by polling, not by a kernel.
    const DELIVERS: bool = false;
    /// True if each wait notes the time after it, or that it is not known.
    const NOTES_TIME: bool = false;

    /// Called before a connection in this slot opens, or is carried on with opening.
    fn before_open(&mut self, lp: LoopRef, index: u32) {
        let _ = (lp, index);
    }
}

/// See the module.
pub(crate) struct Margins<P> {
    inner: P,
    lp: LoopRef,
    /// Where what is received begins: [`RECV`] bytes between their margins.
    received: NonNull<u8>,
}

impl<P: Platform> Margins<P> {
    /// Nothing is looked up in the loop before it runs.
    pub(crate) const fn new(inner: P, lp: LoopRef, received: NonNull<u8>) -> Self {
        Self {
            inner,
            lp,
            received,
        }
    }

    pub(crate) const fn inner_mut(&mut self) -> &mut P {
        &mut self.inner
    }
}

impl<P: Inner> Margins<P> {
    /// Returns until when to wait if a wait may last until `most`, and the core's until `until`.
    fn first_of(&self, most: u64, until: Option<Instant>) -> Instant {
        let ends = most == 0 && !self.lp.once.get();
        let most = if ends && (P::HOLDS_OUTPUT || P::DELIVERS) {
            self.inner.now().saturating_add(FAREWELL_MAX)
        } else {
            Instant::from_micros(most)
        };
        until.map_or(most, |until| until.min(most))
    }
}

impl<P: Inner> Platform for Margins<P> {
    type Socket = P::Socket;
    const CLOSED: P::Socket = P::CLOSED;
    const HOLDS_OUTPUT: bool = P::HOLDS_OUTPUT;

    fn listen(
        &mut self,
        socket: &mut P::Socket,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<(), Error> {
        self.inner.listen(socket, id, at)
    }

    fn connect(
        &mut self,
        socket: &mut P::Socket,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<(), Error> {
        self.inner.connect(socket, id, to)
    }

    #[inline]
    fn accept(
        &mut self,
        listener: &mut P::Socket,
        socket: &mut P::Socket,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        self.inner.accept(listener, socket, id)
    }

    fn refuse(&mut self, listener: &mut P::Socket) -> Result<bool, Error> {
        self.inner.refuse(listener)
    }

    fn set_accepting(
        &mut self,
        listener: &mut P::Socket,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        self.inner.set_accepting(listener, id, accepting)
    }

    #[inline]
    fn open(&mut self, socket: &mut P::Socket, ready: Readiness) -> Result<Progress, Error> {
        if P::HOLDS_OUTPUT {
            self.inner.before_open(self.lp, self.lp.index_of(socket));
        }
        self.inner.open(socket, ready)
    }

    fn flush(&mut self, socket: &mut P::Socket) -> Result<Progress, Error> {
        self.inner.flush(socket)
    }

    fn take_error(&mut self, socket: &mut P::Socket) -> Option<Error> {
        self.inner.take_error(socket)
    }

    #[inline]
    fn recv(&mut self, socket: &mut P::Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        // SAFETY: the core receives into the buffer that the loop was made with, which has this
        // length; the library reads nothing by itself. That it is known saves the core's comparison
        // of what came with the room for it (4 instructions of a request; callgrind).
        unsafe { std::hint::assert_unchecked(buffer.len() == RECV) };
        // SAFETY: inside the reservation, between its margins. The program refers to these bytes
        // only while a callback runs, and then the core receives nothing.
        let own = unsafe { NonNull::slice_from_raw_parts(self.received, RECV).as_mut() };
        self.inner.recv(socket, own)
    }

    #[inline(always)]
    fn send(&mut self, socket: &mut P::Socket, data: &[u8]) -> Result<usize, Error> {
        self.inner.send(socket, data)
    }

    #[inline]
    fn send_vectored(&mut self, socket: &mut P::Socket, parts: &[&[u8]]) -> Result<usize, Error> {
        self.inner.send_vectored(socket, parts)
    }

    fn finish(&mut self, socket: &mut P::Socket) -> Result<Progress, Error> {
        self.inner.finish(socket)
    }

    #[inline]
    fn close(&mut self, socket: &mut P::Socket) {
        self.inner.close(socket);
    }

    fn linger(&mut self, socket: &mut P::Socket) -> bool {
        self.inner.linger(socket)
    }

    fn abort(&mut self, socket: &mut P::Socket) {
        self.inner.abort(socket);
    }

    fn local_addr(&self, socket: &P::Socket) -> Result<Address, Error> {
        self.inner.local_addr(socket)
    }

    fn peer_addr(&self, socket: &P::Socket) -> Result<Address, Error> {
        self.inner.peer_addr(socket)
    }

    fn protocol(&self, socket: &P::Socket) -> &[u8] {
        self.inner.protocol(socket)
    }

    /// Does not wait past a timer of the program's, nor when nothing is left to wait for: the
    /// last socket may have been closed since the loop last looked.
    #[inline]
    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        let until = match self.lp.wait_max.get() {
            NO_LIMIT => until,
            most => Some(self.first_of(most, until)),
        };
        if !P::NOTES_TIME {
            // What calls before the wait took for the time is not the time after it.
            self.lp.now.set(0);
        }
        self.inner.poll(until)
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.inner.next_deadline()
    }

    #[inline]
    fn next_ready(&mut self) -> Option<Ready> {
        self.inner.next_ready()
    }

    #[inline]
    fn woken(&mut self) -> bool {
        self.inner.woken()
    }

    /// Returns the iteration's time, if it is known.
    #[inline]
    fn now(&self) -> Instant {
        self.lp.known_now().unwrap_or_else(|| self.inner.now())
    }
}
