//! HMAC (RFC 2104): of any hash function, and of SHA-256 for messages as short as the key
//! schedule's.

use sha2::block_api::compress256;
use zeroize::Zeroize;

use crate::invariant::invariant;
use crate::tls::crypto::provider::{HashAlgorithm, Hasher, Secret};
use crate::tls::wire::{copy_whole, fit, part_mut, split_mut};

/// What the key's block is combined with for the inner hash.
const INNER: u8 = 0x36;
/// And for the outer one.
const OUTER: u8 = 0x5c;

/// Computes HMAC over the concatenation of `parts` with two hashers. `key` is at most a block long.
pub(crate) fn by_hashers<H: Hasher>(
    algorithm: HashAlgorithm,
    key: &[u8],
    parts: &[&[u8]],
) -> Secret {
    invariant!(
        key.len() <= algorithm.block_len(),
        "longer keys are not hashed down"
    );
    let mut room = [0_u8; 128];
    let block = part_mut(&mut room, ..algorithm.block_len());
    copy_whole(block, key);
    combine(block, INNER);
    let mut inner = H::new(algorithm);
    inner.update(block);
    for part in parts {
        inner.update(part);
    }
    combine(block, INNER ^ OUTER);
    let mut outer = H::new(algorithm);
    outer.update(block);
    block.zeroize();
    outer.update(inner.finish().get(algorithm));
    outer.finish()
}

fn combine(block: &mut [u8], pad: u8) {
    for byte in block {
        *byte ^= pad;
    }
}

/// Bytes of a block of SHA-256.
const BLOCK: usize = 64;
/// Most bytes of a hash's last block that are not padding.
const LAST_MAX: usize = BLOCK - 9;
/// What SHA-256 begins with (FIPS 180-4, section 5.3.3).
const INITIAL: [u32; 8] = [
    0x6a09_e667,
    0xbb67_ae85,
    0x3c6e_f372,
    0xa54f_f53a,
    0x510e_527f,
    0x9b05_688c,
    0x1f83_d9ab,
    0x5be0_cd19,
];

/// Computes HMAC with SHA-256 by the compression function alone. Two hashers' buffers would take as
/// long as the hashing where so little is hashed, and a handshake makes some 25 codes. `None` if
/// the message does not fit into one block with its padding.
pub(crate) fn of_short_message(key: &[u8], parts: &[&[u8]]) -> Option<Secret> {
    invariant!(key.len() <= BLOCK, "longer keys are not hashed down");
    let lens = parts.iter().map(|part| part.len());
    let len = lens.fold(0, usize::saturating_add);
    if len > LAST_MAX {
        return None;
    }
    let mut blocks = [[0; BLOCK]; 2];
    let [first, last] = &mut blocks;
    copy_whole(first, key);
    combine(first, INNER);
    let mut room = last.as_mut_slice();
    for part in parts {
        let (to, rest) = split_mut(room, part.len());
        copy_whole(to, part);
        room = rest;
    }
    pad(last, len);
    let mut digest = hash(&blocks);

    let [first, last] = &mut blocks;
    combine(first, INNER ^ OUTER);
    *last = [0; BLOCK];
    put(last, &digest);
    pad(last, HashAlgorithm::Sha256.digest_len());
    digest = hash(&blocks);

    let mut code = Secret::ZERO;
    put(code.get_mut(HashAlgorithm::Sha256), &digest);
    blocks.as_flattened_mut().zeroize();
    digest.as_mut_slice().zeroize();
    Some(code)
}

/// Pads the last of two blocks, of which `len` bytes are taken (FIPS 180-4, section 5.1.1).
fn pad(last: &mut [u8; BLOCK], len: usize) {
    if let Some(end) = last.get_mut(len) {
        *end = 0x80;
    }
    let bits = fit::<u64>(len.saturating_add(BLOCK)).wrapping_mul(8);
    if let Some(place) = last.last_chunk_mut() {
        *place = bits.to_be_bytes();
    }
}

fn hash(blocks: &[[u8; BLOCK]; 2]) -> [u32; 8] {
    let mut state = INITIAL;
    compress256(&mut state, blocks);
    state
}

fn put(place: &mut [u8], digest: &[u32; 8]) {
    let (words, _) = place.as_chunks_mut();
    for (to, word) in words.iter_mut().zip(digest) {
        *to = word.to_be_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::crypto::rustcrypto::Sha2;

    #[test]
    fn short_messages_are_hashed_as_by_hashers() {
        let mut bytes = [0_u8; 2 * BLOCK];
        for (byte, n) in bytes.iter_mut().zip(0_u8..) {
            *byte = n.wrapping_mul(7);
        }
        for key_len in 0..=BLOCK {
            for len in 0..=LAST_MAX + 2 {
                let (key, message) = (&bytes[..key_len], &bytes[..len]);
                let (front, back) = message.split_at(len / 3);
                let parts: [&[u8]; 3] = [front, &[], back];
                let wanted = by_hashers::<Sha2>(HashAlgorithm::Sha256, key, &parts);
                let made = of_short_message(key, &parts);
                assert_eq!(made.is_some(), len <= LAST_MAX, "{len} bytes");
                if let Some(made) = made {
                    assert_eq!(made.0, wanted.0, "a key of {key_len}, {len} bytes");
                }
            }
        }
    }
}
