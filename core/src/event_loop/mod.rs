//! One iteration: wait, then make all calls that are due.
//!
//! | file | what it has |
//! |---|---|
//! | `mod.rs` | [`Loop`], and an iteration from its beginning to its end |
//! | `state.rs` | what a loop keeps besides its slots |
//! | `dispatch.rs` | one report, from its first consequence to its last |
//! | `opening.rs` | connections that open, or do not |
//! | `accept.rs` | taking connections, and who gets a slot when there are too few |
//! | `evict.rs` | the idlest socket |
//! | `deadlines.rs` | timeouts and timers that are due |
//! | `check.rs` | every list and count, checked after each iteration in tests |
//! | `recover.rs` | going on after a handler call unwound |
//! | `drain.rs` | ending in order, step by step |
//! | `drain_state.rs` | how far that has come |
//! | `search.rs` | copies of a loop, and fingerprints of its state, for a search |
//! | `descriptor.rs` | the descriptor of a loop, for the event loops of other libraries |

mod accept;
mod check;
mod deadlines;
#[cfg(all(feature = "std", unix))]
mod descriptor;
mod dispatch;
mod drain;
pub(crate) mod drain_state;
mod evict;
mod opening;
mod recover;
#[cfg(feature = "search")]
pub(crate) mod search;
pub(crate) mod state;

use crate::error::Error;
use crate::event_loop::evict::Idle;
use crate::event_loop::state::{State, UNWINDS, Work};
use crate::handler::Handler;
use crate::id::{SocketId, to_index};
use crate::injected_bug::injected_bug;
use crate::invariant::CHECKED;
use crate::platform::{Platform, Readiness, Ready};
use crate::pool::Sockets;
use crate::pool::flags::{Flags, Phase};
use crate::pool::slot::{Place, Slot, find};
use crate::pool::wheel::NEVER;
use crate::sockets::Net;
use crate::sockets::socket::{AllSockets, Socket};
use crate::stats::Stats;
use crate::time::Instant;

/// One platform, one pool of sockets and one receive buffer, driven by one thread at a time.
///
/// It can be sent to another thread if its parts can.
///
/// ```
/// use usockets::{Endpoint, Error, Handler, Instant, Loop, Opened, Platform, Socket, Sockets};
/// use usockets_linux::Linux;
///
/// struct Discard;
///
/// impl<P: Platform> Handler<P> for Discard {
///     type Ext = ();
///     type Context = ();
///     fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}
///     fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}
/// }
///
/// let mut sockets = Sockets::<Linux, Discard, 16>::new();
/// let mut buffer = [0; 65_536];
/// let mut server = Loop::new(Linux::new()?, &mut sockets, &mut buffer);
/// server.net().listen(Endpoint::tcp(([127, 0, 0, 1], 0).into()), ())?;
/// // `run` would serve for ever; this looks once and does not wait.
/// server.poll(&mut Discard, Some(Instant::ZERO))?;
/// assert_eq!(server.stats().iterations, 1);
/// # Ok::<(), Error>(())
/// ```
pub struct Loop<'s, P: Platform, H: Handler<P>> {
    platform: P,
    /// The pool.
    slots: &'s mut [Slot<P::Socket, H::Context>],
    /// The program's data of each slot's socket.
    exts: &'s mut [Place<H::Ext>],
    /// What `recv` fills and `on_data` lends; of every socket, one after the other.
    buffer: &'s mut [u8],
    /// What corked writes are put together in; empty without [`Self::with_cork`].
    cork: &'s mut [u8],
    /// All other state of the loop, except `idle`.
    state: State,
    /// The sockets that had been idle longest when one was last to be evicted.
    idle: Idle,
}

