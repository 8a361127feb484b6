//! The sockets of Windows, polled by AFD: in the place of the kernel's file.
//!
//! There is no `on_pre_open`, and nothing is made of a socket from elsewhere.

use std::ptr::NonNull;

use usockets::{
    Accepted, Address, Endpoint, Error, Instant, Platform, Progress, Readiness, Ready, Recv,
    SocketId, Waker,
};
use usockets_windows::{Operation, Port, Socket, Windows};

use crate::CAPACITY;
use crate::block::Reservation;
use crate::handles::{Descriptor, ListenRef, LoopRef, NO_DESCRIPTOR};
use crate::margins::Inner;

/// What wakes a loop.
pub(crate) type Notifier = Port;

/// Operations of each slot; see [`Windows::new`].
const OPERATIONS: usize = 3;

/// See the module.
pub(crate) struct Kernel {
    windows: Windows,
    lp: LoopRef,
    /// What is sent has more coming after it, of which there is nothing to tell here.
    pub(crate) more: bool,
}

impl Inner for Kernel {}

/// Returns the number of a socket.
pub(crate) fn raw(socket: &Socket) -> Descriptor {
    socket.raw().unwrap_or(NO_DESCRIPTOR)
}

impl Kernel {
    pub(crate) fn new(waker: &'static Waker<Notifier>, lp: LoopRef) -> Result<Self, Error> {
        let count = CAPACITY * OPERATIONS;
        let memory = Reservation::new(size_of::<Operation>() * count).ok_or(Error::Exhausted)?;
        // SAFETY: the reservation is large enough and aligned to pages, and zero bytes are new
        // operations (`Operation`). It is never given back, as the system may write to it later.
        let table = unsafe {
            let first: NonNull<Operation> = memory.start();
            std::slice::from_raw_parts_mut(first.as_ptr(), count)
        };
        std::mem::forget(memory);
        Ok(Self {
            windows: Windows::new(table)?.with_waker(waker)?,
            lp,
            more: false,
        })
    }

    /// Refuses: connections made elsewhere are not taken over here.
    #[cfg(feature = "tls")]
    pub(crate) fn prepare_adopting(&mut self) -> Result<(), Error> {
        Err(Error::Unsupported)
    }

    /// Returns false: the kernel delivers what closed sockets left.
    pub(crate) const fn is_delivering(&self) -> bool {
        false
    }

    /// Returns -1: a completion port is no descriptor.
    pub(crate) const fn descriptor(&self) -> std::ffi::c_int {
        -1
    }
}

impl Platform for Kernel {
    type Socket = Socket;
    const CLOSED: Socket = Windows::CLOSED;

    fn listen(
        &mut self,
        socket: &mut Socket,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<(), Error> {
        self.windows.listen(socket, id, at)
    }

    fn connect(
        &mut self,
        socket: &mut Socket,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<(), Error> {
        self.windows.connect(socket, id, to)
    }

    fn accept(
        &mut self,
        listener: &mut Socket,
        socket: &mut Socket,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let fd = raw(listener);
        let same = |one: &&ListenRef| one.fd.get() == fd;
        let all = self.lp.listeners.borrow();
        let origin = all.iter().find(same).ok_or(Error::Invalid)?.origin;
        drop(all);
        let accepted = self.windows.accept(listener, socket, id)?;
        if accepted.is_some() {
            self.lp.note_accepted(id, origin);
        }
        Ok(accepted)
    }

    fn refuse(&mut self, listener: &mut Socket) -> Result<bool, Error> {
        self.windows.refuse(listener)
    }

    fn set_accepting(
        &mut self,
        listener: &mut Socket,
        id: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        self.windows.set_accepting(listener, id, accepting)
    }

    fn open(&mut self, socket: &mut Socket, ready: Readiness) -> Result<Progress, Error> {
        self.windows.open(socket, ready)
    }

    fn take_error(&mut self, socket: &mut Socket) -> Option<Error> {
        self.windows.take_error(socket)
    }

    fn recv(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        self.windows.recv(socket, buffer)
    }

    fn send(&mut self, socket: &mut Socket, data: &[u8]) -> Result<usize, Error> {
        self.windows.send(socket, data)
    }

    fn send_vectored(&mut self, socket: &mut Socket, parts: &[&[u8]]) -> Result<usize, Error> {
        self.windows.send_vectored(socket, parts)
    }

    fn finish(&mut self, socket: &mut Socket) -> Result<Progress, Error> {
        self.windows.finish(socket)
    }

    fn close(&mut self, socket: &mut Socket) {
        self.windows.close(socket);
    }

    fn abort(&mut self, socket: &mut Socket) {
        self.windows.abort(socket);
    }

    fn local_addr(&self, socket: &Socket) -> Result<Address, Error> {
        self.windows.local_addr(socket)
    }

    fn peer_addr(&self, socket: &Socket) -> Result<Address, Error> {
        self.windows.peer_addr(socket)
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        self.windows.poll(until)
    }

    fn next_deadline(&self) -> Option<Instant> {
        self.windows.next_deadline()
    }

    fn next_ready(&mut self) -> Option<Ready> {
        self.windows.next_ready()
    }

    fn woken(&mut self) -> bool {
        self.windows.woken()
    }

    fn now(&self) -> Instant {
        self.windows.now()
    }
}
