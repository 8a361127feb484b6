//! Keeps senders to their congestion window, and tells it what happens.
//!
//! smoltcp sends what is in its buffer as far as the peer's window allows. So an owner's bytes are
//! let into the buffer only as far as the congestion window goes: what may not leave yet is not
//! taken yet, and the owner is told when there is room. Then there is nothing to decide when a
//! segment leaves, and nothing to do while nothing is lost but to grow.
//!
//! Where more is in the buffer than the window allows, it has left before the window shrank. After
//! a loss that acknowledgements tell of, that does no harm: only the lost segment is sent again.
//! After a timeout smoltcp would send all of it again; it is shown windows as small as the
//! congestion window until the buffer holds no more than that. (Where the device cuts segments to
//! size, the first to be sent again may be as large as the device takes them.)
//!
//! Nothing of smoltcp's tells why it sends something again. But what it sends again after three
//! duplicate acknowledgements it sends as an answer to a segment, and at a timeout to none.

use core::net::SocketAddr;

use smoltcp::wire::TcpControl;
use usockets::Duration;

use crate::number::{count, place};
use crate::smoltcp::congestion::ON;
use crate::smoltcp::cookie::Plain;
use crate::smoltcp::engine::Engine;
use crate::smoltcp::frame::{FIN, Segment};
use crate::smoltcp::ingress::WINDOW_MAX;
use crate::smoltcp::slot::{Flags, Phase, Slot, Talk, limit_of};
use crate::smoltcp::wheel::{tick_after, tick_of};

/// How long there must be nothing to send before that counts as idle, in the unit of limits:
/// 1.05 s, a little over the least that RFC 6298 lets retransmissions wait.
const IDLE_UNITS: u16 = 16;
/// When to look whether it was so long.
const IDLE: Duration = Duration::from_millis(1_200);
/// Longest reply of smoltcp's without payload.
const REPLY_MAX: usize = 128;

impl Slot<'_> {
    /// Draws the consequences of a segment that smoltcp has seen: `left` bytes are in the buffer of
    /// `unsettled` before, and `told` have arrived behind a loss that it tells of. Whether there is
    /// something to [mend](Engine::mend).
    #[inline(always)]
    pub(crate) fn heed(
        &mut self,
        segment: &Segment<'_>,
        (unsettled, left): (usize, usize),
        told: u32,
    ) -> bool {
        if !sends(self) {
            return false;
        }
        let acked = count(unsettled.saturating_sub(left));
        self.prev = self.prev.wrapping_add(acked);
        if ON && (!self.congestion.hear() || told > 0) {
            return true;
        }
        if ON && acked > 0 {
            let used = count(unsettled);
            self.congestion.grow(acked, used, segment.acknowledged());
        }
        false
    }
}

