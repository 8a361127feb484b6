//! DER (X.690), as far as keys and certificates need it.

use core::fmt;

use crate::tls::alert::Alert;
use crate::tls::wire::{Output, part};

pub(crate) const BOOLEAN: u8 = 0x01;
pub(crate) const INTEGER: u8 = 0x02;
pub(crate) const BIT_STRING: u8 = 0x03;
pub(crate) const OCTET_STRING: u8 = 0x04;
pub(crate) const OBJECT_IDENTIFIER: u8 = 0x06;
pub(crate) const ENUMERATED: u8 = 0x0a;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
pub(crate) const SEQUENCE: u8 = 0x30;
/// id-ecPublicKey, 1.2.840.10045.2.1 (RFC 5480, section 2.1.1).
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// secp256r1, 1.2.840.10045.3.1.7 (RFC 5480, section 2.1.1.1).
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// id-Ed25519, 1.3.101.112 (RFC 8410, section 3).
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// Why a private key cannot be had from a document.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[non_exhaustive]
pub enum KeyError {
    /// The document is no key in DER, or was cut.
    Malformed,
    /// It is a key of another algorithm, curve or length, or in SEC 1 without its curve's name.
    OtherKind,
    /// It is encrypted with a password (RFC 5958, section 3).
    Encrypted,
    /// Its number is 0 or not below the group's order: nobody's key.
    OutOfRange,
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "the private key cannot be read",
            Self::OtherKind => "the private key is of another kind",
            Self::Encrypted => "the private key is encrypted with a password",
            Self::OutOfRange => "the private key's number is out of range",
        })
    }
}

impl core::error::Error for KeyError {}

/// Returns the 32 bytes of the P-256 scalar in a PKCS #8 or SEC 1 document.
pub(crate) fn p256_scalar(document: &[u8]) -> Result<&[u8], KeyError> {
    let (key, curve) = match pkcs8(document) {
        Some((algorithm, key)) => {
            let (kind, parameters) = whole(element(algorithm, OBJECT_IDENTIFIER))?;
            if kind != EC_PUBLIC_KEY {
                return Err(KeyError::OtherKind);
            }
            (key, Some(whole(element(parameters, OBJECT_IDENTIFIER))?.0))
        }
        None => (document, None),
    };
    let (scalar, named) = sec1(key).ok_or_else(|| match curve {
        Some(_) => KeyError::Malformed,
        None => other_document(document),
    })?;
    // By itself a document names its curve (RFC 5915, section 3), without which the number might be
    // one of any. In PKCS #8 it may name it again, and must then name the same.
    let is_ours = [curve.or(named), named.or(curve)] == [Some(P256); 2];
    match is_ours && scalar.len() == 32 {
        true => Ok(scalar),
        false => Err(KeyError::OtherKind),
    }
}

/// Returns the 32 bytes of the Ed25519 seed in a PKCS #8 document.
pub(crate) fn ed25519_seed(document: &[u8]) -> Result<&[u8], KeyError> {
    let (algorithm, key) = pkcs8(document).ok_or_else(|| other_document(document))?;
    let (kind, _) = whole(element(algorithm, OBJECT_IDENTIFIER))?;
    if kind != ED25519 {
        return Err(KeyError::OtherKind);
    }
    match element(key, OCTET_STRING) {
        Some((seed, [])) => Ok(seed),
        _ => Err(KeyError::Malformed),
    }
}

fn whole<T>(read: Option<T>) -> Result<T, KeyError> {
    read.ok_or(KeyError::Malformed)
}

/// Tells what a document is that holds no key of the kind that is sought.
fn other_document(document: &[u8]) -> KeyError {
    let Some((content, [])) = element(document, SEQUENCE) else {
        return KeyError::Malformed;
    };
    // `EncryptedPrivateKeyInfo` begins with an algorithm, keys with a version.
    match element(content, SEQUENCE) {
        Some(_) => KeyError::Encrypted,
        None if element(content, INTEGER).is_some() => KeyError::OtherKind,
        None => KeyError::Malformed,
    }
}

/// Returns the modulus and the exponent of an `RSAPublicKey` (RFC 8017, appendix A.1.1).
#[cfg(feature = "tls-rsa")]
pub(crate) fn rsa_public_key(document: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, after) = element(document, SEQUENCE)?;
    let (modulus, rest) = element(content, INTEGER)?;
    let (exponent, rest) = element(rest, INTEGER)?;
    let is_whole = after.is_empty() && rest.is_empty();
    is_whole.then_some((positive(modulus)?, positive(exponent)?))
}

