//! The receive sequence space: the receive buffer, what came out of order, and the window.

use super::injected_bug::injected_bug;
use super::invariants::require;
use super::memory::{Buffers, advance, write_ring};
use super::segment::{Block, SackBlocks};
use super::seq::Seq;
use crate::number::count;

/// The receive sequence space (RFC 9293, section 3.3.1) and the receive buffer.
///
/// Behind the octets that can be received, the buffer holds those that came out of order, each
/// where it belongs; the table of ranges says where they are.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receive {
    /// RCV.NXT.
    pub(super) nxt: Seq,
    /// RCV.NXT + RCV.WND: the right edge of the window as the peer was told. It never goes back.
    pub(super) edge: Seq,
    /// Last.ACK.sent (RFC 7323, section 4.3).
    pub(super) acked: Seq,
    /// Where the peer's FIN lies, once that is known.
    pub(super) fin: Seq,
    /// Place in the receive buffer of the first octet that can be received.
    pub(super) head: u32,
    /// Octets that can be received.
    pub(super) queued: u32,
    /// What came once more and has not been reported (RFC 2883).
    duplicate: Block,
    /// Ranges in use.
    ranges: u16,
    /// MSS that we have announced.
    pub(super) mss: u16,
    /// The largest segment that has come: what counts as full.
    full: u16,
    /// Rcv.Wind.Shift.
    pub(super) shift: u8,
}

/// What became of a segment's text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Taken {
    /// RCV.NXT has advanced by so many octets.
    Advanced(u32),
    /// It lies ahead of RCV.NXT and is kept, or there was no room for it.
    OutOfOrder,
    /// RCV.NXT has advanced by so many octets, into or over what had come out of order.
    Filled(u32),
}

impl Receive {
    /// Of no connection.
    pub(super) const NEW: Self = Self {
        nxt: Seq::new(0),
        edge: Seq::new(0),
        acked: Seq::new(0),
        fin: Seq::new(0),
        head: 0,
        queued: 0,
        duplicate: Block::EMPTY,
        ranges: 0,
        mss: 0,
        full: 0,
        shift: 0,
    };

    /// Starts behind the peer's SYN.
    pub(super) const fn start(&mut self, irs: Seq) {
        self.nxt = irs.plus(1);
        self.edge = self.nxt;
        self.acked = self.nxt;
    }

    /// Makes the state of a connection again that [is empty](Self::is_empty) and has acknowledged
    /// everything, from RCV.NXT and the right edge, our MSS, what counts as full, and the shift.
    pub(super) const fn resumed(
        (nxt, edge): (Seq, Seq),
        (mss, full, shift): (u16, u16, u8),
    ) -> Self {
        Self {
            nxt,
            edge,
            acked: nxt,
            fin: nxt,
            mss,
            full,
            shift,
            ..Self::NEW
        }
    }

    /// Returns true if there is nothing to receive, nothing out of order, and no duplicate to
    /// report.
    pub(super) const fn is_empty(&self) -> bool {
        self.queued == 0 && !self.has_sack()
    }

    /// Returns true if something has come out of order.
    pub(super) const fn has_ranges(&self) -> bool {
        self.ranges > 0
    }

    /// Returns true if everything up to RCV.NXT has been acknowledged.
    pub(super) const fn is_acknowledged(&self) -> bool {
        self.nxt.get() == self.acked.get()
    }

    /// Returns the largest segment that has come.
    pub(super) const fn full(&self) -> u16 {
        self.full
    }

    /// Forgets what came out of order.
    pub(super) const fn forget_out_of_order(&mut self) {
        self.ranges = 0;
        self.duplicate = Block::EMPTY;
    }

    /// Returns RCV.WND.
    #[inline]
    pub(super) const fn window(&self) -> u32 {
        self.edge.since(self.nxt)
    }

    /// Returns true if the segment passes the test of RFC 9293, section 3.4, table 6.
    #[inline]
    pub(super) fn is_acceptable(&self, seq: Seq, len: u32) -> bool {
        let window = self.window();
        let ahead = seq.since(self.nxt);
        if len == 0 {
            return ahead == 0 || ahead < window;
        }
        let last = seq.plus(len.saturating_sub(1)).since(self.nxt);
        ahead < window || last < window
    }

