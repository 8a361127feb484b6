//! Every socket of a loop, by id.
//!
//! | file | what it has |
//! |---|---|
//! | `mod.rs` | [`Net`]: listening, connecting, timers, options, addresses |
//! | `send.rs` | writing |
//! | `cork.rs` | coalescing writes |
//! | `receive.rs` | pausing, and reading on demand |
//! | `close.rs` | ending, closing and resetting |
//! | `datagrams.rs` | datagram sockets |
//! | `incoming.rs` | a connection that was accepted and is not open yet |
//! | `groups.rs` | closing, counting, visiting and writing to many |
//! | `descriptors.rs` | sockets and descriptors made elsewhere |
//! | `local.rs` | Unix sockets |
//! | `socket.rs` | what a handler call can reach |

pub(crate) mod close;
pub(crate) mod cork;
pub(crate) mod datagrams;
pub(crate) mod descriptors;
pub(crate) mod groups;
pub(crate) mod incoming;
pub(crate) mod local;
pub(crate) mod receive;
pub(crate) mod send;
pub(crate) mod socket;

use core::net::SocketAddr;

use crate::address::Address;
use crate::endpoint::{Endpoint, WhenFull};
use crate::error::Error;
use crate::event_loop::state::{CorkMemory, State};
use crate::id::{ListenerId, SocketId, TimerId};
use crate::platform::{Platform, SocketOption};
use crate::pool::flags::{Flags, Phase};
use crate::pool::slot::{Place, Population, Slot, find, find_connection, find_known};
use crate::stats::Stats;
use crate::time::{Duration, Instant};

/// Time a connection has to become open, until the program sets another timeout.
pub(crate) const OPENING_MAX: Duration = Duration::from_secs(10);

/// Every socket of a loop, by id. Passed to each handler call and returned by
/// [`Loop::net`](crate::Loop::net).
///
/// An id that is stale, or of a socket in a state that makes the call meaningless, is answered
/// with 0, `None` or nothing; it never reaches another socket.
///
/// ```
/// # use usockets::{Endpoint, Error, Handler, Loop, Opened, Platform, Socket, Sockets};
/// # use usockets_linux::Linux;
/// # struct Ignore;
/// # impl<P: Platform> Handler<P> for Ignore {
/// #     type Ext = ();
/// #     type Context = u8;
/// #     fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<u8>) {}
/// #     fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}
/// # }
/// let mut sockets = Sockets::<Linux, Ignore, 2>::new();
/// let mut buffer = [0; 1024];
/// let mut server = Loop::new(Linux::new()?, &mut sockets, &mut buffer);
/// let mut net = server.net();
/// let listener = net.listen(Endpoint::tcp(([127, 0, 0, 1], 0).into()), 7)?;
/// assert!(net.listening_addr(listener).is_some_and(|addr| addr.port() > 0));
/// net.stop_listening(listener);
/// assert_eq!(net.listening_addr(listener), None);
/// # Ok::<(), Error>(())
/// ```
pub struct Net<'a, P: Platform, C> {
    pub(crate) platform: &'a mut P,
    pub(crate) slots: &'a mut [Slot<P::Socket, C>],
    pub(crate) state: &'a mut State,
    pub(crate) cork: &'a mut (dyn CorkMemory + 'a),
}

