//! The key schedule (RFC 8446, section 7.1).

use zeroize::Zeroize;

use crate::invariant::invariant;
use crate::tls::crypto::provider::{HashAlgorithm, Hasher, Secret};
use crate::tls::wire::{copy_whole, fit, part, part_mut};

/// Computes HMAC (RFC 2104) over the concatenation of `parts`. `key` is at most a block long.
pub(crate) fn hmac<H: Hasher>(algorithm: HashAlgorithm, key: &[u8], parts: &[&[u8]]) -> Secret {
    invariant!(
        key.len() <= algorithm.block_len(),
        "longer keys are not hashed down"
    );
    let mut room = [0_u8; 128];
    let block = part_mut(&mut room, ..algorithm.block_len());
    copy_whole(block, key);
    for byte in block.iter_mut() {
        *byte ^= 0x36;
    }
    let mut inner = H::new(algorithm);
    inner.update(block);
    for part in parts {
        inner.update(part);
    }
    for byte in block.iter_mut() {
        *byte ^= 0x36 ^ 0x5c;
    }
    let mut outer = H::new(algorithm);
    outer.update(block);
    block.zeroize();
    outer.update(inner.finish().get(algorithm));
    outer.finish()
}

/// Longest label after `tls13 ` (RFC 8446, section 7.1).
const LABEL_MAX: usize = 249;

/// Computes HKDF-Expand-Label into `out`, at most 255 hashes long.
pub(crate) fn expand_label<H: Hasher>(
    algorithm: HashAlgorithm,
    secret: &Secret,
    label: &[u8],
    context: &[u8],
    out: &mut [u8],
) {
    const PREFIX: &[u8] = b"tls13 ";
    invariant!(label.len() <= LABEL_MAX, "a label has a length of one byte");
    let len = fit::<u16>(out.len()).to_be_bytes();
    let label_len = PREFIX.len().saturating_add(label.len());
    let lens = [label_len, context.len()].map(|len| [fit::<u8>(len)]);
    let [label_len, context_len] = &lens;
    let mut block = Secret::ZERO;
    // Each block begins with the one before (RFC 5869, section 2.3).
    let mut block_len = 0;
    for (chunk, count) in out.chunks_mut(algorithm.digest_len()).zip(1..=u8::MAX) {
        let before = part(block.get(algorithm), ..block_len);
        block = hmac::<H>(
            algorithm,
            secret.get(algorithm),
            &[
                before,
                &len,
                label_len,
                PREFIX,
                label,
                context_len,
                context,
                &[count],
            ],
        );
        block_len = algorithm.digest_len();
        for (target, source) in chunk.iter_mut().zip(block.get(algorithm)) {
            *target = *source;
        }
    }
}

/// Makes key material for another protocol (RFC 8446, section 7.5). Returns false, and writes
/// nothing, if the label or `out` is too long, or the label is empty.
pub(crate) fn export<H: Hasher>(
    algorithm: HashAlgorithm,
    exporter: &Secret,
    label: &[u8],
    context: &[u8],
    out: &mut [u8],
) -> bool {
    let out_max = algorithm.digest_len().saturating_mul(255);
    if label.is_empty() || label.len() > LABEL_MAX || out.len() > out_max {
        return false;
    }
    let mut hasher = H::new(algorithm);
    let empty = hasher.digest();
    let secret = derive_secret::<H>(algorithm, exporter, label, &empty);
    hasher.update(context);
    let context = hasher.digest();
    expand_label::<H>(algorithm, &secret, b"exporter", context.get(algorithm), out);
    true
}

/// Computes Derive-Secret; `transcript` is the digest of the messages.
pub(crate) fn derive_secret<H: Hasher>(
    algorithm: HashAlgorithm,
    secret: &Secret,
    label: &[u8],
    transcript: &Secret,
) -> Secret {
    let mut out = Secret::ZERO;
    let context = transcript.get(algorithm);
    expand_label::<H>(algorithm, secret, label, context, out.get_mut(algorithm));
    out
}

/// Computes the content of `Finished` (RFC 8446, section 4.4.4).
pub(crate) fn finished<H: Hasher>(
    algorithm: HashAlgorithm,
    base: &Secret,
    transcript: &Secret,
) -> Secret {
    let mut key = Secret::ZERO;
    expand_label::<H>(algorithm, base, b"finished", &[], key.get_mut(algorithm));
    hmac::<H>(algorithm, key.get(algorithm), &[transcript.get(algorithm)])
}

/// One of the schedule's three secrets: early, handshake, master. Wiped when dropped.
#[derive(Clone)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) struct Schedule {
    secret: Secret,
}

impl Schedule {
    /// Makes the early secret from a pre-shared key, or from none.
    pub(crate) fn early<H: Hasher>(algorithm: HashAlgorithm, psk: Option<&Secret>) -> Self {
        let zero = Secret::ZERO;
        let input = psk.unwrap_or(&zero).get(algorithm);
        Self {
            secret: hmac::<H>(algorithm, zero.get(algorithm), &[input]),
        }
    }

    /// Moves on to the next secret with `input`: the key exchange's, then zeros.
    pub(crate) fn advance<H: Hasher>(&mut self, algorithm: HashAlgorithm, input: &[u8]) {
        let empty = H::new(algorithm).finish();
        let salt = derive_secret::<H>(algorithm, &self.secret, b"derived", &empty);
        self.secret = hmac::<H>(algorithm, salt.get(algorithm), &[input]);
    }

    /// Moves on to the master secret, whose input is zeros.
    pub(crate) fn advance_to_master<H: Hasher>(&mut self, algorithm: HashAlgorithm) {
        self.advance::<H>(algorithm, Secret::ZERO.get(algorithm));
    }

    /// Derives the secret named `label` over the messages that `transcript` digests.
    pub(crate) fn derive<H: Hasher>(
        &self,
        algorithm: HashAlgorithm,
        label: &[u8],
        transcript: &Secret,
    ) -> Secret {
        derive_secret::<H>(algorithm, &self.secret, label, transcript)
    }
}
