//! What a non-blocking datagram socket does on every POSIX system: UDP (`udp(7)`) and Unix datagram
//! sockets (`unix(7)`), one datagram a call.
//!
//! A datagram's peer, length and truncation are told, and errors that come back for one sent to a
//! fixed peer. POSIX has no common words for the rest: the destination, the interface, the
//! congestion mark and the hops of what comes are not told, and a departure that asks for any of
//! them is [`Error::Unsupported`]. Runs are split here. `usockets-linux` has all of it for UDP.

use core::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::io::{Errno, IoSlice, IoSliceMut};
use rustix::net::{
    self, AddressFamily, RecvAncillaryBuffer, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SocketType, sockopt,
};
use usockets::{
    Address, Arrival, Arrivals, DatagramError, DatagramOption, Departure, Ecn, Error, LocalEndpoint,
};

use crate::errno::{connect_error, error};
use crate::fd::{Fd, Kind};
use crate::local::{self, Received};
use crate::options::{self, NO_SIGNAL};

/// Times that a call is made again which an error of an earlier datagram broke off.
const RETRIES_MAX: u32 = 3;

/// A socket of IPv6, which also sends and receives IPv4. Other bits are free to a platform that
/// makes calls of its own.
const V6: u8 = 1;
/// A call met the error of an earlier datagram: its peer's port is closed.
const REFUSED: u8 = 64;
/// A call met the error of an earlier datagram: it did not get there.
const UNREACHABLE: u8 = 128;

/// Opens a UDP socket: `socket`, `bind`. One at `[::]` serves IPv4 as well; one at a multicast
/// group shares its port with others at the same group.
///
/// # Errors
/// As [`Platform::listen`](usockets::Platform::listen).
pub fn bind(at: SocketAddr) -> Result<Fd, Error> {
    let family = match at {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let fd = options::socket_of(family, SocketType::DGRAM).map_err(error)?;
    if at.ip().is_multicast() {
        // Programs share a group, and each gets a copy. Elsewhere it would be a theft of the port.
        sockopt::set_socket_reuseaddr(&fd, true).map_err(error)?;
    }
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(&fd, false).map_err(error)?;
    }
    net::bind(&fd, &at).map_err(error)?;
    let mut socket = Fd::new(fd, Kind::Datagrams);
    socket.set_notes(if at.is_ipv6() { V6 } else { 0 });
    Ok(socket)
}

/// Opens a Unix datagram socket at a path or abstract name: `socket`, `bind`, `chmod` if there is a
/// mode.
///
/// # Errors
/// As [`local::listen`].
pub fn bind_local(at: &LocalEndpoint) -> Result<Fd, Error> {
    let fd = local::bind(at, SocketType::DGRAM)?;
    Ok(Fd::new(fd, Kind::LocalDatagrams))
}

/// Returns an address as a socket of this family sends to it: IPv4 as an IPv4-mapped one on a
/// socket of IPv6 (RFC 4291, section 2.5.5.2).
///
/// # Errors
/// [`Error::Unsupported`] for IPv6 on a socket of IPv4.
pub fn for_family(addr: SocketAddr, is_v6: bool) -> Result<SocketAddr, Error> {
    match addr {
        SocketAddr::V4(v4) if is_v6 => {
            Ok(SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port()))
        }
        SocketAddr::V6(v6) if !is_v6 => {
            let v4 = v6.ip().to_ipv4_mapped().ok_or(Error::Unsupported)?;
            Ok(SocketAddr::new(v4.into(), v6.port()))
        }
        addr => Ok(addr),
    }
}

/// Fixes the peer: `connect`.
///
/// # Errors
/// As [`Datagrams::set_peer`](usockets::Datagrams::set_peer); [`Error::Refused`] when there is no
/// socket at a path or name.
pub fn set_peer(socket: &Fd, peer: &Address) -> Result<(), Error> {
    let fd = datagrams(socket)?;
    match (peer, socket.kind()) {
        (Address::Ip(peer), Kind::Datagrams) => {
            let to = for_family(*peer, socket.notes() & V6 != 0)?;
            net::connect(fd, &to).map_err(|errno| connect_error(errno, peer))
        }
        (Address::Local(peer), Kind::LocalDatagrams) => {
            net::connect(fd, &local::encode(peer)?).map_err(local_error)
        }
        _ => Err(Error::Invalid),
    }
}

