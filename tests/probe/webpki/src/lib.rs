//! Certificates that are anything.
#![no_std]

#[path = "../../src/hidden.rs"]
#[expect(dead_code, reason = "the probe needs more of it")]
mod hidden;

use core::marker::PhantomData;

use hidden::{bytes, hidden, word, yes};
use pki_types::{
    CertificateDer, ServerName, SignatureVerificationAlgorithm, TrustAnchor, UnixTime,
};

/// What may be wrong.
#[derive(Clone, Copy)]
#[non_exhaustive]
#[expect(missing_docs, reason = "webpki's own tell")]
pub enum Error {
    CertExpired {},
    CertNotValidYet {},
    CertNotValidForName(Context),
    CertRevoked,
    UnknownIssuer,
    CaUsedAsEndEntity,
    EndEntityUsedAsCa,
    PathLenConstraintViolated,
    NameConstraintViolation,
    InvalidSignatureForPublicKey,
    UnsupportedCertVersion,
    UnsupportedCriticalExtension,
    #[deprecated]
    RequiredEkuNotFound,
    RequiredEkuNotFoundContext(Context),
    UnsupportedSignatureAlgorithmContext(Context),
    UnsupportedSignatureAlgorithmForPublicKeyContext(Context),
    BadDer,
}

/// More about it.
#[derive(Clone, Copy)]
pub struct Context;

#[expect(deprecated, reason = "webpki's own")]
fn or_error<T>(value: T) -> Result<T, Error> {
    let error = match word() {
        0 => Error::CertExpired {},
        1 => Error::CertNotValidYet {},
        2 => Error::CertNotValidForName(Context),
        3 => Error::CertRevoked,
        4 => Error::UnknownIssuer,
        5 => Error::UnsupportedCertVersion,
        6 => Error::UnsupportedCriticalExtension,
        7 => Error::RequiredEkuNotFound,
        8 => Error::RequiredEkuNotFoundContext(Context),
        9 => Error::UnsupportedSignatureAlgorithmContext(Context),
        10 => Error::UnsupportedSignatureAlgorithmForPublicKeyContext(Context),
        11 => Error::CaUsedAsEndEntity,
        12 => Error::EndEntityUsedAsCa,
        13 => Error::PathLenConstraintViolated,
        14 => Error::NameConstraintViolation,
        15 => Error::InvalidSignatureForPublicKey,
        _ => Error::BadDer,
    };
    if yes() { Ok(value) } else { Err(error) }
}

/// Some certificate.
pub struct EndEntityCert<'a>(PhantomData<&'a ()>);

impl<'a> TryFrom<&'a CertificateDer<'a>> for EndEntityCert<'a> {
    type Error = Error;

    fn try_from(_: &'a CertificateDer<'a>) -> Result<Self, Error> {
        or_error(Self(PhantomData))
    }
}

impl EndEntityCert<'_> {
    /// Calls whatever may be called, and says anything.
    #[expect(clippy::too_many_arguments, reason = "webpki's own")]
    pub fn verify_for_usage<'p>(
        &'p self,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
        _: &'p [TrustAnchor<'_>],
        _: &'p [CertificateDer<'p>],
        _: UnixTime,
        usage: impl ExtendedKeyUsageValidator,
        _: Option<()>,
        _: Option<()>,
    ) -> Result<(), Error> {
        for algorithm in algorithms {
            verify(*algorithm)?;
        }
        usage.validate(KeyPurposeIdIter(PhantomData))?;
        or_error(())
    }

    /// Says anything.
    pub fn verify_is_valid_for_subject_name(&self, _: &ServerName<'_>) -> Result<(), Error> {
        or_error(())
    }

    /// Calls the algorithm, and says anything.
    pub fn verify_signature(
        &self,
        algorithm: &dyn SignatureVerificationAlgorithm,
        _: &[u8],
        _: &[u8],
    ) -> Result<(), Error> {
        verify(algorithm)
    }
}

fn verify(algorithm: &dyn SignatureVerificationAlgorithm) -> Result<(), Error> {
    if algorithm.public_key_alg_id() == algorithm.signature_alg_id() {
        return or_error(());
    }
    let verified = algorithm.verify_signature(bytes(), bytes(), bytes());
    verified.or_else(|_| or_error(()))
}

/// Judges what a certificate is for.
pub trait ExtendedKeyUsageValidator {
    /// Judges it.
    fn validate(&self, purposes: KeyPurposeIdIter<'_, '_>) -> Result<(), Error>;
}

/// What a certificate is for, in any number.
pub struct KeyPurposeIdIter<'a, 'r>(PhantomData<(&'a (), &'r ())>);

impl<'a> Iterator for KeyPurposeIdIter<'a, '_> {
    type Item = Result<KeyPurposeId<'a>, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        yes().then(|| or_error(hidden(KeyPurposeId::new(&[]))))
    }
}

/// What a certificate is for.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct KeyPurposeId<'a>(&'a [u8]);

impl<'a> KeyPurposeId<'a> {
    /// Names it.
    pub const fn new(id: &'a [u8]) -> Self {
        Self(id)
    }
}
