//! All datagram sockets of a stack, and their memory.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use usockets::{Arrival, Arrivals, DatagramError, Ecn, Error, Instant, Readiness, Ready, SocketId};

use crate::hash::Secret;
use crate::number::{count, high, low, place};
use crate::pool::list::{List, ReadyRing, Ring};
use crate::pool::table::Table;
use crate::udp::memory::DatagramMemory;
use crate::udp::queue::Head;
use crate::udp::slot::{Bound, DatagramSlot, Returned};

/// Most sockets.
const SOCKETS_MAX: usize = 65_535;
/// The number of the stack's only interface.
pub(crate) const INTERFACE: u32 = 1;

/// What became of a datagram that came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Delivered {
    /// A socket has it.
    Queued,
    /// It is for a socket whose memory is full.
    Dropped,
    /// It is for nobody here.
    Nobody,
}

/// All datagram sockets.
pub(crate) struct Sockets<'a> {
    pub(crate) all: &'a mut [DatagramSlot],
    table: Table<'a>,
    secret: Secret,
    free: List,
    received: &'a mut [u8],
    held: &'a mut [u8],
    /// Bytes that each socket has of either.
    received_len: usize,
    held_len: usize,
    ready: ReadyRing,
    /// Sockets that hold something back, or whose owner waits for room.
    pub(crate) waiting: Ring,
    /// Some of them wait for room.
    pub(crate) room_wanted: bool,
    /// A neighbour has been learnt that something may be held for.
    pub(crate) news: bool,
    /// When what is held is looked at again.
    pub(crate) held_until: Option<Instant>,
}

impl<'a> Sockets<'a> {
    /// Makes a set without memory, in which there is no socket.
    pub(crate) fn empty() -> Self {
        Self {
            all: &mut [],
            table: Table::empty(),
            secret: Secret::new([0; 16]),
            free: List::EMPTY,
            received: &mut [],
            held: &mut [],
            received_len: 0,
            held_len: 0,
            ready: ReadyRing::EMPTY,
            waiting: Ring::EMPTY,
            room_wanted: false,
            news: false,
            held_until: None,
        }
    }

    /// Takes over the caller's memory; `None` when it does not fit together.
    pub(crate) fn start(&mut self, memory: DatagramMemory<'a>, secret: Secret) -> Option<()> {
        let sockets = memory.sockets.len();
        if !self.all.is_empty() || sockets > SOCKETS_MAX {
            return None;
        }
        self.received_len = memory.received.len().checked_div(sockets)?;
        self.held_len = memory.held.len().checked_div(sockets)?;
        self.table = Table::new(memory.buckets)?;
        self.secret = secret;
        memory.sockets.fill_with(|| DatagramSlot::EMPTY);
        (self.all, self.received, self.held) = (memory.sockets, memory.received, memory.held);
        for index in 0..count(sockets) {
            self.free.push(self.all, index);
        }
        Some(())
    }

    pub(crate) fn get(&self, index: u32) -> Option<&DatagramSlot> {
        self.all.get(place(index)).filter(|slot| slot.owner != 0)
    }

    pub(crate) fn get_mut(&mut self, index: u32) -> Option<&mut DatagramSlot> {
        self.all
            .get_mut(place(index))
            .filter(|slot| slot.owner != 0)
    }

    fn hash(&self, bound: &Bound) -> u32 {
        let hash = self.secret.hash(&bound.words());
        low(hash) ^ high(hash)
    }

    /// Finds the socket that is bound just there.
    pub(crate) fn at(&mut self, ip: IpAddr, port: u16) -> Option<u32> {
        if self.all.is_empty() {
            return None;
        }
        let bound = Bound::new(ip, port);
        let hash = self.hash(&bound);
        self.table.find(self.all, hash, &bound)
    }

