//! ICMP (RFC 792) and ICMPv6 (RFC 4443): echo, and the errors that routers and hosts send.

use core::net::{IpAddr, SocketAddr};

use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::{self, Ipv6, Upper};
use crate::wire::{HAS_V6, WireError, checksum, front, split};

/// Bytes of the header of every message that is known here.
pub const HEADER_LEN: usize = 8;

/// A message, of either version.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Icmp<'p> {
    /// Asks for an answer with the same bytes.
    EchoRequest {
        /// Identifier and sequence number.
        mark: [u8; 4],
        /// What the answer repeats.
        data: &'p [u8],
    },
    /// Answers an echo request.
    EchoReply {
        /// Identifier and sequence number.
        mark: [u8; 4],
        /// What the request had.
        data: &'p [u8],
    },
    /// A packet of ours did not arrive.
    Unreachable {
        /// Why not.
        reason: Unreachable,
        /// The packet's beginning.
        packet: &'p [u8],
    },
    /// A packet of ours was larger than the next link takes (RFC 1191; RFC 8201).
    TooBig {
        /// The largest packet that fits, in bytes; 0 if an old router does not say.
        mtu: u32,
        /// The packet's beginning.
        packet: &'p [u8],
    },
    /// A packet of ours passed too many routers, or its fragments did not all come in time.
    TimeExceeded {
        /// The packet's beginning.
        packet: &'p [u8],
    },
    /// A packet of ours could not be understood.
    ParameterProblem {
        /// What was wrong (RFC 4443, section 3.4).
        code: u8,
        /// Where in it, in bytes.
        pointer: u32,
        /// The packet's beginning.
        packet: &'p [u8],
    },
    /// Anything else: neighbour discovery, router messages, and what is not known here.
    Other {
        /// The message's type.
        kind: u8,
    },
}

/// Why a packet did not arrive.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Unreachable {
    /// No way to the network or host, for now: a soft error (RFC 1122, section 4.2.3.9).
    Route,
    /// The host has no such protocol: a hard error.
    Protocol,
    /// Nobody listens at the port: a hard error.
    Port,
    /// A firewall or an administrator forbids it: soft here, since anyone on the path may say it
    /// (RFC 5461, section 2).
    Prohibited,
}

impl<'p> Icmp<'p> {
    /// Reads a message of IPv4's ICMP and verifies its checksum.
    ///
    /// # Errors
    /// [`WireError::Truncated`] when it is cut short, [`WireError::Checksum`] when its checksum is
    /// wrong.
    pub fn parse_v4(message: &'p [u8]) -> Result<Self, WireError> {
        let ([kind, code, _, _, a, b, c, d], body) = split::<HEADER_LEN>(message)?;
        if !checksum::is_right_plain(message) {
            return Err(WireError::Checksum);
        }
        let mark = [*a, *b, *c, *d];
        Ok(match (*kind, *code) {
            (8, 0) => Self::EchoRequest { mark, data: body },
            (0, 0) => Self::EchoReply { mark, data: body },
            (3, 4) => Self::TooBig {
                mtu: u32::from(u16::from_be_bytes([*c, *d])),
                packet: body,
            },
            (3, code) => Self::Unreachable {
                reason: match code {
                    2 => Unreachable::Protocol,
                    3 => Unreachable::Port,
                    9 | 10 | 13 => Unreachable::Prohibited,
                    _ => Unreachable::Route,
                },
                packet: body,
            },
            (11, _) => Self::TimeExceeded { packet: body },
            (12, code) => Self::ParameterProblem {
                code,
                pointer: u32::from(*a),
                packet: body,
            },
            (kind, _) => Self::Other { kind },
        })
    }

