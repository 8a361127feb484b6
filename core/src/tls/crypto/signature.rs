//! Signing keys, and the verification of signatures that certificates and handshakes carry.

use ed25519_dalek::Signer as _;
use pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use sha2::{Digest as _, Sha256, Sha384};

use crate::tls::crypto::der::{self, KeyError};
use crate::tls::crypto::ecdsa;
use crate::tls::crypto::eddsa;
use crate::tls::crypto::provider::{HashAlgorithm, Scheme, Signer};
#[cfg(feature = "tls-rsa")]
use crate::tls::crypto::rsa;
use crate::tls::wire::copy;

/// Every algorithm that can be verified without heap.
#[cfg(not(feature = "tls-rsa"))]
pub(crate) const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    &P256_SHA256,
    &P384_SHA384,
    &Ed25519,
    &P256_SHA384,
    &P384_SHA256,
];
/// Every algorithm that can be verified without heap.
#[cfg(feature = "tls-rsa")]
pub(crate) const ALGORITHMS: &[&dyn SignatureVerificationAlgorithm] = &[
    &P256_SHA256,
    &P384_SHA384,
    &Ed25519,
    &P256_SHA384,
    &P384_SHA256,
    &rsa::PSS_SHA256,
    &rsa::PSS_SHA384,
    &rsa::PSS_SHA512,
    &rsa::PKCS1_SHA256,
    &rsa::PKCS1_SHA384,
    &rsa::PKCS1_SHA512,
];

/// The schemes of plain RSA keys, by what certificates call them.
const RSA_SCHEMES: [(AlgorithmIdentifier, Scheme); 6] = [
    (alg_id::RSA_PSS_SHA256, Scheme::RSA_PSS_RSAE_SHA256),
    (alg_id::RSA_PSS_SHA384, Scheme::RSA_PSS_RSAE_SHA384),
    (alg_id::RSA_PSS_SHA512, Scheme::RSA_PSS_RSAE_SHA512),
    (alg_id::RSA_PKCS1_SHA256, Scheme::RSA_PKCS1_SHA256),
    (alg_id::RSA_PKCS1_SHA384, Scheme::RSA_PKCS1_SHA384),
    (alg_id::RSA_PKCS1_SHA512, Scheme::RSA_PKCS1_SHA512),
];

/// Returns the number that an algorithm has in handshakes, if it has one.
pub(crate) fn scheme_of(algorithm: &dyn SignatureVerificationAlgorithm) -> Option<Scheme> {
    let key = algorithm.public_key_alg_id();
    let signature = algorithm.signature_alg_id();
    if key == alg_id::ECDSA_P256 && signature == alg_id::ECDSA_SHA256 {
        Some(Scheme::ECDSA_P256_SHA256)
    } else if key == alg_id::ECDSA_P384 && signature == alg_id::ECDSA_SHA384 {
        Some(Scheme::ECDSA_P384_SHA384)
    } else if key == alg_id::ED25519 && signature == alg_id::ED25519 {
        Some(Scheme::ED25519)
    } else if key == alg_id::RSA_ENCRYPTION {
        let mut schemes = RSA_SCHEMES.iter();
        schemes
            .find(|(id, _)| *id == signature)
            .map(|(_, scheme)| *scheme)
    } else {
        None
    }
}

/// A P-256 private key that signs with ECDSA and SHA-256, deterministically (RFC 6979).
///
/// Wiped when dropped.
#[derive(Debug)]
pub struct EcdsaP256Key(p256::ecdsa::SigningKey);

impl EcdsaP256Key {
    /// Returns the key with the private number `scalar`, big-endian. `None` if it is 0 or not
    /// below the group's order.
    #[must_use]
    pub fn from_scalar(scalar: &[u8; 32]) -> Option<Self> {
        p256::ecdsa::SigningKey::from_slice(scalar).ok().map(Self)
    }

    /// Returns the key in a DER document: PKCS #8 (RFC 5958), or SEC 1 (RFC 5915) that names the
    /// curve. A public key that may stand there too is not looked at.
    ///
    /// # Errors
    /// Why it holds no P-256 key.
    pub fn from_der(document: &[u8]) -> Result<Self, KeyError> {
        let key = p256::ecdsa::SigningKey::from_slice(der::p256_scalar(document)?);
        key.map(Self).map_err(|_| KeyError::OutOfRange)
    }
}

impl Signer for EcdsaP256Key {
    fn scheme(&self) -> Scheme {
        Scheme::ECDSA_P256_SHA256
    }

    fn sign(&self, message: &[u8], signature: &mut [u8]) -> Option<usize> {
        let made: p256::ecdsa::Signature = self.0.try_sign(message).ok()?;
        let (r, s) = made.split_bytes();
        der::put_signature([r.as_slice(), s.as_slice()], signature)
    }
}

