//! The default cryptography: RustCrypto and dalek crates, without heap.

use aes_gcm::aead::{AeadInOut, KeyInit, KeySizeUser, consts::U12, consts::U16};
use aes_gcm::{Aes128Gcm, Aes256Gcm};
use chacha20poly1305::ChaCha20Poly1305;
use pki_types::SignatureVerificationAlgorithm;
use sha2::digest::Output;
use sha2::{Digest, Sha256, Sha384};

use crate::invariant::impossible;
use crate::tls::alert::Alert;
use crate::tls::crypto::hmac;
#[cfg(feature = "tls-mlkem")]
use crate::tls::crypto::mlkem;
use crate::tls::crypto::nist;
use crate::tls::crypto::provider::{
    Crypto, Group, HashAlgorithm, Hasher, MESSAGE_MAX, Machine, Private, SHARE_MAX, Secret, Shared,
    Suite, TAG, hmac_by_hashers,
};
use crate::tls::crypto::signature;
use crate::tls::crypto::x25519;
use crate::tls::wire::{copy, part};

/// Tries to find a private key of a NIST curve among random numbers; on P-256 each fails with a
/// chance of 2^-32.
const DRAWS_MAX: usize = 16;

/// [`Crypto`] by the RustCrypto and dalek crates.
///
/// It verifies signatures unless `VERIFIES` is false, as in [`Self::for_server`].
#[derive(Clone, Copy, Debug)]
#[cfg_attr(feature = "search", derive(Hash))]
pub struct RustCrypto<M, const VERIFIES: bool = true> {
    machine: M,
}

impl<M: Machine> RustCrypto<M> {
    /// Returns the cryptography with the random bytes and the clock of `machine`.
    #[must_use]
    pub const fn new(machine: M) -> Self {
        Self { machine }
    }
}

impl<M: Machine> RustCrypto<M, false> {
    /// Returns the cryptography of a server that asks nobody for a certificate. It knows no
    /// algorithm that verifies a signature, so that none of them is in the program, nor is anything
    /// of a client: with it every attempt to connect fails, and a server refuses every client's
    /// certificate.
    #[must_use]
    pub const fn for_server(machine: M) -> Self {
        Self { machine }
    }
}

impl<M: Machine, const VERIFIES: bool> RustCrypto<M, VERIFIES> {
    // Each group on its own, so that none has another's variables on the stack.
    #[inline(never)]
    fn offer_x25519(
        &mut self,
        private: &mut Private,
        share: &mut [u8; SHARE_MAX],
    ) -> Result<usize, Alert> {
        self.random(&mut private.0)?;
        put(share, &x25519::public(front(private)?))
    }

    /// Draws until `offer` takes the number and makes a share of it.
    fn offer_nist(
        &mut self,
        private: &mut Private,
        share: &mut [u8; SHARE_MAX],
        offer: fn(&Private, &mut [u8; SHARE_MAX]) -> Option<usize>,
    ) -> Result<usize, Alert> {
        for _ in 0..DRAWS_MAX {
            self.random(&mut private.0)?;
            if let Some(len) = offer(private, share) {
                return Ok(len);
            }
        }
        Err(Alert::INTERNAL_ERROR)
    }
}

impl<M: Machine, const VERIFIES: bool> Crypto for RustCrypto<M, VERIFIES> {
    type Hasher = Sha2;
    type Machine = M;
    type Room = [u8; MESSAGE_MAX];

