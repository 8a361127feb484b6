//! Frames that no connection sends: resets, cookies, and ICMP both ways.

use core::net::IpAddr;

use crate::ip::resolve;
use crate::stack::input::Arrival;
use crate::stack::shell::Shell;
use crate::stack::slot::Ends;
use crate::tcp::{IcmpError, Seq, Transmit};
use crate::wire::checksum;
use crate::wire::ethernet::{Ethernet, Mac};
use crate::wire::icmp::{Icmp, Quoted, Unreachable};
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::ipv6::{self, Ipv6, Refusal};
use crate::wire::tcp::{CHECKSUM_AT, Tcp};
use crate::wire::{HAS_V6, WireError};

/// Most bytes of a packet that an ICMP error quotes: the error is then no larger than every host
/// takes (RFC 1812, section 4.3.2.3; RFC 4443, section 2.4 c).
const QUOTE_V4_MAX: usize = 576 - ipv4::HEADER_LEN - 8;
const QUOTE_V6_MAX: usize = 1_280 - ipv6::HEADER_LEN - 8;
/// Least MTU of a link with IPv6 (RFC 8200, section 5).
const MTU_V6_MIN: u32 = 1_280;
/// MTUs to try one after another where a router does not say which fits (RFC 1191, section 7.1).
const PLATEAUS: [u32; 9] = [32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296];

