//! What can be changed of an open connection.

use crate::time::Duration;

/// An option of an open connection, with its new value. A platform that has no such option says
/// [`Error::Unsupported`](crate::Error::Unsupported).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum SocketOption {
    /// Sends small segments at once (`TCP_NODELAY`, `tcp(7)`).
    NoDelay(bool),
    /// Probes an idle peer, or does not (RFC 9293, section 3.8.4).
    Keepalive(Option<Keepalive>),
    /// How long sent bytes may stay unacknowledged before the connection breaks
    /// (`TCP_USER_TIMEOUT`; RFC 9293, section 3.8.3). Zero is the platform's own choice.
    UserTimeout(Duration),
    /// Bytes that the platform may hold for receiving (`SO_RCVBUF`).
    RecvBuffer(usize),
    /// Bytes that the platform may hold for sending (`SO_SNDBUF`).
    SendBuffer(usize),
    /// The priority of what is sent, 0 to 6 without privilege (`SO_PRIORITY`).
    Priority(u8),
}

/// When and how often an idle peer is probed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(clippy::exhaustive_structs, reason = "programs make it")]
pub struct Keepalive {
    /// Idle time before the first probe. Platforms count whole seconds, rounded up.
    pub idle: Duration,
    /// Time between two probes. Likewise.
    pub interval: Duration,
    /// Unanswered probes after which the connection breaks; 0 is the platform's own choice.
    pub count: u8,
}
