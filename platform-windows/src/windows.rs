//! The platform: one completion port, and polls by AFD that complete there.

use usockets::{
    Accepted, Address, Endpoint, Error, Instant, Platform, Progress, Readiness, Ready, Recv,
    SocketId, SocketOption, Waker,
};
use windows_sys::Win32::Networking::WinSock::{WSAECONNABORTED, WSAECONNRESET, WSAENOTCONN};

use crate::address::Layout;
use crate::clock::Clock;
use crate::error::error;
use crate::events::Events;
use crate::operations::{Operation, Operations};
use crate::port::{Completions, Port};
use crate::socket::{Kind, Socket};
use crate::winsock::{self, Owned, PARTS_MAX};

/// One completion port, and the operations that complete there.
///
/// See the [front page](crate) for how it waits.
pub struct Windows {
    port: Port,
    waker: Option<&'static Waker<Port>>,
    operations: Operations,
    completions: Completions,
    clock: Clock,
}

impl Windows {
    /// Creates the completion port.
    ///
    /// `table` is taken for good, as the kernel writes into it at any time. A connection needs two
    /// operations and a listener one; one that closes keeps one until the next wait. So three for
    /// each slot of the pool are never too few; when they are, connecting and accepting are
    /// [`Error::Exhausted`] until some are free again.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when the process or the system is out of handles or memory.
    pub fn new(table: &'static mut [Operation]) -> Result<Self, Error> {
        winsock::start()?;
        let port = Port::new()?;
        let operations = Operations::new(table, &port)?;
        Ok(Self {
            port,
            waker: None,
            operations,
            completions: Completions::NONE,
            clock: Clock::new(),
        })
    }

    /// Lets `waker` wake the loop, which then waits at the waker's port. It belongs in a static,
    /// because other threads may use it at any time; one made earlier for another instance that is
    /// gone may be passed on.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when the system is out of memory, [`Error::Invalid`] when this
    /// instance has a waker or a socket already.
    pub fn with_waker(mut self, waker: &'static Waker<Port>) -> Result<Self, Error> {
        if self.waker.is_some() {
            return Err(Error::Invalid);
        }
        self.operations.move_to(waker.notifier())?;
        self.waker = Some(waker);
        Ok(self)
    }

    /// Makes the state of a connection, all of whose operations are started.
    fn adopt(&mut self, owned: Owned, id: SocketId, kind: Kind) -> Result<Socket, Error> {
        let base = owned.base()?;
        let input = self.operations.claim(id, base, Events::NONE)?;
        let output = match self.operations.claim(id, base, Events::BROKEN) {
            Ok(output) => output,
            Err(error) => {
                self.operations.release(input);
                return Err(error);
            }
        };
        let started = if kind == Kind::Connecting {
            self.operations.arm(output, Events::SEND)
        } else {
            let watched = self.operations.arm(output, Events::BROKEN);
            watched.and_then(|()| self.operations.arm(input, Events::READABLE))
        };
        if let Err(error) = started {
            self.operations.release(input);
            self.operations.release(output);
            return Err(error);
        }
        Ok(Socket::new(owned, kind, input, output))
    }

    /// Has the socket reported when there is something to read.
    fn wait_for_input(&self, socket: &Socket) -> Result<(), Error> {
        self.operations.arm(socket.input, Events::READABLE)
    }

    /// Has the listener reported when a connection waits.
    fn wait_for_connection(&self, listener: &Socket) -> Result<(), Error> {
        self.operations.arm(listener.input, Events::ACCEPT)
    }

    /// Counts what a send took, and has the socket reported when the rest has room.
    fn took(&self, socket: &Socket, count: Option<usize>, len: usize) -> Result<usize, Error> {
        let count = count.unwrap_or_default();
        if count < len {
            self.operations.arm(socket.output, Events::SEND)?;
        }
        Ok(count)
    }

    /// Returns true if a completion said that the connection was reset.
    fn is_broken(&self, socket: &Socket) -> bool {
        self.operations.is_broken(socket.input) || self.operations.is_broken(socket.output)
    }

    fn milliseconds_until(&self, until: Option<Instant>) -> u32 {
        match until {
            // `INFINITE`.
            None => u32::MAX,
            Some(Instant::ZERO) => 0,
            Some(until) => {
                let wait = until.saturating_since(self.now()).as_micros();
                let millis = u32::try_from(wait.div_ceil(1_000)).unwrap_or(u32::MAX);
                // A wait longer than 49 days is cut, and repeated.
                millis.min(u32::MAX.wrapping_sub(1))
            }
        }
    }
}

