//! A card whose registers are at one of the places that the machine has for them.
#![expect(unsafe_code, reason = "only the machine's makers know what is where")]

use core::ptr::{NonNull, with_exposed_provenance_mut};

use usockets_smoltcp::VirtioMmio;

pub(crate) type Registers = VirtioMmio;

/// Where the registers of virtio devices are, 512 bytes each.
const DEVICES: usize = 0xfeb0_0000;
const DEVICE_BYTES: usize = 512;
const DEVICES_MAX: usize = 24;

/// Finds the registers of the first network card.
pub(crate) fn find() -> Option<Registers> {
    (0..DEVICES_MAX).find_map(|number| {
        let at = DEVICES.wrapping_add(number.wrapping_mul(DEVICE_BYTES));
        let registers = NonNull::new(with_exposed_provenance_mut(at))?;
        // SAFETY: at these places `microvm` has virtio's registers, of devices or of none, which
        // their first words tell; nobody else uses them, and memory is mapped as it is.
        unsafe { VirtioMmio::new(registers) }
    })
}
