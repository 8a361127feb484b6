//! Interrupts: they end the sleep, and read the terminal.

use static_cell::StaticCell;

use crate::port::{Port, Register, load_interrupts, write};
use crate::{exit, print, serial};

/// Vector of devices.
const DEVICE: u8 = 0x40;
/// Vector of the timer.
const TIMER: u8 = 0x41;
/// Vector of interrupts that were withdrawn.
const SPURIOUS: u8 = 0xff;
/// Pins of the I/O APIC with devices: the terminal on 4, and all that virtio devices may be on.
const PINS: core::ops::Range<u32> = 4..24;

static TABLE: StaticCell<[[u64; 2]; 256]> = StaticCell::new();

#[expect(unsafe_code, reason = "defined in assembly")]
unsafe extern "C" {
    safe fn interrupt_entry();
    safe fn spurious_entry();
    safe fn fault_entry();
}

/// Sets up vectors, the local APIC and the I/O APIC.
pub(crate) fn start() {
    let table = TABLE.init_with(|| [[0; 2]; 256]);
    for (vector, gate) in (0_u8..=255).zip(table.iter_mut()) {
        *gate = match vector {
            0..32 => gate_to(fault_entry),
            DEVICE | TIMER => gate_to(interrupt_entry),
            _ => gate_to(spurious_entry),
        };
    }
    load_interrupts(table);
    write(Port::OLD_MASK_0, 0xff);
    write(Port::OLD_MASK_1, 0xff);
    Register::LOCAL_SPURIOUS.write(0x100 | u32::from(SPURIOUS));
    Register::LOCAL_TIMER.write(TIMER.into());
    // The timer counts every cycle of its clock.
    Register::LOCAL_DIVISOR.write(0b1011);
    for pin in PINS {
        // Two registers for each pin from 16 on: vector, edge; processor 0.
        let low = 16_u32.saturating_add(pin.saturating_mul(2));
        Register::IO_SELECT.write(low.saturating_add(1));
        Register::IO_WINDOW.write(0);
        Register::IO_SELECT.write(low);
        Register::IO_WINDOW.write(DEVICE.into());
    }
}

/// Returns an interrupt gate in the format of the processor (Intel SDM, volume 3, section 7.14).
fn gate_to(entry: extern "C" fn()) -> [u64; 2] {
    #[expect(
        clippy::as_conversions,
        reason = "the only way to a function's address"
    )]
    let address = u64::try_from(entry as usize).unwrap_or(0);
    let low = address & 0xffff | (8 << 16) | (0x8e00 << 32) | (address >> 16 & 0xffff) << 48;
    [low, address >> 32]
}

/// What every interrupt of a device or the timer does.
pub(crate) extern "C" fn on_interrupt() {
    serial::read();
    Register::LOCAL_END.write(0);
}

/// What every fault does.
pub(crate) extern "C" fn on_fault() -> ! {
    print("fault");
    exit(false)
}
