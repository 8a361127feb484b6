//! Cryptography for a server that asks nobody for a certificate: what verifies them stays out of the
//! image.

use pki_types::SignatureVerificationAlgorithm;
use usockets::tls::{
    Alert, Crypto, Group, Machine, Private, RustCrypto, SHARE_MAX, Sha2, Shared, Suite, TAG,
};

use crate::host;

/// [`RustCrypto`], a server's part of it.
#[derive(Clone, Copy, Debug)]
pub struct ServerCrypto(RustCrypto<Host>);

impl ServerCrypto {
    /// Makes it.
    #[must_use]
    pub const fn new() -> Self {
        Self(RustCrypto::new(Host))
    }
}

impl Default for ServerCrypto {
    fn default() -> Self {
        Self::new()
    }
}

/// The board, to TLS: random bytes and the time come from the host.
#[derive(Clone, Copy, Debug)]
struct Host;

impl Machine for Host {
    fn random(&mut self, bytes: &mut [u8]) -> bool {
        host::random(bytes)
    }

    fn unix_seconds(&self) -> u64 {
        host::unix_seconds()
    }
}

impl Crypto for ServerCrypto {
    type Hasher = Sha2;

    const GROUPS: &'static [Group] = &[Group::X25519, Group::P256];

    const ALGORITHMS: &'static [&'static dyn SignatureVerificationAlgorithm] = &[];

    fn random(&mut self, out: &mut [u8]) -> Result<(), Alert> {
        self.0.random(out)
    }

    fn unix_seconds(&self) -> u64 {
        self.0.unix_seconds()
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
