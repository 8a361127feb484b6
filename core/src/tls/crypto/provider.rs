//! What the engine needs from a cryptographic library and from the machine.

use pki_types::SignatureVerificationAlgorithm;
use zeroize::Zeroize;

use crate::invariant::{impossible, invariant};
use crate::tls::alert::Alert;
use crate::tls::crypto::hmac;
use crate::tls::wire::{Output, copy_whole, part, part_mut};

/// Most bytes of a hash that TLS 1.3's suites use.
pub const HASH_MAX: usize = 48;
/// Bytes of an authentication tag.
pub const TAG: usize = 16;
/// Most bytes of a private key-exchange key.
pub const PRIVATE_MAX: usize = longest(96, 48, 32);
/// Most bytes of a public key-exchange share.
pub const SHARE_MAX: usize = longest(1216, 97, 65);
/// Most bytes of a shared secret.
pub const SHARED_MAX: usize = longest(64, 48, 32);

/// Most bytes of one handshake message of a peer's, as a rule (see [`Crypto::Room`]), and at most
/// of all we send in one flight.
///
/// Certificate chains are the longest. A peer's longer message is answered with `decode_error`.
pub const MESSAGE_MAX: usize = 8_192;

/// Returns the length that the longest group of this build has: ML-KEM, P-384 or a small one.
const fn longest(mlkem: usize, p384: usize, small: usize) -> usize {
    match (cfg!(feature = "tls-mlkem"), cfg!(feature = "tls-p384")) {
        (true, _) => mlkem,
        (false, true) => p384,
        (false, false) => small,
    }
}

/// What the cryptography needs from the machine it runs on.
pub trait Machine {
    /// Fills `out` with bytes that nobody can predict. `false` when the machine cannot; the
    /// handshake that needed them then fails with `internal_error`.
    #[must_use]
    fn random(&mut self, out: &mut [u8]) -> bool;

    /// Returns the wall clock: seconds since 1970-01-01 00:00 UTC, leap seconds not counted.
    ///
    /// Validity of certificates and the age of tickets are checked by it. A machine without a
    /// clock must not return 0 but its build time or another time it knows has passed.
    fn unix_seconds(&self) -> u64;

    /// Receives each secret that protects traffic, for a file that tools which read captured
    /// traffic understand (`SSLKEYLOGFILE`): its name there, the client's random, the secret.
    ///
    /// Does nothing by default, and should do nothing where traffic is to stay secret.
    fn log_secret(&mut self, name: &str, client_random: &[u8; 32], secret: &[u8]) {
        let _ = (name, client_random, secret);
    }
}

/// Cryptographic primitives. [`RustCrypto`](crate::tls::RustCrypto) is the one that comes along.
///
/// Failures are the alerts to send: `illegal_parameter` for a bad key share, `bad_record_mac` for
/// a record that does not authenticate, `internal_error` for a fault of the library.
pub trait Crypto {
    /// A running hash.
    type Hasher: Hasher;

    /// Where random bytes and the time come from.
    type Machine: Machine;

    /// Where a handshake's messages are put together, a part of each
    /// [`Handshake`](crate::tls::Handshake): an array as long as the longest may be,
    /// [`MESSAGE_MAX`] as a rule. [`WithRoom`](crate::tls::WithRoom) changes that of any
    /// cryptography.
    type Room: MessageRoom;

    /// The groups it knows, the preferred first.
    const GROUPS: &'static [Group];

