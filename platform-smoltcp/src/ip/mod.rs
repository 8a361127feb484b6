//! Below TCP: own addresses and the next hop to others ([`route`]), who has which hardware address
//! on the link ([`neighbour`]), and the messages by which that is found out ([`resolve`]).

pub(crate) mod neighbour;
pub(crate) mod resolve;
pub(crate) mod route;
