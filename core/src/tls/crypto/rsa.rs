//! RSA signatures are verified (RFC 8017), of keys with 2,048 to 4,096 bits. Feature `tls-rsa`.
//!
//! Only public numbers come in, so nothing here takes care to take constant time.

use crypto_bigint::modular::{FixedMontyForm, FixedMontyParams};
use crypto_bigint::{Odd, U2048, U3072, U4096, Uint, Word};
use pki_types::{AlgorithmIdentifier, InvalidSignature, SignatureVerificationAlgorithm, alg_id};
use sha2::digest::Output;
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::tls::crypto::der;

/// Most bytes of a modulus.
const MODULUS_MAX: usize = 512;
/// Fewest bits of a modulus that are still safe.
const BITS_MIN: usize = 2_048;
/// Most bytes of an exponent. Every usual one is 65,537.
const EXPONENT_MAX: usize = 4;

/// A hash, a padding, and what a certificate calls the two.
#[derive(Debug)]
pub(crate) struct Rsa {
    hash: Hash,
    padding: Padding,
    id: AlgorithmIdentifier,
}

#[derive(Clone, Copy, Debug)]
enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

#[derive(Clone, Copy, Debug)]
enum Padding {
    /// RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2).
    Pkcs1,
    /// RSASSA-PSS (RFC 8017, section 8.1), with a salt as long as the hash.
    Pss,
}

impl Rsa {
    const fn new(hash: Hash, padding: Padding, id: AlgorithmIdentifier) -> Self {
        Self { hash, padding, id }
    }
}

pub(crate) static PKCS1_SHA256: Rsa =
    Rsa::new(Hash::Sha256, Padding::Pkcs1, alg_id::RSA_PKCS1_SHA256);
pub(crate) static PKCS1_SHA384: Rsa =
    Rsa::new(Hash::Sha384, Padding::Pkcs1, alg_id::RSA_PKCS1_SHA384);
pub(crate) static PKCS1_SHA512: Rsa =
    Rsa::new(Hash::Sha512, Padding::Pkcs1, alg_id::RSA_PKCS1_SHA512);
pub(crate) static PSS_SHA256: Rsa = Rsa::new(Hash::Sha256, Padding::Pss, alg_id::RSA_PSS_SHA256);
pub(crate) static PSS_SHA384: Rsa = Rsa::new(Hash::Sha384, Padding::Pss, alg_id::RSA_PSS_SHA384);
pub(crate) static PSS_SHA512: Rsa = Rsa::new(Hash::Sha512, Padding::Pss, alg_id::RSA_PSS_SHA512);

impl SignatureVerificationAlgorithm for Rsa {
    fn verify_signature(
        &self,
        public_key: &[u8],
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), InvalidSignature> {
        let is_good = match self.hash {
            Hash::Sha256 => verify::<Sha256>(self.padding, public_key, message, signature),
            Hash::Sha384 => verify::<Sha384>(self.padding, public_key, message, signature),
            Hash::Sha512 => verify::<Sha512>(self.padding, public_key, message, signature),
        };
        is_good
            .filter(|good| *good)
            .map(|_| ())
            .ok_or(InvalidSignature)
    }

    fn public_key_alg_id(&self) -> AlgorithmIdentifier {
        alg_id::RSA_ENCRYPTION
    }

    fn signature_alg_id(&self) -> AlgorithmIdentifier {
        self.id
    }
}

/// A hash function that a `DigestInfo` can name.
trait Named: Digest {
    /// The front of the `DigestInfo` (RFC 8017, section 9.2, note 1); the digest follows.
    const INFO: [u8; 19];
}

/// Makes the front of a `DigestInfo`: of SHA-2, they differ in the last byte of the name and in
/// lengths.
const fn info(name: u8, len: u8) -> [u8; 19] {
    [
        0x30,
        0x11_u8.wrapping_add(len),
        0x30,
        0x0d,
        0x06,
        0x09,
        0x60,
        0x86,
        0x48,
        0x01,
        0x65,
        0x03,
        0x04,
        0x02,
        name,
        0x05,
        0x00,
        0x04,
        len,
    ]
}

impl Named for Sha256 {
    const INFO: [u8; 19] = info(1, 32);
}

impl Named for Sha384 {
    const INFO: [u8; 19] = info(2, 48);
}

impl Named for Sha512 {
    const INFO: [u8; 19] = info(3, 64);
}

/// Returns whether the signature is good; `None` if it or the key is malformed.
fn verify<D: Named>(
    padding: Padding,
    public_key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> Option<bool> {
    let key = PublicKey::parse(public_key)?;
    let mut encoded = [0; MODULUS_MAX];
    let encoded = encoded.get_mut(..key.modulus.len())?;
    key.recover(signature, encoded)?;
    let digest = D::digest(message);
    match padding {
        Padding::Pkcs1 => Some(is_pkcs1::<D>(encoded, &digest)),
        Padding::Pss => is_pss::<D>(encoded, key.bits, &digest),
    }
}

/// A public key (RFC 8017, appendix A.1.1).
struct PublicKey<'a> {
    /// Big-endian, without leading zeros.
    modulus: &'a [u8],
    bits: usize,
    exponent: u32,
}

