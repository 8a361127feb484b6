//! What a record meant.

use crate::tls::alert::Alert;

/// What [`Connection::receive`](crate::tls::Connection::receive) did.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "a complete answer")]
pub struct Received {
    /// Bytes of the input that are done with: one whole record, or 0 if it is not all there.
    pub consumed: usize,
    /// What the record meant.
    pub event: Event,
}

/// What a record meant.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// The record is not all there; `need` bytes from its start make it whole, or more of it
    /// known.
    Incomplete {
        /// Bytes needed, more than there are, at most [`RECORD_MAX`](crate::tls::RECORD_MAX).
        need: usize,
    },
    /// Nothing for the application. The output may have something for the peer.
    Nothing,
    /// The handshake is done. The output may have something for the peer.
    ///
    /// The [`Handshake`] is not needed any more; [`Handshake::reset`] wipes its secrets.
    ///
    /// [`Handshake`]: crate::tls::Handshake
    /// [`Handshake::reset`]: crate::tls::Handshake::reset
    Open,
    /// The handshake waits for a signature that comes later. Nothing is read until
    /// [`Handshake::supply`](crate::tls::Handshake::supply) has had it.
    Signing,
    /// Application data, decrypted in place.
    Data {
        /// Where in the input it starts.
        start: usize,
        /// Number of bytes, at least one.
        len: usize,
    },
    /// The peer will send no more (`close_notify`). Later records are ignored.
    Finished,
    /// The peer gave up with a fatal alert.
    Failed(Alert),
}

impl Received {
    pub(crate) const fn incomplete(need: usize) -> Self {
        Self {
            consumed: 0,
            event: Event::Incomplete { need },
        }
    }
}
