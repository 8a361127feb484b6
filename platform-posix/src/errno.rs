//! Error numbers in the words of every platform.

use core::net::SocketAddr;

use rustix::io::Errno;
use usockets::Error;

/// Translates an error number (`errno(3)`) of any call but `connect`.
#[cold]
#[must_use]
pub fn error(errno: Errno) -> Error {
    match errno {
        Errno::ADDRINUSE => Error::AddressInUse,
        Errno::ADDRNOTAVAIL => Error::AddressUnavailable,
        Errno::ACCESS | Errno::PERM => Error::Denied,
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::NOSPC => {
            Error::Exhausted
        }
        // The last two: a datagram without an address, or longer than its protocol or path takes.
        Errno::INVAL
        | Errno::BADF
        | Errno::NOTSOCK
        | Errno::NOTCONN
        | Errno::ISCONN
        | Errno::DESTADDRREQ
        | Errno::MSGSIZE => Error::Invalid,
        Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::NETDOWN | Errno::HOSTDOWN => {
            Error::Unreachable
        }
        Errno::CONNREFUSED => Error::Refused,
        Errno::CONNRESET | Errno::CONNABORTED => Error::Reset,
        // The peer's end had come before its reset (`tcp_reset` in Linux's `tcp_input.c`).
        Errno::PIPE => Error::BrokenPipe,
        Errno::TIMEDOUT => Error::TimedOut,
        Errno::OPNOTSUPP | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT | Errno::NOPROTOOPT => {
            Error::Unsupported
        }
        other => Error::Platform(u16::try_from(other.raw_os_error()).unwrap_or(u16::MAX)),
    }
}

/// Translates an error number of `connect(2)` to `to`.
///
/// The route decides here what it decides nowhere else: `ip-route(8)` answers with `EINVAL` for a
/// blackhole, with `EACCES` for a prohibited destination, and a firewall with `EPERM`. None of them
/// is the program's fault, so they are [`Error::Unreachable`]. The one `EINVAL` that is the
/// program's is a link-local address without its zone (RFC 4007, section 6).
#[cold]
#[must_use]
pub fn connect_error(errno: Errno, to: &SocketAddr) -> Error {
    match errno {
        Errno::INVAL if !lacks_zone(to) => Error::Unreachable,
        Errno::ACCESS | Errno::PERM => Error::Unreachable,
        // No local port is free, or no memory for a route.
        Errno::AGAIN => Error::Exhausted,
        errno => error(errno),
    }
}

/// Returns true if `addr` is link-local and does not say on which link.
const fn lacks_zone(addr: &SocketAddr) -> bool {
    match addr {
        SocketAddr::V6(addr) => addr.ip().is_unicast_link_local() && addr.scope_id() == 0,
        SocketAddr::V4(_) => false,
    }
}
