//! What several stacks of one host share beside neighbours: packets that came to the wrong one, on
//! which ports each has datagram sockets, which awaits an echo, and when a cookie was sent last.

use core::sync::atomic::{AtomicU8, AtomicU32, Ordering};

use usockets::Instant;

#[cfg(feature = "dad")]
use crate::ip::dad::AddressState;
use crate::number::{count, low, place};
use crate::tcp::cookies;
use crate::wire::ethernet::Mac;

/// Most stacks that are one host.
const QUEUES_MAX: usize = 64;
/// Words of the largest packet that is handed over.
const WORDS: usize = 380;
/// Bytes of the largest packet that is handed over.
pub(super) const PACKET_MAX: usize = WORDS * 4;
/// Most times that a place is tried for while others take those before.
const TRIES_MAX: u32 = 64;

/// A place for one packet in [`SharedQueues`]. 1,536 bytes.
///
/// Its words are read and written one by one, by whoever `turn` says it belongs to: in each round
/// through the places of a queue, first to those that hand over, then to who takes.
#[derive(Debug)]
pub struct SharedPacket {
    turn: AtomicU32,
    /// Length, and what is known of the packet.
    head: AtomicU32,
    station: [AtomicU32; 2],
    words: [AtomicU32; WORDS],
}

impl SharedPacket {
    const fn new() -> Self {
        Self {
            turn: AtomicU32::new(0),
            head: AtomicU32::new(0),
            station: [const { AtomicU32::new(0) }; 2],
            words: [const { AtomicU32::new(0) }; WORDS],
        }
    }
}

/// The places of one queue that are in use, by positions that only grow, wrapping.
#[derive(Debug)]
#[repr(align(64))]
struct InUse {
    /// The next to be taken.
    first: AtomicU32,
    /// The next to be filled.
    end: AtomicU32,
}

impl InUse {
    const fn new() -> Self {
        Self {
            first: AtomicU32::new(0),
            end: AtomicU32::new(0),
        }
    }
}

/// Ports that are counted as one.
const PORT_GROUPS: usize = 256;

/// How many datagram sockets a stack has whose ports end in the same eight bits. Only that stack
/// writes. At 255 the count stays, and others ask the stack for nothing then and now.
#[derive(Debug)]
struct PortCounts([AtomicU8; PORT_GROUPS]);

impl PortCounts {
    const fn new() -> Self {
        Self([const { AtomicU8::new(0) }; PORT_GROUPS])
    }

    fn of(&self, port: u16) -> Option<&AtomicU8> {
        self.0.get(usize::from(port).checked_rem(PORT_GROUPS)?)
    }
}

/// What is known of a packet that is handed over.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Origin {
    /// The queue it arrived on.
    pub(super) queue: u16,
    /// The station on the link that sent it; `None` without Ethernet.
    pub(super) station: Option<Mac>,
    /// Its TCP checksum is right.
    pub(super) verified: bool,
}

/// There was no room for a packet, or it was too large.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct NoRoom;

/// In the upper half of a head: the checksum is right; there is a station; the queue.
const VERIFIED: u32 = 1 << 16;
const STATION: u32 = 1 << 17;
const QUEUE_SHIFT: u32 = 18;

