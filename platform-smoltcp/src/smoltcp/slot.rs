//! What the stack keeps of one connection beside smoltcp's socket.

use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{self, State};
use usockets::{Duration, Error, Instant, Readiness, SocketId};

use crate::number::place;
use crate::smoltcp::clock::RESEND_MIN;
use crate::smoltcp::congestion::Congestion;
use crate::smoltcp::frame::{ACK, FIN, RST, SYN, Segment};
use crate::smoltcp::ingress::WINDOW_MAX;
use crate::smoltcp::sent::Sent;
use crate::smoltcp::wheel::tick_of;

/// log2 of the ticks in which limits count: 64 of them, 66 ms.
pub(crate) const LIMIT_SHIFT: u32 = 6;
/// How long a limit may be, and how long it is known for having been reached. What counts is half
/// of 16 bits of the unit, 35.8 minutes.
pub(crate) const LIMIT_SPAN: Duration = Duration::from_secs(30 * 60);
/// Most bits that a window is shifted by (RFC 7323, section 2.3).
const SCALE_MAX: u8 = 14;
/// No slot.
pub(crate) const NONE: u32 = u32::MAX;

/// The owner has ended our direction, and smoltcp has not been told ([`Slot::listener`]).
pub(crate) const ENDING: u8 = 0;

/// One connection's place in a stack, lent by the caller as [`Slot::EMPTY`].
///
/// Field by field, on a 64-bit machine:
///
/// | bytes | for |
/// |---|---|
/// | 16 | the set that holds smoltcp's one socket |
/// | 8 | the name that reports carry |
/// | 4 | demultiplexer: next in the bucket |
/// | 8 | next of those to serve, next of those to report |
/// | 8 | accept queue or list of its class: before, after; in none: acknowledged, left to deliver |
/// | 13 | timing wheel: deadline, before, after, place |
/// | 11 | what has been sent and acknowledged, the window told, what is known of the peer's |
/// | 4 | congestion control: window, threshold, segment size, phase |
/// | 3 | limit of the phase; the listener |
/// | 5 | class, phase, flags, facts to report, fault |
///
/// Together 80 bytes. With one bucket of four bytes and smoltcp's `SocketStorage` of 472 bytes a
/// connection costs 556 bytes beside its buffers.
pub struct Slot<'a> {
    pub(crate) set: Option<SocketSet<'a>>,
    /// Bits of the owner's `SocketId`; 0 without an owner.
    pub(crate) owner: u64,
    pub(crate) congestion: Congestion,
    pub(crate) chain: u32,
    pub(crate) serve_next: u32,
    pub(crate) ready_next: u32,
    /// With [`Phase::Owned`] and [`Phase::Delivering`], which are in no list, the number that the
    /// peer has acknowledged.
    pub(crate) prev: u32,
    /// With [`Phase::Delivering`], how many bytes were left when its limit was set.
    pub(crate) next: u32,
    pub(crate) timer_due: u32,
    pub(crate) timer_prev: u32,
    pub(crate) timer_next: u32,
    /// See [`Sent`] for these three: number, number, and `window`.
    pub(crate) sent_next: u32,
    pub(crate) acknowledged: u32,
    /// When the phase ends by itself, in [`LIMIT_SHIFT`]; meaningful with `Flags::LIMITED`.
    /// Without: since when there has been nothing to send.
    pub(crate) limit: u16,
    pub(crate) window: u16,
    pub(crate) timer_place: u8,
    /// Which listener's a connection is before it is accepted; afterwards none, or [`ENDING`].
    pub(crate) listener: u8,
    pub(crate) talk: Talk,
    pub(crate) class: u8,
    pub(crate) phase: Phase,
    pub(crate) flags: Flags,
    pub(crate) facts: Facts,
    pub(crate) fault: Fault,
}

impl<'a> Slot<'a> {
    /// A slot that no stack has taken yet.
    pub const EMPTY: Self = Self {
        set: None,
        owner: 0,
        congestion: Congestion::NEW,
        chain: NONE,
        serve_next: NONE,
        ready_next: NONE,
        prev: NONE,
        next: NONE,
        timer_due: 0,
        timer_prev: NONE,
        timer_next: NONE,
        limit: 0,
        sent_next: 0,
        acknowledged: 0,
        talk: Talk(0),
        window: 0,
        timer_place: 0,
        listener: u8::MAX,
        class: 0,
        phase: Phase::Free,
        flags: Flags(0),
        facts: Facts::NONE,
        fault: Fault::None,
    };

