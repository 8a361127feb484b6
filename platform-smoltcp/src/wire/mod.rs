//! Formats of what goes over a link: headers are read into plain values and written from them.
//!
//! Read in this order: [`ethernet`], [`arp`], [`ipv4`], [`ipv6`] with its extension headers,
//! [`icmp`], [`ndp`], [`udp`] with `dhcp` over it (feature `datagrams`), [`tcp`]; [`checksum`] is
//! what several of them share. Nothing here keeps state, allocates, or can panic, whatever the
//! bytes; no format knows of another but those it carries.
//!
//! `parse` takes bytes from the wire and returns the header with what follows it; `emit` writes a
//! header into the front of a buffer and returns its length. Reading what was written gives the
//! same value back.
//!
//! # Example
//!
//! ```
//! use usockets_smoltcp::wire::{WireError, ethernet::Ethernet, tcp::Tcp};
//!
//! let mut frame = [0; 64];
//! let header = Ethernet::new([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2], Ethernet::IPV4);
//! let len = header.emit(&mut frame)?;
//! let (parsed, payload) = Ethernet::parse(&frame)?;
//! assert_eq!(parsed, header);
//! assert_eq!(payload.len(), frame.len() - len);
//! assert_eq!(Tcp::parse(&payload[..10]), Err(WireError::Truncated));
//! # Ok::<(), WireError>(())
//! ```

pub mod arp;
pub mod checksum;
#[cfg(feature = "datagrams")]
pub mod dhcp;
pub mod ethernet;
pub mod icmp;
pub mod ipv4;
pub mod ipv6;
pub mod ndp;
pub mod tcp;
pub mod udp;

/// The stack speaks IPv6: feature `ipv6`. Conditions on this leave out what only IPv6 needs.
pub(crate) const HAS_V6: bool = cfg!(feature = "ipv6");

/// Why bytes are no header of a format, or a header does not go into a buffer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum WireError {
    /// The bytes end before the header, or before what the header says it carries. The sender or
    /// the link has cut it short; drop it.
    Truncated,
    /// A field contradicts the format or another field. The sender is at fault; drop it.
    Malformed,
    /// A checksum is wrong: the bytes changed on their way. Drop it; whoever sent it sends again.
    Checksum,
    /// The buffer is too small for the header to be written. The caller is at fault.
    NoRoom,
}

impl core::fmt::Display for WireError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Truncated => "the packet is cut short",
            Self::Malformed => "the packet's header is malformed",
            Self::Checksum => "the packet's checksum is wrong",
            Self::NoRoom => "the buffer is too small for the header",
        })
    }
}

impl core::error::Error for WireError {}

/// Lends the first `N` bytes and what follows them.
#[inline(always)]
fn split<const N: usize>(bytes: &[u8]) -> Result<(&[u8; N], &[u8]), WireError> {
    bytes.split_first_chunk().ok_or(WireError::Truncated)
}

/// Lends the first `N` bytes for writing.
#[inline(always)]
fn front<const N: usize>(bytes: &mut [u8]) -> Result<&mut [u8; N], WireError> {
    bytes.first_chunk_mut().ok_or(WireError::NoRoom)
}
