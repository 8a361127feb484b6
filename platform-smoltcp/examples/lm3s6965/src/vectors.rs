//! The vectors of the chip's interrupts (data sheet, interrupts), behind those of the processor,
//! which are cortex-m-rt's.

use crate::{ethernet, uart};

/// Interrupt of UART 0.
pub(crate) const UART: usize = 5;
/// Interrupt of the Ethernet block.
pub(crate) const ETHERNET: usize = 42;
/// How many interrupts the chip has.
const COUNT: usize = 44;

type Vector = unsafe extern "C" fn();

#[expect(unsafe_code, reason = "cortex-m-rt knows it by its name only")]
unsafe extern "C" {
    /// The handler of all other interrupts.
    fn DefaultHandler();
}

#[expect(
    unsafe_code,
    reason = "cortex-m-rt and the processor find it by name and place"
)]
// SAFETY: with its feature `device`, cortex-m-rt wants the vectors by this name in this section,
// and puts them behind its own.
#[unsafe(no_mangle)]
#[unsafe(link_section = ".vector_table.interrupts")]
static __INTERRUPTS: [Vector; COUNT] = {
    let mut vectors: [Vector; COUNT] = [DefaultHandler; COUNT];
    vectors[UART] = on_uart;
    vectors[ETHERNET] = on_ethernet;
    vectors
};

extern "C" fn on_uart() {
    uart::interrupt();
}

extern "C" fn on_ethernet() {
    ethernet::interrupt();
}