    /// Lends smoltcp's socket; `None` before a stack has taken the slot.
    #[inline]
    pub(crate) fn socket(&mut self) -> Option<&mut tcp::Socket<'a>> {
        self.set.as_mut().map(socket_of)
    }

    /// Lends smoltcp's socket for looking.
    #[inline(always)]
    pub(crate) fn peek(&self) -> Option<&tcp::Socket<'a>> {
        self.set.as_ref().map(|set| set.get(only()))
    }

    /// Whether smoltcp may take note of what a segment tells: it is neither old nor impossible.
    #[cold]
    #[inline(never)]
    pub(crate) fn may_heed(&self, segment: &Segment<'_>) -> bool {
        let known = matches!(self.phase, Phase::Owned | Phase::Delivering);
        // A probe's byte is not counted, but may have been taken.
        let flight = self.sent_next.wrapping_sub(self.prev).wrapping_add(1);
        let fresh = segment.acknowledged().wrapping_sub(self.prev) <= flight
            && segment.sequence().wrapping_sub(self.acknowledged) < WINDOW_MAX;
        fresh || !known || segment.control() & SYN != 0
    }

    /// Whether a segment acknowledges, once more and nothing else, all that was sent before our
    /// FIN. (One from before the window is a question.)
    #[inline(never)]
    pub(crate) fn is_repeated(&self, segment: &Segment<'_>) -> bool {
        segment.control() & (SYN | FIN | RST | ACK) == ACK
            && segment.payload_len() == 0
            && segment.acknowledged() == self.sent_next.wrapping_sub(1)
            && segment.sequence().wrapping_sub(self.acknowledged) < WINDOW_MAX
    }

    /// Whether a FIN may go: all bytes are acknowledged, or have left or will leave in one segment.
    pub(crate) fn may_end(&self) -> bool {
        let flight = place(self.sent_next.wrapping_sub(self.prev));
        let left = self.peek().map_or(0, |socket| socket.send_queue());
        let few = left <= place(self.congestion.segment()) && !self.talk.has(Talk::SHUT);
        left == 0 || few && (flight == 0 || flight == left)
    }

    /// Whether the peer has bytes to acknowledge; [`Self::prev`] then says from which on.
    pub(crate) fn is_unsettled(&self) -> bool {
        let sends = matches!(self.phase, Phase::Owned | Phase::Delivering);
        sends
            && self
                .peek()
                .is_some_and(|socket| socket.state() != State::Closed && socket.send_queue() > 0)
    }

    /// Whether the peer has acknowledged all bytes that were taken.
    pub(crate) fn is_drained(&self) -> bool {
        self.peek().is_none_or(|socket| socket.send_queue() == 0)
    }

    /// Whether it is worth a report that the peer has made room.
    #[inline(never)]
    pub(crate) fn has_room(&self) -> bool {
        self.peek().is_some_and(|socket| {
            self.congestion
                .has_room(socket.send_queue(), socket.send_capacity())
        })
    }

    /// Returns what has been sent.
    #[inline]
    pub(crate) const fn sent(&self) -> Sent {
        Sent {
            next: self.sent_next,
            acknowledged: self.acknowledged,
            window: self.window,
            again: None,
            any: self.talk.has(Talk::SENT),
            shut: self.talk.has(Talk::SHUT),
        }
    }

    /// Notes what has been sent.
    #[inline]
    pub(crate) const fn set_sent(&mut self, sent: Sent) {
        self.sent_next = sent.next;
        self.acknowledged = sent.acknowledged;
        self.window = sent.window;
        if sent.any {
            self.talk.set(Talk::SENT);
        }
    }

    /// Notes what the peer's SYN told: how large segments may be and by how many bits its windows
    /// are shifted.
    pub(crate) fn meet(&mut self, mss: u16, scale: u8) {
        self.congestion = Congestion::start(mss);
        self.talk.0 = (self.talk.0 & 15) | (scale.min(SCALE_MAX) << 4);
    }

    /// Returns what there is to report when a segment, a `reset` or not, has changed the state, and
    /// notes why the connection broke if it did.
    pub(crate) fn turned(&mut self, before: State, after: State, reset: bool) -> Facts {
        let opening = |state| matches!(state, State::SynSent | State::SynReceived);
        let mut facts = Facts::NONE;
        if opening(before) && !opening(after) && after != State::Closed {
            facts = facts.union(Facts::WRITABLE);
        }
        let ended = matches!(
            after,
            State::CloseWait | State::Closing | State::LastAck | State::TimeWait
        );
        if ended && !self.flags.has(Flags::ENDED) {
            self.flags.set(Flags::ENDED);
            facts = facts.union(Facts::ENDED);
        }
        if after == State::Closed && before != State::Closed && self.fault == Fault::None {
            // LAST-ACK ends here in peace, by the acknowledgement of our FIN.
            if reset && opening(before) {
                self.fault = Fault::Refused;
            } else if reset {
                self.fault = Fault::Reset;
            }
            facts = facts.union(Facts::ERROR.when(self.fault != Fault::None));
        }
        facts
    }

    /// Limits the phase to the tick `at`, rounded down to limits' unit.
    pub(crate) fn set_limit(&mut self, at: u32) {
        self.limit = limit_of(at);
        self.flags.set(Flags::LIMITED);
    }

    /// Returns the ticks until the phase's limit, if it has one; 0 when it is reached.
    #[inline]
    pub(crate) fn ticks_left(&self, now: Instant) -> Option<u32> {
        if !self.flags.has(Flags::LIMITED) {
            return None;
        }
        let now = tick_of(now);
        let units = u32::from(self.limit).wrapping_sub(now >> LIMIT_SHIFT) & 0xffff;
        if units == 0 || units > 0x7fff {
            return Some(0);
        }
        let start = (now >> LIMIT_SHIFT).wrapping_add(units) << LIMIT_SHIFT;
        Some(start.wrapping_sub(now))
    }

    /// Whether, after `fresh` bytes have just been sent, there is nothing to ask smoltcp: they are
    /// all there are, and the wheel looks after the slot before they could be sent again.
    #[inline]
    pub(crate) fn is_settled(&self, fresh: u32, now: Instant) -> bool {
        let ahead = self.timer_due.wrapping_sub(tick_of(now));
        self.flags.has(Flags::TIMED)
            && ahead <= RESEND_MIN
            && self.peek().is_some_and(|socket| {
                socket.state() == State::Established
                    && socket.send_queue() == place(fresh)
                    && socket.keep_alive().is_none()
            })
    }

    /// Returns the owner's name, if there is an owner.
    #[inline]
    pub(crate) const fn owner(&self) -> Option<SocketId> {
        SocketId::from_bits(self.owner)
    }
}

