//! All memory of one stack, and how it is counted.

use crate::ip::neighbour::Neighbour;
use crate::listener::Listener;
use crate::stack::lease::{InFlight, Resting, Working};
use crate::stack::slot::Slot;
use crate::tcp::{Block, Outstanding};

/// Bytes of scratch memory that every stack needs, whatever its device.
pub(super) const SCRATCH_MIN: usize = 128;
/// Least MTU (RFC 791 asks every host for 576).
pub(super) const MTU_MIN: usize = 576;

/// All memory of one stack, lent for as long as it lives. Nothing more is ever asked for.
#[expect(clippy::exhaustive_structs, reason = "the caller makes it")]
pub struct Memory<'a> {
    /// One for each connection of all classes; 16,777,216 at most.
    pub slots: &'a mut [Slot],
    /// Control blocks of all classes that have theirs for life
    /// ([`SizeClass::working_len`](crate::SizeClass::working_len)).
    pub working: &'a mut [Working],
    /// What is remembered of each connection, of all classes that lease their memory
    /// ([`SizeClass::resting_len`](crate::SizeClass::resting_len)).
    pub resting: &'a mut [Resting],
    /// What those have beside that while they have something to do
    /// ([`SizeClass::in_flight_len`](crate::SizeClass::in_flight_len)).
    pub in_flight: &'a mut [InFlight],
    /// The buffers of all classes ([`SizeClass::bytes`](crate::SizeClass::bytes)).
    pub bytes: &'a mut [u8],
    /// Entries for segments that are on their way, of all classes
    /// ([`SizeClass::outstanding_len`](crate::SizeClass::outstanding_len)).
    pub outstanding: &'a mut [Outstanding],
    /// Entries for ranges that came out of order, of all classes
    /// ([`SizeClass::ranges_len`](crate::SizeClass::ranges_len)).
    pub ranges: &'a mut [Block],
    /// The table from addresses to slots; the largest power of two of them is used. As many as
    /// slots, or more.
    pub buckets: &'a mut [u32],
    /// One for each listener, at most 255.
    pub listeners: &'a mut [Listener],
    /// One for each neighbour on the link that is talked to; four times that many, so that they
    /// never push each other out. Not used on a device without Ethernet.
    pub neighbours: &'a mut [Neighbour],
    /// For one frame: [`crate::Capabilities::frame_max`] bytes and at least 128. Twice as many for
    /// a device whose frames come in several buffers ([`crate::PollDevice::chained`]); without
    /// them such frames are dropped.
    pub scratch: &'a mut [u8],
}

impl core::fmt::Debug for Memory<'_> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Memory")
            .field("slots", &self.slots.len())
            .field("bytes", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

/// The tables beside the buffers.
pub(super) struct Tables<'a> {
    pub(super) working: &'a mut [Working],
    pub(super) resting: &'a mut [Resting],
    pub(super) in_flight: &'a mut [InFlight],
    pub(super) outstanding: &'a mut [Outstanding],
    pub(super) ranges: &'a mut [Block],
}