/// Returns the bytes of a positive integer without the zero that keeps it positive (X.690,
/// section 8.3).
#[cfg(feature = "tls-rsa")]
const fn positive(content: &[u8]) -> Option<&[u8]> {
    match content {
        [0, rest @ ..] if matches!(rest, [0x80..=0xff, ..]) => Some(rest),
        [1..=0x7f, ..] => Some(content),
        _ => None,
    }
}

/// Returns the algorithm and the key of a `OneAsymmetricKey` (RFC 5958, section 2).
fn pkcs8(document: &[u8]) -> Option<(&[u8], &[u8])> {
    let (content, _) = element(document, SEQUENCE)?;
    let (_version, rest) = element(content, INTEGER)?;
    let (algorithm, rest) = element(rest, SEQUENCE)?;
    let (key, _attributes) = element(rest, OCTET_STRING)?;
    Some((algorithm, key))
}

/// Returns the scalar of an `ECPrivateKey` (RFC 5915, section 3), and the curve if it is named.
fn sec1(document: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let (content, _) = element(document, SEQUENCE)?;
    let (_version, rest) = element(content, INTEGER)?;
    let (scalar, rest) = element(rest, OCTET_STRING)?;
    let curve = match element(rest, context(0)) {
        Some((parameters, _)) => Some(element(parameters, OBJECT_IDENTIFIER)?.0),
        None => None,
    };
    Some((scalar, curve))
}

/// Returns the tag of the constructed element `[number]`.
pub(crate) const fn context(number: u8) -> u8 {
    0xa0 | number
}

/// Splits off a `Time` (RFC 5280, section 4.1.2.5): seconds since 1970, 0 for any time before.
pub(crate) fn time(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (year, digits, rest) = match element(bytes, UTC_TIME) {
        Some((digits, rest)) => {
            let (year, digits) = number(digits, 2)?;
            let century = if year < 50 { 2_000 } else { 1_900 };
            (year.checked_add(century)?, digits, rest)
        }
        None => {
            let (digits, rest) = element(bytes, GENERALIZED_TIME)?;
            let (year, digits) = number(digits, 4)?;
            (year, digits, rest)
        }
    };
    let (month, digits) = number(digits, 2)?;
    let (day, digits) = number(digits, 2)?;
    let (hour, digits) = number(digits, 2)?;
    let (minute, digits) = number(digits, 2)?;
    let (second, digits) = number(digits, 2)?;
    let is_time = hour < 24 && minute < 60 && second < 60 && digits == b"Z";
    if !is_time || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let hours = days(year, month, day)
        .saturating_mul(24)
        .saturating_add(hour);
    let minutes = hours.saturating_mul(60).saturating_add(minute);
    let seconds = minutes.saturating_mul(60).saturating_add(second);
    // A day before the first would otherwise count from it.
    Some((if year < 1_970 { 0 } else { seconds }, rest))
}

/// Splits off a number of `count` decimal digits.
fn number(digits: &[u8], count: usize) -> Option<(u64, &[u8])> {
    let (digits, rest) = digits.split_at_checked(count)?;
    let number = digits.iter().try_fold(0_u64, |number, digit| {
        let digit = digit.is_ascii_digit().then(|| digit.wrapping_sub(b'0'))?;
        Some(number.wrapping_mul(10).wrapping_add(u64::from(digit)))
    })?;
    Some((number, rest))
}

/// Returns the days from 1970-01-01 to a day of the Gregorian calendar, 0 for one before.
fn days(year: u64, month: u64, day: u64) -> u64 {
    // Years begin in March here, so that the day that leap years add is their last.
    let is_early = month < 3;
    let year = year.saturating_sub(u64::from(is_early));
    let month = match is_early {
        true => month.wrapping_add(9),
        false => month.wrapping_sub(3),
    };
    let leap_days = (year / 4).wrapping_sub(year / 100).wrapping_add(year / 400);
    // Months of 31 and 30 days in turn, from March: 153 days in five.
    let in_year = month.wrapping_mul(153).wrapping_add(2) / 5;
    year.wrapping_mul(365)
        .wrapping_add(leap_days)
        .wrapping_add(in_year)
        .wrapping_add(day)
        // Days from 0000-03-01 to 1970-01-01, and the day itself, which counts from 1.
        .saturating_sub(719_469)
}

/// Writes an ECDSA signature (RFC 3279, section 2.2.3), two numbers of at most 60 bytes; returns
/// its length. `None` if it does not fit. Takes 2 KB less of flash than the crate's own.
pub(crate) fn put_signature(numbers: [&[u8]; 2], signature: &mut [u8]) -> Option<usize> {
    let mut out = Output::new(signature);
    out.u8(SEQUENCE).ok()?;
    let written = out.vector8(|out| {
        numbers.into_iter().try_for_each(|number| {
            out.u8(INTEGER)?;
            out.vector8(|out| put_positive(number, out))
        })
    });
    written.ok()?;
    Some(out.len())
}