impl Platform for Windows {
    type Socket = Socket;

    const CLOSED: Socket = Socket::CLOSED;

    fn listen(
        &mut self,
        socket: &mut Socket,
        id: SocketId,
        at: &Endpoint<'_>,
    ) -> Result<(), Error> {
        if at.reuse_port {
            return Err(Error::Unsupported);
        }
        let owned = Owned::stream(at)?;
        owned.set_exclusive()?;
        if at.addr.is_ipv6() {
            owned.set_v6_only(at.v6_only)?;
        }
        owned.bind(&Layout::new(&at.addr))?;
        owned.listen(at.backlog)?;
        let input = self.operations.claim(id, owned.base()?, Events::NONE)?;
        if let Err(error) = self.operations.arm(input, Events::ACCEPT) {
            self.operations.release(input);
            return Err(error);
        }
        *socket = Socket::new(owned, Kind::Listener, input, 0);
        Ok(())
    }

    fn connect(
        &mut self,
        socket: &mut Socket,
        id: SocketId,
        to: &Endpoint<'_>,
    ) -> Result<(), Error> {
        let owned = Owned::stream(to)?;
        if let Some(source) = &to.source {
            owned.bind(&Layout::new(source))?;
        }
        owned.connect(&Layout::new(&to.addr))?;
        *socket = self.adopt(owned, id, Kind::Connecting)?;
        Ok(())
    }

    fn accept(
        &mut self,
        listener: &mut Socket,
        socket: &mut Socket,
        id: SocketId,
    ) -> Result<Option<Accepted>, Error> {
        let Some((owned, layout)) = listener.get()?.accept()? else {
            self.wait_for_connection(listener)?;
            return Ok(None);
        };
        let peer = layout.read().ok_or(Error::Unsupported)?.into();
        *socket = self.adopt(owned, id, Kind::Stream)?;
        Ok(Some(Accepted {
            peer,
            drained: false,
        }))
    }

    fn refuse(&mut self, listener: &mut Socket) -> Result<bool, Error> {
        let Some((owned, _)) = listener.get()?.accept()? else {
            self.wait_for_connection(listener)?;
            return Ok(false);
        };
        owned.set_no_linger()?;
        Ok(true)
    }

    fn set_accepting(
        &mut self,
        listener: &mut Socket,
        _: SocketId,
        accepting: bool,
    ) -> Result<(), Error> {
        if accepting {
            self.wait_for_connection(listener)?;
        }
        // A listener is reported once anyway, until it is waited for again.
        Ok(())
    }

    fn open(&mut self, socket: &mut Socket, ready: Readiness) -> Result<Progress, Error> {
        if socket.kind != Kind::Connecting {
            return Ok(Progress::Done);
        }
        if ready.intersects(Readiness::ERROR) {
            return match self.take_error(socket) {
                Some(error) => Err(error),
                None => Ok(Progress::Pending),
            };
        }
        if !ready.intersects(Readiness::WRITABLE) {
            return Ok(Progress::Pending);
        }
        socket.kind = Kind::Stream;
        self.wait_for_input(socket)?;
        Ok(Progress::Done)
    }

    fn take_error(&mut self, socket: &mut Socket) -> Option<Error> {
        let owned = socket.get().ok()?;
        match owned.take_error() {
            Ok(None) => {}
            Ok(Some(error)) | Err(error) => return Some(error),
        }
        if !self.is_broken(socket) {
            return None;
        }
        // Windows has the reason of a reset at the next receive, and not as `SO_ERROR`.
        match owned.peek(&mut [0]) {
            Err(error) if socket.kind == Kind::Stream => Some(error),
            _ => Some(Error::Reset),
        }
    }

    #[inline]
    fn recv(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        let room = buffer.len();
        match socket.get()?.recv(buffer)? {
            // Wine ends the stream of a connection that was reset, as `SO_ERROR` has been taken.
            Some(0) if self.is_broken(socket) => Err(Error::Reset),
            Some(0) => Ok(Recv::Finished),
            Some(len) => {
                // If it cannot be waited for, the next receive says so.
                let drained = len != room && self.wait_for_input(socket).is_ok();
                Ok(Recv::Data { len, drained })
            }
            None if self.is_broken(socket) => Err(Error::Reset),
            None => {
                self.wait_for_input(socket)?;
                Ok(Recv::WouldBlock)
            }
        }
    }