    /// The signature algorithms it can verify, for certificates and handshakes.
    const ALGORITHMS: &'static [&'static dyn SignatureVerificationAlgorithm];

    /// Returns the machine.
    fn machine(&self) -> &Self::Machine;

    /// Returns the machine.
    fn machine_mut(&mut self) -> &mut Self::Machine;

    /// Fills `out` with the machine's bytes that nobody can predict.
    ///
    /// # Errors
    /// `internal_error`: the machine cannot.
    fn random(&mut self, out: &mut [u8]) -> Result<(), Alert> {
        let is_filled = self.machine_mut().random(out);
        is_filled.then_some(()).ok_or(Alert::INTERNAL_ERROR)
    }

    /// Returns the machine's wall clock in seconds since 1970.
    fn unix_seconds(&self) -> u64 {
        self.machine().unix_seconds()
    }

    /// Hands each secret that protects traffic to the machine. See [`Machine::log_secret`].
    fn log_secret(&mut self, name: &str, client_random: &[u8; 32], secret: &[u8]) {
        self.machine_mut().log_secret(name, client_random, secret);
    }

    /// Encrypts `data` in place and returns its tag. The key is the front of `key`.
    ///
    /// # Errors
    /// `internal_error`: the library refuses.
    fn seal(
        &mut self,
        suite: Suite,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        data: &mut [u8],
    ) -> Result<[u8; TAG], Alert>;

    /// Encrypts `parts`, one behind the other, into `out`, and puts the tag behind them: `out` is
    /// as long as all three. By default it copies them there and calls [`Self::seal`]; a library
    /// that reads from one place and writes to another saves the copy.
    ///
    /// # Errors
    /// `internal_error`: the library refuses, or `out` is too short.
    fn seal_into(
        &mut self,
        suite: Suite,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        parts: [&[u8]; 2],
        out: &mut [u8],
    ) -> Result<(), Alert> {
        let mut out = Output::new(out);
        for part in parts {
            out.put(part)?;
        }
        let len = out.len();
        let data = out.written_mut(0, len)?;
        let tag = self.seal(suite, key, nonce, associated, data)?;
        out.put(&tag)
    }

    /// Decrypts `data` in place if `tag` fits; the comparison takes constant time.
    ///
    /// # Errors
    /// `bad_record_mac`: it does not. The content of `data` is then unspecified.
    fn open(
        &mut self,
        suite: Suite,
        key: &[u8; 32],
        nonce: &[u8; 12],
        associated: &[u8],
        data: &mut [u8],
        tag: &[u8; TAG],
    ) -> Result<(), Alert>;

    /// Makes a fresh key pair for a client's key share; returns the share's length.
    ///
    /// # Errors
    /// `internal_error`: the group is not known, or the machine has no random bytes.
    fn offer(
        &mut self,
        group: Group,
        private: &mut Private,
        share: &mut [u8; SHARE_MAX],
    ) -> Result<usize, Alert>;

    /// Answers a client's share: makes the server's, whose length it returns, and the secret.
    ///
    /// # Errors
    /// `illegal_parameter`: `theirs` is not a share of the group, or gives a trivial secret.
    fn answer(
        &mut self,
        group: Group,
        theirs: &[u8],
        share: &mut [u8; SHARE_MAX],
        shared: &mut Shared,
    ) -> Result<usize, Alert>;

    /// Makes the secret of a client's key pair and the server's share.
    ///
    /// # Errors
    /// As [`Self::answer`].
    fn agree(
        &mut self,
        group: Group,
        private: &Private,
        theirs: &[u8],
        shared: &mut Shared,
    ) -> Result<(), Alert>;
}

/// Memory for handshake messages: an array of bytes.
pub trait MessageRoom {
    /// All zero bytes.
    const EMPTY: Self;

    /// How many bytes there are.
    const LEN: usize;

    /// Returns the bytes.
    fn bytes(&self) -> &[u8];

    /// Returns the bytes.
    fn bytes_mut(&mut self) -> &mut [u8];
}

impl<const N: usize> MessageRoom for [u8; N] {
    const EMPTY: Self = [0; N];
    const LEN: usize = N;

    fn bytes(&self) -> &[u8] {
        self
    }

    fn bytes_mut(&mut self) -> &mut [u8] {
        self
    }
}

/// A running hash whose present digest can be read without ending it.
pub trait Hasher: Clone {
    /// A hasher not in use yet, all zero bytes if it is to live in a static.
    const EMPTY: Self;

    /// Starts a hash.
    fn new(algorithm: HashAlgorithm) -> Self;

    /// Adds `bytes`.
    fn update(&mut self, bytes: &[u8]);

    /// Returns the digest of everything added so far.
    fn digest(&self) -> Secret;

    /// Ends the hash; returns the same, where no copy of the hasher has to be made for it. By
    /// default, [`Self::digest`].
    fn finish(self) -> Secret {
        self.digest()
    }

