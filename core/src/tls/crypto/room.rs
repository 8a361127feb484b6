//! Room for handshake messages that are longer or shorter than usual.

use pki_types::SignatureVerificationAlgorithm;

use crate::tls::alert::Alert;
use crate::tls::crypto::provider::{Crypto, Group, Private, SHARE_MAX, Shared, Suite, TAG};

/// Any cryptography, with room for handshake messages of `N` bytes in each
/// [`Handshake`](crate::tls::Handshake), at least 2,048, in the place of
/// [`MESSAGE_MAX`](crate::tls::MESSAGE_MAX).
///
/// More is for peers with long certificate chains, or that answer with long OCSP responses; less
/// saves the memory of a device whose peers have neither. What is longer is answered with
/// `decode_error`, and [reported](crate::tls::Connection::lacks_room), also as
/// [`TooLong`](crate::tls::CertificateError::TooLong) if it is the peer's certificates. Our own
/// flight is at most [`MESSAGE_MAX`](crate::tls::MESSAGE_MAX) long whatever `N` is.
///
/// ```
/// use usockets::tls::{Handshake, Machine, RustCrypto, WithRoom};
///
/// type Crypto<M> = WithRoom<RustCrypto<M>, 32_768>;
///
/// fn crypto<M: Machine>(machine: M) -> Crypto<M> {
///     WithRoom::new(RustCrypto::new(machine))
/// }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct WithRoom<C, const N: usize>(C);

impl<C: Crypto, const N: usize> WithRoom<C, N> {
    /// Gives `crypto` the room.
    #[must_use]
    pub const fn new(crypto: C) -> Self {
        const { assert!(N >= 2_048, "a hello and a flight need as much") };
        Self(crypto)
    }
}

impl<C: Crypto, const N: usize> Crypto for WithRoom<C, N> {
    type Hasher = C::Hasher;
    type Machine = C::Machine;
    type Room = [u8; N];

    const GROUPS: &'static [Group] = C::GROUPS;
    const ALGORITHMS: &'static [&'static dyn SignatureVerificationAlgorithm] = C::ALGORITHMS;

    fn machine(&self) -> &Self::Machine {
        self.0.machine()
    }

    fn machine_mut(&mut self) -> &mut Self::Machine {
        self.0.machine_mut()
    }

    fn random(&mut self, out: &mut [u8]) -> Result<(), Alert> {
        self.0.random(out)
    }

    fn unix_seconds(&self) -> u64 {
        self.0.unix_seconds()
    }

    fn log_secret(&mut self, name: &str, client_random: &[u8; 32], secret: &[u8]) {
        self.0.log_secret(name, client_random, secret);
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

    fn seal_into(
        &mut self,
        suite: Suite,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        parts: [&[u8]; 2],
        out: &mut [u8],
    ) -> Result<(), Alert> {
        self.0.seal_into(suite, key, nonce, associated, parts, out)
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
