//! Datagram sockets. UDP: batches of datagrams, with what the kernel tells of each. Unix datagram
//! sockets are [`usockets_posix::datagrams`].
//!
//! | file | what it has |
//! |---|---|
//! | `mod.rs` | [`Datagrams`] for [`Linux`]: sending and receiving, and what the kernel can do |
//! | `control.rs` | control messages (`cmsg(3)`), taken apart and put together |
//! | `names.rs` | socket addresses as the kernel has them |
//! | `options.rs` | options of a socket |
//! | `messages.rs` | the system calls |

pub mod control;
mod messages;
mod names;
mod options;

use core::net::SocketAddr;

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::fd::BorrowedFd;
use rustix::io::Errno;
use rustix::net::{self, AddressFamily, SocketFlags, SocketType};
use usockets::{
    Address, Arrival, Arrivals, DatagramError, DatagramOption, Datagrams, Departure, Error,
    SocketId,
};
#[cfg(feature = "local")]
use usockets::{LocalEndpoint, LocalSockets};
use usockets_posix::datagrams::{self as one_by_one, for_family};
use usockets_posix::{Fd, Kind, canonical, connect_error, error};

use self::control::{Control, Received};
use self::messages::{BATCH_MAX, Incoming, Outgoing};
use self::names::Name;
use crate::linux::Linux;

/// Longest datagram, or run of them, that is passed to the kernel in one piece: what an IP packet
/// holds, less the longest usual headers (RFC 768, RFC 8200).
const RUN_BYTES_MAX: usize = 65_000;

/// Bytes that a part of the receive memory must have for runs to be received: the longest.
const WHOLE_RUN: usize = 65_535;

/// Times that a call is made again which an error of an earlier datagram broke off.
const RETRIES_MAX: u32 = 3;

/// A socket of IPv6, which also sends and receives IPv4.
const V6: u8 = 1;
/// The peer that is fixed is an IPv4 address.
const PEER_V4: u8 = 2;
/// The kernel puts runs together (`UDP_GRO`).
const RUNS: u8 = 4;
/// Datagrams in a row are not made runs of: the kernel has refused one.
const SINGLY: u8 = 8;

/// Bytes of the longest datagram that runs are made of: what a packet of Ethernet holds (1,500
/// bytes), less the headers of IPv6 and UDP. The kernel splits a run into datagrams that need no
/// fragments.
const MERGED_MAX: usize = 1_452;

/// What was learnt of the kernel, or of a sandbox around the program.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Learnt {
    /// `recvmmsg` is refused.
    recv_one: bool,
    /// `sendmmsg` is refused.
    send_one: bool,
    /// Whether the kernel splits runs (`UDP_SEGMENT`), once it was asked.
    splits: Option<bool>,
}