/// What stacks share that are one host, one for each receive queue of a card
/// ([`Stack::share_queues`](crate::Stack::share_queues)): packets that arrive on another queue than
/// the one that their connection or datagram socket belongs to, the ports of those sockets, and
/// whether SYN cookies are out.
///
/// A card that hashes brings each connection's segments to its stack, but not what ICMP says of
/// them, nor anything while its table changes. Behind a TAP or a veth nothing hashes, and what
/// arrives elsewhere is all handed over.
///
/// It is the caller's, in a static or wherever it outlives the stacks. The places are shared out
/// evenly among the queues, as many to each as a power of two, two at least. A packet for which
/// there is none is dropped and counted
/// ([`Counters::hand_overs_dropped`](crate::Counters::hand_overs_dropped)), and so is one larger
/// than 1,520 bytes: where nothing hashes, use devices without segmentation offload.
///
/// # Example
/// ```
/// use usockets_smoltcp::{SharedPacket, SharedQueues};
///
/// // 128 packets for each of two stacks.
/// static QUEUES: SharedQueues<[SharedPacket; 256]> = SharedQueues::new(2);
/// let shared: &'static SharedQueues = &QUEUES;
/// assert_eq!(shared.queue_count(), 2);
/// ```
#[derive(Debug)]
pub struct SharedQueues<T: ?Sized = [SharedPacket]> {
    queues: u16,
    /// When a cookie was sent last, in seconds, wrapping; 0 before.
    cookie_at: AtomicU32,
    /// What was found out about own addresses that were probed: a bit for each number of one that
    /// is in use, and in the upper half for each of another station's.
    #[cfg(feature = "dad")]
    addresses: AtomicU32,
    /// Which stacks await answers to echo requests, a bit for each queue.
    #[cfg(feature = "echo")]
    echoes: [AtomicU32; QUEUES_MAX / 32],
    in_use: [InUse; QUEUES_MAX],
    ports: [PortCounts; QUEUES_MAX],
    places: T,
}

impl<const N: usize> SharedQueues<[SharedPacket; N]> {
    /// Makes what `queues` stacks share, at most 64.
    #[must_use]
    pub const fn new(queues: u16) -> Self {
        Self {
            queues,
            cookie_at: AtomicU32::new(0),
            #[cfg(feature = "dad")]
            addresses: AtomicU32::new(0),
            #[cfg(feature = "echo")]
            echoes: [const { AtomicU32::new(0) }; QUEUES_MAX / 32],
            in_use: [const { InUse::new() }; QUEUES_MAX],
            ports: [const { PortCounts::new() }; QUEUES_MAX],
            places: [const { SharedPacket::new() }; N],
        }
    }
}

impl SharedQueues {
    /// Returns the number of queues that there are places for: 0 with too few places.
    #[must_use]
    pub fn queue_count(&self) -> u16 {
        let queues = usize::from(self.queues);
        if queues > QUEUES_MAX || self.places_each() < 2 {
            return 0;
        }
        self.queues
    }

    /// Returns the places of each queue, a power of two.
    fn places_each(&self) -> u32 {
        let each = self.places.len().checked_div(usize::from(self.queues));
        match count(each.unwrap_or(0)).checked_ilog2() {
            Some(bits) => 1_u32.wrapping_shl(bits),
            None => 0,
        }
    }

    /// Returns a position's place, and what its turn is before it is filled.
    fn place_at(&self, queue: u16, position: u32) -> Option<(&SharedPacket, u32)> {
        let each = self.places_each();
        let mask = each.wrapping_sub(1);
        let first = usize::from(queue).checked_mul(place(each))?;
        let at = first.checked_add(place(position & mask))?;
        Some((self.places.get(at)?, position & !mask))
    }

    /// Hands a packet over to a queue; returns true if its stack may be asleep and is to be woken.
    pub(super) fn push(&self, queue: u16, origin: Origin, packet: &[u8]) -> Result<bool, NoRoom> {
        let in_use = self.in_use.get(usize::from(queue)).ok_or(NoRoom)?;
        if packet.len() > PACKET_MAX {
            return Err(NoRoom);
        }
        let (shared, turn, position) = self.claim(queue, in_use)?;
        let [a, b, c, d, e, f] = origin.station.unwrap_or_default();
        let [low, high] = &shared.station;
        low.store(u32::from_le_bytes([a, b, c, d]), Ordering::Relaxed);
        high.store(u32::from_le_bytes([e, f, 0, 0]), Ordering::Relaxed);
        for (word, bytes) in shared.words.iter().zip(packet.chunks(4)) {
            let mut whole = [0; 4];
            for (to, from) in whole.iter_mut().zip(bytes) {
                *to = *from;
            }
            word.store(u32::from_le_bytes(whole), Ordering::Relaxed);
        }
        let verified = if origin.verified { VERIFIED } else { 0 };
        let station = origin.station.map_or(0, |_| STATION);
        let head =
            count(packet.len()) | verified | station | u32::from(origin.queue) << QUEUE_SHIFT;
        shared.head.store(head, Ordering::Relaxed);
        // In one order with what `take` does: either it still finds this packet, or it has moved
        // on to it before, which shows here.
        shared.turn.store(turn.wrapping_add(1), Ordering::SeqCst);
        Ok(in_use.first.load(Ordering::SeqCst) == position)
    }

