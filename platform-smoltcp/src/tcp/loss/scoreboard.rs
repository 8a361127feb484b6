//! What is known of each segment on its way: the scoreboard of RFC 6675, section 3, over the
//! caller's table of outstanding segments.
//!
//! The table is a ring of entries in the order of sequence numbers, without gaps from SND.UNA to
//! SND.NXT. An entry is cut in two where an acknowledgement ends within it.

use crate::number::{count, place};
use crate::tcp::outstanding::Outstanding;
use crate::tcp::segment::Block;
use crate::tcp::seq::Seq;

/// Entries that new segments leave free, so that the first one can always be cut.
const RESERVE: u32 = 2;

/// Where the ring of outstanding segments stands, and sums over it.
#[derive(Clone, Copy, Debug)]
pub(in crate::tcp) struct Scoreboard {
    /// Place of the first entry.
    head: u16,
    /// Entries in use.
    entries: u16,
    /// Octets that are marked SACKED.
    pub(in crate::tcp) sacked: u32,
    /// Octets that are marked LOST.
    pub(in crate::tcp) lost: u32,
    /// Entries that are marked SACKED.
    sacked_entries: u16,
    /// No entry before this number is marked LOST.
    lost_from: Seq,
    /// The block that was marked last: it is not gone through again.
    last_block: Block,
}

impl Scoreboard {
    /// Nothing is on its way.
    pub(in crate::tcp) const EMPTY: Self = Self {
        head: 0,
        entries: 0,
        sacked: 0,
        lost: 0,
        sacked_entries: 0,
        lost_from: Seq::new(0),
        last_block: Block::EMPTY,
    };

    /// Returns the number of entries in use.
    pub(in crate::tcp) fn len(&self) -> u32 {
        u32::from(self.entries)
    }

    /// Returns the number of entries that are marked SACKED.
    pub(in crate::tcp) fn sacked_len(&self) -> u32 {
        u32::from(self.sacked_entries)
    }

    /// Returns true if nothing is on its way.
    pub(in crate::tcp) const fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Returns true if another segment may be sent.
    pub(in crate::tcp) fn has_room(&self, table: &[Outstanding]) -> bool {
        self.len().saturating_add(RESERVE) < room(table)
    }

    /// Returns the place of entry `index`, counted from the first.
    fn at(&self, table: &[Outstanding], index: u32) -> usize {
        let at = usize::from(self.head).saturating_add(place(index));
        let len = place(room(table));
        if at >= len {
            at.saturating_sub(len)
        } else {
            at
        }
    }

