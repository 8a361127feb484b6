//! What a loop did so far.

/// Plain counters of one loop, readable at any time. They wrap around.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct Stats {
    /// Iterations, which is also how often the platform was asked to wait, but for those that went
    /// on where a call had unwound.
    pub iterations: u64,
    /// Connections accepted, those still opening included.
    pub accepted: u64,
    /// Connections that our connects opened.
    pub connected: u64,
    /// Connections that never opened: connects that failed, accepted ones whose handshake did,
    /// and ones that died while they waited to be accepted.
    pub failed: u64,
    /// Connections reset because the pool was full, under
    /// [`WhenFull::Refuse`](crate::WhenFull::Refuse), or because the program refused them
    /// ([`PreOpen::Refuse`](crate::PreOpen::Refuse)).
    pub refused: u64,
    /// Connections closed because the pool was full, under
    /// [`WhenFull::EvictIdle`](crate::WhenFull::EvictIdle).
    pub evicted: u64,
    /// Times a listener stopped accepting because the pool was full or the platform exhausted.
    pub pauses: u64,
    /// Bytes received from peers.
    pub received: u64,
    /// Bytes that the platform took for sending.
    pub sent: u64,
    /// Answers of the platform that its contract forbids; the loop goes on. Anything but 0 is a
    /// fault of the platform.
    pub breaches: u64,
    /// Connections open now.
    pub open: u32,
    /// Slots in use now: listeners, timers and connections of every state.
    pub in_use: u32,
}

/// A number of bytes, to count with.
#[inline]
pub(crate) fn widen(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}
