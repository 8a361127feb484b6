//! RACK: which segments are lost, told by when others were sent (RFC 8985).

use super::scoreboard::Scoreboard;
use crate::tcp::outstanding::Outstanding;
use crate::tcp::seq::Seq;

/// Duplicate acknowledgements that tell of a loss (RFC 5681, section 2).
pub(in crate::tcp) const DUPLICATES: u32 = 3;
/// For how many recoveries a wider reordering window stays (RFC 8985, section 6.2, step 4).
const PERSIST: u8 = 16;

/// What RACK remembers of a connection (RFC 8985, section 5.2).
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Rack {
    /// RACK.xmit_ts: when the delivered segment that was sent last was sent.
    sent_at: u32,
    /// RACK.end_seq: where that segment ends.
    end: Seq,
    /// RACK.rtt: its round trip.
    rtt: u32,
    /// RACK.fack: the highest number known to be delivered.
    pub(in crate::tcp) forward: Seq,
    /// RACK.dsack_round: where the round ends in which a duplicate was reported.
    duplicate_round: Seq,
    /// RACK.reo_wnd_mult.
    factor: u8,
    /// RACK.reo_wnd_persist.
    persist: u8,
    /// [`KNOWN`], [`REORDERING`], [`DUPLICATE`].
    marks: u8,
}

/// What RACK knows of reordering on the path, which stays when nothing is on its way.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Reordering {
    factor: u8,
    persist: u8,
    seen: u8,
}

impl Reordering {
    /// Of no connection.
    pub(in crate::tcp) const NONE: Self = Self {
        factor: 1,
        persist: PERSIST,
        seen: 0,
    };
}

/// Some segment has been delivered.
const KNOWN: u8 = 1;
/// RACK.reordering_seen.
const REORDERING: u8 = 2;
/// [`Rack::duplicate_round`] is meaningful.
const DUPLICATE: u8 = 4;

/// A clock that wraps: true if `one` is later than `other`.
const fn is_later(one: u32, other: u32) -> bool {
    let ahead = one.wrapping_sub(other);
    ahead != 0 && ahead <= i32::MAX.cast_unsigned()
}

impl Rack {
    /// Nothing is delivered yet.
    pub(in crate::tcp) const fn new(start: Seq) -> Self {
        Self {
            sent_at: 0,
            end: start,
            rtt: 0,
            forward: start,
            duplicate_round: start,
            factor: 1,
            persist: PERSIST,
            marks: 0,
        }
    }

    /// Returns what is known of reordering.
    pub(in crate::tcp) const fn reordering(&self) -> Reordering {
        Reordering {
            factor: self.factor,
            persist: self.persist,
            seen: self.marks & REORDERING,
        }
    }

    /// As [`Self::new`], with what is known of reordering.
    pub(in crate::tcp) const fn resumed(start: Seq, known: Reordering) -> Self {
        let mut rack = Self::new(start);
        rack.factor = known.factor;
        rack.persist = known.persist;
        rack.marks = known.seen;
        rack
    }

    /// Returns when the delivered segment that was sent last was sent.
    #[cfg(feature = "bbr")]
    pub(in crate::tcp) const fn sent_at(&self) -> u32 {
        self.sent_at
    }

    const fn has(&self, mark: u8) -> bool {
        self.marks & mark != 0
    }

    /// Notes a segment that has been delivered, as it was on the scoreboard (steps 2 and 3).
    ///
    /// `least` is the least round trip: a retransmission acknowledged sooner than that was not
    /// needed, and the acknowledgement is that of the original.
    pub(in crate::tcp) fn on_delivered(&mut self, entry: &Outstanding, now: u32, least: u32) {
        let again = entry.transmissions > 1;
        let end = entry.end();
        if end.is_after(self.forward) {
            self.forward = end;
        } else if !again && end.is_before(self.forward) {
            self.marks |= REORDERING;
        }
        let rtt = now.wrapping_sub(entry.sent_at);
        if again && rtt < least {
            return;
        }
        let newer = is_later(entry.sent_at, self.sent_at)
            || (entry.sent_at == self.sent_at && end.is_after(self.end));
        if !self.has(KNOWN) || newer {
            (self.sent_at, self.end, self.rtt) = (entry.sent_at, end, rtt);
            self.marks |= KNOWN;
        }
    }

