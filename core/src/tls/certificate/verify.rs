//! Verification of the certificates that a peer shows.
//!
//! The path and its signatures are found and verified in [`path`](super::path); validity, purposes,
//! constraints and names are checked by rustls-webpki, which is handed that path and no more.

use core::time::Duration;

use pki_types::{
    AlgorithmIdentifier, CertificateDer, InvalidSignature, SignatureVerificationAlgorithm,
    TrustAnchor, UnixTime,
};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeId, KeyPurposeIdIter};

use crate::tls::alert::Alert;
use crate::tls::certificate::error::CertificateError;
use crate::tls::certificate::fields::Certificate;
use crate::tls::certificate::name;
use crate::tls::certificate::ocsp::{CertStatus, OcspPolicy, OcspResponse, read_status};
use crate::tls::certificate::path::{
    Affirmed, CERTIFICATES_MAX, PATH_MAX, Path, Progress, Search, SignedDocument,
};
use crate::tls::certificate::revocation::RevocationList;
use crate::tls::crypto::provider::{Crypto, Scheme};
use crate::tls::crypto::signature::scheme_of;
use crate::tls::wire::{Reader, part};

/// id-kp-serverAuth, 1.3.6.1.5.5.7.3.1 (RFC 5280, section 4.2.1.12).
const SERVER_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 1];
/// id-kp-clientAuth, 1.3.6.1.5.5.7.3.2 (RFC 5280, section 4.2.1.12).
const CLIENT_AUTH: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 3, 2];

/// What a certificate that says what it is for must be for. Webpki's own check makes a list for
/// its error on the heap, wherever some other crate of the program turns that feature on.
struct Usage(&'static [u8]);

impl ExtendedKeyUsageValidator for Usage {
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        let mut says = false;
        for purpose in purposes {
            says = true;
            if purpose? == KeyPurposeId::new(self.0) {
                return Ok(());
            }
        }
        if says {
            // The error's successor cannot be made outside of webpki.
            #[expect(deprecated, reason = "see above")]
            return Err(webpki::Error::RequiredEkuNotFound);
        }
        Ok(())
    }
}

/// By what a peer's certificates are checked.
pub(crate) struct Trust<'a> {
    /// The authorities.
    pub(crate) roots: &'a [TrustAnchor<'a>],
    /// Which certificates they have revoked.
    pub(crate) revoked: &'a [RevocationList<'a>],
    /// Whether OCSP's word has been asked for.
    pub(crate) ocsp: OcspPolicy,
}

/// Whom a chain must prove the peer to be.
#[derive(Clone, Copy)]
pub(crate) enum Subject<'a> {
    /// The server with this DNS name or IP address.
    Server(&'a [u8]),
    /// Any client.
    Client,
}

/// The certificates of a `Certificate` message (RFC 8446, section 4.4.2), the peer's own first.
#[derive(Clone)]
pub(crate) struct Chain<'a> {
    list: Reader<'a>,
}

impl<'a> Chain<'a> {
    /// Reads the message's content, without its header. The chain may be empty. Whether OCSP's word
    /// on a certificate has been asked for tells whether it may come along.
    pub(crate) fn parse(content: &'a [u8], asks_status: bool) -> Result<Self, Alert> {
        let mut reader = Reader::new(content);
        // Only after the handshake would a request have a context (RFC 8446, section 4.3.2).
        if !reader.vector8()?.is_empty() {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        let list = Reader::new(reader.vector24()?);
        reader.end()?;
        let mut rest = list;
        while !rest.is_empty() {
            if rest.vector24()?.is_empty() {
                return Err(Alert::DECODE_ERROR);
            }
            // We ask for no other of the extensions that may come with a certificate.
            let extensions = rest.vector16()?;
            if !extensions.is_empty() && !asks_status {
                return Err(Alert::UNSUPPORTED_EXTENSION);
            }
            read_status(extensions)?;
        }
        Ok(Self { list })
    }

    /// Returns the chain of a list as [`Self::parse`] finds in a message.
    #[cfg(feature = "embedded-tls")]
    pub(crate) const fn of(list: &'a [u8]) -> Self {
        Self {
            list: Reader::new(list),
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Takes the next certificate.
    fn next(&mut self) -> Result<Option<&'a [u8]>, Alert> {
        if self.list.is_empty() {
            return Ok(None);
        }
        let certificate = self.list.vector24()?;
        self.list.vector16()?;
        Ok(Some(certificate))
    }

    /// Returns what OCSP says of the peer's own certificate, if that came along.
    fn status(&self) -> Option<&'a [u8]> {
        let mut list = self.list;
        list.vector24().ok()?;
        read_status(list.vector16().ok()?).ok().flatten()
    }

    /// Returns the peer's own certificate.
    pub(crate) fn own(&self) -> Option<&'a [u8]> {
        self.clone().next().ok().flatten()
    }

