//! One segment that is on its way, as the table of outstanding segments keeps it.

use super::seq::Seq;

/// A segment that has been sent and not been acknowledged cumulatively.
///
/// The shell lends a table of these with each call ([`Buffers`](super::Buffers)). Each takes 12
/// octets.
#[derive(Clone, Copy, Debug)]
pub struct Outstanding {
    /// SEG.SEQ of its first octet.
    pub(crate) seq: Seq,
    /// When it was sent last: the low 32 bits of the clock in microseconds.
    pub(crate) sent_at: u32,
    /// Octets of sequence space, FIN included.
    pub(crate) len: u16,
    /// What is known of it.
    pub(crate) marks: u8,
    /// How often it was sent, at most 255.
    pub(crate) transmissions: u8,
}

const _: () = assert!(size_of::<Outstanding>() <= 16);

impl Outstanding {
    /// An entry that is not in use: what a table is filled with.
    pub const EMPTY: Self = Self {
        seq: Seq::new(0),
        sent_at: 0,
        len: 0,
        marks: 0,
        transmissions: 0,
    };
    /// The peer has it, by a selective acknowledgement.
    pub(crate) const SACKED: u8 = 1;
    /// It is taken to be lost and has not been sent again.
    pub(crate) const LOST: u8 = 2;
    /// Its last octet of sequence space is our FIN.
    pub(crate) const FIN: u8 = 4;
    /// It is a probe of the path (RFC 4821), larger than others.
    pub(crate) const PATH_PROBE: u8 = 8;

    /// Returns the first sequence number behind it.
    #[inline]
    pub(crate) fn end(&self) -> Seq {
        self.seq.plus(u32::from(self.len))
    }

    /// Returns true if any of the marks is set.
    #[inline]
    pub(crate) const fn has_any(&self, marks: u8) -> bool {
        self.marks & marks != 0
    }
}
