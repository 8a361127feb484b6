//! What a device has counted.

/// Counts of a device's life, in frames where nothing else is said. A device leaves at zero what it
/// cannot know. All wrap only in theory.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub struct DeviceCounters {
    /// Given to the stack.
    pub received: u64,
    /// Handed over by the stack and taken.
    pub sent: u64,
    /// Came while there was no room for them.
    pub overruns: u64,
    /// Came longer than what the device has for a frame; they are dropped.
    pub cut: u64,
    /// Handed over by the stack, and not taken by the kernel or the card.
    pub dropped: u64,
    /// Times that there was no room for a frame to send.
    pub full: u64,
    /// Times that the link was found down.
    pub downs: u64,
    /// Times that the card said what cannot be: a buffer that it does not have, a frame of
    /// impossible length.
    pub broken: u64,
}

impl DeviceCounters {
    /// Returns the sums of both, as for the queues of one card.
    #[must_use]
    pub const fn sum(self, other: Self) -> Self {
        Self {
            received: self.received.wrapping_add(other.received),
            sent: self.sent.wrapping_add(other.sent),
            overruns: self.overruns.wrapping_add(other.overruns),
            cut: self.cut.wrapping_add(other.cut),
            dropped: self.dropped.wrapping_add(other.dropped),
            full: self.full.wrapping_add(other.full),
            downs: self.downs.wrapping_add(other.downs),
            broken: self.broken.wrapping_add(other.broken),
        }
    }
}
