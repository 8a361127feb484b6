//! The system calls that receive and send datagrams: `recvmmsg`, `sendmmsg`, `recvmsg` and
//! `sendmsg` (`recvmmsg(2)`, `sendmmsg(2)`).
#![expect(unsafe_code, reason = "a raw system call is unsafe by its type")]

use core::ffi::c_void;
use core::marker::PhantomData;
use core::mem::MaybeUninit;
use core::ptr;

use linux_raw_sys::net::{MSG_ERRQUEUE, MSG_NOSIGNAL, MSG_TRUNC, iovec, mmsghdr, msghdr};
use rustix::fd::{AsRawFd, BorrowedFd};
use rustix::io::Errno;
use syscalls::{Sysno, syscall};

use super::control::{CONTROL_MAX, Control};
use super::names::{NAME_MAX, Name};

/// Most datagrams, or runs of them, in one call. With what the kernel is told of each they take
/// some 15 KiB of the stack.
pub(super) const BATCH_MAX: usize = 64;

/// Bytes for the control messages of an error: the error, who sent it, and those of a datagram.
const ERROR_CONTROL: usize = 256;

/// A received datagram or error, in the kernel's form.
pub(super) struct Incoming<'a> {
    /// Bytes received.
    pub(super) len: usize,
    /// Its end is lost.
    pub(super) is_truncated: bool,
    /// Who sent it, or where it was going.
    pub(super) name: &'a [u8],
    /// Control messages.
    pub(super) control: &'a [u8],
}

/// `struct iovec`, which linux-raw-sys leaves opaque here.
#[derive(Clone, Copy)]
#[repr(C)]
struct Slice {
    base: *mut c_void,
    len: usize,
}

const _: () = assert!(size_of::<Slice>() == 2 * size_of::<usize>());

impl Slice {
    const NONE: Self = Self {
        base: ptr::null_mut(),
        len: 0,
    };
}

/// A message header without anything.
const EMPTY: mmsghdr = mmsghdr {
    msg_hdr: msghdr {
        msg_name: ptr::null_mut(),
        msg_namelen: 0,
        msg_iov: ptr::null_mut(),
        msg_iovlen: 0,
        msg_control: ptr::null_mut(),
        msg_controllen: 0,
        msg_flags: 0,
    },
    msg_len: 0,
};

/// Control messages, aligned as the kernel's are.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
struct Aligned<const N: usize>([u8; N]);