    /// Takes the text of an acceptable segment, cut to what is new and within the window already.
    pub(super) fn take(&mut self, seq: Seq, text: &[u8], buffers: &mut Buffers<'_>) -> Taken {
        let len = count(text.len());
        let ahead = seq.since(self.nxt);
        let end = seq.plus(len);
        let at = advance(buffers.receive, self.head, self.queued);
        if ahead == 0 && self.ranges == 0 {
            write_ring(buffers.receive, at, text);
            self.nxt = end;
            self.queued = self.queued.saturating_add(len);
            return Taken::Advanced(len);
        }
        if ahead > 0 {
            if self.insert(Block::new(seq, end), buffers.ranges) {
                let at = advance(buffers.receive, at, ahead);
                write_ring(buffers.receive, at, text);
            }
            return Taken::OutOfOrder;
        }
        write_ring(buffers.receive, at, text);
        self.nxt = end;
        self.pull(buffers.ranges);
        let advanced = self.nxt.since(seq);
        self.queued = self.queued.saturating_add(advanced);
        Taken::Filled(advanced)
    }

    /// Discards the text of a segment at RCV.NXT, and all that came out of order.
    pub(super) const fn discard(&mut self, len: u32) {
        self.nxt = self.nxt.plus(len);
        self.ranges = 0;
    }

    /// Advances over ranges that are now in order.
    fn pull(&mut self, ranges: &mut [Block]) {
        // Each round removes a range.
        loop {
            let used = ranges.get(..usize::from(self.ranges)).unwrap_or_default();
            let reached = |range: &Block| !range.start.is_after(self.nxt);
            let Some(index) = used.iter().position(reached) else {
                return;
            };
            if let Some(range) = self.remove(index, ranges) {
                self.nxt = if injected_bug!(RegressingNext) {
                    range.end
                } else {
                    self.nxt.later(range.end)
                };
            }
        }
    }

    /// Removes range `index`; the order of the others stays.
    fn remove(&mut self, index: usize, ranges: &mut [Block]) -> Option<Block> {
        let used = ranges.get_mut(index..usize::from(self.ranges))?;
        let range = used.first().copied()?;
        // Not by `rotate_left`, which has a way for each length, in 200 bytes of code.
        let mut after = range;
        for place in used.iter_mut().rev() {
            core::mem::swap(place, &mut after);
        }
        self.ranges = self.ranges.saturating_sub(1);
        Some(range)
    }

    /// Adds a range, joined with those that it touches, as the one that changed last; returns false
    /// if there is no room for it.
    fn insert(&mut self, block: Block, ranges: &mut [Block]) -> bool {
        let mut joined = block;
        // Each round removes a range.
        loop {
            let used = ranges.get(..usize::from(self.ranges)).unwrap_or_default();
            let touches = |range: &Block| {
                !range.end.is_before(joined.start) && !range.start.is_after(joined.end)
            };
            let Some(index) = used.iter().position(touches) else {
                break;
            };
            if let Some(range) = self.remove(index, ranges) {
                if range.contains(block) {
                    self.duplicate = block;
                }
                joined.start = joined.start.earlier(range.start);
                joined.end = joined.end.later(range.end);
            }
        }
        let count = usize::from(self.ranges).saturating_add(1);
        let Some(used) = ranges.get_mut(..count).filter(|_| self.ranges < u16::MAX) else {
            return false;
        };
        for place in used {
            core::mem::swap(place, &mut joined);
        }
        self.ranges = self.ranges.saturating_add(1);
        true
    }

    /// Notes that `block` came once more, to be reported (RFC 2883, section 4).
    pub(super) const fn note_duplicate(&mut self, block: Block) {
        self.duplicate = block;
    }

    /// Forgets what came once more: the peer takes no selective acknowledgements.
    pub(super) const fn forget_duplicate(&mut self) {
        self.duplicate = Block::EMPTY;
    }

    /// Returns true if there is something to report with SACK.
    pub(super) const fn has_sack(&self) -> bool {
        self.ranges > 0 || !self.duplicate.is_empty()
    }

    /// Returns at most `max` blocks to report: a duplicate, then the ranges that changed last
    /// (RFC 2018, section 4).
    pub(super) fn sack_blocks(&mut self, max: usize, ranges: &[Block]) -> SackBlocks {
        let mut blocks = SackBlocks::EMPTY;
        let duplicate = core::mem::replace(&mut self.duplicate, Block::EMPTY);
        if !duplicate.is_empty() {
            blocks.push(duplicate);
        }
        let used = ranges.get(..usize::from(self.ranges)).unwrap_or_default();
        for range in used
            .iter()
            .take(max.saturating_sub(blocks.as_slice().len()))
        {
            blocks.push(*range);
        }
        blocks
    }

