//! Who has which hardware address on the link: a table in the caller's memory.
//!
//! smoltcp's own table holds eight neighbours and asks for one a second in all. This one holds as
//! many as the caller gives, asks for each on its own, and lets no question of ours push out a
//! neighbour that is known: only one that asks for us does, or one that another stack of this host
//! has heard.

use core::net::IpAddr;

use usockets::{Duration, Instant};

use crate::hash::Secret;
use crate::ip::FRESH_MAX;
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
use crate::ip::shared::SharedNeighbours;
use crate::number::{high, low, place};
use crate::wire::HAS_V6;

/// How long an address is used after it was last confirmed (RFC 1122, section 2.3.2.1).
const KNOWN_MAX: Duration = Duration::from_secs(60);
/// Time between two questions for one neighbour (RFC 1122, section 2.3.2.1).
const ASK_EVERY: Duration = Duration::from_secs(1);
/// Questions without answer after which a neighbour counts as unreachable.
const ASKS_MAX: u8 = 3;
/// Places where one neighbour may stand.
const WAYS: u32 = 4;
/// Most questions for all neighbours in [`BURST_EVERY`], so that a flood of invented sources
/// does not become a flood of broadcasts.
const BURST_MAX: u16 = 64;
const BURST_EVERY: Duration = Duration::from_millis(64);

/// One entry of the neighbour table, lent by the caller as [`Neighbour::EMPTY`]. 48 bytes.
#[derive(Clone, Copy, Debug)]
pub struct Neighbour {
    ip: Option<IpAddr>,
    mac: [u8; 6],
    known: bool,
    asked: u8,
    /// Known until then; of one that is not known: not asked for again before then.
    until: Instant,
    /// Next question while known.
    ask_at: Instant,
}

impl Neighbour {
    /// An entry that no stack has filled.
    pub const EMPTY: Self = Self {
        ip: None,
        mac: [0; 6],
        known: false,
        asked: 0,
        until: Instant::ZERO,
        ask_at: Instant::ZERO,
    };
}

/// How to reach a neighbour.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reach {
    /// At this hardware address.
    Known([u8; 6]),
    /// Asked; come back when one has been learnt, or at this time.
    Asking(Instant),
    /// It does not answer, and is not asked for a while.
    Silent,
}

/// The neighbour table.
pub(crate) struct Neighbours<'a> {
    table: &'a mut [Neighbour],
    secret: Secret,
    burst: u16,
    burst_from: Instant,
    /// What other stacks on this link know, and how often they had learnt something when it was
    /// last looked at.
    #[cfg(all(feature = "queues", target_has_atomic = "32"))]
    shared: Option<(&'a SharedNeighbours, (u32, u32))>,
}

impl<'a> Neighbours<'a> {
    /// Makes a table without memory.
    pub(crate) fn empty() -> Self {
        Self {
            table: &mut [],
            secret: Secret::new([0; 16]),
            burst: 0,
            burst_from: Instant::ZERO,
            #[cfg(all(feature = "queues", target_has_atomic = "32"))]
            shared: None,
        }
    }

    /// Takes over the caller's memory.
    pub(crate) fn start(&mut self, table: &'a mut [Neighbour], secret: Secret) {
        table.fill(Neighbour::EMPTY);
        self.table = table;
        self.secret = secret;
    }

    /// Finds how to reach `ip`, and whether a question for it is due, which the caller then sends.
    #[inline]
    pub(crate) fn reach(&mut self, ip: IpAddr, now: Instant) -> (Reach, bool) {
        let at = self.find(ip);
        if let Some(entry) = at.and_then(|at| self.table.get(at))
            && entry.known
            && now < entry.until.min(entry.ask_at)
        {
            return (Reach::Known(entry.mac), false);
        }
        if let Some(mac) = self.adopt(ip, now) {
            return (Reach::Known(mac), false);
        }
        let (reach, ask) = self.search(ip, at, now);
        if ask {
            self.share_question(ip, now);
        }
        (reach, ask)
    }

