//! TLS's cryptography by aws-lc-rs. Feature `aws-lc-rs`.
//!
//! | file | what it has |
//! |---|---|
//! | `mod.rs` | [`AwsLc`]: records, agreement on P-256 and P-384, what verifies; keys that sign |
//! | `ecdsa.rs` | the signatures of keys of P-256 and P-384, by aws-lc's own functions |
//! | `x25519.rs` | X25519, likewise |

mod ecdsa;
mod x25519;

use aws_lc_rs::aead::{self, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, PrivateKey, UnparsedPublicKey};
use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, RsaKeyPair};
use pki_types::SignatureVerificationAlgorithm;
use usockets::tls::{
    Alert, Crypto, Group, HashAlgorithm, Hasher, KeyError, MESSAGE_MAX, Machine, Private,
    SHARE_MAX, Scheme, Sha2, Shared, Signer, Suite, TAG,
};
use webpki::aws_lc_rs as algorithms;
use zeroize::Zeroize;

use ecdsa::EcKey;

/// Tries to find a private key of a NIST curve among random numbers; on P-256 each fails with a
/// chance of 2^-32.
const DRAWS_MAX: usize = 16;

/// [`Crypto`] by aws-lc-rs: several times as fast as
/// [`RustCrypto`](usockets::tls::RustCrypto), and verifies RSA signatures too.
///
/// It is C and assembly, links std, and asks the heap for every record, every signature, and every
/// key exchange but X25519's. Hashes are those of `RustCrypto`.
#[derive(Clone, Copy, Debug)]
pub struct AwsLc<M> {
    machine: M,
}

impl<M: Machine> AwsLc<M> {
    /// Returns the cryptography with the random bytes and the clock of `machine`.
    #[must_use]
    pub const fn new(machine: M) -> Self {
        Self { machine }
    }

    /// Makes a private key and keeps its bytes in `private`.
    fn draw(&mut self, group: Group, private: &mut Private) -> Result<PrivateKey, Alert> {
        for _ in 0..DRAWS_MAX {
            self.random(&mut private.0)?;
            if let Ok(key) = restore(group, private) {
                return Ok(key);
            }
        }
        Err(Alert::INTERNAL_ERROR)
    }
}

impl<M: Machine> Crypto for AwsLc<M> {
    type Hasher = Sha2;
    type Machine = M;
    type Room = [u8; MESSAGE_MAX];

    const GROUPS: &'static [Group] = &[Group::X25519, Group::P256, Group::P384];

    const ALGORITHMS: &'static [&'static dyn SignatureVerificationAlgorithm] = &[
        algorithms::ECDSA_P256_SHA256,
        algorithms::ECDSA_P384_SHA384,
        algorithms::ED25519,
        algorithms::ECDSA_P256_SHA384,
        algorithms::ECDSA_P384_SHA256,
        algorithms::RSA_PSS_2048_8192_SHA256_LEGACY_KEY,
        algorithms::RSA_PSS_2048_8192_SHA384_LEGACY_KEY,
        algorithms::RSA_PSS_2048_8192_SHA512_LEGACY_KEY,
        algorithms::RSA_PKCS1_2048_8192_SHA256,
        algorithms::RSA_PKCS1_2048_8192_SHA384,
        algorithms::RSA_PKCS1_2048_8192_SHA512,
    ];

    fn machine(&self) -> &M {
        &self.machine
    }

    fn machine_mut(&mut self) -> &mut M {
        &mut self.machine
    }

    fn seal(
        &mut self,
        suite: Suite,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; TAG], Alert> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        cipher(suite, key)?
            .seal_in_place_separate_tag(nonce, Aad::from(associated), data)
            .ok()
            .and_then(|tag| tag.as_ref().try_into().ok())
            .ok_or(Alert::INTERNAL_ERROR)
    }

    fn seal_into(
        &mut self,
        suite: Suite,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        [data, last]: [&[u8]; 2],
        out: &mut [u8],
    ) -> Result<(), Alert> {
        let (front, end) = out
            .split_at_mut_checked(data.len())
            .ok_or(Alert::INTERNAL_ERROR)?;
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let associated = Aad::from(associated);
        cipher(suite, key)?
            .seal_out_of_place_scatter(nonce, associated, data, front, last, end)
            .map_err(|_| Alert::INTERNAL_ERROR)
    }

    fn open(
        &mut self,
        suite: Suite,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), Alert> {
        let nonce = Nonce::assume_unique_for_key(*nonce);
        cipher(suite, key)?
            .open_in_place_separate_tag(nonce, Aad::from(associated), tag, data)
            .map(drop)
            .map_err(|_| Alert::BAD_RECORD_MAC)
    }

    fn offer(
        &mut self,
        group: Group,
        private: &mut Private,
        share: &mut [u8; SHARE_MAX],
    ) -> Result<usize, Alert> {
        if group == Group::X25519 {
            self.random(&mut private.0)?;
            return put(share, &x25519::public(front(private)?));
        }
        let key = self.draw(group, private)?;
        put_public(&key, share)
    }

    fn answer(
        &mut self,
        group: Group,
        theirs: &[u8],
        share: &mut [u8; SHARE_MAX],
        shared: &mut Shared,
    ) -> Result<usize, Alert> {
        let mut private = Private::ZERO;
        if group == Group::X25519 {
            let len = self.offer(group, &mut private, share)?;
            agree_x25519(&private, theirs, shared)?;
            return Ok(len);
        }
        let key = self.draw(group, &mut private)?;
        agree_nist(&key, group, theirs, shared)?;
        put_public(&key, share)
    }

    fn agree(
        &mut self,
        group: Group,
        private: &Private,
        theirs: &[u8],
        shared: &mut Shared,
    ) -> Result<(), Alert> {
        match group {
            Group::X25519 => agree_x25519(private, theirs, shared),
            _ => agree_nist(&restore(group, private)?, group, theirs, shared),
        }
    }
}

