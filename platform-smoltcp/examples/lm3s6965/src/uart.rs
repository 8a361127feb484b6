//! UART 0: the terminal. What it prints is lines of text; `q` stops the loop.

use crate::ethernet::WAKER;
use crate::registers::{
    UART_CLEAR, UART_CONTROL, UART_DATA, UART_DIVISOR, UART_FLAGS, UART_FRACTION, UART_LINE,
    UART_MASK,
};

const FLAGS_EMPTY: u32 = 1 << 4;
const FLAGS_FULL: u32 = 1 << 5;
const MASK_RECEIVED: u32 = 1 << 4;

/// Starts it at 115,200 baud: 50 MHz / 16 / 115,200 is 27 and 8/64.
pub(crate) fn start() {
    UART_CONTROL.write(0);
    UART_DIVISOR.write(27);
    UART_FRACTION.write(8);
    // Eight bits, no FIFOs, so that each byte interrupts.
    UART_LINE.write(0b11 << 5);
    UART_MASK.write(MASK_RECEIVED);
    // Enabled, to send and to receive.
    UART_CONTROL.write((0b11 << 8) | 1);
}

/// What the interrupt does.
pub(crate) fn interrupt() {
    UART_CLEAR.write(MASK_RECEIVED);
    while UART_FLAGS.read() & FLAGS_EMPTY == 0 {
        if UART_DATA.read() & 0xff == u32::from(b'q') {
            WAKER.wake();
        }
    }
}

/// Writes bytes, waiting for room.
pub(crate) fn write(bytes: &[u8]) {
    for byte in bytes {
        while UART_FLAGS.read() & FLAGS_FULL != 0 {}
        UART_DATA.write((*byte).into());
    }
}
