//! What a loop keeps of a socket of the stack.

use usockets::Error;

/// What a loop's pool slot holds of a socket: where it is in the stack.
#[derive(Debug)]
pub struct Socket {
    pub(super) kind: Kind,
    pub(super) index: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Kind {
    Closed = 0,
    Listener = 1,
    Stream = 2,
    #[cfg(feature = "datagrams")]
    Datagrams = 3,
}

impl Socket {
    pub(super) const fn stream(&self) -> Result<u32, Error> {
        match self.kind {
            Kind::Stream => Ok(self.index),
            _ => Err(Error::Invalid),
        }
    }

    #[cfg(feature = "datagrams")]
    pub(super) const fn datagrams(&self) -> Result<u32, Error> {
        match self.kind {
            Kind::Datagrams => Ok(self.index),
            _ => Err(Error::Invalid),
        }
    }

    pub(super) const fn listener(&self) -> Result<u32, Error> {
        match self.kind {
            Kind::Listener => Ok(self.index),
            _ => Err(Error::Invalid),
        }
    }
}
