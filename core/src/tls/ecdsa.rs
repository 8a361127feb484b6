//! Verification of ECDSA signatures (FIPS 186-5, section 6.4.2) on a small stack.
//!
//! The crates' own takes 7 KiB of it. Everything here is public, so its time may depend on it.

use core::ops::AddAssign;

use p256::elliptic_curve::ops::{Invert, Reduce};
use p256::elliptic_curve::point::AffineCoordinates;
use p256::elliptic_curve::sec1::{FromSec1Point, ModulusSize, ToSec1Point};
use p256::elliptic_curve::{
    AffinePoint, CurveArithmetic, CurveGroup, FieldBytes, FieldBytesSize, Group, PrimeField,
    ProjectivePoint, PublicKey, Scalar,
};

/// Digits of the longest number: one for each bit of P-384's, and a carry.
const DIGITS: usize = 385;
/// Bits of a digit that is not 0.
const WIDTH: usize = 4;

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
    let (Some(point), Some(inverse)) = (read_key::<C>(key), invert::<C>(s)) else {
        return false;
    };
    let Ok(digest) = FieldBytes::<C>::try_from(digest) else {
        return false;
    };
    let of_generator = Scalar::<C>::reduce(&digest) * inverse;
    let sum = add_multiples::<C>(&of_generator, &(inverse * *r), &point);
    abscissa::<C>(&sum) == *r
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

/// Returns the sum of the group's generator times `of_generator` and `point` times `of_point`:
/// doubles for every bit, and adds multiples of both on the way (Straus's method, with windows).
#[inline(never)]
fn add_multiples<C: CurveArithmetic>(
    of_generator: &Scalar<C>,
    of_point: &Scalar<C>,
    point: &ProjectivePoint<C>,
) -> ProjectivePoint<C> {
    let mut digits = [0; DIGITS];
    recode(of_generator.to_repr().as_ref(), 0, &mut digits);
    recode(of_point.to_repr().as_ref(), WIDTH, &mut digits);
    let generator = odd_multiples(ProjectivePoint::<C>::generator());
    let point = odd_multiples(*point);
    let mut sum = ProjectivePoint::<C>::identity();
    for pair in digits.iter().rev().skip_while(|pair| **pair == 0) {
        sum = sum.double();
        add_digit(&mut sum, pair & 0xf, &generator);
        add_digit(&mut sum, pair >> WIDTH, &point);
    }
    sum
}

/// Returns the point, three times, five times and seven times the point.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "of a field or a group: none"
)]
fn odd_multiples<G: Group>(point: G) -> [G; 4] {
    let twice = point.double();
    let mut multiples = [point; 4];
    let mut multiple = point;
    for place in multiples.iter_mut().skip(1) {
        multiple += twice;
        *place = multiple;
    }
    multiples
}

/// Adds the multiple that a digit of [`recode`] stands for.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "of a field or a group: none"
)]
fn add_digit<G: Group + AddAssign>(sum: &mut G, digit: u8, multiples: &[G; 4]) {
    let is_negative = digit > 7;
    let times = if is_negative {
        16_u8.wrapping_sub(digit)
    } else {
        digit
    };
    match multiples.get(usize::from(times / 2)) {
        Some(multiple) if is_negative => *sum -= multiple,
        Some(multiple) if times != 0 => *sum += multiple,
        _ => {}
    }
}

/// Writes a big-endian number as digits for powers of two, each 0 or an odd one from -7 to 7,
/// modulo 16, with at least three zeros in between: its width-4 non-adjacent form. They go to the
/// bits of `digits` from `shift` on.
fn recode(number: &[u8], shift: usize, digits: &mut [u8; DIGITS]) {
    let bit = |at: usize| {
        let byte = number.iter().rev().nth(at / 8).copied().unwrap_or_default();
        (byte >> (at % 8)) & 1
    };
    let mut carry = 0;
    let mut at = 0_usize;
    while let Some(digit) = digits.get_mut(at) {
        if bit(at) == carry {
            at = at.saturating_add(1);
            continue;
        }
        let bits = (0..WIDTH)
            .rev()
            .fold(0, |sum, offset| sum << 1 | bit(at.saturating_add(offset)));
        let window = bits.wrapping_add(carry);
        *digit |= window << shift;
        carry = window >> 3;
        at = at.saturating_add(WIDTH);
    }
}
