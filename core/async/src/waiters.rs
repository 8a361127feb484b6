//! Which tasks wait for which socket.

use core::task::{Context, Waker};

use heapless::Vec;
use usockets::{
    AllSockets, Closed, Error, Handler, ListenerId, Opened, Platform, Socket, SocketId, TimerId,
};

/// Tasks that may wait for connections without waking one another.
pub const ACCEPTORS_MAX: usize = 16;

/// The tasks that wait for one socket, and what they are to know of it: one for each slot of the
/// pool.
#[derive(Debug)]
pub struct Waiters {
    /// The generation of the socket or timer that this is about, the upper half of its id; stale as
    /// soon as the slot has another. 0 is of none.
    generation: u32,
    state: State,
    /// The task that reads, or sleeps.
    reader: Option<Waker>,
    /// The task that writes, or connects.
    writer: Option<Waker>,
}

/// Which listener of a reactor a connection came from: the context of the loop's sockets. Its
/// default is that of what no listener accepted.
///
/// Bytes, since a number would be aligned, which takes four more for each socket.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct ListenerKey([u8; 4]);

/// Instead of the number of an entry: there is none.
const NONE: u32 = u32::MAX;

/// One for each slot of the pool: two words for each task, and 16 bytes.
const _: () = assert!(size_of::<Waiters>() == 2 * size_of::<Waker>() + 16);

/// How far a socket or a timer is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum State {
    /// A connect or a timer that is under way.
    Pending,
    /// A connection that was accepted, and that no task has taken.
    Accepted {
        /// That of the listener.
        key: ListenerKey,
        /// The entry of the connection that was accepted after this one; [`NONE`] of the last.
        next: u32,
    },
    /// A connection that is a task's.
    Open,
    /// A timer whose time is over.
    Expired,
    /// A connection that is closed.
    Closed(Closed),
}

impl Waiters {
    /// Makes an entry that nobody uses.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            generation: 0,
            state: State::Pending,
            reader: None,
            writer: None,
        }
    }

    fn wake_all(&mut self) {
        wake(&mut self.reader);
        wake(&mut self.writer);
    }
}

impl Default for Waiters {
    fn default() -> Self {
        Self::new()
    }
}

/// A task that waits for a connection of one listener.
#[derive(Debug)]
struct Acceptor {
    key: ListenerKey,
    waker: Waker,
}

/// The handler of a loop whose sockets are read and written by tasks: every call of the loop wakes
/// the task that waits for it.
#[derive(Debug)]
pub struct Tasks<'s> {
    waiters: &'s mut [Waiters],
    /// The first connection that no task has taken, and the last.
    accepted: Option<(SocketId, SocketId)>,
    acceptors: Vec<Acceptor, ACCEPTORS_MAX>,
    /// The number of the last listener. 0 is for connections that this side opened.
    last_key: u32,
}

impl<'s> Tasks<'s> {
    pub(crate) fn new(waiters: &'s mut [Waiters]) -> Self {
        Self {
            waiters,
            accepted: None,
            acceptors: Vec::new(),
            last_key: 0,
        }
    }

    /// Returns a key that no other listener has; they come round after 2^32 listeners.
    pub(crate) const fn next_key(&mut self) -> ListenerKey {
        self.last_key = match self.last_key.wrapping_add(1) {
            0 => 1,
            key => key,
        };
        ListenerKey(self.last_key.to_ne_bytes())
    }

    /// Starts keeping the tasks of a socket or timer.
    ///
    /// # Errors
    /// [`Error::Full`] when there is no entry for its slot.
    pub(crate) fn begin(&mut self, id: SocketId, state: State) -> Result<(), Error> {
        let entry = id.entry(self.waiters).ok_or(Error::Full)?;
        *entry = Waiters {
            generation: generation(id),
            state,
            ..Waiters::new()
        };
        Ok(())
    }

    /// Forgets the tasks of a socket or timer that nobody has any more.
    pub(crate) fn end(&mut self, id: SocketId) {
        if let Some(entry) = self.entry(id) {
            *entry = Waiters::new();
        }
    }

