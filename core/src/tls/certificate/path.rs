//! The path from a peer's certificate to an authority that is trusted, and its signatures.
//!
//! A peer may send its certificates in any order, and more than are needed (RFC 8446, section
//! 4.4.2). The path is found by names and key identifiers alone, which costs next to nothing.
//! Signatures are then verified from the authority down, so that each key that verifies one has
//! been vouched for: certificates that somebody made up cost one verification, however many they
//! are. One that fails is allowed, for two issuers of the same name; so there are at most as many
//! as the path is long, and one more.

use pki_types::{SignatureVerificationAlgorithm, TrustAnchor};

use crate::tls::certificate::error::CertificateError;
use crate::tls::certificate::fields::Certificate;
use crate::tls::crypto::der;

/// Most certificates of a message that are looked at; those behind are ignored.
pub(crate) const CERTIFICATES_MAX: usize = 16;
/// Most certificates of a path: the peer's own and six authorities', as rustls-webpki allows.
pub(crate) const PATH_MAX: usize = 7;

/// Who issued a certificate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Issuer {
    /// The owner of another certificate, by its index in the message.
    Certificate(usize),
    /// An authority that is trusted, by its index.
    Root(usize),
}

impl Issuer {
    /// Returns the issuer as a number above 0; `None` for authorities beyond the 65,519th.
    fn to_number(self) -> Option<u16> {
        let number = match self {
            Self::Certificate(index) => index.checked_add(1)?,
            Self::Root(index) => index.checked_add(CERTIFICATES_MAX)?.checked_add(1)?,
        };
        u16::try_from(number).ok()
    }

    fn from_number(number: u16) -> Option<Self> {
        let index = usize::from(number).checked_sub(1)?;
        Some(match index.checked_sub(CERTIFICATES_MAX) {
            Some(index) => Self::Root(index),
            None => Self::Certificate(index),
        })
    }
}

/// Which signatures of a chain and of OCSP's word on it have been verified, so that the rest can be
/// later. All zero bytes at first.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) struct Progress {
    /// By whose key each certificate's signature has been verified, as a number.
    issuers: [u16; CERTIFICATES_MAX],
    /// The certificate and the issuer whose key did not verify its signature, and if there are
    /// any.
    failed: (u8, u16),
    has_failed: bool,
    /// The certificate of OCSP's responder has been verified.
    pub(crate) has_responder: bool,
    /// Where the authorities are that the numbers count.
    roots: usize,
}

impl Progress {
    pub(crate) const NONE: Self = Self {
        issuers: [0; CERTIFICATES_MAX],
        failed: (0, 0),
        has_failed: false,
        has_responder: false,
        roots: 0,
    };

    /// Begins anew if the authorities are others than before: a program may replace them at any
    /// time.
    pub(crate) fn begin(&mut self, roots: &[TrustAnchor<'_>]) {
        let address = roots.as_ptr().addr();
        if self.roots != address {
            *self = Self::NONE;
            self.roots = address;
        }
    }

    /// Returns by whose key a certificate's signature has been verified.
    fn issuer(&self, certificate: usize) -> Option<Issuer> {
        Issuer::from_number(*self.issuers.get(certificate)?)
    }

    fn is_failed(&self, link: Link) -> bool {
        self.has_failed
            && usize::from(self.failed.0) == link.certificate
            && Issuer::from_number(self.failed.1) == Some(link.issuer)
    }
}

/// A certificate and who may have issued it.
#[derive(Clone, Copy, Debug)]
struct Link {
    certificate: usize,
    issuer: Issuer,
}

/// A signature that has been verified, with the key's bits.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Signed<'a> {
    key: &'a [u8],
    message: &'a [u8],
    signature: &'a [u8],
}

