//! The primitives of the cryptography that comes along and of aws-lc, each by itself.

use dudect_bencher::rand::Rng;
use dudect_bencher::{BenchRng, CtRunner};
use usockets::tls::{
    self, Crypto as _, EcdsaP256Key, Ed25519Key, Group, HashAlgorithm, Hasher, PRIVATE_MAX,
    Private, RustCrypto, SHARE_MAX, Sha2, Shared, Signer, Suite,
};
use usockets_linux::{AwsLc, AwsLcKey};
use usockets_tests_tls::{Crypto, Machine};

use crate::{altered, choose, measure, secret};

fn portable() -> Crypto {
    Crypto::new(Machine::new(1))
}

fn aws_lc() -> AwsLc<Machine> {
    AwsLc::new(Machine::new(1))
}

/// A tag that differs in its first byte or in its last.
fn aead(runner: &mut CtRunner, rng: &mut BenchRng, mut crypto: impl tls::Crypto, suite: Suite) {
    let (key, nonce) = ([7; 32], [8; 12]);
    let mut sealed = [9; 64];
    let tag = crypto
        .seal(suite, &key, &nonce, b"record", &mut sealed)
        .expect("it seals");
    let crypto = std::cell::RefCell::new(crypto);
    let [first, last] = altered(&tag);
    let make = |is_right: bool, _: &mut BenchRng| (choose(&first, &last, is_right), sealed);
    measure(runner, rng, make, |(bad, data)| {
        let mut crypto = crypto.borrow_mut();
        let opened = crypto.open(suite, &key, &nonce, b"record", data, bad);
        assert!(opened.is_err());
    });
}

pub fn aead_aes_128(runner: &mut CtRunner, rng: &mut BenchRng) {
    aead(runner, rng, portable(), Suite::Aes128GcmSha256);
}

pub fn aead_aes_256(runner: &mut CtRunner, rng: &mut BenchRng) {
    aead(runner, rng, portable(), Suite::Aes256GcmSha384);
}

pub fn aead_chacha20(runner: &mut CtRunner, rng: &mut BenchRng) {
    aead(runner, rng, portable(), Suite::ChaCha20Poly1305Sha256);
}

pub fn aws_lc_aead_aes_128(runner: &mut CtRunner, rng: &mut BenchRng) {
    aead(runner, rng, aws_lc(), Suite::Aes128GcmSha256);
}

/// What a key makes of a record that goes.
fn seal(runner: &mut CtRunner, rng: &mut BenchRng, crypto: impl tls::Crypto, suite: Suite) {
    let crypto = std::cell::RefCell::new(crypto);
    let make = |is_right: bool, rng: &mut BenchRng| (secret(&[0; 32], is_right, rng), [9; 64]);
    measure(runner, rng, make, |(key, data)| {
        let mut crypto = crypto.borrow_mut();
        let sealed = crypto.seal(suite, key, &[8; 12], b"record", data);
        sealed.expect("it seals")
    });
}

pub fn aws_lc_seal_aes_128(runner: &mut CtRunner, rng: &mut BenchRng) {
    seal(runner, rng, aws_lc(), Suite::Aes128GcmSha256);
}

/// With one key it takes a cycle in a thousand more or less than with others, on average, by the
/// same instructions: this shows how much, and `keys` of how many keys.
pub fn seal_aes_128(runner: &mut CtRunner, rng: &mut BenchRng) {
    seal(runner, rng, portable(), Suite::Aes128GcmSha256);
}

/// What a key makes of a record that came, and was sealed with it.
fn open(runner: &mut CtRunner, rng: &mut BenchRng, crypto: impl tls::Crypto, suite: Suite) {
    let nonce = [8; 12];
    let crypto = std::cell::RefCell::new(crypto);
    let make = |is_right: bool, rng: &mut BenchRng| {
        let (key, mut data) = (secret(&[0; 32], is_right, rng), [9; 64]);
        let mut crypto = crypto.borrow_mut();
        let sealed = crypto.seal(suite, &key, &nonce, b"record", &mut data);
        (key, data, sealed.expect("it seals"))
    };
    measure(runner, rng, make, |(key, data, tag)| {
        let mut crypto = crypto.borrow_mut();
        let opened = crypto.open(suite, key, &nonce, b"record", data, tag);
        opened.expect("it opens");
    });
}

pub fn aws_lc_open_aes_128(runner: &mut CtRunner, rng: &mut BenchRng) {
    open(runner, rng, aws_lc(), Suite::Aes128GcmSha256);
}

pub fn open_aes_128(runner: &mut CtRunner, rng: &mut BenchRng) {
    open(runner, rng, portable(), Suite::Aes128GcmSha256);
}

