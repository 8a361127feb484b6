//! What the caller lends for datagram sockets.

use crate::udp::queue::HEAD_LEN;
use crate::udp::slot::DatagramSlot;

/// The memory of a stack's datagram sockets, lent for as long as it lives
/// ([`Stack::start_datagrams`](crate::Stack::start_datagrams)).
///
/// Each socket has an equal part of [`Self::received`] and of [`Self::held`], for life. A datagram
/// takes its bytes and [`Self::HEAD_LEN`] more in either.
#[expect(clippy::exhaustive_structs, reason = "the caller makes it")]
pub struct DatagramMemory<'a> {
    /// One for each socket; 65,535 at most.
    pub sockets: &'a mut [DatagramSlot],
    /// The table from ports to sockets; the largest power of two of them is used. As many as
    /// sockets, or more.
    pub buckets: &'a mut [u32],
    /// What has come and was not received yet. What finds no room is dropped and counted
    /// ([`Counters::datagrams_dropped`](crate::Counters::datagrams_dropped)).
    pub received: &'a mut [u8],
    /// What waits for a neighbour's hardware address. Where no room is left the oldest makes
    /// place, as RFC 1122, section 2.3.2.2, has it; without any, what is sent before the neighbour
    /// has answered is lost. Not used on a device without Ethernet.
    pub held: &'a mut [u8],
}

impl DatagramMemory<'_> {
    /// Bytes that a datagram takes beside its own.
    pub const HEAD_LEN: usize = HEAD_LEN;
}

impl core::fmt::Debug for DatagramMemory<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("DatagramMemory")
            .field("sockets", &self.sockets.len())
            .field("received", &self.received.len())
            .field("held", &self.held.len())
            .finish_non_exhaustive()
    }
}