/// A path whose signatures have been verified.
#[derive(Debug)]
pub(crate) struct Path<'a> {
    /// The certificates in the order of the path, the peer's own first.
    pub(crate) certificates: [&'a [u8]; PATH_MAX],
    pub(crate) signed: [Signed<'a>; PATH_MAX],
    /// What verified them, for each of them.
    pub(crate) algorithms: [Option<&'static dyn SignatureVerificationAlgorithm>; PATH_MAX],
    pub(crate) len: usize,
    /// The index of the authority that issued the last.
    pub(crate) root: usize,
}

/// Certificates, the peer's own first, and the authorities that one of them leads to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Search<'a> {
    pub(crate) certificates: &'a [&'a [u8]],
    pub(crate) roots: &'a [TrustAnchor<'a>],
    pub(crate) algorithms: &'static [&'static dyn SignatureVerificationAlgorithm],
    /// Seconds since 1970.
    pub(crate) now: u64,
}

impl<'a> Search<'a> {
    /// Returns true if every signature of a path has been verified.
    pub(crate) fn is_done(progress: &Progress) -> bool {
        progress.issuer(0).is_some()
    }

    /// Verifies one more signature of the path.
    ///
    /// # Errors
    /// No path is left to try.
    pub(crate) fn step(&self, progress: &mut Progress) -> Result<(), CertificateError> {
        let Some(link) = self.next(progress) else {
            return Err(match progress.has_failed {
                true => CertificateError::Signature,
                false => CertificateError::UnknownIssuer,
            });
        };
        let (Ok(certificate), Some(number)) =
            (u8::try_from(link.certificate), link.issuer.to_number())
        else {
            return Err(CertificateError::UnknownIssuer);
        };
        match self.verify(link) {
            Ok(()) => {
                if let Some(issuer) = progress.issuers.get_mut(link.certificate) {
                    *issuer = number;
                }
                Ok(())
            }
            Err(CertificateError::Signature) if !progress.has_failed => {
                progress.failed = (certificate, number);
                progress.has_failed = true;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the path that [`Self::step`] has verified.
    pub(crate) fn path(&self, progress: &Progress) -> Option<Path<'a>> {
        let mut path = Path {
            certificates: [&[]; PATH_MAX],
            signed: [Signed::default(); PATH_MAX],
            algorithms: [None; PATH_MAX],
            len: 0,
            root: 0,
        };
        let mut index = 0;
        loop {
            let issuer = progress.issuer(index)?;
            let document = *self.certificates.get(index)?;
            let certificate = Certificate::parse(document)?;
            let key = self.key_of(issuer)?;
            *path.certificates.get_mut(path.len)? = document;
            *path.algorithms.get_mut(path.len)? = self.algorithm(key, certificate.algorithm);
            *path.signed.get_mut(path.len)? = Signed {
                key: key_bits(key)?,
                message: certificate.signed,
                signature: certificate.signature,
            };
            path.len = path.len.saturating_add(1);
            match issuer {
                Issuer::Certificate(issuer) => index = issuer,
                Issuer::Root(root) => {
                    path.root = root;
                    return Some(path);
                }
            }
        }
    }

    /// Returns the signature to verify next: the one nearest to an authority on the shortest path
    /// on which no signature has failed.
    // Not inlined: the certificates' fields are not on the stack while a signature is verified.
    #[inline(never)]
    fn next(&self, progress: &Progress) -> Option<Link> {
        let mut certificates = [Certificate::default(); CERTIFICATES_MAX];
        for (certificate, document) in certificates.iter_mut().zip(self.certificates) {
            // One that is malformed is nobody's issuer.
            *certificate = Certificate::parse(document).unwrap_or_default();
        }
        let count = self.certificates.len().min(CERTIFICATES_MAX);
        let certificates = certificates.get(..count)?;
        // What may be a path at best; else what is one by names, so that the fault is reported.
        let strict = self.search(certificates, progress, true);
        strict.or_else(|| self.search(certificates, progress, false))
    }

    /// Searches in the breadth, from the peer's certificate up.
    fn search(
        &self,
        certificates: &[Certificate<'_>],
        progress: &Progress,
        is_strict: bool,
    ) -> Option<Link> {
        // Of those that have been reached, in this order: the index, the one that it issued, and
        // how many are between it and the peer's.
        let mut reached = [(0, 0, 0_usize); CERTIFICATES_MAX];
        let mut count = 1_usize;
        let mut position = 0_usize;
        while position < count {
            let (index, issued, depth) = *reached.get(position)?;
            position = position.saturating_add(1);
            let certificate = certificates.get(index)?;
            if index != 0 && progress.issuer(index).is_some() {
                return Some(Link {
                    certificate: issued,
                    issuer: Issuer::Certificate(index),
                });
            }
            if let Some(link) = self.root_of(index, certificate, progress, is_strict) {
                return Some(link);
            }
            if depth.saturating_add(1) >= PATH_MAX {
                continue;
            }
            for (other, issuer) in (1..CERTIFICATES_MAX).zip(certificates.iter().skip(1)) {
                let link = Link {
                    certificate: index,
                    issuer: Issuer::Certificate(other),
                };
                let is_known = reached
                    .iter()
                    .take(count)
                    .any(|(known, ..)| *known == other);
                if is_known
                    || !self.may_issue(issuer, certificate, is_strict)
                    || progress.is_failed(link)
                {
                    continue;
                }
                *reached.get_mut(count)? = (other, index, depth.saturating_add(1));
                count = count.saturating_add(1);
            }
        }
        None
    }

    /// Returns the link to an authority that may have issued the certificate at `index`.
    fn root_of(
        &self,
        index: usize,
        certificate: &Certificate<'_>,
        progress: &Progress,
        is_strict: bool,
    ) -> Option<Link> {
        let is_it = |(position, root): (usize, &TrustAnchor<'_>)| {
            let link = Link {
                certificate: index,
                issuer: Issuer::Root(position),
            };
            let is_named = root.subject.as_ref() == certificate.issuer;
            let key = root.subject_public_key_info.as_ref();
            let fits = !is_strict || self.algorithm(key, certificate.algorithm).is_some();
            (is_named && fits && !progress.is_failed(link)).then_some(link)
        };
        self.roots.iter().enumerate().find_map(is_it)
    }

    /// Returns true if `issuer` may have issued `certificate`, by its name; or, strictly, by what
    /// both say of its key, if it is an authority, is valid and has a fitting key.
    fn may_issue(
        &self,
        issuer: &Certificate<'_>,
        certificate: &Certificate<'_>,
        is_strict: bool,
    ) -> bool {
        if !is_strict {
            return !issuer.signed.is_empty() && issuer.subject == certificate.issuer;
        }
        certificate.names_key_of(issuer)
            && issuer.is_ca
            && issuer.may_certify()
            && issuer.is_valid_at(self.now)
            && self.algorithm(issuer.key, certificate.algorithm).is_some()
    }

    /// Verifies a certificate's signature by its issuer's key.
    // Not inlined, as above: only what the verification needs is on the stack under it.
    #[inline(never)]
    fn verify(&self, link: Link) -> Result<(), CertificateError> {
        let malformed = CertificateError::Malformed;
        let document = self.certificates.get(link.certificate).ok_or(malformed)?;
        let certificate = Certificate::parse(document).ok_or(malformed)?;
        let key = self.key_of(link.issuer).ok_or(malformed)?;
        let algorithm = self.algorithm(key, certificate.algorithm);
        let algorithm = algorithm.ok_or(CertificateError::Algorithm)?;
        let bits = key_bits(key).ok_or(malformed)?;
        algorithm
            .verify_signature(bits, certificate.signed, certificate.signature)
            .map_err(|_| CertificateError::Signature)
    }

    /// Returns the key of the first certificate's issuer, once its signature has been verified.
    pub(crate) fn issuer_key(&self, progress: &Progress) -> Option<&'a [u8]> {
        self.key_of(progress.issuer(0)?)
    }

    /// Returns an issuer's key, the content of its `SubjectPublicKeyInfo`.
    fn key_of(&self, issuer: Issuer) -> Option<&'a [u8]> {
        match issuer {
            Issuer::Certificate(index) => {
                let document = *self.certificates.get(index)?;
                Some(Certificate::parse(document)?.key)
            }
            Issuer::Root(index) => Some(self.roots.get(index)?.subject_public_key_info.as_ref()),
        }
    }

    /// Returns what verifies signatures of this kind by such a key.
    fn algorithm(
        &self,
        key: &[u8],
        signature: &[u8],
    ) -> Option<&'static dyn SignatureVerificationAlgorithm> {
        algorithm_of(self.algorithms, key, signature)
    }
}

