//! What a connection needs only while it shakes hands: what both sides have, and the states of
//! each.
//!
//! Which message comes next is the connection's own state; here is what has been gathered for it. A
//! state is made by the message that ends the one before, and the secrets of that one are wiped
//! with it. Only [`ServerStage::Unparked`] is made by no message: it is a copy of what was parked.
//! That is wiped when its place is given back. The handshake itself was wiped when it was parked.
//!
//! | side | state | from | to |
//! |---|---|---|---|
//! | client | [`ClientStage::Named`] | the call to connect | its hello |
//! | | [`ClientStage::Offered`] | its hello | the server's |
//! | | [`ClientStage::Agreed`] | the server's hello | the server's `Finished` |
//! | | [`ClientStage::Finishing`] | the server's `Finished` | its own |
//! | | [`ClientStage::Open`] | its own `Finished` | the end of the lease |
//! | server | [`ServerStage::Retried`] | its `HelloRetryRequest` | the second hello |
//! | | [`ServerStage::Answering`] | the client's hello | its own `Finished` |
//! | | [`ServerStage::Asked`] | its own `Finished`, with a request before | the client's |
//! | | [`ServerStage::Expecting`] | its own `Finished`, without | the client's |
//! | | [`ServerStage::Unparked`] | the return of what was parked | the client's `Finished` |
//! | | [`ServerStage::Open`] | the client's `Finished` | the end of the lease |

use zeroize::Zeroize;

use crate::tls::alert::Alert;
use crate::tls::certificate::name;
use crate::tls::certificate::path::Progress;
use crate::tls::connection::state::Connection;
use crate::tls::crypto::provider::{
    Crypto, Group, HashAlgorithm, Private, SHARE_MAX, Scheme, Secret, SignatureId, TAG,
};
use crate::tls::handshake::hello::NAME_MAX;
use crate::tls::handshake::message::Message;
use crate::tls::handshake::pace::Pace;
use crate::tls::handshake::session::{Authentication, SessionAt, Target};
use crate::tls::handshake::transcript::Transcript;
use crate::tls::record::schedule::{Schedule, export};
use crate::tls::wire::{copy, copy_whole, fit, part};

/// What a connection borrows from a pool until it is open. It may hold secrets until
/// [`Self::reset`] or drop.
#[cfg_attr(feature = "search", derive(Clone))]
pub struct Handshake<C: Crypto> {
    pub(crate) message: Message<C::Room>,
    pub(crate) exchange: Exchange<C>,
}

impl<C: Crypto> Handshake<C> {
    /// A handshake that has not begun, all zero bytes.
    pub const EMPTY: Self = Self {
        message: Message::EMPTY,
        exchange: Exchange::EMPTY,
    };

    /// Makes it ready for another connection and wipes every secret.
    pub fn reset(&mut self) {
        self.message.clear();
        self.exchange = Exchange::EMPTY;
    }

    /// Makes it a client's, to the server that must prove to have `name`; `false` if that is
    /// neither a DNS name nor an IP address. Tickets are good for `target` only.
    #[must_use]
    pub(crate) fn expect_server(&mut self, name: &str, target: Target) -> bool {
        self.exchange.side = Side::Client(Client {
            target,
            stage: ClientStage::Named,
        });
        name::parse(name.as_bytes()).is_some() && self.exchange.common.name.set(name.as_bytes())
    }

    /// Makes key material for another protocol (RFC 8446, section 7.5) of an open connection,
    /// `out.len()` bytes of it. Returns false, and writes nothing, if the connection is not open,
    /// `label` is empty or longer than 249 bytes, or `out` is longer than 255 hashes of the suite.
    ///
    /// To be called between [`Event::Open`](crate::tls::Event::Open) and [`Self::reset`].
    #[must_use]
    pub fn export(
        &self,
        connection: &Connection,
        label: &[u8],
        context: &[u8],
        out: &mut [u8],
    ) -> bool {
        let hash = connection.suite().hash();
        let exporter = match &self.exchange.side {
            Side::Client(client) => client.exporter(),
            Side::Server(server) => server.exporter(),
            Side::None => None,
        };
        connection.is_open()
            && exporter
                .is_some_and(|exporter| export::<C::Hasher>(hash, exporter, label, context, out))
    }