impl Datagrams for Linux {
    /// A socket at an IPv6 address also serves IPv4 if that is `[::]`. One at a multicast group
    /// shares its port with others at the same group.
    fn bind(&mut self, socket: &mut Fd, id: SocketId, at: Address) -> Result<(), Error> {
        let at = match at {
            Address::Ip(at) => at,
            #[cfg(feature = "local")]
            Address::Local(at) => {
                let at = LocalEndpoint::datagrams(at);
                return LocalSockets::bind_local(self, socket, id, &at);
            }
            _ => return Err(Error::Unsupported),
        };
        let family = match at {
            SocketAddr::V4(_) => AddressFamily::INET,
            SocketAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let fd = net::socket_with(family, SocketType::DGRAM, flags, None).map_err(error)?;
        let mut fd = Fd::new(fd, Kind::Datagrams);
        options::prepare(fd.get()?, &at)?;
        net::bind(fd.get()?, &at).map_err(error)?;
        fd.set_notes(if at.is_ipv6() { V6 } else { 0 });
        self.register(&fd, id, EventFlags::IN | EventFlags::ET)?;
        *socket = fd;
        Ok(())
    }

    fn set_peer(&mut self, socket: &mut Fd, peer: Address) -> Result<(), Error> {
        if socket.kind() == Kind::LocalDatagrams {
            return one_by_one::set_peer(socket, &peer);
        }
        let peer = peer.ip().ok_or(Error::Invalid)?;
        let notes = notes_of(socket)?;
        let to = for_family(peer, notes & V6 != 0)?;
        net::connect(socket.get()?, &to).map_err(|errno| connect_error(errno, &peer))?;
        let v4 = if canonical(peer).is_ipv4() {
            PEER_V4
        } else {
            0
        };
        socket.set_notes(notes & !PEER_V4 | v4);
        Ok(())
    }

    /// Receives by `recvmmsg`, 64 datagrams or runs a call; one by one where a sandbox refuses it.
    /// Runs come only if each part of `memory` has at least 65,535 bytes, and nothing else would
    /// be cut.
    fn recv_batch(
        &mut self,
        socket: &mut Fd,
        memory: &mut [u8],
        arrivals: &mut [Arrival],
    ) -> Result<Arrivals, Error> {
        if socket.kind() == Kind::LocalDatagrams {
            return self.recv_local_batch(socket, memory, arrivals);
        }
        let part = memory
            .len()
            .checked_div(arrivals.len())
            .ok_or(Error::Invalid)?;
        receive_runs(socket, part >= WHOLE_RUN)?;
        let fd = socket.get()?;
        let mut count = 0_usize;
        while count < arrivals.len() {
            let start = count.saturating_mul(part);
            let rooms = memory.get_mut(start..).unwrap_or_default();
            let places = arrivals.get_mut(count..).unwrap_or_default();
            let most = places.len().min(BATCH_MAX);
            let found = |index: usize, message: Incoming<'_>| {
                if let Some(place) = places.get_mut(index) {
                    *place = arrival(&message);
                }
            };
            match self.recv_some(fd, rooms, part, most, found) {
                Ok(some) => {
                    count = count.saturating_add(some);
                    if some < most && !self.learnt.recv_one {
                        return Ok(Arrivals {
                            count,
                            drained: true,
                        });
                    }
                }
                Err(Errno::AGAIN) => {
                    return Ok(Arrivals {
                        count,
                        drained: true,
                    });
                }
                // It will come again, or a later call tells of it.
                Err(errno) if count > 0 || is_of_a_datagram(errno) => break,
                Err(errno) => return Err(error(errno)),
            }
        }
        Ok(Arrivals {
            count,
            drained: false,
        })
    }