    /// Checks that a path leads from `subject` to one of the roots and is valid now; returns the
    /// last second in which it is, and what is said of its revocation counts. Asks `may_verify`
    /// before each signature; returns `None` if it refused, to go on later with the same
    /// `progress`.
    ///
    /// A provider that knows no algorithm refuses every chain before it looks at it, so that
    /// nothing of the search for a path is in its program.
    pub(crate) fn verify<C: Crypto>(
        mut self,
        crypto: &C,
        trust: &Trust<'_>,
        subject: Subject<'_>,
        progress: &mut Progress,
        mut may_verify: impl FnMut() -> bool,
    ) -> Result<Option<u64>, CertificateError> {
        if C::ALGORITHMS.is_empty() {
            return Err(CertificateError::Algorithm);
        }
        let roots = trust.roots;
        let status = self.status();
        let mut certificates = [&[][..]; CERTIFICATES_MAX];
        let mut count = 0_usize;
        for place in &mut certificates {
            let Ok(Some(certificate)) = self.next() else {
                break;
            };
            *place = certificate;
            count = count.saturating_add(1);
        }
        let search = Search {
            certificates: part(&certificates, ..count),
            roots,
            algorithms: C::ALGORITHMS,
            now: crypto.unix_seconds(),
        };
        let [first, ..] = certificates;
        if Certificate::parse(first).is_none() {
            return Err(CertificateError::Malformed);
        }
        progress.begin(roots);
        while !Search::is_done(progress) {
            if !may_verify() {
                return Ok(None);
            }
            search.step(progress)?;
        }
        let not_after = check_path(&search, progress, subject, trust.revoked)?;
        let response = match (trust.ocsp, status) {
            (OcspPolicy::Off, _) | (OcspPolicy::Requested, None) => return Ok(Some(not_after)),
            (OcspPolicy::Required, None) => return Err(CertificateError::Status),
            (OcspPolicy::Requested | OcspPolicy::Required, Some(response)) => response,
        };
        let good_until = check_status(&search, progress, response, &mut may_verify)?;
        Ok(good_until.map(|good_until| not_after.min(good_until)))
    }

    /// Checks that the owner of the first certificate signed `message`.
    pub(crate) fn verify_signature<C: Crypto>(
        &self,
        scheme: Scheme,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), Alert> {
        if C::ALGORITHMS.is_empty() {
            return Err(Alert::ILLEGAL_PARAMETER);
        }
        let first = CertificateDer::from(self.own().ok_or(Alert::BAD_CERTIFICATE)?);
        let peer = EndEntityCert::try_from(&first).map_err(|_| Alert::BAD_CERTIFICATE)?;
        let algorithm = C::ALGORITHMS
            .iter()
            .find(|algorithm| scheme_of(**algorithm) == Some(scheme))
            .filter(|_| scheme.signs_handshakes())
            .ok_or(Alert::ILLEGAL_PARAMETER)?;
        peer.verify_signature(*algorithm, message, signature)
            .map_err(|error| match error {
                webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
                    Alert::ILLEGAL_PARAMETER
                }
                _ => Alert::DECRYPT_ERROR,
            })
    }
}

