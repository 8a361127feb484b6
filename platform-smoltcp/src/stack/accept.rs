//! Connections that others make: SYNs, cookies, accept queues.

use core::net::SocketAddr;

use usockets::{Duration, Instant};

use crate::listener::Listener;
use crate::number::{count, low, place};
use crate::pool::wheel::tick_of;
use crate::stack::input::Arrival;
use crate::stack::look::LEASES;
use crate::stack::shell::{COOKIES, Shell};
use crate::stack::slot::{Ends, Flags, Phase};
use crate::tcp::cookies::{self, Answer, Cookie};
use crate::tcp::{Events, Listen, Quiet, Segment, Seq, Settings, Transmit};

/// Longest that a handshake usually takes.
const HANDSHAKE_USUAL: Duration = Duration::from_millis(200);

/// What becomes of a SYN.
enum Place {
    /// It takes this slot.
    Slot(u32),
    /// It is answered without a slot.
    Cookie,
    /// It is dropped.
    None,
}

impl Shell<'_> {
    /// Takes a segment for which there is no connection; returns the bytes of the frame that
    /// answers it. `last` is SND.NXT of a connection of the same ends that was in TIME-WAIT.
    #[inline(never)]
    pub(super) fn on_stranger(
        &mut self,
        (ends, last): (&Ends, Option<Seq>),
        segment: &Segment<'_>,
        arrival: &Arrival<'_>,
    ) -> usize {
        let remote = ends.remote();
        let mapped =
            arrival.packet.first().is_some_and(|first| first >> 4 == 6) && remote.is_ipv4();
        if !self.routes.is_peer(remote.ip())
            || mapped
            || ends.local_port() == 0
            || remote.port() == 0
        {
            self.counters.impossible = self.counters.impossible.wrapping_add(1);
            return 0;
        }
        #[cfg(all(feature = "queues", target_has_atomic = "32"))]
        {
            let verified = Arrival {
                verified: true,
                ..*arrival
            };
            if self.hand_over(ends, &verified) {
                return 0;
            }
        }
        #[cfg(feature = "leases")]
        let last = match self.on_time_wait(ends, segment, arrival) {
            Ok(len) => return len,
            Err(None) => last,
            Err(newer) => newer,
        };
        let Some(number) = self.listener_for(ends) else {
            return self.reset(ends, segment, arrival);
        };
        match Listen::of(segment) {
            Listen::Open => self.on_syn((number, last), ends, segment, arrival),
            Listen::Reset => {
                #[cfg(all(feature = "queues", target_has_atomic = "32"))]
                if self.shares_cookies() {
                    let soon = self.now.saturating_add(Duration::from_micros(1));
                    self.cookies_until = self.cookies_until.max(soon);
                }
                let believed = COOKIES && self.now < self.cookies_until;
                if believed && self.accept_cookie(number, ends, segment) {
                    return 0;
                }
                self.reset(ends, segment, arrival)
            }
            _ => {
                let both = crate::tcp::Flags::SYN | crate::tcp::Flags::FIN;
                if segment.flags.has(both) {
                    self.count_malformed();
                }
                0
            }
        }
    }

    /// Answers a segment for nobody.
    fn reset(&mut self, ends: &Ends, segment: &Segment<'_>, arrival: &Arrival<'_>) -> usize {
        match Transmit::reset_for(segment) {
            Some(reset) => self.answer(ends, &reset, arrival),
            None => 0,
        }
    }

    /// Answers a SYN that met a listener.
    fn on_syn(
        &mut self,
        (number, last): (usize, Option<Seq>),
        ends: &Ends,
        segment: &Segment<'_>,
        arrival: &Arrival<'_>,
    ) -> usize {
        let Some(listener) = self.listeners.get(number) else {
            return 0;
        };
        let (class, room) = (listener.class, listener.room());
        match self.place_for(class, room) {
            Place::Slot(index) => {
                self.open_half(index, (number, last), ends, segment);
                0
            }
            Place::Cookie if COOKIES => self.answer_with_cookie(number, ends, segment, arrival),
            // The peer sends again, and by then there may be room.
            Place::Cookie | Place::None => {
                self.counters.syns_dropped = self.counters.syns_dropped.wrapping_add(1);
                0
            }
        }
    }

    /// Finds a place for a SYN to a listener that has so much room.
    fn place_for(&mut self, class: u8, (may_establish, may_hold): (bool, bool)) -> Place {
        if !may_establish {
            return Place::None;
        }
        let lists = self.slots.classes.get(usize::from(class));
        let within = lists.is_some_and(|class| class.half_open.count() < class.half_open_max)
            && self.slots.has_set(class);
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
        if COOKIES && self.cookies {
            return Place::Cookie;
        }
        if !self.slots.has_sets(class) {
            return Place::None;
        }
        match self.evict(class) {
            Some(index) => Place::Slot(index),
            None => Place::None,
        }
    }

    /// Returns true if a class's oldest half-open connection has been so for longer than
    /// handshakes take.
    fn hangs(&self, class: u8) -> bool {
        let lists = self.slots.classes.get(usize::from(class));
        let oldest = lists.and_then(|class| class.half_open.first());
        let oldest = oldest.and_then(|index| self.slots.get(index));
        let left = oldest.and_then(|slot| slot.ticks_left(self.now));
        let whole = self.limits.handshake.saturating_sub(HANDSHAKE_USUAL);
        let whole = tick_of(Instant::ZERO.saturating_add(whole));
        left.is_some_and(|left| left <= whole)
    }

    /// Returns what a connection of a listener opens with.
    fn settings_of(&self, number: usize, ends: &Ends) -> Option<Settings> {
        let listener = self.listeners.get(number)?;
        let options = (listener.nodelay, listener.keepalive);
        // The limit of the phase comes first.
        let handshake = self.limits.handshake.saturating_mul(2);
        Some(self.settings(ends, options, handshake))
    }

    /// Opens the connection that an answer to a cookie makes. Returns true if the cookie is one of
    /// ours, even if there is no room or the segment comes too early: then the peer sends again.
    fn accept_cookie(&mut self, number: usize, ends: &Ends, segment: &Segment<'_>) -> bool {
        let Some(settings) = self.settings_of(number, ends) else {
            return false;
        };
        let Some(local) = self.routes.own_at(ends.local_number()) else {
            return false;
        };
        let pair = ((local, ends.local_port()).into(), ends.remote());
        let (secret, now) = (self.secrets.cookie, self.now);
        let cookie = match cookies::check(secret, pair, now, segment, &settings) {
            Some(Answer::Complete(cookie)) => cookie,
            Some(Answer::Overtaking) => return true,
            None => return false,
        };
        let Some(listener) = self.listeners.get(number) else {
            return false;
        };
        let (class, (may_establish, may_hold)) = (listener.class, listener.room());
        // Who answered is real; who only sent a SYN may not be. Nobody makes place in vain.
        let bare = !self.slots.has_sets(class);
        let may_work = may_establish && (bare || self.spare(class));
        let slot = match (may_work, may_hold) {
            (false, _) => None,
            (_, true) => self.vacate(class).or_else(|| self.evict(class)),
            _ => self.evict(class),
        };
        let Some(index) = slot else {
            self.counters.syns_dropped = self.counters.syns_dropped.wrapping_add(1);
            return true;
        };
        let opened = if bare {
            self.open_without_set(index, (&settings, &cookie), segment)
        } else {
            self.open_with_set(index, (&settings, &cookie), segment)
        };
        let Some(events) = opened else {
            return true;
        };
        self.enter_half_open(index, number, ends);
        self.counters.cookies_taken = self.counters.cookies_taken.wrapping_add(1);
        self.on_events(index, events);
        true
    }

    /// Opens the connection that a cookie stands for; returns `None` if there is no set for it.
    fn open_with_set(
        &mut self,
        index: u32,
        (settings, cookie): (&Settings, &Cookie),
        segment: &Segment<'_>,
    ) -> Option<Events> {
        if !self.lease(index) {
            return None;
        }
        let now = self.now;
        let cut = self.cut(index, segment);
        let segment = cut.as_ref().unwrap_or(segment);
        let mut open = self.slots.open(index)?;
        let buffers = &mut open.buffers;
        let events = open
            .connection
            .accept_cookie(now, settings, cookie, segment, buffers);
        if self.slots.is_any_leased() {
            self.slots.count_holding(index);
        }
        Some(events)
    }

    /// Opens it in a class that has no sets.
    fn open_without_set(
        &mut self,
        index: u32,
        (settings, cookie): (&Settings, &Cookie),
        segment: &Segment<'_>,
    ) -> Option<Events> {
        let capacity = count(self.slots.receive_max(index));
        let opened = Quiet::accept_cookie(self.now, settings, cookie, segment, capacity);
        let (opened, events) = opened.filter(|_| LEASES)?;
        *self.slots.without_set(index)? = opened;
        Some(events)
    }

    /// Makes a free slot a half-open connection of a listener, by a SYN.
    fn open_half(
        &mut self,
        index: u32,
        (number, last): (usize, Option<Seq>),
        ends: &Ends,
        segment: &Segment<'_>,
    ) {
        let Some(settings) = self.settings_of(number, ends) else {
            return;
        };
        let (now, mut isn) = (self.now, self.isn(ends));
        if let Some(last) = last {
            // Nothing of it may be taken for the old connection's (RFC 1122, section 4.2.2.13).
            isn = isn.later(last.plus(1));
        }
        if !self.lease(index) {
            self.counters.syns_dropped = self.counters.syns_dropped.wrapping_add(1);
            return;
        }
        let Some(mut open) = self.slots.open(index) else {
            return;
        };
        open.connection
            .accept(now, &settings, isn, segment, &mut open.buffers);
        self.enter_half_open(index, number, ends);
    }

    /// Lists a connection that a listener has opened.
    fn enter_half_open(&mut self, index: u32, number: usize, ends: &Ends) {
        let hash = ends.hash32(self.secrets.table);
        if let Some(slot) = self.slots.get_mut(index) {
            slot.ends = *ends;
            slot.listener = u8::try_from(number).unwrap_or(u8::MAX);
        }
        self.table.insert(self.slots.all, index, hash);
        self.slots.move_to(index, Phase::HalfOpen);
        if let Some(listener) = self.listeners.get_mut(number) {
            listener.half_open = listener.half_open.saturating_add(1);
        }
        self.limit(index, self.limits.handshake);
        self.wake(index);
    }

    /// Puts a connection whose handshake is complete into its listener's queue.
    #[inline(never)]
    pub(super) fn establish(&mut self, index: u32) {
        let Some(slot) = self.slots.get_mut(index) else {
            return;
        };
        slot.flags.clear(Flags::LIMITED);
        let number = usize::from(slot.listener);
        let Some(listener) = self.listeners.get_mut(number) else {
            self.release(index);
            return;
        };
        self.slots.move_to(index, Phase::Waiting);
        listener.half_open = listener.half_open.saturating_sub(1);
        listener.queue.push(self.slots.all, index);
        listener.ready = true;
        self.looks = true;
        self.counters.established = self.counters.established.wrapping_add(1);
    }

    /// Reports the listeners that were asked about, if a connection waits.
    #[inline(never)]
    pub(super) fn report_asked(&mut self) {
        self.listeners_asked = false;
        for listener in self.listeners.iter_mut() {
            let asked = core::mem::take(&mut listener.asked);
            if asked && listener.queue.count() > 0 {
                listener.ready = true;
                self.looks = true;
            }
        }
    }

    /// Frees the slot of a connection in TIME-WAIT for a new one of the same ends. An owner that
    /// still has the old one keeps it, closed.
    pub(super) fn release_time_wait(&mut self, index: u32) {
        if self.slots.get(index).is_some_and(|slot| slot.owner != 0) {
            self.table.remove(self.slots.all, index);
        } else {
            self.release(index);
        }
    }

    /// Finds the listener for a connection; of several that share the port, the same one for the
    /// same connection.
    pub(super) fn listener_for(&self, ends: &Ends) -> Option<usize> {
        let ip = self.routes.own_at(ends.local_number())?;
        let local = (ip, ends.local_port()).into();
        let matching = self.listeners.iter().filter(|one| is_for(one, &local));
        let count = matching.fold(0_usize, |sum, _| sum.saturating_add(1));
        let mut turn = match count {
            0 => return None,
            1 => 0,
            count => place(ends.hash32(self.secrets.table)).checked_rem(count)?,
        };
        let mut is_its_turn = || {
            let is_it = turn == 0;
            turn = turn.wrapping_sub(1);
            is_it
        };
        let mut all = self.listeners.iter();
        all.position(|one| is_for(one, &local) && is_its_turn())
    }

    fn answer_with_cookie(
        &mut self,
        number: usize,
        ends: &Ends,
        segment: &Segment<'_>,
        arrival: &Arrival<'_>,
    ) -> usize {
        let (Some(settings), Some(local)) = (
            self.settings_of(number, ends),
            self.routes.own_at(ends.local_number()),
        ) else {
            return 0;
        };
        let class = self.listeners.get(number).map_or(0, |own| own.class);
        let pair = ((local, ends.local_port()).into(), ends.remote());
        let capacity = count(self.slots.receive_len(class));
        let (secret, now) = (self.secrets.cookie, self.now);
        let reply = cookies::answer(secret, pair, now, segment, &settings, capacity);
        self.counters.cookies_sent = self.counters.cookies_sent.wrapping_add(1);
        self.cookies_until = self.now.saturating_add(cookies::VALID);
        #[cfg(all(feature = "queues", target_has_atomic = "32"))]
        self.share_cookie();
        self.answer(ends, &reply, arrival)
    }

    /// Returns the number a connection starts at (RFC 6528, section 3): a keyed hash of its ends,
    /// going up by one every 4 µs.
    pub(super) fn isn(&self, ends: &Ends) -> Seq {
        let clock = low(self.now.as_micros() >> 2);
        Seq::new(clock.wrapping_add(ends.hash32(self.secrets.sequence)))
    }
}

/// Returns true if a listener takes connections to an address; in the program once.
#[inline(never)]
fn is_for(listener: &Listener, local: &SocketAddr) -> bool {
    listener.takes(*local)
}
