//! Ending, closing and resetting connections.

use crate::closed::Closed;
use crate::error::Error;
use crate::id::SocketId;
use crate::injected_bug::injected_bug;
use crate::platform::{Platform, Progress};
use crate::pool::flags::{Flags, Phase};
use crate::pool::slot::{Slot, find, find_connection, find_known};
use crate::sockets::Net;
use crate::sockets::send::mark_broken;
use crate::time::Duration;

/// Time a layer has to send what it still holds of a closed socket.
const LINGER_MAX: Duration = Duration::from_secs(30);

impl<P: Platform, C: Copy + PartialEq> Net<'_, P, C> {
    /// Ends our direction of the stream after everything taken so far; the peer may still send.
    /// The socket closes, with [`Closed::Finished`], when both directions have ended.
    pub fn finish(&mut self, id: SocketId) {
        let Some(slot) = find(self.slots, id) else {
            return;
        };
        if slot.phase() != Phase::Open || slot.flags.any(Flags::FINISHED) {
            return;
        }
        slot.flags.set(Flags::FINISHED);
        if self.state.cork.holder == Some(id) && !self.flush_and_uncork(id) {
            if let Some(slot) = find(self.slots, id) {
                slot.flags.set(Flags::FINISHING);
            }
            return;
        }
        self.finish_now(id);
    }

    /// Hands our end to the platform.
    pub(crate) fn finish_now(&mut self, id: SocketId) {
        let Some(slot) = find_known(self.slots, id) else {
            return;
        };
        if slot.phase() != Phase::Open {
            return;
        }
        let ended = slot.flags.any(Flags::END_READ);
        if ended && !P::HOLDS_OUTPUT {
            // Closing sends the FIN as well, in one call instead of two.
            return self.end(id, Closed::Finished);
        }
        match self.platform.finish(&mut slot.socket) {
            Ok(Progress::Done) if ended => self.end(id, Closed::Finished),
            Ok(Progress::Done) => slot.flags.clear(Flags::FINISHING),
            Ok(Progress::Pending | Progress::Again) => slot.flags.set(Flags::FINISHING),
            Err(error) => self.fail(id, error),
        }
    }

    /// Has the loop end in order, within this time.
    ///
    /// First every connection that waits is accepted, and what has arrived is delivered, until for
    /// 10 ms nothing has come and no handshake is under way, but for at most half a second. Then
    /// listeners stop, and each open connection gets its `on_drain`, in which it ends or notes that
    /// it is to. One whose handshake takes longer gets it some 10 ms after its `on_open`, when what
    /// came with the handshake's end has been read; if there are many at once, others that have not
    /// ended their direction get it again. Datagram sockets and what the program connects meanwhile
    /// are the program's to end. What is left of all these when the time is over closes with
    /// [`Closed::TimedOut`], and what is not open yet without a call. Timers and foreign
    /// descriptors stay; without any [`Loop::run`](crate::Loop::run) returns.
    ///
    /// Takes no slot. Called again, it replaces the time: zero closes everything in the next
    /// iteration.
    pub fn drain(&mut self, within: Duration) {
        let now = self.now();
        let ends_at = now.saturating_add(within).as_micros();
        let stats = self.state.stats;
        self.state.drain.start(now.as_micros(), ends_at, &stats);
        self.state.has_end_work = true;
    }

    /// Returns true once [`Self::drain`] has been called.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.state.drain.is_on()
    }

    /// Closes a connection of any state, or a datagram socket. An open one gets its `on_close`,
    /// with [`Closed::Local`] 0, after the running call.
    ///
    /// What was taken for sending is still delivered as far as the platform can, but not what a
    /// cork still holds when the platform does not take it at once. A layer that holds some, such
    /// as TLS, keeps the slot for that, for at most 30 s. If received bytes were not
    /// read yet, the peer may get a reset that overtakes what was sent (RFC 2525, section 2.17);
    /// to end after everything, use [`Self::finish`].
    pub fn close(&mut self, id: SocketId) {
        self.close_with(id, 0);
    }

    /// Closes a connection as [`Self::close`] does, with [`Closed::Local`] and this code.
    pub fn close_with(&mut self, id: SocketId, code: u16) {
        self.end(id, Closed::Local(code));
    }

    /// Resets a connection (RST; RFC 9293, section 3.10.5) and drops what was not sent. Otherwise
    /// as [`Self::close_with`].
    pub fn abort(&mut self, id: SocketId, code: u16) {
        let Some(slot) = find_connection(self.slots, id) else {
            return;
        };
        self.platform.abort(&mut slot.socket);
        if injected_bug!(LingerAfterAbort) {
            let _ = self.platform.linger(&mut slot.socket);
        }
        let was_opened = slot.is_opened();
        self.discard_cork(id);
        if was_opened {
            self.close_slot(id, Phase::Closing, Closed::Local(code));
        } else {
            self.state.give_back(self.slots, id);
        }
    }

    /// Ends a connection of any state, with a reason.
    pub(crate) fn end(&mut self, id: SocketId, closed: Closed) {
        let Some(slot) = find_connection(self.slots, id) else {
            return;
        };
        if !slot.is_opened() {
            return self.release(id);
        }
        let in_order = !matches!(closed, Closed::Failed(_));
        if in_order && self.state.cork.holder == Some(id) {
            // What it holds was counted as taken.
            let _ = self.flush_and_uncork(id);
        }
        self.discard_cork(id);
        let Some(slot) = find(self.slots, id) else {
            return;
        };
        let may_hold = P::HOLDS_OUTPUT && matches!(closed, Closed::Local(_) | Closed::TimedOut);
        let phase = if may_hold && self.platform.linger(&mut slot.socket) {
            Phase::ClosingHeld
        } else {
            self.platform.close(&mut slot.socket);
            Phase::Closing
        };
        self.close_slot(id, phase, closed);
    }

    /// Has the `on_close` of an open socket made.
    fn close_slot(&mut self, id: SocketId, phase: Phase, closed: Closed) {
        self.state.stats.open = self.state.stats.open.wrapping_sub(1);
        self.state.close(self.slots, id, phase, closed.to_bits());
    }

    /// Leaves a socket, whose `on_close` is being made, to the layer that still sends.
    pub(crate) fn linger(&mut self, id: SocketId) {
        let deadline = self.now().saturating_add(LINGER_MAX).as_micros();
        if let Some(slot) = find_known(self.slots, id) {
            slot.enter(Phase::Lingering, 0);
            self.state.wheel.set(self.slots, id.index(), deadline);
        }
    }

    /// Closes what gets no `on_close`, and gives its slot back.
    pub(crate) fn release(&mut self, id: SocketId) {
        if let Some(slot) = find_known(self.slots, id) {
            self.platform.close(&mut slot.socket);
            self.state.give_back(self.slots, id);
        }
    }

    /// Notes that an open connection broke. What came before is delivered in the next iteration,
    /// and then it closes.
    pub(crate) fn fail(&mut self, id: SocketId, error: Error) {
        if let Some(slot) = find(self.slots, id)
            && slot.phase() == Phase::Open
        {
            mark_broken(slot, self.state, id, error);
        }
    }

    /// Asks the platform why an open connection broke that is not read to its end. Returns
    /// true if it did break.
    pub(crate) fn check_broken(&mut self, id: SocketId) -> bool {
        let Some(slot) = find_known(self.slots, id) else {
            return false;
        };
        slot.flags.clear(Flags::FAILED);
        let Some(error) = self.platform.take_error(&mut slot.socket) else {
            return false;
        };
        if slot.flags.any(Flags::END_READ) {
            // Everything has been read.
            self.end(id, Closed::Failed(error));
        } else {
            self.fail(id, error);
        }
        true
    }
}

/// Returns true if the socket closes as soon as a layer has sent our end.
pub(crate) fn is_finishing<S, C>(slot: &Slot<S, C>) -> bool {
    let both = Flags::FINISHING.with(Flags::END_READ);
    slot.flags.only(both, both)
}
