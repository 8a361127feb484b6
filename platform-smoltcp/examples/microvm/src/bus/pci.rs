//! A card on the PCI bus. No firmware has given the bus's devices their places in memory, so that
//! is done here.
#![expect(unsafe_code, reason = "only the machine's makers know what is where")]

use core::ptr::with_exposed_provenance_mut;

use usockets_smoltcp::{PciConfig, VirtioPci};

pub(crate) type Registers = VirtioPci;

/// Where the bus's configuration spaces are, and how far apart those of its devices.
const SPACES: usize = 0xe000_0000;
const DEVICE_STEP: usize = 1 << 15;
const DEVICES_MAX: usize = 32;
/// Where the machine has room for registers.
const ROOM: u32 = 0xc000_0000;
/// What is read where there is no device.
const NONE: u32 = u32::MAX;
/// Where a configuration space has its first base address register, and how many there are.
const BARS_AT: u8 = 0x10;
const BARS: u8 = 6;

/// The configuration space of a device's first function.
struct Space(usize);

impl Space {
    fn place(&self, at: u8) -> *mut u32 {
        with_exposed_provenance_mut(self.0.wrapping_add(usize::from(at & !3)))
    }
}

impl PciConfig for Space {
    fn read(&mut self, at: u8) -> u32 {
        // SAFETY: `microvm` has configuration spaces there, of devices or of none, which are
        // mapped as they are; nobody else uses them.
        unsafe { self.place(at).read_volatile() }
    }

    fn write(&mut self, at: u8, value: u32) {
        // SAFETY: as in `read`; what is written decides where registers are, in room for them.
        unsafe { self.place(at).write_volatile(value) };
    }
}

/// Finds the registers of the first network card.
pub(crate) fn find() -> Option<Registers> {
    let mut room = ROOM;
    (0..DEVICES_MAX).find_map(|number| {
        let mut space = Space(SPACES.wrapping_add(number.wrapping_mul(DEVICE_STEP)));
        if space.read(0) == NONE {
            return None;
        }
        give_places(&mut space, &mut room);
        // SAFETY: a configuration space that nobody else uses, whose registers are where it says,
        // past the caches, as all of the last gibibyte; memory is mapped as it is.
        unsafe { VirtioPci::new(&mut space) }
    })
}

/// Gives a device's registers places in memory, from `room` on.
fn give_places(space: &mut Space, room: &mut u32) {
    let mut bar = 0;
    while bar < BARS {
        let at = BARS_AT.wrapping_add(bar.wrapping_mul(4));
        let said = space.read(at);
        let (is_port, is_wide) = (said & 1 != 0, said & 0b111 == 0b100);
        bar = bar.wrapping_add(if is_wide { 2 } else { 1 });
        if is_port {
            continue;
        }
        // What cannot be set says how large it is, and so how it has to be aligned.
        space.write(at, u32::MAX);
        let mask = space.read(at) & !0xf;
        if mask == 0 {
            continue;
        }
        let base = room.wrapping_add(!mask) & mask;
        space.write(at, base);
        if is_wide {
            space.write(at.wrapping_add(4), 0);
        }
        *room = base.wrapping_sub(mask);
    }
}
