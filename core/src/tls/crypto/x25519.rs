//! X25519 (RFC 7748, section 5): the secret the fastest way that the machine has.

use curve25519_dalek::montgomery::MontgomeryPoint;
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use crate::tls::alert::Alert;
use crate::tls::crypto::provider::{Private, Shared};

/// Makes the secret of a private key, the front of `private`, and a peer's share.
///
/// # Errors
/// `illegal_parameter`: the share has not 32 bytes, or is of small order.
#[inline(never)]
pub(crate) fn agree(private: &Private, theirs: &[u8], shared: &mut Shared) -> Result<(), Alert> {
    let theirs: [u8; 32] = theirs.try_into().map_err(|_| Alert::ILLEGAL_PARAMETER)?;
    let key = private.0.first_chunk().ok_or(Alert::INTERNAL_ERROR)?;
    let secret = multiply(theirs, key);
    // RFC 8446, section 7.4.2: an all-zero secret must be refused.
    if bool::from(secret.ct_eq(&[0; 32])) {
        return Err(Alert::ILLEGAL_PARAMETER);
    }
    shared.set(secret.as_slice());
    Ok(())
}

/// Returns the share of a private key, by the crate's table of multiples of the base.
#[cfg(feature = "tls-tables")]
pub(crate) fn public(key: &[u8; 32]) -> [u8; 32] {
    x25519_dalek::PublicKey::from(&x25519_dalek::StaticSecret::from(*key)).to_bytes()
}

/// Returns the share of a private key, by the ladder that [`multiply`] needs as well. The crate's
/// own way goes over the Edwards curve, whose arithmetic nothing else of a small server needs:
/// 1.8 KB more (flash of a Cortex-M3).
#[cfg(not(feature = "tls-tables"))]
pub(crate) fn public(key: &[u8; 32]) -> [u8; 32] {
    curve25519_dalek::constants::X25519_BASEPOINT
        .mul_clamped(*key)
        .to_bytes()
}

/// Returns the product of a peer's share, whatever it is, and a private key. It is zero if the
/// share is of small order.
#[inline(never)]
pub(crate) fn multiply(theirs: [u8; 32], key: &[u8; 32]) -> Zeroizing<[u8; 32]> {
    let theirs = MontgomeryPoint(theirs);
    vector::multiply(&theirs, key).unwrap_or_else(|| Zeroizing::new(theirs.mul_clamped(*key).0))
}

/// Over the equivalent Edwards curve, for which curve25519-dalek has vector instructions. For its
/// ladder, which needs no change of curve, it has none.
#[cfg(all(feature = "tls-tables", target_arch = "x86_64"))]
mod vector {
    extern crate std;

    use curve25519_dalek::montgomery::MontgomeryPoint;
    use zeroize::Zeroizing;

    /// Multiplies a share by a key, in time that depends on the share alone, which anybody can see.
    /// `None` without AVX2, and for a share that is not on the curve but on its twist, as no honest
    /// peer's is.
    pub(super) fn multiply(
        theirs: &MontgomeryPoint,
        key: &[u8; 32],
    ) -> Option<Zeroizing<[u8; 32]>> {
        if !std::is_x86_feature_detected!("avx2") {
            return None;
        }
        // Two points have this coordinate, and their products share one as well.
        let point = theirs.to_edwards(0)?;
        let product = Zeroizing::new(point.mul_clamped(*key));
        Some(Zeroizing::new(product.to_montgomery().0))
    }
}

#[cfg(not(all(feature = "tls-tables", target_arch = "x86_64")))]
mod vector {
    use curve25519_dalek::montgomery::MontgomeryPoint;
    use zeroize::Zeroizing;

    pub(super) const fn multiply(_: &MontgomeryPoint, _: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        None
    }
}

#[cfg(all(test, feature = "tls-tables", target_arch = "x86_64"))]
mod tests {
    extern crate std;

    use sha2::{Digest, Sha256};
    use std::println;

    use super::*;

    /// 0, 1 and -1; the base; p, which is 2^255 - 19, and what is above it or has the bit that does
    /// not count; one of the two of order 8.
    const SPECIAL: [[u8; 32]; 9] = [
        number(0, 0, 0),
        number(1, 0, 0),
        number(9, 0, 0),
        number(0xec, 0xff, 0x7f),
        number(0xed, 0xff, 0x7f),
        number(0xee, 0xff, 0x7f),
        number(0xff, 0xff, 0x7f),
        number(0xed, 0xff, 0xff),
        [
            0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f,
            0xc4, 0x6a, 0xda, 0x09, 0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16,
            0x5f, 0x49, 0xb8, 0x00,
        ],
    ];

    const fn number(first: u8, middle: u8, last: u8) -> [u8; 32] {
        let mut bytes = [middle; 32];
        bytes[0] = first;
        bytes[31] = last;
        bytes
    }

    /// On the curve and on the twist.
    #[test]
    fn agrees_with_the_ladder() {
        if !std::is_x86_feature_detected!("avx2") {
            println!("skipped: this processor has no AVX2, so there is only the ladder");
            return;
        }
        let random =
            (0..2_000_u32).map(|seed| <[u8; 32]>::from(Sha256::digest(seed.to_le_bytes())));
        let mut on_curve = 0;
        for (seed, share) in SPECIAL.into_iter().chain(random).enumerate() {
            let key = Sha256::digest([b"key ", seed.to_le_bytes().as_slice()].concat()).into();
            let theirs = MontgomeryPoint(share);
            let right = theirs.mul_clamped(key);
            if let Some(product) = vector::multiply(&theirs, &key) {
                assert_eq!(*product, right.0, "share {share:?}, key {key:?}");
                on_curve += 1;
            }
            assert_eq!(
                *multiply(share, &key),
                right.0,
                "share {share:?}, key {key:?}"
            );
        }
        assert!((900..1_100).contains(&on_curve), "{on_curve} of half");
    }
}
