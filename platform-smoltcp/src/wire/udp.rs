//! UDP (RFC 768). Its checksum is [`checksum::transport`](crate::wire::checksum::transport)'s.

use crate::wire::{WireError, front, split};

/// Bytes of the header.
pub const HEADER_LEN: usize = 8;

/// A UDP header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the format has no other field")]
pub struct Udp {
    /// The sender's port; 0 if it wants no answer.
    pub source_port: u16,
    /// The receiver's port.
    pub destination_port: u16,
    /// The checksum as it stands in the header; 0 says, over IPv4, that there is none.
    pub checksum: u16,
}

impl Udp {
    /// Splits a datagram into its header and what it carries.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when the datagram is shorter than it says,
    /// [`WireError::Malformed`] when it says that it is shorter than its header.
    pub fn parse(datagram: &[u8]) -> Result<(Self, &[u8]), WireError> {
        let ([a, b, c, d, e, f, g, h], _) = split::<HEADER_LEN>(datagram)?;
        let len = usize::from(u16::from_be_bytes([*e, *f]));
        if len < HEADER_LEN {
            return Err(WireError::Malformed);
        }
        let payload = datagram.get(HEADER_LEN..len).ok_or(WireError::Truncated)?;
        let header = Self {
            source_port: u16::from_be_bytes([*a, *b]),
            destination_port: u16::from_be_bytes([*c, *d]),
            checksum: u16::from_be_bytes([*g, *h]),
        };
        Ok((header, payload))
    }

    /// Writes the header of a datagram that carries `payload_len` bytes to the front of `datagram`
    /// and returns its length.
    ///
    /// # Errors
    /// [`WireError::NoRoom`] when `datagram` is shorter than the header, [`WireError::Malformed`]
    /// when the datagram would be longer than 65,535 bytes.
    pub fn emit(&self, datagram: &mut [u8], payload_len: usize) -> Result<usize, WireError> {
        let header = front::<HEADER_LEN>(datagram)?;
        let len = u16::try_from(payload_len.saturating_add(HEADER_LEN))
            .map_err(|_| WireError::Malformed)?;
        let ([a, b], [c, d]) = (
            self.source_port.to_be_bytes(),
            self.destination_port.to_be_bytes(),
        );
        let ([e, f], [g, h]) = (len.to_be_bytes(), self.checksum.to_be_bytes());
        *header = [a, b, c, d, e, f, g, h];
        Ok(HEADER_LEN)
    }
}
