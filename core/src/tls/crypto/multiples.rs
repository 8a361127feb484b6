//! Sums of multiples of points, on a small stack, for the verification of signatures.
//!
//! Everything here is public, so its time may depend on it.

use core::ops::AddAssign;

use p256::elliptic_curve::Group;

/// Digits of the longest number: one for each bit of P-384's, and a carry.
const DIGITS: usize = 385;
/// Bits of a digit that is not 0.
const WIDTH: usize = 4;

/// Makes of `point` the sum of `of_point` times it and `of_generator` times the group's generator,
/// both numbers little-endian: doubles for every bit, and adds multiples of both on the way
/// (Straus's method, with windows).
#[inline(never)]
pub(crate) fn add<G: Group>(of_generator: &[u8], of_point: &[u8], point: &mut G) {
    let mut digits = [0; DIGITS];
    recode(of_generator, 0, &mut digits);
    recode(of_point, WIDTH, &mut digits);
    let mut multiples = [*point; 4];
    multiply(&mut multiples);
    let mut generators = [G::generator(); 4];
    multiply(&mut generators);
    *point = G::identity();
    for pair in digits.iter().rev().skip_while(|pair| **pair == 0) {
        double(point);
        add_digit(point, pair & 0xf, &generators);
        add_digit(point, pair >> WIDTH, &multiples);
    }
}

/// Makes three, five and seven times a point of its copies.
// This and the next are functions of their own, so that none has another's variables on the stack.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "of a field or a group: none"
)]
#[inline(never)]
fn multiply<G: Group>(copies: &mut [G; 4]) {
    let [point, rest @ ..] = copies;
    let mut twice = *point;
    double(&mut twice);
    let mut previous = &*point;
    for copy in rest {
        *copy = twice;
        *copy += previous;
        previous = copy;
    }
}

#[inline(never)]
fn double<G: Group>(point: &mut G) {
    *point = point.double();
}

/// Adds the multiple that a digit of [`recode`] stands for.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "of a field or a group: none"
)]
#[inline(never)]
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

/// Writes a little-endian number as digits for powers of two, each 0 or an odd one from -7 to 7,
/// modulo 16, with at least three zeros in between: its width-4 non-adjacent form. They go to the
/// bits of `digits` from `shift` on.
fn recode(number: &[u8], shift: usize, digits: &mut [u8; DIGITS]) {
    let bit = |at: usize| {
        let byte = number.get(at / 8).copied().unwrap_or_default();
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