impl<'s, P: Platform, H: Handler<P>> Loop<'s, P, H> {
    /// Makes a loop of the caller's memory. `buffer` bounds the bytes of one `on_data`; any
    /// length from 1 works.
    ///
    /// A pool of no sockets and a buffer of no bytes do not compile:
    ///
    /// ```compile_fail
    /// # use usockets::{Error, Handler, Loop, Opened, Platform, Socket, Sockets};
    /// # use usockets_linux::Linux;
    /// # struct Ignore;
    /// # impl<P: Platform> Handler<P> for Ignore {
    /// #     type Ext = ();
    /// #     type Context = ();
    /// #     fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}
    /// #     fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}
    /// # }
    /// let mut sockets = Sockets::<Linux, Ignore, 16>::new();
    /// let mut buffer = [0; 0];
    /// let mut server = Loop::new(Linux::new()?, &mut sockets, &mut buffer);
    /// server.run(&mut Ignore)?;
    /// # Ok::<(), Error>(())
    /// ```
    #[must_use]
    pub fn new<const N: usize, const B: usize>(
        platform: P,
        sockets: &'s mut Sockets<P, H, N>,
        buffer: &'s mut [u8; B],
    ) -> Self {
        const { assert!(N > 0, "a pool of no sockets") };
        const { assert!(B > 0, "a receive buffer of no bytes") };
        let Sockets { slots, exts } = sockets;
        Self::with(platform, slots, exts, buffer)
    }

    /// Makes a loop of a receive buffer whose length is decided at run time. Otherwise as
    /// [`Self::new`].
    ///
    /// # Errors
    /// [`Error::Invalid`]: the buffer is empty.
    pub fn with_buffer<const N: usize>(
        platform: P,
        sockets: &'s mut Sockets<P, H, N>,
        buffer: &'s mut [u8],
    ) -> Result<Self, Error> {
        const { assert!(N > 0, "a pool of no sockets") };
        let Sockets { slots, exts } = sockets;
        Self::with_slices(platform, slots, exts, buffer)
    }

    /// Makes a loop of a pool whose length is decided at run time: as many sockets as the shorter
    /// of the two slices has places. [`Slot::free`] and [`Place::Vacant`] fill them.
    ///
    /// # Errors
    /// [`Error::Invalid`]: one of the slices is empty.
    ///
    /// ```
    /// use usockets::{Error, Handler, Loop, Opened, Place, Platform, Slot, Socket};
    /// use usockets_linux::Linux;
    /// # struct Ignore;
    /// # impl<P: Platform> Handler<P> for Ignore {
    /// #     type Ext = ();
    /// #     type Context = ();
    /// #     fn on_open(&mut self, _: &mut Socket<'_, P, Self>, _: Opened<()>) {}
    /// #     fn on_data(&mut self, _: &mut Socket<'_, P, Self>, _: &mut (), _: &mut [u8]) {}
    /// # }
    ///
    /// let count = 1_000; // From a configuration file.
    /// let mut slots: Vec<_> = (0..count).map(|_| Slot::free(Linux::CLOSED)).collect();
    /// let mut data: Vec<_> = (0..count).map(|_| Place::Vacant).collect();
    /// let mut buffer = vec![0; 65_536];
    /// let server = Loop::with_slices(Linux::new()?, &mut slots, &mut data, &mut buffer)?;
    /// # let _: Loop<'_, Linux, Ignore> = server;
    /// # Ok::<(), Error>(())
    /// ```
    pub fn with_slices(
        platform: P,
        slots: &'s mut [Slot<P::Socket, H::Context>],
        data: &'s mut [Place<H::Ext>],
        buffer: &'s mut [u8],
    ) -> Result<Self, Error> {
        if slots.is_empty() || data.is_empty() || buffer.is_empty() {
            return Err(Error::Invalid);
        }
        Ok(Self::with(platform, slots, data, buffer))
    }

    /// Makes a loop of slices that are not empty.
    fn with(
        platform: P,
        slots: &'s mut [Slot<P::Socket, H::Context>],
        data: &'s mut [Place<H::Ext>],
        buffer: &'s mut [u8],
    ) -> Self {
        let len = slots.len().min(data.len()).min(POOL_MAX);
        let state = State::new(platform.now().as_micros());
        let slots = slots.get_mut(..len).unwrap_or_default();
        let exts = data.get_mut(..len).unwrap_or_default();
        clear_used::<P, H>(slots, exts);
        Self {
            platform,
            slots,
            exts,
            buffer,
            cork: &mut [],
            state,
            idle: Idle::default(),
        }
    }

    /// Adds the memory that [`Net::cork`] holds bytes in. A loop that corks already keeps what it
    /// has if the new memory is too short for the bytes in it.
    #[must_use]
    pub fn with_cork(mut self, buffer: &'s mut [u8]) -> Self {
        let held = self.cork.get(..self.state.cork.len).unwrap_or_default();
        if let Some(place) = buffer.get_mut(..held.len()) {
            place.copy_from_slice(held);
            self.cork = buffer;
        }
        self
    }

