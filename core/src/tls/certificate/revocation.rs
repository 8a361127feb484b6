//! Lists of the certificates that an authority has revoked (RFC 5280, section 5).

use core::fmt;

use pki_types::TrustAnchor;

use crate::tls::certificate::error::CertificateError;
use crate::tls::certificate::fields::{Certificate, Extension};
use crate::tls::certificate::path::SignedDocument;
use crate::tls::crypto::der;
use crate::tls::crypto::provider::Crypto;
use crate::tls::wire::Sum;

/// Extensions that change what a list is about, by the last number of 2.5.29.x: it is the
/// difference to another list, or of a part of the certificates (RFC 5280, sections 5.2.4 and
/// 5.2.5).
const DELTA: u8 = 27;
const DISTRIBUTION_POINT: u8 = 28;

/// A list of the certificates that an authority has revoked: a CRL (RFC 5280, section 5).
///
/// It is read and verified once, when it is loaded; handshakes only look for serial numbers in it,
/// one after the other.
///
/// ```no_run
/// use usockets::tls::{ClientAuth, Identity, RevocationList, RustCrypto, TrustAnchor};
/// # use usockets::tls::{Machine, RevocationListError};
///
/// # fn serve<M: Machine>(
/// #     identity: Identity<'_>,
/// #     list: &[u8],
/// #     roots: &[TrustAnchor<'_>; 1],
/// # ) -> Result<(), RevocationListError> {
/// let [root] = roots;
/// let lists = [RevocationList::read::<RustCrypto<M>>(list, root)?];
/// let policy = ClientAuth::Required(roots);
/// let identity = identity.client_auth(policy).revoked(&lists);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct RevocationList<'a> {
    issuer: &'a [u8],
    /// The issuer's key, the content of a `SubjectPublicKeyInfo`.
    key: &'a [u8],
    this_update: u64,
    next_update: u64,
    entries: &'a [u8],
    /// Tells the list from others, by all of its bytes.
    sum: Sum,
}

/// Why a list of revoked certificates cannot be used.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum RevocationListError {
    /// It is no `CertificateList` in DER, was cut, or does not say until when it is good.
    Malformed,
    /// It was issued by another authority.
    OtherIssuer,
    /// The authority has not signed it, or by an algorithm that is not known here.
    Signature,
    /// It is the difference to another list, of a part of the authority's certificates only, or
    /// has another critical extension that is not known here.
    Unsupported,
}

impl fmt::Display for RevocationListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the list of revoked certificates cannot be read",
            Self::OtherIssuer => "the list of revoked certificates is another authority's",
            Self::Signature => "the list of revoked certificates is not signed by the authority",
            Self::Unsupported => "the list of revoked certificates is of a kind that is not known",
        })
    }
}

impl core::error::Error for RevocationListError {}