impl<'a> PublicKey<'a> {
    fn parse(document: &'a [u8]) -> Option<Self> {
        let (modulus, exponent) = der::rsa_public_key(document)?;
        let (first, last) = (modulus.first()?, modulus.last()?);
        let zeros = usize::try_from(first.leading_zeros()).ok()?;
        let bits = modulus.len().checked_mul(8)?.checked_sub(zeros)?;
        if bits < BITS_MIN || modulus.len() > MODULUS_MAX || last & 1 == 0 {
            return None;
        }
        if exponent.len() > EXPONENT_MAX {
            return None;
        }
        let byte = |sum: u32, byte: &u8| sum.wrapping_shl(8) | u32::from(*byte);
        let exponent = exponent.iter().fold(0, byte);
        (exponent >= 3 && exponent & 1 == 1).then_some(Self {
            modulus,
            bits,
            exponent,
        })
    }

    /// Writes the encoded message that the signature was made of, as long as the modulus, to
    /// `encoded` (RFC 8017, section 5.2.2).
    fn recover(&self, signature: &[u8], encoded: &mut [u8]) -> Option<()> {
        if signature.len() != self.modulus.len() {
            return None;
        }
        // Small numbers make for a small stack.
        match self.bits {
            ..=2_048 => self.power::<{ U2048::LIMBS }>(signature, encoded),
            2_049..=3_072 => self.power::<{ U3072::LIMBS }>(signature, encoded),
            _ => self.power::<{ U4096::LIMBS }>(signature, encoded),
        }
    }

    /// Raises `base` to the exponent, modulo the modulus.
    fn power<const LIMBS: usize>(&self, base: &[u8], result: &mut [u8]) -> Option<()> {
        let modulus = number::<LIMBS>(self.modulus);
        let base = number::<LIMBS>(base);
        if base >= modulus {
            return None;
        }
        let modulus: Option<Odd<Uint<LIMBS>>> = Odd::new(modulus).into();
        let params = FixedMontyParams::new_vartime(modulus?);
        let base = FixedMontyForm::new(&base, &params);
        let mut power = base;
        let top = self.exponent.checked_ilog2()?;
        for bit in (0..top).rev() {
            power = power.square();
            if self.exponent.wrapping_shr(bit) & 1 == 1 {
                power = power.mul(&base);
            }
        }
        let words = power.retrieve().to_words();
        let bytes = words.iter().flat_map(|word| word.to_le_bytes());
        for (target, source) in result.iter_mut().rev().zip(bytes) {
            *target = source;
        }
        Some(())
    }
}

/// Reads a big-endian number of at most `LIMBS` words.
fn number<const LIMBS: usize>(bytes: &[u8]) -> Uint<LIMBS> {
    let mut words = [0; LIMBS];
    for (word, chunk) in words.iter_mut().zip(bytes.rchunks(size_of::<Word>())) {
        let byte = |sum: Word, byte: &u8| sum.wrapping_shl(8) | Word::from(*byte);
        *word = chunk.iter().fold(0, byte);
    }
    Uint::from_words(words)
}

/// Checks EMSA-PKCS1-v1_5 (RFC 8017, section 9.2).
fn is_pkcs1<D: Named>(encoded: &[u8], digest: &[u8]) -> bool {
    let Some(rest) = encoded.strip_suffix(digest) else {
        return false;
    };
    match rest.strip_suffix(&D::INFO) {
        Some([0, 1, padding @ .., 0]) => {
            padding.len() >= 8 && padding.iter().all(|byte| *byte == 0xff)
        }
        _ => false,
    }
}

/// Checks EMSA-PSS (RFC 8017, section 9.1.2); `None` if there is too little.
fn is_pss<D: Digest>(encoded: &mut [u8], modulus_bits: usize, digest: &[u8]) -> Option<bool> {
    // One bit less than the modulus, and so perhaps one byte.
    let spare = modulus_bits.wrapping_sub(1) & 7;
    let encoded = match (spare, encoded) {
        (0, [0, rest @ ..]) => rest,
        (0, _) => return Some(false),
        (_, encoded) => encoded,
    };
    let (last, rest) = encoded.split_last_mut()?;
    let at = rest.len().checked_sub(digest.len())?;
    let (block, hash) = rest.split_at_mut_checked(at)?;
    let unused = match spare {
        0 => 0,
        bits => 0xff_u8.wrapping_shl(u32::try_from(bits).ok()?),
    };
    let front = block.first().copied()?;
    if *last != 0xbc || front & unused != 0 {
        return Some(false);
    }
    unmask::<D>(block, hash);
    if let Some(first) = block.first_mut() {
        *first &= !unused;
    }
    let at = block.len().checked_sub(digest.len())?;
    let (padding, salt) = block.split_at_checked(at)?;
    let (one, zeros) = padding.split_last()?;
    let is_padded = *one == 1 && zeros.iter().all(|byte| *byte == 0);
    let expected = D::new()
        .chain_update([0; 8])
        .chain_update(digest)
        .chain_update(salt)
        .finalize();
    Some(is_padded && expected.as_slice() == hash)
}

/// Takes the mask off that MGF1 (RFC 8017, appendix B.2.1) makes of `seed`.
fn unmask<D: Digest>(block: &mut [u8], seed: &[u8]) {
    for (chunk, count) in block.chunks_mut(<D as Digest>::output_size()).zip(0_u32..) {
        let mask: Output<D> = D::new()
            .chain_update(seed)
            .chain_update(count.to_be_bytes())
            .finalize();
        for (byte, mask) in chunk.iter_mut().zip(&mask) {
            *byte ^= mask;
        }
    }
}
