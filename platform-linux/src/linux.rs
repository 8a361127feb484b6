//! The platform: one `epoll` instance.

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use usockets::{
    Accepted, Address, Endpoint, Error, Instant, Platform, Progress, Readiness, Ready, Recv,
    SocketId, SocketOption, Waker,
};
#[cfg(feature = "local")]
use usockets_posix::local::Received;
use usockets_posix::{Fd, error, stream};

use crate::datagrams::Learnt;
use crate::event_fd::EventFd;
use crate::events::Events;
use crate::raw;
use crate::signals::Signals;
use crate::transfer;

/// The kernel's mark of the waker: the id of a slot beyond every pool, which the loop ignores.
const WAKER: u64 = u64::MAX;

/// Whether the usual answers to a system call are told by one comparison, which saves 5 of the
/// instructions of an echo and takes 32 bytes of code. Programs without std count those.
const SHORTCUTS: bool = cfg!(feature = "std");

/// One `epoll` instance (`epoll(7)`).
///
/// A connection is registered once, edge-triggered for everything, for its whole life. A listener
/// is level-triggered, which saves the `accept4` that finds nothing.
pub struct Linux {
    pub(crate) epoll: OwnedFd,
    /// Waits so far, wrapping.
    pub(crate) waits: u8,
    /// What datagram sockets learnt of the kernel.
    pub(crate) learnt: Learnt,
    waker: Option<&'static Waker<EventFd>>,
    unregistered: Option<Unregistered>,
    /// What [`Self::with_signals`] asked for.
    pub(crate) signals: Option<Signals>,
    /// Descriptors that came beside bytes of a Unix socket.
    #[cfg(feature = "local")]
    pub(crate) received: Received,
    pub(crate) events: Events,
}

/// A connection that was accepted but could not be registered, as the kernel had no memory for it
/// or the user has reached `max_user_watches` (`epoll(7)`). It waits here for its listener's next
/// turn, as it would have in the kernel.
struct Unregistered {
    listener: RawFd,
    fd: OwnedFd,
    peer: Address,
    /// The listener's id, while the loop waits for a report of it.
    report: Option<SocketId>,
}

impl Linux {
    /// Creates the `epoll` instance.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when the process or the system is out of descriptors or memory.
    pub fn new() -> Result<Self, Error> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).map_err(error)?,
            waits: 0,
            learnt: Learnt::default(),
            waker: None,
            unregistered: None,
            signals: None,
            #[cfg(feature = "local")]
            received: Received::NONE,
            events: Events::new(),
        })
    }

    /// Lets `waker` wake the loop. It belongs in a static, because other threads may use it at
    /// any time; one made earlier for another instance may be passed on.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when the system is out of memory, [`Error::Invalid`] when this
    /// instance has a waker already.
    pub fn with_waker(mut self, waker: &'static Waker<EventFd>) -> Result<Self, Error> {
        if self.waker.is_some() {
            return Err(Error::Invalid);
        }
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(
            &self.epoll,
            waker.notifier(),
            EventData::new_u64(WAKER),
            flags,
        )
        .map_err(error)?;
        self.waker = Some(waker);
        Ok(self)
    }

    /// Returns the milliseconds to wait for a time, rounded up.
    #[inline]
    fn millis_to(until: Instant) -> i32 {
        if until == Instant::ZERO {
            return 0;
        }
        let wait = until.saturating_since(stream::now()).as_micros();
        i32::try_from(wait.div_ceil(1_000)).unwrap_or(i32::MAX)
    }

    pub(crate) fn register(&self, fd: &Fd, id: SocketId, flags: EventFlags) -> Result<(), Error> {
        let data = EventData::new_u64(id.to_bits());
        epoll::add(&self.epoll, fd.get()?, data, flags).map_err(error)
    }

    /// Takes the connection that waits longest at a listener.
    fn take(&mut self, listener: &Fd) -> Result<Option<(OwnedFd, Address)>, Error> {
        let Some(waiting) = self.unregistered.take() else {
            return self.accept_one(listener);
        };
        if waiting.listener == listener.get()?.as_raw_fd() {
            return Ok(Some((waiting.fd, waiting.peer)));
        }
        // Of another listener. Only one fits here: try whether epoll has room again before
        // accepting one that might have to wait as well.
        let mark = EventData::new_u64(WAKER);
        let result = epoll::add(&self.epoll, &waiting.fd, mark, EventFlags::empty());
        let _ = epoll::delete(&self.epoll, &waiting.fd);
        self.unregistered = Some(waiting);
        result.map_err(error)?;
        self.accept_one(listener)
    }

    /// Receives from what is no TCP connection.
    #[cold]
    #[inline(never)]
    fn recv_other(&mut self, socket: &mut Fd, buffer: &mut [u8]) -> Result<Recv, Error> {
        let (returned, full) = self.recv_local(socket, buffer);
        stream::received(socket, transfer::decode(returned), full)
    }

    /// Lets a connection that could not be registered wait for its listener's next turn.
    #[cold]
    #[inline(never)]
    fn keep_unregistered(&mut self, listener: &Fd, new: Fd, peer: Address, error: Error) -> Error {
        if error != Error::Exhausted {
            return error;
        }
        let (Ok(listener), None) = (listener.get(), &self.unregistered) else {
            // Where it was to wait, another one does: this one is lost, and counted.
            return Error::Reset;
        };
        if let Some(fd) = new.into_fd() {
            self.unregistered = Some(Unregistered {
                listener: listener.as_raw_fd(),
                fd,
                peer,
                report: None,
            });
        }
        error
    }

    /// Ends what is level-triggered: as long as a child has a copy of the descriptor, closing ours
    /// would not end its registration (`epoll(7)`, question 6).
    #[cold]
    #[inline(never)]
    pub(crate) fn deregister_listener(&mut self, listener: BorrowedFd<'_>) {
        let _ = epoll::delete(&self.epoll, listener);
        let raw = listener.as_raw_fd();
        if let Some(waiting) = self.unregistered.take_if(|waiting| waiting.listener == raw) {
            // As the kernel does with those that wait.
            let _ = stream::reset(&waiting.fd);
        }
    }
}