    /// Returns every socket, by id, between iterations.
    pub fn net(&mut self) -> Net<'_, P, H::Context> {
        self.state.clock.expire();
        self.net_now()
    }

    /// Returns every socket and its data, between iterations.
    pub fn all_sockets(&mut self) -> AllSockets<'_, P, H> {
        self.state.clock.expire();
        self.all_sockets_now()
    }

    /// Runs iterations until nothing is left that could make a call: no connection, no listener,
    /// no timer. Goes on even so while [`Net::keep_alive`] asks for it, as a program does that
    /// only waits for another thread to wake the loop.
    ///
    /// # Errors
    /// As [`Self::poll`].
    pub fn run(&mut self, handler: &mut H) -> Result<(), Error> {
        while self.state.in_use() > 0 || self.state.keep_alive {
            self.poll(handler, None)?;
        }
        Ok(())
    }

    /// Runs one iteration: waits until something is to be done, but not past `until`, then makes
    /// all calls that are due. `Some(Instant::ZERO)` does not wait.
    ///
    /// # Errors
    /// What [`Platform::poll`] says.
    pub fn poll(&mut self, handler: &mut H, until: Option<Instant>) -> Result<(), Error> {
        // 1. What is due before the wait. The program may have waited elsewhere since.
        self.state.clock.expire();
        handler.before_wait(&mut self.all_sockets_now());
        let mut is_cut = false;
        let own = if self.state.has_end_work {
            self.do_end_work(handler);
            is_cut = UNWINDS && self.state.has_reports;
            self.end_work_deadline()
        } else {
            self.usual_deadline()
        };
        // 2. The wait; none if a call unwound before the reports of the last one were all taken.
        if is_cut {
            self.recover();
        } else {
            self.platform.poll(earliest(deadline(own), until))?;
        }
        // 3. and 4., which are `serve`.
        let unserved = Unserved(self);
        unserved.0.serve(handler);
        core::mem::forget(unserved);
        // 5. Deadlines.
        if self.state.wheel.next_micros() != NEVER && self.has_expired() {
            self.expire_deadlines(handler);
        }
        // 6. The end.
        handler.after_dispatch(&mut self.all_sockets_now());
        self.end_iteration(handler);
        if CHECKED {
            self.state.check(self.slots);
        }
        Ok(())
    }

    /// Serves what the wait brought and what was left before it.
    #[inline(always)]
    fn serve(&mut self, handler: &mut H) {
        self.state.clock.expire();
        self.state.stats.iterations = self.state.stats.iterations.wrapping_add(1);
        handler.after_wait(&mut self.all_sockets_now());
        // 3. Wake-ups from elsewhere.
        if self.platform.woken() {
            handler.on_wake(&mut self.all_sockets_now());
            self.report_closes(handler);
        }
        // 4. What the last iteration left, and what the platform reports.
        self.state.run_queue.begin_iteration();
        let mut is_served = false;
        while let Some(work) = self.next_work(is_served) {
            is_served = self.dispatch(handler, work);
        }
    }

    /// Returns when the loop next has something to do by itself, for programs that wait
    /// elsewhere: call [`Self::poll`] then, or when the platform has something. May be earlier
    /// than anything is due; `None` when nothing ever is; in the past when something is now.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if UNWINDS && self.state.has_reports || self.has_end_work_now() {
            return Some(Instant::ZERO);
        }
        earliest(deadline(self.own_deadline()), self.platform.next_deadline())
    }

    /// Returns how long a program that waits elsewhere may wait, measured on the platform's clock
    /// now: zero when something is to be done, `None` when nothing ever is. See
    /// [`Self::next_deadline`].
    #[must_use]
    pub fn next_wait(&self) -> Option<crate::time::Duration> {
        let deadline = self.next_deadline()?;
        Some(deadline.saturating_since(self.platform.now()))
    }

    /// Returns true if what was done between iterations waits for the next: a cork that may go out,
    /// or a slot for a listener.
    fn has_end_work_now(&self) -> bool {
        if !self.state.has_end_work {
            return false;
        }
        let corked = self.state.cork.holder.is_some_and(|id| {
            let slot = self.slots.get(to_index(id.index()));
            slot.is_some_and(|slot| !slot.flags.any(Flags::BLOCKED) && slot.phase() == Phase::Open)
        });
        corked || self.state.waiting.has_next()
    }

    /// Returns when the loop next has something to do, once an iteration has ended. The platform's
    /// own deadlines are not among it: it minds them while it waits.
    fn own_deadline(&self) -> u64 {
        if self.state.has_end_work {
            self.end_work_deadline()
        } else {
            self.usual_deadline()
        }
    }

    /// As [`Self::own_deadline`], while there is no work at the end of iterations.
    #[inline]
    const fn usual_deadline(&self) -> u64 {
        if self.state.run_queue.has_next() {
            return 0;
        }
        self.state.wheel.next_micros()
    }

    /// As [`Self::own_deadline`], while there may be work at the end of iterations: a close that is
    /// due, a retry by the clock and draining all are.
    #[cold]
    #[inline(never)]
    fn end_work_deadline(&self) -> u64 {
        if self.state.run_queue.has_next() || !self.state.closing.is_empty() {
            return 0;
        }
        self.state
            .wheel
            .next_micros()
            .min(self.state.waiting.retry())
            .min(self.state.drain.due())
    }

    /// Returns the platform, between iterations.
    pub const fn platform_mut(&mut self) -> &mut P {
        &mut self.platform
    }

    /// Returns the platform.
    #[must_use]
    pub const fn platform(&self) -> &P {
        &self.platform
    }

    /// Returns what the loop did so far.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.state.stats()
    }

    /// Takes what is to be dispatched next: a socket that is to be read again, what the last
    /// iteration left, then what the platform reports. `is_served` is what
    /// `dispatch` returned last: then it is surely a report.
    #[inline(always)]
    fn next_work(&mut self, is_served: bool) -> Option<Work> {
        if !is_served
            && self.state.has_own_work()
            && let Some(work) = self.next_own_work()
        {
            return Some(work);
        }
        if injected_bug!(ReportLeft) && is_served {
            return None;
        }
        let Ready { id, readiness } = self.platform.next_ready()?;
        Some(Work { id, readiness })
    }

    /// Takes what is to be served before the platform's next report: the socket that is to be read
    /// again, or one that the last iteration left.
    #[cold]
    #[inline(never)]
    fn next_own_work(&mut self) -> Option<Work> {
        let again = self.state.turn.next.take();
        let (id, readiness) = match self.state.turn.id.zip(again) {
            Some(again) => again,
            None => (self.state.run_queue.pop(self.slots)?, Readiness::NONE),
        };
        Some(Work { id, readiness })
    }

    /// Makes the `on_close` calls that are due, sends what is corked, and lets a listener that
    /// waited for a slot go on.
    #[inline]
    fn end_iteration(&mut self, handler: &mut H) {
        if self.state.has_end_work {
            self.do_end_work(handler);
        }
    }

    #[cold]
    #[inline(never)]
    fn do_end_work(&mut self, handler: &mut H) {
        if let Some(index) = self.state.half_done.closing.take() {
            self.drop_ext(index);
        }
        self.report_closes(handler);
        // After the last calls of this iteration, which may cork.
        if let Some(holder) = self.state.cork.holder {
            let _ = self.net_now().flush_and_uncork(holder);
        }
        let retry = self.state.waiting.retry();
        if retry != NEVER && retry <= self.state.now_micros(&self.platform) {
            self.state.waiting.retry_now();
        }
        if self.state.waiting.has_next() && !self.state.waiting.is_any_trying() {
            self.resume_listener();
        }
        if self.state.drain.has_work() {
            self.drain(handler);
        }
        let waits = self.state.waiting.has_next() || self.state.waiting.retry() != NEVER;
        let is_draining = self.state.drain.has_work();
        self.state.has_end_work = waits || is_draining || self.state.cork.holder.is_some();
    }

    /// Calls `f` with a socket and its data.
    #[inline]
    fn call(&mut self, id: SocketId, f: impl FnOnce(&mut Socket<'_, P, H>, &mut H::Ext)) {
        if let Some((mut socket, ext)) = self.at_hand(id) {
            f(&mut socket, ext);
        }
    }

    /// Returns a socket and its data. In the program once where flash is short.
    #[cfg_attr(not(target_os = "none"), inline)]
    #[cfg_attr(target_os = "none", inline(never))]
    fn at_hand(&mut self, id: SocketId) -> Option<(Socket<'_, P, H>, &mut H::Ext)> {
        let Some((Place::Occupied(ext), before, after)) = split_around(self.exts, id) else {
            return None;
        };
        let net = Net {
            platform: &mut self.platform,
            slots: self.slots,
            state: &mut self.state,
            cork: &mut self.cork,
        };
        let all = AllSockets {
            net,
            before,
            after,
            kept_context: None,
        };
        Some((Socket::new(all, id), ext))
    }

    /// Returns every socket, within an iteration.
    #[cfg_attr(target_os = "none", inline(never))]
    fn net_now(&mut self) -> Net<'_, P, H::Context> {
        Net {
            platform: &mut self.platform,
            slots: self.slots,
            state: &mut self.state,
            cork: &mut self.cork,
        }
    }

    /// Returns every socket and its data, within an iteration.
    fn all_sockets_now(&mut self) -> AllSockets<'_, P, H> {
        AllSockets {
            net: Net {
                platform: &mut self.platform,
                slots: self.slots,
                state: &mut self.state,
                cork: &mut self.cork,
            },
            before: self.exts,
            after: &mut [],
            kept_context: None,
        }
    }

    /// Queues a socket for the next iteration.
    fn serve_later(&mut self, id: SocketId) {
        self.state.run_queue.push(self.slots, id);
    }

    /// Returns the phase of what has this id; [`Phase::Free`] if it is stale.
    fn phase(&mut self, id: SocketId) -> Phase {
        find(self.slots, id).map_or(Phase::Free, |slot| slot.phase())
    }
}

