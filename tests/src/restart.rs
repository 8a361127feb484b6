//! Calls that a signal interrupts.

use std::io::{self, ErrorKind};

/// Makes a call again for as long as it is interrupted: of those on sockets with a timeout the
/// kernel restarts none, even after a stop of the whole machine, which no handler sees
/// (`signal(7)`).
///
/// # Errors
/// Every other one of the call.
pub fn restarted<T>(mut call: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match call() {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            outcome => return outcome,
        }
    }
}
