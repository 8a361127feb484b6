//! TCP segments (RFC 9293, section 3.1), with the options of RFC 7323 and RFC 2018.
//!
//! Its checksum is [`checksum::transport`](crate::wire::checksum::transport)'s: a device may have
//! verified it already, or fill it in later.

use crate::tcp::{Block, Flags, HEADER_LEN, Options, SACK_BLOCKS_MAX, Seq, Timestamps};
use crate::wire::{WireError, split};

/// Bytes of the longest header: 40 of them are options.
pub const HEADER_MAX: usize = 60;
/// Where in the header the checksum stands.
pub const CHECKSUM_AT: usize = 16;

/// Kinds of options.
const END: u8 = 0;
const NOP: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const SACK: u8 = 5;
const TIMESTAMPS: u8 = 8;

/// A TCP header.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the format has no other field")]
pub struct Tcp {
    /// The sender's port.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// Sequence number of the first octet of payload, or of SYN.
    pub seq: Seq,
    /// The next sequence number expected from the other side; meaningless without
    /// [`Flags::ACK`].
    pub ack: Seq,
    /// The control bits.
    pub flags: Flags,
    /// The receive window, not scaled.
    pub window: u16,
    /// Where urgent data ends; meaningless without [`Flags::URG`].
    pub urgent: u16,
    /// The options known here. Others are passed over when they are read.
    pub options: Options,
}

impl Tcp {
    /// Splits a segment into its header and its payload.
    ///
    /// Options are read until one is cut short or the list ends; one that is malformed is passed
    /// over if its length is sound (RFC 9293, section 3.1, MUST-7). Of several of a kind the last
    /// counts. SACK blocks beyond the fourth cannot be.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when the segment ends before its header does,
    /// [`WireError::Malformed`] when the header says that it is shorter than any.
    #[inline]
    pub fn parse(segment: &[u8]) -> Result<(Self, &[u8]), WireError> {
        let (fixed, _) = split::<HEADER_LEN>(segment)?;
        let [
            s0,
            s1,
            d0,
            d1,
            q0,
            q1,
            q2,
            q3,
            a0,
            a1,
            a2,
            a3,
            offset,
            flags,
            ..,
        ] = *fixed;
        let [.., w0, w1, _, _, u0, u1] = *fixed;
        let header_len = usize::from(offset >> 4).saturating_mul(4);
        if header_len < HEADER_LEN {
            return Err(WireError::Malformed);
        }
        let (header, payload) = segment
            .split_at_checked(header_len)
            .ok_or(WireError::Truncated)?;
        let header = Self {
            source_port: u16::from_be_bytes([s0, s1]),
            destination_port: u16::from_be_bytes([d0, d1]),
            seq: Seq::new(u32::from_be_bytes([q0, q1, q2, q3])),
            ack: Seq::new(u32::from_be_bytes([a0, a1, a2, a3])),
            flags: Flags::from_bits(flags),
            window: u16::from_be_bytes([w0, w1]),
            urgent: u16::from_be_bytes([u0, u1]),
            options: match header.get(HEADER_LEN..) {
                None | Some([]) => Options::NONE,
                Some(options) => parse_options(options),
            },
        };
        Ok((header, payload))
    }

    /// Returns the length in bytes of the header that [`Self::emit`] writes.
    #[inline]
    #[must_use]
    pub fn header_len(&self) -> usize {
        usize::from(self.options.len()).saturating_add(HEADER_LEN)
    }

    /// Writes the header to the front of `segment`, its checksum zero, and returns its length.
    ///
    /// # Errors
    /// [`WireError::NoRoom`] when `segment` is shorter than the header, [`WireError::Malformed`]
    /// when the options take more than 40 bytes.
    #[inline]
    pub fn emit(&self, segment: &mut [u8]) -> Result<usize, WireError> {
        let len = self.header_len();
        if len > HEADER_MAX {
            return Err(WireError::Malformed);
        }
        let header = segment.get_mut(..len).ok_or(WireError::NoRoom)?;
        let (fixed, options) = header
            .split_first_chunk_mut::<HEADER_LEN>()
            .ok_or(WireError::NoRoom)?;
        let [s0, s1] = self.source_port.to_be_bytes();
        let [d0, d1] = self.destination_port.to_be_bytes();
        let [q0, q1, q2, q3] = self.seq.get().to_be_bytes();
        let [a0, a1, a2, a3] = self.ack.get().to_be_bytes();
        let [w0, w1] = self.window.to_be_bytes();
        let [u0, u1] = self.urgent.to_be_bytes();
        // At most fifteen words of four bytes.
        let offset = u8::try_from(len).unwrap_or(0) << 2;
        *fixed = [
            s0,
            s1,
            d0,
            d1,
            q0,
            q1,
            q2,
            q3,
            a0,
            a1,
            a2,
            a3,
            offset,
            self.flags.bits(),
            w0,
            w1,
            0,
            0,
            u0,
            u1,
        ];
        if !options.is_empty() {
            emit_options(&self.options, options);
        }
        Ok(len)
    }
}

