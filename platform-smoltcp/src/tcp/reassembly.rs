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
        window > 0 && (ahead < window || last < window)
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
}