    /// Computes HMAC (RFC 2104) over the concatenation of `parts`; `key` is at most a block long.
    ///
    /// By default with two hashers; a library that gives more than hashers may do it in less.
    fn hmac(algorithm: HashAlgorithm, key: &[u8], parts: &[&[u8]]) -> Secret {
        hmac_by_hashers::<Self>(algorithm, key, parts)
    }
}

/// Computes HMAC over the concatenation of `parts` with two hashers. `key` is at most a block long.
pub(crate) fn hmac_by_hashers<H: Hasher>(
    algorithm: HashAlgorithm,
    key: &[u8],
    parts: &[&[u8]],
) -> Secret {
    invariant!(
        key.len() <= algorithm.block_len(),
        "longer keys are not hashed down"
    );
    let mut room = [0_u8; 128];
    let block = part_mut(&mut room, ..algorithm.block_len());
    copy_whole(block, key);
    hmac::combine(block, hmac::INNER);
    let mut inner = H::new(algorithm);
    inner.update(block);
    for part in parts {
        inner.update(part);
    }
    hmac::combine(block, hmac::INNER ^ hmac::OUTER);
    let mut outer = H::new(algorithm);
    outer.update(block);
    block.zeroize();
    outer.update(inner.finish().get(algorithm));
    outer.finish()
}

/// A hash function of a suite.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[expect(
    clippy::exhaustive_enums,
    reason = "providers outside this crate match it"
)]
#[repr(u8)]
#[cfg_attr(feature = "search", derive(Hash))]
pub enum HashAlgorithm {
    /// SHA-256.
    Sha256 = 0,
    /// SHA-384.
    Sha384,
}

impl HashAlgorithm {
    /// Returns the digest's length in bytes.
    #[must_use]
    pub const fn digest_len(self) -> usize {
        match self {
            Self::Sha256 => 32,
            Self::Sha384 => 48,
        }
    }

    /// Returns the block's length in bytes, for HMAC (RFC 2104, section 2).
    #[must_use]
    pub const fn block_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha384 => 128,
        }
    }
}

/// A cipher suite (RFC 8446, appendix B.4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
#[expect(
    clippy::exhaustive_enums,
    reason = "providers outside this crate match it"
)]
#[repr(u8)]
pub enum Suite {
    /// `TLS_AES_128_GCM_SHA256`.
    Aes128GcmSha256 = 0,
    /// `TLS_AES_256_GCM_SHA384`.
    Aes256GcmSha384,
    /// `TLS_CHACHA20_POLY1305_SHA256`.
    ChaCha20Poly1305Sha256,
}

impl Suite {
    /// All suites.
    pub const ALL: &'static [Self] = &[
        Self::Aes128GcmSha256,
        Self::Aes256GcmSha384,
        Self::ChaCha20Poly1305Sha256,
    ];

    /// Returns the number that is on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::Aes128GcmSha256 => 0x1301,
            Self::Aes256GcmSha384 => 0x1302,
            Self::ChaCha20Poly1305Sha256 => 0x1303,
        }
    }

    /// Returns the suite with the number that is on the wire; `None` if it is not known.
    #[must_use]
    pub const fn from_code(code: u16) -> Option<Self> {
        match code {
            0x1301 => Some(Self::Aes128GcmSha256),
            0x1302 => Some(Self::Aes256GcmSha384),
            0x1303 => Some(Self::ChaCha20Poly1305Sha256),
            _ => None,
        }
    }

    /// Returns the suite's hash function.
    #[must_use]
    pub const fn hash(self) -> HashAlgorithm {
        match self {
            Self::Aes256GcmSha384 => HashAlgorithm::Sha384,
            Self::Aes128GcmSha256 | Self::ChaCha20Poly1305Sha256 => HashAlgorithm::Sha256,
        }
    }

    /// Returns the key's length in bytes.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Self::Aes128GcmSha256 => 16,
            Self::Aes256GcmSha384 | Self::ChaCha20Poly1305Sha256 => 32,
        }
    }
}