    /// Takes the next free place of a queue: the place, its turn, and its position.
    fn claim(&self, queue: u16, in_use: &InUse) -> Result<(&SharedPacket, u32, u32), NoRoom> {
        for _ in 0..TRIES_MAX {
            let position = in_use.end.load(Ordering::Relaxed);
            let (shared, turn) = self.place_at(queue, position).ok_or(NoRoom)?;
            let ahead = shared.turn.load(Ordering::Acquire).wrapping_sub(turn);
            if ahead != 0 {
                if ahead.cast_signed() < 0 {
                    return Err(NoRoom);
                }
                // Another stack has just taken this position.
                continue;
            }
            let next = position.wrapping_add(1);
            let (ordering, failure) = (Ordering::Relaxed, Ordering::Relaxed);
            let end = &in_use.end;
            if end
                .compare_exchange(position, next, ordering, failure)
                .is_ok()
            {
                return Ok((shared, turn, position));
            }
        }
        Err(NoRoom)
    }

    /// Takes the next packet that was handed over to a queue; only the queue's stack may. Returns
    /// its length.
    pub(super) fn take(&self, queue: u16, into: &mut [u8; PACKET_MAX]) -> Option<(Origin, usize)> {
        let in_use = self.in_use.get(usize::from(queue))?;
        let position = in_use.first.load(Ordering::Relaxed);
        let (shared, turn) = self.place_at(queue, position)?;
        if shared.turn.load(Ordering::SeqCst) != turn.wrapping_add(1) {
            return None;
        }
        let head = shared.head.load(Ordering::Relaxed);
        let len = place(head & 0xffff).min(PACKET_MAX);
        let words = shared.words.iter();
        for (bytes, word) in into.chunks_mut(4).take(len.div_ceil(4)).zip(words) {
            for (to, from) in bytes
                .iter_mut()
                .zip(word.load(Ordering::Relaxed).to_le_bytes())
            {
                *to = from;
            }
        }
        let [low, high] = &shared.station;
        let [a, b, c, d] = low.load(Ordering::Relaxed).to_le_bytes();
        let [e, f, ..] = high.load(Ordering::Relaxed).to_le_bytes();
        let free = turn.wrapping_add(self.places_each());
        shared.turn.store(free, Ordering::Release);
        in_use
            .first
            .store(position.wrapping_add(1), Ordering::SeqCst);
        let origin = Origin {
            queue: u16::try_from(head >> QUEUE_SHIFT).unwrap_or_default(),
            station: (head & STATION != 0).then_some([a, b, c, d, e, f]),
            verified: head & VERIFIED != 0,
        };
        Some((origin, len))
    }

    /// Returns what was found out about the own address of a number.
    #[cfg(feature = "dad")]
    pub(super) fn address_state(&self, number: u8) -> AddressState {
        state_in(self.addresses.load(Ordering::Acquire), number)
    }

    /// Finds out that an own address is in a state, unless something was found out before; returns
    /// which state it is in.
    #[cfg(feature = "dad")]
    pub(super) fn decide_address(&self, number: u8, state: AddressState) -> AddressState {
        let bit = match state {
            AddressState::Tentative => 0,
            AddressState::Preferred => 1_u32,
            AddressState::Duplicated => 1 << 16,
        };
        let mut decided = self.addresses.load(Ordering::Acquire);
        for _ in 0..TRIES_MAX {
            if state_in(decided, number) != AddressState::Tentative {
                return state_in(decided, number);
            }
            let new = decided | bit.rotate_left(number.into());
            let (ordering, failure) = (Ordering::AcqRel, Ordering::Acquire);
            match self
                .addresses
                .compare_exchange(decided, new, ordering, failure)
            {
                Ok(_) => return state,
                Err(now) => decided = now,
            }
        }
        AddressState::Tentative
    }

