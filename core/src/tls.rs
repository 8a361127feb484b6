//! TLS 1.3 (RFC 8446) without heap.

mod alert;
mod auth;
mod client;
mod config;
mod connection;
mod crypto;
mod der;
mod extension;
mod handshake;
mod hello;
mod layer;
mod lend;
mod memory;
#[cfg(feature = "tls-mlkem")]
mod mlkem;
mod opening;
mod pem;
mod record;
#[cfg(test)]
mod rfc8448;
mod rustcrypto;
mod schedule;
mod secrets;
mod server;
mod signature;
mod ticket;
mod traffic;
mod transfer;
mod verify;
mod wire;

pub use alert::Alert;
pub use config::{ClientAuth, ClientConfig, Config, Identity, ServerConfig, Setup};
pub use connection::{Connection, Event, Received};
pub use crypto::{
    Crypto, Group, HASH_MAX, HashAlgorithm, Hasher, Machine, PRIVATE_MAX, Private, SHARE_MAX,
    SHARED_MAX, Scheme, Secret, Shared, Signer, Suite, TAG,
};
pub use handshake::{Handshake, MESSAGE_MAX};
pub use layer::{Tls, TlsSocket};
pub use memory::TlsMemory;
pub use pem::Pem;
pub use pki_types::TrustAnchor;
pub use record::{HEADER, OVERHEAD, PLAINTEXT_MAX, RECORD_MAX};
pub use rustcrypto::{RustCrypto, Sha2};
pub use signature::{EcdsaP256Key, Ed25519Key};
pub use ticket::TicketKeys;
pub use traffic::CONTROL_MAX;
pub use wire::Output;
