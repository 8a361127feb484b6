//! Descriptors that whoever started the program has passed to it.
#![expect(
    unsafe_code,
    reason = "that a number is a descriptor of this process is the word of who started it"
)]

extern crate std;

use core::sync::atomic::{AtomicBool, Ordering};
use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt;
use std::string::String;
use std::vec::Vec;

use rustix::fd::{BorrowedFd, FromRawFd, OwnedFd, RawFd};
use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};
use usockets::Error;

/// The first descriptor that is passed (`SD_LISTEN_FDS_START`, `sd_listen_fds(3)`).
const FIRST: RawFd = 3;
/// Most that are taken: more than any service manager passes.
const COUNT_MAX: RawFd = 4_096;

/// A descriptor that a service manager has opened for the program.
#[derive(Debug)]
#[non_exhaustive]
pub struct Passed {
    /// The descriptor, which is closed in programs that this one executes.
    pub descriptor: OwnedFd,
    /// Its name (`FileDescriptorName=`, `systemd.socket(5)`); empty if it was given none.
    pub name: String,
}

/// Takes the descriptors that a service manager has passed to this process, as systemd does
/// (`sd_listen_fds(3)`): those that the variables `LISTEN_PID`, `LISTEN_FDS` and `LISTEN_FDNAMES`
/// tell of. None if there are no such variables, or they are meant for another process, or they
/// were taken before.
///
/// [`Net::insert_listener`](usockets::Net::insert_listener) listens with one,
/// [`Net::insert`](usockets::Net::insert) goes on with one that is connected already; both say
/// [`Error::Invalid`] if it is another.
///
/// ```no_run
/// # use usockets::{Endpoint, Error, Handler, Loop, Platform};
/// # use usockets_posix::{Poll, Posix, passed_descriptors};
/// # fn f<H: Handler<Posix<Poll<16>>>>(
/// #     mut server: Loop<'_, Posix<Poll<16>>, H>, context: H::Context,
/// # ) -> Result<(), Error> {
/// // The address plays no role.
/// let at = Endpoint::tcp(([0, 0, 0, 0], 0).into()).connections_max(100);
/// for passed in passed_descriptors()? {
///     let listening = server.net().insert_listener(passed.descriptor, &at, context);
///     listening.map_err(|(_, error)| error)?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Invalid`] when the variables are not numbers, or tell of a descriptor that is not open.
/// Those that were are closed.
pub fn passed_descriptors() -> Result<Vec<Passed>, Error> {
    static TAKEN: AtomicBool = AtomicBool::new(false);
    let Some(process) = std::env::var_os("LISTEN_PID") else {
        return Ok(Vec::new());
    };
    if number(&process)? != i64::from(std::process::id()) {
        return Ok(Vec::new());
    }
    let count = std::env::var_os("LISTEN_FDS").ok_or(Error::Invalid)?;
    let count = i32::try_from(number(&count)?).map_err(|_| Error::Invalid)?;
    if !(0..=COUNT_MAX).contains(&count) {
        return Err(Error::Invalid);
    }
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Ok(Vec::new());
    }
    let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').map(String::from);
    let mut all = Vec::new();
    let mut last = Ok(());
    for index in 0..count {
        let name = names.next().unwrap_or_default();
        // One that is not open leaves no other behind.
        match take(FIRST.saturating_add(index)) {
            Ok(descriptor) => all.push(Passed { descriptor, name }),
            Err(error) => last = Err(error),
        }
    }
    last.map(|()| all)
}

/// Takes a descriptor by its number. Called once for each.
fn take(number: RawFd) -> Result<OwnedFd, Error> {
    // SAFETY: it is borrowed for the two calls only, which the kernel refuses if it is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let flags = fcntl_getfd(borrowed).map_err(|_| Error::Invalid)?;
    fcntl_setfd(borrowed, flags | FdFlags::CLOEXEC).map_err(|_| Error::Invalid)?;
    // SAFETY: it is open, and whoever started this process says, by its process id, that it passed
    // this descriptor to it, to own. Nobody takes it a second time.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Returns the number that a variable is.
fn number(text: &OsString) -> Result<i64, Error> {
    let text = core::str::from_utf8(text.as_bytes()).map_err(|_| Error::Invalid)?;
    text.parse().map_err(|_| Error::Invalid)
}
