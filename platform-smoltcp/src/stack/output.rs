//! Serving a connection: what is due goes out, what has come to an end goes away.
//!
//! A connection is served when it is on the list for that (`Shell::serve`). What puts it there:
//!
//! | what | in |
//! |---|---|
//! | a segment for it | `after_segment` |
//! | an ICMP message about a segment of its own | `on_icmp` |
//! | a call of its owner | `stack/owner.rs` |
//! | its deadline, or the limit of its phase | `on_deadline` |
//! | there is news of a neighbour, while it waits for one | `unblock` |
//! | another that waits for a neighbour is put there, while it waits for one | `wake` |
//! | it got the set that it waited for | `make_up` |
//! | its owner was told of that | `after_report` |
//! | no set is free, and it gives its own back sooner if it acknowledges now | `rest_leased` |
//! | it was served and could send more, at once or with room in the device | `Stack::serve` |

use core::net::IpAddr;

use usockets::{Error, Instant};

use crate::device::{Medium, PollDevice, TxMeta};
use crate::ip::neighbour::Reach;
use crate::ip::resolve::{self, MESSAGE_MAX};
use crate::number::put_pieces;
use crate::pool::links::Marks;
use crate::pool::wheel::{tick_after, tick_of};
use crate::stack::look::LEASES;
use crate::stack::shell::Shell;
use crate::stack::slot::{Ends, Facts, Phase};
use crate::tcp::{Flags, State, Transmit};
use crate::wire::ethernet::Ethernet;
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::ipv6::{self, Ipv6};
use crate::wire::tcp::{CHECKSUM_AT, Tcp};
use crate::wire::{HAS_V6, checksum};

/// Most frames of one connection in one turn, so that none holds up the others.
const FRAMES_MAX: usize = 32;

/// What serving a connection came to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Served {
    /// Nothing more is due.
    Done,
    /// More could go out.
    More,
    /// More could go out if the device had room.
    Full,
}

/// Where a connection's frames go.
enum Hop {
    /// Out, with this header; none on a device without Ethernet.
    Frame(Option<Ethernet>),
    /// Nowhere for now: the neighbour is being asked for.
    Asking,
    /// Nowhere: the neighbour does not answer, or there is no route.
    Silent,
    /// Nowhere for now: a question for the neighbour has taken the last room in the device.
    Full,
}

