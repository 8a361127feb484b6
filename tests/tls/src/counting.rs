//! Cryptography that counts the signatures it verifies.

use std::cell::Cell;

use rustls::pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm};
use usockets::tls::{
    Alert, Crypto as Provider, Group, MESSAGE_MAX, Private, SHARE_MAX, Sha2, Shared, Suite, TAG,
};

use crate::{Crypto, Machine};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

/// Returns how many signatures this thread has verified, good ones and bad ones.
pub fn verifications() -> usize {
    COUNT.get()
}

/// As the cryptography that comes along, but counts signatures, in [`verifications`].
pub struct Counting(Crypto);

impl Counting {
    pub fn new(seed: u64) -> Self {
        Self(Crypto::new(Machine::new(seed)))
    }
}

/// An algorithm by its index among those of the cryptography that comes along.
#[derive(Debug)]
struct Counted<const INDEX: usize>;

impl<const INDEX: usize> Counted<INDEX> {
    fn inner() -> &'static dyn SignatureVerificationAlgorithm {
        <Crypto as Provider>::ALGORITHMS[INDEX]
    }
}

impl<const INDEX: usize> SignatureVerificationAlgorithm for Counted<INDEX> {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        COUNT.set(COUNT.get() + 1);
        Self::inner().verify_signature(public_key, message, signature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        Self::inner().public_key_alg_id()
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        Self::inner().signature_alg_id()
    }
}

impl Provider for Counting {
    type Hasher = Sha2;
    type Machine = Machine;
    type Room = [u8; MESSAGE_MAX];

    const GROUPS: &'static [Group] = <Crypto as Provider>::GROUPS;
    const ALGORITHMS: &'static [&'static dyn SignatureVerificationAlgorithm] = &[
        &Counted::<0>,
        &Counted::<1>,
        &Counted::<2>,
        &Counted::<3>,
        &Counted::<4>,
    ];

    fn machine(&self) -> &Machine {
        self.0.machine()
    }

    fn machine_mut(&mut self) -> &mut Machine {
        self.0.machine_mut()
    }

    fn seal(
        &mut self,
        suite: Suite,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; TAG], Alert> {
        self.0.seal(suite, key, nonce, associated, data)
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
        self.0.open(suite, key, nonce, associated, data, tag)
    }

    fn offer(
        &mut self,
        group: Group,
        private: &mut Private,
        share: &mut [u8; SHARE_MAX],
    ) -> Result<usize, Alert> {
        self.0.offer(group, private, share)
    }

    fn answer(
        &mut self,
        group: Group,
        theirs: &[u8],
        share: &mut [u8; SHARE_MAX],
        shared: &mut Shared,
    ) -> Result<usize, Alert> {
        self.0.answer(group, theirs, share, shared)
    }

    fn agree(
        &mut self,
        group: Group,
        private: &Private,
        theirs: &[u8],
        shared: &mut Shared,
    ) -> Result<(), Alert> {
        self.0.agree(group, private, theirs, shared)
    }
}
