//! Connections that others make: SYNs, cookies, accept queues.

use core::net::SocketAddr;

use smoltcp::socket::tcp::State;
use smoltcp::wire::TcpControl;
use usockets::Duration;

use crate::number::{be16, low, place};
use crate::smoltcp::clock::{span, stamp};
use crate::smoltcp::cookie::{self, Plain};
use crate::smoltcp::engine::Engine;
use crate::smoltcp::frame::{self, FIN, Segment};
use crate::smoltcp::isn;
use crate::smoltcp::port::Nowhere;
use crate::smoltcp::sent::Sent;
use crate::smoltcp::slot::{Phase, Talk};
use crate::smoltcp::wheel::tick_of;

/// How long after the last cookie was sent one is believed: as long as it is valid.
const COOKIES_BELIEVED: Duration = Duration::from_secs(134);
/// Longest that a handshake usually takes.
const HANDSHAKE_USUAL: Duration = Duration::from_millis(200);
/// Longest that an acknowledgement waits for something to go with.
const ACK_DELAY: Duration = Duration::from_millis(10);
/// Least time between keep-alive probes, as on Linux: a peer far away needs it for its answer.
const KEEPALIVE_MIN: Duration = Duration::from_secs(1);
/// How long a peer must not have taken a segment before others may have the place.
const STUCK: Duration = Duration::from_secs(10);
/// How many slots are looked at for one that is stuck.
const STUCK_TRIES: usize = 64;
/// MSS of a peer that does not tell (RFC 9293, section 3.7.1).
const MSS_DEFAULT: u16 = 536;
const MSS_DEFAULT_V6: u16 = 1_220;

/// What becomes of a SYN.
enum Place {
    /// It takes this slot.
    Slot(u32),
    /// It is answered without a slot.
    Cookie,
    /// It is dropped.
    None,
}