/// Checks what OCSP says of the first certificate of a path whose signatures have been verified;
/// returns the last second in which that counts. Asks `may_verify` before each of the response's
/// signatures; returns `None` if it refused, to go on later.
#[inline(never)]
fn check_status(
    search: &Search<'_>,
    progress: &mut Progress,
    response: &[u8],
    may_verify: &mut dyn FnMut() -> bool,
) -> Result<Option<u64>, CertificateError> {
    let malformed = CertificateError::Malformed;
    let [first, ..] = search.certificates else {
        return Err(malformed);
    };
    let leaf = Certificate::parse(first).ok_or(malformed)?;
    let mut key = search.issuer_key(progress).ok_or(malformed)?;
    let wrong = CertificateError::Status;
    let response = OcspResponse::parse(response).ok_or(wrong)?;
    let (status, mut good_until) = response.status(&leaf, search.now)?;
    if let Some(responder) = response.responder(&leaf, key, search.now)? {
        if !progress.has_responder {
            if !may_verify() {
                return Ok(None);
            }
            if !SignedDocument::of(&responder).is_signed_by(key, search.algorithms) {
                return Err(wrong);
            }
            progress.has_responder = true;
        }
        key = responder.key;
        good_until = good_until.min(responder.not_after);
    }
    if !may_verify() {
        return Ok(None);
    }
    if !response.signed.is_signed_by(key, search.algorithms) {
        return Err(wrong);
    }
    match status {
        CertStatus::Good => Ok(Some(good_until)),
        CertStatus::Revoked => Err(CertificateError::Revoked),
        CertStatus::Unknown => Err(wrong),
    }
}

