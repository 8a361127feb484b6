//! Datagrams that go: at once into the device's memory, or, for a neighbour that is still asked
//! for, into that of the socket until it answers.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use usockets::{Address, Departure, Error, Instant, Readiness};

use crate::device::{Medium, PollDevice, TxMeta};
use crate::ip::neighbour::Reach;
use crate::ip::resolve;
use crate::number::{put, put_pieces};
use crate::stack::shell::Shell;
use crate::udp::queue::{Head, Queue};
use crate::udp::sockets::{Delivered, INTERFACE, bits_of};
use crate::wire::checksum;
use crate::wire::ethernet::{BROADCAST, Ethernet, Mac};
use crate::wire::ipv4::{self, Ipv4};
use crate::wire::ipv6::{self, Ipv6};
use crate::wire::ndp;
use crate::wire::udp::{self, Udp};

/// Where in a UDP header its checksum stands.
const CHECKSUM_AT: usize = 6;

/// Where a datagram's frame goes.
pub(super) enum DatagramHop {
    /// Out, with this header; none on a device without Ethernet.
    Frame(Option<Ethernet>),
    /// Nowhere before then: the neighbour is being asked for.
    Asking(Instant),
    /// Nowhere: the neighbour does not answer.
    Silent,
    /// Nowhere for now: a question for the neighbour has taken the last room in the device.
    Full,
}

/// What became of one datagram.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Posted {
    /// It is on its way, held, or lost; its bytes are no longer needed.
    Taken,
    /// The device is full.
    Full,
}