/// A private key of few bits.
const FEW_BITS: [u8; PRIVATE_MAX] = {
    let mut key = [0; PRIVATE_MAX];
    key[31] = 3;
    key[47] = 3;
    key
};
/// One like any other: pi's first digits, in hexadecimal, again and again.
const ORDINARY: [u8; PRIVATE_MAX] = {
    const DIGITS: [u8; 48] = [
        0x24, 0x3f, 0x6a, 0x88, 0x85, 0xa3, 0x08, 0xd3, 0x13, 0x19, 0x8a, 0x2e, 0x03, 0x70, 0x73,
        0x44, 0xa4, 0x09, 0x38, 0x22, 0x29, 0x9f, 0x31, 0xd0, 0x08, 0x2e, 0xfa, 0x98, 0xec, 0x4e,
        0x6c, 0x89, 0x45, 0x28, 0x21, 0xe6, 0x38, 0xd0, 0x13, 0x77, 0xbe, 0x54, 0x66, 0xcf, 0x34,
        0xe9, 0x0c, 0x6c,
    ];
    let mut key = [0; PRIVATE_MAX];
    let mut at = 0;
    while at < PRIVATE_MAX {
        key[at] = DIGITS[at % DIGITS.len()];
        at += 1;
    }
    key
};

/// A private key as bytes: `fixed`, or any. Numbers of NIST's curves are below their orders, as the
/// first byte is.
fn private(fixed: &[u8; PRIVATE_MAX], is_right: bool, rng: &mut BenchRng) -> Private {
    let mut bytes = secret(fixed, is_right, rng);
    bytes[0] &= 0x7f;
    Private(bytes)
}

/// The secret that a private key and a share make.
fn ecdh(
    runner: &mut CtRunner,
    rng: &mut BenchRng,
    mut crypto: impl tls::Crypto,
    group: Group,
    fixed: &'static [u8; PRIVATE_MAX],
) {
    let (mut private_key, mut share) = (Private::ZERO, [0; SHARE_MAX]);
    let len = crypto
        .offer(group, &mut private_key, &mut share)
        .expect("a share");
    let crypto = std::cell::RefCell::new(crypto);
    let make = |is_right: bool, rng: &mut BenchRng| private(fixed, is_right, rng);
    measure(runner, rng, make, |private| {
        let mut shared = Shared::EMPTY;
        let mut crypto = crypto.borrow_mut();
        let agreed = crypto.agree(group, private, &share[..len], &mut shared);
        agreed.expect("a secret");
        shared
    });
}

pub fn ecdh_x25519(runner: &mut CtRunner, rng: &mut BenchRng) {
    ecdh(runner, rng, portable(), Group::X25519, &FEW_BITS);
}

pub fn ecdh_p256(runner: &mut CtRunner, rng: &mut BenchRng) {
    ecdh(runner, rng, portable(), Group::P256, &ORDINARY);
}

/// No ephemeral key is one of few bits, nor is any used twice: this shows the extreme.
pub fn few_bits_p256(runner: &mut CtRunner, rng: &mut BenchRng) {
    ecdh(runner, rng, portable(), Group::P256, &FEW_BITS);
}

pub fn ecdh_p384(runner: &mut CtRunner, rng: &mut BenchRng) {
    ecdh(runner, rng, portable(), Group::P384, &ORDINARY);
}

pub fn aws_lc_ecdh_x25519(runner: &mut CtRunner, rng: &mut BenchRng) {
    ecdh(runner, rng, aws_lc(), Group::X25519, &FEW_BITS);
}

pub fn aws_lc_ecdh_p256(runner: &mut CtRunner, rng: &mut BenchRng) {
    ecdh(runner, rng, aws_lc(), Group::P256, &ORDINARY);
}

pub fn aws_lc_ecdh_p384(runner: &mut CtRunner, rng: &mut BenchRng) {
    ecdh(runner, rng, aws_lc(), Group::P384, &ORDINARY);
}

/// What a client makes of a good ciphertext, and of one that is not: neither is told (FIPS 203,
/// section 6.3). Keys are not compared, as the public part of each takes a time of its own to draw.
pub fn decapsulate_mlkem(runner: &mut CtRunner, rng: &mut BenchRng) {
    let group = Group::X25519MlKem768;
    let (mut crypto, mut key) = (Crypto::new(Machine::new(1)), Private::ZERO);
    let (mut offered, mut answer) = ([0; SHARE_MAX], [0; SHARE_MAX]);
    let len = crypto
        .offer(group, &mut key, &mut offered)
        .expect("a share");
    let mut shared = Shared::EMPTY;
    let answered = crypto.answer(group, &offered[..len], &mut answer, &mut shared);
    let len = answered.expect("a share");
    let [bad, _] = altered(&answer);
    let crypto = std::cell::RefCell::new(crypto);
    let make = |is_right: bool, _: &mut BenchRng| choose(&answer, &bad, is_right);
    measure(runner, rng, make, |share| {
        let mut shared = Shared::EMPTY;
        let agreed = crypto
            .borrow_mut()
            .agree(group, &key, &share[..len], &mut shared);
        agreed.expect("a secret");
        shared
    });
}