    /// Reads a message of ICMPv6 between the two ends and verifies its checksum.
    ///
    /// # Errors
    /// As [`Self::parse_v4`].
    pub fn parse_v6(header: &Ipv6, message: &'p [u8]) -> Result<Self, WireError> {
        let ([kind, code, _, _, a, b, c, d], body) = split::<HEADER_LEN>(message)?;
        let addresses = checksum::addresses_v6(header.source, header.destination);
        if !checksum::is_right_transport(addresses, Ipv6::ICMP, message) {
            return Err(WireError::Checksum);
        }
        let mark = [*a, *b, *c, *d];
        Ok(match (*kind, *code) {
            (128, 0) => Self::EchoRequest { mark, data: body },
            (129, 0) => Self::EchoReply { mark, data: body },
            (1, code) => Self::Unreachable {
                reason: match code {
                    1 | 5 | 6 => Unreachable::Prohibited,
                    4 => Unreachable::Port,
                    _ => Unreachable::Route,
                },
                packet: body,
            },
            (2, _) => Self::TooBig {
                mtu: u32::from_be_bytes(mark),
                packet: body,
            },
            (3, _) => Self::TimeExceeded { packet: body },
            (4, code) => Self::ParameterProblem {
                code,
                pointer: u32::from_be_bytes(mark),
                packet: body,
            },
            (kind, _) => Self::Other { kind },
        })
    }

    /// Returns type, code, the second word of the header, and what follows; `None` for
    /// [`Self::Other`]. Of IPv4's ICMP or ICMPv6.
    fn parts(&self, v6: bool) -> Option<(u8, u8, [u8; 4], &'p [u8])> {
        let either = |four: u8, six: u8| if v6 { six } else { four };
        Some(match *self {
            Self::EchoRequest { mark, data } => (either(8, 128), 0, mark, data),
            Self::EchoReply { mark, data } => (either(0, 129), 0, mark, data),
            Self::Unreachable { reason, packet } => {
                let code = match reason {
                    Unreachable::Route => 0,
                    Unreachable::Protocol => either(2, 0),
                    Unreachable::Port => either(3, 4),
                    Unreachable::Prohibited => either(13, 1),
                };
                (either(3, 1), code, [0; 4], packet)
            }
            Self::TooBig { mtu, packet } if v6 => (2, 0, mtu.to_be_bytes(), packet),
            Self::TooBig { mtu, packet } => {
                let [c, d] = u16::try_from(mtu).unwrap_or(u16::MAX).to_be_bytes();
                (3, 4, [0, 0, c, d], packet)
            }
            Self::TimeExceeded { packet } => (either(11, 3), 0, [0; 4], packet),
            Self::ParameterProblem {
                code,
                pointer,
                packet,
            } => {
                let v4 = [u8::try_from(pointer).unwrap_or(u8::MAX), 0, 0, 0];
                let pointer = if v6 { pointer.to_be_bytes() } else { v4 };
                (either(12, 4), code, pointer, packet)
            }
            Self::Other { .. } => return None,
        })
    }

    /// Writes the message as IPv4's ICMP to the front of `message`, with its checksum, and returns
    /// its length.
    ///
    /// # Errors
    /// [`WireError::NoRoom`] when `message` is too short for it, [`WireError::Malformed`] for
    /// [`Self::Other`], which has no body here.
    pub fn emit_v4(&self, message: &mut [u8]) -> Result<usize, WireError> {
        let message = self.emit(false, message)?;
        let sum = checksum::finish(checksum::add(0, message));
        checksum::put_at(message, 2, sum);
        Ok(message.len())
    }

    /// Writes the message as ICMPv6 between the ends of `header` to the front of `message`, with
    /// its checksum, and returns its length.
    ///
    /// # Errors
    /// As [`Self::emit_v4`].
    pub fn emit_v6(&self, header: &Ipv6, message: &mut [u8]) -> Result<usize, WireError> {
        let message = self.emit(true, message)?;
        let addresses = checksum::addresses_v6(header.source, header.destination);
        checksum::fill_transport(addresses, Ipv6::ICMP, message, 2);
        Ok(message.len())
    }

