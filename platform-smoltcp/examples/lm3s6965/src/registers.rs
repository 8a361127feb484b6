//! Registers at fixed addresses: the only place that touches them.

use core::ptr::{read_volatile, write_volatile};

/// One 32-bit register of a device.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Register(usize);

impl Register {
    /// Names the register `offset` bytes into a device.
    ///
    /// # Safety
    /// It is a register, aligned to 4 bytes, and no access to it makes the device touch memory
    /// that Rust code owns.
    #[expect(unsafe_code, reason = "only the caller knows what is there")]
    const unsafe fn at(device: usize, offset: usize) -> Self {
        Self(device.wrapping_add(offset))
    }

    /// Reads it.
    #[expect(unsafe_code, reason = "there is no other way to a device")]
    #[must_use]
    pub(crate) fn read(self) -> u32 {
        // SAFETY: `at` was promised that it is a register, so it is there at all times; volatile
        // accesses are neither left out nor put together.
        unsafe { read_volatile(core::ptr::with_exposed_provenance(self.0)) }
    }

    /// Writes it.
    #[expect(unsafe_code, reason = "there is no other way to a device")]
    pub(crate) fn write(self, value: u32) {
        // SAFETY: as for `read`; and what is written makes no device touch memory.
        unsafe { write_volatile(core::ptr::with_exposed_provenance_mut(self.0), value) }
    }
}

/// Names registers by device and offset.
macro_rules! registers {
    ($($(#[$doc:meta])* $name:ident = $device:literal + $offset:literal;)*) => {$(
        $(#[$doc])*
        // SAFETY: the data sheet of the LM3S6965, or of the processor, has it at this address.
        // None of these devices reads or writes memory by itself.
        #[expect(unsafe_code, reason = "the address is the data sheet's")]
        pub(crate) const $name: Register = unsafe { Register::at($device, $offset) };
    )*};
}

// System control.
registers! {
    /// Raw interrupt status: bit 6, the PLL is locked.
    SYSTEM_STATUS = 0x400f_e000 + 0x050;
    /// Run-mode clock configuration.
    SYSTEM_CLOCK = 0x400f_e000 + 0x060;
    /// Clock gates of timers and UARTs: bit 0, UART 0.
    SYSTEM_GATES_1 = 0x400f_e000 + 0x104;
    /// Clock gates of ports and Ethernet: bit 0, port A; 5, port F; 28, MAC; 30, PHY.
    SYSTEM_GATES_2 = 0x400f_e000 + 0x108;
    /// The hardware address's first three bytes, as the maker has written them.
    SYSTEM_USER_0 = 0x400f_e000 + 0x1e0;
    /// The hardware address's last three bytes.
    SYSTEM_USER_1 = 0x400f_e000 + 0x1e4;
}

// Ports, for the pins of the UART and of the link's lights.
registers! {
    /// Port A: which pins belong to a device.
    PORT_A_FUNCTION = 0x4000_4000 + 0x420;
    /// Port A: which pins are digital.
    PORT_A_DIGITAL = 0x4000_4000 + 0x51c;
    /// Port F: which pins belong to a device.
    PORT_F_FUNCTION = 0x4002_5000 + 0x420;
    /// Port F: which pins are digital.
    PORT_F_DIGITAL = 0x4002_5000 + 0x51c;
}

// UART 0.
registers! {
    /// Data.
    UART_DATA = 0x4000_c000 + 0x000;
    /// Flags: bit 4, nothing to read; 5, no room to write.
    UART_FLAGS = 0x4000_c000 + 0x018;
    /// Divisor of the baud rate, whole part.
    UART_DIVISOR = 0x4000_c000 + 0x024;
    /// Divisor of the baud rate, 64ths.
    UART_FRACTION = 0x4000_c000 + 0x028;
    /// Line control.
    UART_LINE = 0x4000_c000 + 0x02c;
    /// Control.
    UART_CONTROL = 0x4000_c000 + 0x030;
    /// Interrupt mask: bit 4, something to read.
    UART_MASK = 0x4000_c000 + 0x038;
    /// Clears interrupts.
    UART_CLEAR = 0x4000_c000 + 0x044;
}

// Ethernet MAC.
registers! {
    /// Interrupt status; writing acknowledges.
    MAC_STATUS = 0x4004_8000 + 0x000;
    /// Interrupt mask.
    MAC_MASK = 0x4004_8000 + 0x004;
    /// Receive control.
    MAC_RECEIVE = 0x4004_8000 + 0x008;
    /// Transmit control.
    MAC_TRANSMIT = 0x4004_8000 + 0x00c;
    /// Both FIFOs.
    MAC_DATA = 0x4004_8000 + 0x010;
    /// Hardware address, first four bytes.
    MAC_ADDRESS_0 = 0x4004_8000 + 0x014;
    /// Hardware address, last two bytes.
    MAC_ADDRESS_1 = 0x4004_8000 + 0x018;
    /// Number of frames in the receive FIFO.
    MAC_FRAMES = 0x4004_8000 + 0x034;
    /// Starts sending; 1 while it lasts.
    MAC_START = 0x4004_8000 + 0x038;
}

// The processor's own.
registers! {
    /// SysTick: control and status.
    TICK_CONTROL = 0xe000_e000 + 0x010;
    /// SysTick: what the counter starts from.
    TICK_RELOAD = 0xe000_e000 + 0x014;
    /// SysTick: the counter; writing clears it.
    TICK_COUNT = 0xe000_e000 + 0x018;
    /// Enables interrupts 0 to 31.
    INTERRUPTS_0 = 0xe000_e000 + 0x100;
    /// Enables interrupts 32 to 63.
    INTERRUPTS_1 = 0xe000_e000 + 0x104;
}