/// Checks all of a path but its signatures, which have been verified, and whose it is. Returns the
/// last second in which all of it is valid.
// Not inlined: nothing of it is on the stack while a signature is verified.
#[inline(never)]
fn check_path(
    search: &Search<'_>,
    progress: &Progress,
    subject: Subject<'_>,
    revoked: &[RevocationList<'_>],
) -> Result<u64, CertificateError> {
    let path = search.path(progress).ok_or(CertificateError::Malformed)?;
    let [first, ..] = path.certificates;
    let leaf = Certificate::parse(first).ok_or(CertificateError::Malformed)?;
    let document = CertificateDer::from(first);
    let peer = EndEntityCert::try_from(&document).map_err(error_of)?;
    let root = search
        .roots
        .get(path.root)
        .ok_or(CertificateError::Malformed)?;
    let purpose = match subject {
        Subject::Server(_) => SERVER_AUTH,
        Subject::Client => CLIENT_AUTH,
    };
    let is_root =
        root.subject.as_ref() == leaf.subject && root.subject_public_key_info.as_ref() == leaf.key;
    if leaf.is_ca && is_root && path.len == 1 {
        check_root(&leaf, search.now, purpose)?;
    } else {
        check_certificates(&peer, &path, root, search.now, purpose)?;
    }
    if !leaf.may_sign() {
        return Err(CertificateError::KeyUsage);
    }
    let authorities = part(&path.certificates, 1..path.len);
    let mut not_after = leaf.not_after;
    for document in authorities {
        let certificate = Certificate::parse(document).ok_or(CertificateError::Malformed)?;
        if !certificate.may_certify() {
            return Err(CertificateError::KeyUsage);
        }
        not_after = not_after.min(certificate.not_after);
    }
    not_after = not_after.min(check_revocation(&path, root, revoked, search.now)?);
    if let Subject::Server(name) = subject {
        let name = name::parse(name).ok_or(CertificateError::Name)?;
        peer.verify_is_valid_for_subject_name(&name)
            .map_err(error_of)?;
    }
    Ok(not_after)
}

/// Checks a certificate that is itself an authority's whom we trust, as people make them for
/// themselves. There, no authority is asked what it may issue.
fn check_root(
    certificate: &Certificate<'_>,
    now: u64,
    purpose: &[u8],
) -> Result<(), CertificateError> {
    if now < certificate.not_before {
        return Err(CertificateError::NotYetValid);
    }
    if now > certificate.not_after {
        return Err(CertificateError::Expired);
    }
    match certificate.is_for(purpose) {
        true => Ok(()),
        false => Err(CertificateError::Purpose),
    }
}

/// Looks for the certificates of a path on the lists of their issuers.
fn check_revocation(
    path: &Path<'_>,
    root: &TrustAnchor<'_>,
    lists: &[RevocationList<'_>],
    now: u64,
) -> Result<u64, CertificateError> {
    let mut good_until = u64::MAX;
    if lists.is_empty() {
        return Ok(good_until);
    }
    for (at, document) in part(&path.certificates, ..path.len).iter().enumerate() {
        let certificate = Certificate::parse(document).ok_or(CertificateError::Malformed)?;
        let issuer = path.certificates.get(at.saturating_add(1));
        let issuer = issuer.and_then(|issuer| Certificate::parse(issuer));
        let key = match &issuer {
            Some(issuer) => issuer.key,
            None => root.subject_public_key_info.as_ref(),
        };
        for list in lists {
            good_until = good_until.min(list.check(&certificate, key, now)?);
        }
    }
    Ok(good_until)
}

/// Has rustls-webpki check a path from `peer` to `root`.
fn check_certificates(
    peer: &EndEntityCert<'_>,
    path: &Path<'_>,
    root: &TrustAnchor<'_>,
    now: u64,
    purpose: &'static [u8],
) -> Result<(), CertificateError> {
    let authorities = path.certificates.map(CertificateDer::from);
    let affirmed = path.algorithms.map(|algorithm| {
        let signed = &path.signed;
        algorithm.map(|algorithm| Affirmed { algorithm, signed })
    });
    let mut algorithms: [&dyn SignatureVerificationAlgorithm; PATH_MAX] = [&NoAlgorithm; PATH_MAX];
    for (place, affirmed) in algorithms.iter_mut().zip(&affirmed) {
        if let Some(affirmed) = affirmed {
            *place = affirmed;
        }
    }
    let verified = peer.verify_for_usage(
        &algorithms,
        core::slice::from_ref(root),
        part(&authorities, 1..path.len),
        UnixTime::since_unix_epoch(Duration::from_secs(now)),
        Usage(purpose),
        None,
        None,
    );
    // Not `map_err`, which would copy the path of 2 KB on the stack.
    match verified {
        Ok(_) => Ok(()),
        Err(error) => Err(error_of(error)),
    }
}

/// In the place of an algorithm: verifies nothing.
#[derive(Debug)]
struct NoAlgorithm;

impl SignatureVerificationAlgorithm for NoAlgorithm {
    fn verify_signature(
        &self,
        _public_key: &[u8],
        _message: &[u8],
        _signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        Err(InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        AlgorithmIdentifier::from_slice(&[])
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        AlgorithmIdentifier::from_slice(&[])
    }
}

/// Returns what is wrong with a path in our words.
#[expect(deprecated, reason = "made by the check of usage")]
fn error_of(error: webpki::Error) -> CertificateError {
    use webpki::Error as E;
    match error {
        E::CertExpired { .. } => CertificateError::Expired,
        E::CertNotValidYet { .. } => CertificateError::NotYetValid,
        E::CertRevoked => CertificateError::Revoked,
        E::UnknownIssuer => CertificateError::UnknownIssuer,
        E::CaUsedAsEndEntity => CertificateError::AuthorityAsPeer,
        E::EndEntityUsedAsCa => CertificateError::NotAnAuthority,
        E::PathLenConstraintViolated | E::NameConstraintViolation => CertificateError::Constraint,
        E::InvalidSignatureForPublicKey => CertificateError::Signature,
        E::UnsupportedCertVersion | E::UnsupportedCriticalExtension => {
            CertificateError::Unsupported
        }
        E::RequiredEkuNotFoundContext(_) | E::RequiredEkuNotFound => CertificateError::Purpose,
        E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => CertificateError::Algorithm,
        E::CertNotValidForName(_) => CertificateError::Name,
        _ => CertificateError::Malformed,
    }
}
