//! One iteration: wait, then make all calls that are due.

pub(crate) mod accept;
mod dispatch;
mod evict;

use crate::error::Error;
use crate::event_loop::evict::Idle;
use crate::handler::Handler;
use crate::id::SocketId;
use crate::platform::{Platform, Readiness, Ready};
use crate::pool::flags::{Flags, Phase};
use crate::pool::wheel::NEVER;
use crate::pool::{Lists, Place, Slot, Sockets, at, name};
use crate::sockets::Net;
use crate::sockets::socket::{AllSockets, Socket};
use crate::stats::Stats;
use crate::time::Instant;

/// Slots of the timing wheel looked at per iteration.
const EXPIRIES_MAX: u32 = 4096;

/// One platform, one pool of sockets and one receive buffer, driven by one thread.
pub struct Loop<'s, P: Platform, H: Handler<P>> {
    pub(crate) platform: P,
    pub(crate) slots: &'s mut [Slot<P::Socket, H::Context>],
    pub(crate) exts: &'s mut [Place<H::Ext>],
    pub(crate) buffer: &'s mut [u8],
    pub(crate) cork: &'s mut [u8],
    pub(crate) lists: Lists,
    pub(crate) idle: Idle,
}

impl<'s, P: Platform, H: Handler<P>> Loop<'s, P, H> {
    /// Makes a loop of the caller's memory. `buffer` bounds the bytes of one `on_data`; any
    /// length from 1 works.
    #[must_use]
    pub fn new<const N: usize>(
        platform: P,
        sockets: &'s mut Sockets<P, H, N>,
        buffer: &'s mut [u8],
    ) -> Self {
        let lists = Lists::new(platform.now().as_micros(), buffer.is_empty());
        let Sockets { slots, exts } = sockets;
        Self {
            platform,
            slots,
            exts,
            buffer,
            cork: &mut [],
            lists,
            idle: Idle::default(),
        }
    }

    /// Adds the memory that [`Net::cork`] holds bytes in.
    #[must_use]
    pub fn with_cork(mut self, buffer: &'s mut [u8]) -> Self {
        self.cork = buffer;
        self
    }

