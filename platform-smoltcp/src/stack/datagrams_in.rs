//! Datagrams that come, and ICMP's errors about those that went.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use usockets::Error;

use crate::stack::input::Arrival;
use crate::stack::shell::Shell;
use crate::udp::queue::Head;
use crate::udp::sockets::Delivered;
use crate::wire::checksum;
use crate::wire::icmp::{Icmp, Quoted, Unreachable};
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::Ipv6;
use crate::wire::udp::Udp;

impl Shell<'_> {
    /// Takes a datagram in that came over IPv4, and returns the bytes of the frame that answers it.
    #[inline(never)]
    pub(super) fn datagram_v4(
        &mut self,
        header: &Ipv4,
        bytes: &[u8],
        arrival: &Arrival<'_>,
    ) -> usize {
        let ends = (header.destination.into(), header.source.into());
        let marks = (header.traffic_class & 3, header.hop_limit);
        match self.take_datagram(ends, marks, bytes, arrival) {
            Some(Delivered::Nobody) => self.refuse_v4(header, Ipv4::UDP, arrival),
            _ => 0,
        }
    }

    /// The same over IPv6.
    #[inline(never)]
    pub(super) fn datagram_v6(
        &mut self,
        header: &Ipv6,
        bytes: &[u8],
        arrival: &Arrival<'_>,
    ) -> usize {
        let ends = (header.destination.into(), header.source.into());
        let marks = (header.traffic_class & 3, header.hop_limit);
        match self.take_datagram(ends, marks, bytes, arrival) {
            Some(Delivered::Nobody) => self.refuse_v6(header, Ipv6::UDP, arrival),
            _ => 0,
        }
    }

    /// Gives a datagram to its socket. `None` if there is nothing to answer: it is none, it is not
    /// for an address of ours alone, or another queue has it.
    fn take_datagram(
        &mut self,
        (local, remote): (IpAddr, IpAddr),
        (ecn, hops): (u8, u8),
        bytes: &[u8],
        arrival: &Arrival<'_>,
    ) -> Option<Delivered> {
        let Ok((udp, payload)) = Udp::parse(bytes) else {
            self.count_malformed();
            return None;
        };
        if !is_right(&udp, (local, remote), bytes, payload, arrival.verified) {
            self.count_malformed();
            return None;
        }
        let group = local.is_multicast();
        let all = self.routes.is_broadcast(local);
        // A station that has no address yet sends from none (RFC 1122, section 3.2.1.3).
        let unborn = all && remote == IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        if !self.routes.is_peer(remote) && !unborn {
            self.counters.impossible = self.counters.impossible.wrapping_add(1);
            return None;
        }
        let ours = group || all || (self.routes.is_own(local) && !arrival.group);
        if !ours {
            return None;
        }
        let head = Head {
            remote: SocketAddr::new(remote, udp.source_port),
            local,
            len: 0,
            ecn,
            hops,
            gone: false,
        };
        let delivered = self.deliver_datagram(udp.destination_port, head, payload);
        #[cfg(all(feature = "queues", target_has_atomic = "32"))]
        {
            let local = SocketAddr::new(local, udp.destination_port);
            let verified = Arrival {
                verified: true,
                ..*arrival
            };
            if group || all {
                self.hand_to_group(local.port(), &verified);
            } else if delivered == Delivered::Nobody
                && self.hand_datagram_over(head.remote, local, &verified)
            {
                return None;
            }
        }
        (!group && !all).then_some(delivered)
    }

    /// Gives a datagram for a port to the socket that takes it.
    pub(super) fn deliver_datagram(&mut self, port: u16, head: Head, bytes: &[u8]) -> Delivered {
        let Some(index) = self.datagrams.find(head.local, port) else {
            return Delivered::Nobody;
        };
        let group = head.local.is_multicast();
        let takes = self.datagrams.get(index).is_some_and(|slot| {
            let joined = !group || slot.wants(head.local, head.remote.ip());
            joined && slot.takes_from(head.remote)
        });
        if !takes {
            return Delivered::Nobody;
        }
        let delivered = self.datagrams.deliver(index, head, [bytes, &[]]);
        if delivered == Delivered::Dropped {
            self.counters.datagrams_dropped = self.counters.datagrams_dropped.wrapping_add(1);
        }
        delivered
    }

    /// Finds the socket that sends from `local` to `remote`.
    pub(super) fn sender_of(&mut self, local: SocketAddr, remote: SocketAddr) -> Option<u32> {
        let index = self.datagrams.find(local.ip(), local.port())?;
        let slot = self.datagrams.get(index)?;
        slot.takes_from(remote).then_some(index)
    }

    /// Tells a socket what ICMP says of a datagram of its, whose beginning is `packet`.
    #[inline(never)]
    pub(super) fn on_datagram_error(&mut self, message: &Icmp<'_>, packet: &[u8]) {
        let Some((local, remote)) = Quoted::parse_udp(packet) else {
            return;
        };
        if !self.routes.is_own(local.ip()) {
            return;
        }
        let Some(index) = self.sender_of(local, remote) else {
            return;
        };
        let (error, mtu) = match message {
            Icmp::Unreachable {
                reason: Unreachable::Port | Unreachable::Protocol,
                ..
            } => (Error::Refused, 0),
            Icmp::TooBig { mtu, .. } => (Error::Invalid, *mtu),
            _ => (Error::Unreachable, 0),
        };
        self.datagrams.push_error(index, remote, error, mtu);
    }
}

/// Returns true if a datagram's checksum is right; the device may have `verified` it. Over IPv4
/// there may be none (RFC 768), over IPv6 there is (RFC 8200, section 8.1).
fn is_right(
    udp: &Udp,
    (local, remote): (IpAddr, IpAddr),
    bytes: &[u8],
    payload: &[u8],
    verified: bool,
) -> bool {
    if udp.checksum == 0 {
        return local.is_ipv4();
    }
    if verified {
        return true;
    }
    let len = payload.len().saturating_add(crate::wire::udp::HEADER_LEN);
    let datagram = bytes.get(..len).unwrap_or_default();
    checksum::is_right_transport(checksum::addresses(remote, local), Ipv4::UDP, datagram)
}

#[cfg(test)]
mod tests {
    use core::net::Ipv6Addr;

    use super::*;

    #[test]
    fn a_datagram_without_a_checksum_is_right_over_ipv4_only() {
        let bytes = [0, 7, 0, 9, 0, 8, 0, 0];
        let (udp, payload) = Udp::parse(&bytes).expect("a datagram of no bytes");
        let v4 = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let v6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
        for verified in [false, true] {
            assert!(is_right(&udp, (v4, v4), &bytes, payload, verified));
            assert!(!is_right(&udp, (v6, v6), &bytes, payload, verified));
        }
    }
}
