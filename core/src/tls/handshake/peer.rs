//! What a handshake has shown of the peer, for programs that ask who it is.

use zeroize::Zeroize;

use crate::id::SocketId;
use crate::tls::certificate::fields::{Certificate, Names};
use crate::tls::connection::state::Connection;
use crate::tls::crypto::provider::{Group, HashAlgorithm, Hasher, Secret, Suite};
use crate::tls::handshake::exchange::{Agreed, Proof};
use crate::tls::handshake::hello::NAME_MAX;
use crate::tls::record::schedule::export;
use crate::tls::wire::copy;

/// Longest certificate that is kept, in bytes. Most have 500 to 2,000.
const CERTIFICATE_MAX: usize = 2_048;

/// Who the peer of one connection is, as far as the handshake has shown.
///
/// A program that wants to know hands [`Tls::with_peers`](crate::tls::Tls::with_peers) one of these
/// for each socket of its pool, about 2.5 KB each. One belongs to a connection from its hello until
/// it closes, and says nothing before the handshake is done. All zero bytes when empty.
#[cfg_attr(feature = "search", derive(Clone))]
pub struct Peer {
    /// Bits of the name of the layer's socket whose peer it is; 0 if it is nobody's.
    owner: u64,
    certificate: [u8; CERTIFICATE_MAX],
    /// 0 if there is none, or if it is too long to be kept.
    certificate_len: u16,
    fingerprint: [u8; 32],
    has_certificate: bool,
    name: [u8; NAME_MAX],
    name_len: u8,
    exporter: Secret,
    suite: Suite,
    group: u16,
    /// The handshake is done.
    is_known: bool,
    is_authenticated: bool,
    is_resumed: bool,
}

impl Peer {
    /// Nobody.
    pub const EMPTY: Self = Self {
        owner: 0,
        certificate: [0; CERTIFICATE_MAX],
        certificate_len: 0,
        fingerprint: [0; 32],
        has_certificate: false,
        name: [0; NAME_MAX],
        name_len: 0,
        exporter: Secret::ZERO,
        suite: Suite::Aes128GcmSha256,
        group: 0,
        is_known: false,
        is_authenticated: false,
        is_resumed: false,
    };

    /// Forgets the peer, and wipes what keys are exported from.
    pub fn clear(&mut self) {
        self.owner = 0;
        // What is behind the lengths is never read.
        self.certificate_len = 0;
        self.has_certificate = false;
        self.name_len = 0;
        self.exporter.0.zeroize();
        self.is_known = false;
        self.is_authenticated = false;
        self.is_resumed = false;
    }

    /// Makes it the peer of a layer's socket.
    pub(crate) const fn set_owner(&mut self, id: SocketId) {
        self.owner = id.to_bits();
    }

    /// Returns true if it is the peer of that socket.
    pub(crate) const fn is_of(&self, id: SocketId) -> bool {
        self.owner == id.to_bits()
    }

    /// Keeps the certificate whose owner the peer has proved to be.
    pub(crate) fn set_certificate<H: Hasher>(&mut self, certificate: &[u8]) {
        let mut hasher = H::new(HashAlgorithm::Sha256);
        hasher.update(certificate);
        let digest = hasher.digest();
        for (to, from) in self
            .fingerprint
            .iter_mut()
            .zip(digest.get(HashAlgorithm::Sha256))
        {
            *to = *from;
        }
        self.has_certificate = true;
        self.certificate_len = match u16::try_from(certificate.len()) {
            Ok(len) if copy(&mut self.certificate, certificate) => len,
            _ => 0,
        };
    }

    /// Keeps what a handshake that is done has agreed on.
    pub(crate) fn set(
        &mut self,
        connection: &Connection,
        name: &[u8],
        agreed: &Agreed,
        exporter: &Secret,
    ) {
        self.name_len = match u8::try_from(name.len()) {
            Ok(len) if copy(&mut self.name, name) => len,
            _ => 0,
        };
        self.exporter = exporter.clone();
        self.suite = connection.suite();
        self.group = agreed.group.code();
        self.is_authenticated =
            matches!(agreed.proof, Proof::Certificate(_)) || connection.is_client();
        self.is_resumed = connection.is_resumed();
        self.is_known = true;
    }

