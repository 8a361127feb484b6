//! LISTEN: what a listener, which has no control block, does with a segment.

use super::segment::{Flags, Segment};

/// What a listener does with a segment (RFC 9293, section 3.10.7.2).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Listen {
    /// Nothing.
    Ignore,
    /// Answer with [`Transmit::reset_for`](super::Transmit::reset_for).
    Reset,
    /// Open a connection with [`Connection::accept`](super::Connection::accept).
    Open,
}

impl Listen {
    /// Returns what a listener does with `segment`.
    #[must_use]
    pub const fn of(segment: &Segment<'_>) -> Self {
        if segment.flags.has(Flags::RST) {
            Self::Ignore
        } else if segment.flags.has(Flags::ACK) {
            Self::Reset
        } else if segment.flags.has(Flags::SYN) && !segment.flags.has(Flags::FIN) {
            Self::Open
        } else {
            Self::Ignore
        }
    }
}
