//! Certificates: whose they are and who vouches for them.
//!
//! In reading order:
//!
//! | file | what is in it |
//! |---|---|
//! | `name` | DNS names and IP addresses, as they are asked for and as certificates have them |
//! | `verify` | the chain that a peer shows, verified by rustls-webpki |
//! | `pem` | certificates and keys out of PEM files (RFC 7468) |
//!
//! May import `alert`, `wire` and [`crypto`](crate::tls::crypto).

pub(crate) mod name;
pub(crate) mod pem;
pub(crate) mod verify;
