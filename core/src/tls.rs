//! TLS 1.3 (RFC 8446), for servers and clients, without heap. Feature `tls`.
//!
//! [`Tls`] is a platform over any platform: endpoints made by [`Endpoint::tls`] are secured, the
//! others pass through, and a handler cannot tell them apart. Below it is an engine that knows no
//! transport, [`Connection`], which takes records and gives records.
//!
//! | | |
//! |---|---|
//! | Suites | AES-128-GCM, AES-256-GCM, ChaCha20-Poly1305 |
//! | Key exchange | X25519, P-256; P-384 with feature `tls-p384`, X25519MLKEM768 with `tls-mlkem` |
//! | Own keys | P-256, Ed25519, or any [`Signer`], such as RSA elsewhere or a slow secure element |
//! | Certificates | P-256, P-384 and Ed25519 signatures, verified by rustls-webpki |
//! | | RSA of 2,048 to 4,096 bits with feature `tls-rsa` |
//! | Names | SNI, exact and wildcard, with a certificate and a client policy each; IP addresses; |
//! | | a hook for other names ([`FindIdentity`]) |
//! | Revocation | OCSP responses, shown and verified ([`OcspPolicy`]); lists ([`RevocationList`]) |
//! | Also | ALPN, client certificates, tickets, `HelloRetryRequest`, `KeyUpdate` |
//! | | record size limits, exporters, key logs |
//! | Never | early data, renegotiation, compression, older versions |
//!
//! # Memory
//!
//! An open connection that idles costs its keys and counters, at most 256 bytes beyond the
//! platform's socket. All else is leased from a [`TlsMemory`] while it is needed, and that is for
//! whole units only, so that a slow peer keeps nothing that others need:
//!
//! | leased | bytes each | while | when all are leased |
//! |---|---|---|---|
//! | handshake | 9,328 | a whole hello is answered, or more is awaited | it waits; connects fail |
//! | parking place | 176 | only the client's last message is awaited | it is not parked |
//! | exchange place | 1,152 | a client's certificate or second hello is awaited | likewise |
//! | input | 16,720 | a record is read | it waits |
//! | output | 16,720, or as few as 328 | records are sent | it waits |
//! | place to wait | 24 | | |
//!
//! The sizes are those of a machine of 64 bits.
//!
//! Parking places are given apart ([`Tls::with_parking`]), eight for each handshake at best, and
//! for servers that ask for certificates as many exchange places
//! ([`Tls::with_exchange_parking`]). A record that has come or was taken in part keeps its input or
//! output as long as others are free.
//! Where the last input is in use, a record that has not come as a whole is left in the platform
//! ([`Platform::peek`], [`Platform::set_low_water`]); where the last output is, records are small,
//! and the end of one that was taken in part is parked. Leases end only when others wait, the
//! sooner the more there are ([`Tls::with_lease_max`]): whoever has made no progress for longest
//! gives way first, and is closed.
//!
//! A handshake of which a part of a client's certificate has come, or all of it but no proof that
//! it is the client's, cannot be parked: it loses its lease as soon as others wait, the oldest
//! first. Clients send all of that in one go.
//!
//! What is not bounded so: where a platform cannot be looked into, or never holds a whole record,
//! slow peers can make others wait for leases to end.
//!
//! | for | sockets | handshakes | inputs | outputs | memory |
//! |---|---|---|---|---|---|
//! | a board that serves four ([`WithRoom`], outputs of 2.5 KiB) | 5 | 2 | 1 | 3 | 33 KiB |
//! | a device with one connection | 1 | 1 | 1 | 1 | 43 KiB |
//! | a gateway | 64 | 2 | 2 | 4 | 120 KiB |
//! | a server | 10,000 | 64 | 64 | 256 | 6.0 MiB |
//!
//! With one handshake, input and output everything works, one connection after the other; such
//! a pool keeps nothing in reserve.
//!
//! Keys are wiped when they are replaced and when a socket closes. Plaintext in leased records is
//! overwritten by the next use only.
//!
//! # What a program provides
//!
//! - a [`Machine`]: random bytes and the wall clock;
//! - a [`Config`]: identities, trusted authorities ([`TrustAnchor`]), protocols, all borrowed; or
//!   several, one for each listener and each connect that says so ([`Tls::with_configs`]);
//! - the memory, for example in a static.
//!
//! # Inside
//!
//! | folder | what it has |
//! |---|---|
//! | `layer` | the platform over a platform: sockets, what is leased, how records come and go |
//! | `connection` | the engine: one connection's records and states |
//! | `handshake` | messages of both sides, and what they lead to |
//! | `certificate` | chains, names, revocation, and their errors |
//! | `record` | protection of records |
//! | `crypto` | keys, hashes and signatures, by the crates that compute them |
//! | `wire` | reading and writing what is sent |
//! | `embedded` | the engine of the crate `embedded-tls`, as a client |
//!
//! [`Endpoint::tls`]: crate::Endpoint::tls
//! [`Platform::peek`]: crate::Platform::peek
//! [`Platform::set_low_water`]: crate::Platform::set_low_water

mod alert;
mod certificate;
mod connection;
mod crypto;
#[cfg(feature = "embedded-tls")]
mod embedded;
mod handshake;
mod layer;
mod record;
mod wire;

pub use alert::Alert;
pub use certificate::error::CertificateError;
pub use certificate::ocsp::OcspPolicy;
pub use certificate::pem::{Pem, PemError};
pub use certificate::revocation::{RevocationList, RevocationListError};
pub use connection::event::{Event, Received};
pub use connection::state::Connection;
pub use connection::traffic::CONTROL_MAX;
pub use crypto::der::KeyError;
pub use crypto::provider::{
    Crypto, Group, HASH_MAX, HashAlgorithm, Hasher, MESSAGE_MAX, Machine, MessageRoom, PRIVATE_MAX,
    Private, SHARE_MAX, SHARED_MAX, Scheme, Secret, Shared, SignatureId, Signer, Suite, TAG,
};
pub use crypto::room::WithRoom;
pub use crypto::rustcrypto::{RustCrypto, Sha2};
pub use crypto::signature::{EcdsaP256Key, Ed25519Key};
#[cfg(feature = "embedded-tls")]
pub use embedded::client::{EmbeddedClient, EmbeddedError, EmbeddedLink, EmbeddedState};
pub use handshake::check::IdentityError;
pub use handshake::config::{
    ClientAuth, ClientConfig, Config, FindIdentity, Identity, ServerConfig, Setup,
};
pub use handshake::exchange::Handshake;
pub use handshake::failure::{HandshakeFailure, HandshakeStats, ObserveHandshakes};
pub use handshake::peer::Peer;
pub use handshake::session::Session;
pub use handshake::ticket_keys::TicketKeys;
pub use layer::memory::TlsMemory;
pub use layer::platform::Tls;
pub use layer::slab::{ExchangePlace, ParkingPlace};
pub use layer::socket::TlsSocket;
pub use pki_types::{SignatureVerificationAlgorithm, TrustAnchor};
pub use record::protection::{HEADER, OVERHEAD, PLAINTEXT_MAX, RECORD_MAX};
pub use wire::Output;