    const GROUPS: &'static [Group] = &[
        #[cfg(feature = "tls-mlkem")]
        Group::X25519MlKem768,
        Group::X25519,
        Group::P256,
        #[cfg(feature = "tls-p384")]
        Group::P384,
    ];

    const ALGORITHMS: &'static [&'static dyn SignatureVerificationAlgorithm] = match VERIFIES {
        true => signature::ALGORITHMS,
        false => &[],
    };

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
        match suite {
            Suite::Aes128GcmSha256 => seal::<Aes128Gcm>(key, nonce, associated, data),
            Suite::Aes256GcmSha384 => seal::<Aes256Gcm>(key, nonce, associated, data),
            Suite::ChaCha20Poly1305Sha256 => seal::<ChaCha20Poly1305>(key, nonce, associated, data),
        }
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
        match suite {
            Suite::Aes128GcmSha256 => open::<Aes128Gcm>(key, nonce, associated, data, tag),
            Suite::Aes256GcmSha384 => open::<Aes256Gcm>(key, nonce, associated, data, tag),
            Suite::ChaCha20Poly1305Sha256 => {
                open::<ChaCha20Poly1305>(key, nonce, associated, data, tag)
            }
        }
    }

    fn offer(
        &mut self,
        group: Group,
        private: &mut Private,
        share: &mut [u8; SHARE_MAX],
    ) -> Result<usize, Alert> {
        match group {
            Group::X25519 => self.offer_x25519(private, share),
            #[cfg(feature = "tls-mlkem")]
            Group::X25519MlKem768 => {
                self.random(&mut private.0)?;
                mlkem::offer(private, share)
            }
            #[cfg(not(feature = "tls-mlkem"))]
            Group::X25519MlKem768 => Err(Alert::INTERNAL_ERROR),
            Group::P256 => self.offer_nist(private, share, nist::offer::<p256::NistP256>),
            #[cfg(feature = "tls-p384")]
            Group::P384 => self.offer_nist(private, share, nist::offer::<p384::NistP384>),
            #[cfg(not(feature = "tls-p384"))]
            Group::P384 => Err(Alert::INTERNAL_ERROR),
        }
    }

    fn answer(
        &mut self,
        group: Group,
        theirs: &[u8],
        share: &mut [u8; SHARE_MAX],
        shared: &mut Shared,
    ) -> Result<usize, Alert> {
        let mut private = Private::ZERO;
        #[cfg(feature = "tls-mlkem")]
        if group == Group::X25519MlKem768 {
            self.random(&mut private.0)?;
            return mlkem::answer(&private, theirs, share, shared);
        }
        let len = self.offer(group, &mut private, share)?;
        self.agree(group, &private, theirs, shared)?;
        Ok(len)
    }

    fn agree(
        &mut self,
        group: Group,
        private: &Private,
        theirs: &[u8],
        shared: &mut Shared,
    ) -> Result<(), Alert> {
        match group {
            Group::X25519 => x25519::agree(private, theirs, shared),
            Group::P256 => nist::agree::<p256::NistP256>(private, theirs, shared),
            #[cfg(feature = "tls-p384")]
            Group::P384 => nist::agree::<p384::NistP384>(private, theirs, shared),
            #[cfg(not(feature = "tls-p384"))]
            Group::P384 => Err(Alert::INTERNAL_ERROR),
            #[cfg(feature = "tls-mlkem")]
            Group::X25519MlKem768 => mlkem::agree(private, theirs, shared),
            #[cfg(not(feature = "tls-mlkem"))]
            Group::X25519MlKem768 => Err(Alert::INTERNAL_ERROR),
        }
    }
}

/// Returns the front of a private key, which is all of it for X25519.
fn front(private: &Private) -> Result<&[u8; 32], Alert> {
    private.0.first_chunk().ok_or(Alert::INTERNAL_ERROR)
}

fn put(share: &mut [u8; SHARE_MAX], bytes: &[u8]) -> Result<usize, Alert> {
    if copy(share, bytes) {
        Ok(bytes.len())
    } else {
        Err(Alert::INTERNAL_ERROR)
    }
}

fn cipher<A: KeyInit>(key: &[u8; 32]) -> Result<A, Alert> {
    let key = part(key, ..<A as KeySizeUser>::key_size());
    A::new_from_slice(key).map_err(|_| Alert::INTERNAL_ERROR)
}

