//! Finding the key in a DER document.

const INTEGER: u8 = 0x02;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
/// id-ecPublicKey, 1.2.840.10045.2.1 (RFC 5480, section 2.1.1).
const EC_PUBLIC_KEY: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
/// secp256r1, 1.2.840.10045.3.1.7 (RFC 5480, section 2.1.1.1).
const P256: &[u8] = &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
/// id-Ed25519, 1.3.101.112 (RFC 8410, section 3).
const ED25519: &[u8] = &[0x2b, 0x65, 0x70];

/// Returns the 32 bytes of the P-256 scalar in a PKCS #8 or SEC 1 document.
pub(crate) fn p256_scalar(document: &[u8]) -> Option<&[u8]> {
    if let Some((algorithm, key)) = pkcs8(document) {
        let (kind, parameters) = element(algorithm, OBJECT_IDENTIFIER)?;
        let (curve, _) = element(parameters, OBJECT_IDENTIFIER)?;
        return if kind == EC_PUBLIC_KEY && curve == P256 {
            sec1(key)
        } else {
            None
        };
    }
    sec1(document)
}

/// Returns the 32 bytes of the Ed25519 seed in a PKCS #8 document.
pub(crate) fn ed25519_seed(document: &[u8]) -> Option<&[u8]> {
    let (algorithm, key) = pkcs8(document)?;
    let (kind, _) = element(algorithm, OBJECT_IDENTIFIER)?;
    let (seed, rest) = element(key, OCTET_STRING)?;
    (kind == ED25519 && rest.is_empty()).then_some(seed)
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

/// Returns the scalar of an `ECPrivateKey` (RFC 5915, section 3), if it has 32 bytes.
fn sec1(document: &[u8]) -> Option<&[u8]> {
    let (content, _) = element(document, SEQUENCE)?;
    let (_version, rest) = element(content, INTEGER)?;
    let (scalar, _parameters) = element(rest, OCTET_STRING)?;
    (scalar.len() == 32).then_some(scalar)
}

/// Splits off the content of the first element, which must have the tag `tag`.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, rest) = bytes.split_first()?;
    if *found != tag {
        return None;
    }
    let (first, rest) = rest.split_first()?;
    // The long form (X.690, section 8.1.3.5) is followed by one or two bytes of length here.
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
        _ => return None,
    };
    rest.split_at_checked(len)
}
