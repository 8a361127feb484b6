//! A client that the crate embedded-tls makes. Feature `embedded-tls`.
//!
//! | file | what is in it |
//! |---|---|
//! | `client` | a session, its buffers, and the gate that keeps records from it that it panics on |
//! | `prover` | verification of the server and proof of the client, for that crate |
//!
//! May import all of [`tls`](crate::tls) but [`layer`](crate::tls::layer).

pub(crate) mod client;
pub(crate) mod prover;
