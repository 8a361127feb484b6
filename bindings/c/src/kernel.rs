//! Linux, and what a C program asks of it beyond: descriptors made elsewhere, sockets of the
//! file system, `on_pre_open`, and hints that more is to be sent.

use std::ffi::c_int;
use std::mem;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::io::Errno;
use rustix::net::{self, SendFlags, SocketFlags};
use usockets::{
    Accepted, Address, Endpoint, Error, Instant, Platform, Progress, Readiness, Ready, Recv,
    SocketId, Waker,
};
use usockets_linux::{EventFd, Linux};
use usockets_posix::{Fd, Kind};

use crate::alarm::Alarm;
use crate::handles::{ListenRef, LoopRef, Origin};
use crate::margins::Inner;
use crate::pre_open::{TAKEN_MAX, leaves};

/// The address that a ready-made descriptor is listened or connected at, which is not looked at.
pub(crate) const NOWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// What wakes a loop.
pub(crate) type Notifier = EventFd;

/// See the module.
pub(crate) struct Kernel {
    linux: Linux,
    alarm: Alarm,
    lp: LoopRef,
    /// What the next `listen` or `connect` takes instead of making a socket.
    pub(crate) ready_made: Option<OwnedFd>,
    /// What is sent has more coming after it.
    pub(crate) more: bool,
    /// Connections made elsewhere that a layer above is still to accept, with their origins.
    #[cfg(feature = "tls")]
    adopted: std::collections::VecDeque<(OwnedFd, usize)>,
    /// The descriptor that stands for their listener, or -1.
    #[cfg(feature = "tls")]
    adopting: RawFd,
}

impl Inner for Kernel {
    const NOTES_TIME: bool = true;
}

/// Returns the descriptor of a socket, or -1.
pub(crate) fn raw(socket: &Fd) -> RawFd {
    socket.get().map_or(-1, |fd| fd.as_raw_fd())
}

/// The kernel's error numbers, of the few calls that this layer makes.
fn error(errno: Errno) -> Error {
    match errno {
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::NOSPC => {
            Error::Exhausted
        }
        Errno::CONNRESET | Errno::PIPE => Error::Reset,
        other => Error::Platform(u16::try_from(other.raw_os_error()).unwrap_or(u16::MAX)),
    }
}

/// Sends, with more to come after it.
#[cold]
#[inline(never)]
fn send_more(socket: &Fd, data: &[u8]) -> Result<usize, Error> {
    let flags = SendFlags::NOSIGNAL | SendFlags::MORE;
    match net::send(socket.get()?, data, flags) {
        Ok(count) => Ok(count),
        Err(Errno::AGAIN) => Ok(0),
        Err(errno) => Err(error(errno)),
    }
}

impl Kernel {
    pub(crate) fn new(waker: &'static Waker<Notifier>, lp: LoopRef) -> Result<Self, Error> {
        let linux = Linux::new()?.with_waker(waker)?;
        let alarm = Alarm::new(linux.as_fd()).map_err(error)?;
        Ok(Self {
            linux,
            alarm,
            lp,
            ready_made: None,
            more: false,
            #[cfg(feature = "tls")]
            adopted: std::collections::VecDeque::new(),
            #[cfg(feature = "tls")]
            adopting: -1,
        })
    }

    /// Makes what the listener of connections made elsewhere is told by: an eventfd, whose next
    /// listening takes it for a listener.
    #[cfg(feature = "tls")]
    pub(crate) fn prepare_adopting(&mut self) -> Result<(), Error> {
        let flags = rustix::event::EventfdFlags::NONBLOCK | rustix::event::EventfdFlags::CLOEXEC;
        let fd = rustix::event::eventfd(0, flags).map_err(error)?;
        self.adopting = fd.as_raw_fd();
        self.ready_made = Some(fd);
        Ok(())
    }

    /// Has the loop accept a connection made elsewhere.
    #[cfg(feature = "tls")]
    pub(crate) fn adopt(&mut self, fd: OwnedFd, origin: usize) {
        self.adopted.push_back((fd, origin));
        // SAFETY: the listener has it, for as long as the loop lives.
        let listener = unsafe { std::os::fd::BorrowedFd::borrow_raw(self.adopting) };
        let _ = rustix::io::write(listener, &1_u64.to_ne_bytes());
    }

