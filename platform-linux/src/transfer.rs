//! The system calls of every echo, as short as they can be. On x86-64 they are raw, since
//! rustix's check of what comes back costs 5 of 100 instructions per 64-byte echo (callgrind);
//! other processors take rustix's, and so does Miri, which does not interpret the instruction.
//!
//! What they return stays as the kernel has it until it is [decoded](decode), in a register: a
//! `Result` that comes out of a call is in memory, and so would be that of the usual call, which
//! meets it behind a branch (11 instructions an echo).
#![cfg_attr(
    all(target_arch = "x86_64", not(miri)),
    expect(unsafe_code, reason = "a raw system call is unsafe by its type")
)]

#[cfg(not(all(target_arch = "x86_64", not(miri))))]
use rustix::event::Timespec;
use rustix::event::epoll::Event;
use rustix::fd::BorrowedFd;
use rustix::io::Errno;

/// Reads what has arrived (`read(2)`), which fits `buffer`.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
pub(crate) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> usize {
    let (at, len) = (buffer.as_mut_ptr().expose_provenance(), buffer.len());
    // SAFETY: the kernel writes at most `len` bytes at `at`, which are the caller's, exclusively
    // borrowed, and of which every value is valid.
    unsafe { syscalls::raw_syscall!(syscalls::Sysno::read, number(fd), at, len) }
}

/// Takes bytes for sending, without a signal (`sendto(2)`).
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
pub(crate) fn send(fd: BorrowedFd<'_>, data: &[u8]) -> usize {
    let (at, len) = (data.as_ptr().expose_provenance(), data.len());
    let flags = linux_raw_sys::net::MSG_NOSIGNAL;
    // SAFETY: the kernel reads at most `len` bytes at `at`, which are borrowed meanwhile, and
    // writes nothing, for there is no address.
    unsafe { syscalls::raw_syscall!(syscalls::Sysno::sendto, number(fd), at, len, flags, 0, 0) }
}

/// Waits for events, at most for `millis` if that is not negative (`epoll_pwait(2)`).
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
pub(crate) fn wait(epoll: BorrowedFd<'_>, room: &mut [Event], millis: i32) -> usize {
    let (at, len) = (room.as_mut_ptr().expose_provenance(), room.len());
    // SAFETY: the kernel writes at most `len` events at `at`, which are the caller's, exclusively
    // borrowed, and whose numbers may have every value. The set of signals is none.
    unsafe {
        let wait = syscalls::Sysno::epoll_pwait;
        syscalls::raw_syscall!(wait, number(epoll), at, len, millis, 0, 0)
    }
}

/// Returns a descriptor as the kernel takes it.
#[cfg(all(target_arch = "x86_64", not(miri)))]
#[inline]
fn number(fd: BorrowedFd<'_>) -> usize {
    // Of what is no descriptor the kernel takes the low 32 bits, as of any.
    usize::try_from(rustix::fd::AsRawFd::as_raw_fd(&fd).cast_unsigned()).unwrap_or(usize::MAX)
}

/// Reads what has arrived (`read(2)`), which fits `buffer`.
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
pub(crate) fn read(fd: BorrowedFd<'_>, buffer: &mut [u8]) -> usize {
    encode(rustix::io::read(fd, buffer))
}

/// Takes bytes for sending, without a signal (`sendto(2)`).
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
pub(crate) fn send(fd: BorrowedFd<'_>, data: &[u8]) -> usize {
    let flags = rustix::net::SendFlags::NOSIGNAL;
    encode(rustix::net::send(fd, data, flags))
}

/// Waits for events, at most for `millis` if that is not negative (`epoll_pwait(2)`).
#[cfg(not(all(target_arch = "x86_64", not(miri))))]
pub(crate) fn wait(epoll: BorrowedFd<'_>, room: &mut [Event], millis: i32) -> usize {
    let timeout = u32::try_from(millis).ok().map(|millis| Timespec {
        tv_sec: i64::from(millis / 1_000),
        tv_nsec: i64::from(millis % 1_000).saturating_mul(1_000_000),
    });
    encode(rustix::event::epoll::wait(epoll, room, timeout.as_ref()))
}

/// Returns a result as the kernel has it: the last 4095 numbers are negated errors.
pub(crate) fn encode(result: Result<usize, Errno>) -> usize {
    result.unwrap_or_else(|errno| {
        let errno = usize::try_from(errno.raw_os_error()).unwrap_or_default();
        errno.wrapping_neg()
    })
}

/// Returns what [`encode`] was given.
#[inline]
pub(crate) fn decode(returned: usize) -> Result<usize, Errno> {
    match u16::try_from(returned.wrapping_neg()) {
        Ok(errno @ 1..4096) => Err(Errno::from_raw_os_error(errno.into())),
        _ => Ok(returned),
    }
}