/// A key-exchange group (RFC 8446, section 4.2.7).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
#[cfg_attr(feature = "search", derive(Hash))]
pub enum Group {
    /// Curve25519 (RFC 7748).
    X25519,
    /// NIST P-256, uncompressed points.
    P256,
    /// NIST P-384, uncompressed points. Feature `tls-p384`.
    P384,
    /// ML-KEM-768 (FIPS 203) together with X25519. Feature `tls-mlkem`.
    X25519MlKem768,
}

impl Group {
    /// Returns the number that is on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        match self {
            Self::X25519 => 0x001d,
            Self::P256 => 0x0017,
            Self::P384 => 0x0018,
            Self::X25519MlKem768 => 0x11ec,
        }
    }

    /// Returns the group with the number that is on the wire; `None` if it is not known.
    #[must_use]
    pub const fn from_code(code: u16) -> Option<Self> {
        match code {
            0x001d => Some(Self::X25519),
            0x0017 => Some(Self::P256),
            0x0018 => Some(Self::P384),
            0x11ec => Some(Self::X25519MlKem768),
            _ => None,
        }
    }

    /// Returns the group of which the end of a client's share, this many bytes, is a share too,
    /// with the front of the same private key.
    pub(crate) const fn half(self) -> Option<(Self, usize)> {
        match self {
            Self::X25519MlKem768 => Some((Self::X25519, 32)),
            Self::X25519 | Self::P256 | Self::P384 => None,
        }
    }
}

/// A signature scheme by its number on the wire (RFC 8446, section 4.2.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[cfg_attr(feature = "search", derive(Hash))]
pub struct Scheme(u16);

impl Scheme {
    /// ECDSA on P-256 with SHA-256.
    pub const ECDSA_P256_SHA256: Self = Self(0x0403);
    /// ECDSA on P-384 with SHA-384.
    pub const ECDSA_P384_SHA384: Self = Self(0x0503);
    /// Ed25519 (RFC 8032).
    pub const ED25519: Self = Self(0x0807);
    /// RSA-PSS with SHA-256 and a plain RSA key.
    pub const RSA_PSS_RSAE_SHA256: Self = Self(0x0804);
    /// RSA-PSS with SHA-384 and a plain RSA key.
    pub const RSA_PSS_RSAE_SHA384: Self = Self(0x0805);
    /// RSA-PSS with SHA-512 and a plain RSA key.
    pub const RSA_PSS_RSAE_SHA512: Self = Self(0x0806);
    /// RSA with PKCS #1 v1.5 padding and SHA-256, in certificates only.
    pub const RSA_PKCS1_SHA256: Self = Self(0x0401);
    /// RSA with PKCS #1 v1.5 padding and SHA-384, in certificates only.
    pub const RSA_PKCS1_SHA384: Self = Self(0x0501);
    /// RSA with PKCS #1 v1.5 padding and SHA-512, in certificates only.
    pub const RSA_PKCS1_SHA512: Self = Self(0x0601);

    /// Returns whether the scheme may sign handshakes, and not certificates only (RFC 8446,
    /// section 4.2.3).
    pub(crate) const fn signs_handshakes(self) -> bool {
        !matches!(
            self,
            Self::RSA_PKCS1_SHA256 | Self::RSA_PKCS1_SHA384 | Self::RSA_PKCS1_SHA512
        )
    }

    /// Returns the scheme with the number that is on the wire.
    #[must_use]
    pub const fn from_code(code: u16) -> Self {
        Self(code)
    }

    /// Returns the number that is on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        self.0
    }
}

/// A private key that proves who we are, or the way to one (a secure element, an HSM).
pub trait Signer: Sync {
    /// Returns the scheme of its signatures, one of TLS 1.3's; of several, the preferred one.
    fn scheme(&self) -> Scheme;

    /// Signs `message`, at most 146 bytes, by [`Self::scheme`] into `signature`; returns the
    /// length. `None` when it cannot, or the signature does not fit.
    fn sign(&self, message: &[u8], signature: &mut [u8]) -> Option<usize>;

