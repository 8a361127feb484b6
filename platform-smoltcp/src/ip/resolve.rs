//! ARP (RFC 826) and neighbour discovery (RFC 4861): reading and writing the messages.

use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::number::{be32, put};
use crate::smoltcp::frame::{ARP, ETHERNET_LEN, Ethernet, IPV6};
use crate::wire::checksum;

/// Bytes of the largest frame this module writes.
pub(crate) const MESSAGE_MAX: usize = ETHERNET_LEN + 40 + 32;
const ARP_LEN: usize = 28;
const ICMPV6: u8 = 58;
const SOLICIT: u8 = 135;
const ADVERTISE: u8 = 136;
const EVERYBODY: [u8; 6] = [0xff; 6];

/// What a neighbour said.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Heard {
    /// Who spoke, and where it is.
    pub(crate) from: Option<(IpAddr, [u8; 6])>,
    /// The address asked for, with the one the answer goes to.
    pub(crate) asks: Option<(IpAddr, IpAddr)>,
}

/// Reads an ARP packet for Ethernet and IPv4; `None` when it is none or broken.
pub(crate) fn read_arp(packet: &[u8]) -> Option<Heard> {
    let fixed = [0, 1, 8, 0, 6, 4, 0];
    if packet.get(..7)? != fixed {
        return None;
    }
    let mac = *packet.get(8..)?.first_chunk::<6>()?;
    let ip = Ipv4Addr::from_bits(be32(packet, 14)?);
    let target = Ipv4Addr::from_bits(be32(packet, 24)?);
    let real = Ethernet::is_unicast(mac) && !ip.is_unspecified();
    let from = real.then_some((IpAddr::V4(ip), mac));
    match *packet.get(7)? {
        1 => Some(Heard {
            from,
            asks: Some((target.into(), ip.into())),
        }),
        2 => Some(Heard { from, asks: None }),
        _ => None,
    }
}

/// Reads a neighbour solicitation or advertisement, already known to be ICMPv6; `None` when it is
/// another message, broken, or from beyond the link (RFC 4861, sections 7.1.1 and 7.1.2).
pub(crate) fn read_icmpv6(
    packet: &[u8],
    from: Ipv6Addr,
    limit: u8,
    message: &[u8],
) -> Option<Heard> {
    let kind = *message.first()?;
    if limit != 255 || !matches!(kind, SOLICIT | ADVERTISE) || *message.get(1)? != 0 {
        return None;
    }
    let to = Ipv6Addr::from(*packet.get(24..)?.first_chunk::<16>()?);
    let sum = checksum::pseudo(from.into(), to.into(), ICMPV6, message.len());
    if checksum::finish(checksum::add(sum, message)) != 0 {
        return None;
    }
    let target = Ipv6Addr::from(*message.get(8..)?.first_chunk::<16>()?);
    if target.is_multicast() {
        return None;
    }
    // The source's address for a solicitation, the target's for an advertisement.
    let wanted = if kind == SOLICIT { 1 } else { 2 };
    let mac = link_option(message.get(24..)?, wanted);
    let who = if kind == SOLICIT { from } else { target };
    Some(Heard {
        from: mac
            .filter(|_| !who.is_unspecified())
            .map(|mac| (who.into(), mac)),
        asks: (kind == SOLICIT).then_some((target.into(), from.into())),
    })
}

/// Finds the link-layer address among the options (RFC 4861, section 4.6).
fn link_option(mut options: &[u8], wanted: u8) -> Option<[u8; 6]> {
    loop {
        let len = usize::from(*options.get(1)?).saturating_mul(8);
        let option = options.get(..len).filter(|option| !option.is_empty())?;
        if option.first() == Some(&wanted) && len == 8 {
            let mac = *option.get(2..)?.first_chunk()?;
            return Ethernet::is_unicast(mac).then_some(mac);
        }
        options = options.get(len..)?;
    }
}

/// Writes the question who has `target`; returns the frame's length, 0 when it does not fit.
pub(crate) fn ask(frame: &mut [u8], mac: [u8; 6], own: IpAddr, target: IpAddr) -> usize {
    match (own, target) {
        (IpAddr::V4(own), IpAddr::V4(target)) => {
            write_arp(frame, 1, (mac, own), (EVERYBODY, [0; 6], target))
        }
        (IpAddr::V6(own), IpAddr::V6(target)) => {
            let [.., a, b, c] = target.octets();
            let group = Ipv6Addr::new(
                0xff02,
                0,
                0,
                0,
                0,
                1,
                u16::from_be_bytes([0xff, a]),
                u16::from_be_bytes([b, c]),
            );
            let to = ([0x33, 0x33, 0xff, a, b, c], group);
            write_ndp(frame, (SOLICIT, 0, 1), (mac, own), to, target)
        }
        _ => 0,
    }
}