    /// Checks that the ranges lie within the window, apart from each other.
    pub(super) fn check_ranges(&self, ranges: &[Block]) -> Result<(), &'static str> {
        let used = ranges.get(..usize::from(self.ranges));
        let used = used.ok_or("every range in use is in the table")?;
        for (index, range) in used.iter().enumerate() {
            require(!range.is_empty(), "no range is empty")?;
            let within = range.start.is_after(self.nxt) && !range.end.is_after(self.edge);
            require(within, "ranges lie within the window")?;
            let others = used.get(index.saturating_add(1)..).unwrap_or_default();
            let apart =
                |other: &Block| other.end.is_before(range.start) || other.start.is_after(range.end);
            require(others.iter().all(apart), "ranges do not touch")?;
        }
        Ok(())
    }

    /// Notes the size of a segment that has come and returns true if an acknowledgement must not
    /// be delayed: two full segments have come since the last (RFC 9293, section 3.8.6.3).
    pub(super) fn is_second_full(&mut self, len: usize) -> bool {
        let len = u16::try_from(len).unwrap_or(u16::MAX).min(self.mss);
        self.full = self.full.max(len);
        self.nxt.since(self.acked) >= u32::from(self.full).saturating_mul(2)
    }

    /// Returns the least advance of the right edge that is worth telling (RFC 9293, section
    /// 3.8.6.2.2: receiver's silly window avoidance).
    fn step(&self, capacity: u32) -> u32 {
        if injected_bug!(SillyWindow) {
            return 1;
        }
        (capacity >> 1).min(u32::from(self.mss)).max(1)
    }

    /// Returns how far the right edge may advance.
    fn advance(&self, capacity: u32) -> u32 {
        self.free(capacity, u32::from(self.shift))
            .saturating_sub(self.window())
    }

    /// Returns the window that there is room for and that can be told.
    fn free(&self, capacity: u32, shift: u32) -> u32 {
        let free = capacity.saturating_sub(self.queued);
        free.min(u32::from(u16::MAX).wrapping_shl(shift))
    }

    /// Returns true if the owner has made so much room that the peer should be told at once.
    pub(super) fn wants_update(&self, capacity: u32) -> bool {
        let advance = self.advance(capacity);
        let two = u32::from(self.mss).saturating_mul(2);
        let much = advance >= capacity >> 2
            || self.window() <= capacity >> 3
            || capacity <= two.saturating_mul(4);
        // A peer that has no room for a full segment waits for it.
        let waits = self.window() < u32::from(self.mss) && advance >= self.step(capacity);
        waits || advance >= (capacity >> 1).max(1) || (advance >= two && much)
    }

    /// Moves the right edge if that is worth it, and returns the field to send.
    pub(super) fn advertise(&mut self, capacity: u32, syn: bool) -> u16 {
        let shift = if syn { 0 } else { u32::from(self.shift) };
        let free = self.free(capacity, shift);
        if self.advance(capacity) >= self.step(capacity) {
            let told = free.wrapping_shr(shift).wrapping_shl(shift);
            self.edge = self.edge.later(self.nxt.plus(told));
        }
        if injected_bug!(ShrinkingWindow) && self.queued > 0 {
            self.edge = self.nxt.plus(free >> 1);
        }
        u16::try_from(self.window().wrapping_shr(shift)).unwrap_or(u16::MAX)
    }
}

