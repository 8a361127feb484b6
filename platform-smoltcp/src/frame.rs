//! Looks into frames just far enough to know whose they are. smoltcp parses them again, fully.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::checksum::{self, TCP};
use crate::number::{be16, be32};

/// Bytes of an Ethernet header.
pub(crate) const ETHERNET_LEN: usize = 14;
/// Ethernet's number of ARP (RFC 826).
pub(crate) const ARP: u16 = 0x0806;
/// Ethernet's number of IPv4.
pub(crate) const IPV4: u16 = 0x0800;
/// Ethernet's number of IPv6.
pub(crate) const IPV6: u16 = 0x86dd;

const HOP_BY_HOP: u8 = 0;
const ICMPV6: u8 = 58;

/// Bytes of a TCP header without options.
const TCP_LEN: usize = 20;
/// Options (RFC 9293, section 3.2; RFC 7323, section 2.2; RFC 2018, section 3).
const END: u8 = 0;
const PADDING: u8 = 1;
pub(crate) const MSS: u8 = 2;
pub(crate) const SCALE: u8 = 3;
pub(crate) const SELECTIVE: u8 = 5;

/// TCP's control bits (RFC 9293, section 3.1).
pub(crate) const FIN: u8 = 1;
pub(crate) const SYN: u8 = 2;
pub(crate) const RST: u8 = 4;
pub(crate) const ACK: u8 = 16;

/// An Ethernet header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Ethernet {
    pub(crate) to: [u8; 6],
    pub(crate) from: [u8; 6],
    pub(crate) kind: u16,
}

impl Ethernet {
    /// Splits a frame into header and payload; `None` when it is too short.
    #[inline]
    pub(crate) fn split(frame: &[u8]) -> Option<(Self, &[u8])> {
        let (header, payload) = frame.split_first_chunk::<ETHERNET_LEN>()?;
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n] = *header;
        let header = Self {
            to: [a, b, c, d, e, f],
            from: [g, h, i, j, k, l],
            kind: u16::from_be_bytes([m, n]),
        };
        Some((header, payload))
    }

    /// Returns the header's bytes.
    #[inline]
    pub(crate) const fn bytes(self) -> [u8; ETHERNET_LEN] {
        let [a, b, c, d, e, f] = self.to;
        let [g, h, i, j, k, l] = self.from;
        let [m, n] = self.kind.to_be_bytes();
        [a, b, c, d, e, f, g, h, i, j, k, l, m, n]
    }

    /// Whether `mac` names one station, and not a group or none.
    pub(crate) const fn is_unicast(mac: [u8; 6]) -> bool {
        let [first, ..] = mac;
        first & 1 == 0 && !matches!(mac, [0, 0, 0, 0, 0, 0])
    }
}

/// What an IP packet carries.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Packet<'f> {
    /// A TCP segment.
    Tcp(Segment<'f>),
    /// An ICMPv6 message from, to, with its hop limit and bytes.
    Icmpv6 {
        from: Ipv6Addr,
        hop_limit: u8,
        message: &'f [u8],
    },
    /// Anything else that is whole.
    Other,
    /// A fragment (RFC 791). Refused: a segment never needs one, since all of ours carry DF and a
    /// peer's stack keeps to the MSS; what a fragment's ports are only its first part knows.
    Fragment,
}

/// A TCP segment's place and control fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'f> {
    pub(crate) local: SocketAddr,
    pub(crate) remote: SocketAddr,
    pub(crate) control: u8,
    pub(crate) sequence: u32,
    pub(crate) acknowledged: u32,
    /// From the TCP header to the end of the IP payload.
    pub(crate) bytes: &'f [u8],
}

impl Segment<'_> {
    /// Whether it starts a connection: SYN without ACK or RST.
    #[inline]
    pub(crate) const fn is_opening(&self) -> bool {
        self.control & (SYN | ACK | RST) == SYN
    }

    /// Whether there is anything between the header and the payload.
    #[inline]
    pub(crate) fn has_options(&self) -> bool {
        self.bytes.get(12).is_some_and(|byte| *byte >= 0x60)
    }

    /// Returns the data of the first option of `kind` (RFC 9293, section 3.2).
    pub(crate) fn option(&self, kind: u8) -> Option<&[u8]> {
        let end = usize::from(self.bytes.get(12)? >> 4).saturating_mul(4);
        let mut options = self.bytes.get(TCP_LEN..end)?;
        loop {
            let (found, rest) = options.split_first()?;
            match *found {
                END => return None,
                PADDING => options = rest,
                found => {
                    let len = usize::from(*rest.first()?).max(2);
                    let (option, after) = options.split_at_checked(len)?;
                    if found == kind {
                        return option.get(2..);
                    }
                    options = after;
                }
            }
        }
    }

    /// Returns the number of payload bytes.
    #[inline]
    pub(crate) fn payload_len(&self) -> u32 {
        let header = self.bytes.get(12).map_or(0, |byte| usize::from(byte >> 4));
        crate::number::count(self.bytes.len().saturating_sub(header.saturating_mul(4)))
    }

    /// Whether it may be an answer to our SYN|ACK: ACK without SYN or RST.
    #[inline]
    pub(crate) const fn is_answer(&self) -> bool {
        self.control & (SYN | ACK | RST) == ACK
    }
}