    /// Returns how far a socket or timer is; `None` when its slot has another by now.
    pub(crate) fn state(&mut self, id: SocketId) -> Option<State> {
        self.entry(id).map(|entry| entry.state)
    }

    /// Notes that a connection broke, before the loop says so.
    pub(crate) fn fail(&mut self, id: SocketId, error: Error) {
        if let Some(entry) = self.entry(id) {
            entry.state = State::Closed(Closed::Failed(error));
        }
    }

    /// Has the task woken when there is something to read, or the timer has expired.
    #[inline]
    pub(crate) fn wait_to_read(&mut self, id: SocketId, context: &Context<'_>) {
        if let Some(entry) = self.entry(id) {
            register(&mut entry.reader, context);
        }
    }

    /// Has the task woken when there is room, or the connection has opened or failed.
    #[inline]
    pub(crate) fn wait_to_write(&mut self, id: SocketId, context: &Context<'_>) {
        if let Some(entry) = self.entry(id) {
            register(&mut entry.writer, context);
        }
    }

    /// Has the task woken when the listener with this key has a connection.
    pub(crate) fn wait_to_accept(&mut self, key: ListenerKey, context: &Context<'_>) {
        let waker = context.waker();
        let is_same = |known: &Acceptor| known.key == key && known.waker.will_wake(waker);
        if self.acceptors.iter().any(is_same) {
            return;
        }
        let acceptor = Acceptor {
            key,
            waker: waker.clone(),
        };
        if let Err(acceptor) = self.acceptors.push(acceptor) {
            // Some may have gone without a word. Those that have not come back.
            while let Some(other) = self.acceptors.pop() {
                other.waker.wake();
            }
            let _ = self.acceptors.push(acceptor);
        }
    }

    /// Takes the connection that has waited longest for a task, of the listener with this key.
    pub(crate) fn take_accepted(&mut self, key: ListenerKey) -> Option<SocketId> {
        let (mut at, _) = self.accepted?;
        // Each is in the list once, so that this ends.
        for _ in 0..self.waiters.len() {
            let State::Accepted { key: own, next } = self.entry(at)?.state else {
                return None;
            };
            if own == key {
                self.unlink(at);
                self.entry(at)?.state = State::Open;
                return Some(at);
            }
            at = self.id_at(next)?;
        }
        None
    }

    /// Notes a connection that waits for a task, and wakes those that wait for one.
    fn accepted(&mut self, id: SocketId, key: ListenerKey) -> Result<(), Error> {
        self.begin(id, State::Accepted { key, next: NONE })?;
        self.accepted = match self.accepted {
            None => Some((id, id)),
            Some((first, last)) => {
                self.link(last, id.index());
                Some((first, id))
            }
        };
        // All of them: one that has been cancelled would not pass it on.
        let mut index = 0_usize;
        while let Some(acceptor) = self.acceptors.get(index) {
            if acceptor.key == key {
                self.acceptors.swap_remove(index).waker.wake();
            } else {
                index = index.saturating_add(1);
            }
        }
        Ok(())
    }

    /// Takes a connection out of the list of those that wait for a task.
    fn unlink(&mut self, id: SocketId) {
        let Some((first, last)) = self.accepted else {
            return;
        };
        let next = self.next_of(id);
        self.link(id, NONE);
        if first == id {
            self.accepted = self.id_at(next).map(|next| (next, last));
            return;
        }
        let mut at = first;
        for _ in 0..self.waiters.len() {
            let behind = self.next_of(at);
            if behind == id.index() {
                self.link(at, next);
                if last == id {
                    self.accepted = Some((first, at));
                }
                return;
            }
            match self.id_at(behind) {
                Some(behind) => at = behind,
                None => return,
            }
        }
    }

    /// Returns the entry behind a connection that no task has taken.
    fn next_of(&mut self, id: SocketId) -> u32 {
        match self.state(id) {
            Some(State::Accepted { next, .. }) => next,
            _ => NONE,
        }
    }

