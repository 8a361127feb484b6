//! Cryptography that answers anything, also what its contract forbids.

use pki_types::{AlgorithmIdentifier, InvalidSignature};
use usockets::tls::{
    Alert, Crypto, FindIdentity, Group, HashAlgorithm, Hasher, Identity, MESSAGE_MAX, Machine,
    Private, SHARE_MAX, Scheme, Secret, Shared, SignatureId, SignatureVerificationAlgorithm,
    Signer, Suite, TAG,
};

use crate::hidden::{bytes, fill, hidden, len, long, word, yes};

/// Answers as it likes.
#[derive(Debug)]
pub struct Any;

/// Returns some alert.
pub fn alert() -> Alert {
    Alert::from_code(word() as u8)
}

fn or_alert<T>(value: T) -> Result<T, Alert> {
    if yes() { Ok(value) } else { Err(alert()) }
}

impl Crypto for Any {
    type Hasher = AnyHash;
    type Machine = Self;
    type Room = [u8; MESSAGE_MAX];

    const GROUPS: &'static [Group] = &[Group::X25519, Group::P256, Group::X25519MlKem768];
    const ALGORITHMS: &'static [&'static dyn SignatureVerificationAlgorithm] = &[&Any];

    fn machine(&self) -> &Self {
        self
    }

    fn machine_mut(&mut self) -> &mut Self {
        self
    }

    fn random(&mut self, out: &mut [u8]) -> Result<(), Alert> {
        fill(out);
        or_alert(())
    }

    fn unix_seconds(&self) -> u64 {
        long()
    }

    fn log_secret(&mut self, _: &str, _: &[u8; 32], _: &[u8]) {
        word();
    }

    fn seal(
        &mut self,
        _: Suite,
        _: &[u8; 32],
        _: &[u8; 12],
        _: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; TAG], Alert> {
        let mut tag = [0; TAG];
        fill(data);
        fill(&mut tag);
        or_alert(tag)
    }

    fn open(
        &mut self,
        _: Suite,
        _: &[u8; 32],
        _: &[u8; 12],
        _: &[u8],
        data: &mut [u8],
        _: &[u8; TAG],
    ) -> Result<(), Alert> {
        fill(data);
        or_alert(())
    }

    fn offer(
        &mut self,
        _: Group,
        private: &mut Private,
        share: &mut [u8; SHARE_MAX],
    ) -> Result<usize, Alert> {
        fill(&mut private.0);
        fill(share);
        or_alert(len())
    }

    fn answer(
        &mut self,
        _: Group,
        _: &[u8],
        share: &mut [u8; SHARE_MAX],
        shared: &mut Shared,
    ) -> Result<usize, Alert> {
        fill(share);
        shared.set(bytes());
        or_alert(len())
    }

    fn agree(&mut self, _: Group, _: &Private, _: &[u8], shared: &mut Shared) -> Result<(), Alert> {
        shared.set(bytes());
        or_alert(())
    }
}

/// A hash of anything.
#[derive(Clone)]
pub struct AnyHash(u32);

impl Hasher for AnyHash {
    const EMPTY: Self = Self(0);

    fn new(_: HashAlgorithm) -> Self {
        Self(word())
    }

    fn update(&mut self, _: &[u8]) {
        self.0 = word();
    }

    fn digest(&self) -> Secret {
        let mut digest = Secret::ZERO;
        fill(digest.get_mut(HashAlgorithm::Sha384));
        digest
    }
}

impl SignatureVerificationAlgorithm for Any {
    fn verify_signature(&self, _: &[u8], _: &[u8], _: &[u8]) -> Result<(), InvalidSignature> {
        if yes() { Ok(()) } else { Err(InvalidSignature) }
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        hidden(AlgorithmIdentifier::from_slice(&[]))
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        hidden(AlgorithmIdentifier::from_slice(&[]))
    }
}

impl Signer for Any {
    fn scheme(&self) -> Scheme {
        Scheme::from_code(word() as u16)
    }

    fn sign(&self, _: &[u8], signature: &mut [u8]) -> Option<usize> {
        #[cfg(feature = "injected-panic")]
        let _ = word() / word();
        fill(signature);
        yes().then_some(len())
    }

    fn begin(&self, id: SignatureId, _: &[u8]) -> bool {
        id.to_bits() != long()
    }
}

impl FindIdentity for Any {
    fn find(&self, _: &str) -> Option<Identity<'_>> {
        yes().then_some(hidden(Identity::new(&[], self)))
    }
}

impl Machine for Any {
    fn random(&mut self, out: &mut [u8]) -> bool {
        fill(out);
        yes()
    }

    fn unix_seconds(&self) -> u64 {
        long()
    }
}
