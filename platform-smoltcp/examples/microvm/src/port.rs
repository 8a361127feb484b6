//! Ports, device registers and processor instructions: what Rust has no words for.
#![expect(unsafe_code, reason = "every line here is an access to the machine")]

use core::arch::asm;
use core::ptr::{
    read_volatile, with_exposed_provenance, with_exposed_provenance_mut, write_volatile,
};

/// Reads a port that belongs to one of the devices of this program.
pub(crate) fn read(port: Port) -> u8 {
    let value;
    // SAFETY: reading the ports that `Port` names changes no memory.
    unsafe {
        asm!("in al, dx", in("dx") port.0, out("al") value, options(nomem, nostack, preserves_flags));
    }
    value
}

/// Writes a port.
pub(crate) fn write(port: Port, value: u8) {
    // SAFETY: as for `read`; none of these devices touches memory by itself.
    unsafe {
        asm!("out dx, al", in("dx") port.0, in("al") value, options(nomem, nostack, preserves_flags));
    }
}

/// A port of a device that never touches memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Port(u16);

impl Port {
    /// Serial line: data.
    pub(crate) const SERIAL_DATA: Self = Self(0x3f8);
    /// Serial line: which interrupts.
    pub(crate) const SERIAL_ENABLE: Self = Self(0x3f9);
    /// Serial line: modem control; bit 3 lets interrupts out.
    pub(crate) const SERIAL_CONTROL: Self = Self(0x3fc);
    /// Serial line: status; bit 0 something to read, 5 room to write.
    pub(crate) const SERIAL_STATUS: Self = Self(0x3fd);
    /// Timer: its first counter.
    pub(crate) const TIMER_DATA: Self = Self(0x40);
    /// Timer: commands.
    pub(crate) const TIMER_COMMAND: Self = Self(0x43);
    /// Mask of the first old interrupt controller.
    pub(crate) const OLD_MASK_0: Self = Self(0x21);
    /// Mask of the second.
    pub(crate) const OLD_MASK_1: Self = Self(0xa1);
    /// Ends the emulation.
    pub(crate) const EXIT: Self = Self(0xf4);
}

/// A 32-bit register of an interrupt controller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Register(usize);

impl Register {
    /// I/O APIC: which register.
    pub(crate) const IO_SELECT: Self = Self(0xfec0_0000);
    /// I/O APIC: that register.
    pub(crate) const IO_WINDOW: Self = Self(0xfec0_0010);
    /// Local APIC: end of interrupt.
    pub(crate) const LOCAL_END: Self = Self(0xfee0_00b0);
    /// Local APIC: spurious vector; bit 8 enables.
    pub(crate) const LOCAL_SPURIOUS: Self = Self(0xfee0_00f0);
    /// Local APIC: the timer's vector.
    pub(crate) const LOCAL_TIMER: Self = Self(0xfee0_0320);
    /// Local APIC: what the timer counts down from; 0 stops it.
    pub(crate) const LOCAL_START: Self = Self(0xfee0_0380);
    /// Local APIC: the timer's counter.
    pub(crate) const LOCAL_COUNT: Self = Self(0xfee0_0390);
    /// Local APIC: the timer's divisor.
    pub(crate) const LOCAL_DIVISOR: Self = Self(0xfee0_03e0);

    /// Reads it.
    pub(crate) fn read(self) -> u32 {
        // SAFETY: the constants above are the only values; every PC has these there, and they are
        // mapped.
        unsafe { read_volatile(with_exposed_provenance(self.0)) }
    }

    /// Writes it.
    pub(crate) fn write(self, value: u32) {
        // SAFETY: as for `read`; interrupts lead to the handlers of `interrupts`.
        unsafe { write_volatile(with_exposed_provenance_mut(self.0), value) }
    }
}

/// Returns the processor's count of cycles.
pub(crate) fn cycles() -> u64 {
    // SAFETY: every 64-bit processor has it.
    unsafe { core::arch::x86_64::_rdtsc() }
}

/// Returns 64 bits of the processor's random number generator; `None` without one, or if it is
/// exhausted.
pub(crate) fn random() -> Option<u64> {
    if core::arch::x86_64::__cpuid(1).ecx & (1 << 30) == 0 {
        return None;
    }
    for _ in 0..10 {
        let value: u64;
        let good: u8;
        // SAFETY: the processor has the instruction, as it has just said.
        unsafe {
            asm!("rdrand {}", "setc {}", out(reg) value, out(reg_byte) good, options(nomem, nostack));
        }
        if good == 1 {
            return Some(value);
        }
    }
    None
}

/// Lets interrupts come.
pub(crate) fn allow_interrupts() {
    // SAFETY: all vectors that can occur have handlers.
    unsafe { asm!("sti", options(nomem, nostack)) }
}

/// Keeps interrupts back.
pub(crate) fn hold_interrupts() {
    // SAFETY: it changes a flag of the processor only.
    unsafe { asm!("cli", options(nomem, nostack)) }
}

/// Sleeps until an interrupt, also one that was kept back, and lets it come.
pub(crate) fn sleep() {
    // SAFETY: `sti` takes effect after the next instruction, so that no interrupt comes before
    // the sleep has begun.
    unsafe { asm!("sti", "hlt", options(nostack)) }
}

/// Makes `table` the table of interrupts.
pub(crate) fn load_interrupts(table: &'static [[u64; 2]; 256]) {
    #[repr(C, packed)]
    struct Pointer(u16, u64);
    let address = u64::try_from(core::ptr::from_ref(table).expose_provenance()).unwrap_or(0);
    let pointer = Pointer(4095, address);
    // SAFETY: the table lives for ever and its handlers too.
    unsafe { asm!("lidt [{}]", in(reg) &raw const pointer, options(readonly, nostack)) }
}
