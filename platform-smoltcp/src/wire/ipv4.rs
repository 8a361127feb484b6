//! IPv4 (RFC 791).

use core::net::Ipv4Addr;

use crate::wire::{WireError, checksum, front};

/// Bytes of a header without options.
pub const HEADER_LEN: usize = 20;
/// Where in it the checksum stands.
const CHECKSUM_AT: usize = 10;

/// An IPv4 header. Options are passed over when it is read, and none are written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the format has no other field")]
pub struct Ipv4 {
    /// Differentiated services (RFC 2474) and, in the lowest two bits, congestion (RFC 3168).
    pub traffic_class: u8,
    /// Tells the fragments of one datagram from another's (RFC 6864).
    pub identification: u16,
    /// No router may fragment it.
    pub dont_fragment: bool,
    /// More fragments of the datagram follow.
    pub more_fragments: bool,
    /// Where in the datagram it belongs, in units of eight bytes, below 8,192.
    pub fragment_offset: u16,
    /// Routers that it may pass (time to live).
    pub hop_limit: u8,
    /// What it carries: [`Self::TCP`], [`Self::UDP`], [`Self::ICMP`] or another number.
    pub protocol: u8,
    /// Who sent it.
    pub source: Ipv4Addr,
    /// Who it is for.
    pub destination: Ipv4Addr,
}

impl Ipv4 {
    /// Number of ICMP (RFC 792).
    pub const ICMP: u8 = 1;
    /// Number of TCP (RFC 9293).
    pub const TCP: u8 = 6;
    /// Number of UDP (RFC 768).
    pub const UDP: u8 = 17;

    /// Makes a header for a whole datagram that no router may fragment, with the hop limit that
    /// RFC 1700 names.
    #[must_use]
    pub const fn new(source: Ipv4Addr, destination: Ipv4Addr, protocol: u8) -> Self {
        Self {
            traffic_class: 0,
            identification: 0,
            dont_fragment: true,
            more_fragments: false,
            fragment_offset: 0,
            hop_limit: 64,
            protocol,
            source,
            destination,
        }
    }

    /// Returns true if the packet is a part of a datagram and not all of it.
    #[inline]
    #[must_use]
    pub const fn is_fragment(&self) -> bool {
        self.more_fragments || self.fragment_offset != 0
    }

    /// Splits a packet into its header and what it carries. Bytes behind the length that the
    /// header names are a link's padding, and left out.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when the packet is shorter than it says, [`WireError::Malformed`]
    /// when it is of another version or its lengths contradict each other, [`WireError::Checksum`]
    /// when the header's checksum is wrong.
    #[inline]
    pub fn parse(packet: &[u8]) -> Result<(Self, &[u8]), WireError> {
        let header = packet
            .first_chunk::<HEADER_LEN>()
            .ok_or(WireError::Truncated)?;
        let [
            first,
            traffic_class,
            l0,
            l1,
            i0,
            i1,
            f0,
            f1,
            hop_limit,
            protocol,
            ..,
        ] = *header;
        let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
        let header_len = usize::from(first & 15).saturating_mul(4);
        let total = usize::from(u16::from_be_bytes([l0, l1]));
        if first >> 4 != 4 || header_len < HEADER_LEN || total < header_len {
            return Err(WireError::Malformed);
        }
        let options = packet
            .get(HEADER_LEN..header_len)
            .ok_or(WireError::Truncated)?;
        if !checksum::is_right_header(header, options) {
            return Err(WireError::Checksum);
        }
        let payload = packet.get(header_len..total).ok_or(WireError::Truncated)?;
        let fragment = u16::from_be_bytes([f0, f1]);
        let header = Self {
            traffic_class,
            identification: u16::from_be_bytes([i0, i1]),
            dont_fragment: fragment & 0x4000 != 0,
            more_fragments: fragment & 0x2000 != 0,
            fragment_offset: fragment & 0x1fff,
            hop_limit,
            protocol,
            source: Ipv4Addr::new(s0, s1, s2, s3),
            destination: Ipv4Addr::new(d0, d1, d2, d3),
        };
        Ok((header, payload))
    }

    /// Writes the header of a packet that carries `payload_len` bytes to the front of `packet`,
    /// with its checksum, and returns the header's length.
    ///
    /// # Errors
    /// [`WireError::NoRoom`] when `packet` is shorter than the header, and
    /// [`WireError::Malformed`] when the packet would be longer than 65,535 bytes or
    /// [`Self::fragment_offset`] is too large.
    #[inline]
    pub fn emit(&self, packet: &mut [u8], payload_len: usize) -> Result<usize, WireError> {
        let header = front::<HEADER_LEN>(packet)?;
        let total = u16::try_from(payload_len.saturating_add(HEADER_LEN))
            .map_err(|_| WireError::Malformed)?;
        if self.fragment_offset > 0x1fff {
            return Err(WireError::Malformed);
        }
        let mut fragment = self.fragment_offset;
        if self.dont_fragment {
            fragment |= 0x4000;
        }
        if self.more_fragments {
            fragment |= 0x2000;
        }
        let ([l0, l1], [i0, i1]) = (total.to_be_bytes(), self.identification.to_be_bytes());
        let ([f0, f1], [s0, s1, s2, s3]) = (fragment.to_be_bytes(), self.source.octets());
        let [d0, d1, d2, d3] = self.destination.octets();
        let (class, hops, protocol) = (self.traffic_class, self.hop_limit, self.protocol);
        *header = [
            0x45, class, l0, l1, i0, i1, f0, f1, hops, protocol, 0, 0, s0, s1, s2, s3, d0, d1, d2,
            d3,
        ];
        let sum = checksum::finish(checksum::add(0, header));
        checksum::put_at(header, CHECKSUM_AT, sum);
        Ok(HEADER_LEN)
    }
}
