//! What a frame does.

use core::net::IpAddr;

use usockets::Duration;

use crate::device::Medium;
use crate::ip::resolve::{self, Heard};
use crate::stack::shell::Shell;
use crate::stack::slot::Ends;
use crate::tcp::{Events, Flags, Segment, Transmit};
use crate::wire::ethernet::{Ethernet, Mac, is_unicast};
use crate::wire::ipv4::Ipv4;
use crate::wire::ipv6::{self, Ipv6, Upper};
use crate::wire::tcp::Tcp;
use crate::wire::{HAS_V6, checksum};

/// The codepoint CE in a traffic class (RFC 3168, section 5).
const CE: u8 = 3;
/// DEFEND_INTERVAL of RFC 5227, section 1.1.
const DEFEND_EVERY: Duration = Duration::from_secs(10);

/// Where a packet comes from, and what is known of it.
#[derive(Clone, Copy)]
pub(super) struct Arrival<'p> {
    /// The whole packet.
    pub(super) packet: &'p [u8],
    /// The station on the link that handed it over; `None` on a device without Ethernet.
    pub(super) station: Option<Mac>,
    /// It is for a group of stations on the link.
    pub(super) group: bool,
    /// The device has verified the checksum of its TCP or UDP.
    pub(super) verified: bool,
}