impl<P: Platform, H: Handler<P>> Drop for Loop<'_, P, H> {
    /// Closes everything, without calls.
    fn drop(&mut self) {
        let used = to_index(self.state.free_list.high_water);
        for (slot, place) in self.slots.iter_mut().zip(self.exts.iter_mut()).take(used) {
            if !matches!(slot.phase(), Phase::Free | Phase::Timer | Phase::Closing) {
                self.platform.close(&mut slot.socket);
            }
            if slot.phase() != Phase::Free {
                slot.generation = slot.generation.wrapping_add(1);
                slot.enter(Phase::Free, 0);
            }
            slot.bucket = 0;
            slot.flags.clear(Flags::QUEUED);
            *place = Place::Vacant;
        }
    }
}

/// Empties what a loop that was leaked left in its pool. Slots are first used in order, so the rest
/// is as new and stays untouched.
fn clear_used<P: Platform, H: Handler<P>>(
    slots: &mut [Slot<P::Socket, H::Context>],
    exts: &mut [Place<H::Ext>],
) {
    for (slot, place) in slots.iter_mut().zip(exts) {
        if slot.generation == 0 {
            return;
        }
        // Even, so that no id of that loop is good.
        slot.generation = slot.generation.wrapping_add(slot.generation & 1);
        slot.flags = Flags::NONE;
        slot.queue_next = 0;
        slot.bucket = 0;
        slot.context = Place::Vacant;
        slot.socket = P::CLOSED;
        *place = Place::Vacant;
    }
}

