//! IPv6 (RFC 8200) and its extension headers.

use core::net::Ipv6Addr;

use crate::wire::{WireError, front, split};

/// Bytes of the header without extensions.
pub const HEADER_LEN: usize = 40;
/// Most extension headers of a packet that are walked through. RFC 8200 names seven places for
/// them (section 4.1); what has more is taken for an attack (RFC 8883 allows such a limit).
pub const EXTENSIONS_MAX: usize = 8;

/// Numbers of extension headers (RFC 8200, sections 4.3 to 4.7).
const HOP_BY_HOP: u8 = 0;
const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
const NO_NEXT_HEADER: u8 = 59;
const DESTINATION: u8 = 60;

/// An IPv6 header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "the format has no other field")]
pub struct Ipv6 {
    /// Differentiated services (RFC 2474) and, in the lowest two bits, congestion (RFC 3168).
    pub traffic_class: u8,
    /// Which flow it belongs to (RFC 6437); 20 bits.
    pub flow_label: u32,
    /// What follows: [`Self::TCP`], [`Self::UDP`], [`Self::ICMP`], an extension header or another
    /// number.
    pub next_header: u8,
    /// Routers that it may pass.
    pub hop_limit: u8,
    /// Who sent it.
    pub source: Ipv6Addr,
    /// Who it is for.
    pub destination: Ipv6Addr,
}

impl Ipv6 {
    /// Number of TCP (RFC 9293).
    pub const TCP: u8 = 6;
    /// Number of UDP (RFC 768).
    pub const UDP: u8 = 17;
    /// Number of ICMPv6 (RFC 4443).
    pub const ICMP: u8 = 58;

    /// Makes a header with the hop limit that RFC 1700 names.
    #[must_use]
    pub const fn new(source: Ipv6Addr, destination: Ipv6Addr, next_header: u8) -> Self {
        Self {
            traffic_class: 0,
            flow_label: 0,
            next_header,
            hop_limit: 64,
            source,
            destination,
        }
    }

    /// Splits a packet into its header and what it carries, extension headers included. Bytes
    /// behind the length that the header names are a link's padding, and left out.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when the packet is shorter than it says, [`WireError::Malformed`]
    /// when it is of another version.
    #[inline]
    pub fn parse(packet: &[u8]) -> Result<(Self, &[u8]), WireError> {
        let (header, rest) = split::<HEADER_LEN>(packet)?;
        let (fixed, addresses) = split::<8>(header)?;
        let (source, destination) = split::<16>(addresses)?;
        let (destination, _) = split::<16>(destination)?;
        let [a, b, c, d, l0, l1, next_header, hop_limit] = *fixed;
        let first = u32::from_be_bytes([a, b, c, d]);
        if first >> 28 != 6 {
            return Err(WireError::Malformed);
        }
        let payload = rest
            .get(..usize::from(u16::from_be_bytes([l0, l1])))
            .ok_or(WireError::Truncated)?;
        let header = Self {
            traffic_class: (a << 4) | (b >> 4),
            flow_label: first & 0xf_ffff,
            next_header,
            hop_limit,
            source: Ipv6Addr::from(*source),
            destination: Ipv6Addr::from(*destination),
        };
        Ok((header, payload))
    }

    /// Writes the header of a packet that carries `payload_len` bytes to the front of `packet` and
    /// returns its length.
    ///
    /// # Errors
    /// [`WireError::NoRoom`] when `packet` is shorter than the header, [`WireError::Malformed`]
    /// when it would carry more than 65,535 bytes or the flow label has more than 20 bits.
    #[inline]
    pub fn emit(&self, packet: &mut [u8], payload_len: usize) -> Result<usize, WireError> {
        let header = front::<HEADER_LEN>(packet)?;
        let payload_len = u16::try_from(payload_len).map_err(|_| WireError::Malformed)?;
        if self.flow_label > 0xf_ffff {
            return Err(WireError::Malformed);
        }
        let first = (6 << 28) | (u32::from(self.traffic_class) << 20) | self.flow_label;
        let ([a, b, c, d], [e, f]) = (first.to_be_bytes(), payload_len.to_be_bytes());
        let (fixed, addresses) = header.split_at_mut(8);
        *front(fixed)? = [a, b, c, d, e, f, self.next_header, self.hop_limit];
        let (source, destination) = addresses.split_at_mut(16);
        *front(source)? = self.source.octets();
        *front(destination)? = self.destination.octets();
        Ok(HEADER_LEN)
    }
}

/// What is behind a packet's extension headers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Upper<'p> {
    /// A whole upper-layer packet.
    Whole {
        /// Its protocol.
        protocol: u8,
        /// Its bytes.
        payload: &'p [u8],
    },
    /// A part of one (section 4.5), and not all.
    Fragment,
    /// Nothing at all (section 4.7).
    Nothing,
}