    /// Hides what [`Self::set`] has kept, as the handshake is not done yet.
    pub(crate) const fn set_unknown(&mut self) {
        self.is_known = false;
    }

    /// Shows it, as the handshake is done.
    pub(crate) const fn set_known(&mut self) {
        self.is_known = true;
    }

    /// Returns true if the handshake is done; all else is empty until it is.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.is_known
    }

    /// Returns true if the peer has proved who it is: a server always, a client if it has shown a
    /// certificate. Of any other client nothing is known but its address.
    ///
    /// A server that was resumed has proved it in an earlier handshake.
    #[must_use]
    pub const fn is_authenticated(&self) -> bool {
        self.is_known && self.is_authenticated
    }

    /// Returns the peer's own certificate in DER, as verified. `None` if it showed none, as in a
    /// resumed handshake, or if it is longer than 2,048 bytes; see [`Self::fingerprint`].
    #[must_use]
    pub fn certificate(&self) -> Option<&[u8]> {
        let certificate = self.certificate.get(..usize::from(self.certificate_len))?;
        (self.is_known && !certificate.is_empty()).then_some(certificate)
    }

    /// Returns the SHA-256 digest of the peer's own certificate, however long that is. `None` if
    /// it showed none.
    #[must_use]
    pub const fn fingerprint(&self) -> Option<&[u8; 32]> {
        match self.is_known && self.has_certificate {
            true => Some(&self.fingerprint),
            false => None,
        }
    }

    /// Returns the content of the certificate's `SubjectPublicKeyInfo` (RFC 5280, section 4.1.2.7),
    /// to tell a key through several certificates.
    #[must_use]
    pub fn public_key(&self) -> Option<&[u8]> {
        Some(Certificate::parse(self.certificate()?)?.key)
    }

    /// Returns the content of the certificate's subject, a `Name` in DER (RFC 5280, section
    /// 4.1.2.6).
    #[must_use]
    pub fn subject(&self) -> Option<&[u8]> {
        Some(Certificate::parse(self.certificate()?)?.subject)
    }

    /// Iterates over the DNS names that the certificate is for, as they stand in it: one may be a
    /// wildcard. None if there is no certificate.
    pub fn dns_names(&self) -> impl Iterator<Item = &str> {
        let certificate = self.certificate().and_then(Certificate::parse);
        let names = certificate.map_or(Names::NONE, |certificate| certificate.dns_names());
        names.filter_map(|name| core::str::from_utf8(name).ok())
    }

    /// Returns the name of the server: what a client asked us for, or what we asked for. Empty if
    /// a client asked for none.
    #[must_use]
    pub fn server_name(&self) -> &[u8] {
        let name = self.name.get(..usize::from(self.name_len));
        name.filter(|_| self.is_known).unwrap_or_default()
    }

    /// Returns the cipher suite agreed on.
    #[must_use]
    pub const fn suite(&self) -> Option<Suite> {
        match self.is_known {
            true => Some(self.suite),
            false => None,
        }
    }

    /// Returns the group of the key exchange.
    #[must_use]
    pub fn group(&self) -> Option<Group> {
        let known = Group::from_code(self.group);
        known.filter(|_| self.is_known)
    }

    /// Returns true if a pre-shared key of an earlier connection took the place of certificates.
    #[must_use]
    pub const fn is_resumed(&self) -> bool {
        self.is_known && self.is_resumed
    }

    /// Makes key material for another protocol (RFC 8446, section 7.5), `out.len()` bytes of it;
    /// both ends of a connection make the same. Returns false, and writes nothing, if the handshake
    /// is not done, `label` is empty or longer than 249 bytes, or `out` is longer than 255 hashes
    /// of the suite.
    ///
    /// `H` is the hash function of the cryptography, [`Sha2`](crate::tls::Sha2) of the one that
    /// comes along.
    #[must_use]
    pub fn export<H: Hasher>(&self, label: &[u8], context: &[u8], out: &mut [u8]) -> bool {
        let hash = self.suite.hash();
        self.is_known && export::<H>(hash, &self.exporter, label, context, out)
    }
}
