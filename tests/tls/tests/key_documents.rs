//! Documents with private keys of elliptic curves: what of them is read, by the core and by aws-lc.

use p256::elliptic_curve::sec1::ToSec1Point as _;
use usockets::tls::{EcdsaP256Key, KeyError, Scheme, Signer as _};
use usockets_tests_tls::ocsp::der;

/// Names of curves (RFC 5480, section 2.1.1.1; SEC 2, appendix A.2.1), as elements.
const P256: &[u8] = &[6, 8, 0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7];
const P384: &[u8] = &[6, 5, 0x2b, 0x81, 4, 0, 0x22];
const SECP256K1: &[u8] = &[6, 5, 0x2b, 0x81, 4, 0, 0x0a];
/// id-ecPublicKey (RFC 5480, section 2.1.1).
const EC: &[u8] = &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1];

/// What tells what a document's key signs with.
type Reader = fn(&[u8]) -> Result<Scheme, KeyError>;

const READERS: &[Reader] = &[
    by_the_core,
    #[cfg(feature = "aws-lc-rs")]
    by_aws_lc,
];

fn by_the_core(document: &[u8]) -> Result<Scheme, KeyError> {
    EcdsaP256Key::from_der(document).map(|key| key.scheme())
}

#[cfg(feature = "aws-lc-rs")]
fn by_aws_lc(document: &[u8]) -> Result<Scheme, KeyError> {
    usockets_linux::AwsLcKey::from_der(document).map(|key| key.scheme())
}

/// An `ECPrivateKey` (RFC 5915, section 3) with a number of `len` bytes, the curve if it is named,
/// and the public key if there is one.
fn sec1(len: usize, curve: Option<&[u8]>, public: Option<&[u8]>) -> Vec<u8> {
    let number = der(4, &[vec![7; len]]);
    let curve = curve.map(|curve| der(0xa0, &[curve.to_vec()]));
    let public = public.map(|point| der(0xa1, &[der(3, &[vec![0], point.to_vec()])]));
    let [curve, public] = [curve, public].map(Option::unwrap_or_default);
    der(0x30, &[vec![2, 1, 1], number, curve, public])
}

/// The same in PKCS #8 (RFC 5958), which names a curve itself.
fn pkcs8(curve: &[u8], key: &[u8]) -> Vec<u8> {
    let algorithm = der(0x30, &[EC.to_vec(), curve.to_vec()]);
    der(0x30, &[vec![2, 1, 0], algorithm, der(4, &[key.to_vec()])])
}

/// The public key of the number, or that of another.
fn public(number: u8) -> Vec<u8> {
    let key = p256::SecretKey::from_slice(&[number; 32]).unwrap();
    key.public_key().to_sec1_point(false).as_bytes().to_vec()
}

/// A number is a key if it is above 0 and below the order of the group.
#[test]
fn numbers_are_keys_if_they_are_in_range() {
    for (number, is_key) in [([7; 32], true), ([0; 32], false), ([0xff; 32], false)] {
        assert_eq!(EcdsaP256Key::from_scalar(&number).is_some(), is_key);
    }
    let made = EcdsaP256Key::from_scalar(&[7; 32]).unwrap();
    let read = EcdsaP256Key::from_der(&sec1(32, Some(P256), None)).unwrap();
    let [made, read] = [made, read].map(|key| {
        let mut signature = [0; 128];
        key.sign(b"message", &mut signature);
        signature
    });
    assert_eq!(made, read);
}

/// Without that the number would be one of any curve of its length.
#[test]
fn a_document_by_itself_must_name_its_curve() {
    for read in READERS {
        let named = read(&sec1(32, Some(P256), None));
        assert_eq!(named, Ok(Scheme::ECDSA_P256_SHA256));
        for (len, curve) in [
            (32, None),
            (48, None),
            (32, Some(SECP256K1)),
            (48, Some(P256)),
        ] {
            let refused = read(&sec1(len, curve, None));
            assert_eq!(refused, Err(KeyError::OtherKind), "{len} bytes, {curve:?}");
        }
        // One that has a public key, from which the curve might be guessed.
        let refused = read(&sec1(32, None, Some(&public(7))));
        assert_eq!(refused, Err(KeyError::OtherKind));
    }
}

#[test]
fn a_document_in_pkcs8_may_name_its_curve_once() {
    for read in READERS {
        for named in [None, Some(P256)] {
            let taken = read(&pkcs8(P256, &sec1(32, named, None)));
            assert_eq!(taken, Ok(Scheme::ECDSA_P256_SHA256), "{named:?}");
        }
        for (outer, inner) in [(P256, SECP256K1), (SECP256K1, P256), (P256, P384)] {
            let refused = read(&pkcs8(outer, &sec1(32, Some(inner), None)));
            assert_eq!(refused, Err(KeyError::OtherKind), "{outer:?}, {inner:?}");
        }
    }
}

#[test]
fn keys_of_48_bytes_are_those_of_p384() {
    let documents = [
        sec1(48, Some(P384), None),
        pkcs8(P384, &sec1(48, None, None)),
        pkcs8(P384, &sec1(48, Some(P384), None)),
    ];
    for document in documents {
        assert_eq!(by_the_core(&document), Err(KeyError::OtherKind));
        #[cfg(feature = "aws-lc-rs")]
        assert_eq!(by_aws_lc(&document), Ok(Scheme::ECDSA_P384_SHA384));
    }
}

/// aws-lc reads a public key that is there too, and tells that it is another's.
#[cfg(feature = "aws-lc-rs")]
#[test]
fn the_public_key_of_another_is_told() {
    for (number, taken) in [
        (7, Ok(Scheme::ECDSA_P256_SHA256)),
        (8, Err(KeyError::OtherKind)),
    ] {
        let key = sec1(32, Some(P256), Some(&public(number)));
        assert_eq!(by_aws_lc(&key), taken);
    }
}

/// What holds no such key is told from what is no document of a key: one that is encrypted begins
/// with an algorithm (RFC 5958, section 3), any key with a version.
#[test]
fn what_a_document_is_otherwise_is_told() {
    for (document, error) in [
        (der(0x30, &[der(0x30, &[])]), KeyError::Encrypted),
        (der(0x30, &[vec![2, 1, 0]]), KeyError::OtherKind),
        (der(0x30, &[vec![4, 1, 0]]), KeyError::Malformed),
        (der(0x30, &[]), KeyError::Malformed),
        (
            [der(0x30, &[vec![2, 1, 0]]), vec![0]].concat(),
            KeyError::Malformed,
        ),
        (Vec::new(), KeyError::Malformed),
    ] {
        assert_eq!(by_the_core(&document), Err(error), "{document:?}");
    }
}