fn cipher(suite: Suite, key: &[u8; 32]) -> Result<LessSafeKey, Alert> {
    let algorithm = match suite {
        Suite::Aes128GcmSha256 => &aead::AES_128_GCM,
        Suite::Aes256GcmSha384 => &aead::AES_256_GCM,
        Suite::ChaCha20Poly1305Sha256 => &aead::CHACHA20_POLY1305,
    };
    let key = key.get(..suite.key_len()).unwrap_or_default();
    UnboundKey::new(algorithm, key)
        .map(LessSafeKey::new)
        .map_err(|_| Alert::INTERNAL_ERROR)
}

fn algorithm(group: Group) -> Result<&'static agreement::Algorithm, Alert> {
    match group {
        Group::P256 => Ok(&agreement::ECDH_P256),
        Group::P384 => Ok(&agreement::ECDH_P384),
        _ => Err(Alert::INTERNAL_ERROR),
    }
}

/// Returns the private key whose bytes were kept.
fn restore(group: Group, private: &Private) -> Result<PrivateKey, Alert> {
    let len = if group == Group::P384 { 48 } else { 32 };
    let bytes = private.0.get(..len).unwrap_or_default();
    PrivateKey::from_private_key(algorithm(group)?, bytes).map_err(|_| Alert::INTERNAL_ERROR)
}

fn put_public(key: &PrivateKey, share: &mut [u8; SHARE_MAX]) -> Result<usize, Alert> {
    let public = key
        .compute_public_key()
        .map_err(|_| Alert::INTERNAL_ERROR)?;
    put(share, public.as_ref())
}

fn put(share: &mut [u8; SHARE_MAX], public: &[u8]) -> Result<usize, Alert> {
    let target = share.get_mut(..public.len()).ok_or(Alert::INTERNAL_ERROR)?;
    target.copy_from_slice(public);
    Ok(public.len())
}

/// Returns the front of a private key, which is all of it for X25519.
fn front(private: &Private) -> Result<&[u8; x25519::LEN], Alert> {
    private.0.first_chunk().ok_or(Alert::INTERNAL_ERROR)
}

fn agree_x25519(private: &Private, theirs: &[u8], shared: &mut Shared) -> Result<(), Alert> {
    // RFC 8446, section 4.2.8.2: of this length.
    let theirs = theirs.try_into().map_err(|_| Alert::ILLEGAL_PARAMETER)?;
    let mut secret = [0; x25519::LEN];
    // RFC 8446, section 7.4.2: an all-zero secret must be refused.
    if !x25519::agree(front(private)?, theirs, &mut secret) {
        return Err(Alert::ILLEGAL_PARAMETER);
    }
    shared.set(&secret);
    // As a slice, which is wiped as a whole.
    secret.as_mut_slice().zeroize();
    Ok(())
}

fn agree_nist(
    key: &PrivateKey,
    group: Group,
    theirs: &[u8],
    shared: &mut Shared,
) -> Result<(), Alert> {
    // RFC 8446, section 4.2.8.2: only uncompressed points.
    let point_len = if group == Group::P384 { 97 } else { 65 };
    if theirs.len() != point_len || theirs.first() != Some(&4) {
        return Err(Alert::ILLEGAL_PARAMETER);
    }
    let theirs = UnparsedPublicKey::new(algorithm(group)?, theirs);
    agreement::agree(key, theirs, Alert::ILLEGAL_PARAMETER, |secret| {
        shared.set(secret);
        Ok(())
    })
}

