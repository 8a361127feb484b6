//! Segments as the engine sees them: parsed on the way in, described on the way out.

use core::num::NonZeroU16;
use core::ops::BitOr;

use super::seq::Seq;

/// Octets of a TCP header without options (RFC 9293, section 3.1).
pub const HEADER_LEN: usize = 20;
/// Most blocks that a SACK option holds (RFC 2018, section 3).
pub const SACK_BLOCKS_MAX: usize = 4;
/// Octets of the timestamps option with its padding (RFC 7323, appendix A).
pub(crate) const TIMESTAMPS_LEN: u16 = 12;

/// Control bits of a segment (RFC 9293, section 3.1), and what the packet around it says of
/// congestion (RFC 3168).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
pub struct Flags(u16);

impl Flags {
    /// No bit.
    pub const NONE: Self = Self(0);
    /// No more data from the sender.
    pub const FIN: Self = Self(1);
    /// Synchronize sequence numbers.
    pub const SYN: Self = Self(2);
    /// Reset the connection.
    pub const RST: Self = Self(4);
    /// Push.
    pub const PSH: Self = Self(8);
    /// The acknowledgement field is significant.
    pub const ACK: Self = Self(16);
    /// The urgent pointer is significant. The engine takes urgent data as data in their place
    /// (RFC 6093, section 6).
    pub const URG: Self = Self(32);
    /// The receiver of data echoes that a packet met congestion (RFC 3168, section 6.1).
    pub const ECE: Self = Self(64);
    /// The sender of data has reduced its window.
    pub const CWR: Self = Self(128);
    /// In no TCP header: the packet came with the codepoint CE, for it met congestion (RFC 3168,
    /// section 5).
    pub const CE: Self = Self(256);
    /// In no TCP header: the packet goes out with the codepoint ECT(0), so that routers may mark it
    /// where they would drop it.
    pub const ECT: Self = Self(512);
    /// There was text, which has been cut off. In no header.
    pub(super) const CUT: Self = Self(1_024);

    /// Makes the flags of a header's octet.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(u16::from_be_bytes([0, bits]))
    }

    /// Returns the bits as they stand in a header.
    #[must_use]
    pub const fn bits(self) -> u8 {
        let [_, bits] = self.0.to_be_bytes();
        bits
    }

    /// Returns true if all bits of `other` are set.
    #[must_use]
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns true if any bit of `others` is set.
    #[must_use]
    #[inline]
    pub const fn has_any(self, others: Self) -> bool {
        self.0 & others.0 != 0
    }

    /// Returns these flags and those of `other`.
    #[must_use]
    #[inline]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns these flags without those of `others`.
    #[must_use]
    #[inline]
    pub const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }
}

impl BitOr for Flags {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

/// A range of sequence numbers: from `start` up to, not including, `end`.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a range is two numbers")]
pub struct Block {
    /// The first number in the range.
    pub start: Seq,
    /// The first number behind it.
    pub end: Seq,
}

impl Block {
    /// No number at all.
    pub const EMPTY: Self = Self {
        start: Seq::new(0),
        end: Seq::new(0),
    };

    /// Makes a range.
    #[must_use]
    pub const fn new(start: Seq, end: Seq) -> Self {
        Self { start, end }
    }

    /// Returns the number of octets in the range.
    #[must_use]
    pub const fn len(self) -> u32 {
        self.end.since(self.start)
    }

    /// Returns true if there is none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Returns true if all of `other` lies in the range.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        !other.start.is_before(self.start) && !other.end.is_after(self.end)
    }
}

/// The blocks of a SACK option, in the order in which they stand there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct SackBlocks {
    blocks: [Block; SACK_BLOCKS_MAX],
    count: u8,
}

impl SackBlocks {
    /// No block.
    pub const EMPTY: Self = Self {
        blocks: [Block::EMPTY; SACK_BLOCKS_MAX],
        count: 0,
    };

    /// Adds a block at the end; returns false if there are [`SACK_BLOCKS_MAX`] already.
    pub fn push(&mut self, block: Block) -> bool {
        let Some(place) = self.blocks.get_mut(usize::from(self.count)) else {
            return false;
        };
        *place = block;
        self.count = self.count.saturating_add(1);
        true
    }

    /// Returns the blocks.
    #[must_use]
    pub fn as_slice(&self) -> &[Block] {
        self.blocks.get(..usize::from(self.count)).unwrap_or(&[])
    }
}

/// The timestamps option (RFC 7323, section 3.2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the option has these two fields")]
pub struct Timestamps {
    /// TSval: the sender's clock.
    pub value: u32,
    /// TSecr: the clock of the other side, echoed; valid if the segment has ACK.
    pub echo: u32,
}

/// The options that the engine knows. A parser leaves out all others, and those whose length is
/// wrong (RFC 9293, section 3.1, MUST-6 and MUST-7).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "parsers make it")]
pub struct Options {
    /// Maximum segment size, on SYN only.
    pub mss: Option<u16>,
    /// Window scale (RFC 7323, section 2.2), on SYN only; as it stands in the header, which may be
    /// above 14.
    pub window_scale: Option<u8>,
    /// SACK-permitted (RFC 2018, section 2), on SYN only.
    pub sack_permitted: bool,
    /// Timestamps (RFC 7323, section 3.2).
    pub timestamps: Option<Timestamps>,
    /// Selective acknowledgements (RFC 2018, section 3).
    pub sack: SackBlocks,
}

