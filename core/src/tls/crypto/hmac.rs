//! HMAC (RFC 2104) with SHA-256 for messages as short as the key schedule's.

use sha2::block_api::compress256;
use zeroize::Zeroize;

use crate::invariant::invariant;
use crate::tls::wire::{copy_whole, fit, split_mut};

/// What the key's block is combined with for the inner hash.
pub(crate) const INNER: u8 = 0x36;
/// And for the outer one.
pub(crate) const OUTER: u8 = 0x5c;

/// Combines a key's block with either.
pub(crate) fn combine(block: &mut [u8], pad: u8) {
    for byte in block {
        *byte ^= pad;
    }
}

/// Bytes of SHA-256.
const DIGEST: usize = 32;
/// Bytes of a block of it.
pub(crate) const BLOCK: usize = 64;
/// Most bytes of a hash's last block that are not padding: as long as the longest message of a
/// handshake's secrets, which is that of the label `c hs traffic`.
pub(crate) const LAST_MAX: usize = BLOCK - 9;
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
/// long as the hashing where so little is hashed, and a handshake makes some 25 codes. `false`, and
/// nothing is done, if the message does not fit into one block with its padding.
pub(crate) fn of_short_message(key: &[u8], parts: &[&[u8]], code: &mut [u8]) -> bool {
    invariant!(key.len() <= BLOCK, "longer keys are not hashed down");
    let lens = parts.iter().map(|part| part.len());
    let len = lens.fold(0, usize::saturating_add);
    if len > LAST_MAX {
        return false;
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
    pad(last, DIGEST);
    digest = hash(&blocks);

    put(code, &digest);
    blocks.as_flattened_mut().zeroize();
    digest.as_mut_slice().zeroize();
    true
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