/// Receives datagrams into equal parts of `memory`: `recvmsg` for each, and one more that finds
/// none.
///
/// A Unix datagram that descriptors came with is the last of its batch, and they are in `passed`
/// until the next receive. The system closes those beyond [`RECEIVED_MAX`](local::RECEIVED_MAX).
///
/// # Errors
/// As [`Datagrams::recv_batch`](usockets::Datagrams::recv_batch).
pub fn recv_batch(
    socket: &mut Fd,
    memory: &mut [u8],
    arrivals: &mut [Arrival],
    passed: &mut Received,
) -> Result<Arrivals, Error> {
    datagrams(socket)?;
    let is_local = socket.kind() == Kind::LocalDatagrams;
    let part = memory.len().checked_div(arrivals.len());
    let part = part.filter(|part| *part > 0).ok_or(Error::Invalid)?;
    let mut received = Arrivals {
        count: 0,
        drained: false,
    };
    for (place, room) in arrivals.iter_mut().zip(memory.chunks_exact_mut(part)) {
        let result = match is_local {
            true => retried(socket, |fd| recv_local(fd, room, passed)),
            false => retried(socket, |fd| recv_one(fd, room)).map(|arrival| (arrival, false)),
        };
        match result {
            Ok((arrival, false)) => *place = arrival,
            Ok((arrival, true)) => {
                *place = arrival;
                received.count = received.count.saturating_add(1);
                break;
            }
            Err(Errno::AGAIN) => {
                received.drained = true;
                break;
            }
            // It will come again, or a later call tells of it.
            Err(errno) if received.count > 0 || is_of_a_datagram(errno) => break,
            Err(errno) => return Err(error(errno)),
        }
        received.count = received.count.saturating_add(1);
    }
    Ok(received)
}

fn recv_one(fd: BorrowedFd<'_>, room: &mut [u8]) -> Result<Arrival, Errno> {
    let len = room.len();
    let mut control = RecvAncillaryBuffer::default();
    let slices = &mut [IoSliceMut::new(room)];
    let message = net::recvmsg(fd, slices, &mut control, RecvFlags::empty())?;
    let peer = message.address.map(local::decode);
    Ok(Arrival {
        len: message.bytes.min(len),
        peer: peer.and_then(Result::ok).unwrap_or_default(),
        truncated: message.flags.contains(ReturnFlags::TRUNC),
        ..Arrival::default()
    })
}

/// Receives a Unix datagram; tells whether descriptors came with it.
fn recv_local(
    fd: BorrowedFd<'_>,
    room: &mut [u8],
    passed: &mut Received,
) -> Result<(Arrival, bool), Errno> {
    let message = local::receive(fd, room, passed)?;
    let peer = message.peer.map(local::decode);
    let arrival = Arrival {
        len: message.len,
        peer: peer.and_then(Result::ok).unwrap_or_default(),
        truncated: message.truncated,
        ..Arrival::default()
    };
    Ok((arrival, message.has_descriptors))
}