    /// Starts a signature of `message`, at most 146 bytes, that will come later, from a machine
    /// that takes its time. `false`, as by default, has [`Self::sign`] make it at once.
    ///
    /// Only this handshake then waits, in the time that it has, until the signature is handed
    /// over under this name, to [`Tls::supply`](crate::tls::Tls::supply) or
    /// [`Handshake::supply`](crate::tls::Handshake::supply).
    fn begin(&self, id: SignatureId, message: &[u8]) -> bool {
        let _ = (id, message);
        false
    }

    /// Returns true if it signs by `scheme`: by default, if that is [`Self::scheme`]. A key with
    /// several, as RSA keys have, is asked for the peer's in turn if the peer does not know the
    /// preferred one.
    fn signs_by(&self, scheme: Scheme) -> bool {
        scheme == self.scheme()
    }

    /// Does as [`Self::sign`] by a scheme that [`Self::signs_by`] affirms. Signers with several
    /// schemes are to implement it.
    fn sign_by(&self, scheme: Scheme, message: &[u8], signature: &mut [u8]) -> Option<usize> {
        match scheme == self.scheme() {
            true => self.sign(message, signature),
            false => None,
        }
    }

    /// Does as [`Self::begin`] by a scheme that [`Self::signs_by`] affirms. Signers with several
    /// schemes whose signatures come later are to implement it.
    fn begin_by(&self, scheme: Scheme, id: SignatureId, message: &[u8]) -> bool {
        scheme == self.scheme() && self.begin(id, message)
    }
}

/// Names a signature that comes later: the front of its handshake's transcript hash, which no
/// other handshake has.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct SignatureId(u64);

impl SignatureId {
    /// Returns the name of a signature over this transcript hash.
    pub(crate) fn of(digest: &[u8]) -> Self {
        let Some(front) = digest.first_chunk() else {
            impossible!("a digest is shorter than a name");
            return Self(1);
        };
        Self(u64::from_be_bytes(*front).max(1))
    }

    /// Returns the name as a number, never 0, for a signer elsewhere.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0
    }

    /// Returns the name with the number.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }
}

/// A value as long as a hash, a secret or a digest; wiped when dropped.
#[derive(Clone)]
#[cfg_attr(feature = "search", derive(Hash))]
pub struct Secret(pub(crate) [u8; HASH_MAX]);

impl Secret {
    /// All zero bytes.
    pub const ZERO: Self = Self([0; HASH_MAX]);

    /// Returns the front that `algorithm` fills.
    #[must_use]
    pub fn get(&self, algorithm: HashAlgorithm) -> &[u8] {
        part(&self.0, ..algorithm.digest_len())
    }

    /// Returns the front that `algorithm` fills, for writing.
    pub fn get_mut(&mut self, algorithm: HashAlgorithm) -> &mut [u8] {
        part_mut(&mut self.0, ..algorithm.digest_len())
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        // As a slice, which is wiped as a whole; an array is wiped byte by byte, which all secrets
        // of a handshake together would feel.
        self.0.as_mut_slice().zeroize();
    }
}

/// A private key-exchange key; wiped when dropped.
#[cfg_attr(feature = "search", derive(Clone, Hash))]
pub struct Private(pub [u8; PRIVATE_MAX]);

impl Private {
    /// All zero bytes: no key yet.
    pub const ZERO: Self = Self([0; PRIVATE_MAX]);
}

impl Drop for Private {
    fn drop(&mut self) {
        self.0.as_mut_slice().zeroize();
    }
}

/// A secret that two key shares make; wiped when dropped.
pub struct Shared {
    bytes: [u8; SHARED_MAX],
    len: usize,
}

impl Shared {
    /// No secret yet.
    pub const EMPTY: Self = Self {
        bytes: [0; SHARED_MAX],
        len: 0,
    };

    /// Sets the secret. What does not fit is cut off, which no group of ours reaches.
    pub fn set(&mut self, bytes: &[u8]) {
        for (target, source) in self.bytes.iter_mut().zip(bytes) {
            *target = *source;
        }
        self.len = bytes.len().min(SHARED_MAX);
    }

    /// Returns the secret.
    #[must_use]
    pub fn get(&self) -> &[u8] {
        part(&self.bytes, ..self.len)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.bytes.as_mut_slice().zeroize();
    }
}