    /// Returns every socket, by name, between iterations.
    pub fn net(&mut self) -> Net<'_, P, H::Context> {
        self.lists.free_retired(self.slots);
        self.lists.now = None;
        Net {
            platform: &mut self.platform,
            slots: self.slots,
            lists: &mut self.lists,
            cork: &mut self.cork,
        }
    }

    /// Returns every socket and its data, between iterations.
    pub fn all_sockets(&mut self) -> AllSockets<'_, P, H> {
        self.lists.free_retired(self.slots);
        self.lists.now = None;
        self.all_sockets_now()
    }

    /// Runs iterations until nothing is left that could make a call: no connection, no listener,
    /// no timer.
    ///
    /// # Errors
    /// As [`Self::poll`].
    pub fn run(&mut self, handler: &mut H) -> Result<(), Error> {
        while self.lists.stats.in_use > 0 {
            self.poll(handler, None)?;
        }
        Ok(())
    }

    /// Runs one iteration: waits until something is to be done, but not past `until`, then makes
    /// all calls that are due. `Some(Instant::ZERO)` does not wait.
    ///
    /// # Errors
    /// What [`Platform::poll`] says, and [`Error::Invalid`] if the receive buffer is empty.
    pub fn poll(&mut self, handler: &mut H, until: Option<Instant>) -> Result<(), Error> {
        // The program may have waited elsewhere since.
        self.lists.now = None;
        handler.before_wait(&mut self.all_sockets_now());
        self.settle(handler)?;
        self.platform.poll(self.wait_until(until))?;
        self.lists.now = None;
        self.lists.stats.iterations = self.lists.stats.iterations.wrapping_add(1);
        if self.platform.woken() {
            handler.on_wake(&mut self.all_sockets_now());
            self.drain_closing(handler);
        }
        self.dispatch_all(handler);
        if self.lists.wheel.next_micros() != NEVER {
            self.expire(handler);
        }
        handler.after_dispatch(&mut self.all_sockets_now());
        self.settle(handler)
    }

    /// Returns when the loop next has something to do by itself, for programs that wait
    /// elsewhere: call [`Self::poll`] then, or when the platform has something. May be earlier
    /// than anything is due; `None` when nothing ever is; in the past when something is now.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        if self.lists.unsettled && self.can_settle() {
            return Some(Instant::ZERO);
        }
        self.own_deadline()
    }

    /// Whether what was done between iterations waits for the next: a cork that may go out, or a
    /// slot for a paused listener.
    fn can_settle(&self) -> bool {
        let freed = self.lists.freed || self.lists.retired.head != 0;
        let corked = self.lists.corked.is_some_and(|id| {
            let slot = self.slots.get(at(id.index()));
            slot.is_some_and(|slot| !slot.flags.any(Flags::BLOCKED))
        });
        corked || (freed && self.lists.wheel.has_paused())
    }

    /// When the loop next has something to do, once it has settled.
    fn own_deadline(&self) -> Option<Instant> {
        if self.lists.run | self.lists.closing.head != 0 {
            return Some(Instant::ZERO);
        }
        let own = match self.lists.wheel.next_micros().min(self.lists.retry) {
            NEVER => None,
            micros => Some(Instant::from_micros(micros)),
        };
        match (own, self.platform.next_deadline()) {
            (Some(own), Some(platforms)) => Some(own.min(platforms)),
            (own, platforms) => own.or(platforms),
        }
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
        self.lists.stats
    }

    fn wait_until(&self, until: Option<Instant>) -> Option<Instant> {
        match (self.own_deadline(), until) {
            (Some(own), Some(until)) => Some(own.min(until)),
            (own, until) => own.or(until),
        }
    }

    /// Makes the `on_close` calls that are due, frees their slots, sends what is corked, and lets
    /// listeners that waited for a slot go on.
    #[inline]
    fn settle(&mut self, handler: &mut H) -> Result<(), Error> {
        if self.lists.unsettled {
            return self.settle_now(handler);
        }
        Ok(())
    }

    #[cold]
    #[inline(never)]
    fn settle_now(&mut self, handler: &mut H) -> Result<(), Error> {
        // A loop without a buffer never settles, so that the usual iteration need not look.
        if self.buffer.is_empty() {
            return Err(Error::Invalid);
        }
        self.drain_closing(handler);
        // After the last calls of this iteration, which may cork.
        if let Some(corked) = self.lists.corked {
            let _ = self.all_sockets_now().net.uncorked(corked);
        }
        self.lists.free_retired(self.slots);
        let freed = core::mem::take(&mut self.lists.freed);
        let retry =
            self.lists.retry != NEVER && self.lists.retry <= self.lists.now_micros(&self.platform);
        if retry {
            // Also when the listener that wanted it has stopped meanwhile.
            self.lists.retry = NEVER;
        }
        if (freed || retry) && self.lists.wheel.has_paused() {
            self.resume_listeners();
        }
        self.lists.unsettled = self.lists.corked.is_some() || self.lists.retry != NEVER;
        Ok(())
    }

    /// Serves what the last iteration left over, then what the platform reports.
    #[inline]
    fn dispatch_all(&mut self, handler: &mut H) {
        let first = if self.lists.start_left_over() {
            self.lists.next_left_over(self.slots)
        } else {
            None
        };
        let mut work = match first {
            Some(id) => Some((id, self.lists.come_back)),
            None => self.next_report(),
        };
        while let Some((id, readiness)) = work {
            // Two places that ask the platform cost code, but save a look at what came back.
            work = match self.dispatch(handler, id, readiness) {
                Some(id) => Some((id, self.lists.come_back)),
                None => self.next_report(),
            };
        }
    }

    #[inline(always)]
    fn next_report(&mut self) -> Option<(SocketId, Readiness)> {
        let Ready { id, readiness } = self.platform.next_ready()?;
        Some((id, readiness))
    }

    #[inline(never)]
    fn expire(&mut self, handler: &mut H) {
        let now = self.lists.now_micros(&self.platform);
        if !self.lists.wheel.advance(now) {
            return;
        }
        let mut budget = EXPIRIES_MAX;
        while let Some((index, deadline)) = self.lists.wheel.expire(self.slots, now, &mut budget) {
            if let Some(id) = name(self.slots, index) {
                self.expired(handler, id, deadline);
                self.drain_closing(handler);
            }
        }
    }

    /// Makes the `on_close` calls that are due. Ends, as each open socket closes once.
    pub(crate) fn drain_closing(&mut self, handler: &mut H) {
        while let Some(id) = self.lists.next_closing(self.slots) {
            self.closed(handler, id);
        }
    }

    /// Calls `f` with an open socket and its data.
    #[inline]
    pub(crate) fn call(
        &mut self,
        id: SocketId,
        f: impl FnOnce(&mut Socket<'_, P, H>, &mut H::Ext),
    ) {
        let Some((before, rest)) = self.exts.split_at_mut_checked(at(id.index())) else {
            return;
        };
        let Some((place, after)) = rest.split_first_mut() else {
            return;
        };
        let Some(ext) = place.as_mut() else {
            return;
        };
        let net = Net {
            platform: &mut self.platform,
            slots: self.slots,
            lists: &mut self.lists,
            cork: &mut self.cork,
        };
        let all = AllSockets { net, before, after };
        f(&mut Socket { all, id }, ext);
    }

    /// Everyone, for calls about a socket that has no data.
    pub(crate) fn all_sockets_now(&mut self) -> AllSockets<'_, P, H> {
        AllSockets {
            net: Net {
                platform: &mut self.platform,
                slots: self.slots,
                lists: &mut self.lists,
                cork: &mut self.cork,
            },
            before: self.exts,
            after: &mut [],
        }
    }
}

impl<P: Platform, H: Handler<P>> Drop for Loop<'_, P, H> {
    /// Closes everything, without calls.
    fn drop(&mut self) {
        for index in 0..self.lists.high_water {
            let (Some(slot), Some(place)) =
                (self.slots.get_mut(at(index)), self.exts.get_mut(at(index)))
            else {
                return;
            };
            if slot.phase() != Phase::Free {
                self.platform.close(&mut slot.socket);
                slot.generation = slot.generation.wrapping_add(1);
                slot.set_phase(Phase::Free);
            }
            slot.flags.clear(Flags::QUEUED);
            *place = Place::Vacant;
        }
    }
}
