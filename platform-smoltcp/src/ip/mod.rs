//! Below TCP: own addresses and the next hop to others ([`route`]), who has which hardware address
//! on the link ([`neighbour`]), and the messages by which that is found out ([`resolve`]). Whether
//! own addresses are others' as well (`dad`), and which echo requests were sent (`echo`). Of
//! several stacks that are one host: what they know of neighbours together (`shared`), and which of
//! several queues a card chooses (`rss`).

use usockets::{Duration, Instant};

#[cfg(feature = "dad")]
pub(crate) mod dad;
#[cfg(feature = "echo")]
pub(crate) mod echo;
pub(crate) mod neighbour;
pub(crate) mod resolve;
pub(crate) mod route;
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
pub(crate) mod rss;
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
pub(crate) mod shared;

/// How long after it was last confirmed a neighbour is asked for again, while still in use.
const FRESH_MAX: Duration = Duration::from_secs(30);
/// Times that an own address is announced, and time between two: `ANNOUNCE_NUM` and
/// `ANNOUNCE_INTERVAL` (RFC 5227, section 1.1).
pub(crate) const ANNOUNCEMENTS: u8 = 2;
pub(crate) const ANNOUNCE_INTERVAL: Duration = Duration::from_secs(2);
/// A time that never comes.
pub(crate) const NEVER: Instant = Instant::from_micros(u64::MAX);