fn seal<A>(
    key: &[u8; 32],
    nonce: &[u8; 12],
    associated: &[u8],
    data: &mut [u8],
) -> Result<[u8; TAG], Alert>
where
    A: KeyInit + AeadInOut<NonceSize = U12, TagSize = U16>,
{
    cipher::<A>(key)?
        .encrypt_inout_detached(&(*nonce).into(), associated, data.into())
        .map(Into::into)
        .map_err(|_| Alert::INTERNAL_ERROR)
}

fn open<A>(
    key: &[u8; 32],
    nonce: &[u8; 12],
    associated: &[u8],
    data: &mut [u8],
    tag: &[u8; TAG],
) -> Result<(), Alert>
where
    A: KeyInit + AeadInOut<NonceSize = U12, TagSize = U16>,
{
    cipher::<A>(key)?
        .decrypt_inout_detached(&(*nonce).into(), associated, data.into(), &(*tag).into())
        .map_err(|_| Alert::BAD_RECORD_MAC)
}

/// SHA-256 or SHA-384, whichever the suite wants. All zero bytes when it is neither yet.
#[derive(Clone, Debug)]
pub struct Sha2(State);

#[derive(Clone, Debug)]
#[repr(u8)]
enum State {
    Empty = 0,
    Sha256(Sha256),
    Sha384(Sha384),
}

impl Hasher for Sha2 {
    const EMPTY: Self = Self(State::Empty);

    fn new(algorithm: HashAlgorithm) -> Self {
        Self(match algorithm {
            HashAlgorithm::Sha256 => State::Sha256(Sha256::new()),
            HashAlgorithm::Sha384 => State::Sha384(Sha384::new()),
        })
    }

    fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Empty => {}
            State::Sha256(hash) => hash.update(bytes),
            State::Sha384(hash) => hash.update(bytes),
        }
    }

    fn digest(&self) -> Secret {
        self.clone().finish()
    }

    fn finish(self) -> Secret {
        let mut digest = Secret::ZERO;
        match self.0 {
            State::Empty => {}
            State::Sha256(hash) => put_digest(hash, digest.get_mut(HashAlgorithm::Sha256)),
            State::Sha384(hash) => put_digest(hash, digest.get_mut(HashAlgorithm::Sha384)),
        }
        digest
    }

    fn hmac(algorithm: HashAlgorithm, key: &[u8], parts: &[&[u8]]) -> Secret {
        let mut code = Secret::ZERO;
        let is_done = algorithm == HashAlgorithm::Sha256
            && hmac::of_short_message(key, parts, code.get_mut(algorithm));
        match is_done {
            true => code,
            false => hmac_by_hashers::<Self>(algorithm, key, parts),
        }
    }
}

/// Ends a hash where its digest is to be, which has its length.
fn put_digest<D: Digest>(hash: D, place: &mut [u8]) {
    match <&mut Output<D>>::try_from(place) {
        Ok(place) => hash.finalize_into(place),
        Err(_) => impossible!("a digest does not fit its place"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::crypto::hmac::{BLOCK, LAST_MAX};

    #[test]
    fn short_messages_are_hashed_as_by_hashers() {
        let mut bytes = [0_u8; 2 * BLOCK];
        for (byte, n) in bytes.iter_mut().zip(0_u8..) {
            *byte = n.wrapping_mul(7);
        }
        for key_len in 0..=BLOCK {
            for len in 0..=LAST_MAX + 2 {
                let (key, message) = (&bytes[..key_len], &bytes[..len]);
                let (front, back) = message.split_at(len / 3);
                let parts: [&[u8]; 3] = [front, &[], back];
                let mut made = [0; 32];
                let is_made = hmac::of_short_message(key, &parts, &mut made);
                assert_eq!(is_made, len <= LAST_MAX, "{len} bytes");
                let algorithm = HashAlgorithm::Sha256;
                let wanted = hmac_by_hashers::<Sha2>(algorithm, key, &parts);
                if is_made {
                    assert_eq!(made, wanted.get(algorithm), "{key_len}, {len} bytes");
                }
            }
        }
    }
}
