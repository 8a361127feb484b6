//! The platform: one `epoll` instance.

use core::net::SocketAddr;

use rustix::event::Timespec;
use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, IoSlice, read};
use rustix::net::{self, RecvFlags, SendFlags, Shutdown, SocketAddrAny, SocketFlags, sockopt};
use rustix::time::{ClockId, clock_gettime};
use usockets::{
    Accepted, Address, Duration, Endpoint, Error, Instant, Platform, Progress, Readiness, Ready,
    Recv, SocketId, SocketOption, Waker,
};

use crate::errno::error;
use crate::event_fd::EventFd;
use crate::fd::{Fd, Kind};
use crate::options::{canonical, set_option, stream};

/// Kernel events taken per system call; one less than a `u8` counts, for the end mark.
const EVENTS_MAX: usize = 255;
/// Slices of one vectored write; what is beyond goes with the next.
const PARTS_MAX: usize = 16;
/// Most connections taken from a listener between two waits.
const BURST_MAX: u8 = 31;
/// What follows the last event of a wait. It names nothing.
const END: u64 = 0;
/// The kernel's mark of the waker: the name of a slot beyond every pool, which the loop ignores.
const WAKER: u64 = u64::MAX;

/// One `epoll` instance (`epoll(7)`).
///
/// A connection is registered once, edge-triggered for everything, for its whole life. A listener
/// is level-triggered, which saves the `accept4` that finds nothing.
pub struct Linux {
    epoll: OwnedFd,
    /// The next of `events` to hand out.
    next: u8,
    /// Waits so far, wrapping.
    waits: u8,
    waker: Option<&'static Waker<EventFd>>,
    /// What the last wait brought, and then an [`END`].
    events: [epoll::Event; 256],
}

impl Linux {
    /// Creates the `epoll` instance.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when the process or the system is out of descriptors or memory.
    pub fn new() -> Result<Self, Error> {
        let empty = epoll::Event {
            flags: EventFlags::empty(),
            data: EventData::new_u64(END),
        };
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC).map_err(error)?,
            next: 0,
            waits: 0,
            waker: None,
            events: [empty; 256],
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

    fn register(&self, fd: &OwnedFd, id: SocketId, flags: EventFlags) -> Result<(), Error> {
        let data = EventData::new_u64(id.to_bits());
        epoll::add(&self.epoll, fd, data, flags).map_err(error)
    }

    fn wait(&mut self, timeout: Option<&Timespec>) -> Result<usize, Errno> {
        let room = self.events.get_mut(..EVENTS_MAX).unwrap_or_default();
        match epoll::wait(&self.epoll, &mut *room, timeout) {
            // Before Linux 5.11 there are only whole milliseconds; later is right, earlier not.
            Err(Errno::NOSYS) => {
                let millis = timeout.copied().map(round_up_to_millis);
                epoll::wait(&self.epoll, room, millis.as_ref())
            }
            result => result,
        }
    }

    /// Counts an accepted connection; whether to ask `epoll` before the next.
    fn count_burst(&self, listener: &mut Fd) -> bool {
        if listener.wait == self.waits {
            listener.left = listener.left.saturating_sub(1);
        } else {
            // Busy in two waits running: take more at a time, so that waits do not dominate.
            let running = self.waits.wrapping_sub(listener.wait) == 1;
            let more = listener.burst.saturating_mul(2).saturating_add(1);
            listener.burst = if running { more.min(BURST_MAX) } else { 0 };
            listener.left = listener.burst;
            listener.wait = self.waits;
        }
        listener.left == 0
    }

    fn end_at(&mut self, count: usize) {
        self.next = 0;
        if let Some(event) = self.events.get_mut(count) {
            event.data = EventData::new_u64(END);
        }
    }
}

/// What a connection is registered for, once and for all.
const STREAM: EventFlags = EventFlags::IN
    .union(EventFlags::OUT)
    .union(EventFlags::RDHUP)
    // A read stops short at the mark of urgent data.
    .union(EventFlags::PRI)
    .union(EventFlags::ET);

impl Platform for Linux {
    type Socket = Fd;

    const CLOSED: Fd = Fd::CLOSED;

    fn listen(&mut self, socket: &mut Fd, id: SocketId, at: &Endpoint<'_>) -> Result<(), Error> {
        let fd = stream(at)?;
        sockopt::set_socket_reuseaddr(&fd, true).map_err(error)?;
        if at.reuse_port {
            sockopt::set_socket_reuseport(&fd, true).map_err(error)?;
        }
        if at.addr.is_ipv6() {
            sockopt::set_ipv6_v6only(&fd, at.v6_only).map_err(error)?;
        }
        net::bind(&fd, &at.addr).map_err(error)?;
        net::listen(&fd, i32::from(at.backlog)).map_err(error)?;
        self.register(&fd, id, EventFlags::IN)?;
        *socket = Fd::new(fd, Kind::Listener);
        socket.wait = self.waits.wrapping_sub(1);
        Ok(())
    }

