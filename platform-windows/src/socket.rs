//! The system's side of one pool slot.

use usockets::Error;
use windows_sys::Win32::Networking::WinSock::SOCKET;

use crate::winsock::Owned;

/// The system's side of one pool slot: a socket, what it is, and its operations. All zero bytes
/// while closed. Owns the socket, and closes it when dropped.
#[derive(Debug)]
pub struct Socket {
    owned: Option<Owned>,
    pub(crate) kind: Kind,
    /// The operation that waits for something to read or accept.
    pub(crate) input: u32,
    /// Of a connection, the operation that waits for room to send, and for the connection to
    /// break.
    pub(crate) output: u32,
}

/// What a socket is used for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Kind {
    Stream = 0,
    Connecting,
    Listener,
}

impl Socket {
    /// No socket.
    pub(crate) const CLOSED: Self = Self {
        owned: None,
        kind: Kind::Stream,
        input: 0,
        output: 0,
    };

    pub(crate) const fn new(owned: Owned, kind: Kind, input: u32, output: u32) -> Self {
        Self {
            owned: Some(owned),
            kind,
            input,
            output,
        }
    }

    /// Returns the socket.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none.
    #[inline]
    pub(crate) fn get(&self) -> Result<&Owned, Error> {
        self.owned.as_ref().ok_or(Error::Invalid)
    }

    /// Returns true if there is a socket.
    pub(crate) const fn is_open(&self) -> bool {
        self.owned.is_some()
    }

    /// Returns the socket's number (`SOCKET`), for calls of the system that this crate has no
    /// name for. It stays the loop's to close.
    ///
    /// # Errors
    /// [`Error::Invalid`] when the slot is closed.
    pub fn raw(&self) -> Result<SOCKET, Error> {
        self.get().map(Owned::raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_is_24_bytes_without_a_socket() {
        let socket = Socket::CLOSED;
        assert_eq!(size_of_val(&socket), 24);
        assert_eq!(socket.raw(), Err(Error::Invalid));
        assert_eq!(
            (socket.kind, socket.input, socket.output),
            (Kind::Stream, 0, 0)
        );
    }
}
