//! Verification of Ed25519 signatures (RFC 8032, section 5.1.7) on a small stack.
//!
//! The crate's own takes 7 KiB of it. Everything here is public, so its time may depend on it.

use curve25519_dalek::{EdwardsPoint, Scalar, edwards::CompressedEdwardsY};
use sha2::{Digest as _, Sha512};

use crate::tls::crypto::multiples;

/// Returns whether the owner of `key` signed `message`. Keys and signatures of a small order, which
/// go with more than one message, are refused.
pub(crate) fn verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    let Some((r, s)) = signature.split_first_chunk() else {
        return false;
    };
    let (Some(mut point), Some(s)) = (read_inverse(key), read_scalar(s)) else {
        return false;
    };
    let challenge = challenge(r, key, message);
    multiples::add(s.as_bytes(), challenge.as_bytes(), &mut point);
    is_at(&point, r)
}

// Each step is a function of its own, so that none has another's variables on the stack.

/// Returns the inverse of a key's point.
#[expect(clippy::arithmetic_side_effects, reason = "of a group: none")]
#[inline(never)]
fn read_inverse(bytes: &[u8; 32]) -> Option<EdwardsPoint> {
    let point = CompressedEdwardsY(*bytes).decompress()?;
    (!point.is_small_order()).then(|| -point)
}

/// Whether this is the signature's point, and not of a small order.
#[inline(never)]
fn is_at(point: &EdwardsPoint, r: &[u8; 32]) -> bool {
    !point.is_small_order() && point.compress().as_bytes() == r
}

#[inline(never)]
fn read_scalar(bytes: &[u8]) -> Option<Scalar> {
    let bytes = bytes.try_into().ok()?;
    Scalar::from_canonical_bytes(bytes).into_option()
}

#[inline(never)]
fn challenge(r: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let mut hash = Sha512::new();
    for part in [r, key, message] {
        hash.update(part);
    }
    Scalar::from_bytes_mod_order_wide(&hash.finalize().into())
}
