//! System calls that rustix does not have, through the crate `syscalls`, with the kernel's numbers
//! from `linux-raw-sys`.
//!
//! They serve every processor that both crates do: x86, x86-64, 32-bit and 64-bit ARM, RISC-V,
//! LoongArch, MIPS, PowerPC and s390x.
#![expect(unsafe_code, reason = "a raw system call is unsafe by its type")]

use linux_raw_sys::general as kernel;
#[cfg(feature = "local")]
use linux_raw_sys::net::SO_PEERCRED;
use linux_raw_sys::net::{IP_BIND_ADDRESS_NO_PORT, SO_PRIORITY, SO_RCVLOWAT, SOL_SOCKET};
use rustix::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use rustix::io::Errno;
use syscalls::{Sysno, syscall};
#[cfg(feature = "local")]
use usockets::Credentials;
use usockets::Error;
use usockets_posix::error;

use crate::signals::Set;

/// `IPPROTO_IP`.
const IP: u32 = 0;

/// Sets an option whose value is an `int` (`setsockopt(2)`).
pub(crate) fn set_int(
    fd: BorrowedFd<'_>,
    level: u32,
    option: u32,
    value: i32,
) -> Result<(), Errno> {
    set_bytes(fd, level, option, &value.to_ne_bytes())
}

/// Sets an option whose value is these bytes (`setsockopt(2)`).
pub(crate) fn set_bytes(
    fd: BorrowedFd<'_>,
    level: u32,
    option: u32,
    value: &[u8],
) -> Result<(), Errno> {
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let (value, len) = (value.as_ptr(), value.len());
    // SAFETY: the kernel reads `len` bytes at `value`, which are borrowed meanwhile, and writes
    // nothing. Descriptors are never negative, and a number that is not one is an error.
    let result = unsafe {
        syscall!(
            Sysno::setsockopt,
            usize::try_from(fd.as_raw_fd()).unwrap_or(usize::MAX),
            number(level),
            number(option),
            value.expose_provenance(),
            len
        )
    };
    match result {
        Ok(_) => Ok(()),
        Err(errno) => Err(Errno::from_raw_os_error(errno.into_raw())),
    }
}

/// Reads an option of the socket itself, whose value is these words (`getsockopt(2)`).
fn socket_option<const WORDS: usize>(
    fd: BorrowedFd<'_>,
    option: u32,
) -> Result<[u32; WORDS], Error> {
    let number = |number: u32| usize::try_from(number).unwrap_or(usize::MAX);
    let mut words = [0_u32; WORDS];
    let mut len = u32::try_from(size_of_val(&words)).unwrap_or_default();
    let (at, len_at) = (&raw mut words, &raw mut len);
    // SAFETY: the kernel writes at most `len` bytes at `at`, which are those of a local, and how
    // many at `len_at`, another; both outlive the call.
    let result = unsafe {
        syscall!(
            Sysno::getsockopt,
            usize::try_from(fd.as_raw_fd()).unwrap_or(usize::MAX),
            number(SOL_SOCKET),
            number(option),
            at.expose_provenance(),
            len_at.expose_provenance()
        )
    };
    result.map_err(|errno| error(Errno::from_raw_os_error(errno.into_raw())))?;
    Ok(words)
}

/// Who connected to a Unix socket, or whom we connected to (`SO_PEERCRED`, `unix(7)`).
///
/// rustix has it too, in a type that cannot hold the process number 0 of a peer that is in another
/// process namespace.
///
/// # Errors
/// [`Error::Invalid`] for a socket that is not connected.
#[cfg(feature = "local")]
pub(crate) fn peer_credentials(fd: BorrowedFd<'_>) -> Result<Credentials, Error> {
    // `struct ucred`.
    let [process, user, group] = socket_option(fd, SO_PEERCRED)?;
    // A socket that is not connected has no peer, and no user (`sk_peer_cred`).
    if user == u32::MAX && process == 0 {
        return Err(Error::Invalid);
    }
    Ok(Credentials {
        process,
        user,
        group,
    })
}

/// Lets `bind` leave the choice of a port to `connect`, which then has one per destination.
///
/// # Errors
/// `ENOPROTOOPT` before Linux 4.2.
pub(crate) fn set_bind_address_no_port(fd: BorrowedFd<'_>) -> Result<(), Errno> {
    set_int(fd, IP, IP_BIND_ADDRESS_NO_PORT, 1)
}

