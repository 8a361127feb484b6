//! What a stack cannot start without.

use crate::config::{CLASSES_MAX, Config, SizeClass};
use crate::device::Capabilities;
use crate::ip::route::Routes;
use crate::pool::table::SLOTS_MAX;
use crate::stack::memory::{MTU_MIN, Memory, SCRATCH_MIN};

/// What [`Stack::start`](crate::Stack::start) demands of what it is given.
///
/// It answers [`Error::Invalid`](usockets::Error::Invalid) whichever is not met, as the words for
/// each would take room in every image. A program that wants to know asks [`Self::unmet`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub enum Demand {
    /// [`Config::addresses`]: at most [`ADDRESSES_MAX`](crate::ADDRESSES_MAX), each unicast and
    /// with a prefix that its family has.
    Addresses,
    /// [`Capabilities::mtu`]: 576 bytes or more.
    Mtu,
    /// [`segment_max`](field@Capabilities::segment_max): no less than the MTU, of a device that
    /// fills checksums in.
    Segments,
    /// Size classes: at most [`CLASSES_MAX`](crate::CLASSES_MAX), each with buffers of 1 byte to
    /// 1 GiB, and four entries for segments or more.
    Classes,
    /// [`Memory::slots`]: one for each connection, 16,777,216 at most.
    Slots,
    /// [`Memory::working`]: as many as the classes say.
    Working,
    /// [`Memory::resting`]: as many as the classes say.
    Resting,
    /// [`Memory::in_flight`]: as many as the classes say.
    InFlight,
    /// [`Memory::bytes`]: as many as the classes say.
    Bytes,
    /// [`Memory::outstanding`]: as many as the classes say.
    Outstanding,
    /// [`Memory::ranges`]: as many as the classes say.
    Ranges,
    /// [`Memory::buckets`]: at least one.
    Buckets,
    /// [`Memory::scratch`]: one frame of the device, and at least 128 bytes.
    Scratch,
}

impl Demand {
    /// Returns a demand that a stack on such a device would find unmet; `None` if it would start.
    #[must_use]
    pub fn unmet(
        device: &Capabilities,
        config: &Config<'_>,
        memory: &Memory<'_>,
        classes: &[SizeClass],
    ) -> Option<Self> {
        let sum =
            |of: fn(&SizeClass) -> usize| classes.iter().map(of).fold(0, usize::saturating_add);
        let is_sound = classes.len() <= CLASSES_MAX && classes.iter().all(SizeClass::is_sound);
        let slots = sum(|class| class.connections);
        let slots_max = usize::try_from(SLOTS_MAX).unwrap_or(usize::MAX);
        let segments = device.segment_max;
        let cuts = segments.is_none_or(|bytes| device.fills && bytes >= device.mtu);
        let routes = Routes::new(config.addresses, config.gateway_v4, config.gateway_v6);
        let demands = [
            (routes.is_some(), Self::Addresses),
            (device.mtu >= MTU_MIN, Self::Mtu),
            (cuts, Self::Segments),
            (is_sound, Self::Classes),
            (slots <= memory.slots.len().min(slots_max), Self::Slots),
            (
                sum(SizeClass::working_len) <= memory.working.len(),
                Self::Working,
            ),
            (
                sum(SizeClass::resting_len) <= memory.resting.len(),
                Self::Resting,
            ),
            (
                sum(SizeClass::in_flight_len) <= memory.in_flight.len(),
                Self::InFlight,
            ),
            (sum(SizeClass::bytes) <= memory.bytes.len(), Self::Bytes),
            (
                sum(SizeClass::outstanding_len) <= memory.outstanding.len(),
                Self::Outstanding,
            ),
            (
                sum(SizeClass::ranges_len) <= memory.ranges.len(),
                Self::Ranges,
            ),
            (!memory.buckets.is_empty(), Self::Buckets),
            (
                device.frame_max().max(SCRATCH_MIN) <= memory.scratch.len(),
                Self::Scratch,
            ),
        ];
        let unmet = demands.iter().find(|(is_met, _)| !is_met);
        unmet.map(|(_, demand)| *demand)
    }
}
