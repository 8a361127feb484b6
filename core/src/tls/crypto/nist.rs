//! Key exchange on the curves of NIST (RFC 8446, sections 4.2.8.2 and 7.4.2).

use p256::elliptic_curve::point::AffineCoordinates;
use p256::elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use p256::elliptic_curve::{
    AffinePoint, CurveArithmetic, FieldBytes, FieldBytesSize, PublicKey, SecretKey, ecdh,
};

use crate::tls::alert::Alert;
use crate::tls::crypto::provider::{Private, SHARE_MAX, Shared};
use crate::tls::wire::{copy, part};

/// A curve, and how long its numbers are.
pub(crate) trait Curve: CurveArithmetic {
    /// Bytes of a private number and of a coordinate.
    const LEN: usize;
}

impl Curve for p256::NistP256 {
    const LEN: usize = 32;
}

#[cfg(feature = "tls-p384")]
impl Curve for p384::NistP384 {
    const LEN: usize = 48;
}

/// Makes the share of the private number that has been drawn; returns its length. `None` if the
/// number is not one of the curve's, and another is to be drawn.
// Not inlined: each curve on its own, so that none has another's variables on the stack.
#[inline(never)]
pub(crate) fn offer<C: Curve>(private: &Private, share: &mut [u8; SHARE_MAX]) -> Option<usize>
where
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    let key = SecretKey::<C>::from_slice(front::<C>(private)).ok()?;
    let point = key.public_key().to_sec1_point(false);
    let bytes = point.as_bytes();
    copy(share, bytes).then_some(bytes.len())
}

/// Makes the secret of a private number and the peer's share.
///
/// # Errors
/// `illegal_parameter`: the share is not an uncompressed point on the curve.
#[inline(never)]
pub(crate) fn agree<C: Curve>(
    private: &Private,
    theirs: &[u8],
    shared: &mut Shared,
) -> Result<(), Alert> {
    let theirs = public::<C>(theirs).ok_or(Alert::ILLEGAL_PARAMETER)?;
    let ours =
        SecretKey::<C>::from_slice(front::<C>(private)).map_err(|_| Alert::INTERNAL_ERROR)?;
    let secret = ecdh::diffie_hellman(ours.to_nonzero_scalar(), theirs.as_affine());
    shared.set(secret.raw_secret_bytes());
    Ok(())
}

/// Reads an uncompressed point; `None` if it is none, or not on the curve. On its own, so that
/// nothing of it is on the stack while points are multiplied: 512 bytes less (frames of a
/// Cortex-M3, P-256). Not by the crate's own reader, which knows compressed ones too, for 1.7 KB.
#[inline(never)]
fn public<C: Curve>(bytes: &[u8]) -> Option<PublicKey<C>> {
    let (4, coordinates) = bytes.split_first()? else {
        return None;
    };
    let (x, y) = coordinates.split_at_checked(C::LEN)?;
    let x = FieldBytes::<C>::try_from(x).ok()?;
    let y = FieldBytes::<C>::try_from(y).ok()?;
    let point = AffinePoint::<C>::from_coordinates(&x, &y).into_option()?;
    PublicKey::from_affine(point).ok()
}

/// Returns the bytes of a private number, which are the front.
fn front<C: Curve>(private: &Private) -> &[u8] {
    part(&private.0, ..C::LEN)
}
