//! What a program decides about TLS.

use pki_types::TrustAnchor;

use crate::tls::certificate::ocsp::{OcspPolicy, is_to_be_shown};
use crate::tls::certificate::revocation::RevocationList;
use crate::tls::crypto::provider::{Crypto, MESSAGE_MAX, MessageRoom, Scheme, Signer};
use crate::tls::handshake::failure::ObserveHandshakes;
use crate::tls::handshake::peer::Peer;
use crate::tls::handshake::session::Session;
use crate::tls::handshake::ticket_keys::TicketKeys;

/// Bytes of a server's flight besides the chain: protocols, a request, the longest signature,
/// `Finished`.
const REST_MAX: usize = 1_024;

/// What servers and clients of one [`Tls`](crate::tls::Tls) layer go by.
///
/// Everything is borrowed. An open connection looks only for the name of what was agreed on above
/// TLS, so a configuration can be replaced without dropping connections.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Config<'a> {
    /// For connections that were accepted.
    pub server: ServerConfig<'a>,
    /// For connections that were made from here.
    pub client: ClientConfig<'a>,
    /// Receives reports of handshakes that fail in a layer. None by default.
    pub observer: Option<&'a dyn ObserveHandshakes>,
}

impl<'a> Config<'a> {
    /// Returns a configuration for both roles.
    #[must_use]
    pub const fn new(server: ServerConfig<'a>, client: ClientConfig<'a>) -> Self {
        Self {
            server,
            client,
            observer: None,
        }
    }

    /// Sets [`Self::observer`].
    #[must_use]
    pub const fn observer(mut self, observer: &'a dyn ObserveHandshakes) -> Self {
        self.observer = Some(observer);
        self
    }

    /// Returns a configuration for servers only; every attempt to connect fails.
    #[must_use]
    pub const fn server(server: ServerConfig<'a>) -> Self {
        Self::new(server, ClientConfig::new(&[]))
    }

    /// Returns a configuration for clients only; every accepted connection fails.
    #[must_use]
    pub const fn client(client: ClientConfig<'a>) -> Self {
        Self::new(ServerConfig::new(&[]), client)
    }
}

/// What a server goes by.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct ServerConfig<'a> {
    /// Who it can be. Among those that fit the name the client asks for, the first one of whose
    /// schemes the client knows is taken; if none fits the name, see [`Self::known_names_only`].
    pub identities: &'a [Identity<'a>],
    /// The protocols it speaks above TLS, the preferred first. Empty: ALPN is left alone.
    pub protocols: &'a [&'a [u8]],
    /// Refuses a client that asks for no name or an unknown one, with `unrecognized_name`. Off
    /// by default: such a client gets the first identity with a scheme that it knows.
    pub known_names_only: bool,
    /// Asked for names that no identity is for. None by default.
    pub missing: Option<&'a dyn FindIdentity>,
    /// Keys of session tickets, so that clients can resume. None by default.
    pub tickets: Option<&'a TicketKeys>,
}

impl<'a> ServerConfig<'a> {
    /// Returns a configuration with these identities, without protocols and tickets.
    #[must_use]
    pub const fn new(identities: &'a [Identity<'a>]) -> Self {
        Self {
            identities,
            protocols: &[],
            known_names_only: false,
            missing: None,
            tickets: None,
        }
    }

    /// Sets [`Self::protocols`]. At most 255 are looked at.
    #[must_use]
    pub const fn protocols(mut self, protocols: &'a [&'a [u8]]) -> Self {
        self.protocols = protocols;
        self
    }

    /// Sets [`Self::known_names_only`].
    #[must_use]
    pub const fn known_names_only(mut self, on: bool) -> Self {
        self.known_names_only = on;
        self
    }

    /// Sets [`Self::missing`].
    #[must_use]
    pub const fn missing(mut self, hook: &'a dyn FindIdentity) -> Self {
        self.missing = Some(hook);
        self
    }

    /// Sets [`Self::tickets`].
    #[must_use]
    pub const fn tickets(mut self, keys: &'a TicketKeys) -> Self {
        self.tickets = Some(keys);
        self
    }

    /// Returns whether anyone can be served.
    pub(crate) const fn serves(&self) -> bool {
        !self.identities.is_empty() || self.missing.is_some()
    }

    /// Returns whether there may be an identity, and each one's chain fits a flight of `most`
    /// bytes.
    pub(crate) fn is_usable<C: Crypto>(&self, most: usize) -> bool {
        let fits = |identity: &Identity<'_>| identity.fits_flight::<C>(most);
        self.serves() && self.identities.iter().all(fits)
    }

    /// Returns the identity that [`Self::choose`] chose for a client that asked for `name`.
    pub(crate) fn identity(&self, index: usize, name: &[u8]) -> Option<Identity<'a>> {
        if index != FOUND {
            return self.identities.get(index).copied();
        }
        let name = core::str::from_utf8(name).ok();
        self.missing?.find(name.filter(|name| name.is_ascii())?)
    }

    /// Returns true if the identity at `index` was chosen for the name, not in the place of one.
    pub(crate) fn is_named(&self, index: usize, name: &[u8]) -> bool {
        let identity = self.identities.get(index);
        index == FOUND || identity.is_some_and(|identity| identity.fits(name))
    }

    /// Returns the identity for a client that asked for `name`, and the scheme by which it signs:
    /// the one that `scheme_for` chooses. The error tells whether it was for the name.
    pub(crate) fn choose(
        &self,
        name: Option<&[u8]>,
        scheme_for: impl Fn(&dyn Signer) -> Option<Scheme>,
    ) -> Result<(usize, Scheme), Mismatch> {
        let mut named = false;
        for (index, identity) in self.identities.iter().enumerate() {
            if name.is_some_and(|name| identity.fits(name)) {
                named = true;
                if let Some(scheme) = scheme_for(identity.signer) {
                    return Ok((index, scheme));
                }
            }
        }
        if named {
            return Err(Mismatch::Scheme);
        }
        if let (Some(name), Some(_)) = (name, self.missing) {
            let found = self.identity(FOUND, name).ok_or(Mismatch::Name)?;
            let scheme = scheme_for(found.signer).ok_or(Mismatch::Scheme)?;
            return Ok((FOUND, scheme));
        }
        if self.known_names_only {
            return Err(Mismatch::Name);
        }
        let mut identities = self.identities.iter().enumerate();
        identities
            .find_map(|(index, identity)| Some((index, scheme_for(identity.signer)?)))
            .ok_or(Mismatch::Scheme)
    }
}

