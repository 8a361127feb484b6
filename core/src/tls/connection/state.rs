//! Where a connection stands: its side, the message that comes next, and why it failed.

use crate::tls::alert::Alert;

/// Which side of the connection we are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Role {
    Server = 0,
    Client,
}

impl Role {
    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Server => Self::Client,
            Self::Client => Self::Server,
        }
    }
}

/// Why a connection failed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum Failure {
    /// The peer broke the protocol, or something failed here.
    Sent(Alert) = 0,
    /// The peer said so.
    Received(Alert),
}

/// Which message comes next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(crate) enum State {
    Closed = 0,
    AwaitClientHello,
    AwaitSecondClientHello,
    AwaitServerHello,
    AwaitSecondServerHello,
    AwaitExtensions,
    AwaitRequest,
    AwaitCertificate,
    AwaitVerify,
    AwaitFinished,
    AwaitSignature,
    Open,
    Failed,
}