impl Shell<'_> {
    /// Writes a segment that belongs to no connection, from our end of `ends`, as the answer to
    /// `arrival`; returns the frame's bytes.
    #[inline(never)]
    pub(super) fn answer(
        &mut self,
        ends: &Ends,
        transmit: &Transmit,
        arrival: &Arrival<'_>,
    ) -> usize {
        self.write_segment(arrival.station, ends, transmit)
    }

    /// Writes a segment without text from our end of `ends` to the front of the scratch memory, to
    /// a station of the link; returns the frame's bytes.
    pub(super) fn write_segment(
        &mut self,
        station: Option<Mac>,
        ends: &Ends,
        transmit: &Transmit,
    ) -> usize {
        let Some(local) = self.routes.own_at(ends.local_number()) else {
            return 0;
        };
        let tcp = Tcp {
            source_port: ends.local_port(),
            destination_port: ends.remote_port(),
            seq: transmit.seq,
            ack: transmit.ack,
            flags: transmit.flags,
            window: transmit.window,
            urgent: 0,
            options: transmit.options,
        };
        let remote = ends.remote_ip();
        self.write(station, (local, remote), Ipv4::TCP, &|segment| {
            let len = tcp.emit(segment)?;
            let segment = segment.get_mut(..len).unwrap_or_default();
            let addresses = checksum::addresses(local, remote);
            checksum::fill_transport(addresses, Ipv4::TCP, segment, CHECKSUM_AT);
            Ok(len)
        })
    }

    /// Writes a packet between two addresses to the front of the scratch memory, with what `body`
    /// writes in it and the length that it returns, to a station of the link; returns the frame's
    /// bytes, 0 when it does not fit.
    fn write(
        &mut self,
        station: Option<Mac>,
        (local, remote): (IpAddr, IpAddr),
        protocol: u8,
        body: &dyn Fn(&mut [u8]) -> Result<usize, WireError>,
    ) -> usize {
        self.identification = self.identification.wrapping_add(1);
        let (link_len, mac, mtu) = (self.link_len(), self.mac, self.device.mtu);
        let identification = self.identification;
        let mut written = || {
            if let Some(station) = station {
                Ethernet::new(station, mac, resolve::kind_of(local)).emit(self.scratch)?;
            }
            let packet = self.scratch.get_mut(link_len..).ok_or(WireError::NoRoom)?;
            let most = packet.len().min(mtu);
            let packet = packet.get_mut(..most).unwrap_or_default();
            let header_len = match local {
                IpAddr::V4(_) => ipv4::HEADER_LEN,
                IpAddr::V6(_) => ipv6::HEADER_LEN,
            };
            let len = body(packet.get_mut(header_len..).ok_or(WireError::NoRoom)?)?;
            match (local, remote) {
                (IpAddr::V4(local), IpAddr::V4(remote)) => {
                    let mut header = Ipv4::new(local, remote, protocol);
                    header.identification = identification;
                    header.emit(packet, len)?
                }
                (IpAddr::V6(local), IpAddr::V6(remote)) if HAS_V6 => {
                    Ipv6::new(local, remote, protocol).emit(packet, len)?
                }
                _ => return Err(WireError::Malformed),
            };
            Ok(link_len.saturating_add(header_len).saturating_add(len))
        };
        written().unwrap_or(0)
    }

    /// Takes an ICMP message in.
    #[inline(never)]
    pub(super) fn icmp_v4(
        &mut self,
        header: &Ipv4,
        message: &[u8],
        arrival: &Arrival<'_>,
    ) -> usize {
        let Ok(message) = Icmp::parse_v4(message) else {
            return self.count_malformed();
        };
        let addresses = (header.destination.into(), header.source.into());
        if !self.is_between_stations(addresses) {
            return 0;
        }
        match message {
            Icmp::EchoRequest { mark, data } => {
                let reply = Icmp::EchoReply { mark, data };
                self.write_icmp(arrival.station, addresses, &reply)
            }
            #[cfg(feature = "echo")]
            Icmp::EchoReply { mark, data } if self.on_echo_reply(addresses.1, mark, data) => 0,
            #[cfg(all(feature = "queues", target_has_atomic = "32"))]
            other if self.hand_icmp_over(&other, arrival) => 0,
            other => self.on_icmp(&other),
        }
    }

    /// Takes an ICMPv6 message in.
    #[inline(never)]
    pub(super) fn icmp_v6(
        &mut self,
        header: &Ipv6,
        message: &[u8],
        arrival: &Arrival<'_>,
    ) -> usize {
        if let (Some(heard), Some(station)) =
            (resolve::read_icmpv6(header, message), arrival.station)
        {
            return self.learn(heard, station);
        }
        let addresses = (header.destination.into(), header.source.into());
        if arrival.group || !self.is_between_stations(addresses) {
            return 0;
        }
        match Icmp::parse_v6(header, message) {
            Ok(Icmp::EchoRequest { mark, data }) => {
                let reply = Icmp::EchoReply { mark, data };
                self.write_icmp(arrival.station, addresses, &reply)
            }
            #[cfg(feature = "echo")]
            Ok(Icmp::EchoReply { mark, data }) if self.on_echo_reply(addresses.1, mark, data) => 0,
            #[cfg(all(feature = "queues", target_has_atomic = "32"))]
            Ok(other) if self.hand_icmp_over(&other, arrival) => 0,
            Ok(other) => self.on_icmp(&other),
            Err(_) => self.count_malformed(),
        }
    }

    /// Returns true if a packet is for an own address and from another station.
    fn is_between_stations(&self, (local, remote): (IpAddr, IpAddr)) -> bool {
        self.routes.is_own(local) && self.routes.is_peer(remote)
    }

    /// Tells a connection what ICMP says of a segment of its.
    fn on_icmp(&mut self, message: &Icmp<'_>) -> usize {
        let (packet, mtu, error) = match message {
            Icmp::Unreachable { reason, packet } => {
                let hard = matches!(reason, Unreachable::Protocol | Unreachable::Port);
                let error = if hard {
                    IcmpError::Hard
                } else {
                    IcmpError::Soft
                };
                (packet, None, error)
            }
            Icmp::TimeExceeded { packet } => (packet, None, IcmpError::Soft),
            Icmp::ParameterProblem { packet, .. } => (packet, None, IcmpError::Soft),
            Icmp::TooBig { mtu, packet } => (packet, Some(*mtu), IcmpError::Soft),
            _ => return 0,
        };
        let Some(quoted) = Quoted::parse(packet) else {
            #[cfg(feature = "datagrams")]
            self.on_datagram_error(message, packet);
            return 0;
        };
        let Some(number) = self.routes.own_number(quoted.local.ip()) else {
            return 0;
        };
        let (local, remote) = ((number, quoted.local.port()), quoted.remote);
        let ends = Ends::new(local, remote.ip(), remote.port());
        let hash = ends.hash32(self.secrets.table);
        let Some(index) = self.table.find(self.slots.all, hash, &ends) else {
            return 0;
        };
        let now = self.now;
        let Some(mut open) = self.slots.open(index) else {
            return 0;
        };
        let headers = if remote.is_ipv4() { 40 } else { 60 };
        let error = match mtu {
            None => error,
            Some(mtu) => {
                let now_used = u32::from(open.connection.send_mss()).saturating_add(headers);
                let mtu = path_mtu(mtu, now_used, remote.is_ipv4());
                let mss = mtu.saturating_sub(headers);
                IcmpError::TooBig {
                    mss: u16::try_from(mss).unwrap_or(u16::MAX),
                }
            }
        };
        let seq = Seq::new(quoted.seq);
        let events = open.connection.on_icmp(now, error, seq, &mut open.buffers);
        self.on_events(index, events);
        self.wake(index);
        0
    }

    /// Answers an IPv4 packet of a protocol that nobody here speaks (RFC 1122, sections 3.2.2.1 and
    /// 4.1.3.1).
    #[inline(never)]
    pub(super) fn refuse_v4(
        &mut self,
        header: &Ipv4,
        protocol: u8,
        arrival: &Arrival<'_>,
    ) -> usize {
        let addresses = (header.destination.into(), header.source.into());
        if !self.is_between_stations(addresses) || !self.may_reply() {
            return 0;
        }
        let len = arrival.packet.len().min(QUOTE_V4_MAX);
        let error = Icmp::Unreachable {
            reason: if protocol == Ipv4::UDP {
                Unreachable::Port
            } else {
                Unreachable::Protocol
            },
            packet: arrival.packet.get(..len).unwrap_or_default(),
        };
        self.write_icmp(arrival.station, addresses, &error)
    }

    /// Answers an IPv6 packet of a protocol that nobody here speaks (RFC 4443, sections 3.1 and
    /// 3.4).
    #[inline(never)]
    pub(super) fn refuse_v6(
        &mut self,
        header: &Ipv6,
        protocol: u8,
        arrival: &Arrival<'_>,
    ) -> usize {
        if arrival.group || protocol == Ipv6::TCP {
            return 0;
        }
        let packet = quote_v6(arrival.packet);
        let error = Icmp::Unreachable {
            reason: Unreachable::Port,
            packet,
        };
        self.tell_v6(header, &error, arrival)
    }

    /// Answers an IPv6 packet whose extension headers cannot be passed, if it is to be answered.
    #[inline(never)]
    pub(super) fn refuse_extension(
        &mut self,
        header: &Ipv6,
        refusal: Refusal,
        arrival: &Arrival<'_>,
    ) -> usize {
        let Refusal::Tell {
            code,
            pointer,
            even_to_groups,
        } = refusal
        else {
            return self.count_malformed();
        };
        let mut header = *header;
        if arrival.group {
            let own = self.routes.source_for(header.source.into());
            let Some(IpAddr::V6(own)) = own.filter(|_| even_to_groups) else {
                return 0;
            };
            header.destination = own;
        }
        let error = Icmp::ParameterProblem {
            code,
            pointer,
            packet: quote_v6(arrival.packet),
        };
        self.tell_v6(&header, &error, arrival)
    }

    /// Sends an error about an IPv6 packet to who sent it.
    fn tell_v6(&mut self, header: &Ipv6, error: &Icmp<'_>, arrival: &Arrival<'_>) -> usize {
        let addresses = (header.destination.into(), header.source.into());
        if !self.is_between_stations(addresses) || !self.may_reply() {
            return 0;
        }
        self.write_icmp(arrival.station, addresses, error)
    }

    /// Writes a message of ICMP or ICMPv6 between two addresses, as [`Self::write`] does.
    pub(super) fn write_icmp(
        &mut self,
        station: Option<Mac>,
        ends: (IpAddr, IpAddr),
        message: &Icmp<'_>,
    ) -> usize {
        match ends {
            (IpAddr::V6(local), IpAddr::V6(remote)) if HAS_V6 => {
                let header = Ipv6::new(local, remote, Ipv6::ICMP);
                self.write(station, ends, Ipv6::ICMP, &|body| {
                    message.emit_v6(&header, body)
                })
            }
            _ => self.write(station, ends, Ipv4::ICMP, &|body| message.emit_v4(body)),
        }
    }
}

/// Returns as much of a packet as an ICMPv6 error quotes.
fn quote_v6(packet: &[u8]) -> &[u8] {
    let len = packet.len().min(QUOTE_V6_MAX);
    packet.get(..len).unwrap_or_default()
}

/// Returns the path MTU that "too big" tells: as it says, or the next lower plateau where it says
/// nothing; never below what IPv6 promises (RFC 8201, section 4).
fn path_mtu(said: u32, used: u32, v4: bool) -> u32 {
    match said {
        mtu if !v4 => mtu.max(MTU_V6_MIN),
        0 => {
            let lower = PLATEAUS.into_iter().find(|plateau| *plateau < used);
            lower.unwrap_or(used)
        }
        mtu => mtu,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_router_that_does_not_say_is_tried_plateau_by_plateau() {
        assert_eq!(path_mtu(1_400, 1_500, true), 1_400);
        assert_eq!(path_mtu(0, 1_500, true), 1_492);
        assert_eq!(path_mtu(0, 1_492, true), 1_006);
        assert_eq!(path_mtu(0, 296, true), 296);
        assert_eq!(path_mtu(600, 1_500, false), 1_280);
    }
}