/// Receives up to `most` datagrams, each into `part` bytes of `rooms`, and hands each to `found`
/// with its index: `recvmmsg`. Returns how many, at least one.
///
/// # Errors
/// `EAGAIN` when there is none; what the kernel says.
pub(super) fn recv_many(
    fd: BorrowedFd<'_>,
    rooms: &mut [u8],
    part: usize,
    most: usize,
    mut found: impl FnMut(usize, Incoming<'_>),
) -> Result<usize, Errno> {
    let mut headers = [EMPTY; BATCH_MAX];
    let mut slices = [Slice::NONE; BATCH_MAX];
    let mut names = [MaybeUninit::<[u8; NAME_MAX]>::uninit(); BATCH_MAX];
    let mut controls = [MaybeUninit::<Aligned<CONTROL_MAX>>::uninit(); BATCH_MAX];
    let parts = rooms.chunks_exact_mut(part.max(1)).take(most);
    let places = headers.iter_mut().zip(&mut slices);
    let rest = names.iter_mut().zip(&mut controls);
    let mut count = 0_usize;
    for ((header, slice), ((name, control), room)) in places.zip(rest.zip(parts)) {
        slice.base = room.as_mut_ptr().cast();
        slice.len = room.len();
        header.msg_hdr = receiving(slice, name.as_mut_ptr().cast(), control.as_mut_ptr().cast());
        count = count.saturating_add(1);
    }
    // SAFETY: `headers` has `count` headers whose pointers lead to a slice, a name and control
    // bytes that are locals here, of the lengths that they say, and each slice to a part of
    // `rooms`, which is exclusively borrowed; no two overlap. A null time-out waits for none.
    let received = unsafe {
        syscall!(
            Sysno::recvmmsg,
            number(fd),
            headers.as_mut_ptr().expose_provenance(),
            count,
            0,
            0
        )
    };
    let received = received.map_err(errno)?;
    let received = received.min(count);
    for (index, header) in headers.iter().enumerate().take(received) {
        let len = usize::try_from(header.msg_len).unwrap_or(usize::MAX);
        // SAFETY: the kernel has filled in this header, whose name and control bytes live.
        found(index, unsafe { incoming(&header.msg_hdr, len.min(part)) });
    }
    Ok(received)
}

/// Receives one datagram into `room` and hands it to `found`: `recvmsg`.
///
/// # Errors
/// As [`recv_many`].
pub(super) fn recv_one(
    fd: BorrowedFd<'_>,
    room: &mut [u8],
    mut found: impl FnMut(usize, Incoming<'_>),
) -> Result<(), Errno> {
    recv_message::<CONTROL_MAX>(fd, room, 0, |message| found(0, message))
}

/// Takes one error out of the queue of errors and hands it to `found`: `recvmsg`.
///
/// # Errors
/// `EAGAIN` when there is none.
pub(super) fn recv_error(
    fd: BorrowedFd<'_>,
    found: impl FnOnce(Incoming<'_>),
) -> Result<(), Errno> {
    recv_message::<ERROR_CONTROL>(fd, &mut [], MSG_ERRQUEUE, found)
}

fn recv_message<const N: usize>(
    fd: BorrowedFd<'_>,
    room: &mut [u8],
    flags: u32,
    found: impl FnOnce(Incoming<'_>),
) -> Result<(), Errno> {
    let mut name = MaybeUninit::<[u8; NAME_MAX]>::uninit();
    let mut control = MaybeUninit::<Aligned<N>>::uninit();
    let mut slice = Slice {
        base: room.as_mut_ptr().cast(),
        len: room.len(),
    };
    let mut header = receiving(
        &mut slice,
        name.as_mut_ptr().cast(),
        control.as_mut_ptr().cast(),
    );
    header.msg_controllen = N;
    // SAFETY: the header's pointers lead to a slice, a name and control bytes that are locals here,
    // of the lengths that it says, and the slice to `room`, which is exclusively borrowed.
    let received = unsafe {
        syscall!(
            Sysno::recvmsg,
            number(fd),
            (&raw mut header).expose_provenance(),
            flags
        )
    };
    let received = received.map_err(errno)?;
    // SAFETY: the kernel has filled in this header, whose name and control bytes live.
    found(unsafe { incoming(&header, received.min(room.len())) });
    Ok(())
}

/// Makes a header to receive with: `control` has [`CONTROL_MAX`] bytes, `name` [`NAME_MAX`].
const fn receiving(slice: &mut Slice, name: *mut c_void, control: *mut c_void) -> msghdr {
    msghdr {
        msg_name: name,
        // Small numbers.
        #[expect(
            clippy::as_conversions,
            clippy::cast_possible_truncation,
            clippy::cast_possible_wrap,
            reason = "28 is an `int`"
        )]
        msg_namelen: NAME_MAX as i32,
        msg_iov: ptr::from_mut(slice).cast::<iovec>(),
        msg_iovlen: 1,
        msg_control: control,
        msg_controllen: CONTROL_MAX,
        msg_flags: 0,
    }
}

/// Reads a header that the kernel filled in.
///
/// # Safety
/// The kernel has written `msg_namelen` bytes (at most [`NAME_MAX`]) at `msg_name` and
/// `msg_controllen` bytes at `msg_control`, and they outlive `'a`.
unsafe fn incoming<'a>(header: &msghdr, len: usize) -> Incoming<'a> {
    let name_len = usize::try_from(header.msg_namelen).unwrap_or_default();
    // SAFETY: promised by the caller; a length that is more than there is room was cut by the
    // kernel, and is cut here.
    let (name, control) = unsafe {
        (
            core::slice::from_raw_parts(header.msg_name.cast::<u8>(), name_len.min(NAME_MAX)),
            core::slice::from_raw_parts(header.msg_control.cast::<u8>(), header.msg_controllen),
        )
    };
    Incoming {
        len,
        is_truncated: header.msg_flags & MSG_TRUNC != 0,
        name,
        control,
    }
}

/// Messages to send in one call. Each is a datagram, or a run of them, of one piece of memory or of
/// several.
pub(super) struct Outgoing<'m> {
    len: usize,
    names: [MaybeUninit<Name>; BATCH_MAX],
    controls: [MaybeUninit<Control>; BATCH_MAX],
    /// For each message, behind which of the pieces its own end.
    ends: [u8; BATCH_MAX],
    slices: [Slice; BATCH_MAX],
    /// Pieces of all messages.
    pieces: usize,
    /// The bytes are borrowed for as long as they may be sent.
    memory: PhantomData<&'m [u8]>,
}

impl<'m> Outgoing<'m> {
    /// Makes an empty batch.
    pub(super) const fn new() -> Self {
        Self {
            len: 0,
            names: [MaybeUninit::uninit(); BATCH_MAX],
            controls: [MaybeUninit::uninit(); BATCH_MAX],
            ends: [0; BATCH_MAX],
            slices: [Slice::NONE; BATCH_MAX],
            pieces: 0,
            memory: PhantomData,
        }
    }

    /// Returns how many messages there are.
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Returns how many pieces the first `count` messages have.
    pub(super) fn pieces(&self, count: usize) -> usize {
        let last = count.min(self.len).checked_sub(1);
        let end = last.and_then(|last| self.ends.get(last));
        end.map_or(0, |end| usize::from(*end))
    }

    /// Adds a message of one piece, if there are fewer than [`BATCH_MAX`] pieces.
    pub(super) fn push(&mut self, name: &Name, control: &Control, bytes: &'m [u8]) {
        if let (Some(to), Some(with), true) = (
            self.names.get_mut(self.len),
            self.controls.get_mut(self.len),
            self.pieces < BATCH_MAX,
        ) {
            to.write(*name);
            with.write(*control);
            self.len = self.len.saturating_add(1);
            self.push_piece(bytes);
        }
    }

    /// Adds a piece to the last message, which is a datagram or a run of them of `segment` bytes
    /// each, and becomes a longer run. Nothing if there is no message, or no room.
    pub(super) fn extend(&mut self, segment: u16, bytes: &'m [u8]) {
        let Some(last) = self.len.checked_sub(1) else {
            return;
        };
        let is_one = self.pieces(self.len) == self.pieces(last).saturating_add(1);
        if is_one && let Some(control) = self.controls.get_mut(last) {
            // SAFETY: those before `len` have been written.
            unsafe { control.assume_init_mut() }.push_segment(segment);
        }
        self.push_piece(bytes);
    }

    fn push_piece(&mut self, bytes: &'m [u8]) {
        let last = self.len.saturating_sub(1);
        if let (Some(slice), Some(end)) =
            (self.slices.get_mut(self.pieces), self.ends.get_mut(last))
        {
            *slice = Slice {
                base: bytes.as_ptr().cast_mut().cast(),
                len: bytes.len(),
            };
            self.pieces = self.pieces.saturating_add(1);
            *end = u8::try_from(self.pieces).unwrap_or(u8::MAX);
        }
    }

    /// Makes the header of the message at `index`; `None` if there is none.
    fn header(&mut self, index: usize) -> Option<msghdr> {
        if index >= self.len {
            return None;
        }
        let (start, end) = (self.pieces(index), self.pieces(index.saturating_add(1)));
        let slices = self.slices.get_mut(start..end)?;
        let (name, control) = (self.names.get(index)?, self.controls.get(index)?);
        // SAFETY: those before `len` have been written.
        let (name, control) = unsafe { (name.assume_init_ref(), control.assume_init_ref()) };
        let control = control.as_bytes();
        Some(msghdr {
            msg_name: name.bytes.as_ptr().cast_mut().cast(),
            msg_namelen: name.len.into(),
            msg_iov: slices.as_mut_ptr().cast::<iovec>(),
            msg_iovlen: slices.len(),
            msg_control: control.as_ptr().cast_mut().cast(),
            msg_controllen: control.len(),
            msg_flags: 0,
        })
    }

    /// Sends all, and returns how many were taken, at least one: `sendmmsg`.
    ///
    /// # Errors
    /// `EAGAIN` when there is no room; why the first cannot be sent.
    pub(super) fn send_many(&mut self, fd: BorrowedFd<'_>) -> Result<usize, Errno> {
        let mut headers = [EMPTY; BATCH_MAX];
        let count = self.len;
        for (index, header) in headers.iter_mut().enumerate().take(count) {
            if let Some(filled) = self.header(index) {
                header.msg_hdr = filled;
            }
        }
        // SAFETY: `headers` has `count` headers whose pointers lead into `self`, to names, control
        // bytes and slices of the lengths and numbers that they say, and each slice to bytes that
        // `self` borrows. The kernel only reads them, and writes the lengths in the headers.
        let sent = unsafe {
            syscall!(
                Sysno::sendmmsg,
                number(fd),
                headers.as_mut_ptr().expose_provenance(),
                count,
                MSG_NOSIGNAL
            )
        };
        sent.map_err(errno)
    }

    /// Sends the first: `sendmsg`.
    ///
    /// # Errors
    /// As [`Self::send_many`].
    pub(super) fn send_one(&mut self, fd: BorrowedFd<'_>) -> Result<(), Errno> {
        let header = self.header(0).ok_or(Errno::INVAL)?;
        // SAFETY: as in `send_many`, of one header.
        let sent = unsafe {
            syscall!(
                Sysno::sendmsg,
                number(fd),
                (&raw const header).expose_provenance(),
                MSG_NOSIGNAL
            )
        };
        sent.map(|_| ()).map_err(errno)
    }
}

/// Returns a descriptor as the kernel takes it.
fn number(fd: BorrowedFd<'_>) -> usize {
    // Descriptors are never negative, and a number that is not one is an error.
    usize::try_from(fd.as_raw_fd()).unwrap_or(usize::MAX)
}

/// Translates between the two crates.
fn errno(errno: syscalls::Errno) -> Errno {
    Errno::from_raw_os_error(errno.into_raw())
}