    /// Notes that the stack of a queue has a datagram socket more at a port, or one less.
    pub(super) fn note_port(&self, queue: u16, port: u16, opened: bool) {
        let counts = self.ports.get(usize::from(queue));
        let Some(shared) = counts.and_then(|counts| counts.of(port)) else {
            return;
        };
        let before = shared.load(Ordering::Relaxed);
        let after = match (before, opened) {
            (u8::MAX, _) => before,
            (_, true) => before.saturating_add(1),
            (_, false) => before.saturating_sub(1),
        };
        shared.store(after, Ordering::Release);
    }

    /// Returns false if the stack of a queue has no datagram socket at a port.
    pub(super) fn may_have_port(&self, queue: u16, port: u16) -> bool {
        let counts = self.ports.get(usize::from(queue));
        let shared = counts.and_then(|counts| counts.of(port));
        shared.is_some_and(|shared| shared.load(Ordering::Acquire) > 0)
    }

    /// Notes whether the stack of a queue awaits an answer to an echo request.
    #[cfg(feature = "echo")]
    pub(super) fn note_awaited_echo(&self, queue: u16, awaits: bool) {
        let Some((word, bit)) = self.echo_bit(queue) else {
            return;
        };
        if awaits {
            word.fetch_or(bit, Ordering::Release);
        } else {
            word.fetch_and(!bit, Ordering::Release);
        }
    }

    /// Returns true if the stack of a queue awaits one.
    #[cfg(feature = "echo")]
    pub(super) fn awaits_echo(&self, queue: u16) -> bool {
        self.echo_bit(queue)
            .is_some_and(|(word, bit)| word.load(Ordering::Acquire) & bit != 0)
    }

    #[cfg(feature = "echo")]
    fn echo_bit(&self, queue: u16) -> Option<(&AtomicU32, u32)> {
        let word = self.echoes.get(usize::from(queue / 32))?;
        Some((word, 1_u32.wrapping_shl(u32::from(queue % 32))))
    }

    /// Notes that one of the stacks has sent a cookie.
    pub(super) fn note_cookie(&self, now: Instant) {
        self.cookie_at.store(seconds(now).max(1), Ordering::Relaxed);
    }

    /// Returns true if a cookie of one of the stacks may be out.
    pub(super) fn believes_cookies(&self, now: Instant) -> bool {
        let at = self.cookie_at.load(Ordering::Relaxed);
        // Another stack's clock may be ahead by a little.
        let age = seconds(now).wrapping_sub(at).cast_signed().max(0);
        at != 0 && u64::from(age.cast_unsigned()) < cookies::VALID.as_secs()
    }
}

/// Returns the clock in seconds, wrapping.
fn seconds(now: Instant) -> u32 {
    low(now.as_micros().checked_div(1_000_000).unwrap_or(0))
}

