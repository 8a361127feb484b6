//! Datagram sockets of a simulated host.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use usockets::{
    Address, Arrival, Arrivals, DatagramError, DatagramOption, Datagrams, Departure, Ecn, Error,
    Readiness, SocketId,
};

use crate::end::{End, Kind};
use crate::host::{Host, SimSocket};
use crate::network::{Event, Network};

/// What a datagram socket has on its way in, in bytes with 64 more each: what is beyond is lost.
const INCOMING_MAX: usize = 200_000;
/// The longest datagram: what an IPv4 packet holds (RFC 768).
const DATAGRAM_MAX: usize = 65_507;
/// Most errors that are kept.
const ERRORS_MAX: usize = 64;
/// Hops that a datagram has left when it arrives, of 64.
const HOPS: u8 = 63;

/// A datagram socket.
#[derive(Debug, Default)]
pub(super) struct Mail {
    incoming: VecDeque<Datagram>,
    errors: VecDeque<DatagramError>,
    peer: Option<SocketAddr>,
    /// Bytes sent that the network has not taken yet.
    outgoing: usize,
    outgoing_max: usize,
    /// A send took none, and room was not reported since.
    blocked: bool,
    groups: Vec<(IpAddr, Option<IpAddr>)>,
    broadcast: bool,
    is_loop_off: bool,
    hops: Option<u8>,
}

/// One datagram on its way.
#[derive(Clone, Debug)]
pub(super) struct Datagram {
    bytes: Vec<u8>,
    from: SocketAddr,
    to: SocketAddr,
    ecn: Ecn,
}

impl Mail {
    /// The facts that hold now.
    pub(super) fn facts(&self) -> Readiness {
        Readiness::READABLE
            .when(!self.incoming.is_empty())
            .union(Readiness::ERROR.when(!self.errors.is_empty()))
            .union(Readiness::WRITABLE.when(self.blocked && self.outgoing < self.outgoing_max))
    }

    fn incoming_bytes(&self) -> usize {
        self.incoming.iter().map(|one| one.bytes.len() + 64).sum()
    }
}

impl<const HOLDS: bool> Datagrams for Host<HOLDS> {
    fn bind(&mut self, socket: &mut SimSocket, id: SocketId, at: Address) -> Result<(), Error> {
        let at = at.ip().ok_or(Error::Unsupported)?;
        let index = self.index();
        socket.key = self.network().bind_datagrams(index, id, at)?;
        Ok(())
    }

    fn set_peer(&mut self, socket: &mut SimSocket, peer: Address) -> Result<(), Error> {
        let peer = peer.ip().ok_or(Error::Invalid)?;
        let mut network = self.network();
        let local = network.end(socket.key).ok_or(Error::Invalid)?.local;
        if local.is_ipv4() && peer.ip().to_canonical().is_ipv6() {
            return Err(Error::Unsupported);
        }
        network.mail(socket.key)?.peer = Some(canonical(peer));
        Ok(())
    }

    fn recv_batch(
        &mut self,
        socket: &mut SimSocket,
        memory: &mut [u8],
        arrivals: &mut [Arrival],
    ) -> Result<Arrivals, Error> {
        let part = memory.len().checked_div(arrivals.len());
        let part = part.ok_or(Error::Invalid)?;
        let mut network = self.call(|counts| &mut counts.receives);
        network.recv_datagrams(socket.key, memory.chunks_mut(part.max(1)), arrivals)
    }

    fn send_batch(
        &mut self,
        socket: &mut SimSocket,
        memory: &[u8],
        departures: &[Departure],
    ) -> Result<usize, Error> {
        let mut network = self.call(|counts| &mut counts.sends);
        for (count, departure) in departures.iter().enumerate() {
            match network.send_run(socket.key, memory, departure) {
                Ok(true) => {}
                Ok(false) => return Ok(count),
                Err(_) if count > 0 => return Ok(count),
                Err(error) => return Err(error),
            }
        }
        Ok(departures.len())
    }

    fn next_error(&mut self, socket: &mut SimSocket) -> Option<DatagramError> {
        let mut network = self.call(|counts| &mut counts.errors);
        network.mail(socket.key).ok()?.errors.pop_front()
    }

