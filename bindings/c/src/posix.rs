//! The sockets of a POSIX system that is not Linux, by kqueue: in the place of the kernel's file.
//!
//! With the feature `poll` it is `poll(2)`, on any of them, which is for tests: the same file then
//! runs on Linux.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd, IntoRawFd, OwnedFd, RawFd};

use usockets::{
    Accepted, Address, Descriptors, Endpoint, Error, Inserted, Instant, Platform, Progress,
    Readiness, Ready, Recv, SocketId, Waker,
};
use usockets_posix::{Pipe, Posix, PosixSocket};

use crate::handles::{ListenRef, LoopRef};
use crate::margins::Inner;
use crate::pre_open::{TAKEN_MAX, leaves};

/// What wakes a loop.
pub(crate) type Notifier = Pipe;

#[cfg(not(feature = "poll"))]
use usockets_posix::Kqueue as Selecting;
#[cfg(feature = "poll")]
type Selecting = &'static mut usockets_posix::Poll<POLLED>;

/// Sockets that `poll` is asked about.
#[cfg(feature = "poll")]
const POLLED: usize = 4_096;

/// The address that a ready-made descriptor is listened or connected at, which is not looked at.
pub(crate) const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// See the module.
pub(crate) struct Kernel {
    posix: Posix<Selecting>,
    lp: LoopRef,
    /// What the next `listen` or `connect` takes instead of making a socket.
    pub(crate) ready_made: Option<OwnedFd>,
    /// What is sent has more coming after it, of which there is nothing to tell here.
    pub(crate) more: bool,
    /// Connections made elsewhere, of which it is still to be reported that they are open.
    opened: VecDeque<Ready>,
    /// What the platform refers to: dropped after it.
    #[cfg(feature = "poll")]
    _list: List,
}

/// The list of `poll`, of which the platform has a pointer.
#[cfg(feature = "poll")]
struct List(std::ptr::NonNull<usockets_posix::Poll<POLLED>>);

#[cfg(feature = "poll")]
impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: made of a box, and the platform that used it is gone (`Kernel`).
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

impl Inner for Kernel {}

/// Returns the descriptor of a socket, or -1.
pub(crate) fn raw(socket: &PosixSocket) -> RawFd {
    socket.fd().get().map_or(-1, |fd| fd.as_raw_fd())
}

impl Kernel {
    #[cfg(not(feature = "poll"))]
    pub(crate) fn new(waker: &'static Waker<Notifier>, lp: LoopRef) -> Result<Self, Error> {
        Ok(Self {
            posix: Posix::new(Selecting::new()?).with_waker(waker)?,
            lp,
            ready_made: None,
            more: false,
            opened: VecDeque::new(),
        })
    }

    #[cfg(feature = "poll")]
    pub(crate) fn new(waker: &'static Waker<Notifier>, lp: LoopRef) -> Result<Self, Error> {
        let list = List(std::ptr::NonNull::from(Box::leak(Box::default())));
        // SAFETY: nobody else has it, and it is freed after the platform (`Kernel`).
        let selecting = unsafe { &mut *list.0.as_ptr() };
        Ok(Self {
            posix: Posix::new(selecting).with_waker(waker)?,
            lp,
            ready_made: None,
            more: false,
            opened: VecDeque::new(),
            _list: list,
        })
    }

    /// Refuses: connections made elsewhere are not secured here.
    #[cfg(feature = "tls")]
    pub(crate) fn prepare_adopting(&mut self) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    /// Closes a connection made elsewhere.
    #[cfg(feature = "tls")]
    pub(crate) fn adopt(&mut self, fd: OwnedFd, _: usize) {
        drop(fd);
    }

    /// Returns the platform that has datagrams.
    pub(crate) const fn datagrams(&mut self) -> &mut Posix<Selecting> {
        &mut self.posix
    }

    /// Returns false: the kernel delivers what closed sockets left.
    pub(crate) const fn is_delivering(&self) -> bool {
        false
    }

    /// Returns the descriptor that is readable when the loop has something to do; -1 for `poll`.
    pub(crate) fn descriptor(&self) -> c_int {
        #[cfg(not(feature = "poll"))]
        return std::os::fd::AsFd::as_fd(self.posix.selector()).as_raw_fd();
        #[cfg(feature = "poll")]
        -1
    }
}

