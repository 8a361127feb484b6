//! Making sockets as an endpoint wants them.

use core::net::{IpAddr, SocketAddr};

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with, sockopt};
use usockets::{Endpoint, Error, Security};

use crate::errno::error;

/// Makes a socket for `endpoint` with the options that a listener and a connection share.
pub(crate) fn stream(endpoint: &Endpoint<'_>) -> Result<OwnedFd, Error> {
    let Security::Plain = endpoint.security else {
        return Err(Error::Unsupported);
    };
    let family = match endpoint.addr {
        SocketAddr::V4(_) => AddressFamily::INET,
        SocketAddr::V6(_) => AddressFamily::INET6,
    };
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let fd = socket_with(family, SocketType::STREAM, flags, None).map_err(error)?;
    set(endpoint, &fd).map_err(error)?;
    Ok(fd)
}

/// Sets what differs from the kernel's defaults, and nothing else.
fn set(endpoint: &Endpoint<'_>, fd: &OwnedFd) -> Result<(), Errno> {
    if endpoint.nodelay {
        sockopt::set_tcp_nodelay(fd, true)?;
    }
    if let Some(idle) = endpoint.keepalive {
        // `tcp(7)`: whole seconds from 1 to 32767.
        let secs = idle.as_secs().clamp(1, 32_767);
        let idle = core::time::Duration::from_secs(secs);
        sockopt::set_socket_keepalive(fd, true)?;
        sockopt::set_tcp_keepidle(fd, idle)?;
        sockopt::set_tcp_keepintvl(fd, idle)?;
    }
    if let Some(bytes) = endpoint.recv_buffer {
        sockopt::set_socket_recv_buffer_size(fd, bytes)?;
    }
    if let Some(bytes) = endpoint.send_buffer {
        sockopt::set_socket_send_buffer_size(fd, bytes)?;
    }
    Ok(())
}

/// An IPv4-mapped address as IPv4 (RFC 4291, section 2.5.5.2); any other as it is.
pub(crate) fn canonical(addr: SocketAddr) -> SocketAddr {
    match addr.ip().to_canonical() {
        IpAddr::V4(ip) => SocketAddr::new(IpAddr::V4(ip), addr.port()),
        IpAddr::V6(_) => addr,
    }
}
