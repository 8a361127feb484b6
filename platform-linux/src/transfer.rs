//! The two system calls of every echo, as short as they can be: rustix's check of what comes back
//! costs 5 of 100 instructions per 64-byte echo (callgrind, x86-64). Other processors take
//! rustix's, and so does Miri, which does not interpret the instruction.
#![expect(unsafe_code, reason = "a raw system call is unsafe by its type")]

use linux_raw_sys::net::MSG_NOSIGNAL;
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;
use syscalls::{Sysno, raw_syscall};
use usockets::{Error, Recv};
use usockets_posix::{Fd, stream};

/// Receives into `buffer`, which is not empty: `read`.
///
/// # Errors
/// The connection broke.
#[inline]
pub(crate) fn recv(socket: &Fd, buffer: &mut [u8]) -> Result<Recv, Error> {
    stream::recv_by(socket, buffer, read)
}

/// Takes up to `data.len()` bytes for sending and returns how many: `sendto`.
///
/// # Errors
/// The connection broke.
#[inline]
pub(crate) fn send(socket: &Fd, data: &[u8]) -> Result<usize, Error> {
    stream::send_by(socket, data, send_to_peer)
}

/// Reads what has arrived, 0 bytes at the end (`read(2)`).
///
/// # Errors
/// `EAGAIN` when there is nothing, otherwise the connection's error.
#[inline]
fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    let (at, len) = (buffer.as_mut_ptr().expose_provenance(), buffer.len());
    // SAFETY: the kernel writes at most `len` bytes at `at`, which are the caller's, exclusively
    // borrowed, and of which every value is valid.
    decode(unsafe { raw_syscall!(Sysno::read, number(fd), at, len) })
}

/// Takes bytes for sending and returns how many, without a signal (`sendto(2)`).
///
/// # Errors
/// `EAGAIN` when there is no room, otherwise the connection's error.
#[inline]
fn send_to_peer(fd: BorrowedFd<'_>, data: &[u8]) -> Result<usize, Errno> {
    let (at, len) = (data.as_ptr().expose_provenance(), data.len());
    // SAFETY: the kernel reads at most `len` bytes at `at`, which are borrowed meanwhile, and
    // writes nothing, for there is no address.
    decode(unsafe { raw_syscall!(Sysno::sendto, number(fd), at, len, MSG_NOSIGNAL, 0, 0) })
}

/// Returns a descriptor as the kernel takes it.
#[inline]
fn number(fd: BorrowedFd<'_>) -> usize {
    // Descriptors are never negative, and a number that is not one is an error.
    usize::try_from(fd.as_raw_fd()).unwrap_or(usize::MAX)
}

/// Returns what a system call returned, or its error: the last 4095 numbers are negated errors.
#[inline]
fn decode(returned: usize) -> Result<usize, Errno> {
    match u16::try_from(returned.wrapping_neg()) {
        Ok(errno @ 1..4096) => Err(Errno::from_raw_os_error(errno.into())),
        _ => Ok(returned),
    }
}