/// Sends datagrams: `sendmsg` for each, and for each of a run. Returns how many, or how many runs,
/// were taken; 0 if it would block.
///
/// A Unix datagram to a receiver whose queue is full would block only if that receiver is the fixed
/// peer; to others it is [`Error::Exhausted`], since no report tells of their room.
///
/// # Errors
/// As [`Datagrams::send_batch`](usockets::Datagrams::send_batch).
pub fn send_batch(
    socket: &mut Fd,
    memory: &[u8],
    departures: &[Departure],
) -> Result<usize, Error> {
    datagrams(socket)?;
    let mut count = 0_usize;
    for departure in departures {
        match send_run(socket, memory, departure) {
            Ok(true) => count = count.saturating_add(1),
            Ok(false) => break,
            // What was taken counts; the next call tells of the error.
            Err(_) if count > 0 => break,
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

/// Sends a Unix datagram with descriptors beside it: `sendmsg`. Returns false if it would block.
///
/// # Errors
/// As [`LocalSockets::send_datagram_with_descriptors`].
///
/// [`LocalSockets::send_datagram_with_descriptors`]:
///     usockets::LocalSockets::send_datagram_with_descriptors
pub fn send_with_descriptors(
    socket: &mut Fd,
    memory: &[u8],
    departure: &Departure,
    descriptors: &[&OwnedFd],
) -> Result<bool, Error> {
    if socket.kind() != Kind::LocalDatagrams {
        return Err(Error::Invalid);
    }
    check_wishes(socket, departure)?;
    let bytes = bytes_of(memory, departure)?;
    let segment = usize::from(departure.segment);
    if segment != 0 && segment < bytes.len() {
        return Err(Error::Invalid);
    }
    send_one(socket, bytes, &departure.to, descriptors)
}

/// Returns the bytes of a departure.
fn bytes_of<'m>(memory: &'m [u8], departure: &Departure) -> Result<&'m [u8], Error> {
    let end = departure.start.checked_add(departure.len);
    let bytes = end.and_then(|end| memory.get(departure.start..end));
    bytes.ok_or(Error::Invalid)
}

/// Sends one datagram, or each of a run. Returns false if it would block before the first.
fn send_run(socket: &mut Fd, memory: &[u8], run: &Departure) -> Result<bool, Error> {
    check_wishes(socket, run)?;
    let bytes = bytes_of(memory, run)?;
    let segment = match usize::from(run.segment) {
        0 => bytes.len(),
        segment => segment,
    };
    if bytes.len() <= segment {
        return send_one(socket, bytes, &run.to, &[]);
    }
    for (index, piece) in bytes.chunks(segment).enumerate() {
        match send_one(socket, piece, &run.to, &[]) {
            Ok(true) => {}
            // The rest of a run that was begun is lost, as datagrams may be.
            Ok(false) | Err(_) if index > 0 => return Ok(true),
            result => return result,
        }
    }
    Ok(true)
}

/// Refuses what no call here can do for a departure.
fn check_wishes(socket: &Fd, departure: &Departure) -> Result<(), Error> {
    if departure.interface != 0 || departure.ecn != Ecn::NotEct {
        return Err(Error::Unsupported);
    }
    let Some(source) = departure.source else {
        return Ok(());
    };
    // What it is bound to is where it sends from.
    let local = local::local_addr(socket)?.ip().map(|local| local.ip());
    if local == Some(source.to_canonical()) {
        Ok(())
    } else {
        Err(Error::Unsupported)
    }
}

/// Sends one datagram, with descriptors beside it if there are some. Returns false if it would
/// block.
fn send_one(
    socket: &mut Fd,
    bytes: &[u8],
    to: &Address,
    descriptors: &[&OwnedFd],
) -> Result<bool, Error> {
    let is_local = socket.kind() == Kind::LocalDatagrams;
    let slices = &[IoSlice::new(bytes)];
    let result = match to {
        Address::Unnamed if descriptors.is_empty() => retried(socket, |fd| {
            net::sendmsg(fd, slices, &mut SendAncillaryBuffer::default(), NO_SIGNAL)
        }),
        Address::Unnamed => local::with_descriptors(descriptors, |control| {
            retried(socket, |fd| net::sendmsg(fd, slices, control, NO_SIGNAL))
        })?,
        Address::Ip(to) if !is_local => {
            let to = for_family(*to, socket.notes() & V6 != 0)?;
            retried(socket, |fd| {
                let control = &mut SendAncillaryBuffer::default();
                net::sendmsg_addr(fd, &to, slices, control, NO_SIGNAL)
            })
        }
        Address::Local(to) if is_local => {
            let to = local::encode(to)?;
            local::with_descriptors(descriptors, |control| {
                retried(socket, |fd| {
                    net::sendmsg_addr(fd, &to, slices, control, NO_SIGNAL)
                })
            })?
        }
        _ => return Err(Error::Invalid),
    };
    match result {
        Ok(_) => Ok(true),
        Err(Errno::AGAIN) if is_local && *to != Address::Unnamed => Err(Error::Exhausted),
        Err(Errno::AGAIN) => Ok(false),
        Err(errno) if is_local => Err(local_error(errno)),
        Err(errno) => Err(send_error(errno)),
    }
}

/// Makes a call, again if a signal or the error of an earlier datagram broke it off. Such an error
/// is kept for [`next_error`].
fn retried<T>(
    socket: &mut Fd,
    mut call: impl FnMut(BorrowedFd<'_>) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let mut earlier = None;
    let mut retries = RETRIES_MAX;
    loop {
        let result = call(socket.get().map_err(|_| Errno::BADF)?);
        match result {
            Err(Errno::INTR) => {}
            Err(errno) if is_of_a_datagram(errno) && retries > 0 => {
                earlier = Some(errno);
                retries = retries.saturating_sub(1);
            }
            // Of this one, if it came to nothing in the end.
            Err(errno) if is_of_a_datagram(errno) => return Err(errno),
            result => {
                if let Some(earlier) = earlier {
                    keep(socket, earlier);
                }
                return result;
            }
        }
    }
}

/// Keeps the error of an earlier datagram.
fn keep(socket: &mut Fd, errno: Errno) {
    let note = match errno {
        Errno::CONNREFUSED | Errno::CONNRESET => REFUSED,
        _ => UNREACHABLE,
    };
    socket.set_notes(socket.notes() | note);
}

/// Returns true if an error was met that [`next_error`] is to tell.
#[must_use]
pub fn keeps_error(socket: &Fd) -> bool {
    socket.notes() & (REFUSED | UNREACHABLE) != 0
}

/// Returns the next error that came back for a datagram to the fixed peer: `getsockopt`, and
/// `getpeername` if there is one. Where no peer is fixed, POSIX tells of none.
pub fn next_error(socket: &mut Fd) -> Option<DatagramError> {
    let fd = datagrams(socket).ok()?;
    let met = socket.notes() & (REFUSED | UNREACHABLE);
    let error = match met {
        0 => match sockopt::socket_error(fd) {
            Ok(Err(errno)) => error_of_a_datagram(errno),
            _ => return None,
        },
        met if met & REFUSED != 0 => Error::Refused,
        _ => Error::Unreachable,
    };
    let to = local::peer_addr(socket).unwrap_or_default();
    let told = if met & REFUSED != 0 { REFUSED } else { met };
    socket.set_notes(socket.notes() & !told);
    Some(DatagramError::new(to, error, 0))
}

/// Returns true if an error number is what becomes of a datagram on its way, which the system tells
/// whatever call comes next (`udp(7)`, "Error handling").
fn is_of_a_datagram(errno: Errno) -> bool {
    matches!(
        errno,
        Errno::CONNREFUSED
            | Errno::CONNRESET
            | Errno::HOSTUNREACH
            | Errno::NETUNREACH
            | Errno::HOSTDOWN
            | Errno::NETDOWN
            | Errno::NOPROTOOPT
            | Errno::MSGSIZE
            | Errno::ACCESS
    )
}

fn error_of_a_datagram(errno: Errno) -> Error {
    match errno {
        // Of a Unix socket: the fixed peer is closed.
        Errno::CONNREFUSED | Errno::CONNRESET => Error::Refused,
        Errno::MSGSIZE => Error::Invalid,
        _ => Error::Unreachable,
    }
}

/// Translates an error number of a send: a firewall's refusal is no fault of the program.
#[cold]
fn send_error(errno: Errno) -> Error {
    match errno {
        Errno::PERM => Error::Unreachable,
        errno => error(errno),
    }
}

/// Translates an error number of a send to a path or abstract name, or of fixing one as the peer.
#[cold]
fn local_error(errno: Errno) -> Error {
    match errno {
        // Nothing is there, or it was closed.
        Errno::NOENT | Errno::CONNRESET => Error::Refused,
        // A socket of another type.
        Errno::PROTOTYPE => Error::Invalid,
        // Descriptors beside datagrams that wait to be received.
        Errno::TOOMANYREFS => Error::Exhausted,
        errno => error(errno),
    }
}

/// Returns the descriptor of a datagram socket.
fn datagrams(socket: &Fd) -> Result<BorrowedFd<'_>, Error> {
    match socket.kind() {
        Kind::Datagrams | Kind::LocalDatagrams => socket.get(),
        _ => Err(Error::Invalid),
    }
}

/// Changes an option: `setsockopt`.
///
/// # Errors
/// [`Error::Unsupported`] for one that this system, rustix or a Unix socket does not have: probing
/// for the path's largest packet; groups of IPv6 for one source, and of IPv4 for one source on an
/// interface by number.
pub fn set_option(socket: &Fd, option: DatagramOption) -> Result<(), Error> {
    let fd = datagrams(socket)?;
    if socket.kind() != Kind::Datagrams {
        return Err(Error::Unsupported);
    }
    let is_v6 = socket.notes() & V6 != 0;
    let result = match option {
        DatagramOption::Broadcast(on) => sockopt::set_socket_broadcast(fd, on),
        DatagramOption::Join {
            group,
            source,
            interface,
        } => return set_membership(fd, group, source, interface, true),
        DatagramOption::Leave {
            group,
            source,
            interface,
        } => return set_membership(fd, group, source, interface, false),
        DatagramOption::MulticastLoop(on) => on_both(
            is_v6,
            || sockopt::set_ipv6_multicast_loop(fd, on),
            || sockopt::set_ip_multicast_loop(fd, on),
        ),
        DatagramOption::MulticastHops(hops) => on_both(
            is_v6,
            || sockopt::set_ipv6_multicast_hops(fd, hops.into()),
            || sockopt::set_ip_multicast_ttl(fd, hops.into()),
        ),
        DatagramOption::Hops(hops) => on_both(
            is_v6,
            || sockopt::set_ipv6_unicast_hops(fd, Some(hops)),
            || sockopt::set_ip_ttl(fd, hops.into()),
        ),
        _ => return Err(Error::Unsupported),
    };
    result.map_err(error)
}

/// Sets an option for the socket's family, and on a socket of IPv6 also for IPv4, where the system
/// has that.
fn on_both(
    is_v6: bool,
    v6: impl FnOnce() -> Result<(), Errno>,
    v4: impl FnOnce() -> Result<(), Errno>,
) -> Result<(), Errno> {
    if !is_v6 {
        return v4();
    }
    v6()?;
    let _ = v4();
    Ok(())
}

/// Joins or leaves a group.
fn set_membership(
    fd: BorrowedFd<'_>,
    group: IpAddr,
    source: Option<IpAddr>,
    interface: u32,
    joins: bool,
) -> Result<(), Error> {
    let result = match (group, source) {
        (IpAddr::V6(group), None) if joins => {
            sockopt::set_ipv6_add_membership(fd, &group, interface)
        }
        (IpAddr::V6(group), None) => sockopt::set_ipv6_drop_membership(fd, &group, interface),
        (IpAddr::V4(group), None) => return set_membership_v4(fd, group, interface, joins),
        (IpAddr::V4(group), Some(IpAddr::V4(source))) if interface == 0 => {
            return set_source_v4(fd, group, source, joins);
        }
        (IpAddr::V4(_), Some(IpAddr::V6(_))) | (IpAddr::V6(_), Some(IpAddr::V4(_))) => {
            return Err(Error::Invalid);
        }
        _ => return Err(Error::Unsupported),
    };
    result.map_err(error)
}

/// Joins or leaves a group of IPv4 for all sources.
#[cfg(any(
    target_vendor = "apple",
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "linux",
    target_os = "openbsd"
))]
fn set_membership_v4(
    fd: BorrowedFd<'_>,
    group: Ipv4Addr,
    interface: u32,
    joins: bool,
) -> Result<(), Error> {
    let any = Ipv4Addr::UNSPECIFIED;
    let result = if joins {
        sockopt::set_ip_add_membership_with_ifindex(fd, &group, &any, interface)
    } else {
        sockopt::set_ip_drop_membership_with_ifindex(fd, &group, &any, interface)
    };
    result.map_err(error)
}