#[cfg(feature = "search")]
impl Receive {
    /// Hashes all of it and what the buffer holds, counted from the peer's initial sequence number.
    pub(super) fn fingerprint(
        &self,
        (buffer, ranges): (&[u8], &[Block]),
        irs: Seq,
        fin_known: bool,
        into: &mut impl core::hash::Hasher,
    ) {
        use core::hash::Hash;
        let Self {
            nxt,
            edge,
            acked,
            fin,
            head,
            queued,
            duplicate,
            ranges: count,
            mss,
            full,
            shift,
        } = self;
        (nxt.since(irs), edge.since(irs), acked.since(irs)).hash(into);
        fin_known.then(|| fin.since(irs)).hash(into);
        (head, queued, count, mss, full, shift).hash(into);
        let repeated = (duplicate.start.since(irs), duplicate.len());
        (!duplicate.is_empty()).then_some(repeated).hash(into);
        super::memory::read_ring(buffer, *head, *queued).hash(into);
        for range in ranges.get(..usize::from(*count)).unwrap_or_default() {
            (range.start.since(irs), range.len()).hash(into);
            let ahead = range.start.since(*nxt).saturating_add(*queued);
            let at = advance(buffer, *head, ahead);
            super::memory::read_ring(buffer, at, range.len()).hash(into);
        }
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::number::place;

    struct Memory {
        receive: [u8; 64],
        ranges: [Block; 3],
    }

    impl Memory {
        fn new() -> Self {
            Self {
                receive: [0; 64],
                ranges: [Block::EMPTY; 3],
            }
        }

        fn buffers(&mut self) -> Buffers<'_> {
            Buffers {
                send: &mut [],
                receive: &mut self.receive,
                outstanding: &mut [],
                ranges: &mut self.ranges,
            }
        }
    }

    /// All orders of six pieces, with three ranges: the octets come out as they went in.
    #[test]
    fn pieces_in_any_order_make_the_stream() {
        let stream: std::vec::Vec<u8> = (1..=60).collect();
        let mut random = crate::random::Random::new(5);
        for _ in 0..500 {
            let mut memory = Memory::new();
            let mut receive = Receive::NEW;
            receive.start(Seq::new(u32::MAX - 20));
            receive.mss = 10;
            receive.advertise(64, false);
            let first = receive.nxt;
            let mut rounds = 0;
            while receive.queued < 60 {
                let at = u32::try_from(random.below(60)).unwrap();
                let len = u32::try_from(1 + random.below(u64::from(60 - at))).unwrap();
                let (seq, end) = (first.plus(at), first.plus(at + len));
                rounds += 1;
                assert!(rounds < 10_000);
                if !end.is_after(receive.nxt) {
                    continue;
                }
                let skip = receive.nxt.later(seq).since(seq);
                let text = &stream[place(at + skip)..place(at + len)];
                receive.take(seq.plus(skip), text, &mut memory.buffers());
                let blocks = receive.sack_blocks(4, &memory.ranges);
                assert_eq!(receive.check_ranges(&memory.ranges), Ok(()));
                assert!(receive.ranges == 0 || !blocks.as_slice().is_empty());
            }
            assert_eq!(memory.receive[..60], stream[..]);
            assert_eq!(receive.ranges, 0);
        }
    }

    #[test]
    fn the_range_that_changed_last_is_reported_first() {
        let mut memory = Memory::new();
        let mut receive = Receive::NEW;
        receive.start(Seq::new(0));
        receive.edge = Seq::new(60);
        for at in [11, 31, 21] {
            receive.take(Seq::new(at), &[1; 5], &mut memory.buffers());
        }
        let starts = |receive: &mut Receive, memory: &Memory| {
            let blocks = receive.sack_blocks(4, &memory.ranges);
            let starts = blocks.as_slice().iter().map(|block| block.start.get());
            starts.collect::<std::vec::Vec<_>>()
        };
        assert_eq!(starts(&mut receive, &memory), [21, 31, 11]);
        receive.take(Seq::new(11), &[1; 5], &mut memory.buffers());
        assert_eq!(
            starts(&mut receive, &memory),
            [11, 11, 21, 31],
            "a duplicate"
        );
        let full = receive.take(Seq::new(41), &[1; 5], &mut memory.buffers());
        assert_eq!(full, Taken::OutOfOrder);
        assert_eq!(receive.ranges, 3, "no room for a fourth");
        receive.take(Seq::new(16), &[1; 5], &mut memory.buffers());
        assert_eq!(starts(&mut receive, &memory), [11, 31]);
    }

    /// RFC 9293, section 3.8.6.2.2: the edge moves by a segment or half the buffer.
    #[test]
    fn the_window_does_not_open_in_small_steps() {
        let mut receive = Receive::NEW;
        receive.start(Seq::new(0));
        receive.mss = 10;
        assert_eq!(receive.advertise(64, false), 64);
        receive.nxt = receive.nxt.plus(64);
        receive.queued = 64;
        assert_eq!(receive.advertise(64, false), 0);
        receive.queued = 55;
        assert!(!receive.wants_update(64));
        assert_eq!(receive.advertise(64, false), 0);
        receive.queued = 44;
        assert!(receive.wants_update(64));
        assert_eq!(receive.advertise(64, false), 20);
    }