/// Returns what verifies signatures of this kind by such a key, the content of a
/// `SubjectPublicKeyInfo`.
fn algorithm_of(
    algorithms: &[&'static dyn SignatureVerificationAlgorithm],
    key: &[u8],
    signature: &[u8],
) -> Option<&'static dyn SignatureVerificationAlgorithm> {
    let (kind, _) = der::element(key, der::SEQUENCE)?;
    let fits = |algorithm: &&&'static dyn SignatureVerificationAlgorithm| {
        algorithm.public_key_alg_id().as_ref() == kind
            && algorithm.signature_alg_id().as_ref() == signature
    };
    algorithms.iter().find(fits).copied()
}

/// Something signed: a certificate, a list of revoked ones, an OCSP response.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SignedDocument<'a> {
    /// What was signed.
    pub(crate) message: &'a [u8],
    /// The content of the signature's `AlgorithmIdentifier`.
    pub(crate) algorithm: &'a [u8],
    pub(crate) signature: &'a [u8],
}

impl<'a> SignedDocument<'a> {
    /// Returns a certificate as such a document.
    pub(crate) const fn of(certificate: &Certificate<'a>) -> Self {
        Self {
            message: certificate.signed,
            algorithm: certificate.algorithm,
            signature: certificate.signature,
        }
    }