    fn set_datagram_option(
        &mut self,
        socket: &mut SimSocket,
        option: DatagramOption,
    ) -> Result<(), Error> {
        let mut network = self.network();
        let mail = network.mail(socket.key)?;
        match option {
            DatagramOption::Broadcast(on) => mail.broadcast = on,
            DatagramOption::Join { group, source, .. } => {
                if !group.is_multicast() {
                    return Err(Error::Invalid);
                }
                if mail.groups.contains(&(group, source)) {
                    return Err(Error::AddressInUse);
                }
                mail.groups.push((group, source));
            }
            DatagramOption::Leave { group, source, .. } => {
                let joined = mail.groups.iter().position(|one| *one == (group, source));
                mail.groups
                    .swap_remove(joined.ok_or(Error::AddressUnavailable)?);
            }
            DatagramOption::MulticastLoop(on) => mail.is_loop_off = !on,
            DatagramOption::Hops(hops) => mail.hops = Some(hops),
            // Every path takes every packet.
            DatagramOption::MulticastHops(_) | DatagramOption::MtuProbing(_) => {}
            _ => return Err(Error::Unsupported),
        }
        Ok(())
    }
}

impl Network {
    /// Returns true if there is a datagram socket under a key.
    pub(super) fn is_mail(&mut self, key: u32) -> bool {
        self.mail(key).is_ok()
    }

    fn mail(&mut self, key: u32) -> Result<&mut Mail, Error> {
        match &mut self.end(key).ok_or(Error::Invalid)?.kind {
            Kind::Mail(mail) => Ok(mail),
            _ => Err(Error::Invalid),
        }
    }

    fn bind_datagrams(&mut self, host: usize, id: SocketId, at: SocketAddr) -> Result<u32, Error> {
        let own = at.ip().is_loopback()
            || at.ip().is_unspecified()
            || at.ip().is_multicast()
            || self.hosts[host].addresses.contains(&at.ip().to_canonical());
        if !own {
            return Err(Error::AddressUnavailable);
        }
        let port = match at.port() {
            0 => self.take_port(host),
            port => port,
        };
        let local = SocketAddr::new(at.ip(), port);
        let overlaps = |end: &End| {
            let (here, there) = (end.local.ip(), local.ip());
            let same = here == there || here.is_unspecified() || there.is_unspecified();
            end.host == host && end.held && end.local.port() == port && same
        };
        let taken = self
            .ends
            .iter()
            .any(|end| matches!(end.kind, Kind::Mail(_)) && overlaps(end));
        if taken && !at.ip().is_multicast() {
            return Err(Error::AddressInUse);
        }
        self.take_descriptor(host)?;
        let mail = Mail {
            outgoing_max: self.faults.send_buffer,
            ..Mail::default()
        };
        let mut end = End::new(host, local, Kind::Mail(mail));
        end.id = Some(id);
        end.held = true;
        let key = self.add(end);
        self.note("bind", u64::from(key), id.to_bits());
        Ok(key)
    }