    /// A connection that expects octet 100 and takes those before `edge`.
    fn window(edge: u32) -> Receive {
        let mut receive = Receive::NEW;
        receive.start(Seq::new(99));
        receive.edge = Seq::new(edge);
        receive
    }

    /// RFC 9293, section 3.4, table 6, at the borders of the window.
    #[test]
    fn segments_are_acceptable_up_to_the_borders_of_the_window() {
        let check = |edge, seq: u32, len| window(edge).is_acceptable(Seq::new(seq), len);
        for (seq, len, acceptable) in [
            (99, 0, false),
            (100, 0, true),
            (199, 0, true),
            (200, 0, false),
            (99, 1, false),
            (100, 1, true),
            (199, 1, true),
            (200, 1, false),
            (90, 10, false),
            (91, 10, true),
            (199, 500, true),
            (200, 500, false),
            (50, 150, true),
        ] {
            assert_eq!(check(200, seq, len), acceptable, "{len} at {seq}");
        }
        // Closed, it takes what has no text and lies at its edge.
        assert!(check(100, 100, 0) && !check(100, 99, 0) && !check(100, 101, 0));
        assert!(!check(100, 100, 1) && !check(100, 99, 2));
        let mut receive = Receive::NEW;
        receive.start(Seq::new(u32::MAX - 10));
        receive.edge = receive.nxt.plus(20);
        assert!(receive.is_acceptable(Seq::new(5), 1) && !receive.is_acceptable(Seq::new(10), 1));
    }

    /// RFC 9293, section 3.8.6.3: full is what the peer has sent as the largest segment.
    #[test]
    fn every_second_full_segment_is_acknowledged_at_once() {
        let mut receive = window(65_000);
        receive.mss = 1_000;
        let mut second = |len: u32| {
            receive.nxt = receive.nxt.plus(len);
            receive.is_second_full(place(len))
        };
        assert!(!second(500) && second(500), "full, as far as is known");
        receive.acked = receive.nxt;
        let mut second = |len: u32| {
            receive.nxt = receive.nxt.plus(len);
            receive.is_second_full(place(len))
        };
        assert!(!second(600) && !second(599) && second(1));
        receive.acked = receive.nxt;
        receive.nxt = receive.nxt.plus(1_999);
        assert!(!receive.is_second_full(70_000), "no larger than the MSS");
        assert_eq!(receive.full(), 1_000);
        receive.nxt = receive.nxt.plus(1);
        assert!(receive.is_second_full(1));
    }

    /// When a window that has grown is told at once: for a peer that has no room for a full segment
    /// by a segment or half the buffer, and else by two that are much of the window.
    #[test]
    fn a_window_that_opens_far_is_told_at_once() {
        let wants = |capacity: u32, window: u32, advance: u32| {
            let mut receive = self::window(100 + window);
            receive.mss = 10;
            receive.queued = capacity - window - advance;
            receive.wants_update(capacity)
        };
        assert!(wants(1_000, 9, 10) && !wants(1_000, 9, 9) && !wants(1_000, 10, 10));
        assert!(wants(1_000, 125, 20) && !wants(1_000, 125, 19) && !wants(1_000, 126, 20));
        assert!(wants(1_000, 126, 250) && !wants(1_000, 126, 249));
        assert!(wants(80, 40, 20) && !wants(80, 40, 19));
        assert!(wants(30, 10, 15) && !wants(30, 10, 14));
        assert!(wants(12, 0, 6) && !wants(12, 0, 5));
        assert!(wants(1, 0, 1) && !wants(1, 0, 0) && !wants(0, 0, 0));
    }

    /// The window in the units of its scale, and as it stands on a SYN.
    #[test]
    fn windows_are_told_in_units_of_their_scale() {
        let told = |shift, capacity, syn| {
            let mut receive = window(100);
            (receive.shift, receive.mss) = (shift, 10);
            let field = receive.advertise(capacity, syn);
            (field, receive.window())
        };
        assert_eq!(told(3, 1_003, false), (125, 1_000), "rounded down");
        assert_eq!(told(3, 1_003, true), (1_003, 1_003), "not scaled");
        assert_eq!(told(3, 1_000_000, false), (65_535, 65_535 << 3));
        assert_eq!(told(3, 1_000_000, true), (65_535, 65_535));
        assert_eq!(told(0, 9, false), (9, 9));
        assert_eq!(told(0, 0, false), (0, 0));
        let mut receive = window(160);
        receive.mss = 10;
        receive.queued = 31;
        assert_eq!(
            (receive.advertise(100, false), receive.edge),
            (60, Seq::new(160)),
            "too little"
        );
        receive.queued = 30;
        assert_eq!(
            (receive.advertise(100, false), receive.edge),
            (70, Seq::new(170))
        );
        receive.queued = 90;
        assert_eq!(receive.advertise(100, false), 70, "it is never taken back");
    }

