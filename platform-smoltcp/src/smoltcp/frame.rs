//! Looks into frames just far enough to know whose they are. smoltcp parses them again, fully.

use core::net::{IpAddr, SocketAddr};

use crate::number::{be16, chunk, count};
use crate::wire::checksum::{self, TCP};

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
    /// An ICMPv6 message.
    Icmpv6 { message: &'f [u8] },
    /// Anything else that is whole.
    Other,
    /// A fragment (RFC 791). Refused: a segment never needs one, since all of ours carry DF and a
    /// peer's stack keeps to the MSS; what a fragment's ports are only its first part knows.
    Fragment,
}

/// The addresses in an IP header, from and to.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Addresses<'f> {
    V4(&'f [u8; 4], &'f [u8; 4]),
    V6(&'f [u8; 16], &'f [u8; 16]),
}

impl Addresses<'_> {
    #[inline]
    fn from(self) -> IpAddr {
        match self {
            Self::V4(from, _) => IpAddr::from(*from),
            Self::V6(from, _) => IpAddr::from(*from),
        }
    }

    #[inline]
    fn to(self) -> IpAddr {
        match self {
            Self::V4(_, to) => IpAddr::from(*to),
            Self::V6(_, to) => IpAddr::from(*to),
        }
    }
}

/// A TCP segment in an IP packet, whose header is all there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'f> {
    addresses: Addresses<'f>,
    header: &'f [u8; TCP_LEN],
    /// From the TCP header to the end of the IP payload.
    pub(crate) bytes: &'f [u8],
}

impl<'f> Segment<'f> {
    /// Makes a segment of the bytes behind an IP header; `None` if they hold none.
    #[inline]
    pub(crate) fn new(addresses: Addresses<'f>, bytes: &'f [u8]) -> Option<Self> {
        let header = bytes.first_chunk::<TCP_LEN>()?;
        let segment = Self {
            addresses,
            header,
            bytes,
        };
        let whole = (TCP_LEN..=bytes.len()).contains(&segment.header_len());
        whole.then_some(segment)
    }

    #[inline]
    pub(crate) fn remote(&self) -> SocketAddr {
        let [high, low, ..] = *self.header;
        SocketAddr::new(self.addresses.from(), u16::from_be_bytes([high, low]))
    }

    #[inline]
    pub(crate) fn local(&self) -> SocketAddr {
        let [_, _, high, low, ..] = *self.header;
        SocketAddr::new(self.addresses.to(), u16::from_be_bytes([high, low]))
    }

    #[inline]
    pub(crate) const fn sequence(&self) -> u32 {
        let [_, _, _, _, a, b, c, d, ..] = *self.header;
        u32::from_be_bytes([a, b, c, d])
    }

    #[inline]
    pub(crate) const fn acknowledged(&self) -> u32 {
        let [_, _, _, _, _, _, _, _, a, b, c, d, ..] = *self.header;
        u32::from_be_bytes([a, b, c, d])
    }

    /// Returns the bytes before the payload.
    #[inline]
    fn header_len(&self) -> usize {
        usize::from(self.header[12] >> 4).saturating_mul(4)
    }

    /// Returns the control bits.
    #[inline]
    pub(crate) const fn control(&self) -> u8 {
        self.header[13] & 0x3f
    }

    /// Returns the window, not shifted yet.
    #[inline]
    pub(crate) const fn window(&self) -> u16 {
        let [.., high, low, _, _, _, _] = *self.header;
        u16::from_be_bytes([high, low])
    }

    /// Whether it starts a connection: SYN without ACK or RST.
    #[inline]
    pub(crate) const fn is_opening(&self) -> bool {
        self.control() & (SYN | ACK | RST) == SYN
    }

    /// Whether there is anything between the header and the payload.
    #[inline]
    pub(crate) const fn has_options(&self) -> bool {
        self.header[12] >= 0x60
    }

    /// Returns the data of the first option of `kind` (RFC 9293, section 3.2).
    pub(crate) fn option(&self, kind: u8) -> Option<&[u8]> {
        let mut options = self.bytes.get(TCP_LEN..self.header_len())?;
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
        count(self.bytes.len().saturating_sub(self.header_len()))
    }

    /// Whether it may be an answer to our SYN|ACK: ACK without SYN or RST.
    #[inline]
    pub(crate) const fn is_answer(&self) -> bool {
        self.control() & (SYN | ACK | RST) == ACK
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

/// Looks into an IP packet; `None` when it is cut short or of another version.
#[inline]
pub(crate) fn look(packet: &[u8]) -> Option<Packet<'_>> {
    match packet.first()? >> 4 {
        4 => look_v4(packet),
        6 => look_v6(packet),
        _ => None,
    }
}

#[inline]
fn look_v4(packet: &[u8]) -> Option<Packet<'_>> {
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
    let payload = packet.get(header_len..end)?;
    match header[9] {
        TCP => {
            let addresses = Addresses::V4(chunk(header, 12)?, chunk(header, 16)?);
            Segment::new(addresses, payload).map(Packet::Tcp)
        }
        _ => Some(Packet::Other),
    }
}

#[inline]
fn look_v6(packet: &[u8]) -> Option<Packet<'_>> {
    let (from, to) = (chunk(packet, 8)?, chunk(packet, 24)?);
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
        TCP => Segment::new(Addresses::V6(from, to), payload).map(Packet::Tcp),
        ICMPV6 => Some(Packet::Icmpv6 { message: payload }),
        _ => Some(Packet::Other),
    }
}