impl Shell<'_> {
    /// Serves one connection.
    #[inline]
    pub(super) fn serve<D: PollDevice>(&mut self, index: u32, device: &mut D) -> Served {
        let Some(slot) = self.slots.get(index) else {
            return Served::Done;
        };
        if slot.phase == Phase::Free {
            return Served::Done;
        }
        let served = self.transmit(index, device);
        if served == Served::Done {
            self.after_transmit(index);
        }
        served
    }

    /// Sends what is due from a connection.
    #[inline]
    fn transmit<D: PollDevice>(&mut self, index: u32, device: &mut D) -> Served {
        if !self.slots.look(index).may_transmit() {
            return Served::Done;
        }
        let mut hop = None;
        for _ in 0..FRAMES_MAX {
            match self.transmit_next(index, &mut hop, device) {
                Served::More => {}
                end => return end,
            }
        }
        Served::More
    }

    /// Sends the next frame of a connection, to the hop that is found with the first.
    #[inline]
    fn transmit_next<D: PollDevice>(
        &mut self,
        index: u32,
        hop: &mut Option<Hop>,
        device: &mut D,
    ) -> Served {
        if device.slot(0).is_none() {
            return self.on_full_device();
        }
        let hop = match hop {
            Some(hop) => hop,
            None => hop.insert(self.hop(index, device)),
        };
        match hop {
            Hop::Frame(_) | Hop::Silent => {}
            Hop::Asking => return Served::Done,
            Hop::Full => return self.on_full_device(),
        }
        let Some(mut open) = self.slots.open(index) else {
            return if LEASES {
                self.transmit_without_set(index, hop, device)
            } else {
                Served::Done
            };
        };
        let next = open
            .connection
            .poll_transmit(self.now, self.segment_max, &mut open.buffers);
        let Some(transmit) = next else {
            return Served::Done;
        };
        // Without a hop it is lost on the way: what is not acknowledged runs into its limit.
        if let Hop::Frame(header) = hop
            && let Some(local) = self.routes.own_at(open.slot.ends.local_number())
        {
            let segment = Outgoing {
                header: header.as_ref(),
                local,
                ends: &open.slot.ends,
                transmit: &transmit,
                payload: open.connection.payload(&transmit, &open.buffers),
            };
            segment.send(device, self.device.fills);
        }
        if open.connection.may_transmit() {
            Served::More
        } else {
            Served::Done
        }
    }

    fn on_full_device(&mut self) -> Served {
        self.counters.device_full = self.counters.device_full.wrapping_add(1);
        Served::Full
    }

    /// Sends the next frame of a connection that has no set: a segment without text.
    #[cold]
    #[inline(never)]
    fn transmit_without_set<D: PollDevice>(
        &mut self,
        index: u32,
        hop: &Hop,
        device: &mut D,
    ) -> Served {
        let Some((ends, transmit)) = self.slots.next_without_set(index, self.now) else {
            return Served::Done;
        };
        if let Hop::Frame(header) = hop {
            let station = header.map(|header| header.destination);
            let len = self.write_segment(station, &ends, &transmit);
            let frame = self.scratch.get(..len).unwrap_or_default();
            send_copy(device, frame, &TxMeta::NONE);
        }
        Served::More
    }

    /// Finds where a connection's frames go, and asks the link for it if need be.
    #[inline]
    fn hop<D: PollDevice>(&mut self, index: u32, device: &mut D) -> Hop {
        if self.device.medium == Medium::Ip {
            return Hop::Frame(None);
        }
        let Some(slot) = self.slots.get(index) else {
            return Hop::Silent;
        };
        let remote = slot.ends.remote_ip();
        let Some(next) = self.routes.next_hop(remote) else {
            self.on_silence(index);
            return Hop::Silent;
        };
        let Some(reach) = self.reach(next, device) else {
            return Hop::Full;
        };
        match reach {
            Reach::Known(mac) => {
                let kind = resolve::kind_of(remote);
                Hop::Frame(Some(Ethernet::new(mac, self.mac, kind)))
            }
            Reach::Asking(until) => {
                self.block(index, until);
                Hop::Asking
            }
            Reach::Silent => {
                self.on_silence(index);
                Hop::Silent
            }
        }
    }

    /// Looks a neighbour up, and asks the link for it if need be. `None` if it is known and the
    /// question, which is to hear of it again, took the last room in the device.
    #[inline]
    pub(super) fn reach<D: PollDevice>(&mut self, next: IpAddr, device: &mut D) -> Option<Reach> {
        let (reach, ask) = self.neighbours.reach(next, self.now);
        if ask && let Some(own) = self.routes.source_for(next) {
            self.ask(own, next, device);
            if matches!(reach, Reach::Known(_)) && device.slot(0).is_none() {
                return None;
            }
        }
        Some(reach)
    }

    /// Asks the link who has `next`. A full device drops the question; the next comes in a second.
    #[cold]
    #[inline(never)]
    pub(super) fn ask<D: PollDevice>(&mut self, own: IpAddr, next: IpAddr, device: &mut D) {
        let mut memory = [0; MESSAGE_MAX];
        let len = resolve::ask(&mut memory, self.mac, own, next);
        send_copy(device, memory.get(..len).unwrap_or_default(), &TxMeta::NONE);
    }

    /// Does what is due for own addresses.
    #[cold]
    pub(super) fn serve_addresses<D: PollDevice>(&mut self, device: &mut D) {
        #[cfg(feature = "dad")]
        self.serve_detection(device);
        let mut next = self.next_announcement();
        if next <= self.now {
            self.announce(device);
            next = self.note_announcement();
        }
        self.schedule_addresses(next);
    }

    /// Tells the link of our addresses. A full device drops what does not fit.
    fn announce<D: PollDevice>(&self, device: &mut D) {
        for own in self.routes.own() {
            let mut memory = [0; MESSAGE_MAX];
            let len = resolve::announce(&mut memory, self.mac, own.ip);
            send_copy(device, memory.get(..len).unwrap_or_default(), &TxMeta::NONE);
        }
    }

    /// Lets a connection wait for its neighbour.
    #[cold]
    #[inline(never)]
    fn block(&mut self, index: u32, until: Instant) {
        self.counters.neighbour_waits = self.counters.neighbour_waits.wrapping_add(1);
        self.blocked.push_blocked(self.slots.all, index);
        self.expect_by(index, tick_after(until));
    }

    /// Fails a connection that is only being made, since its peer cannot be reached.
    #[cold]
    #[inline(never)]
    fn on_silence(&mut self, index: u32) {
        if self.state(index) == State::SynSent {
            self.fail(index, Error::Unreachable);
        }
    }

    /// Ends a connection of an owner, who learns why. The peer is not told.
    #[cold]
    #[inline(never)]
    pub(super) fn fail(&mut self, index: u32, error: Error) {
        self.table.remove(self.slots.all, index);
        if let Some(open) = self.slots.open(index) {
            open.connection.give_up(error);
        }
        self.report(index, Facts::ERROR);
    }

    /// Draws the consequences of what has been sent, and sets the next deadline.
    #[inline]
    fn after_transmit(&mut self, index: u32) {
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        if slot.links.has(Marks::BLOCKED) {
            return;
        }
        let phase = slot.phase;
        let mut look = self.slots.look(index);
        if look.state() == State::Closed && matches!(phase, Phase::HalfOpen | Phase::Waiting)
            || phase.is_orphaned()
        {
            self.advance_orphan(index);
            look = self.slots.look(index);
        }
        let due = look.deadline();
        let Some(slot) = self.slots.get(index) else {
            return;
        };
        if slot.phase == Phase::Free {
            return;
        }
        let left = slot.ticks_left(self.now);
        let ticks = due.map(|due| tick_after(due.max(self.now)));
        if let Some(left) = left {
            self.expect_by(index, tick_of(self.now).wrapping_add(left));
        }
        if let Some(due) = ticks {
            self.expect_by(index, due);
        }
        self.rest(index);
    }
}

