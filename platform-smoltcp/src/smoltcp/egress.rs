//! Serving a connection: what is due goes out, what has come to an end goes away.
//!
//! A connection is served after every segment for it, after every call of its owner and when its
//! deadline has come, and at no other time.

use core::net::IpAddr;

use smoltcp::iface::{PollResult, SocketSet};
use smoltcp::socket::tcp::{self, State};
use smoltcp::time::{Duration as Span, Instant as Stamp};
use usockets::Instant;

use crate::device::{Medium, PollDevice};
use crate::ip::neighbour::Reach;
use crate::ip::resolve::{self, MESSAGE_MAX};
use crate::number::{count, place};
use crate::smoltcp::clock::{instant, kept, stamp, stamp_after};
use crate::smoltcp::engine::Engine;
use crate::smoltcp::frame::Ethernet;
use crate::smoltcp::port::{Nowhere, Outward, send_copy};
use crate::smoltcp::slot::{ENDING, Facts, Fault, Flags, LIMIT_SPAN, Phase, Slot, Talk};
use crate::smoltcp::wheel::{tick_after, tick_of};

/// Most frames of one connection in one turn, so that none holds up the others.
const FRAMES_MAX: usize = 32;
/// Unanswered keep-alive probes after which a peer counts as gone (as on Linux).
const PROBES_MAX: u64 = 9;

/// What serving a connection came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Served {
    /// Nothing more is due.
    Done,
    /// More could go out.
    More,
    /// More could go out if the device had room.
    Full,
}

/// What sending came to.
struct Sending {
    served: Served,
    /// When smoltcp is due again.
    due: Option<Stamp>,
    /// The state the connection is in now.
    after: State,
}

impl Sending {
    #[inline]
    const fn done(due: Option<Stamp>, after: State) -> Self {
        Self {
            served: Served::Done,
            due,
            after,
        }
    }
}