/// Returns the name of a set's only socket, which is in its first place.
#[inline]
pub(crate) fn only() -> SocketHandle {
    SocketHandle::default()
}

/// Lends a set's socket.
#[inline]
pub(crate) fn socket_of<'s, 'a>(set: &'s mut SocketSet<'a>) -> &'s mut tcp::Socket<'a> {
    set.get_mut(only())
}

impl core::fmt::Debug for Slot<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Slot")
            .field("phase", &self.phase)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}

/// Returns a tick in the unit of limits.
pub(crate) fn limit_of(tick: u32) -> u16 {
    u16::try_from((tick >> LIMIT_SHIFT) & 0xffff).unwrap_or(0)
}

/// Who has a slot and in which list it is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Phase {
    /// Nobody; in its class's free list.
    Free,
    /// A SYN came for a listener; in its class's list of half-open connections.
    HalfOpen,
    /// Established; in its listener's accept queue.
    Waiting,
    /// A loop's socket; in no list.
    Owned,
    /// Closed by its owner, with bytes still to deliver; in no list.
    Delivering,
    /// Closed by its owner and all delivered, but not closed by both; in its class's list.
    Closing,
    /// RFC 9293's TIME-WAIT without an owner; in its class's list.
    TimeWait,
}

/// Why a connection broke.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Fault {
    None,
    Refused,
    Reset,
    TimedOut,
    Unreachable,
}