/// What a connection is registered for, once and for all.
pub(crate) const STREAM: EventFlags = EventFlags::IN
    .union(EventFlags::OUT)
    .union(EventFlags::RDHUP)
    // A read stops short at the mark of urgent data.
    .union(EventFlags::PRI)
    .union(EventFlags::ET);

impl Platform for Linux {
    type Socket = Fd;

    const CLOSED: Fd = Fd::CLOSED;

    const REPORTS_ARRIVALS: bool = true; // `EPOLLET`.

    fn listen(&mut self, socket: &mut Fd, id: SocketId, at: &Endpoint<'_>) -> Result<(), Error> {
        let mut fd = stream::listen(at)?;
        self.register(&fd, id, EventFlags::IN)?;
        fd.start_counting(self.waits);
        *socket = fd;
        Ok(())
    }

    fn connect(&mut self, socket: &mut Fd, id: SocketId, to: &Endpoint<'_>) -> Result<(), Error> {
        let fd = stream::connect(to, |fd, source| {
            if source.port() == 0 {
                // Before Linux 4.2 the port is chosen for all destinations at once.
                let _ = raw::set_bind_address_no_port(fd);
            }
        })?;
        self.register(&fd, id, STREAM)?;
        *socket = fd;
        Ok(())
    }

    fn accept(
        &mut self,
        listener: &mut Fd,
        socket: &mut Fd,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let Some((fd, peer)) = self.take(listener)? else {
            listener.end_counting();
            return Ok(None);
        };
        let new = listener.accepted(fd);
        if let Err(error) = self.register(&new, id, STREAM) {
            return Err(self.keep_unregistered(listener, new, peer, error));
        }
        *socket = new;
        let drained = listener.count_accepted(self.waits);
        Ok(Some(Accepted { peer, drained }))
    }

    fn refuse(&mut self, listener: &mut Fd) -> Result<bool, Error> {
        let Some((fd, _)) = self.take(listener)? else {
            return Ok(false);
        };
        // Closing a Unix socket of which nothing was read resets it anyway.
        stream::reset(&fd)?;
        Ok(true)
    }

    fn set_accepting(
        &mut self,
        listener: &mut Fd,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        let flags = if accepting {
            EventFlags::IN
        } else {
            // What epoll reports unasked, of a listener that somebody shut down, it reports once.
            EventFlags::ET
        };
        let data = EventData::new_u64(id.to_bits());
        let fd = listener.get()?;
        if let Some(waiting) = &mut self.unregistered
            && waiting.listener == fd.as_raw_fd()
        {
            waiting.report = accepting.then_some(id);
        }
        epoll::modify(&self.epoll, fd, data, flags).map_err(error)
    }

    #[inline]
    fn open(&mut self, socket: &mut Fd, ready: Readiness) -> Result<Progress, Error> {
        stream::open(socket, ready)
    }

    fn take_error(&mut self, socket: &mut Fd) -> Option<Error> {
        stream::take_error(socket)
    }