/// A private key that signs by aws-lc-rs: P-256 with SHA-256, P-384 with SHA-384, or RSA-PSS with
/// SHA-256, SHA-384 or SHA-512, as the peer knows them.
///
/// Unlike the keys of the core it takes random bytes for each signature, from aws-lc's own source.
#[derive(Debug)]
pub struct AwsLcKey(Key);

#[derive(Debug)]
enum Key {
    P256(EcKey),
    P384(EcKey),
    Rsa(RsaKeyPair),
}

impl AwsLcKey {
    /// Returns the key in a DER document: PKCS #8 (RFC 5958), SEC 1 (RFC 5915) that names the
    /// curve, or PKCS #1 (RFC 8017).
    ///
    /// # Errors
    /// `OtherKind`: it holds no P-256 or P-384 key and no RSA key of 2,048 to 8,192 bits, as far as
    /// aws-lc can read it, or another key's public one.
    pub fn from_der(document: &[u8]) -> Result<Self, KeyError> {
        let ecdsa = |algorithm| {
            if let Ok(pair) = EcdsaKeyPair::from_pkcs8(algorithm, document) {
                return EcKey::new(pair.private_key().as_der().ok()?.as_ref());
            }
            // SEC 1: here a document that names no curve is one of any, but not there.
            EcdsaKeyPair::from_private_key_der(algorithm, document).ok()?;
            EcKey::new(document)
        };
        if let Some(key) = ecdsa(&signature::ECDSA_P256_SHA256_ASN1_SIGNING) {
            return Ok(Self(Key::P256(key)));
        }
        if let Some(key) = ecdsa(&signature::ECDSA_P384_SHA384_ASN1_SIGNING) {
            return Ok(Self(Key::P384(key)));
        }
        let key = RsaKeyPair::from_pkcs8(document).or_else(|_| RsaKeyPair::from_der(document));
        match key {
            Ok(key) => Ok(Self(Key::Rsa(key))),
            Err(_) => Err(KeyError::OtherKind),
        }
    }
}

/// Returns the encoding of an RSA key's signatures by a scheme; `None` if it has no such scheme.
fn padding(scheme: Scheme) -> Option<&'static dyn signature::RsaEncoding> {
    match scheme {
        Scheme::RSA_PSS_RSAE_SHA256 => Some(&signature::RSA_PSS_SHA256),
        Scheme::RSA_PSS_RSAE_SHA384 => Some(&signature::RSA_PSS_SHA384),
        Scheme::RSA_PSS_RSAE_SHA512 => Some(&signature::RSA_PSS_SHA512),
        _ => None,
    }
}

fn sign_ecdsa(
    key: &EcKey,
    algorithm: HashAlgorithm,
    message: &[u8],
    signature: &mut [u8],
) -> Option<usize> {
    let mut hasher = Sha2::new(algorithm);
    hasher.update(message);
    key.sign(hasher.finish().get(algorithm), signature)
}

impl Signer for AwsLcKey {
    fn scheme(&self) -> Scheme {
        match &self.0 {
            Key::P256(_) => Scheme::ECDSA_P256_SHA256,
            Key::P384(_) => Scheme::ECDSA_P384_SHA384,
            Key::Rsa(_) => Scheme::RSA_PSS_RSAE_SHA256,
        }
    }

    fn sign(&self, message: &[u8], signature: &mut [u8]) -> Option<usize> {
        self.sign_by(self.scheme(), message, signature)
    }

    fn signs_by(&self, scheme: Scheme) -> bool {
        match &self.0 {
            Key::P256(_) | Key::P384(_) => scheme == self.scheme(),
            Key::Rsa(_) => padding(scheme).is_some(),
        }
    }

    fn sign_by(&self, scheme: Scheme, message: &[u8], signature: &mut [u8]) -> Option<usize> {
        match (&self.0, scheme) {
            (Key::P256(key), Scheme::ECDSA_P256_SHA256) => {
                sign_ecdsa(key, HashAlgorithm::Sha256, message, signature)
            }
            (Key::P384(key), Scheme::ECDSA_P384_SHA384) => {
                sign_ecdsa(key, HashAlgorithm::Sha384, message, signature)
            }
            (Key::P256(_) | Key::P384(_), _) => None,
            (Key::Rsa(key), _) => {
                let random = SystemRandom::new();
                let made = signature.get_mut(..key.public_modulus_len())?;
                key.sign(padding(scheme)?, &random, message, made).ok()?;
                Some(made.len())
            }
        }
    }
}