    /// Sends by `sendmmsg`, 64 datagrams or runs a call; one by one where a sandbox refuses it.
    /// Datagrams in a row that differ in nothing but their bytes are a run to the kernel
    /// (`UDP_SEGMENT`), which spares it most of the work on each. A run is split here where the
    /// kernel, a device or a sandbox does not.
    fn send_batch(
        &mut self,
        socket: &mut Fd,
        memory: &[u8],
        departures: &[Departure],
    ) -> Result<usize, Error> {
        if socket.kind() == Kind::LocalDatagrams {
            return one_by_one::send_batch(socket, memory, departures);
        }
        let mut notes = notes_of(socket)?;
        let fd = socket.get()?;
        let mut count = 0_usize;
        let mut failed = None;
        while let Some(rest) = departures.get(count..).filter(|rest| !rest.is_empty()) {
            match self.send_some(fd, &mut notes, memory, rest) {
                Ok(0) => break,
                Ok(taken) => count = count.saturating_add(taken),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        socket.set_notes(notes);
        match failed {
            // What was taken counts; the next call tells of the error.
            Some(error) if count == 0 => Err(error),
            _ => Ok(count),
        }
    }

    fn await_room(&mut self, socket: &mut Fd, id: SocketId, on: bool) {
        let out = if on {
            EventFlags::OUT
        } else {
            EventFlags::empty()
        };
        if let Ok(fd) = socket.get() {
            let flags = EventFlags::IN | EventFlags::ET | out;
            let _ = epoll::modify(&self.epoll, fd, EventData::new_u64(id.to_bits()), flags);
        }
    }

    fn next_error(&mut self, socket: &mut Fd) -> Option<DatagramError> {
        if socket.kind() == Kind::LocalDatagrams {
            return one_by_one::next_error(socket);
        }
        let fd = socket.get().ok()?;
        for _ in 0..BATCH_MAX {
            let mut found = None;
            let result = messages::recv_error(fd, |message| {
                let received = Received::parse(message.control);
                let to = names::parse(message.name).map_or(Address::Unnamed, Address::Ip);
                found = received.error.map(|error| error.to_datagram_error(to));
            });
            match (result, found) {
                // Of a datagram, or of another origin: a time stamp, which nobody asked for.
                (Ok(()), None) => {}
                (Ok(()), found) => return found,
                (Err(Errno::INTR), _) => {}
                (Err(_), _) => return None,
            }
        }
        None
    }

    fn set_datagram_option(
        &mut self,
        socket: &mut Fd,
        option: DatagramOption,
    ) -> Result<(), Error> {
        if socket.kind() == Kind::LocalDatagrams {
            return one_by_one::set_option(socket, option);
        }
        let is_v6 = notes_of(socket)? & V6 != 0;
        options::set(socket.get()?, is_v6, option)
    }
}

impl Linux {
    /// Receives up to `most` datagrams, at least one, each into `part` bytes of `rooms`.
    fn recv_some(
        &mut self,
        fd: BorrowedFd<'_>,
        rooms: &mut [u8],
        part: usize,
        most: usize,
        mut found: impl FnMut(usize, Incoming<'_>),
    ) -> Result<usize, Errno> {
        let mut retries = RETRIES_MAX;
        loop {
            let one = self.learnt.recv_one || most == 1;
            let result = if one {
                let room = rooms.get_mut(..part).unwrap_or_default();
                messages::recv_one(fd, room, &mut found).map(|()| 1)
            } else {
                messages::recv_many(fd, rooms, part, most, &mut found)
            };
            match result {
                Err(Errno::NOSYS | Errno::PERM) if !one => self.learnt.recv_one = true,
                Err(Errno::INTR) => {}
                // An ICMP error breaks a call off once (`ip(7)`); the queue of errors has it.
                Err(errno) if is_of_a_datagram(errno) && retries > 0 => {
                    retries = retries.saturating_sub(1);
                }
                result => return result,
            }
        }
    }

    /// Sends what one call takes of `departures`, which are some; 0 if it would block.
    fn send_some(
        &mut self,
        fd: BorrowedFd<'_>,
        notes: &mut u8,
        memory: &[u8],
        departures: &[Departure],
    ) -> Result<usize, Error> {
        let Some(first) = departures.first() else {
            return Ok(0);
        };
        let has_runs = departures.iter().any(is_run);
        let may_merge = *notes & SINGLY == 0 && departures.len() > 1;
        let splits = (has_runs || may_merge) && self.splits_runs(fd);
        let mut batch = Outgoing::new();
        fill(&mut batch, *notes, memory, departures, splits)?;
        if batch.len() == 0 {
            return self.send_split(fd, *notes, memory, first);
        }
        match self.send_all(fd, &mut batch) {
            Ok(count) => Ok(batch.pieces(count)),
            Err(Errno::AGAIN) => Ok(0),
            Err(errno @ (Errno::IO | Errno::INVAL | Errno::OPNOTSUPP))
                if is_run(first) || batch.pieces(1) > 1 =>
            {
                if errno == Errno::IO {
                    // A device that makes no checksums: it takes no run, ever.
                    self.learnt.splits = Some(false);
                }
                // Otherwise its segments are longer than what goes in one packet.
                if is_run(first) {
                    return self.send_split(fd, *notes, memory, first);
                }
                *notes |= SINGLY;
                let merged = departures.get(..batch.pieces(1)).unwrap_or_default();
                let mut batch = Outgoing::new();
                fill(&mut batch, *notes, memory, merged, false)?;
                match self.send_all(fd, &mut batch) {
                    Ok(count) => Ok(batch.pieces(count)),
                    Err(Errno::AGAIN) => Ok(0),
                    Err(errno) => Err(send_error(errno)),
                }
            }
            Err(errno) => Err(send_error(errno)),
        }
    }

    /// Sends each datagram of a run by itself; 0 if it would block before the first.
    fn send_split(
        &mut self,
        fd: BorrowedFd<'_>,
        notes: u8,
        memory: &[u8],
        run: &Departure,
    ) -> Result<usize, Error> {
        let segment = usize::from(run.segment);
        let mut sent = 0_usize;
        while sent < run.len {
            let mut batch = Outgoing::new();
            let mut done = sent;
            while done < run.len && batch.len() < BATCH_MAX {
                let piece = Departure {
                    start: run.start.saturating_add(done),
                    len: run.len.saturating_sub(done).min(segment),
                    ..*run
                };
                let (name, control, bytes) = message(notes, memory, &piece, 0)?;
                batch.push(&name, &control, bytes);
                done = done.saturating_add(segment);
            }
            match self.send_all(fd, &mut batch) {
                // One by one where a sandbox refuses more.
                Ok(count) => sent = sent.saturating_add(segment.saturating_mul(count)),
                // The rest of a run that was begun is lost, as datagrams may be.
                Err(_) if sent > 0 => break,
                Err(Errno::AGAIN) => return Ok(0),
                Err(errno) => return Err(send_error(errno)),
            }
        }
        Ok(1)
    }

    /// Sends a batch, and returns how many of it were taken, at least one.
    fn send_all(&mut self, fd: BorrowedFd<'_>, batch: &mut Outgoing<'_>) -> Result<usize, Errno> {
        let mut retries = RETRIES_MAX;
        let mut one = self.learnt.send_one || batch.len() == 1;
        let mut refused = false;
        loop {
            let result = if one {
                batch.send_one(fd).map(|()| 1)
            } else {
                batch.send_many(fd)
            };
            match result {
                // By a sandbox, if `sendmsg` works; by a firewall, if it is refused too.
                Err(Errno::NOSYS | Errno::PERM) if !one => (one, refused) = (true, true),
                Ok(_) if refused => {
                    self.learnt.send_one = true;
                    return result;
                }
                Err(Errno::INTR) => {}
                // Of an earlier datagram, or of this one, which fails again.
                Err(errno) if is_of_a_datagram(errno) && retries > 0 => {
                    retries = retries.saturating_sub(1);
                }
                result => return result,
            }
        }
    }

    /// Returns true if the kernel splits runs. Asks it once: before Linux 4.18 it would take a run
    /// for one datagram.
    fn splits_runs(&mut self, fd: BorrowedFd<'_>) -> bool {
        let splits = self
            .learnt
            .splits
            .unwrap_or_else(|| options::splits_runs(fd));
        self.learnt.splits = Some(splits);
        splits
    }
}

/// Returns the notes of a UDP socket.
fn notes_of(socket: &Fd) -> Result<u8, Error> {
    match socket.kind() {
        Kind::Datagrams => Ok(socket.notes()),
        _ => Err(Error::Invalid),
    }
}

/// Has the kernel put runs together, or not: a call when it changes.
fn receive_runs(socket: &mut Fd, on: bool) -> Result<(), Error> {
    let notes = notes_of(socket)?;
    if on != (notes & RUNS != 0) {
        // Where the kernel cannot, every datagram comes by itself.
        options::receive_runs(socket.get()?, on);
        socket.set_notes(notes ^ RUNS);
    }
    Ok(())
}

/// Puts departures into an empty batch, up to the first that has to be split here, or is wrong.
fn fill<'m>(
    batch: &mut Outgoing<'m>,
    notes: u8,
    memory: &'m [u8],
    departures: &[Departure],
    splits: bool,
) -> Result<(), Error> {
    let merges = splits && notes & SINGLY == 0;
    // The first of the datagrams that the last message is a run of, unless that is full or ended.
    let mut run: Option<(&Departure, usize)> = None;
    for departure in departures.iter().take(BATCH_MAX) {
        if is_run(departure) && !(splits && departure.len <= RUN_BYTES_MAX) {
            break;
        }
        if let Some((first, len)) = run
            && continues(first, departure)
            && len.saturating_add(departure.len) <= RUN_BYTES_MAX
            && let Some(bytes) = bytes_of(memory, departure)
        {
            batch.extend(u16::try_from(first.len).unwrap_or_default(), bytes);
            let len = len.saturating_add(departure.len);
            // A shorter one is the last of its run.
            run = (departure.len == first.len).then_some((first, len));
            continue;
        }
        match message(notes, memory, departure, departure.segment) {
            Ok((name, control, bytes)) => batch.push(&name, &control, bytes),
            Err(_) if batch.len() > 0 => break,
            Err(error) => return Err(error),
        }
        let begins = merges && !is_run(departure) && (1..=MERGED_MAX).contains(&departure.len);
        run = begins.then_some((departure, departure.len));
    }
    Ok(())
}

/// Returns true if a datagram may be the next of the run that `first` begins.
fn continues(first: &Departure, next: &Departure) -> bool {
    !is_run(next)
        && (1..=first.len).contains(&next.len)
        && next.to == first.to
        && next.source == first.source
        && next.interface == first.interface
        && next.ecn == first.ecn
}

/// Returns the bytes of a departure; `None` if they lie outside the memory.
fn bytes_of<'m>(memory: &'m [u8], departure: &Departure) -> Option<&'m [u8]> {
    let end = departure.start.checked_add(departure.len)?;
    memory.get(departure.start..end)
}