/// An Ed25519 private key. Wiped when dropped.
#[derive(Debug)]
pub struct Ed25519Key(ed25519_dalek::SigningKey);

impl Ed25519Key {
    /// Returns the key with the 32 secret bytes of RFC 8032.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(ed25519_dalek::SigningKey::from_bytes(seed))
    }

    /// Returns the key in a PKCS #8 DER document (RFC 8410).
    ///
    /// # Errors
    /// Why it holds no Ed25519 key.
    pub fn from_der(document: &[u8]) -> Result<Self, KeyError> {
        let seed = der::ed25519_seed(document)?.try_into();
        seed.map(Self::from_seed).map_err(|_| KeyError::Malformed)
    }
}

impl Signer for Ed25519Key {
    fn scheme(&self) -> Scheme {
        Scheme::ED25519
    }

    fn sign(&self, message: &[u8], signature: &mut [u8]) -> Option<usize> {
        let made = self.0.try_sign(message).ok()?.to_bytes();
        copy(signature, &made).then_some(made.len())
    }
}

/// Reads a signature in DER.
#[inline(never)]
fn read_p256(signature: &[u8]) -> Option<[p256::Scalar; 2]> {
    let (r, s) = p256::ecdsa::Signature::from_der(signature)
        .ok()?
        .split_scalars();
    Some([*r, *s])
}

/// ECDSA by keys on P-256.
#[derive(Debug)]
struct EcdsaP256(HashAlgorithm);

const P256_SHA256: EcdsaP256 = EcdsaP256(HashAlgorithm::Sha256);
/// In certificates only: authorities with a key of one length sign with the hash of another.
const P256_SHA384: EcdsaP256 = EcdsaP256(HashAlgorithm::Sha384);

impl SignatureVerificationAlgorithm for EcdsaP256 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let signature = read_p256(signature).ok_or(InvalidSignature)?;
        let digest = digest::<32>(self.0, message);
        let is_good = ecdsa::verify::<p256::NistP256>(public_key, &digest, &signature);
        is_good.then_some(()).ok_or(InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P256
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        ecdsa_with(self.0)
    }
}

/// Returns the name of ECDSA with a hash function.
const fn ecdsa_with(hash: HashAlgorithm) -> AlgorithmIdentifier {
    match hash {
        HashAlgorithm::Sha256 => alg_id::ECDSA_SHA256,
        HashAlgorithm::Sha384 => alg_id::ECDSA_SHA384,
    }
}

/// Hashes a message to a number of `LEN` bytes: of a longer digest the front, a shorter one behind
/// zeros (FIPS 186-5, section 6.4.2, step 2).
#[inline(never)]
fn digest<const LEN: usize>(hash: HashAlgorithm, message: &[u8]) -> [u8; LEN] {
    let mut number = [0; LEN];
    let start = LEN.saturating_sub(hash.digest_len());
    let place = number.iter_mut().skip(start);
    match hash {
        HashAlgorithm::Sha256 => set(place, &Sha256::digest(message)),
        HashAlgorithm::Sha384 => set(place, &Sha384::digest(message)),
    }
    number
}

/// Sets as many bytes as there are places.
fn set<'a>(places: impl Iterator<Item = &'a mut u8>, bytes: &[u8]) {
    for (place, byte) in places.zip(bytes) {
        *place = *byte;
    }
}

/// Reads a signature in DER.
#[inline(never)]
fn read_p384(signature: &[u8]) -> Option<[p384::Scalar; 2]> {
    let (r, s) = p384::ecdsa::Signature::from_der(signature)
        .ok()?
        .split_scalars();
    Some([*r, *s])
}

/// ECDSA by keys on P-384.
#[derive(Debug)]
struct EcdsaP384(HashAlgorithm);

const P384_SHA384: EcdsaP384 = EcdsaP384(HashAlgorithm::Sha384);
/// In certificates only, as above.
const P384_SHA256: EcdsaP384 = EcdsaP384(HashAlgorithm::Sha256);

impl SignatureVerificationAlgorithm for EcdsaP384 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let signature = read_p384(signature).ok_or(InvalidSignature)?;
        let digest = digest::<48>(self.0, message);
        let is_good = ecdsa::verify::<p384::NistP384>(public_key, &digest, &signature);
        is_good.then_some(()).ok_or(InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ECDSA_P384
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        ecdsa_with(self.0)
    }
}

#[derive(Debug)]
struct Ed25519;

impl SignatureVerificationAlgorithm for Ed25519 {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let key: &[u8; 32] = public_key.try_into().map_err(|_| InvalidSignature)?;
        let signature: &[u8; 64] = signature.try_into().map_err(|_| InvalidSignature)?;
        let is_good = eddsa::verify(key, message, signature);
        is_good.then_some(()).ok_or(InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }
}
