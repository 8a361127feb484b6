//! The layer: TLS over any platform, with memory leased to sockets while they need it.
//!
//! In reading order:
//!
//! | file | what is in it |
//! |---|---|
//! | `queue` | sockets that wait for their turn |
//! | `pool` | entries that are leased to sockets in order |
//! | `buffers` | buffers for records, leased as the entries of a pool are |
//! | `slab` | small places that nobody waits for |
//! | `memory` | the pools' memory, from the caller |
//! | `flags`, `socket` | what is remembered of a socket |
//! | `platform` | [`Tls`](platform::Tls), and its implementation of the contract |
//! | `leases` | what one socket has leased, and its release |
//! | `opening` | the handshake through the layer |
//! | `datagrams` | datagram sockets, which pass through |
//! | `descriptors` | descriptors that go in and out below TLS |
//! | `receiving`, `sending` | data of an open connection through the layer |
//! | `search` | copies of a layer, and fingerprints of its state |
//!
//! May import all of [`tls`](crate::tls) but `embedded`.

pub(crate) mod buffers;
pub(crate) mod datagrams;
mod descriptors;
pub(crate) mod flags;
pub(crate) mod leases;
pub(crate) mod memory;
pub(crate) mod opening;
pub(crate) mod platform;
pub(crate) mod pool;
pub(crate) mod queue;
pub(crate) mod receiving;
#[cfg(feature = "search")]
pub(crate) mod search;
pub(crate) mod sending;
pub(crate) mod slab;
pub(crate) mod socket;
