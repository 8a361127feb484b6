//! The handshake (RFC 8446, section 4), of both sides.
//!
//! In reading order:
//!
//! | file | what is in it |
//! |---|---|
//! | `config` | what a program configures: identities, authorities, protocols |
//! | `check` | what is wrong with an identity of one's own |
//! | `extension`, `hello` | the hellos and their extensions, read from the wire |
//! | `message` | the kinds of messages, and where they are put together |
//! | `exchange` | what a connection needs only while it shakes hands: the states of each side |
//! | `transcript` | the hash of the messages |
//! | `failure` | handshakes that failed, reported to the program and counted |
//! | `pace` | how many signatures one call may verify |
//! | `peer` | what a handshake has shown of the peer |
//! | `secrets` | which secrets the key schedule gives at which stage |
//! | `auth` | `Certificate`, `CertificateVerify` and `Finished`, of both sides |
//! | `flight` | our own flight from its start to its keys, of both sides |
//! | `server`, `client` | what each side does on each message |
//! | `ticket_keys` | the keys that protect a server's tickets |
//! | `ticket`, `session` | resumption: a server's tickets, and where a client keeps them |
//!
//! May import `alert`, `wire`, [`crypto`](crate::tls::crypto), [`record`](crate::tls::record),
//! [`certificate`](crate::tls::certificate) and the state of a
//! [`connection`](crate::tls::connection).

pub(crate) mod auth;
pub(crate) mod check;
pub(crate) mod client;
pub(crate) mod config;
pub(crate) mod exchange;
pub(crate) mod extension;
pub(crate) mod failure;
pub(crate) mod flight;
pub(crate) mod hello;
pub(crate) mod message;
pub(crate) mod pace;
pub(crate) mod peer;
#[cfg(test)]
mod rfc8448;
pub(crate) mod secrets;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod ticket;
pub(crate) mod ticket_keys;
pub(crate) mod transcript;