impl<'a> RevocationList<'a> {
    /// Reads the list of `issuer` in the DER `document`, and verifies its signature. Whether it is
    /// of today shows in handshakes only.
    ///
    /// An authority between needs a list of its own; its `TrustAnchor` is made of its certificate
    /// like a root's.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read<C: Crypto>(
        document: &'a [u8],
        issuer: &'a TrustAnchor<'_>,
    ) -> Result<Self, RevocationListError> {
        let mut list = Self::parse(document, issuer)?;
        let (content, _) =
            der::element(document, der::SEQUENCE).ok_or(RevocationListError::Malformed)?;
        let (signed, _) = SignedDocument::split(content).ok_or(RevocationListError::Malformed)?;
        match signed.is_signed_by(list.key, C::ALGORITHMS) {
            true => {
                list.sum.add(document);
                Ok(list)
            }
            false => Err(RevocationListError::Signature),
        }
    }

    /// Reads all but the signature.
    fn parse(document: &'a [u8], issuer: &'a TrustAnchor<'_>) -> Result<Self, RevocationListError> {
        let mut list = Self {
            issuer: issuer.subject.as_ref(),
            key: issuer.subject_public_key_info.as_ref(),
            this_update: 0,
            next_update: 0,
            entries: &[],
            sum: Sum::NONE,
        };
        let fields = list.read_fields(document);
        let (named, extensions) = fields.ok_or(RevocationListError::Malformed)?;
        if named != list.issuer {
            return Err(RevocationListError::OtherIssuer);
        }
        match has_unknown(extensions) {
            None => Err(RevocationListError::Malformed),
            Some(true) => Err(RevocationListError::Unsupported),
            Some(false) => Ok(list),
        }
    }

    /// Reads the fields of a `CertificateList`; returns its issuer's name and its extensions.
    fn read_fields(&mut self, document: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let (content, after) = der::element(document, der::SEQUENCE)?;
        let (signed, end) = SignedDocument::split(content)?;
        if !after.is_empty() || !end.is_empty() {
            return None;
        }
        let (rest, _) = der::element(signed.message, der::SEQUENCE)?;
        let rest = match der::element(rest, der::INTEGER) {
            Some((_version, rest)) => rest,
            None => rest,
        };
        let (algorithm, rest) = der::element(rest, der::SEQUENCE)?;
        let (issuer, rest) = der::element(rest, der::SEQUENCE)?;
        let (this_update, rest) = der::time(rest)?;
        let (next_update, rest) = der::time(rest)?;
        let (entries, rest) = der::element(rest, der::SEQUENCE).unwrap_or((&[], rest));
        let (extensions, rest) = der::element(rest, der::context(0)).unwrap_or((&[], rest));
        let is_whole = rest.is_empty() && algorithm == signed.algorithm;
        self.this_update = this_update;
        self.next_update = next_update;
        self.entries = entries;
        let mut left = entries;
        while !left.is_empty() {
            let (_serial, after) = split_entry(left)?;
            left = after;
        }
        is_whole.then_some((issuer, extensions))
    }

    /// Returns what tells the list from others.
    pub(crate) const fn sum(&self) -> Sum {
        self.sum
    }

    /// Checks that a certificate, whose issuer has the key, is not on the list, should it be that
    /// issuer's. Returns until when that is so.
    pub(crate) fn check(
        &self,
        certificate: &Certificate<'_>,
        issuer_key: &[u8],
        now: u64,
    ) -> Result<u64, CertificateError> {
        if self.issuer != certificate.issuer || self.key != issuer_key {
            return Ok(u64::MAX);
        }
        // Whoever is on an old list is revoked for good.
        let mut rest = self.entries;
        while let Some((serial, after)) = split_entry(rest) {
            if serial == certificate.serial {
                return Err(CertificateError::Revoked);
            }
            rest = after;
        }
        match (self.this_update..=self.next_update).contains(&now) {
            true => Ok(self.next_update),
            false => Err(CertificateError::StaleList),
        }
    }
}

/// Splits off an entry of a list; returns its serial number.
fn split_entry(entries: &[u8]) -> Option<(&[u8], &[u8])> {
    let (entry, rest) = der::element(entries, der::SEQUENCE)?;
    let (serial, entry) = der::element(entry, der::INTEGER)?;
    der::time(entry)?;
    Some((serial, rest))
}

/// Returns true if one of the extensions makes the list another than it seems; `None` if they
/// cannot be read.
fn has_unknown(extensions: &[u8]) -> Option<bool> {
    if extensions.is_empty() {
        return Some(false);
    }
    let (mut rest, _) = der::element(extensions, der::SEQUENCE)?;
    while !rest.is_empty() {
        let (extension, after) = Extension::split(rest)?;
        rest = after;
        let changes = matches!(extension.id, [0x55, 0x1d, DELTA | DISTRIBUTION_POINT]);
        if extension.is_critical || changes {
            return Some(true);
        }
    }
    Some(false)
}