    /// Returns whether it waits for a signature that comes later.
    pub(crate) const fn awaits_signature(&self) -> bool {
        matches!(self.exchange.common.signing, Signing::Awaited { .. })
    }

    /// Copies out all that a server still needs of a handshake that waits for the client's
    /// `Finished`, and no certificate before it; `None`, and nothing has changed, if more is
    /// needed. The caller [resets](Self::reset) the handshake then, which wipes it.
    pub(crate) fn park(&self) -> Option<ParkedHandshake> {
        let Side::Server(server) = &self.exchange.side else {
            return None;
        };
        let (ServerStage::Expecting { expected, .. } | ServerStage::Unparked(expected)) =
            &server.stage
        else {
            return None;
        };
        self.message.is_empty().then(|| ParkedHandshake {
            verify_data: expected.verify_data.clone(),
            ticket: expected.ticket.clone(),
            authenticated_at: expected.authenticated_at,
            early: server.early,
            changes: self.exchange.common.changes,
        })
    }

    /// Takes back what [`Self::park`] copied out, into a handshake that is fresh.
    pub(crate) fn unpark(&mut self, parked: &ParkedHandshake) {
        self.exchange.common.changes = parked.changes;
        self.exchange.side = Side::Server(Server {
            early: parked.early,
            stage: ServerStage::Unparked(Expected {
                verify_data: parked.verify_data.clone(),
                ticket: parked.ticket.clone(),
                authenticated_at: parked.authenticated_at,
            }),
        });
    }

    /// Returns the name that the client asked for, or that a client expects; empty if none.
    #[must_use]
    pub fn server_name(&self) -> &[u8] {
        self.exchange.common.name.get()
    }
}

/// What is left of a server's handshake once its flight is out and only the client's `Finished` is
/// to come: 176 bytes instead of 9,328, so that clients that never send it take no
/// handshake from the others. Wiped when dropped.
///
/// [`Expected`], field by field: in one struct they take less.
#[cfg_attr(feature = "search", derive(Clone, Hash))]
pub(crate) struct ParkedHandshake {
    verify_data: Secret,
    ticket: Option<TicketKey>,
    authenticated_at: u64,
    early: EarlyData,
    changes: u8,
}

/// The handshake's own state. Wiped when dropped.
#[cfg_attr(feature = "search", derive(Clone, Hash))]
pub(crate) struct Exchange<C: Crypto> {
    pub(crate) common: Common<C>,
    pub(crate) side: Side,
}

impl<C: Crypto> Exchange<C> {
    pub(crate) const EMPTY: Self = Self {
        common: Common::EMPTY,
        side: Side::None,
    };

    /// Returns a client's state beside what both sides have.
    ///
    /// # Errors
    /// `internal_error`: it is not a client's handshake. A caller has mixed handshakes up, see
    /// [`Connection::receive`]; so for the others of these.
    pub(crate) const fn client(&mut self) -> Result<(&mut Common<C>, &mut Client), Alert> {
        match &mut self.side {
            Side::Client(client) => Ok((&mut self.common, client)),
            _ => Err(Alert::INTERNAL_ERROR),
        }
    }

    /// Returns a server's state beside what both sides have.
    pub(crate) const fn server(&mut self) -> Result<(&mut Common<C>, &mut Server), Alert> {
        match &mut self.side {
            Side::Server(server) => Ok((&mut self.common, server)),
            _ => Err(Alert::INTERNAL_ERROR),
        }
    }

    /// Returns what the hellos have agreed on, as long as the peer may have to prove who it is.
    pub(crate) const fn agreed(&mut self) -> Result<(&mut Common<C>, &mut Agreed), Alert> {
        match &mut self.side {
            Side::Client(Client {
                stage: ClientStage::Agreed { agreed, .. },
                ..
            })
            | Side::Server(Server {
                stage: ServerStage::Asked(Asked { agreed, .. }),
                ..
            }) => Ok((&mut self.common, agreed)),
            _ => Err(Alert::INTERNAL_ERROR),
        }
    }