    /// Returns entry `index`, counted from the first.
    #[inline]
    pub(in crate::tcp) fn get<'t>(
        &self,
        table: &'t [Outstanding],
        index: u32,
    ) -> Option<&'t Outstanding> {
        if index >= self.len() {
            return None;
        }
        table.get(self.at(table, index))
    }

    /// Returns entry `index` for changing all but its place and its marks.
    #[inline]
    pub(in crate::tcp) fn get_mut<'t>(
        &self,
        table: &'t mut [Outstanding],
        index: u32,
    ) -> Option<&'t mut Outstanding> {
        if index >= self.len() {
            return None;
        }
        let at = self.at(table, index);
        table.get_mut(at)
    }

    /// Returns the last entry's index.
    pub(in crate::tcp) fn last(&self) -> Option<u32> {
        self.len().checked_sub(1)
    }

    /// Adds a segment that is sent for the first time; returns false if there is no room.
    pub(in crate::tcp) fn push(&mut self, table: &mut [Outstanding], entry: Outstanding) -> bool {
        if self.len() >= room(table) {
            return false;
        }
        let at = self.at(table, self.len());
        let Some(place) = table.get_mut(at) else {
            return false;
        };
        *place = entry;
        self.entries = self.entries.saturating_add(1);
        true
    }

    /// Returns the index of the entry that `seq` lies in, or of the first one behind it.
    pub(in crate::tcp) fn find(&self, table: &[Outstanding], seq: Seq) -> u32 {
        let (mut low, mut high) = (0, self.len());
        // Each round halves what is left: at most 32.
        while low < high {
            let middle = low.midpoint(high);
            let before = self
                .get(table, middle)
                .is_some_and(|entry| !entry.end().is_after(seq));
            if before {
                low = middle.saturating_add(1);
            } else {
                high = middle;
            }
        }
        low
    }

    /// Cuts entry `index` in two, the second starting at `at`. Returns false if it cannot be: `at`
    /// is not within it, or the table is full.
    pub(in crate::tcp) fn split(&mut self, table: &mut [Outstanding], index: u32, at: Seq) -> bool {
        let Some(entry) = self.get(table, index).copied() else {
            return false;
        };
        let first = at.since(entry.seq);
        if first == 0 || first >= u32::from(entry.len) || self.len() >= room(table) {
            return false;
        }
        let first = u16::try_from(first).unwrap_or(u16::MAX);
        self.entries = self.entries.saturating_add(1);
        // Moves what lies behind by one place, from the end on.
        let mut to = self.len().saturating_sub(1);
        while to > index.saturating_add(1) {
            let from = to.saturating_sub(1);
            if let Some(moved) = self.get(table, from).copied()
                && let Some(place) = self.get_mut(table, to)
            {
                *place = moved;
            }
            to = from;
        }
        if let Some(second) = self.get_mut(table, index.saturating_add(1)) {
            *second = Outstanding {
                seq: at,
                len: entry.len.saturating_sub(first),
                ..entry
            };
        }
        if let Some(entry) = self.get_mut(table, index) {
            entry.len = first;
            entry.marks &= !Outstanding::FIN;
        }
        if entry.has_any(Outstanding::SACKED) {
            self.sacked_entries = self.sacked_entries.saturating_add(1);
        }
        true
    }

    /// Removes the first entry if it is acknowledged up to its end by `ack`, or the part of it that
    /// is; returns what was removed.
    pub(in crate::tcp) fn pop_acked(
        &mut self,
        table: &mut [Outstanding],
        ack: Seq,
    ) -> Option<Outstanding> {
        if self.is_empty() {
            return None;
        }
        let entry = *table.get(usize::from(self.head))?;
        if !ack.is_after(entry.seq) {
            return None;
        }
        let whole = !entry.end().is_after(ack);
        let removed = if whole {
            self.head = u16::try_from(self.at(table, 1)).unwrap_or(0);
            self.entries = self.entries.saturating_sub(1);
            entry
        } else {
            let octets = u16::try_from(ack.since(entry.seq)).unwrap_or(u16::MAX);
            if let Some(first) = self.get_mut(table, 0) {
                first.seq = ack;
                first.len = first.len.saturating_sub(octets);
            }
            Outstanding {
                len: octets,
                ..entry
            }
        };
        let octets = u32::from(removed.len);
        if entry.has_any(Outstanding::SACKED) {
            self.sacked = self.sacked.saturating_sub(octets);
            self.sacked_entries = self.sacked_entries.saturating_sub(u16::from(whole));
        }
        if entry.has_any(Outstanding::LOST) {
            self.lost = self.lost.saturating_sub(octets);
        }
        Some(removed)
    }

    /// Marks what lies in `block` as SACKED and calls `each` with every entry that was not. Entries
    /// that lie in it only partly are cut if there is room, and else left alone.
    pub(in crate::tcp) fn mark_sacked(
        &mut self,
        table: &mut [Outstanding],
        block: Block,
        mut each: impl FnMut(&Outstanding),
    ) {
        let mut from = block.start;
        if self.last_block.start == block.start && !self.last_block.end.is_after(block.end) {
            from = self.last_block.end.later(block.start);
        }
        let mut index = self.find(table, from);
        let mut whole = true;
        // Every round goes on to the next entry.
        while let Some(entry) = self.get(table, index).copied() {
            if !entry.seq.is_before(block.end) {
                break;
            }
            if entry.seq.is_before(block.start) {
                whole &= self.room_to_cut(table) && self.split(table, index, block.start);
                index = index.saturating_add(1);
                continue;
            }
            if entry.end().is_after(block.end) {
                let cut = self.room_to_cut(table) && self.split(table, index, block.end);
                if !cut {
                    whole = false;
                    break;
                }
            }
            if let Some(entry) = self.get(table, index).copied()
                && !entry.has_any(Outstanding::SACKED)
            {
                self.set_sacked(table, index);
                each(&entry);
            }
            index = index.saturating_add(1);
        }
        if whole {
            self.last_block = block;
        }
    }

    fn room_to_cut(&self, table: &[Outstanding]) -> bool {
        self.len().saturating_add(RESERVE) <= room(table)
    }

    fn set_sacked(&mut self, table: &mut [Outstanding], index: u32) {
        let Some(entry) = self.get_mut(table, index) else {
            return;
        };
        let (octets, lost) = (u32::from(entry.len), entry.has_any(Outstanding::LOST));
        entry.marks &= !Outstanding::LOST;
        entry.marks |= Outstanding::SACKED;
        self.sacked = self.sacked.saturating_add(octets);
        self.sacked_entries = self.sacked_entries.saturating_add(1);
        if lost {
            self.lost = self.lost.saturating_sub(octets);
        }
    }

    /// Marks entry `index` as LOST, unless the peer has it; returns true if that is new.
    pub(in crate::tcp) fn mark_lost(&mut self, table: &mut [Outstanding], index: u32) -> bool {
        let Some(entry) = self.get_mut(table, index) else {
            return false;
        };
        if entry.has_any(Outstanding::SACKED | Outstanding::LOST) {
            return false;
        }
        entry.marks |= Outstanding::LOST;
        let (seq, octets) = (entry.seq, u32::from(entry.len));
        if self.lost == 0 || seq.is_before(self.lost_from) {
            self.lost_from = seq;
        }
        self.lost = self.lost.saturating_add(octets);
        true
    }

    /// Returns the index of the first entry that is marked LOST.
    pub(in crate::tcp) fn first_lost(&mut self, table: &[Outstanding]) -> Option<u32> {
        if self.lost == 0 {
            return None;
        }
        let mut index = self.find(table, self.lost_from);
        while let Some(entry) = self.get(table, index) {
            if entry.has_any(Outstanding::LOST) {
                self.lost_from = entry.seq;
                return Some(index);
            }
            index = index.saturating_add(1);
        }
        None
    }

    /// Notes that entry `index` is sent again: it is on its way once more.
    pub(in crate::tcp) fn mark_sent(&mut self, table: &mut [Outstanding], index: u32, now: u32) {
        let Some(entry) = self.get_mut(table, index) else {
            return;
        };
        let lost = entry.has_any(Outstanding::LOST);
        entry.marks &= !Outstanding::LOST;
        entry.sent_at = now;
        entry.transmissions = entry.transmissions.saturating_add(1);
        let octets = u32::from(entry.len);
        if lost {
            self.lost = self.lost.saturating_sub(octets);
        }
    }

    /// Marks everything as LOST that is not acknowledged selectively. Forgets those
    /// acknowledgements before, unless `keep_sacked`: after a timeout the peer may have discarded
    /// what it acknowledged so (RFC 2018, section 8).
    pub(in crate::tcp) fn mark_all_lost(&mut self, table: &mut [Outstanding], keep_sacked: bool) {
        let mut index = 0;
        while let Some(entry) = self.get_mut(table, index) {
            if !keep_sacked && entry.has_any(Outstanding::SACKED) {
                entry.marks &= !Outstanding::SACKED;
                let octets = u32::from(entry.len);
                self.sacked = self.sacked.saturating_sub(octets);
                self.sacked_entries = self.sacked_entries.saturating_sub(1);
            }
            self.mark_lost(table, index);
            index = index.saturating_add(1);
        }
        self.last_block = Block::EMPTY;
    }

    /// Forgets what is taken to be lost: nothing is.
    pub(in crate::tcp) fn clear_lost(&mut self, table: &mut [Outstanding]) {
        let mut index = 0;
        while self.lost > 0
            && let Some(entry) = self.get_mut(table, index)
        {
            if entry.has_any(Outstanding::LOST) {
                entry.marks &= !Outstanding::LOST;
                let octets = u32::from(entry.len);
                self.lost = self.lost.saturating_sub(octets);
            }
            index = index.saturating_add(1);
        }
    }

    /// Returns true if a segment that was sent more than once is on its way.
    pub(in crate::tcp) fn has_sent_again(&self, table: &[Outstanding]) -> bool {
        let mut index = 0;
        while let Some(entry) = self.get(table, index) {
            if entry.transmissions > 1 && !entry.has_any(Outstanding::SACKED | Outstanding::LOST) {
                return true;
            }
            index = index.saturating_add(1);
        }
        false
    }

    /// Returns true if the first entry is marked SACKED, which cannot be unless the peer has
    /// discarded what it acknowledged.
    pub(in crate::tcp) fn has_reneged(&self, table: &[Outstanding]) -> bool {
        self.get(table, 0)
            .is_some_and(|entry| entry.has_any(Outstanding::SACKED))
    }
}

