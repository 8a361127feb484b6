//! One TLS connection and where it stands: its side, the message that comes next, why it failed.

use crate::tls::alert::Alert;
use crate::tls::certificate::error::CertificateError;
use crate::tls::crypto::provider::Suite;
use crate::tls::handshake::session::SessionAt;
use crate::tls::record::protection::Keys;

/// One connection, server or client: keys, counters and little else.
///
/// Made by [`Self::server`] or [`Self::client`], which need a handshake until
/// [`Self::is_open`]. All zero bytes when [closed](Self::CLOSED).
#[cfg_attr(feature = "search", derive(Clone, Hash))]
pub struct Connection {
    pub(crate) receive: Keys,
    pub(crate) send: Keys,
    /// Bytes still to come of a message after the handshake that is skipped.
    pub(crate) skip: u32,
    /// Most plaintext bytes of a record that we send.
    pub(crate) limit: u16,
    /// Where a client keeps the ticket that the server may send.
    pub(crate) session: SessionAt,
    /// Header of a message after the handshake.
    pub(crate) header: [u8; 4],
    pub(crate) header_len: u8,
    pub(crate) state: State,
    pub(crate) role: Role,
    pub(crate) suite: Suite,
    /// Code of the largest fragment agreed on (RFC 6066, section 4); 0 if none is.
    pub(crate) fragment: u8,
    /// Index of the protocol agreed on by ALPN, plus one; 0 if none.
    pub(crate) protocol: u8,
    /// Empty records and warnings since the last data.
    pub(crate) idle: u8,
    /// New keys of the peer since the last data.
    pub(crate) updates: u8,
    /// The peer's records are protected: it has the keys of the handshake, or later ones.
    pub(crate) can_open: bool,
    /// Ours are.
    pub(crate) can_seal: bool,
    /// A record has been opened with the first keys: no more early data.
    pub(crate) has_opened: bool,
    /// The peer has sent `close_notify`.
    pub(crate) is_ended: bool,
    /// The peer asked for new keys of ours.
    pub(crate) owes_update: bool,
    pub(crate) is_resumed: bool,
    /// A client has not sent its change-cipher-spec record yet.
    pub(crate) owes_change: bool,
    /// Why, if the state is failed.
    pub(crate) failure: Failure,
    /// What was wrong with the peer's certificates, as a number; 0 if nothing was.
    pub(crate) certificate_error: u8,
}

/// Which side of the connection we are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
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
#[cfg_attr(feature = "search", derive(Hash))]
#[repr(u8)]
pub(crate) enum Failure {
    /// The peer broke the protocol, or something failed here.
    Sent(Alert) = 0,
    /// The peer said so.
    Received(Alert),
    /// A message of the peer's is longer than there is room for.
    NoRoom,
}

/// Which message comes next.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
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

impl Connection {
    /// No connection.
    pub const CLOSED: Self = Self {
        receive: Keys::NONE,
        send: Keys::NONE,
        skip: 0,
        limit: 0,
        session: SessionAt::NOWHERE,
        header: [0; 4],
        header_len: 0,
        state: State::Closed,
        role: Role::Server,
        suite: Suite::Aes128GcmSha256,
        fragment: 0,
        protocol: 0,
        idle: 0,
        updates: 0,
        can_open: false,
        can_seal: false,
        has_opened: false,
        is_ended: false,
        owes_update: false,
        is_resumed: false,
        owes_change: false,
        failure: Failure::Sent(Alert::CLOSE_NOTIFY),
        certificate_error: 0,
    };

    /// Starts the server's side, which waits for the client's hello.
    #[must_use]
    pub const fn server() -> Self {
        let mut connection = Self::CLOSED;
        connection.limit = 16_384;
        connection.state = State::AwaitClientHello;
        connection
    }

    /// Returns a client's side whose hello has been written.
    pub(crate) const fn started_client() -> Self {
        let mut connection = Self::CLOSED;
        connection.limit = 16_384;
        connection.role = Role::Client;
        connection.owes_change = true;
        connection.state = State::AwaitServerHello;
        connection
    }

    /// Returns whether it is a server's side to which no whole hello has come.
    pub(crate) const fn awaits_first_hello(&self) -> bool {
        matches!(self.state, State::AwaitClientHello)
    }

    /// Returns true if it is a server's side that waits for the client's last message.
    pub(crate) const fn awaits_client_finished(&self) -> bool {
        matches!(
            (self.state, self.role),
            (State::AwaitFinished, Role::Server)
        )
    }

    /// Returns true if it is a server's side that has answered a hello, and waits for its client.
    pub(crate) const fn awaits_client(&self) -> bool {
        let waits = matches!(
            self.state,
            State::AwaitSecondClientHello
                | State::AwaitCertificate
                | State::AwaitVerify
                | State::AwaitFinished
        );
        waits && matches!(self.role, Role::Server)
    }

    /// Returns whether a message that may come now is answered. A ticket is no answer.
    pub(crate) const fn answers(&self) -> bool {
        let hellos = matches!(
            self.state,
            State::AwaitClientHello | State::AwaitSecondClientHello | State::AwaitSignature
        );
        hellos || matches!(self.role, Role::Client)
    }

    /// Returns whether it is a client's side.
    #[must_use]
    pub const fn is_client(&self) -> bool {
        matches!(self.role, Role::Client)
    }

    /// Returns whether the handshake is done and neither side has failed.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Returns the alert with which the peer is refused.
    pub(crate) const fn refusal(&self) -> Option<Alert> {
        match (self.state, self.failure) {
            (State::Failed, Failure::Sent(alert)) => Some(alert),
            (State::Failed, Failure::NoRoom) => Some(Alert::DECODE_ERROR),
            _ => None,
        }
    }

    /// Returns what was wrong with the peer's certificates, if that is why the handshake failed.
    #[must_use]
    pub fn certificate_error(&self) -> Option<CertificateError> {
        CertificateError::from_number(self.certificate_error)
    }

    /// Returns true if the handshake failed because a message of the peer's is longer than there
    /// is room for, see [`WithRoom`](crate::tls::WithRoom). The alert is then `decode_error`, and
    /// if it was about the peer's certificates, [`Self::certificate_error`] says so too.
    #[must_use]
    pub const fn lacks_room(&self) -> bool {
        matches!(self.failure, Failure::NoRoom)
    }

    /// Returns whether the peer has ended its direction with `close_notify`.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Returns whether a pre-shared key of an earlier connection took the place of certificates.
    #[must_use]
    pub const fn is_resumed(&self) -> bool {
        self.is_resumed
    }

    /// Returns the index, in the configuration's list, of the protocol that ALPN agreed on.
    #[must_use]
    pub fn protocol(&self) -> Option<usize> {
        usize::from(self.protocol).checked_sub(1)
    }

    /// Returns the cipher suite agreed on.
    #[must_use]
    pub const fn suite(&self) -> Suite {
        self.suite
    }
}