    /// Splits the content of a signed `SEQUENCE` into what was signed, its signature, and the rest
    /// (RFC 5280, section 4.1.1, and all that is like it).
    pub(crate) fn split(content: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (_, after) = der::element(content, der::SEQUENCE)?;
        let message = content.get(..content.len().checked_sub(after.len())?)?;
        let (algorithm, after) = der::element(after, der::SEQUENCE)?;
        let (signature, rest) = der::element(after, der::BIT_STRING)?;
        let (unused, signature) = signature.split_first()?;
        let signed = Self {
            message,
            algorithm,
            signature,
        };
        (*unused == 0).then_some((signed, rest))
    }

    /// Returns true if the owner of `key`, the content of a `SubjectPublicKeyInfo`, has signed it.
    // Not inlined: nothing else is on the stack under the verification.
    #[inline(never)]
    pub(crate) fn is_signed_by(
        &self,
        key: &[u8],
        algorithms: &[&'static dyn SignatureVerificationAlgorithm],
    ) -> bool {
        let algorithm = algorithm_of(algorithms, key, self.algorithm);
        let (Some(algorithm), Some(bits)) = (algorithm, key_bits(key)) else {
            return false;
        };
        algorithm
            .verify_signature(bits, self.message, self.signature)
            .is_ok()
    }
}

/// Returns the key itself in the content of a `SubjectPublicKeyInfo`.
fn key_bits(key: &[u8]) -> Option<&[u8]> {
    let (_algorithm, rest) = der::element(key, der::SEQUENCE)?;
    let (bits, _) = der::element(rest, der::BIT_STRING)?;
    match bits {
        [0, bits @ ..] => Some(bits),
        _ => None,
    }
}

/// An algorithm that affirms the signatures that have been verified, and no other.
///
/// For the other checks of a path, which come with that of its signatures.
#[derive(Debug)]
pub(crate) struct Affirmed<'a> {
    pub(crate) algorithm: &'static dyn SignatureVerificationAlgorithm,
    pub(crate) signed: &'a [Signed<'a>],
}

impl SignatureVerificationAlgorithm for Affirmed<'_> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), pki_types::InvalidSignature> {
        let is_it = |signed: &Signed<'_>| {
            signed.key == public_key && signed.message == message && signed.signature == signature
        };
        let is_known = self.signed.iter().any(is_it);
        is_known.then_some(()).ok_or(pki_types::InvalidSignature)
    }

    fn public_key_alg_id(&self) -> pki_types::AlgorithmIdentifier {
        self.algorithm.public_key_alg_id()
    }

    fn signature_alg_id(&self) -> pki_types::AlgorithmIdentifier {
        self.algorithm.signature_alg_id()
    }
}
