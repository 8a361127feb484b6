//! Options of a datagram socket.

use core::net::{IpAddr, SocketAddr};

use linux_raw_sys::net::{
    IP_MTU_DISCOVER, IP_MULTICAST_LOOP, IP_MULTICAST_TTL, IP_PKTINFO, IP_PMTUDISC_PROBE,
    IP_PMTUDISC_WANT, IP_RECVERR, IP_RECVTOS, IP_RECVTTL, IP_TTL, IPV6_MTU_DISCOVER,
    IPV6_MULTICAST_HOPS, IPV6_MULTICAST_LOOP, IPV6_RECVERR, IPV6_RECVHOPLIMIT, IPV6_RECVPKTINFO,
    IPV6_RECVTCLASS, IPV6_UNICAST_HOPS, MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP,
    MCAST_LEAVE_GROUP, MCAST_LEAVE_SOURCE_GROUP, SO_BROADCAST, SOL_SOCKET, SOL_UDP,
};
use rustix::fd::BorrowedFd;
use rustix::net::sockopt;
use usockets::{DatagramOption, Error};
use usockets_posix::error;

use super::control::{IP, IPV6, UDP_GRO, UDP_SEGMENT};
use super::names::Name;
use crate::raw::{set_bytes, set_int};

/// Has the kernel tell of each datagram what it knows, before the socket is bound.
pub(super) fn prepare(fd: BorrowedFd<'_>, at: &SocketAddr) -> Result<(), Error> {
    if at.ip().is_multicast() {
        // Programs share a group, and each gets a copy. Elsewhere it would be a theft of the port.
        sockopt::set_socket_reuseaddr(fd, true).map_err(error)?;
    }
    let v4 = [IP_RECVTOS, IP_RECVTTL, IP_RECVERR];
    let v6 = [
        IPV6_RECVPKTINFO,
        IPV6_RECVTCLASS,
        IPV6_RECVHOPLIMIT,
        IPV6_RECVERR,
    ];
    if at.is_ipv6() {
        sockopt::set_ipv6_v6only(fd, false).map_err(error)?;
        // What a kernel cannot tell is not told. `IPV6_RECVPKTINFO` tells of IPv4 as well.
        for option in v6 {
            let _ = set_int(fd, IPV6, option, 1);
        }
    } else {
        let _ = set_int(fd, IP, IP_PKTINFO, 1);
    }
    for option in v4 {
        let _ = set_int(fd, IP, option, 1);
    }
    Ok(())
}

/// Has the kernel put runs together, or not.
pub(super) fn receive_runs(fd: BorrowedFd<'_>, on: bool) {
    let _ = set_int(fd, SOL_UDP, UDP_GRO, i32::from(on));
}

/// Returns true if the kernel splits runs. 0, which is set, is what holds anyway.
pub(super) fn splits_runs(fd: BorrowedFd<'_>) -> bool {
    set_int(fd, SOL_UDP, UDP_SEGMENT, 0).is_ok()
}

/// Changes an option.
pub(super) fn set(fd: BorrowedFd<'_>, is_v6: bool, option: DatagramOption) -> Result<(), Error> {
    match option {
        DatagramOption::Broadcast(on) => {
            set_int(fd, SOL_SOCKET, SO_BROADCAST, i32::from(on)).map_err(error)
        }
        DatagramOption::Join {
            group,
            source,
            interface,
        } => {
            let options = [MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP];
            set_membership(fd, options, group, source, interface)
        }
        DatagramOption::Leave {
            group,
            source,
            interface,
        } => {
            let options = [MCAST_LEAVE_GROUP, MCAST_LEAVE_SOURCE_GROUP];
            set_membership(fd, options, group, source, interface)
        }
        DatagramOption::MulticastLoop(on) => set_both(
            fd,
            is_v6,
            [IP_MULTICAST_LOOP, IPV6_MULTICAST_LOOP],
            i32::from(on),
        ),
        DatagramOption::MulticastHops(hops) => set_both(
            fd,
            is_v6,
            [IP_MULTICAST_TTL, IPV6_MULTICAST_HOPS],
            hops.into(),
        ),
        DatagramOption::Hops(hops) => set_both(fd, is_v6, [IP_TTL, IPV6_UNICAST_HOPS], hops.into()),
        DatagramOption::MtuProbing(on) => {
            // The numbers are the same for both families.
            let how = if on {
                IP_PMTUDISC_PROBE
            } else {
                IP_PMTUDISC_WANT
            };
            let how = i32::try_from(how).map_err(|_| Error::Invalid)?;
            set_both(fd, is_v6, [IP_MTU_DISCOVER, IPV6_MTU_DISCOVER], how)
        }
        _ => Err(Error::Unsupported),
    }
}

/// Sets an option for IPv4 and, on a socket of IPv6, for that too.
fn set_both(fd: BorrowedFd<'_>, is_v6: bool, [v4, v6]: [u32; 2], value: i32) -> Result<(), Error> {
    if is_v6 {
        set_int(fd, IPV6, v6, value).map_err(error)?;
    }
    set_int(fd, IP, v4, value).map_err(error)
}

/// Bytes of `struct sockaddr_storage`.
const STORAGE: usize = 128;
/// Where the first address lies in `struct group_req` and `struct group_source_req`: behind the
/// number of the interface, aligned as a pointer is.
const GROUP_AT: usize = size_of::<usize>();
/// Bytes of the longer of the two.
const REQUEST: usize = GROUP_AT + 2 * STORAGE;

/// Joins or leaves a group by the first of `options`, or the second if there is a source.
fn set_membership(
    fd: BorrowedFd<'_>,
    [any, one]: [u32; 2],
    group: IpAddr,
    source: Option<IpAddr>,
    interface: u32,
) -> Result<(), Error> {
    let level = if group.is_ipv4() { IP } else { IPV6 };
    let mut request = [0; REQUEST];
    let (number, addresses) = request.split_at_mut(GROUP_AT);
    if let Some(place) = number.first_chunk_mut() {
        *place = interface.to_ne_bytes();
    }
    let (first, second) = addresses.split_at_mut(STORAGE);
    put(first, group);
    let Some(source) = source else {
        let request = request.get(..GROUP_AT + STORAGE).unwrap_or_default();
        return set_bytes(fd, level, any, request).map_err(error);
    };
    if source.is_ipv4() != group.is_ipv4() {
        return Err(Error::Invalid);
    }
    put(second, source);
    set_bytes(fd, level, one, &request).map_err(error)
}

/// Writes an address, without a port.
fn put(storage: &mut [u8], ip: IpAddr) {
    let name = Name::of(SocketAddr::new(ip, 0));
    for (to, from) in storage.iter_mut().zip(name.bytes) {
        *to = from;
    }
}
