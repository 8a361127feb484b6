//! What is kept of a socket beside smoltcp's own state, and the memory of it all.

use core::net::SocketAddr;

use smoltcp::iface::{SocketHandle, SocketStorage};
use smoltcp::socket::tcp::State;
use usockets::{Duration, Endpoint, Error, Instant, Readiness, SocketId};

/// All memory of a [`Smoltcp`](crate::Smoltcp), lent for as long as it lives.
#[expect(clippy::exhaustive_structs, reason = "the caller makes it")]
pub struct SmoltcpMemory<'a> {
    /// One for each TCP socket. A connection that its owner has closed keeps its own for a while,
    /// and each listener needs one beside those of its connections.
    pub entries: &'a mut [SmoltcpEntry],
    /// As many as `entries`, all empty, and one more for each socket that the program adds itself
    /// ([`Smoltcp::add`](crate::Smoltcp::add)).
    pub storage: &'a mut [SocketStorage<'a>],
    /// The sockets' buffers: an equal share for each.
    pub bytes: &'a mut [u8],
    /// One for each listener.
    pub listeners: &'a mut [SmoltcpListener],
}

impl core::fmt::Debug for SmoltcpMemory<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("SmoltcpMemory")
            .field("entries", &self.entries.len())
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// Who a TCP socket of smoltcp's is for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Phase {
    /// Nobody: it is closed.
    Free,
    /// A listener, by its place: it listens, is half-open, or waits to be accepted.
    Listener(usize),
    /// An owner in the loop.
    Owned,
    /// Its owner has closed; it delivers what is left.
    Orphan,
}

/// What a [`Smoltcp`](crate::Smoltcp) keeps of one TCP socket, lent by the caller as
/// [`SmoltcpEntry::EMPTY`].
#[derive(Debug)]
pub struct SmoltcpEntry {
    pub(super) handle: Option<SocketHandle>,
    pub(super) phase: Phase,
    /// Bits of the owner's `SocketId`.
    pub(super) owner: u64,
    /// What is to be reported.
    pub(super) readiness: Readiness,
    /// The socket's state when it was last looked at.
    pub(super) state: State,
    /// Octets that could be received then.
    pub(super) unread: usize,
    /// Octets that were not acknowledged then.
    pub(super) unsent: usize,
    /// The owner is to be told when something can be received.
    pub(super) wants_read: bool,
    /// The owner is to be told when there is room to send.
    pub(super) wants_write: bool,
    /// The peer's end has come.
    pub(super) ended: bool,
    pub(super) error: Option<Error>,
    /// Place in the order in which connections were established, or in which owners closed.
    pub(super) order: u64,
    /// When the socket is given up unless the peer takes something.
    pub(super) deadline: Option<Instant>,
    /// After which silence the peer is asked whether it lives.
    pub(super) keepalive: Option<Duration>,
    /// How long octets may stay unacknowledged.
    pub(super) answer: Duration,
}

impl SmoltcpEntry {
    /// A place that no socket has taken.
    pub const EMPTY: Self = Self {
        handle: None,
        phase: Phase::Free,
        owner: 0,
        readiness: Readiness::NONE,
        state: State::Closed,
        unread: 0,
        unsent: 0,
        wants_read: false,
        wants_write: false,
        ended: false,
        error: None,
        order: 0,
        deadline: None,
        keepalive: None,
        answer: Duration::ZERO,
    };

    /// Forgets everything but the socket's handle.
    pub(super) const fn reset(&mut self, phase: Phase) {
        let handle = self.handle;
        *self = Self::EMPTY;
        self.handle = handle;
        self.phase = phase;
    }

    pub(super) const fn report(&mut self, readiness: Readiness) {
        self.readiness = self.readiness.union(readiness);
    }

    /// Returns true if it is an established connection that a listener has not handed out yet.
    pub(super) fn waits_for(&self, listener: usize) -> bool {
        let open = !matches!(self.state, State::Listen | State::SynReceived);
        self.phase == Phase::Listener(listener) && open && self.state != State::Closed
    }
}

/// One listener's place in a [`Smoltcp`](crate::Smoltcp), lent by the caller as
/// [`SmoltcpListener::EMPTY`].
#[derive(Debug)]
pub struct SmoltcpListener {
    /// Bits of the owner's `SocketId`; 0 when the place is free.
    pub(super) owner: u64,
    pub(super) at: Option<SocketAddr>,
    pub(super) nodelay: bool,
    pub(super) keepalive: Option<Duration>,
    pub(super) backlog: usize,
    /// A connection that waits is to be reported.
    pub(super) ready: bool,
    /// The loop asks to be told once more, from the next poll on.
    pub(super) asked: bool,
}

impl SmoltcpListener {
    /// A place that no listener has taken.
    pub const EMPTY: Self = Self {
        owner: 0,
        at: None,
        nodelay: true,
        keepalive: None,
        backlog: 0,
        ready: false,
        asked: false,
    };

    pub(super) fn new(id: SocketId, at: SocketAddr, endpoint: &Endpoint<'_>) -> Self {
        Self {
            owner: id.to_bits(),
            at: Some(at),
            nodelay: endpoint.nodelay,
            keepalive: endpoint.keepalive,
            backlog: usize::from(endpoint.backlog).max(1),
            ..Self::EMPTY
        }
    }

    /// Returns true if no other listener may have this address too.
    pub(super) fn conflicts(&self, other: SocketAddr) -> bool {
        self.at.is_some_and(|at| {
            let any = at.ip().is_unspecified() || other.ip().is_unspecified();
            self.owner != 0 && at.port() == other.port() && (any || at.ip() == other.ip())
        })
    }
}

/// What a loop's pool slot holds of a socket: where it is.
#[derive(Debug)]
pub struct SmoltcpSocket {
    pub(super) kind: Kind,
    pub(super) index: u32,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Kind {
    Closed = 0,
    Listener = 1,
    Stream = 2,
}
