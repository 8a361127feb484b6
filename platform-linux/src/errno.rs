//! The kernel's error numbers in the words of every platform.

use rustix::io::Errno;
use usockets::Error;

/// Translates an error number (`errno(3)`).
#[cold]
pub(crate) fn error(errno: Errno) -> Error {
    match errno {
        Errno::ADDRINUSE => Error::AddressInUse,
        Errno::ADDRNOTAVAIL => Error::AddressUnavailable,
        Errno::ACCESS | Errno::PERM => Error::Denied,
        Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM | Errno::NOSPC => {
            Error::Exhausted
        }
        Errno::INVAL | Errno::BADF | Errno::NOTSOCK | Errno::NOTCONN | Errno::ISCONN => {
            Error::Invalid
        }
        Errno::NETUNREACH | Errno::HOSTUNREACH | Errno::NETDOWN | Errno::HOSTDOWN => {
            Error::Unreachable
        }
        Errno::CONNREFUSED => Error::Refused,
        Errno::CONNRESET | Errno::CONNABORTED | Errno::PIPE => Error::Reset,
        Errno::TIMEDOUT => Error::TimedOut,
        Errno::OPNOTSUPP | Errno::AFNOSUPPORT | Errno::PROTONOSUPPORT | Errno::NOPROTOOPT => {
            Error::Unsupported
        }
        other => Error::Platform(u16::try_from(other.raw_os_error()).unwrap_or(u16::MAX)),
    }
}