/// A segment on its way into a frame.
struct Outgoing<'s> {
    header: Option<&'s Ethernet>,
    local: IpAddr,
    ends: &'s Ends,
    transmit: &'s Transmit,
    payload: [&'s [u8]; 2],
}

impl Outgoing<'_> {
    /// Writes the segment into a slot of the device and sends it.
    #[inline]
    fn send<D: PollDevice>(&self, device: &mut D, fills: bool) {
        let transmit = self.transmit;
        let tcp = Tcp {
            source_port: self.ends.local_port(),
            destination_port: self.ends.remote_port(),
            seq: transmit.seq,
            ack: transmit.ack,
            flags: transmit.flags,
            window: transmit.window,
            urgent: 0,
            options: transmit.options,
        };
        let [first, second] = self.payload;
        let link_len = self.header.map_or(0, Ethernet::header_len);
        let ip_len = match self.local {
            IpAddr::V4(_) => ipv4::HEADER_LEN,
            IpAddr::V6(_) => ipv6::HEADER_LEN,
        };
        let tcp_len = tcp.header_len();
        let payload_len = first.len().saturating_add(second.len());
        let headers = link_len.saturating_add(ip_len).saturating_add(tcp_len);
        let len = headers.saturating_add(payload_len);
        let Some(frame) = device.slot(len).and_then(|slot| slot.get_mut(..len)) else {
            return;
        };
        if let Some(header) = self.header
            && header.emit(frame).is_err()
        {
            return;
        }
        let packet = frame.get_mut(link_len..).unwrap_or_default();
        let Some(addresses) = self.emit_ip(packet, tcp_len.saturating_add(payload_len)) else {
            return;
        };
        let segment = packet.get_mut(ip_len..).unwrap_or_default();
        if tcp.emit(segment).is_err() {
            return;
        }
        let place = segment.get_mut(tcp_len..).unwrap_or_default();
        put_pieces(place, self.payload);
        let meta = if fills {
            let link_len = u8::try_from(link_len).unwrap_or(0);
            TxMeta::leave_checksum(link_len, packet).segment_size(transmit.segment_size)
        } else {
            checksum::fill_transport(addresses, Ipv4::TCP, segment, CHECKSUM_AT);
            TxMeta::NONE
        };
        device.commit(len, &meta);
    }

    /// Writes the IP header of a packet that carries `len` bytes, and returns the sum of its
    /// addresses; `None` if it cannot be.
    #[inline]
    fn emit_ip(&self, packet: &mut [u8], len: usize) -> Option<u64> {
        let traffic_class = self.traffic_class();
        match (self.local, self.ends.remote_ip()) {
            (IpAddr::V4(local), IpAddr::V4(remote)) => {
                let header = Ipv4 {
                    traffic_class,
                    ..Ipv4::new(local, remote, Ipv4::TCP)
                };
                header.emit(packet, len).ok()?;
                Some(checksum::addresses_v4(local, remote))
            }
            (IpAddr::V6(local), IpAddr::V6(remote)) if HAS_V6 => {
                let header = Ipv6 {
                    traffic_class,
                    ..Ipv6::new(local, remote, Ipv6::TCP)
                };
                header.emit(packet, len).ok()?;
                Some(checksum::addresses_v6(local, remote))
            }
            _ => None,
        }
    }

    /// Returns the traffic class: ECT(0) of what routers may mark (RFC 3168, section 5).
    #[inline]
    fn traffic_class(&self) -> u8 {
        let marked = cfg!(feature = "ecn") && self.transmit.flags.has(Flags::ECT);
        u8::from(marked) << 1
    }
}

/// Sends a frame made elsewhere, if the device has room.
pub(super) fn send_copy<D: PollDevice>(device: &mut D, frame: &[u8], meta: &TxMeta) {
    if frame.is_empty() {
        return;
    }
    if let Some(slot) = device.slot(frame.len())
        && let Some(slot) = slot.get_mut(..frame.len())
    {
        slot.copy_from_slice(frame);
        device.commit(frame.len(), meta);
    }
}
