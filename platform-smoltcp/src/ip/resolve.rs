//! ARP (RFC 826) and neighbour discovery (RFC 4861): what a message says to us, and our own.

use core::net::{IpAddr, Ipv6Addr};

use crate::wire::arp::{self, Arp, Operation};
use crate::wire::ethernet::{BROADCAST, Ethernet, HEADER_LEN, Mac, is_unicast};
use crate::wire::ipv6::{self, Ipv6};
use crate::wire::ndp::{self, Ndp};
use crate::wire::{HAS_V6, WireError};

/// Bytes of the largest frame this module writes.
pub(crate) const MESSAGE_MAX: usize = HEADER_LEN + ipv6::HEADER_LEN + ndp::MESSAGE_LEN;

/// What a neighbour said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Heard {
    /// Who spoke, and where it is.
    pub(crate) from: Option<(IpAddr, Mac)>,
    /// The address asked for, with the one the answer goes to.
    pub(crate) asks: Option<(IpAddr, IpAddr)>,
    /// The address that who spoke has or probes for, and where that is, as far as it is said.
    #[cfg(any(feature = "dad", feature = "datagrams"))]
    pub(crate) claims: Option<(IpAddr, Option<Mac>)>,
}

/// Reads an ARP packet for Ethernet and IPv4; `None` when it is none or broken.
pub(crate) fn read_arp(packet: &[u8]) -> Option<Heard> {
    let arp = Arp::parse(packet).ok()?;
    let (mac, ip) = (arp.sender_mac, arp.sender_ip);
    let sound = is_unicast(mac) && !ip.is_unspecified();
    let asks = match arp.operation {
        Operation::Request => Some((arp.target_ip.into(), ip.into())),
        Operation::Reply => None,
    };
    Some(Heard {
        from: sound.then_some((IpAddr::V4(ip), mac)),
        asks,
        #[cfg(any(feature = "dad", feature = "datagrams"))]
        claims: match asks {
            // A probe like ours (RFC 5227, section 2.1.1).
            Some((target, _)) if ip.is_unspecified() => Some((target, Some(mac))),
            None if ip.is_unspecified() => None,
            _ => Some((ip.into(), Some(mac))),
        },
    })
}

/// Reads a neighbour solicitation or advertisement out of an ICMPv6 message; `None` when it is
/// another message, broken, or from beyond the link.
pub(crate) fn read_icmpv6(header: &Ipv6, message: &[u8]) -> Option<Heard> {
    let of = |who: Ipv6Addr, mac: Option<Mac>| {
        mac.filter(|_| !who.is_unspecified())
            .map(|mac| (IpAddr::V6(who), mac))
    };
    match Ndp::parse(header, message).ok()?? {
        Ndp::Solicitation { target, source_mac } => Some(Heard {
            from: of(header.source, source_mac),
            asks: Some((target.into(), header.source.into())),
            // A probe like ours (RFC 4862, section 5.4.3).
            #[cfg(any(feature = "dad", feature = "datagrams"))]
            claims: match header.source {
                Ipv6Addr::UNSPECIFIED => Some((target.into(), None)),
                source => Some((source.into(), source_mac)),
            },
        }),
        Ndp::Advertisement {
            target, target_mac, ..
        } => Some(Heard {
            from: of(target, target_mac),
            asks: None,
            #[cfg(any(feature = "dad", feature = "datagrams"))]
            claims: Some((target.into(), target_mac)),
        }),
    }
}

/// Writes the question who has `target`; returns the frame's length, 0 when it does not fit.
pub(crate) fn ask(frame: &mut [u8], mac: Mac, own: IpAddr, target: IpAddr) -> usize {
    let written = match (own, target) {
        (IpAddr::V4(own), IpAddr::V4(target)) => {
            write_arp(frame, BROADCAST, &Arp::request((mac, own), target))
        }
        (IpAddr::V6(own), IpAddr::V6(target)) if HAS_V6 => {
            let group = ndp::solicited_node(target);
            let message = Ndp::Solicitation {
                target,
                source_mac: Some(mac),
            };
            write_ndp(frame, (mac, own), (ndp::group_mac(group), group), &message)
        }
        _ => return 0,
    };
    written.unwrap_or(0)
}

