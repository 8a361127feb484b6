//! The memory of an HTTP server's loop, of which there may be several in a program. Linux only.

use std::time::SystemTime;

use usockets::{Error, Loop, Place, Slot, SocketId};
use usockets_linux::{Fd, Linux, zeroed_slice};

use crate::http::connection::Connection;
use crate::http::date::WallClock;
use crate::http::memory::{Memory, Tables};
use crate::http::routes::route;
use crate::http::server::{Group, Server};
use crate::http::service::Service;

/// Bytes per connection for what it received: half for a request's head, half for what comes at
/// once.
const IN: usize = 16_384;
/// Bytes per connection for what the client has not taken.
const OUT: usize = 8_192;
/// Sockets of the pool of each loop.
pub(crate) const SOCKETS_MAX: usize = 4_096;

/// Bytes that processors pass from one's cache to another's at once: a line of 64, or of 128 on
/// some, and on others the line beside it as well.
const LINE: usize = 128;

/// The server of one loop.
pub(crate) type Handler<'m> = Server<'m, IN, OUT>;

/// The memory of one loop. What no connection ever needed is never touched, and takes none.
///
/// Wherever the allocator puts it, it shares no line of the cache with the memory of another.
pub(crate) struct Room {
    slots: Apart<Slot<Fd, Group>>,
    data: Apart<Place<Connection>>,
    inputs: Apart<[u8; IN]>,
    outputs: Apart<[u8; OUT]>,
    clients: Apart<Option<SocketId>>,
    draft: Apart<[u8; OUT]>,
    buffer: Apart<u8>,
}

impl Room {
    /// Allocates the memory.
    ///
    /// # Errors
    /// There is not so much.
    pub(crate) fn new() -> Result<Self, Error> {
        Ok(Self {
            slots: Apart::new(SOCKETS_MAX, zeroed_slice)?,
            data: Apart::new(SOCKETS_MAX, zeroed_slice)?,
            inputs: Apart::new(SOCKETS_MAX, zeroed_slice)?,
            outputs: Apart::new(SOCKETS_MAX, zeroed_slice)?,
            clients: Apart::new(SOCKETS_MAX, |count| Ok(vec![None; count].into()))?,
            draft: Apart::new(1, zeroed_slice)?,
            buffer: Apart::new(Memory::<IN, OUT>::RECEIVE_MAX, zeroed_slice)?,
        })
    }

    /// Makes a loop and its handler of the memory.
    ///
    /// # Errors
    /// As [`Loop::with_slices`].
    pub(crate) fn server(
        &mut self,
        platform: Linux,
    ) -> Result<(Loop<'_, Linux, Handler<'_>>, Handler<'_>), Error> {
        let tables = Tables {
            inputs: self.inputs.get(),
            outputs: self.outputs.get(),
            clients: self.clients.get(),
            draft: self.draft.get().first_mut().ok_or(Error::Invalid)?,
        };
        let clock = WallClock(|| SystemTime::UNIX_EPOCH.elapsed().ok());
        let handler = Server::with_pool(Service::new(route, clock), tables);
        let (slots, data) = (self.slots.get(), self.data.get());
        let server = Loop::with_slices(platform, slots, data, self.buffer.get())?;
        Ok((server, handler))
    }

    /// Returns the addresses that its loop reads and writes, of each part.
    #[cfg(test)]
    pub(crate) fn addresses(&mut self) -> [core::ops::Range<usize>; 7] {
        [
            self.slots.addresses(),
            self.data.addresses(),
            self.inputs.addresses(),
            self.outputs.addresses(),
            self.clients.addresses(),
            self.draft.addresses(),
            self.buffer.addresses(),
        ]
    }
}

/// Values on the heap, with a line of the cache before them and behind them that nobody uses.
struct Apart<T> {
    all: Box<[T]>,
    count: usize,
}

impl<T> Apart<T> {
    /// Values that take up a line.
    const MARGIN: usize = LINE.div_ceil(size_of::<T>());

    fn new(
        count: usize,
        make: impl FnOnce(usize) -> Result<Box<[T]>, Error>,
    ) -> Result<Self, Error> {
        let all = make(count.saturating_add(Self::MARGIN.saturating_mul(2)))?;
        Ok(Self { all, count })
    }

    fn get(&mut self) -> &mut [T] {
        let end = Self::MARGIN.saturating_add(self.count);
        self.all.get_mut(Self::MARGIN..end).unwrap_or_default()
    }

    #[cfg(test)]
    fn addresses(&mut self) -> core::ops::Range<usize> {
        let used = self.get().as_ptr_range();
        used.start.addr()..used.end.addr()
    }
}