    /// What has come twice is reported first, and counts as one of the blocks.
    #[test]
    fn no_more_blocks_are_reported_than_there_is_room_for() {
        let mut memory = Memory::new();
        let mut receive = window(160);
        for at in [111, 121, 131] {
            receive.take(Seq::new(at), &[1; 5], &mut memory.buffers());
        }
        assert!(receive.has_ranges() && receive.has_sack() && !receive.is_empty());
        let starts = |receive: &mut Receive, max| {
            let blocks = receive.sack_blocks(max, &memory.ranges);
            let starts = blocks.as_slice().iter().map(|block| block.start.get());
            starts.collect::<std::vec::Vec<_>>()
        };
        assert_eq!(starts(&mut receive, 2), [131, 121]);
        receive.note_duplicate(Block::new(Seq::new(90), Seq::new(95)));
        assert_eq!(starts(&mut receive, 3), [90, 131, 121]);
        assert_eq!(
            starts(&mut receive, 3),
            [131, 121, 111],
            "a duplicate is reported once"
        );
        receive.forget_out_of_order();
        receive.note_duplicate(Block::new(Seq::new(90), Seq::new(95)));
        assert!(!receive.has_ranges() && receive.has_sack() && !receive.is_empty());
        receive.forget_duplicate();
        assert!(!receive.has_sack() && receive.is_empty() && receive.is_acknowledged());
        receive.queued = 1;
        assert!(!receive.is_empty());
        receive.discard(3);
        assert_eq!((receive.nxt.get(), receive.is_acknowledged()), (103, false));
    }

    /// Text is kept where it belongs, also behind octets that have not been received, where the
    /// buffer wraps.
    #[test]
    fn text_out_of_order_is_kept_behind_what_is_not_received() {
        let mut memory = Memory::new();
        let mut receive = window(164);
        (receive.head, receive.queued) = (50, 4);
        assert_eq!(
            receive.take(Seq::new(103), b"late", &mut memory.buffers()),
            Taken::OutOfOrder
        );
        assert_eq!(
            receive.take(Seq::new(110), b"never", &mut memory.buffers()),
            Taken::OutOfOrder
        );
        assert_eq!(
            receive.take(Seq::new(100), b"too", &mut memory.buffers()),
            Taken::Filled(7)
        );
        assert_eq!((receive.queued, receive.nxt), (11, Seq::new(107)));
        assert_eq!(memory.receive[54..61], *b"toolate");
        assert_eq!(
            receive.take(Seq::new(107), b"and", &mut memory.buffers()),
            Taken::Filled(8)
        );
        assert_eq!(memory.receive[61..], *b"and");
        assert_eq!(memory.receive[..5], *b"never");
        assert_eq!(
            receive.take(Seq::new(115), b".", &mut memory.buffers()),
            Taken::Advanced(1)
        );
        assert_eq!((receive.queued, receive.has_ranges()), (20, false));
    }

    /// Each thing that is wrong with a table of ranges is found.
    #[test]
    fn wrong_ranges_are_found() {
        let mut receive = window(160);
        receive.ranges = 2;
        let check = |first: (u32, u32), second: (u32, u32)| {
            let of = |(start, end)| Block::new(Seq::new(start), Seq::new(end));
            receive.check_ranges(&[of(first), of(second)]).is_ok()
        };
        assert!(check((101, 110), (111, 160)) && check((111, 160), (101, 110)));
        assert!(
            !check((101, 110), (110, 160)) && !check((110, 160), (101, 110)),
            "they touch"
        );
        assert!(!check((101, 112), (111, 160)) && !check((111, 112), (101, 160)));
        assert!(!check((101, 101), (111, 160)), "one is empty");
        assert!(!check((100, 110), (111, 160)) && !check((101, 110), (111, 161)));
        assert!(receive.check_ranges(&[]).is_err(), "there are too few");
    }
}
