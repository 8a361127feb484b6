//! What the images for the LM3S6965 evaluation board share: the driver of its Ethernet block, the
//! clock, the terminal, and the ways in and out.
//!
//! It is a Cortex-M3 at 50 MHz with 256 KiB of flash and 64 KiB of RAM, which QEMU emulates as
//! `lm3s6965evb`. Interrupts only end the processor's sleep; all work is the loop's. Written after
//! the data sheet, but tried in QEMU only.
#![no_std]

pub mod clock;
#[cfg(feature = "tls")]
pub mod crypto;
mod division;
pub mod ethernet;
pub mod host;
pub mod memory;
mod memory_functions;
pub mod network;
mod registers;
mod uart;
mod vectors;

use core::panic::PanicInfo;

use cortex_m_rt::{ExceptionFrame, exception};
use registers::{
    INTERRUPTS_0, INTERRUPTS_1, PORT_A_DIGITAL, PORT_A_FUNCTION, PORT_F_DIGITAL, PORT_F_FUNCTION,
    SYSTEM_CLOCK, SYSTEM_GATES_1, SYSTEM_GATES_2, SYSTEM_STATUS, SYSTEM_USER_0, SYSTEM_USER_1,
};

/// Starts clocks, pins, terminal and interrupts.
pub fn start() {
    start_pll();
    SYSTEM_GATES_1.write(1);
    SYSTEM_GATES_2.write((1 << 30) | (1 << 28) | (1 << 5) | 1);
    // The gates open after a few cycles; this read takes longer.
    let _ = SYSTEM_GATES_2.read();
    for (function, digital, pins) in [
        (PORT_A_FUNCTION, PORT_A_DIGITAL, 0b11),
        (PORT_F_FUNCTION, PORT_F_DIGITAL, 0b1100),
    ] {
        function.write(pins);
        digital.write(pins);
    }
    clock::start();
    uart::start();
    INTERRUPTS_0.write(1 << vectors::UART);
    INTERRUPTS_1.write(1 << (vectors::ETHERNET - 32));
}

/// Runs the processor at 50 MHz, from the PLL and the 8 MHz crystal: first past the PLL, then with
/// it once it is locked (data sheet, system control).
fn start_pll() {
    const BYPASS: u32 = 1 << 11;
    const CRYSTAL_8_MHZ: u32 = 0xe << 6;
    const DIVIDE_BY_4: u32 = (3 << 23) | (1 << 22);
    const POWER_DOWN: u32 = 1 << 13;
    let running = CRYSTAL_8_MHZ | DIVIDE_BY_4 | BYPASS;
    SYSTEM_CLOCK.write(running | POWER_DOWN);
    SYSTEM_CLOCK.write(running);
    while SYSTEM_STATUS.read() & (1 << 6) == 0 {}
    SYSTEM_CLOCK.write(running & !BYPASS);
}

/// Returns the hardware address that the maker has written into the flash; a locally administered
/// one (IEEE 802) if nobody has.
#[must_use]
pub fn mac() -> [u8; 6] {
    let (first, last) = (SYSTEM_USER_0.read(), SYSTEM_USER_1.read());
    let ([a, b, c, _], [d, e, f, _]) = (first.to_le_bytes(), last.to_le_bytes());
    match [a, b, c, d, e, f] {
        [0xff, 0xff, 0xff, ..] | [0, 0, 0, 0, 0, 0] => [2, 0, 0, 0, 0, 1],
        written => written,
    }
}

/// Writes a line to the terminal: `text`, and a number in hexadecimal if there is one.
///
/// Not by `core::fmt`, which alone would take a tenth of the image.
pub fn print(text: &str, number: Option<u32>) {
    uart::write(text.as_bytes());
    if let Some(number) = number {
        uart::write(b" 0x");
        for shift in (0..u32::BITS).step_by(4).rev() {
            let digit = number.wrapping_shr(shift) & 0xf;
            let place = usize::try_from(digit).unwrap_or(0);
            uart::write(b"0123456789abcdef".get(place..=place).unwrap_or_default());
        }
    }
    uart::write(b"\r\n");
}

/// Writes a line to the terminal: `text`, and an address.
#[cfg(feature = "dhcp")]
pub fn print_address(text: &str, ip: core::net::Ipv4Addr) {
    uart::write(text.as_bytes());
    for (place, octet) in ip.octets().into_iter().enumerate() {
        uart::write(if place == 0 { b" " } else { b"." });
        let digits = [octet / 100, octet / 10 % 10, octet % 10].map(|digit| digit | b'0');
        let zeros = usize::from(octet < 100).saturating_add(usize::from(octet < 10));
        uart::write(digits.get(zeros..).unwrap_or_default());
    }
    uart::write(b"\r\n");
}

#[exception]
fn SysTick() {
    clock::tick();
}

#[exception]
#[allow(unsafe_code, reason = "the handler of all other interrupts is")]
unsafe fn DefaultHandler(number: i16) {
    print("unexpected interrupt", u32::try_from(number).ok());
    host::exit(false);
}

#[exception]
#[allow(unsafe_code, reason = "the handler of faults is")]
unsafe fn HardFault(frame: &ExceptionFrame) -> ! {
    print("fault at", Some(frame.pc()));
    host::exit(false)
}

#[panic_handler]
fn on_panic(_: &PanicInfo<'_>) -> ! {
    // Where and why would keep kilobytes of text in the image.
    print("panic", None);
    host::exit(false)
}