impl Platform for Kernel {
    type Socket = PosixSocket;
    const CLOSED: PosixSocket = Posix::<Selecting>::CLOSED;

    fn listen(
        &mut self,
        socket: &mut PosixSocket,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<(), Error> {
        match self.ready_made.take() {
            Some(fd) => {
                let inserted = self.posix.insert(socket, id, fd, Inserted::Listener);
                inserted.map_err(|(_, error)| error)
            }
            None => self.posix.listen(socket, id, at),
        }
    }

    fn connect(
        &mut self,
        socket: &mut PosixSocket,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<(), Error> {
        let Some(fd) = self.ready_made.take() else {
            return self.posix.connect(socket, id, to);
        };
        let inserted = self.posix.insert(socket, id, fd, Inserted::Connected);
        inserted.map_err(|(_, error)| error)?;
        self.opened.push_back(Ready {
            id,
            readiness: Readiness::WRITABLE,
        });
        Ok(())
    }

    fn accept(
        &mut self,
        listener: &mut PosixSocket,
        socket: &mut PosixSocket,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let lp = self.lp;
        let fd = raw(listener);
        let same = |one: &&ListenRef| one.fd.get() == fd;
        let all = lp.listeners.borrow();
        let listening = all.iter().find(same).copied().ok_or(Error::Invalid)?;
        drop(all);
        for _ in 0..TAKEN_MAX {
            let Some(accepted) = self.posix.accept(listener, socket, id)? else {
                return Ok(None);
            };
            let fd = raw(socket);
            if leaves(listening, fd, accepted.peer) {
                lp.note_accepted(id, listening.origin);
                return Ok(Some(accepted));
            }
            // It is the program's descriptor now.
            if let Ok((fd, _)) = self.posix.take(socket, &mut []) {
                let _ = fd.into_raw_fd();
            }
        }
        Ok(None)
    }

    fn refuse(&mut self, listener: &mut PosixSocket) -> Result<bool, Error> {
        self.posix.refuse(listener)
    }

    fn set_accepting(
        &mut self,
        listener: &mut PosixSocket,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        self.posix.set_accepting(listener, id, accepting)
    }

    fn open(&mut self, socket: &mut PosixSocket, ready: Readiness) -> Result<Progress, Error> {
        self.posix.open(socket, ready)
    }

    fn flush(&mut self, socket: &mut PosixSocket) -> Result<Progress, Error> {
        self.posix.flush(socket)
    }

    fn take_error(&mut self, socket: &mut PosixSocket) -> Option<Error> {
        self.posix.take_error(socket)
    }

    fn recv(&mut self, socket: &mut PosixSocket, buffer: &mut [u8]) -> Result<Recv, Error> {
        self.posix.recv(socket, buffer)
    }

    fn send(&mut self, socket: &mut PosixSocket, data: &[u8]) -> Result<usize, Error> {
        self.posix.send(socket, data)
    }

    fn send_vectored(&mut self, socket: &mut PosixSocket, parts: &[&[u8]]) -> Result<usize, Error> {
        self.posix.send_vectored(socket, parts)
    }

    fn finish(&mut self, socket: &mut PosixSocket) -> Result<Progress, Error> {
        self.posix.finish(socket)
    }

    fn close(&mut self, socket: &mut PosixSocket) {
        self.posix.close(socket);
    }

    fn abort(&mut self, socket: &mut PosixSocket) {
        self.posix.abort(socket);
    }

    fn local_addr(&self, socket: &PosixSocket) -> Result<Address, Error> {
        self.posix.local_addr(socket)
    }

    fn peer_addr(&self, socket: &PosixSocket) -> Result<Address, Error> {
        self.posix.peer_addr(socket).or(Ok(Address::Unnamed))
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        if self.opened.is_empty() {
            self.posix.poll(until)
        } else {
            self.posix.poll(Some(Instant::ZERO))
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        if self.opened.is_empty() {
            self.posix.next_deadline()
        } else {
            Some(Instant::ZERO)
        }
    }

    fn next_ready(&mut self) -> Option<Ready> {
        self.opened.pop_front().or_else(|| self.posix.next_ready())
    }

    fn woken(&mut self) -> bool {
        self.posix.woken()
    }

    fn now(&self) -> Instant {
        self.posix.now()
    }
}
