//! Why an open socket is gone.

use core::fmt;

use crate::error::Error;

/// Why an open socket is gone. Told once per open socket, in `on_close`.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum Closed {
    /// Both directions ended in order: the peer's end was read, and ours was sent.
    Finished,
    /// The program closed or aborted the socket, with this code (0 when it gave none).
    Local(u16),
    /// The timeout passed, and the handler left `on_timeout` at its default.
    TimedOut,
    /// The pool was full, and a listener with
    /// [`WhenFull::EvictIdle`](crate::WhenFull::EvictIdle) needed the slot.
    Evicted,
    /// The program took its descriptor out ([`Net::take`](crate::Net::take)).
    Taken,
    /// The connection broke.
    Failed(Error),
}

impl Closed {
    /// Packs the reason into 32 bits, for the slot.
    pub(crate) const fn to_bits(self) -> u32 {
        let (kind, [a, b, c, _]) = match self {
            Self::Finished => (0, [0; 4]),
            Self::Local(code) => {
                let [low, high] = code.to_le_bytes();
                (1, [low, high, 0, 0])
            }
            Self::TimedOut => (2, [0; 4]),
            Self::Evicted => (3, [0; 4]),
            Self::Taken => (5, [0; 4]),
            Self::Failed(error) => (4, error.to_bits().to_le_bytes()),
        };
        u32::from_le_bytes([a, b, c, kind])
    }

    /// Unpacks what [`Self::to_bits`] packed.
    pub(crate) const fn from_bits(bits: u32) -> Self {
        let [a, b, c, kind] = bits.to_le_bytes();
        match kind {
            0 => Self::Finished,
            1 => Self::Local(u16::from_le_bytes([a, b])),
            2 => Self::TimedOut,
            3 => Self::Evicted,
            5 => Self::Taken,
            _ => Self::Failed(Error::from_bits(u32::from_le_bytes([a, b, c, 0]))),
        }
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished by both sides"),
            Self::Local(code) => write!(f, "closed here with code {code}"),
            Self::TimedOut => f.write_str("timed out here"),
            Self::Evicted => f.write_str("evicted from a full pool"),
            Self::Taken => f.write_str("taken out by the program"),
            Self::Failed(error) => error.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_survives_packing() {
        let errors = [
            Error::AddressInUse,
            Error::AddressUnavailable,
            Error::Denied,
            Error::Full,
            Error::Exhausted,
            Error::Invalid,
            Error::Unreachable,
            Error::Refused,
            Error::Reset,
            Error::BrokenPipe,
            Error::TimedOut,
            Error::Truncated,
            Error::AlertReceived(40),
            Error::AlertSent(255),
            Error::Protocol(0xabcd),
            Error::Unsupported,
            Error::Platform(0xffff),
            Error::Platform(0),
        ];
        for error in errors {
            assert_ne!(error.to_bits(), 0);
            assert_eq!(Error::from_bits(error.to_bits()), error);
            let closed = Closed::Failed(error);
            assert_eq!(Closed::from_bits(closed.to_bits()), closed);
        }
        for closed in [
            Closed::Finished,
            Closed::Local(0),
            Closed::Local(0xfedc),
            Closed::TimedOut,
            Closed::Evicted,
            Closed::Taken,
        ] {
            assert_eq!(Closed::from_bits(closed.to_bits()), closed);
        }
    }
}