/// Returns the state of the own address of a number, in [`SharedQueues::addresses`].
#[cfg(feature = "dad")]
fn state_in(addresses: u32, number: u8) -> AddressState {
    match addresses.rotate_right(number.into()) & 0x1_0001 {
        0 => AddressState::Tentative,
        1 => AddressState::Preferred,
        _ => AddressState::Duplicated,
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    const NOBODY: Origin = Origin {
        queue: 0,
        station: None,
        verified: false,
    };

    fn taken(queues: &SharedQueues, queue: u16) -> Option<(Origin, Vec<u8>)> {
        let mut packet = [0; PACKET_MAX];
        let (origin, len) = queues.take(queue, &mut packet)?;
        Some((origin, packet[..len].to_vec()))
    }

    #[test]
    fn packets_come_in_order_and_whole() {
        let queues: &SharedQueues = &SharedQueues::<[SharedPacket; 8]>::new(2);
        let known = Origin {
            queue: 63,
            station: Some([1, 2, 3, 4, 5, 6]),
            verified: true,
        };
        for round in 0..10_u8 {
            assert_eq!(taken(queues, 1), None);
            // The first one finds its stack with nothing to do.
            assert_eq!(queues.push(1, known, &[round; 1_519]), Ok(true));
            for len in [0, 1, PACKET_MAX] {
                assert_eq!(
                    queues.push(1, NOBODY, &[round; PACKET_MAX][..len]),
                    Ok(false)
                );
            }
            assert_eq!(queues.push(1, NOBODY, &[]), Err(NoRoom), "four places each");
            assert_eq!(taken(queues, 0), None);
            let first = (known, [round; 1_519].to_vec());
            assert_eq!(taken(queues, 1), Some(first));
            for len in [0, 1, PACKET_MAX] {
                let next = (NOBODY, [round; PACKET_MAX][..len].to_vec());
                assert_eq!(taken(queues, 1), Some(next));
            }
        }
        assert_eq!(queues.push(1, NOBODY, &[0; PACKET_MAX + 1]), Err(NoRoom));
        assert_eq!(queues.push(64, NOBODY, &[]), Err(NoRoom));
    }

    #[test]
    fn places_that_are_too_few_are_for_nobody() {
        let count = |queues: &SharedQueues| queues.queue_count();
        assert_eq!(count(&SharedQueues::<[SharedPacket; 3]>::new(2)), 0);
        assert_eq!(count(&SharedQueues::<[SharedPacket; 4]>::new(2)), 2);
        assert_eq!(count(&SharedQueues::<[SharedPacket; 4]>::new(0)), 0);
        assert_eq!(count(&SharedQueues::<[SharedPacket; 200]>::new(65)), 0);
    }

    /// Three threads hand over to one, which sleeps when it finds nothing: nothing is lost, torn or
    /// out of order, and whoever is to be woken is.
    #[test]
    fn a_stack_that_sleeps_is_woken() {
        static QUEUES: SharedQueues<[SharedPacket; 4]> = SharedQueues::new(1);
        const EACH: u32 = 5_000;
        let queues: &SharedQueues = &QUEUES;
        let consumer = std::thread::current();
        let threads: Vec<_> = (0..3_u8)
            .map(|thread| {
                let consumer = consumer.clone();
                std::thread::spawn(move || {
                    for turn in 0..EACH {
                        let mut packet = [thread; 40];
                        packet[..4].copy_from_slice(&turn.to_le_bytes());
                        while match queues.push(0, NOBODY, &packet) {
                            Ok(false) => false,
                            Ok(true) => {
                                consumer.unpark();
                                false
                            }
                            Err(NoRoom) => true,
                        } {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let mut next = [0; 3];
        for _ in 0..3 * EACH {
            let start = std::time::Instant::now();
            let (_, packet) = loop {
                if let Some(found) = taken(queues, 0) {
                    break found;
                }
                std::thread::park_timeout(core::time::Duration::from_secs(20));
                assert!(start.elapsed().as_secs() < 20, "nobody woke it");
            };
            let thread = usize::from(packet[39]);
            assert!(packet[4..].iter().all(|byte| usize::from(*byte) == thread));
            assert_eq!(packet[..4], u32::to_le_bytes(next[thread]));
            next[thread] += 1;
        }
        threads.into_iter().for_each(|one| one.join().unwrap());
        assert_eq!(next, [EACH; 3]);
    }

    #[test]
    fn ports_are_counted_and_a_full_count_stays() {
        let queues: &SharedQueues = &SharedQueues::<[SharedPacket; 4]>::new(2);
        let may = |queue| queues.may_have_port(queue, 53);
        queues.note_port(1, 53, true);
        queues.note_port(1, 53 + 256, true);
        assert_eq!((may(0), may(1), may(64)), (false, true, false));
        queues.note_port(1, 53, false);
        assert!(may(1), "another one may be meant");
        queues.note_port(1, 53 + 256, false);
        assert!(!may(1));
        (0..300).for_each(|_| queues.note_port(0, 53, true));
        (0..300).for_each(|_| queues.note_port(0, 53, false));
        assert!(may(0));
    }

    #[test]
    fn cookies_are_believed_for_a_while() {
        let queues: &SharedQueues = &SharedQueues::<[SharedPacket; 2]>::new(1);
        let at = |seconds: u64| Instant::from_micros(seconds * 1_000_000);
        assert!(!queues.believes_cookies(at(10)));
        queues.note_cookie(at(10));
        assert!(queues.believes_cookies(at(9)) && queues.believes_cookies(at(143)));
        assert!(!queues.believes_cookies(at(144)));
    }
}