/// Writes the answer that `own` is at `mac`, to a question from `asker` that came from `to`;
/// returns the frame's length, 0 when it does not fit.
pub(crate) fn answer(frame: &mut [u8], mac: Mac, own: IpAddr, (to, asker): (Mac, IpAddr)) -> usize {
    let written = match (own, asker) {
        (IpAddr::V4(own), IpAddr::V4(asker)) => {
            let reply = Arp {
                operation: Operation::Reply,
                sender_mac: mac,
                sender_ip: own,
                target_mac: to,
                target_ip: asker,
            };
            write_arp(frame, to, &reply)
        }
        (IpAddr::V6(own), IpAddr::V6(asker)) if HAS_V6 => {
            // Duplicate address detection (RFC 4861, section 7.2.4): tell everybody.
            let asker = (!asker.is_unspecified()).then_some((to, asker));
            write_advertisement(frame, mac, own, asker)
        }
        _ => return 0,
    };
    written.unwrap_or(0)
}

/// Writes the question whether anybody has `target`, from a station that has no address itself (RFC
/// 5227, section 2.1.1; RFC 4862, section 5.4.2). Returns the frame's length, 0 when it does not
/// fit.
#[cfg(any(feature = "dad", feature = "datagrams"))]
pub(crate) fn probe(frame: &mut [u8], mac: Mac, target: IpAddr) -> usize {
    let written = match target {
        IpAddr::V4(target) => {
            let nobody = core::net::Ipv4Addr::UNSPECIFIED;
            write_arp(frame, BROADCAST, &Arp::request((mac, nobody), target))
        }
        IpAddr::V6(_) if !HAS_V6 => return 0,
        IpAddr::V6(target) => {
            let group = ndp::solicited_node(target);
            let to = (ndp::group_mac(group), group);
            let message = Ndp::Solicitation {
                target,
                source_mac: None,
            };
            write_ndp(frame, (mac, Ipv6Addr::UNSPECIFIED), to, &message)
        }
    };
    written.unwrap_or(0)
}

/// Writes what tells the whole link that `own` is at `mac`: a gratuitous ARP request (RFC 5227,
/// section 2.3) or an unsolicited neighbour advertisement (RFC 4861, section 7.2.6). Returns the
/// frame's length, 0 when it does not fit.
pub(crate) fn announce(frame: &mut [u8], mac: Mac, own: IpAddr) -> usize {
    let written = match own {
        IpAddr::V4(own) => write_arp(frame, BROADCAST, &Arp::request((mac, own), own)),
        IpAddr::V6(own) if HAS_V6 => write_advertisement(frame, mac, own, None),
        IpAddr::V6(_) => return 0,
    };
    written.unwrap_or(0)
}

/// Writes the advertisement that `own` is at `mac`, for who asked or for all.
fn write_advertisement(
    frame: &mut [u8],
    mac: Mac,
    own: Ipv6Addr,
    asker: Option<(Mac, Ipv6Addr)>,
) -> Result<usize, WireError> {
    let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
    let message = Ndp::Advertisement {
        target: own,
        target_mac: Some(mac),
        solicited: asker.is_some(),
        overriding: true,
        router: false,
    };
    let to = asker.unwrap_or((ndp::group_mac(all), all));
    write_ndp(frame, (mac, own), to, &message)
}

fn write_arp(frame: &mut [u8], to: Mac, message: &Arp) -> Result<usize, WireError> {
    let header = Ethernet::new(to, message.sender_mac, Ethernet::ARP);
    let at = header.emit(frame)?;
    message.emit(frame.get_mut(at..).unwrap_or_default())?;
    Ok(at.saturating_add(arp::MESSAGE_LEN))
}

fn write_ndp(
    frame: &mut [u8],
    (mac, own): (Mac, Ipv6Addr),
    (to_mac, to): (Mac, Ipv6Addr),
    message: &Ndp,
) -> Result<usize, WireError> {
    let at = Ethernet::new(to_mac, mac, Ethernet::IPV6).emit(frame)?;
    let mut header = Ipv6::new(own, to, Ipv6::ICMP);
    header.hop_limit = ndp::HOP_LIMIT;
    let packet = frame.get_mut(at..).unwrap_or_default();
    let header_len = header.emit(packet, message.message_len())?;
    let body = packet.get_mut(header_len..).unwrap_or_default();
    let len = message.emit(&header, body)?;
    Ok(at.saturating_add(header_len).saturating_add(len))
}