impl Fault {
    /// Returns the contract's word for it.
    pub(crate) const fn error(self) -> Option<Error> {
        match self {
            Self::None => None,
            Self::Refused => Some(Error::Refused),
            Self::Reset => Some(Error::Reset),
            Self::TimedOut => Some(Error::TimedOut),
            Self::Unreachable => Some(Error::Unreachable),
        }
    }
}

/// What is known of the talk with a peer. The upper half is by how many bits its windows are
/// shifted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Talk(pub(crate) u8);

impl Talk {
    /// A segment has been sent.
    pub(crate) const SENT: u8 = 1;
    /// The peer's window is closed.
    pub(crate) const SHUT: u8 = 2;
    /// The first unacknowledged segment is known to be lost, and smoltcp has been told.
    pub(crate) const LOST: u8 = 4;
    /// Something is to be sent, most likely: the owner has sent, or the peer has begun or ended.
    pub(crate) const WROTE: u8 = 8;

    /// Returns by how many bits the peer's windows are shifted.
    pub(crate) const fn scale(self) -> u8 {
        self.0 >> 4
    }

    #[inline]
    pub(crate) const fn has(self, fact: u8) -> bool {
        self.0 & fact != 0
    }

    #[inline]
    pub(crate) const fn set(&mut self, fact: u8) {
        self.0 |= fact;
    }

    #[inline]
    pub(crate) const fn assign(&mut self, fact: u8, holds: bool) {
        self.0 &= !fact;
        if holds {
            self.0 |= fact;
        }
    }
}

/// What is to be reported, in one byte.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Facts(u8);

impl Facts {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const READABLE: Self = Self(1);
    pub(crate) const WRITABLE: Self = Self(2);
    /// The peer's end: read until it shows.
    pub(crate) const ENDED: Self = Self(4 | 1);
    /// The connection broke: read until it shows, or see it in a send.
    pub(crate) const ERROR: Self = Self(8 | 4 | 2 | 1);

    #[inline]
    pub(crate) const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[inline]
    pub(crate) const fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::NONE }
    }

    /// Returns them in the contract's words.
    #[inline]
    pub(crate) const fn readiness(self) -> Readiness {
        Readiness::READABLE
            .when(self.0 & 1 != 0)
            .union(Readiness::WRITABLE.when(self.0 & 2 != 0))
            .union(Readiness::ENDED.when(self.0 & 4 != 0))
            .union(Readiness::ERROR.when(self.0 & 8 != 0))
    }
}

/// Small facts about a slot.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Flags(u8);

impl Flags {
    /// In the ring of those to serve, or in that of those waiting for a neighbour.
    pub(crate) const QUEUED: u8 = 1;
    /// That ring is the one of those waiting for a neighbour.
    pub(crate) const BLOCKED: u8 = 2;
    /// In the ring of those to report.
    pub(crate) const READY: u8 = 4;
    /// A send came back short: report the return of room.
    pub(crate) const SHORT: u8 = 8;
    /// In the timing wheel.
    pub(crate) const TIMED: u8 = 16;
    /// The phase has a limit.
    pub(crate) const LIMITED: u8 = 32;
    /// The peer's end has been reported.
    pub(crate) const ENDED: u8 = 64;
    /// In the demultiplexer.
    pub(crate) const LISTED: u8 = 128;

    #[inline]
    pub(crate) const fn has(self, flag: u8) -> bool {
        self.0 & flag != 0
    }

    #[inline]
    pub(crate) const fn set(&mut self, flag: u8) {
        self.0 |= flag;
    }

    #[inline]
    pub(crate) const fn clear(&mut self, flag: u8) {
        self.0 &= !flag;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The figures in the documentation of [`Slot`] and of the crate.
    #[test]
    #[cfg(target_pointer_width = "64")]
    fn size_is_as_documented() {
        let slot = size_of::<Slot<'_>>();
        let storage = size_of::<smoltcp::iface::SocketStorage<'_>>();
        assert_eq!((slot, storage), (80, 472));
        assert_eq!(slot + storage + size_of::<u32>(), 556);
    }
}