/// Writes the content of an integer that is not negative, in as few bytes as it takes (X.690,
/// section 8.3).
fn put_positive(number: &[u8], out: &mut Output<'_>) -> Result<(), Alert> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let digits = part(number, zeros..);
    if digits.first().is_none_or(|byte| *byte >= 0x80) {
        out.u8(0)?;
    }
    out.put(digits)
}

/// Splits off the content of the first element, which must have the tag `tag`.
pub(crate) fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    if *found != tag {
        return None;
    }
    let (first, rest) = rest.split_first()?;
    // The long form (X.690, section 8.1.3.5) is followed by one to three bytes of length here.
    let (len, rest) = match *first {
        0..=0x7f => (usize::from(*first), rest),
        0x81 => {
            let (len, rest) = rest.split_first()?;
            (usize::from(*len), rest)
        }
        0x82 => {
            let (len, rest) = rest.split_first_chunk()?;
            (usize::from(u16::from_be_bytes(*len)), rest)
        }
        0x83 => {
            let ([high, middle, low], rest) = rest.split_first_chunk()?;
            let len = u32::from_be_bytes([0, *high, *middle, *low]);
            (usize::try_from(len).ok()?, rest)
        }
        _ => return None,
    };
    rest.split_at_checked(len)
}

#[cfg(test)]
mod tests {
    extern crate std;

    use super::*;

    /// Returns the time in a `GeneralizedTime`.
    fn generalized(text: &str) -> Option<u64> {
        let mut bytes = [0; 32];
        bytes[0] = GENERALIZED_TIME;
        bytes[1] = u8::try_from(text.len()).unwrap();
        let (_, places) = bytes.split_at_mut(2);
        places[..text.len()].copy_from_slice(text.as_bytes());
        time(&bytes).map(|(time, _)| time)
    }

    #[test]
    fn times_are_seconds_since_1970() {
        // By date(1), `date -u -d "2027-01-15 08:00:00" +%s` and so on.
        for (text, seconds) in [
            ("19700101000000Z", 0),
            ("19691231235959Z", 0),
            ("00000101000000Z", 0),
            ("19700228235959Z", 5_097_599),
            ("19700301000000Z", 5_097_600),
            ("19991231235959Z", 946_684_799),
            ("20000229120000Z", 951_825_600),
            ("20000301000000Z", 951_868_800),
            ("20240229000000Z", 1_709_164_800),
            ("20270115080000Z", 1_800_000_000),
            ("21000301000000Z", 4_107_542_400),
            ("99991231235959Z", 253_402_300_799),
        ] {
            assert_eq!(generalized(text), Some(seconds), "{text}");
        }
    }

    #[test]
    fn utc_times_have_the_years_1950_to_2049() {
        let of = |text: &str| {
            let mut bytes = [UTC_TIME, 13, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
            bytes[2..].copy_from_slice(text.as_bytes());
            time(&bytes).unwrap().0
        };
        assert_eq!(of("491231235959Z"), 2_524_607_999);
        assert_eq!(of("500101000000Z"), 0);
        assert_eq!(of("700101000001Z"), 1);
    }

    #[test]
    fn signatures_are_as_short_as_can_be() {
        let mut out = [0; 72];
        let mut put = |r: &[u8], s: &[u8]| {
            let len = put_signature([r, s], &mut out)?;
            Some(out[..len].to_vec())
        };
        let long = put(&[0x80; 32], &[0xff; 32]).unwrap();
        assert_eq!(long.len(), 72);
        assert_eq!(long[..6], [0x30, 70, 2, 33, 0, 0x80]);
        assert_eq!(
            put(&[0, 0, 1], &[0, 0x7f, 0]).unwrap(),
            [0x30, 7, 2, 1, 1, 2, 2, 0x7f, 0]
        );
        assert_eq!(
            put(&[0, 0x80], &[0]).unwrap(),
            [0x30, 7, 2, 2, 0, 0x80, 2, 1, 0]
        );
        assert_eq!(put_signature([&[1], &[1]], &mut [0; 7]), None);
    }

    #[test]
    fn other_texts_are_no_times() {
        for text in [
            "",
            "2027011508000Z",
            "20270115080000",
            "20270115080000+",
            "202701150800000Z",
            "20271315080000Z",
            "20270015080000Z",
            "20270132080000Z",
            "20270115240000Z",
            "20270115086000Z",
            "20270115080060Z",
            "2027011508000aZ",
        ] {
            assert_eq!(generalized(text), None, "{text}");
        }
    }
}
