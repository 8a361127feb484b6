//! The hybrid group X25519MLKEM768: ML-KEM-768 (FIPS 203), then X25519.
//!
//! A client's private key is X25519's 32 bytes, then the seed of ML-KEM's; a server's random bytes
//! for both lie likewise.

use ml_kem::kem::{Decapsulate, KeyExport, TryKeyInit};
use ml_kem::{B32, DecapsulationKey, EncapsulationKey, MlKem768, Seed};
use zeroize::Zeroizing;

use crate::tls::alert::Alert;
use crate::tls::crypto::provider::{Private, SHARE_MAX, SHARED_MAX, Shared};
use crate::tls::crypto::x25519;
use crate::tls::wire::Output;

/// Bytes of a client's share of ML-KEM.
const ENCAPSULATION_KEY: usize = 1_184;
/// Bytes of a server's share of ML-KEM.
const CIPHERTEXT: usize = 1_088;
/// Bytes of a public or private key of X25519.
const X25519: usize = 32;

/// Makes a client's share.
pub(crate) fn offer(private: &Private, share: &mut [u8; SHARE_MAX]) -> Result<usize, Alert> {
    let key = decapsulation_key(private)?;
    let mut out = Output::new(share);
    out.put(key.encapsulation_key().to_bytes().as_slice())?;
    out.put(&x25519_public(private)?)?;
    Ok(out.len())
}

/// Makes a server's share and the secret.
pub(crate) fn answer(
    random: &Private,
    theirs: &[u8],
    share: &mut [u8; SHARE_MAX],
    shared: &mut Shared,
) -> Result<usize, Alert> {
    let (key, theirs) = split(theirs, ENCAPSULATION_KEY)?;
    // A key that is out of range is refused (FIPS 203, section 7.2).
    let key = EncapsulationKey::<MlKem768>::new_from_slice(key);
    let key = key.map_err(|_| Alert::ILLEGAL_PARAMETER)?;
    let message = Zeroizing::new(B32::from(*random_of_kem(random)?));
    let (ciphertext, secret) = key.encapsulate_deterministic(&message);
    let secret = Zeroizing::new(<[u8; 32]>::from(secret));
    join(&secret, random, theirs, shared)?;
    let mut out = Output::new(share);
    out.put(ciphertext.as_slice())?;
    out.put(&x25519_public(random)?)?;
    Ok(out.len())
}

/// Makes the client's secret.
pub(crate) fn agree(private: &Private, theirs: &[u8], shared: &mut Shared) -> Result<(), Alert> {
    let (ciphertext, theirs) = split(theirs, CIPHERTEXT)?;
    let ciphertext = ciphertext.try_into();
    let ciphertext = ciphertext.map_err(|_| Alert::ILLEGAL_PARAMETER)?;
    let secret = decapsulation_key(private)?.decapsulate(ciphertext);
    let secret = Zeroizing::new(<[u8; 32]>::from(secret));
    join(&secret, private, theirs, shared)
}

/// Puts the two secrets together, ML-KEM's first.
fn join(
    secret: &[u8; 32],
    private: &Private,
    theirs: &[u8],
    shared: &mut Shared,
) -> Result<(), Alert> {
    x25519::agree(private, theirs, shared)?;
    let mut both = Zeroizing::new([0; SHARED_MAX]);
    let mut out = Output::new(both.as_mut_slice());
    out.put(secret)?;
    out.put(shared.get())?;
    shared.set(both.as_slice());
    Ok(())
}

/// Splits a share, which must have the right length.
fn split(share: &[u8], first: usize) -> Result<(&[u8], &[u8]), Alert> {
    match share.split_at_checked(first) {
        Some((first, second)) if second.len() == X25519 => Ok((first, second)),
        _ => Err(Alert::ILLEGAL_PARAMETER),
    }
}

fn decapsulation_key(private: &Private) -> Result<DecapsulationKey<MlKem768>, Alert> {
    let (_, seed) = private
        .0
        .split_at_checked(X25519)
        .ok_or(Alert::INTERNAL_ERROR)?;
    let seed = Zeroizing::new(Seed::try_from(seed).map_err(|_| Alert::INTERNAL_ERROR)?);
    Ok(DecapsulationKey::from_seed(*seed))
}

fn x25519_public(private: &Private) -> Result<[u8; X25519], Alert> {
    let key = private.0.first_chunk().ok_or(Alert::INTERNAL_ERROR)?;
    Ok(x25519::public(key))
}

/// Returns a server's random bytes for ML-KEM.
fn random_of_kem(random: &Private) -> Result<&[u8; 32], Alert> {
    let (_, rest) = random
        .0
        .split_at_checked(X25519)
        .ok_or(Alert::INTERNAL_ERROR)?;
    rest.first_chunk().ok_or(Alert::INTERNAL_ERROR)
}