    /// Notes that the peer has reported a duplicate (DSACK): what was sent again was reordered and
    /// not lost, so the window for that grows, once a round trip (step 4).
    pub(in crate::tcp) fn on_duplicate(&mut self, next: Seq) {
        if !self.has(DUPLICATE) {
            self.marks |= DUPLICATE;
            self.duplicate_round = next;
            self.factor = self.factor.saturating_add(1);
            self.persist = PERSIST;
        }
    }

    /// Forgets the last delivery, which was taken for that of something sent again and was not.
    pub(in crate::tcp) const fn forget_delivery(&mut self) {
        self.marks &= !KNOWN;
    }

    /// Notes a cumulative acknowledgement.
    pub(in crate::tcp) const fn on_ack(&mut self, una: Seq) {
        if self.has(DUPLICATE) && !una.is_before(self.duplicate_round) {
            self.marks &= !DUPLICATE;
        }
    }

    /// Notes that a recovery is over (step 4).
    pub(in crate::tcp) const fn on_recovered(&mut self) {
        self.persist = self.persist.saturating_sub(1);
        if self.persist == 0 {
            self.factor = 1;
            self.persist = PERSIST;
        }
    }

    /// Returns how much later than others a segment may come without being lost.
    fn reorder_window(&self, repairing: bool, sacked: u32, least: u32, smoothed: u32) -> u32 {
        if !self.has(REORDERING) && self.factor == 1 && (repairing || sacked >= DUPLICATES) {
            return 0;
        }
        (least >> 2)
            .saturating_mul(u32::from(self.factor))
            .min(smoothed)
    }

    /// Marks as LOST what was sent long enough before what has been delivered (step 5). Returns how
    /// many microseconds later all of the others may be lost, if any may be, and whether any is
    /// new.
    pub(in crate::tcp) fn detect(
        &self,
        board: &mut Scoreboard,
        table: &mut [Outstanding],
        now: u32,
        repairing: bool,
        (least, smoothed): (u32, u32),
    ) -> (Option<u32>, bool) {
        if !self.has(KNOWN) {
            return (None, false);
        }
        let window = self.reorder_window(repairing, board.sacked_len(), least, smoothed);
        let wait = self.rtt.saturating_add(window);
        let (mut next, mut found) = (None, false);
        for index in 0..board.len() {
            let Some(entry) = board.get(table, index) else {
                break;
            };
            if entry.has_any(Outstanding::SACKED | Outstanding::LOST) {
                continue;
            }
            let earlier = is_later(self.sent_at, entry.sent_at)
                || (self.sent_at == entry.sent_at && self.end.is_after(entry.end()));
            if !earlier {
                // Of those sent once, all behind this one were sent later still.
                if entry.transmissions == 1 {
                    break;
                }
                continue;
            }
            let age = now.wrapping_sub(entry.sent_at);
            match wait.checked_sub(age) {
                Some(left) if left > 0 => next = next.max(Some(left)),
                _ => found |= board.mark_lost(table, index),
            }
        }
        (next, found)
    }
}