/// A server's share and secret, of random bytes that are always the same, or of any.
pub fn encapsulate_mlkem(runner: &mut CtRunner, rng: &mut BenchRng) {
    let group = Group::X25519MlKem768;
    let (mut key, mut offered) = (Private::ZERO, [0; SHARE_MAX]);
    let mut client = Crypto::new(Machine::new(1));
    let len = client
        .offer(group, &mut key, &mut offered)
        .expect("a share");
    let make = |is_right: bool, rng: &mut BenchRng| {
        let random = secret(&ORDINARY, is_right, rng);
        RustCrypto::<Given>::new(Given(random))
    };
    measure(runner, rng, make, |crypto| {
        let (mut share, mut shared) = ([0; SHARE_MAX], Shared::EMPTY);
        let answered = crypto.answer(group, &offered[..len], &mut share, &mut shared);
        answered.expect("a share");
        shared
    });
}

/// Hands out the bytes it is given, in the place of random ones.
struct Given([u8; PRIVATE_MAX]);

impl tls::Machine for Given {
    fn random(&mut self, out: &mut [u8]) -> bool {
        out.copy_from_slice(&self.0[..out.len()]);
        true
    }

    fn unix_seconds(&self) -> u64 {
        0
    }
}

/// The share of a private key.
fn share<C: tls::Crypto>(
    runner: &mut CtRunner,
    rng: &mut BenchRng,
    new: fn(Given) -> C,
    group: Group,
    fixed: &'static [u8; PRIVATE_MAX],
) {
    let make = |is_right: bool, rng: &mut BenchRng| new(Given(private(fixed, is_right, rng).0));
    measure(runner, rng, make, |crypto| {
        let (mut private, mut share) = (Private::ZERO, [0; SHARE_MAX]);
        let offered = crypto.offer(group, &mut private, &mut share);
        offered.expect("a share");
        share
    });
}

pub fn share_x25519(runner: &mut CtRunner, rng: &mut BenchRng) {
    share(
        runner,
        rng,
        RustCrypto::<Given>::new,
        Group::X25519,
        &FEW_BITS,
    );
}

pub fn share_p256(runner: &mut CtRunner, rng: &mut BenchRng) {
    share(
        runner,
        rng,
        RustCrypto::<Given>::new,
        Group::P256,
        &FEW_BITS,
    );
}

pub fn share_p384(runner: &mut CtRunner, rng: &mut BenchRng) {
    share(
        runner,
        rng,
        RustCrypto::<Given>::new,
        Group::P384,
        &ORDINARY,
    );
}

pub fn aws_lc_share_x25519(runner: &mut CtRunner, rng: &mut BenchRng) {
    share(runner, rng, AwsLc::new, Group::X25519, &FEW_BITS);
}

/// Signatures of random messages by a key of few bits, or by any.
fn sign<S: Signer>(runner: &mut CtRunner, rng: &mut BenchRng, signer: impl Fn(&[u8; 32]) -> S) {
    let mut fixed = [0; 32];
    fixed[31] = 3;
    let make = |is_right: bool, rng: &mut BenchRng| {
        let mut key = secret(&fixed, is_right, rng);
        key[0] &= 0x7f;
        let mut message = [0; 130];
        rng.fill_bytes(&mut message);
        (signer(&key), message)
    };
    measure(runner, rng, make, |(signer, message)| {
        let mut signature = [0; 128];
        let len = signer.sign(message, &mut signature);
        len.expect("a signature");
        signature
    });
}

pub fn sign_p256(runner: &mut CtRunner, rng: &mut BenchRng) {
    sign(runner, rng, |key| {
        EcdsaP256Key::from_scalar(key).expect("a key")
    });
}

pub fn aws_lc_sign_p256(runner: &mut CtRunner, rng: &mut BenchRng) {
    // RFC 5915, section 3, with the curve's name (RFC 5480, section 2.1.1.1).
    const FRONT: [u8; 7] = [0x30, 49, 2, 1, 1, 4, 32];
    const CURVE: [u8; 12] = [
        0xa0, 10, 6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07,
    ];
    sign(runner, rng, |key| {
        let document = [&FRONT[..], key, &CURVE].concat();
        AwsLcKey::from_der(&document).expect("a key")
    });
}

pub fn sign_ed25519(runner: &mut CtRunner, rng: &mut BenchRng) {
    sign(runner, rng, Ed25519Key::from_seed);
}

/// A block and more of a secret: what HMAC and HKDF are made of.
fn hash(runner: &mut CtRunner, rng: &mut BenchRng, algorithm: HashAlgorithm) {
    let make = |is_right: bool, rng: &mut BenchRng| secret(&[0; 200], is_right, rng);
    measure(runner, rng, make, |secret| {
        let mut hasher = Sha2::new(algorithm);
        hasher.update(secret);
        hasher.digest()
    });
}

pub fn hash_sha256(runner: &mut CtRunner, rng: &mut BenchRng) {
    hash(runner, rng, HashAlgorithm::Sha256);
}

pub fn hash_sha384(runner: &mut CtRunner, rng: &mut BenchRng) {
    hash(runner, rng, HashAlgorithm::Sha384);
}