/// Why a packet's extension headers cannot be passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Refusal {
    /// The packet is dropped in silence: it is malformed, or an option asks for that.
    Drop,
    /// The sender is told with ICMPv6's "parameter problem" (RFC 4443, section 3.4).
    Tell {
        /// The message's code: 0 for a wrong field, 1 for an unknown header, 2 for an unknown
        /// option.
        code: u8,
        /// Where in the packet the problem is, in bytes.
        pointer: u32,
        /// The message is sent even to a packet for a group of stations.
        even_to_groups: bool,
    },
}

/// Passes the extension headers at the front of `payload`, whose first one is `next_header`, as a
/// host does (section 4).
///
/// Hop-by-hop options are accepted in first place only; of routing headers those with no segment
/// left; of fragments those that are the whole packet (RFC 6946). Options are skipped or refused
/// as the two highest bits of their kind say (section 4.2).
///
/// # Errors
/// The packet is to be refused in the way that [`Refusal`] says.
#[inline]
pub fn pass_extensions(next_header: u8, payload: &[u8]) -> Result<Upper<'_>, Refusal> {
    match next_header {
        Ipv6::TCP | Ipv6::ICMP | Ipv6::UDP => Ok(Upper::Whole {
            protocol: next_header,
            payload,
        }),
        _ => pass_each(next_header, payload),
    }
}

#[inline(never)]
fn pass_each(first: u8, whole: &[u8]) -> Result<Upper<'_>, Refusal> {
    let mut kind = first;
    let mut payload = whole;
    // Where in the packet the number of the header at hand stands, and where it starts.
    let mut named_at = 6_usize;
    for place in 0..EXTENSIONS_MAX {
        let at = HEADER_LEN.saturating_add(whole.len().saturating_sub(payload.len()));
        match kind {
            NO_NEXT_HEADER => return Ok(Upper::Nothing),
            HOP_BY_HOP if place > 0 => return Err(tell(1, named_at)),
            HOP_BY_HOP | DESTINATION | ROUTING => {
                let (header, rest) = split_extension(payload).ok_or(Refusal::Drop)?;
                let [next, _, body @ ..] = header else {
                    return Err(Refusal::Drop);
                };
                match (kind, body) {
                    (ROUTING, [_, 0, ..]) => {}
                    // No type of routing that a host takes part in is left (section 4.4).
                    (ROUTING, _) => return Err(tell(0, at.saturating_add(2))),
                    _ => pass_options(body, at.saturating_add(2))?,
                }
                (kind, payload, named_at) = (*next, rest, at);
            }
            FRAGMENT => {
                let ([next, _, offset, more, ..], rest) =
                    split::<8>(payload).map_err(|_| Refusal::Drop)?;
                // All but the two reserved bits.
                if u16::from_be_bytes([*offset, *more]) & 0xfff9 != 0 {
                    return Ok(Upper::Fragment);
                }
                (kind, payload, named_at) = (*next, rest, at);
            }
            Ipv6::TCP | Ipv6::UDP | Ipv6::ICMP => {
                return Ok(Upper::Whole {
                    protocol: kind,
                    payload,
                });
            }
            _ => return Err(tell(1, named_at)),
        }
    }
    Err(Refusal::Drop)
}

/// Splits off an extension header with the usual length field: units of eight bytes behind the
/// first.
fn split_extension(payload: &[u8]) -> Option<(&[u8], &[u8])> {
    let len = usize::from(*payload.get(1)?)
        .saturating_add(1)
        .saturating_mul(8);
    payload.split_at_checked(len)
}

/// Passes the options in `body`, which starts at `at` in the packet.
fn pass_options(body: &[u8], at: usize) -> Result<(), Refusal> {
    let mut left = body;
    while let [kind, rest @ ..] = left {
        // Pad1 has no length (section 4.2).
        if *kind == 0 {
            left = rest;
            continue;
        }
        let len = usize::from(*rest.first().ok_or(Refusal::Drop)?).saturating_add(2);
        let pointer = at.saturating_add(body.len().saturating_sub(left.len()));
        // None but PadN is known here, and a device on the way may have used the others.
        match kind >> 6 {
            0 => {}
            1 => return Err(Refusal::Drop),
            action => {
                return Err(Refusal::Tell {
                    code: 2,
                    pointer: u32::try_from(pointer).unwrap_or(u32::MAX),
                    even_to_groups: action == 2,
                });
            }
        }
        left = left.get(len..).ok_or(Refusal::Drop)?;
    }
    Ok(())
}

/// Says that the sender is told of a problem at `pointer`.
fn tell(code: u8, pointer: usize) -> Refusal {
    Refusal::Tell {
        code,
        pointer: u32::try_from(pointer).unwrap_or(u32::MAX),
        even_to_groups: false,
    }
}