impl<P: Platform, C: Copy + PartialEq> Net<'_, P, C> {
    /// Listens at `at`. Connections open with `context`.
    ///
    /// # Errors
    /// [`Error::Full`] when no slot is free, else what [`Platform::listen`] says.
    pub fn listen(&mut self, at: Endpoint<'_>, context: C) -> Result<ListenerId, Error> {
        let id = self.claim_by(|platform, socket, id| platform.listen(socket, id, &at))?;
        if let Some(slot) = find_known(self.slots, id) {
            start_listener(slot, context, &at);
        }
        Ok(ListenerId(id))
    }

    /// Stops listening. Connections that were accepted stay; those that still wait are reset by
    /// the platform.
    pub fn stop_listening(&mut self, listener: ListenerId) {
        let id = SocketId::from(listener);
        let Some(slot) = find(self.slots, id).filter(|slot| slot.phase() == Phase::Listening)
        else {
            return;
        };
        let has_connections = slot.population().count > 0;
        if has_connections {
            let link = id.index().wrapping_add(1);
            for slot in self.slots.iter_mut() {
                if slot.listener == link {
                    slot.listener = 0;
                }
            }
        }
        self.release(id);
    }

    /// Stops taking connections from a listener, which wait in the platform's queue meanwhile,
    /// until [`Self::resume_listening`].
    pub fn pause_listening(&mut self, listener: ListenerId) {
        let id = SocketId::from(listener);
        if let Some(slot) = find(self.slots, id)
            && slot.phase() == Phase::Listening
        {
            slot.flags.set(Flags::LISTEN_PAUSED);
            // A platform that cannot hold it back reports it, and nothing comes of that.
            let muted = self.platform.set_accepting(&mut slot.socket, id, false);
            if muted.is_ok() {
                slot.flags.set(Flags::MUTED);
            }
        }
    }

    /// Takes connections from a listener again, those that have waited first.
    pub fn resume_listening(&mut self, listener: ListenerId) {
        let id = SocketId::from(listener);
        if let Some(slot) = find(self.slots, id)
            && slot.phase() == Phase::Listening
        {
            slot.flags.clear(Flags::LISTEN_PAUSED);
            slot.flags.set(Flags::READABLE);
            self.state.run_queue.push_slot(slot, id);
        }
    }

    /// Connects to `to`. Ends in `on_open`, or in `on_connect_error`, with `context`.
    ///
    /// Whatever is wrong with the peer or the way to it comes as `on_connect_error`, even if it
    /// is known at once. It has 10 s, unless [`Self::set_timeout`] gives it another time. Closing
    /// it before it opens makes no call.
    ///
    /// # Errors
    /// What is wrong here: [`Error::Full`] when no slot is free, [`Error::Exhausted`] when the
    /// platform has no descriptor or memory, an address or option that cannot be used.
    pub fn connect(&mut self, to: Endpoint<'_>, context: C) -> Result<SocketId, Error> {
        self.connect_by(context, |platform, socket, id| {
            platform.connect(socket, id, &to)
        })
    }

    /// Claims a slot in which `open` has the platform open a socket; gives it back if that fails.
    pub(crate) fn claim_by(
        &mut self,
        open: impl FnOnce(&mut P, &mut P::Socket, SocketId) -> Result<(), Error>,
    ) -> Result<SocketId, Error> {
        let id = self.state.claim(self.slots).ok_or(Error::Full)?;
        let slot = find_known(self.slots, id).ok_or(Error::Full)?;
        match open(self.platform, &mut slot.socket, id) {
            Ok(()) => Ok(id),
            Err(error) => {
                self.state.give_back(self.slots, id);
                Err(error)
            }
        }
    }

    /// Connects a socket in a slot of its own, by `connect`. What is wrong with the peer or the way
    /// to it is told in the next iteration.
    pub(crate) fn connect_by(
        &mut self,
        context: C,
        connect: impl FnOnce(&mut P, &mut P::Socket, SocketId) -> Result<(), Error>,
    ) -> Result<SocketId, Error> {
        let mut known = None;
        let id = self.claim_by(|platform, socket, id| match connect(platform, socket, id) {
            Err(error) if error.is_remote() => {
                known = Some(error);
                Ok(())
            }
            result => result,
        })?;
        if let Some(slot) = find_known(self.slots, id) {
            slot.context = Place::Occupied(context);
            slot.enter(Phase::Connecting, known.map_or(0, Error::to_bits));
        }
        match known {
            None => self.set_timeout(id, OPENING_MAX),
            Some(_) => self.state.run_queue.push(self.slots, id),
        }
        Ok(id)
    }

    /// Replaces the timeout of a connection: `on_timeout` comes once, `after` from
    /// [`Self::now`], never earlier and at most one tick of 1.024 ms later, as long as the loop
    /// keeps up. Zero disarms.
    ///
    /// To put a timeout off costs one store. For a socket that connects, it is the time it has to
    /// open.
    #[inline]
    pub fn set_timeout(&mut self, id: SocketId, after: Duration) {
        let deadline = if after.is_zero() {
            0
        } else {
            self.now().saturating_add(after).as_micros()
        };
        if find_connection(self.slots, id).is_some() {
            self.state.wheel.set(self.slots, id.index(), deadline);
        }
    }

    /// Starts a timer, which takes a slot: `on_timer` comes `after` from [`Self::now`], and then
    /// every `repeat`, in whole milliseconds from 1 to 2^32 - 1; zero means once.
    ///
    /// Never early, at most one tick of 1.024 ms late as long as the loop keeps up, and without
    /// drift.
    ///
    /// # Errors
    /// [`Error::Full`] when no slot is free.
    pub fn start_timer(&mut self, after: Duration, repeat: Duration) -> Result<TimerId, Error> {
        let id = self.state.claim(self.slots).ok_or(Error::Full)?;
        let slot = find_known(self.slots, id).ok_or(Error::Full)?;
        slot.enter(Phase::Timer, millis(repeat));
        self.arm(id, after);
        Ok(TimerId(id))
    }

    /// Starts a timer with a context, which [`AllSockets::timer_context`] returns in its
    /// `on_timer`, and with which [`Self::close_all`] and [`Self::close_where`] stop it. Otherwise
    /// as [`Self::start_timer`].
    ///
    /// [`AllSockets::timer_context`]: crate::AllSockets::timer_context
    ///
    /// # Errors
    /// As there.
    pub fn start_timer_in(
        &mut self,
        context: C,
        after: Duration,
        repeat: Duration,
    ) -> Result<TimerId, Error> {
        let timer = self.start_timer(after, repeat)?;
        if let Some(slot) = find_known(self.slots, timer.0) {
            slot.context = Place::Occupied(context);
        }
        Ok(timer)
    }

    /// Moves a timer: it is next due `after` from [`Self::now`], and then every `repeat`, as if it
    /// had been started now. Takes no other slot. Returns false if the timer is gone, as one that
    /// does not repeat is in its own `on_timer`.
    pub fn move_timer(&mut self, timer: TimerId, after: Duration, repeat: Duration) -> bool {
        let Some(slot) = find(self.slots, timer.0).filter(|slot| slot.phase() == Phase::Timer)
        else {
            return false;
        };
        slot.enter(Phase::Timer, millis(repeat));
        self.arm(timer.0, after);
        true
    }

    fn arm(&mut self, id: SocketId, after: Duration) {
        let deadline = self.now().saturating_add(after).as_micros().max(1);
        self.state.wheel.set(self.slots, id.index(), deadline);
    }

    /// Stops a timer and frees its slot. Allowed inside its own `on_timer`.
    pub fn stop_timer(&mut self, timer: TimerId) {
        if find(self.slots, timer.0).is_some_and(|slot| slot.phase() == Phase::Timer) {
            self.state.give_back(self.slots, timer.0);
        }
    }

    /// Moves a connection to another context. Its data, timeout and pending events stay.
    pub fn adopt(&mut self, id: SocketId, context: C) {
        if let Some(slot) = find_connection(self.slots, id) {
            slot.context = Place::Occupied(context);
        }
    }

    /// Returns the context of a connection.
    #[must_use]
    pub fn context(&mut self, id: SocketId) -> Option<C> {
        find_connection(self.slots, id)?.context.as_ref().copied()
    }

    /// Returns the local address of a connection or listener; `None` when it has none. On Linux a
    /// system call.
    #[must_use]
    pub fn local_addr(&mut self, id: SocketId) -> Option<Address> {
        let (platform, socket) = self.platform_socket(id)?;
        platform.local_addr(socket).ok()
    }

    /// Returns the peer's address of a connection; `None` when it is not connected. On Linux a
    /// system call.
    #[must_use]
    pub fn peer_addr(&mut self, id: SocketId) -> Option<Address> {
        let slot = find_connection(self.slots, id)?;
        self.platform.peer_addr(&slot.socket).ok()
    }

    /// Returns the name of the protocol above the transport that was agreed on with the peer
    /// (ALPN, RFC 7301), such as `h2`; empty if none.
    #[must_use]
    pub fn protocol(&mut self, id: SocketId) -> &[u8] {
        match find_connection(self.slots, id) {
            Some(slot) => self.platform.protocol(&slot.socket),
            None => &[],
        }
    }

    /// Returns the Internet address where a listener listens, with the port that the platform
    /// chose, if it did. `None` for a listener that has stopped or has another kind of address.
    #[must_use]
    pub fn listening_addr(&mut self, listener: ListenerId) -> Option<SocketAddr> {
        self.local_addr(listener.0)?.ip()
    }

    /// Changes an option of an open connection, or one that datagram sockets have too.
    ///
    /// # Errors
    /// What [`Platform::set_option`] says, and [`Error::Invalid`] for a socket that is not open.
    pub fn set_option(&mut self, id: SocketId, option: SocketOption) -> Result<(), Error> {
        let slot = find(self.slots, id)
            .filter(|slot| slot.is_opened() || slot.phase() == Phase::Bound)
            .ok_or(Error::Invalid)?;
        self.platform.set_option(&mut slot.socket, option)
    }

    /// Returns the platform together with its own state of a connection, listener or what else has
    /// this id, for what only that platform can do.
    #[must_use]
    pub fn platform_socket(&mut self, id: SocketId) -> Option<(&mut P, &mut P::Socket)> {
        let slot = find(self.slots, id)?;
        match slot.phase() {
            Phase::Free | Phase::Timer | Phase::Closing => None,
            _ => Some((self.platform, &mut slot.socket)),
        }
    }

    /// Returns whether the socket is open: after its `on_open`, until it is closed.
    #[must_use]
    pub fn is_open(&mut self, id: SocketId) -> bool {
        find(self.slots, id).is_some_and(|slot| slot.is_opened())
    }

    /// Returns the time of the running iteration: the platform's clock is read when it is first
    /// asked for, and not again before the next wait.
    #[inline]
    #[must_use]
    pub fn now(&mut self) -> Instant {
        Instant::from_micros(self.state.now_micros(self.platform))
    }

    /// Returns what the loop did so far.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.state.stats()
    }

    /// Returns the platform, for what only it can do.
    pub const fn platform_mut(&mut self) -> &mut P {
        self.platform
    }

    /// Has [`Loop::run`](crate::Loop::run) go on although no connection, listener or timer is left,
    /// because a wake-up from elsewhere is awaited. Off at first.
    pub const fn keep_alive(&mut self, on: bool) {
        self.state.keep_alive = on;
    }

    /// Returns the same sockets for a shorter time.
    ///
    /// Handing this to a function that is not inlined, or keeping a pointer to it, has only the
    /// copy in memory, and leaves the original in registers.
    #[inline]
    pub fn reborrow(&mut self) -> Net<'_, P, C> {
        Net {
            platform: self.platform,
            slots: self.slots,
            state: self.state,
            cork: self.cork,
        }
    }
}