    /// The same for a neighbour that nobody has heard of late; `at` is its place in the table.
    fn search(&mut self, ip: IpAddr, at: Option<usize>, now: Instant) -> (Reach, bool) {
        let Some(at) = at else {
            return self.begin(ip, now);
        };
        let allowed = self.may_ask(now);
        let Some(entry) = self.table.get_mut(at) else {
            return (Reach::Silent, false);
        };
        if entry.known && now < entry.until {
            let ask = now >= entry.ask_at && allowed;
            if ask {
                entry.ask_at = now.saturating_add(ASK_EVERY);
                self.burst = self.burst.saturating_add(1);
            }
            return (Reach::Known(entry.mac), ask);
        }
        if entry.known {
            (entry.known, entry.asked, entry.until) = (false, 0, now);
        }
        if now < entry.until {
            let silent = entry.asked > ASKS_MAX;
            let asking = Reach::Asking(entry.until);
            return (if silent { Reach::Silent } else { asking }, false);
        }
        if entry.asked >= ASKS_MAX {
            // Silent for one turn; the next user starts over.
            let over = entry.asked > ASKS_MAX;
            entry.asked = if over { 0 } else { ASKS_MAX.saturating_add(1) };
            if !over {
                entry.until = now.saturating_add(ASK_EVERY);
                return (Reach::Silent, false);
            }
        }
        if !allowed {
            return (Reach::Asking(now.saturating_add(BURST_EVERY)), false);
        }
        entry.asked = entry.asked.saturating_add(1);
        entry.until = now.saturating_add(ASK_EVERY);
        let until = entry.until;
        self.burst = self.burst.saturating_add(1);
        (Reach::Asking(until), true)
    }

    /// Notes that `ip` is at `mac`; returns whether that is news. A neighbour that was not asked
    /// for and is not in use is noted only with `invited`: it asked for us.
    pub(crate) fn learn(&mut self, ip: IpAddr, mac: [u8; 6], now: Instant, invited: bool) -> bool {
        let at = self.find(ip);
        self.share_answer((ip, mac), now, invited || at.is_some());
        let at = match at {
            None if invited => self.victim(ip, now, true),
            at => at,
        };
        at.is_some_and(|at| self.note(at, (ip, mac), now, now))
    }

    /// Notes that a neighbour was heard at `heard`; returns whether it was not known to be there.
    fn note(
        &mut self,
        at: usize,
        (ip, mac): (IpAddr, [u8; 6]),
        heard: Instant,
        now: Instant,
    ) -> bool {
        let Some(entry) = self.table.get_mut(at) else {
            return false;
        };
        let news = !(entry.known && entry.mac == mac && now < entry.until);
        *entry = Neighbour {
            ip: Some(ip),
            mac,
            known: true,
            asked: 0,
            until: heard.saturating_add(KNOWN_MAX),
            ask_at: heard.saturating_add(FRESH_MAX),
        };
        news
    }

    fn begin(&mut self, ip: IpAddr, now: Instant) -> (Reach, bool) {
        let later = now.saturating_add(BURST_EVERY);
        if !self.may_ask(now) {
            return (Reach::Asking(later), false);
        }
        let Some(at) = self.victim(ip, now, false) else {
            return (Reach::Asking(later), false);
        };
        let Some(entry) = self.table.get_mut(at) else {
            return (Reach::Silent, false);
        };
        *entry = Neighbour {
            ip: Some(ip),
            asked: 1,
            until: now.saturating_add(ASK_EVERY),
            ..Neighbour::EMPTY
        };
        self.burst = self.burst.saturating_add(1);
        (Reach::Asking(entry.until), true)
    }

    fn may_ask(&mut self, now: Instant) -> bool {
        if now.saturating_since(self.burst_from) >= BURST_EVERY {
            self.burst_from = now;
            self.burst = 0;
        }
        self.burst < BURST_MAX
    }

    #[inline]
    fn find(&self, ip: IpAddr) -> Option<usize> {
        self.ways(ip).find(|at| {
            self.table
                .get(*at)
                .is_some_and(|entry| entry.ip == Some(ip))
        })
    }