    /// Accepts what was made elsewhere.
    #[cfg(feature = "tls")]
    fn accept_adopted(
        &mut self,
        lp: LoopRef,
        listener: &Fd,
        socket: &mut Fd,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let Some((fd, origin)) = self.adopted.pop_front() else {
            let _ = rustix::io::read(listener.get()?, &mut [0; 8]);
            return Ok(None);
        };
        lp.count_down();
        self.register_stream(&fd, id)?;
        *socket = Fd::new(fd, Kind::Stream);
        lp.note_accepted(id, origin);
        let peer = self.peer_addr(socket)?;
        Ok(Some(Accepted {
            peer,
            drained: false,
        }))
    }

    /// Reads the clock after a wait.
    #[inline]
    fn note_now(&mut self) {
        let now = self.linux.now();
        self.alarm.note(now);
        self.lp.set_now(now);
    }

    /// Returns the platform that has datagrams.
    pub(crate) const fn datagrams(&mut self) -> &mut Linux {
        &mut self.linux
    }

    /// Returns false: the kernel delivers what closed sockets left.
    pub(crate) const fn is_delivering(&self) -> bool {
        false
    }

    /// Returns the descriptor that is readable when the loop has something to do.
    pub(crate) fn descriptor(&self) -> c_int {
        self.linux.as_fd().as_raw_fd()
    }

    /// Registers a descriptor that was made elsewhere, as the platform does its own.
    fn register(&self, fd: &OwnedFd, id: SocketId, flags: EventFlags) -> Result<(), Error> {
        let data = EventData::new_u64(id.to_bits());
        epoll::add(self.linux.as_fd(), fd, data, flags).map_err(error)
    }

    fn register_stream(&self, fd: &OwnedFd, id: SocketId) -> Result<(), Error> {
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::PRI;
        self.register(fd, id, flags | EventFlags::ET)
    }

    /// Accepts from a socket of the file system, whose peers have no IP address.
    fn accept_local(
        &self,
        listener: &Fd,
        socket: &mut Fd,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = match net::accept_with(listener.get()?, flags) {
            Ok(fd) => fd,
            Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
            Err(errno) => return Err(error(errno)),
        };
        self.register_stream(&fd, id)?;
        *socket = Fd::new(fd, Kind::Stream);
        Ok(Some(Accepted {
            peer: Address::Unnamed,
            drained: false,
        }))
    }
}

impl Platform for Kernel {
    type Socket = Fd;
    const CLOSED: Fd = Linux::CLOSED;
    const REPORTS_ARRIVALS: bool = Linux::REPORTS_ARRIVALS;

    fn listen(&mut self, socket: &mut Fd, id: SocketId, at: &Endpoint<'_>) -> Result<(), Error> {
        if let Some(fd) = self.ready_made.take() {
            self.register(&fd, id, EventFlags::IN)?;
            *socket = Fd::new(fd, Kind::Listener);
        } else {
            self.linux.listen(socket, id, at)?;
        }
        Ok(())
    }

    fn connect(&mut self, socket: &mut Fd, id: SocketId, to: &Endpoint<'_>) -> Result<(), Error> {
        if let Some(fd) = self.ready_made.take() {
            self.register_stream(&fd, id)?;
            *socket = Fd::new(fd, Kind::Stream);
        } else {
            self.linux.connect(socket, id, to)?;
        }
        Ok(())
    }

