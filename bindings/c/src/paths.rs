//! Sockets of the file system.

use std::ffi::{CStr, c_char};
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use usockets::Error;

use crate::listen::{BACKLOG, set_errno};

/// Makes the kernel's form of a path; `None` if it is too long for it.
fn path_address(path: *const c_char) -> Option<(libc::sockaddr_un, libc::socklen_t)> {
    // SAFETY: the program's string ends with a zero byte and stays until the call returns.
    let path = unsafe { CStr::from_ptr(path) }.to_bytes_with_nul();
    // SAFETY: all zero bytes are an address without a name.
    let mut at: libc::sockaddr_un = unsafe { mem::zeroed() };
    for (to, from) in at.sun_path.get_mut(..path.len())?.iter_mut().zip(path) {
        *to = c_char::from_ne_bytes([*from]);
    }
    at.sun_family = libc::sa_family_t::try_from(libc::AF_UNIX).ok()?;
    let length = mem::offset_of!(libc::sockaddr_un, sun_path) + path.len();
    Some((at, libc::socklen_t::try_from(length).ok()?))
}

fn path_socket() -> Option<OwnedFd> {
    // SAFETY: a plain system call.
    let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) };
    // SAFETY: made just now, and nobody else has it.
    let fd = (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })?;
    rustix::io::ioctl_fionbio(&fd, true).ok()?;
    rustix::io::fcntl_setfd(&fd, rustix::io::FdFlags::CLOEXEC).ok()?;
    Some(fd)
}

/// Binds a socket to a path, which only the own user may connect to.
pub(crate) fn bind_path(path: *const c_char) -> Option<OwnedFd> {
    let Some((at, length)) = path_address(path) else {
        set_errno(Error::Invalid);
        return None;
    };
    let fd = path_socket()?;
    // SAFETY: plain system calls with an address and a string that stay until they return.
    let is_bound = unsafe {
        libc::fchmod(fd.as_raw_fd(), 0o700);
        libc::unlink(path);
        libc::bind(fd.as_raw_fd(), (&raw const at).cast(), length) == 0
            && libc::listen(fd.as_raw_fd(), BACKLOG.into()) == 0
    };
    is_bound.then_some(fd)
}

/// Connects a socket to a path.
pub(crate) fn connect_path(path: *const c_char) -> Option<OwnedFd> {
    let Some((at, length)) = path_address(path) else {
        set_errno(Error::Invalid);
        return None;
    };
    let fd = path_socket()?;
    // SAFETY: a plain system call, with an address that stays until it returns.
    let result = unsafe { libc::connect(fd.as_raw_fd(), (&raw const at).cast(), length) };
    (result == 0).then_some(fd)
}
