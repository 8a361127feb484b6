//! The completion port, at which the loop waits.
#![expect(unsafe_code, reason = "handles, and memory that the system writes to")]

use core::ptr;

use usockets::{Error, Notify};
use windows_sys::Win32::Foundation::{
    CloseHandle, GetLastError, HANDLE, INVALID_HANDLE_VALUE, WAIT_TIMEOUT,
};
use windows_sys::Win32::System::IO::{
    CreateIoCompletionPort, GetQueuedCompletionStatusEx, OVERLAPPED_ENTRY,
    PostQueuedCompletionStatus,
};

use crate::error::last_error;

/// Completions taken per wait. With 32 bytes each they are 4 KiB of the platform.
const COMPLETIONS_MAX: usize = 128;
/// The key of a wake-up. A table of operations never lies at this address.
const WAKE_KEY: usize = 0;

/// An open handle, which is closed when dropped.
#[derive(Debug)]
pub(crate) struct Handle(HANDLE);

// SAFETY: a handle is a number that every thread of the process may use; the pointer is never
// followed.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Handle {
    /// Takes the ownership of an open handle.
    ///
    /// # Safety
    /// `raw` is open, and nobody else closes it.
    pub(crate) const unsafe fn new(raw: HANDLE) -> Self {
        Self(raw)
    }

    pub(crate) const fn raw(&self) -> HANDLE {
        self.0
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: by the contract of `new` it is open and ours.
        unsafe { CloseHandle(self.0) };
    }
}

/// A completion port (`CreateIoCompletionPort`): where the loop waits, and what a
/// [`Waker`](usockets::Waker) writes to.
#[derive(Debug)]
pub struct Port {
    handle: Handle,
}

impl Port {
    /// Creates a port.
    ///
    /// # Errors
    /// [`Error::Exhausted`] when the system is out of memory.
    pub fn new() -> Result<Self, Error> {
        // SAFETY: without a file, the call only makes a port.
        let raw = unsafe { CreateIoCompletionPort(INVALID_HANDLE_VALUE, ptr::null_mut(), 0, 1) };
        if raw.is_null() {
            return Err(last_error());
        }
        Ok(Self {
            // SAFETY: just made, and known to nobody else.
            handle: unsafe { Handle::new(raw) },
        })
    }

    /// Has the completions of a file come here, with this key.
    pub(crate) fn associate(&self, file: &Handle, key: usize) -> Result<(), Error> {
        // SAFETY: both handles are open.
        let port = unsafe { CreateIoCompletionPort(file.raw(), self.handle.raw(), key, 0) };
        if port.is_null() {
            return Err(last_error());
        }
        Ok(())
    }

    /// Waits for completions, for at most this many milliseconds; `u32::MAX` is for ever.
    pub(crate) fn wait(&self, completions: &mut Completions, millis: u32) -> Result<(), Error> {
        completions.next = 0;
        completions.count = 0;
        let mut count = 0;
        // SAFETY: the port is open; there is room for as many entries as are asked for, and the
        // call is over before they are read.
        let ok = unsafe {
            GetQueuedCompletionStatusEx(
                self.handle.raw(),
                completions.entries.as_mut_ptr(),
                u32::try_from(COMPLETIONS_MAX).unwrap_or_default(),
                &raw mut count,
                millis,
                0,
            )
        };
        if ok == 0 {
            // SAFETY: it has no preconditions.
            return match unsafe { GetLastError() } {
                WAIT_TIMEOUT => Ok(()),
                _ => Err(last_error()),
            };
        }
        completions.count = usize::try_from(count).unwrap_or_default();
        Ok(())
    }
}

impl Notify for Port {
    /// Queues a wake-up at the port, one system call. Callable from any thread.
    fn notify(&self) {
        // Refused only when the system is out of memory.
        // SAFETY: the port is open; no `OVERLAPPED` is named.
        unsafe { PostQueuedCompletionStatus(self.handle.raw(), 0, WAKE_KEY, ptr::null()) };
    }
}

/// One completion of a poll.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Completion {
    /// The key that its device was associated with.
    pub(crate) key: usize,
    /// What the poll was started with.
    pub(crate) value: usize,
    /// How it ended: an `NTSTATUS`.
    pub(crate) status: i32,
}

/// What one wait brought.
pub(crate) struct Completions {
    entries: [OVERLAPPED_ENTRY; COMPLETIONS_MAX],
    next: usize,
    count: usize,
}

// SAFETY: the pointers in the entries are never followed.
unsafe impl Send for Completions {}

impl Completions {
    pub(crate) const NONE: Self = Self {
        entries: [OVERLAPPED_ENTRY {
            lpCompletionKey: 0,
            lpOverlapped: ptr::null_mut(),
            Internal: 0,
            dwNumberOfBytesTransferred: 0,
        }; COMPLETIONS_MAX],
        next: 0,
        count: 0,
    };

    /// Returns true if the wait brought as many as fit, so that more may be waiting.
    pub(crate) const fn is_full(&self) -> bool {
        self.count == COMPLETIONS_MAX
    }

    /// Takes the next completion of a poll; wake-ups are left out.
    pub(crate) fn next(&mut self) -> Option<Completion> {
        while self.next < self.count {
            let entry = self.entries.get(self.next)?;
            self.next = self.next.saturating_add(1);
            if entry.lpCompletionKey != WAKE_KEY {
                let [a, b, c, d, ..] = entry.Internal.to_le_bytes();
                return Some(Completion {
                    key: entry.lpCompletionKey,
                    value: entry.lpOverlapped.addr(),
                    status: i32::from_le_bytes([a, b, c, d]),
                });
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_up_ends_the_wait_and_is_no_completion() {
        let port = Port::new().unwrap();
        let mut completions = Completions::NONE;
        port.notify();
        port.wait(&mut completions, u32::MAX).unwrap();
        assert_eq!(completions.count, 1);
        assert_eq!(completions.next(), None);
        port.wait(&mut completions, 0).unwrap();
        assert_eq!(completions.count, 0);
    }

    #[test]
    fn a_wait_takes_no_more_than_fits_and_says_so() {
        let port = Port::new().unwrap();
        let mut completions = Completions::NONE;
        for _ in 0..=COMPLETIONS_MAX {
            port.notify();
        }
        port.wait(&mut completions, 0).unwrap();
        assert!(completions.is_full());
        port.wait(&mut completions, 0).unwrap();
        assert_eq!(completions.count, 1);
        assert!(!completions.is_full());
    }
}
