//! Ethernet (IEEE 802.3) with at most one VLAN tag (IEEE 802.1Q), without the frame's checksum.

use crate::wire::{WireError, front, split};

/// Bytes of the header without a tag.
pub const HEADER_LEN: usize = 14;
/// Bytes that a VLAN tag adds.
pub const TAG_LEN: usize = 4;

/// A station's address on a link (EUI-48).
pub type Mac = [u8; 6];

/// The address of all stations.
pub const BROADCAST: Mac = [0xff; 6];

/// An Ethernet header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the format has no other field")]
pub struct Ethernet {
    /// Who the frame is for.
    pub destination: Mac,
    /// Who sent it.
    pub source: Mac,
    /// What it carries: [`Self::IPV4`], [`Self::IPV6`], [`Self::ARP`] or another number.
    pub ethertype: u16,
    /// Priority and number of the VLAN it belongs to (the tag's control information).
    pub vlan: Option<u16>,
}

impl Ethernet {
    /// Number of IPv4 (RFC 894).
    pub const IPV4: u16 = 0x0800;
    /// Number of ARP (RFC 826).
    pub const ARP: u16 = 0x0806;
    /// Number of a VLAN tag.
    pub const VLAN: u16 = 0x8100;
    /// Number of IPv6 (RFC 2464, section 3).
    pub const IPV6: u16 = 0x86dd;

    /// Makes a header without a VLAN tag.
    #[must_use]
    pub const fn new(destination: Mac, source: Mac, ethertype: u16) -> Self {
        Self {
            destination,
            source,
            ethertype,
            vlan: None,
        }
    }

    /// Splits a frame into its header and what it carries.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when the frame ends before its header does.
    #[inline]
    pub fn parse(frame: &[u8]) -> Result<(Self, &[u8]), WireError> {
        let (header, payload) = split::<HEADER_LEN>(frame)?;
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = *header;
        let header = Self::new(
            [a, b, c, d, e, f],
            [g, h, i, j, k, l],
            u16::from_be_bytes([m, n]),
        );
        if header.ethertype != Self::VLAN {
            return Ok((header, payload));
        }
        let ([a, b, c, d], payload) = split(payload)?;
        let tagged = Self {
            vlan: Some(u16::from_be_bytes([*a, *b])),
            ethertype: u16::from_be_bytes([*c, *d]),
            ..header
        };
        Ok((tagged, payload))
    }

    /// Returns the header's length in bytes.
    #[inline]
    #[must_use]
    pub const fn header_len(&self) -> usize {
        if self.vlan.is_some() {
            HEADER_LEN + TAG_LEN
        } else {
            HEADER_LEN
        }
    }

    /// Returns the header's bytes; only a header without a tag has them all here.
    #[inline]
    const fn bytes(&self, ethertype: u16) -> [u8; HEADER_LEN] {
        let [a, b, c, d, e, f] = self.destination;
        let [g, h, i, j, k, l] = self.source;
        let [m, n] = ethertype.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n]
    }

    /// Writes the header to the front of `frame` and returns its length.
    ///
    /// # Errors
    /// [`WireError::NoRoom`] when `frame` is shorter than the header.
    #[inline]
    pub fn emit(&self, frame: &mut [u8]) -> Result<usize, WireError> {
        match self.vlan {
            None => *front(frame)? = self.bytes(self.ethertype),
            Some(vlan) => {
                let header = front::<{ HEADER_LEN + TAG_LEN }>(frame)?;
                let (plain, tag) = header.split_at_mut(HEADER_LEN);
                *front(plain)? = self.bytes(Self::VLAN);
                let ([a, b], [c, d]) = (vlan.to_be_bytes(), self.ethertype.to_be_bytes());
                *front(tag)? = [a, b, c, d];
            }
        }
        Ok(self.header_len())
    }
}

/// Returns true if `mac` names one station, and not a group or none.
#[inline]
#[must_use]
pub const fn is_unicast(mac: Mac) -> bool {
    let [first, ..] = mac;
    first & 1 == 0 && !matches!(mac, [0, 0, 0, 0, 0, 0])
}