    /// Skips a record of early data, which we never accept, as far as a client may send it. `len`
    /// is that of the protected record; what counts is the plaintext in it (RFC 8446, section
    /// 4.2.10), and an empty one as a byte.
    ///
    /// # Errors
    /// `bad_record_mac`, `unexpected_message`: it is none, or too much.
    pub(crate) fn skip_early(&mut self, len: usize) -> Result<(), Alert> {
        match &mut self.side {
            Side::Server(server) => server.early.skip(len),
            Side::Client(_) | Side::None => Err(Alert::BAD_RECORD_MAC),
        }
    }
}

/// What both sides have from the first hello to the end.
#[cfg_attr(feature = "search", derive(Clone))]
pub(crate) struct Common<C: Crypto> {
    pub(crate) transcript: Transcript<C::Hasher>,
    /// The client's random.
    pub(crate) random: [u8; 32],
    /// The name of the server.
    pub(crate) name: ServerName,
    /// Change-cipher-spec records seen.
    pub(crate) changes: u8,
    /// Whether the flight waits for its signature.
    pub(crate) signing: Signing,
    /// Which signatures of the peer's certificates have been verified.
    path: Progress,
    /// How many may be.
    pub(crate) pace: Pace,
}

impl<C: Crypto> Common<C> {
    const EMPTY: Self = Self {
        transcript: Transcript::EMPTY,
        random: [0; 32],
        name: ServerName::NONE,
        changes: 0,
        signing: Signing::None,
        path: Progress::NONE,
        pace: Pace::FREE,
    };

    /// Sets the client's random, 32 bytes.
    pub(crate) fn set_random(&mut self, random: &[u8]) {
        // A copy of slices would check their lengths, and could panic.
        for (to, from) in self.random.iter_mut().zip(random) {
            *to = *from;
        }
    }

    /// Returns the server's name and what counts the verification of the peer's certificates.
    pub(crate) fn verification(&mut self) -> (&[u8], &mut Progress, &mut Pace) {
        (self.name.get(), &mut self.path, &mut self.pace)
    }
}

impl<C: Crypto> Drop for Common<C> {
    fn drop(&mut self) {
        // The secrets wipe themselves; this is what identifies the connection.
        self.random.zeroize();
    }
}

#[cfg(feature = "search")]
impl<C: Crypto> core::hash::Hash for Common<C> {
    fn hash<S: core::hash::Hasher>(&self, into: &mut S) {
        let Self {
            transcript,
            random,
            name,
            changes,
            signing,
            path,
            pace,
        } = self;
        (transcript, random, name, changes).hash(into);
        (signing, path, pace).hash(into);
    }
}

#[cfg(feature = "search")]
impl<C: Crypto + core::hash::Hash> core::hash::Hash for Handshake<C> {
    fn hash<S: core::hash::Hasher>(&self, into: &mut S) {
        let Self { message, exchange } = self;
        (message, exchange).hash(into);
    }
}

/// A server's name, as a client asks for it.
#[cfg_attr(feature = "search", derive(Clone, Hash))]
pub(crate) struct ServerName {
    bytes: [u8; NAME_MAX],
    len: u8,
}

impl ServerName {
    /// The client asks for none.
    pub(crate) const NONE: Self = Self {
        bytes: [0; NAME_MAX],
        len: 0,
    };

    /// Returns the name; empty if there is none.
    pub(crate) fn get(&self) -> &[u8] {
        part(&self.bytes, ..usize::from(self.len))
    }

    /// Sets the name; `false` if it is too long.
    #[must_use]
    pub(crate) fn set(&mut self, name: &[u8]) -> bool {
        match u8::try_from(name.len()) {
            Ok(len) if copy(&mut self.bytes, name) => {
                self.len = len;
                true
            }
            _ => false,
        }
    }
}

/// The session id of a hello, which a server echoes (RFC 8446, section 4.1.3).
#[derive(Clone, Copy)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) struct SessionId {
    bytes: [u8; 32],
    len: u8,
}

impl SessionId {
    /// Returns a client's own.
    pub(crate) const fn new(bytes: [u8; 32]) -> Self {
        Self { bytes, len: 32 }
    }

    /// Keeps a client's, at most 32 bytes.
    pub(crate) fn of(id: &[u8]) -> Self {
        let mut bytes = [0; 32];
        copy_whole(&mut bytes, id);
        Self {
            bytes,
            len: fit(id.len()),
        }
    }

    pub(crate) fn get(&self) -> &[u8] {
        part(&self.bytes, ..usize::from(self.len))
    }
}