/// In the place of an index: the identity is not on the list but was found.
const FOUND: usize = usize::MAX;

/// Finds identities for names that a server's list has none for: certificates that are loaded
/// when they are wanted.
pub trait FindIdentity: Sync {
    /// Returns the identity for a client that asks for `name`, in ASCII, as the client wrote it.
    /// `None` refuses the client with `unrecognized_name`. The identity's names are not looked
    /// at; its chain is to be no longer than those on the list may be.
    ///
    /// Asked several times during one handshake, and should say the same each time.
    fn find(&self, name: &str) -> Option<Identity<'_>>;
}

/// Why no identity was chosen.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Mismatch {
    Name,
    Scheme,
}

/// What a client goes by.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct ClientConfig<'a> {
    /// The authorities it trusts.
    pub roots: &'a [TrustAnchor<'a>],
    /// The protocols it speaks above TLS, the preferred first. Empty: ALPN is not offered.
    pub protocols: &'a [&'a [u8]],
    /// Who it is, if a server asks. None by default.
    pub identity: Option<&'a Identity<'a>>,
    /// Whether servers are to show what OCSP says of their certificate. Off by default.
    pub ocsp: OcspPolicy,
    /// Lists of the certificates that authorities have revoked, as [`Identity::revoked`], for the
    /// servers' certificates. None by default.
    pub revoked: &'a [RevocationList<'a>],
}

impl<'a> ClientConfig<'a> {
    /// Returns a configuration that trusts `roots`, without protocols and identity.
    #[must_use]
    pub const fn new(roots: &'a [TrustAnchor<'a>]) -> Self {
        Self {
            roots,
            protocols: &[],
            identity: None,
            ocsp: OcspPolicy::Off,
            revoked: &[],
        }
    }

    /// Sets [`Self::protocols`]. At most 255 are looked at.
    #[must_use]
    pub const fn protocols(mut self, protocols: &'a [&'a [u8]]) -> Self {
        self.protocols = protocols;
        self
    }

    /// Sets [`Self::identity`].
    #[must_use]
    pub const fn identity(mut self, identity: &'a Identity<'a>) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Sets [`Self::ocsp`].
    #[must_use]
    pub const fn ocsp(mut self, policy: OcspPolicy) -> Self {
        self.ocsp = policy;
        self
    }

    /// Sets [`Self::revoked`].
    #[must_use]
    pub const fn revoked(mut self, lists: &'a [RevocationList<'a>]) -> Self {
        self.revoked = lists;
        self
    }
}

/// A certificate chain with its private key, and for a server the names it is for.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub struct Identity<'a> {
    /// DNS names, exact (`example.org`) or with a wildcard for the first label
    /// (`*.example.org`). Upper and lower case are the same.
    pub names: &'a [&'a str],
    /// Certificates in DER: the own one first, then each one's issuer; the root may be left out.
    /// Together, and with what OCSP says, at most [`MESSAGE_MAX`](crate::tls::MESSAGE_MAX) less
    /// 1 KiB.
    pub chain: &'a [&'a [u8]],
    /// The private key of the first certificate.
    pub signer: &'a dyn Signer,
    /// Whether clients that ask for one of the names must show a certificate.
    pub client_auth: ClientAuth<'a>,
    /// What the authority's OCSP server says of the first certificate: an `OCSPResponse` in DER
    /// (RFC 6960, section 4.2.1), for clients that ask (RFC 8446, section 4.4.2.1). The program is
    /// to replace it before it goes out of date: it is shown from its `thisUpdate` until its
    /// `nextUpdate` or, without that, for a day, and never if it cannot be read or says nothing of
    /// the certificate; clients that ask are then shown none. Cryptography that verifies no
    /// certificates ([`RustCrypto::for_server`](crate::tls::RustCrypto::for_server)) hands it on
    /// unread. None by default.
    pub ocsp: Option<&'a [u8]>,
    /// Lists of the certificates that authorities have revoked, for the clients' certificates and
    /// those between them and the authority. One that is out of date refuses all whose issuer made
    /// it; certificates of issuers without a list are not looked for. None by default.
    pub revoked: &'a [RevocationList<'a>],
}