/// Returns where TCP's header starts in an IP packet with nothing between the two, as all are that
/// we send; `None` when it carries something else.
#[inline]
pub(crate) fn tcp_at(packet: &[u8]) -> Option<usize> {
    match packet {
        [first, _, _, _, _, _, _, _, _, TCP, ..] if *first >> 4 == 4 => {
            Some(usize::from(*first & 15).saturating_mul(4))
        }
        [first, _, _, _, _, _, TCP, ..] if *first >> 4 == 6 => Some(40),
        _ => None,
    }
}

/// Whether it is an IPv4 packet.
#[inline]
pub(crate) fn is_v4(packet: &[u8]) -> bool {
    packet.first().is_some_and(|first| first >> 4 == 4)
}

/// Looks into an IP packet; `None` when it is cut short or of another version.
pub(crate) fn look(packet: &[u8]) -> Option<Packet<'_>> {
    if is_v4(packet) {
        look_v4(packet)
    } else {
        look_v6(packet)
    }
}

/// Looks into an IPv4 packet.
#[inline(always)]
pub(crate) fn look_v4(packet: &[u8]) -> Option<Packet<'_>> {
    let header = packet.first_chunk::<20>()?;
    let header_len = usize::from(header[0] & 15).saturating_mul(4);
    if !checksum::is_right_header(header, packet.get(header.len()..header_len)?) {
        return None;
    }
    // More-fragments or an offset (RFC 791, section 3.1).
    if be16(header, 6)? & 0x3fff != 0 {
        return Some(Packet::Fragment);
    }
    let end = usize::from(be16(header, 2)?);
    let from = IpAddr::V4(Ipv4Addr::from_bits(be32(header, 12)?));
    let to = IpAddr::V4(Ipv4Addr::from_bits(be32(header, 16)?));
    let payload = packet.get(header_len..end)?;
    match header[9] {
        TCP => segment(from, to, payload),
        _ => Some(Packet::Other),
    }
}

/// Looks into an IPv6 packet.
#[inline]
pub(crate) fn look_v6(packet: &[u8]) -> Option<Packet<'_>> {
    if packet.first()? >> 4 != 6 {
        return None;
    }
    let from = Ipv6Addr::from(*packet.get(8..)?.first_chunk::<16>()?);
    let to = Ipv6Addr::from(*packet.get(24..)?.first_chunk::<16>()?);
    let payload = packet.get(40..)?.get(..usize::from(be16(packet, 4)?))?;
    let (kind, payload) = match *packet.get(6)? {
        // smoltcp, too, takes one such header and only in first place (RFC 8200, section 4.3).
        HOP_BY_HOP => {
            let len = usize::from(*payload.get(1)?).saturating_add(1);
            (*payload.first()?, payload.get(len.saturating_mul(8)..)?)
        }
        kind => (kind, payload),
    };
    match kind {
        TCP => segment(IpAddr::V6(from), IpAddr::V6(to), payload),
        ICMPV6 => Some(Packet::Icmpv6 {
            from,
            hop_limit: *packet.get(7)?,
            message: payload,
        }),
        _ => Some(Packet::Other),
    }
}

#[inline(always)]
fn segment(from: IpAddr, to: IpAddr, bytes: &[u8]) -> Option<Packet<'_>> {
    let header = bytes.first_chunk::<20>()?;
    let len = usize::from(header[12] >> 4).saturating_mul(4);
    if !(TCP_LEN..=bytes.len()).contains(&len) {
        return None;
    }
    Some(Packet::Tcp(Segment {
        remote: SocketAddr::new(from, be16(header, 0)?),
        local: SocketAddr::new(to, be16(header, 2)?),
        control: *header.get(13)? & 0x3f,
        sequence: be32(header, 4)?,
        acknowledged: be32(header, 8)?,
        bytes,
    }))
}
