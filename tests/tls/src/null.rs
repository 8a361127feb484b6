//! Cryptography without secrets: records go as they are, with a sum for a tag.

use rustls::pki_types::{
    AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id,
};
use usockets::tls::{
    Alert, Crypto as Provider, Group, MESSAGE_MAX, Private, SHARE_MAX, Scheme, Sha2, Shared,
    Signer, Suite, TAG,
};

use crate::NOW;

/// Cryptography whose records anybody can read, for searches through many states: the tag of a
/// record is a sum over key, nonce and text, so that what is altered, moved or sealed with another
/// key is refused all the same. Keys come from the usual schedule, and all key exchanges make the
/// same one. With `P256` it knows that group only, so that a server has to ask a client of the
/// other kind again.
#[derive(Clone, Debug, Default, Hash)]
pub struct Null<const P256: bool = false> {
    machine: Still,
    believes: bool,
}

impl Null {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Null<true> {
    /// Makes that of a server which asks for another hello.
    #[must_use]
    pub fn asking_again() -> Self {
        Self::default()
    }
}

impl<const P256: bool> Null<P256> {
    /// Makes it a bug: tags are not compared.
    #[must_use]
    pub fn believing(mut self) -> Self {
        self.believes = true;
        self
    }
}

/// A machine in which nothing ever changes.
#[derive(Clone, Debug, Default, Hash)]
pub struct Still;

impl usockets::tls::Machine for Still {
    fn random(&mut self, out: &mut [u8]) -> bool {
        out.fill(7);
        true
    }

    fn unix_seconds(&self) -> u64 {
        NOW
    }
}

/// Returns the sum over all that a tag protects (FNV-1a).
fn sum(parts: &[&[u8]]) -> [u8; TAG] {
    let mut sum = 0xcbf2_9ce4_8422_2325_u64;
    for part in parts {
        for byte in *part {
            sum = (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    let mut tag = [0; TAG];
    tag[..8].copy_from_slice(&sum.to_le_bytes());
    tag
}

/// A key whose signatures are sums of what they sign, by the name of Ed25519, whose certificates
/// are all of one length.
#[derive(Debug)]
pub struct NullKey;

impl Signer for NullKey {
    fn scheme(&self) -> Scheme {
        Scheme::ED25519
    }

    fn sign(&self, message: &[u8], signature: &mut [u8]) -> Option<usize> {
        signature.get_mut(..TAG)?.copy_from_slice(&sum(&[message]));
        Some(TAG)
    }
}

/// Verifies sums. Signatures of certificates, which are longer, are taken for good.
#[derive(Debug)]
struct Sums;

impl SignatureVerificationAlgorithm for Sums {
    fn verify_signature(
        &self,
        _: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        if signature.len() > TAG || signature == sum(&[message]) {
            Ok(())
        } else {
            Err(InvalidSignature)
        }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::ED25519
    }
}

/// What every key exchange makes.
const SHARED: [u8; 32] = [9; 32];

/// Makes a share.
fn share(share: &mut [u8; SHARE_MAX]) -> usize {
    share[..SHARED.len()].fill(5);
    SHARED.len()
}

impl<const P256: bool> Provider for Null<P256> {
    type Hasher = Sha2;
    type Machine = Still;
    type Room = [u8; MESSAGE_MAX];

    const GROUPS: &'static [Group] = match P256 {
        true => &[Group::P256],
        false => &[Group::X25519, Group::P256],
    };
    const ALGORITHMS: &'static [&'static dyn SignatureVerificationAlgorithm] = &[&Sums];

    fn machine(&self) -> &Still {
        &self.machine
    }

    fn machine_mut(&mut self) -> &mut Still {
        &mut self.machine
    }

    fn seal(
        &mut self,
        _: Suite,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; TAG], Alert> {
        Ok(sum(&[key, nonce, associated, data]))
    }

    fn open(
        &mut self,
        _: Suite,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), Alert> {
        if self.believes || sum(&[key, nonce, associated, data]) == *tag {
            Ok(())
        } else {
            Err(Alert::BAD_RECORD_MAC)
        }
    }

    fn offer(
        &mut self,
        _: Group,
        _: &mut Private,
        ours: &mut [u8; SHARE_MAX],
    ) -> Result<usize, Alert> {
        Ok(share(ours))
    }

    fn answer(
        &mut self,
        _: Group,
        _: &[u8],
        ours: &mut [u8; SHARE_MAX],
        shared: &mut Shared,
    ) -> Result<usize, Alert> {
        shared.set(&SHARED);
        Ok(share(ours))
    }

    fn agree(&mut self, _: Group, _: &Private, _: &[u8], shared: &mut Shared) -> Result<(), Alert> {
        shared.set(&SHARED);
        Ok(())
    }
}