impl Engine<'_> {
    /// Answers a SYN for which there is no connection, and whose ends have this hash; returns the
    /// reply's length.
    #[inline(never)]
    pub(crate) fn knock(&mut self, packet: &[u8], segment: &Segment<'_>, hash: u32) -> usize {
        let Some(number) = self.listener_for((segment.local(), segment.remote())) else {
            return self.reject(packet);
        };
        if segment.control() & FIN != 0 {
            self.counters.malformed = self.counters.malformed.wrapping_add(1);
            return 0;
        }
        let mss = mss_of(segment);
        let Some(listener) = self.listeners.get(number) else {
            return 0;
        };
        let (class, room) = (listener.class, listener.room());
        let slot = match self.place_for(class, room) {
            Place::Slot(index) => index,
            Place::Cookie => return self.answer_with_cookie(segment, mss, class),
            // The peer sends again, and by then there may be room.
            Place::None => {
                self.counters.syns_dropped = self.counters.syns_dropped.wrapping_add(1);
                return 0;
            }
        };
        let isn = self.isn((segment.local(), segment.remote()));
        self.start_at(isn);
        let len = self.open_half((slot, number), packet, (segment, hash));
        self.meet(slot, segment, Some(mss));
        len
    }

    /// Finds a place for a SYN to a listener that has so much room.
    fn place_for(&mut self, class: u8, (may_establish, may_hold): (bool, bool)) -> Place {
        if !may_establish {
            return Place::None;
        }
        let lists = self.slab.classes.get(usize::from(class));
        let within = lists.is_some_and(|class| class.half_open.count() < class.half_open_max);
        if may_hold
            && within
            && let Some(index) = self.vacate(class)
        {
            return Place::Slot(index);
        }
        // Handshakes of peers that mean it are through soon, and then it shows who has no place
        // in the queue. A peer that holds a cookie believes itself connected.
        if within && !may_hold && !self.hangs(class) {
            return Place::None;
        }
        if self.cookies {
            return Place::Cookie;
        }
        match self.evict(class) {
            Some(index) => Place::Slot(index),
            None => Place::None,
        }
    }

    /// Whether a class's oldest half-open connection has been so for longer than handshakes take.
    fn hangs(&self, class: u8) -> bool {
        let lists = self.slab.classes.get(usize::from(class));
        let oldest = lists.and_then(|class| class.half_open.first());
        let oldest = oldest.and_then(|index| self.slab.slots.get(place(index)));
        let left = oldest.and_then(|slot| slot.ticks_left(self.now));
        let whole = self.limits.handshake.saturating_sub(HANDSHAKE_USUAL);
        let whole = tick_of(usockets::Instant::ZERO.saturating_add(whole));
        left.is_some_and(|left| left <= whole)
    }

    /// Returns the connection that an answer to a cookie makes; `Some(None)` when the cookie is
    /// right and there is no room, `None` when it is no cookie of ours.
    #[inline(never)]
    pub(crate) fn redeem(&mut self, segment: &Segment<'_>, hash: u32) -> Option<Option<u32>> {
        let pair = (segment.local(), segment.remote());
        let number = self.listener_for(pair)?;
        let theirs = segment.sequence().wrapping_sub(1);
        let ours = segment.acknowledged().wrapping_sub(1);
        let mss = cookie::taste(self.secrets.cookie, pair, theirs, ours, self.now)?;
        let listener = self.listeners.get(number)?;
        let (class, (may_establish, may_hold)) = (listener.class, listener.room());
        if !may_establish {
            self.counters.syns_dropped = self.counters.syns_dropped.wrapping_add(1);
            return Some(None);
        }
        // Who answered is real; who only knocked may not be.
        let slot = if may_hold { self.vacate(class) } else { None };
        let Some(index) = slot.or_else(|| self.evict(class)) else {
            self.counters.syns_dropped = self.counters.syns_dropped.wrapping_add(1);
            return Some(None);
        };
        self.replay((index, number), (segment, hash), (theirs, ours, mss));
        if self.state(index) != State::SynReceived {
            return Some(None);
        }
        self.counters.cookies_taken = self.counters.cookies_taken.wrapping_add(1);
        Some(Some(index))
    }

    /// Lets smoltcp live through the handshake that only the cookie remembers: the peer's SYN
    /// comes in and our SYN|ACK goes nowhere.
    fn replay(
        &mut self,
        slot: (u32, usize),
        (segment, hash): (&Segment<'_>, u32),
        (theirs, ours, mss): (u32, u32, u16),
    ) {
        let mut memory = [0; 64];
        let syn = Plain {
            from: segment.remote(),
            to: segment.local(),
            sequence: theirs,
            acknowledges: None,
            control: TcpControl::Syn,
            window: be16(segment.bytes, 14).unwrap_or(0),
            mss,
        };
        let len = syn.write(&mut memory);
        let Some(packet) = memory.get(..len) else {
            return;
        };
        self.start_at(ours);
        self.open_half(slot, packet, (segment, hash));
        let mut nowhere = Nowhere {
            spare: self.scratch,
            described: &self.described,
        };
        if let Some(set) = self.slab.get_set(slot.0) {
            self.interface
                .poll_egress(stamp(self.now), &mut nowhere, set);
        }
        let window = self
            .slab
            .peek(slot.0)
            .map_or(0, |socket| socket.recv_capacity());
        let window = u16::try_from(window).unwrap_or(u16::MAX);
        let own = u16::try_from(self.own_mss(segment.local())).unwrap_or(u16::MAX);
        if let Some(slot) = self.slab.get(slot.0) {
            slot.meet(mss.min(own), 0);
            slot.set_sent(Sent {
                next: ours.wrapping_add(1),
                acknowledged: theirs.wrapping_add(1),
                window,
                again: None,
                any: true,
                shut: false,
            });
        }
    }

    /// Lets the next connection start at `isn`, by an interface made for it. The one before has
    /// nothing to keep: all that smoltcp knows of connections is in their sockets.
    #[inline(never)]
    pub(crate) fn start_at(&mut self, isn: u32) {
        self.interface = isn::interface(isn, &self.routes, &self.described, stamp(self.now));
    }

    /// Makes a free slot a half-open connection of a listener, by the SYN in `packet`. The
    /// interface is one made for the number the connection starts at.
    fn open_half(
        &mut self,
        (index, number): (u32, usize),
        packet: &[u8],
        (segment, hash): (&Segment<'_>, u32),
    ) -> usize {
        let Some(listener) = self.listeners.get(number) else {
            return 0;
        };
        let (nodelay, keepalive) = (listener.nodelay, listener.keepalive);
        let Some(socket) = self.slab.socket(index) else {
            return 0;
        };
        prepare(socket, nodelay, keepalive);
        if socket.listen(segment.local()).is_err() {
            return 0;
        }
        let len = self.inject(index, packet);
        if self.state(index) != State::SynReceived {
            self.slab.reset(index);
            return len;
        }
        self.table.insert(self.slab.slots, index, hash);
        self.slab.move_to(index, Phase::HalfOpen);
        if let Some(listener) = self.listeners.get_mut(number) {
            listener.half_open = listener.half_open.saturating_add(1);
        }
        if let Some(slot) = self.slab.get(index) {
            slot.listener = u8::try_from(number).unwrap_or(u8::MAX);
            // The SYN|ACK is due.
            slot.talk.set(Talk::WROTE);
        }
        self.limit(index, self.limits.handshake);
        self.wake(index);
        len
    }

    /// Notes what a peer's SYN tells: how large segments may be, if that is not known yet, and how
    /// its windows are scaled.
    pub(crate) fn meet(&mut self, index: u32, syn: &Segment<'_>, mss: Option<u16>) {
        let own = u16::try_from(self.own_mss(syn.local())).unwrap_or(u16::MAX);
        let mss = mss.unwrap_or_else(|| mss_of(syn));
        let scale = syn.option(frame::SCALE).and_then(|data| data.first());
        if let Some(slot) = self.slab.get(index) {
            slot.meet(mss.min(own), scale.copied().unwrap_or(0));
        }
    }

    /// Returns the payload bytes of the largest segment that the device carries.
    pub(crate) fn own_mss(&self, local: SocketAddr) -> usize {
        let header = if local.is_ipv4() { 40 } else { 60 };
        self.described.max_transmission_unit.saturating_sub(header)
    }

    /// Puts a connection whose handshake is complete into its listener's queue.
    #[inline(never)]
    pub(crate) fn establish(&mut self, index: u32) {
        let Some(slot) = self.slab.get(index) else {
            return;
        };
        let number = usize::from(slot.listener);
        self.unlimit(index);
        let Some(listener) = self.listeners.get_mut(number) else {
            self.release(index);
            return;
        };
        self.slab.move_to(index, Phase::Waiting);
        listener.half_open = listener.half_open.saturating_sub(1);
        listener.queue.push(self.slab.slots, index);
        listener.ready = true;
        self.listeners_ready = true;
        self.counters.established = self.counters.established.wrapping_add(1);
    }

    /// Reports the listeners that were asked about, if a connection waits.
    #[inline(never)]
    pub(crate) fn tell_again(&mut self) {
        self.listeners_asked = false;
        for listener in self.listeners.iter_mut() {
            let asked = core::mem::take(&mut listener.asked);
            if asked && listener.queue.count() > 0 {
                listener.ready = true;
                self.listeners_ready = true;
            }
        }
    }

    /// Returns a free slot of a class, making one free if need be: of what is gone already, the
    /// oldest in TIME-WAIT, then the oldest of which only the peer's end is missing.
    pub(crate) fn vacate(&mut self, class: u8) -> Option<u32> {
        if let Some(index) = self.slab.free(class) {
            return Some(index);
        }
        let lists = self.slab.classes.get(usize::from(class))?;
        let (index, old) = match (lists.time_wait.first(), lists.closing.first()) {
            (Some(index), _) => (index, true),
            (None, Some(index)) => (index, false),
            (None, None) => return None,
        };
        let count = if old {
            &mut self.counters.time_wait_evicted
        } else {
            &mut self.counters.closing_evicted
        };
        *count = count.wrapping_add(1);
        self.release(index);
        Some(index)
    }

    /// Makes a slot free if nothing else is: of the oldest half-open connection, or of one that is
    /// stuck.
    pub(crate) fn evict(&mut self, class: u8) -> Option<u32> {
        self.evict_half_open(class)
            .or_else(|| self.evict_stuck(class))
    }

    /// Makes the slot of the oldest half-open connection free.
    fn evict_half_open(&mut self, class: u8) -> Option<u32> {
        let index = self
            .slab
            .classes
            .get(usize::from(class))?
            .half_open
            .first()?;
        self.counters.half_open_evicted = self.counters.half_open_evicted.wrapping_add(1);
        self.release(index);
        Some(index)
    }

    /// Makes a slot free of which nothing goes: its owner has closed, and the peer has not taken a
    /// segment for [`STUCK`]. Looks at a few slots, from where it looked last.
    fn evict_stuck(&mut self, class: u8) -> Option<u32> {
        let whole = self.limits.answer.saturating_sub(STUCK);
        let mut least = tick_of(usockets::Instant::ZERO.saturating_add(whole));
        let mut found = None;
        for _ in 0..self.slab.slots.len().min(STUCK_TRIES) {
            let slot = match self.slab.slots.get(place(self.cursor)) {
                Some(slot) => slot,
                None => {
                    self.cursor = 0;
                    self.slab.slots.first()?
                }
            };
            let ours = slot.class == class && slot.phase == Phase::Delivering;
            if let Some(left) = slot.ticks_left(self.now).filter(|_| ours)
                && left <= least
            {
                (least, found) = (left, Some(self.cursor));
            }
            self.cursor = self.cursor.wrapping_add(1);
        }
        let index = found?;
        self.counters.stuck_evicted = self.counters.stuck_evicted.wrapping_add(1);
        self.release(index);
        Some(index)
    }

    /// Whether somebody listens at `local`.
    pub(crate) fn is_listening(&self, local: SocketAddr) -> bool {
        self.listeners.iter().any(|listener| listener.takes(local))
    }

    /// Finds the listener for a connection; of several that share the port, the same one for the
    /// same connection.
    fn listener_for(&self, (local, remote): (SocketAddr, SocketAddr)) -> Option<usize> {
        let all = self.listeners.iter().enumerate();
        let mut matching = all.filter(|(_, listener)| listener.takes(local));
        let (first, _) = matching.next()?;
        let others = matching.clone().count();
        if others == 0 {
            return Some(first);
        }
        let turn = place(self.hash(&local, &remote)).checked_rem(others.saturating_add(1))?;
        match turn.checked_sub(1) {
            None => Some(first),
            Some(turn) => matching.nth(turn).map(|(number, _)| number),
        }
    }

    fn answer_with_cookie(&mut self, segment: &Segment<'_>, mss: u16, class: u8) -> usize {
        let pair = (segment.local(), segment.remote());
        let own_mss = self.own_mss(segment.local());
        let reply = Plain {
            from: segment.local(),
            to: segment.remote(),
            sequence: cookie::bake(self.secrets.cookie, pair, segment.sequence(), mss, self.now),
            acknowledges: Some(segment.sequence().wrapping_add(1)),
            control: TcpControl::Syn,
            window: u16::try_from(self.slab.recv_of(class)).unwrap_or(u16::MAX),
            mss: u16::try_from(own_mss).unwrap_or(u16::MAX),
        };
        self.counters.cookies_sent = self.counters.cookies_sent.wrapping_add(1);
        self.cookies_until = self.now.saturating_add(COOKIES_BELIEVED);
        let at = self.reply_at();
        let memory = self.scratch.get_mut(at..).unwrap_or_default();
        reply.write(memory)
    }

    /// Returns the number a connection starts at (RFC 6528, section 3): a keyed hash of its ends,
    /// going up by one every 4 µs.
    pub(crate) fn isn(&self, (local, remote): (SocketAddr, SocketAddr)) -> u32 {
        let clock = low(self.now.as_micros() >> 2);
        clock.wrapping_add(self.secrets.sequence.hash_pair32(&local, &remote, 0))
    }
}

/// Returns the MSS that a SYN tells, or the one of a peer that tells none.
fn mss_of(syn: &Segment<'_>) -> u16 {
    let told = syn.option(frame::MSS).and_then(|data| be16(data, 0));
    let default = if syn.local().is_ipv4() {
        MSS_DEFAULT
    } else {
        MSS_DEFAULT_V6
    };
    told.filter(|mss| *mss > 0).unwrap_or(default)
}

/// Makes a socket forget the options of its last connection.
pub(crate) fn prepare(
    socket: &mut smoltcp::socket::tcp::Socket<'_>,
    nodelay: bool,
    keepalive: Option<Duration>,
) {
    socket.abort();
    socket.set_nagle_enabled(!nodelay);
    socket.set_keep_alive(keepalive.map(|every| span(every.max(KEEPALIVE_MIN))));
    socket.set_timeout(None);
    socket.set_ack_delay(Some(span(ACK_DELAY)));
}