/// A place, those before it and those after it.
type Around<'a, T> = (&'a mut Place<T>, &'a mut [Place<T>], &'a mut [Place<T>]);

/// Returns the data of a socket apart from that of the sockets before it and after it.
#[inline]
fn split_around<T>(exts: &mut [Place<T>], id: SocketId) -> Option<Around<'_, T>> {
    // One comparison: what is split off has the place itself at its end.
    let (before, after) = exts.split_at_mut_checked(to_index(id.index()).wrapping_add(1))?;
    let (ext, before) = before.split_last_mut()?;
    Some((ext, before, after))
}

/// Most slots of a pool: an index plus one fits 32 bits.
const POOL_MAX: usize = 0xffff_fffe;

/// Notes that reports are left, if a call unwinds while they are served. So the iterations that end
/// as they should, all others, note nothing.
struct Unserved<'l, 's, P: Platform, H: Handler<P>>(&'l mut Loop<'s, P, H>);

impl<P: Platform, H: Handler<P>> Drop for Unserved<'_, '_, P, H> {
    fn drop(&mut self) {
        self.0.state.has_reports = true;
        // Looked at first.
        self.0.state.has_end_work = true;
    }
}

/// Returns a deadline in microseconds as one that may be never.
#[inline]
fn deadline(micros: u64) -> Option<Instant> {
    (micros != NEVER).then(|| Instant::from_micros(micros))
}

/// Returns the earlier of two deadlines, where `None` is never.
#[inline]
fn earliest(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