impl Shell<'_> {
    /// Takes one frame in and returns the bytes of the frame that answers it at once, in front of
    /// the scratch memory; 0 when none does. `verified` says that the device has verified the
    /// checksum of its TCP or UDP.
    #[inline]
    pub(super) fn take(&mut self, frame: &[u8], verified: bool) -> usize {
        self.counters.received = self.counters.received.wrapping_add(1);
        let arrival = Arrival {
            packet: frame,
            station: None,
            group: false,
            verified,
        };
        if self.device.medium == Medium::Ip {
            return self.packet(&arrival);
        }
        let Ok((header, packet)) = Ethernet::parse(frame) else {
            return self.count_malformed();
        };
        let group = header.destination != self.mac;
        let ours = !group || !is_unicast(header.destination);
        let echo = header.source == self.mac || !is_unicast(header.source);
        if !ours || echo || header.vlan.is_some() {
            return 0;
        }
        match header.ethertype {
            Ethernet::IPV4 | Ethernet::IPV6 => self.packet(&Arrival {
                packet,
                station: Some(header.source),
                group,
                ..arrival
            }),
            Ethernet::ARP => match resolve::read_arp(packet) {
                Some(heard) => self.learn(heard, header.source),
                None => 0,
            },
            _ => 0,
        }
    }

    /// Counts a packet that is none. Nothing answers it.
    #[cold]
    pub(super) const fn count_malformed(&mut self) -> usize {
        self.counters.malformed = self.counters.malformed.wrapping_add(1);
        0
    }

    /// Counts a fragment. None is put together: a segment never needs one, since all of ours carry
    /// DF and a peer's stack keeps to the MSS.
    #[cold]
    const fn count_fragment(&mut self) -> usize {
        self.counters.fragments = self.counters.fragments.wrapping_add(1);
        0
    }

    /// Takes an IP packet in.
    #[inline]
    pub(super) fn packet(&mut self, arrival: &Arrival<'_>) -> usize {
        match arrival.packet.first().map(|first| first >> 4) {
            Some(4) => self.packet_v4(arrival),
            Some(6) if HAS_V6 => self.packet_v6(arrival),
            Some(6) => 0,
            _ => self.count_malformed(),
        }
    }

    #[inline]
    fn packet_v4(&mut self, arrival: &Arrival<'_>) -> usize {
        let Ok((header, payload)) = Ipv4::parse(arrival.packet) else {
            return self.count_malformed();
        };
        if header.is_fragment() {
            return self.count_fragment();
        }
        match header.protocol {
            #[cfg(feature = "datagrams")]
            Ipv4::UDP => self.datagram_v4(&header, payload, arrival),
            // What is for a group on the link is for nobody here but neighbour discovery (RFC
            // 1122, section 3.2.2.6, lets a ping to everybody go unanswered).
            _ if arrival.group => 0,
            Ipv4::TCP => {
                let (local, remote) = (header.destination, header.source);
                let addresses = checksum::addresses_v4(remote, local);
                let ends = (local.into(), remote.into(), addresses);
                self.segment(ends, (payload, header.traffic_class), arrival)
            }
            Ipv4::ICMP => self.icmp_v4(&header, payload, arrival),
            protocol => self.refuse_v4(&header, protocol, arrival),
        }
    }

    #[inline]
    fn packet_v6(&mut self, arrival: &Arrival<'_>) -> usize {
        let Ok((header, rest)) = Ipv6::parse(arrival.packet) else {
            return self.count_malformed();
        };
        match ipv6::pass_extensions(header.next_header, rest) {
            Ok(Upper::Whole {
                protocol: Ipv6::TCP,
                payload,
            }) if !arrival.group => {
                let (local, remote) = (header.destination, header.source);
                let addresses = checksum::addresses_v6(remote, local);
                let ends = (local.into(), remote.into(), addresses);
                self.segment(ends, (payload, header.traffic_class), arrival)
            }
            Ok(Upper::Whole {
                protocol: Ipv6::ICMP,
                payload,
            }) => self.icmp_v6(&header, payload, arrival),
            #[cfg(feature = "datagrams")]
            Ok(Upper::Whole {
                protocol: Ipv6::UDP,
                payload,
            }) => self.datagram_v6(&header, payload, arrival),
            Ok(Upper::Whole { protocol, .. }) => self.refuse_v6(&header, protocol, arrival),
            Ok(Upper::Fragment) => self.count_fragment(),
            Ok(Upper::Nothing) => 0,
            Err(refusal) => self.refuse_extension(&header, refusal, arrival),
        }
    }

    /// Learns from a neighbour's message and answers its question.
    #[inline(never)]
    pub(super) fn learn(&mut self, heard: Heard, station: Mac) -> usize {
        #[cfg(feature = "datagrams")]
        self.check_watched(&heard);
        #[cfg(feature = "dad")]
        self.check_tentative(&heard);
        if let Some((ip, mac)) = heard.from
            && mac != self.mac
            && self.routes.is_own(ip)
        {
            return self.on_conflict(ip);
        }
        let invited = heard
            .asks
            .is_some_and(|(target, _)| self.routes.is_own(target));
        if let Some((ip, mac)) = heard.from
            && self.routes.is_on_link(ip)
            && self.routes.is_peer(ip)
            && self.neighbours.learn(ip, mac, self.now, invited)
        {
            self.unblock();
        }
        match heard.asks {
            Some((target, asker)) if invited => {
                resolve::answer(self.scratch, self.mac, target, (station, asker))
            }
            _ => 0,
        }
    }

    /// Another station says that an own address is its own: tells the link again where that is, but
    /// not more often than once in [`DEFEND_EVERY`], lest two stations that both defend it never
    /// end (RFC 5227, section 2.4 b). Returns the bytes of that frame.
    #[cold]
    fn on_conflict(&mut self, own: IpAddr) -> usize {
        self.counters.conflicts = self.counters.conflicts.wrapping_add(1);
        if self.now < self.defend_at {
            return 0;
        }
        self.defend_at = self.now.saturating_add(DEFEND_EVERY);
        resolve::announce(self.scratch, self.mac, own)
    }

    /// Takes a TCP segment in, between an own address and a peer's, which come to the sum
    /// `addresses`, with the traffic class of its packet, and returns the bytes of the frame that
    /// answers it.
    #[inline(always)]
    fn segment(
        &mut self,
        (local, remote, addresses): (IpAddr, IpAddr, u64),
        (bytes, traffic_class): (&[u8], u8),
        arrival: &Arrival<'_>,
    ) -> usize {
        let right = arrival.verified || checksum::is_right_transport(addresses, Ipv4::TCP, bytes);
        let Ok((header, payload)) = Tcp::parse(bytes) else {
            return self.count_malformed();
        };
        if !right {
            return self.count_malformed();
        }
        let Some(number) = self.routes.own_number(local) else {
            return 0;
        };
        let ends = Ends::new(
            (number, header.destination_port),
            remote,
            header.source_port,
        );
        let mut flags = header.flags;
        // One bit tells most packets apart, at half of the instructions.
        if cfg!(feature = "ecn") && traffic_class & 1 != 0 {
            flags = self.note_congestion(traffic_class, flags);
        }
        let segment = Segment {
            seq: header.seq,
            ack: header.ack,
            window: header.window,
            flags,
            options: header.options,
            payload,
        };
        let index = match self.table.found_last(self.slots.all, &ends) {
            Some(index) => index,
            None => match self.place_of(&ends, &segment, arrival) {
                Ok(index) => index,
                Err(len) => return len,
            },
        };
        self.deliver(index, &ends, &segment, arrival)
    }

    /// Counts a packet if it met congestion, and returns its segment's flags with that.
    #[cold]
    #[cfg_attr(
        not(feature = "ecn"),
        expect(clippy::unused_self, reason = "of the feature")
    )]
    fn note_congestion(&mut self, traffic_class: u8, flags: Flags) -> Flags {
        if traffic_class & CE != CE {
            return flags;
        }
        #[cfg(feature = "ecn")]
        {
            self.counters.congestion_marks = self.counters.congestion_marks.wrapping_add(1);
        }
        flags | Flags::CE
    }

    /// Returns the slot of the connection between two ends, or the bytes of the frame that answers
    /// a segment without one.
    #[inline(never)]
    fn place_of(
        &mut self,
        ends: &Ends,
        segment: &Segment<'_>,
        arrival: &Arrival<'_>,
    ) -> Result<u32, usize> {
        let hash = ends.hash32(self.secrets.table);
        let found = self.table.find(self.slots.all, hash, ends);
        match found {
            Some(index) => Ok(index),
            None => Err(self.on_stranger((ends, None), segment, arrival)),
        }
    }

    /// Gives a segment to its connection.
    #[inline(always)]
    fn deliver(
        &mut self,
        index: u32,
        ends: &Ends,
        segment: &Segment<'_>,
        arrival: &Arrival<'_>,
    ) -> usize {
        let now = self.now;
        if !self.lease(index) {
            return self.deliver_without_set(index, ends, segment, arrival);
        }
        let cut = self.cut(index, segment);
        let segment = cut.as_ref().unwrap_or(segment);
        let Some(mut open) = self.slots.open(index) else {
            return 0;
        };
        let events = open.connection.on_segment(now, segment, &mut open.buffers);
        if self.slots.is_any_leased() {
            self.slots.count_holding(index);
        }
        self.after_segment(index, events, (ends, segment, arrival))
    }

    /// Gives a segment to its connection, for which there is no set. Text is dropped.
    #[cold]
    #[inline(never)]
    fn deliver_without_set(
        &mut self,
        index: u32,
        ends: &Ends,
        segment: &Segment<'_>,
        arrival: &Arrival<'_>,
    ) -> usize {
        let now = self.now;
        let quiet = self.slots.without_set(index);
        let Some(events) = quiet.and_then(|quiet| quiet.on_segment(now, segment)) else {
            return 0;
        };
        self.after_segment(index, events, (ends, segment, arrival))
    }

    /// Draws the consequences of a segment, and returns the bytes of the frame that answers it at
    /// once.
    #[inline(always)]
    fn after_segment(
        &mut self,
        index: u32,
        events: Events,
        (ends, segment, arrival): (&Ends, &Segment<'_>, &Arrival<'_>),
    ) -> usize {
        self.serve.push(self.slots.all, index);
        self.on_events(index, events);
        if events.has(Events::NEW_SYN) {
            // A new connection over an old one's ends (RFC 9293, section 3.6.1).
            if self.listener_for(ends).is_some() {
                let last = self.slots.look(index).send_next();
                self.release_time_wait(index);
                return self.on_stranger((ends, Some(last)), segment, arrival);
            }
        }
        if events.has(Events::ANSWER_RESET)
            && let Some(reset) = Transmit::reset_for(segment)
        {
            return self.answer(ends, &reset, arrival);
        }
        0
    }
}