/// Returns the link-layer kind of an IP packet.
#[inline]
pub(crate) const fn kind_of(ip: IpAddr) -> u16 {
    match ip {
        IpAddr::V4(_) => Ethernet::IPV4,
        IpAddr::V6(_) => Ethernet::IPV6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const US: Mac = [2, 0, 0, 0, 0, 1];
    const THEM: Mac = [2, 0, 0, 0, 0, 2];

    #[test]
    fn arp_round_trip() {
        let (own, peer) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut frame = [0; MESSAGE_MAX];
        let len = ask(&mut frame, US, own, peer);
        let (header, packet) = Ethernet::parse(&frame[..len]).unwrap();
        assert_eq!(
            (header.destination, header.ethertype),
            (BROADCAST, Ethernet::ARP)
        );
        let heard = read_arp(packet).unwrap();
        assert_eq!(heard.from, Some((own, US)));
        assert_eq!(heard.asks, Some((peer, own)));
        let len = answer(&mut frame, THEM, peer, (US, own));
        let (header, packet) = Ethernet::parse(&frame[..len]).unwrap();
        assert_eq!(header.destination, US);
        let heard = read_arp(packet).unwrap();
        assert_eq!((heard.from, heard.asks), (Some((peer, THEM)), None));
        assert_eq!(read_arp(&packet[..20]), None);
    }

    #[cfg(feature = "ipv6")]
    #[test]
    fn neighbour_discovery_round_trip() {
        let own: IpAddr = "fd00::1".parse().unwrap();
        let peer: IpAddr = "fd00::2:3456".parse().unwrap();
        let mut frame = [0; MESSAGE_MAX];
        let heard = |frame: &[u8]| {
            let (_, packet) = Ethernet::parse(frame).unwrap();
            let (header, message) = Ipv6::parse(packet).unwrap();
            read_icmpv6(&header, message)
        };
        let len = ask(&mut frame, US, own, peer);
        assert_eq!(frame[..6], [0x33, 0x33, 0xff, 2, 0x34, 0x56]);
        let said = heard(&frame[..len]).unwrap();
        assert_eq!(said.from, Some((own, US)));
        assert_eq!(said.asks, Some((peer, own)));
        let len = answer(&mut frame, THEM, peer, (US, own));
        let said = heard(&frame[..len]).unwrap();
        assert_eq!((said.from, said.asks), (Some((peer, THEM)), None));
        frame[70] ^= 1;
        assert_eq!(heard(&frame[..len]), None, "wrong checksum");
        frame[70] ^= 1;
        frame[21] = 64;
        assert_eq!(heard(&frame[..len]), None, "from beyond the link");
    }

    #[test]
    fn announcements_say_where_we_are() {
        let mut frame = [0; MESSAGE_MAX];
        let own = IpAddr::from([10, 0, 0, 1]);
        let len = announce(&mut frame, US, own);
        let (header, packet) = Ethernet::parse(&frame[..len]).unwrap();
        assert_eq!(header.destination, BROADCAST);
        let heard = read_arp(packet).unwrap();
        assert_eq!(heard.from, Some((own, US)));
        assert_eq!(heard.asks, Some((own, own)));
    }

    #[cfg(feature = "ipv6")]
    #[test]
    fn advertisements_say_where_we_are() {
        let mut frame = [0; MESSAGE_MAX];
        let own: IpAddr = "fd00::1".parse().unwrap();
        let len = announce(&mut frame, US, own);
        let (header, packet) = Ethernet::parse(&frame[..len]).unwrap();
        assert_eq!(header.destination, [0x33, 0x33, 0, 0, 0, 1]);
        let (header, message) = Ipv6::parse(packet).unwrap();
        let heard = read_icmpv6(&header, message).unwrap();
        assert_eq!((heard.from, heard.asks), (Some((own, US)), None));
    }
}