/// Returns how many entries of a table are used: no more than 16 bits tell apart.
fn room(table: &[Outstanding]) -> u32 {
    count(table.len()).min(u32::from(u16::MAX))
}

#[cfg(feature = "search")]
impl Scoreboard {
    /// Hashes the entries in use, counted from our initial sequence number and from now.
    pub(in crate::tcp) fn fingerprint(
        &self,
        table: &[Outstanding],
        now: u64,
        iss: Seq,
        into: &mut impl core::hash::Hasher,
    ) {
        use core::hash::Hash;
        let Self {
            head,
            entries,
            sacked,
            lost,
            sacked_entries,
            lost_from,
            last_block,
        } = self;
        (head, entries, sacked, lost, sacked_entries).hash(into);
        (*lost > 0).then(|| lost_from.since(iss)).hash(into);
        (last_block.start.since(iss), last_block.len()).hash(into);
        for index in 0..self.len() {
            let Some(entry) = self.get(table, index) else {
                return;
            };
            let Outstanding {
                seq,
                sent_at,
                len,
                marks,
                transmissions,
            } = entry;
            let age = crate::tcp::timers::micros32(now).wrapping_sub(*sent_at);
            (seq.since(iss), age, len, marks, transmissions).hash(into);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::number::low;
    use std::vec::Vec;

    fn board(lens: &[u16]) -> (Scoreboard, Vec<Outstanding>) {
        let mut table = std::vec![Outstanding::EMPTY; 16];
        let mut board = Scoreboard::EMPTY;
        let mut seq = Seq::new(u32::MAX - 500);
        for len in lens {
            let entry = Outstanding {
                seq,
                len: *len,
                ..Outstanding::EMPTY
            };
            assert!(board.push(&mut table, entry));
            seq = seq.plus(u32::from(*len));
        }
        (board, table)
    }

    fn start() -> Seq {
        Seq::new(u32::MAX - 500)
    }

    #[test]
    fn blocks_cut_entries_at_their_ends() {
        let (mut board, mut table) = board(&[1000, 1000, 1000]);
        let block = Block::new(start().plus(500), start().plus(2_500));
        let mut seen = Vec::new();
        board.mark_sacked(&mut table, block, |entry| seen.push(entry.len));
        assert_eq!(seen, [500, 1000, 500]);
        assert_eq!((board.sacked, board.len()), (2_000, 5));
        board.mark_sacked(&mut table, block, |_| panic!("known already"));
        let more = Block::new(start().plus(500), start().plus(3_000));
        board.mark_sacked(&mut table, more, |entry| assert_eq!(entry.len, 500));
        assert_eq!(board.sacked, 2_500);
        while board.pop_acked(&mut table, start().plus(3_000)).is_some() {}
        assert_eq!((board.len(), board.sacked, board.sacked_entries), (0, 0, 0));
    }

    #[test]
    fn losses_are_found_in_order_and_once() {
        let (mut board, mut table) = board(&[100; 6]);
        assert!(board.mark_lost(&mut table, 3) && board.mark_lost(&mut table, 1));
        assert!(!board.mark_lost(&mut table, 1));
        assert_eq!((board.lost, board.first_lost(&table)), (200, Some(1)));
        board.mark_sent(&mut table, 1, 7);
        assert_eq!((board.lost, board.first_lost(&table)), (100, Some(3)));
        while board.pop_acked(&mut table, start().plus(350)).is_some() {}
        assert_eq!((board.lost, board.len()), (50, 3));
        board.mark_all_lost(&mut table, true);
        assert_eq!(board.lost, 250);
    }

    /// What an octet has been through.
    #[derive(Clone, Copy, Debug, Default, PartialEq)]
    struct Octet {
        marks: u8,
        transmissions: u8,
        sent_at: u32,
    }

    /// The octets on their way, each for itself.
    struct Plain {
        una: Seq,
        octets: std::collections::VecDeque<Octet>,
    }

    impl Plain {
        fn end(&self) -> Seq {
            self.una.plus(count(self.octets.len()))
        }

        fn of(&mut self, start: Seq, len: u32) -> impl Iterator<Item = &mut Octet> {
            let at = place(start.since(self.una));
            self.octets.iter_mut().skip(at).take(place(len))
        }

        fn count(&self, marks: u8) -> u32 {
            let has = |octet: &&Octet| octet.marks & marks != 0;
            count(self.octets.iter().filter(has).count())
        }

        /// Compares each octet with its entry, and all sums.
        fn check(&self, board: &mut Scoreboard, table: &[Outstanding]) {
            let (mut at, mut sacked, mut again, mut lost) = (self.una, 0, false, None);
            for index in 0..board.len() {
                let entry = *board.get(table, index).unwrap();
                assert_eq!((entry.seq, entry.len > 0), (at, true), "no gap");
                for offset in 0..u32::from(entry.len) {
                    let octet = self.octets[place(at.plus(offset).since(self.una))];
                    let fin = octet.marks & Outstanding::FIN;
                    assert_eq!(entry.marks & !Outstanding::FIN, octet.marks & !fin);
                    assert_eq!(entry.transmissions, octet.transmissions);
                    assert_eq!(entry.sent_at, octet.sent_at);
                    let is_last = offset.saturating_add(1) == u32::from(entry.len);
                    assert_eq!(fin != 0, entry.has_any(Outstanding::FIN) && is_last);
                    assert_eq!(board.find(table, at.plus(offset)), index);
                }
                at = entry.end();
                sacked = u32::saturating_add(sacked, entry.has_any(Outstanding::SACKED).into());
                again |= entry.transmissions > 1
                    && !entry.has_any(Outstanding::SACKED | Outstanding::LOST);
                if lost.is_none() && entry.has_any(Outstanding::LOST) {
                    lost = Some(index);
                }
            }
            assert_eq!((at, board.find(table, at)), (self.end(), board.len()));
            assert_eq!(board.sacked, self.count(Outstanding::SACKED));
            assert_eq!(board.lost, self.count(Outstanding::LOST));
            assert_eq!(
                (board.sacked_len(), board.first_lost(table)),
                (sacked, lost)
            );
            assert_eq!(board.has_sent_again(table), again);
            let first = self
                .octets
                .front()
                .is_some_and(|octet| octet.marks & 1 != 0);
            assert_eq!(board.has_reneged(table), first);
            assert_eq!(board.is_empty(), self.octets.is_empty());
            assert!(board.get(table, board.len()).is_none());
        }
    }

    /// A board, its table and the octets beside it.
    struct Pair {
        board: Scoreboard,
        table: Vec<Outstanding>,
        plain: Plain,
    }

    impl Pair {
        const ROOM: u32 = 24;

        fn push(&mut self, len: u16, fin: u8, now: u32) {
            let has_room = self.board.len().saturating_add(2) < Self::ROOM;
            assert_eq!(self.board.has_room(&self.table), has_room);
            if !has_room {
                return;
            }
            let new = Outstanding {
                seq: self.plain.end(),
                sent_at: now,
                len,
                marks: fin,
                transmissions: 1,
            };
            assert!(self.board.push(&mut self.table, new));
            for octet in 1..=len {
                self.plain.octets.push_back(Octet {
                    marks: if octet == len { fin } else { 0 },
                    transmissions: 1,
                    sent_at: now,
                });
            }
        }

        /// Where there is room for two cuts.
        fn mark_sacked(&mut self, from: u32, octets: u32) {
            if self.board.len().saturating_add(4) > Self::ROOM {
                return;
            }
            let start = self.plain.una.plus(from);
            let (block, mut told) = (Block::new(start, start.plus(octets)), 0_u32);
            let each = |entry: &Outstanding| told = told.saturating_add(u32::from(entry.len));
            self.board.mark_sacked(&mut self.table, block, each);
            let mut new = 0_u32;
            for octet in self.plain.of(start, octets) {
                new = new.saturating_add(u32::from(octet.marks & Outstanding::SACKED == 0));
                octet.marks = octet.marks & Outstanding::FIN | Outstanding::SACKED;
            }
            assert_eq!(new, told, "what is new is told");
        }

        fn pop_acked(&mut self, octets: u32) {
            let (mut at, ack) = (self.plain.una, self.plain.una.plus(octets));
            while let Some(entry) = self.board.pop_acked(&mut self.table, ack) {
                assert_eq!(entry.seq, at);
                at = entry.end();
            }
            assert_eq!(at, ack);
            self.plain.octets.drain(..place(octets));
            self.plain.una = ack;
        }

        fn mark_lost(&mut self, index: u32) {
            let entry = self.board.get(&self.table, index).copied();
            let known = Outstanding::SACKED | Outstanding::LOST;
            let entry = entry.filter(|entry| !entry.has_any(known));
            assert_eq!(
                self.board.mark_lost(&mut self.table, index),
                entry.is_some()
            );
            if let Some(entry) = entry {
                let octets = self.plain.of(entry.seq, entry.len.into());
                octets.for_each(|octet| octet.marks |= Outstanding::LOST);
            }
        }

        fn mark_sent(&mut self, index: u32, now: u32) {
            let entry = self.board.get(&self.table, index).copied();
            self.board.mark_sent(&mut self.table, index, now);
            if let Some(entry) = entry {
                for octet in self.plain.of(entry.seq, entry.len.into()) {
                    octet.marks &= !Outstanding::LOST;
                    octet.sent_at = now;
                    octet.transmissions = octet.transmissions.saturating_add(1);
                }
            }
        }

        fn mark_all_lost(&mut self, keep: bool) {
            self.board.mark_all_lost(&mut self.table, keep);
            for octet in &mut self.plain.octets {
                if !keep {
                    octet.marks &= !Outstanding::SACKED;
                }
                if octet.marks & Outstanding::SACKED == 0 {
                    octet.marks |= Outstanding::LOST;
                }
            }
        }

        fn clear_lost(&mut self) {
            self.board.clear_lost(&mut self.table);
            let octets = self.plain.octets.iter_mut();
            octets.for_each(|octet| octet.marks &= !Outstanding::LOST);
        }

        fn split(&mut self, index: u32, first: u32) {
            let Some(entry) = self.board.get(&self.table, index).copied() else {
                return;
            };
            let within = first > 0 && first < u32::from(entry.len);
            let cut = within && self.board.len() < Self::ROOM;
            let at = entry.seq.plus(first);
            assert_eq!(self.board.split(&mut self.table, index, at), cut);
        }
    }

    /// Random calls on a ring that goes round many times, beside octets that are marked one by one.
    #[test]
    fn agrees_with_marks_on_each_octet() {
        for seed in 0..60 {
            let mut random = crate::random::Random::new(seed);
            let mut below = |bound: u32| low(random.below(bound.max(1).into()));
            let mut pair = Pair {
                board: Scoreboard::EMPTY,
                table: std::vec![Outstanding::EMPTY; place(Pair::ROOM)],
                plain: Plain {
                    una: start(),
                    octets: std::collections::VecDeque::new(),
                },
            };
            for now in 0..400_u32 {
                let len = count(pair.plain.octets.len());
                let index = below(pair.board.len());
                let from = below(len.saturating_add(1));
                let rest = below(len.saturating_sub(from).saturating_add(1));
                let small = below(10);
                match below(11) {
                    0..3 => {
                        let octets = u16::try_from(small.max(1)).unwrap();
                        pair.push(
                            octets,
                            if from % 4 == 0 { Outstanding::FIN } else { 0 },
                            now,
                        );
                    }
                    3..5 => pair.mark_sacked(from, rest),
                    5 => pair.pop_acked(from),
                    6 => pair.mark_lost(index),
                    7 => pair.mark_sent(index, now),
                    8 if small == 0 => pair.mark_all_lost(rest % 2 == 0),
                    9 if small < 3 => pair.clear_lost(),
                    10 => pair.split(index, small),
                    _ => {}
                }
                pair.plain.check(&mut pair.board, &pair.table);
            }
        }
    }

    /// New segments leave two entries free, and an entry is cut for a block only while one more cut
    /// will be possible after it: what is acknowledged cumulatively may need that.
    #[test]
    fn a_full_table_is_not_cut() {
        let mut table = [Outstanding::EMPTY; 6];
        let mut board = Scoreboard::EMPTY;
        for part in 0..3 {
            let seq = start().plus(10 * part);
            let entry = Outstanding {
                seq,
                len: 10,
                ..Outstanding::EMPTY
            };
            assert!(board.has_room(&table) && board.push(&mut table, entry));
        }
        let of = |from, to| Block::new(start().plus(from), start().plus(to));
        // With four entries one more cut may be made, with five none.
        board.mark_sacked(&mut table, of(2, 20), |_| {});
        assert_eq!((board.len(), board.sacked, board.sacked_len()), (4, 18, 2));
        assert!(!board.has_room(&table));
        board.mark_sacked(&mut table, of(22, 28), |_| panic!("nothing is whole in it"));
        assert_eq!((board.len(), board.sacked), (5, 18));
        board.mark_sacked(&mut table, of(22, 30), |_| {});
        assert_eq!(
            (board.len(), board.sacked),
            (5, 26),
            "whole, it needs no cut"
        );
        let entry = Outstanding {
            seq: start().plus(30),
            len: 10,
            ..Outstanding::EMPTY
        };
        assert!(board.push(&mut table, entry));
        assert!(!board.push(&mut table, entry), "full");
        assert!(!board.split(&mut table, 5, start().plus(35)));
        board.mark_sacked(&mut table, of(30, 35), |_| {
            panic!("there is no room to cut")
        });
        assert_eq!((board.len(), board.sacked), (6, 26));
        board.mark_sacked(&mut table, of(30, 40), |entry| assert_eq!(entry.len, 10));
        assert_eq!(
            board.sacked, 36,
            "a block that grows is not taken for known"
        );
    }

    /// A block whose first entry could not be cut is gone through again when there is room.
    #[test]
    fn what_was_not_cut_for_want_of_room_is_cut_later() {
        let (mut board, table) = board(&[10, 10, 10, 5, 5]);
        let mut table = table.get(..6).unwrap().to_vec();
        let block = Block::new(start().plus(15), start().plus(30));
        board.mark_sacked(&mut table, block, |entry| assert_eq!(entry.len, 10));
        assert_eq!((board.sacked, board.len()), (10, 5));
        assert!(board.pop_acked(&mut table, start().plus(10)).is_some());
        board.mark_sacked(&mut table, block, |entry| assert_eq!(entry.len, 5));
        assert_eq!((board.sacked, board.len()), (15, 5));
    }
}