/// Makes a slot, whose socket listens, a listener.
pub(crate) fn start_listener<S, C>(slot: &mut Slot<S, C>, context: C, at: &Endpoint<'_>) {
    slot.context = Place::Occupied(context);
    slot.enter(Phase::Listening, Admission::of(at).to_bits());
    let population = Population {
        cap: at.connections_max,
        count: 0,
    };
    slot.deadline = population.to_deadline();
}

/// A period in whole milliseconds, rounded up.
fn millis(period: Duration) -> u32 {
    u32::try_from(period.as_nanos().div_ceil(1_000_000)).unwrap_or(u32::MAX)
}

/// Under which conditions a listener takes a connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admission {
    pub(crate) when_full: WhenFull,
    /// Free slots that it leaves to others, at most 2^30 - 1.
    pub(crate) reserve: u32,
}

impl Admission {
    /// Bits of the policy, below those of the reserve.
    const POLICY: u32 = 2;

    fn of(at: &Endpoint<'_>) -> Self {
        Self {
            when_full: at.when_full,
            reserve: at.reserve.min(u32::MAX >> Self::POLICY),
        }
    }

    const fn to_bits(self) -> u32 {
        let policy = match self.when_full {
            WhenFull::Pause => 0,
            WhenFull::Refuse => 1,
            WhenFull::EvictIdle => 2,
        };
        self.reserve << Self::POLICY | policy
    }

    /// Unpacks what [`Self::to_bits`] packed.
    pub(crate) const fn from_bits(bits: u32) -> Self {
        let when_full = match bits & 3 {
            1 => WhenFull::Refuse,
            2 => WhenFull::EvictIdle,
            _ => WhenFull::Pause,
        };
        Self {
            when_full,
            reserve: bits >> Self::POLICY,
        }
    }
}