    /// Finds the socket for what is sent to an address: one bound there, or to all of its family,
    /// or to all of both.
    pub(crate) fn find(&mut self, ip: IpAddr, port: u16) -> Option<u32> {
        let exact = self.at(ip, port);
        let family = || ip.is_ipv4().then_some(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
        exact
            .or_else(|| self.at(family()?, port))
            .or_else(|| self.at(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port))
    }

    /// Makes a socket that is bound to an address which is free; returns its place.
    pub(crate) fn bind(&mut self, id: SocketId, ip: IpAddr, port: u16) -> Result<u32, Error> {
        let index = self.free.pop(self.all).ok_or(Error::Exhausted)?;
        let bound = Bound::new(ip, port);
        let hash = self.hash(&bound);
        if let Some(slot) = self.all.get_mut(place(index)) {
            slot.reset(id.to_bits(), bound);
        }
        self.table.insert(self.all, index, hash);
        Ok(index)
    }

    /// Binds a socket that is bound to all addresses to one of them.
    pub(crate) fn rebind(&mut self, index: u32, ip: IpAddr) {
        let Some(port) = self.get(index).map(|slot| slot.bound.port()) else {
            return;
        };
        self.table.remove(self.all, index);
        let bound = Bound::new(ip, port);
        if let Some(slot) = self.get_mut(index) {
            slot.bound = bound;
        }
        let hash = self.hash(&bound);
        self.table.insert(self.all, index, hash);
    }

    /// Ends a socket. What waits is lost.
    pub(crate) fn release(&mut self, index: u32) {
        if self.get(index).is_none() {
            return;
        }
        self.table.remove(self.all, index);
        if let Some(slot) = self.all.get_mut(place(index)) {
            slot.reset(0, Bound::new(Ipv6Addr::UNSPECIFIED.into(), 0));
        }
        self.free.push(self.all, index);
    }

    /// Notes something to report about a socket.
    pub(crate) fn report(&mut self, index: u32, facts: Readiness) {
        if let Some(slot) = self.get_mut(index) {
            slot.facts = slot.facts.union(facts);
            self.ready.push(self.all, index);
        }
    }

    pub(crate) const fn has_reports(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes the next report.
    pub(crate) fn next_ready(&mut self) -> Option<Ready> {
        while let Some(index) = self.ready.pop(self.all) {
            let Some(slot) = self.get_mut(index) else {
                continue;
            };
            let none = Readiness::from_bits(0);
            let readiness = core::mem::replace(&mut slot.facts, none);
            if let (Some(id), true) = (slot.owner(), readiness != none) {
                return Some(Ready { id, readiness });
            }
        }
        None
    }

    /// Gives a datagram to a socket.
    pub(crate) fn deliver(&mut self, index: u32, head: Head, bytes: [&[u8]; 2]) -> Delivered {
        let ring = part(self.received, self.received_len, index);
        let Some(slot) = self.all.get_mut(place(index)) else {
            return Delivered::Nobody;
        };
        if !slot.received.push(ring, head, bytes) {
            return Delivered::Dropped;
        }
        if core::mem::take(&mut slot.armed) {
            self.report(index, Readiness::READABLE);
        }
        Delivered::Queued
    }

    /// Receives a batch.
    pub(crate) fn receive(
        &mut self,
        index: u32,
        memory: &mut [u8],
        arrivals: &mut [Arrival],
    ) -> Result<Arrivals, Error> {
        let ring = part(self.received, self.received_len, index);
        let slot = self.all.get_mut(place(index)).ok_or(Error::Invalid)?;
        let each = memory.len().checked_div(arrivals.len());
        let each = each.ok_or(Error::Invalid)?;
        let mut count = 0_usize;
        for (turn, arrival) in arrivals.iter_mut().enumerate() {
            let Some((head, [first, second])) = slot.received.at(ring, 0) else {
                break;
            };
            let from = turn.saturating_mul(each);
            let to = from.saturating_add(each);
            let room = memory.get_mut(from..to).unwrap_or_default();
            let len = copy(room, first, second);
            *arrival = Arrival {
                len,
                segment: 0,
                peer: head.remote.into(),
                destination: Some(head.local),
                interface: INTERFACE,
                ecn: ecn_of(head.ecn),
                hops: Some(head.hops),
                truncated: len < usize::from(head.len),
            };
            slot.received.pop(ring, &head);
            count = count.saturating_add(1);
        }
        let drained = slot.received.is_empty();
        slot.armed |= drained;
        Ok(Arrivals { count, drained })
    }

    /// Holds a datagram back until `until` or until there is news of neighbours; the oldest make
    /// place. Returns how many are lost.
    pub(crate) fn hold(&mut self, index: u32, head: Head, bytes: &[u8], until: Instant) -> u64 {
        let ring = part(self.held, self.held_len, index);
        let Some(slot) = self.all.get_mut(place(index)) else {
            return 1;
        };
        let mut lost = 0_u64;
        while !slot.held.push(ring, head, [bytes, &[]]) {
            let Some((oldest, _)) = slot.held.at(ring, 0) else {
                return lost.saturating_add(1);
            };
            slot.held.pop(ring, &oldest);
            lost = lost.saturating_add(u64::from(!oldest.gone));
        }
        self.waiting.push(self.all, index);
        self.look_at(until);
        lost
    }

    /// Sees to it that what is held is looked at by then.
    pub(crate) fn look_at(&mut self, until: Instant) {
        let earlier = self.held_until.is_none_or(|set| until < set);
        if earlier {
            self.held_until = Some(until);
        }
    }

    /// Returns the datagram that is held `at` bytes behind a socket's first, with its bytes.
    pub(crate) fn held(&self, index: u32, at: u32) -> Option<(Head, [&[u8]; 2])> {
        let from = place(index).saturating_mul(self.held_len);
        let ring = self.held.get(from..from.saturating_add(self.held_len))?;
        self.get(index)?.held.at(ring, at)
    }

    /// Marks a held datagram as gone.
    pub(crate) fn drop_held(&mut self, index: u32, at: u32, head: &Head) {
        let ring = part(self.held, self.held_len, index);
        if let Some(slot) = self.all.get_mut(place(index)) {
            slot.held.mark_gone(ring, at, head);
        }
    }

    /// Frees the room of those at the front that are gone.
    pub(crate) fn trim_held(&mut self, index: u32) {
        let ring = part(self.held, self.held_len, index);
        let Some(slot) = self.all.get_mut(place(index)) else {
            return;
        };
        while let Some((head, _)) = slot.held.at(ring, 0).filter(|(head, _)| head.gone) {
            slot.held.pop(ring, &head);
        }
    }

    /// Keeps an error of a datagram for the socket that sent it, and reports it.
    pub(crate) fn push_error(&mut self, index: u32, to: SocketAddr, error: Error, mtu: u32) {
        if let Some(slot) = self.get_mut(index)
            && slot.push_error(Returned::new(to, error, mtu))
        {
            self.report(index, Readiness::ERROR);
        }
    }

    /// Takes the next error of a socket.
    pub(crate) fn next_error(&mut self, index: u32) -> Option<DatagramError> {
        self.get_mut(index)?.pop_error()
    }

    /// Returns true if a socket holds something back.
    pub(crate) fn is_holding(&self, index: u32) -> bool {
        self.get(index).is_some_and(|slot| !slot.held.is_empty())
    }
}

/// Returns a socket's part of the memory.
fn part(memory: &mut [u8], len: usize, index: u32) -> &mut [u8] {
    let from = place(index).saturating_mul(len);
    let to = from.saturating_add(len);
    memory.get_mut(from..to).unwrap_or_default()
}

/// Copies two pieces one after the other as far as there is room; returns how much.
fn copy(room: &mut [u8], first: &[u8], second: &[u8]) -> usize {
    let mut len = 0_usize;
    for piece in [first, second] {
        let room = room.get_mut(len..).unwrap_or_default();
        let fits = piece.len().min(room.len());
        if let (Some(to), Some(from)) = (room.get_mut(..fits), piece.get(..fits)) {
            to.copy_from_slice(from);
        }
        len = len.saturating_add(fits);
    }
    len
}

/// Returns the congestion mark of two bits.
const fn ecn_of(bits: u8) -> Ecn {
    match bits & 3 {
        0 => Ecn::NotEct,
        1 => Ecn::Ect1,
        2 => Ecn::Ect0,
        _ => Ecn::CongestionExperienced,
    }
}

/// Returns the two bits of a congestion mark.
pub(crate) const fn bits_of(ecn: Ecn) -> u8 {
    match ecn {
        Ecn::NotEct => 0,
        Ecn::Ect1 => 1,
        Ecn::Ect0 => 2,
        Ecn::CongestionExperienced => 3,
    }
}