    /// Puts an entry behind a connection that no task has taken.
    fn link(&mut self, id: SocketId, to: u32) {
        let state = self.entry(id).map(|entry| &mut entry.state);
        if let Some(State::Accepted { next, .. }) = state {
            *next = to;
        }
    }

    /// Returns what an entry is about.
    fn id_at(&self, index: u32) -> Option<SocketId> {
        let entry = self.waiters.get(usize::try_from(index).ok()?)?;
        let upper = u64::from(entry.generation) << u32::BITS;
        SocketId::from_bits(upper | u64::from(index))
    }

    #[inline]
    fn entry(&mut self, id: SocketId) -> Option<&mut Waiters> {
        id.entry(self.waiters)
            .filter(|entry| entry.generation == generation(id))
    }
}

/// Returns the upper half of an id.
fn generation(id: SocketId) -> u32 {
    u32::try_from(id.to_bits() >> u32::BITS).unwrap_or_default()
}

impl<P: Platform> Handler<P> for Tasks<'_> {
    type Ext = ();
    type Context = ListenerKey;

    fn on_open(&mut self, socket: &mut Socket<'_, P, Self>, opened: Opened<ListenerKey>) {
        let id = socket.id();
        socket.set_pull(true);
        match opened {
            Opened::Accepted { context, .. } => {
                if self.accepted(id, context).is_err() {
                    // The table is shorter than the pool.
                    socket.abort(0);
                }
            }
            _ => {
                if let Some(entry) = self.entry(id) {
                    entry.state = State::Open;
                    wake(&mut entry.writer);
                }
            }
        }
    }

    fn on_data(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut (), _: &mut [u8]) {
        // Sockets are read on demand from the start: this does not happen, and if it did, a
        // stream with a gap would be worse than none.
        socket.abort(0);
    }

    #[inline]
    fn on_readable(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        let id = socket.id();
        if let Some(entry) = self.entry(id) {
            wake(&mut entry.reader);
            if entry.writer.is_some() && socket.net().failure(id).is_some() {
                // There will be no room any more.
                wake(&mut entry.writer);
            }
        }
    }

    fn on_writable(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        if let Some(entry) = self.entry(socket.id()) {
            wake(&mut entry.writer);
        }
    }

    fn on_end(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut ()) {
        // Our direction is the task's to end.
        if let Some(entry) = self.entry(socket.id()) {
            wake(&mut entry.reader);
        }
    }

    fn on_close(&mut self, socket: &mut Socket<'_, P, Self>, (): &mut (), closed: Closed) {
        let id = socket.id();
        match self.state(id) {
            None => {}
            Some(State::Accepted { .. }) => {
                self.unlink(id);
                self.end(id);
            }
            Some(_) => {
                if let Some(entry) = self.entry(id) {
                    if !matches!(entry.state, State::Closed(_)) {
                        entry.state = State::Closed(closed);
                    }
                    entry.wake_all();
                }
            }
        }
    }

    fn on_connect_error(&mut self, socket: &mut Socket<'_, P, Self>, _: ListenerKey, error: Error) {
        if let Some(entry) = self.entry(socket.id()) {
            entry.state = State::Closed(Closed::Failed(error));
            entry.wake_all();
        }
    }

    fn on_accept_error(&mut self, _: &mut AllSockets<'_, P, Self>, _: ListenerId, _: Error) {
        // The listener goes on by itself when there is a slot again.
    }

    fn on_timer(&mut self, _: &mut AllSockets<'_, P, Self>, timer: TimerId, _: u32) {
        if let Some(entry) = self.entry(timer.into()) {
            entry.state = State::Expired;
            wake(&mut entry.reader);
        }
    }
}

#[inline]
fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

#[inline]
fn register(place: &mut Option<Waker>, context: &Context<'_>) {
    match place {
        Some(known) if known.will_wake(context.waker()) => {}
        _ => *place = Some(context.waker().clone()),
    }
}
