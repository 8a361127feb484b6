//! What the engine needs from a cryptographic library, and the one that comes along.
//!
//! In reading order:
//!
//! | file | what is in it |
//! |---|---|
//! | `provider` | [`Crypto`], [`Machine`] and [`Signer`], and the types they exchange |
//! | `room` | [`WithRoom`], any cryptography with room for longer messages |
//! | `rustcrypto` | [`RustCrypto`], the implementation over the crates of the RustCrypto project |
//! | `signature` | signing keys, and verification by each algorithm |
//! | `ecdsa`, `eddsa`, `rsa` | verification on a small stack |
//! | `multiples` | sums of multiples of points, for `ecdsa` and `eddsa` |
//! | `x25519`, `nist`, `mlkem` | key exchange |
//! | `hmac` | HMAC of short messages, which the key schedule is made of |
//! | `der` | the little DER that keys and signatures need |
//!
//! May import `alert` and `wire`.
//!
//! [`Crypto`]: provider::Crypto
//! [`Machine`]: provider::Machine
//! [`Signer`]: provider::Signer
//! [`RustCrypto`]: rustcrypto::RustCrypto
//! [`WithRoom`]: room::WithRoom

pub(crate) mod der;
pub(crate) mod ecdsa;
pub(crate) mod eddsa;
pub(crate) mod hmac;
#[cfg(feature = "tls-mlkem")]
pub(crate) mod mlkem;
pub(crate) mod multiples;
pub(crate) mod nist;
pub(crate) mod provider;
pub(crate) mod room;
#[cfg(feature = "tls-rsa")]
pub(crate) mod rsa;
pub(crate) mod rustcrypto;
pub(crate) mod signature;
pub(crate) mod x25519;
