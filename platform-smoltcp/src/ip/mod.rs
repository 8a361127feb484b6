//! Below TCP: own addresses and the next hop to others ([`route`]), who has which hardware address
//! on the link ([`neighbour`]), what several stacks know of that together ([`shared`]), and the
//! messages by which it is found out ([`resolve`]).

use usockets::Duration;

pub(crate) mod neighbour;
pub(crate) mod resolve;
pub(crate) mod route;
#[cfg(all(feature = "queues", target_has_atomic = "32"))]
pub(crate) mod shared;

/// How long after it was last confirmed a neighbour is asked for again, while still in use.
const FRESH_MAX: Duration = Duration::from_secs(30);
