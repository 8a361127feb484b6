//! The system's error numbers in the words of every platform.

use usockets::Error;
use windows_sys::Win32::Foundation::{
    ERROR_NO_SYSTEM_RESOURCES, GetLastError, STATUS_INSUFFICIENT_RESOURCES, STATUS_INVALID_HANDLE,
    STATUS_NO_MEMORY, STATUS_QUOTA_EXCEEDED, STATUS_TOO_MANY_OPENED_FILES,
};
use windows_sys::Win32::Networking::WinSock::{
    WSA_NOT_ENOUGH_MEMORY, WSAEACCES, WSAEADDRINUSE, WSAEADDRNOTAVAIL, WSAEAFNOSUPPORT,
    WSAECONNABORTED, WSAECONNREFUSED, WSAECONNRESET, WSAEFAULT, WSAEHOSTDOWN, WSAEHOSTUNREACH,
    WSAEINVAL, WSAEISCONN, WSAEMFILE, WSAENETDOWN, WSAENETRESET, WSAENETUNREACH, WSAENOBUFS,
    WSAENOPROTOOPT, WSAENOTCONN, WSAENOTSOCK, WSAEOPNOTSUPP, WSAEPROTONOSUPPORT, WSAESHUTDOWN,
    WSAETIMEDOUT, WSAGetLastError,
};

/// Translates an error number of Windows Sockets.
#[cold]
pub(crate) fn error(code: i32) -> Error {
    match code {
        WSAEADDRINUSE => Error::AddressInUse,
        WSAEADDRNOTAVAIL => Error::AddressUnavailable,
        WSAEACCES => Error::Denied,
        WSAEMFILE | WSAENOBUFS | WSA_NOT_ENOUGH_MEMORY => Error::Exhausted,
        WSAEINVAL | WSAENOTSOCK | WSAENOTCONN | WSAEISCONN | WSAEFAULT => Error::Invalid,
        WSAENETUNREACH | WSAEHOSTUNREACH | WSAENETDOWN | WSAEHOSTDOWN => Error::Unreachable,
        WSAECONNREFUSED => Error::Refused,
        WSAECONNRESET | WSAECONNABORTED | WSAENETRESET | WSAESHUTDOWN => Error::Reset,
        WSAETIMEDOUT => Error::TimedOut,
        WSAEOPNOTSUPP | WSAEAFNOSUPPORT | WSAEPROTONOSUPPORT | WSAENOPROTOOPT => Error::Unsupported,
        other => Error::Platform(u16::try_from(other).unwrap_or(u16::MAX)),
    }
}

/// Translates a status of the kernel's own calls.
#[cold]
pub(crate) fn status_error(status: i32) -> Error {
    match status {
        STATUS_INSUFFICIENT_RESOURCES
        | STATUS_NO_MEMORY
        | STATUS_QUOTA_EXCEEDED
        | STATUS_TOO_MANY_OPENED_FILES => Error::Exhausted,
        STATUS_INVALID_HANDLE => Error::Invalid,
        other => {
            let [low, high, _, _] = other.to_le_bytes();
            Error::Platform(u16::from_le_bytes([low, high]))
        }
    }
}

/// Returns why this thread's last socket call failed.
#[expect(unsafe_code, reason = "the number is read by a call")]
pub(crate) fn last_socket_error() -> i32 {
    // SAFETY: it has no preconditions.
    unsafe { WSAGetLastError() }
}

/// Returns why this thread's last other call failed.
#[expect(unsafe_code, reason = "the number is read by a call")]
pub(crate) fn last_error() -> Error {
    // SAFETY: it has no preconditions.
    match unsafe { GetLastError() } {
        ERROR_NO_SYSTEM_RESOURCES | 8 => Error::Exhausted,
        other => Error::Platform(u16::try_from(other).unwrap_or(u16::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_in_the_words_of_every_platform() {
        assert_eq!(error(WSAECONNREFUSED), Error::Refused);
        assert_eq!(error(WSAEMFILE), Error::Exhausted);
        assert_eq!(error(12_345), Error::Platform(12_345));
        assert_eq!(status_error(STATUS_NO_MEMORY), Error::Exhausted);
    }
}
