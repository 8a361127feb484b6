//! The key schedule (RFC 8446, section 7.1).

use crate::invariant::invariant;
use crate::tls::crypto::provider::{HASH_MAX, HashAlgorithm, Hasher, Secret};
use crate::tls::wire::{fit, part};

/// One of the schedule's three secrets: early, handshake, master. Wiped when dropped.
#[derive(Clone)]
#[cfg_attr(feature = "search", derive(Hash))]
pub(crate) struct Schedule {
    secret: Secret,
}

impl Schedule {
    /// Makes the early secret from a pre-shared key.
    pub(crate) fn early<H: Hasher>(algorithm: HashAlgorithm, psk: &Secret) -> Self {
        Self::extract::<H>(algorithm, &Secret::ZERO, psk.get(algorithm))
    }

    /// Makes the handshake secret from the pre-shared key, or none, and the key exchange's secret.
    pub(crate) fn handshake<H: Hasher>(
        algorithm: HashAlgorithm,
        psk: Option<&Secret>,
        shared: &[u8],
    ) -> Self {
        match psk {
            Some(psk) => Self::early::<H>(algorithm, psk).next::<H>(algorithm, shared),
            None => Self::extract::<H>(algorithm, &salt_without_psk(algorithm), shared),
        }
    }

    /// Makes the master secret from the handshake secret.
    pub(crate) fn master<H: Hasher>(&self, algorithm: HashAlgorithm) -> Self {
        self.next::<H>(algorithm, Secret::ZERO.get(algorithm))
    }

    /// Makes the secret after this one with `input`.
    fn next<H: Hasher>(&self, algorithm: HashAlgorithm, input: &[u8]) -> Self {
        let empty = H::new(algorithm).finish();
        let salt = derive_secret::<H>(algorithm, &self.secret, b"derived", &empty);
        Self::extract::<H>(algorithm, &salt, input)
    }

    /// Computes HKDF-Extract (RFC 5869, section 2.2).
    fn extract<H: Hasher>(algorithm: HashAlgorithm, salt: &Secret, input: &[u8]) -> Self {
        Self {
            secret: H::hmac(algorithm, salt.get(algorithm), &[input]),
        }
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

/// The salt of the handshake secret where there is no pre-shared key: what `next` derives from the
/// early secret of a key of zeros, always the same.
const SALT_SHA384: [u8; HASH_MAX] = [
    0x15, 0x91, 0xda, 0xc5, 0xcb, 0xbf, 0x03, 0x30, 0xa4, 0xa8, 0x4d, 0xe9, 0xc7, 0x53, 0x33, 0x0e,
    0x92, 0xd0, 0x1f, 0x0a, 0x88, 0x21, 0x4b, 0x44, 0x64, 0x97, 0x2f, 0xd6, 0x68, 0x04, 0x9e, 0x93,
    0xe5, 0x2f, 0x2b, 0x16, 0xfa, 0xd9, 0x22, 0xfd, 0xc0, 0x58, 0x44, 0x78, 0x42, 0x8f, 0x28, 0x2b,
];
/// With SHA-256 (RFC 8448, section 3), filled up with zeros.
const SALT_SHA256: [u8; HASH_MAX] = [
    0x6f, 0x26, 0x15, 0xa1, 0x08, 0xc7, 0x02, 0xc5, 0x67, 0x8f, 0x54, 0xfc, 0x9d, 0xba, 0xb6, 0x97,
    0x16, 0xc0, 0x76, 0x18, 0x9c, 0x48, 0x25, 0x0c, 0xeb, 0xea, 0xc3, 0x57, 0x6c, 0x36, 0x11, 0xba,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
];

const fn salt_without_psk(algorithm: HashAlgorithm) -> Secret {
    Secret(match algorithm {
        HashAlgorithm::Sha256 => SALT_SHA256,
        HashAlgorithm::Sha384 => SALT_SHA384,
    })
}

/// Longest label after `tls13 ` (RFC 8446, section 7.1).
const LABEL_MAX: usize = 249;
/// Bytes of `tls13 `, which every label begins with.
const PREFIX_LEN: usize = 6;

/// What HKDF-Expand-Label hashes for a block: the length of the output, a label and a context.
struct Info<'a> {
    /// Two bytes of the output's length, one of the label's, and the label's beginning.
    front: [u8; 3 + PREFIX_LEN],
    label: &'a [u8],
    context_len: [u8; 1],
    context: &'a [u8],
}

impl<'a> Info<'a> {
    fn new(label: &'a [u8], context: &'a [u8], len: usize) -> Self {
        invariant!(label.len() <= LABEL_MAX, "a label has a length of one byte");
        let [high, low] = fit::<u16>(len).to_be_bytes();
        let label_len = fit(PREFIX_LEN.saturating_add(label.len()));
        Self {
            front: [high, low, label_len, b't', b'l', b's', b'1', b'3', b' '],
            label,
            context_len: [fit(context.len())],
            context,
        }
    }

