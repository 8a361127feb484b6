//! Timeouts and timers that are due.

use core::num::NonZeroU32;

use crate::error::Error;
use crate::event_loop::Loop;
use crate::handler::Handler;
use crate::id::{SocketId, TimerId};
use crate::invariant::impossible;
use crate::platform::Platform;
use crate::pool::flags::Phase;
use crate::pool::slot::find_known;

/// Slots of the timing wheel looked at per iteration.
const EXPIRIES_MAX: u32 = 4096;

impl<P: Platform, H: Handler<P>> Loop<'_, P, H> {
    /// Moves the wheel's clock on; returns true if a deadline may be over.
    #[inline]
    pub(super) fn has_expired(&mut self) -> bool {
        let now = self.state.now_micros(&self.platform);
        self.state.wheel.advance(now)
    }

    /// Makes the calls of the deadlines that are over, up to a bound.
    #[inline(never)]
    pub(super) fn expire_deadlines(&mut self, handler: &mut H) {
        let now = self.state.now_micros(&self.platform);
        let mut budget = EXPIRIES_MAX;
        while let Some(due) = self.state.wheel.expire(self.slots, now, &mut budget) {
            let Some(generation) = NonZeroU32::new(due.generation) else {
                impossible!("what is on the wheel is in use");
                continue;
            };
            let id = SocketId::new(due.index, generation);
            if due.is_opened {
                self.call(id, |socket, ext| handler.on_timeout(socket, ext));
            } else {
                self.report_expired(handler, id, due.deadline);
            }
            self.report_closes(handler);
        }
    }

    /// Makes the call of a deadline that is over, or does what is due, where no socket is open.
    fn report_expired(&mut self, handler: &mut H, id: SocketId, deadline: u64) {
        let Some(slot) = find_known(self.slots, id) else {
            return;
        };
        match slot.phase() {
            Phase::Bound | Phase::Accepting | Phase::Connecting => {
                self.report_failed(handler, id, Error::TimedOut);
            }
            Phase::Timer => self.report_timer(handler, id, deadline),
            Phase::Lingering => self.end_lingering(id),
            Phase::Free
            | Phase::Listening
            | Phase::Open
            | Phase::Broken
            | Phase::Datagrams
            | Phase::Closing
            | Phase::ClosingHeld
            | Phase::Foreign => {
                impossible!("none of these has a deadline, or its call was made above")
            }
        }
    }

    /// Makes the call of a timer that was due at `deadline`. One that does not repeat gives its
    /// slot up before, so that another can be started in it.
    fn report_timer(&mut self, handler: &mut H, id: SocketId, deadline: u64) {
        let Some(slot) = find_known(self.slots, id) else {
            return;
        };
        let context = slot.context.as_ref().copied();
        let period = u64::from(slot.period_millis()).saturating_mul(1_000);
        let late = self
            .state
            .now_micros(&self.platform)
            .saturating_sub(deadline);
        let missed = late.checked_div(period);
        match missed {
            None => self.state.give_back(self.slots, id),
            Some(missed) => {
                // As much as it is late, and a period at most.
                let after = period.wrapping_mul(missed.wrapping_add(1));
                let next = deadline.saturating_add(after);
                self.state.wheel.set(self.slots, id.index(), next);
            }
        }
        let missed = u32::try_from(missed.unwrap_or(0)).unwrap_or(u32::MAX);
        let mut all = self.all_sockets_now();
        all.kept_context = context;
        handler.on_timer(&mut all, TimerId(id), missed);
    }
}