impl<'a> Identity<'a> {
    /// Returns an identity for no particular name that asks clients for no certificate.
    #[must_use]
    pub const fn new(chain: &'a [&'a [u8]], signer: &'a dyn Signer) -> Self {
        Self {
            names: &[],
            chain,
            signer,
            client_auth: ClientAuth::Off,
            ocsp: None,
            revoked: &[],
        }
    }

    /// Sets [`Self::names`].
    #[must_use]
    pub const fn names(mut self, names: &'a [&'a str]) -> Self {
        self.names = names;
        self
    }

    /// Sets [`Self::client_auth`].
    #[must_use]
    pub const fn client_auth(mut self, policy: ClientAuth<'a>) -> Self {
        self.client_auth = policy;
        self
    }

    /// Sets [`Self::ocsp`].
    #[must_use]
    pub const fn ocsp(mut self, response: &'a [u8]) -> Self {
        self.ocsp = Some(response);
        self
    }

    /// Sets [`Self::revoked`].
    #[must_use]
    pub const fn revoked(mut self, lists: &'a [RevocationList<'a>]) -> Self {
        self.revoked = lists;
        self
    }

    /// Returns true if the chain, and what OCSP says of it, are short enough for a flight of `most`
    /// bytes, and for any.
    pub(crate) fn fits_flight<C: Crypto>(&self, most: usize) -> bool {
        let sum = |sum: usize, len: usize| sum.saturating_add(len).saturating_add(5);
        let chain = self.chain.iter().map(|certificate| certificate.len());
        let ocsp = self.ocsp.map(|response| response.len().saturating_add(8));
        chain.chain(ocsp).fold(REST_MAX, sum) <= most.min(MESSAGE_MAX.min(C::Room::LEN))
    }

    /// Returns true if what OCSP says of the first certificate counts now. With a provider that
    /// knows no algorithm it is not looked at, so that nothing of that is in its program.
    pub(crate) fn shows_status<C: Crypto>(&self, response: &[u8], now: u64) -> bool {
        let Some(own) = self.chain.first() else {
            return false;
        };
        C::ALGORITHMS.is_empty() || is_to_be_shown(response, own, now)
    }

    /// Returns whether one of the names is, or covers, `name`.
    fn fits(&self, name: &[u8]) -> bool {
        self.names.iter().any(|own| covers(own.as_bytes(), name))
    }
}

/// Returns whether a name of ours, perhaps with a wildcard, covers the name asked for.
pub(crate) fn covers(own: &[u8], asked: &[u8]) -> bool {
    let Some(suffix) = own.strip_prefix(b"*") else {
        return own.eq_ignore_ascii_case(asked);
    };
    let dot = asked.iter().position(|byte| *byte == b'.');
    match dot.and_then(|dot| asked.split_at_checked(dot)) {
        Some((label, rest)) => !label.is_empty() && rest.eq_ignore_ascii_case(suffix),
        None => false,
    }
}

/// Whether a server asks clients for a certificate, and whom it trusts to issue them.
#[derive(Clone, Copy)]
#[non_exhaustive]
pub enum ClientAuth<'a> {
    /// Not asked.
    Off,
    /// Asked; a client without one is let in, one with a bad one is not.
    Requested(&'a [TrustAnchor<'a>]),
    /// Asked, and a client without one is refused with `certificate_required`.
    Required(&'a [TrustAnchor<'a>]),
}

impl<'a> ClientAuth<'a> {
    /// Returns whom the server trusts, or nobody.
    pub(crate) const fn roots(&self) -> &'a [TrustAnchor<'a>] {
        match self {
            Self::Off => &[],
            Self::Requested(roots) | Self::Required(roots) => roots,
        }
    }
}

/// What the engine works with: the cryptography and the configuration.
#[expect(
    missing_debug_implementations,
    clippy::exhaustive_structs,
    reason = "callers make it for one call"
)]
pub struct Setup<'a, C> {
    /// The cryptography.
    pub crypto: &'a mut C,
    /// The configuration.
    pub config: &'a Config<'a>,
    /// Places for the tickets that servers give us; may be empty.
    pub sessions: &'a mut [Session],
    /// Where what the handshake tells of the peer is to be kept, the same for all of a
    /// connection's. `None`: nowhere.
    pub peer: Option<&'a mut Peer>,
}
