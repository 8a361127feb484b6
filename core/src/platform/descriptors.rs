//! The capability of taking descriptors in and giving them away.

use crate::error::Error;
use crate::id::SocketId;
use crate::platform::Platform;

/// A platform whose sockets are descriptors of an operating system.
///
/// What was made elsewhere can be inserted: sockets that a service manager opened
/// (`sd_listen_fds(3)`), connections accepted by another thread or program, and anything else that
/// can be waited for.
pub trait Descriptors: Platform {
    /// A descriptor that is owned: closed when dropped.
    type Descriptor;

    /// Puts a descriptor into `socket`, which is [`Platform::CLOSED`]. Reports carry `id`. It is
    /// made non-blocking.
    ///
    /// # Errors
    /// The descriptor comes back, with why: [`Error::Invalid`] when it is not what `kind` says,
    /// [`Error::Exhausted`] when the platform cannot watch another.
    fn insert(
        &mut self,
        socket: &mut Self::Socket,
        id: SocketId,
        descriptor: Self::Descriptor,
        kind: Inserted,
    ) -> Result<(), (Self::Descriptor, Error)>;

    /// Takes the descriptor out of `socket`, which is [`Platform::CLOSED`] then. Bytes that came
    /// and are not in the operating system's hands are moved to the front of `unread`; returns how
    /// many.
    ///
    /// # Errors
    /// [`Error::Invalid`] when there is none, [`Error::Full`] when `unread` is too short; nothing
    /// has changed then.
    fn take(
        &mut self,
        socket: &mut Self::Socket,
        unread: &mut [u8],
    ) -> Result<(Self::Descriptor, usize), Error>;
}

/// What an inserted descriptor is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Inserted {
    /// A socket that listens already.
    Listener,
    /// A stream socket that is connected already: accepted, or connected by others.
    Connected,
    /// Anything else that can be waited for: a pipe, a terminal, a timer, another loop. It is
    /// reported, and read and written by the program itself.
    Foreign,
}
