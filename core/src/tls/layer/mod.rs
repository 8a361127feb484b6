//! The layer: TLS over any platform, with memory leased to sockets while they need it.
//!
//! In reading order:
//!
//! | file | what is in it |
//! |---|---|
//! | `platform` | [`Tls`](platform::Tls), its socket, and its implementation of the contract |
//! | `flags` | what is remembered of a socket, in bits |
//! | `lease` | a pool of entries that are leased to sockets in order |
//! | `memory` | the memory of the pools, from the caller |
//! | `leases` | what one socket has leased, and giving it back |
//! | `opening` | the handshake through the layer |
//! | `transfer` | data of an open connection through the layer |
//!
//! May import all of [`tls`](crate::tls) but `embedded`.

pub(crate) mod flags;
pub(crate) mod lease;
pub(crate) mod leases;
pub(crate) mod memory;
pub(crate) mod opening;
pub(crate) mod platform;
pub(crate) mod transfer;
