//! Making sockets as an endpoint wants them.

use core::net::{IpAddr, SocketAddr};
use core::time::Duration;

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SendFlags, SocketType, sockopt};
use usockets::{Endpoint, Error, Keepalive, Security, SocketOption};

use crate::errno::error;

/// Keeps a send from raising SIGPIPE. Apple's systems have an option of the socket instead.
#[cfg(not(target_vendor = "apple"))]
pub(crate) const NO_SIGNAL: SendFlags = SendFlags::NOSIGNAL;
#[cfg(target_vendor = "apple")]
pub(crate) const NO_SIGNAL: SendFlags = SendFlags::empty();

/// Makes a stream socket that never blocks, is closed on `exec` and raises no SIGPIPE.
fn socket(family: AddressFamily) -> Result<OwnedFd, Errno> {
    socket_of(family, SocketType::STREAM)
}

/// The same of any type.
#[cfg(not(target_vendor = "apple"))]
pub(crate) fn socket_of(family: AddressFamily, kind: SocketType) -> Result<OwnedFd, Errno> {
    use rustix::net::{SocketFlags, socket_with};

    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    socket_with(family, kind, flags, None)
}

/// The same in four calls: Apple's `socket(2)` takes no flags.
#[cfg(target_vendor = "apple")]
pub(crate) fn socket_of(family: AddressFamily, kind: SocketType) -> Result<OwnedFd, Errno> {
    let fd = rustix::net::socket(family, kind, None)?;
    set_quiet(&fd)?;
    Ok(fd)
}

/// Makes a descriptor as [`socket_of`] does.
#[cfg(target_vendor = "apple")]
pub(crate) fn set_quiet(fd: &OwnedFd) -> Result<(), Errno> {
    rustix::io::ioctl_fionbio(fd, true)?;
    rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
    sockopt::set_socket_nosigpipe(fd, true)
}

/// Makes a socket for `endpoint` with the options that a listener and a connection share.
pub(crate) fn stream(endpoint: &Endpoint<'_>) -> Result<OwnedFd, Error> {
    let Security::Plain = endpoint.security else {
        return Err(Error::Unsupported);
    };
    let family = match endpoint.addr {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let fd = socket(family).map_err(error)?;
    set(endpoint, &fd).map_err(error)?;
    Ok(fd)
}

/// Sets what differs from the kernel's defaults, and nothing else.
fn set(endpoint: &Endpoint<'_>, fd: &OwnedFd) -> Result<(), Errno> {
    if endpoint.nodelay {
        sockopt::set_tcp_nodelay(fd, true)?;
    }
    if let Some(idle) = endpoint.keepalive {
        set_keepalive(
            fd.as_fd(),
            Keepalive {
                idle,
                interval: idle,
                count: 0,
            },
        )?;
    }
    if let Some(bytes) = endpoint.recv_buffer {
        sockopt::set_socket_recv_buffer_size(fd, bytes)?;
    }
    if let Some(bytes) = endpoint.send_buffer {
        sockopt::set_socket_send_buffer_size(fd, bytes)?;
    }
    Ok(())
}

/// Probes an idle peer as often as is wanted.
fn set_keepalive(fd: BorrowedFd<'_>, keepalive: Keepalive) -> Result<(), Errno> {
    sockopt::set_socket_keepalive(fd, true)?;
    set_probes(fd, keepalive)
}

/// Sets when probes are sent and how many.
#[cfg(not(target_os = "openbsd"))]
fn set_probes(fd: BorrowedFd<'_>, keepalive: Keepalive) -> Result<(), Errno> {
    sockopt::set_tcp_keepidle(fd, whole_seconds(keepalive.idle))?;
    sockopt::set_tcp_keepintvl(fd, whole_seconds(keepalive.interval))?;
    match keepalive.count {
        0 => Ok(()),
        // `tcp(7)`: 1 to 127.
        count => sockopt::set_tcp_keepcnt(fd, u32::from(count.min(127))),
    }
}

/// OpenBSD has one time for all sockets (`sysctl(2)`, `net.inet.tcp.keepidle`).
#[cfg(target_os = "openbsd")]
fn set_probes(_: BorrowedFd<'_>, _: Keepalive) -> Result<(), Errno> {
    Ok(())
}

/// Whole seconds from 1 to 32,767, as `tcp(7)` demands, rounded up.
#[cfg(not(target_os = "openbsd"))]
fn whole_seconds(duration: Duration) -> Duration {
    let begun = u64::from(duration.subsec_nanos() > 0);
    let secs = duration.as_secs().saturating_add(begun);
    Duration::from_secs(secs.clamp(1, 32_767))
}

/// Changes an option of an open connection.
///
/// # Errors
/// As [`Platform::set_option`](usockets::Platform::set_option).
pub(crate) fn set_option(fd: BorrowedFd<'_>, option: SocketOption) -> Result<(), Error> {
    let result = match option {
        SocketOption::NoDelay(on) => sockopt::set_tcp_nodelay(fd, on),
        SocketOption::Keepalive(None) => sockopt::set_socket_keepalive(fd, false),
        SocketOption::Keepalive(Some(keepalive)) => set_keepalive(fd, keepalive),
        SocketOption::UserTimeout(timeout) => return set_user_timeout(fd, timeout),
        SocketOption::RecvBuffer(bytes) => sockopt::set_socket_recv_buffer_size(fd, bytes),
        SocketOption::SendBuffer(bytes) => sockopt::set_socket_send_buffer_size(fd, bytes),
        _ => return Err(Error::Unsupported),
    };
    result.map_err(error)
}

/// Sets how long sent bytes may stay unacknowledged.
#[cfg(target_os = "linux")]
fn set_user_timeout(fd: BorrowedFd<'_>, timeout: Duration) -> Result<(), Error> {
    // Whole milliseconds (`tcp(7)`), rounded up, since 0 means the kernel's own choice.
    let millis = timeout.as_nanos().div_ceil(1_000_000);
    let millis = u32::try_from(millis).map_err(|_| Error::Invalid)?;
    sockopt::set_tcp_user_timeout(fd, millis).map_err(error)
}

/// Only Linux has the option for every program.
#[cfg(not(target_os = "linux"))]
const fn set_user_timeout(_: BorrowedFd<'_>, _: Duration) -> Result<(), Error> {
    Err(Error::Unsupported)
}

/// Returns an IPv4-mapped address as IPv4 (RFC 4291, section 2.5.5.2), and any other as it is.
#[must_use]
pub fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(IpAddr::V4(ip), addr.port()),
        IpAddr::V6(_) => addr,
    }
}