    #[inline]
    fn recv(&mut self, socket: &mut Fd, buffer: &mut [u8]) -> Result<Recv, Error> {
        let room = buffer.len();
        let received = if let Some(fd) = socket.stream() {
            let returned = transfer::read(fd, buffer);
            if SHORTCUTS && returned.wrapping_sub(1) < room.saturating_sub(1) {
                // Some, and all there is, as usual.
                return Ok(Recv::Data {
                    len: returned,
                    drained: true,
                });
            }
            stream::received(socket, transfer::decode(returned), room)
        } else {
            self.recv_other(socket, buffer)
        };
        match received {
            // It is not more; said here, it is known where the bytes are handed on.
            Ok(Recv::Data { len, drained }) if SHORTCUTS => Ok(Recv::Data {
                len: len.min(room),
                drained,
            }),
            other => other,
        }
    }

    fn peek(&mut self, socket: &mut Fd, buffer: &mut [u8]) -> Result<Recv, Error> {
        stream::peek(socket, buffer)
    }

    fn set_low_water(&mut self, socket: &mut Fd, bytes: usize) -> Result<(), Error> {
        // What is there already is reported again by the kernel (`tcp_set_rcvlowat`).
        raw::set_low_water(socket.get()?, bytes)
    }

    fn set_option(&mut self, socket: &mut Fd, option: SocketOption) -> Result<(), Error> {
        match option {
            SocketOption::Priority(priority) => raw::set_priority(socket.get()?, priority),
            option => stream::set_option(socket, option),
        }
    }

    #[inline]
    fn send(&mut self, socket: &mut Fd, data: &[u8]) -> Result<usize, Error> {
        let returned = match socket.stream() {
            Some(fd) => transfer::send(fd, data),
            None => Self::send_local(socket, data),
        };
        if SHORTCUTS && returned == data.len() {
            // All of it, as usual. No error is so large.
            return Ok(returned);
        }
        stream::sent(transfer::decode(returned))
    }

    fn send_vectored(&mut self, socket: &mut Fd, parts: &[&[u8]]) -> Result<usize, Error> {
        stream::send_vectored(socket, parts)
    }

    fn finish(&mut self, socket: &mut Fd) -> Result<Progress, Error> {
        stream::finish(socket)
    }

    fn close(&mut self, socket: &mut Fd) {
        if socket.is_listener()
            && let Ok(fd) = socket.get()
        {
            self.deregister_listener(fd);
        }
        self.before_close(socket);
        // Closing the last descriptor also ends its registration (`epoll(7)`, question 6). A
        // connection that a child still holds is edge-triggered, so it is reported once per
        // arrival, under an id that is stale.
        *socket = Fd::CLOSED;
    }

    fn abort(&mut self, socket: &mut Fd) {
        stream::abort(socket);
        self.close(socket);
    }

    fn local_addr(&self, socket: &Fd) -> Result<Address, Error> {
        Self::local_address(socket)
    }

    fn peer_addr(&self, socket: &Fd) -> Result<Address, Error> {
        Self::peer_address(socket)
    }

    #[inline]
    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        self.waits = self.waits.wrapping_add(1);
        if let Some(waiting) = &mut self.unregistered
            && let Some(listener) = waiting.report.take()
        {
            return self.events.look(&self.epoll, listener).map_err(error);
        }
        let millis = match until {
            None => -1,
            Some(until) => Self::millis_to(until),
        };
        self.events.wait(&self.epoll, millis).map_err(error)
    }

    #[inline]
    fn next_deadline(&self) -> Option<Instant> {
        // An edge-triggered loop around this one is not told a second time.
        let signals = self.signals.as_ref();
        let has_more = self.events.were_all() || signals.is_some_and(|signals| signals.has_more);
        has_more.then_some(Instant::ZERO)
    }

    #[inline]
    fn next_ready(&mut self) -> Option<Ready> {
        self.events.next_ready()
    }

    #[inline]
    fn woken(&mut self) -> bool {
        if self.signals.is_some() {
            let woken = self.waker.is_some_and(Waker::take);
            return self.signalled() || woken;
        }
        self.waker.is_some_and(Waker::take)
    }

    #[inline]
    fn now(&self) -> Instant {
        stream::now()
    }
}

impl AsFd for Linux {
    /// The `epoll` instance, for other event loops: readable when the loop has something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_platform_can_be_made_in_one_thread_and_run_in_another() {
        const fn is_send<T: Send>() {}
        is_send::<Linux>();
    }
}