impl Engine<'_> {
    /// Serves one connection.
    #[inline]
    pub(crate) fn serve<D: PollDevice>(&mut self, index: u32, device: &mut D) -> Served {
        let answer = self.answer;
        let Some(slot) = self.slab.get(index) else {
            return Served::Done;
        };
        let (phase, limited) = (slot.phase, slot.flags.has(Flags::LIMITED));
        let Some(socket) = slot.socket().filter(|_| phase != Phase::Free) else {
            return Served::Done;
        };
        renew(socket, answer);
        let state = socket.state();
        let plain = phase == Phase::Owned && state == State::Established && !limited;
        if !plain && self.is_over(index, state) {
            return Served::Done;
        }
        let Sending { served, due, after } = self.send_due(index, device, state);
        if !plain || after != State::Established {
            self.settle(index, state, after);
        }
        if served == Served::Done {
            self.schedule(index, after, due);
        }
        served
    }

    /// Whether a connection's phase has come to its end, and nothing is left to serve.
    #[inline(never)]
    fn is_over(&mut self, index: u32, state: State) -> bool {
        let now = self.now;
        let Some(slot) = self.slab.get(index) else {
            return true;
        };
        // A reset brings smoltcp's socket back to LISTEN.
        if slot.phase == Phase::HalfOpen && matches!(state, State::Listen | State::Closed) {
            self.release(index);
            return true;
        }
        slot.ticks_left(now) == Some(0) && self.expire(index)
    }

    /// Sends what is due from a connection in `state`.
    #[inline]
    fn send_due<D: PollDevice>(&mut self, index: u32, device: &mut D, state: State) -> Sending {
        let now = stamp(self.now);
        let Some(slot) = self.slab.get(index) else {
            return Sending::done(None, state);
        };
        // What the owner has just sent is due, and an answer to a peer's SYN or FIN.
        if slot.talk.has(Talk::WROTE) {
            slot.talk.assign(Talk::WROTE, false);
        } else {
            let due = set_of(slot).and_then(|set| self.interface.poll_at(now, set));
            if due.is_none_or(|due| due > now) {
                return Sending::done(due, self.state(index));
            }
        }
        let header = match self.medium {
            Medium::Ip => None,
            Medium::Ethernet => match self.way(index, device) {
                Ok(header) => Some(header),
                Err(due) => return Sending::done(due, self.state(index)),
            },
        };
        for _ in 0..FRAMES_MAX {
            if device.slot(0).is_none() {
                self.counters.device_full = self.counters.device_full.wrapping_add(1);
                return Sending {
                    served: Served::Full,
                    due: None,
                    after: self.state(index),
                };
            }
            let Some(slot) = self.slab.get(index) else {
                return Sending::done(None, state);
            };
            let mut sent = slot.sent();
            let Some(set) = slot.set.as_mut() else {
                return Sending::done(None, state);
            };
            let mut outward = Outward {
                device,
                header: header.as_ref(),
                sent: &mut sent,
                fills: self.fills,
                spare: &mut *self.scratch,
                described: &self.described,
            };
            let result = self.interface.poll_egress(now, &mut outward, set);
            let fresh = sent.next.wrapping_sub(slot.sent_next);
            slot.set_sent(sent);
            if let Some(first) = sent.again {
                self.repeat(index, first);
                continue;
            }
            if result != PollResult::None && slot.is_settled(fresh, self.now) {
                return Sending::done(None, State::Established);
            }
            let due = set_of(slot).and_then(|set| self.interface.poll_at(now, set));
            // Without a packet it was only a note of the time, or an end in silence; if something
            // still is due at once, the next tick will do.
            if result == PollResult::None || due.is_none_or(|due| due > now) {
                return Sending::done(due, self.state(index));
            }
        }
        Sending {
            served: Served::More,
            due: None,
            after: self.state(index),
        }
    }

    /// Sees to it that a closed window is probed, and returns when smoltcp is due.
    ///
    /// smoltcp 0.14 starts probing when a window closes before anything unacknowledged. If it
    /// closes over what is on its way (RFC 9293, section 3.8.6.1), the next timeout finds nothing
    /// that may be sent and is the last; it is then shown the closed window once more.
    #[cold]
    #[inline(never)]
    fn persist(&mut self, index: u32) -> Option<Stamp> {
        let (now, limit) = (stamp(self.now), self.answer);
        let slot = self.slab.slots.get_mut(place(index))?;
        let (waits, numbers) = (slot.is_unsettled(), (slot.acknowledged, slot.prev));
        if waits {
            let socket = slot.socket()?;
            socket.set_timeout(None);
            // If it has just come, a keep-alive probe is the next thing due.
            let every = socket.keep_alive().map(|every| stamp_after(now, every));
            let due = self.interface.poll_at(now, set_of(slot)?);
            if due.is_none() || due == every {
                self.show(index, numbers, 0);
            }
            self.slab.socket(index)?.set_timeout(Some(limit));
        }
        let set = self.slab.get_set(index)?;
        self.interface.poll_at(now, set)
    }

    /// Lets go to nowhere what is due, as if lost on the way: what is unanswered runs into its
    /// limit. A connection that is only being made fails at once.
    #[cold]
    #[inline(never)]
    fn swallow(&mut self, index: u32) -> Option<Stamp> {
        if self.state(index) == State::SynSent {
            self.fail(index, Fault::Unreachable);
            return None;
        }
        let now = stamp(self.now);
        let set = self.slab.get_set(index)?;
        for _ in 0..FRAMES_MAX {
            let mut nowhere = Nowhere {
                spare: &mut *self.scratch,
                described: &self.described,
            };
            let result = self.interface.poll_egress(now, &mut nowhere, set);
            let due = self.interface.poll_at(now, set);
            if result == PollResult::None || due.is_none_or(|due| due > now) {
                return due;
            }
        }
        Some(now)
    }

    /// Returns the header that a connection's frames go out with, and asks the link for it if need
    /// be. Without a header, when smoltcp is due.
    #[inline(never)]
    fn way<D: PollDevice>(
        &mut self,
        index: u32,
        device: &mut D,
    ) -> Result<Ethernet, Option<Stamp>> {
        let socket = self.slab.peek(index);
        let Some(remote) = socket.and_then(|socket| socket.remote_endpoint()) else {
            return Err(None);
        };
        let remote = IpAddr::from(remote.addr);
        let Some(hop) = self.routes.next_hop(remote) else {
            return Err(self.swallow(index));
        };
        let (reach, ask) = self.neighbours.reach(hop, self.now);
        if ask && let Some(own) = self.routes.source_for(hop) {
            self.ask(own, hop, device);
        }
        match reach {
            Reach::Known(mac) => Ok(Ethernet {
                to: mac,
                from: self.mac,
                kind: resolve::kind_of(remote),
            }),
            Reach::Asking(until) => {
                self.block(index, until);
                Err(None)
            }
            Reach::Silent => Err(self.swallow(index)),
        }
    }

    /// Asks the link who has `hop`. A full device drops the question; the next comes in a second.
    #[cold]
    #[inline(never)]
    fn ask<D: PollDevice>(&mut self, own: IpAddr, hop: IpAddr, device: &mut D) {
        let mut memory = [0; MESSAGE_MAX];
        let len = resolve::ask(&mut memory, self.mac, own, hop);
        send_copy(device, memory.get(..len).unwrap_or_default(), (0, false));
    }

    /// Lets a connection wait for its neighbour.
    #[cold]
    #[inline(never)]
    fn block(&mut self, index: u32, until: Instant) {
        self.counters.neighbour_waits = self.counters.neighbour_waits.wrapping_add(1);
        self.blocked.push(self.slab.slots, index);
        if let Some(slot) = self.slab.get(index) {
            slot.flags.set(Flags::BLOCKED);
        }
        self.expect_by(index, tick_after(until));
    }

    /// Ends a connection of an owner, who learns why.
    #[cold]
    #[inline(never)]
    fn fail(&mut self, index: u32, fault: Fault) {
        self.table.remove(self.slab.slots, index);
        if let Some(socket) = self.slab.socket(index) {
            socket.abort();
        }
        if let Some(slot) = self.slab.get(index) {
            slot.fault = fault;
        }
        self.report(index, Facts::ERROR);
    }

    /// Ends a phase that has reached its limit. Whether there is nothing left to serve.
    #[inline(never)]
    fn expire(&mut self, index: u32) -> bool {
        let Some(phase) = self.slab.get(index).map(|slot| slot.phase) else {
            return true;
        };
        match (phase, self.state(index)) {
            (Phase::HalfOpen, _) => {
                self.counters.handshakes_expired = self.counters.handshakes_expired.wrapping_add(1);
                self.release(index);
            }
            (Phase::Closing, _) => self.release(index),
            (Phase::Delivering, _) => {
                self.unlimit(index);
                if let Some(socket) = self.slab.socket(index) {
                    socket.abort();
                }
                // The peer is told by a reset.
                return false;
            }
            (Phase::Owned, State::SynSent | State::SynReceived) => {
                self.unlimit(index);
                self.fail(index, Fault::TimedOut);
            }
            // Everything is said; smoltcp must not get to the end of its TIME-WAIT.
            (Phase::Owned, State::TimeWait) => self.prolong(index),
            (Phase::Owned, State::FinWait1 | State::Closing | State::LastAck) => {
                self.unlimit(index);
                self.fail(index, Fault::TimedOut);
                // The peer is told by a reset.
                return false;
            }
            _ => {
                self.unlimit(index);
                return false;
            }
        }
        true
    }

    /// Keeps a limit that is reached from being forgotten, as limits are after [`LIMIT_SPAN`].
    fn prolong(&mut self, index: u32) {
        let now = self.now;
        if let Some(slot) = self.slab.get(index) {
            slot.set_limit(tick_of(now));
            self.expect_by(index, tick_after(now.saturating_add(LIMIT_SPAN)));
        }
    }

    /// Draws the consequences of what sending did to the state, and of orphans' progress.
    #[inline(never)]
    fn settle(&mut self, index: u32, before: State, after: State) {
        let Some(slot) = self.slab.get(index) else {
            return;
        };
        let owned = matches!(slot.phase, Phase::Owned | Phase::Delivering);
        if owned && slot.listener == ENDING && after == State::CloseWait && slot.may_end() {
            self.end(index);
        }
        let Some(slot) = self.slab.get(index) else {
            return;
        };
        match slot.phase {
            Phase::Owned if after == State::Closed && before != State::Closed => {
                if slot.fault == Fault::None {
                    // While sending only a limit closes.
                    slot.fault = Fault::TimedOut;
                    self.report(index, Facts::ERROR);
                }
            }
            Phase::Waiting | Phase::HalfOpen if after == State::Closed => self.release(index),
            Phase::Owned => {
                let ending = matches!(after, State::FinWait1 | State::Closing | State::LastAck);
                if ending && !slot.flags.has(Flags::LIMITED) && slot.is_drained() {
                    self.limit(index, self.limits.answer);
                }
            }
            Phase::Delivering | Phase::Closing | Phase::TimeWait => {
                self.settle_orphan(index, after)
            }
            Phase::Waiting | Phase::HalfOpen | Phase::Free => {}
        }
    }

    /// Moves a connection without owner on towards its end.
    #[inline(never)]
    fn settle_orphan(&mut self, index: u32, state: State) {
        let Some(socket) = self.slab.socket(index) else {
            return;
        };
        // Nobody reads any more. What comes is taken so that the peer's end can come, but only
        // until everything of ours is acknowledged; then a reset says so (RFC 9293, section 3.6.1).
        let mut thrown = 0_usize;
        while let Ok(count) = socket.recv(|bytes| (bytes.len(), bytes.len()))
            && count > 0
        {
            thrown = thrown.saturating_add(count);
        }
        let left = count(socket.send_queue());
        if thrown > 0 {
            self.serve.push(self.slab.slots, index);
        }
        let phase = self.slab.get(index).map(|slot| slot.phase);
        match (state, phase) {
            (State::Closed, _) => self.release(index),
            (State::FinWait2, _) if thrown > 0 => {
                if let Some(socket) = self.slab.socket(index) {
                    socket.abort();
                }
                self.serve.push(self.slab.slots, index);
            }
            (State::TimeWait, Some(Phase::Delivering | Phase::Closing)) => {
                self.slab.move_to(index, Phase::TimeWait);
                self.unlimit(index);
            }
            (_, Some(Phase::Delivering)) if left == 0 => {
                self.slab.move_to(index, Phase::Closing);
                self.limit(index, self.limits.closing);
            }
            (_, Some(Phase::Delivering)) => {
                let moves = |slot: &mut Slot<'_>| {
                    slot.next.saturating_sub(left) >= slot.congestion.segment()
                };
                if self.slab.get(index).is_some_and(moves) {
                    self.await_progress(index);
                }
            }
            _ => {}
        }
    }

    /// Sets the deadline of a connection in `state` that has just been served, by when smoltcp is
    /// due.
    #[inline]
    fn schedule(&mut self, index: u32, state: State, due: Option<Stamp>) {
        let Some(slot) = self.slab.get(index) else {
            return;
        };
        slot.congestion.unhear();
        let waits = slot.flags.has(Flags::LIMITED) || slot.talk.has(Talk::SHUT);
        if waits || due.is_some() {
            self.expect(index, state, due);
        }
    }

    /// Sees to it that the slot is served when smoltcp is due or its phase ends, whatever is first.
    #[inline(never)]
    fn expect(&mut self, index: u32, state: State, due: Option<Stamp>) {
        let now = self.now;
        let Some(slot) = self.slab.get(index) else {
            return;
        };
        if slot.phase == Phase::Free || slot.flags.has(Flags::BLOCKED) {
            return;
        }
        let (shut, left) = (slot.talk.has(Talk::SHUT), slot.ticks_left(now));
        let due = if shut { self.persist(index) } else { due };
        if let Some(left) = left {
            self.expect_by(index, tick_of(now).wrapping_add(left));
        }
        if let Some(due) = due {
            let soonest = tick_of(now).wrapping_add(1);
            let due = kept(state, instant(due), now);
            self.expect_by(index, if due <= now { soonest } else { tick_after(due) });
        }
    }
}

/// Lends a slot's set.
const fn set_of<'s, 'a>(slot: &'s mut Slot<'a>) -> Option<&'s mut SocketSet<'a>> {
    slot.set.as_mut()
}

/// Lets smoltcp give up on a peer only while an answer to data is due: its own limit also runs
/// while a connection is merely idle, and only data starts it again. An answer to a FIN alone has a
/// limit of the phase ([`Engine::settle`]).
#[inline]
fn renew(socket: &mut tcp::Socket<'_>, answer: Span) {
    let timeout = if socket.send_queue() > 0 {
        Some(answer)
    } else {
        let probes = |every: u64| every.saturating_mul(PROBES_MAX.saturating_add(1));
        socket
            .keep_alive()
            .map(|every| Span::from_micros(probes(every.total_micros())))
    };
    socket.set_timeout(timeout);
}
