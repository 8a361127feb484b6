//! Sockets of the file system.

use std::ffi::{CStr, c_char};
use std::mem;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use usockets::Error;

use crate::listen::{BACKLOG, none};

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

/// The kernel's number of an error, as it is.
pub(crate) fn platform(errno: rustix::io::Errno) -> Error {
    Error::Platform(u16::try_from(errno.raw_os_error()).unwrap_or(u16::MAX))
}

/// Makes a socket that does not wait. `None`, with errno, if that cannot be.
fn path_socket() -> Option<OwnedFd> {
    // SAFETY: a plain system call.
    let fd = unsafe { libc::socket(libc::AF_UNIX, libc::SOCK_STREAM, 0) };
    // SAFETY: made just now, and nobody else has it.
    let fd = (fd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(fd) })?;
    let cloexec = rustix::io::FdFlags::CLOEXEC;
    match rustix::io::ioctl_fionbio(&fd, true).and_then(|()| rustix::io::fcntl_setfd(&fd, cloexec))
    {
        Ok(()) => Some(fd),
        Err(errno) => none(platform(errno)),
    }
}

/// Takes a socket away that is at a path, as one of a program that ended is. What else is there
/// stays, and the path is in use.
fn unlink_socket(path: *const c_char) {
    // SAFETY: plain system calls with the program's string, and a structure of the kernel's whose
    // zero bytes are valid.
    unsafe {
        let mut status: libc::stat = mem::zeroed();
        let is_there = libc::lstat(path, &raw mut status) == 0;
        if is_there && status.st_mode & libc::S_IFMT == libc::S_IFSOCK {
            libc::unlink(path);
        }
    }
}

/// Lets only the own user connect: Linux gives the path the mode that its socket has.
#[cfg(target_os = "linux")]
fn restrict_socket(fd: &OwnedFd) -> bool {
    // SAFETY: a plain system call.
    unsafe { libc::fchmod(fd.as_raw_fd(), MODE) == 0 }
}

/// Lets only the own user connect: elsewhere the path itself has to be told, before anybody can
/// connect to it.
#[cfg(not(target_os = "linux"))]
fn restrict_path(path: *const c_char) -> bool {
    // SAFETY: a plain system call with the program's string.
    unsafe { libc::fchmodat(libc::AT_FDCWD, path, MODE, libc::AT_SYMLINK_NOFOLLOW) == 0 }
}

/// What the own user may do, and nobody else.
const MODE: libc::mode_t = 0o700;

/// Binds a socket to a path, which only the own user may connect to. `None`, with errno, if that
/// cannot be.
pub(crate) fn bind_path(path: *const c_char) -> Option<OwnedFd> {
    let Some((at, length)) = path_address(path) else {
        return none(Error::Invalid);
    };
    let fd = path_socket()?;
    #[cfg(target_os = "linux")]
    if !restrict_socket(&fd) {
        return None;
    }
    unlink_socket(path);
    // SAFETY: a plain system call, with an address that stays until it returns.
    let result = unsafe { libc::bind(fd.as_raw_fd(), (&raw const at).cast(), length) };
    if result != 0 {
        return None;
    }
    #[cfg(not(target_os = "linux"))]
    if !restrict_path(path) {
        return None;
    }
    // SAFETY: a plain system call.
    let result = unsafe { libc::listen(fd.as_raw_fd(), BACKLOG.into()) };
    (result == 0).then_some(fd)
}

/// Connects a socket to a path. `None`, with errno, if that cannot be.
pub(crate) fn connect_path(path: *const c_char) -> Option<OwnedFd> {
    let Some((at, length)) = path_address(path) else {
        return none(Error::Invalid);
    };
    let fd = path_socket()?;
    // SAFETY: a plain system call, with an address that stays until it returns.
    let result = unsafe { libc::connect(fd.as_raw_fd(), (&raw const at).cast(), length) };
    (result == 0).then_some(fd)
}
