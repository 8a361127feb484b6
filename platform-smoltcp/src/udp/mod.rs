//! Datagram sockets (UDP, RFC 768) as such: whose they are, where they are bound, and what waits.
//!
//! [`memory`] is what the caller lends, [`slot`] one socket, [`queue`] the bytes of what waits in
//! one direction, and [`sockets`] all of them with the table they are found by. Nothing here knows
//! of frames, of a device or of neighbours: [`crate::stack`] writes and reads those.

pub(crate) mod memory;
pub(crate) mod queue;
pub(crate) mod slot;
pub(crate) mod sockets;
