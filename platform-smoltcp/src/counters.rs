//! What happened so far, for operators.

/// Counts of a stack's life. All wrap only in theory.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Counters {
    /// Frames received.
    pub received: u64,
    /// Frames that were cut short or no packet at all, packets whose IPv4 or TCP checksum is wrong,
    /// and SYNs that are FINs as well.
    pub malformed: u64,
    /// Fragments refused.
    pub fragments: u64,
    /// Segments from impossible sources, such as ourselves (the "land" attack) or everybody.
    pub impossible: u64,
    /// SYNs dropped silently because the accept queue or the pool was full.
    pub syns_dropped: u64,
    /// Handshakes answered with a SYN cookie.
    pub cookies_sent: u64,
    /// Connections made from a SYN cookie that came back.
    pub cookies_taken: u64,
    /// Handshakes that took longer than their limit.
    pub handshakes_expired: u64,
    /// Half-open connections that made place.
    pub half_open_evicted: u64,
    /// Connections in TIME-WAIT that made place.
    pub time_wait_evicted: u64,
    /// Connections closed by their owner, delivered but not ended by both, that made place.
    pub closing_evicted: u64,
    /// Connections closed by their owner whose peers took nothing more, that made place.
    pub stuck_evicted: u64,
    /// Connections that entered an accept queue.
    pub established: u64,
    /// Times a connection had to wait for its neighbour's hardware address.
    pub neighbour_waits: u64,
    /// Times the device was full.
    pub device_full: u64,
    /// Times a connection found no free set ([`SizeClass::leased`](crate::SizeClass)).
    pub starved: u64,
    /// Connections that lost what had come out of order, since others wanted their set.
    pub reneged: u64,
    /// Datagrams that came for a socket whose memory was full.
    #[cfg(feature = "datagrams")]
    pub datagrams_dropped: u64,
    /// Datagrams that waited for a neighbour and made place for later ones.
    #[cfg(feature = "datagrams")]
    pub datagrams_displaced: u64,
    /// Connections given up since their peer took nothing and others wanted their set.
    pub stalled_evicted: u64,
}