/// Other systems know interfaces by their addresses only.
#[cfg(not(any(
    target_vendor = "apple",
    target_os = "android",
    target_os = "dragonfly",
    target_os = "freebsd",
    target_os = "linux",
    target_os = "openbsd"
)))]
fn set_membership_v4(
    fd: BorrowedFd<'_>,
    group: Ipv4Addr,
    interface: u32,
    joins: bool,
) -> Result<(), Error> {
    let any = Ipv4Addr::UNSPECIFIED;
    let result = match (interface, joins) {
        (0, true) => sockopt::set_ip_add_membership(fd, &group, &any),
        (0, false) => sockopt::set_ip_drop_membership(fd, &group, &any),
        _ => return Err(Error::Unsupported),
    };
    result.map_err(error)
}

/// Joins or leaves a group of IPv4 for one source.
#[cfg(any(
    target_vendor = "apple",
    target_os = "android",
    target_os = "freebsd",
    target_os = "illumos",
    target_os = "linux"
))]
fn set_source_v4(
    fd: BorrowedFd<'_>,
    group: Ipv4Addr,
    source: Ipv4Addr,
    joins: bool,
) -> Result<(), Error> {
    let any = Ipv4Addr::UNSPECIFIED;
    let result = if joins {
        sockopt::set_ip_add_source_membership(fd, &group, &any, &source)
    } else {
        sockopt::set_ip_drop_source_membership(fd, &group, &any, &source)
    };
    result.map_err(error)
}

/// Other systems have no such option, or rustix does not.
#[cfg(not(any(
    target_vendor = "apple",
    target_os = "android",
    target_os = "freebsd",
    target_os = "illumos",
    target_os = "linux"
)))]
const fn set_source_v4(_: BorrowedFd<'_>, _: Ipv4Addr, _: Ipv4Addr, _: bool) -> Result<(), Error> {
    Err(Error::Unsupported)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv4_is_mapped_on_sockets_of_ipv6_only() {
        let v4: SocketAddr = "192.0.2.1:53".parse().unwrap();
        let mapped: SocketAddr = "[::ffff:192.0.2.1]:53".parse().unwrap();
        let v6: SocketAddr = "[2001:db8::1]:53".parse().unwrap();
        assert_eq!(for_family(v4, true), Ok(mapped));
        assert_eq!(for_family(v4, false), Ok(v4));
        assert_eq!(for_family(mapped, false), Ok(v4));
        assert_eq!(for_family(v6, false), Err(Error::Unsupported));
    }
}