    fn emit<'m>(&self, v6: bool, message: &'m mut [u8]) -> Result<&'m mut [u8], WireError> {
        let (kind, code, [a, b, c, d], body) = self.parts(v6).ok_or(WireError::Malformed)?;
        let len = HEADER_LEN.saturating_add(body.len());
        let message = message.get_mut(..len).ok_or(WireError::NoRoom)?;
        *front(message)? = [kind, code, 0, 0, a, b, c, d];
        let room = message.get_mut(HEADER_LEN..).unwrap_or_default();
        if let Some(place) = room.get_mut(..body.len()) {
            place.copy_from_slice(body);
        }
        Ok(message)
    }
}

/// A TCP segment of ours that an error quotes: enough to find its connection, and to tell whether
/// it was sent at all.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_structs,
    reason = "an error promises no more than this"
)]
pub struct Quoted {
    /// Our end: where the segment came from.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
    /// SEG.SEQ of the segment.
    pub seq: u32,
}

impl Quoted {
    /// Reads the beginning of a packet that an error quotes; `None` unless it is a TCP segment's
    /// with at least eight bytes of TCP (RFC 792 promises no more). Only a first fragment has them.
    #[must_use]
    pub fn parse(packet: &[u8]) -> Option<Self> {
        let (local, remote, rest) = quoted_ends(packet, Ipv4::TCP)?;
        let seq = u32::from_be_bytes(*rest);
        Some(Self { local, remote, seq })
    }

    /// Reads the beginning of a packet that an error quotes; returns our end and the other, or
    /// `None` unless it is a UDP datagram's with its whole header.
    #[must_use]
    pub fn parse_udp(packet: &[u8]) -> Option<(SocketAddr, SocketAddr)> {
        let (local, remote, _) = quoted_ends(packet, Ipv4::UDP)?;
        Some((local, remote))
    }
}

/// Reads both ends of a quoted packet of a protocol whose header begins with its ports, and the
/// four bytes behind them.
#[inline(always)]
fn quoted_ends(packet: &[u8], wanted: u8) -> Option<(SocketAddr, SocketAddr, &[u8; 4])> {
    let (source, destination, segment): (IpAddr, IpAddr, &[u8]) = match packet.first()? >> 4 {
        4 => {
            // Routers change the header, and quote less than it says there is.
            let header = packet.first_chunk::<20>()?;
            let [first, _, _, _, _, _, f0, f1, _, protocol, ..] = *header;
            let [.., s0, s1, s2, s3, d0, d1, d2, d3] = *header;
            let offset = u16::from_be_bytes([f0, f1]) & 0x1fff;
            let header_len = usize::from(first & 15).saturating_mul(4).max(20);
            if protocol != wanted || offset != 0 {
                return None;
            }
            let (source, destination) = ([s0, s1, s2, s3], [d0, d1, d2, d3]);
            let segment = packet.get(header_len..)?;
            (source.into(), destination.into(), segment)
        }
        6 if HAS_V6 => {
            let (header, rest) = packet.split_first_chunk::<{ ipv6::HEADER_LEN }>()?;
            let (source, destination) = header.get(8..)?.split_first_chunk::<16>()?;
            let destination = destination.first_chunk::<16>()?;
            let next = *header.get(6)?;
            let Ok(Upper::Whole { protocol, payload }) = ipv6::pass_extensions(next, rest) else {
                return None;
            };
            if protocol != wanted {
                return None;
            }
            ((*source).into(), (*destination).into(), payload)
        }
        _ => return None,
    };
    let ([s0, s1, d0, d1], rest) = segment.split_first_chunk::<4>()?;
    let local = SocketAddr::new(source, u16::from_be_bytes([*s0, *s1]));
    let remote = SocketAddr::new(destination, u16::from_be_bytes([*d0, *d1]));
    Some((local, remote, rest.first_chunk::<4>()?))
}
