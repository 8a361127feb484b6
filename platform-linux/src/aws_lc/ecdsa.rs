//! ECDSA keys (FIPS 186-5) by aws-lc's own functions, which make fewer objects on the heap for each
//! signature than aws-lc-rs does.

#![expect(
    unsafe_code,
    reason = "functions of a C library are unsafe by their type"
)]

use core::ffi::{c_int, c_long, c_uint};
use core::fmt;
use core::ptr::{NonNull, null_mut};

use aws_lc_sys::{EC_KEY, EC_KEY_free, ECDSA_sign, ECDSA_size, d2i_ECPrivateKey};

/// Bytes of the longest signature: of P-384, two numbers of 48 bytes in DER, each with a zero in
/// front.
const SIGNATURE_MAX: usize = 2 + 2 * (2 + 1 + 48);

/// A key on the curve that whoever made it has checked.
pub(super) struct EcKey(NonNull<EC_KEY>);

// SAFETY: an `EC_KEY` is bound to no thread.
unsafe impl Send for EcKey {}
// SAFETY: what is done through a shared reference takes a `const EC_KEY`, which threads may do at
// the same time (openssl/ec_key.h).
unsafe impl Sync for EcKey {}

impl EcKey {
    /// Returns the key of an `ECPrivateKey` (RFC 5915); `None` if it is none, names no curve, or is
    /// one whose signatures are longer than those of P-384.
    pub(super) fn new(document: &[u8]) -> Option<Self> {
        let len = c_long::try_from(document.len()).ok()?;
        let mut at = document.as_ptr();
        // SAFETY: it reads no more than `len` bytes at `at`, which it moves on, and keeps no
        // address. Without a place for it, it returns a new key, which only we refer to.
        let key = unsafe { d2i_ECPrivateKey(null_mut(), &raw mut at, len) };
        let key = Self(NonNull::new(key)?);
        // SAFETY: the key lives as long as its owner.
        let most = unsafe { ECDSA_size(key.0.as_ptr()) };
        (most <= SIGNATURE_MAX).then_some(key)
    }

    /// Signs a message by its digest; returns the length of the signature, which is in DER. `None`
    /// if it has no room, or aws-lc cannot.
    pub(super) fn sign(&self, digest: &[u8], signature: &mut [u8]) -> Option<usize> {
        const SIGNED: c_int = 1;
        let mut made = [0; SIGNATURE_MAX];
        let mut len: c_uint = 0;
        // SAFETY: it reads the bytes of `digest`, and writes at most `ECDSA_size` bytes to `made`,
        // which has as many (`new`), and their number to `len`. The key lives as long as its owner.
        let result = unsafe {
            ECDSA_sign(
                0,
                digest.as_ptr(),
                digest.len(),
                made.as_mut_ptr(),
                &raw mut len,
                self.0.as_ptr(),
            )
        };
        if result != SIGNED {
            return None;
        }
        let made = made.get(..usize::try_from(len).ok()?)?;
        signature.get_mut(..made.len())?.copy_from_slice(made);
        Some(made.len())
    }
}

impl Drop for EcKey {
    fn drop(&mut self) {
        // SAFETY: only the owner refers to the key, and it is gone.
        unsafe { EC_KEY_free(self.0.as_ptr()) };
    }
}

impl fmt::Debug for EcKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("EcKey")
    }
}
