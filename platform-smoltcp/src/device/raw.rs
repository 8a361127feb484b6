//! System calls that rustix does not have, through the crate `syscalls`, as `usockets-linux` makes
//! them: on every processor that both crates serve, and without libc.
#![expect(unsafe_code, reason = "a raw system call is unsafe by its type")]

use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;
use syscalls::{Sysno, syscall};

use crate::number::{count, place};

fn number(fd: BorrowedFd<'_>) -> usize {
    usize::try_from(fd.as_raw_fd()).unwrap_or(usize::MAX)
}

fn errno(raw: syscalls::Errno) -> Errno {
    Errno::from_raw_os_error(raw.into_raw())
}

/// Sets an option (`setsockopt(2)`).
///
/// # Safety
/// `value` is what the option takes, and all that it points to can be read until this returns.
unsafe fn set<T>(fd: BorrowedFd<'_>, level: u32, option: u32, value: &[T]) -> Result<(), Errno> {
    // SAFETY: the kernel reads as many bytes at `value` as it is told, which are borrowed
    // meanwhile, and what the caller vouches for; it writes nothing here.
    let result = unsafe {
        syscall!(
            Sysno::setsockopt,
            number(fd),
            place(level),
            place(option),
            value.as_ptr().expose_provenance(),
            size_of_val(value)
        )
    };
    result.map(drop).map_err(errno)
}

/// Sets an option whose value is these words.
pub(crate) fn set_option(
    fd: BorrowedFd<'_>,
    level: u32,
    option: u32,
    value: &[u32],
) -> Result<(), Errno> {
    // SAFETY: words point to nothing.
    unsafe { set(fd, level, option, value) }
}

/// Sets an option whose value is a program of classic BPF (`struct sock_fprog`).
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
pub(crate) fn set_program(
    fd: BorrowedFd<'_>,
    level: u32,
    option: u32,
    instructions: &[[u8; 8]],
) -> Result<(), Errno> {
    #[repr(C)]
    struct Program {
        len: u16,
        instructions: *const u32,
    }

    // As aligned as `struct sock_filter` is; no kernel takes more than 4,096 of them.
    let mut aligned = [[0_u32; 2]; PROGRAM_MAX];
    for (to, [a, b, c, d, e, f, g, h]) in aligned.iter_mut().zip(instructions) {
        *to = [
            u32::from_ne_bytes([*a, *b, *c, *d]),
            u32::from_ne_bytes([*e, *f, *g, *h]),
        ];
    }
    let len = u16::try_from(instructions.len()).map_err(|_| Errno::INVAL)?;
    if instructions.len() > PROGRAM_MAX {
        return Err(Errno::INVAL);
    }
    let program = Program {
        len,
        instructions: aligned.as_flattened().as_ptr(),
    };
    // SAFETY: it is a `struct sock_fprog`, laid out as C does, and points to `len` instructions: as
    // many as `aligned` has at least, which lives until the call returns.
    unsafe { set(fd, level, option, core::slice::from_ref(&program)) }
}

/// Most instructions of a program.
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
const PROGRAM_MAX: usize = 1_024;

/// Reads an option whose value is these words (`getsockopt(2)`).
pub(crate) fn get_option<const WORDS: usize>(
    fd: BorrowedFd<'_>,
    level: u32,
    option: u32,
) -> Result<[u32; WORDS], Errno> {
    let mut words = [0_u32; WORDS];
    let mut len = count(size_of_val(&words));
    let (at, len_at) = (&raw mut words, &raw mut len);
    // SAFETY: the kernel writes at most `len` bytes at `at`, which are those of a local, and how
    // many at `len_at`, another; both outlive the call.
    let result = unsafe {
        syscall!(
            Sysno::getsockopt,
            number(fd),
            place(level),
            place(option),
            at.expose_provenance(),
            len_at.expose_provenance()
        )
    };
    result.map(|_| words).map_err(errno)
}

/// The argument of a command of `bpf(2)` (`union bpf_attr`), by the offsets of its fields.
#[cfg(feature = "afxdp")]
pub(crate) struct Attribute<'a> {
    bytes: [u8; ATTRIBUTE_LEN],
    /// What the pointers in it point to stays borrowed.
    borrowed: core::marker::PhantomData<&'a [u8]>,
}

/// Bytes of the fields of all commands here; newer kernels have more, which are zero then.
#[cfg(feature = "afxdp")]
const ATTRIBUTE_LEN: usize = 72;

#[cfg(feature = "afxdp")]
impl<'a> Attribute<'a> {
    pub(crate) const fn new() -> Self {
        Self {
            bytes: [0; ATTRIBUTE_LEN],
            borrowed: core::marker::PhantomData,
        }
    }

    pub(crate) fn set(&mut self, at: usize, value: u32) {
        crate::number::put(&mut self.bytes, at, value.to_ne_bytes());
    }

    /// Sets a pointer, 64 bits wide on every processor.
    pub(crate) fn set_bytes(&mut self, at: usize, bytes: &'a [u8]) {
        let address = bytes.as_ptr().expose_provenance();
        let address = u64::try_from(address).unwrap_or_default();
        crate::number::put(&mut self.bytes, at, address.to_ne_bytes());
    }

    /// Calls a command that opens a descriptor.
    pub(crate) fn open(&self, command: usize) -> Result<rustix::fd::OwnedFd, Errno> {
        use rustix::fd::FromRawFd;
        let number = i32::try_from(bpf(command, self)?).map_err(|_| Errno::BADF)?;
        // SAFETY: the commands that this is called with return a descriptor that is made for the
        // call alone (`program.rs` has them: a map, a program, a link).
        Ok(unsafe { rustix::fd::OwnedFd::from_raw_fd(number) })
    }
}

/// Calls `bpf(2)` with a command that reads memory of this process, and writes none.
#[cfg(feature = "afxdp")]
pub(crate) fn bpf(command: usize, attribute: &Attribute<'_>) -> Result<usize, Errno> {
    let bytes = &attribute.bytes;
    // SAFETY: the kernel reads the attribute, and what it points to, which is borrowed as long as
    // it is; the commands of `program.rs` write nothing. The lengths of what is pointed to are in
    // the attribute (instructions), those of the map (4 bytes each), or end with a zero (licence).
    let result = unsafe {
        syscall!(
            Sysno::bpf,
            command,
            bytes.as_ptr().expose_provenance(),
            bytes.len()
        )
    };
    result.map_err(errno)
}