/// Whether a flight waits for a signature that comes later.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) enum Signing {
    /// It does not.
    None = 0,
    /// It waits for this one.
    Awaited { id: SignatureId, scheme: Scheme },
    /// The signer gave up.
    GivenUp,
}

/// Whether a client that resumes may have sent early data.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) enum EarlyData {
    /// It has told of none.
    None = 0,
    /// So many bytes may still be skipped.
    Skipped(u16),
    /// It has told of some in its first hello, and knows since that none may come (RFC 8446,
    /// section 4.1.2).
    Over,
}

impl EarlyData {
    fn skip(&mut self, len: usize) -> Result<(), Alert> {
        let plaintext = len.saturating_sub(TAG).saturating_sub(1).max(1);
        let left = match *self {
            Self::None => return Err(Alert::BAD_RECORD_MAC),
            Self::Over => return Err(Alert::UNEXPECTED_MESSAGE),
            Self::Skipped(left) => usize::from(left).checked_sub(plaintext),
        };
        let left = left.and_then(|left| u16::try_from(left).ok());
        *self = Self::Skipped(left.ok_or(Alert::BAD_RECORD_MAC)?);
        Ok(())
    }

    /// Returns what a second hello makes of it.
    pub(crate) const fn after_second_hello(self) -> Self {
        match self {
            Self::None => Self::None,
            Self::Skipped(_) | Self::Over => Self::Over,
        }
    }
}

/// What the hellos have agreed on.
#[derive(Clone)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) struct Agreed {
    pub(crate) schedule: Schedule,
    pub(crate) group: Group,
    /// How the peer has proved who it is.
    pub(crate) proof: Proof,
}

/// How the peer has proved who it is, as far as it has.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) enum Proof {
    /// Not at all.
    None,
    /// Its certificates are good. Whether it has the key of the first is still to be seen.
    Chain(Authentication),
    /// It has the key too.
    Certificate(Authentication),
    /// In an earlier handshake, which a client has resumed.
    Resumed(Authentication),
}

/// Which side of the handshake we are, and where it stands.
#[cfg_attr(
    feature = "tls-mlkem",
    expect(
        clippy::large_enum_variant,
        reason = "a lease has room for the share of ML-KEM, whatever the state"
    )
)]
#[repr(u8)]
#[cfg_attr(feature = "search", derive(Clone, Hash))]
pub(crate) enum Side {
    /// No hello has been made or read.
    None = 0,
    Client(Client),
    Server(Server),
}

/// A client's side.
#[cfg_attr(feature = "search", derive(Clone, Hash))]
pub(crate) struct Client {
    /// What its tickets are good for besides the name.
    pub(crate) target: Target,
    pub(crate) stage: ClientStage,
}

/// The states of a client.
#[cfg_attr(
    feature = "tls-mlkem",
    expect(
        clippy::large_enum_variant,
        reason = "a lease has room for the share of ML-KEM, whatever the state"
    )
)]
#[cfg_attr(feature = "search", derive(Clone, Hash))]
pub(crate) enum ClientStage {
    /// It knows whom it calls.
    Named,
    /// Its hello is made, and the server's comes next, or a second one is made.
    Offered(Offer),
    /// The server is to prove who it is.
    Agreed {
        agreed: Agreed,
        request: CertificateRequest,
    },
    /// The server has; its own flight is made.
    Finishing {
        agreed: Agreed,
        request: CertificateRequest,
        /// The secret of its data.
        secret: Secret,
        exporter: Secret,
    },
    /// Its flight is out.
    Open {
        /// The secret that keys for other protocols are made of.
        exporter: Secret,
    },
}

/// What a client has offered and the server has not answered yet.
#[cfg_attr(feature = "search", derive(Clone, Hash))]
pub(crate) struct Offer {
    pub(crate) session_id: SessionId,
    pub(crate) group: Group,
    pub(crate) private: Private,
    /// The share that goes with it, and its length.
    pub(crate) share: [u8; SHARE_MAX],
    pub(crate) share_len: usize,
    /// Where the session is that it would resume.
    pub(crate) session: SessionAt,
    /// The pre-shared key that the last hello offers.
    pub(crate) key: Option<OfferedKey>,
}