    fn connect(&mut self, socket: &mut Fd, id: SocketId, to: &Endpoint<'_>) -> Result<(), Error> {
        let fd = stream(to)?;
        if let Some(source) = &to.source {
            sockopt::set_socket_reuseaddr(&fd, true).map_err(error)?;
            net::bind(&fd, source).map_err(error)?;
        }
        match net::connect(&fd, &to.addr) {
            // An interrupted connect goes on by itself (`connect(2)`).
            Ok(()) | Err(Errno::INPROGRESS | Errno::INTR) => {}
            Err(errno) => return Err(error(errno)),
        }
        self.register(&fd, id, STREAM)?;
        *socket = Fd::new(fd, Kind::Connecting);
        Ok(())
    }

    fn accept(
        &mut self,
        listener: &mut Fd,
        socket: &mut Fd,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let Some((new, peer)) = take(listener.get()?)? else {
            listener.burst = 0;
            return Ok(None);
        };
        let drained = self.count_burst(listener);
        let peer = peer.ok_or(Error::Unsupported)?;
        let peer = SocketAddr::try_from(peer).map_err(error)?;
        self.register(&new, id, STREAM)?;
        *socket = Fd::new(new, Kind::Stream);
        let peer = canonical(peer).into();
        Ok(Some(Accepted { peer, drained }))
    }

    fn refuse(&mut self, listener: &mut Fd) -> Result<bool, Error> {
        let Some((new, _)) = take(listener.get()?)? else {
            return Ok(false);
        };
        sockopt::set_socket_linger(&new, Some(Duration::ZERO)).map_err(error)?;
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
        epoll::modify(&self.epoll, listener.get()?, data, flags).map_err(error)
    }

    #[inline]
    fn open(&mut self, socket: &mut Fd, ready: Readiness) -> Result<Progress, Error> {
        if socket.kind != Kind::Connecting {
            return Ok(Progress::Done);
        }
        if ready.intersects(Readiness::ERROR.union(Readiness::HUNG_UP)) {
            return match self.take_error(socket) {
                Some(error) => Err(error),
                None => Ok(Progress::Pending),
            };
        }
        if !ready.intersects(Readiness::WRITABLE) {
            return Ok(Progress::Pending);
        }
        socket.kind = Kind::Stream;
        Ok(Progress::Done)
    }

    fn take_error(&mut self, socket: &mut Fd) -> Option<Error> {
        match sockopt::socket_error(socket.get().ok()?) {
            Ok(Ok(())) => None,
            Ok(Err(errno)) | Err(errno) => Some(error(errno)),
        }
    }

    #[inline]
    fn recv(&mut self, socket: &mut Fd, buffer: &mut [u8]) -> Result<Recv, Error> {
        let room = buffer.len();
        // On a socket `read` is `recv` without flags, and has three arguments fewer.
        match read(socket.get()?, &mut *buffer) {
            Ok(0) => Ok(Recv::Finished),
            Ok(len) => Ok(Recv::Data {
                len,
                // Not `<`: that the bytes fit is checked when they are handed on.
                drained: len != room,
            }),
            Err(errno) => would_block(errno).map(|()| Recv::WouldBlock),
        }
    }

    fn peek(&mut self, socket: &mut Fd, buffer: &mut [u8]) -> Result<Recv, Error> {
        match net::recv(socket.get()?, &mut *buffer, RecvFlags::PEEK) {
            Ok((_, 0)) => Ok(Recv::Finished),
            Ok((_, len)) => Ok(Recv::Data {
                len,
                drained: false,
            }),
            Err(errno) => would_block(errno).map(|()| Recv::WouldBlock),
        }
    }

    fn set_option(&mut self, socket: &mut Fd, option: SocketOption) -> Result<(), Error> {
        set_option(socket.get()?, option)
    }

    #[inline]
    fn send(&mut self, socket: &mut Fd, data: &[u8]) -> Result<usize, Error> {
        match net::send(socket.get()?, data, SendFlags::NOSIGNAL) {
            Ok(count) => Ok(count),
            Err(errno) => would_block(errno).map(|()| 0),
        }
    }

    fn send_vectored(&mut self, socket: &mut Fd, parts: &[&[u8]]) -> Result<usize, Error> {
        let mut slices = [IoSlice::new(&[]); PARTS_MAX];
        let mut sum = 0_usize;
        for parts in parts.chunks(PARTS_MAX) {
            let mut len = 0_usize;
            for (slice, part) in slices.iter_mut().zip(parts) {
                *slice = IoSlice::new(part);
                len = len.saturating_add(part.len());
            }
            let slices = slices.get(..parts.len()).unwrap_or_default();
            let count = match send_slices(socket.get()?, slices) {
                Ok(count) => count,
                // What was taken counts; the next call tells of the error.
                Err(_) if sum > 0 => return Ok(sum),
                Err(errno) => return Err(error(errno)),
            };
            sum = sum.saturating_add(count);
            if count < len {
                break;
            }
        }
        Ok(sum)
    }

