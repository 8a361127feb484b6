//! Interrupting a wait on any POSIX system.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::io::{Errno, read, write};
use usockets::{Error, Notify};

use crate::errno::error;

/// A pipe (`pipe(2)`): what a [`Waker`](usockets::Waker) writes to. Neither end blocks.
#[derive(Debug)]
pub struct Pipe {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl Pipe {
    /// Makes the pipe.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when the process or the system is out of descriptors or memory.
    pub fn new() -> Result<Self, Error> {
        let (reader, writer) = pipe().map_err(error)?;
        Ok(Self { reader, writer })
    }

    /// Returns the end that becomes readable.
    pub(crate) fn reader(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }

    /// Reads what was written. Ends, as a byte is written only after the last wake-up was taken.
    pub(crate) fn empty(&self) {
        let mut bytes = [0; 16];
        loop {
            match read(&self.reader, &mut bytes) {
                Ok(count) if count == bytes.len() => {}
                Err(Errno::INTR) => {}
                _ => return,
            }
        }
    }
}

impl Notify for Pipe {
    /// Writes a byte, one system call. Async-signal-safe.
    fn notify(&self) {
        // A pipe that is full is readable, which is all that matters.
        while write(&self.writer, &[1]) == Err(Errno::INTR) {}
    }
}

#[cfg(not(target_vendor = "apple"))]
fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    use rustix::pipe::{PipeFlags, pipe_with};

    pipe_with(PipeFlags::NONBLOCK | PipeFlags::CLOEXEC)
}

/// Apple's systems have no `pipe2`.
#[cfg(target_vendor = "apple")]
fn pipe() -> Result<(OwnedFd, OwnedFd), Errno> {
    let (reader, writer) = rustix::pipe::pipe()?;
    for fd in [&reader, &writer] {
        rustix::io::ioctl_fionbio(fd, true)?;
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
    }
    Ok((reader, writer))
}
