//! The operations that the kernel writes into, by number.

use core::cell::Cell;

use usockets::{Error, SocketId};
use windows_sys::Win32::Networking::WinSock::SOCKET;

use crate::device::{Device, Poll};
use crate::events::{Events, Interest, Step};
use crate::port::{Completion, Port};

/// Memory for one poll of a socket.
///
/// The kernel writes into it until the poll has completed, which may be after the socket was
/// closed. So it lives as long as the process, in a static that [`Windows::new`] takes for good.
/// All zero bytes when new: a static of them costs no image space.
///
/// [`Windows::new`]: crate::Windows::new
#[derive(Debug)]
pub struct Operation {
    poll: Poll,
    state: Cell<State>,
}

impl Operation {
    /// Makes an operation that nobody uses.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            poll: Poll::new(),
            state: Cell::new(State::FREE),
        }
    }
}

impl Default for Operation {
    fn default() -> Self {
        Self::new()
    }
}

/// Our part of an operation.
#[derive(Clone, Copy, Debug)]
struct State {
    /// The socket's id; 0 when no socket has the operation.
    id: u64,
    /// What the driver knows the socket by.
    socket: SOCKET,
    interest: Interest,
    /// The connection broke, as a completion said or because it cannot be polled any more.
    is_broken: bool,
    /// The next free operation, plus one.
    next_free: u32,
}

impl State {
    const FREE: Self = Self {
        id: 0,
        socket: 0,
        interest: Interest::keeping(Events::NONE),
        is_broken: false,
        next_free: 0,
    };
}

/// The operations of one loop, and the device that polls for them.
#[derive(Debug)]
pub(crate) struct Operations {
    device: Device,
    table: &'static [Operation],
    /// The first operation that was given back, plus one.
    free: u32,
    /// Operations from this number on were never used.
    fresh: u32,
}

// SAFETY: the table was borrowed uniquely and for ever, so that this is its only user; the
// operations themselves may move to another thread.
#[expect(unsafe_code, reason = "shared for the kernel's sake only")]
unsafe impl Send for Operations {}

impl Operations {
    /// Takes a table, for good. Completions come to `port`.
    pub(crate) fn new(table: &'static mut [Operation], port: &Port) -> Result<Self, Error> {
        let device = Device::open(port, table.as_ptr().addr())?;
        Ok(Self {
            device,
            table,
            free: 0,
            fresh: 0,
        })
    }

    /// Has completions come to another port.
    ///
    /// # Errors
    /// [`Error::Invalid`] once an operation has been used.
    pub(crate) fn move_to(&mut self, port: &Port) -> Result<(), Error> {
        if self.fresh != 0 {
            return Err(Error::Invalid);
        }
        self.device = Device::open(port, self.table.as_ptr().addr())?;
        Ok(())
    }

    /// Takes a free operation for a socket, at all times waiting for `kept` once it is started.
    pub(crate) fn claim(
        &mut self,
        id: SocketId,
        socket: SOCKET,
        kept: Events,
    ) -> Result<u32, Error> {
        let index = match self.free.checked_sub(1) {
            Some(index) => {
                self.free = self.get(index)?.state.get().next_free;
                index
            }
            None => {
                let index = self.fresh;
                let _ = self.get(index).map_err(|_| Error::Exhausted)?;
                self.fresh = index.saturating_add(1);
                index
            }
        };
        self.get(index)?.state.set(State {
            id: id.to_bits(),
            socket,
            interest: Interest::keeping(kept),
            ..State::FREE
        });
        Ok(index)
    }

    /// Gives an operation back. If the kernel has it, it becomes free with its completion.
    pub(crate) fn release(&mut self, index: u32) {
        let Ok(operation) = self.get(index) else {
            return;
        };
        let mut state = operation.state.get();
        if state.interest.is_armed() {
            state.id = 0;
            operation.state.set(state);
            self.device.cancel(&operation.poll);
        } else {
            self.free(index, operation);
        }
    }

    /// Has the socket reported when one of these comes about, or holds already.
    pub(crate) fn arm(&self, index: u32, events: Events) -> Result<(), Error> {
        let operation = self.get(index)?;
        let mut state = operation.state.get();
        if state.is_broken {
            // It was reported, and would be again at once.
            return Ok(());
        }
        let step = state.interest.add(events);
        operation.state.set(state);
        match step {
            Step::Nothing => Ok(()),
            Step::Cancel => {
                self.device.cancel(&operation.poll);
                Ok(())
            }
            Step::Start(events) => self.start(index, operation, events),
        }
    }

    /// Returns true if a completion said that the connection broke.
    pub(crate) fn is_broken(&self, index: u32) -> bool {
        self.get(index)
            .is_ok_and(|operation| operation.state.get().is_broken)
    }

    /// Takes a completion in, and returns whose it was and what came about; `None` when it is
    /// nobody's any more or says nothing.
    pub(crate) fn complete(&mut self, completion: Completion) -> Option<(SocketId, Events)> {
        if completion.key != self.table.as_ptr().addr() {
            // Of a loop that used the port before.
            return None;
        }
        let index = u32::try_from(completion.value.checked_sub(1)?).ok()?;
        let operation = self.get(index).ok()?;
        let mut state = operation.state.get();
        if !state.interest.is_armed() {
            return None;
        }
        let mut events = Events::NONE;
        if completion.status == 0 {
            // SAFETY: the kernel has had the poll, and this is its completion.
            #[expect(unsafe_code, reason = "reads what the kernel wrote")]
            let completed = unsafe { self.device.events(&operation.poll) };
            events = completed;
        }
        let next = state.interest.completed(events);
        state.is_broken |= events.intersects(Events::BROKEN);
        operation.state.set(state);
        let Some(id) = SocketId::from_bits(state.id) else {
            self.free(index, operation);
            return None;
        };
        if !next.is_empty() && self.start(index, operation, next).is_err() {
            // Nobody would report the connection any more: it ends here.
            state = operation.state.get();
            state.is_broken = true;
            operation.state.set(state);
            return Some((id, events.union(Events::ABORT)));
        }
        let events = events.without(Events::LOCAL_CLOSE);
        (!events.is_empty()).then_some((id, events))
    }

    fn start(
        &self,
        index: u32,
        operation: &'static Operation,
        events: Events,
    ) -> Result<(), Error> {
        let mut state = operation.state.get();
        let value = usize::try_from(index).map_err(|_| Error::Invalid)?;
        let value = value.saturating_add(1);
        // SAFETY: the callers have found that the kernel has no poll of it.
        #[expect(unsafe_code, reason = "hands memory to the kernel")]
        let started = unsafe {
            self.device
                .start(&operation.poll, state.socket, events, value)
        };
        started?;
        state.interest.started(events);
        operation.state.set(state);
        Ok(())
    }

    fn free(&mut self, index: u32, operation: &Operation) {
        operation.state.set(State {
            next_free: self.free,
            ..State::FREE
        });
        self.free = index.saturating_add(1);
    }

    fn get(&self, index: u32) -> Result<&'static Operation, Error> {
        let index = usize::try_from(index).map_err(|_| Error::Invalid)?;
        self.table.get(index).ok_or(Error::Invalid)
    }
}