/// A pre-shared key that a client offers.
#[derive(Clone)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) struct OfferedKey {
    pub(crate) secret: Secret,
    pub(crate) hash: HashAlgorithm,
    /// When the server has shown its certificates.
    pub(crate) authentication: Authentication,
}

/// Whether the server asks a client for a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) enum CertificateRequest {
    None,
    /// It does, and the client's signatures by this scheme suit it.
    Suitable(Scheme),
    /// It does, but cannot verify them, or the client has no certificate.
    Unsuitable,
}

impl Client {
    /// Returns the offer that the server's hello answers.
    ///
    /// # Errors
    /// `internal_error`: there is none.
    pub(crate) const fn offer(&mut self) -> Result<&mut Offer, Alert> {
        match &mut self.stage {
            ClientStage::Offered(offer) => Ok(offer),
            _ => Err(Alert::INTERNAL_ERROR),
        }
    }

    const fn exporter(&self) -> Option<&Secret> {
        match &self.stage {
            ClientStage::Open { exporter } => Some(exporter),
            _ => None,
        }
    }
}

/// A server's side.
#[cfg_attr(feature = "search", derive(Clone, Hash))]
pub(crate) struct Server {
    pub(crate) early: EarlyData,
    pub(crate) stage: ServerStage,
}

/// The states of a server.
#[cfg_attr(feature = "search", derive(Clone, Hash))]
pub(crate) enum ServerStage {
    /// Another hello is to come.
    Retried(Retried),
    /// Its flight is made.
    Answering(Answering),
    /// The client is to show a certificate, or none, before its `Finished`.
    Asked(Asked),
    /// Only the client's `Finished` is to come.
    Expecting {
        expected: Expected,
        exporter: Secret,
    },
    /// As before, in another lease: what else there was has gone.
    Unparked(Expected),
    /// The client's `Finished` has come.
    Open {
        /// The secret that keys for other protocols are made of.
        exporter: Secret,
    },
}

/// What a second hello must be like.
#[derive(Clone, Copy)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) struct Retried {
    pub(crate) session_id: SessionId,
    /// The group that a share is asked for.
    pub(crate) group: Group,
}

/// What a server's flight is made of.
#[cfg_attr(feature = "search", derive(Clone, Hash))]
pub(crate) struct Answering {
    pub(crate) agreed: Agreed,
    /// Index of its identity.
    pub(crate) identity: usize,
    /// By which it signs.
    pub(crate) scheme: Scheme,
    /// The client asks what OCSP says of the certificate.
    pub(crate) wants_status: bool,
    /// The identity was chosen by the name.
    pub(crate) is_named: bool,
    /// The client limits the size of records.
    pub(crate) limits_records: bool,
    /// The client can resume, so a ticket is of use to it.
    pub(crate) wants_ticket: bool,
    /// The flight asks the client for a certificate.
    pub(crate) asks_client: bool,
    /// When the server has shown its certificates, in seconds since 1970: now or, if it resumes,
    /// in an earlier handshake.
    pub(crate) authenticated_at: u64,
}

/// What a server needs for the client's certificate and `Finished`. No ticket follows: where
/// certificates are asked for, nobody resumes.
#[cfg_attr(feature = "search", derive(Clone, Hash))]
pub(crate) struct Asked {
    pub(crate) agreed: Agreed,
    /// Index of its identity, which tells whom to trust.
    pub(crate) identity: usize,
    /// The secret of the client's data.
    pub(crate) secret: Secret,
    pub(crate) exporter: Secret,
}

/// The client's last message as it must be, and what its ticket will hold.
#[cfg_attr(feature = "search", derive(Clone, Hash))]
pub(crate) struct Expected {
    /// The content of the client's `Finished`.
    pub(crate) verify_data: Secret,
    /// `None` if the client is given no ticket.
    pub(crate) ticket: Option<TicketKey>,
    /// As in [`Answering`].
    pub(crate) authenticated_at: u64,
}

/// What a ticket that will be sent is made of.
#[derive(Clone)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) struct TicketKey {
    pub(crate) secret: Secret,
    /// A hash of the name for which the ticket will be good.
    pub(crate) name_hash: [u8; 32],
}

impl Server {
    const fn exporter(&self) -> Option<&Secret> {
        match &self.stage {
            ServerStage::Open { exporter } => Some(exporter),
            _ => None,
        }
    }
}