    /// The place for a new entry: an empty one, else one that is not known or has run out, else,
    /// only for a neighbour that was heard, the one confirmed longest ago.
    fn victim(&self, ip: IpAddr, now: Instant, heard: bool) -> Option<usize> {
        let rank = |at: &usize| {
            self.table.get(*at).map_or((3, Instant::ZERO), |entry| {
                let known = entry.known && now < entry.until;
                match (entry.ip, known) {
                    (None, _) => (0, Instant::ZERO),
                    (Some(_), false) => (1, entry.until),
                    (Some(_), true) => (2, entry.until),
                }
            })
        };
        let at = self.ways(ip).min_by_key(rank)?;
        (heard || rank(&at).0 < 2).then_some(at)
    }

    #[inline]
    fn ways(&self, ip: IpAddr) -> impl Iterator<Item = usize> + use<> {
        let bits = match ip {
            IpAddr::V4(ip) => u128::from(ip.to_bits()),
            IpAddr::V6(ip) if HAS_V6 => ip.to_bits(),
            IpAddr::V6(_) => 0,
        };
        let [a, b, c, d, e, f, g, h, rest @ ..] = bits.to_le_bytes();
        let hash = self.secret.hash(&[
            u64::from_le_bytes([a, b, c, d, e, f, g, h]),
            u64::from_le_bytes(rest),
        ]);
        let count = self.table.len();
        let start = place(low(hash) ^ high(hash))
            .checked_rem(count)
            .unwrap_or(0);
        // None in a table without places.
        (0..WAYS).filter_map(move |way| start.wrapping_add(place(way)).checked_rem(count))
    }
}

/// What is known together with other stacks.
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
impl<'a> Neighbours<'a> {
    /// Shares what is learnt with all stacks that have the same table.
    pub(crate) fn share(&mut self, table: &'a SharedNeighbours) {
        self.shared = Some((table, table.changes()));
    }

    /// Takes over what another stack has heard of a neighbour of late; returns where it is.
    #[cold]
    fn adopt(&mut self, ip: IpAddr, now: Instant) -> Option<[u8; 6]> {
        let (shared, _) = self.shared?;
        let known = shared.find(ip, now)?;
        if known.age >= FRESH_MAX {
            return None;
        }
        let at = self.find(ip).or_else(|| self.victim(ip, now, true))?;
        let age = u64::try_from(known.age.as_micros()).unwrap_or(u64::MAX);
        let heard = Instant::from_micros(now.as_micros().saturating_sub(age));
        self.note(at, (ip, known.mac), heard, now);
        Some(known.mac)
    }

    fn share_question(&self, ip: IpAddr, now: Instant) {
        if let Some((shared, _)) = self.shared {
            shared.on_ask(ip, now);
        }
    }

    /// Tells the other stacks of an answer, if this one expects it or any of them.
    fn share_answer(&self, (ip, mac): (IpAddr, [u8; 6]), now: Instant, expected: bool) {
        if let Some((shared, _)) = self.shared
            && (expected || shared.is_wanted(ip))
        {
            shared.on_heard(ip, mac, now);
        }
    }

    /// Returns true if another stack has heard something since the last call that one of this
    /// stack's connections may wait for.
    #[inline]
    pub(crate) fn has_news(&mut self, now: Instant) -> bool {
        let Some((shared, seen)) = &mut self.shared else {
            return false;
        };
        let changes = shared.changes();
        if changes == *seen {
            return false;
        }
        let moved = changes.1 != seen.1;
        *seen = changes;
        if moved {
            self.follow(now);
        }
        true
    }

    /// Takes over where neighbours have moved.
    #[cold]
    fn follow(&mut self, now: Instant) {
        for at in 0..self.table.len() {
            let entry = self.table.get(at).filter(|entry| entry.known);
            if let Some(ip) = entry.and_then(|entry| entry.ip) {
                self.adopt(ip, now);
            }
        }
    }

    /// Returns true if an answer that is waited for may come to another stack.
    pub(crate) const fn is_shared(&self) -> bool {
        self.shared.is_some()
    }
}