/// Has a connection reported as readable only when it holds `bytes` (`SO_RCVLOWAT`, `socket(7)`).
///
/// # Errors
/// [`Error::Invalid`] for more than the socket's receive buffer will hold: the mark is 1 then.
pub(crate) fn set_low_water(fd: BorrowedFd<'_>, bytes: usize) -> Result<(), Error> {
    let mark = i32::try_from(bytes).map_err(|_| Error::Invalid)?;
    set_int(fd, SOL_SOCKET, SO_RCVLOWAT, mark).map_err(error)?;
    if mark <= 1 {
        return Ok(());
    }
    // The kernel lowers it to half of a buffer whose size was set (`tcp_set_rcvlowat`).
    let [set] = socket_option::<1>(fd, SO_RCVLOWAT)?;
    if usize::try_from(set).is_ok_and(|set| set >= bytes) {
        return Ok(());
    }
    set_int(fd, SOL_SOCKET, SO_RCVLOWAT, 1).map_err(error)?;
    Err(Error::Invalid)
}

/// Sets the priority of what is sent (`SO_PRIORITY`, `socket(7)`).
///
/// # Errors
/// [`Error::Denied`] above 6 without privilege.
pub(crate) fn set_priority(fd: BorrowedFd<'_>, priority: u8) -> Result<(), Error> {
    set_int(fd, SOL_SOCKET, SO_PRIORITY, i32::from(priority)).map_err(error)
}

/// Makes a descriptor that is readable while a signal of the set waits (`signalfd(2)`).
pub(crate) fn signal_fd(set: &Set) -> Result<OwnedFd, Errno> {
    // The values of `SFD_NONBLOCK` and `SFD_CLOEXEC` are those of `open(2)`.
    let flags = kernel::O_NONBLOCK | kernel::O_CLOEXEC;
    let words = set.0.as_ptr();
    // SAFETY: the kernel reads `size_of::<Set>()` bytes at `words`, which are borrowed meanwhile,
    // and writes nothing. -1 asks for a new descriptor.
    let result = unsafe {
        syscall!(
            Sysno::signalfd4,
            usize::MAX,
            words.expose_provenance(),
            size_of::<Set>(),
            usize::try_from(flags).unwrap_or_default()
        )
    };
    let number = result.map_err(|errno| Errno::from_raw_os_error(errno.into_raw()))?;
    let number = i32::try_from(number).map_err(|_| Errno::BADF)?;
    // SAFETY: the kernel has just made this descriptor, for this call alone.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Adds the signals of the set to those that the calling thread blocks (`sigprocmask(2)`).
pub(crate) fn block_signals(set: &Set) -> Result<(), Errno> {
    let words = set.0.as_ptr();
    // SAFETY: the kernel reads `size_of::<Set>()` bytes at `words`, which are borrowed meanwhile,
    // and writes nothing, as no place for the old mask is given. What a thread blocks is no
    // matter of memory safety.
    let result = unsafe {
        syscall!(
            Sysno::rt_sigprocmask,
            usize::try_from(kernel::SIG_BLOCK).unwrap_or_default(),
            words.expose_provenance(),
            0,
            size_of::<Set>()
        )
    };
    match result {
        Ok(_) => Ok(()),
        Err(errno) => Err(Errno::from_raw_os_error(errno.into_raw())),
    }
}

// Miri does not interpret the instruction that a raw system call is.
#[cfg(all(test, not(miri)))]
mod tests {
    use rustix::fd::AsFd;
    use rustix::net::{AddressFamily, SocketType, bind, getsockname, socket};

    use super::*;

    #[test]
    fn the_port_is_left_to_connect_for_both_families() {
        for (family, at) in [
            (AddressFamily::INET, "127.0.0.1:0"),
            (AddressFamily::INET6, "[::1]:0"),
        ] {
            let Ok(fd) = socket(family, SocketType::STREAM, None) else {
                continue;
            };
            set_bind_address_no_port(fd.as_fd()).unwrap();
            let at: core::net::SocketAddr = at.parse().unwrap();
            if bind(&fd, &at).is_ok() {
                let bound = getsockname(&fd).unwrap();
                let bound = core::net::SocketAddr::try_from(bound).unwrap();
                assert_eq!(bound.port(), 0, "the option made no difference");
            }
        }
    }

    #[test]
    fn a_refused_option_says_why() {
        let fd = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
        let absent = set_int(fd.as_fd(), IP, 0xffff, 1);
        assert_eq!(absent, Err(Errno::NOPROTOOPT));
    }
}