    fn accept(
        &mut self,
        listener: &mut Fd,
        socket: &mut Fd,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let lp = self.lp;
        let fd = raw(listener);
        #[cfg(feature = "tls")]
        if fd == self.adopting {
            return self.accept_adopted(lp, listener, socket, id);
        }
        let same = |one: &&ListenRef| one.fd.get() == fd;
        let listening = lp
            .listeners
            .borrow()
            .iter()
            .find(same)
            .copied()
            .ok_or(Error::Invalid)?;
        let number = listening.origin;
        let origin = lp.origins.borrow().get(number).copied();
        let is_local = origin.is_some_and(|Origin { local, .. }| local);
        for _ in 0..TAKEN_MAX {
            let accepted = if is_local {
                self.accept_local(listener, socket, id)?
            } else {
                self.linux.accept(listener, socket, id)?
            };
            let Some(accepted) = accepted else {
                return Ok(None);
            };
            let fd = raw(socket);
            if leaves(listening, fd, accepted.peer) {
                lp.note_accepted(id, number);
                return Ok(Some(accepted));
            }
            // It is the program's descriptor now.
            if let Ok(fd) = socket.get() {
                let _ = epoll::delete(self.linux.as_fd(), fd);
            }
            mem::forget(mem::replace(socket, Linux::CLOSED));
        }
        Ok(None)
    }

    fn refuse(&mut self, listener: &mut Fd) -> Result<bool, Error> {
        self.linux.refuse(listener)
    }

    fn set_accepting(
        &mut self,
        listener: &mut Fd,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        self.linux.set_accepting(listener, id, accepting)
    }

    #[inline]
    fn open(&mut self, socket: &mut Fd, ready: Readiness) -> Result<Progress, Error> {
        self.linux.open(socket, ready)
    }

    fn flush(&mut self, socket: &mut Fd) -> Result<Progress, Error> {
        self.linux.flush(socket)
    }

    fn take_error(&mut self, socket: &mut Fd) -> Option<Error> {
        self.linux.take_error(socket)
    }

    #[inline]
    fn recv(&mut self, socket: &mut Fd, buffer: &mut [u8]) -> Result<Recv, Error> {
        self.linux.recv(socket, buffer)
    }

    fn peek(&mut self, socket: &mut Fd, buffer: &mut [u8]) -> Result<Recv, Error> {
        self.linux.peek(socket, buffer)
    }

    fn set_low_water(&mut self, socket: &mut Fd, bytes: usize) -> Result<(), Error> {
        self.linux.set_low_water(socket, bytes)
    }

    #[inline(always)]
    fn send(&mut self, socket: &mut Fd, data: &[u8]) -> Result<usize, Error> {
        // What TLS makes of bytes with more to come.
        if cfg!(feature = "tls") && self.more {
            return send_more(socket, data);
        }
        self.linux.send(socket, data)
    }

    fn send_vectored(&mut self, socket: &mut Fd, parts: &[&[u8]]) -> Result<usize, Error> {
        if self.more
            && let [data] = parts
        {
            return send_more(socket, data);
        }
        self.linux.send_vectored(socket, parts)
    }

    fn finish(&mut self, socket: &mut Fd) -> Result<Progress, Error> {
        self.linux.finish(socket)
    }

    #[inline]
    fn close(&mut self, socket: &mut Fd) {
        self.linux.close(socket);
    }

    fn abort(&mut self, socket: &mut Fd) {
        self.linux.abort(socket);
    }

    fn local_addr(&self, socket: &Fd) -> Result<Address, Error> {
        self.linux.local_addr(socket)
    }

    fn peer_addr(&self, socket: &Fd) -> Result<Address, Error> {
        self.linux.peer_addr(socket).or(Ok(Address::Unnamed))
    }

    /// Waits. The clock is read once, after the wait, if anything is due at any time: it is the
    /// iteration's time.
    #[inline]
    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        let Some(until) = until else {
            self.linux.poll(None)?;
            if self.alarm.is_set() {
                self.note_now();
            } else {
                self.lp.now.set(0);
            }
            return Ok(());
        };
        if self.alarm.ends(until, || self.linux.now()) {
            self.linux.poll(None)?;
        } else {
            self.linux.poll(Some(until))?;
        }
        self.note_now();
        Ok(())
    }

    #[inline]
    fn next_ready(&mut self) -> Option<Ready> {
        self.linux.next_ready()
    }

    #[inline]
    fn woken(&mut self) -> bool {
        self.linux.woken()
    }

    #[inline]
    fn now(&self) -> Instant {
        self.linux.now()
    }
}
