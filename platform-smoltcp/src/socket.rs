//! What a loop keeps of a socket of either platform.

use usockets::Error;

/// What a loop's pool slot holds of a socket: where it is in the stack.
#[derive(Debug)]
pub struct Socket {
    pub(crate) kind: Kind,
    pub(crate) index: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Kind {
    Closed = 0,
    Listener = 1,
    Stream = 2,
    #[cfg(feature = "datagrams")]
    Datagrams = 3,
}

impl Socket {
    /// What the slot of a socket that is closed holds.
    pub(crate) const CLOSED: Self = Self::new(Kind::Closed, 0);

    pub(crate) const fn new(kind: Kind, index: u32) -> Self {
        Self { kind, index }
    }

    pub(crate) const fn stream(&self) -> Result<u32, Error> {
        match self.kind {
            Kind::Stream => Ok(self.index),
            _ => Err(Error::Invalid),
        }
    }

    #[cfg(feature = "datagrams")]
    pub(crate) const fn datagrams(&self) -> Result<u32, Error> {
        match self.kind {
            Kind::Datagrams => Ok(self.index),
            _ => Err(Error::Invalid),
        }
    }

    pub(crate) const fn listener(&self) -> Result<u32, Error> {
        match self.kind {
            Kind::Listener => Ok(self.index),
            _ => Err(Error::Invalid),
        }
    }
}
