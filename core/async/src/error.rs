//! Why an operation failed.

use core::fmt;

use embedded_io_async::ErrorKind;
use usockets::Error;

/// Why an operation failed: the loop's [`Error`], as the traits of `embedded-io-async` want it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "it is what it wraps")]
pub struct IoError(pub Error);

impl From<Error> for IoError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl From<IoError> for Error {
    fn from(error: IoError) -> Self {
        error.0
    }
}

impl fmt::Display for IoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl core::error::Error for IoError {}

impl embedded_io_async::Error for IoError {
    fn kind(&self) -> ErrorKind {
        match self.0 {
            Error::AddressInUse => ErrorKind::AddrInUse,
            Error::AddressUnavailable => ErrorKind::AddrNotAvailable,
            Error::Denied => ErrorKind::PermissionDenied,
            Error::Full | Error::Exhausted => ErrorKind::OutOfMemory,
            Error::Invalid => ErrorKind::InvalidInput,
            Error::Refused => ErrorKind::ConnectionRefused,
            Error::Reset => ErrorKind::ConnectionReset,
            Error::BrokenPipe => ErrorKind::BrokenPipe,
            Error::TimedOut => ErrorKind::TimedOut,
            Error::Truncated | Error::Protocol(_) => ErrorKind::InvalidData,
            Error::Unsupported => ErrorKind::Unsupported,
            _ => ErrorKind::Other,
        }
    }
}
