//! Ed25519 with points of a small order, by which one signature goes with many messages.

use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::traits::IsIdentity as _;
use curve25519_dalek::{EdwardsPoint, Scalar};
use sha2::{Digest, Sha512};
use usockets::tls::{Crypto as _, RustCrypto};
use usockets_tests_tls::Machine;

fn verify(key: &[u8], message: &[u8], signature: &[u8]) -> bool {
    let algorithm = RustCrypto::<Machine>::ALGORITHMS
        .iter()
        .find(|known| known.public_key_alg_id() == rustls::pki_types::alg_id::ED25519)
        .unwrap();
    let result = algorithm.verify_signature(key, message, signature);
    result.is_ok()
}

/// A signature's challenge.
fn challenge(r: &EdwardsPoint, key: &EdwardsPoint, message: &[u8]) -> Scalar {
    let hash = Sha512::new()
        .chain_update(r.compress().as_bytes())
        .chain_update(key.compress().as_bytes())
        .chain_update(message);
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}

fn signature(r: &EdwardsPoint, s: &Scalar) -> Vec<u8> {
    [*r.compress().as_bytes(), s.to_bytes()].concat()
}

/// For such a key, anybody signs one message in eight, by a nonce alone.
#[test]
fn keys_are_refused() {
    let s = Scalar::from(7_u8);
    let r = EdwardsPoint::mul_base(&s);
    let signature = signature(&r, &s);
    for key in EIGHT_TORSION {
        let mut would_do = 0;
        for message in 0..64_u8 {
            would_do += usize::from((key * challenge(&r, &key, &[message])).is_identity());
            assert!(!verify(key.compress().as_bytes(), &[message], &signature));
        }
        assert!(would_do > 0, "what was tried proves something");
    }
}

/// The holder of a good key may not choose such a nonce; another is fine.
#[test]
fn signatures_are_refused() {
    let secret = Scalar::from(0x00c0_ffee_u32);
    let key = EdwardsPoint::mul_base(&secret);
    for (nonce, is_good) in [(Scalar::ZERO, false), (Scalar::from(7_u8), true)] {
        let r = EdwardsPoint::mul_base(&nonce);
        let s = nonce + challenge(&r, &key, b"message") * secret;
        let signature = signature(&r, &s);
        let key = key.compress();
        assert_eq!(verify(key.as_bytes(), b"message", &signature), is_good);
        assert!(!verify(key.as_bytes(), b"massage", &signature));
    }
}