impl Shell<'_> {
    /// Sends a datagram, or a run of them; returns false if it would block.
    pub(super) fn send_run<D: PollDevice>(
        &mut self,
        index: u32,
        memory: &[u8],
        run: &Departure,
        device: &mut D,
    ) -> Result<bool, Error> {
        let end = run.start.checked_add(run.len).ok_or(Error::Invalid)?;
        let bytes = memory.get(run.start..end).ok_or(Error::Invalid)?;
        let head = self.head_of(index, run)?;
        let size = match run.segment {
            0 => bytes.len(),
            segment => usize::from(segment).min(bytes.len()),
        };
        if size > self.datagram_max(head.local) {
            return Err(Error::Invalid);
        }
        if self.datagrams.news && self.datagrams.is_holding(index) {
            // What was sent before is not overtaken.
            self.send_held(index, device);
        }
        let empty = bytes.is_empty().then_some(bytes);
        let mut begun = false;
        for piece in bytes.chunks(size.max(1)).chain(empty) {
            match self.post(index, head, piece, device) {
                Posted::Taken => begun = true,
                Posted::Full if begun => return Ok(true),
                Posted::Full => {
                    self.await_datagram_room(index);
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// Has an owner told when the device has room again.
    fn await_datagram_room(&mut self, index: u32) {
        self.counters.device_full = self.counters.device_full.wrapping_add(1);
        if let Some(slot) = self.datagrams.get_mut(index) {
            slot.blocked = true;
        }
        self.datagrams.room_wanted = true;
        let datagrams = &mut self.datagrams;
        datagrams.waiting.push(datagrams.all, index);
    }

    /// Returns the most bytes that a datagram carries: none is ever fragmented.
    fn datagram_max(&self, local: IpAddr) -> usize {
        let headers = ip_len(local).saturating_add(udp::HEADER_LEN);
        self.device.mtu.min(65_535).saturating_sub(headers)
    }

    /// Finds out from where to where a departure goes, and whether it may.
    fn head_of(&self, index: u32, run: &Departure) -> Result<Head, Error> {
        let slot = self.datagrams.get(index).ok_or(Error::Invalid)?;
        let remote = match run.to {
            Address::Unnamed => slot.peer.ok_or(Error::Invalid)?,
            to => to.ip().ok_or(Error::Invalid)?,
        };
        let ip = remote.ip().to_canonical();
        let (bound, group) = (slot.bound.ip(), ip.is_multicast());
        if bound.is_ipv4() && ip.is_ipv6() {
            return Err(Error::Unsupported);
        }
        if remote.port() == 0 || run.interface > INTERFACE {
            return Err(Error::Invalid);
        }
        let all = self.routes.is_broadcast(ip);
        if all && !slot.broadcast {
            return Err(Error::Denied);
        }
        let local = self.source_of(bound, ip, run.source)?;
        let sound = group || all || self.routes.is_own(ip) || self.routes.is_peer(ip);
        if !sound || local.is_ipv4() != ip.is_ipv4() {
            return Err(Error::Unreachable);
        }
        let routed = group || all || self.routes.is_own(ip) || self.device.medium == Medium::Ip;
        if !routed && self.routes.next_hop(ip).is_none() {
            return Err(Error::Unreachable);
        }
        Ok(Head {
            remote: SocketAddr::new(ip, remote.port()),
            local,
            len: 0,
            ecn: bits_of(run.ecn),
            hops: if group { slot.group_hops } else { slot.hops },
            gone: false,
        })
    }

    /// Chooses the address to send from.
    fn source_of(
        &self,
        bound: IpAddr,
        to: IpAddr,
        wanted: Option<IpAddr>,
    ) -> Result<IpAddr, Error> {
        if let Some(wanted) = wanted.map(|wanted| wanted.to_canonical()) {
            return if self.routes.is_own(wanted) {
                Ok(wanted)
            } else {
                Err(Error::Invalid)
            };
        }
        if self.routes.is_own(bound) {
            return Ok(bound);
        }
        let group = bound.is_multicast() || self.routes.is_broadcast(bound);
        if !bound.is_unspecified() && !group {
            // It was ours when the socket was bound, or will be.
            return Err(Error::AddressUnavailable);
        }
        let all = IpAddr::V4(Ipv4Addr::BROADCAST);
        match self.routes.source_for(to) {
            Some(own) => Ok(own),
            // A station without address asks for one (RFC 1122, section 3.2.1.3).
            None if to == all => Ok(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
            #[cfg(feature = "dad")]
            None if self.routes.lacks_source_for(to) => Err(Error::AddressUnavailable),
            None => Err(Error::Unreachable),
        }
    }

    /// Sends one datagram of a socket.
    fn post<D: PollDevice>(
        &mut self,
        index: u32,
        head: Head,
        bytes: &[u8],
        device: &mut D,
    ) -> Posted {
        let Some(port) = self.datagrams.get(index).map(|slot| slot.bound.port()) else {
            return Posted::Taken;
        };
        if self.routes.is_own(head.remote.ip()) {
            self.post_here(index, (head, port), bytes);
            return Posted::Taken;
        }
        if device.slot(0).is_none() {
            return Posted::Full;
        }
        match self.datagram_hop(head.remote.ip(), device) {
            DatagramHop::Frame(link) => {
                emit(device, link.as_ref(), (&head, port), [bytes, &[]]);
                let echoes = head.remote.ip().is_multicast()
                    && self
                        .datagrams
                        .get(index)
                        .is_some_and(|slot| slot.group_loop);
                if echoes {
                    self.deliver_datagram(head.remote.port(), mirrored(&head, port), bytes);
                }
            }
            DatagramHop::Asking(until) => {
                self.counters.neighbour_waits = self.counters.neighbour_waits.wrapping_add(1);
                let lost = self.datagrams.hold(index, head, bytes, until);
                let sum = self.counters.datagrams_displaced.wrapping_add(lost);
                self.counters.datagrams_displaced = sum;
            }
            DatagramHop::Silent => self.on_silent_neighbour(index, &head),
            DatagramHop::Full => return Posted::Full,
        }
        Posted::Taken
    }

    /// Tells a socket that a neighbour does not answer, as Linux tells it.
    fn on_silent_neighbour(&mut self, index: u32, head: &Head) {
        let error = Error::Unreachable;
        self.datagrams.push_error(index, head.remote, error, 0);
    }

    /// Delivers what a socket sends to an own address.
    fn post_here(&mut self, index: u32, (head, port): (Head, u16), bytes: &[u8]) {
        let to = head.remote;
        let delivered = self.deliver_datagram(to.port(), mirrored(&head, port), bytes);
        if delivered == Delivered::Nobody {
            self.datagrams.push_error(index, to, Error::Refused, 0);
        }
    }

    /// Finds where a datagram's frame goes, and asks the link for it if need be.
    pub(super) fn datagram_hop<D: PollDevice>(
        &mut self,
        to: IpAddr,
        device: &mut D,
    ) -> DatagramHop {
        if self.device.medium == Medium::Ip {
            return DatagramHop::Frame(None);
        }
        let kind = resolve::kind_of(to);
        let header = |station| DatagramHop::Frame(Some(Ethernet::new(station, self.mac, kind)));
        if to.is_multicast() {
            return header(group_mac(to));
        }
        if self.routes.is_broadcast(to) {
            return header(BROADCAST);
        }
        let Some(next) = self.routes.next_hop(to) else {
            return DatagramHop::Silent;
        };
        let Some(reach) = self.reach(next, device) else {
            return DatagramHop::Full;
        };
        match reach {
            Reach::Known(station) => {
                DatagramHop::Frame(Some(Ethernet::new(station, self.mac, kind)))
            }
            Reach::Asking(until) => DatagramHop::Asking(until),
            Reach::Silent => DatagramHop::Silent,
        }
    }

    /// Sends what can go of what sockets hold, and tells those who wait for room that there is
    /// some. Returns true if the device is full and somebody waits.
    pub(super) fn serve_datagrams<D: PollDevice>(&mut self, device: &mut D) -> bool {
        let datagrams = &mut self.datagrams;
        let due = datagrams.held_until.is_some_and(|until| until <= self.now);
        if !due && !datagrams.news && !datagrams.room_wanted {
            return false;
        }
        datagrams.news = false;
        datagrams.room_wanted = false;
        datagrams.held_until = None;
        for _ in 0..datagrams.waiting.count() {
            let datagrams = &mut self.datagrams;
            let Some(index) = datagrams.waiting.pop(datagrams.all) else {
                break;
            };
            if datagrams.is_holding(index) {
                self.send_held(index, device);
            }
            let datagrams = &mut self.datagrams;
            let blocked = datagrams.get(index).is_some_and(|slot| slot.blocked);
            let room = device.slot(0).is_some();
            if blocked && room {
                if let Some(slot) = datagrams.get_mut(index) {
                    slot.blocked = false;
                }
                datagrams.report(index, Readiness::WRITABLE);
            }
            datagrams.room_wanted |= blocked && !room;
            if datagrams.is_holding(index) || (blocked && !room) {
                datagrams.waiting.push(datagrams.all, index);
            }
        }
        self.datagrams.room_wanted
    }

    /// Sends what can go of what a socket holds; the rest goes on waiting.
    fn send_held<D: PollDevice>(&mut self, index: u32, device: &mut D) {
        let Some(port) = self.datagrams.get(index).map(|slot| slot.bound.port()) else {
            return;
        };
        let mut at = 0;
        while let Some((head, _)) = self.datagrams.held(index, at) {
            let next = Queue::after(at, &head);
            if !head.gone && !self.send_one_held(index, (at, port), &head, device) {
                break;
            }
            at = next;
        }
        self.datagrams.trim_held(index);
    }

    /// Looks at one of those that are held; returns false if the device is full.
    fn send_one_held<D: PollDevice>(
        &mut self,
        index: u32,
        (at, port): (u32, u16),
        head: &Head,
        device: &mut D,
    ) -> bool {
        if device.slot(0).is_none() {
            self.datagrams.room_wanted = true;
            return false;
        }
        match self.datagram_hop(head.remote.ip(), device) {
            DatagramHop::Frame(link) => {
                if let Some((head, bytes)) = self.datagrams.held(index, at) {
                    emit(device, link.as_ref(), (&head, port), bytes);
                }
            }
            DatagramHop::Asking(until) => {
                self.datagrams.look_at(until);
                return true;
            }
            DatagramHop::Silent => self.on_silent_neighbour(index, head),
            DatagramHop::Full => {
                self.datagrams.room_wanted = true;
                return false;
            }
        }
        self.datagrams.drop_held(index, at, head);
        true
    }
}

/// Returns a datagram that goes out as one that comes in.
fn mirrored(head: &Head, port: u16) -> Head {
    Head {
        remote: SocketAddr::new(head.local, port),
        local: head.remote.ip(),
        ..*head
    }
}

/// Returns the address on the link of a group (RFC 1112, section 6.4; RFC 2464, section 7).
const fn group_mac(group: IpAddr) -> Mac {
    match group {
        IpAddr::V4(group) => {
            let [_, b, c, d] = group.octets();
            [1, 0, 0x5e, b & 0x7f, c, d]
        }
        IpAddr::V6(group) => ndp::group_mac(group),
    }
}

pub(super) const fn ip_len(ip: IpAddr) -> usize {
    match ip {
        IpAddr::V4(_) => ipv4::HEADER_LEN,
        IpAddr::V6(_) => ipv6::HEADER_LEN,
    }
}

/// Writes a datagram from a port here into a slot of the device and sends it.
fn emit<D: PollDevice>(
    device: &mut D,
    link: Option<&Ethernet>,
    (head, port): (&Head, u16),
    [first, second]: [&[u8]; 2],
) {
    let link_len = link.map_or(0, Ethernet::header_len);
    let ip_len = ip_len(head.local);
    let payload_len = first.len().saturating_add(second.len());
    let udp_len = payload_len.saturating_add(udp::HEADER_LEN);
    let len = link_len.saturating_add(ip_len).saturating_add(udp_len);
    let Some(frame) = device.slot(len).and_then(|slot| slot.get_mut(..len)) else {
        return;
    };
    if let Some(link) = link
        && link.emit(frame).is_err()
    {
        return;
    }
    let packet = frame.get_mut(link_len..).unwrap_or_default();
    if !emit_ip(packet, head, udp_len) {
        return;
    }
    let datagram = packet.get_mut(ip_len..).unwrap_or_default();
    let header = Udp {
        source_port: port,
        destination_port: head.remote.port(),
        checksum: 0,
    };
    if header.emit(datagram, payload_len).is_err() {
        return;
    }
    let place = datagram.get_mut(udp::HEADER_LEN..).unwrap_or_default();
    put_pieces(place, [first, second]);
    let ends = (head.local, head.remote.ip());
    let sum = checksum::transport(ends.0, ends.1, Ipv4::UDP, datagram);
    // None says that there is no checksum (RFC 768).
    let sum = if sum == 0 { u16::MAX } else { sum };
    put(datagram, CHECKSUM_AT, sum.to_be_bytes());
    device.commit(len, &TxMeta::NONE);
}

/// Writes the IP header of a packet that carries `len` bytes; returns false if it cannot be.
fn emit_ip(packet: &mut [u8], head: &Head, len: usize) -> bool {
    match (head.local, head.remote.ip()) {
        (IpAddr::V4(local), IpAddr::V4(remote)) => {
            let header = Ipv4 {
                traffic_class: head.ecn,
                hop_limit: head.hops,
                ..Ipv4::new(local, remote, Ipv4::UDP)
            };
            header.emit(packet, len).is_ok()
        }
        (IpAddr::V6(local), IpAddr::V6(remote)) => {
            let header = Ipv6 {
                traffic_class: head.ecn,
                hop_limit: head.hops,
                ..Ipv6::new(local, remote, Ipv6::UDP)
            };
            header.emit(packet, len).is_ok()
        }
        _ => false,
    }
}
