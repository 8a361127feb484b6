//! X25519 (RFC 7748) by aws-lc's own functions. Through aws-lc-rs a peer's key is read as a
//! document, and both keys become objects on the heap.

#![expect(
    unsafe_code,
    reason = "functions of a C library are unsafe by their type"
)]

use core::ffi::c_int;

use aws_lc_sys::{X25519, X25519_public_from_private};

/// Bytes of a key and of a secret.
pub(super) const LEN: usize = 32;

/// Returns the public key of `private`.
pub(super) fn public(private: &[u8; LEN]) -> [u8; LEN] {
    let mut public = [0; LEN];
    // SAFETY: it reads as many bytes as `private` has, and writes as many as `public` has (the
    // types are those of its declaration in C, `uint8_t[32]`); it keeps neither address.
    unsafe { X25519_public_from_private(public.as_mut_ptr(), private.as_ptr()) };
    public
}

/// Puts into `shared` what `private` and the peer's public key have in common. Returns `false` if
/// that is all zeros, as the peer's key is of a small order.
pub(super) fn agree(private: &[u8; LEN], theirs: &[u8; LEN], shared: &mut [u8; LEN]) -> bool {
    const AGREED: c_int = 1;
    // SAFETY: it reads as many bytes as `private` and `theirs` have, and writes as many as `shared`
    // has (`uint8_t[32]` each); it keeps no address.
    let result = unsafe { X25519(shared.as_mut_ptr(), private.as_ptr(), theirs.as_ptr()) };
    result == AGREED
}