    fn peek(&mut self, socket: &mut Socket, buffer: &mut [u8]) -> Result<Recv, Error> {
        match socket.get()?.peek(buffer)? {
            Some(0) if self.is_broken(socket) => Err(Error::Reset),
            Some(0) => Ok(Recv::Finished),
            Some(len) => Ok(Recv::Data {
                len,
                drained: false,
            }),
            None if self.is_broken(socket) => Err(Error::Reset),
            None => {
                self.wait_for_input(socket)?;
                Ok(Recv::WouldBlock)
            }
        }
    }

    fn set_option(&mut self, socket: &mut Socket, option: SocketOption) -> Result<(), Error> {
        socket.get()?.set_option(option)
    }

    #[inline]
    fn send(&mut self, socket: &mut Socket, data: &[u8]) -> Result<usize, Error> {
        let count = socket.get()?.send(data)?;
        self.took(socket, count, data.len())
    }

    fn send_vectored(&mut self, socket: &mut Socket, parts: &[&[u8]]) -> Result<usize, Error> {
        let owned = socket.get()?;
        let mut sum = 0_usize;
        for parts in parts.chunks(PARTS_MAX) {
            let len = parts
                .iter()
                .fold(0_usize, |sum, part| sum.saturating_add(part.len()));
            let count = match owned.send_vectored(parts) {
                Ok(count) => count,
                // What was taken counts; the next call says why.
                Err(_) if sum > 0 => return Ok(sum),
                Err(error) => return Err(error),
            };
            let count = self.took(socket, count, len)?;
            sum = sum.saturating_add(count);
            if count < len {
                break;
            }
        }
        Ok(sum)
    }

    fn finish(&mut self, socket: &mut Socket) -> Result<Progress, Error> {
        match socket.get()?.shutdown() {
            // Not connected any more: the report that says why is on its way.
            Ok(()) | Err(WSAENOTCONN | WSAECONNRESET | WSAECONNABORTED) => Ok(Progress::Done),
            Err(code) => Err(error(code)),
        }
    }

    fn close(&mut self, socket: &mut Socket) {
        if socket.is_open() {
            self.operations.release(socket.input);
            if socket.kind != Kind::Listener {
                self.operations.release(socket.output);
            }
        }
        *socket = Socket::CLOSED;
    }

    fn abort(&mut self, socket: &mut Socket) {
        if let Ok(owned) = socket.get() {
            // Without lingering, closing resets. If that fails it still closes.
            let _ = owned.set_no_linger();
        }
        self.close(socket);
    }

    fn local_addr(&self, socket: &Socket) -> Result<Address, Error> {
        let layout = socket.get()?.local_addr()?;
        layout.read().map(Address::Ip).ok_or(Error::Unsupported)
    }

    fn peer_addr(&self, socket: &Socket) -> Result<Address, Error> {
        let layout = socket.get()?.peer_addr()?;
        layout.read().map(Address::Ip).ok_or(Error::Unsupported)
    }

    fn poll(&mut self, until: Option<Instant>) -> Result<(), Error> {
        let millis = self.milliseconds_until(until);
        let port = self.waker.map_or(&self.port, Waker::notifier);
        port.wait(&mut self.completions, millis)
    }

    fn next_deadline(&self) -> Option<Instant> {
        // As many as fit: more may be waiting.
        self.completions.is_full().then_some(Instant::ZERO)
    }

    fn next_ready(&mut self) -> Option<Ready> {
        while let Some(completion) = self.completions.next() {
            if let Some((id, events)) = self.operations.complete(completion) {
                let readiness = readiness(events);
                return Some(Ready { id, readiness });
            }
        }
        None
    }

    fn woken(&mut self) -> bool {
        self.waker.is_some_and(Waker::take)
    }

    fn now(&self) -> Instant {
        self.clock.now()
    }
}

/// Returns the facts that events stand for.
fn readiness(events: Events) -> Readiness {
    let readable = Events::RECEIVE
        .union(Events::DISCONNECT)
        .union(Events::ACCEPT);
    Readiness::READABLE
        .when(events.intersects(readable))
        .union(Readiness::WRITABLE.when(events.intersects(Events::SEND)))
        .union(Readiness::ENDED.when(events.intersects(Events::DISCONNECT)))
        .union(Readiness::ERROR.when(events.intersects(Events::BROKEN)))
}
