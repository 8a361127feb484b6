//! Certificates: whose they are and who vouches for them.
//!
//! In reading order:
//!
//! | file | what is in it |
//! |---|---|
//! | `name` | DNS names and IP addresses, as they are asked for and as certificates have them |
//! | `fields` | what is read of a certificate to find a path |
//! | `path` | the path from a certificate to a trusted authority, and its signatures |
//! | `ocsp`, `revocation` | what says that a certificate is revoked: responses and lists |
//! | `verify` | the certificates that a peer shows, verified with rustls-webpki |
//! | `error` | why they were refused |
//! | `pem` | certificates and keys out of PEM files (RFC 7468) |
//!
//! May import `alert`, `wire` and [`crypto`](crate::tls::crypto).

pub(crate) mod error;
pub(crate) mod fields;
pub(crate) mod name;
pub(crate) mod ocsp;
pub(crate) mod path;
pub(crate) mod pem;
pub(crate) mod revocation;
pub(crate) mod verify;