/// Without the feature, or without atomics, nothing is shared.
#[cfg(not(all(feature = "queues", target_has_atomic = "32")))]
#[expect(clippy::unused_self, reason = "as where something is shared")]
impl Neighbours<'_> {
    const fn adopt(&self, _: IpAddr, _: Instant) -> Option<[u8; 6]> {
        None
    }

    const fn share_question(&self, _: IpAddr, _: Instant) {}

    const fn share_answer(&self, _: (IpAddr, [u8; 6]), _: Instant, _: bool) {}

    pub(crate) const fn has_news(&self, _: Instant) -> bool {
        false
    }

    pub(crate) const fn is_shared(&self) -> bool {
        false
    }
}

#[cfg(test)]
#[expect(clippy::arithmetic_side_effects, reason = "small numbers of tests")]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([10, 0, 0, last])
    }

    fn at(millis: u64) -> Instant {
        Instant::from_micros(millis * 1_000)
    }

    const MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];

    #[test]
    fn asks_three_times_a_second_apart_then_is_silent() {
        let mut table = vec![Neighbour::EMPTY; 16];
        let mut all = Neighbours::empty();
        all.start(&mut table, Secret::new([1; 16]));
        assert_eq!(all.reach(ip(1), at(0)), (Reach::Asking(at(1_000)), true));
        assert_eq!(all.reach(ip(1), at(500)), (Reach::Asking(at(1_000)), false));
        assert_eq!(
            all.reach(ip(1), at(1_000)),
            (Reach::Asking(at(2_000)), true)
        );
        assert_eq!(
            all.reach(ip(1), at(2_000)),
            (Reach::Asking(at(3_000)), true)
        );
        assert_eq!(all.reach(ip(1), at(3_000)), (Reach::Silent, false));
        assert_eq!(all.reach(ip(1), at(3_500)), (Reach::Silent, false));
        assert_eq!(
            all.reach(ip(1), at(4_000)),
            (Reach::Asking(at(5_000)), true)
        );
    }

    /// smoltcp asks for one neighbour a second in all ("ARP rate limit").
    #[test]
    fn every_neighbour_is_asked_for_at_once_but_no_flood() {
        let mut table = vec![Neighbour::EMPTY; 512];
        let mut all = Neighbours::empty();
        all.start(&mut table, Secret::new([1; 16]));
        let asked = (0..200)
            .filter(|last| all.reach(ip(*last), at(5_000)).1)
            .count();
        assert_eq!(asked, usize::from(BURST_MAX));
        let more = (0..200)
            .filter(|last| all.reach(ip(*last), at(5_064)).1)
            .count();
        assert_eq!(more, usize::from(BURST_MAX));
    }

    #[test]
    fn questions_never_push_out_the_known() {
        let mut table = vec![Neighbour::EMPTY; 4];
        let mut all = Neighbours::empty();
        all.start(&mut table, Secret::new([1; 16]));
        for last in 0..4 {
            assert!(all.learn(ip(last), MAC, at(0), true));
        }
        for last in 4..200 {
            assert!(!all.reach(ip(last), at(u64::from(last))).1);
        }
        for last in 0..4 {
            assert_eq!(all.reach(ip(last), at(1_000)), (Reach::Known(MAC), false));
        }
    }

    #[test]
    fn unasked_answers_are_not_noted_and_old_ones_asked_again() {
        let mut table = vec![Neighbour::EMPTY; 4];
        let mut all = Neighbours::empty();
        all.start(&mut table, Secret::new([1; 16]));
        assert!(!all.learn(ip(1), MAC, at(0), false));
        assert_eq!(all.reach(ip(1), at(0)), (Reach::Asking(at(1_000)), true));
        assert!(all.learn(ip(1), MAC, at(1), false));
        assert_eq!(all.reach(ip(1), at(29_000)), (Reach::Known(MAC), false));
        assert_eq!(all.reach(ip(1), at(31_000)), (Reach::Known(MAC), true));
        assert_eq!(all.reach(ip(1), at(31_001)), (Reach::Known(MAC), false));
        assert_eq!(
            all.reach(ip(1), at(60_001)),
            (Reach::Asking(at(61_001)), true)
        );
    }
}
