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
    /// Connections in TIME-WAIT that made place for others, of slots or in a full table.
    pub time_wait_evicted: u64,
    /// Connections closed by their owner, delivered but not ended by both, that made place.
    pub closing_evicted: u64,
    /// Connections closed by their owner whose peers took nothing more, that made place.
    pub stuck_evicted: u64,
    /// Connections that entered an accept queue.
    pub established: u64,
    /// Times a connection had to wait for its neighbour's hardware address.
    pub neighbour_waits: u64,
    /// Times another station of the link said that it has an own address (RFC 5227, section 2.4).
    pub conflicts: u64,
    /// Own addresses that another station was found to have, or to want, while they were probed
    /// (RFC 5227, section 2.1; RFC 4862, section 5.4).
    #[cfg(feature = "dad")]
    pub duplicates: u64,
    /// Times the device was full.
    pub device_full: u64,
    /// Times a connection found no free set ([`SizeClass::leased`](crate::SizeClass)).
    pub starved: u64,
    /// Connections that lost what had come out of order, since others wanted their set.
    pub reneged: u64,
    /// Packets given to the stack of another queue, to which their connection or datagram socket
    /// belongs.
    #[cfg(all(feature = "queues", target_has_atomic = "32"))]
    pub handed_over: u64,
    /// Packets for the stack of another queue that it had no room for, or that were too large.
    #[cfg(all(feature = "queues", target_has_atomic = "32"))]
    pub hand_overs_dropped: u64,
    /// Datagrams that came for a socket whose memory was full.
    #[cfg(feature = "datagrams")]
    pub datagrams_dropped: u64,
    /// Datagrams that waited for a neighbour and made place for later ones.
    #[cfg(feature = "datagrams")]
    pub datagrams_displaced: u64,
    /// Packets of TCP that came with the codepoint CE, marked by a router that has too much to do
    /// (RFC 3168).
    #[cfg(feature = "ecn")]
    pub congestion_marks: u64,
    /// Connections given up since their peer took nothing and others wanted their set.
    pub stalled_evicted: u64,
}

impl Counters {
    /// Returns the sums of both, as for several stacks that are one host.
    #[must_use]
    pub const fn sum(self, other: Self) -> Self {
        Self {
            received: self.received.wrapping_add(other.received),
            malformed: self.malformed.wrapping_add(other.malformed),
            fragments: self.fragments.wrapping_add(other.fragments),
            impossible: self.impossible.wrapping_add(other.impossible),
            syns_dropped: self.syns_dropped.wrapping_add(other.syns_dropped),
            cookies_sent: self.cookies_sent.wrapping_add(other.cookies_sent),
            cookies_taken: self.cookies_taken.wrapping_add(other.cookies_taken),
            handshakes_expired: self
                .handshakes_expired
                .wrapping_add(other.handshakes_expired),
            half_open_evicted: self.half_open_evicted.wrapping_add(other.half_open_evicted),
            time_wait_evicted: self.time_wait_evicted.wrapping_add(other.time_wait_evicted),
            closing_evicted: self.closing_evicted.wrapping_add(other.closing_evicted),
            stuck_evicted: self.stuck_evicted.wrapping_add(other.stuck_evicted),
            established: self.established.wrapping_add(other.established),
            neighbour_waits: self.neighbour_waits.wrapping_add(other.neighbour_waits),
            conflicts: self.conflicts.wrapping_add(other.conflicts),
            #[cfg(feature = "dad")]
            duplicates: self.duplicates.wrapping_add(other.duplicates),
            device_full: self.device_full.wrapping_add(other.device_full),
            starved: self.starved.wrapping_add(other.starved),
            reneged: self.reneged.wrapping_add(other.reneged),
            #[cfg(all(feature = "queues", target_has_atomic = "32"))]
            handed_over: self.handed_over.wrapping_add(other.handed_over),
            #[cfg(all(feature = "queues", target_has_atomic = "32"))]
            hand_overs_dropped: self
                .hand_overs_dropped
                .wrapping_add(other.hand_overs_dropped),
            #[cfg(feature = "datagrams")]
            datagrams_dropped: self.datagrams_dropped.wrapping_add(other.datagrams_dropped),
            #[cfg(feature = "datagrams")]
            datagrams_displaced: self
                .datagrams_displaced
                .wrapping_add(other.datagrams_displaced),
            #[cfg(feature = "ecn")]
            congestion_marks: self.congestion_marks.wrapping_add(other.congestion_marks),
            stalled_evicted: self.stalled_evicted.wrapping_add(other.stalled_evicted),
        }
    }
}