    fn finish(&mut self, socket: &mut Fd) -> Result<Progress, Error> {
        match net::shutdown(socket.get()?, Shutdown::Write) {
            // Not connected any more: the report that says why is on its way.
            Ok(()) | Err(Errno::NOTCONN) => Ok(Progress::Done),
            Err(errno) => Err(error(errno)),
        }
    }

    fn close(&mut self, socket: &mut Fd) {
        // Closing the last descriptor also ends its registration (`epoll(7)`, question 6).
        *socket = Fd::CLOSED;
    }

    fn abort(&mut self, socket: &mut Fd) {
        if let Ok(fd) = socket.get() {
            // Without lingering, `close` resets (`socket(7)`). If that fails it still closes.
            let _ = sockopt::set_socket_linger(fd, Some(Duration::ZERO));
        }
        self.close(socket);
    }

    fn local_addr(&self, socket: &Fd) -> Result<Address, Error> {
        address(net::getsockname(socket.get()?))
    }

    fn peer_addr(&self, socket: &Fd) -> Result<Address, Error> {
        match net::getpeername(socket.get()?).map_err(error)? {
            Some(addr) => address(Ok(addr)),
            None => Err(Error::Unsupported),
        }
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        let timeout = until.map(|until| {
            if until == Instant::ZERO {
                return Timespec::default();
            }
            timespec(until.saturating_since(self.now()))
        });
        self.waits = self.waits.wrapping_add(1);
        match self.wait(timeout.as_ref()) {
            Ok(count) => self.end_at(count),
            Err(Errno::INTR) => self.end_at(0),
            Err(errno) => return Err(error(errno)),
        }
        Ok(())
    }

    #[inline]
    fn next_ready(&mut self) -> Option<Ready> {
        let event = self.events.get(usize::from(self.next))?;
        let (flags, data) = (event.flags, event.data.u64());
        // The end mark is no name.
        let id = SocketId::from_bits(data)?;
        self.next = self.next.wrapping_add(1);
        let readiness = Readiness::from_bits(flags.bits());
        Some(Ready { id, readiness })
    }

    fn woken(&mut self) -> bool {
        self.waker.is_some_and(Waker::take)
    }

    #[inline]
    fn now(&self) -> Instant {
        let now = clock_gettime(ClockId::Monotonic);
        let secs = u64::try_from(now.tv_sec).unwrap_or_default();
        let micros = u64::try_from(now.tv_nsec).unwrap_or_default() / 1_000;
        Instant::from_micros(secs.wrapping_mul(1_000_000).wrapping_add(micros))
    }
}

impl AsFd for Linux {
    /// The `epoll` instance, for other event loops: readable when the loop has something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

/// Whether a call only has to wait; an error otherwise. A socket that never blocks is never
/// interrupted by a signal either (`signal(7)`).
#[cold]
#[inline(never)]
fn would_block(errno: Errno) -> Result<(), Error> {
    match errno {
        Errno::AGAIN => Ok(()),
        errno => Err(error(errno)),
    }
}

/// Takes a waiting connection; `None` when none waits.
fn take(listener: BorrowedFd<'_>) -> Result<Option<(OwnedFd, Option<SocketAddrAny>)>, Error> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    loop {
        match net::acceptfrom_with(listener, flags) {
            Ok(accepted) => return Ok(Some(accepted)),
            Err(Errno::AGAIN) => return Ok(None),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(error(errno)),
        }
    }
}

fn send_slices(fd: BorrowedFd<'_>, slices: &[IoSlice<'_>]) -> Result<usize, Errno> {
    loop {
        let mut control = net::SendAncillaryBuffer::default();
        match net::sendmsg(fd, slices, &mut control, SendFlags::NOSIGNAL) {
            Ok(count) => return Ok(count),
            Err(Errno::AGAIN) => return Ok(0),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
    }
}

fn address(addr: Result<SocketAddrAny, Errno>) -> Result<Address, Error> {
    let addr = SocketAddr::try_from(addr.map_err(error)?).map_err(error)?;
    Ok(canonical(addr).into())
}

/// A wait, in the kernel's form. One longer than it can express is cut, and repeated.
fn timespec(wait: Duration) -> Timespec {
    Timespec {
        tv_sec: i64::try_from(wait.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(wait.subsec_nanos()),
    }
}

/// A wait in whole milliseconds, cut to what `epoll_wait` takes.
fn round_up_to_millis(wait: Timespec) -> Timespec {
    let millis = wait.tv_nsec.saturating_add(999_999) / 1_000_000;
    let carry = i64::from(millis >= 1_000);
    Timespec {
        tv_sec: wait.tv_sec.min(2_000_000).saturating_add(carry),
        tv_nsec: if carry == 1 {
            0
        } else {
            millis.saturating_mul(1_000_000)
        },
    }
}