#[cfg(feature = "search")]
impl Rack {
    /// Hashes what is known, counted from our initial sequence number and from now.
    pub(in crate::tcp) fn fingerprint(
        &self,
        now: u64,
        iss: Seq,
        into: &mut impl core::hash::Hasher,
    ) {
        use core::hash::Hash;
        let Self {
            sent_at,
            end,
            rtt,
            forward,
            duplicate_round,
            factor,
            persist,
            marks,
        } = self;
        let now = crate::tcp::timers::micros32(now);
        let age = now.wrapping_sub(*sent_at);
        let known = self.has(KNOWN).then(|| (age, end.since(iss), rtt));
        known.hash(into);
        forward.since(iss).hash(into);
        let round = duplicate_round.since(iss);
        self.has(DUPLICATE).then_some(round).hash(into);
        (factor, persist, marks).hash(into);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec;
    use std::vec::Vec;

    /// The segment of 10 octets at `place` times 10.
    fn entry(place: u32, sent_at: u32, transmissions: u8) -> Outstanding {
        Outstanding {
            seq: Seq::new(place.saturating_mul(10)),
            sent_at,
            len: 10,
            marks: 0,
            transmissions,
        }
    }

    /// Returns which entries are lost that were not, and when more may be, in a repair with a least
    /// round trip of 80 and a smoothed one of 400.
    fn lost(rack: &Rack, entries: &[Outstanding], now: u32) -> (Vec<u32>, Option<u32>) {
        let mut table = vec![Outstanding::EMPTY; entries.len()];
        let mut board = Scoreboard::EMPTY;
        for entry in entries {
            assert!(board.push(&mut table, *entry));
        }
        let (next, found) = rack.detect(&mut board, &mut table, now, true, (80, 400));
        let marks = |index: u32| board.get(&table, index).map_or(0, |entry| entry.marks);
        let old = |index: u32| {
            entries
                .get(crate::number::place(index))
                .map_or(0, |entry| entry.marks)
        };
        let lost: Vec<u32> = (0..board.len())
            .filter(|index| marks(*index) != old(*index))
            .collect();
        assert_eq!(found, !lost.is_empty());
        (lost, next)
    }

    /// Section 6.2, step 5: what was sent before the last delivery is lost once it is older than
    /// that took, and not a microsecond sooner.
    #[test]
    fn what_was_sent_before_a_delivery_is_lost_in_time() {
        let mut rack = Rack::new(Seq::new(0));
        let sent = [(0, 100), (1, 110), (2, 120), (3, 120), (4, 130)];
        let mut sent = sent.map(|(place, at)| entry(place, at, 1));
        assert_eq!(
            lost(&rack, &sent, 9_000),
            (vec![], None),
            "nothing is delivered"
        );
        rack.on_delivered(&sent[2], 220, 80);
        assert_eq!(
            lost(&rack, &sent, 199),
            (vec![], Some(11)),
            "the later of 1 and 11"
        );
        assert_eq!(lost(&rack, &sent, 200), (vec![0], Some(10)));
        assert_eq!(lost(&rack, &sent, 210), (vec![0, 1], None));
        assert_eq!(
            lost(&rack, &sent, 9_000),
            (vec![0, 1], None),
            "not what went with it"
        );
        rack.on_delivered(&sent[3], 220, 80);
        assert_eq!(
            lost(&rack, &sent, 9_000),
            (vec![0, 1, 2], None),
            "sent with it, but before"
        );
        (sent[0].marks, sent[1].marks) = (Outstanding::SACKED, Outstanding::LOST);
        assert_eq!(
            lost(&rack, &sent, 9_000),
            (vec![2], None),
            "the others are no news"
        );
        // What was sent again lately hides nothing behind it; what was sent once does.
        let sent = [
            entry(0, 300, 2),
            entry(1, 110, 1),
            entry(2, 300, 1),
            entry(3, 110, 1),
        ];
        assert_eq!(lost(&rack, &sent, 9_000), (vec![1], None));
        rack.forget_delivery();
        assert_eq!(lost(&rack, &sent, 9_000), (vec![], None));
    }

    /// Section 6.2, step 2: of deliveries that one counts which was sent last, and of those sent
    /// at once the one that ends last. Clocks wrap.
    #[test]
    fn the_delivery_that_was_sent_last_counts() {
        let mut rack = Rack::new(Seq::new(0));
        let mut deliver = |entry: Outstanding, now: u32| {
            rack.on_delivered(&entry, now, 80);
            (rack.sent_at, rack.end.get(), rack.rtt)
        };
        let early = u32::MAX - 10;
        assert_eq!(deliver(entry(5, early, 1), 80), (early, 60, 91));
        assert_eq!(
            deliver(entry(4, early, 1), 90),
            (early, 60, 91),
            "it ends before"
        );
        assert_eq!(deliver(entry(6, early, 1), 90), (early, 70, 101));
        assert_eq!(
            deliver(entry(7, early - 1, 1), 95),
            (early, 70, 101),
            "it was sent before"
        );
        assert_eq!(deliver(entry(1, 20, 1), 120), (20, 20, 100));
        // An answer to what was sent again that comes too soon is one to the original.
        assert_eq!(deliver(entry(1, 30, 2), 109), (20, 20, 100));
        assert_eq!(deliver(entry(1, 30, 2), 110), (30, 20, 80));
        assert_eq!(
            deliver(entry(1, 40, 1), 50),
            (40, 20, 10),
            "sent once, it may come soon"
        );
    }

    /// Step 3: reordering is what was sent once and comes behind something later.
    #[test]
    fn what_is_overtaken_shows_reordering() {
        let delivered = |entries: &[Outstanding]| {
            let mut rack = Rack::new(Seq::new(0));
            for entry in entries {
                rack.on_delivered(entry, 1_000, 80);
            }
            (rack.forward.get(), rack.reordering().seen != 0)
        };
        assert_eq!(delivered(&[entry(0, 1, 1), entry(2, 1, 1)]), (30, false));
        assert_eq!(delivered(&[entry(2, 1, 1), entry(2, 1, 1)]), (30, false));
        assert_eq!(delivered(&[entry(2, 1, 1), entry(1, 1, 2)]), (30, false));
        let mut seen = [entry(2, 1, 1), entry(1, 1, 1), entry(0, 1, 1)];
        assert_eq!(delivered(&seen), (30, true), "seen twice");
        seen[2].transmissions = 2;
        assert_eq!(delivered(&seen), (30, true));
        assert_eq!(delivered(&seen[..1]), (30, false));
    }

    /// Step 4: no window for reordering while none was seen and a loss is likely; else a quarter of
    /// the least round trip, times the rounds with duplicates, and no more than the smoothed one.
    #[test]
    fn the_window_for_reordering_grows_with_duplicates() {
        let mut rack = Rack::new(Seq::new(0));
        let window =
            |rack: &Rack, repairing, sacked| rack.reorder_window(repairing, sacked, 80, 90);
        assert_eq!(window(&rack, true, 0), 0);
        assert_eq!(window(&rack, false, 3), 0);
        assert_eq!(window(&rack, false, 2), 20);
        rack.on_duplicate(Seq::new(50));
        rack.on_duplicate(Seq::new(70));
        assert_eq!(window(&rack, true, 3), 40, "once a round");
        rack.on_ack(Seq::new(49));
        rack.on_duplicate(Seq::new(70));
        assert_eq!(window(&rack, true, 3), 40, "the round is not over");
        rack.on_ack(Seq::new(50));
        rack.on_duplicate(Seq::new(70));
        assert_eq!(window(&rack, true, 3), 60);
        rack.on_ack(Seq::new(70));
        for _ in 0..4 {
            rack.on_duplicate(Seq::new(70));
            rack.on_ack(Seq::new(70));
        }
        assert_eq!(window(&rack, true, 3), 90, "the smoothed one");
        for _ in 1..PERSIST {
            rack.on_recovered();
        }
        let known = rack.reordering();
        let mut resumed = Rack::resumed(Seq::new(7), known);
        assert_eq!(window(&resumed, true, 3), 90);
        resumed.on_recovered();
        assert_eq!(window(&resumed, true, 3), 0, "after 16 recoveries");
        resumed.on_delivered(&entry(2, 1, 1), 1_000, 80);
        resumed.on_delivered(&entry(1, 1, 1), 1_000, 80);
        assert_eq!(window(&resumed, true, 3), 20, "where it was seen");
        assert!(
            lost(
                &Rack::resumed(Seq::new(7), resumed.reordering()),
                &[entry(0, 1, 1)],
                9_000
            )
            .0
            .is_empty()
        );
    }
}