    /// Computes a block of the output, which follows `before`.
    fn block<H: Hasher>(
        &self,
        algorithm: HashAlgorithm,
        secret: &Secret,
        before: &[u8],
        count: u8,
    ) -> Secret {
        H::hmac(
            algorithm,
            secret.get(algorithm),
            &[
                before,
                &self.front,
                self.label,
                &self.context_len,
                self.context,
                &[count],
            ],
        )
    }
}

/// Computes HKDF-Expand-Label of at most one block: the output, of this length, is the front.
pub(crate) fn expand_short<H: Hasher>(
    algorithm: HashAlgorithm,
    secret: &Secret,
    label: &[u8],
    context: &[u8],
    len: usize,
) -> Secret {
    invariant!(len <= algorithm.digest_len(), "an output of one block");
    Info::new(label, context, len).block::<H>(algorithm, secret, &[], 1)
}

/// Computes HKDF-Expand-Label as long as a hash.
pub(crate) fn expand<H: Hasher>(
    algorithm: HashAlgorithm,
    secret: &Secret,
    label: &[u8],
    context: &[u8],
) -> Secret {
    expand_short::<H>(algorithm, secret, label, context, algorithm.digest_len())
}

/// Computes HKDF-Expand-Label into `out`, at most 255 hashes long.
fn expand_long<H: Hasher>(
    algorithm: HashAlgorithm,
    secret: &Secret,
    label: &[u8],
    context: &[u8],
    out: &mut [u8],
) {
    let info = Info::new(label, context, out.len());
    let mut block = Secret::ZERO;
    // Each block begins with the one before (RFC 5869, section 2.3).
    let mut block_len = 0;
    for (chunk, count) in out.chunks_mut(algorithm.digest_len()).zip(1..=u8::MAX) {
        let before = part(block.get(algorithm), ..block_len);
        block = info.block::<H>(algorithm, secret, before, count);
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
    expand_long::<H>(algorithm, &secret, b"exporter", context.get(algorithm), out);
    true
}

/// Computes Derive-Secret; `transcript` is the digest of the messages.
pub(crate) fn derive_secret<H: Hasher>(
    algorithm: HashAlgorithm,
    secret: &Secret,
    label: &[u8],
    transcript: &Secret,
) -> Secret {
    expand::<H>(algorithm, secret, label, transcript.get(algorithm))
}

/// Computes the content of `Finished` (RFC 8446, section 4.4.4).
pub(crate) fn finished<H: Hasher>(
    algorithm: HashAlgorithm,
    base: &Secret,
    transcript: &Secret,
) -> Secret {
    let key = expand::<H>(algorithm, base, b"finished", &[]);
    H::hmac(algorithm, key.get(algorithm), &[transcript.get(algorithm)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::crypto::rustcrypto::Sha2;

    #[test]
    fn no_psk_is_one_of_zeros() {
        let shared = [7; 32];
        for algorithm in [HashAlgorithm::Sha256, HashAlgorithm::Sha384] {
            let none = Schedule::handshake::<Sha2>(algorithm, None, &shared);
            let zeros = Schedule::handshake::<Sha2>(algorithm, Some(&Secret::ZERO), &shared);
            assert_eq!(none.secret.0, zeros.secret.0, "{algorithm:?}");
        }
    }
}