/// Reads the options of a header.
#[inline]
fn parse_options(bytes: &[u8]) -> Options {
    let mut options = Options::NONE;
    // As every segment of a connection with timestamps has them (RFC 7323, appendix A).
    if let [NOP, NOP, TIMESTAMPS, 10, data @ ..] = bytes
        && data.len() == 8
    {
        options.timestamps = timestamps(data);
        return options;
    }
    parse_each(bytes, &mut options);
    options
}

#[inline(never)]
fn parse_each(mut bytes: &[u8], options: &mut Options) {
    while let [kind, rest @ ..] = bytes {
        match *kind {
            END => return,
            NOP => {
                bytes = rest;
                continue;
            }
            _ => {}
        }
        let Some(len) = rest.first().map(|len| usize::from(*len)) else {
            return;
        };
        let Some((option, after)) = bytes.split_at_checked(len).filter(|_| len >= 2) else {
            return;
        };
        let data = option.get(2..).unwrap_or_default();
        match (*kind, data) {
            (MSS, [high, low]) => options.mss = Some(u16::from_be_bytes([*high, *low])),
            (WINDOW_SCALE, [shift]) => options.window_scale = Some(*shift),
            (SACK_PERMITTED, []) => options.sack_permitted = true,
            (SACK, blocks) => parse_sack(blocks, options),
            (TIMESTAMPS, data) => options.timestamps = timestamps(data).or(options.timestamps),
            _ => {}
        }
        bytes = after;
    }
}

fn parse_sack(data: &[u8], options: &mut Options) {
    let (blocks, rest) = data.as_chunks::<8>();
    if !rest.is_empty() || blocks.is_empty() {
        return;
    }
    options.sack = crate::tcp::SackBlocks::EMPTY;
    for [a, b, c, d, e, f, g, h] in blocks.iter().take(SACK_BLOCKS_MAX) {
        let start = Seq::new(u32::from_be_bytes([*a, *b, *c, *d]));
        let end = Seq::new(u32::from_be_bytes([*e, *f, *g, *h]));
        options.sack.push(Block::new(start, end));
    }
}

fn timestamps(data: &[u8]) -> Option<Timestamps> {
    let [a, b, c, d, e, f, g, h] = *data.first_chunk()?;
    (data.len() == 8).then_some(Timestamps {
        value: u32::from_be_bytes([a, b, c, d]),
        echo: u32::from_be_bytes([e, f, g, h]),
    })
}

/// Writes options into bytes of just their length ([`Options::len`]).
#[inline]
fn emit_options(options: &Options, bytes: &mut [u8]) {
    let mut words = bytes.as_chunks_mut::<4>().0.iter_mut();
    let mut put = |word: [u8; 4]| {
        if let Some(place) = words.next() {
            *place = word;
        }
    };
    if let Some(mss) = options.mss {
        let [high, low] = mss.to_be_bytes();
        put([MSS, 4, high, low]);
    }
    if let Some(shift) = options.window_scale {
        put([NOP, WINDOW_SCALE, 3, shift]);
    }
    if options.sack_permitted {
        put([NOP, NOP, SACK_PERMITTED, 2]);
    }
    if let Some(Timestamps { value, echo }) = options.timestamps {
        put([NOP, NOP, TIMESTAMPS, 10]);
        put(value.to_be_bytes());
        put(echo.to_be_bytes());
    }
    let blocks = options.sack.as_slice();
    if !blocks.is_empty() {
        let len = u8::try_from(blocks.len()).unwrap_or(0).saturating_mul(8);
        put([NOP, NOP, SACK, len.saturating_add(2)]);
        for block in blocks {
            put(block.start.get().to_be_bytes());
            put(block.end.get().to_be_bytes());
        }
    }
}