impl Engine<'_> {
    /// Draws the consequences of a segment where something was lost: `acked` bytes are acknowledged
    /// by it, and the answer has `len` bytes.
    #[cold]
    #[inline(never)]
    pub(crate) fn mend(
        &mut self,
        index: u32,
        segment: &Segment<'_>,
        (acked, told, len): (u32, u32, usize),
    ) {
        let Some(slot) = self.slab.get(index) else {
            return;
        };
        let left = slot.peek().map_or(0, |socket| socket.send_queue());
        let una = slot.prev;
        let window = &mut slot.congestion;
        if window.is_recovering() {
            let plain = segment.payload_len() == 0 && segment.acknowledged() == una;
            match (acked, told) {
                (0, _) if plain => window.inflate(),
                (0, _) => {}
                (_, 0) => window.recover(),
                (_, _) => window.deflate(acked),
            }
        } else if !window.is_collapsed() {
            window.lose(slot.sent_next.wrapping_sub(una), told);
        } else {
            let used = acked.saturating_add(count(left));
            window.grow(acked, used, segment.acknowledged());
            if left <= place(window.window()) {
                return window.recover();
            }
            let end = segment.sequence().wrapping_add(segment.payload_len());
            let end = end.wrapping_add(u32::from(segment.control() & FIN));
            // Nothing of what smoltcp may not have believed goes into what it is shown but a
            // window, and that only from where the peer may be.
            if end.wrapping_sub(slot.acknowledged) > WINDOW_MAX {
                return;
            }
            // An answer has told the peer how far everything has come.
            let sequence = if len > 0 { slot.acknowledged } else { end };
            let theirs = segment.window();
            self.narrow(index, (sequence, una), theirs);
        }
    }

    /// Draws the consequences of having sent bytes again, from `first` on.
    #[cold]
    #[inline(never)]
    pub(crate) fn repeat(&mut self, index: u32, first: u32) {
        let Some(slot) = self.slab.get(index).filter(|slot| ON && sends(slot)) else {
            return;
        };
        // A keep-alive probe looks like it.
        if slot.is_drained() {
            return;
        }
        let (una, acknowledged) = (slot.prev, slot.acknowledged);
        let flight = slot.sent_next.wrapping_sub(una);
        let window = &mut slot.congestion;
        let segment = window.segment();
        // After a timeout what follows the first segment is no news, and nor is it then when the
        // first follows on an acknowledgement.
        if window.is_collapsed() && (first != una || window.has_heard()) {
            return;
        }
        if first == una && window.has_heard() {
            if !window.is_recovering() {
                window.lose(flight, segment.saturating_mul(3));
            }
            return;
        }
        let before = window.window();
        window.collapse(flight);
        // Once, until the peer is heard again: each counts as a sign of it.
        if flight > segment && before > window.window() && !slot.talk.has(Talk::SHUT) {
            self.narrow(index, (acknowledged, una), u16::MAX);
        }
    }

    /// Shows smoltcp the congestion window as the peer's, if it is smaller than `theirs`.
    fn narrow(&mut self, index: u32, (sequence, acknowledges): (u32, u32), theirs: u16) {
        let Some(slot) = self.slab.get(index) else {
            return;
        };
        let (window, segment) = (slot.congestion.window(), slot.congestion.segment());
        let whole = window.saturating_sub(window.checked_rem(segment).unwrap_or(0));
        let scaled = whole
            .checked_shr(slot.talk.scale().into())
            .unwrap_or(0)
            .max(1);
        if scaled < u32::from(theirs) {
            let window = u16::try_from(scaled).unwrap_or(u16::MAX);
            self.show(index, (sequence, acknowledges), window);
        }
    }

    /// Shows smoltcp an acknowledgement with the given numbers and window field, as if it came
    /// from the peer.
    pub(crate) fn show(&mut self, index: u32, (sequence, acknowledges): (u32, u32), window: u16) {
        let ends = self.slab.peek(index).and_then(|socket| {
            let (from, to) = (socket.remote_endpoint()?, socket.local_endpoint()?);
            let from = SocketAddr::new(from.addr.into(), from.port);
            Some((from, SocketAddr::new(to.addr.into(), to.port)))
        });
        let Some((from, to)) = ends else {
            return;
        };
        let shown = Plain {
            from,
            to,
            sequence,
            acknowledges: Some(acknowledges),
            control: TcpControl::None,
            window,
            mss: 0,
        };
        let mut memory = [0; 64];
        let len = shown.write(&mut memory);
        // If there is an answer, the peer has not asked for it.
        let mut reply = [0; REPLY_MAX];
        self.feed(index, memory.get(..len).unwrap_or_default(), &mut reply);
    }

    /// Notes that a connection's deadline has come; twice in a row with nothing to send,
    /// [`IDLE_UNITS`] apart, makes its window as small as at the start.
    pub(crate) fn rest(&mut self, index: u32) {
        let Some(slot) = self.slab.get(index) else {
            return;
        };
        let idle = slot.phase == Phase::Owned
            && slot.peek().is_some_and(|socket| socket.send_queue() == 0);
        // Without a limit its place says since when there has been nothing.
        if !idle || slot.flags.has(Flags::LIMITED) {
            return;
        }
        let units = limit_of(tick_of(self.now));
        let quiet = slot.congestion.is_quiet();
        let since = if quiet { slot.limit } else { units };
        if slot
            .congestion
            .rest(units.wrapping_sub(since) >= IDLE_UNITS)
        {
            slot.limit = since;
            self.expect_by(index, tick_after(self.now.saturating_add(IDLE)));
        }
    }
}

/// Whether bytes of the slot's connection may be on the way, and its `prev` says from which on.
#[inline]
const fn sends(slot: &Slot<'_>) -> bool {
    matches!(slot.phase, Phase::Owned | Phase::Delivering)
}
