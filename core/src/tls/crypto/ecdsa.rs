//! Verification of ECDSA signatures (FIPS 186-5, section 6.4.2) on a small stack.
//!
//! The crates' own takes 7 KiB of it. Everything here is public, so its time may depend on it.

use p256::elliptic_curve::ops::{Invert, Reduce};
use p256::elliptic_curve::point::AffineCoordinates;
use p256::elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use p256::elliptic_curve::{
    AffinePoint, CurveArithmetic, CurveGroup, FieldBytes, FieldBytesSize, PrimeField,
    ProjectivePoint, PublicKey, Scalar,
};

use crate::tls::crypto::multiples;

/// Returns whether the owner of `key`, a point in SEC 1's form, signed `digest`, which is as long
/// as the curve's numbers. The signature is two numbers, neither of them 0.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "of a field or a group: none"
)]
pub(crate) fn verify<C>(key: &[u8], digest: &[u8], [r, s]: &[Scalar<C>; 2]) -> bool
where
    C: CurveArithmetic,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    let (Some(mut point), Some(inverse)) = (read_key::<C>(key), invert::<C>(s)) else {
        return false;
    };
    let Ok(digest) = FieldBytes::<C>::try_from(digest) else {
        return false;
    };
    let of_generator = repr::<C>(Scalar::<C>::reduce(&digest) * inverse);
    let of_point = repr::<C>(inverse * *r);
    multiples::add(of_generator.as_ref(), of_point.as_ref(), &mut point);
    abscissa::<C>(&point) == *r
}

/// Returns a number's bytes, the last first.
fn repr<C: CurveArithmetic>(number: Scalar<C>) -> FieldBytes<C> {
    let mut bytes = number.to_repr();
    bytes.reverse();
    bytes
}

// Each step is a function of its own, so that none has another's variables on the stack.
#[inline(never)]
fn read_key<C>(key: &[u8]) -> Option<ProjectivePoint<C>>
where
    C: CurveArithmetic,
    AffinePoint<C>: FromSec1Point<C> + ToSec1Point<C>,
    FieldBytesSize<C>: ModulusSize,
{
    let key = PublicKey::<C>::from_sec1_bytes(key).ok()?;
    Some(key.to_projective())
}

#[inline(never)]
fn invert<C: CurveArithmetic>(number: &Scalar<C>) -> Option<Scalar<C>> {
    number.invert_vartime().into_option()
}

/// Returns the first coordinate of a point, by the order of the group.
#[inline(never)]
fn abscissa<C: CurveArithmetic>(point: &ProjectivePoint<C>) -> Scalar<C> {
    Scalar::<C>::reduce(&point.to_affine().x())
}