impl Options {
    /// No option.
    pub const NONE: Self = Self {
        mss: None,
        window_scale: None,
        sack_permitted: false,
        timestamps: None,
        sack: SackBlocks::EMPTY,
    };

    /// Returns how many octets the options take in a header if each but MSS is padded by NOPs to a
    /// multiple of four: MSS 4, window scale 4, SACK-permitted 4, timestamps 12, SACK 4 and 8 for
    /// each block. Whoever writes them must not take more.
    #[must_use]
    pub fn len(&self) -> u16 {
        let mut len = 0_u16;
        if self.mss.is_some() {
            len = len.saturating_add(4);
        }
        if self.window_scale.is_some() {
            len = len.saturating_add(4);
        }
        if self.sack_permitted {
            len = len.saturating_add(4);
        }
        if self.timestamps.is_some() {
            len = len.saturating_add(TIMESTAMPS_LEN);
        }
        let blocks = u16::from(self.sack.count);
        if blocks > 0 {
            len = len
                .saturating_add(4)
                .saturating_add(blocks.saturating_mul(8));
        }
        len
    }

    /// Returns true if there is no option.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A segment that has arrived, parsed and with its checksum verified.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::exhaustive_structs, reason = "parsers make it")]
pub struct Segment<'p> {
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK; meaningless without [`Flags::ACK`].
    pub ack: Seq,
    /// SEG.WND as it stands in the header, not scaled.
    pub window: u16,
    /// The control bits.
    pub flags: Flags,
    /// The options.
    pub options: Options,
    /// The text: everything behind the header.
    pub payload: &'p [u8],
}

impl Segment<'_> {
    /// Returns SEG.LEN: the octets of sequence space that the segment takes, SYN and FIN included.
    #[must_use]
    #[inline]
    pub fn len(&self) -> u32 {
        let controls = u32::from(self.flags.has(Flags::SYN))
            .saturating_add(u32::from(self.flags.has(Flags::FIN)));
        u32::try_from(self.payload.len())
            .unwrap_or(u32::MAX)
            .saturating_add(controls)
    }

    /// Returns the segment without its text and its FIN, which are then as if lost. It acknowledges
    /// what it did, and is no duplicate acknowledgement (RFC 5681, section 2).
    #[must_use]
    pub fn without_text(&self) -> Self {
        Self {
            flags: self.flags.without(Flags::FIN | Flags::PSH) | Flags::CUT,
            payload: &[],
            ..*self
        }
    }

    /// Returns true if the segment takes no sequence space.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A segment to send: what the shell writes into a frame.
///
/// The payload is not part of it. It lies in the send buffer, and
/// [`Connection::payload`](super::Connection::payload) returns where; it has to be copied or sent
/// before the connection is touched again.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Transmit {
    /// SEG.SEQ.
    pub seq: Seq,
    /// SEG.ACK; zero without [`Flags::ACK`].
    pub ack: Seq,
    /// The window field, scaled already.
    pub window: u16,
    /// The control bits.
    pub flags: Flags,
    /// The options to write.
    pub options: Options,
    /// Octets of payload.
    pub payload_len: u32,
    /// Set when the payload is to be cut into segments of so many octets, each with these options
    /// (TSO); FIN and PSH then go on the last one only.
    pub segment_size: Option<NonZeroU16>,
}

impl Transmit {
    /// Returns the reset that answers a segment for which there is no connection (RFC 9293, section
    /// 3.10.7.1); `None` for a reset, which is never answered.
    #[must_use]
    pub fn reset_for(segment: &Segment<'_>) -> Option<Self> {
        if segment.flags.has(Flags::RST) {
            return None;
        }
        let mut reset = Self {
            flags: Flags::RST,
            ..Self::default()
        };
        if segment.flags.has(Flags::ACK) {
            reset.seq = segment.ack;
        } else {
            reset.flags = Flags::RST | Flags::ACK;
            reset.ack = segment.seq.plus(segment.len());
        }
        Some(reset)
    }
}

/// What a call made true: a set of events, empty when there is nothing to report.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Events(u8);

impl Events {
    /// Nothing happened that anybody waits for.
    pub const NONE: Self = Self(0);
    /// The handshake is complete.
    pub const ESTABLISHED: Self = Self(1);
    /// There is something new to receive.
    pub const READABLE: Self = Self(2);
    /// There is room in the send buffer again, after a send that was cut short.
    pub const WRITABLE: Self = Self(4);
    /// The peer has closed its direction: nothing comes after what can be received.
    pub const PEER_FIN: Self = Self(8);
    /// The connection is in CLOSED; [`Connection::error`](super::Connection::error) says why.
    pub const CLOSED: Self = Self(16);
    /// Everything sent, and our FIN if there is one, has been acknowledged.
    pub const DRAINED: Self = Self(32);
    /// The shell answers the segment with [`Transmit::reset_for`].
    pub const ANSWER_RESET: Self = Self(64);
    /// The segment is a SYN that may open a new connection over this one in TIME-WAIT (RFC 9293,
    /// section 3.6.1): the shell releases the control block and takes the SYN to a listener.
    pub const NEW_SYN: Self = Self(128);

    /// Returns true if all events of `other` are in the set.
    #[must_use]
    #[inline]
    pub const fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns true if nothing happened.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns both sets.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns these events but for others.
    #[inline]
    pub(crate) const fn without(self, others: Self) -> Self {
        Self(self.0 & !others.0)
    }

    /// Adds the events of `other`.
    pub(crate) const fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}
