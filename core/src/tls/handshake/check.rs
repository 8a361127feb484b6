//! What is wrong with an identity of one's own, before the first peer sees it.

use core::fmt;

use pki_types::{CertificateDer, TrustAnchor};
use webpki::EndEntityCert;

use crate::tls::certificate::fields::{Certificate, Names};
use crate::tls::crypto::provider::{Crypto, MESSAGE_MAX};
use crate::tls::crypto::signature::scheme_of;
use crate::tls::handshake::config::{Identity, covers};

/// What a key signs to show whose it is. No handshake signs this: it would begin with spaces.
const PROBE: &[u8] = b"Is this the key of the certificate?";
/// Longest signature: of an RSA key of 8,192 bits.
const SIGNATURE_MAX: usize = 1_024;

/// Why an [`Identity`] would not do, see [`Identity::check`]. Certificates count from 0, the own.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum IdentityError {
    /// There is no certificate.
    Empty,
    /// The chain is longer than a flight: [`MESSAGE_MAX`](crate::tls::MESSAGE_MAX) less 1 KiB.
    TooLong,
    /// This certificate cannot be read.
    Malformed(usize),
    /// This certificate has expired.
    Expired(usize),
    /// This certificate is not valid yet.
    NotYetValid(usize),
    /// The key is not the one that the own certificate was issued for.
    OtherKey,
    /// The key gives no signature.
    NoSignature,
    /// The key may not sign handshakes, by the own certificate (RFC 8446, section 4.4.2.2).
    KeyUsage,
    /// The certificate before this one was issued by another: one between is missing, or they are
    /// not in order.
    Gap(usize),
    /// None of the authorities issued the last certificate: an intermediate one is missing.
    NoIssuer,
    /// The own certificate is not for this one of the identity's names.
    Name(usize),
}

impl fmt::Display for IdentityError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("no certificate"),
            Self::TooLong => f.write_str("the certificates are too long for a handshake"),
            Self::Malformed(at) => write!(f, "certificate {at} cannot be read"),
            Self::Expired(at) => write!(f, "certificate {at} has expired"),
            Self::NotYetValid(at) => write!(f, "certificate {at} is not valid yet"),
            Self::OtherKey => f.write_str("the key is that of another certificate"),
            Self::NoSignature => f.write_str("the key gives no signature"),
            Self::KeyUsage => f.write_str("the certificate's key may not sign handshakes"),
            Self::Gap(at) => write!(
                f,
                "certificate {at} is not the issuer of the one before it: an intermediate \
                 certificate is missing, or they are not in order"
            ),
            Self::NoIssuer => f.write_str(
                "no authority issued the last certificate: an intermediate one is missing",
            ),
            Self::Name(at) => write!(f, "the certificate is not for name {at}"),
        }
    }
}

impl core::error::Error for IdentityError {}

impl<'a> Identity<'a> {
    /// Checks that clients can accept the identity: that the certificates are readable, in order
    /// and valid now, that the key is that of the first and may sign, that all fit a handshake, and
    /// that the names are the certificate's. To be called when it is loaded, so that what is wrong
    /// shows there and not at the first client.
    ///
    /// `roots` are authorities that clients trust: one of them must have issued the last
    /// certificate, or be it. Empty: that is not checked. Signatures of certificates are not
    /// verified. A key whose algorithm `C` does not verify is believed, and a
    /// [`Signer`](crate::tls::Signer) has to sign at once here, whatever it does in handshakes.
    ///
    /// # Errors
    /// The first of these that does not hold.
    pub fn check<C: Crypto>(
        &self,
        crypto: &C,
        roots: &[TrustAnchor<'_>],
    ) -> Result<(), IdentityError> {
        let now = crypto.unix_seconds();
        let mut last: Option<Certificate<'_>> = None;
        for (at, document) in self.chain.iter().enumerate() {
            let certificate = Certificate::parse(document);
            let certificate = certificate.ok_or(IdentityError::Malformed(at))?;
            if last.is_some_and(|last| !last.names_key_of(&certificate)) {
                return Err(IdentityError::Gap(at));
            }
            if now < certificate.not_before {
                return Err(IdentityError::NotYetValid(at));
            }
            if now > certificate.not_after {
                return Err(IdentityError::Expired(at));
            }
            last = Some(certificate);
        }
        let last = last.ok_or(IdentityError::Empty)?;
        if !self.fits_flight::<C>(MESSAGE_MAX) {
            return Err(IdentityError::TooLong);
        }
        self.check_key::<C>()?;
        self.check_names()?;
        let issued = |root: &TrustAnchor<'_>| {
            let subject = root.subject.as_ref();
            let is_it = root.subject_public_key_info.as_ref() == last.key;
            subject == last.issuer || (is_it && subject == last.subject)
        };
        if roots.is_empty() || roots.iter().any(issued) {
            Ok(())
        } else {
            Err(IdentityError::NoIssuer)
        }
    }

    /// Checks that the key is that of the first certificate, and may sign.
    fn check_key<C: Crypto>(&self) -> Result<(), IdentityError> {
        let first = self.own().ok_or(IdentityError::Empty)?;
        if !Certificate::parse(first).is_some_and(|certificate| certificate.may_sign()) {
            return Err(IdentityError::KeyUsage);
        }
        let document = CertificateDer::from(first);
        let own = EndEntityCert::try_from(&document).map_err(|_| IdentityError::Malformed(0))?;
        let scheme = self.signer.scheme();
        let mut algorithms = C::ALGORITHMS.iter();
        let Some(algorithm) = algorithms.find(|known| scheme_of(**known) == Some(scheme)) else {
            return Ok(());
        };
        let mut signature = [0; SIGNATURE_MAX];
        let len = self.signer.sign(PROBE, &mut signature);
        let signature = len.and_then(|len| signature.get(..len));
        let signature = signature.ok_or(IdentityError::NoSignature)?;
        own.verify_signature(*algorithm, PROBE, signature)
            .map_err(|_| IdentityError::OtherKey)
    }

    fn check_names(&self) -> Result<(), IdentityError> {
        for (at, name) in self.names.iter().enumerate() {
            let name = name.as_bytes();
            let is_for = |own: &[u8]| own.eq_ignore_ascii_case(name) || covers(own, name);
            if !self.certificate_names().any(|own| is_for(own.as_bytes())) {
                return Err(IdentityError::Name(at));
            }
        }
        Ok(())
    }

    fn own(&self) -> Option<&'a [u8]> {
        self.chain.first().copied()
    }

    /// Iterates over the DNS names that the first certificate is for, some of which may be
    /// wildcards (`*.example.org`); no names if it cannot be read. What [`Self::names`] wants.
    pub fn certificate_names(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let certificate = self.own().and_then(Certificate::parse);
        let names = certificate.map_or(Names::NONE, |certificate| certificate.dns_names());
        names.filter_map(|name| core::str::from_utf8(name).ok())
    }
}