/// Returns true if `departure` is more than one datagram.
fn is_run(departure: &Departure) -> bool {
    departure.segment > 0 && departure.len > usize::from(departure.segment)
}

/// Returns true if an error number is what becomes of a datagram on its way (`icmp_err_convert` in
/// Linux's `icmp.c`), which the kernel also tells whatever call comes next.
fn is_of_a_datagram(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::CONNREFUSED
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH
            | Errno::HOSTDOWN
            | Errno::NONET
            | Errno::NOPROTOOPT
            | Errno::OPNOTSUPP
            | Errno::PROTO
            | Errno::MSGSIZE
            | Errno::ACCESS
    )
}

/// Translates an error number of a send: a firewall's refusal (`EPERM`) is no fault of the program.
#[cold]
fn send_error(errno: Errno) -> Error {
    match errno {
        Errno::PERM => Error::Unreachable,
        Errno::NONET => Error::Unreachable,
        errno => error(errno),
    }
}

/// Puts together what the kernel told of a datagram.
fn arrival(message: &Incoming<'_>) -> Arrival {
    let received = Received::parse(message.control);
    let peer = names::parse(message.name);
    Arrival {
        len: message.len,
        segment: match received.segment {
            segment if usize::from(segment) < message.len => segment,
            _ => 0,
        },
        peer: peer.map_or(Address::Unnamed, |peer| canonical(peer).into()),
        destination: received.destination,
        interface: received.interface,
        ecn: received.ecn,
        hops: received.hops,
        truncated: message.is_truncated,
    }
}

/// Puts together what the kernel is to be told of a datagram: its address, control messages and
/// bytes.
fn message<'m>(
    notes: u8,
    memory: &'m [u8],
    departure: &Departure,
    segment: u16,
) -> Result<(Name, Control, &'m [u8]), Error> {
    let is_v6_socket = notes & V6 != 0;
    let bytes = bytes_of(memory, departure).ok_or(Error::Invalid)?;
    let (name, is_v4) = match departure.to {
        Address::Unnamed => (Name::NONE, !is_v6_socket || notes & PEER_V4 != 0),
        to => {
            let to = to.ip().ok_or(Error::Invalid)?;
            let name = Name::of(for_family(to, is_v6_socket)?);
            (name, canonical(to).is_ipv4())
        }
    };
    let mut control = Control::new();
    if departure.source.is_some() || departure.interface != 0 {
        control.push_source(is_v4, departure.source, departure.interface)?;
    }
    control.push_ecn(is_v4, departure.ecn);
    if segment > 0 && is_run(departure) {
        control.push_segment(segment);
    }
    Ok((name, control, bytes))
}