/// Writes the answer that `own` is at `mac`, to a question from `asker` that came from `to`;
/// returns the frame's length, 0 when it does not fit.
pub(crate) fn answer(
    frame: &mut [u8],
    mac: [u8; 6],
    own: IpAddr,
    (to, asker): ([u8; 6], IpAddr),
) -> usize {
    match (own, asker) {
        (IpAddr::V4(own), IpAddr::V4(asker)) => write_arp(frame, 2, (mac, own), (to, to, asker)),
        (IpAddr::V6(own), IpAddr::V6(asker)) if asker.is_unspecified() => {
            // Duplicate address detection (RFC 4861, section 7.2.4): tell everybody.
            let all = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
            let to = ([0x33, 0x33, 0, 0, 0, 1], all);
            write_ndp(frame, (ADVERTISE, 0x20, 2), (mac, own), to, own)
        }
        (IpAddr::V6(own), IpAddr::V6(asker)) => {
            write_ndp(frame, (ADVERTISE, 0x60, 2), (mac, own), (to, asker), own)
        }
        _ => 0,
    }
}

fn write_arp(
    frame: &mut [u8],
    operation: u8,
    (mac, own): ([u8; 6], Ipv4Addr),
    (to, whose, target): ([u8; 6], [u8; 6], Ipv4Addr),
) -> usize {
    let header = Ethernet {
        to,
        from: mac,
        kind: ARP,
    };
    let fits = put(frame, 0, header.bytes())
        && put(frame, 14, [0, 1, 8, 0, 6, 4, 0, operation])
        && put(frame, 22, mac)
        && put(frame, 28, own.octets())
        && put(frame, 32, whose)
        && put(frame, 38, target.octets());
    if fits { ETHERNET_LEN + ARP_LEN } else { 0 }
}

fn write_ndp(
    frame: &mut [u8],
    (kind, flags, option): (u8, u8, u8),
    (mac, own): ([u8; 6], Ipv6Addr),
    (to_mac, to): ([u8; 6], Ipv6Addr),
    target: Ipv6Addr,
) -> usize {
    let header = Ethernet {
        to: to_mac,
        from: mac,
        kind: IPV6,
    };
    let fits = put(frame, 0, header.bytes())
        && put(frame, 14, [0x60, 0, 0, 0, 0, 32, ICMPV6, 255])
        && put(frame, 22, own.octets())
        && put(frame, 38, to.octets())
        && put(frame, 54, [kind, 0, 0, 0, flags, 0, 0, 0])
        && put(frame, 62, target.octets())
        && put(frame, 78, [option, 1])
        && put(frame, 80, mac);
    let Some(message) = frame.get(54..MESSAGE_MAX).filter(|_| fits) else {
        return 0;
    };
    let sum = checksum::pseudo(own.into(), to.into(), ICMPV6, message.len());
    let sum = checksum::finish(checksum::add(sum, message));
    put(frame, 56, sum.to_be_bytes());
    MESSAGE_MAX
}

/// Returns the link-layer kind of an IP packet.
pub(crate) const fn kind_of(ip: IpAddr) -> u16 {
    match ip {
        IpAddr::V4(_) => crate::smoltcp::frame::IPV4,
        IpAddr::V6(_) => IPV6,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::smoltcp::frame::{Packet, look};

    const US: [u8; 6] = [2, 0, 0, 0, 0, 1];
    const THEM: [u8; 6] = [2, 0, 0, 0, 0, 2];

    #[test]
    fn arp_round_trip() {
        let (own, peer) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let mut frame = [0; MESSAGE_MAX];
        let len = ask(&mut frame, US, own, peer);
        let (header, packet) = Ethernet::split(&frame[..len]).unwrap();
        assert_eq!((header.to, header.kind), (EVERYBODY, ARP));
        let heard = read_arp(packet).unwrap();
        assert_eq!(heard.from, Some((own, US)));
        assert_eq!(heard.asks, Some((peer, own)));
        let len = answer(&mut frame, THEM, peer, (US, own));
        let (header, packet) = Ethernet::split(&frame[..len]).unwrap();
        assert_eq!(header.to, US);
        let heard = read_arp(packet).unwrap();
        assert_eq!((heard.from, heard.asks), (Some((peer, THEM)), None));
        assert_eq!(read_arp(&packet[..20]), None);
    }

    #[test]
    fn neighbour_discovery_round_trip() {
        let own: IpAddr = "fd00::1".parse().unwrap();
        let peer: IpAddr = "fd00::2:3456".parse().unwrap();
        let mut frame = [0; MESSAGE_MAX];
        let heard = |frame: &[u8]| {
            let (_, packet) = Ethernet::split(frame).unwrap();
            let Some(Packet::Icmpv6 {
                from,
                hop_limit,
                message,
            }) = look(packet)
            else {
                panic!("not ICMPv6");
            };
            read_icmpv6(packet, from, hop_limit, message)
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
        assert_eq!(crate::number::be16(&frame, 12), Some(IPV6));
    }
}