    fn recv_datagrams<'m>(
        &mut self,
        key: u32,
        rooms: impl Iterator<Item = &'m mut [u8]>,
        arrivals: &mut [Arrival],
    ) -> Result<Arrivals, Error> {
        let there = self.mail(key)?.incoming.len();
        let mut most = there.min(arrivals.len());
        if most > 0 && self.rng.chance(self.faults.partial_read) {
            most = self.rng.between(1, most as u64) as usize;
        }
        for (arrival, room) in arrivals.iter_mut().zip(rooms).take(most) {
            let Some(one) = self.mail(key)?.incoming.pop_front() else {
                break;
            };
            let len = one.bytes.len().min(room.len());
            room[..len].copy_from_slice(&one.bytes[..len]);
            *arrival = Arrival {
                len,
                segment: 0,
                peer: canonical(one.from).into(),
                destination: Some(one.to.ip().to_canonical()),
                interface: 1,
                ecn: one.ecn,
                hops: Some(HOPS),
                truncated: len < one.bytes.len(),
            };
        }
        let undrained = self.rng.chance(self.faults.undrained);
        let drained = most == there && !undrained;
        if drained && let Some(end) = self.end(key) {
            end.told = false;
        }
        self.note("recv datagrams", u64::from(key), most as u64);
        Ok(Arrivals {
            count: most,
            drained,
        })
    }

    /// Sends a datagram, or a run of them; false if it would block.
    fn send_run(&mut self, key: u32, memory: &[u8], run: &Departure) -> Result<bool, Error> {
        let end = self.end(key).ok_or(Error::Invalid)?;
        let (host, local) = (end.host, end.local);
        let mail = self.mail(key)?;
        let to = match run.to {
            Address::Unnamed => mail.peer.ok_or(Error::Invalid)?,
            to => canonical(to.ip().ok_or(Error::Invalid)?),
        };
        let ours = local.ip();
        if ours.is_ipv4() && to.is_ipv6() {
            return Err(Error::Unsupported);
        }
        if to.ip() == IpAddr::from([255; 4]) && !mail.broadcast {
            return Err(Error::Denied);
        }
        let bytes = memory.get(run.start..run.start + run.len);
        let bytes = bytes.ok_or(Error::Invalid)?;
        let size = match run.segment {
            0 => bytes.len(),
            segment => usize::from(segment).min(bytes.len()),
        };
        if size > DATAGRAM_MAX {
            return Err(Error::Invalid);
        }
        let room = mail.outgoing == 0 || mail.outgoing + bytes.len() <= mail.outgoing_max;
        if !room || self.rng.chance(self.faults.partial_write) {
            self.mail(key)?.blocked = true;
            let at = self.now + self.rng.below(2_000);
            self.schedule(at, Event::Room { key });
            return Ok(false);
        }
        let from = match run.source {
            Some(source) => source,
            None if ours.is_unspecified() || ours.is_multicast() => {
                self.source_of(host, ours, to.ip())
            }
            None => ours,
        };
        if run.source.is_some() && self.host_at(host, from) != Some(host) {
            return Err(Error::Invalid);
        }
        let from = SocketAddr::new(from, local.port());
        self.mail(key)?.outgoing += bytes.len();
        let out = self.now + 10;
        self.schedule(
            out,
            Event::MailSent {
                key,
                bytes: bytes.len() as u32,
            },
        );
        for piece in bytes
            .chunks(size.max(1))
            .chain(bytes.is_empty().then_some(bytes))
        {
            self.send_one(
                key,
                Datagram {
                    bytes: piece.to_vec(),
                    from,
                    to,
                    ecn: run.ecn,
                },
            );
        }
        Ok(true)
    }

    /// The address of a host from which it sends to another.
    fn source_of(&self, host: usize, local: IpAddr, to: IpAddr) -> IpAddr {
        if to.is_loopback() {
            return to;
        }
        let v6 = local.is_ipv6() && to.is_ipv6();
        self.hosts[host].addresses[usize::from(v6)]
    }

    /// Has a datagram delivered, lost, or delivered twice, after some time: others overtake it.
    fn send_one(&mut self, key: u32, datagram: Datagram) {
        if self.rng.chance(self.faults.datagram_loss) {
            return self.note("lost", u64::from(key), 0);
        }
        let copies = 1 + usize::from(self.rng.chance(self.faults.datagram_copies));
        for _ in 0..copies {
            let earliest = self.end(key).map_or(0, |end| end.last_mail);
            let mut at = self.now + self.latency();
            if !self.faults.datagram_reordering {
                at = at.max(earliest);
            }
            if let Some(end) = self.end(key) {
                end.last_mail = at.max(earliest);
            }
            let index = self.mail_under_way.len() as u32;
            self.mail_under_way.push(Some(datagram.clone()));
            self.schedule(at, Event::Mail { from: key, index });
        }
    }

    /// A datagram reaches the hosts that it goes to.
    pub(super) fn deliver(&mut self, from: u32, index: u32) {
        let Some(datagram) = self.mail_under_way[index as usize].take() else {
            return;
        };
        let Some((sender, sender_held)) = self.end(from).map(|end| (end.host, end.held)) else {
            return;
        };
        let ip = datagram.to.ip();
        if ip.is_multicast() || ip == IpAddr::from([255; 4]) {
            let keys: Vec<_> = (1..=self.ends.len() as u32).collect();
            for key in keys {
                if self.wants(key, from, &datagram) {
                    self.put(key, datagram.clone());
                }
            }
            return;
        }
        let host = self.host_at(sender, ip);
        if host.is_some_and(|host| self.hosts[host].unplugged) || self.hosts[sender].unplugged {
            return;
        }
        let to = host.and_then(|host| self.mail_at(host, &datagram));
        match to {
            Some(key) => self.put(key, datagram),
            None if sender_held => {
                let error = match host {
                    Some(_) => Error::Refused,
                    None => Error::Unreachable,
                };
                if let Ok(mail) = self.mail(from) {
                    if mail.errors.len() < ERRORS_MAX {
                        let to = datagram.to.into();
                        mail.errors.push_back(DatagramError::new(to, error, 0));
                    }
                    self.note("icmp", u64::from(from), 0);
                    // That something can be received is told apart from it.
                    let told = self.end(from).is_some_and(|end| end.told);
                    self.mark(from, Readiness::ERROR);
                    if let Some(end) = self.end(from) {
                        end.told = told;
                    }
                }
            }
            None => {}
        }
    }

    /// The socket of a host that takes a datagram.
    fn mail_at(&self, host: usize, datagram: &Datagram) -> Option<u32> {
        let ip = datagram.to.ip();
        let takes = |end: &End| {
            let Kind::Mail(mail) = &end.kind else {
                return false;
            };
            let here = end.local.ip();
            let any = here.is_unspecified() && (here.is_ipv6() || ip.is_ipv4());
            let from = mail
                .peer
                .is_none_or(|peer| peer == canonical(datagram.from));
            end.host == host
                && end.held
                && end.local.port() == datagram.to.port()
                && (here == ip || any)
                && from
        };
        let index = self.ends.iter().position(takes)?;
        Some(index as u32 + 1)
    }

    /// Returns true if a socket takes what is sent to a group or to everyone.
    fn wants(&self, key: u32, from: u32, datagram: &Datagram) -> bool {
        let end = &self.ends[key as usize - 1];
        let sender = &self.ends[from as usize - 1];
        let Kind::Mail(mail) = &end.kind else {
            return false;
        };
        if !end.held || end.local.port() != datagram.to.port() {
            return false;
        }
        let apart = self.hosts[end.host].unplugged || self.hosts[sender.host].unplugged;
        let off = matches!(&sender.kind, Kind::Mail(mail) if mail.is_loop_off);
        if end.host == sender.host && off || end.host != sender.host && apart {
            return false;
        }
        let ip = datagram.to.ip();
        let joined = mail.groups.iter().any(|(group, source)| {
            *group == ip && source.is_none_or(|source| source == datagram.from.ip())
        });
        let bound = end.local.ip() == ip || end.local.ip().is_unspecified();
        bound && (joined || !ip.is_multicast())
    }

    /// Puts a datagram into a socket that has room for it.
    fn put(&mut self, key: u32, datagram: Datagram) {
        let Ok(mail) = self.mail(key) else { return };
        let bytes = datagram.bytes.len();
        if mail.incoming_bytes() + bytes > INCOMING_MAX {
            return self.note("overflow", u64::from(key), 0);
        }
        mail.incoming.push_back(datagram);
        self.note("mail", u64::from(key), bytes as u64);
        self.mark(key, Readiness::READABLE);
    }

    /// The network has taken some bytes of a socket.
    pub(super) fn mail_sent(&mut self, key: u32, bytes: u32) {
        if let Ok(mail) = self.mail(key) {
            mail.outgoing = mail.outgoing.saturating_sub(bytes as usize);
            self.tell_mail_room(key);
        }
    }

    /// Tells a datagram socket that there is room again, if it waits for it.
    pub(super) fn tell_mail_room(&mut self, key: u32) {
        if let Ok(mail) = self.mail(key)
            && mail.blocked
            && mail.outgoing < mail.outgoing_max.max(1)
        {
            mail.blocked = false;
            self.mark(key, Readiness::WRITABLE);
        }
    }
}

/// An IPv4-mapped address as IPv4.
fn canonical(addr: SocketAddr) -> SocketAddr {
    SocketAddr::new(addr.ip().to_canonical(), addr.port())
}
